package simulate

import (
	"math/rand/v2"
	"sync"
)

// ChannelOperation names a call of the simulated channel.
type ChannelOperation string

// The operations faults can be scripted for.
const (
	ChannelSet  ChannelOperation = "set" // PUT of a listing, or a webhook delivery
	ChannelRead ChannelOperation = "read"
)

// ChannelFault is one thing that goes wrong with one call.
type ChannelFault string

// The faults.
const (
	ChannelHang        ChannelFault = "hang"         // it takes effect, no answer until the caller gives up
	ChannelDropAfter   ChannelFault = "drop_after"   // it takes effect, the connection breaks before the answer
	ChannelErrorAfter  ChannelFault = "500_after"    // it takes effect, the answer is 500
	ChannelErrorBefore ChannelFault = "500_before"   // nothing happened, the answer is 500
	ChannelThrottle    ChannelFault = "429"          // nothing happened, come back after a second
	ChannelUnavailable ChannelFault = "503"          // nothing happened
	ChannelLag         ChannelFault = "lag"          // accepted, not shown before ShowHidden
	ChannelGarbage     ChannelFault = "garbage"      // it takes effect, the answer is no JSON
	ChannelHuge        ChannelFault = "huge"         // it takes effect, the answer does not end
	ChannelRedirect    ChannelFault = "redirect"     // nothing happened, the answer points elsewhere
	ChannelRefuse      ChannelFault = "422"          // nothing happened, refused for good
	ChannelUnknown     ChannelFault = "unknown_code" // nothing happened, 418 with a body nobody expects
)

type channelFaults struct {
	mu     sync.Mutex
	script map[ChannelOperation][]ChannelFault
	rng    *rand.Rand
	share  float64
	kinds  []ChannelFault
	down   bool
}

// Fail scripts faults: the next calls of the operation meet them, one each, in
// this order; later calls are well again.
func (c *Channel) Fail(op ChannelOperation, kinds ...ChannelFault) {
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	if c.faults.script == nil {
		c.faults.script = map[ChannelOperation][]ChannelFault{}
	}
	c.faults.script[op] = append(c.faults.script[op], kinds...)
}

// FailAtRandom makes a share of all calls (0 to 1) fail in one of the given ways.
// The same seed gives the same choices in the same order of calls.
func (c *Channel) FailAtRandom(seed uint64, share float64, kinds ...ChannelFault) {
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	c.faults.rng, c.faults.share, c.faults.kinds = rand.New(rand.NewPCG(seed, 2)), share, kinds
}

// Down takes the whole channel down (every call is 503) or up again.
func (c *Channel) Down(down bool) {
	c.faults.mu.Lock()
	defer c.faults.mu.Unlock()
	c.faults.down = down
}

// next says what goes wrong with this call; empty is nothing.
func (f *channelFaults) next(op ChannelOperation) ChannelFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return ChannelUnavailable
	}
	if s := f.script[op]; len(s) > 0 {
		f.script[op] = s[1:]
		return s[0]
	}
	if f.rng != nil && len(f.kinds) > 0 && f.rng.Float64() < f.share {
		return f.kinds[f.rng.IntN(len(f.kinds))]
	}
	return ""
}

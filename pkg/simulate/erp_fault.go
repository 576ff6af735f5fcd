package simulate

import (
	"math/rand/v2"
	"sync"
	"time"
)

// ERPOperation names a call of the simulated ERP.
type ERPOperation string

// The operations faults can be scripted for.
const (
	ERPFind   ERPOperation = "find"
	ERPCreate ERPOperation = "create"
	ERPPost   ERPOperation = "post"
	ERPAdopt  ERPOperation = "adopt"
)

// ERPFault is one thing that goes wrong with one call.
type ERPFault string

// The faults.
const (
	FaultDropAfter   ERPFault = "drop_after"  // it takes effect, the connection breaks before the answer
	FaultDropBefore  ERPFault = "drop_before" // the connection breaks, nothing happened
	FaultErrorAfter  ERPFault = "500_after"   // it takes effect, the answer is 500
	FaultErrorBefore ERPFault = "500_before"  // nothing happened, the answer is 500
	FaultThrottle    ERPFault = "429"         // nothing happened, come back later
	FaultUnavailable ERPFault = "503"         // nothing happened
	FaultHang        ERPFault = "hang"        // it takes effect, no answer until the caller gives up
	FaultSlow        ERPFault = "slow"        // a late answer, otherwise well
	FaultGarbage     ERPFault = "garbage"     // it takes effect, the answer is no JSON
	FaultHuge        ERPFault = "huge"        // it takes effect, the answer does not end
	FaultForeign     ERPFault = "foreign"     // find answers with somebody else's document
)

// erpSlowAnswer is how late a slow answer is.
const erpSlowAnswer = 50 * time.Millisecond

type erpFaults struct {
	mu     sync.Mutex
	script map[ERPOperation][]ERPFault
	rng    *rand.Rand
	share  float64
	kinds  []ERPFault
	down   bool
}

// Fail scripts faults: the next calls of the operation meet them, one each, in
// this order; later calls are well again.
func (e *ERP) Fail(op ERPOperation, kinds ...ERPFault) {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	if e.faults.script == nil {
		e.faults.script = map[ERPOperation][]ERPFault{}
	}
	e.faults.script[op] = append(e.faults.script[op], kinds...)
}

// FailAtRandom makes a share of all calls (0 to 1) fail in one of the given ways.
// The same seed gives the same choices in the same order of calls.
func (e *ERP) FailAtRandom(seed uint64, share float64, kinds ...ERPFault) {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	e.faults.rng, e.faults.share, e.faults.kinds = rand.New(rand.NewPCG(seed, 1)), share, kinds
}

// Down takes the whole ERP down (every call is 503) or up again.
func (e *ERP) Down(down bool) {
	e.faults.mu.Lock()
	defer e.faults.mu.Unlock()
	e.faults.down = down
}

// next says what goes wrong with this call; empty is nothing.
func (f *erpFaults) next(op ERPOperation) ERPFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return FaultUnavailable
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

package kill_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	senders      = 8
	ackLimit     = 2 * time.Minute // for one message to be taken
	receiptLimit = 3 * time.Minute // for one wave to be on the ledger's log
)

// A delivery sends a load through the door, wave by wave, and sends again what it
// got no 202 for: as a partner does who cannot know.
type delivery struct {
	w    *world
	load *load
	pace *pace // nil: as fast as it goes
	ids  []string

	acked    atomic.Int64
	inflight atomic.Int64
	broken   atomic.Int64 // requests that were sent and got no answer
	again    atomic.Int64 // sent more than once
	waiting  atomic.Int64 // of a wave that was sent: without a receipt
}

func (d *delivery) run(ctx context.Context) error {
	for n, wave := range d.load.waves {
		ids, err := d.wave(ctx, wave)
		if err != nil {
			return fmt.Errorf("wave %d: %w", n, err)
		}
		if !poll(ctx, receiptLimit, func() bool { return d.missing(ids) == 0 }) {
			return fmt.Errorf("wave %d: %d of its messages have no receipt after %s", n, d.missing(ids), receiptLimit)
		}
		d.ids = append(d.ids, ids...)
	}
	return nil
}

// missing counts messages without a receipt: with one, all it became is durable.
func (d *delivery) missing(ids []string) int {
	d.w.tail.Lock()
	defer d.w.tail.Unlock()
	n := 0
	for _, id := range ids {
		if _, ok := d.w.tail.Receipts[id]; !ok {
			n++
		}
	}
	d.waiting.Store(int64(n))
	return n
}

// standing says how far the delivery has come. A message that was lost after its
// 202 shows as one that is waited for.
func (d *delivery) standing() string {
	return fmt.Sprintf("%d of %d messages taken, %d of a whole wave waited for", d.acked.Load(), d.load.messages, d.waiting.Load())
}

// wave sends messages side by side and returns their raw ids, of the try that was
// taken.
func (d *delivery) wave(ctx context.Context, wave []message) ([]string, error) {
	ids, errs := make([]string, len(wave)), make([]error, senders)
	next := make(chan int)
	var wg sync.WaitGroup
	for s := range senders {
		wg.Go(func() {
			for i := range next {
				if errs[s] == nil {
					ids[i], errs[s] = d.send(ctx, &wave[i])
				}
			}
		})
	}
	for i := range wave {
		next <- i
	}
	close(next)
	wg.Wait()
	return ids, errors.Join(errs...)
}

func (d *delivery) send(ctx context.Context, m *message) (string, error) {
	if err := d.pace.wait(ctx, d.load.messages-int(d.acked.Load())); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, ackLimit)
	defer cancel()
	for try := 0; ; try++ {
		if try == 1 {
			d.again.Add(1)
		}
		d.inflight.Add(1)
		answer, err := d.w.sender.Post(ctx, m.step, m.body)
		d.inflight.Add(-1)
		switch {
		case err == nil && answer.Status == http.StatusAccepted:
			d.acked.Add(1)
			return answer.ID, nil
		case err == nil && answer.Status != http.StatusServiceUnavailable && answer.Status != http.StatusTooManyRequests:
			return "", fmt.Errorf("the door answers %s with %d %s", m.step.Source, answer.Status, answer.Code)
		case err != nil && !dialing(err):
			d.broken.Add(1)
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return "", fmt.Errorf("not taken within %s: %d %s: %w", ackLimit, answer.Status, answer.Code, errors.Join(err, ctx.Err()))
		}
	}
}

// dialing says whether a request failed before it was sent.
func dialing(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// A pace stretches the messages left over the faults left, so that traffic flows
// until the last of them.
type pace struct {
	mu     sync.Mutex
	next   time.Time
	faults int
	each   time.Duration // what a fault has taken on average
	done   int
}

func newPace(faults int, guess time.Duration) *pace { return &pace{faults: faults, each: guess} }

// struck tells that a fault is over, and how long it took.
func (p *pace) struck(took time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	p.faults--
	p.each += (took - p.each) / time.Duration(p.done+1)
}

func (p *pace) wait(ctx context.Context, left int) error {
	if p == nil {
		return ctx.Err()
	}
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	at := p.next
	if p.faults > 0 {
		gap := time.Duration(p.faults) * p.each / time.Duration(max(left, 1))
		p.next = p.next.Add(min(gap, 2*time.Second))
	}
	p.mu.Unlock()
	if !sleep(ctx, at.Sub(now)) {
		return ctx.Err()
	}
	return nil
}

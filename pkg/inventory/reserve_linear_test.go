package inventory_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	. "github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/simulate/reserve"
)

// heard is what a client has of its event: when the log had it, and the answer.
type heard struct {
	at     Instant
	answer reserve.Answer
}

// linear is the naive model as porcupine takes it: an operation is an event, its output
// what the client heard. Histories of items are checked apart.
func linear(p reserve.Policy) porcupine.Model {
	return porcupine.Model{
		Partition: func(ops []porcupine.Operation) [][]porcupine.Operation {
			by := map[Key][]porcupine.Operation{}
			for _, op := range ops {
				k := op.Input.(*Event).Key
				by[k] = append(by[k], op)
			}
			var all [][]porcupine.Operation
			for _, h := range by {
				all = append(all, h)
			}
			return all
		},
		Init: func() any { return reserve.New(p) },
		Step: func(state, input, output any) (bool, any) {
			m, out := state.(*reserve.Model).Clone(), output.(heard)
			ev := *input.(*Event)
			ev.RecordedAt = out.at
			return m.Step(&ev) == out.answer, m
		},
		Equal: func(a, b any) bool { return a.(*reserve.Model).Equal(b.(*reserve.Model)) },
		DescribeOperation: func(input, output any) string {
			return fmt.Sprintf("%s %+v", tellRequest(input.(*Event)), output)
		},
	}
}

// writer is the one goroutine of a key: it gives events their time and place in the
// log and applies them, forgetting the ledger now and then as a worker does that loses
// its partition.
func writer(t *testing.T, k Key, p Policy, in <-chan call) {
	mem := newMemory(k)
	l := NewLedger(k, mem)
	now := Instant(1000 * 60_000)
	n := int64(0)
	for c := range in {
		now += Instant(n % 3 * 2000)
		ev := *c.ev
		ev.RecordedAt, ev.OccurredAt = now, now
		out, err := l.Apply(&p, &ev, At{Lineage: 1, Offset: n})
		if err != nil {
			t.Errorf("%s: %v", tellRequest(&ev), err)
		}
		if n++; n%97 == 0 {
			mem.store(t, l)
			l = NewLedger(k, mem)
		}
		c.back <- heard{at: now, answer: reserve.Of(out.Answer)}
	}
}

type call struct {
	ev   *Event
	back chan heard
}

// clientEvent draws an event of a busy item: few reservations, little stock.
func clientEvent(r *rand.Rand, k Key, id string) *Event {
	n := r.IntN
	op := reserveOp{
		kind: []int{opTry, opTry, opTry, opTry, opTry, opConfirm, opConfirm, opCancel, opReceipt, opOrderFor, opShip}[n(11)],
		id:   n(60), partner: n(2), partial: n(3) == 0, located: 1 + n(3), quantity: 1 + n(4), ttl: 1 + n(3),
	}
	if op.kind == opOrderFor {
		op.partner = n(60)
	}
	for name := range 1 + n(2) {
		op.lines = append(op.lines, reserveLine{name: name, quantity: 1 + n(4), located: n(4)})
	}
	if op.kind != opTry {
		op.lines = nil
	}
	ev := op.event(0, 1000*60_000)
	ev.Key, ev.ID, ev.Document.Number = k, testID(id), id
	if rsv := ev.Reservation; rsv != nil && rsv.Action == Try {
		// the key's own clock runs to about this
		rsv.ExpiresAt = 1000*60_000 + Instant(r.IntN(5_000_000))
	} else if rsv != nil {
		rsv.ExpiresAt = 0
	}
	return &ev
}

func clients(t *testing.T, p reserve.Policy, items, channels, each int) []porcupine.Operation {
	t.Helper()
	policy := p.Ledger()
	ins := map[Key]chan call{}
	var keys []Key
	var writers, asking sync.WaitGroup
	for i := range items {
		k := Key{Entity: "acme", Item: Item("item" + strconv.Itoa(i))}
		keys = append(keys, k)
		in := make(chan call)
		ins[k] = in
		writers.Go(func() { writer(t, k, policy, in) })
	}
	var clock atomic.Int64
	histories := make([][]porcupine.Operation, channels)
	for c := range channels {
		asking.Go(func() {
			r := rand.New(rand.NewPCG(uint64(c), 7))
			back := make(chan heard)
			for i := range each {
				k := keys[r.IntN(len(keys))]
				ev := clientEvent(r, k, fmt.Sprintf("%d-%d", c, i))
				begin := clock.Add(1)
				ins[k] <- call{ev, back}
				out := <-back
				histories[c] = append(histories[c], porcupine.Operation{ClientId: c, Input: ev, Call: begin, Output: out, Return: clock.Add(1)})
			}
		})
	}
	asking.Wait()
	for _, in := range ins {
		close(in)
	}
	writers.Wait()
	var all []porcupine.Operation
	for _, h := range histories {
		all = append(all, h...)
	}
	return all
}

// Whatever order several channels' requests reach the one writer of an item in, there
// is one order of them in which every answer is right (Invariant 4). REQUESTS says how
// many there are, over as many items as it takes.
func TestReservationsAreLinearizable(t *testing.T) {
	p := reserve.Policy{Ranks: []Location{"DC1", "DC2", "DC3"}, Split: true, PartnerCap: 30 * One, Tombstone: 60_000}
	requests := 4000
	if n, err := strconv.Atoi(os.Getenv("REQUESTS")); err == nil {
		requests = n
	}
	const channels, ofAnItem = 5, 4000 // a history of more takes long to check
	ops := clients(t, p, max(1, requests/ofAnItem), channels, requests/channels)
	granted := 0
	for _, op := range ops {
		if op.Output.(heard).answer.Verdict == Granted {
			granted++
		}
	}
	if granted < len(ops)/20 || granted > len(ops)/2 {
		t.Errorf("%d of %d requests granted: the history says little", granted, len(ops))
	}
	if got := porcupine.CheckOperationsTimeout(linear(p), ops, 5*time.Minute); got != porcupine.Ok {
		t.Fatalf("%d operations: %s", len(ops), got)
	}
	// One answer that could not have been given is found: more than was asked for, and
	// early, since every order of what came before is tried.
	first := -1
	for i, op := range ops {
		if op.Output.(heard).answer.Verdict == VerdictDenied && op.Input.(*Event).Reservation.Action == Try && (first < 0 || op.Call < ops[first].Call) {
			first = i
		}
	}
	out := ops[first].Output.(heard)
	out.answer = reserve.Answer{Verdict: Granted, Granted: 1000 * One}
	ops[first].Output = out
	if got := porcupine.CheckOperationsTimeout(linear(p), ops, time.Minute); got != porcupine.Illegal {
		t.Fatalf("with one answer made up: %s", got)
	}
}

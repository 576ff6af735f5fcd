package atp

import (
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

func request(number string, r inventory.Reservation) *inventory.Event {
	d := inventory.Document{Type: "request", Number: number}
	return &inventory.Event{
		ID: event.EventID("api", d), Kind: inventory.KindReservation, Key: key, Source: "api", Document: d,
		OccurredAt: 1_790_000_000_000, OccurredBasis: "receipt", ReceivedAt: 1_790_000_000_000, Reservation: &r,
	}
}

func tryFor(number, id string, q inventory.Quantity, replyTo int32) *inventory.Event {
	return request(number, inventory.Reservation{
		ID: id, Action: inventory.Try, Partner: "web", ReplyTo: replyTo,
		ExpiresAt: inventory.Instant(time.Now().Add(2 * time.Hour).Truncate(time.Hour).UnixMilli()),
		Lines:     []inventory.ReservationLine{{Line: "1", Location: "DC1", Quantity: q}},
	})
}

func (r *rig) answers(n int) []event.Answered {
	r.t.Helper()
	var as []event.Answered
	for _, rec := range r.read(event.TopicAnswers, n) {
		var a event.Answered
		if err := r.codecs.DecodeAnswer(rec.Value, &a); err != nil {
			r.t.Fatal(err)
		}
		if rec.Partition != a.Answer.ReplyTo || string(rec.Key) != a.Answer.Reservation {
			r.t.Errorf("answer %+v under key %s in partition %d", a, rec.Key, rec.Partition)
		}
		as = append(as, a)
	}
	slices.SortFunc(as, func(a, b event.Answered) int { return int(a.Offset - b.Offset) })
	return as
}

// Each answer goes to the partition of the replica that asked, committed with the
// outcome; a repeated request is answered again after a restart; and who can have no
// answer does not stop the ledger.
func TestAnswersGoToWhoAsked(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	granted, denied := tryFor("t1", "R1", 7*inventory.One, 2), tryFor("t2", "R2", 4*inventory.One, 5)
	r.send(receipt("N1", 10*inventory.One), granted, denied, tryFor("t3", "R3", inventory.One, -1), tryFor("t4", "R4", inventory.One, 6))
	r.outcomes(5)
	stop()
	defer r.start()()
	faulty := request("t5", inventory.Reservation{ID: "R5", Action: "grab", ReplyTo: 1})
	r.send(granted, denied, request("c1", inventory.Reservation{ID: "R1", Action: inventory.Confirm, ReplyTo: 0}), faulty)
	outcomes := r.outcomes(9)
	as := r.answers(6)

	type line struct {
		outcome   inventory.OutcomeKind
		verdict   inventory.Verdict
		code      inventory.Code
		lines     int
		partition int32
	}
	want := []line{
		{inventory.Applied, inventory.Granted, "", 1, 2},
		{inventory.Denied, inventory.Contended, inventory.CodeContended, 0, 5},
		{inventory.Duplicate, inventory.Granted, "", 1, 2},
		{inventory.Duplicate, inventory.Contended, inventory.CodeContended, 0, 5},
		{inventory.Applied, inventory.Confirmed, "", 1, 0},
		{inventory.Rejected, inventory.NoVerdict, inventory.FaultAction, 0, 1},
	}
	for i, a := range as {
		if got := (line{a.Outcome, a.Answer.Verdict, a.Answer.Code, len(a.Answer.Lines), a.Answer.ReplyTo}); got != want[i] {
			t.Errorf("answer %d: %+v, want %+v", i, got, want[i])
		}
	}
	if as[0].Answer.Lines[0] != (inventory.AnswerLine{Line: "1", Location: "DC1", Quantity: 7 * inventory.One}) || as[1].Answer.Available != 3*inventory.One {
		t.Errorf("answers %+v, %+v", as[0].Answer, as[1].Answer)
	}
	for _, o := range outcomes[3:5] {
		if o.Kind != inventory.Applied || o.Answer == nil {
			t.Errorf("a request without an answer became %s", o.Kind)
		}
	}
}

// An answer to a partition that is not there is counted and not sent: sending it would
// fail the transaction for ever.
func TestUnroutableAnswersAreCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	a, err := newAnswers(reg)
	if err != nil {
		t.Fatal(err)
	}
	a.partitions.Store(6)
	for partition, want := range map[int32]bool{-1: false, 0: true, 5: true, 6: false, 1 << 30: false} {
		if got := a.routes(partition); got != want {
			t.Errorf("partition %d: %v", partition, got)
		}
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if n := families[0].GetMetric()[0].GetCounter().GetValue(); n != 2 {
		t.Errorf("%v counted", n)
	}
}

package atp

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

func reversal(number, of string, q inventory.Quantity) *inventory.Event {
	e := receipt(number, q)
	e.Document.Type = "reversal"
	e.ID = event.EventID("wms", e.Document)
	e.Movement.Type, e.Movement.FromState, e.Movement.ToState = inventory.Reversal, inventory.OnHand, inventory.Supplier
	e.Movement.Reverses = receipt(of, q).ID
	return e
}

// decide publishes a ledger policy and the control records that name it.
func (r *rig) decide(p inventory.Policy) {
	r.t.Helper()
	content, hash, err := policy.EncodeLedger(p)
	if err != nil {
		r.t.Fatal(err)
	}
	value, err := r.codecs.AppendPolicy(nil, &event.PolicyContent{Name: policy.LedgerName, Version: p.Version, Hash: hash, Content: content, At: 1})
	if err != nil {
		r.t.Fatal(err)
	}
	key := fmt.Sprintf("ledger@%d", p.Version)
	if err := r.prod.Produce(r.t.Context(), &stream.Record{Topic: event.TopicPolicies, Key: []byte(key), Value: value}); err != nil {
		r.t.Fatal(err)
	}
	byNumber, err := stream.NewProducer(r.cfg, stream.WithOwnPartition())
	if err != nil {
		r.t.Fatal(err)
	}
	defer byNumber.Close()
	for id := range int32(6) {
		e := inventory.Event{
			ID: event.PlaceID("control", id, p.Version), Kind: inventory.KindControl, Source: "op", Document: inventory.Document{Type: "policy"},
			OccurredAt: 1, OccurredBasis: "receipt", Control: &inventory.Control{PolicyVersion: p.Version, PolicyHash: hash},
		}
		value, err := r.codecs.AppendEvent(nil, &e)
		if err != nil {
			r.t.Fatal(err)
		}
		rec := &stream.Record{Topic: event.TopicEvents, Partition: id, Key: []byte(event.ControlKey), Value: value}
		if err := byNumber.Produce(r.t.Context(), rec); err != nil {
			r.t.Fatal(err)
		}
	}
}

// An event that waited has an outcome of its own when it is let through, under its
// own id and offset, in the transaction of the event that let it through.
func TestWhatWaitedHasItsOwnOutcome(t *testing.T) {
	r := newRig(t)
	stop := r.start()
	first := reversal("V1", "R1", 4*inventory.One)
	r.send(receipt("R0", 10*inventory.One), first)
	r.outcomes(2)
	r.position(2)
	stop() // what waits outlives the worker
	defer r.start()()
	r.send(receipt("R1", 4*inventory.One), first)
	out := r.outcomes(5)
	if o := out[1]; o.Kind != inventory.Parked || o.Codes[0] != inventory.CodeUnknownReversal || o.Version != 2 {
		t.Fatalf("at first %+v", o)
	}
	if o := out[2]; o.Kind != inventory.Applied || o.EventID != receipt("R1", 1).ID || o.Version != 3 {
		t.Fatalf("what it waited for %+v", o)
	}
	o := out[3]
	if o.Kind != inventory.Applied || o.EventID != first.ID || o.Offset != out[1].Offset || o.RecordedAt != out[1].RecordedAt || o.Version != 4 || len(o.Moves) != 1 {
		t.Fatalf("in the end %+v", o)
	}
	if out[4].Kind != inventory.Duplicate {
		t.Fatalf("once more %+v", out[4])
	}
	if p := r.position(4); p.ParkedOut != 0 || p.States[inventory.OnHand] != 10*inventory.One {
		t.Errorf("position %+v", p)
	}
	if p := r.position(2); p.ParkedOut != 4*inventory.One || p.States[inventory.OnHand] != 10*inventory.One {
		t.Errorf("position while it waited %+v", p)
	}
}

// position waits for the position of a version.
func (r *rig) position(version int64) inventory.Position {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer cancel()
	var found inventory.Position
	table, err := stream.NewTable(stream.TableConfig{Config: r.cfg, Topic: event.TopicPositions, ReadCommitted: true, Apply: func(rec *stream.Record) error {
		var p inventory.Position
		if err := r.codecs.DecodePosition(rec.Value, &p); err != nil {
			return err
		}
		if p.Version == version {
			found = p
			cancel()
		}
		return nil
	}})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := table.Run(ctx); err != nil && ctx.Err() == nil {
		r.t.Fatal(err)
	}
	if found.Version != version {
		r.t.Fatalf("no position of version %d", version)
	}
	return found
}

// A frozen key takes its events from their copies, in the order of the log and with
// the time they had, and goes on when none is left.
func TestFrozenKeyIsReleasedByCopies(t *testing.T) {
	r := newRig(t)
	defer r.start()()
	r.decide(inventory.Policy{Version: 7, Limits: inventory.LimitPolicy{Parked: 1}})
	r.send(receipt("R0", 10*inventory.One), reversal("V1", "R1", inventory.One), reversal("V2", "R2", inventory.One), receipt("R3", inventory.One))
	out := r.outcomes(4)
	for _, o := range out[2:] {
		if o.Kind != inventory.Parked || o.Codes[len(o.Codes)-1] != inventory.CodeParkedFull && o.Codes[0] != inventory.CodeFrozen {
			t.Fatalf("frozen: %+v", o)
		}
	}
	word := func(n string, kind inventory.ReleaseKind, of string) *inventory.Event {
		e := receipt(n, 1)
		e.Document.Type, e.Source, e.Kind, e.Movement = "approval", "console", inventory.KindApproval, nil
		e.ID = event.EventID("console", e.Document)
		e.Approval = &inventory.Approval{Event: of, Release: kind, Author: "ann", Reason: "cleared"}
		return e
	}
	// The operator clears the queue, appends what is missing, and ends the freeze.
	r.send(word("A1", inventory.ReleaseDrop, reversal("V1", "R1", 1).ID))
	for i, o := range out[2:] {
		e := []*inventory.Event{reversal("V2", "R2", inventory.One), receipt("R3", inventory.One)}[i]
		value, err := r.codecs.AppendEvent(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		rec := &stream.Record{
			Topic: event.TopicEvents, Key: []byte(key.String()), Value: value,
			Headers: event.AppendCopyOf[stream.RecordHeader](nil, o.Offset, o.RecordedAt),
		}
		if err := r.prod.Produce(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	r.send(word("A2", inventory.ReleaseUnfreeze, ""), receipt("R4", inventory.One))
	out = r.outcomes(10)[4:]
	want := []inventory.OutcomeKind{
		inventory.Applied, inventory.Rejected, // the word, and what it drops
		inventory.Parked, inventory.Applied, // the copies
		inventory.Applied, inventory.Applied, // the end, and what comes after
	}
	for i := range want {
		if out[i].Kind != want[i] {
			t.Fatalf("outcome %d is %s %v, want %s", i, out[i].Kind, out[i].Codes, want[i])
		}
	}
	if p := r.position(out[5].Version); p.Frozen || p.States[inventory.OnHand] != 12*inventory.One || p.ParkedOut != inventory.One {
		t.Errorf("position %+v", p)
	}
}

package erpwriter

import (
	"reflect"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// mainERP holds everything but quarantine, and does not tell picked from on hand.
func mainERP() policy.ERP {
	return policy.ERP{
		Name: "main", Type: policy.ERPSimulated,
		Posts: []policy.PostRule{
			{Location: "STORE", Types: []inventory.MovementType{inventory.Ship}, Poster: policy.PostedByOther},
			{Entity: "acme"},
		},
		Places: []policy.PlaceRule{
			{Account: inventory.OnHand, Code: "{location}"},
			{Account: inventory.Picked, Code: "{location}"},
			{Account: inventory.Damaged, Code: "{location}-D"},
			{Account: inventory.Returned, Code: "{location}-R"},
			{Account: inventory.InTransit, Code: "ROAD"},
			{Account: inventory.Supplier, Code: "SUP"},
			{Account: inventory.Customer, Code: "CUS"},
			{Account: inventory.Adjustment, Code: "ADJ"},
		},
		Throttle: policy.Throttle{Concurrent: 4},
	}
}

func stateAt(l inventory.Location, a inventory.Account) inventory.Place {
	return inventory.Place{Location: l, Account: a}
}

func outside(a inventory.Account) inventory.Place { return inventory.Place{Account: a} }

// at is 2026-11-20T23:30Z: the 20th in New York, the 21st in Tokyo.
const at = inventory.Instant(1_795_217_400_000)

func outcome(kind inventory.OutcomeKind, moves ...inventory.Move) *inventory.Outcome {
	return &inventory.Outcome{
		Kind: kind, EventID: "00112233445566778899aabbccddeeff", EventKind: inventory.KindMovement,
		Key: inventory.Key{Entity: "acme", Item: "SKU-1"}, Source: "wms",
		Document: inventory.Document{Type: "945", Number: "77"}, Moves: moves,
		OccurredAt: at, RecordedAt: at + 5000, Version: 3, PolicyVersion: 2,
	}
}

func zonesForTest(_ inventory.Entity, l inventory.Location, other *time.Location) *time.Location {
	switch l {
	case "DC1":
		return time.FixedZone("Tokyo", 9*3600)
	case "STORE":
		return time.FixedZone("New York", -5*3600)
	}
	if other != nil {
		return other
	}
	return time.UTC
}

func TestPlan(t *testing.T) {
	q := 5 * inventory.One
	receipt := inventory.Move{Type: inventory.Receipt, From: outside(inventory.Supplier), To: stateAt("DC1", inventory.OnHand), Quantity: q}
	pick := inventory.Move{Type: inventory.Pick, From: stateAt("DC1", inventory.OnHand), To: stateAt("DC1", inventory.Picked), Quantity: q}
	ship := inventory.Move{Type: inventory.Ship, From: stateAt("DC1", inventory.Picked), To: outside(inventory.Customer), Quantity: q}
	hold := inventory.Move{Type: inventory.Hold, From: stateAt("DC1", inventory.OnHand), To: stateAt("DC1", inventory.Quarantine), Quantity: q}
	opening := inventory.Move{Type: inventory.OpeningBalance, From: outside(inventory.Opening), To: stateAt("DC1", inventory.OnHand), Quantity: q}
	storeShip := inventory.Move{Type: inventory.Ship, From: stateAt("STORE", inventory.OnHand), To: outside(inventory.Customer), Quantity: q}
	storeReceipt := inventory.Move{Type: inventory.Receipt, From: outside(inventory.Supplier), To: stateAt("STORE", inventory.OnHand), Quantity: q}
	found := inventory.Move{Type: inventory.CountDifference, From: outside(inventory.Adjustment), To: stateAt("DC1", inventory.OnHand), Quantity: q, Reason: "count"}

	other := outcome(inventory.Applied, receipt)
	other.Key.Entity = "globex"
	for _, c := range []struct {
		name string
		o    *inventory.Outcome
		want []string // type@document date
	}{
		{"a receipt", outcome(inventory.Applied, receipt), []string{"receipt@2026-11-21"}},
		{"a receipt elsewhere has that place's date", outcome(inventory.Applied, storeReceipt), []string{"receipt@2026-11-20"}},
		{"a view only", outcome(inventory.Noted, receipt), nil},
		{"a duplicate", outcome(inventory.Duplicate, receipt), nil},
		{"an opening balance", outcome(inventory.Applied, opening), nil},
		{"accounts the ERP does not tell apart", outcome(inventory.Applied, pick), nil},
		{"a pick with its shipment", outcome(inventory.Applied, pick, ship), []string{"ship@2026-11-21"}},
		{"an account without a code is not dropped", outcome(inventory.Applied, hold), []string{"hold@2026-11-21"}},
		{"what somebody else posts", outcome(inventory.Applied, storeShip), nil},
		{"another entity", other, nil},
		{"a count's difference", outcome(inventory.Applied, found), []string{"count_difference@2026-11-21"}},
		{"an event without moves", outcome(inventory.Applied), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := plan(c.o, []policy.ERP{mainERP()}, zonesForTest)
			var names []string
			for _, p := range got {
				names = append(names, string(p.Type)+"@"+p.DocumentDate)
				if p.PostingDate != p.DocumentDate || p.At != c.o.RecordedAt || p.ERP != "main" || p.PolicyVersion != 2 {
					t.Errorf("posting %+v", p)
				}
			}
			if !reflect.DeepEqual(names, c.want) {
				t.Fatalf("got %v, want %v", names, c.want)
			}
		})
	}
}

// The ids were computed by hand from the rule; they are in ERPs and never change.
func TestPostingID(t *testing.T) {
	for move, want := range []string{"aba57884df9f803f3a3712cf3db8df1a", "5c3037c8c32c39ecb7ee33ed4f503202"} {
		if got := postingID([]string{"00112233445566778899aabbccddeeff"}, move, "main"); got != want {
			t.Errorf("move %d: %s, want %s", move, got, want)
		}
	}
}

func TestPlanForSeveralERPs(t *testing.T) {
	second := mainERP()
	second.Name = "second"
	m := inventory.Move{Type: inventory.Receipt, From: outside(inventory.Supplier), To: stateAt("DC1", inventory.OnHand), Quantity: inventory.One}
	got := plan(outcome(inventory.Applied, m), []policy.ERP{mainERP(), second}, zonesForTest)
	if len(got) != 2 || got[0].ERP != "main" || got[1].ERP != "second" || got[0].ID == got[1].ID {
		t.Fatalf("got %+v", got)
	}
}

// A replayed outcome gives the same bytes on the topic, whatever the clock says.
func TestPlanReplaysEqual(t *testing.T) {
	p := &planner{codecs: event.TestCodecs(), erps: []policy.ERP{mainERP()}, zone: zonesForTest, metrics: testMetrics(t)}
	m := inventory.Move{Type: inventory.Receipt, From: outside(inventory.Supplier), To: stateAt("DC1", inventory.OnHand), Quantity: inventory.One}
	rec := outcomeRecord(t, outcome(inventory.Applied, m, m))
	first, err := p.batch(t.Context(), records(rec))
	if err != nil || len(first) != 2 {
		t.Fatalf("%d records, %v", len(first), err)
	}
	time.Sleep(2 * time.Millisecond) // a clock in the plan would show
	second, err := p.batch(t.Context(), records(rec))
	if err != nil || !reflect.DeepEqual(first, second) {
		t.Fatalf("a replay differs: %v", err)
	}
	if string(first[0].Key) != "acme|77" || string(first[1].Key) != "acme|77" {
		t.Errorf("keys %q, %q", first[0].Key, first[1].Key)
	}
}

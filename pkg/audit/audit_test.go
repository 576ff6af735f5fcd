package audit_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/stockweave/stockweave/pkg/audit"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

const one = inventory.One

var (
	bolt = inventory.Key{Entity: "acme", Item: "BOLT"}
	nut  = inventory.Key{Entity: "acme", Item: "NUT|5%"} // escaped on topics
)

func movement(k inventory.Key, number string, m inventory.Movement) *inventory.Event {
	d := inventory.Document{Type: "test", Number: number, Line: string(k.Item)}
	return &inventory.Event{
		ID: event.EventID("wms", d), Kind: inventory.KindMovement, Key: k, Source: "wms", Document: d,
		OccurredAt: start, OccurredBasis: "document", ReceivedAt: start, Movement: &m,
	}
}

func control(version int64) *inventory.Event {
	return &inventory.Event{
		ID: fmt.Sprintf("%032d", version), Kind: inventory.KindControl, Source: "policies", Document: inventory.Document{Type: "policy", Number: "1"},
		ReceivedAt: start, Control: &inventory.Control{PolicyVersion: version},
	}
}

// history has every sort of thing: movements, a count, an order and its pick, a
// purchase order, a duplicate, a conflict, a rejected event, a setting, a policy.
func history() *world {
	w := newWorld()
	order := []inventory.Ref{{Issuer: "shop", Type: "order", Number: "1001"}}
	purchase := []inventory.Ref{{Issuer: "erp", Type: "purchase_order", Number: "77"}}
	first := movement(bolt, "R1", inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: 10 * one})
	other := movement(bolt, "R1", inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: 11 * one})
	demand := movement(bolt, "1001", inventory.Movement{})
	demand.Kind, demand.Movement, demand.Refs = inventory.KindDemand, nil, order
	demand.Demand = &inventory.Demand{Stage: inventory.Ordered, Location: "DC1", Quantity: 4 * one, Channel: "web"}
	pick := movement(bolt, "P1", inventory.Movement{Type: inventory.Pick, Location: "DC1", Quantity: one})
	pick.Refs = order
	supply := movement(nut, "77", inventory.Movement{})
	supply.Kind, supply.Movement, supply.Refs = inventory.KindSupply, nil, purchase
	supply.Supply = &inventory.Supply{Stage: inventory.Ordered, Location: "DC2", Quantity: 9 * one, Due: 20_800}
	count := movement(nut, "C1", inventory.Movement{})
	count.Kind, count.Movement = inventory.KindCount, nil
	count.Count = &inventory.Count{
		Location: "DC1", Basis: inventory.Sellable, Covers: []inventory.Account{inventory.OnHand},
		Balances: []inventory.StateBalance{{State: inventory.OnHand, Quantity: 7 * one}}, AsOf: start, AsOfBasis: "document",
	}
	setting := movement(bolt, "S1", inventory.Movement{})
	setting.Kind, setting.Movement = inventory.KindSetting, nil
	setting.Setting = &inventory.Setting{SafetyStock: 2 * one}
	damage := movement(nut, "D1", inventory.Movement{Type: inventory.Damage, Location: "DC1", Quantity: 8 * one})
	damage.OccurredAt += 1000 // after the count
	w.send(
		control(1), first, demand, movement(nut, "R2", inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: 5 * one}),
		pick, first, other, supply, count, setting,
		movement(bolt, "T1", inventory.Movement{Type: inventory.TransferOut, Location: "DC1", ToLocation: "DC2", Quantity: one}),
		movement(bolt, "X1", inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: -one}), // rejected
		damage, // below zero
	)
	w.flush()
	w.project()
	return w
}

func run(t testing.TB, w *world) *audit.Report {
	t.Helper()
	r := w.write(t)
	return r.audit(t)
}

func (r *rig) audit(t testing.TB) *audit.Report {
	t.Helper()
	report, err := audit.Run(t.Context(), audit.Config{Kafka: r.cfg, Codecs: r.w.codecs, Group: "atp", Cache: r})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestHealthyLogIsClean(t *testing.T) {
	w := history()
	report := run(t, w)
	if f := report.First(); f != nil || report.Incomplete != nil {
		t.Fatalf("first %+v, incomplete %q", f, report.Incomplete)
	}
	if report.Events != len(w.events)-1 || report.Controls != 1 || report.Items != 2 || report.Outcomes["rejected"] != 1 ||
		report.Outcomes["duplicate"] != 1 || report.Outcomes["conflict"] != 1 || report.CacheFields != 4 {
		t.Errorf("report %+v", report)
	}
}

// eventAt is the place in the log of the event that a document number made.
func (w *world) eventAt(t *testing.T, number string) int64 {
	t.Helper()
	return w.outcomes[w.outcomeOf(t, number)].Offset
}

func (w *world) outcomeOf(t *testing.T, number string) int {
	t.Helper()
	for i, o := range w.outcomes {
		if o.Document.Number == number {
			return i
		}
	}
	t.Fatalf("no outcome of %s", number)
	return -1
}

func (w *world) lastPosition(t *testing.T, k inventory.Key, l inventory.Location) *inventory.Position {
	t.Helper()
	for _, p := range slices.Backward(w.positions) {
		if p.Key == k && p.Location == l {
			return p
		}
	}
	t.Fatalf("no position of %s at %s", k, l)
	return nil
}

// Each damage is found and named by the event it concerns.
func TestDamageIsNamed(t *testing.T) {
	head := func(w *world, k inventory.Key) *inventory.Head {
		return w.state[inventory.StateKey(k, inventory.PieceHead)].Head
	}
	for _, tc := range []struct {
		name      string
		check     string
		invariant int
		event     string // document number
		damage    func(t *testing.T, w *world)
	}{
		{"missing outcome", audit.MissingOutcome, 2, "P1", func(t *testing.T, w *world) {
			i := w.outcomeOf(t, "P1")
			w.outcomes = append(w.outcomes[:i], w.outcomes[i+1:]...)
		}},
		{"last outcome missing", audit.MissingOutcome, 2, "D1", func(_ *testing.T, w *world) { w.outcomes = w.outcomes[:len(w.outcomes)-1] }},
		{"doubled outcome", audit.DoubledOutcome, 2, "R2", func(t *testing.T, w *world) {
			w.outcomes = append(w.outcomes, w.outcomes[w.outcomeOf(t, "R2")])
		}},
		{"doubled outcome next to the first", audit.DoubledOutcome, 2, "R2", func(t *testing.T, w *world) {
			i := w.outcomeOf(t, "R2")
			w.outcomes = append(w.outcomes[:i+1], w.outcomes[i:]...)
		}},
		{"outcome of another event", audit.ForeignOutcome, 2, "R2", func(t *testing.T, w *world) {
			w.outcomes[w.outcomeOf(t, "R2")].EventID = "00000000000000000000000000000000"
		}},
		{"outcome and dead letter", audit.DoubledOutcome, 2, "R2", func(t *testing.T, w *world) {
			w.letters = append(w.letters, event.DeadLetter{Service: "atp", Topic: event.TopicEvents, Offset: w.eventAt(t, "R2")})
		}},
		{"move of another quantity", audit.UnstatedMove, 3, "T1", func(t *testing.T, w *world) {
			w.outcomes[w.outcomeOf(t, "T1")].Moves[0].Quantity++
		}},
		{"move to nowhere", audit.BadMove, 3, "C1", func(t *testing.T, w *world) {
			m := &w.outcomes[w.outcomeOf(t, "C1")].Moves[0]
			m.To = m.From
		}},
		{"version falls in outcomes", audit.VersionStep, 5, "P1", func(t *testing.T, w *world) {
			w.outcomes[w.outcomeOf(t, "P1")].Version--
		}},
		{"version jumps in outcomes", audit.VersionStep, 5, "S1", func(t *testing.T, w *world) {
			w.outcomes[w.outcomeOf(t, "S1")].Version += 2
		}},
		{"another policy", audit.PolicyVersion, 8, "S1", func(t *testing.T, w *world) {
			w.outcomes[w.outcomeOf(t, "S1")].PolicyVersion = 7
		}},
		{"shortage unnamed", audit.Unnamed, 4, "D1", func(t *testing.T, w *world) {
			w.outcomes[w.outcomeOf(t, "D1")].Codes = nil
		}},
		{"state quantity", audit.StateDiffers, 3, "T1", func(_ *testing.T, w *world) { head(w, bolt).Locations[0].States[inventory.OnHand]++ }},
		{"state outside", audit.StateDiffers, 3, "T1", func(_ *testing.T, w *world) {
			w.state[inventory.StateKey(bolt, inventory.PieceHead)].Head.Outside[0]++
		}},
		{"state version", audit.StateDiffers, 5, "T1", func(_ *testing.T, w *world) { head(w, bolt).Version-- }},
		{"state fence", audit.FenceDiffers, 8, "T1", func(_ *testing.T, w *world) { head(w, bolt).Fence.Offset-- }},
		{"state clock", audit.StateDiffers, 8, "T1", func(_ *testing.T, w *world) { head(w, bolt).Clock-- }},
		{"state gone", audit.StateMissing, 3, "T1", func(_ *testing.T, w *world) {
			w.state[inventory.StateKey(bolt, inventory.PieceHead)].Deleted = true
		}},
		{"claim of a line", audit.Claims, 4, "T1", func(_ *testing.T, w *world) {
			for key, p := range w.state {
				if strings.HasPrefix(key, bolt.String()) && p.Line != nil {
					p.Line.Claims[0].Quantity++
				}
			}
		}},
		{"supply of a line", audit.Supply, 4, "D1", func(_ *testing.T, w *world) {
			for key, p := range w.state {
				if strings.HasPrefix(key, nut.String()) && p.Supply != nil {
					p.Supply.Open[0].Quantity++
				}
			}
		}},
		{"position quantity", audit.PositionDiffers, 3, "T1", func(t *testing.T, w *world) { w.lastPosition(t, bolt, "DC1").States[inventory.Picked]++ }},
		{"position reserved", audit.PositionDiffers, 3, "T1", func(t *testing.T, w *world) { w.lastPosition(t, bolt, "DC1").Reserved = nil }},
		{"position safety stock", audit.PositionDiffers, 3, "T1", func(t *testing.T, w *world) { w.lastPosition(t, bolt, "DC1").SafetyStock++ }},
		{"position version falls", audit.PositionVersion, 5, "T1", func(t *testing.T, w *world) { w.lastPosition(t, bolt, "DC1").Version = 1 }},
		{"position of an earlier event", audit.PositionDiffers, 3, "T1", func(t *testing.T, w *world) { w.lastPosition(t, bolt, "DC1").Offset = 1 }},
		{"position missing", audit.PositionMissing, 3, "D1", func(_ *testing.T, w *world) {
			kept := w.positions[:0]
			for _, p := range w.positions {
				if p.Key != nut || p.Location != "DC2" {
					kept = append(kept, p)
				}
			}
			w.positions = kept
		}},
		{"cache quantity", audit.CacheDiffers, 3, "T1", func(t *testing.T, w *world) {
			p := *w.lastPosition(t, bolt, "DC1")
			p.States[inventory.OnHand]++
			w.cache[bolt.String()]["DC1"] = fmt.Sprintf("%020d", p.Version) + string(must(w.codecs.AppendPosition(nil, &p)))
		}},
		{"cache version falls", audit.CacheVersion, 5, "T1", func(t *testing.T, w *world) {
			p := *w.lastPosition(t, bolt, "DC1")
			p.Version--
			w.cache[bolt.String()]["DC1"] = fmt.Sprintf("%020d", p.Version) + string(must(w.codecs.AppendPosition(nil, &p)))
		}},
		{"cache field lost", audit.CacheDiffers, 3, "T1", func(_ *testing.T, w *world) { delete(w.cache[bolt.String()], "DC2") }},
		{"cache field no number", audit.CacheDiffers, 3, "T1", func(_ *testing.T, w *world) { w.cache[bolt.String()]["DC1"] = strings.Repeat("x", 60) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := history()
			offset := w.eventAt(t, tc.event)
			id := w.outcomes[w.outcomeOf(t, tc.event)].EventID
			tc.damage(t, w)
			report := run(t, w)
			f := report.First()
			if f == nil {
				t.Fatal("nothing was found")
			}
			if f.Check != tc.check || f.Invariant != tc.invariant || f.Offset != offset || f.Topic != event.TopicEvents || report.Bad != 1 {
				t.Errorf("found %+v of %d, want %s at offset %d", f, report.Bad, tc.check, offset)
			}
			if f.EventID != id && tc.check != audit.ForeignOutcome {
				t.Errorf("event %s, want %s", f.EventID, id)
			}
			if f.Expected == "" || f.Found == "" || f.Seen == "" || f.Key == "" {
				t.Errorf("says too little: %+v", f)
			}
		})
	}
}

// A dead letter is an outcome; a group beyond the state is not right.
func TestDeadLettersAndHeader(t *testing.T) {
	w := history()
	bad := movement(bolt, "B1", inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: one})
	w.send(bad)
	w.events[w.through].Value = []byte("not a value")
	w.outcomes = w.outcomes[:len(w.outcomes)-1]
	w.letters = append(w.letters, event.DeadLetter{Service: "atp", Code: "undecodable", Topic: event.TopicEvents, Offset: w.through})
	if report := run(t, w); report.First() != nil || report.DeadLetters != 1 {
		t.Errorf("first %+v, %d dead letters", report.First(), report.DeadLetters)
	}
	r := w.write(t)
	offsets := kadm.Offsets{}
	offsets.AddOffset(event.TopicDeadATP, 0, 1, -1)
	if _, err := kadm.NewClient(r.client).DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	if report := r.audit(t); report.First() != nil || len(report.Incomplete) != 1 || !strings.Contains(report.Incomplete[0], "1 events have no outcome, the first at offset 13") {
		t.Errorf("dead letters gone: first %+v, incomplete %q", report.First(), report.Incomplete)
	}
	w.letters = nil
	if f := run(t, w).First(); f == nil || f.Check != audit.MissingOutcome || f.Offset != w.through {
		t.Errorf("found %+v", f)
	}
	w = history()
	w.policy.Version = 9
	if f := run(t, w).First(); f == nil || f.Check != audit.PolicyVersion || f.Offset != w.through {
		t.Errorf("found %+v", f)
	}
	w = history()
	w.through--
	if f := run(t, w).First(); f == nil || f.Check != audit.HeaderBehind {
		t.Errorf("found %+v", f)
	}
}

// What retention took is said, and nothing of it is called wrong.
func TestHeadDeletedByRetention(t *testing.T) {
	for _, topic := range []string{event.TopicOutcomes, event.TopicEvents} {
		for _, damaged := range []bool{false, true} {
			t.Run(fmt.Sprint(topic, " ", damaged), func(t *testing.T) {
				w := history()
				if damaged {
					w.lastPosition(t, bolt, "DC1").States[inventory.OnHand]++
				}
				r := w.write(t)
				offsets := kadm.Offsets{}
				offsets.AddOffset(topic, 0, 4, -1)
				if _, err := kadm.NewClient(r.client).DeleteRecords(t.Context(), offsets); err != nil {
					t.Fatal(err)
				}
				report := r.audit(t)
				if len(report.Incomplete) != 1 || !strings.Contains(report.Incomplete[0], topic+" was deleted by retention: it begins at offset 4") {
					t.Errorf("incomplete %q", report.Incomplete)
				}
				if f := report.First(); (f != nil) != damaged {
					t.Errorf("found %+v", f)
				}
			})
		}
	}
}

// A cache that is being loaded is not wrong, and not checked either; one that is
// behind by its own word is compared as far as it has come.
func TestCacheThatLags(t *testing.T) {
	w := history()
	clear(w.cache)
	r := w.write(t)
	r.next = -1
	if report := r.audit(t); report.First() != nil || len(report.Incomplete) != 1 || !strings.Contains(report.Incomplete[0], "cache has not loaded") {
		t.Errorf("not loaded: first %+v, incomplete %q", report.First(), report.Incomplete)
	}
	last := w.positions[len(w.positions)-1]
	w.positions = w.positions[:len(w.positions)-1]
	w.project()
	w.positions = append(w.positions, last)
	r.next = int64(len(w.positions) - 1)
	if report := r.audit(t); report.First() != nil || report.Incomplete != nil || report.Moved != 1 || report.CacheFields != 3 {
		t.Errorf("behind: first %+v, %+v", report.First(), report)
	}
	r.next++
	if f := r.audit(t).First(); f == nil || f.Check != audit.CacheVersion {
		t.Errorf("fell back: found %+v", f)
	}
}

// What the other topics hold beyond the moment of the state is left out: live
// services are ahead of an audit.
func TestAheadOfTheStateIsNotWrong(t *testing.T) {
	w := history()
	state, log := maps.Clone(w.state), slices.Clone(w.stateLog)
	through, group := w.through, w.group
	w.send(
		movement(bolt, "N1", inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: one}),
		movement(bolt, "N2", inventory.Movement{Type: inventory.Receipt, Location: "DC3", Quantity: one}),
	)
	w.flush()
	w.project()
	w.state, w.stateLog, w.through, w.group = state, log, through, group
	report := run(t, w)
	if report.First() != nil || report.Incomplete != nil || report.Waiting != 2 || report.Moved == 0 {
		t.Errorf("first %+v, %+v", report.First(), report)
	}
	again := w.outcomes[w.outcomeOf(t, "R2")] // behind what is not looked at
	w.outcomes = append(w.outcomes, again)
	if f := run(t, w).First(); f == nil || f.Check != audit.DoubledOutcome || f.Offset != again.Offset {
		t.Errorf("found %+v", f)
	}
}

package explain_test

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/explain"
	"github.com/stockweave/stockweave/pkg/explain/explaintest"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

const one = explaintest.One

var (
	began = time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC)
	bolt  = inventory.Key{Entity: "acme", Item: "BOLT|5%"}
	other = inventory.Key{Entity: "acme", Item: "BOLT"}
	sites = []inventory.Location{"DC1", "DC2"}
)

// fact is what an oracle goes by: a movement or count, and when it was recorded.
type fact struct {
	at       time.Time // it happened, or counted
	recorded time.Time
	location inventory.Location
	count    bool
	quantity inventory.Quantity // counted, or signed
}

// history is a random life of an item beside another one: movements and counts that
// come late, out of order, or stated some minutes ahead, reversals that wait for what they
// reverse, and what is refused.
type history struct {
	*explaintest.World
	facts  []fact
	lagged [][]inventory.Position // after each event
	times  []time.Time            // at which each was recorded
	now    time.Time
	state  []*stream.Record // on the log; as it stands at last, where it is empty
}

func newHistory(t *testing.T, seed uint64, events int) *history {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 7))
	h := &history{World: explaintest.New(), now: began}
	h.Behind = time.Duration(seed%2) * 4 * time.Minute
	at := map[time.Time]bool{}
	for n := range events {
		h.now = h.now.Add(time.Duration(1+rng.IntN(20*60)) * time.Minute)
		number := fmt.Sprint(n)
		if rng.IntN(3) == 0 {
			h.send(t, explaintest.Move(other, "o"+number, h.now, inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: one}))
			continue
		}
		happened := h.now.Add(-time.Duration(rng.IntN(3*24*60)) * time.Minute).Add(-time.Second)
		if rng.IntN(5) == 0 {
			happened = h.now.Add(4 * time.Minute)
		}
		for at[happened] { // two counts of one time are another matter
			happened = happened.Add(-time.Second)
		}
		at[happened], at[happened.Add(-time.Second)] = true, true
		l := sites[rng.IntN(2)]
		q := inventory.Quantity(1+rng.IntN(9)) * one
		f := fact{at: happened, recorded: h.now, location: l, quantity: q}
		var ev *inventory.Event
		switch rng.IntN(8) {
		case 5:
			h.reversed(t, number, l, happened, q)
			continue
		case 6:
			if out := h.send(t, explaintest.Move(bolt, number, happened, inventory.Movement{Type: inventory.Receipt, Location: l, Quantity: -q})); out.Kind != inventory.Rejected {
				t.Fatalf("%d: %+v", n, out)
			}
			continue
		case 0:
			f.count = true
			ev = explaintest.Count(bolt, number, happened, l, q)
		case 1:
			f.quantity = -q
			ev = explaintest.Move(bolt, number, happened, inventory.Movement{Type: inventory.Ship, Location: l, Quantity: q})
		default:
			ev = explaintest.Move(bolt, number, happened, inventory.Movement{Type: inventory.Receipt, Location: l, Quantity: q})
		}
		if out := h.send(t, ev); out.Kind != inventory.Applied {
			t.Fatalf("%d: %+v", n, out)
		}
		h.facts = append(h.facts, f)
	}
	return h
}

// reversed is a receipt whose reversal came first, and waited for it.
func (h *history) reversed(t *testing.T, number string, l inventory.Location, at time.Time, q inventory.Quantity) {
	t.Helper()
	receipt := explaintest.Move(bolt, number, at, inventory.Movement{Type: inventory.Receipt, Location: l, Quantity: q})
	back := explaintest.Move(bolt, number+"b", at.Add(-time.Second), inventory.Movement{
		Type: inventory.Reversal, Location: l, Quantity: q, Reverses: receipt.ID, FromState: inventory.OnHand, ToState: inventory.Supplier,
	})
	if out := h.send(t, back); out.Kind != inventory.Parked {
		t.Fatalf("%s: %+v", number, out)
	}
	h.now = h.now.Add(time.Hour)
	h.send(t, receipt)
	for _, f := range []fact{{at: at, quantity: q}, {at: at.Add(-time.Second), quantity: -q}} {
		f.recorded, f.location = h.now, l
		h.facts = append(h.facts, f)
	}
}

func (h *history) send(t *testing.T, ev *inventory.Event) inventory.Outcome {
	t.Helper()
	out, err := h.Send(h.now, ev)
	if err != nil {
		t.Fatal(err)
	}
	l := h.Ledger(bolt)
	var ps []inventory.Position
	for _, n := range l.Locations() {
		p, _ := l.Position(n)
		ps = append(ps, p)
	}
	h.lagged, h.times = append(h.lagged, ps), append(h.times, h.now)
	return out
}

// stood is what the oracle says was on hand: the last count, and what moved since.
func (h *history) stood(l inventory.Location, m explain.When) (q inventory.Quantity) {
	var counted time.Time
	in := func(f *fact) bool {
		return f.location == l && (m.KnownAt == 0 || f.recorded.UnixMilli() <= int64(m.KnownAt)) && (m.AsOf == 0 || f.at.UnixMilli() <= int64(m.AsOf))
	}
	for i := range h.facts {
		if f := &h.facts[i]; f.count && in(f) && f.at.After(counted) {
			counted, q = f.at, f.quantity
		}
	}
	for i := range h.facts {
		if f := &h.facts[i]; !f.count && in(f) && f.at.After(counted) {
			q += f.quantity
		}
	}
	return q
}

// asked are what is asked: by either time, by both, and now.
func (h *history) asked(rng *rand.Rand) []explain.When {
	span := int64(h.now.Sub(began) / time.Millisecond)
	pick := func() inventory.Instant { return inventory.Instant(began.UnixMilli() + rng.Int64N(span)) }
	var ms []explain.When
	for range 6 {
		ms = append(ms, explain.When{AsOf: pick()}, explain.When{KnownAt: pick()}, explain.When{AsOf: pick(), KnownAt: pick()})
	}
	for _, f := range h.facts[:min(len(h.facts), 4)] { // at their very times
		ms = append(ms, explain.When{AsOf: inventory.Instant(f.at.UnixMilli())}, explain.When{KnownAt: inventory.Instant(f.recorded.UnixMilli())},
			explain.When{KnownAt: inventory.Instant(f.recorded.UnixMilli()) - 1})
	}
	return ms
}

// onLog is a history on a cluster.
type onLog struct {
	*history
	kafka stream.Config
	reads *stream.RestoreReads
	admin *kadm.Client
	spent explain.Spent // by then
}

func (h *history) write(t *testing.T) *onLog {
	t.Helper()
	topics := []string{event.TopicEvents, event.TopicOutcomes, event.TopicState, event.TopicPositions}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topics...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	o := &onLog{history: h, kafka: stream.Config{Brokers: cluster.ListenAddrs(), Log: slog.New(slog.DiscardHandler)}}
	producer, err := stream.NewProducer(o.kafka)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	state := h.state
	if len(state) == 0 {
		if state, err = h.State(); err != nil {
			t.Fatal(err)
		}
	}
	if err := producer.Produce(t.Context(), slices.Concat(h.Events, h.Outcomes, h.Positions, state)...); err != nil {
		t.Fatal(err)
	}
	if o.reads, err = stream.NewRestoreReads(o.kafka); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.reads.Close)
	client, err := kgo.NewClient(kgo.SeedBrokers(o.kafka.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	o.admin = kadm.NewClient(client)
	return o
}

func (o *onLog) forget(t *testing.T, topic string, before int64) {
	t.Helper()
	offsets := kadm.Offsets{}
	offsets.AddOffset(topic, 0, before, -1)
	if _, err := o.admin.DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
}

func (o *onLog) read(t *testing.T, change func(*explain.Config)) (*explain.Item, error) {
	t.Helper()
	cfg := explain.Config{Reads: o.reads, Codecs: o.Codecs, Key: bolt, Limit: 10_000, Now: inventory.Instant(o.now.UnixMilli())}
	change(&cfg)
	return explain.Read(t.Context(), cfg)
}

// then asks of the past from positions of after the n-th event.
func (o *onLog) then(t *testing.T, m explain.When, n int, budget explain.Budget) (*explain.Past, error) {
	t.Helper()
	o.spent = explain.Spent{}
	return explain.Then(t.Context(), explain.ThenConfig{
		Reads: o.reads, Codecs: o.Codecs, Key: bolt, When: m, Now: inventory.Instant(o.now.UnixMilli()),
		Positions: o.lagged[n], Since: inventory.Instant(o.times[n].UnixMilli()), Budget: budget, Spent: &o.spent,
	})
}

// TestThePastIsTheOracles: what stood at a past time is what an oracle says that goes by
// the facts alone, for either time and both, from positions that lag behind.
func TestThePastIsTheOracles(t *testing.T) {
	for seed := range uint64(4) {
		o := newHistory(t, seed, 120).write(t)
		rng := rand.New(rand.NewPCG(seed, 8))
		for _, m := range o.asked(rng) {
			last := len(o.lagged) - 1
			for _, n := range []int{last, rng.IntN(last), 0} {
				past, err := o.then(t, m, n, explain.Budget{})
				if err != nil {
					t.Fatalf("seed %d, %+v: %v", seed, m, err)
				}
				for _, l := range past.Locations {
					if got, want := l.States[inventory.OnHand], o.stood(l.Location, m); got != want {
						t.Errorf("seed %d, %+v at %s from %d: %s, want %s", seed, m, l.Location, n, got, want)
					}
				}
				if len(past.Locations) != 2 || past.Version != o.Ledger(bolt).Version() {
					t.Errorf("seed %d: %+v", seed, past)
				}
			}
			it, err := o.read(t, func(c *explain.Config) { c.When = m })
			if err != nil {
				t.Fatal(err)
			}
			for i := range it.Locations {
				l := &it.Locations[i]
				if got, want := l.Balance()[inventory.OnHand], o.stood(l.Location, m); got != want {
					t.Errorf("seed %d, explained %+v at %s: %s, want %s", seed, m, l.Location, got, want)
				}
			}
			if len(it.Differences) > 0 || it.Incomplete != "" {
				t.Errorf("seed %d: %q %q", seed, it.Differences, it.Incomplete)
			}
		}
	}
}

// TestForgotten: where retention has taken outcomes, a past time is told right or not at all,
// and the earliest that is named can be told.
func TestForgotten(t *testing.T) {
	for seed := range uint64(4) {
		o := newHistory(t, seed, 150).write(t)
		o.forget(t, event.TopicOutcomes, 60)
		rng := rand.New(rand.NewPCG(seed, 9))
		told, refused := 0, 0
		last := len(o.lagged) - 1
		check := func(m explain.When) {
			t.Helper()
			past, err := o.then(t, m, last, explain.Budget{})
			it, err2 := o.read(t, func(c *explain.Config) { c.When = m })
			forgotten := (*explain.ForgottenError)(nil)
			if errors.As(err, &forgotten) != errors.As(err2, &forgotten) {
				t.Fatalf("seed %d, %+v: %v and %v", seed, m, err, err2)
			}
			if forgotten != nil {
				refused++
				next := m
				next.AsOf, next.KnownAt = min(m.AsOf, forgotten.Earliest), min(m.KnownAt, forgotten.Earliest)
				if m.AsOf != 0 {
					next.AsOf = max(m.AsOf, forgotten.Earliest)
				}
				if m.KnownAt != 0 {
					next.KnownAt = max(m.KnownAt, forgotten.Earliest)
				}
				if next == m {
					t.Errorf("seed %d: %+v is refused for %v", seed, m, forgotten)
				} else if _, err := o.then(t, next, last, explain.Budget{}); err != nil {
					t.Errorf("seed %d: the earliest, %+v: %v", seed, next, err)
				}
				return
			}
			if err != nil || err2 != nil {
				t.Fatal(err, err2)
			}
			told++
			for i, l := range past.Locations {
				want := o.stood(l.Location, m)
				if l.States[inventory.OnHand] != want || it.Locations[i].Balance()[inventory.OnHand] != want {
					t.Errorf("seed %d, %+v at %s: %s, explained %s, want %s", seed, m, l.Location, l.States[inventory.OnHand], it.Locations[i].Balance()[inventory.OnHand], want)
				}
			}
		}
		for _, m := range o.asked(rng) {
			check(m)
		}
		if told < 5 || refused < 5 {
			t.Errorf("seed %d: %d told, %d refused", seed, told, refused)
		}
	}
	// Of an item that began after what was taken all is told, however early.
	h := newHistory(t, 1, 5)
	late := inventory.Key{Entity: "acme", Item: "LATE"}
	h.now = h.now.Add(time.Hour)
	for i := range 3 {
		h.send(t, explaintest.Move(late, fmt.Sprint("l", i), h.now, inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: one}))
	}
	o := h.write(t)
	o.forget(t, event.TopicOutcomes, 5)
	p, _ := h.Ledger(late).Position("DC1")
	past, err := explain.Then(t.Context(), explain.ThenConfig{
		Reads: o.reads, Codecs: o.Codecs, Key: late, When: explain.When{KnownAt: inventory.Instant(began.UnixMilli())},
		Positions: []inventory.Position{p}, Since: inventory.Instant(h.now.UnixMilli()),
	})
	if err != nil || past.Locations[0].States != (explain.States{}) {
		t.Errorf("before it was: %+v %v", past, err)
	}
	it, err := o.read(t, func(c *explain.Config) { c.Key = late })
	if err != nil || it.Incomplete != "" || len(it.Locations[0].Contributions) != 3 {
		t.Errorf("whole all the same: %+v %v", it, err)
	}
}

// TestForgottenOfOneItem: sums that agree by chance, and versions that do, are no history.
func TestForgottenOfOneItem(t *testing.T) {
	for name, tt := range map[string]struct {
		moves []inventory.Quantity // the same twice in a row: the same event
		lost  int64
	}{
		"taken out again": {[]inventory.Quantity{5, -4, -1, 3}, 3},
		"sent twice":      {[]inventory.Quantity{5, 5}, 1},
	} {
		h := &history{World: explaintest.New(), now: began}
		for i, q := range tt.moves {
			h.now = h.now.Add(time.Hour)
			m := inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: q * one}
			if q < 0 {
				m.Type, m.Quantity = inventory.Ship, -q*one
			}
			number := fmt.Sprint(i)
			if i > 0 && tt.moves[i-1] == q {
				number = fmt.Sprint(i - 1)
			}
			h.send(t, explaintest.Move(bolt, number, began, m))
		}
		o := h.write(t)
		o.forget(t, event.TopicOutcomes, tt.lost)
		m := explain.When{KnownAt: inventory.Instant(began.Add(70 * time.Minute).UnixMilli())}
		forgotten := (*explain.ForgottenError)(nil)
		if past, err := o.then(t, m, len(o.lagged)-1, explain.Budget{}); !errors.As(err, &forgotten) {
			t.Errorf("%s: %+v %v", name, past, err)
		}
		if it, err := o.read(t, func(c *explain.Config) { c.When = m }); !errors.As(err, &forgotten) {
			t.Errorf("%s: explained %+v %v", name, it, err)
		}
		if it, err := o.read(t, func(*explain.Config) {}); err != nil || it.Incomplete == "" || it.Locations[0].Balance() != o.lagged[len(o.lagged)-1][0].States {
			t.Errorf("%s: %+v %v", name, it, err)
		}
	}
}

// TestBesideALedger: what a ledger that runs writes while it is read is not told: it is of
// after the state.
func TestBesideALedger(t *testing.T) {
	h := newHistory(t, 2, 40)
	var err error
	if h.state, err = h.State(); err != nil {
		t.Fatal(err)
	}
	version, stood := h.Ledger(bolt).Version(), h.lagged[len(h.lagged)-1]
	for i := range 3 {
		h.now = h.now.Add(time.Minute)
		h.send(t, explaintest.Move(bolt, fmt.Sprint("later", i), h.now, inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: one}))
	}
	o := h.write(t)
	for what, budget := range map[string]explain.Budget{"all": {}, "a part": {Records: 1_000_000}} {
		it, err := o.read(t, func(c *explain.Config) { c.Budget = budget })
		if err != nil || it.Version != version || len(it.Differences) > 0 || len(it.Locations) != len(stood) {
			t.Fatalf("%s: %+v %v", what, it, err)
		}
		for i := range it.Locations {
			if l := &it.Locations[i]; l.Balance() != stood[i].States || l.Position.Version != stood[i].Version {
				t.Errorf("%s: %s stands at %v, want %v", what, l.Location, l.Balance(), stood[i].States)
			}
		}
	}
}

// TestRejectedLast: what was refused since the item's state was written is told too, for it
// leaves no trace there.
func TestRejectedLast(t *testing.T) {
	h := newHistory(t, 2, 10)
	h.now = h.now.Add(time.Minute)
	ev := explaintest.Move(bolt, "refused", h.now, inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: -one})
	if out := h.send(t, ev); out.Kind != inventory.Rejected {
		t.Fatalf("%+v", out)
	}
	it, err := h.write(t).read(t, func(*explain.Config) {})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(it.Others, func(o inventory.Outcome) bool { return o.EventID == ev.ID && o.Kind == inventory.Rejected }) {
		t.Errorf("of %d others none is what was refused last", len(it.Others))
	}
}

// TestRecomputed: the moves at the offsets that are told come to the numbers, and so do
// the events there, decided anew.
func TestRecomputed(t *testing.T) {
	o := newHistory(t, 3, 90).write(t)
	it, err := o.read(t, func(*explain.Config) {})
	if err != nil || len(it.Locations) != 2 {
		t.Fatalf("%+v %v", it, err)
	}
	events := map[int64]bool{}
	for i := range it.Locations {
		l := &it.Locations[i]
		var sum explain.States
		for j := range l.Contributions {
			c := &l.Contributions[j]
			var out inventory.Outcome
			if err := o.Codecs.DecodeOutcome(o.Outcomes[c.At].Value, &out); err != nil {
				t.Fatal(err)
			}
			if out.EventID != c.Outcome.EventID || out.Offset != c.Outcome.Offset {
				t.Fatalf("offset %d has %s, not %s", c.At, out.EventID, c.Outcome.EventID)
			}
			for _, m := range out.Moves {
				for _, end := range []struct {
					inventory.Place
					sign inventory.Quantity
				}{{m.From, -1}, {m.To, 1}} {
					if end.Location == l.Location && end.Account.IsState() {
						sum[end.Account] += end.sign * m.Quantity
					}
				}
			}
			if sum != c.Balance {
				t.Errorf("%s after offset %d: %v, told %v", l.Location, c.Outcome.Offset, sum, c.Balance)
			}
			events[c.Outcome.Offset] = true
		}
		if want, _ := o.Ledger(bolt).Position(l.Location); sum != want.States || l.Balance() != want.States || l.Position.Version != want.Version {
			t.Errorf("%s: %v, told %v, want %+v", l.Location, sum, l.Balance(), want)
		}
	}
	again := explaintest.New()
	for offset, rec := range o.Events {
		var ev event.Buf
		if !events[int64(offset)] {
			continue
		}
		if err := o.Codecs.DecodeEvent(rec.Value, &ev.Event); err != nil {
			t.Fatal(err)
		}
		if _, err := again.Send(rec.Timestamp, &ev.Event); err != nil {
			t.Fatal(err)
		}
	}
	for _, l := range it.Locations {
		if p, _ := again.Ledger(bolt).Position(l.Location); p.States != l.Balance() {
			t.Errorf("decided anew, %s: %v, want %v", l.Location, p.States, l.Balance())
		}
	}
}

// TestBudget: within a budget outcomes are read from the last back; what was not read is
// one sum, and what cannot be told within it is refused.
func TestBudget(t *testing.T) {
	o := newHistory(t, 5, 120).write(t)
	all, err := o.read(t, func(*explain.Config) {})
	if err != nil {
		t.Fatal(err)
	}
	enough := explain.Budget{Records: 1_000_000, Bytes: 1 << 30}
	same, err := o.read(t, func(c *explain.Config) { c.Budget = enough })
	if err != nil || same.Incomplete != "" || len(same.Locations[0].Contributions) != len(all.Locations[0].Contributions) {
		t.Errorf("enough for all: %+v %v", same, err)
	}
	spent := &explain.Spent{}
	few, err := o.read(t, func(c *explain.Config) { c.Budget, c.Limit, c.Spent = enough, 4, spent })
	if err != nil || spent.Records == 0 || spent.Bytes == 0 {
		t.Fatalf("%+v %v", spent, err)
	}
	state, err := o.State()
	if err != nil {
		t.Fatal(err)
	}
	head := int64(len(state) + len(o.Positions))
	// What is left for outcomes suffices for the last alone.
	short, err := o.read(t, func(c *explain.Config) { c.Budget = explain.Budget{Records: head + 20} })
	if err != nil || !strings.Contains(short.Incomplete, "were not read") {
		t.Fatalf("%+v %v", short, err)
	}
	for _, it := range []*explain.Item{few, short} {
		for i := range it.Locations {
			l, whole := &it.Locations[i], &all.Locations[i]
			if l.Balance() != whole.Balance() || len(l.Contributions) > len(whole.Contributions) || len(it.Differences) > 0 {
				t.Errorf("%s: %v, want %v: %q", l.Location, l.Balance(), whole.Balance(), it.Differences)
			}
			for j, k := len(l.Contributions)-1, len(whole.Contributions)-1; j >= 0; j, k = j-1, k-1 {
				if l.Contributions[j].At != whole.Contributions[k].At || l.Contributions[j].Balance != whole.Contributions[k].Balance {
					t.Errorf("%s: %+v, want %+v", l.Location, l.Contributions[j], whole.Contributions[k])
				}
			}
		}
	}
	if n := len(few.Locations[0].Contributions); n != 4 || few.Locations[0].Earlier == 0 {
		t.Errorf("%d contributions of 4", n)
	}
	early := explain.When{KnownAt: inventory.Instant(began.Add(time.Hour).UnixMilli())}
	for what, change := range map[string]func(*explain.Config){
		"state":   func(c *explain.Config) { c.Budget = explain.Budget{Records: 2} },
		"bytes":   func(c *explain.Config) { c.Budget = explain.Budget{Bytes: 100} },
		"too far": func(c *explain.Config) { c.Budget, c.When = explain.Budget{Records: head + 20}, early },
	} {
		if it, err := o.read(t, change); !errors.Is(err, explain.ErrTooMuch) {
			t.Errorf("%s: %+v %v", what, it, err)
		}
	}
	// However few contributions are wanted, all since then are read.
	reach := explain.Budget{Records: head + int64(len(o.Outcomes))}
	for _, m := range o.asked(rand.New(rand.NewPCG(5, 10))) {
		far, err := o.read(t, func(c *explain.Config) { c.Budget, c.When, c.Limit = reach, m, 1 })
		if err != nil {
			t.Fatal(err)
		}
		for i := range far.Locations {
			if l := &far.Locations[i]; l.Balance()[inventory.OnHand] != o.stood(l.Location, m) {
				t.Errorf("%+v at %s: %v, want %s", m, l.Location, l.Balance(), o.stood(l.Location, m))
			}
		}
	}
	last := len(o.lagged) - 1
	if _, err := o.then(t, early, last, explain.Budget{Records: 20}); !errors.Is(err, explain.ErrTooMuch) || o.spent.Records > 0 {
		t.Errorf("too far: %v, after %d records", err, o.spent.Records)
	}
	// A time within reach costs what was written since, not the whole log.
	near := explain.When{KnownAt: inventory.Instant(o.now.Add(-time.Minute).UnixMilli())}
	past, err := o.then(t, near, last, explain.Budget{Records: 20})
	if err != nil || past.To-past.From > 5 {
		t.Errorf("%+v %v", past, err)
	}
	if _, err := o.read(t, func(c *explain.Config) { c.Key.Item = "NOPE" }); !errors.Is(err, explain.ErrUnknown) {
		t.Errorf("unknown: %v", err)
	}
}

// TestKept: within a budget no more outcomes are kept at a time than may be, in number and
// in bytes: of now the last ones tell, and a past time that needs more is refused.
func TestKept(t *testing.T) {
	o := newHistory(t, 5, 120).write(t)
	all, err := o.read(t, func(*explain.Config) {})
	if err != nil {
		t.Fatal(err)
	}
	var sizes []int64 // of the item's outcomes, the last first
	for _, rec := range slices.Backward(o.Outcomes) {
		if string(rec.Key) == bolt.String() {
			sizes = append(sizes, int64(len(rec.Value)))
		}
	}
	early := explain.When{KnownAt: inventory.Instant(began.Add(time.Hour).UnixMilli())}
	near := explain.When{KnownAt: inventory.Instant(o.now.Add(-time.Minute).UnixMilli())}
	for what, most := range map[string]struct {
		outcomes int
		bytes    int64
	}{"outcomes": {6, 1 << 30}, "bytes": {1 << 20, sizes[0] + sizes[1] + sizes[2] + sizes[3] + sizes[4] + sizes[5]}} {
		keep := func(m explain.When) func(*explain.Config) {
			return func(c *explain.Config) {
				c.Budget, c.When = explain.Budget{Records: 1_000_000}, m
				c.Keep(most.outcomes, most.bytes)
			}
		}
		if it, err := o.read(t, keep(early)); !errors.Is(err, explain.ErrTooMuch) {
			t.Errorf("%s: long ago: %+v %v", what, it, err)
		}
		for _, m := range []explain.When{{}, near} {
			it, err := o.read(t, keep(m))
			if err != nil || !strings.Contains(it.Incomplete, "were not read") {
				t.Fatalf("%s: %+v: %+v %v", what, m, it, err)
			}
			told := len(it.Others)
			for i := range it.Locations {
				l := &it.Locations[i]
				if told += len(l.Contributions); l.Balance()[inventory.OnHand] != o.stood(l.Location, m) {
					t.Errorf("%s: %+v at %s: %v, want %s", what, m, l.Location, l.Balance(), o.stood(l.Location, m))
				}
			}
			if told == 0 || told > 6 {
				t.Errorf("%s: %+v: %d are told", what, m, told)
			}
		}
		if it, err := o.read(t, keep(explain.When{})); err != nil || len(it.Differences) > 0 || it.Locations[0].Balance() != all.Locations[0].Balance() {
			t.Errorf("%s: %+v %v", what, it, err)
		}
	}
}

package atpapi

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/client"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/explain/explaintest"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// lived is a web of which was noted what it answered, and when.
type lived struct {
	*proved
	rng      *rand.Rand
	policies []*stream.Record
	notes    []note
	fed      int // positions that Redis has
}

type note struct {
	at    time.Time
	query string
	code  int
	live  answer
}

var pastItem = inventory.Key{Entity: "acme", Item: "A"}

// newLived lives through some days of item A: stock, orders and purchases at locations some
// of which come late, policies that take each other's place, overrides that begin and end,
// and midnights of two zones. together is how many events are one commit.
func newLived(t *testing.T, seed uint64, events, together int) *lived {
	t.Helper()
	l := &lived{proved: &proved{web: newWeb(t), world: explaintest.New()}, rng: rand.New(rand.NewPCG(seed, 31))}
	l.world.Together = together
	l.now = l.now.Add(-10 * 24 * time.Hour)
	l.location(t, "DC1", "America/New_York", true)
	l.location(t, "DC4", "UTC", false)
	l.publish(t, 1)
	l.pass(20 * time.Minute)
	for n := range events {
		wait := time.Duration(1+l.rng.IntN(2000)) * time.Millisecond
		if l.rng.IntN(3) == 0 {
			l.commit(t)
			wait = time.Duration(6+l.rng.IntN(200)) * time.Minute
		}
		l.pass(wait)
		if l.rng.IntN(12) == 0 {
			l.publish(t, int64(2+n))
			l.pass(time.Duration(l.rng.IntN(40)) * time.Minute)
		}
		l.happen(t, fmt.Sprint(n), inventory.Location(fmt.Sprint("DC", 1+l.rng.IntN(2+n*3/events))))
		if together < 2 {
			l.commit(t)
			l.note(t)
		}
		if l.rng.IntN(2) == 0 {
			l.commit(t)
			l.pass(time.Duration(1+l.rng.IntN(30)) * time.Minute)
			l.note(t)
		}
	}
	l.commit(t)
	l.pass(20 * time.Minute)
	l.note(t)
	return l
}

func (l *lived) pass(d time.Duration) { l.now = l.now.Add(d) }

func (l *lived) happen(t *testing.T, number string, at inventory.Location) {
	t.Helper()
	q := inventory.Quantity(1+l.rng.IntN(9)) * unit
	ev := explaintest.Move(pastItem, number, l.now, inventory.Movement{Type: inventory.Receipt, Location: at, Quantity: q})
	switch l.rng.IntN(6) {
	case 0, 1:
		ev = explaintest.Order(pastItem, number, l.now, at, q)
	case 2:
		ev = explaintest.Purchase(pastItem, number, l.now, at, q, place.DayAt(l.now, time.UTC)+inventory.Day(l.rng.IntN(4)))
	case 3:
		ev = explaintest.Move(pastItem, number, l.now, inventory.Movement{Type: inventory.Damage, Location: at, Quantity: q})
	}
	if _, err := l.world.Send(l.now, ev); err != nil {
		t.Fatal(err)
	}
}

// publish makes another policy the newest.
func (l *lived) publish(t *testing.T, version int64) {
	t.Helper()
	a := policy.ATPPolicy{
		Version: version, Horizon: 1 + l.rng.IntN(5), KeepDays: l.rng.IntN(3),
		Groups: map[string][]inventory.Location{"web": {"DC1", "DC2"}, "all": {"DC1", "DC2", "DC3"}},
	}
	if l.rng.IntN(2) == 0 {
		a.Groups["web"] = []inventory.Location{"DC2", "DC3"}
	}
	if l.rng.IntN(2) == 0 {
		stated := func(d int) string { return l.now.Add(time.Duration(d) * time.Hour).Format(time.RFC3339) }
		a.Overrides = []policy.Override{{Kind: inventory.StopSell, Item: "A", Location: "DC2", From: stated(1), Until: stated(1 + l.rng.IntN(12)), Author: "ann"}}
	}
	shop := policy.Channel{Name: "shop", Entity: "acme", Locations: []inventory.Location{"DC1", "DC2"}, Share: 10 * (1 + l.rng.IntN(10)), Unit: unit}
	if l.rng.IntN(2) == 0 {
		shop.Basis = policy.BasisGross
	}
	l.policies = append(l.policies, published(t, l.codecs, version, a, l.now, shop))
	l.promiseBy(t, a, shop)
}

// commit writes what is open, and brings it to Redis.
func (l *lived) commit(t *testing.T) {
	t.Helper()
	if err := l.world.Commit(pastItem, l.now); err != nil {
		t.Fatal(err)
	}
	from := l.flog.end
	for _, rec := range l.world.Positions[l.fed:] {
		one := *rec
		one.Offset = l.flog.end
		l.flog.recs, l.flog.end = append(l.flog.recs, &one), l.flog.end+1
	}
	l.fed = len(l.world.Positions)
	if from == 0 {
		l.run(t, 100)
		return
	}
	l.feed(t, from, 100)
}

// note asks now.
func (l *lived) note(t *testing.T) {
	t.Helper()
	day := place.Date(place.DayAt(l.now, time.UTC) + inventory.Day(1+l.rng.IntN(4)))
	for _, query := range []string{"", "?location=DC1", "?location=DC3", "?group=web", "?group=all", "?channel=shop", "?on=" + day, "?quantity=9&group=all"} {
		n := note{at: l.now, query: query}
		rec := l.get(t, "/v1/atp/A"+query)
		if n.code = rec.Code; n.code == http.StatusOK {
			if err := json.Unmarshal(rec.Body.Bytes(), &n.live); err != nil {
				t.Fatal(err)
			}
		}
		l.notes = append(l.notes, n)
	}
	l.pass(time.Millisecond)
}

// compact takes away a share of the positions that others took the place of.
func (l *lived) compact(share float64) {
	newest := map[string]int{}
	for i, rec := range l.world.Positions {
		newest[string(rec.Key)] = i
	}
	kept := l.world.Positions[:0:0]
	for i, rec := range l.world.Positions {
		if newest[string(rec.Key)] == i || l.rng.Float64() >= share {
			kept = append(kept, rec)
		}
	}
	l.world.Positions = kept
}

// past asks what was promised at a time.
func (l *lived) past(t *testing.T, query string, at time.Time) (int, pastAnswer) {
	t.Helper()
	sep := "?"
	if query != "" {
		sep = "&"
	}
	rec := l.get(t, "/v1/atp/A"+query+sep+"known_at="+at.Format("2006-01-02T15:04:05.000Z"))
	var out pastAnswer
	if err := json.Unmarshal(rec.Body.Bytes(), &out); err != nil {
		t.Fatalf("%s: %v", rec.Body, err)
	}
	return rec.Code, out
}

// TestWhatWasPromised: whatever was answered at a time is what is told of that time later,
// by number, day, override, channel and location; or it is said why it is not told. It is
// never another number.
func TestWhatWasPromised(t *testing.T) {
	told, untold := 0, map[string]int{}
	for seed := range uint64(6) {
		together := []int{1, 4}[seed%2]
		share := []float64{0, 0.3, 0.7}[seed/2]
		l := newLived(t, seed, 36, together)
		l.compact(share)
		l.onKafka(t, l.policies...)
		for _, n := range l.notes {
			if l.rng.IntN(3) > 0 {
				continue
			}
			code, got := l.past(t, n.query, n.at)
			if code != http.StatusOK {
				if code != http.StatusNotFound || n.code != http.StatusNotFound {
					t.Errorf("seed %d, %s of %s: %d", seed, n.query, n.at, code)
				}
				continue
			}
			if (got.Promise == nil) == (got.Untold == nil) {
				t.Fatalf("seed %d, %s of %s: %+v", seed, n.query, n.at, got)
			}
			if got.Untold != nil {
				untold[got.Untold.Code]++
				if c := got.Untold.Code; share == 0 && together == 1 && c != "policy_changing" && c != codeUnknownItem && c != "unknown_location" {
					t.Errorf("seed %d, %s of %s: %+v, and nothing was lost", seed, n.query, n.at, got.Untold)
				}
				continue
			}
			told++
			l.same(t, &n, &got)
		}
	}
	t.Logf("%d told, not told %v", told, untold)
	if told < 200 || untold["promise_expired"] < 50 || untold["policy_changing"] == 0 {
		t.Errorf("%d told, not told %v", told, untold)
	}
}

func (l *lived) same(t *testing.T, n *note, got *pastAnswer) {
	t.Helper()
	p, live := got.Promise, &n.live
	if n.code != http.StatusOK {
		t.Errorf("%s of %s: told %+v, answered %d", n.query, n.at, p, n.code)
		return
	}
	if p.ATP != live.ATP || p.PolicyVersion != live.PolicyVersion || p.On != live.On || !reflect.DeepEqual(p.Channel, live.Channel) ||
		!reflect.DeepEqual(p.Override, live.Override) || !reflect.DeepEqual(p.Promisable, live.Promisable) || p.Frozen != live.Frozen {
		t.Errorf("%s of %s: told %+v, answered %+v", n.query, n.at, p, live)
	}
	// Locations of which more than the states is not told have a code, and are not listed.
	kept := slices.Clone(live.Locations)
	for _, at := range got.Locations {
		if at.Untold != "" {
			kept = slices.DeleteFunc(kept, func(a atLocation) bool { return a.Location == at.Location })
		}
	}
	if len(kept) != len(p.Locations) {
		t.Errorf("%s of %s: %d locations told, %d answered", n.query, n.at, len(p.Locations), len(kept))
		return
	}
	for i := range kept {
		a, b := kept[i], p.Locations[i]
		if !reflect.DeepEqual(a, b) {
			t.Errorf("%s of %s: told %+v, answered %+v", n.query, n.at, b, a)
		}
	}
}

// TestWhyItIsNotTold: each reason, by its code; the states are told beside it.
func TestWhyItIsNotTold(t *testing.T) {
	l := newLived(t, 3, 40, 1)
	l.onKafka(t, l.policies...)
	var n note // some hours before the end, so that something has changed since
	for _, m := range l.notes {
		if code, got := l.past(t, m.query, m.at); m.query == "" && m.at.Before(l.now.Add(-5*time.Hour)) && code == http.StatusOK && got.Promise != nil {
			n = m
		}
	}
	last := l.policies[len(l.policies)-1]
	why := func(want, query string, at time.Time) {
		t.Helper()
		code, got := l.past(t, query, at)
		if code != http.StatusOK || got.Untold == nil || got.Untold.Code != want || got.Promise != nil || got.States["on_hand"] == "" {
			t.Errorf("%s of %s: %d %+v, want %s", query, at, code, got.Untold, want)
		}
	}
	why("by_event_time", "?as_of="+n.at.Format(time.RFC3339), n.at)
	why("policy_unknown", "", l.policies[0].Timestamp.Add(-time.Hour))
	why("policy_changing", "", last.Timestamp.Add(-4*time.Minute))
	why("policy_changing", "", last.Timestamp.Add(4*time.Minute))
	why("unknown_item", "", l.policies[0].Timestamp.Add(6*time.Minute))
	first := slices.IndexFunc(l.notes, func(m note) bool { return m.code == http.StatusOK && len(m.live.Locations) > 0 })
	why("unknown_location", "?location=DC4", l.notes[first].at)
	// The budget reaches through outcomes, not through positions.
	for most := int64(5); ; most++ {
		l.api.prover.cfg.MaxRecords = most
		if code, got := l.past(t, "", n.at); code == http.StatusOK {
			if got.Untold == nil || got.Untold.Code != "promise_too_costly" {
				t.Errorf("within %d records: %+v", most, got.Untold)
			}
			break
		}
		if most > 10_000 {
			t.Fatal("never told")
		}
	}
	l.api.prover.cfg = DefaultExplain()
	// A record of a location that counts, newer than then, or that says that it does not count
	// now: it may have counted then.
	for _, shown := range []bool{true, false} {
		if err := l.reader.places.Apply(l.located(t, "DC2", shown, n.at.Add(time.Hour))); err != nil {
			t.Fatal(err)
		}
		why("location_changed", "", n.at)
		if _, got := l.past(t, "?location=DC1", n.at); got.Promise == nil || len(got.Locations) != 1 {
			t.Errorf("of another location: %+v", got.Untold)
		}
	}
}

func (l *lived) located(t *testing.T, name inventory.Location, shown bool, at time.Time) *stream.Record {
	t.Helper()
	value, err := l.codecs.AppendLocation(nil, &event.MasterLocation{Entity: "acme", Location: name, Zone: "UTC", Publishable: shown})
	if err != nil {
		t.Fatal(err)
	}
	return &stream.Record{Key: []byte("acme|" + string(name)), Value: value, Timestamp: at}
}

// TestThePolicyOfThen: kits, silence, channels and what was taken back, by the policy of
// then; whatever is published later does not matter.
func TestThePolicyOfThen(t *testing.T) {
	p := newProved(t)
	at := p.now.Add(-time.Hour)
	retired := &stream.Record{Topic: event.TopicPolicies, Key: []byte("atp@9"), Timestamp: p.now}
	for name, tt := range map[string]struct {
		policy  policy.ATPPolicy
		query   string
		also    []*stream.Record
		code    string // of why it is not told
		promise string
	}{
		"told":      {query: "?location=DC1", promise: "7"},
		"a kit":     {policy: policy.ATPPolicy{Kits: []policy.Kit{{Entity: "acme", Item: "A", Parts: []policy.KitPart{{Item: "PART", Quantity: unit}}}}}, code: "kit"},
		"silence":   {policy: policy.ATPPolicy{Silence: []policy.Silence{{Location: "DC2", Owner: "wms", Heartbeat: 1000, Then: inventory.SilenceZero}}}, code: "owner_silence"},
		"elsewhere": {policy: policy.ATPPolicy{Silence: []policy.Silence{{Location: "DC2", Owner: "wms", Heartbeat: 1000, Then: inventory.SilenceZero}}}, query: "?location=DC1", promise: "7"},
		"no group":  {query: "?group=web", code: "unknown_group"},
		"a group": {
			policy: policy.ATPPolicy{Groups: map[string][]inventory.Location{"web": {"DC1"}}}, query: "?group=web", promise: "7",
		},
		"no channel": {query: "?channel=shop", code: "unknown_channel"},
		"retired":    {also: []*stream.Record{retired}, code: "policy_retired"},
		"overridden": {
			policy: policy.ATPPolicy{Overrides: []policy.Override{{
				Kind: inventory.StopSell, Item: "A", From: at.Add(-time.Minute).Format(time.RFC3339), Until: at.Add(time.Minute).Format(time.RFC3339), Author: "ann",
			}}}, promise: "0",
		},
		"not any more": {
			policy: policy.ATPPolicy{Overrides: []policy.Override{{Kind: inventory.StopSell, Item: "A", Until: at.Format(time.RFC3339), Author: "ann"}}},
			query:  "?location=DC1", promise: "7",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p.onKafka(t, append([]*stream.Record{
				published(t, p.codecs, 3, tt.policy, p.now.Add(-60*time.Hour)), published(t, p.codecs, 2, policy.ATPPolicy{}, p.now.Add(-50*time.Hour)), // lower: it never counted
				published(t, p.codecs, 4, policy.ATPPolicy{Overrides: []policy.Override{{Kind: inventory.StopSell, Author: "ann"}}}, p.now.Add(-10*time.Minute)),
			}, tt.also...)...)
			rec := p.get(t, "/v1/atp/A"+tt.query+map[bool]string{true: "?", false: "&"}[tt.query == ""]+"known_at="+at.Format(time.RFC3339))
			var got pastAnswer
			if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != http.StatusOK {
				t.Fatalf("%d %s", rec.Code, rec.Body)
			}
			switch {
			case tt.code != "" && (got.Untold == nil || got.Untold.Code != tt.code):
				t.Errorf("%s", rec.Body)
			case tt.code == "" && (got.Promise == nil || got.Promise.ATP != tt.promise || got.Promise.PolicyVersion != 3):
				t.Errorf("%s", rec.Body)
			}
		})
	}
	sells := func(basis string, from ...inventory.Location) {
		shop := policy.Channel{Name: "shop", Entity: "acme", Locations: from, Unit: unit, Basis: basis}
		p.onKafka(t, published(t, p.codecs, 1, policy.ATPPolicy{}, p.now.Add(-60*time.Hour), shop))
	}
	sells("", "DC1", "DC2")
	c, err := client.New(client.Config{URL: "http://atp.example", HTTP: &http.Client{Transport: direct{p.router}}, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	q := client.PastQuery{Item: "A", Where: client.Where{Location: "DC1"}, When: client.When{KnownAt: at}, On: place.Date(p.due), Quantity: "7"}
	if past, err := c.AsOf(t.Context(), q); err != nil || past.Promise == nil || past.Promise.ATP != "7" || past.Promise.On != q.On || past.Promise.Promisable.On != q.On || len(past.Promise.Locations) != 1 {
		t.Errorf("the client is told %+v %v", past, err)
	}
	if past, err := c.AsOf(t.Context(), client.PastQuery{Item: "A", When: client.When{AsOf: at}}); err != nil || past.Promise != nil || past.Untold.Code != "by_event_time" {
		t.Errorf("by event time the client is told %+v %v", past, err)
	}
	if code, b, _ := p.problem(t, "/v1/atp/A?known_at="+at.Format(time.RFC3339)+"&on="+place.Date(p.due-5)); code != http.StatusBadRequest || b.Code != "day_past" {
		t.Errorf("a day before: %d %+v", code, b)
	}
	// A channel's scope is told what it sold from, and nothing of other locations.
	p.admits(t, &Config{Access: policy.Access{Principals: []policy.Principal{principal("shop", "atp:read:channel=shop")}}})
	rec := p.get(t, "/v1/atp/A?channel=shop&known_at="+at.Format(time.RFC3339), "X-Api-Key", "shop")
	var got pastAnswer
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || got.Promise == nil || got.Promise.Channel.Quantity != "17" || len(got.Promise.Locations) != 1 || strings.Contains(rec.Body.String(), "DC2") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	// A location that it did not sell from takes nothing from what is told.
	p.admits(t, &Config{})
	sells("", "DC1")
	m := event.MasterLocation{Entity: "acme", Location: "DC2", Zone: "UTC", Publishable: true}
	value, err := p.codecs.AppendLocation(nil, &m)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.reader.places.Apply(&stream.Record{Key: []byte("acme|DC2"), Value: value, Timestamp: p.now}); err != nil {
		t.Fatal(err)
	}
	shop := func(at time.Time) (got pastAnswer) {
		t.Helper()
		rec := p.get(t, "/v1/atp/A?channel=shop&known_at="+at.Format(time.RFC3339))
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || rec.Code != http.StatusOK {
			t.Fatalf("%d %s", rec.Code, rec.Body)
		}
		return got
	}
	if got := shop(at); got.Promise == nil || got.Promise.Channel.Quantity != "7" || len(got.Promise.Locations) != 1 ||
		len(got.Locations) != 2 || got.Locations[0].Untold != "" || got.Locations[1].Untold != "location_changed" {
		t.Errorf("beside what was asked: %+v", got)
	}
	// But for a channel that is told what it has on order, wherever that is.
	sells(policy.BasisGross, "DC1")
	if got := shop(at); got.Promise != nil || got.Untold.Code != "location_changed" {
		t.Errorf("with what is on order: %+v", got)
	}
	p.reader.places = place.New(p.codecs)
	if got := shop(p.now.Add(-6 * time.Hour)); got.Promise == nil || got.Promise.Channel.Quantity != "9" || len(got.Promise.Locations) != 2 { // DC2 has changed since
		t.Errorf("with what was on order: %+v", got)
	}
	// Stock that is not shown, and was not, takes nothing from what was promised of all.
	m.Publishable = false
	if value, err = p.codecs.AppendLocation(nil, &m); err != nil {
		t.Fatal(err)
	}
	if err := p.reader.places.Apply(&stream.Record{Key: []byte("acme|DC2"), Value: value, Timestamp: p.now.Add(-60 * time.Hour)}); err != nil {
		t.Fatal(err)
	}
	p.onKafka(t, published(t, p.codecs, 3, policy.ATPPolicy{
		Silence: []policy.Silence{{Location: "DC2", Owner: "wms", Heartbeat: 1000, Then: inventory.SilenceZero}},
	}, p.now.Add(-60*time.Hour)))
	got = pastAnswer{}
	rec = p.get(t, "/v1/atp/A?known_at="+at.Format(time.RFC3339))
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || got.Promise == nil || got.Promise.ATP != "7" || got.Locations[1].Untold != "owner_silence" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// published is the record of a policy.
func published(t *testing.T, codecs *event.Codecs, version int64, a policy.ATPPolicy, when time.Time, channels ...policy.Channel) *stream.Record {
	t.Helper()
	a.Version = version
	content, hash, err := policy.EncodeATP(&a, channels)
	if err != nil {
		t.Fatal(err)
	}
	value, err := codecs.AppendPolicy(nil, &event.PolicyContent{Name: policy.ATPName, Version: version, Hash: hash, Content: content})
	if err != nil {
		t.Fatal(err)
	}
	return &stream.Record{Topic: event.TopicPolicies, Key: fmt.Appendf(nil, "atp@%d", version), Value: value, Timestamp: when}
}

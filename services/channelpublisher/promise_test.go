package channelpublisher

import (
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/promisetest"
	"github.com/stockweave/stockweave/pkg/stream"
)

// put commits positions, item by item, and lets the parts of kits be seen as the
// table over positions does.
func (s *stage) put(t *testing.T, version int64, ps []inventory.Position) []*stream.Record {
	t.Helper()
	ps = slices.Clone(ps)
	slices.SortStableFunc(ps, func(a, b inventory.Position) int { return compareKeys(a.Key, b.Key) })
	count, part := map[inventory.Key]int32{}, map[inventory.Key]int32{}
	for i := range ps {
		count[ps[i].Key]++
	}
	var recs []*stream.Record
	for i := range ps {
		p := ps[i]
		part[p.Key]++
		p.Version, p.Part, p.Parts = version, part[p.Key], count[p.Key]
		p.RecordedAt, p.EventID, p.PolicyVersion = inventory.Instant(1_700_000_000_000+version), "e", 1
		value, err := s.codecs.AppendPosition(nil, &p)
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, &stream.Record{Topic: event.TopicPositions, Key: []byte(inventory.PositionKey(p.Key, p.Location)), Value: value})
	}
	s.flog.commit(recs...)
	for _, r := range recs {
		if err := s.kits.apply(r); err != nil {
			t.Fatal(err)
		}
	}
	return recs
}

// zone tells a location's time zone.
func (s *stage) zone(t *testing.T, l inventory.Location, zone string) {
	t.Helper()
	value, err := s.codecs.AppendLocation(nil, &event.MasterLocation{Entity: "acme", Location: l, Zone: zone})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.zones.Apply(&stream.Record{Key: []byte("acme|" + string(l)), Value: value}); err != nil {
		t.Fatal(err)
	}
}

// offers are the latest of a channel by item, of those sent so far.
func (s *stage) offers(channel string) map[inventory.Item]string {
	out := map[inventory.Item]string{}
	for _, o := range s.sent {
		if o.Channel == channel {
			out[o.Key.Item] = o.Quantity.String()
		}
	}
	return out
}

// TestVectors: the worked examples as offers.
func TestVectors(t *testing.T) {
	codecs := event.TestCodecs()
	for _, v := range promisetest.Vectors() {
		t.Run(v.Name, func(t *testing.T) {
			s := newStageOf(t, codecs)
			set := v.Load(t)
			s.promiseBy(t, set.ATP, set.Channels...)
			for l, z := range v.Zones {
				s.zone(t, l, z)
			}
			s.clock = v.Now()
			for source, ago := range v.Heard {
				s.hears(t, source, ago)
			}
			s.begin(t)
			s.take1(t, s.put(t, 5, v.Positions)...)
			s.look(t)
			if got, ok := s.offers(promisetest.Channel)[v.Key().Item]; !ok || got != v.Sees() {
				t.Errorf("offered %q, want %s", got, v.Sees())
			}
			for _, o := range s.sent {
				if o.PolicyVersion != 7 {
					t.Errorf("offered by policy version %d", o.PolicyVersion)
				}
			}
		})
	}
}

// TestPublisherAsksTheQuestion: whatever the facts and the policy, an offer is what
// the question written out by hand comes to. The reader has the same test.
func TestPublisherAsksTheQuestion(t *testing.T) {
	codecs := event.TestCodecs()
	rapid.Check(t, func(rt *rapid.T) {
		c := promisetest.Draw(rt)
		s := newStageOf(t, codecs)
		s.promiseBy(t, c.ATP, c.Channels...)
		s.clock = promisetest.Noon()
		for source, ago := range c.Heard {
			s.hears(t, source, ago)
		}
		s.begin(t)
		s.take1(t, s.put(t, 2, c.Positions)...)
		s.look(t)
		if got := s.offers(promisetest.Channel)[c.Key.Item]; got != c.Shown().String() {
			rt.Fatalf("offered %q, want %s", got, c.Shown())
		}
	})
}

// TestEveryMidnightIsEvaluated: also that of a location between one whose day is there
// already and one whose is not yet, so that no day is new; and while records flow.
func TestEveryMidnightIsEvaluated(t *testing.T) {
	ch := shop()
	ch.Share, ch.Buffer, ch.Cap, ch.Unit, ch.Listings = 100, 0, 0, 0, nil
	ch.Locations = append(ch.Locations, "DC3")
	s := newStage(t)
	s.promiseBy(t, policy.ATPPolicy{Horizon: 1}, ch)
	s.zone(t, "DC1", "America/New_York")
	s.zone(t, "DC3", "America/Los_Angeles")
	s.clock = time.Date(2026, 11, 25, 4, 0, 0, 0, time.UTC) // at DC2 it is the 25th already
	due := promisetest.Day("2026-11-26")
	s.begin(t)
	s.look(t)
	s.take1(t, s.flog.commit(position(t, s.codecs, "A", "DC1", 1, 10, 1, 2, inventory.Bucket{Due: due, Quantity: 3 * inventory.One}),
		position(t, s.codecs, "A", "DC2", 1, 5, 2, 2))...)
	s.wants(t, "A=15")
	s.clock = s.clock.Add(59 * time.Minute)
	s.look(t)
	s.wants(t)
	s.clock = s.clock.Add(2 * time.Minute)
	s.flog.commit(position(t, s.codecs, "Z", "DC2", 1, 1, 1, 1)) // a batch is coming, and coming
	s.look(t)
	s.wants(t, "A=12")
}

// TestOverridesAndPoliciesAreEvaluated without any record: an override ends by the
// clock; another policy holds from the next look on, and its offers are newer.
func TestOverridesAndPoliciesAreEvaluated(t *testing.T) {
	ch := shop()
	ch.Share, ch.Buffer, ch.Cap, ch.Unit, ch.Listings = 100, 0, 0, 0, nil
	s := newStage(t)
	until := s.clock.Add(time.Hour)
	first := policy.ATPPolicy{Version: 1, Overrides: []policy.Override{{Kind: inventory.StopSell, Item: "A", Until: until.Format(time.RFC3339), Author: "ana"}}}
	s.promiseBy(t, first, ch)
	s.begin(t)
	s.look(t)
	s.take1(t, s.flog.commit(position(t, s.codecs, "A", "DC1", 1, 10, 1, 1))...)
	s.take1(t, s.flog.commit(position(t, s.codecs, "B", "DC1", 1, 10, 1, 1))...)
	s.wants(t, "A=0", "B=10")
	s.clock = until.Add(-time.Millisecond)
	s.look(t)
	s.wants(t)
	s.clock = until
	s.look(t)
	s.wants(t, "A=10")

	publish := func(a policy.ATPPolicy, cs ...policy.Channel) {
		t.Helper()
		content, hash, err := policy.EncodeATP(&a, cs)
		if err != nil {
			t.Fatal(err)
		}
		value, err := s.codecs.AppendPolicy(nil, &event.PolicyContent{Name: policy.ATPName, Version: a.Version, Hash: hash, Content: content})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.policies.Apply(&stream.Record{Key: []byte("atp"), Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	half := ch
	half.Share = 50
	publish(policy.ATPPolicy{Version: 2}, half)
	s.look(t)
	for _, o := range s.sent {
		if o.PolicyVersion != 2 {
			t.Errorf("%+v is not by policy 2", o)
		}
	}
	s.wants(t, "A=5", "B=5")
	// What it lists no more it must not go on selling.
	half.Items = []inventory.Item{"B"}
	publish(policy.ATPPolicy{Version: 3}, half)
	s.look(t)
	s.wants(t, "A=0")
}

// TestSilentOwnersAreEvaluated without any record of positions: the offers of a
// location fall when its owner falls silent, and rise when it speaks again.
func TestSilentOwnersAreEvaluated(t *testing.T) {
	ch := shop()
	ch.Share, ch.Buffer, ch.Cap, ch.Unit, ch.Listings = 100, 0, 0, 0, nil
	s := newStage(t)
	s.promiseBy(t, policy.ATPPolicy{
		Version: 1, Kits: []policy.Kit{{Entity: "acme", Item: "KIT", Parts: []policy.KitPart{{Item: "A", Quantity: 2 * inventory.One}}}},
		Silence: []policy.Silence{
			{Entity: "acme", Location: "DC1", Owner: "wms", Heartbeat: 3_600_000, Then: inventory.SilenceZero},
			{Entity: "other", Location: "DC2", Owner: "wms", Heartbeat: 1_800_000, Then: inventory.SilenceZero},
		},
	}, ch)
	s.hears(t, "wms", 0)
	s.begin(t)
	s.look(t)
	for _, recs := range [][]*stream.Record{
		{position(t, s.codecs, "A", "DC1", 1, 10, 1, 2), position(t, s.codecs, "A", "DC2", 1, 5, 2, 2)},
		{position(t, s.codecs, "B", "DC2", 1, 7, 1, 1)},
	} {
		s.take1(t, s.flog.commit(recs...)...)
		for _, r := range recs {
			if err := s.kits.apply(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	s.look(t)
	s.wants(t, "A=15", "B=7", "KIT=7")
	s.clock = s.clock.Add(time.Hour)
	s.look(t)
	s.wants(t)
	s.clock = s.clock.Add(time.Millisecond)
	p := s.of(0)
	s.refresh(p)
	if len(p.dirty) != 2 || !p.dirty[inventory.Key{Entity: "acme", Item: "A"}] {
		t.Errorf("evaluated anew are %v, not only what is at DC1", p.dirty)
	}
	s.look(t)
	s.wants(t, "A=5", "KIT=2")
	s.look(t)
	s.wants(t)
	// What comes while it is silent is offered without its location.
	s.take1(t, s.flog.commit(position(t, s.codecs, "B", "DC1", 2, 30, 1, 1))...)
	s.wants(t)
	s.hears(t, "wms", time.Minute)
	s.look(t)
	s.wants(t, "A=15", "B=37", "KIT=7")
}

// TestKitsFollowTheirParts: a kit is offered when a part changes, wherever the part's
// partition is; never from half a commit; and not while its parts are being read.
func TestKitsFollowTheirParts(t *testing.T) {
	ch := shop()
	ch.Share, ch.Buffer, ch.Cap, ch.Unit, ch.Listings, ch.Items = 100, 0, 0, 0, nil, []inventory.Item{"KIT"}
	kit := func(version int64, parts ...policy.KitPart) policy.ATPPolicy {
		return policy.ATPPolicy{Version: version, Kits: []policy.Kit{{Entity: "acme", Item: "KIT", Parts: parts}}}
	}
	p1, p2 := policy.KitPart{Item: "P1", Quantity: 2 * inventory.One}, policy.KitPart{Item: "P2", Quantity: inventory.One}
	s := newStage(t)
	s.promiseBy(t, kit(1, p1, p2), ch)
	s.begin(t)
	s.look(t)
	s.wants(t) // nothing is known of its parts
	at := func(i inventory.Item, l inventory.Location, n int64) inventory.Position {
		p := inventory.Position{Key: inventory.Key{Entity: "acme", Item: i}, Location: l}
		p.States[inventory.OnHand] = inventory.Quantity(n) * inventory.One
		return p
	}
	// The evaluator's own partition has none of these records.
	s.put(t, 1, []inventory.Position{at("P1", "DC1", 9), at("P2", "DC1", 20)})
	s.flog.recs = nil
	s.look(t)
	s.wants(t, "KIT=4")
	s.look(t)
	s.wants(t)
	half := s.put(t, 2, []inventory.Position{at("P1", "DC1", 4), at("P1", "DC2", 5)})
	s.flog.recs = nil
	s.look(t)
	s.wants(t) // 4 and 5 is 9 again

	s.kits.begin(s.policies.Get().Parts()) // read anew
	if err := s.kits.ready(); err == nil {
		t.Error("ready while the parts are being read")
	}
	if err := s.kits.apply(half[0]); err != nil {
		t.Fatal(err)
	}
	s.look(t)
	s.wants(t)
	s.kits.setLoaded()
	s.look(t) // the other half of P1's commit is on its way
	s.wants(t)
	for _, r := range half[1:] {
		if err := s.kits.apply(r); err != nil {
			t.Fatal(err)
		}
	}
	s.put(t, 3, []inventory.Position{at("P2", "DC1", 1)})
	s.flog.recs = nil
	s.look(t)
	s.wants(t, "KIT=1")
	if err := s.kits.apply(&stream.Record{Key: []byte("acme|P1|DC1"), Value: []byte("junk")}); err != nil {
		t.Errorf("junk stops the kits: %v", err)
	}
}

// TestAKitOfOtherParts is newer than the kit it was, though its facts are older.
func TestAKitOfOtherParts(t *testing.T) {
	ch := shop()
	ch.Share, ch.Buffer, ch.Cap, ch.Unit, ch.Listings, ch.Items = 100, 0, 0, 0, nil, []inventory.Item{"KIT"}
	a := policy.ATPPolicy{Version: 1, Kits: []policy.Kit{{Entity: "acme", Item: "KIT", Parts: []policy.KitPart{{Item: "P1", Quantity: inventory.One}, {Item: "P2", Quantity: inventory.One}}}}}
	s := newStage(t)
	s.promiseBy(t, a, ch)
	s.begin(t)
	one := func(i string, n int64) []inventory.Position {
		p := inventory.Position{Key: inventory.Key{Entity: "acme", Item: inventory.Item(i)}, Location: "DC1"}
		p.States[inventory.OnHand] = inventory.Quantity(n) * inventory.One
		return []inventory.Position{p}
	}
	old := s.put(t, 1, one("P1", 9))
	s.put(t, 2, one("P2", 5))
	s.flog.recs = nil
	s.look(t)
	before := s.sent[0]
	s.wants(t, "KIT=5")
	a.Version, a.Kits[0].Parts = 2, a.Kits[0].Parts[:1]
	s.promiseBy(t, a, ch)
	for _, r := range old {
		if err := s.kits.apply(r); err != nil {
			t.Fatal(err)
		}
	}
	s.look(t)
	if len(s.sent) != 1 || markOf(&s.sent[0]).Compare(markOf(&before)) <= 0 {
		t.Errorf("%+v is not newer than %+v", s.sent, before)
	}
	s.wants(t, "KIT=9")
	s.put(t, 3, one("P1", 8))
	s.flog.recs = nil
	s.look(t)
	s.wants(t, "KIT=8")
}

package atpapi

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/promisetest"
	"github.com/stockweave/stockweave/pkg/stream"
)

// put appends positions, a commit an item, and returns their records.
func (l *fakeLog) put(t *testing.T, c *event.Codecs, version int64, ps []inventory.Position) []*stream.Record {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	ps = slices.Clone(ps)
	slices.SortStableFunc(ps, func(a, b inventory.Position) int { return strings.Compare(a.Key.String(), b.Key.String()) })
	count := map[inventory.Key]int32{}
	for i := range ps {
		count[ps[i].Key]++
	}
	part := map[inventory.Key]int32{}
	var out []*stream.Record
	for i := range ps {
		p := ps[i]
		part[p.Key]++
		p.Version, p.Part, p.Parts = version, part[p.Key], count[p.Key]
		p.RecordedAt, p.EventID, p.PolicyVersion = inventory.Instant(1_700_000_000_000+version), "e", 1
		value, err := c.AppendPosition(nil, &p)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, &stream.Record{
			Topic: event.TopicPositions, Key: []byte(inventory.PositionKey(p.Key, p.Location)), Value: value,
			Offset: l.end, Timestamp: time.UnixMilli(1_700_000_000_000 + version),
		})
		l.end++
	}
	l.recs = append(l.recs, out...)
	l.end++ // the marker
	return out
}

// asks gets an answer that must be there.
func (w *web) asks(t *testing.T, item inventory.Item, query string) answer {
	t.Helper()
	rec := w.get(t, "/v1/atp/"+url.PathEscape(string(item))+query)
	var a answer
	if err := json.Unmarshal(rec.Body.Bytes(), &a); err != nil || rec.Code != http.StatusOK {
		t.Fatalf("%s: %d %s: %v", query, rec.Code, rec.Body, err)
	}
	return a
}

// TestVectors: the worked examples over HTTP, by group and by channel.
func TestVectors(t *testing.T) {
	codecs := event.TestCodecs()
	for _, v := range promisetest.Vectors() {
		t.Run(v.Name, func(t *testing.T) {
			w := newWebOf(t, codecs)
			set := v.Load(t)
			w.promiseBy(t, set.ATP, set.Channels...)
			for l, zone := range v.Zones {
				w.location(t, l, zone, true)
			}
			w.flog.put(t, w.codecs, 5, v.Positions)
			w.run(t, 100)
			w.now = v.Now()
			for source, ago := range v.Heard {
				w.hears(t, source, ago)
			}
			on := ""
			if v.On != 0 {
				on = "&on=" + place.Date(v.On)
			}
			item := v.Key().Item
			a := w.asks(t, item, "?group="+promisetest.Group+on)
			if a.ATP != v.Want {
				t.Errorf("the group has %s, want %s", a.ATP, v.Want)
			}
			if a.PolicyVersion != 7 || a.Formula != inventory.PromiseFormula || !a.Freshness.CaughtUp {
				t.Errorf("policy version %d, formula %s, %+v", a.PolicyVersion, a.Formula, a.Freshness)
			}
			if c := w.asks(t, item, "?channel="+promisetest.Channel); c.Channel.Quantity != v.Sees() {
				t.Errorf("the channel shows %s, want %s", c.Channel.Quantity, v.Sees())
			}
		})
	}
}

// TestReaderAsksTheQuestion: whatever the facts and the policy, the reader's numbers
// are those of the question written out by hand. The publisher has the same test.
func TestReaderAsksTheQuestion(t *testing.T) {
	w := newWeb(t)
	w.flog.put(t, w.codecs, 1, nil)
	w.run(t, 100)
	version := int64(1)
	rapid.Check(t, func(rt *rapid.T) {
		c := promisetest.Draw(rt)
		version++
		w.promiseBy(t, c.ATP, c.Channels...)
		for source, ago := range c.Heard {
			w.hears(t, source, ago)
		}
		if _, err := w.batch(t.Context(), w.flog.put(t, w.codecs, version, c.Positions)); err != nil {
			rt.Fatal(err)
		}
		if a := w.asks(t, c.Key.Item, "?group="+promisetest.Group); a.ATP != c.Want().String() {
			rt.Fatalf("the group has %s, want %s", a.ATP, c.Want())
		}
		a := w.asks(t, c.Key.Item, "?channel="+promisetest.Channel)
		if a.Channel.Quantity != c.Shown().String() || a.ATP != c.Want().String() {
			rt.Fatalf("the channel shows %s of %s, want %s of %s", a.Channel.Quantity, a.ATP, c.Shown(), c.Want())
		}
		// What is listed at a location is what asking for the location says.
		for _, l := range a.Locations {
			if at := w.asks(t, c.Key.Item, "?location="+l.Location); at.ATP != l.ATP {
				rt.Fatalf("%s has %s, listed as %s", l.Location, at.ATP, l.ATP)
			}
		}
	})
}

// TestKitAnswer: what a kit's answer says beside its number.
func TestKitAnswer(t *testing.T) {
	w := newWeb(t)
	policyOf := func(per inventory.Quantity) policy.ATPPolicy {
		return policy.ATPPolicy{Version: 3, Kits: []policy.Kit{{Entity: "acme", Item: "KIT", Parts: []policy.KitPart{{Item: "A", Quantity: per}, {Item: "B", Quantity: inventory.One}}}}}
	}
	w.promiseBy(t, policyOf(2*inventory.One))
	w.flog.commit(t, w.codecs, "A", 3, map[inventory.Location]int64{"DC1": 9, "DC2": 4})
	w.flog.commit(t, w.codecs, "B", 8, map[inventory.Location]int64{"DC1": 5})
	w.run(t, 10)
	a := w.asks(t, "KIT", "")
	want := []kitPart{{"A", "2", "13"}, {"B", "1", "5"}}
	// Its version is the ledger time of the last change to a part.
	if a.ATP != "5" || !slices.Equal(a.Kit, want) || len(a.Locations) != 0 || a.Version != 1_700_000_000_008 || a.PolicyVersion != 3 {
		t.Errorf("%+v", a)
	}
	if at := w.asks(t, "KIT", "?location=DC2"); at.ATP != "0" {
		t.Errorf("at DC2 %s", at.ATP)
	}
	if rec := w.get(t, "/v1/atp/KIT?location=DC9"); rec.Code != 404 || !strings.Contains(rec.Body.String(), "unknown_location") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	if rec := w.get(t, "/v1/atp/NOKIT"); rec.Code != 404 || !strings.Contains(rec.Body.String(), "unknown_item") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	w.mini.FlushAll()
	if rec := w.get(t, "/v1/atp/KIT"); rec.Code != 503 {
		t.Errorf("of parts that are being loaded: %d %s", rec.Code, rec.Body)
	}
}

// TestOverrideByTheClock: an override begins and ends with nothing but time passing,
// and a cached answer does not outlive it.
func TestOverrideByTheClock(t *testing.T) {
	w := newWeb(t)
	w.promiseBy(t, policy.ATPPolicy{Version: 2, Overrides: []policy.Override{{
		Kind: inventory.SetQuantity, Item: "A", Quantity: 3 * inventory.One, Author: "ana", Reason: "a recall nobody is to read of",
		From: "2026-11-24T12:30:00Z", Until: "2026-11-24T14:00:00+01:00",
	}}})
	w.flog.commit(t, w.codecs, "A", 3, map[inventory.Location]int64{"DC1": 9})
	w.run(t, 10)
	etag := ""
	for _, step := range []struct {
		at         time.Duration
		want, kind string
	}{{0, "9", ""}, {30 * time.Minute, "3", "set_quantity"}, {time.Hour, "9", ""}} {
		w.now = promisetest.Noon().Add(step.at)
		rec := w.get(t, "/v1/atp/A", "If-None-Match", cmp.Or(etag, `"none"`))
		if rec.Code != http.StatusOK || !strings.Contains(rec.Body.String(), fmt.Sprintf(`"atp":%q`, step.want)) {
			t.Errorf("after %s: %d %s", step.at, rec.Code, rec.Body)
		}
		if step.kind != "" && !strings.Contains(rec.Body.String(), `"override":{"kind":"set_quantity","until":"2026-11-24T13:00:00.000Z"}`) {
			t.Errorf("after %s it does not say that a person decided: %s", step.at, rec.Body)
		}
		if strings.Contains(rec.Body.String(), "recall") || strings.Contains(rec.Body.String(), "ana") {
			t.Errorf("who and why is told to everybody: %s", rec.Body)
		}
		etag = rec.Header().Get("ETag")
	}
}

// TestSilentOwner: an owner falls silent with nothing but time passing, the answer
// says so under another name, and when it speaks again all is as it was.
func TestSilentOwner(t *testing.T) {
	w := newWeb(t)
	kit := []policy.Kit{{Entity: "acme", Item: "KIT", Parts: []policy.KitPart{{Item: "A", Quantity: 2 * inventory.One}}}}
	w.promiseBy(t, policy.ATPPolicy{
		Version: 2, Kits: kit, Groups: map[string][]inventory.Location{"far": {"DC2"}, "all": {"DC1", "DC2"}},
		Silence: []policy.Silence{{Location: "DC1", Owner: "wms", Heartbeat: 3_600_000, Then: inventory.SilenceHaircut, Haircut: 50 * inventory.One}},
	}, policy.Channel{Name: "far", Entity: "acme", Locations: []inventory.Location{"DC2"}, Share: 100, Unit: inventory.One})
	w.flog.commit(t, w.codecs, "A", 3, map[inventory.Location]int64{"DC1": 9, "DC2": 4})
	w.run(t, 10)
	w.hears(t, "wms", 0)
	const said = `"silent":[{"location":"DC1","owner":"wms","heard_at":"2026-11-24T12:00:00.000Z","then":"haircut"}]`
	etag := `"none"`
	for _, step := range []struct {
		what         string
		at           time.Duration
		want, kit    string
		silent, same bool // the answer says so; it is the one before
	}{
		{"heard", 0, "13", "6", false, false},
		{"within its heartbeat", time.Hour, "13", "6", false, true},
		{"silent", time.Hour + time.Millisecond, "8.5", "4", true, false},
		{"silent still", 2 * time.Hour, "8.5", "4", true, true},
		{"heard again", 3 * time.Hour, "13", "6", false, false},
	} {
		w.now = promisetest.Noon().Add(step.at)
		if step.what == "heard again" {
			w.hears(t, "wms", time.Minute)
		}
		if rec := w.get(t, "/v1/atp/A", "If-None-Match", etag); (rec.Code == http.StatusNotModified) != step.same {
			t.Errorf("%s: %d for what was answered before", step.what, rec.Code)
		}
		rec := w.get(t, "/v1/atp/A")
		etag = rec.Header().Get("ETag")
		if !strings.Contains(rec.Body.String(), fmt.Sprintf(`"atp":%q`, step.want)) || strings.Contains(rec.Body.String(), said) != step.silent {
			t.Errorf("%s: %s", step.what, rec.Body)
		}
		a := w.asks(t, "A", "?group=all")
		if at := w.asks(t, "A", "?location=DC1"); at.ATP != a.Locations[0].ATP || len(at.Silent) != len(a.Silent) || a.Locations[0].States["on_hand"] != "9" {
			t.Errorf("%s: at DC1 %+v, listed as %+v", step.what, at, a.Locations[0])
		}
		// A kit lists no locations, and says it.
		if k := w.asks(t, "KIT", ""); k.ATP != step.kit || (len(k.Silent) == 1) != step.silent {
			t.Errorf("%s: of a kit %s, %+v", step.what, k.ATP, k.Silent)
		}
		// Whom it does not concern is not told, unless DC1 is shown beside the rest.
		if far := w.asks(t, "A", "?group=far"); far.ATP != "4" || far.Silent != nil {
			t.Errorf("%s: far from there %+v", step.what, far)
		}
		if far := w.asks(t, "A", "?channel=far"); far.Channel.Quantity != "4" || (len(far.Silent) == 1) != step.silent {
			t.Errorf("%s: to a channel far from there %+v", step.what, far)
		}
	}
}

// TestFrozenAndParked are told.
func TestFrozenAndParked(t *testing.T) {
	w := newWeb(t)
	p := inventory.Position{Key: inventory.Key{Entity: "acme", Item: "A"}, Location: "DC1", Frozen: true, ParkedOut: 2 * inventory.One}
	p.States[inventory.OnHand] = 9 * inventory.One
	w.flog.put(t, w.codecs, 2, []inventory.Position{p})
	w.run(t, 10)
	if a := w.asks(t, "A", ""); !a.Frozen || a.ATP != "7" || a.Locations[0].ParkedOut != "2" || a.Locations[0].States["on_hand"] != "9" {
		t.Errorf("%+v", a)
	}
}

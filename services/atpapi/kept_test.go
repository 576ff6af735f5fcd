package atpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"
	"unsafe"
	"weak"

	"pgregory.net/rapid"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/promisetest"
)

// compared is a reader that keeps answers beside one that makes each anew.
type compared struct {
	*web
	hits, misses int
}

// anew is a reader of the same that keeps nothing.
func (w *compared) anew() *reader {
	r := w.reader
	out := &reader{store: r.store, codecs: r.codecs, places: r.places, policies: r.policies, heard: r.heard, views: r.views, now: r.now}
	out.setPartitions(1)
	return out
}

// failer is a test of either kind.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

// same asks both, and fails where they do not say the same to the byte.
func (w *compared) same(ctx context.Context, t failer, when string, q query) {
	t.Helper()
	if k := w.reader.local.last(0, q.key.String()); k.find(&q, w.reader.under(w.reader.policies.Get(), w.now), w.now, &w.reader.calendar) != nil {
		w.hits++
	} else {
		w.misses++
	}
	kept, bad := w.reader.read(ctx, q)
	made, want := w.anew().read(ctx, q)
	if bad != nil || want != nil {
		if bad == nil || want == nil || bad.code != want.code || bad.detail != want.detail {
			t.Fatalf("%s: %+v: %v, want %v", when, q, bad, want)
		}
		return
	}
	name, err := kept.tag()
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	other, err := made.tag()
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	got, err := json.Marshal((*untagged)(kept))
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	expected, err := json.Marshal((*untagged)(made))
	if err != nil {
		t.Fatalf("%s: %v", when, err)
	}
	if sent := kept.append(nil, &kept.Freshness); name != other || !bytes.Equal(got, expected) || !bytes.Equal(sent, expected) || kept.recorded != made.recorded {
		t.Fatalf("%s: %+v: kept %s\n%s\nand sent\n%s\nmade anew %s\n%s", when, q, name, got, sent, other, expected)
	}
}

// TestKeptAnswersAreThoseMadeAnew: whatever changes, the clock, positions, the policy,
// locations or what was heard, an answer that was kept is to the byte what would be made.
func TestKeptAnswersAreThoseMadeAnew(t *testing.T) {
	w := &compared{web: newWeb(t)}
	w.flog.put(t, w.codecs, 1, nil)
	w.run(t, 100)
	w.reader.local = newLocal(DefaultLocal())
	w.reader.local.begin("t1", map[int32]int64{0: 0})
	version := int64(1)
	zones := []string{"UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Apia"}
	rapid.Check(t, func(rt *rapid.T) {
		c := promisetest.Draw(rt)
		w.now = promisetest.Noon()
		write := func() {
			version++
			if _, err := w.batch(t.Context(), w.flog.put(t, w.codecs, version, c.Positions)); err != nil {
				rt.Fatal(err)
			}
		}
		if rapid.Bool().Draw(rt, "nobody is minded") {
			c.ATP.Silence = nil
		}
		if rapid.Bool().Draw(rt, "for a while") { // an override ends while it is the same day everywhere
			end := w.now.Add(time.Duration(rapid.IntRange(1, 20).Draw(rt, "seconds")) * time.Second)
			c.ATP.Overrides = append(c.ATP.Overrides, policy.Override{
				Kind: inventory.SetQuantity, Item: c.Key.Item, Quantity: 77 * inventory.One, Until: end.Format(time.RFC3339), Author: "ana", MadeAt: w.now.Format(time.RFC3339),
			})
		}
		w.promiseBy(t, c.ATP, c.Channels...)
		write()
		q := query{key: c.Key}
		qs := []query{q, q, q, q, q, q}
		qs[1].group, qs[2].channel, qs[3].location, qs[4].quantity = promisetest.Group, promisetest.Channel, "A", 3*inventory.One
		qs[5].on = promisetest.Today + 2
		for step := range rapid.IntRange(1, 12).Draw(rt, "steps") {
			when := fmt.Sprintf("step %d", step)
			for _, q := range qs[rapid.IntRange(0, 5).Draw(rt, "first"):] {
				w.same(t.Context(), rt, when, q)
				w.same(t.Context(), rt, when, q)
			}
			switch rapid.IntRange(0, 6).Draw(rt, "then") {
			case 0, 1:
				w.now = w.now.Add(time.Duration(rapid.Int64Range(1, int64(30*time.Hour)).Draw(rt, "later")))
			case 2:
				w.now = w.now.Add(time.Duration(rapid.Int64Range(1, 5000).Draw(rt, "ms later")) * time.Millisecond)
			case 3:
				i := rapid.IntRange(0, len(c.Positions)-1).Draw(rt, "which")
				c.Positions[i].States[inventory.OnHand] += inventory.One
				write()
			case 4:
				w.location(t, rapid.SampledFrom([]inventory.Location{"A", "B", "C"}).Draw(rt, "of"),
					rapid.SampledFrom(zones).Draw(rt, "zone"), rapid.Bool().Draw(rt, "publishable"))
			case 5:
				c.ATP.Horizon, c.ATP.Version = 1+c.ATP.Horizon%14, c.ATP.Version+1
				w.promiseBy(t, c.ATP, c.Channels...)
			case 6:
				for source := range c.Heard {
					w.hears(t, source, 0)
				}
			}
		}
	})
	t.Logf("%d answers were kept ones, %d were made", w.hits, w.misses)
	if w.hits < w.misses/10 {
		t.Error("hardly any answer was a kept one")
	}
}

// TestAnswersAreWrittenAsTheyAreEncoded: what is appended by hand is what encoding/json
// makes of it.
func TestAnswersAreWrittenAsTheyAreEncoded(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		want, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := appendString(nil, text); !bytes.Equal(got, want) {
			t.Errorf("%q is written %s, want %s", text, got, want)
		}
		f := freshness{AgeMS: rapid.Int64().Draw(t, "age"), CaughtUp: rapid.Bool().Draw(t, "caught up"), Stale: rapid.Bool().Draw(t, "stale")}
		f.RecordedAt = instant(inventory.Instant(rapid.Int64Range(0, 1<<47).Draw(t, "recorded")))
		if rapid.Bool().Draw(t, "copied") {
			ms := rapid.Int64().Draw(t, "copied ms")
			f.CopyMS = &ms
		}
		if want, err = json.Marshal(f); err != nil {
			t.Fatal(err)
		}
		if got := f.append(nil); !bytes.Equal(got, want) || len(got)+len(`,"freshness":`) > freshnessRoom {
			t.Errorf("%+v is written %s, want %s", f, got, want)
		}
		r := batchResult{Item: text, Entity: "acme", Status: 200, Answer: &answer{Item: text, Locations: []atLocation{}, Freshness: f}}
		if bad := r.say(r.Answer.(*answer), nil, &batchItem{}); bad != nil { //nolint:forcetypeassert // ours
			t.Fatal(bad)
		}
		out := batchAnswer{Answered: 1, Failed: 1, Results: []batchResult{r, {Item: text, Status: 404, Problem: &problemBody{Code: "x"}}}}
		if want, err = json.Marshal(out); err != nil {
			t.Fatal(err)
		}
		if got, err := out.append(nil); err != nil || !bytes.Equal(got, want) {
			t.Errorf("written %s, %v, want %s", got, err, want)
		}
	})
	for range 2000 {
		at := inventory.Instant(rand.Int64N(1<<48) + 1)
		if got, want := instant(at), time.UnixMilli(int64(at)).UTC().Format("2006-01-02T15:04:05.000Z07:00"); got != want {
			t.Fatalf("%d is %s, want %s", at, got, want)
		}
	}
}

// TestKeptAnswersAreFew: of an item, and their bytes are counted.
func TestKeptAnswersAreFew(t *testing.T) {
	l := newLocal(LocalConfig{Bytes: 1 << 20, Bound: time.Second, Stale: time.Minute})
	l.begin("t1", map[int32]int64{0: 0})
	k := &kept{positions: make([]inventory.Position, 1)}
	l.put(0, "acme|A", k, &asOf{mark{topic: "t1"}, time.Now()}, mark{})
	_, before, _ := l.holds()
	for i := range 100 {
		k.keep(&keptAnswer{of: query{channel: fmt.Sprint(i)}, whole: answer{body: make([]byte, 1000)}})
		l.grown(0, "acme|A", k)
	}
	_, after, _ := l.holds()
	if len(k.answers) != keptAnswers || after-before < keptAnswers*1000 || after-before > keptAnswers*5000 {
		t.Errorf("%d answers are kept, in %d bytes", len(k.answers), after-before)
	}
	for range 2 { // the latest is there still, and takes its own place
		k.keep(&keptAnswer{of: query{channel: "99"}})
	}
	if k.find(&query{channel: "99"}, under{}, time.Now(), new(calendar)) == nil || k.find(&query{channel: "98"}, under{}, time.Now(), new(calendar)) == nil {
		t.Error("the latest are gone")
	}
	k.keep(&keptAnswer{of: query{channel: "big"}, whole: answer{body: make([]byte, 2<<20)}})
	l.grown(0, "acme|A", k)
	if items, bytes, _ := l.holds(); items != 0 || bytes != 0 {
		t.Errorf("%d items, %d bytes: more than there may be", items, bytes)
	}
}

// TestCalendarTurns: with the day of each zone, at the moment it does.
func TestCalendarTurns(t *testing.T) {
	var c calendar
	var zones []*time.Location
	for _, name := range []string{"UTC", "America/New_York", "Asia/Kathmandu", "Pacific/Apia", "Africa/Cairo"} {
		z, err := time.LoadLocation(name)
		if err != nil {
			t.Fatal(err)
		}
		zones = append(zones, z)
	}
	for i := range 2 * maxCalendar { // and no more are remembered than there is room for
		zones = append(zones, time.FixedZone("", i-maxCalendar))
	}
	for _, day := range []time.Time{time.Date(2026, 3, 8, 0, 0, 0, 0, time.UTC), time.Date(2026, 4, 24, 0, 0, 0, 0, time.UTC)} { // New York and Cairo change their clocks
		for _, z := range zones {
			turn := time.Date(day.Year(), day.Month(), day.Day(), 0, 0, 0, 0, z)
			for _, at := range []time.Time{turn.Add(-time.Nanosecond), turn, turn.Add(time.Second - 1), turn.Add(-time.Second)} {
				for _, z := range zones {
					if got, want := c.day(at, z), place.DayAt(at, z); got != want || len(c.now.Load().days) > maxCalendar {
						t.Fatalf("%v in %v: day %d, want %d, %d are remembered", at, z, got, want, len(c.now.Load().days))
					}
				}
			}
		}
	}
}

// TestKeptAnswersHoldNoPolicy: one that another has taken the place of is let go, however
// long answers made by it are kept.
func TestKeptAnswersHoldNoPolicy(t *testing.T) {
	r, k, now := &reader{places: place.New(event.TestCodecs())}, &kept{}, time.Now()
	promises, err := policy.NewPromises(&policy.ATPPolicy{Version: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	k.keep(&keptAnswer{under: r.under(promises, now)})
	if k.find(&query{}, r.under(promises, now), now, new(calendar)) == nil {
		t.Error("an answer is made anew under the same policy")
	}
	gone := weak.Make(promises)
	if runtime.GC(); gone.Value() != nil {
		t.Error("an answer holds its policy")
	}
	runtime.KeepAlive(k)
}

// TestKeptAnswersHoldNoRequest: a name in the line of a request is not kept, and the whole
// line with it.
func TestKeptAnswersHoldNoRequest(t *testing.T) {
	w := newWeb(t)
	w.flog.put(t, w.codecs, 1, []inventory.Position{{Key: inventory.Key{Entity: "acme", Item: "A"}, Location: "DC1", Version: 1}})
	w.run(t, 100)
	w.reader.local = newLocal(DefaultLocal())
	w.reader.local.begin("t1", map[int32]int64{0: 0})
	line := strings.Repeat("x", 100) + "A"
	if _, bad := w.reader.read(t.Context(), query{key: inventory.Key{Entity: "acme", Item: inventory.Item(line[100:])}}); bad != nil {
		t.Fatal(bad)
	}
	k := w.reader.local.last(0, "acme|A")
	if k == nil || len(k.answers) != 1 {
		t.Fatalf("nothing is kept: %+v", k)
	}
	of := unsafe.StringData(line[100:])
	if a := k.answers[0]; unsafe.StringData(string(a.of.key.Item)) == of || unsafe.StringData(a.whole.Item) == of {
		t.Error("the line is kept")
	}
}

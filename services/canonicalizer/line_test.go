package canonicalizer

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
)

// TestWords: every word has a name, each another one, and is found by it.
func TestWords(t *testing.T) {
	if len(wordOf) != int(numWords) || numWords > 64 {
		t.Fatalf("%d words of %d names", numWords, len(wordOf))
	}
	for w, name := range words {
		if name == "" || wordOf[name] != word(w) {
			t.Errorf("word %d is %q, which is word %d", w, name, wordOf[name])
		}
	}
}

// TestReadLineAgain: what a line says does not depend on the lines read before it in the
// same memory, whatever their kinds and members were; nor does what is wrong with it.
func TestReadLineAgain(t *testing.T) {
	var lines []any
	for _, text := range []string{
		`{"kind":"count","at":5,"document":{"type":"c","number":"1"},"ids":[{"type":"sku","value":"A"},{"type":"gtin","value":null}],"location":"L","quantity":"1","count":{"sequence":"7"}}`,
		`{"kind":"count","at":"5a","document":{"type":"c","number":"2","line":3},"ids":[{"value":"A","type":"sku","owner":"o"}],"location":["L","M"],"count":{"balances":[{"state":"on_hand","quantity":2},{"state":"hold","quantity":"3"}],"complete":true}}`,
		`{"kind":"movement","document":{"type":"m","number":"1"},"ids":[{"type":"sku","value":"A"}],"quantity":1.5,"to_location":"N","movement":{"type":"ship","reason":"r"},"attributes":{"lot":"x","kind":"y"},"refs":[{"type":"po","number":"9"}]}`,
		`{"kind":"item","item":"A","base_unit":"EA","units":[{"unit":"CS","factor":"12"}],"identifiers":[{"type":"gtin","value":"1"}]}`,
		`{"kind":"location","location":"L","aliases":[{"type":"x","value":"y"}],"valued":true}`,
		`{"kind":"item","item":"B","base_unit":"EA"}`, `{"kind":"location","location":"M"}`,
		`{"kind":"demand","document":{"type":"o","number":"1"},"ids":[{"type":"sku","value":"A"}],"quantity":1,"demand":{"stage":"ordered","due":"2026-11-02"}}`,
		`{"kind":"milestone","status":"s","document":{"type":"o","number":"1"},"milestone":{"about":"orders"}}`,
		`{"kind":"error","code":"c","reason":"r"}`, `{"kind":"count","document":{"type":"c","number":"1"},"item":"A"}`,
		`{"kind":"demand","document":{"type":"o","number":"1","about":"x"}}`, `{"kind":"demand","document":{"type":"o","number":1},"quantity":[]}`, `7`, `{}`,
		"{" + strings.Repeat(`"%d":1,`, 300) + `"kind":"count"}`,
	} {
		if n := strings.Count(text, "%d"); n > 0 {
			args := make([]any, n)
			for i := range args {
				args[i] = i
			}
			text = fmt.Sprintf(text, args...)
		}
		var v any
		if err := json.Unmarshal([]byte(text), &v); err != nil {
			t.Fatal(err)
		}
		members, is := jq.Members(v)
		lines = append(lines, v)
		if is {
			lines = append(lines, jq.NewObject(members...))
		}
	}
	shown := func(l *line, reason string) string {
		return fmt.Sprintf("%+v %+v %+v %s", l.stated, l.item, l.location, reason)
	}
	var l line
	random := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // a test's own
	for range 2000 {
		v := lines[random.IntN(len(lines))]
		got := shown(&l, l.read(v))
		own, reason := readLine(v)
		if want := shown(&own, reason); got != want {
			t.Fatalf("%v after another is\n%s\nalone\n%s", v, got, want)
		}
	}
	if strings.Contains(shown(&l, ""), "%!") {
		t.Error("it cannot be shown")
	}
}

// TestLayouts: members are found where they stand though their keys are others than those
// of the objects before, also of equal number and length.
func TestLayouts(t *testing.T) {
	var ls layouts
	random := rand.New(rand.NewPCG(3, 4)) //nolint:gosec // a test's own
	for round := range 3000 {
		var members []jq.Member
		for w, name := range words {
			if round%2 == 0 && random.IntN(8) == 0 || round%2 == 1 && len(name) == 4 && len(members) < 2 && random.IntN(3) == 0 {
				members = append(members, jq.Member{Key: strings.Clone(name), Value: w})
			}
		}
		if round%2 == 0 && random.IntN(3) == 0 {
			members = append(members, jq.Member{Key: "other" + fmt.Sprint(random.IntN(3))})
		}
		o := jq.Ordered(members)
		members, _ = jq.Members(o)
		l := ls.of(members)
		for w, name := range words {
			i := slices.IndexFunc(members, func(m jq.Member) bool { return m.Key == name })
			if got := l.at[w]; i < 0 && got != nowhere || i >= 0 && int(got) != i {
				t.Fatalf("%s stands at %d of %v, not %d", name, i, members, got)
			}
		}
	}
}

// TestRelease: the memory of a message's events is used again, and what was read of it
// before is as it was; the next message has nothing of it.
func TestRelease(t *testing.T) {
	all, m := world(t)
	p := all["wms-count"]
	body := func(item string, n int) []byte {
		return []byte("count_id,sku,location,quantity,unit,as_of,sequence\n" + strings.Repeat("C1,"+item+",DC1,7,EA,2026-11-02T10:15:00Z,1\n", n))
	}
	read := func(b []byte) Result {
		t.Helper()
		res, err := canonicalize(t.Context(), p, &event.RawMessage{ID: "r", Source: p.src.Name, Body: b, ReceivedAt: sampleTime}, m)
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	text := func(evs []inventory.Event) string {
		b, err := json.Marshal(evs)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	item := ""
	for k := range m.items {
		if k.Entity == p.src.Entity && m.items[k].BaseUnit == "EA" {
			item = string(k.Item)
			break
		}
	}
	first := read(body(item, 40))
	if len(first.Events) != 40 {
		t.Fatalf("%d events, rejected %v, parked %v", len(first.Events), first.Rejected, first.Parked)
	}
	want, ids := text(first.Events), first.Receipt.EventIDs
	b := first.batch
	first.release()
	first.release()
	if first.Events != nil || len(b.events) != 0 || b.events[:1][0].ID != "" || b.events[:1][0].Count != nil {
		t.Errorf("of a released batch %+v is left", b.events[:1])
	}
	if ids[0] == "" {
		t.Error("the receipt has lost its ids")
	}
	short := read(body(item, 3))
	if len(short.Events) != 3 {
		t.Fatalf("%d events", len(short.Events))
	}
	short.release()
	if again := read(body(item, 40)); text(again.Events) != want {
		t.Errorf("the same message in memory used before is\n%s\nwas\n%s", text(again.Events), want)
	}
	bs := &batches{}
	large := &batch{events: make([]inventory.Event, 0, mostEvents+1)}
	if bs.put(large); large.events != nil {
		t.Errorf("room for %d events is kept", cap(large.events))
	}
}

// TestWholeQuantity: digits alone are the quantity they are to everybody.
func TestWholeQuantity(t *testing.T) {
	src := &policy.Source{Format: policy.FormatJSON, Zone: time.UTC}
	for _, s := range []string{
		"", "0", "7", "007", "12345678901234", "99999999999999", "123456789012345", "000000000000001", "1.5", "-3", "+3", "1e3", "1 ", " 1", "１", "1/2", "12:3", "1.", ".5", "-", "99999999999999.9999",
	} {
		want, err := inventory.ParseQuantity(s)
		got, fault := quantityOf(s, src)
		if (err == nil) != (fault == nil) || got != want {
			t.Errorf("%q is %v, %v; to others %v, %v", s, got, fault, want, err)
		}
		if q, ok := wholeQuantity(s); ok && (err != nil || q != want) {
			t.Errorf("%q is taken for %v, is %v, %v", s, q, want, err)
		}
	}
}

package canonicalizer

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
)

// FuzzCanonicalize sends anything as any source's message: never a panic, each line
// in one place, every event valid, the same result again, all of it encodable.
func FuzzCanonicalize(f *testing.F) {
	set, err := policy.Load(shipped)
	if err != nil {
		f.Fatal(err)
	}
	all, err := programs(set)
	if err != nil {
		f.Fatal(err)
	}
	m, err := sampleMasters(set, all)
	if err != nil {
		f.Fatal(err)
	}
	names := slices.Sorted(maps.Keys(all))
	for i, name := range names {
		for _, s := range all[name].src.Samples {
			b, err := os.ReadFile(filepath.Join(shipped, "sources", s.File))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(uint8(i), b)
		}
	}
	codecs := event.TestCodecs()
	f.Fuzz(func(t *testing.T, which uint8, body []byte) {
		p := all[names[int(which)%len(names)]]
		raw := &event.RawMessage{ID: strings.Repeat("a", 32), Source: p.src.Name, Body: body, ReceivedAt: sampleTime}
		res, err := canonicalize(t.Context(), p, raw, m)
		if err != nil {
			t.Fatal(err)
		}
		checkWhole(t, &res)
		for i := range res.Events {
			if err := res.Events[i].Validate(); err != nil {
				t.Error(err)
			}
		}
		again, err := canonicalize(t.Context(), p, raw, m)
		if err != nil {
			t.Fatal(err)
		}
		a, err := render(&res)
		if err != nil {
			t.Fatal(err)
		}
		b, err := render(&again)
		if err != nil {
			t.Fatal(err)
		}
		if string(a) != string(b) {
			t.Errorf("another result the second time:\n%s\n%s", a, b)
		}
		w := writer{codecs: codecs, input: inputRecord(raw)}
		if err := w.records(&res); err != nil {
			t.Error(err)
		}
		if _, err := w.receipt(&res.Receipt); err != nil {
			t.Error(err)
		}
	})
}

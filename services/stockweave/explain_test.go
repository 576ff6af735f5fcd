package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/explain"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

func TestItemKey(t *testing.T) {
	for text, want := range map[string]inventory.Key{
		"acme/SKU-1":    {Entity: "acme", Item: "SKU-1"},
		"acme/A/B":      {Entity: "acme", Item: "A/B"},
		"acme|NUT%7C5":  {Entity: "acme", Item: "NUT|5"},
		"":              {},
		"SKU-1":         {},
		"/SKU-1":        {},
		"acme/":         {},
		"acme|SKU-1|DC": {},
	} {
		got, err := itemKey(text)
		if bad := want == (inventory.Key{}); bad != errors.Is(err, errMisuse) || !bad && got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
}

func (p *platform) explain(t *testing.T, args ...string) (explain.Report, int) {
	t.Helper()
	var out, errs bytes.Buffer
	code := p.run(t.Context(), append([]string{"explain", "acme/SKU-1", "--json"}, args...), &out, &errs)
	var x explain.Report
	if err := json.Unmarshal(out.Bytes(), &x); err != nil {
		t.Fatalf("exit %d: %v: %s%s", code, err, out.String(), errs.String())
	}
	return x, code
}

// The numbers of the demo are told from their first contribution on, add up, and a
// position that is not their sum is found.
func TestExplainTellsEveryContribution(t *testing.T) {
	t.Parallel()
	st := staged(t)
	all, code := st.explain(t)
	if code != exitOK || len(all.Differences) > 0 || all.Incomplete != "" || len(all.Locations) == 0 {
		t.Fatalf("exit %d: %+v", code, all)
	}
	moves := 0
	for _, l := range all.Locations {
		for _, c := range l.Contributions {
			moves += len(c.Moves)
			if c.Event == "" || c.Raw.ID == "" || c.Source == "" || c.RecordedAt == "" || c.Raw.Mapping == "" || c.OutcomeAt == nil {
				t.Errorf("%s: a contribution without its origin: %+v", l.Location, c)
			}
		}
	}
	steps := all.Promise.Steps
	if moves < 2 || len(steps) == 0 || steps[len(steps)-1].Value != all.Promise.Quantity {
		t.Errorf("%d moves, promise %+v", moves, all.Promise)
	}

	// A limit leaves contributions out and no quantity.
	few, code := st.explain(t, "--limit", "1")
	if code != exitOK || len(few.Differences) > 0 || few.Before == 0 {
		t.Errorf("exit %d: %+v", code, few)
	}
	for i, l := range few.Locations {
		whole := all.Locations[i].Contributions
		if len(l.Contributions) > 1 || l.Earlier+len(l.Contributions) != len(whole) {
			t.Fatalf("%s: %d earlier and %d contributions of %d", l.Location, l.Earlier, len(l.Contributions), len(whole))
		}
		if n := len(whole); n > 0 && l.Contributions[0].Balance["on_hand"] != whole[n-1].Balance["on_hand"] {
			t.Errorf("%s: ends at %v, want %v", l.Location, l.Contributions[0].Balance, whole[n-1].Balance)
		}
	}

	at := all.Locations[0].Location
	one, code := st.explain(t, "--location", at)
	if code != exitOK || len(one.Locations) != 1 || one.Locations[0].Location != at {
		t.Errorf("exit %d: %+v", code, one.Locations)
	}

	// Before anything happened nothing stood there; now as much as does.
	for when, want := range map[string]string{"2020-01-01T00:00:00Z": "0", time.Now().UTC().Format(time.RFC3339Nano): all.Locations[0].States["on_hand"]} {
		past, code := st.explain(t, "--as-of", when, "--known-at", when)
		if code != exitOK || past.Promise != nil || past.AsOf == "" || len(past.Locations) == 0 || past.Locations[0].States["on_hand"] != want {
			t.Errorf("as of %s: exit %d: %+v", when, code, past)
		}
	}

	var out, errs bytes.Buffer
	if code := st.run(t.Context(), []string{"explain", "acme/SKU-1", "--known-at", "2020-01-01T00:00:00Z"}, &out, &errs); code != exitOK || !strings.Contains(out.String(), "with what came after") || strings.Contains(out.String(), "promised") {
		t.Errorf("exit %d: %s%s", code, out.String(), errs.String())
	}
	out.Reset()
	if code := st.run(t.Context(), []string{"explain", "acme/SKU-1"}, &out, &errs); code != exitOK || !strings.Contains(out.String(), "the contributions are the position") {
		t.Errorf("exit %d: %s%s", code, out.String(), errs.String())
	}
	for _, args := range [][]string{{}, {"SKU-1"}, {"acme/SKU-1", "--on", "tomorrow"}, {"acme/SKU-1", "--limit", "0"}, {"acme/SKU-1", "--as-of", "2020"}, {"acme/SKU-1", "--as-of", "2026-11-01T00:00:00Z", "--on", "2026-12-01"}} {
		if code := st.run(t.Context(), append([]string{"explain"}, args...), &out, &errs); code != exitMisuse {
			t.Errorf("%q: exit %d", args, code)
		}
	}
	if code := st.run(t.Context(), []string{"explain", "acme/NO-SUCH"}, &out, &errs); code != exitFailed {
		t.Errorf("unknown item: exit %d", code)
	}

	// A position that somebody else wrote is not the sum of what happened.
	codecs, err := loadCodecs(t.Context(), st.cfg.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	last := all.Locations[0]
	key := inventory.Key{Entity: "acme", Item: "SKU-1"}
	forged := inventory.Position{Key: key, Location: inventory.Location(at), Version: last.Version, Part: 1, Parts: 1}
	forged.States[inventory.Damaged] = 99 * inventory.One
	body, err := codecs.AppendPosition(nil, &forged)
	if err != nil {
		t.Fatal(err)
	}
	producer, err := stream.NewProducer(st.cfg.Kafka, stream.WithOwnPartition())
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	rec := &stream.Record{Topic: event.TopicPositions, Partition: all.Partition, Key: []byte(inventory.PositionKey(key, forged.Location)), Value: body}
	if err := producer.Produce(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	bad, code := st.explain(t)
	if code != exitFailed || !strings.Contains(strings.Join(bad.Differences, "\n"), "damaged adds up to 0, the position says 99") {
		t.Errorf("exit %d, differences %q", code, bad.Differences)
	}
}

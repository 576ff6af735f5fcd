package kill_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/simulate"
	"github.com/stockweave/stockweave/pkg/simulate/road"
	"github.com/stockweave/stockweave/test/fold"
)

// converge bounds how long the outside may still take once nothing is under way.
const converge = 30 * time.Second

// figures are what a run ends with, in a form that another run's compare to.
type figures struct {
	messages  []string          // by message: what its receipt says
	outcomes  map[string]string // by event id: the one that decided
	dead      map[string]int    // dead letters by code and reason, of distinct lines
	documents []string          // of the ERP
	values    []string          // of the channels
	kinds     map[string]int    // outcomes by kind, duplicates too
}

// ask asks for an item; the version is 0 without an answer.
func (w *world) ask(ctx context.Context, client *http.Client, item string) (status int, version int64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.door("atp-api")+"/v1/atp/"+item, http.NoBody)
	if err != nil {
		return 0, 0, err
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer resp.Body.Close()
	var a struct {
		Version int64 `json:"version"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		return 0, 0, err
	}
	return resp.StatusCode, a.Version, nil
}

// account checks the figures of a run at rest against the fold and against one
// another, and returns them.
func account(t *testing.T, w *world, d *delivery) *figures {
	t.Helper()
	want, err := fold.Fold(d.load.facts)
	if err != nil {
		t.Fatal(err)
	}
	f := &figures{outcomes: map[string]string{}, dead: map[string]int{}, kinds: map[string]int{}}
	f.lines(t, w, d)
	f.decided(t, w)
	stock(t, w, want)
	f.books(t, w, want, d.load.facts)
	f.shown(t, w, want)
	return f
}

// lines checks that no line of any message has vanished (Invariant 2).
func (f *figures) lines(t *testing.T, w *world, d *delivery) {
	t.Helper()
	w.tail.Lock()
	defer w.tail.Unlock()
	for _, id := range d.ids {
		r := w.tail.Receipts[id]
		if !r.Adds() {
			t.Errorf("message %s: %d lines, but %d events, %d rejected, %d parked, %d masters, %d milestones",
				id, r.Lines, len(r.EventIDs), r.Rejected, r.Parked, r.Masters, r.Milestones)
		}
		f.messages = append(f.messages, fmt.Sprintf("%s %d lines %v rejected %d parked %d masters %d milestones %d", r.Source, r.Lines, r.EventIDs, r.Rejected, r.Parked, r.Masters, r.Milestones))
	}
	// A message canonicalized twice has its dead letters twice, under one id.
	seen := map[string]bool{}
	mine := map[string]bool{}
	for _, id := range d.ids {
		mine[id] = true
	}
	for _, l := range w.tail.Dead {
		if l.Service != "canonicalizer" {
			t.Errorf("dead letter of %s: %s: %s", l.Service, l.Code, l.Reason)
		}
		if line := fmt.Sprintf("%s %d", l.RawID, l.Line); mine[l.RawID] && !seen[line] {
			seen[line] = true
			f.dead[l.Code+": "+l.Reason]++
		}
	}
}

// decided checks that every event has exactly one outcome that is no duplicate.
func (f *figures) decided(t *testing.T, w *world) {
	t.Helper()
	w.tail.Lock()
	defer w.tail.Unlock()
	for i := range w.tail.Outcomes {
		o := &w.tail.Outcomes[i]
		f.kinds[string(o.Kind)]++
		if o.Kind == inventory.Duplicate {
			continue
		}
		if was, twice := f.outcomes[o.EventID]; twice {
			t.Errorf("event %s was decided twice: %s and %s", o.EventID, was, o.Kind)
		}
		f.outcomes[o.EventID] = string(o.Kind)
	}
	for i := range w.tail.Events {
		if id := w.tail.Events[i].ID; f.outcomes[id] == "" {
			t.Errorf("event %s has no outcome", id)
		}
	}
	if f.kinds["conflict"] > 0 || f.kinds["rejected"] > 0 {
		t.Errorf("outcomes %v: the load has neither conflicts nor what the ledger rejects", f.kinds)
	}
}

// stock compares quantities, claims and ATP over HTTP with the fold.
func stock(t *testing.T, w *world, want map[fold.Place]fold.Figures) {
	t.Helper()
	client := &http.Client{Timeout: 5 * time.Second}
	checked := 0
	for i := range itemCount {
		var diff []string
		if !poll(t.Context(), converge, func() bool {
			diff = stockOf(t.Context(), w, client, sku(i), want, &checked)
			return len(diff) == 0
		}) {
			t.Errorf("%s:\n%s", sku(i), strings.Join(diff, "\n"))
		}
	}
	if checked != len(want) {
		t.Errorf("%d places compared, the fold has %d", checked, len(want))
	}
}

func stockOf(ctx context.Context, w *world, client *http.Client, item string, want map[fold.Place]fold.Figures, checked *int) (diff []string) {
	a, err := road.Ask(ctx, client, w.door("atp-api"), inventory.Key{Entity: "acme", Item: inventory.Item(item)})
	if err != nil {
		return []string{err.Error()}
	}
	n := 0
	for _, l := range a.Locations {
		f, ok := want[fold.Place{Item: item, Location: l.Location}]
		if !ok {
			diff = append(diff, l.Location+" is not expected")
			continue
		}
		n++
		for what, pair := range map[string][2]string{
			"on_hand": {l.States["on_hand"], fold.Text(f.OnHand)}, "picked": {l.States["picked"], fold.Text(f.Picked)},
			"damaged": {l.States["damaged"], fold.Text(f.Damaged)}, "quarantine": {l.States["quarantine"], fold.Text(f.Quarantine)},
			"returned": {l.States["returned"], fold.Text(f.Returned)}, "in_transit": {l.States["in_transit"], "0"},
			"reserved": {l.Reserved, fold.Text(f.Reserved)}, "atp": {l.ATP, fold.Text(f.ATP(safetyOf(item, l.Location)))},
		} {
			if pair[0] != pair[1] {
				diff = append(diff, fmt.Sprintf("%s at %s is %s, expected %s", what, l.Location, pair[0], pair[1]))
			}
		}
	}
	if len(diff) == 0 {
		*checked += n
	}
	return diff
}

func safetyOf(item, location string) int64 {
	if item == sku(0) && location == "DC1" {
		return fold.Whole(safety)
	}
	return 0
}

// books checks that the ERP has each planned document once, posted, and that its
// balances are those of the fold; the set of documents is for the comparison.
func (f *figures) books(t *testing.T, w *world, want map[fold.Place]fold.Figures, facts []fold.Fact) {
	t.Helper()
	w.tail.Lock()
	planned := maps.Clone(w.tail.Postings)
	for id, r := range w.tail.Results {
		if r.Status == event.PostFailed {
			t.Errorf("posting %s failed: %s: %s", id, r.Code, r.Reason)
		}
	}
	w.tail.Unlock()
	docs := w.erp.Documents("")
	seen := map[string]bool{}
	for i := range docs {
		doc := &docs[i]
		if doc.State != simulate.ERPPosted {
			t.Errorf("document %s of posting %s is %s", doc.Number, doc.Reference, doc.State)
		}
		if seen[doc.Reference] {
			t.Errorf("posting %s has more than one document", doc.Reference)
		}
		seen[doc.Reference] = true
		if _, ok := planned[doc.Reference]; !ok {
			t.Errorf("document %s has reference %q, which nobody planned", doc.Number, doc.Reference)
		}
		for _, l := range doc.Lines {
			f.documents = append(f.documents, fmt.Sprintf("%s %s %s %s→%s %s on %s", doc.Reference, doc.Type, l.Item, l.From, l.To, l.Amount, doc.Date))
		}
	}
	slices.Sort(f.documents)
	if len(docs) != len(planned) {
		t.Errorf("%d documents for %d postings", len(docs), len(planned))
	}

	opening := map[fold.Place]int64{} // the ERP had it before us
	for _, x := range facts {
		if x.Kind == fold.Opening {
			opening[fold.Place{Item: x.Item, Location: x.Location}] += x.Qty
		}
	}
	for at, x := range want {
		for place, q := range map[string]int64{
			at.Location: x.OnHand - opening[at], at.Location + "/returned": x.Returned, at.Location + "/picked": x.Picked,
		} {
			if got := w.erp.Quantity(at.Item, place).String(); got != fold.Text(q) {
				t.Errorf("the ERP has %s of %s at %s, expected %s", got, at.Item, place, fold.Text(q))
			}
		}
	}
}

// shown compares what the channels show with the fold: the webshop sells both
// sites' less 2, the market half of DC1's in sixes, 60 at most.
func (f *figures) shown(t *testing.T, w *world, want map[fold.Place]fold.Figures) {
	t.Helper()
	atp := func(item, location string) int64 {
		return want[fold.Place{Item: item, Location: location}].ATP(safetyOf(item, location))
	}
	expected := map[string]string{}
	for i := range itemCount {
		item := sku(i)
		web := max(0, atp(item, "DC1")+atp(item, "DC2")-fold.Whole(2))
		market := min(atp(item, "DC1")/2, fold.Whole(60))
		expected["webshop "+item] = fold.Text(web)
		expected["market "+item] = fold.Text(market - market%fold.Whole(6))
	}
	var got map[string]string
	if !poll(t.Context(), converge, func() bool {
		got = w.values()
		return maps.Equal(got, expected)
	}) {
		for key, q := range expected {
			if got[key] != q {
				t.Errorf("%s shows %q, expected %s", key, got[key], q)
			}
		}
	}
	for key, q := range got {
		f.values = append(f.values, key+" "+q)
	}
	slices.Sort(f.values)
}

func (w *world) values() map[string]string {
	all := map[string]string{}
	for name, c := range w.channels {
		for _, v := range c.Values() {
			all[name+" "+v.Listing] = v.Quantity
		}
	}
	return all
}

// equal compares the figures of two runs. Only how often something came may
// differ.
func (f *figures) equal(t *testing.T, other *figures) {
	t.Helper()
	difference(t, "receipts", f.messages, other.messages)
	difference(t, "ERP documents", f.documents, other.documents)
	difference(t, "channel values", f.values, other.values)
	if !maps.Equal(f.outcomes, other.outcomes) {
		for id, kind := range f.outcomes {
			if other.outcomes[id] != kind {
				t.Errorf("event %s is %s and %q", id, kind, other.outcomes[id])
			}
		}
		t.Errorf("%d and %d events decided", len(f.outcomes), len(other.outcomes))
	}
	if !maps.Equal(f.dead, other.dead) {
		t.Errorf("dead letters %v and %v", f.dead, other.dead)
	}
}

func difference(t *testing.T, what string, a, b []string) {
	t.Helper()
	if slices.Equal(a, b) {
		return
	}
	t.Errorf("%s differ: %d and %d", what, len(a), len(b))
	for i := 0; i < max(len(a), len(b)); i++ {
		if i >= len(a) || i >= len(b) || a[i] != b[i] {
			t.Logf("first difference, at %d: %q and %q", i, a[i:min(i+1, len(a))], b[i:min(i+1, len(b))])
			return
		}
	}
}

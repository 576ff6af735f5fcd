package atp

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// compared is a policy under which the warehouse owns stock and two ERPs are compared
// with it.
func compared() inventory.Policy {
	alert := inventory.Alert{Quantity: inventory.One}
	return inventory.Policy{Version: 1, Authority: inventory.AuthorityPolicy{
		Owners:  []inventory.Owner{{Balance: []inventory.Source{"wms"}, Moves: []inventory.Source{"wms"}}},
		Compare: []inventory.Comparison{{Source: "erp", Alert: alert}, {Source: "erp2", Alert: alert}},
	}}
}

// claims is what a system says it holds as of a time.
func claims(by inventory.Source, number string, asOf inventory.Instant, q inventory.Quantity) *inventory.Event {
	d := inventory.Document{Type: "stock", Number: number, Line: "1"}
	return &inventory.Event{
		ID: event.EventID(by, d), Kind: inventory.KindCount, Key: key, Source: by, Document: d,
		OccurredAt: asOf, OccurredBasis: inventory.BasisDocument, ReceivedAt: asOf,
		Count: &inventory.Count{
			Location: "DC1", Basis: inventory.Sellable, Covers: []inventory.Account{inventory.OnHand}, AsOf: asOf, AsOfBasis: inventory.BasisDocument,
			Balances: []inventory.StateBalance{{State: inventory.OnHand, Quantity: q}},
		},
	}
}

// variancesTold is what the metrics say at a time: of each source how many are open and
// for how many seconds, in the order of names.
func variancesTold(t *testing.T, v *variances, now inventory.Instant) string {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(v.metrics(
		func() []inventory.Source { return []inventory.Source{"erp", "erp2", "erp"} }, // of two locations
		func() time.Time { return time.UnixMilli(int64(now)) },
	))
	return gatheredVariances(t, reg)
}

func gatheredVariances(t *testing.T, reg prometheus.Gatherer) (told string) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]map[string]float64{}
	var sources []string
	for _, f := range families {
		values[f.GetName()] = map[string]float64{}
		for _, m := range f.GetMetric() {
			if f.GetName() == "stockweave_atp_variances_open" {
				sources = append(sources, m.GetLabel()[0].GetValue())
			}
			if len(m.GetLabel()) > 0 {
				values[f.GetName()][m.GetLabel()[0].GetValue()] = m.GetGauge().GetValue()
			}
		}
	}
	for _, s := range sources {
		told += fmt.Sprintf("%s %v for %v; ", s, values["stockweave_atp_variances_open"][s], values["stockweave_atp_variances_oldest_seconds"][s])
	}
	return told
}

func (w *oneKey) wantVariances(what string, r *reminders, now inventory.Instant, want string) {
	w.t.Helper()
	if got := variancesTold(w.t, &r.variances, now); got != want {
		w.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// A variance is open from the commit that alerts it to the one that clears it, once,
// since the first snapshot that differed, over restarts and whoever owns the partition.
func TestOpenVariancesAreMeasured(t *testing.T) {
	const min = inventory.Instant(60_000)
	at := func(m inventory.Instant) inventory.Instant { return oneKeyAt + m*min }
	w := newOneKey(t, key, compared())
	w.wantVariances("of nothing", w.proc.remind, at(0), "erp 0 for 0; erp2 0 for 0; ")
	w.commit(at(0), receipt("R1", 10*inventory.One))
	w.commit(at(1), claims("erp", "1", at(1), 10*inventory.One))
	w.wantVariances("they agree", w.proc.remind, at(1), "erp 0 for 0; erp2 0 for 0; ")
	w.commit(at(2), claims("erp", "2", at(2), 7*inventory.One))
	w.wantVariances("at once", w.proc.remind, at(2), "erp 1 for 0; erp2 0 for 0; ")
	w.commit(at(9), claims("erp", "3", at(9), 6*inventory.One))
	w.commit(at(10), receipt("R1", 10*inventory.One)) // a repeat
	w.wantVariances("again", w.proc.remind, at(12), "erp 1 for 600; erp2 0 for 0; ")
	w.wantVariances("after a restart", w.restored(), at(12), "erp 1 for 600; erp2 0 for 0; ")
	w.commit(at(11), claims("erp2", "1", at(11), inventory.One))
	w.wantVariances("of two systems", w.proc.remind, at(12), "erp 1 for 600; erp2 1 for 60; ")

	w.divert(at(12), claims("erp", "4", at(12), 10*inventory.One))
	w.wantVariances("its end was aborted", w.proc.remind, at(12), "erp 1 for 600; erp2 1 for 60; ")
	w.commit(at(13), claims("erp", "5", at(13), 10*inventory.One))
	w.wantVariances("cleared", w.proc.remind, at(13), "erp 0 for 0; erp2 1 for 120; ")
	w.wantVariances("cleared, after a restart", w.restored(), at(13), "erp 0 for 0; erp2 1 for 120; ")
	w.divert(at(14), claims("erp", "6", at(14), inventory.One))
	w.wantVariances("its begin was aborted", w.proc.remind, at(14), "erp 0 for 0; erp2 1 for 180; ")
	w.commit(at(15), claims("erp", "7", at(15), inventory.One))
	w.wantVariances("begun anew", w.proc.remind, at(16), "erp 1 for 60; erp2 1 for 300; ")

	r := w.proc.remind // the session is opened anew, and nothing was taken away
	r.Owned(0, func(func(string, []byte) bool) {})
	w.wantVariances("owned with another state", r, at(16), "erp 0 for 0; erp2 0 for 0; ")
	r.Owned(0, w.st.Each)
	w.wantVariances("owned again", r, at(16), "erp 1 for 60; erp2 1 for 300; ")
	r.Owned(1, func(func(string, []byte) bool) {})
	r.variances.stage(1, "acme|other|v|erp|DC1", &inventory.View{Source: "erp", Variance: &inventory.Variance{Alert: true, Streak: inventory.Streak{Since: at(4)}}})
	w.wantVariances("not committed yet", r, at(16), "erp 1 for 60; erp2 1 for 300; ")
	r.Settled(true)
	w.wantVariances("of two partitions", r, at(16), "erp 2 for 720; erp2 1 for 300; ")
	w.decide(at(17), claims("erp", "8", at(17), 10*inventory.One))
	r.Disowned(0)
	r.Settled(true) // too late: it is another's
	w.wantVariances("another's", r, at(16), "erp 1 for 720; erp2 0 for 0; ")
	w.decide(at(18), claims("erp", "9", at(18), inventory.One))
	r.Settled(true)
	w.wantVariances("still another's", r, at(16), "erp 1 for 720; erp2 0 for 0; ")
}

// Whatever opens and closes, the metrics are those of a plain count.
func TestVariancesAreThoseOfAPlainCount(t *testing.T) {
	type open struct {
		source inventory.Source
		since  inventory.Instant
	}
	const now = oneKeyAt
	rng := rand.New(rand.NewPCG(7, 7))
	var v variances
	plain, staged := map[string]open{}, map[string]open{}
	v.owned(0)
	for n := range 20_000 {
		item := rng.IntN(200)
		source := inventory.Source(fmt.Sprint("erp-", item%3))
		k := fmt.Sprint("acme|", item, "|v|", source, "|DC1")
		view := &inventory.View{Source: source}
		if since := now - 1000*inventory.Instant(rng.IntN(1000)); rng.IntN(2) == 0 {
			view.Variance = &inventory.Variance{Alert: true, Streak: inventory.Streak{Since: since}}
			staged[k] = open{source, since}
		} else {
			view.Variance = &inventory.Variance{Streak: inventory.Streak{Since: since}} // too little to be alerted
			staged[k] = open{}
		}
		v.stage(0, k, view)
		if rng.IntN(4) > 0 {
			continue
		}
		commit := rng.IntN(3) > 0
		v.settled(commit)
		for k, x := range staged {
			switch {
			case !commit:
			case x.source == "":
				delete(plain, k)
			default:
				plain[k] = x
			}
		}
		clear(staged)
		want := map[inventory.Source]sourceVariances{}
		for _, x := range plain {
			s := want[x.source]
			if s.n == 0 || x.since < s.since {
				s.since = x.since
			}
			s.n++
			want[x.source] = s
		}
		for source, got := range v.bySource() {
			if got != want[source] {
				t.Fatalf("after %d changes %s has %+v, want %+v", n, source, got, want[source])
			}
			delete(want, source)
		}
		if len(want) > 0 {
			t.Fatalf("after %d changes nothing is told of %v", n, want)
		}
	}
}

package atp

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
)

func TestFrozenKeysAreMeasured(t *testing.T) {
	r := newReminders(event.TestCodecs(), nil)
	reg := prometheus.NewRegistry()
	reg.MustRegister(r.frozenMetrics(func() time.Time { return time.UnixMilli(100_000) })...)
	want := func(keys, age float64) {
		t.Helper()
		families, err := reg.Gather()
		if err != nil || len(families) != 2 {
			t.Fatalf("%d metrics, %v", len(families), err)
		}
		for i, w := range []float64{age, keys} { // by name
			if got := families[i].GetMetric()[0].GetGauge().GetValue(); got != w {
				t.Errorf("%s is %v, want %v", families[i].GetName(), got, w)
			}
		}
	}
	want(0, 0)
	r.froze(0, keyOf(1), 40_000)
	r.froze(1, keyOf(2), 20_000)
	r.froze(1, keyOf(3), 90_000)
	want(3, 80)
	r.froze(1, keyOf(2), 0)
	want(2, 60)
	r.Disowned(0)
	want(1, 10)
	r.froze(2, keyOf(9), 0)
	want(1, 10)
}

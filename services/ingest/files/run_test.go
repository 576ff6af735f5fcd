package files

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/stockweave/stockweave/pkg/policy"
)

// A folder that cannot be reached is tried again, less and less often; in a maintenance
// window it is left alone.
func TestRunWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, policy.FormatJSON)
		r.pickup.Poll = policy.Poll{
			Every: time.Minute, Retry: policy.Retry{First: time.Second, Most: 8 * time.Second},
			Closed: []policy.Closed{{From: "00:01", Until: "03:00"}},
		}
		began := time.Now() // midnight, UTC
		var tried []time.Duration
		f := r.feed()
		f.Now = time.Now
		open := f.Open
		f.Open = func(ctx context.Context) (Folder, error) {
			if tried = append(tried, time.Since(began)); len(tried) <= 5 {
				return nil, errors.New("away")
			}
			return open(ctx)
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- f.Run(ctx) }()
		time.Sleep(3*time.Hour + 90*time.Second)
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		want := []time.Duration{0, time.Second, 3 * time.Second, 7 * time.Second, 15 * time.Second, 23 * time.Second, 3 * time.Hour, 3*time.Hour + time.Minute}
		for i, w := range want {
			if i >= len(tried) || tried[i] != w {
				t.Fatalf("tried after %v, want %v", tried, want)
			}
		}
		if len(tried) != len(want) {
			t.Errorf("tried after %v, want %v", tried, want)
		}
		if n := testutil.ToFloat64(r.metrics.rounds.WithLabelValues("wms", codeFolder)); n != 5 {
			t.Errorf("%v rounds failed", n)
		}
	})
}

package pull

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
)

// tardy is a log whose appends take a while, and end with their context.
type tardy struct {
	log
	takes time.Duration
}

func (s *tardy) Append(ctx context.Context, raws []*event.RawMessage) error {
	if err := Sleep(ctx, s.takes); err != nil {
		return err
	}
	return s.log.Append(ctx, raws)
}

// A feed that is to end while the log takes a page ends behind the cursor of that page:
// whoever goes on appends nothing again. It does not wait for a log that is away.
func TestEndsBehindItsPage(t *testing.T) {
	for _, c := range []struct {
		takes, ends time.Duration
		appended    int
	}{{2 * time.Second, 2 * time.Second, 1}, {time.Hour, time.Second + unitGrace, 0}} {
		synctest.Test(t, func(t *testing.T) {
			l := &tardy{takes: c.takes}
			a := &pages{answer: func(int, string) (Page, error) { return page("next", true, "a") }}
			f := feed(a, &l.log, policy.Poll{})
			f.Append = l
			began := time.Now()
			play(t, f, time.Second)
			if took := time.Since(began); took != c.ends {
				t.Errorf("it ended after %s, want %s", took, c.ends)
			}
			_, saved := l.values[f.Key]
			if len(l.did) != 2*c.appended || saved != (c.appended > 0) {
				t.Errorf("%q", l.did)
			}
		})
	}
}

// A feed that has ended shows nothing: its source is asked by somebody else, or by nobody.
func TestForgetsItsGauges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f *Feed
		shown := 0
		f = feed(&pages{answer: func(int, string) (Page, error) {
			shown = testutil.CollectAndCount(f.Metrics.last)
			return page("end", false, "a")
		}}, &log{}, policy.Poll{Every: time.Minute})
		play(t, f, 90*time.Second)
		if n := testutil.CollectAndCount(f.Metrics.last) + testutil.CollectAndCount(f.Metrics.down); shown != 1 || n != 0 {
			t.Errorf("%d gauges are shown, %d while it ran", n, shown)
		}
	})
}

package files

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/stockweave/stockweave/pkg/event"
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
		go func() { done <- f.Run(ctx, ctx) }()
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

// A feed that has ended shows nothing: another replica, or nobody, looks at its folder.
func TestRunForgetsItsGauges(t *testing.T) {
	r := newRig(t, policy.FormatCSV)
	r.put("a", "head\n1\n")
	ctx, stop := context.WithCancel(t.Context())
	r.onRead = func(string) {
		if testutil.CollectAndCount(r.metrics.here) != 1 {
			t.Error("what waits is not shown")
		}
		stop()
	}
	if err := r.feed().Run(ctx, ctx); err != nil {
		t.Error(err)
	}
	if n := testutil.CollectAndCount(r.metrics.here) + testutil.CollectAndCount(r.metrics.oldest); n != 0 {
		t.Errorf("%d gauges are shown", n)
	}
}

// A feed whose settings are no more finishes the file it has claimed and takes no other.
// What it cannot finish it leaves, and says so, and so does who finds it.
func TestRunEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, policy.FormatCSV)
		r.pickup.Poll = policy.Poll{Retry: policy.Retry{First: time.Second, Most: time.Minute}}
		r.put("a", "head\n1\n2\n3\n")
		r.put("b", "head\n1\n")
		until, stop := context.WithCancel(t.Context())
		var text strings.Builder
		run := func(failing int) time.Duration {
			f := r.feed()
			f.Place, f.Log = "here", slog.New(slog.NewTextHandler(&text, nil))
			r.onRead = func(string) {
				stop() // while a is claimed
				if failing--; failing >= 0 {
					r.fate = &fate{at: 1}
					return
				}
				r.fate = nil
			}
			began := time.Now()
			if err := f.Run(t.Context(), until); err != nil {
				t.Error(err)
			}
			return time.Since(began)
		}
		// Five tries once it is to end.
		if took := run(100); took != (1+2+4+8)*time.Second {
			t.Errorf("it gave up after %s", took)
		}
		r.want("claimed", "a")
		if !strings.Contains(text.String(), codeLeft) {
			t.Error("it does not say that it left a file")
		}
		run(0)
		r.want("claimed")
		r.want("done", "a")
		r.want("", "b")
	})
}

// Of several files that are ready the one in hand is the last one, when the settings end
// while it is taken.
func TestRunTakesNoOtherWhenItEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, policy.FormatCSV)
		r.put("a", "head\n1\n")
		r.put("b", "head\n1\n")
		until, stop := context.WithCancel(t.Context())
		r.onRead = func(name string) {
			if strings.HasSuffix(name, "/a") && until.Err() == nil {
				stop()
			}
		}
		f := r.feed()
		if err := f.Run(t.Context(), until); err != nil {
			t.Error(err)
		}
		r.want("claimed")
		r.want("done", "a")
		r.want("", "b")
	})
}

// stopping is an Appender of a process that is told to end while it appends.
type stopping struct {
	*rig
	stop func()
}

func (s stopping) Append(ctx context.Context, raws []*event.RawMessage) error {
	s.stop()
	return s.rig.Append(ctx, raws)
}

// A feed that is to end at once, because its process does or another replica goes on,
// ends behind the parts in hand, not behind the file.
func TestRunEndsInTheMiddleOfAFile(t *testing.T) {
	r := newRig(t, policy.FormatCSV)
	r.put("a", "head\n"+strings.Repeat("1\n", 10*groupParts*r.pickup.PartRows))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	f := r.feed()
	f.Append = stopping{r, stop}
	if err := f.Run(ctx, ctx); err != nil {
		t.Error(err)
	}
	if len(r.log) != groupParts {
		t.Errorf("%d parts were appended, want %d", len(r.log), groupParts)
	}
	r.want("claimed", "a")
	r.rounds(1)
	r.want("done", "a")
	if n := len(r.log); n != 10*groupParts {
		t.Errorf("%d parts in all, want %d", n, 10*groupParts)
	}
}

// Another folder than the one a file was begun in.
func TestRunFindsThatAFileIsElsewhere(t *testing.T) {
	r := newRig(t, policy.FormatCSV)
	ended, stop := context.WithCancel(t.Context())
	stop()
	for _, place := range []string{"here", "there"} {
		f := r.feed()
		f.Place = place
		if err := r.Save(t.Context(), f.Key, []byte(`{"name":"a","file":"x","part":1,"place":"here"}`)); err != nil {
			t.Fatal(err)
		}
		if err := f.Run(t.Context(), ended); err != nil {
			t.Error(err)
		}
		want := 0.0
		if place == "there" {
			want = 1
		}
		if n := testutil.ToFloat64(r.metrics.files.WithLabelValues("wms", codeLeft)); n != want {
			t.Errorf("%s: %v files are said to be left", place, n)
		}
	}
}

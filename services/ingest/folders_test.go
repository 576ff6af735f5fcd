package ingest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/follow"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/ingest/cursor"
)

// dropped is a service that takes files, as its policies say.
type dropped struct {
	t       *testing.T
	codecs  *event.Codecs
	live    *follow.Sources[*way]
	cursors cursor.Memory
	listed  int64

	mu    sync.Mutex
	rows  []string // that the log has
	hold  chan struct{}
	stuck chan struct{} // gets one where a write to the log waits for hold
}

func (d *dropped) produce(_ context.Context, recs ...*stream.Record) error {
	d.mu.Lock()
	hold := d.hold
	d.mu.Unlock()
	if hold != nil {
		d.stuck <- struct{}{}
		<-hold
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range recs {
		var raw event.RawMessage
		if err := d.codecs.DecodeRaw(r.Value, &raw); err != nil {
			d.t.Error(err)
		}
		d.rows = append(d.rows, strings.Fields(string(raw.Body))...)
	}
	return nil
}

// block lets the log wait; the function returned lets it go on.
func (d *dropped) block() func() {
	d.mu.Lock()
	defer d.mu.Unlock()
	hold := make(chan struct{})
	d.hold = hold
	return func() {
		d.mu.Lock()
		d.hold = nil
		d.mu.Unlock()
		close(hold)
	}
}

func (d *dropped) took() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := d.rows
	d.rows = nil
	return out
}

func (d *dropped) apply(name string, version int64, content []byte) {
	d.t.Helper()
	value, err := d.codecs.AppendPolicy(nil, &event.PolicyContent{Name: name, Version: version, Content: content})
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.live.Apply(&stream.Record{Key: []byte(name), Value: value}); err != nil {
		d.t.Fatal(err)
	}
}

// publish makes a version of the source with a transport; list puts versions in force.
func (d *dropped) publish(version int64, transport string) {
	d.t.Helper()
	dir := filepath.Join(d.t.TempDir(), "sources")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		d.t.Fatal(err)
	}
	file := filepath.Join(dir, "wms.yaml")
	text := "name: wms\nentity: acme\nformat: csv\nmapping_version: \"1\"\nmapping: \"[]\"\ntransport:\n  files:\n    " + transport + "\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	src, err := policy.LoadSource(file)
	if err != nil {
		d.t.Fatal(err)
	}
	content, _, err := policy.EncodeSource(src)
	if err != nil {
		d.t.Fatal(err)
	}
	d.apply(policy.SourcePrefix+"wms", version, content)
	d.list(map[inventory.Source]int64{"wms": version})
}

func (d *dropped) list(versions map[inventory.Source]int64) {
	d.t.Helper()
	list, _, err := policy.EncodeSources(versions)
	if err != nil {
		d.t.Fatal(err)
	}
	d.listed++
	d.apply(policy.SourcesName, d.listed, list)
}

// table is a file of so many rows, each of a word; its header is one more.
func table(name string, rows int) (text string, words []string) {
	text, words = "head\n", []string{"head"}
	for i := range rows {
		words = append(words, fmt.Sprintf("%s%d", name, i))
		text += words[i+1] + "\n"
	}
	return text, words
}

// Each row once: a part repeats the header of its table.
func onceEach(got, want []string) bool {
	got = slices.DeleteFunc(got, func(w string) bool { return w == "head" })
	return slices.Equal(got, want[1:])
}

// A folder follows the policies: a file that is half read when they change is read to
// its end, no row lost and none twice.
func TestFoldersFollowPolicies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := &dropped{t: t, codecs: event.TestCodecs(), stuck: make(chan struct{}, 100)}
		env := service.Env{Log: slog.New(slog.DiscardHandler), Now: time.Now}
		cfg := Config{Codecs: d.codecs, Getenv: func(string) string { return "" }}
		recv := &receiver{
			codecs: d.codecs, log: env.Log, now: env.Now, produce: d.produce, gate: &gate{now: env.Now}, wait: time.Hour,
			took: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "t"}),
		}
		p, err := newPorter(&policy.Set{}, nil, nil, env.Log, env.Now)
		if err != nil {
			t.Fatal(err)
		}
		f, err := newFetcher(&cfg, env, recv, &d.cursors, nil)
		if err != nil {
			t.Fatal(err)
		}
		c := newCrew(cfg.Kafka, env.Log)
		if d.live, err = followed(&cfg, env, nil, p, f, c); err != nil {
			t.Fatal(err)
		}
		d.live.Loaded()
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() { c.tend(ctx, func(*work) bool { return true }); close(over) }()
		defer func() { cancel(); <-over }()

		a, b := t.TempDir(), t.TempDir()
		in := func(dir string) string {
			return "{dir: " + dir + ", pickup: {ready: rename, part_rows: 2, poll: {every: 10s}}}"
		}
		put := func(dir, name string, rows int) []string {
			t.Helper()
			text, words := table(name, rows)
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			return words
		}
		expect := func(step string, want ...[]string) {
			t.Helper()
			synctest.Wait()
			all := []string{"head"}
			for _, w := range want {
				all = append(all, w[1:]...)
			}
			if got := d.took(); !onceEach(got, all) {
				t.Errorf("%s: the log got %q, want %q", step, got, all[1:])
			}
		}
		wait := func() { time.Sleep(11 * time.Second) }

		d.publish(1, in(a))
		first := put(a, "first", 100)
		wait()
		expect("a source that is new begins without a restart", first)

		// Another folder, while a file is half read.
		second, left := put(a, "second", 100), put(a, "then", 3)
		release := d.block()
		<-d.stuck
		d.publish(2, in(b))
		third := put(b, "third", 3)
		wait()
		expect("the unit of work is not over")
		release()
		wait()
		expect("the file is read to its end, and the next one in the new folder", second, third)
		if _, err := os.Stat(filepath.Join(a, "then")); err != nil {
			t.Error("a file that was not claimed has gone:", err)
		}
		if now, _ := os.ReadDir(filepath.Join(a, "claimed")); len(now) != 0 {
			t.Errorf("left in claimed: %v", now)
		}

		d.publish(3, "{dir_env: MISSING}")
		fourth := put(b, "fourth", 3)
		wait()
		expect("a broken one: the one before goes on", fourth)
		if why := d.live.Refused()["wms"]; !strings.Contains(why, "MISSING") {
			t.Errorf("refused: %v", d.live.Refused())
		}

		d.publish(4, "{dir: "+b+", pickup: {ready: rename, part_rows: 2, poll: {every: 1h}}}")
		synctest.Wait()
		fifth := put(b, "fifth", 3)
		time.Sleep(50 * time.Minute)
		expect("the interval is the new one")
		time.Sleep(11 * time.Minute)
		expect("and then", fifth)

		// Taken off, while a file is half read; then let in again as it was.
		d.publish(5, in(b))
		sixth := put(b, "sixth", 100)
		release = d.block()
		<-d.stuck
		d.list(map[inventory.Source]int64{})
		release()
		wait()
		expect("what was claimed is read to its end", sixth)
		seventh := put(b, "seventh", 3)
		time.Sleep(time.Hour)
		expect("what is taken off is not looked at")
		d.list(map[inventory.Source]int64{"wms": 5})
		wait()
		expect("let in again", seventh)

		d.publish(6, in(a))
		wait()
		expect("the folder of before", left)
	})
}

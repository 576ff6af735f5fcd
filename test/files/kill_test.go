package files_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/test/harness"
	"github.com/stockweave/stockweave/test/stack"
)

const (
	lines      = 200_000
	partitions = 3
	limit      = 3 * time.Minute
)

func TestMain(m *testing.M) { os.Exit(harness.CrashMain(m)) }

// A world is a folder, an SFTP server, and the services up to the events.
type world struct {
	*stack.Stack
	t    *testing.T
	ssh  *harness.SSHServer
	dirs map[string]string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, ssh: harness.SSH(t), dirs: map[string]string{}}
	for _, name := range []string{"items", "places", "local", "remote"} {
		w.dirs[name] = t.TempDir()
	}
	env := map[string]string{"PARTNER_SSH_KEY": w.ssh.Key, "PARTNER_SSH_HOST": w.ssh.Addr()}
	sftp := fmt.Sprintf("  sftp:\n    host_env: PARTNER_SSH_HOST\n    user: %s\n    key_env: PARTNER_SSH_KEY\n    host_keys: [%q]\n    dir: %s\n",
		w.ssh.User, w.ssh.HostKey, w.dirs["remote"])
	w.Stack = stack.New(t, stack.Options{Partitions: partitions, Policies: policies(t, w.dirs, sftp), Env: env})
	w.Start(t, "ingest", "canonicalizer", "atp")
	var items strings.Builder
	items.WriteString("item\n")
	for i := range 20 {
		fmt.Fprintf(&items, "SKU-%d\n", i)
	}
	write(t, filepath.Join(w.dirs["items"], "items.csv"), items.String())
	write(t, filepath.Join(w.dirs["places"], "places.csv"), "location\nDC1\n")
	w.until("the masters are not there", func() bool { return w.done("items") == 1 && w.done("places") == 1 })
	w.Rest(t, limit, []stack.Reader{{Group: "canonicalizer", Topic: event.TopicRaw}})
	return w
}

func (w *world) until(not string, yes func() bool) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-ctx.Done():
			w.t.Fatal(not)
		case <-tick.C:
		}
	}
}

func (w *world) list(name, dir string) int {
	w.t.Helper()
	list, err := os.ReadDir(filepath.Join(w.dirs[name], dir))
	if err != nil && !os.IsNotExist(err) {
		w.t.Fatal(err)
	}
	return len(list)
}

func (w *world) done(name string) int { return w.list(name, "done") }

// strike ends ingest at a point, n times past.
func (w *world) strike(point string, n int) {
	w.t.Helper()
	w.Process("ingest").Strike(w.t, point, n, limit)
}

// audit makes sure that each line of a source is one event, and returns how many
// records there are of them.
func (w *world) audit(source inventory.Source, want int) (records int) {
	w.t.Helper()
	reads, err := stream.NewRestoreReads(w.Stream())
	if err != nil {
		w.t.Fatal(err)
	}
	defer reads.Close()
	type line struct {
		id  string
		qty inventory.Quantity
	}
	lines, ids := map[int]line{}, map[string]int{}
	for p := range int32(partitions) {
		_, err := reads.Fold(w.t.Context(), event.TopicEvents, p, func(rec *stream.Record) error {
			var ev inventory.Event
			if err := w.Codecs.DecodeEvent(rec.Value, &ev); err != nil {
				return err
			}
			if ev.Source != source {
				return nil
			}
			records++
			n, err := strconv.Atoi(ev.Attributes[0].Value)
			if err != nil {
				return err
			}
			it := line{ev.ID, ev.Movement.Quantity}
			if was, known := lines[n]; known && was != it {
				w.t.Errorf("line %d is two events: %v, %v", n, was, it)
			}
			if was, known := ids[ev.ID]; known && was != n {
				w.t.Errorf("lines %d and %d are one event", n, was)
			}
			lines[n], ids[ev.ID] = it, n
			if w := inventory.Quantity(1+n%7) * inventory.One; it.qty != w {
				return fmt.Errorf("line %d has quantity %s, want %s", n, it.qty, w)
			}
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	if len(lines) != want || len(ids) != want {
		w.t.Errorf("%s: %d lines in %d events, want %d", source, len(lines), len(ids), want)
	}
	for n := range want {
		if _, there := lines[n]; !there {
			w.t.Fatalf("%s: line %d is missing", source, n)
		}
	}
	return records
}

// applied makes sure that the ledger has applied each line of a source once, and returns
// how many records it knew already.
func (w *world) applied(source inventory.Source, want int) (duplicates int) {
	w.t.Helper()
	reads, err := stream.NewRestoreReads(w.Stream())
	if err != nil {
		w.t.Fatal(err)
	}
	defer reads.Close()
	times := make(map[string]int, want)
	for p := range int32(partitions) {
		_, err := reads.Fold(w.t.Context(), event.TopicOutcomes, p, func(rec *stream.Record) error {
			var o inventory.Outcome
			if err := w.Codecs.DecodeOutcome(rec.Value, &o); err != nil {
				return err
			}
			switch {
			case o.Source != source:
			case o.Kind == inventory.Applied:
				if times[o.EventID]++; times[o.EventID] == 2 {
					w.t.Errorf("%s was applied twice", o.EventID)
				}
			case o.Kind == inventory.Duplicate:
				duplicates++
			default:
				w.t.Errorf("%s: %v %v", o.EventID, o.Kind, o.Codes)
			}
			return nil
		})
		if err != nil {
			w.t.Fatal(err)
		}
	}
	if len(times) != want {
		w.t.Errorf("%s: %d of %d lines were applied", source, len(times), want)
	}
	return duplicates
}

func TestKillNine(t *testing.T) {
	each := 1
	if os.Getenv("STOCKWEAVE_FAULTS") == "long" {
		each = 5
	}
	w := newWorld(t)
	for _, name := range []string{"local", "remote"} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			w.t = t
			w.Process("ingest").Kill9()
			// Two files, so that points are met between and within them.
			write(t, filepath.Join(w.dirs[name], "a.csv"), table(0, lines*3/4))
			write(t, filepath.Join(w.dirs[name], "b.csv"), table(lines*3/4, lines-lines*3/4))
			crashes := 0
			strike := func(point string, n int) { w.strike(point, n); crashes++ }
			strike("files_claimed", 1)
			for i := range each {
				strike("files_appended", 1+i)
				strike("files_saved", 2+i%2)
				strike("files_appended", 1)
			}
			if w.list(name, "claimed") != 1 || w.done(name) != 0 {
				t.Error("the first file was not cut short")
			}
			if name == "remote" { // the other side dies, too
				w.Process("ingest").Restart(t)
				w.Ready(t, "ingest")
				w.ssh.Kill()
				w.ssh.Restart(t)
				w.Process("ingest").Kill9()
			}
			strike("files_sent", 1)
			strike("files_moved", 1)
			strike("files_claimed", 1)
			strike("files_sent", 1)
			w.Process("ingest").Restart(t)
			w.Ready(t, "ingest")
			w.until("the files are not done", func() bool { return w.done(name) == 2 && w.list(name, "claimed") == 0 })
			w.Rest(t, limit, []stack.Reader{{Group: "canonicalizer", Topic: event.TopicRaw}, {Group: "atp", Topic: event.TopicEvents}})
			records := w.audit(inventory.Source(name), lines)
			if known := w.applied(inventory.Source(name), lines); known != records-lines {
				t.Errorf("the ledger knew %d records already, and %d came once more", known, records-lines)
			}
			if n := w.list(name, "failed"); n != 0 {
				t.Errorf("%d files failed", n)
			}
			t.Logf("%d lines, %d kills, %d records of events: %d once more; %s", lines, crashes, records, records-lines, time.Since(began).Round(time.Second))
		})
	}
}

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// The newest messages of a source are those by time of receipt, of both classes and all
// partitions, and of no other source.
func TestLastRaw(t *testing.T) {
	t.Parallel()
	l := newLone(t, 10)
	for n := range 20 {
		topic := []string{event.TopicRaw, event.TopicRawBulk}[n%2]
		l.message(topic, "wms-count", fmt.Sprintf("r%02d", n), inventory.Instant(1000+n), "x")
		l.message(topic, "wms-count2", fmt.Sprintf("s%02d", n), inventory.Instant(2000+n), "x")
	}
	for _, tc := range []struct {
		last int
		scan int64
		want string
	}{
		{3, 1000, "r17 r18 r19"}, {1000, 1000, ""}, {1000, 2, ""},
	} {
		raws, err := lastRaw(t.Context(), l.cfg.Kafka, l.codecs, "wms-count", tc.last, tc.scan)
		if err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, r := range raws {
			ids = append(ids, r.ID)
			if r.Source != "wms-count" {
				t.Errorf("%s is of %s", r.ID, r.Source)
			}
		}
		if got := strings.Join(ids, " "); tc.want != "" && got != tc.want {
			t.Errorf("%d of %d: %s, want %s", tc.last, tc.scan, got, tc.want)
		}
		if want := map[int64]int{1000: min(20, tc.last), 2: 4}[tc.scan]; tc.scan == 1000 && len(ids) != want || tc.scan == 2 && (len(ids) > want || len(ids) == 0) {
			t.Errorf("%d of %d: %d messages", tc.last, tc.scan, len(ids))
		}
	}
}

// A version that reads the last messages otherwise is told by its differences before it
// goes live, and the command changes nothing.
func TestSourceDiffOfTheLog(t *testing.T) {
	t.Parallel()
	l := newLone(t, 10)
	dir := copied(t)
	b, err := os.ReadFile(filepath.Join(dir, "sources", "wms-count.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(t.TempDir(), "next.yaml")
	write := func(old, now string) {
		if err := os.WriteFile(next, []byte(strings.Replace(string(b), old, now, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("", "")
	args := []string{"source", "diff", "wms-count", "--new", next, "--policies", dir}
	l.command(exitMisuse, "there is no message of the source", args...)
	l.message(event.TopicRaw, "wms-count", "r1", 1_790_000_000_000, "count_id,sku,quantity\nC,SKU-1,3\n")
	l.message(event.TopicRawBulk, "wms-count", "r2", 1_790_000_000_001, "count_id,sku,quantity\nC,SKU-1,4\nC,SKU-2,4\n")
	l.command(exitOK, "over 2 messages (0 of them come out otherwise)", args...)
	write("quantity: $r.quantity", `quantity: (if $r.sku == "SKU-2" then "9" else $r.quantity end)`)
	out := l.command(exitFailed, "lines: 2 same, 1 changed, 0 added, 0 removed", args...)
	if !strings.Contains(out, "changed, message r2") || !strings.Contains(out, `"9"`) || !strings.Contains(out, "another mapping_version") {
		t.Errorf("told\n%s", out)
	}
	l.command(exitOK, "over 1 messages (0 of them", append(args, "--last", "1", "--scan", "1", "--new", filepath.Join(dir, "sources", "wms-count.yaml"))...)
}

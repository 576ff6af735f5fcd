//go:build synctests

package stream

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// rewrite writes a snapshot anew with something else in it.
func rewrite(t *testing.T, path string, change func(*snapshot)) {
	t.Helper()
	snap := readFile(t, path)
	change(snap)
	w, err := createSnapshot(path, snap.snapshotHead)
	if err != nil {
		t.Fatal(err)
	}
	for _, g := range snap.store.groups {
		w.add(g)
	}
	if err := w.close(snap.until); err != nil {
		t.Fatal(err)
	}
}

// A snapshot that is torn, of another log or layout, or from ahead of it, gives the
// same state by a full restore, is counted, and gone.
func TestUnfitSnapshots(t *testing.T) {
	in := func(change func(*snapshot)) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			rewrite(t, path, func(s *snapshot) {
				(&loader{st: s.store}).put("k1", "k1|a", []byte("wrong"))
				change(s)
			})
		}
	}
	for name, tc := range map[string]struct {
		spoil func(*testing.T, string)
		want  string
	}{
		"absent": {func(t *testing.T, path string) {
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
		}, "absent"},
		"cut": {func(t *testing.T, path string) {
			if err := os.Truncate(path, 300); err != nil {
				t.Fatal(err)
			}
		}, "torn"},
		"empty": {func(t *testing.T, path string) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		}, "torn"},
		"a byte changed": {func(t *testing.T, path string) {
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			b[len(b)-trailerBytes-3] ^= 1
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "torn"},
		"no header":              {in(func(s *snapshot) { s.Header = []byte("?") }), "torn"},
		"cluster":                {in(func(s *snapshot) { s.Cluster = "elsewhere" }), "foreign"},
		"input":                  {in(func(s *snapshot) { s.InputID = strings.Repeat("0", 32) }), "foreign"},
		"state":                  {in(func(s *snapshot) { s.StateID = strings.Repeat("0", 32) }), "foreign"},
		"partition":              {in(func(s *snapshot) { s.Partition = 1 }), "foreign"},
		"count":                  {in(func(s *snapshot) { s.Partitions = 7 }), "foreign"},
		"store version":          {in(func(s *snapshot) { s.StoreVersion = 2 }), "foreign"},
		"ahead of the changelog": {in(func(s *snapshot) { s.until += 10; s.Epoch = -1 }), "foreign"},
		"of an unknown epoch":    {in(func(s *snapshot) { s.Epoch += 10 }), "foreign"},
		"ahead of its header": {in(func(s *snapshot) {
			s.Header = bytes.Replace(s.Header, []byte(`"AppliedThrough":2`), []byte(`"AppliedThrough":9`), 1)
		}), "foreign"},
		"of a later lineage": {in(func(s *snapshot) { s.Header = bytes.Replace(s.Header, []byte(`"Lineage":1`), []byte(`"Lineage":2`), 1) }), "foreign"},
		"of a longer log":    {in(func(s *snapshot) { s.LogStart-- }), "short"},
		"from before it":     {in(func(s *snapshot) { s.From = -1 }), "short"},
		"old":                {in(func(s *snapshot) { s.Taken -= 13 * time.Hour.Milliseconds() }), "old"},
		"from the future":    {in(func(s *snapshot) { s.Taken += time.Hour.Milliseconds() }), "old"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, func(b *bubble) {
				dir := t.TempDir()
				w := b.runner("0", keeper{}, snapshotsIn(dir, time.Hour))
				b.put(0, "k1=a:1", "k1=b:1", "k2=a:1")
				b.until("commit", func() bool { return b.groupOffset(0) == 3 })
				w.stop()
				// One more commit, so that the tail has a header.
				w = b.runner("1", keeper{})
				b.put(0, "k3=a:1")
				b.until("commit", func() bool { return b.groupOffset(0) == 4 })
				w.stop()
				path := filepath.Join(dir, topicState+"-0"+snapshotSuffix)
				tc.spoil(t, path)
				if got, _ := b.restores(0, dir); got != tc.want {
					t.Errorf("got %s, want %s", got, tc.want)
				}
				if _, err := os.Stat(path); !os.IsNotExist(err) {
					t.Errorf("it is still there: %v", err)
				}
				w = b.runner("0", keeper{}, snapshotsIn(dir, time.Hour))
				b.put(0, "k1=b")
				b.until("commit", func() bool { return b.groupOffset(0) == 5 })
				w.stop()
				if got, _ := b.restores(0, dir); got != snapshotUsed {
					t.Errorf("the next one: %s", got)
				}
			})
		})
	}
}

// The tombstones that follow an old snapshot are gone: what it holds would live on.
func TestSnapshotOlderThanTombstones(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		dir := t.TempDir()
		compact := "compact"
		if _, err := kadm.NewClient(b.cl).AlterTopicConfigs(context.Background(),
			[]kadm.AlterConfig{{Name: "cleanup.policy", Value: &compact}}, topicState); err != nil {
			t.Fatal(err)
		}
		w := b.runner("0", keeper{}, snapshotsIn(dir, time.Hour))
		b.put(0, "k0=a:1", "k1=a:1") // the log's first record stays, and so its beginning
		b.until("commit", func() bool { return b.groupOffset(0) == 2 })
		w.stop()
		path := filepath.Join(dir, topicState+"-0"+snapshotSuffix)
		before, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		w = b.runner("1", keeper{})
		b.put(0, "k1=a")
		b.until("commit", func() bool { return b.groupOffset(0) == 3 })
		b.put(0, "k2=a:2")
		b.until("commit", func() bool { return b.groupOffset(0) == 4 })
		w.stop()
		b.c.Compact()
		if got, _ := b.restores(0, dir); got != snapshotUsed {
			t.Errorf("a young one after a compaction: %s", got)
		}
		time.Sleep(25 * time.Hour)
		b.c.Compact()
		for _, rec := range b.committed(topicState, 0) {
			if string(rec.Key) == "k1|a" {
				t.Fatalf("the tombstone is still there: %d", rec.Offset)
			}
		}
		if err := os.WriteFile(path, before, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, _ := b.restores(0, dir); got != "old" {
			t.Errorf("got %s", got)
		}
	})
}

// Records deleted from the changelog's beginning are not brought back.
func TestSnapshotOfALogCutShort(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		dir := t.TempDir()
		w := b.runner("0", keeper{}, snapshotsIn(dir, time.Hour))
		b.put(0, "k1=a:1")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		b.put(0, "k2=a:1")
		b.until("commit", func() bool { return b.groupOffset(0) == 2 })
		w.stop()
		var offs kadm.Offsets
		offs.AddOffset(topicState, 0, 2, -1)
		if res, err := kadm.NewClient(b.cl).DeleteRecords(context.Background(), offs); err != nil || res.Error() != nil {
			t.Fatal(err, res.Error())
		}
		if got, _ := b.restores(0, dir); got != "short" {
			t.Errorf("got %s", got)
		}
	})
}

package stream

import (
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// The one before stays until the new one is whole.
func TestSnapshotReplacesWhenWhole(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.snapshot")
	write := func(value string, finish bool) {
		w, err := createSnapshot(path, testHead())
		if err != nil {
			t.Fatal(err)
		}
		w.add(&State{group: "g", pieces: []piece{{"g|a", []byte(value)}}})
		if !finish {
			w.discard()
			return
		}
		if err := w.close(120); err != nil {
			t.Fatal(err)
		}
	}
	write("1", true)
	write("2", false)
	b, _ := os.ReadFile(path)
	if snap, err := reread(b); err != nil || string(snap.store.groups["g"].Get("g|a")) != "1" {
		t.Error(err)
	}
	write("3", true)
	b, _ = os.ReadFile(path)
	if snap, err := reread(b); err != nil || string(snap.store.groups["g"].Get("g|a")) != "3" {
		t.Error(err)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Error(entries)
	}
}

// What a crash left half-written and what is too old to serve goes; the rest stays.
func TestSnapshotsAreSwept(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	r := &Runner{cfg: RunnerConfig{SnapshotDir: dir}, log: slog.New(slog.DiscardHandler), now: func() time.Time { return now }}
	for name, age := range map[string]time.Duration{
		"state-0.snapshot": time.Hour, "state-1.snapshot": 13 * time.Hour,
		"state-0.snapshot.123.tmp": time.Minute, "state-1.snapshot.456.tmp": 2 * time.Hour,
		"other.tmp": 99 * time.Hour, "notes.txt": 99 * time.Hour,
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, now, now.Add(-age)); err != nil {
			t.Fatal(err)
		}
	}
	r.sweepSnapshots(24 * time.Hour)
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if want := []string{"notes.txt", "other.tmp", "state-0.snapshot", "state-0.snapshot.123.tmp"}; !slices.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
}

func TestSnapshotIsDue(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	r := &Runner{cfg: RunnerConfig{SnapshotEvery: time.Minute}, now: func() time.Time { return now }}
	young, old := now.Add(-2*time.Minute), now.Add(-11*time.Minute)
	for name, tc := range map[string]struct {
		applied    int64
		through    int64
		saved      saved
		due, atEnd bool
	}{
		"nothing in the changelog":    {-1, 0, saved{}, false, false},
		"never":                       {5, 10, saved{}, true, true},
		"nothing new":                 {5, 10, saved{from: 10, pieces: 100, taken: young}, false, false},
		"a short tail":                {5, 30, saved{from: 10, pieces: 100, taken: young}, false, true},
		"a long tail":                 {5, 36, saved{from: 10, pieces: 100, taken: young}, true, true},
		"nothing new for many rounds": {5, 10, saved{from: 10, pieces: 100, taken: old}, true, false},
	} {
		p := &partition{store: newStore(), header: Header{AppliedThrough: tc.applied}, held: held{through: tc.through, saved: tc.saved}}
		if got := r.due(p, false); got != tc.due {
			t.Errorf("%s: due %v", name, got)
		}
		if got := r.due(p, true); got != tc.atEnd {
			t.Errorf("%s: due at the end %v", name, got)
		}
	}
}

// A disk that fails leaves the snapshot before as it was.
func TestSnapshotOnAFailingDisk(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.snapshot")
	if err := os.WriteFile(path, []byte("before"), 0o600); err != nil {
		t.Fatal(err)
	}
	w, err := createSnapshot(path, testHead())
	if err != nil {
		t.Fatal(err)
	}
	w.add(&State{group: "g", pieces: []piece{{"g|a", []byte("1")}}})
	if err := w.f.Close(); err != nil { // every write fails from here on
		t.Fatal(err)
	}
	if err := w.close(120); err == nil {
		t.Error("it says that it is written")
	}
	if b, _ := os.ReadFile(path); string(b) != "before" {
		t.Errorf("the one before is %q", b)
	}
	if entries, _ := os.ReadDir(filepath.Dir(path)); len(entries) != 1 {
		t.Errorf("left over: %v", entries)
	}
}

//go:build synctests

package stream

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// keeper keeps what it is told: a record "g" = "a:x" puts x under g|a, "a" deletes it.
// "a*n" puts n bytes that depend on the offset. Its values stand in used memory.
type keeper struct{}

func (keeper) Group(rec *Record) (string, error) { return string(rec.Key), nil }

func (keeper) Step(in Input, st *State, emit func(*Record)) error {
	name, value, put := strings.Cut(string(in.Value), ":")
	if n, size, sized := strings.Cut(name, "*"); sized {
		var length int
		if _, err := fmt.Sscan(size, &length); err != nil {
			return err
		}
		name, put = n, true
		value = strings.Repeat(fmt.Sprintf("%08d", in.Offset), length/8)
	}
	if put {
		st.Put(st.Group()+"|"+name, append(st.Room(len(value)), value...))
	} else {
		st.Delete(st.Group() + "|" + name)
	}
	emit(&Record{Topic: topicOut, Key: in.Key, Value: in.Value})
	return nil
}

func (keeper) Flush(*State, func(*Record)) error { return nil }

func snapshotsIn(dir string, every time.Duration) func(*RunnerConfig) {
	return func(c *RunnerConfig) { c.SnapshotDir, c.SnapshotEvery = dir, every }
}

// restores reads a partition's state with a folder's snapshots and without, and holds
// them against each other. It returns what became of the snapshot, and how many
// records were read with it.
func (b *bubble) restores(partition int32, dir string) (result string, records int) {
	b.t.Helper()
	w := &worker{b: b, cfg: RunnerConfig{
		Config: b.config("look"), Group: group, Input: topicIn, State: topicState,
		Dead: deadLetters, Codec: jsonHeader{}, GroupOf: groupOfKey, StoreVersion: 1, Processor: keeper{}, SnapshotDir: dir,
	}}
	r, err := NewRunner(w.cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	r.reads = &RestoreReads{cl: b.cl}
	ctx := context.Background()
	facts, err := r.facts(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	var got [2]*restored
	for i := range got {
		snapshots := i == 0
		var n int
		if got[i], n, err = r.restoreOnce(ctx, facts, partition, &snapshots); err != nil {
			b.t.Fatal(err)
		}
		if i == 0 {
			records = n
		}
	}
	if with, without := dump(got[0].store), dump(got[1].store); with != without {
		b.t.Errorf("partition %d: with the snapshot\n%.3000s\nwithout\n%.3000s", partition, with, without)
	}
	for _, r := range got {
		r.store, r.held.saved = nil, saved{}
	}
	if !reflect.DeepEqual(got[0], got[1]) {
		b.t.Errorf("partition %d: with the snapshot %+v, without %+v", partition, got[0], got[1])
	}
	for _, result = range []string{snapshotUsed, "absent", "torn", "foreign", "short", "old"} {
		if w.metric("snapshot_used_total", result) == 1 {
			return result, records
		}
	}
	b.t.Fatal("nothing was counted")
	return "", 0
}

// A worker stops and leaves snapshots; another one changes and deletes; the first
// comes back with snapshot and tail, to the same state.
func TestSnapshotAndTail(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		mine, theirs := t.TempDir(), t.TempDir()
		w := b.runner("0", keeper{}, snapshotsIn(mine, time.Hour))
		for i := range 200 {
			b.put(0, fmt.Sprintf("k%d=a:%d", i%50, i), fmt.Sprintf("k%d=b:x", i%50))
		}
		b.put(1, "z=a:1")
		b.until("commits", func() bool { return b.groupOffset(0) == 400 && b.groupOffset(1) == 1 })
		w.stop()
		if n := w.metric("snapshot_written_total", ""); n != 2 {
			t.Fatalf("%v snapshots at the end", n)
		}
		if result, records := b.restores(0, mine); result != snapshotUsed || records != 0 {
			t.Errorf("%s, %d records: the snapshot is whole", result, records)
		}
		w = b.runner("0", keeper{}, snapshotsIn(mine, time.Hour))
		b.until("restore", func() bool { return w.r.Ready() == nil })
		w.stop()
		if n := w.metric("snapshot_written_total", ""); n != 0 {
			t.Errorf("%v snapshots written of what had not changed", n)
		}

		other := b.runner("1", keeper{}, snapshotsIn(theirs, time.Hour))
		b.put(0, "k1=a", "k1=b", "k2=a", "k3=a:changed", "new=a:1", "k4=a", "k4=a:again", "new2=a:1", "new2=a")
		b.until("commit", func() bool { return b.groupOffset(0) == 409 })
		other.stop()
		if result, records := b.restores(0, mine); result != snapshotUsed || records == 0 || records > 12 {
			t.Errorf("%s, %d records of a tail of 8", result, records)
		}

		w = b.runner("0", keeper{}, snapshotsIn(mine, time.Hour))
		b.put(0, "k5=a", "k6=a:end")
		b.until("commit", func() bool { return b.groupOffset(0) == 411 })
		if used := w.metric("snapshot_used_total", snapshotUsed); used != 2 {
			t.Errorf("%v snapshots used", used)
		}
		if n := w.metric("restored_records_total", ""); n > 12 {
			t.Errorf("%v records read with a snapshot", n)
		}
		w.stop()
		if s := b.state(0); s["k6|a"] != "end" || s["k3|a"] != "changed" || s["k1|a"] != "" || s["k5|a"] != "" {
			t.Error(s)
		}
		if result, records := b.restores(0, mine); result != snapshotUsed || records != 0 {
			t.Errorf("%s, %d records", result, records)
		}
	})
}

// Snapshots are taken while the work goes on: what changes during the copying is in
// the tail, and the work is not held up.
func TestSnapshotsWhileAtWork(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		dir := t.TempDir()
		w := b.runner("0", keeper{}, snapshotsIn(dir, time.Second))
		const groups = 60
		rng := rand.New(rand.NewPCG(9, 9))
		n := 0
		for ; n < groups; n++ { // several blocks
			b.put(0, fmt.Sprintf("k%d=a*80000", n))
		}
		fuzzy, results := 0, map[string]int{}
		for range 40 {
			for range 40 {
				switch k := rng.IntN(groups + 10); rng.IntN(4) {
				case 0:
					b.put(0, fmt.Sprintf("k%d=a", k))
				case 1:
					b.put(0, fmt.Sprintf("k%d=%d:%d", k, rng.IntN(3), n))
				default:
					b.put(0, fmt.Sprintf("k%d=a*%d", k, 8*rng.IntN(10_000)))
				}
				n++
				time.Sleep(10 * time.Millisecond)
			}
			if snap := readFile(t, filepath.Join(dir, topicState+"-0"+snapshotSuffix)); snap != nil && snap.until > snap.From {
				fuzzy++
			}
			b.until("commit", func() bool { return b.groupOffset(0) == int64(n) })
			result, _ := b.restores(0, dir)
			results[result]++
		}
		if written := w.metric("snapshot_written_total", ""); written < 8 || fuzzy < 8 || results[snapshotUsed] < 35 {
			t.Errorf("%v snapshots, %d times one that was copied while the state changed, restores %v", written, fuzzy, results)
		}
		if aborts := w.metric("aborts_total", ""); aborts != 0 {
			t.Errorf("%v aborts", aborts)
		}
		w.stop()
	})
}

func readFile(t *testing.T, path string) *snapshot {
	t.Helper()
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	snap, err := readSnapshot(context.Background(), bytes.NewReader(b), int64(len(b)), any1)
	if err != nil {
		t.Fatal(err)
	}
	return snap
}

// A partition goes to and fro between two workers, each with snapshots of its own.
func TestSnapshotsThroughRebalances(t *testing.T) {
	inBubble(t, 4, func(b *bubble) {
		dirs := []string{t.TempDir(), t.TempDir()}
		first := b.runner("0", &counter{}, snapshotsIn(dirs[0], time.Second))
		n := 0
		feed := func(rounds int) {
			for range rounds {
				for p := range int32(4) {
					b.put(p, fmt.Sprintf("k%d", p))
				}
				n++
				time.Sleep(30 * time.Millisecond)
			}
		}
		var used, written float64
		feed(100)
		for range 4 {
			second := b.runner("1", &counter{}, snapshotsIn(dirs[1], time.Second))
			feed(100)
			b.until("balance", func() bool {
				return first.metric("partitions_owned", "") == 2 && second.metric("partitions_owned", "") == 2
			})
			feed(100)
			second.stop()
			used += second.metric("snapshot_used_total", snapshotUsed)
			written += second.metric("snapshot_written_total", "")
			b.until("hand back", func() bool { return first.metric("partitions_owned", "") == 4 })
			feed(50)
		}
		b.wantCounted(4, n)
		used += first.metric("snapshot_used_total", snapshotUsed)
		if used < 8 || written < 8 {
			t.Errorf("%v snapshots used, %v written by the second", used, written)
		}
		first.stop()
	})
}

// Snapshots under the faults of the simulation: every record counts once.
func TestSimulationWithSnapshots(t *testing.T) {
	dir := t.TempDir()
	simulate(t, 11, func(c *RunnerConfig) { snapshotsIn(filepath.Join(dir, c.Instance), 2*time.Second)(c) })
}

// Where nothing can be written the work goes on.
func TestSnapshotFolderMissing(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		w := b.runner("0", keeper{}, snapshotsIn(filepath.Join(file, "folder"), time.Second))
		b.put(0, "k1=a:1")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		b.until("failure", func() bool { return w.metric("snapshot_failed_total", "") > 0 })
		b.put(0, "k1=a:2")
		b.until("commit", func() bool { return b.groupOffset(0) == 2 })
		w.stop()
	})
}

package files

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/ingest/cursor"
)

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

// errCrash is a process that ends.
var errCrash = errors.New("crash")

// fate ends a process at its n-th effect, before or after it.
type fate struct {
	at, n int
	after bool
	over  bool
}

func (f *fate) do(effect func() error) error {
	if f == nil {
		return effect()
	}
	if f.over {
		return errCrash // nothing follows a crash
	}
	if f.n++; f.n != f.at {
		return effect()
	}
	f.over = true
	if f.after {
		if err := effect(); err != nil {
			return err
		}
	}
	return errCrash
}

// rig is a folder, a log and cursors, which outlive processes.
type rig struct {
	t       *testing.T
	dir     string
	src     *policy.Source
	pickup  policy.Pickup
	log     []*event.RawMessage
	cursors cursor.Memory
	now     time.Time
	fate    *fate
	onRead  func(name string)
	metrics *Metrics
}

func newRig(t *testing.T, format string) *rig {
	t.Helper()
	return &rig{
		t: t, dir: t.TempDir(), now: noon, metrics: NewMetrics(),
		src:    &policy.Source{Name: "wms", Format: format},
		pickup: policy.Pickup{Ready: policy.ReadyRename, PartRows: 2},
	}
}

func (r *rig) put(name, text string) {
	r.t.Helper()
	path := filepath.Join(r.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Chtimes(path, r.now, r.now); err != nil {
		r.t.Fatal(err)
	}
}

// Append implements Appender.
func (r *rig) Append(_ context.Context, raws []*event.RawMessage) error {
	return r.fate.do(func() error { r.log = append(r.log, raws...); return nil })
}

func (r *rig) Load(ctx context.Context, key string) ([]byte, bool, error) {
	return r.cursors.Load(ctx, key)
}

func (r *rig) Save(ctx context.Context, key string, value []byte) error {
	return r.fate.do(func() error { return r.cursors.Save(ctx, key, value) })
}

// folder is the rig's, with its fate.
type folder struct {
	Folder
	r *rig
}

func (f *folder) Rename(ctx context.Context, from, to string) error {
	return f.r.fate.do(func() error { return f.Folder.Rename(ctx, from, to) })
}

func (f *folder) Write(ctx context.Context, name string, data []byte) error {
	return f.r.fate.do(func() error { return f.Folder.Write(ctx, name, data) })
}

func (f *folder) Remove(ctx context.Context, name string) error {
	return f.r.fate.do(func() error { return f.Folder.Remove(ctx, name) })
}

func (f *folder) Open(ctx context.Context, name string) (io.ReadCloser, error) {
	if f.r.onRead != nil {
		f.r.onRead(name)
	}
	return f.Folder.Open(ctx, name)
}

func (r *rig) feed() *Feed {
	return &Feed{
		Source: r.src, Pickup: r.pickup, Append: r, Cursors: r, Key: cursor.Key(r.src.Name, "files"),
		Open: func(context.Context) (Folder, error) {
			l, err := Local(r.dir)
			return &folder{l, r}, err
		},
		Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return r.now }, Random: func() float64 { return 0 }, Metrics: r.metrics,
	}
}

// round is one look of a process that has seen what seen has.
func (r *rig) round(seen looks) error {
	f := r.feed()
	p := f.Pickup.Defaults(f.Source)
	_, err := f.round(r.t.Context(), r.t.Context(), &p, seen, time.UTC)
	return err
}

func (r *rig) rounds(n int) {
	r.t.Helper()
	seen := looks{}
	for range n {
		if err := r.round(seen); err != nil {
			r.t.Fatal(err)
		}
		r.now = r.now.Add(policy.DefaultSettle)
	}
}

// names are the files of a folder without their stamps.
func (r *rig) names(dir string) []string {
	r.t.Helper()
	list, err := os.ReadDir(filepath.Join(r.dir, dir))
	if err != nil {
		r.t.Fatal(err)
	}
	var out []string
	for _, e := range list {
		if e.IsDir() {
			continue
		}
		name := e.Name()
		if dir != "" && dir != claimedDir {
			_, name, _ = strings.Cut(name, "Z-")
		}
		out = append(out, name)
	}
	return out
}

func (r *rig) want(dir string, names ...string) {
	r.t.Helper()
	if got := r.names(dir); !slices.Equal(got, names) {
		r.t.Errorf("%q has %q, want %q", dir, got, names)
	}
}

// bodies are those of the log, each id once and in the order of their first.
func (r *rig) bodies() []string {
	r.t.Helper()
	seen := map[string]string{}
	var out []string
	for _, m := range r.log {
		body, known := seen[m.ID]
		if known && body != string(m.Body) {
			r.t.Errorf("id %s has two bodies", m.ID)
		}
		if !known {
			out = append(out, string(m.Body))
		}
		seen[m.ID] = string(m.Body)
	}
	return out
}

// A process that ends before or after any effect, and one after it: every line is in
// the log, under one id, and files are where they belong.
func TestCrashAtEveryEffect(t *testing.T) {
	var text strings.Builder
	text.WriteString("sku,qty\n")
	for i := range 45 { // 23 parts, three groups
		fmt.Fprintf(&text, "A%d,1\n", i)
	}
	bad := "sku,qty\nB1,1\nB2,1\n" + strings.Repeat("x", 3000) + ",1\nB3,1\n"
	setup := func() *rig {
		r := newRig(t, policy.FormatCSV)
		r.src.Limits.MaxBytes = 2000
		r.pickup.Ready, r.pickup.Marker = policy.ReadyMarker, ".done"
		for name, s := range map[string]string{"a.csv": text.String(), "b.csv": bad, "c.csv": "sku,qty\nC1,1\n"} {
			r.put(name, s)
			r.put(name+".done", "")
		}
		return r
	}
	plain := setup()
	counting := &fate{}
	plain.fate = counting
	plain.rounds(1)
	want := plain.bodies()
	if len(want) != 23+1+1 || len(plain.log) != len(want) {
		t.Fatalf("%d messages, %d ids", len(plain.log), len(want))
	}
	if counting.n < 20 {
		t.Fatalf("%d effects only", counting.n)
	}
	for at := 1; at <= counting.n; at++ {
		for _, after := range []bool{false, true} {
			r := setup()
			r.fate = &fate{at: at, after: after}
			if err := r.round(looks{}); !errors.Is(err, errCrash) {
				t.Fatalf("effect %d: %v", at, err)
			}
			r.fate = nil
			r.rounds(2)
			if got := r.bodies(); !slices.Equal(got, want) {
				t.Errorf("effect %d, after %v: %d messages, want %d in their order", at, after, len(got), len(want))
			}
			if extra := len(r.log) - len(want); extra > groupParts {
				t.Errorf("effect %d, after %v: %d messages again", at, after, extra)
			}
			r.want("")
			r.want(claimedDir)
			r.want(doneDir, "a.csv", "c.csv")
			if got := r.names(failedDir); !slices.Contains(got, "b.csv") || !slices.Contains(got, "b.csv.error.txt") {
				t.Errorf("effect %d, after %v: failed has %q", at, after, got)
			}
			if t.Failed() {
				return
			}
		}
	}
}

// Parts say where in the file they stand, and of which file.
func TestParts(t *testing.T) {
	r := newRig(t, policy.FormatCSV)
	r.put("stock.csv", "sku,note\nA,\"x\ny\"\n\nB,1\nC,1\n")
	r.rounds(1)
	if len(r.log) != 2 {
		t.Fatalf("%d parts", len(r.log))
	}
	a, b := r.log[0], r.log[1]
	if string(a.Body) != "sku,note\nA,\"x\ny\"\n\nB,1\n" || string(b.Body) != "sku,note\nC,1\n" {
		t.Errorf("%q %q", a.Body, b.Body)
	}
	if a.FileID != b.FileID || a.FileID == "" || a.Part != 1 || a.Parts != 0 || b.Part != 2 || b.Parts != 2 || len(a.FileSHA256) != 64 {
		t.Errorf("%+v %+v", a, b)
	}
	if a.FirstLine() != 2 || b.FirstLine() != 6 || a.Filename != "stock.csv" || a.ID == b.ID || len(a.ID) != 32 {
		t.Errorf("%d %d %s", a.FirstLine(), b.FirstLine(), a.Filename)
	}
	r.want(doneDir, "stock.csv")
	if n := testutil.ToFloat64(r.metrics.files.WithLabelValues("wms", "done")); n != 1 {
		t.Error(n)
	}
}

func TestHalfWrittenFilesAreLeftAlone(t *testing.T) {
	r := newRig(t, policy.FormatJSON)
	r.pickup.Ready = policy.ReadyStable
	seen := looks{}
	look := func(forward time.Duration) {
		t.Helper()
		r.now = r.now.Add(forward)
		if err := r.round(seen); err != nil {
			t.Fatal(err)
		}
	}
	r.put("a.json", "{")
	r.put("b.json.part", "{}")
	r.put(".hidden", "{}")
	look(0)
	look(9 * time.Second) // not long enough
	r.put("a.json", `{"a":1}`)
	look(5 * time.Second)
	look(9 * time.Second)
	if len(r.log) != 0 {
		t.Fatal("a file was taken while it was written")
	}
	if n := testutil.ToFloat64(r.metrics.oldest.WithLabelValues("wms")); n != 14 {
		t.Errorf("oldest is %v s", n)
	}
	look(time.Second)
	if len(r.log) != 1 || string(r.log[0].Body) != `{"a":1}` {
		t.Fatalf("%d messages", len(r.log))
	}
	r.want("", ".hidden", "b.json.part")
}

// What has changed between the look and the claim goes back.
func TestChangedBeforeTheClaim(t *testing.T) {
	r := newRig(t, policy.FormatJSON)
	r.pickup.Ready = policy.ReadyStable
	r.put("a.json", "{}")
	seen := looks{}
	if err := r.round(seen); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(time.Minute)
	f := r.feed()
	p := f.Pickup.Defaults(f.Source)
	dir, _ := f.Open(t.Context())
	ready, _, err := f.look(t.Context(), dir, &p, seen)
	if err != nil || len(ready) != 1 {
		t.Fatal(ready, err)
	}
	r.put("a.json", `{"more":1}`)
	if ok, err := f.claim(t.Context(), dir, &p, &ready[0]); ok || err != nil {
		t.Error(ok, err)
	}
	r.want("", "a.json")
	r.want(claimedDir)
}

func TestMarkers(t *testing.T) {
	r := newRig(t, policy.FormatJSON)
	r.pickup.Ready, r.pickup.Marker = policy.ReadyMarker, ".trg"
	r.put("a.json", "{}")
	r.put("b.json", "{}")
	r.put("b.trg", "") // of the stem
	r.rounds(1)
	r.want("", "a.json")
	r.want(doneDir, "b.json")
	// A marker from before the file speaks of another one.
	r.put("c.json.trg", "")
	r.now = r.now.Add(time.Minute)
	r.put("c.json", "{}")
	r.rounds(1)
	r.want("", "a.json", "c.json", "c.json.trg")
	r.put("c.json.trg", "")
	r.rounds(1)
	r.want("", "a.json")
}

func TestOrder(t *testing.T) {
	for by, want := range map[string][]string{policy.OrderName: {"a", "b", "c"}, policy.OrderTime: {"b", "c", "a"}} {
		r := newRig(t, policy.FormatJSON)
		r.pickup.Order = by
		for _, name := range []string{"b", "c", "a"} {
			r.put(name, `"`+name+`"`)
			r.now = r.now.Add(time.Second)
		}
		r.rounds(1)
		var got []string
		for _, m := range r.log {
			got = append(got, m.Filename)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q", by, got)
		}
	}
}

func TestLinksAndStrangeNamesAreRefused(t *testing.T) {
	r := newRig(t, policy.FormatJSON)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(`{"secret":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, to := range []string{secret, "/etc/passwd", "../x"} {
		if err := os.Symlink(to, filepath.Join(r.dir, "link"+filepath.Base(to))); err != nil {
			t.Fatal(err)
		}
	}
	r.put("a\nb", "{}")
	r.put(strings.Repeat("n", maxName+1), "{}")
	r.rounds(3)
	if len(r.log) != 0 || len(r.names("")) != 5 {
		t.Errorf("%d messages, %q", len(r.log), r.names(""))
	}
	if n := testutil.ToFloat64(r.metrics.files.WithLabelValues("wms", "ignored")); n != 5 {
		t.Errorf("%v are said to be ignored", n)
	}
	// Also one that was put where files are claimed.
	if err := os.Symlink(secret, filepath.Join(r.dir, claimedDir, "x.json")); err != nil {
		t.Fatal(err)
	}
	r.rounds(1)
	if len(r.log) != 0 {
		t.Error("a link was read")
	}
	r.want(failedDir, "x.json", "x.json.error.txt")
	for _, name := range []string{"", ".", "..", "a/b", `a\b`, "a\x00", "\xff"} {
		if !badName(name) {
			t.Errorf("%q is taken", name)
		}
	}
}

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := io.WriteString(z, text); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What is wrong with a file stands beside it, with code and place, and what came before
// is not lost.
func TestFaults(t *testing.T) {
	long := strings.Repeat("x", 200)
	rowsText := "sku\nA\nB\nC\n"
	for _, tc := range []struct {
		name, file, text string
		format           string
		change           func(*rig)
		code, says       string
		taken            int
	}{
		{name: "empty", text: "", code: codeEmpty},
		{name: "large", text: strings.Repeat("A\n", 3000), code: codeFileSize},
		{name: "old", text: "sku\nA\n", change: func(r *rig) { r.now = noon.Add(time.Hour); r.pickup.MaxAge = time.Minute }, code: codeOld},
		{name: "a long row", text: "sku\nA\nB\nC\n" + long + "\nD\n", code: codeRow, says: "line 5", taken: 2},
		{name: "damaged", file: "a.csv.gz", text: zipped(t, rowsText)[:20], code: codeCorrupt, taken: 1},
		{name: "no gzip", file: "a.csv.gz", text: rowsText, code: codeCorrupt},
		{name: "a bomb", file: "a.csv.gz", text: zipped(t, strings.Repeat("\n", 10<<20)), change: func(r *rig) { r.pickup.MaxBytes = 1 << 30 }, code: codeRatio},
		{name: "large when unpacked", file: "a.csv.gz", text: zipped(t, strings.Repeat("A\n", 3000)), code: codeFileSize},
		{name: "a large document", format: policy.FormatJSON, text: `"` + long + `"`, code: codeTooLarge},
		{name: "a list that must be whole", text: "sku\n" + strings.Repeat("A\n", 100), change: func(r *rig) { r.src.Balance = &policy.Balance{Complete: true} }, code: codeTooLarge, says: "balance.complete"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := newRig(t, policy.FormatCSV)
			if tc.format != "" {
				r.src.Format = tc.format
			}
			r.src.Limits.MaxBytes, r.pickup.MaxBytes = 100, 5000
			name := tc.file
			if name == "" {
				name = "a.csv"
			}
			r.put(name, tc.text)
			if tc.change != nil {
				tc.change(r)
			}
			r.rounds(1)
			r.want("")
			r.want(claimedDir)
			r.want(failedDir, name, name+".error.txt")
			all, _ := filepath.Glob(filepath.Join(r.dir, failedDir, "*.error.txt"))
			text, err := os.ReadFile(all[0])
			if err != nil || !strings.HasPrefix(string(text), "code: "+tc.code+"\n") || !strings.Contains(string(text), tc.says) {
				t.Errorf("%s %v", text, err)
			}
			if tc.taken != len(r.log) {
				t.Errorf("%d messages, want %d", len(r.log), tc.taken)
			}
			if tc.taken > 0 && !strings.Contains(string(text), "taken: parts 1 to") {
				t.Errorf("it does not say what was taken: %s", text)
			}
			if n := testutil.ToFloat64(r.metrics.files.WithLabelValues("wms", tc.code)); n != 1 {
				t.Error("not counted")
			}
		})
	}
}

func TestGzip(t *testing.T) {
	r := newRig(t, policy.FormatNDJSON)
	r.put("a.ndjson.gz", zipped(t, "{}\n[]\n{}\n"))
	r.rounds(1)
	if got := r.bodies(); !slices.Equal(got, []string{"{}\n[]\n", "{}\n"}) {
		t.Errorf("%q", got)
	}
	r.want(doneDir, "a.ndjson.gz")
}

// Who writes on through a name it opened before the claim is found out.
func TestChangedWhileItIsRead(t *testing.T) {
	r := newRig(t, policy.FormatCSV)
	r.put("a.csv", "sku\nA\nB\n")
	reads := 0
	r.onRead = func(name string) {
		if reads++; reads == 2 {
			if err := os.WriteFile(filepath.Join(r.dir, name), []byte("sku\nX\nY\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	r.rounds(1)
	r.want(failedDir, "a.csv", "a.csv.error.txt")
	if n := testutil.ToFloat64(r.metrics.files.WithLabelValues("wms", codeChanged)); n != 1 {
		t.Error("not said")
	}
}

func TestRepeats(t *testing.T) {
	for repeat, ids := range map[string]int{policy.RepeatDuplicate: 1, policy.RepeatNew: 2} {
		r := newRig(t, policy.FormatJSON)
		r.pickup.Repeat = repeat
		for range 2 {
			r.put("a.json", "{}")
			r.rounds(1)
			r.now = r.now.Add(time.Hour)
		}
		if got := len(r.bodies()); got != ids || len(r.log) != 2 {
			t.Errorf("%s: %d ids of %d messages", repeat, got, len(r.log))
		}
		r.want(doneDir, "a.json", "a.json")
	}
}

// A log that is away costs a round and nothing else.
func TestLogAway(t *testing.T) {
	r := newRig(t, policy.FormatJSON)
	r.put("a.json", "{}")
	r.fate = &fate{at: 2} // the append
	err := r.round(looks{})
	if !errors.Is(err, errCrash) || codeOf(err) != codeLog {
		t.Fatal(err)
	}
	r.want(claimedDir, "a.json")
	r.fate = nil
	r.rounds(1)
	r.want(doneDir, "a.json")
}

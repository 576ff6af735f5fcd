package files

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// ackLog has acknowledgements at places, three to a page.
type ackLog struct {
	at   []int64
	acks []*event.PartnerAck
}

func (l *ackLog) Each(_ context.Context, _ inventory.Source, after int64, f func(*event.PartnerAck, int64) error) (int64, bool, error) {
	n := 0
	for i, at := range l.at {
		if at < after {
			continue
		}
		if n++; n > 3 {
			return at, true, nil
		}
		if err := f(l.acks[i], at+1); err != nil {
			return 0, false, err
		}
	}
	return l.end(), false, nil
}

func (l *ackLog) end() int64 { return l.at[len(l.at)-1] + 1 }

func newAckLog(n int) *ackLog {
	l := &ackLog{}
	for i := range n {
		l.at = append(l.at, int64(10*i))
		l.acks = append(l.acks, &event.PartnerAck{
			ID: fmt.Sprintf("%032x", i), Source: "wms", Document: "997", Control: int32(i + 1), Interchange: "00000/7", Body: fmt.Appendf(nil, "ack %d", i),
		})
	}
	return l
}

func (r *rig) out(l *ackLog) *Out {
	return &Out{
		Source: r.src, Suffix: policy.DefaultAckSuffix, Open: r.feed().Open, Dir: "out", Log: l, Cursors: r, Key: "wms|acks",
		Logger: slog.New(slog.DiscardHandler), Now: time.Now, Random: func() float64 { return 0 }, Metrics: r.metrics,
	}
}

// read is what is in the folder, by name.
func (r *rig) read() map[string]string {
	r.t.Helper()
	out := map[string]string{}
	list, err := os.ReadDir(filepath.Join(r.dir, "out"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.t.Fatal(err)
	}
	for _, e := range list {
		b, err := os.ReadFile(filepath.Join(r.dir, "out", e.Name()))
		if err != nil {
			r.t.Fatal(err)
		}
		out[e.Name()] = string(b)
	}
	return out
}

// A process that ends before or after any effect, and one after it: each acknowledgement
// is there whole under its name, and what was put and saved is not put again.
func TestOutCrashAtEveryEffect(t *testing.T) {
	const acks = 7
	for at := 1; ; at++ {
		over := false
		for _, after := range []bool{false, true} {
			r, l := newRig(t, policy.FormatX12), newAckLog(acks)
			r.fate = &fate{at: at, after: after}
			run := func() error {
				o := r.out(l)
				var place, saved outPlace
				known := false
				if err := o.load(t.Context(), &place, &saved, &known); err != nil {
					return err
				}
				for {
					if more, err := o.round(t.Context(), &place, &saved); err != nil || !more {
						return err
					}
				}
			}
			err := run()
			if over = err == nil; !over && !errors.Is(err, errCrash) {
				t.Fatal(err)
			}
			for name, text := range r.read() { // what the partner may see now
				if !strings.HasPrefix(name, ".") && !strings.HasPrefix(text, "ack ") {
					t.Errorf("effect %d: %s has %q", at, name, text)
				}
			}
			r.fate = nil
			if err := run(); err != nil {
				t.Fatal(err)
			}
			got := r.read()
			for i := range acks {
				name := fmt.Sprintf("wms-997-%09d-00000_7-%012d.edi", i+1, 0)
				if got[name] != fmt.Sprintf("ack %d", i) {
					t.Errorf("effect %d: %s has %q", at, name, got[name])
				}
			}
			if len(got) != acks {
				t.Errorf("effect %d: there are %d files", at, len(got))
			}
			// The partner takes them away: they do not come again.
			if err := os.RemoveAll(filepath.Join(r.dir, "out")); err != nil {
				t.Fatal(err)
			}
			if err := run(); err != nil || len(r.read()) != 0 {
				t.Errorf("effect %d: %v, and again there are %v", at, err, r.read())
			}
		}
		if over {
			if at < 2*acks+3 {
				t.Errorf("%d effects only", at-1)
			}
			return
		}
	}
}

// A folder that cannot be written is tried again, and nothing is passed by.
func TestOutWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, l := newRig(t, policy.FormatX12), newAckLog(4)
		o := r.out(l)
		o.Poll = policy.Poll{Every: time.Minute, Retry: policy.Retry{First: time.Second, Most: 4 * time.Second}}
		open, tried := o.Open, 0
		o.Open = func(ctx context.Context) (Folder, error) {
			if tried++; tried <= 3 {
				return nil, errors.New("away")
			}
			return open(ctx)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		if err := o.Run(ctx); err != nil {
			t.Error(err)
		}
		if n := testutil.ToFloat64(r.metrics.rounds.WithLabelValues("wms", codeFolder)); n != 3 {
			t.Errorf("%v rounds failed", n)
		}
		if got := r.read(); len(got) != 4 {
			t.Errorf("there is %v", got)
		}
	})
}

// others is a log with so many records of other sources.
type others int64

func (n others) Each(context.Context, inventory.Source, int64, func(*event.PartnerAck, int64) error) (int64, bool, error) {
	return int64(n), false, nil
}

// The place is saved now and then where there is nothing to put, not with every look.
func TestOutPassesOthersBy(t *testing.T) {
	r := newRig(t, policy.FormatX12)
	o := r.out(nil)
	var at, saved outPlace
	for _, n := range []int64{saveEvery - 1, saveEvery} {
		o.Log = others(n)
		if _, err := o.round(t.Context(), &at, &saved); err != nil {
			t.Fatal(err)
		}
		if _, found, err := r.Load(t.Context(), o.Key); err != nil || found != (n == saveEvery) {
			t.Errorf("%d records: saved %v, %v", n, found, err)
		}
	}
}

// Names are of the acknowledgement alone, and lead nowhere.
func TestOutNames(t *testing.T) {
	o := &Out{Suffix: ".ack"}
	a := event.PartnerAck{Source: "wms", Document: "CONTRL", Control: 7, Interchange: "../../etc/passwd", ID: "0123456789abcdef"}
	if got := o.nameOf(&a); got != "wms-CONTRL-000000007-______etc_passwd-0123456789ab.ack" || badName(got) {
		t.Error(got)
	}
	a.Interchange = strings.Repeat("9", 500)
	if got := o.nameOf(&a); len(got) > 200 {
		t.Error(got)
	}
	all := []string{}
	for i := range 3 {
		a.ID = fmt.Sprintf("%032x", i) // of one interchange: the control number tells them apart
		a.Control++
		all = append(all, o.nameOf(&a))
	}
	if len(slices.Compact(all)) != 3 {
		t.Error(all)
	}
}

// full is a folder that takes so many files.
type full struct {
	Folder
	room *int
}

func (f *full) Write(ctx context.Context, name string, data []byte) error {
	if *f.room--; *f.room < 0 {
		return errors.New("no space left")
	}
	return f.Folder.Write(ctx, name, data)
}

// What is put before a failure is not put again, though the partner has taken it.
func TestOutSavesWhatIsPut(t *testing.T) {
	r, l := newRig(t, policy.FormatX12), newAckLog(3)
	o, room := r.out(l), 2
	open := o.Open
	o.Open = func(ctx context.Context) (Folder, error) {
		dir, err := open(ctx)
		return &full{dir, &room}, err
	}
	var at, saved outPlace
	if _, err := o.round(t.Context(), &at, &saved); err == nil {
		t.Fatal("a full folder is no error")
	}
	if err := os.RemoveAll(filepath.Join(r.dir, "out")); err != nil {
		t.Fatal(err)
	}
	room = 100
	at, saved = outPlace{}, outPlace{} // another process
	known := false
	if err := o.load(t.Context(), &at, &saved, &known); err != nil {
		t.Fatal(err)
	}
	if _, err := o.round(t.Context(), &at, &saved); err != nil {
		t.Fatal(err)
	}
	got := r.read()
	if len(got) != 1 || got["wms-997-000000003-00000_7-000000000000.edi"] != "ack 2" {
		t.Errorf("there is %v", got)
	}
}

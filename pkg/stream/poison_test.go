//go:build synctests

package stream

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// A rejected record goes to the dead letters in the transaction; what else its
// group did in the same transaction stands.
func TestRejection(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		p := &counter{
			step: func(in Input, st *State) error {
				if string(in.Value) == "bad" {
					st.Put(st.Group()+"|x", []byte("must not stay")) // taken back, though a Step should not
					return Rejectf("bad_value", "offset %d", in.Offset)
				}
				return nil
			},
		}
		b.put(0, "a", "a=bad", "a", "b=bad", "c")
		w := b.runner("0", p)
		b.until("commit", func() bool { return b.groupOffset(0) == 5 })
		b.wantOut(0, "a1 a2 c1")
		if got, want := b.values(topicDead, 0), "bad_value@1:bad bad_value@3:bad"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if s := b.state(0); len(s) != 2 || s["a|h"] != "2" || s["c|h"] != "1" {
			t.Error(s)
		}
		if got := w.metric("commits_total", ""); got != 1 {
			t.Errorf("%v commits: the rejections were not in the transaction", got)
		}
		if got := w.metric("dead_letters_total", "bad_value"); got != 2 {
			t.Errorf("%v dead letters counted", got)
		}
		w.stop()
	})
}

// A dead letter of a transaction that did not commit is counted when it does.
func TestDeadLettersAreCountedOnce(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		failed := false
		p := &counter{step: func(in Input, _ *State) error {
			switch {
			case string(in.Value) == "bad":
				return Rejectf("bad_value", "offset %d", in.Offset)
			case string(in.Value) == "late" && !failed:
				failed = true
				return errors.New("once")
			}
			return nil
		}}
		b.put(0, "a=bad", "b=late")
		w := b.runner("0", p)
		b.until("commit", func() bool { return b.groupOffset(0) == 2 })
		if aborts := w.metric("aborts_total", "step"); aborts == 0 {
			t.Error("no transaction was aborted")
		}
		if got := w.metric("dead_letters_total", "bad_value"); got != 1 {
			t.Errorf("%v dead letters counted of one", got)
		}
		w.stop()
	})
}

// A record that makes its transaction abort every time is diverted, once it has
// failed alone; those before and behind it are worked on.
func TestDiverted(t *testing.T) {
	for name, fail := range map[string]func(Input, *State) error{
		"error": func(Input, *State) error { return errors.New("always") },
		"panic": func(Input, *State) error { panic("always") },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 2, func(b *bubble) {
				p := &counter{after: func(in Input, st *State) error {
					if string(in.Value) == "poison" {
						return fail(in, st)
					}
					return nil
				}}
				b.put(0, "a", "b", "a=poison", "a", "b=poison", "b")
				b.put(1, "c", "c")
				began := time.Now()
				w := b.runner("0", p)
				b.until("commit", func() bool { return b.groupOffset(0) == 6 && b.groupOffset(1) == 2 })
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("took %v", took)
				}
				b.wantOut(0, "a1 b1 a2 b2")
				b.wantOut(1, "c1 c2")
				if got, want := b.values(topicDead, 0), "diverted@2:poison diverted@4:poison"; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				if got := w.metric("aborts_total", "step"); got < 8 {
					t.Errorf("%v aborts: not taken alone after three", got)
				}
				b.put(1, "c")
				b.until("commit", func() bool { return b.groupOffset(1) == 3 })
				w.stop()
			})
		})
	}
}

// A record fails three times and then succeeds alone.
func TestIsolatedThenFine(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		n := 0
		p := &counter{after: func(in Input, _ *State) error {
			if in.Offset == 1 && n < 3 {
				n++
				return errors.New("for now")
			}
			return nil
		}}
		b.put(0, "a", "a", "a")
		w := b.runner("0", p)
		b.until("commit", func() bool { return b.groupOffset(0) == 3 })
		b.wantOut(0, "a1 a2 a3")
		b.wantNone(topicDead)
		if got := w.metric("commits_total", ""); n != 3 || got != 3 {
			t.Errorf("%v commits after %d failures: want one before, one alone, one behind", got, n)
		}
		w.stop()
	})
}

func (b *bubble) wantNone(topic string) {
	b.t.Helper()
	if got := b.values(topic, 0); got != "" {
		b.t.Errorf("%s holds %s", topic, got)
	}
}

// huge emits an output the log refuses for the keys named.
type huge struct{ counter }

func (h *huge) Step(in Input, st *State, emit func(*Record)) error {
	if string(in.Value) == "huge" {
		emit(&Record{Topic: topicOut, Value: make([]byte, 2<<20)})
	}
	return h.counter.Step(in, st, emit)
}

// An output beyond what the log takes is its input's fault, and never a crash loop.
func TestOversize(t *testing.T) {
	inBubble(t, 1, func(b *bubble) { b.wantDiverted(new(huge), "huge") })
}

// wantDiverted works on a record that p makes too much of, between others.
func (b *bubble) wantDiverted(p Processor, value string) {
	b.t.Helper()
	b.put(0, "a", "b", "a="+value, "a", "b")
	w := b.runner("0", p)
	b.until("commit", func() bool { return b.groupOffset(0) == 5 })
	b.wantOut(0, "a1 b1 a2 b2")
	if got, want := b.values(topicDead, 0), "diverted@2:"+value; got != want {
		b.t.Errorf("got %s, want %s", got, want)
	}
	if got := w.metric("aborts_total", "too_large"); got != 4 {
		b.t.Errorf("%v aborts, want three and one alone", got)
	}
	w.stop()
}

// Even the dead letter of a record may be too large; then its value is left out.
func TestOversizeDeadLetter(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		dead := func(d DeadLetter) (*Record, error) {
			v := make([]byte, 0, 2<<20)
			if d.Record.Value != nil {
				v = v[:2<<20]
			}
			return &Record{Topic: topicDead, Value: fmt.Appendf(v, "%s@%d", d.Code, d.Record.Offset)}, nil
		}
		p := &counter{step: func(in Input, _ *State) error {
			if string(in.Value) == "bad" {
				return Rejectf("bad_value", "bad")
			}
			return nil
		}}
		b.put(0, "a", "a=bad", "a")
		w := b.runner("0", p, func(c *RunnerConfig) { c.Dead = dead })
		b.until("commit", func() bool { return b.groupOffset(0) == 3 })
		b.wantOut(0, "a1 a2")
		if got, want := b.values(topicDead, 0), "diverted@1"; got != want {
			t.Errorf("got %.100s, want %s", got, want)
		}
		w.stop()
	})
}

// An error of Flush is the fault of the record that touched the group last.
func TestFlushFails(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		p := &counter{}
		p.flush = func(st *State) error {
			if o, ok := st.Object().(*count); ok && st.Group() == "a" && o.n == 3 {
				return errors.New("three is too many")
			}
			return nil
		}
		b.put(0, "a", "a", "b", "a", "b")
		w := b.runner("0", p)
		b.until("commit", func() bool { return b.groupOffset(0) == 5 })
		b.wantOut(0, "a1 a2 b1 b2")
		if got, want := b.values(topicDead, 0), "diverted@3:"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		w.stop()
	})
}

// ErrStop of a Step stops the worker and commits nothing of the transaction.
func TestStepStops(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		p := &counter{step: func(in Input, _ *State) error {
			if in.Offset == 2 {
				return fmt.Errorf("%w: fence broken", ErrStop)
			}
			return nil
		}}
		b.put(0, "a", "a", "a")
		w := b.runner("0", p)
		if err := w.stopped(); !errors.Is(err, ErrStop) || !strings.Contains(err.Error(), "fence broken") {
			t.Errorf("got %v", err)
		}
		b.wantOut(0, "")
		if off := b.groupOffset(0); off != -1 {
			t.Errorf("offset %d committed", off)
		}
	})
}

// A Step's own no-op is counted and has no outputs.
func TestStepNoop(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		p := &counter{after: func(in Input, _ *State) error {
			if string(in.Value) == "old" {
				return ErrNoop
			}
			return nil
		}}
		b.put(0, "a=old", "b")
		w := b.runner("0", p)
		b.until("commit", func() bool { return b.groupOffset(0) == 2 })
		b.wantOut(0, "b1")
		if got := w.metric("noops_total", ""); got != 1 {
			t.Errorf("%v no-ops", got)
		}
		w.stop()
	})
}

// A stop lets the open transaction commit.
func TestDrain(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		in, goOn := make(chan struct{}), make(chan struct{})
		p := &counter{step: func(i Input, _ *State) error {
			if i.Offset == 0 {
				close(in)
				<-goOn
			}
			return nil
		}}
		b.put(0, "a", "a")
		w := b.runner("0", p)
		<-in
		w.cancel()
		close(goOn)
		if err := <-w.done; err != nil {
			t.Fatal(err)
		}
		if off := b.groupOffset(0); off < 1 {
			t.Errorf("offset %d: the open transaction was not finished", off)
		}
		if got := w.metric("aborts_total", ""); got != 0 {
			t.Errorf("%v aborts", got)
		}
	})
}

// With the brokers mute a drain still ends.
func TestDrainIsBounded(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		w := b.runner("0", &counter{}, func(c *RunnerConfig) { c.Drain = 3 * time.Second })
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		h := b.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topicOut, Count: -1, Err: kerr.NotEnoughReplicas})
		defer h.Remove()
		b.put(0, "a")
		if err := h.Wait(context.Background(), 1); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		w.cancel()
		if err := <-w.done; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// So it does when nobody says any more where the outputs' leaders are.
func TestDrainIsBoundedWithoutMetadata(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		w := b.runner("0", &counter{}, func(c *RunnerConfig) { c.Drain = time.Second })
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		over := make(chan struct{})
		b.c.ControlKey(int16(kmsg.Metadata), func(kmsg.Request) (kmsg.Response, error, bool) {
			b.c.KeepControl()
			b.c.SleepControl(func() { <-over })
			return nil, nil, false
		})
		h := b.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topicOut, Count: -1, Err: kerr.NotLeaderForPartition})
		defer h.Remove()
		b.put(0, "a")
		if err := h.Wait(context.Background(), 1); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		w.cancel()
		if err := <-w.done; err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("took %v", took)
		}
		close(over)
	}, kfake.SleepOutOfOrder())
}

// A transaction holds the records of its interval, and state is put once a group.
func TestCadenceCoalesces(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		keys := make([]string, 40)
		for i := range keys {
			keys[i] = "k" + string(rune('a'+i%2))
		}
		b.put(0, keys...)
		w := b.runner("0", &counter{})
		b.until("commit", func() bool { return b.groupOffset(0) == 40 })
		if got := w.metric("commits_total", ""); got != 1 {
			t.Errorf("%v commits", got)
		}
		if got := len(b.committed(topicState, 0)); got != 3 { // two groups and the header
			t.Errorf("%d state records", got)
		}
		time.Sleep(time.Minute)
		if got := w.metric("commits_total", ""); got != 1 {
			t.Errorf("%v commits with nothing to read", got)
		}
		w.stop()
	})
}

// A piece whose bytes are the same again is not written again.
func TestUnchangedIsNotWritten(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		p := &counter{}
		p.flush = func(st *State) error {
			st.Put(st.Group()+"|same", []byte("same"))
			return nil
		}
		w := b.runner("0", p)
		for range 5 {
			b.put(0, "a")
			time.Sleep(100 * time.Millisecond)
		}
		b.until("commit", func() bool { return b.groupOffset(0) == 5 })
		n := 0
		for _, rec := range b.committed(topicState, 0) {
			if string(rec.Key) == "a|same" {
				n++
			}
		}
		if got := w.metric("commits_total", ""); n != 1 || got < 5 {
			t.Errorf("written %d times in %v commits", n, got)
		}
		w.stop()
	})
}

// What the records of a key lead to together is blamed on the one that led to it before
// long, wherever it stands, and although more of them come each time.
func TestBlameOfMany(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		const many, bad = 300, 100
		p := &counter{step: func(in Input, st *State) error {
			if in.Offset == bad {
				st.Put("a|bad", nil)
			}
			return nil
		}}
		more := 0
		p.flush = func(st *State) error {
			if st.Get("a|bad") == nil {
				return nil
			}
			if more < 20 {
				more++
				b.put(0, "a")
			}
			return errors.New("cannot be put")
		}
		var recs []*Record
		for range many {
			recs = append(recs, &Record{Topic: topicIn, Key: []byte("a")})
		}
		if err := b.cl.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		w := b.runner("0", p)
		b.until("commit", func() bool { return b.groupOffset(0) == int64(many+more) })
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("took %v", took)
		}
		if got, want := b.values(topicDead, 0), fmt.Sprintf("diverted@%d:", bad); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got, want := b.state(0)["a|h"], strconv.Itoa(many+more-1); got != want {
			t.Errorf("counted %s, want %s", got, want)
		}
		w.stop()
	})
}

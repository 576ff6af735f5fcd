//go:build synctests

package stream

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// noting is a counter that takes note of what it could not count.
type noting struct {
	huge
	divert func(in Input, st *State, emit func(*Record)) error
	why    []error
}

func (n *noting) Divert(in Input, st *State, why error, emit func(*Record)) error {
	n.why = append(n.why, why)
	st.Put(st.Group()+"|noted", fmt.Append(nil, in.Offset))
	emit(&Record{Topic: topicOut, Key: in.Key, Value: fmt.Appendf(nil, "noted@%d", in.Offset)})
	if n.divert != nil {
		return n.divert(in, st, emit)
	}
	return nil
}

func (n *noting) Flush(st *State, emit func(*Record)) error {
	if _, ok := st.Object().(*count); !ok {
		return nil // nothing was counted
	}
	return n.huge.Flush(st, emit)
}

// A record that no transaction holds is taken note of, once, and is then no dead
// letter; those around it are worked on.
func TestDiverterTakesNote(t *testing.T) {
	always := errors.New("always")
	for value, want := range map[string]error{"huge": ErrTooLarge, "poison": always} {
		t.Run(value, func(t *testing.T) {
			inBubble(t, 2, func(b *bubble) {
				p := new(noting)
				p.after = func(in Input, _ *State) error {
					if string(in.Value) == "poison" {
						return always
					}
					return nil
				}
				b.put(0, "a", "b", "a="+value, "a", "b")
				b.put(1, "c")
				w := b.runner("0", p)
				b.until("commit", func() bool { return b.groupOffset(0) == 5 && b.groupOffset(1) == 1 })
				b.wantOut(0, "a1 b1 noted@2 a2 b2")
				b.wantOut(1, "c1")
				b.wantNone(topicDead)
				if s := b.state(0); s["a|noted"] != "2" || s["a|h"] != "2" || s["b|h"] != "2" || b.header(0).AppliedThrough != 4 {
					t.Errorf("state %v", s)
				}
				if len(p.why) != 1 || !errors.Is(p.why[0], want) {
					t.Errorf("diverted because of %v", p.why)
				}
				if got := w.metric("aborts_total", "step") + w.metric("aborts_total", "too_large"); got != 4 {
					t.Errorf("%v aborts, want three and one alone", got)
				}
				w.stop()
			})
		})
	}
}

// What cannot be taken note of goes to the dead letters, and nothing of the attempt
// stays.
func TestDivertingFails(t *testing.T) {
	for name, tc := range map[string]struct {
		divert func(in Input, st *State, emit func(*Record)) error
		aborts float64
	}{
		"error":     {func(Input, *State, func(*Record)) error { return errors.New("no") }, 4},
		"rejection": {func(Input, *State, func(*Record)) error { return Rejectf("no", "no") }, 4},
		"panic":     {func(Input, *State, func(*Record)) error { panic("no") }, 4},
		"oversize": {func(_ Input, _ *State, emit func(*Record)) error {
			emit(&Record{Topic: topicOut, Value: make([]byte, 2<<20)})
			return nil
		}, 5},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, func(b *bubble) {
				p := &noting{divert: tc.divert}
				b.put(0, "a", "a=huge", "a")
				w := b.runner("0", p)
				b.until("commit", func() bool { return b.groupOffset(0) == 3 })
				b.wantOut(0, "a1 a2")
				if got, want := b.values(topicDead, 0), "diverted@1:huge"; got != want {
					t.Errorf("got %s, want %s", got, want)
				}
				if s := b.state(0); s["a|h"] != "2" || s["a|noted"] != "" {
					t.Errorf("state %v", s)
				}
				if got := w.metric("aborts_total", "step") + w.metric("aborts_total", "too_large"); got != tc.aborts || len(p.why) != 1 {
					t.Errorf("%v aborts, diverted %d times", got, len(p.why))
				}
				w.stop()
			})
		})
	}
}

// ErrStop of a Divert stops the worker; a fence is no reason to skip a record.
func TestDivertStops(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		p := &noting{divert: func(Input, *State, func(*Record)) error { return fmt.Errorf("%w: fence broken", ErrStop) }}
		b.put(0, "a", "a=huge", "a")
		w := b.runner("0", p)
		if err := w.stopped(); !errors.Is(err, ErrStop) || !strings.Contains(err.Error(), "fence broken") {
			t.Errorf("got %v", err)
		}
		b.wantOut(0, "a1")
		b.wantNone(topicDead)
	})
}

// Aliases keep nothing from the processor: it takes note of what it could not work on.
func TestDiverterUnderAliases(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		a := b.shadowed(1)
		p := new(noting)
		b.put(0, "a", "a=huge", "a")
		w := b.runner("0", p, b.aliased(a))
		b.until("work", func() bool { return b.values("out.s", 0) != "" && w.metric("commits_total", "") >= 3 })
		if got, want := b.values("out.s", 0), "a1 noted@1 a2"; got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := b.values("dead.s", 0); got != "" {
			t.Errorf("dead letters: %s", got)
		}
		w.stop()
	})
}

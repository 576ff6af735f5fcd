//go:build synctests

package stream

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// putState appends to the state topic as somebody else would.
func (b *bubble) putState(key string, value []byte) {
	b.t.Helper()
	if err := b.cl.ProduceSync(context.Background(), &Record{Topic: topicState, Key: []byte(key), Value: value}).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
}

// trueHeader is the header of partition 0 as this cluster has it.
func (b *bubble) trueHeader(applied int64) Header {
	b.t.Helper()
	m, err := (&RestoreReads{cl: b.cl}).meta(context.Background(), true, topicIn)
	if err != nil {
		b.t.Fatal(err)
	}
	return Header{
		Lineage: 4, Cluster: m.cluster, TopicID: m.idString(), Topic: topicIn, Partitions: 1,
		Partitioner: "murmur2", StoreVersion: 1, AppliedThrough: applied,
	}
}

func (b *bubble) putHeader(h Header) {
	v, err := json.Marshal(h)
	if err != nil {
		b.t.Fatal(err)
	}
	b.putState(HeaderKey, v)
}

func (b *bubble) truncate(partition int32, before int64) {
	b.t.Helper()
	var offs kadm.Offsets
	offs.AddOffset(topicIn, partition, before, -1)
	res, err := kadm.NewClient(b.cl).DeleteRecords(context.Background(), offs)
	if err != nil || res.Error() != nil {
		b.t.Fatal(err, res.Error())
	}
}

func TestFirstStart(t *testing.T) {
	none := int64(-1)
	for _, tc := range []struct {
		name          string
		group, header int64 // none: absent; header is AppliedThrough
		first         int64 // of the log
		want          string
		stop          error
	}{
		{"neither, log from 0", none, none, 0, "a1 b1 c1", nil},
		{"neither, log shortened", none, none, 1, "", errNeedsCutover},
		{"group alone", 1, none, 0, "", errNoHeader},
		{"group alone at 0", 0, none, 0, "", errNoHeader},
		{"header alone", none, 0, 0, "b1 c1", nil},
		{"header alone, all applied", none, 2, 0, "", nil},
		{"both, level", 1, 0, 0, "b1 c1", nil},
		{"header ahead", 1, 1, 0, "c1", nil},
		{"header far ahead of a reset", 0, 2, 0, "", nil},
		{"header behind", 2, 0, 0, "", errHeaderBehind},
		{"unread records gone", 1, 0, 2, "", ErrStop},
		{"log truncated below", 5, 4, 0, "", ErrStop},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inBubble(t, 1, func(b *bubble) {
				b.put(0, "a", "b", "c")
				if tc.first > 0 {
					b.truncate(0, tc.first)
				}
				if tc.group != none {
					b.setGroupOffset(0, tc.group)
				}
				if tc.header != none {
					b.putHeader(b.trueHeader(tc.header))
				}
				w := b.runner("0", &counter{})
				if tc.stop != nil {
					if err := w.stopped(); !errors.Is(err, ErrStop) || !errors.Is(err, tc.stop) {
						t.Errorf("got %v, want a stop: %v", err, tc.stop)
					}
					b.wantOut(0, "")
					return
				}
				// One more record shows that work goes on from there.
				b.put(0, "z")
				b.until("commit", func() bool { return b.groupOffset(0) == 4 })
				b.wantOut(0, strings.TrimSpace(tc.want+" z1"))
				h := b.header(0)
				if lineage := int64(4); tc.header == none && h.Lineage != 1 || tc.header != none && h.Lineage != lineage {
					t.Errorf("lineage %d", h.Lineage)
				}
				if tc.header > tc.group && tc.group != none {
					if got, want := w.metric("noops_total", ""), float64(tc.header+1-tc.group); got != want {
						t.Errorf("%v no-ops counted, want %v", got, want)
					}
				}
				w.stop()
			})
		})
	}
}

func TestForeignHeaderStops(t *testing.T) {
	for name, change := range map[string]func(*Header){
		"cluster":         func(h *Header) { h.Cluster = "elsewhere" },
		"topic":           func(h *Header) { h.Topic = "other" },
		"topic id":        func(h *Header) { h.TopicID = strings.Repeat("0", 32) },
		"partition":       func(h *Header) { h.Partition = 3 },
		"partition count": func(h *Header) { h.Partitions = 6 },
		"partitioner":     func(h *Header) { h.Partitioner = "crc32" },
		"store version":   func(h *Header) { h.StoreVersion = 2 },
		"lineage":         func(h *Header) { h.Lineage = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, func(b *bubble) {
				b.put(0, "a", "b")
				h := b.trueHeader(0)
				change(&h)
				b.putHeader(h)
				w := b.runner("0", &counter{})
				err := w.stopped()
				if !errors.Is(err, ErrStop) || !strings.Contains(err.Error(), name) {
					t.Errorf("got %v, want a stop that names the %s", err, name)
				}
				if r := w.r.Ready(); !errors.Is(r, ErrStop) {
					t.Errorf("ready: %v", r)
				}
				b.wantOut(0, "")
			})
		})
	}
}

func TestStateWithoutHeaderStops(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		b.putState("a|h", []byte("7"))
		w := b.runner("0", &counter{})
		if err := w.stopped(); !errors.Is(err, ErrStop) {
			t.Errorf("got %v, want a stop", err)
		}
	})
}

// Whatever resets the group's offset, what is applied is not applied again.
func TestRewindIsNoop(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		w := b.runner("0", &counter{})
		b.put(0, "a", "a", "b", "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 4 })
		w.stop()
		b.cl.Close()
		time.Sleep(time.Minute) // the member must be gone before its offsets are changed
		cl, err := b.config("").client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
		if err != nil {
			t.Fatal(err)
		}
		b.cl = cl
		b.setGroupOffset(0, 1)
		w = b.runner("0", &counter{})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 5 })
		b.wantOut(0, "a1 a2 b1 a3 a4")
		if got := w.metric("noops_total", ""); got != 3 {
			t.Errorf("%v no-ops counted, want 3", got)
		}
		w.stop()
	})
}

// Records that are gone from under a running worker stop it.
func TestTruncatedWhileRunning(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		hold := make(chan struct{})
		met := make(chan struct{}, 100)
		w := b.runner("0", &counter{step: func(in Input, _ *State) error {
			if in.Offset == 1 {
				met <- struct{}{}
				<-hold
				return errors.New("not yet")
			}
			return nil
		}})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		b.put(0, "b", "b", "b")
		<-met
		b.truncate(0, 3)
		close(hold)
		if err := w.stopped(); !errors.Is(err, ErrStop) {
			t.Errorf("got %v, want a stop", err)
		}
		b.wantOut(0, "a1")
	})
}

func TestRecreatedTopicStops(t *testing.T) {
	for _, running := range []bool{true, false} {
		name := map[bool]string{true: "while running", false: "between runs"}[running]
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, func(b *bubble) {
				w := b.runner("0", &counter{})
				b.put(0, "a", "a")
				b.until("commit", func() bool { return b.groupOffset(0) == 2 })
				if !running {
					w.stop()
				}
				adm := kadm.NewClient(b.cl)
				ctx := context.Background()
				if _, err := adm.DeleteTopic(ctx, topicIn); err != nil {
					t.Fatal(err)
				}
				late := "LogAppendTime"
				if _, err := adm.CreateTopic(ctx, 1, 3, map[string]*string{"message.timestamp.type": &late}, topicIn); err != nil {
					t.Fatal(err)
				}
				cl, err := b.config("").client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
				if err != nil {
					t.Fatal(err)
				}
				defer cl.Close()
				for range 3 {
					cl.ProduceSync(ctx, &Record{Topic: topicIn, Key: []byte("a")})
				}
				if !running {
					w = b.runner("0", &counter{})
				}
				if err := w.stopped(); !errors.Is(err, ErrStop) {
					t.Errorf("got %v, want a stop", err)
				}
				b.wantOut(0, "a1 a2")
			})
		})
	}
}

func TestTimestampTypeRefused(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		create := "CreateTime"
		if _, err := kadm.NewClient(b.cl).AlterTopicConfigs(context.Background(),
			[]kadm.AlterConfig{{Name: "message.timestamp.type", Value: &create}}, topicIn); err != nil {
			t.Fatal(err)
		}
		w := b.runner("0", &counter{})
		if err := w.stopped(); !errors.Is(err, ErrStop) || !strings.Contains(err.Error(), "LogAppendTime") {
			t.Errorf("got %v, want a stop", err)
		}
		w = b.runner("0", &counter{}, func(c *RunnerConfig) { c.AnyTimestamp = true })
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		w.stop()
	})
}

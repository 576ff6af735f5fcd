package kill_test

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
)

const rebuildLimit = 5 * time.Minute

// state is inventory.state by key, without partition headers: what a restore would
// read, the 5 bytes of the schema's id cut off (EXACTLY-ONCE §10).
func (w *world) state(t *testing.T) map[string][]byte {
	t.Helper()
	ends, err := w.admin.ListEndOffsets(t.Context(), event.TopicState)
	if err != nil {
		t.Fatal(err)
	}
	left := map[int32]bool{}
	for p, end := range ends[event.TopicState] {
		left[p] = end.Offset > 0
	}
	cl := w.kafka.Client(t, kgo.ConsumeTopics(event.TopicState), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	all := map[string][]byte{}
	for {
		waiting := false
		for _, l := range left {
			waiting = waiting || l
		}
		if !waiting {
			return all
		}
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("reading the state: partitions left %v: %v", left, fetches.Err())
		}
		for r := range fetches.RecordsAll() {
			if r.Offset+1 >= ends[event.TopicState][r.Partition].Offset {
				left[r.Partition] = false // a marker stands last
			}
			switch {
			case r.Attrs.IsControl() || string(r.Key) == stream.HeaderKey:
			case r.Value == nil:
				delete(all, string(r.Key))
			case len(r.Value) <= 5:
				t.Fatalf("state %s is %d bytes", r.Key, len(r.Value))
			default:
				all[string(r.Key)] = bytes.Clone(r.Value[5:])
			}
		}
	}
}

// rebuild makes the workers forget all they know, group and state, and fold the
// same log again from its beginning. The other services run on, and read every
// outcome and position once more.
func rebuild(t *testing.T, w *world) (was, is map[string][]byte) {
	t.Helper()
	was = w.state(t)
	for _, name := range []string{"atp-0", "atp-1"} {
		w.processes[name].Term()
	}
	for _, name := range []string{"atp-0", "atp-1"} {
		if code := w.processes[name].Wait(t, time.Minute); code != 0 {
			t.Errorf("%s ended with %d", name, code)
		}
	}
	w.forget(t)
	w.topics(t)
	w.revive(t, "atp-0", "atp-1")
	w.rest(t, rebuildLimit)
	return was, w.state(t)
}

// forget removes the group of the workers and their state.
func (w *world) forget(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	groups, err := w.admin.DescribeGroups(ctx, "atp")
	if err != nil {
		t.Fatal(err)
	}
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = "atp"
	for _, m := range groups["atp"].Members { // static members stay until their session is over
		member := kmsg.NewLeaveGroupRequestMember()
		member.MemberID, member.InstanceID = m.MemberID, m.InstanceID
		req.Members = append(req.Members, member)
	}
	if _, err := req.RequestWith(ctx, w.kafka.Client(t)); err != nil {
		t.Fatalf("emptying the group: %v", err)
	}
	gone, err := w.admin.DeleteGroups(ctx, "atp")
	if err := errors.Join(err, gone.Error()); err != nil {
		t.Fatalf("deleting the group: %v", err)
	}
	deleted, err := w.admin.DeleteTopics(ctx, event.TopicState)
	if err := errors.Join(err, deleted.Error()); err != nil {
		t.Fatalf("deleting the state: %v", err)
	}
	if !poll(ctx, time.Minute, func() bool {
		topics, err := w.admin.ListTopics(ctx)
		return err == nil && !topics.Has(event.TopicState)
	}) {
		t.Fatal("the state topic is not gone")
	}
}

// sameState compares two states byte by byte.
func sameState(t *testing.T, was, is map[string][]byte) {
	t.Helper()
	wrong := 0
	report := func(format string, args ...any) {
		if wrong++; wrong <= 10 {
			t.Errorf(format, args...)
		}
	}
	for key, a := range was {
		if b, ok := is[key]; !ok {
			report("state %s is not rebuilt", key)
		} else if !bytes.Equal(a, b) {
			report("state %s was\n%x\nand is rebuilt as\n%x", key, a, b)
		}
	}
	for key := range is {
		if _, ok := was[key]; !ok {
			report("state %s is new", key)
		}
	}
	if wrong > 10 {
		t.Errorf("%d of %d pieces differ", wrong, len(was))
	}
	kinds := map[string]int{}
	for key := range was {
		if parts := bytes.SplitN([]byte(key), []byte("|"), 4); len(parts) > 2 {
			kinds[string(parts[2])]++
		}
	}
	for _, kind := range []string{"h", "d", "j", "c", "s"} {
		if kinds[kind] == 0 {
			t.Errorf("the state has no piece of kind %s: %v", kind, kinds)
		}
	}
	t.Logf("%d pieces of state rebuilt byte by byte, by kind %v", len(was), kinds)
}

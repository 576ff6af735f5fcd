package stack

import (
	"cmp"
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
)

// A Reader is a consumer group and the topic that it reads.
type Reader struct{ Group, Topic string }

// Readers are the groups of the road, the upper ones first.
func Readers(erps, channels []string) []Reader {
	all := []Reader{
		{"canonicalizer", event.TopicRaw},
		{"canonicalizer-bulk", event.TopicRawBulk},
		{"canonicalizer-retry", event.TopicRetry},
		{"atp", event.TopicEvents},
		{"atp-api", event.TopicPositions},
		{"erp-writer-planner", event.TopicOutcomes},
		{"channel-publisher-offers", event.TopicPositions},
	}
	for _, e := range erps {
		all = append(all, Reader{"erp-writer-poster-" + e, event.TopicPostings})
	}
	for _, c := range channels {
		all = append(all, Reader{"channel-publisher-publish-" + c, event.TopicOffers})
	}
	return all
}

// Rest waits until each group has read, written out and committed everything
// there is. A group commits no offset before what follows from it stands on the
// log, so going down the road once proves that nothing is under way any more.
func (s *Stack) Rest(t testing.TB, limit time.Duration, readers []Reader) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	reads, err := stream.NewRestoreReads(s.Stream())
	if err != nil {
		t.Fatal(err)
	}
	defer reads.Close()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var why error
	for _, r := range readers {
		for {
			behind := r.behind(ctx, reads)
			if behind == nil {
				break
			}
			if ctx.Err() != nil {
				t.Fatalf("not at rest after %s: %v", limit, cmp.Or(why, behind))
			}
			why = behind
			select {
			case <-ctx.Done():
			case <-tick.C:
			}
		}
	}
}

// behind is nil when the group has committed past the last record of its topic.
func (r Reader) behind(ctx context.Context, reads *stream.RestoreReads) error {
	_, n, err := reads.Topic(ctx, r.Topic)
	if err != nil {
		return err
	}
	for p := range n {
		at, err := reads.GroupOffset(ctx, r.Group, r.Topic, p)
		if err != nil {
			return err
		}
		if at < 0 {
			if at, err = reads.LogStart(ctx, r.Topic, p); err != nil {
				return err
			}
		}
		// Markers and aborted records keep a group's offset below the end.
		next, found, err := reads.NextRecord(ctx, r.Topic, p, at)
		if err != nil {
			return err
		}
		if found {
			return fmt.Errorf("group %s is at %d of %s/%d, and the next record is at %d", r.Group, at, r.Topic, p, next)
		}
	}
	return nil
}

package atpapi

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
)

// follow keeps the copy right until ctx is done: it reads the log, and asks Redis how
// far it has come. Where the log cannot be followed any more, the copy begins anew.
func (r *reader) follow(ctx context.Context, cfg stream.Config, view logView, log *slog.Logger) error {
	for ctx.Err() == nil {
		topic, from, err := ends(ctx, view)
		if err == nil {
			r.local.begin(topic, from)
			err = r.followFrom(ctx, cfg, from)
		}
		if ctx.Err() != nil {
			return nil
		}
		log.Warn("the local copy does not follow positions", slog.Any("err", err))
		r.local.begin("", nil)
		t := time.NewTimer(learnEvery)
		select {
		case <-ctx.Done():
		case <-t.C:
		}
		t.Stop()
	}
	return nil
}

func (r *reader) followFrom(ctx context.Context, cfg stream.Config, from map[int32]int64) error {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.look(ctx, len(from))
	}()
	defer func() {
		cancel()
		<-done
	}()
	return stream.FollowMarkers(ctx, cfg, event.TopicPositions, from, func(rec *stream.Record) error { //nolint:wrapcheck // it says all
		item := rec.Key
		if rec.Attrs.IsControl() {
			item = nil
		} else if i := bytes.LastIndexByte(item, '|'); i >= 0 {
			item = item[:i] // entity|item|location, each escaped
		}
		r.local.passed(rec.Partition, rec.Offset, item)
		return nil
	})
}

// ends finds from where the log is followed: its present end.
func ends(ctx context.Context, view logView) (topic string, from map[int32]int64, err error) {
	topic, n, err := view.Topic(ctx, event.TopicPositions)
	if err == nil && n == 0 {
		err = errors.New("positions has no partitions")
	}
	if err != nil {
		return "", nil, err
	}
	from = make(map[int32]int64, n)
	for p := range n {
		if from[p], err = view.LastStable(ctx, event.TopicPositions, p); err != nil {
			return "", nil, err
		}
	}
	return topic, from, nil
}

// look asks Redis several times a bound how far it has come, until ctx is done.
func (r *reader) look(ctx context.Context, partitions int) {
	every := time.NewTicker(r.local.cfg.Bound / marksABound)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		r.lookOnce(ctx, partitions)
	}
}

func (r *reader) lookOnce(ctx context.Context, partitions int) {
	at := r.now() // before it is asked: what comes later is not promised
	marks, err := r.store.allMarks(ctx, partitions)
	if err != nil {
		return // reads say so
	}
	for p, m := range marks {
		if m != nil {
			r.local.stands(int32(p), *m, at) //nolint:gosec // partition counts are int32
		}
	}
}

package atpapi

import (
	"bytes"
	"context"
	"time"

	"github.com/stockweave/stockweave/pkg/stream"
)

// hear takes note of a record of the log that changes are told from.
func (l *local) hear(rec *stream.Record) {
	item := rec.Key
	if rec.Attrs.IsControl() {
		item = nil
	} else if i := bytes.LastIndexByte(item, '|'); i >= 0 {
		item = item[:i] // entity|item|location, each escaped
	}
	l.passed(rec.Partition, rec.Offset, item)
}

// look asks Redis several times a bound how far it has come, from when the log is
// followed until ctx is done.
func (r *reader) look(ctx context.Context, followed <-chan struct{}) error {
	if !wait(ctx, followed) {
		return nil
	}
	partitions := r.local.partitions()
	every := time.NewTicker(r.local.cfg.Bound / marksABound)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
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
		r.local.stands(p, m, at)
	}
}

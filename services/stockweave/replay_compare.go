package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/atp"
)

// total is what comparisons of all partitions gave.
type total struct {
	partitions    int
	equal, differ int
	moved         map[string]bool
	first         *stream.Difference
	atRest        bool // both sides stood at the same offset in every partition
}

// rounds lets the shadow catch up and compares, until every key was seen standing
// still or that has been tried often enough.
func (r *replay) rounds(ctx context.Context) (*total, error) {
	all := &total{}
	for round := range replayRounds {
		if err := r.catchUp(ctx); err != nil {
			return nil, err
		}
		now, err := r.compare(ctx, all.moved)
		if err != nil {
			return nil, err
		}
		all.partitions, all.atRest, all.moved = now.partitions, now.atRest, now.moved
		all.equal += now.equal
		all.differ += now.differ
		if all.first == nil {
			all.first = now.first
		}
		r.cfg.Kafka.Log.Info("compared", slog.Int("round", round+1), slog.Int("equal", now.equal), slog.Int("differ", now.differ), slog.Int("moved", len(now.moved)))
		if len(all.moved) == 0 {
			break
		}
	}
	return all, nil
}

// catchUp runs the ledger's worker over the shadow until it has come to where the
// live state stands now.
func (r *replay) catchUp(ctx context.Context) error {
	live, err := r.ledger.Standings(ctx)
	if err != nil {
		return err
	}
	mine, err := r.shadow.Standings(ctx)
	if err != nil {
		return err
	}
	barrier := make([]int64, len(live))
	for i := range live {
		if barrier[i] = live[i].Applied(); mine[i].Applied() >= barrier[i] {
			barrier[i] = -1 // is there already
		}
	}
	left, err := r.shadow.Reaches(ctx, barrier)
	if err != nil || left == 0 {
		return err
	}
	cfg := atp.DefaultConfig() // nothing of the live worker's own: no volume, no cadence
	cfg.Kafka, cfg.Codecs, cfg.Group = r.kafka, r.codecs, r.group
	cfg.Kafka.Metrics = prometheus.NewRegistry()
	tasks, err := atp.Build(ctx, cfg, service.Env{Name: "replay", Log: r.kafka.Log, Metrics: cfg.Kafka.Metrics, Health: &service.Health{}, Now: time.Now})
	if err != nil {
		return fmt.Errorf("building the shadow's worker: %w", err)
	}
	work, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- service.Run(work, tasks...) }()
	look := time.NewTicker(replayLook)
	defer look.Stop()
	for n := 1; left > 0; n++ {
		select {
		case err := <-done:
			if err == nil {
				err = context.Cause(ctx)
			}
			return fmt.Errorf("replaying: %w", err)
		case <-look.C:
		}
		if left, err = r.shadow.Reaches(ctx, barrier); err != nil {
			return err
		}
		if n%replayReport == 0 {
			r.cfg.Kafka.Log.Info("replaying", slog.Int64("records_left", left))
		}
	}
	cancel()
	if err := <-done; err != nil {
		return fmt.Errorf("ending the shadow's worker: %w", err)
	}
	return nil
}

// compare compares every partition; only, when set, are the keys of interest.
func (r *replay) compare(ctx context.Context, only map[string]bool) (*total, error) {
	live, err := r.ledger.Standings(ctx)
	if err != nil {
		return nil, err
	}
	t := &total{partitions: len(live), moved: map[string]bool{}, atRest: true}
	for p := range int32(len(live)) { //nolint:gosec // partition counts are int32
		c, err := r.ledger.Compare(ctx, r.shadow, p, stream.Comparison{
			Alike: func(key, value []byte) ([]byte, error) { return atp.Alike(r.codecs, key, value) }, Only: only,
		})
		if err != nil {
			return nil, err
		}
		t.equal += c.Equal
		t.differ += c.Differ
		if t.first == nil {
			t.first = c.First
		}
		maps.Copy(t.moved, c.Moved)
		t.atRest = t.atRest && c.Live.AppliedThrough == c.Shadow.AppliedThrough
	}
	delete(t.moved, event.ControlKey) // has no state
	return t, nil
}

func (r *replay) print(t *total) {
	fmt.Fprintf(r.out, "%d partitions, %d pieces of state equal, %d different", t.partitions, t.equal, t.differ)
	if len(t.moved) > 0 {
		fmt.Fprintf(r.out, "; %d keys not compared, they never stood still", len(t.moved))
	}
	fmt.Fprintln(r.out)
	if d := t.first; d != nil {
		fmt.Fprintf(r.out, "FIRST DIFFERENCE  %s, partition %d\n  live    %s\n  shadow  %s\n", d.Key, d.Partition,
			r.decoded(d.Key, d.Live), r.decoded(d.Key, d.Shadow))
	} else if len(t.moved) == 0 {
		fmt.Fprintln(r.out, "identical")
	}
}

// decoded is a piece for people.
func (r *replay) decoded(key string, value []byte) string {
	if value == nil {
		return "none"
	}
	var piece inventory.Piece
	if err := r.codecs.DecodeState([]byte(key), value, &piece); err != nil {
		return fmt.Sprintf("%v: %x", err, value)
	}
	text, err := json.Marshal(struct {
		Piece inventory.Piece
		Bytes string
	}{piece, fmt.Sprintf("%x", value)})
	if err != nil {
		return fmt.Sprintf("%x", value)
	}
	return string(text)
}

package atpapi

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/reservation"
)

// requestSource is the source of the events of requests over HTTP.
const requestSource inventory.Source = "atp-api"

// lifeName names a life of a process: of all its lives, and of all processes of one
// instance, no other has it.
func lifeName(instance string, now time.Time) string {
	const base = 36
	return "api-" + instance + "-" + strconv.FormatInt(now.UnixMilli(), base) + "-" + strconv.FormatUint(uint64(rand.Uint32()), base) //nolint:gosec // a name, no secret
}

// serve hears the ledger's answers and opens the desk; when ctx ends it closes it and
// hears on until what was under way is answered or given back. The log without a topic
// of answers has no reservations.
func (d *desk) serve(ctx context.Context, cfg *Config, log reservation.Appender, view logView) error {
	level := slog.LevelWarn // once
	var partitions int32
	for {
		_, n, err := view.Topic(ctx, event.TopicAnswers)
		if partitions = n; err == nil && n > 0 {
			break
		}
		d.log.Log(ctx, level, "no reservations yet: partitions of their answers are not known", slog.Any("err", err))
		if level = slog.LevelDebug; !pause(ctx, learnEvery) {
			return nil
		}
	}
	partition := replyPartition(cfg.Kafka.Instance, partitions)
	client, err := reservation.NewClient(reservation.Config{
		Codecs: cfg.Codecs, Log: log, Name: d.name, Source: requestSource, ReplyTo: partition, Now: d.now, Random: rand.Float64,
	})
	if err != nil {
		return fmt.Errorf("opening the desk: %w", err)
	}
	table, err := reservation.Follow(cfg.Kafka, cfg.Codecs, partition, d.now().Add(-time.Minute), client.Answered)
	if err != nil {
		return fmt.Errorf("reading answers to reservations: %w", err)
	}
	hear, deaf := context.WithCancel(context.WithoutCancel(ctx))
	defer deaf()
	ended := make(chan error, 1)
	go func() { ended <- table.Run(hear) }()
	select {
	case <-table.Loaded():
		d.client.Store(client)
		d.log.Info("reservations are taken", slog.Int("partition", int(partition)))
	case err := <-ended:
		return err //nolint:wrapcheck // it says what was done
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err //nolint:wrapcheck // it says what was done
	case <-ctx.Done():
	}
	closing, cancel := context.WithTimeout(hear, closeTime)
	defer cancel()
	if err := d.close(closing, client); err != nil { // it lapses, or was never granted
		d.log.Warn("requests were not answered before the end", slog.Any("err", err))
	}
	deaf()
	return <-ended
}

// pause waits, or returns false when ctx is done.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

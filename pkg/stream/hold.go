package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Hold divides the partitions of a topic among the members of a group and calls run,
// in a goroutine of its own, for each that falls to this process. When one is taken
// away its run's context ends, and the partition is given up once run has returned; it
// must do so soon. Nothing is read from the topic: a partition stands for work of
// which there is to be one worker at a time.
//
// That is so while processes and the group's coordinator hear each other. A process that
// is cut off learns of it when its session ends, and others may have begun by then: the
// work must bear two workers for a moment.
//
// Hold returns nil when ctx ends, and all runs have.
func Hold(ctx context.Context, cfg Config, group, topic string, run func(ctx context.Context, partition int32)) error {
	h := &holder{run: run, held: map[int32]*holding{}, ctx: ctx}
	opts := []kgo.Opt{
		kgo.ConsumerGroup(group),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.SessionTimeout(sessionTimeout),
		kgo.HeartbeatInterval(heartbeatInterval),
		kgo.ConsumeTopics(cfg.Physical(topic)),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtEnd()),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { h.take(m) }),
		kgo.OnPartitionsRevoked(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { h.leave(m) }),
		kgo.OnPartitionsLost(func(_ context.Context, _ *kgo.Client, m map[string][]int32) { h.leave(m) }),
	}
	if cfg.Instance != "" {
		opts = append(opts, kgo.InstanceID(group+"-"+cfg.Instance))
	}
	cl, err := cfg.client(opts...)
	if err != nil {
		return err
	}
	cl.PauseFetchTopics(cfg.Physical(topic))
	defer cl.Close()
	log := cfg.logger().With(slog.String("group", group))
	for ctx.Err() == nil {
		var fault error
		cl.PollFetches(ctx).EachError(func(topic string, partition int32, err error) {
			if f := fetchFault(topic, partition, err); f != nil && fault == nil {
				fault = f
			}
		})
		switch {
		case ctx.Err() != nil:
		case errors.Is(fault, ErrStop):
			h.all()
			return fmt.Errorf("holding partitions of %s: %w", topic, fault)
		case fault != nil:
			log.Warn("holding partitions", slog.Any("error", fault))
			pause(ctx, backoff(4))
		}
	}
	h.all()
	return nil
}

// holder has the partitions that run.
type holder struct {
	run func(ctx context.Context, partition int32)
	ctx context.Context //nolint:containedctx // of Hold, which the callbacks are not given

	mu   sync.Mutex
	held map[int32]*holding
}

type holding struct {
	cancel context.CancelFunc
	done   chan struct{}
}

func (h *holder) take(m map[string][]int32) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, ids := range m {
		for _, id := range ids {
			if h.held[id] != nil {
				continue
			}
			ctx, cancel := context.WithCancel(h.ctx)
			one := &holding{cancel, make(chan struct{})}
			h.held[id] = one
			go func() {
				defer close(one.done)
				h.run(ctx, id)
			}()
		}
	}
}

func (h *holder) leave(m map[string][]int32) {
	h.mu.Lock()
	var gone []*holding
	for _, ids := range m {
		for _, id := range ids {
			if one := h.held[id]; one != nil {
				one.cancel()
				gone = append(gone, one)
				delete(h.held, id)
			}
		}
	}
	h.mu.Unlock()
	for _, one := range gone {
		<-one.done
	}
}

func (h *holder) all() {
	h.mu.Lock()
	ids := make([]int32, 0, len(h.held))
	for id := range h.held {
		ids = append(ids, id)
	}
	h.mu.Unlock()
	h.leave(map[string][]int32{"": ids})
}

package atp

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// typeAnswer is the CloudEvents type of an answer.
const typeAnswer = "reservation.answer"

// answers knows where answers to requests may go: each to the partition that the
// replica that asked reads. It is safe for concurrent use.
type answers struct {
	partitions atomic.Int32
	lost       prometheus.Counter
}

func newAnswers(metrics prometheus.Registerer) (*answers, error) {
	a := &answers{lost: prometheus.NewCounter(prometheus.CounterOpts{
		Name: "stockweave_atp_answers_unroutable_total",
		Help: "Answers to a partition that the answers' topic did not have when the worker started; restart the workers after adding some.",
	})}
	if metrics != nil {
		if err := metrics.Register(a.lost); err != nil {
			return nil, fmt.Errorf("registering metrics of answers: %w", err)
		}
	}
	return a, nil
}

// load asks how many partitions there are. They are never fewer later.
func (a *answers) load(ctx context.Context, cfg stream.Config) error {
	admin, err := stream.NewAdmin(cfg)
	if err != nil {
		return fmt.Errorf("connecting for %s: %w", event.TopicAnswers, err)
	}
	defer admin.Close()
	topic := cfg.Physical(event.TopicAnswers)
	infos, err := admin.Topics(ctx, topic)
	if err != nil {
		return fmt.Errorf("describing %s: %w", topic, err)
	}
	info, ok := infos[topic]
	if !ok {
		return fmt.Errorf("topic %s is not there (run: stockweave topics apply)", topic)
	}
	a.partitions.Store(info.Partitions)
	return nil
}

// routes says whether somebody waits there. A number no replica can have is counted:
// the request was decided all the same, and its outcome stands.
func (a *answers) routes(partition int32) bool {
	switch {
	case a == nil || partition < 0:
		return false
	case partition >= a.partitions.Load():
		a.lost.Inc()
		return false
	}
	return true
}

// answer tells the replica that asked, in the transaction of the outcome. Whatever
// became of a request, it hears of it.
func (p *processor) answer(in stream.Input, ev *inventory.Event, emit func(*stream.Record)) error {
	r := ev.Reservation
	if r == nil || !p.answers.routes(r.ReplyTo) {
		return nil
	}
	if a := p.outcome.Answer; a != nil {
		return p.tell(in, &p.outcome, a, emit)
	}
	a := inventory.Answer{Reservation: r.ID, Action: r.Action, ReplyTo: r.ReplyTo}
	if len(p.outcome.Codes) > 0 {
		a.Code = p.outcome.Codes[0]
	}
	return p.tell(in, &p.outcome, &a, emit)
}

// tell emits an answer to where it is waited for.
func (p *processor) tell(in stream.Input, out *inventory.Outcome, a *inventory.Answer, emit func(*stream.Record)) error {
	x := event.Answered{
		Key: out.Key, EventID: out.EventID, Outcome: out.Kind, Answer: *a, RecordedAt: out.RecordedAt, Version: out.Version,
		PolicyVersion: out.PolicyVersion, Lineage: out.Lineage, Partition: out.Partition, Offset: out.Offset,
	}
	var err error
	if p.value, err = p.codecs.AppendAnswer(p.value[:0], &x); err != nil {
		return fmt.Errorf("encoding the answer to %s: %w", out.EventID, err)
	}
	p.key = append(p.key[:0], a.Reservation...)
	emit(&stream.Record{
		Topic: event.TopicAnswers, Partition: a.ReplyTo, Key: p.key, Value: p.value,
		Headers: p.headers(out.EventID, typeAnswer, out.RecordedAt, in.Headers),
	})
	return nil
}

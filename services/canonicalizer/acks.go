package canonicalizer

import (
	"context"
	"fmt"
	"sync"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// codeNoAck marks the dead letter of an interchange that cannot be acknowledged.
const codeNoAck = "ack_impossible"

const (
	// maxControl is the largest interchange control number (ISA13, 9 digits).
	maxControl = 999_999_999
	// maxAckIDs bounds the acknowledgements of a source that are known by their
	// message: one delivered again after more than these is answered by a new document.
	maxAckIDs = 100_000
)

// acks gives acknowledgements their control numbers. What it knows it reads from
// partner.acks, so a number is never given to two documents: it reads on whenever a
// partition of raw messages came from another process. It is safe for concurrent use.
type acks struct {
	codecs *event.Codecs
	// parts is the number of partitions of partner.acks; read calls f for the records
	// of one from an offset on and returns its end.
	parts func(ctx context.Context) (int32, error)
	read  func(ctx context.Context, partition int32, from int64, f func(*stream.Record) error) (int64, error)

	mu      sync.Mutex
	count   int32 // of partitions; 0: not asked yet
	next    map[int32]int64
	fresh   map[int32]bool
	sources map[inventory.Source]*ackNumbers
}

// ackNumbers is what a source's acknowledgements use.
type ackNumbers struct {
	last  int32
	known map[uint64]ackNumber // by the acknowledgement's id
	order []uint64
}

type ackNumber struct {
	control int32
	durable bool
}

func newAcks(codecs *event.Codecs) *acks {
	return &acks{codecs: codecs, next: map[int32]int64{}, fresh: map[int32]bool{}, sources: map[inventory.Source]*ackNumbers{}}
}

// forget says that others may have acknowledged meanwhile.
func (a *acks) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.fresh)
}

// number is the control number of an acknowledgement, and whether it stands on the
// topic already.
func (a *acks) number(ctx context.Context, ack *event.PartnerAck, numbers int) (control int32, durable bool, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.catchUp(ctx, ack.Source); err != nil {
		return 0, false, err
	}
	s := a.of(ack.Source)
	h := inventory.HashID(ack.ID)
	if n, known := s.known[h]; known {
		return n.control, n.durable, nil
	}
	if s.last == 0 {
		// Nothing is known of the source, or no more: its numbers begin above all that
		// earlier days can have used.
		s.last = firstControl(ack.At)
	}
	if int64(s.last)+int64(numbers) > maxControl {
		return 0, false, nil
	}
	control = s.last + 1
	s.remember(h, ackNumber{control, false}, control+int32(numbers)-1)
	return control, false, nil
}

// firstControl leaves 10,000 numbers a day since 2000.
func firstControl(at inventory.Instant) int32 {
	day := (int64(at)/86_400_000 - 10_957) * 10_000 //nolint:mnd // the days from 1970 to 2000
	return int32(min(max(0, day), maxControl-1))
}

func (a *acks) of(source inventory.Source) *ackNumbers {
	s := a.sources[source]
	if s == nil {
		s = &ackNumbers{known: map[uint64]ackNumber{}}
		a.sources[source] = s
	}
	return s
}

func (s *ackNumbers) remember(h uint64, n ackNumber, last int32) {
	if _, known := s.known[h]; !known {
		if len(s.order) >= maxAckIDs {
			delete(s.known, s.order[0])
			s.order = s.order[1:]
		}
		s.order = append(s.order, h)
	}
	s.known[h] = n
	s.last = max(s.last, last)
}

func (a *acks) catchUp(ctx context.Context, source inventory.Source) error {
	if a.count == 0 {
		n, err := a.parts(ctx)
		if err != nil {
			return fmt.Errorf("counting the partitions of %s: %w", event.TopicAcks, err)
		}
		a.count = n
	}
	p := stream.Partition([]byte(ackKey(source)), a.count)
	if a.fresh[p] {
		return nil
	}
	end, err := a.read(ctx, p, a.next[p], func(rec *stream.Record) error {
		var ack event.PartnerAck
		if err := a.codecs.DecodeAck(rec.Value, &ack); err != nil {
			return fmt.Errorf("decoding acknowledgement at offset %d: %w", rec.Offset, err)
		}
		a.of(ack.Source).remember(inventory.HashID(ack.ID), ackNumber{ack.Control, true}, ack.Control+ack.Numbers-1)
		return nil
	})
	if err != nil {
		return fmt.Errorf("reading %s partition %d: %w", event.TopicAcks, p, err)
	}
	a.next[p], a.fresh[p] = end, true
	return nil
}

// ackKey keeps a source's acknowledgements in one partition, in order.
func ackKey(source inventory.Source) string { return inventory.Escape(string(source)) }

// acknowledge writes the acknowledgements of a message, beside its lines, and notes in
// the result what cannot be acknowledged.
func (h *handler) acknowledge(ctx context.Context, src *policy.Source, raw *event.RawMessage, replayed map[string]string, res *Result) ([]event.PartnerAck, error) {
	var out []event.PartnerAck
	refuse := func(a *answer, why string) {
		res.Open = append(res.Open, event.DeadLetter{
			ID: a.ack.ID, Service: serviceName, Code: codeNoAck, RawID: raw.ID, Source: raw.Source, At: raw.ReceivedAt,
			Reason: shorten(fmt.Sprintf("interchange %s is not acknowledged: %s", a.ack.Interchange, why), maxReason),
		})
	}
	for _, a := range answers(src, raw, replayed) {
		// Whether there is anything to answer does not depend on the number.
		body, err := a.write(1)
		if err != nil {
			refuse(&a, err.Error())
			continue
		}
		if len(body) == 0 {
			continue
		}
		control, durable, err := h.acks.number(ctx, &a.ack, a.numbers)
		if err != nil {
			return nil, err
		}
		if control == 0 {
			refuse(&a, "its control numbers are used up")
			continue
		}
		if durable {
			continue // before its message was delivered again
		}
		if a.ack.Body, err = a.write(int(control)); err != nil {
			refuse(&a, err.Error())
			continue
		}
		a.ack.Control, a.ack.Numbers = control, int32(a.numbers)
		out = append(out, a.ack)
	}
	return out, nil
}

// acks are the records of acknowledgements.
func (w *writer) acks(list []event.PartnerAck) error {
	for i := range list {
		value, err := w.codecs.AppendAck(nil, &list[i])
		if err != nil {
			return fmt.Errorf("encoding acknowledgement %s: %w", list[i].ID, err)
		}
		w.add(event.TopicAcks, ackKey(list[i].Source), value, list[i].ID, "partner.ack")
	}
	return nil
}

// acksFrom are acknowledgements numbered by what stands on Kafka.
func acksFrom(codecs *event.Codecs, reads *stream.RestoreReads) *acks {
	a := newAcks(codecs)
	a.parts = func(ctx context.Context) (int32, error) {
		_, n, err := reads.Topic(ctx, event.TopicAcks)
		return n, err
	}
	a.read = func(ctx context.Context, partition int32, from int64, f func(*stream.Record) error) (int64, error) {
		end, err := reads.HighWatermark(ctx, event.TopicAcks, partition)
		if err == nil {
			var start int64
			if start, err = reads.LogStart(ctx, event.TopicAcks, partition); err == nil && max(from, start) < end {
				err = reads.Each(ctx, event.TopicAcks, partition, max(from, start), end, f)
			}
		}
		return end, err
	}
	return a
}

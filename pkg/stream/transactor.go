package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// transactor speaks the transactional producer's part of the protocol (KIP-98, KIP-447,
// KIP-890) over a client that knows nothing of transactions: it writes the batches of an
// outbox, commits offsets with them, and ends the transaction. ADR 47 says why the
// client's own producer does not.
//
// It sends at most one batch of a partition at a time and tries it again, under the same
// sequence number, until it knows what became of it or gives up. After that only an abort
// is possible: of what a failed commit has done, nothing is assumed.
//
// One goroutine uses it.
type transactor struct {
	cl    *kgo.Client
	reads *RestoreReads // metadata
	txnID string
	codec kgo.Compressor
	room  bytes.Buffer
	wire  []byte // the batches being sent
	now   func() time.Time

	implicit bool // brokers add partitions and groups by themselves and end epochs with transactions (KIP-890, transaction.version 2)
	producerID
	topics map[string]topicMeta

	// of the open transaction
	box   outbox
	began time.Time
	open  bool // the brokers may know of it
	doubt bool // whether a batch was written
}

// errNoPartition is an output to a partition that its topic does not have.
var errNoPartition = errors.New("no such partition")

const (
	// missingAttempts is how often a topic or partition is asked for that is not there.
	missingAttempts = 5
	// concurrentPause is for brokers that still end the transaction before.
	concurrentPause = 2 * time.Millisecond
	// maxRequest bounds the batches of one request, bytes; brokers take 100 MiB.
	maxRequest = 32 << 20
)

func (x *transactor) init(s *session, id producerID) {
	cfg := &s.r.cfg
	*x = transactor{
		cl: s.cl, reads: s.r.reads, txnID: s.r.identity(), codec: s.r.codec, now: s.r.now,
		implicit: s.facts.implicit, producerID: id,
		topics: map[string]topicMeta{}, box: outbox{limit: cfg.batchLimit()},
	}
}

// explicitVersions are those of a client whose brokers are to be told of partitions and
// groups: the later ones mean that they need not be (KIP-890).
func explicitVersions() *kversion.Versions {
	v := kversion.Stable()
	v.SetMaxKeyVersion(int16(kmsg.Produce), 11)
	v.SetMaxKeyVersion(int16(kmsg.AddPartitionsToTxn), 3)
	v.SetMaxKeyVersion(int16(kmsg.EndTxn), 4)
	v.SetMaxKeyVersion(int16(kmsg.TxnOffsetCommit), 4)
	return v
}

// begin starts a transaction; the brokers learn of it with the first batch.
func (x *transactor) begin(now time.Time) {
	x.box.reset()
	if cap(x.wire) > keepFree {
		x.wire = nil
	}
	x.began, x.open, x.doubt = now, false, false
}

// late says that the brokers have ended the transaction by now.
func (x *transactor) late() bool { return x.now().Sub(x.began) > transactionTimeout }

// write writes everything in the outbox and returns when it is acked. An error is a
// *refusal, an ErrStop, or one to abort for.
func (x *transactor) write(ctx context.Context) error {
	if r := x.box.refused; r != nil {
		return r
	}
	left := make([]*lane, 0, len(x.box.used))
	for _, l := range x.box.used {
		if l.batches[0].n > 0 {
			left = append(left, l)
		}
	}
	if err := x.tell(ctx, left); err != nil {
		return err
	}
	for failed := 0; len(left) > 0; {
		again, err := x.round(ctx, left)
		if err != nil {
			return err
		}
		n := 0
		for _, l := range left {
			if l.sent < len(l.batches) {
				left[n] = l
				n++
			}
		}
		left = left[:n]
		if again == nil {
			failed = 0
			continue
		}
		failed++
		missing := errors.Is(again, kerr.UnknownTopicOrPartition) || errors.Is(again, errNoPartition)
		if x.late() || ctx.Err() != nil || missing && failed >= missingAttempts {
			return again
		}
		if errors.Is(again, kerr.ConcurrentTransactions) {
			pause(ctx, concurrentPause)
			continue
		}
		x.forgetLeaders() // whatever it was, another leader may be the cure
		pause(ctx, backoff(failed))
	}
	return nil
}

// round sends one batch of each lane, or as many as requests hold. It returns why some
// are to be sent again, or an error that no repetition cures.
func (x *transactor) round(ctx context.Context, lanes []*lane) (again, fault error) {
	byLeader := map[int32]*sendout{}
	room := 0
	for _, l := range lanes {
		room += len(l.batches[l.sent].wire)
	}
	if x.codec != nil {
		x.wire = slices.Grow(x.wire[:0], room)
	}
	for _, l := range lanes {
		m, err := x.meta(ctx, l.topic)
		if err != nil {
			if !repeatable(err) {
				return nil, err
			}
			again = err
			continue
		}
		if l.part < 0 || int(l.part) >= len(m.leaders) {
			again = fmt.Errorf("writing to %s partition %d: %w", l.topic, l.part, errNoPartition)
			continue
		}
		if m.leaders[l.part] < 0 {
			again = fmt.Errorf("writing to %s partition %d: %w", l.topic, l.part, kerr.LeaderNotAvailable)
			continue
		}
		s := byLeader[m.leaders[l.part]]
		if s == nil {
			s = &sendout{}
			byLeader[m.leaders[l.part]] = s
		}
		if s.bytes > maxRequest {
			continue // has its turn in the next round
		}
		b := &l.batches[l.sent]
		from := len(x.wire)
		wire, compressed := b.seal(x.wire[from:], x.codec, &x.room, stamp{x.producerID, l.seq, x.began.UnixMilli()})
		if compressed {
			x.wire = x.wire[:from+len(wire)]
		}
		s.add(l, m.id, wire)
	}
	x.open = x.open || len(byLeader) > 0
	if len(byLeader) == 1 {
		for leader, s := range byLeader {
			s.ask(ctx, x.cl.Broker(int(leader)), x.txnID)
		}
	} else {
		var wg sync.WaitGroup
		for leader, s := range byLeader {
			wg.Go(func() { s.ask(ctx, x.cl.Broker(int(leader)), x.txnID) })
		}
		wg.Wait()
	}
	for _, s := range byLeader {
		for i, l := range s.lanes {
			switch err := s.errs[i]; {
			case err == nil:
				b := &l.batches[l.sent]
				l.sent++
				l.tried = false
				l.seq = nextSeq(l.seq, b.n)
				l.end = -1
				if base := s.bases[i]; base >= 0 {
					l.end = base + int64(b.n)
				}
			case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
				b := &l.batches[l.sent]
				fault = &refusal{topic: l.topic, size: b.size, from: b.largest}
			default:
				x.doubt = true // also where it is not sent again: it may have been written all the same
				err = fmt.Errorf("writing to %s partition %d: %w", l.topic, l.part, err)
				if repeatable(err) {
					l.tried = true
					again = err
				} else if fault == nil {
					fault = err
				}
			}
		}
	}
	return again, fault
}

// sendout is one request to write, and what became of its batches.
type sendout struct {
	req   *kmsg.ProduceRequest
	bytes int
	lanes []*lane
	errs  []error
	bases []int64 // offsets of the first records; -1 when not told
}

func (s *sendout) add(l *lane, id [16]byte, wire []byte) {
	s.bytes += len(wire)
	if s.req == nil {
		s.req = kmsg.NewPtrProduceRequest()
	}
	i := slices.IndexFunc(s.req.Topics, func(t kmsg.ProduceRequestTopic) bool { return t.Topic == l.topic })
	if i < 0 {
		i = len(s.req.Topics)
		t := kmsg.NewProduceRequestTopic()
		t.Topic, t.TopicID = l.topic, id
		s.req.Topics = append(s.req.Topics, t)
	}
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = l.part, wire
	s.req.Topics[i].Partitions = append(s.req.Topics[i].Partitions, p)
	s.lanes = append(s.lanes, l)
}

// ask sends the request and notes the answers.
func (s *sendout) ask(ctx context.Context, to *kgo.Broker, txnID string) {
	s.req.TransactionID = new(txnID)
	s.req.Acks = -1
	s.req.TimeoutMillis = int32(transactionTimeout.Milliseconds())
	s.errs = make([]error, len(s.lanes))
	s.bases = make([]int64, len(s.lanes))
	kresp, err := to.Request(ctx, s.req)
	resp, ok := kresp.(*kmsg.ProduceResponse)
	if err == nil && !ok {
		err = errors.New("no answer to a produce request")
	}
	for i, l := range s.lanes {
		s.bases[i], s.errs[i] = -1, err
		if err == nil {
			s.bases[i], s.errs[i] = answerOf(s.req, resp, l)
		}
	}
}

// answerOf finds what the brokers say of a lane's batch.
func answerOf(req *kmsg.ProduceRequest, resp *kmsg.ProduceResponse, l *lane) (base int64, err error) {
	var id [16]byte
	for i := range req.Topics {
		if req.Topics[i].Topic == l.topic {
			id = req.Topics[i].TopicID
		}
	}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		if t.Topic != l.topic && (resp.Version < 13 || t.TopicID != id) {
			continue
		}
		for j := range t.Partitions {
			p := &t.Partitions[j]
			if p.Partition != l.part {
				continue
			}
			err := kerr.ErrorForCode(p.ErrorCode)
			if l.tried && errors.Is(err, kerr.DuplicateSequenceNumber) {
				return -1, nil // of an attempt whose answer was lost
			}
			return p.BaseOffset, err
		}
	}
	return -1, kerr.UnknownServerError
}

// repeatable says that the same request may yet succeed.
func repeatable(err error) bool {
	var ke *kerr.Error
	if !errors.As(err, &ke) {
		return !errors.Is(err, kgo.ErrClientClosed) && !errors.Is(err, context.Canceled) && !errors.Is(err, ErrStop)
	}
	return ke.Retriable && !errors.Is(err, kerr.CorruptMessage) || errors.Is(err, kerr.ConcurrentTransactions)
}

// meta is what is known of a topic. One that was made anew is not the one that was written
// to before.
func (x *transactor) meta(ctx context.Context, topic string) (topicMeta, error) {
	known := x.topics[topic]
	if known.leaders != nil {
		return known, nil
	}
	m, err := x.reads.meta(ctx, true, topic)
	if err != nil {
		return m, err
	}
	if known.id != ([16]byte{}) && known.id != m.id {
		return m, fmt.Errorf("%w: writing to %s: %w", ErrStop, topic, errRecreated)
	}
	x.topics[topic] = m
	return m, nil
}

// forgetLeaders has them asked for again.
func (x *transactor) forgetLeaders() {
	for topic, m := range x.topics {
		m.leaders = nil
		x.topics[topic] = m
	}
}

// tell adds partitions to the transaction where brokers do not do so by themselves.
func (x *transactor) tell(ctx context.Context, lanes []*lane) error {
	if x.implicit || len(lanes) == 0 {
		return nil
	}
	req := kmsg.NewPtrAddPartitionsToTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = x.txnID, x.id, x.epoch
	for _, l := range lanes {
		i := slices.IndexFunc(req.Topics, func(t kmsg.AddPartitionsToTxnRequestTopic) bool { return t.Topic == l.topic })
		if i < 0 {
			i = len(req.Topics)
			t := kmsg.NewAddPartitionsToTxnRequestTopic()
			t.Topic = l.topic
			req.Topics = append(req.Topics, t)
		}
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, l.part)
	}
	x.open = true
	err := x.patiently(ctx, func() error {
		resp, err := req.RequestWith(ctx, x.cl)
		if err != nil {
			return err
		}
		var fault error
		for i := range resp.Topics {
			for j := range resp.Topics[i].Partitions {
				p := &resp.Topics[i].Partitions[j]
				err := kerr.ErrorForCode(p.ErrorCode)
				if err != nil && (fault == nil || errors.Is(fault, kerr.OperationNotAttempted)) { // that one is for another's sake
					fault = fmt.Errorf("%s partition %d: %w", resp.Topics[i].Topic, p.Partition, err)
				}
			}
		}
		return fault
	})
	if err != nil {
		return fmt.Errorf("adding partitions to the transaction: %w", err)
	}
	return nil
}

// patiently repeats what brokers refuse because they still end the transaction before.
func (x *transactor) patiently(ctx context.Context, f func() error) error {
	for began := x.now(); ; {
		err := f()
		if !errors.Is(err, kerr.ConcurrentTransactions) || ctx.Err() != nil || x.now().Sub(began) > 2*transactionTimeout {
			return err
		}
		pause(ctx, concurrentPause)
	}
}

// standing are the offsets of a group that a transaction commits, and who does so as its
// member.
type standing struct {
	group, instance string
	member          string
	generation      int32
	topic           string
	id              [16]byte
	at              []offsetAt
}

// offsetAt is the next offset of a partition, and the leader epoch of the record before
// it, -1 when not known.
type offsetAt struct {
	part   int32
	offset int64
	epoch  int32
}

// commit commits the offsets and the transaction. It reports whether that took effect; an
// error says that it is not known.
//
// The offsets are committed as of a generation of the group (KIP-447): when somebody else
// may have a partition by now, the brokers refuse, and the transaction is aborted.
func (x *transactor) commit(ctx context.Context, at standing) (bool, error) {
	err := x.commitOffsets(ctx, at)
	if err == nil {
		if err := x.end(ctx, true); err != nil {
			return false, fmt.Errorf("ending the transaction: %w", err)
		}
		return true, nil
	}
	if abort := x.abort(ctx); abort != nil {
		return false, errors.Join(err, abort)
	}
	if outdated(err) {
		return false, nil
	}
	return false, err
}

// outdated says that a member's offsets are refused for a reason that its next
// transaction need not meet: the group has gone on without it, or its coordinator moves.
func outdated(err error) bool {
	for _, e := range []error{
		kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.StaleMemberEpoch, kerr.GroupIDNotFound, kerr.RebalanceInProgress,
		kerr.CoordinatorNotAvailable, kerr.CoordinatorLoadInProgress, kerr.NotCoordinator,
		kerr.ConcurrentTransactions, kerr.UnknownServerError, kerr.TransactionAbortable,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

func (x *transactor) commitOffsets(ctx context.Context, at standing) error {
	x.open = true
	if !x.implicit {
		req := kmsg.NewPtrAddOffsetsToTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Group = x.txnID, x.id, x.epoch, at.group
		if err := x.patiently(ctx, func() error {
			resp, err := req.RequestWith(ctx, x.cl)
			if err != nil {
				return err
			}
			return kerr.ErrorForCode(resp.ErrorCode)
		}); err != nil {
			return fmt.Errorf("adding the group to the transaction: %w", err)
		}
	}
	req := kmsg.NewPtrTxnOffsetCommitRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch = x.txnID, x.id, x.epoch
	req.Group, req.MemberID, req.Generation, req.InstanceID = at.group, at.member, at.generation, new(at.instance)
	t := kmsg.NewTxnOffsetCommitRequestTopic()
	t.Topic, t.TopicID = at.topic, at.id
	for _, a := range at.at {
		p := kmsg.NewTxnOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch = a.part, a.offset, a.epoch
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	err := x.patiently(ctx, func() error {
		resp, err := req.RequestWith(ctx, x.cl)
		if err != nil {
			return err
		}
		for i := range resp.Topics {
			for _, p := range resp.Topics[i].Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return fmt.Errorf("partition %d: %w", p.Partition, err)
				}
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("committing offsets: %w", err)
	}
	return nil
}

// end ends the transaction.
func (x *transactor) end(ctx context.Context, commit bool) error {
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = x.txnID, x.id, x.epoch, commit
	return x.patiently(ctx, func() error {
		resp, err := req.RequestWith(ctx, x.cl)
		if err != nil {
			return err
		}
		if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
			return err
		}
		x.open = false
		if resp.Version >= 5 && resp.ProducerID >= 0 { // KIP-890: the next transaction has an epoch of its own
			x.producerID = producerID{resp.ProducerID, resp.ProducerEpoch}
			x.box.restart()
		}
		return nil
	})
}

// abort ends the transaction without effect. After an error the producer is of no use
// any more.
func (x *transactor) abort(ctx context.Context) error {
	if !x.open {
		return nil
	}
	err := x.end(ctx, false)
	if !x.implicit && errors.Is(err, kerr.InvalidTxnState) { // the brokers know of none
		err = nil
	}
	if err != nil {
		return fmt.Errorf("aborting: %w", err)
	}
	if x.doubt && !x.implicit {
		// What became of a batch is not known, nor then the sequence number of the next.
		return x.renew(ctx)
	}
	return nil
}

// renew gives the producer another epoch of its own (KIP-360).
func (x *transactor) renew(ctx context.Context) error {
	return x.patiently(ctx, func() error {
		id, err := initProducer(ctx, x.cl, x.txnID, transactionTimeout, x.producerID)
		if err != nil {
			return fmt.Errorf("renewing the producer's epoch: %w", err)
		}
		x.producerID, x.doubt = id, false
		x.box.restart()
		return nil
	})
}

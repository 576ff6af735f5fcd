//go:build synctests

package stream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// attempt is a batch that was sent.
type attempt struct {
	topic   string
	part    int32
	epoch   int16
	seq, n  int32
	version int16
}

// spy notes what transactional producers send, and may answer it. The cluster's own
// goroutine calls it.
type spy struct {
	b      *bubble
	topics map[[16]byte]string
	answer func(*kmsg.ProduceRequest) (kmsg.Response, error, bool) // when set

	mu       sync.Mutex
	attempts []attempt
	requests [][]attempt
}

func (b *bubble) spy() *spy {
	b.t.Helper()
	s := &spy{b: b, topics: map[[16]byte]string{}}
	s.learn()
	b.c.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.c.KeepControl()
		q, ok := r.(*kmsg.ProduceRequest)
		if !ok || q.TransactionID == nil {
			return nil, nil, false
		}
		s.note(q)
		if s.answer != nil {
			return s.answer(q)
		}
		return nil, nil, false
	})
	return s
}

// learn asks for the ids of topics.
func (s *spy) learn() {
	s.b.t.Helper()
	topics, err := kadm.NewClient(s.b.cl).ListTopics(context.Background())
	if err != nil {
		s.b.t.Fatal(err)
	}
	for name, d := range topics {
		s.topics[d.ID] = name
	}
}

func (s *spy) note(q *kmsg.ProduceRequest) {
	var request []attempt
	for _, t := range q.Topics {
		name := t.Topic
		if name == "" {
			name = s.topics[t.TopicID]
		}
		for _, p := range t.Partitions {
			var rb kmsg.RecordBatch
			if err := rb.ReadFrom(p.Records); err != nil {
				s.b.t.Error(err)
			}
			request = append(request, attempt{name, p.Partition, rb.ProducerEpoch, rb.FirstSequence, rb.NumRecords, q.Version})
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempts = append(s.attempts, request...)
	s.requests = append(s.requests, request)
}

// take returns the batches sent to a topic's partition since it was last called, and
// forgets all others.
func (s *spy) take(topic string, part int32) []attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := slices.DeleteFunc(s.attempts, func(a attempt) bool { return a.topic != topic || a.part != part })
	s.attempts, s.requests = nil, nil
	return all
}

// handle has another client send a request, so that it takes effect although the answer
// to the one who asked is to be lost. The cluster is to sleep out of order.
func (b *bubble) handle(r kmsg.Request) {
	node := b.c.CurrentNode()
	b.c.SleepControl(func() {
		if _, err := b.cl.Broker(int(node)).Request(context.Background(), r); err != nil {
			b.t.Error(err)
		}
	})
}

// answerAll answers every batch of a request alike.
func answerAll(q *kmsg.ProduceRequest, err *kerr.Error) kmsg.Response {
	resp := q.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range q.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.BaseOffset, rp.ErrorCode = p.Partition, -1, err.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// eras are the brokers' two ways with transactions (KIP-890).
var eras = map[string][]kfake.Opt{
	"transaction.version 2": nil,
	"before":                {kfake.MaxVersions(kversion.V3_9_0())},
}

// inEras runs a test in a bubble of each. before says that brokers are to be told.
func inEras(t *testing.T, partitions int32, f func(b *bubble, before bool)) {
	t.Helper()
	for name, opts := range eras {
		t.Run(name, func(t *testing.T) {
			inBubble(t, partitions, func(b *bubble) {
				implicit, err := (&RestoreReads{cl: b.cl}).implicit(context.Background())
				if err != nil || implicit == (opts != nil) {
					t.Fatalf("brokers are told of nothing: %v (%v)", implicit, err)
				}
				f(b, opts != nil)
			}, append(slices.Clone(opts), kfake.SleepOutOfOrder())...)
		})
	}
}

// observe counts the requests of a kind that a transactional id makes.
func (b *bubble) observe(key kmsg.Key) *kfake.FaultHandle {
	return b.c.Fault(kfake.Fault{Keys: []kmsg.Key{key}, TxnID: group + "-0", Observe: true, Count: -1})
}

// sessions counts how often a worker's session begins from now on.
func (b *bubble) sessions() *kfake.FaultHandle {
	return b.c.Fault(kfake.Fault{
		Keys: []kmsg.Key{kmsg.InitProducerID}, TxnID: group + "-0", Observe: true, Count: -1,
		When: func(r kmsg.Request) bool { q, ok := r.(*kmsg.InitProducerIDRequest); return ok && q.ProducerID < 0 },
	})
}

func isTransactional(r kmsg.Request) bool {
	q, ok := r.(*kmsg.ProduceRequest)
	return ok && q.TransactionID != nil
}

// Brokers refuse a batch for now, or write it and say that they may not have: it is sent
// again under its sequence number within the transaction, and stands in the log once.
func TestBatchIsSentAgain(t *testing.T) {
	for _, tc := range []struct {
		err   *kerr.Error
		times int
	}{
		{kerr.NotLeaderForPartition, 3},
		{kerr.NotEnoughReplicas, 4},
		{kerr.KafkaStorageError, 2},
		{kerr.ConcurrentTransactions, 200},
		{kerr.RequestTimedOut, 1}, // written
		{kerr.NotEnoughReplicasAfterAppend, 3},
	} {
		t.Run(tc.err.Message, func(t *testing.T) {
			inEras(t, 2, func(b *bubble, _ bool) {
				w := b.runner("0", &counter{})
				b.put(0, "a")
				b.until("commit", func() bool { return b.groupOffset(0) == 1 })
				s := b.spy()
				h := b.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topicOut, Err: tc.err, Count: tc.times, When: isTransactional})
				b.put(0, "a", "a")
				b.until("commit", func() bool { return b.groupOffset(0) == 3 })
				if h.Hits() != tc.times {
					t.Errorf("the fault was met %d times", h.Hits())
				}
				sent := s.take(topicOut, 0)
				same := 0
				for _, a := range sent {
					if a == sent[0] {
						same++
					}
				}
				if same != tc.times+1 {
					t.Errorf("sent %d times alike: %v", same, sent)
				}
				b.put(0, "a")
				b.put(1, "b")
				b.until("commits", func() bool { return b.groupOffset(0) == 4 && b.groupOffset(1) == 1 })
				b.wantOut(0, "a1 a2 a3 a4")
				b.wantOut(1, "b1")
				if got := w.metric("aborts_total", ""); got != 0 {
					t.Errorf("%v aborts", got)
				}
				w.stop()
			})
		})
	}
}

// The batch is written and the connection breaks, and what was written may be so long ago
// that brokers know no more of it than that.
func TestAnswerToBatchIsLost(t *testing.T) {
	for _, forgotten := range []bool{false, true} {
		t.Run(fmt.Sprintf("forgotten %v", forgotten), func(t *testing.T) {
			inEras(t, 1, func(b *bubble, _ bool) {
				w := b.runner("0", &counter{})
				b.put(0, "a")
				b.until("commit", func() bool { return b.groupOffset(0) == 1 })
				s := b.spy()
				seen := map[attempt]int{} // cluster's goroutine only
				hits := 0
				s.answer = func(q *kmsg.ProduceRequest) (kmsg.Response, error, bool) {
					a := s.requests[len(s.requests)-1][0]
					switch seen[a]++; {
					case seen[a] == 1 && hits < 2:
						hits++
						same := *q
						b.handle(&same) // seen for the second time
						return nil, errors.New("the connection breaks"), true
					case seen[a] == 3 && forgotten:
						return answerAll(q, kerr.DuplicateSequenceNumber), nil, true
					}
					return nil, nil, false
				}
				b.put(0, "a", "a")
				b.until("commit", func() bool { return b.groupOffset(0) == 3 })
				b.put(0, "a", "b")
				b.until("commit", func() bool { return b.groupOffset(0) == 5 })
				b.wantOut(0, "a1 a2 a3 a4 b1")
				if st := b.state(0); st["a|h"] != "4" || st["b|h"] != "1" {
					t.Errorf("state %v", st)
				}
				if hits < 2 || w.metric("aborts_total", "") != 0 {
					t.Errorf("%d answers were lost, %v aborts", hits, w.metric("aborts_total", ""))
				}
				w.stop()
			})
		})
	}
}

// Brokers that still end the transaction before are waited for, whatever they are asked,
// and nothing is aborted for it.
func TestBrokersThatStillEndAreWaitedFor(t *testing.T) {
	for _, key := range []kmsg.Key{kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn} {
		t.Run(key.Name(), func(t *testing.T) {
			inEras(t, 1, func(b *bubble, before bool) {
				if !before && (key == kmsg.AddPartitionsToTxn || key == kmsg.AddOffsetsToTxn) {
					h := b.observe(key)
					w := b.runner("0", &counter{})
					b.put(0, "a")
					b.until("commit", func() bool { return b.groupOffset(0) == 1 })
					if h.Hits() != 0 {
						t.Error("brokers are told what they know")
					}
					w.stop()
					return
				}
				w := b.runner("0", &counter{})
				b.put(0, "a")
				b.until("commit", func() bool { return b.groupOffset(0) == 1 })
				sessions := b.sessions()
				h := b.c.Fault(kfake.Fault{Keys: []kmsg.Key{key}, TopLevel: key == kmsg.EndTxn || key == kmsg.AddOffsetsToTxn, Err: kerr.ConcurrentTransactions, Count: 50})
				began := time.Now()
				b.put(0, "a")
				b.until("commit", func() bool { return b.groupOffset(0) == 2 })
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("took %v", took)
				}
				b.wantOut(0, "a1 a2")
				if h.Hits() != 50 || sessions.Hits() != 0 || w.metric("aborts_total", "") != 0 {
					t.Errorf("the fault was met %d times; %d sessions opened anew, %v aborts", h.Hits(), sessions.Hits(), w.metric("aborts_total", ""))
				}
				w.stop()
			})
		})
	}
}

// The same for the end of a transaction without effect.
func TestAbortWaitsForBrokers(t *testing.T) {
	inEras(t, 1, func(b *bubble, _ bool) {
		w := b.runner("0", &counter{})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		sessions := b.sessions()
		refused := b.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.UnknownMemberID})
		h := b.c.Fault(kfake.Fault{
			Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.ConcurrentTransactions, Count: 20,
			When: func(r kmsg.Request) bool { q, ok := r.(*kmsg.EndTxnRequest); return ok && !q.Commit },
		})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 2 })
		b.wantOut(0, "a1 a2")
		if refused.Hits() != 1 || h.Hits() != 20 || sessions.Hits() != 0 || w.metric("aborts_total", "rebalance") != 1 {
			t.Errorf("%d, %d faults; %d sessions; %v aborts", refused.Hits(), h.Hits(), sessions.Hits(), w.metric("aborts_total", ""))
		}
		w.stop()
	})
}

// A producer that brokers refuse as another one's predecessor aborts. When that too is
// refused the session begins anew, and each record counts once either way.
func TestFencedAtProduce(t *testing.T) {
	for _, err := range []*kerr.Error{kerr.ProducerFenced, kerr.InvalidProducerEpoch, kerr.InvalidProducerIDMapping} {
		for _, truly := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, truly %v", err.Message, truly), func(t *testing.T) {
				inEras(t, 2, func(b *bubble, _ bool) {
					w := b.runner("0", &counter{})
					b.put(0, "a")
					b.put(1, "b")
					b.until("commits", func() bool { return b.groupOffset(0) == 1 && b.groupOffset(1) == 1 })
					sessions := b.sessions()
					h := b.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topicState, Err: err, When: isTransactional})
					if truly {
						b.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: err})
					}
					b.both(0, 1)
					b.until("commits", func() bool { return b.groupOffset(0) == 2 && b.groupOffset(1) == 2 })
					b.put(0, "a")
					b.until("commits", func() bool { return b.groupOffset(0) == 3 })
					b.wantOut(0, "a1 a2 a3")
					b.wantOut(1, "b1 a1")
					if st := b.state(0); st["a|h"] != "3" || b.header(0).AppliedThrough != 2 {
						t.Errorf("state %v", st)
					}
					if h.Hits() != 1 || truly != (sessions.Hits() > 0) || w.metric("aborts_total", "produce") != 1 {
						t.Errorf("fault met %d times, %d sessions, %v aborts", h.Hits(), sessions.Hits(), w.metric("aborts_total", ""))
					}
					w.stop()
				})
			})
		}
	}
}

// Somebody else takes the transactional id, and gives it back, before a batch is written.
func TestTransactionalIDTaken(t *testing.T) {
	inEras(t, 1, func(b *bubble, _ bool) {
		w := b.runner("0", &counter{})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		s, taken := b.spy(), false
		s.answer = func(*kmsg.ProduceRequest) (kmsg.Response, error, bool) {
			if taken {
				return nil, nil, false
			}
			taken = true
			b.c.SleepControl(func() {
				if _, err := (&RestoreReads{cl: b.cl}).settle(context.Background(), group+"-0", transactionTimeout); err != nil {
					b.t.Error(err)
				}
			})
			return nil, nil, false
		}
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 2 })
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 3 })
		b.wantOut(0, "a1 a2 a3")
		if got := w.metric("aborts_total", ""); got == 0 || !taken {
			t.Errorf("%v aborts, id taken: %v", got, taken)
		}
		w.stop()
	})
}

// noise does not shrink.
func noise(seed uint64, n int) []byte {
	rng := rand.New(rand.NewPCG(seed, 3))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.UintN(256))
	}
	return b
}

// A topic takes less than this worker was told: the record is diverted whose output is
// the largest of what the brokers refuse.
func TestTopicTakesLessThanConfigured(t *testing.T) {
	inEras(t, 1, func(b *bubble, _ bool) {
		limit := "50000"
		if _, err := kadm.NewClient(b.cl).AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &limit}}, topicOut); err != nil {
			t.Fatal(err)
		}
		b.wantDiverted(new(large), "large")
	})
}

// large emits what the worker may write and the topic does not take.
type large struct{ counter }

func (l *large) Step(in Input, st *State, emit func(*Record)) error {
	if string(in.Value) == "large" {
		emit(&Record{Topic: topicOut, Value: noise(1, 100_000)})
	}
	return l.counter.Step(in, st, emit)
}

// An output topic that was made anew is another one: nothing is written to it.
func TestRecreatedOutputStops(t *testing.T) {
	for _, topic := range []string{topicOut, topicState} {
		t.Run(topic, func(t *testing.T) {
			inBubble(t, 1, func(b *bubble) {
				w := b.runner("0", &counter{})
				b.put(0, "a", "a")
				b.until("commit", func() bool { return b.groupOffset(0) == 2 })
				adm, ctx := kadm.NewClient(b.cl), context.Background()
				if _, err := adm.DeleteTopic(ctx, topic); err != nil {
					t.Fatal(err)
				}
				if _, err := adm.CreateTopic(ctx, 1, 3, nil, topic); err != nil {
					t.Fatal(err)
				}
				b.put(0, "a")
				if err := w.stopped(); !errors.Is(err, ErrStop) || !errors.Is(err, errRecreated) || !strings.Contains(err.Error(), topic) {
					t.Errorf("got %v, want a stop", err)
				}
				reads := &RestoreReads{cl: b.cl}
				if end, err := reads.HighWatermark(ctx, topic, 0); end != 0 || err != nil {
					t.Errorf("%d records in the new topic (%v)", end, err)
				}
				if off := b.groupOffset(0); off != 2 {
					t.Errorf("the group stands at %d", off)
				}
			})
		})
	}
}

// A partition is taken away while a transaction works on it. The member's generation is
// a new one by then, so the brokers would take its offsets: the worker must not offer
// them.
func TestPartitionTakenAwayInTransaction(t *testing.T) {
	inEras(t, 2, func(b *bubble, _ bool) {
		hold, goOn := make(chan struct{}), make(chan struct{})
		held := 0
		p := &counter{step: func(in Input, _ *State) error {
			if string(in.Value) == "hold" {
				if held++; held == 2 { // the transaction works on both
					close(hold)
					<-goOn
				}
			}
			return nil
		}}
		w := b.runner("0", p)
		b.put(0, "a", "b")
		b.put(1, "a", "b")
		b.until("commits", func() bool { return b.groupOffset(0) == 2 && b.groupOffset(1) == 2 })
		if err := b.cl.ProduceSync(context.Background(),
			&Record{Topic: topicIn, Partition: 0, Key: []byte("a"), Value: []byte("hold")},
			&Record{Topic: topicIn, Partition: 1, Key: []byte("a"), Value: []byte("hold")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		<-hold
		w2 := b.runner("1", &counter{})
		b.until("balance", func() bool { return w2.metric("partitions_owned", "") == 1 && w2.r.Ready() == nil })
		b.until("the other worker commits", func() bool { return b.groupOffset(0)+b.groupOffset(1) == 5 })
		close(goOn)
		b.until("commits", func() bool { return b.groupOffset(0) == 3 && b.groupOffset(1) == 3 })
		b.put(0, "a")
		b.put(1, "a")
		b.until("commits", func() bool { return b.groupOffset(0) == 4 && b.groupOffset(1) == 4 })
		for i := range int32(2) {
			b.wantOut(i, "a1 b1 a2 a3")
			if st := b.state(i); st["a|h"] != "3" {
				t.Errorf("partition %d: state %v", i, st)
			}
		}
		if got := w.metric("aborts_total", "rebalance"); got != 1 {
			t.Errorf("%v aborts", got)
		}
		w.stop()
		w2.stop()
	})
}

// The group has gone on without a member, which has not heard of it: the brokers refuse
// its offsets, and nothing of the transaction counts.
func TestGenerationOutdatedAtCommit(t *testing.T) {
	inEras(t, 2, func(b *bubble, _ bool) {
		w := b.runner("0", &counter{})
		b.put(0, "a")
		b.put(1, "a")
		b.until("commits", func() bool { return b.groupOffset(0) == 1 && b.groupOffset(1) == 1 })
		var met atomic.Bool
		b.c.ControlKey(int16(kmsg.TxnOffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
			if q, ok := r.(*kmsg.TxnOffsetCommitRequest); ok && met.CompareAndSwap(false, true) {
				if q.MemberID == "" || q.Generation < 1 || q.InstanceID == nil || *q.InstanceID != group+"-0" {
					b.t.Errorf("offsets are committed by member %q (%v) of generation %d", q.MemberID, q.InstanceID, q.Generation)
				}
				q.Generation--
			}
			return nil, nil, false
		})
		sessions := b.sessions()
		b.both(0, 1)
		b.until("commits", func() bool { return b.groupOffset(0) == 2 && b.groupOffset(1) == 2 })
		b.put(0, "a")
		b.put(1, "a")
		b.until("commits", func() bool { return b.groupOffset(0) == 3 && b.groupOffset(1) == 3 })
		b.wantOut(0, "a1 a2 a3")
		b.wantOut(1, "a1 a2 a3")
		if aborts, unknown := w.metric("aborts_total", "rebalance"), w.metric("unknown_commits_total", ""); aborts != 1 || unknown != 0 || sessions.Hits() != 0 {
			t.Errorf("%v aborts, %v outcomes unknown, %d sessions opened anew", aborts, unknown, sessions.Hits())
		}
		w.stop()
	})
}

// What a coordinator says of a member that the group has gone on without, or of itself,
// aborts the transaction, whose outcome is then known; the next one has the records.
func TestOffsetsRefused(t *testing.T) {
	for _, err := range []*kerr.Error{kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.RebalanceInProgress, kerr.UnknownServerError} {
		t.Run(err.Message, func(t *testing.T) {
			inEras(t, 1, func(b *bubble, _ bool) {
				w := b.runner("0", &counter{})
				b.put(0, "a")
				b.until("commit", func() bool { return b.groupOffset(0) == 1 })
				h := b.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: err})
				b.put(0, "a", "a")
				b.until("commit", func() bool { return b.groupOffset(0) == 3 })
				b.wantOut(0, "a1 a2 a3")
				if h.Hits() != 1 || w.metric("aborts_total", "rebalance") != 1 || w.metric("unknown_commits_total", "") != 0 {
					t.Errorf("fault met %d times, %v aborts", h.Hits(), w.metric("aborts_total", ""))
				}
				w.stop()
			})
		})
	}
}

// A transaction of many batches for each partition, on several brokers, is whole and in
// order, and its sequence numbers follow each other.
func TestManyBatches(t *testing.T) {
	inEras(t, 4, func(b *bubble, _ bool) {
		const keys = 60
		for i, topic := range []string{topicOut, topicState} { // on two brokers at least
			for p := range int32(4) {
				if err := b.c.MoveTopicPartition(topic, p, (p+int32(i))%3); err != nil { //nolint:gosec // 0 and 1
					t.Fatal(err)
				}
			}
		}
		s := b.spy()
		var recs []*Record
		want := map[int32][]string{}
		for i := range keys {
			for p := range int32(4) {
				key := fmt.Sprintf("k%02d-%s", i, strings.Repeat("x", 100))
				recs = append(recs, &Record{Topic: topicIn, Partition: p, Key: []byte(key)})
				want[p] = append(want[p], key+"1")
			}
		}
		if err := b.cl.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
			t.Fatal(err)
		}
		w := b.runner("0", &counter{}, func(c *RunnerConfig) {
			c.MaxBatch, c.Compression = func(string) int32 { return 1_000 }, CompressNone
		})
		b.until("commits", func() bool {
			for p := range int32(4) {
				if b.groupOffset(p) != keys {
					return false
				}
			}
			return true
		})
		for p := range int32(4) {
			b.wantOut(p, strings.Join(want[p], " "))
			if st := b.state(p); len(st) != keys {
				t.Errorf("partition %d: %d groups", p, len(st))
			}
		}
		if aborts, commits := w.metric("aborts_total", ""), w.metric("commits_total", ""); aborts != 0 || commits > 4 {
			t.Errorf("%v aborts, %v commits", aborts, commits)
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		type lane struct {
			topic string
			part  int32
			epoch int16
		}
		next, sent := map[lane]int32{}, map[lane]int{}
		for _, a := range s.attempts {
			l := lane{a.topic, a.part, a.epoch}
			if a.seq != next[l] {
				t.Fatalf("%v: %d, want %d", l, a.seq, next[l])
			}
			next[l] = a.seq + a.n
			sent[l]++
		}
		if most := slices.Max(slices.Collect(maps.Values(sent))); most < 5 {
			t.Errorf("no transaction had more than %d batches of a partition", most)
		}
		w.stop()
	})
}

// direct is a transactor without a Runner, for the outputs of no input.
func (b *bubble) direct(limit int32) *transactor {
	b.t.Helper()
	reads, err := NewRestoreReads(b.config(""))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(reads.Close)
	ctx := context.Background()
	implicit, err := reads.implicit(ctx)
	if err != nil {
		b.t.Fatal(err)
	}
	id, err := reads.settle(ctx, "direct", transactionTimeout)
	if err != nil {
		b.t.Fatal(err)
	}
	var opts []kgo.Opt
	if !implicit {
		opts = append(opts, kgo.MaxVersions(explicitVersions()))
	}
	cl, err := b.config("").client(opts...)
	if err != nil {
		b.t.Fatal(err)
	}
	return &transactor{
		cl: cl, reads: reads, txnID: "direct", now: time.Now, implicit: implicit, producerID: id,
		topics: map[string]topicMeta{}, box: outbox{limit: func(string) int32 { return limit }},
	}
}

func (x *transactor) close() {
	x.cl.Close()
	x.reads.Close()
}

// ended is the standing that goes with direct.
func (b *bubble) ended(n int64) standing {
	b.t.Helper()
	m, err := (&RestoreReads{cl: b.cl}).meta(context.Background(), true, topicIn)
	if err != nil {
		b.t.Fatal(err)
	}
	return standing{group: "direct", generation: -1, topic: topicIn, id: m.id, at: []offsetAt{{part: 0, offset: n, epoch: -1}}}
}

// Whatever records are made of, the log holds them after the commit as they were, and
// the end of each partition is known.
func TestTransactorWritesAnything(t *testing.T) {
	for _, c := range compressions {
		if c == CompressZstd {
			continue // its readers outlive the bubble
		}
		inEras(t, 1, func(b *bubble, _ bool) {
			x := b.direct(1_000_000)
			defer x.close()
			x.codec = compressorOf(t, c)
			ctx := context.Background()
			var want []*Record
			for round := range 3 {
				x.begin(time.Now())
				for _, rec := range oddRecords() {
					if len(rec.Key)+len(rec.Value) > 100_000 || len(rec.Headers) > 0 && len(rec.Headers[0].Key)+len(rec.Headers[0].Value) > 100_000 {
						continue
					}
					rec.Topic = topicOut
					want = append(want, rec)
					x.box.add(rec, 0, origin{})
				}
				if err := x.write(ctx); err != nil {
					t.Fatal(err)
				}
				reads := &RestoreReads{cl: b.cl}
				if end, err := reads.HighWatermark(ctx, topicOut, 0); err != nil || x.box.end(topicOut, 0) != end || x.box.end(topicOut, 1) != -1 || x.box.end(topicState, 0) != -1 {
					t.Errorf("the partition ends at %d, the transactor says %d (%v)", end, x.box.end(topicOut, 0), err)
				}
				if ok, err := x.commit(ctx, b.ended(int64(round+1))); !ok || err != nil {
					t.Fatal(ok, err)
				}
				if off, err := reads.GroupOffset(ctx, "direct", topicIn, 0); off != int64(round+1) || err != nil {
					t.Errorf("the group stands at %d (%v)", off, err)
				}
			}
			sameRecords(t, b.committed(topicOut, 0), want)
		})
	}
}

// More than a request may hold goes out in several.
func TestRequestsAreBounded(t *testing.T) {
	inBubble(t, 6, func(b *bubble) {
		const size = 9 << 20
		limit := fmt.Sprint(size + 1000)
		if _, err := kadm.NewClient(b.cl).AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Name: "max.message.bytes", Value: &limit}}, topicOut); err != nil {
			t.Fatal(err)
		}
		for p := range int32(6) {
			if err := b.c.MoveTopicPartition(topicOut, p, p/5); err != nil { // five on one broker
				t.Fatal(err)
			}
		}
		s := b.spy()
		x := b.direct(size + 1000)
		defer x.close()
		x.begin(time.Now())
		for p := range int32(6) {
			x.box.add(&Record{Topic: topicOut, Value: bytes.Repeat([]byte{byte(p)}, size)}, p, origin{})
		}
		if err := x.write(context.Background()); err != nil {
			t.Fatal(err)
		}
		if ok, err := x.commit(context.Background(), b.ended(1)); !ok || err != nil {
			t.Fatal(ok, err)
		}
		for p := range int32(6) {
			if recs := b.committed(topicOut, p); len(recs) != 1 || len(recs[0].Value) != size || recs[0].Value[size-1] != byte(p) {
				t.Errorf("partition %d holds %d records", p, len(recs))
			}
		}
		if len(s.requests) != 3 {
			t.Errorf("%d requests, want two and one", len(s.requests))
		}
		for _, r := range s.requests {
			if n := len(r) * size; n > maxRequest+size {
				t.Errorf("a request of %d bytes", n)
			}
		}
	})
}

// Where brokers are to be told they are told, once for each partition of a transaction,
// and sequence numbers go on from one transaction to the next.
func TestBrokersAreTold(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		told := b.observe(kmsg.AddPartitionsToTxn)
		group := b.observe(kmsg.AddOffsetsToTxn)
		s := b.spy()
		w := b.runner("0", &counter{})
		for i := range int64(5) {
			b.put(0, "a")
			b.until("commit", func() bool { return b.groupOffset(0) == i+1 })
		}
		b.put(1, "b")
		b.until("commit", func() bool { return b.groupOffset(1) == 1 })
		if told.Hits() != 6 || group.Hits() != 6 {
			t.Errorf("brokers were told %d times of partitions and %d times of the group in six transactions", told.Hits(), group.Hits())
		}
		sent := s.take(topicOut, 0)
		for i, a := range sent {
			if a.seq != int32(i) || a.n != 1 || a.epoch != sent[0].epoch || a.version > 11 || len(sent) != 5 { //nolint:gosec // five
				t.Errorf("sent %+v", sent)
			}
		}
		b.wantOut(0, "a1 a2 a3 a4 a5")
		w.stop()
		w = b.runner("0", &counter{}) // its sequence numbers begin anew
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 6 })
		b.wantOut(0, "a1 a2 a3 a4 a5 a6")
		if again := s.take(topicOut, 0); len(again) != 1 || again[0].seq != 0 || again[0].epoch <= sent[0].epoch {
			t.Errorf("sent %+v", again)
		}
		w.stop()
	}, kfake.MaxVersions(kversion.V3_9_0()))
}

// A batch is written, or not, and the brokers say neither. What comes next, of as many
// records, must not be taken for it.
func TestFateOfABatchUnknown(t *testing.T) {
	for _, written := range []bool{true, false} {
		for _, err := range []*kerr.Error{kerr.UnknownServerError, kerr.OutOfOrderSequenceNumber, kerr.TransactionAbortable} {
			t.Run(fmt.Sprintf("%s, written %v", err.Message, written), func(t *testing.T) {
				inEras(t, 1, func(b *bubble, before bool) {
					w := b.runner("0", &counter{})
					b.put(0, "a")
					b.until("commit", func() bool { return b.groupOffset(0) == 1 })
					s, lost := b.spy(), false
					s.answer = func(q *kmsg.ProduceRequest) (kmsg.Response, error, bool) {
						if lost {
							return nil, nil, false
						}
						lost = true
						if same := *q; written {
							b.handle(&same)
						}
						return answerAll(q, err), nil, true
					}
					renewed := b.observe(kmsg.InitProducerID)
					b.put(0, "b")
					b.until("commit", func() bool { return b.groupOffset(0) == 2 })
					b.put(0, "b")
					b.until("commit", func() bool { return b.groupOffset(0) == 3 })
					b.wantOut(0, "a1 b1 b2")
					if st := b.state(0); st["b|h"] != "2" || b.header(0).AppliedThrough != 2 {
						t.Errorf("state %v, header %+v", st, b.header(0))
					}
					if !lost || before != (renewed.Hits() == 1) || w.metric("aborts_total", "produce") != 1 || w.metric("aborts_total", "") != 1 {
						t.Errorf("lost %v, epoch renewed %d times, %v aborts", lost, renewed.Hits(), w.metric("aborts_total", ""))
					}
					w.stop()
				})
			})
		}
	}
}

// One batch may be written and be asked for again, another one is refused for good: the
// transaction ends, and the next one goes on with whole partitions.
func TestFateOfABatchUnknownBesideARefusal(t *testing.T) {
	inEras(t, 1, func(b *bubble, before bool) {
		for _, topic := range []string{topicOut, topicState} { // in one request
			if err := b.c.MoveTopicPartition(topic, 0, 1); err != nil {
				t.Fatal(err)
			}
		}
		w := b.runner("0", &counter{})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		s := b.spy()
		h := b.c.Fault(
			kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topicOut, Err: kerr.RequestTimedOut, When: isTransactional},
			kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topicState, Err: kerr.MessageTooLarge, When: isTransactional}) // which is surely not written
		renewed := b.observe(kmsg.InitProducerID)
		b.put(0, "b")
		b.until("commit", func() bool { return b.groupOffset(0) == 2 })
		b.put(0, "b")
		b.until("commit", func() bool { return b.groupOffset(0) == 3 })
		b.wantOut(0, "a1 b1 b2")
		if h.Hits() != 2 || before != (renewed.Hits() == 1) || w.metric("aborts_total", "too_large") != 1 {
			t.Errorf("%d faults, epoch renewed %d times, %v aborts", h.Hits(), renewed.Hits(), w.metric("aborts_total", ""))
		}
		if sent := s.take(topicOut, 0); len(sent) != 3 || sent[1].seq != 0 || sent[1].epoch <= sent[0].epoch {
			t.Errorf("sent %+v", sent)
		}
		w.stop()
	})
}

// A partition gets another leader from one transaction to the next: its
// batches go there at once, and nothing is aborted for it.
func TestLeaderMoves(t *testing.T) {
	inEras(t, 1, func(b *bubble, _ bool) {
		w := b.runner("0", &counter{})
		for i := range int32(6) {
			if err := b.c.MoveTopicPartition(topicOut, 0, i%3); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			b.put(0, "a")
			b.until("commit", func() bool { return b.groupOffset(0) == int64(i+1) })
			if took := time.Since(began); took > time.Second && i > 0 {
				t.Errorf("took %v", took)
			}
		}
		b.wantOut(0, "a1 a2 a3 a4 a5 a6")
		if got := w.metric("aborts_total", ""); got != 0 {
			t.Errorf("%v aborts", got)
		}
		w.stop()
	})
}

// Brokers write nothing for longer than a transaction may last: it is given up, and each
// record counts once when they are well again.
func TestBrokersRefuseForLong(t *testing.T) {
	for _, err := range []*kerr.Error{kerr.NotEnoughReplicas, kerr.RequestTimedOut} {
		t.Run(err.Message, func(t *testing.T) {
			inEras(t, 1, func(b *bubble, _ bool) {
				w := b.runner("0", &counter{})
				b.put(0, "a")
				b.until("commit", func() bool { return b.groupOffset(0) == 1 })
				h := b.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topicOut, Err: err, Count: -1, When: isTransactional})
				b.put(0, "a", "b")
				b.until("gives up", func() bool { return w.metric("aborts_total", "produce") >= 2 })
				h.Remove()
				b.until("commit", func() bool { return b.groupOffset(0) == 3 })
				b.put(0, "b")
				b.until("commit", func() bool { return b.groupOffset(0) == 4 })
				b.wantOut(0, "a1 a2 b1 b2")
				if st := b.state(0); st["a|h"] != "2" || st["b|h"] != "2" {
					t.Errorf("state %v", st)
				}
				w.stop()
			})
		})
	}
}

// Brokers that refuse a transaction's partitions know of no transaction: there is nothing
// to abort, and that is no reason to begin a session anew.
func TestPartitionsRefused(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		w := b.runner("0", &counter{})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		sessions := b.sessions()
		h := b.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.AddPartitionsToTxn}, Topic: topicOut, Partitions: []int32{0}, Err: kerr.UnknownTopicOrPartition, Count: 2})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 2 })
		b.wantOut(0, "a1 a2")
		if h.Hits() != 2 || sessions.Hits() != 0 || w.metric("aborts_total", "produce") != 2 {
			t.Errorf("fault met %d times, %d sessions opened anew, %v aborts", h.Hits(), sessions.Hits(), w.metric("aborts_total", ""))
		}
		w.stop()
	}, kfake.MaxVersions(kversion.V3_9_0()))
}

// A batch that brokers call a duplicate although it is sent for the first time was not
// written: their memory of the producer is another one's.
func TestFirstAttemptIsNoDuplicate(t *testing.T) {
	inEras(t, 1, func(b *bubble, _ bool) {
		w := b.runner("0", &counter{})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		h := b.c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topicOut, Err: kerr.DuplicateSequenceNumber, When: isTransactional})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 2 })
		b.wantOut(0, "a1 a2")
		if h.Hits() != 1 || w.metric("aborts_total", "produce") != 1 {
			t.Errorf("fault met %d times, %v aborts", h.Hits(), w.metric("aborts_total", ""))
		}
		w.stop()
	})
}

// An output to a topic, or a partition, that is not there aborts well before the brokers
// end the transaction.
func TestOutputThatIsNotThere(t *testing.T) {
	for name, rec := range map[string]Record{"topic": {Topic: "nowhere"}, "partition": {Topic: topicOut, Partition: 99}, "below zero": {Topic: topicOut, Partition: -1}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, 1, func(b *bubble) {
				x := b.direct(defaultBatch)
				defer x.close()
				began := time.Now()
				x.begin(began)
				x.box.add(&rec, rec.Partition, origin{})
				if err := x.write(context.Background()); !errors.Is(err, kerr.UnknownTopicOrPartition) && !errors.Is(err, errNoPartition) {
					t.Error(err)
				}
				if took := time.Since(began); took > transactionTimeout/2 {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

// While a worker joins the group's next generation it may have lost what it works on, and
// has not been told: it commits as a member of the generation before, and is refused.
func TestOffsetsAreOfTheAssignedGeneration(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		var assigned, seen atomic.Int32
		b.c.ControlKey(int16(kmsg.TxnOffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
			b.c.KeepControl()
			if q, ok := r.(*kmsg.TxnOffsetCommitRequest); ok && *q.InstanceID == group+"-0" {
				seen.Store(q.Generation)
			}
			return nil, nil, false
		})
		w := b.runner("0", &counter{})
		b.put(0, "a")
		b.until("commit", func() bool { return b.groupOffset(0) == 1 })
		assigned.Store(seen.Swap(0))
		joining, goOn := make(chan struct{}), make(chan struct{})
		var once sync.Once
		b.c.ControlKey(int16(kmsg.SyncGroup), func(r kmsg.Request) (kmsg.Response, error, bool) {
			b.c.KeepControl()
			if q, ok := r.(*kmsg.SyncGroupRequest); ok && q.InstanceID != nil && *q.InstanceID == group+"-0" {
				b.c.SleepControl(func() {
					once.Do(func() { close(joining) })
					<-goOn
				})
			}
			return nil, nil, false
		})
		w2 := b.runner("1", &counter{})
		<-joining
		b.put(0, "a")
		b.put(1, "b")
		b.until("offsets are sent", func() bool { return seen.Load() != 0 })
		if got := seen.Load(); got != assigned.Load() {
			t.Errorf("offsets of generation %d, while %d is the last assigned", got, assigned.Load())
		}
		close(goOn)
		b.until("commits", func() bool { return b.groupOffset(0) == 2 && b.groupOffset(1) == 1 })
		b.wantOut(0, "a1 a2")
		b.wantOut(1, "b1")
		w.stop()
		w2.stop()
	}, kfake.SleepOutOfOrder())
}

// A worker that the group had forgotten comes back as another member. What the client
// takes it to have kept somebody else may have had: the session ends.
func TestForgottenMemberBeginsAnew(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		for _, c := range []struct {
			was  string
			keep []int32 // assigned anew
			ends bool
		}{{"", nil, false}, {"before", []int32{0}, false}, {"before", nil, true}} {
			s := &session{r: &Runner{cfg: RunnerConfig{Input: topicIn}, metrics: newMetrics(nil, group)}, member: c.was, parts: map[int32]*partition{0: {id: 0}}}
			s.onAssigned(context.Background(), b.cl, map[string][]int32{topicIn: c.keep})
			if got := errors.Is(s.fault, errReopen); got != c.ends {
				t.Errorf("%+v: %v", c, s.fault)
			}
		}
	})
}

package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// TxnHanging is the State of a transaction that stands open in a partition and that
// no coordinator knows of: nothing ends it by itself, and until it is ended nobody
// reads committed past its first record.
const TxnHanging = "Hanging"

// openStates are those of a coordinator in which a transaction still holds readers
// up (KIP-664).
var openStates = []string{"Ongoing", "PrepareCommit", "PrepareAbort", "PrepareEpochFence"}

// TxnPartition is a partition a transaction has written to, or still has to mark.
type TxnPartition struct {
	Topic     string
	Partition int32
}

// Txn is an open transaction.
type Txn struct {
	ID            string // transactional id; empty when hanging
	Producer      int64
	Epoch         int16
	State         string        // of the coordinator (KIP-664), or TxnHanging
	Age           time.Duration // since its begin; when hanging, since it wrote last
	Timeout       time.Duration // after which the coordinator aborts it; 0 when hanging
	Partitions    []TxnPartition
	coordinatedBy int32 // epoch for the marker of a hanging one
}

// errNoTxn says that there is nothing to abort.
var errNoTxn = errors.New("no such open transaction")

// Transactions lists the cluster's open transactions, the oldest first. A hanging
// one is an entry for each of its partitions.
func (a *Admin) Transactions(ctx context.Context) ([]Txn, error) {
	// What is open before the coordinators are asked, and not known to them, has
	// been ended meanwhile or hangs: the partitions are asked again.
	before, err := a.writing(ctx, nil)
	if err != nil {
		return nil, err
	}
	txns, err := a.coordinated(ctx)
	if err != nil {
		return nil, err
	}
	known := map[writer]bool{}
	for _, t := range txns {
		for _, p := range t.Partitions {
			known[writer{p, t.Producer}] = true
		}
	}
	asked := kadm.TopicsSet{}
	for w := range before {
		if !known[w] {
			asked.Add(w.Topic, w.Partition)
		}
	}
	if len(asked) > 0 {
		after, err := a.writing(ctx, asked)
		if err != nil {
			return nil, err
		}
		for w, p := range after {
			if was, ok := before[w]; ok && !known[w] && was.CurrentTxnStartOffset == p.CurrentTxnStartOffset {
				txns = append(txns, Txn{
					Producer: w.producer, Epoch: p.ProducerEpoch, State: TxnHanging,
					Age: a.since(p.LastTimestamp), Partitions: []TxnPartition{w.TxnPartition}, coordinatedBy: p.CoordinatorEpoch,
				})
			}
		}
	}
	slices.SortFunc(txns, func(x, y Txn) int {
		return cmp.Or(cmp.Compare(y.Age, x.Age), cmp.Compare(x.ID, y.ID), cmp.Compare(x.Producer, y.Producer))
	})
	return txns, nil
}

// writer is a producer with a transaction open in a partition.
type writer struct {
	TxnPartition
	producer int64
}

// writing asks partitions, all of them when nil, for the transactions open in them.
func (a *Admin) writing(ctx context.Context, of kadm.TopicsSet) (map[writer]kadm.DescribedProducer, error) {
	topics, err := a.adm.DescribeProducers(ctx, of)
	if err != nil {
		return nil, fmt.Errorf("describing producers: %w", err)
	}
	open := map[writer]kadm.DescribedProducer{}
	for _, p := range topics.SortedPartitions() {
		if errors.Is(p.Err, kerr.UnknownTopicOrPartition) {
			continue // deleted meanwhile
		}
		if p.Err != nil {
			return nil, fmt.Errorf("describing producers of %s partition %d: %w", p.Topic, p.Partition, p.Err)
		}
		for _, d := range p.ActiveProducers {
			if d.CurrentTxnStartOffset >= 0 {
				open[writer{TxnPartition{p.Topic, p.Partition}, d.ProducerID}] = d
			}
		}
	}
	return open, nil
}

// coordinated asks the coordinators for open transactions.
func (a *Admin) coordinated(ctx context.Context) ([]Txn, error) {
	listed, err := a.adm.ListTransactions(ctx, nil, openStates)
	if err != nil {
		return nil, fmt.Errorf("listing transactions: %w", err)
	}
	if len(listed) == 0 {
		return nil, nil // an empty list of ids would describe every one
	}
	return a.describe(ctx, listed.TransactionalIDs()...)
}

// describe returns those of the ids that have a transaction open.
func (a *Admin) describe(ctx context.Context, ids ...string) ([]Txn, error) {
	described, err := a.adm.DescribeTransactions(ctx, ids...)
	if err != nil {
		return nil, fmt.Errorf("describing transactions: %w", err)
	}
	var txns []Txn
	for _, d := range described.Sorted() {
		if errors.Is(d.Err, kerr.TransactionalIDNotFound) {
			continue
		}
		if d.Err != nil {
			return nil, fmt.Errorf("describing transaction %s: %w", d.TxnID, d.Err)
		}
		if !slices.Contains(openStates, d.State) {
			continue
		}
		t := Txn{
			ID: d.TxnID, Producer: d.ProducerID, Epoch: d.ProducerEpoch, State: d.State,
			Age: a.since(d.StartTimestamp), Timeout: time.Duration(d.TimeoutMillis) * time.Millisecond,
		}
		for _, topic := range d.Topics.Sorted() {
			for _, p := range topic.Partitions {
				t.Partitions = append(t.Partitions, TxnPartition{topic.Topic, p})
			}
		}
		txns = append(txns, t)
	}
	return txns, nil
}

// since is the age of a time in ms, 0 when there is none.
func (a *Admin) since(ms int64) time.Duration {
	if ms <= 0 {
		return 0
	}
	return max(a.now().Sub(time.UnixMilli(ms)), 0)
}

// AbortTransaction ends the open transaction of a transactional id. Whoever works
// under the id is fenced: a live worker opens a new session, and what it had not
// committed is done again. A commit that is under way cannot be taken back and is
// an error.
func (a *Admin) AbortTransaction(ctx context.Context, id string) (Txn, error) {
	txns, err := a.describe(ctx, id)
	if err != nil {
		return Txn{}, err
	}
	if len(txns) == 0 {
		return Txn{}, fmt.Errorf("aborting transaction of %q: %w", id, errNoTxn)
	}
	t := txns[0]
	if t.State == "PrepareCommit" {
		return t, fmt.Errorf("aborting transaction of %q: it is committing, and the coordinator finishes that", id)
	}
	if _, err := a.reads.settle(ctx, id, t.Timeout); err != nil {
		return t, err
	}
	return t, nil
}

// AbortHanging ends the transaction that a producer left open in a partition and
// that no coordinator knows of, by a marker of the operator's own. One a coordinator
// knows is refused: its other partitions would be left as they are.
func (a *Admin) AbortHanging(ctx context.Context, topic string, partition int32, producer int64) (Txn, error) {
	txns, err := a.Transactions(ctx)
	if err != nil {
		return Txn{}, err
	}
	at := TxnPartition{topic, partition}
	what := fmt.Sprintf("aborting transaction of producer %d in %s partition %d", producer, topic, partition)
	i := slices.IndexFunc(txns, func(t Txn) bool { return t.Producer == producer && slices.Contains(t.Partitions, at) })
	if i < 0 {
		return Txn{}, fmt.Errorf("%s: %w", what, errNoTxn)
	}
	t := txns[i]
	if t.State != TxnHanging {
		return t, fmt.Errorf("%s: it is that of %q and must be aborted by its id", what, t.ID)
	}
	marked := kadm.TopicsSet{}
	marked.Add(topic, partition)
	res, err := a.adm.WriteTxnMarkers(ctx, kadm.TxnMarkers{
		ProducerID: producer, ProducerEpoch: t.Epoch,
		CoordinatorEpoch: max(t.coordinatedBy, 0), // -1: it has never had a marker
		Topics:           marked,
	})
	if err != nil {
		return t, fmt.Errorf("%s: %w", what, err)
	}
	p, ok := res[producer].Topics[topic].Partitions[partition]
	switch {
	case !ok:
		return t, fmt.Errorf("%s: no answer", what)
	case p.Err != nil:
		return t, fmt.Errorf("%s: %w", what, p.Err)
	}
	return t, nil
}

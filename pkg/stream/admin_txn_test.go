//go:build synctests

package stream

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// leaveOpen begins a transaction, writes to two partitions and leaves it open.
func (b *bubble) leaveOpen(id string) *kgo.Client {
	b.t.Helper()
	cl, err := b.config("").client(kgo.TransactionalID(id), kgo.TransactionTimeout(time.Minute), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		b.t.Fatal(err)
	}
	if err := cl.BeginTransaction(); err != nil {
		b.t.Fatal(err)
	}
	recs := []*Record{{Topic: topicOut, Partition: 1, Value: []byte("x")}, {Topic: topicState, Key: []byte("x|h"), Value: []byte("x")}}
	if err := cl.ProduceSync(context.Background(), recs...).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
	return cl
}

// stuck says whether readers of committed records stop short of the partition's end.
func (b *bubble) stuck(topic string, partition int32) bool {
	b.t.Helper()
	reads := &RestoreReads{cl: b.cl}
	stable, err := reads.LastStable(context.Background(), topic, partition)
	if err != nil {
		b.t.Fatal(err)
	}
	high, err := reads.HighWatermark(context.Background(), topic, partition)
	if err != nil {
		b.t.Fatal(err)
	}
	return stable < high
}

func TestAdminAbortsTransaction(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		a := b.admin()
		defer a.Close()
		ctx := context.Background()
		if txns, err := a.Transactions(ctx); err != nil || len(txns) > 0 {
			t.Fatal(txns, err)
		}
		older := b.leaveOpen("older")
		defer older.Close()
		time.Sleep(3 * time.Second)
		younger := b.leaveOpen("younger")
		defer younger.Close()
		txns, err := a.Transactions(ctx)
		if err != nil || len(txns) != 2 {
			t.Fatal(txns, err)
		}
		want := []TxnPartition{{topicOut, 1}, {topicState, 0}}
		for i, tx := range txns {
			if tx.ID != []string{"older", "younger"}[i] || tx.State != "Ongoing" || tx.Timeout != time.Minute || !slices.Equal(tx.Partitions, want) {
				t.Errorf("%+v", tx)
			}
		}
		if txns[0].Age < 3*time.Second || txns[1].Age >= time.Second {
			t.Errorf("ages %v and %v", txns[0].Age, txns[1].Age)
		}
		// What a coordinator knows is not ended behind its back.
		if _, err := a.AbortHanging(ctx, topicOut, 1, txns[0].Producer); err == nil || !strings.Contains(err.Error(), `that of "older"`) {
			t.Error(err)
		}
		if _, err := a.AbortTransaction(ctx, "nobody"); !errors.Is(err, errNoTxn) {
			t.Error(err)
		}
		for _, id := range []string{"older", "younger"} {
			if !b.stuck(topicOut, 1) || !b.stuck(topicState, 0) {
				t.Errorf("nobody is held up before %s is aborted", id)
			}
			if tx, err := a.AbortTransaction(ctx, id); err != nil || tx.ID != id {
				t.Error(tx, err)
			}
		}
		if b.stuck(topicOut, 1) || b.stuck(topicState, 0) {
			t.Error("readers are still held up")
		}
		b.wantOut(1, "")
		if err := older.EndTransaction(ctx, kgo.TryCommit); err == nil {
			t.Error("the producer is not fenced")
		}
		if _, err := a.AbortTransaction(ctx, "older"); !errors.Is(err, errNoTxn) {
			t.Error(err)
		}
		if txns, err := a.Transactions(ctx); err != nil || len(txns) > 0 {
			t.Error(txns, err)
		}
	})
}

// A transaction that no coordinator tells of is ended partition by partition.
func TestAdminAbortsHanging(t *testing.T) {
	inBubble(t, 2, func(b *bubble) {
		a := b.admin()
		defer a.Close()
		ctx := context.Background()
		b.c.ControlKey(int16(kmsg.ListTransactions), func(r kmsg.Request) (kmsg.Response, error, bool) {
			b.c.KeepControl()
			return r.ResponseKind(), nil, true // knows nothing
		})
		cl := b.leaveOpen("forgotten")
		defer cl.Close()
		time.Sleep(time.Second)
		txns, err := a.Transactions(ctx)
		if err != nil || len(txns) != 2 {
			t.Fatal(txns, err)
		}
		for _, tx := range txns {
			if tx.ID != "" || tx.State != TxnHanging || tx.Producer < 0 || len(tx.Partitions) != 1 {
				t.Errorf("%+v", tx)
			}
		}
		if _, err := a.AbortHanging(ctx, topicOut, 0, txns[0].Producer); !errors.Is(err, errNoTxn) {
			t.Error(err)
		}
		if tx, err := a.AbortHanging(ctx, topicOut, 1, txns[0].Producer); err != nil || tx.State != TxnHanging {
			t.Error(tx, err)
		}
		if b.stuck(topicOut, 1) || !b.stuck(topicState, 0) {
			t.Error("not the one partition was freed")
		}
		b.wantOut(1, "")
	})
}

// A commit under way is the coordinator's to finish.
func TestAdminLeavesACommitAlone(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		a := b.admin()
		defer a.Close()
		b.c.ControlKey(int16(kmsg.DescribeTransactions), func(r kmsg.Request) (kmsg.Response, error, bool) {
			resp := r.ResponseKind().(*kmsg.DescribeTransactionsResponse)
			s := kmsg.NewDescribeTransactionsResponseTransactionState()
			s.TransactionalID, s.State = "w", "PrepareCommit"
			resp.TransactionStates = append(resp.TransactionStates, s)
			return resp, nil, true
		})
		if _, err := a.AbortTransaction(context.Background(), "w"); err == nil || !strings.Contains(err.Error(), "committing") {
			t.Error(err)
		}
	})
}

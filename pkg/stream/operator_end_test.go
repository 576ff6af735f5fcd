//go:build synctests

package stream

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Markers of transactions and aborted records are no records to apply: a log that ends
// in them is at rest once what stands before them is applied.
func TestMarkersAreNotLeftToApply(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		ctx := context.Background()
		b.marked(0, "a", "b")
		w := b.runner("0", new(counter))
		b.until("commit", func() bool { return b.groupOffset(0) == 3 })
		w.stop()
		o := b.operator(b.ledger(), nil)
		all, err := o.Still(ctx, nil)
		if err != nil || all[0].End != 4 || all[0].Applied() != 2 {
			t.Fatalf("%+v: %v", all, err)
		}
		// Of an open transaction nobody can tell.
		cl, err := b.config("").client(kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.TransactionalID("late"), kgo.TransactionTimeout(time.Minute))
		if err != nil {
			t.Fatal(err)
		}
		defer cl.Close()
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(ctx, &Record{Topic: topicIn, Key: []byte("c")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
		_, err = o.Still(ctx, nil)
		refusedFor(t, err, "a transaction is open from offset 4 on")
		if err := cl.EndTransaction(ctx, kgo.TryAbort); err != nil {
			t.Fatal(err)
		}
		if _, err := o.Still(ctx, nil); err != nil {
			t.Fatal(err)
		}
		b.put(0, "d", "d")
		_, err = o.Still(ctx, nil)
		refusedFor(t, err, ": 2 records are left to apply")
	})
}

// A log whose applied records were deleted is at rest.
func TestEmptiedLogIsAtRest(t *testing.T) {
	inBubble(t, 1, func(b *bubble) {
		ctx := context.Background()
		b.put(0, "a", "b", "c")
		w := b.runner("0", new(counter))
		b.until("commit", func() bool { return b.groupOffset(0) == 3 })
		w.stop()
		gone := kadm.Offsets{}
		gone.AddOffset(topicIn, 0, 3, -1)
		if _, err := kadm.NewClient(b.cl).DeleteRecords(ctx, gone); err != nil {
			t.Fatal(err)
		}
		o := b.operator(b.ledger(), nil)
		all, err := o.Still(ctx, nil)
		if err != nil || all[0].First != 3 || all[0].End != 3 {
			t.Fatalf("%+v: %v", all, err)
		}
	})
}

// An operator's command that is interrupted ends its transaction before it says what
// became of it, whether the brokers take the records or are away.
func TestInterruptedOperator(t *testing.T) {
	for _, away := range []bool{false, true} {
		inBubble(t, 1, func(b *bubble) {
			o := b.operator(b.ledger(), nil)
			txn, err := o.operate()
			if err != nil {
				t.Fatal(err)
			}
			defer txn.close()
			if err := txn.write(context.Background(), []*Record{{Topic: topicState, Key: []byte("a|h"), Value: []byte("1")}}, nil); err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			// Produce requests fail and are tried again, and where the brokers are away, so is the end.
			b.c.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
				b.c.KeepControl()
				if ctx.Err() == nil && !away {
					cancel()
					return nil, nil, false // the first is written, and nobody hears of it
				}
				cancel()
				return nil, errors.New("not now"), true
			})
			if away {
				b.c.ControlKey(int16(kmsg.InitProducerID), func(kmsg.Request) (kmsg.Response, error, bool) {
					b.c.KeepControl()
					return nil, errors.New("not now"), true
				})
			}
			began := time.Now()
			err = txn.write(ctx, []*Record{{Topic: topicState, Key: []byte("a|h"), Value: []byte("2")}}, nil)
			want := "nothing of it is written"
			if away {
				want = "brokers end it"
			}
			if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), want) {
				t.Errorf("away %v: %v", away, err)
			}
			if took := time.Since(began); took > 2*operatorGrace {
				t.Errorf("away %v: it took %v", away, took)
			}
			a := b.admin()
			defer a.Close()
			if open, err := a.Transactions(context.Background()); err != nil || !away && len(open) > 0 {
				t.Errorf("open: %+v, %v", open, err)
			}
		})
	}
}

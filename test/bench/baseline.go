//go:build bench

package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// outputBytes is the size of the baseline's one output a record.
const outputBytes = 110

// output is a record to write; without a key, under that of the record it follows.
type output struct {
	Topic   string
	Key     []byte
	Value   []byte
	Headers []kgo.RecordHeader
}

// baseline is the floor that the atp service is measured against: a bare
// franz-go exactly-once loop over the same records that polls, looks its key up in
// a map, writes one record of each of the outputs a record and commits on the same
// cadence. It ends when it has committed n records.
func baseline(ctx context.Context, brokers, in, group string, outputs [][]output, n int, commit time.Duration) error {
	s, err := kgo.NewGroupTransactSession(
		kgo.SeedBrokers(brokers), kgo.TransactionalID(group+"-0"), kgo.ConsumerGroup(group), kgo.ConsumeTopics(in),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.TransactionTimeout(10*time.Second), kgo.RecordPartitioner(kgo.ManualPartitioner()),
	)
	if err != nil {
		return fmt.Errorf("opening the session: %w", err)
	}
	defer s.Close()
	state := map[string]int64{}
	next := 0
	var failed error
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			failed = err
		}
	}
	for done := 0; done < n; {
		fs := s.PollRecords(ctx, 5000)
		if err := ctx.Err(); err != nil {
			return err
		}
		if fs.NumRecords() == 0 {
			continue
		}
		began := time.Now()
		if err := s.Begin(); err != nil {
			return fmt.Errorf("beginning: %w", err)
		}
		seen := 0
		for {
			fs.EachRecord(func(r *kgo.Record) {
				seen++
				state[string(r.Key)]++
				for _, list := range outputs {
					o := &list[next%len(list)]
					key := o.Key
					if key == nil {
						key = r.Key
					}
					s.Produce(ctx, &kgo.Record{Topic: o.Topic, Partition: r.Partition, Key: key, Value: o.Value, Headers: o.Headers}, promise)
				}
				next++
			})
			left := commit - time.Since(began)
			if left <= 0 || seen >= 5000 {
				break
			}
			poll, cancel := context.WithTimeout(ctx, left)
			fs = s.PollRecords(poll, 5000-seen)
			cancel()
		}
		committed, err := s.End(ctx, kgo.TryCommit)
		if err := errors.Join(err, failed); err != nil {
			return fmt.Errorf("ending: %w", err)
		}
		if committed {
			done += seen
		}
	}
	return nil
}

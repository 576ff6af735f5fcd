package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stockweave/stockweave/pkg/stream"
)

// txnTimeout bounds one look at, or one end of, the cluster's transactions.
const txnTimeout = time.Minute

// txnAdmin reads the configuration and connects.
func txnAdmin(fs *flag.FlagSet, path *string, args []string, stderr io.Writer) (*stream.Admin, error) {
	if err := parse(fs, args); err != nil {
		return nil, err
	}
	cfg, err := loadConfig(*path)
	if err != nil {
		return nil, err
	}
	cfg.Kafka.Log = newLog(stderr, cfg.level())
	admin, err := stream.NewAdmin(cfg.Kafka)
	if err != nil {
		return nil, fmt.Errorf("connecting to kafka: %w", err)
	}
	return admin, nil
}

func txnList(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("txn list", stderr)
	path := fs.String("config", "", "configuration file")
	older := fs.Duration("older", 0, "only transactions of this age or more")
	admin, err := txnAdmin(fs, path, args, stderr)
	if err != nil {
		return err
	}
	defer admin.Close()
	ctx, cancel := context.WithTimeout(ctx, txnTimeout)
	defer cancel()
	txns, err := admin.Transactions(ctx)
	if err != nil {
		return err
	}
	txns = slices.DeleteFunc(txns, func(t stream.Txn) bool { return t.Age < *older })
	return printTxns(stdout, txns)
}

// txnAbort ends a transaction that holds readers up: by its transactional id, or
// where no coordinator knows of it by partition and producer.
func txnAbort(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("txn abort", stderr)
	path := fs.String("config", "", "configuration file")
	id := fs.String("id", "", "transactional id")
	topic := fs.String("topic", "", "topic of a hanging transaction")
	partition := fs.Int("partition", -1, "its partition")
	producer := fs.Int64("producer", -1, "its producer")
	yes := fs.Bool("yes", false, "do it; whoever works under the id is fenced")
	admin, err := txnAdmin(fs, path, args, stderr)
	if err != nil {
		return err
	}
	defer admin.Close()
	hanging := *topic != "" && *partition >= 0 && *partition <= 1<<31-1 && *producer >= 0
	if none := *topic == "" && *partition < 0 && *producer < 0; (*id != "") == hanging || !hanging && !none {
		return fmt.Errorf("%w: either --id, or --topic, --partition and --producer", errMisuse)
	}
	at := stream.TxnPartition{Topic: *topic, Partition: int32(*partition)} //nolint:gosec // within bounds when it is used
	ctx, cancel := context.WithTimeout(ctx, txnTimeout)
	defer cancel()
	if !*yes {
		txns, err := admin.Transactions(ctx)
		if err != nil {
			return err
		}
		txns = slices.DeleteFunc(txns, func(t stream.Txn) bool {
			if *id != "" {
				return t.ID != *id
			}
			return t.Producer != *producer || !slices.Contains(t.Partitions, at)
		})
		if len(txns) == 0 {
			return errors.New("no such open transaction")
		}
		if err := printTxns(stdout, txns); err != nil {
			return err
		}
		return fmt.Errorf("%w: nothing is aborted without --yes", errMisuse)
	}
	var t stream.Txn
	if *id != "" {
		t, err = admin.AbortTransaction(ctx, *id)
	} else {
		t, err = admin.AbortHanging(ctx, at.Topic, at.Partition, *producer)
	}
	if err != nil {
		return err
	}
	fmt.Fprintln(stdout, "aborted:")
	return printTxns(stdout, []stream.Txn{t})
}

func printTxns(w io.Writer, txns []stream.Txn) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "ID\tPRODUCER\tEPOCH\tSTATE\tAGE\tTOPICS")
	for _, t := range txns {
		fmt.Fprintf(tw, "%s\t%d\t%d\t%s\t%s\t%s\n", cmp.Or(t.ID, "-"), t.Producer, t.Epoch, t.State,
			t.Age.Truncate(time.Millisecond), topicsOf(t.Partitions))
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("writing transactions: %w", err)
	}
	return nil
}

// topicsOf names partitions by topic: orders[0,3] stock[1].
func topicsOf(parts []stream.TxnPartition) string {
	parts = slices.Clone(parts)
	slices.SortFunc(parts, func(a, b stream.TxnPartition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	var b strings.Builder
	for i, p := range parts {
		switch {
		case i > 0 && parts[i-1].Topic == p.Topic:
			b.WriteByte(',')
		case i > 0:
			b.WriteString("] " + p.Topic + "[")
		default:
			b.WriteString(p.Topic + "[")
		}
		b.WriteString(strconv.Itoa(int(p.Partition)))
	}
	if len(parts) == 0 {
		return "-"
	}
	return b.String() + "]"
}

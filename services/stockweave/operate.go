package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/atp"
)

// operating is what the commands that change a ledger's topics work with.
type operating struct {
	cfg    *Config
	codecs *event.Codecs
	topics generation
	ledger *stream.Operator
}

// operate reads the configuration and connects to the live ledger.
func operate(ctx context.Context, fs *flag.FlagSet, path *string, args []string, stderr io.Writer) (*operating, error) {
	if err := parse(fs, args); err != nil {
		return nil, err
	}
	cfg, err := loadConfig(*path)
	if err != nil {
		return nil, err
	}
	cfg.Kafka.Log = newLog(stderr, cfg.level())
	codecs, topics, err := connected(ctx, cfg)
	if err != nil {
		return nil, err
	}
	ledger, err := stream.NewOperator(cfg.Kafka, atp.Ledger(codecs, cfg.ATP.Group))
	if err != nil {
		return nil, fmt.Errorf("connecting to kafka: %w", err)
	}
	return &operating{cfg: cfg, codecs: codecs, topics: topics, ledger: ledger}, nil
}

func (o *operating) close() { o.ledger.Close() }

// refusal prints why nothing is done, one reason a line, and turns it into misuse:
// the command can be given again when the world is as it must be.
func refusal(w io.Writer, err error) error {
	no, ok := errors.AsType[*stream.Refused](err)
	if !ok {
		return err
	}
	for _, why := range no.Reasons {
		fmt.Fprintln(w, "refused: "+why)
	}
	return fmt.Errorf("%w: refused, for %d reasons", errMisuse, len(no.Reasons))
}

// byPartition reads "0:41,1:none": a number for each partition, where the word given
// stands for -1.
func byPartition(text, word string) (map[int32]int64, error) {
	all := map[int32]int64{}
	if text == "" {
		return all, nil
	}
	for part := range strings.SplitSeq(text, ",") {
		left, right, ok := strings.Cut(part, ":")
		p, err := strconv.ParseInt(left, 10, 32)
		if !ok || err != nil || p < 0 {
			return nil, fmt.Errorf("%w: %q is not partition:offset", errMisuse, part)
		}
		n := int64(-1)
		if right != word {
			if n, err = strconv.ParseInt(right, 10, 64); err != nil || n < 0 {
				return nil, fmt.Errorf("%w: %q is not partition:offset, nor partition:%s", errMisuse, part, word)
			}
		}
		if _, twice := all[int32(p)]; twice {
			return nil, fmt.Errorf("%w: partition %d is stated twice", errMisuse, p)
		}
		all[int32(p)] = n
	}
	return all, nil
}

// partitionsText is the opposite of byPartition.
func partitionsText(word string, all map[int32]int64) string {
	parts := make([]string, 0, len(all))
	for _, p := range slices.Sorted(maps.Keys(all)) {
		value := word
		if all[p] >= 0 {
			value = strconv.FormatInt(all[p], 10)
		}
		parts = append(parts, fmt.Sprintf("%d:%s", p, value))
	}
	return strings.Join(parts, ",")
}

package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/atp"
)

func printAliases(w io.Writer, g generation) {
	for _, name := range slices.Sorted(maps.Keys(g.Aliases)) {
		fmt.Fprintf(w, "  %s = %s\n", name, g.Aliases[name])
	}
	if len(g.Aliases) == 0 {
		fmt.Fprintln(w, "  every topic by its own name")
	}
}

func topicsList(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("topics list", stderr)
	path := fs.String("config", "", "configuration file")
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	o, err := operate(ctx, fs, path, args, stderr)
	if err != nil {
		return err
	}
	defer o.close()
	all, err := generations(ctx, o.cfg.Kafka, o.codecs)
	if err != nil {
		return err
	}
	for i, g := range all {
		state := ""
		if i == len(all)-1 {
			state = " (in use)"
		}
		fmt.Fprintf(stdout, "generation %d%s\n", g.Number, state)
		printAliases(stdout, g)
	}
	return nil
}

// topicsUse publishes an older generation's content as the newest.
func topicsUse(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("topics use", stderr)
	path := fs.String("config", "", "configuration file")
	number := fs.Int64("generation", -1, "whose topics to use")
	yes := fs.Bool("yes", false, "do it")
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	o, err := operate(ctx, fs, path, args, stderr)
	if err != nil {
		return err
	}
	defer o.close()
	all, err := generations(ctx, o.cfg.Kafka, o.codecs)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(all, func(g generation) bool { return g.Number == *number })
	switch {
	case i < 0:
		return fmt.Errorf("%w: there is no generation %d", errMisuse, *number)
	case maps.Equal(all[i].Aliases, o.topics.Aliases):
		return fmt.Errorf("%w: these topics are in use", errMisuse)
	case !*yes:
		printAliases(stdout, all[i])
		return fmt.Errorf("%w: nothing is switched without --yes", errMisuse)
	}
	return refusal(stdout, o.back(ctx, all[i], stdout))
}

// back refuses where going back would lose or repeat something: the log in use must
// be the other one's too, or hold nothing, and the older state must have applied of it
// what the one in use has. Else outcomes would be written twice (Invariant 2); a new
// shadow is the way then.
func (o *operating) back(ctx context.Context, to generation, stdout io.Writer) error {
	live, err := o.ledger.Still(ctx, o.writers())
	if err != nil {
		return err
	}
	kafka := o.cfg.Kafka
	kafka.Aliases = to.Aliases
	older, err := stream.NewOperator(kafka, atp.Ledger(o.codecs, o.cfg.ATP.Group))
	if err != nil {
		return fmt.Errorf("connecting to kafka: %w", err)
	}
	defer older.Close()
	then, err := older.Still(ctx, nil)
	if err != nil {
		return err
	}
	was, is := kafka.Physical(event.TopicEvents), o.cfg.Kafka.Physical(event.TopicEvents)
	var no stream.Refused
	for i := range live {
		switch s := &live[i]; {
		case was != is && s.End > 0:
			no.Reasons = append(no.Reasons, fmt.Sprintf("partition %d of %s holds %d records that %s does not", s.Partition, is, s.End, was))
		case was == is && s.Applied() != then[i].Applied():
			no.Reasons = append(no.Reasons, fmt.Sprintf("partition %d: the state in use has applied offset %d, the other one %d", s.Partition, s.Applied(), then[i].Applied()))
		}
	}
	if len(no.Reasons) > 0 {
		return &no
	}
	return o.use(ctx, o.topics, to.Aliases, stdout)
}

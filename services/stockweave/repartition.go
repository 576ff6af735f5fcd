package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/atp"
)

const repartitionAbout = `
Copies the ledger into new topics of another partition count and lets services use
them from their next start. Partition counts never change in place: keys would move
away from their state.
Everything must be at rest: who writes to inventory.events is stopped, the state has
applied all of it, the workers are stopped, and readers of outcomes have read them.
State, positions, views and outcomes are copied by key, and both sides' checksums
must be equal; inventory.events begins anew, and so do the ends of full snapshots,
which must all be closed. An attempt that breaks off has changed
nothing, and the next one begins from scratch. The old topics stay.
`

// ledgerTopics are co-partitioned: one generation of them has one partition count.
func ledgerTopics() []string {
	return []string{event.TopicEvents, event.TopicState, event.TopicPositions, event.TopicViews, event.TopicOutcomes, event.TopicSnapshots}
}

// writers are the groups whose services append to inventory.events: events, and
// requests of reservations.
func (o *operating) writers() []string {
	return []string{o.cfg.Canonicalizer.Group, o.cfg.ATPAPI.Group}
}

func repartitionCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("repartition", stderr, repartitionAbout)
	path := fs.String("config", "", "configuration file")
	partitions := fs.Int("partitions", 0, "how many partitions the ledger's topics are to have")
	yes := fs.Bool("yes", false, "do it")
	ctx, cancel := context.WithTimeout(ctx, operateTimeout)
	defer cancel()
	o, err := operate(ctx, fs, path, args, stderr)
	if err != nil {
		return err
	}
	defer o.close()
	if *partitions < 1 || *partitions > 10_000 {
		return fmt.Errorf("%w: --partitions must be between 1 and 10000", errMisuse)
	}
	return refusal(stdout, o.repartition(ctx, int32(*partitions), *yes, stdout)) //nolint:gosec // within bounds
}

func (o *operating) repartition(ctx context.Context, partitions int32, yes bool, stdout io.Writer) error {
	admin, err := stream.NewAdmin(o.cfg.Kafka)
	if err != nil {
		return fmt.Errorf("connecting to kafka: %w", err)
	}
	defer admin.Close()
	specs, err := specsLike(ctx, admin, o.cfg.Kafka, ledgerTopics())
	if err != nil {
		return err
	}
	aliases := maps.Clone(o.topics.Aliases)
	if aliases == nil {
		aliases = stream.Aliases{}
	}
	r := stream.Repartition{Partitions: partitions, Writers: o.writers()}
	for _, spec := range specs {
		name := spec.Name
		if spec.Partitions == partitions {
			return fmt.Errorf("%w: %s has %d partitions already", errMisuse, name, partitions)
		}
		aliases[name] = fmt.Sprintf("%s.g%d", name, o.topics.Number+1)
		begins := name == event.TopicEvents || name == event.TopicSnapshots // of its partitions alone
		r.Topics = append(r.Topics, stream.MovedTopic{
			From: o.cfg.Kafka.Physical(name), To: aliases[name], Spec: spec,
			Compacted: name != event.TopicOutcomes && !begins,
			Empty:     begins, Read: name == event.TopicOutcomes || name == event.TopicSnapshots,
		})
	}
	if !yes {
		for i, t := range r.Topics {
			fmt.Fprintf(stdout, "%s (%d partitions) -> %s (%d partitions)\n", t.From, specs[i].Partitions, t.To, partitions)
		}
		return fmt.Errorf("%w: nothing is moved without --yes", errMisuse)
	}
	moved, err := o.ledger.Repartition(ctx, r)
	if err != nil {
		if _, no := errors.AsType[*stream.Refused](err); !no || len(moved) > 0 {
			fmt.Fprintf(stdout, "broken off: %d of %d topics were copied; nobody uses the copies, nothing has changed, and the next attempt begins from scratch\n", len(moved), len(r.Topics))
		}
		return err
	}
	tw := tabwriter.NewWriter(stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "FROM\tTO\tRECORDS\tCHECKSUM\tREADERS")
	for _, m := range moved {
		fmt.Fprintf(tw, "%s\t%s\t%d\t%s\t%s\n", m.From, m.To, m.Sum.Records, m.Sum.Text(), strings.Join(m.Readers, ","))
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("writing the report: %w", err)
	}
	return o.use(ctx, o.topics, aliases, stdout)
}

// use makes aliases the newest generation, after the group's offsets fit the state
// that they name.
func (o *operating) use(ctx context.Context, after generation, aliases stream.Aliases, stdout io.Writer) error {
	kafka := o.cfg.Kafka
	kafka.Aliases = aliases
	target, err := stream.NewOperator(kafka, atp.Ledger(o.codecs, o.cfg.ATP.Group))
	if err != nil {
		return fmt.Errorf("connecting to kafka: %w", err)
	}
	defer target.Close()
	if err := target.Align(ctx); err != nil {
		return fmt.Errorf("aligning offsets, before any service uses the topics: %w", err)
	}
	g, err := publishGeneration(ctx, o.cfg.Kafka, o.codecs, after, aliases, time.Now())
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "generation %d of topics holds:\n", g.Number)
	printAliases(stdout, g)
	return nil
}

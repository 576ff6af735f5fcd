package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/atp"
)

const (
	operateTimeout = 24 * time.Hour // of a copy or a replay; each wait within has its own
	replayLook     = 200 * time.Millisecond
	replayReport   = 50 // looks between two reports
	replayRounds   = 5
)

var errDiffers = errors.New("the rebuilt state differs from the live one")

const replayAbout = `
Folds inventory.events from offset 0 by the ledger's own code into shadow topics, in
a group and a lineage of their own, while the live ledger works on. It writes nothing
else and calls nothing outside. Caught up with the live state, it compares the two
piece by piece: the bytes behind the schema's id, lineages apart. Keys that events
touched meanwhile are compared in a later round.
It exits with 0 only if all is equal, with 1 and the first difference if not, and with
3 when some keys never stood still. Run again, a shadow goes on where it stood.
--promote makes its state, positions and views the ones that services use from their
next start, when the log is at rest and applied by both. "topics use" goes back.
--drop deletes a shadow that is not in use.
`

// shadowName is what a shadow may be called: it becomes part of topics' names.
var shadowName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// shadowTopics are what a shadow writes instead of the live ones.
func shadowTopics() []string {
	return []string{
		event.TopicState, event.TopicOutcomes, event.TopicPositions, event.TopicViews, event.TopicAnswers, event.TopicSnapshots, event.TopicDeadATP,
	}
}

// promotedTopics are those of a shadow that take the place of the live ones. The
// trails, outcomes and dead letters, stay: at rest they say the same already, and
// whoever reads them has.
func promotedTopics() []string {
	return []string{event.TopicState, event.TopicPositions, event.TopicViews}
}

type replayOptions struct {
	shadow  string
	promote bool
	drop    bool
	accept  int
	yes     bool
}

func replayCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("replay", stderr, replayAbout)
	path := fs.String("config", "", "configuration file")
	var opt replayOptions
	fs.StringVar(&opt.shadow, "shadow", "", "name of the shadow")
	fs.BoolVar(&opt.promote, "promote", false, "use the shadow's state, positions and views from now on; needs --yes")
	fs.BoolVar(&opt.drop, "drop", false, "delete the shadow; needs --yes")
	fs.IntVar(&opt.accept, "accept", 0, "how many pieces may differ in what is promoted: the number a comparison has shown")
	fs.BoolVar(&opt.yes, "yes", false, "do it")
	ctx, cancel := context.WithTimeout(ctx, operateTimeout)
	defer cancel()
	o, err := operate(ctx, fs, path, args, stderr)
	if err != nil {
		return err
	}
	defer o.close()
	switch {
	case !shadowName.MatchString(opt.shadow):
		return fmt.Errorf("%w: --shadow must be a name of lower-case letters, digits and hyphens, at most 32", errMisuse)
	case opt.promote && opt.drop:
		return fmt.Errorf("%w: a shadow is promoted or dropped", errMisuse)
	case (opt.promote || opt.drop) && !opt.yes:
		return fmt.Errorf("%w: nothing is promoted or dropped without --yes", errMisuse)
	case opt.accept != 0 && !opt.promote:
		return fmt.Errorf("%w: --accept is for --promote", errMisuse)
	}
	r := &replay{operating: o, opt: opt, out: stdout}
	if err := r.open(); err != nil {
		return err
	}
	defer r.shadow.Close()
	if opt.drop {
		return refusal(stdout, r.drop(ctx))
	}
	return refusal(stdout, r.run(ctx))
}

// replay is a shadow at work beside the live ledger.
type replay struct {
	*operating
	opt    replayOptions
	out    io.Writer
	kafka  stream.Config // as the shadow's worker is to see the cluster
	group  string
	shadow *stream.Operator
}

func (r *replay) open() error {
	r.kafka = r.cfg.Kafka
	r.kafka.Aliases = maps.Clone(r.topics.Aliases)
	if r.kafka.Aliases == nil {
		r.kafka.Aliases = stream.Aliases{}
	}
	for _, topic := range shadowTopics() {
		r.kafka.Aliases[topic] = topic + ".shadow-" + r.opt.shadow
	}
	r.kafka.Sealed = true // zero outside calls, and nothing that others read
	r.kafka.Instance = "0"
	// Not the live group's name with something behind it: that is how its own
	// transactional ids look.
	r.group = "shadow-" + r.opt.shadow + "-" + r.cfg.ATP.Group
	var err error
	r.shadow, err = stream.NewOperator(r.kafka, atp.Ledger(r.codecs, r.group))
	if err != nil {
		return fmt.Errorf("connecting to kafka: %w", err)
	}
	return nil
}

// run rebuilds, compares and, if told to, promotes.
func (r *replay) run(ctx context.Context) error {
	live, err := r.ledger.Standings(ctx)
	if err != nil {
		return err
	}
	if err := whole(live); err != nil {
		return err
	}
	for _, topic := range shadowTopics() {
		if r.topics.Aliases[topic] == r.kafka.Physical(topic) {
			return &stream.Refused{Reasons: []string{"shadow " + r.opt.shadow + " is in use"}}
		}
	}
	if err := r.topicsMade(ctx, live); err != nil {
		return err
	}
	if err := r.shadow.Seed(ctx, live); err != nil {
		return err
	}
	total, err := r.rounds(ctx)
	if err != nil {
		return err
	}
	r.print(total)
	if r.opt.promote {
		return r.promote(ctx, total)
	}
	switch {
	case total.differ > 0:
		return fmt.Errorf("%w: %d pieces, first %s of partition %d", errDiffers, total.differ, total.first.Key, total.first.Partition)
	case len(total.moved) > 0:
		return fmt.Errorf("%w: %d keys never stood still", errIncomplete, len(total.moved))
	}
	return nil
}

// whole makes sure that the log holds everything the state is made from.
func whole(live []stream.Standing) error {
	var no stream.Refused
	for i := range live {
		s := &live[i]
		switch {
		case len(s.Foreign) > 0:
			no.Reasons = append(no.Reasons, fmt.Sprintf("partition %d is of another log: %v", s.Partition, s.Foreign))
		case s.Header.Origin != stream.OriginLog:
			no.Reasons = append(no.Reasons, fmt.Sprintf("partition %d began with a %s: the log alone does not hold its state", s.Partition, s.Header.Origin))
		case s.First > 0:
			no.Reasons = append(no.Reasons, fmt.Sprintf("partition %d of the log begins at offset %d", s.Partition, s.First))
		}
	}
	if len(no.Reasons) > 0 {
		return &no
	}
	return nil
}

// topicsMade makes the shadow's topics as the live ones are.
func (r *replay) topicsMade(ctx context.Context, live []stream.Standing) error {
	admin, err := stream.NewAdmin(r.kafka)
	if err != nil {
		return fmt.Errorf("connecting to kafka: %w", err)
	}
	defer admin.Close()
	specs, err := specsLike(ctx, admin, r.cfg.Kafka, shadowTopics())
	if err != nil {
		return err
	}
	for i := range specs {
		if slices.Contains(ledgerTopics(), specs[i].Name) && specs[i].Partitions != int32(len(live)) { //nolint:gosec // partition counts are int32
			return fmt.Errorf("%s has %d partitions, the ledger %d", specs[i].Name, specs[i].Partitions, len(live))
		}
		specs[i].Name = r.kafka.Physical(specs[i].Name)
	}
	if _, err := admin.EnsureTopics(ctx, false, specs...); err != nil {
		return fmt.Errorf("making the shadow's topics: %w", err)
	}
	return nil
}

// specsLike describes topics by the names that services use, as the catalogue has them
// and with the partitions and replicas that those in use have.
func specsLike(ctx context.Context, admin *stream.Admin, kafka stream.Config, names []string) ([]stream.TopicSpec, error) {
	catalogue := map[string]event.TopicSpec{}
	for _, s := range event.TopicSpecs() {
		catalogue[s.Name] = s
	}
	specs := make([]stream.TopicSpec, 0, len(names))
	for _, name := range names {
		physical := kafka.Physical(name)
		known, err := admin.Topics(ctx, physical)
		if err != nil {
			return nil, fmt.Errorf("describing %s: %w", physical, err)
		}
		info, ok := known[physical]
		if !ok {
			return nil, fmt.Errorf("there is no topic %s", physical)
		}
		spec := stream.TopicSpec{Name: name, Partitions: info.Partitions, Replicas: info.Replicas, Configs: catalogue[name].Configs}
		if replicas := info.Configs[minInSync]; replicas != "" {
			spec.Configs[minInSync] = replicas
		}
		specs = append(specs, spec)
	}
	return specs, nil
}

const minInSync = "min.insync.replicas"

// promote switches the aliases to the shadow, when it is all that the live ledger is.
func (r *replay) promote(ctx context.Context, t *total) error {
	if t.differ != r.opt.accept {
		return &stream.Refused{Reasons: []string{fmt.Sprintf("%d pieces differ and --accept states %d", t.differ, r.opt.accept)}}
	}
	// At rest: otherwise outcomes of events that only one of them has applied would be
	// missing, or doubled, in the trail that stays (Invariant 2).
	live, err := r.ledger.Still(ctx, r.writers())
	if err != nil {
		return err
	}
	mine, err := r.shadow.Still(ctx, nil)
	if err != nil {
		return err
	}
	for i := range live {
		if live[i].Applied() != mine[i].Applied() || len(t.moved) > 0 || !t.atRest {
			return &stream.Refused{Reasons: []string{"the log went on during the comparison: stop who writes to it, and start again"}}
		}
	}
	next := maps.Clone(r.topics.Aliases)
	if next == nil {
		next = stream.Aliases{}
	}
	for _, topic := range promotedTopics() {
		next[topic] = r.kafka.Physical(topic)
	}
	return r.use(ctx, r.topics, next, r.out)
}

// drop deletes the shadow's topics.
func (r *replay) drop(ctx context.Context) error {
	admin, err := stream.NewAdmin(r.kafka)
	if err != nil {
		return fmt.Errorf("connecting to kafka: %w", err)
	}
	defer admin.Close()
	all, err := generations(ctx, r.cfg.Kafka, r.codecs)
	if err != nil {
		return err
	}
	var names []string
	for _, topic := range shadowTopics() {
		name := r.kafka.Physical(topic)
		if g := all[len(all)-1]; g.Aliases[topic] == name {
			return &stream.Refused{Reasons: []string{fmt.Sprintf("generation %d uses %s", g.Number, name)}}
		}
		names = append(names, name)
	}
	if err := admin.Idle(ctx, r.group); err != nil {
		return err
	}
	if err := admin.DeleteTopics(ctx, names...); err != nil {
		return err
	}
	if err := admin.DeleteGroup(ctx, r.group); err != nil {
		return err
	}
	fmt.Fprintf(r.out, "dropped: %d topics\n", len(names))
	return nil
}

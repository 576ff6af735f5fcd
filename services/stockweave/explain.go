package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/explain"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy"
	newest "github.com/stockweave/stockweave/pkg/policy/current"
	"github.com/stockweave/stockweave/pkg/policy/heard"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// errUnexplained is that of an item whose contributions are not its numbers.
var errUnexplained = errors.New("the contributions do not add up")

const explainAbout = `
explain ITEM prints what makes the numbers of an item, named ENTITY/ITEM or as it
stands on topics, ENTITY|ITEM: for each location every outcome that moved something
there, with the balance after it, the claims and supply lines, and then the steps
from there to what may be promised, by the policy that holds now.
With --as-of and --known-at it prints what made the quantities of that time, by when
things happened and by when they were recorded; what was claimed, expected and promised
then is not kept.
It exits with 1 when the contributions do not add up to state and position, and with
3 when retention has taken the first of them.
`

// maxExplained bounds --limit.
const maxExplained = 100_000

type explainOptions struct {
	key      inventory.Key
	location inventory.Location
	on       inventory.Day
	when     explain.When
	limit    int
	asJSON   bool
}

// group are the locations asked about; none: all.
func (o *explainOptions) group() []inventory.Location {
	if o.location == "" {
		return nil
	}
	return []inventory.Location{o.location}
}

func explainCommand(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags("explain", stderr, explainAbout)
	path := fs.String("config", "", "configuration file")
	location := fs.String("location", "", "only this location")
	on := fs.String("on", "", "what may be promised for this day, as 2006-01-02; today when empty")
	asOf := fs.String("as-of", "", "what had happened by this time, as 2006-01-02T15:04:05Z")
	knownAt := fs.String("known-at", "", "what was recorded by this time")
	limit := fs.Int("limit", 1000, "the last contributions of each location")
	asJSON := fs.Bool("json", false, "print JSON and nothing else")
	item := first(&args)
	if err := parse(fs, args); err != nil {
		return err
	}
	o := explainOptions{location: inventory.Location(*location), limit: *limit, asJSON: *asJSON}
	var err error
	if o.key, err = itemKey(item); err != nil {
		return err
	}
	if *on != "" {
		day, err := time.Parse(time.DateOnly, *on)
		if err != nil {
			return fmt.Errorf("%w: --on must be a day as 2006-01-02, not %q", errMisuse, *on)
		}
		o.on = place.DayAt(day, time.UTC)
	}
	for _, t := range []struct {
		name, text string
		into       *inventory.Instant
	}{{"--as-of", *asOf, &o.when.AsOf}, {"--known-at", *knownAt, &o.when.KnownAt}} {
		if t.text == "" {
			continue
		}
		at, err := time.Parse(time.RFC3339, t.text)
		if err != nil || at.UnixMilli() <= 0 {
			return fmt.Errorf("%w: %s must be a time as 2006-01-02T15:04:05Z, not %q", errMisuse, t.name, t.text)
		}
		*t.into = inventory.Instant(at.UnixMilli())
	}
	if o.on != 0 && !o.when.Now() {
		return fmt.Errorf("%w: --on is of now: without --as-of and --known-at", errMisuse)
	}
	if o.limit < 1 || o.limit > maxExplained {
		return fmt.Errorf("%w: --limit must be between 1 and %d", errMisuse, maxExplained)
	}
	cfg, err := loadConfig(*path)
	if err != nil {
		return err
	}
	cfg.Kafka.Log = newLog(stderr, cfg.level())
	ctx, cancel := context.WithTimeout(ctx, applyTimeout)
	defer cancel()
	return explainItem(ctx, cfg, &o, stdout, time.Now())
}

// itemKey reads the name of an item.
func itemKey(s string) (inventory.Key, error) {
	if strings.Contains(s, "|") {
		k, err := event.ParseKey(s)
		if err != nil {
			return k, fmt.Errorf("%w: %q is not ENTITY|ITEM", errMisuse, s)
		}
		return k, nil
	}
	entity, item, ok := strings.Cut(s, "/")
	if !ok || entity == "" || item == "" {
		return inventory.Key{}, fmt.Errorf("%w: which item? ENTITY/ITEM, not %q", errMisuse, s)
	}
	return inventory.Key{Entity: inventory.Entity(entity), Item: inventory.Item(item)}, nil
}

func explainItem(ctx context.Context, cfg *Config, o *explainOptions, stdout io.Writer, now time.Time) error {
	codecs, _, err := connected(ctx, cfg)
	if err != nil {
		return err
	}
	it, err := explain.Read(ctx, explain.Config{
		Kafka: cfg.Kafka, Codecs: codecs, Key: o.key, Locations: o.group(), Limit: o.limit, When: o.when, Now: inventory.Instant(now.UnixMilli()),
	})
	forgotten := (*explain.ForgottenError)(nil)
	switch {
	case errors.As(err, &forgotten):
		return fmt.Errorf("%w: %w", errIncomplete, err)
	case errors.Is(err, explain.ErrUnknown):
		return fmt.Errorf("%w: %s", err, o.key)
	case err != nil:
		return fmt.Errorf("explaining %s: %w", o.key, err)
	}
	var p *promise
	if o.when.Now() {
		if p, err = promised(ctx, cfg, codecs, it, o, now); err != nil {
			return err
		}
	}
	if o.asJSON {
		err = explainJSON(stdout, it, p)
	} else {
		explainText(stdout, it, p)
	}
	switch {
	case err != nil:
		return err
	case len(it.Differences) > 0:
		return fmt.Errorf("%w: %s", errUnexplained, it.Differences[0])
	case it.Incomplete != "":
		return fmt.Errorf("%w: %s", errIncomplete, it.Incomplete)
	}
	return nil
}

// promise is what may be promised of the item, and how it comes about.
type promise struct {
	formula  string
	policy   int64
	quantity inventory.Quantity
	steps    []inventory.Step
}

// promised asks as the reader of promises does, by what policies.v1 and
// master.locations say now.
func promised(ctx context.Context, cfg *Config, codecs *event.Codecs, it *explain.Item, o *explainOptions, now time.Time) (*promise, error) {
	policies, places := newest.New(codecs, nil, newLog(io.Discard, cfg.level())), place.New(codecs)
	tables := []struct {
		topic string
		apply func(*stream.Record) error
	}{{event.TopicPolicies, policies.Apply}, {event.TopicLocations, places.Apply}}
	for _, t := range tables {
		if err := readTable(ctx, cfg.Kafka, t.topic, t.apply); err != nil {
			return nil, err
		}
	}
	promises := policies.Get()
	if promises == nil { // none is published: services go by their own files
		set, err := policy.Load(cfg.PoliciesDir)
		if err != nil {
			return nil, fmt.Errorf("%w: no policy of promises is published, and of files: %w", errMisuse, err)
		}
		if promises, err = policy.NewPromises(&set.ATP, set.Channels); err != nil {
			return nil, fmt.Errorf("reading the policy of promises: %w", err)
		}
	}
	var err error
	of := map[inventory.Key][]inventory.Position{}
	for i := range it.Locations {
		if p := it.Locations[i].Position; p.Location != "" {
			of[it.Key] = append(of[it.Key], p)
		}
	}
	for _, part := range promises.Kit(it.Key) {
		if of[part.Key], err = explain.Positions(ctx, cfg.Kafka, codecs, part.Key); err != nil {
			return nil, err
		}
	}
	sources, views, err := silences(ctx, cfg, codecs, promises, now)
	if err != nil {
		return nil, err
	}
	q := promises.Question(&policy.Ask{
		Key: it.Key, Group: o.group(), Day: o.on, Now: inventory.Instant(now.UnixMilli()),
		Today: func(l inventory.Location) inventory.Day {
			return place.DayAt(now, places.Zone(it.Key.Entity, l, promises.Zone(it.Key.Entity, l)))
		},
		Heard: sources.Heard, Views: views.Of,
		Positions: func(k inventory.Key) []inventory.Position {
			if o.location != "" {
				return of[k] // asked for by name, a location is answered
			}
			return slices.DeleteFunc(slices.Clone(of[k]), func(p inventory.Position) bool {
				pl, ok := places.Of(k.Entity, p.Location)
				return ok && !pl.Publishable
			})
		},
	})
	steps := inventory.Explain(q)
	return &promise{
		formula: inventory.PromiseFormula, policy: promises.Version(), quantity: steps[len(steps)-1].Value, steps: steps,
	}, nil
}

// silences are when owners were last heard, and what is claimed in their place, as
// far as the policy asks.
func silences(ctx context.Context, cfg *Config, codecs *event.Codecs, promises *policy.Promises, now time.Time) (*heard.Sources, *heard.Views, error) {
	quiet := newLog(io.Discard, cfg.level())
	config := heard.Config{
		Kafka: cfg.Kafka, Codecs: codecs, Policies: newest.New(codecs, promises, quiet), Now: func() time.Time { return now }, Log: quiet,
	}
	views := heard.NewViews(config)
	sources, err := heard.New(config)
	if err != nil {
		return nil, nil, fmt.Errorf("reading when owners were last heard: %w", err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx, sources.Run, views.Run) }()
	for _, loaded := range []<-chan struct{}{sources.Loaded(), views.Loaded()} {
		select {
		case <-loaded:
		case err := <-done:
			return nil, nil, errors.Join(err, context.Cause(ctx))
		}
	}
	cancel()
	return sources, views, <-done
}

package stream

import (
	"context"
	"fmt"
)

// Aliases name, by the name that services use for a topic, the topic that is meant:
// another generation of it, or a shadow. What they do not name is meant itself.
//
// This package resolves them where it meets the cluster: services, codecs and
// processors go on with the one name. Records that were read carry the name of the
// topic they stand in, and so do dead letters: their offsets are of that topic alone.
type Aliases map[string]string

// Physical is the topic that a name means. A name that is one already stays.
func (c Config) Physical(topic string) string {
	if physical, ok := c.Aliases[topic]; ok {
		return physical
	}
	return topic
}

// physicals resolves names.
func (c Config) physicals(topics []string) []string {
	if len(c.Aliases) == 0 {
		return topics
	}
	out := make([]string, len(topics))
	for i, topic := range topics {
		out[i] = c.Physical(topic)
	}
	return out
}

// maxBatch is MaxBatch by a topic's own name.
func (c Config) maxBatch() func(string) int32 {
	if len(c.Aliases) == 0 {
		return c.MaxBatch
	}
	logical := make(map[string]string, len(c.Aliases))
	for name, physical := range c.Aliases {
		logical[physical] = name
	}
	return func(topic string) int32 {
		if name, ok := logical[topic]; ok {
			topic = name
		}
		return c.MaxBatch(topic)
	}
}

// defaultBatch is the brokers' own limit of a batch, less their allowance for older formats.
const defaultBatch = 1_000_012

// batchLimit is how large a batch of a topic may be, bytes.
func (c Config) batchLimit() func(topic string) int32 {
	if c.MaxBatch != nil {
		return c.maxBatch()
	}
	return func(string) int32 { return defaultBatch }
}

// leaks is an error where something sealed would write to a topic that others use.
func (c Config) leaks(topic string) error {
	if _, ok := c.Aliases[topic]; ok || !c.Sealed {
		return nil
	}
	return fmt.Errorf("%w: sealed, and would write to %s", ErrStop, topic)
}

// resolved is the worker's configuration with every topic's own name.
func (c RunnerConfig) resolved() RunnerConfig {
	if len(c.Aliases) == 0 && !c.Sealed {
		return c
	}
	c.Input, c.State, c.OwnPartition = c.Physical(c.Input), c.Physical(c.State), c.physicals(c.OwnPartition)
	c.Dead = c.Dead.resolved(c.Config)
	r := &renaming{Processor: c.Processor, cfg: c.Config}
	c.Processor = r
	if d, ok := r.Processor.(Diverter); ok {
		c.Processor = &renamingDiverter{renaming: r, diverter: d}
	}
	return c
}

func (d DeadLetters) resolved(cfg Config) DeadLetters {
	return func(letter DeadLetter) (*Record, error) {
		rec, err := d(letter)
		if rec != nil {
			if err := cfg.leaks(rec.Topic); err != nil {
				return nil, err
			}
			rec.Topic = cfg.Physical(rec.Topic)
		}
		return rec, err
	}
}

// renaming is a processor whose outputs go where their names mean. As with any
// processor, one goroutine uses it.
type renaming struct {
	Processor
	cfg  Config
	emit func(*Record)
	leak error
}

func (p *renaming) rename(rec *Record) {
	name := rec.Topic
	if err := p.cfg.leaks(name); err != nil {
		p.leak = err
		return
	}
	rec.Topic = p.cfg.Physical(name)
	p.emit(rec) // copies it
	rec.Topic = name
}

func (p *renaming) Step(in Input, st *State, emit func(*Record)) error {
	p.emit, p.leak = emit, nil
	if err := p.Processor.Step(in, st, p.rename); err != nil {
		return err
	}
	return p.leak
}

func (p *renaming) Flush(st *State, emit func(*Record)) error {
	p.emit, p.leak = emit, nil
	if err := p.Processor.Flush(st, p.rename); err != nil {
		return err
	}
	return p.leak
}

// renamingDiverter is renaming of a processor that is a Diverter.
type renamingDiverter struct {
	*renaming
	diverter Diverter
}

func (p *renamingDiverter) Divert(in Input, st *State, why error, emit func(*Record)) error {
	p.emit, p.leak = emit, nil
	if err := p.diverter.Divert(in, st, why, p.rename); err != nil {
		return err
	}
	return p.leak
}

// resolved is the worker's configuration with every topic's own name.
func (c WorkerConfig) resolved() WorkerConfig {
	if len(c.Aliases) == 0 && !c.Sealed {
		return c
	}
	c.Topics, c.OwnPartition = c.physicals(c.Topics), c.physicals(c.OwnPartition)
	c.Dead = c.Dead.resolved(c.Config)
	rename := func(outs []*Record, err error) ([]*Record, error) {
		for _, out := range outs {
			if leak := c.leaks(out.Topic); leak != nil {
				return nil, leak
			}
			out.Topic = c.Physical(out.Topic)
		}
		return outs, err
	}
	if handle := c.Handle; handle != nil {
		c.Handle = func(ctx context.Context, rec *Record) ([]*Record, error) { return rename(handle(ctx, rec)) }
	}
	if batch := c.Batch; batch != nil {
		c.Batch = func(ctx context.Context, recs []*Record) ([]*Record, error) { return rename(batch(ctx, recs)) }
	}
	return c
}

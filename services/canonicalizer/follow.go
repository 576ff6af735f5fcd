package canonicalizer

import (
	"fmt"
	"maps"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/follow"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// follow lets the handler's sources be what is published, from the table's load on.
func (h *handler) follow(cfg *Config, env service.Env) (*stream.Table, error) {
	live, err := follow.New(follow.Config[*sourceProgram]{
		Codecs: cfg.Codecs, Log: env.Log, Own: h.sources, Prepare: program, Metrics: env.Metrics, Prefix: "stockweave_canonicalizer",
		Changed: h.renamed,
	})
	if err != nil {
		return nil, fmt.Errorf("following sources: %w", err)
	}
	h.live = live
	if h.marks != nil {
		h.marks.of = h.program
	}
	env.Health.Detail("sources", live.Refused)
	if env.Metrics != nil {
		if err := env.Metrics.Register(interpretedMappings(live)); err != nil {
			return nil, fmt.Errorf("registering metrics: %w", err)
		}
	}
	t, err := stream.NewTable(stream.TableConfig{Config: cfg.Kafka, Topic: event.TopicPolicies, Apply: live.Apply})
	if err != nil {
		return nil, fmt.Errorf("reading policies: %w", err)
	}
	return t, nil
}

// renamed lets the parked lines of a source run again when its file names items,
// units or places otherwise: no master data tells of that. Those that miss still what
// they missed go on waiting.
func (h *handler) renamed(name inventory.Source, old *sourceProgram, had bool, now *sourceProgram) {
	if h.waits != nil && (!had || !namesAlike(old.src, now.src)) {
		h.waits.cameFrom(name)
	}
}

// namesAlike says whether two versions of a source find the same master data by the
// same lines.
func namesAlike(a, b *policy.Source) bool {
	return a.Entity == b.Entity && a.DefaultLocation == b.DefaultLocation && slices.Equal(a.Items, b.Items) &&
		maps.Equal(a.UnitAliases, b.UnitAliases) && maps.EqualFunc(a.IDTypes, b.IDTypes, slices.Equal[[]string])
}

// interpretedMappings is how many mappings run slower than they could.
func interpretedMappings(live *follow.Sources[*sourceProgram]) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "stockweave_canonicalizer_interpreted_mappings", Help: "Sources in use whose mapping is interpreted, and slower; check says why.",
	}, func() float64 {
		n := 0
		for _, p := range live.All() {
			if p.mapping.interpreted() != "" {
				n++
			}
		}
		return float64(n)
	})
}

// program is a source as it is now, or was last: what it sent while it might is still
// read. Nil when there never was one.
func (h *handler) program(name inventory.Source) *sourceProgram {
	if h.live == nil {
		return h.sources[name]
	}
	p, _ := h.live.Last(name)
	return p
}

package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// publishedSources is what policies.v1 has of sources.
type publishedSources struct {
	newest map[inventory.Source]event.PolicyContent
	list   event.PolicyContent
}

func readSources(ctx context.Context, kafka stream.Config, codecs *event.Codecs) (publishedSources, error) {
	out := publishedSources{newest: map[inventory.Source]event.PolicyContent{}}
	err := readTable(ctx, kafka, event.TopicPolicies, func(rec *stream.Record) error {
		var c event.PolicyContent
		if err := codecs.DecodePolicy(rec.Value, &c); err != nil {
			return fmt.Errorf("decoding policy %s: %w", rec.Key, err)
		}
		c.Content = slices.Clone(c.Content)
		if name, ok := strings.CutPrefix(c.Name, policy.SourcePrefix); ok {
			if c.Version >= out.newest[inventory.Source(name)].Version {
				out.newest[inventory.Source(name)] = c
			}
		} else if c.Name == policy.SourcesName && c.Version >= out.list.Version {
			out.list = c
		}
		return nil
	})
	return out, err
}

// changedSources is what to publish of a set's sources: a new version of each that is
// not what is published, then the list where it changes. A source has versions of its
// own, apart from the ledger policy's: partners change more often. One mapping_version
// never means two mappings, for events are stamped with it.
func changedSources(ctx context.Context, kafka stream.Config, codecs *event.Codecs, set *policy.Set, at inventory.Instant) ([]event.PolicyContent, error) {
	known, err := readSources(ctx, kafka, codecs)
	if err != nil {
		return nil, err
	}
	var out []event.PolicyContent
	versions := map[inventory.Source]int64{}
	for _, name := range slices.Sorted(maps.Keys(set.Sources)) {
		content, hash, err := policy.EncodeSource(set.Sources[name])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errMisuse, err)
		}
		was := known.newest[name]
		if was.Version > 0 && was.Hash == hash {
			versions[name] = was.Version
			continue
		}
		if was.Version > 0 {
			old, err := policy.DecodeSource(was.Content)
			if err == nil && old.MappingVersion == set.Sources[name].MappingVersion && !policy.SameMapping(old, set.Sources[name]) {
				return nil, fmt.Errorf("%w: source %s reads messages otherwise than the published one with mapping_version %q: give it another",
					errMisuse, name, old.MappingVersion)
			}
		}
		versions[name] = was.Version + 1
		out = append(out, event.PolicyContent{Name: policy.SourcePrefix + string(name), Version: was.Version + 1, Hash: hash, Content: content, At: at})
	}
	content, hash, err := policy.EncodeSources(versions)
	if err != nil {
		return nil, err
	}
	if known.list.Hash != hash {
		out = append(out, event.PolicyContent{Name: policy.SourcesName, Version: known.list.Version + 1, Hash: hash, Content: content, At: at})
	}
	return out, nil
}

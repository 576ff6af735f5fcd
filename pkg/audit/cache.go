package audit

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/stockweave/stockweave/pkg/inventory"
)

const itemsAtOnce = 200

// compareCache holds the cache's fields against the positions. Fields may be ahead,
// while services work; they may be behind only as far as the cache says itself.
func (p *part) compareCache(ctx context.Context) error {
	cache := p.a.cfg.Cache
	if cache == nil {
		return nil
	}
	next, topic, loaded, err := cache.Mark(ctx, p.id)
	switch {
	case err != nil:
		return err
	case !loaded:
		p.incomplete("the cache has not loaded it")
		return nil
	case topic != p.a.positionsID:
		p.incomplete("the cache is of another log: topic %s, where positions are %s", topic, p.a.positionsID)
		return nil
	}
	keys := make([]string, 0, itemsAtOnce)
	flush := func() error {
		fields, err := cache.Items(ctx, p.id, keys)
		if err != nil {
			return err
		}
		for i, key := range keys {
			p.compareFields(p.items[key], fields[i], next)
		}
		keys = keys[:0]
		return nil
	}
	for key, it := range p.items {
		if len(it.positions) == 0 {
			continue
		}
		if keys = append(keys, key); len(keys) == itemsAtOnce {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if err := flush(); err != nil {
		return err
	}
	return p.strangers(ctx, next)
}

// strangers looks for items the cache has and the log has not.
func (p *part) strangers(ctx context.Context, next int64) error {
	seen := map[string]bool{}
	err := p.a.cfg.Cache.Keys(ctx, p.id, func(key string) {
		if it := p.items[key]; it == nil || len(it.positions) == 0 {
			seen[key] = true
		}
	})
	if err != nil {
		return err
	}
	for key := range seen {
		fields, err := p.a.cfg.Cache.Items(ctx, p.id, []string{key})
		if err != nil {
			return err
		}
		p.compareFields(p.item([]byte(key)), fields[0], next)
	}
	return nil
}

func (p *part) compareFields(it *item, fields map[string]string, next int64) {
	for i := range it.positions {
		st := &it.positions[i]
		value, has := fields[st.location]
		delete(fields, st.location)
		if st.value == nil || st.moved {
			continue
		}
		p.compareField(it, st, value, has, next)
	}
	for location, value := range fields {
		// One of an event beyond the state is none of ours.
		if pos, err := p.field(value); err == nil && pos.Offset > p.through {
			p.report.Moved++
			continue
		}
		p.find(it, Finding{
			Invariant: 3, Check: CacheDiffers, Offset: it.offset, Location: location, Seen: seenField(it, location),
			Expected: "no field without a position", Found: "one",
		})
	}
}

func (p *part) compareField(it *item, st *stored, value string, has bool, next int64) {
	var pos inventory.Position
	if p.a.cfg.Codecs.DecodePosition(st.value, &pos) != nil {
		return // said on reading
	}
	fault := func(invariant int, check, want, got string) {
		p.find(it, Finding{
			Invariant: invariant, Check: check, Offset: pos.Offset, EventID: pos.EventID, at: int64(pos.RecordedAt),
			Location: st.location, Seen: seenField(it, st.location), Expected: want, Found: got,
		})
	}
	behind := next <= st.at // by its own word
	if !has {
		if !behind {
			fault(3, CacheDiffers, "a field", "none")
		}
		return
	}
	got, err := p.field(value)
	switch {
	case err != nil:
		fault(3, CacheDiffers, "a version and a position", err.Error())
	case got.Version > pos.Version && got.Offset > p.through, behind && got.Version < pos.Version:
		p.report.Moved++
	case got.Version < pos.Version: // Invariant 5
		fault(5, CacheVersion, fmt.Sprintf("version %d", pos.Version), fmt.Sprintf("version %d", got.Version))
	case value[VersionDigits:] != string(st.value):
		fault(3, CacheDiffers, "the position as on the topic: "+sayPosition(&pos), sayPosition(got))
	default:
		p.report.CacheFields++
	}
}

// field takes a field apart.
func (p *part) field(value string) (*inventory.Position, error) {
	if len(value) < VersionDigits {
		return nil, fmt.Errorf("%d bytes", len(value))
	}
	version, err := strconv.ParseInt(value[:VersionDigits], 10, 64)
	if err != nil {
		return nil, fmt.Errorf("version: %w", err)
	}
	var pos inventory.Position
	if err := p.a.cfg.Codecs.DecodePosition([]byte(value[VersionDigits:]), &pos); err != nil {
		return nil, err
	}
	if pos.Version != version {
		return nil, fmt.Errorf("version %d before a position of version %d", version, pos.Version)
	}
	return &pos, nil
}

func seenField(it *item, location string) string { return "cache " + it.key + " " + location }

func sayPosition(p *inventory.Position) string {
	said := []string{fmt.Sprintf("version %d", p.Version)}
	for a, q := range p.States {
		if q != 0 {
			said = append(said, say(a, q))
		}
	}
	return strings.Join(said, ", ")
}

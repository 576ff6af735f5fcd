package explain

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// ContentConfig says which content of policies to look for.
type ContentConfig struct {
	Reads  *stream.RestoreReads
	Codecs *event.Codecs
	Name   string // of the policies
	At     inventory.Instant
	Budget Budget
	Spent  *Spent // counts what is read, where it is set
}

// Why no content is that of a time.
const (
	// ContentNone was published by then, or it is gone.
	ContentNone = "none"
	// ContentChanging: another one was published about then, by clocks that may be apart.
	ContentChanging = "changing"
	// ContentRetired: a later version was taken back, and when it was in force is not known.
	ContentRetired = "retired"
)

// ContentAt is the content of a policy that was in force at a time: the greatest of the
// versions published by then, whenever each was (see current.Policy). A version is
// published once, so its record says when. Without one there is the reason.
func ContentAt(ctx context.Context, cfg ContentConfig) (*event.PolicyContent, string, error) {
	l := &log{reads: cfg.Reads, codecs: cfg.Codecs, budget: cfg.Budget, spent: cfg.Spent}
	if l.spent == nil {
		l.spent = &Spent{}
	}
	var best *event.PolicyContent
	var changing, retired int64 // the greatest such version; 0: none
	err := l.fold(ctx, event.TopicPolicies, func(rec *stream.Record) error {
		version, ok := strings.CutPrefix(string(rec.Key), cfg.Name+"@")
		if !ok {
			return nil
		}
		if rec.Value == nil {
			if v, err := strconv.ParseInt(version, 10, 64); err == nil {
				retired = max(retired, v)
			}
			return nil
		}
		var c event.PolicyContent
		if err := cfg.Codecs.DecodePolicy(rec.Value, &c); err != nil {
			return unreadable("a policy", rec.Offset, err)
		}
		switch at := inventory.Instant(rec.Timestamp.UnixMilli()); {
		case c.Name != cfg.Name || at >= cfg.At+clocksApart:
		case at > cfg.At-clocksApart:
			changing = max(changing, c.Version)
		case best == nil || c.Version > best.Version:
			c.Content = slices.Clone(c.Content)
			best = &c
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, "", fmt.Errorf("reading policies: %w", err)
	case changing > 0 && (best == nil || changing > best.Version):
		return nil, ContentChanging, nil
	case retired > 0 && (best == nil || retired > best.Version):
		return nil, ContentRetired, nil
	case best == nil:
		return nil, ContentNone, nil
	}
	return best, "", nil
}

// Near says whether what was written at one time may be of after another, by clocks that
// may be apart.
func Near(written, at inventory.Instant) bool { return written > at-clocksApart }

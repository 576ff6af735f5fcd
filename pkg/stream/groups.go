package stream

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// Groups are the consumer groups whose names begin with a prefix, sorted.
func (a *Admin) Groups(ctx context.Context, prefix string) ([]string, error) {
	listed, err := a.adm.ListGroups(ctx)
	if err != nil {
		return nil, fmt.Errorf("listing groups: %w", err)
	}
	names := slices.DeleteFunc(listed.Groups(), func(name string) bool { return !strings.HasPrefix(name, prefix) })
	slices.Sort(names)
	return names, nil
}

// Begin gives a group that has never read a topic the offsets to begin at, one for each
// partition, and does nothing to one that has.
func (a *Admin) Begin(ctx context.Context, group, topic string, at []int64) error {
	for p := range at {
		has, err := a.reads.GroupOffset(ctx, group, topic, int32(p))
		if err != nil {
			return fmt.Errorf("looking at group %s: %w", group, err)
		}
		if has >= 0 {
			return nil
		}
	}
	return a.commit(ctx, group, a.reads.cfg.Physical(topic), at)
}

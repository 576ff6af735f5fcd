package main

import (
	"context"
	"fmt"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// changedAccess is what to publish of a set's principals and issuers: a new version where
// they are not what is published, in versions of their own. While there are none, and never
// were, nothing is published.
func changedAccess(ctx context.Context, kafka stream.Config, codecs *event.Codecs, set *policy.Set, at inventory.Instant) ([]event.PolicyContent, error) {
	var was event.PolicyContent
	err := readTable(ctx, kafka, event.TopicPolicies, func(rec *stream.Record) error {
		var c event.PolicyContent
		if err := codecs.DecodePolicy(rec.Value, &c); err != nil {
			return fmt.Errorf("decoding policy %s: %w", rec.Key, err)
		}
		if c.Name == policy.AccessName && c.Version >= was.Version {
			c.Content = nil // not needed, and not ours to keep
			was = c
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	content, hash, err := policy.EncodeAccess(&set.Access)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMisuse, err)
	}
	if was.Hash == hash || was.Version == 0 && len(set.Access.Principals)+len(set.Access.Issuers) == 0 {
		return nil, nil
	}
	return []event.PolicyContent{{Name: policy.AccessName, Version: was.Version + 1, Hash: hash, Content: content, At: at}}, nil
}

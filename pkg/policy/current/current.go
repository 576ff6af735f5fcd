// Package current follows policies.v1 for the services that promise by what stands
// there: the reader and the publisher.
package current

import (
	"fmt"
	"log/slog"
	"sync"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// Policy is the newest policy of promises in policies.v1, and what the service
// started with until one stands there. It is filled by a stream.Table and safe for
// concurrent use.
type Policy struct {
	codecs *event.Codecs
	log    *slog.Logger

	mu        sync.RWMutex
	promises  *policy.Promises
	published bool          // promises are from the topic
	changed   chan struct{} // closed and replaced when promises are
}

// New starts with a policy from the service's own files.
func New(c *event.Codecs, own *policy.Promises, log *slog.Logger) *Policy {
	return &Policy{codecs: c, log: log, promises: own, changed: make(chan struct{})}
}

// Next is Get, with a channel that is closed when another policy takes its place.
func (p *Policy) Next() (*policy.Promises, <-chan struct{}) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.promises, p.changed
}

// Get is the policy to promise by now.
func (p *Policy) Get() *policy.Promises {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return p.promises
}

// Apply takes one record of the topic. What is published decides, whatever the
// service's own files say, and a greater version before a lower one. An error means
// that a policy cannot be read: nobody may promise by an older one as if nothing
// were.
func (p *Policy) Apply(rec *stream.Record) error {
	if rec.Value == nil {
		return nil // retired: another version is the newest
	}
	var content event.PolicyContent
	if err := p.codecs.DecodePolicy(rec.Value, &content); err != nil {
		return fmt.Errorf("decoding policy %s: %w", rec.Key, err)
	}
	if content.Name != policy.ATPName {
		return nil
	}
	promises, err := policy.DecodeATP(content.Content)
	if err != nil {
		return fmt.Errorf("version %d: %w", content.Version, err)
	}
	if promises.Version() != content.Version {
		return fmt.Errorf("version %d of the atp policy says that it is version %d", content.Version, promises.Version())
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.published && promises.Version() < p.promises.Version() {
		return nil
	}
	p.promises, p.published = promises, true
	close(p.changed)
	p.changed = make(chan struct{})
	p.log.Info("promising by a published policy", slog.Int64("policy_version", content.Version))
	return nil
}

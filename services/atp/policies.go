package atp

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// policies holds every version of the ledger policy that policies.v1 has. It is
// safe for concurrent use.
type policies struct {
	codecs *event.Codecs

	mu       sync.RWMutex
	versions map[int64]ledgerPolicy
	grown    chan struct{} // closed and replaced whenever versions grows
}

// patience is how long a step waits for a policy version the log names: it was
// written to policies.v1 before the control record, so it is on its way.
const patience = 10 * time.Second

type ledgerPolicy struct {
	hash   string
	policy *inventory.Policy
}

func newPolicies(codecs *event.Codecs) *policies {
	// Version 0 is embedded: before the first control record everybody owns everything.
	return &policies{codecs: codecs, versions: map[int64]ledgerPolicy{0: {policy: &inventory.Policy{}}}, grown: make(chan struct{})}
}

// apply takes a record of policies.v1.
func (p *policies) apply(rec *stream.Record) error {
	if rec.Value == nil {
		return nil // a retired version may still be named by a replay: keep it
	}
	var content event.PolicyContent
	if err := p.codecs.DecodePolicy(rec.Value, &content); err != nil {
		return fmt.Errorf("decoding policy %s: %w", rec.Key, err)
	}
	if content.Name != policy.LedgerName {
		return nil
	}
	decoded, err := policy.DecodeLedger(content.Content)
	if err != nil {
		return fmt.Errorf("decoding ledger policy version %d: %w", content.Version, err)
	}
	decoded.Version = content.Version
	p.mu.Lock()
	defer p.mu.Unlock()
	p.versions[content.Version] = ledgerPolicy{hash: content.Hash, policy: &decoded}
	close(p.grown)
	p.grown = make(chan struct{})
	return nil
}

// compared are the sources whose claimed views the newest version compares.
func (p *policies) compared() (sources []inventory.Source) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	newest := p.versions[slices.Max(slices.Collect(maps.Keys(p.versions)))].policy
	for i := range newest.Authority.Compare {
		sources = append(sources, newest.Authority.Compare[i].Source)
	}
	return sources
}

// Ledger returns a version's content. A hash, where given, must be its own. A
// version not read yet is waited for a little.
func (p *policies) Ledger(version int64, hash string) (*inventory.Policy, error) {
	var deadline <-chan time.Time
	for {
		p.mu.RLock()
		v, ok := p.versions[version]
		grown := p.grown
		p.mu.RUnlock()
		if ok {
			if hash != "" && hash != v.hash {
				return nil, fmt.Errorf("ledger policy version %d has hash %s, the log names %s", version, v.hash, hash)
			}
			return v.policy, nil
		}
		if deadline == nil {
			deadline = time.After(patience)
		}
		select {
		case <-grown:
		case <-deadline:
			return nil, fmt.Errorf("ledger policy version %d is not in %s", version, event.TopicPolicies)
		}
	}
}

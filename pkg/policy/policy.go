// Package policy reads what people write in policies/: who sends what, who owns
// which fact, what is held back, what goes to which ERP and channel. It checks
// all of it against the JSON Schemas beside the files and against rules that a
// schema cannot say, and reports every fault at once with its file and position.
package policy

import (
	"github.com/stockweave/stockweave/pkg/inventory"
)

// LedgerName is the name of the ledger policy in policies.v1.
const LedgerName = "ledger"

// Set is everything under a policies folder, valid as a whole. It is read-only
// after Load and safe for concurrent use.
type Set struct {
	Sources map[inventory.Source]*Source // by name
	// Partners are ready sources to copy from, by name: they are checked, and nothing
	// is taken from them.
	Partners map[inventory.Source]*Source
	// Ledger decides ownership and demand origin. LedgerContent is its canonical
	// JSON, what policies.v1 carries; LedgerHash is the SHA-256 of it, hex.
	Ledger        inventory.Policy
	LedgerContent []byte
	LedgerHash    string
	ATP           ATPPolicy
	Channels      []Channel // sorted by name
	// ATPContent is the canonical JSON of both, what policies.v1 carries under
	// ATPName; ATPHash is the SHA-256 of it, hex. Their version is the ledger's.
	ATPContent []byte
	ATPHash    string
	ERPs       []ERP // sorted by name
	Access     Access
}

// Source returns a source by its name, nil when there is none.
func (s *Set) Source(name inventory.Source) *Source { return s.Sources[name] }

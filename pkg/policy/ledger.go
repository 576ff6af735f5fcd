package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// ledgerFile is policies/ownership/ledger.yaml, and its canonical JSON in
// policies.v1.
type ledgerFile struct {
	Version int64              `yaml:"version" json:"version"`
	Origins []inventory.Source `yaml:"origins" json:"origins,omitempty"`
	Owners  []ownerFile        `yaml:"owners" json:"owners,omitempty"`
}

type ownerFile struct {
	Location inventory.Location `yaml:"location" json:"location,omitempty"`
	Balance  []inventory.Source `yaml:"balance" json:"balance,omitempty"`
	Moves    []inventory.Source `yaml:"moves" json:"moves,omitempty"`
}

func (f *ledgerFile) policy() inventory.Policy {
	p := inventory.Policy{Version: f.Version, Origins: f.Origins}
	for _, o := range f.Owners {
		p.Owners = append(p.Owners, inventory.Owner{Location: o.Location, Balance: o.Balance, Moves: o.Moves})
	}
	return p
}

// EncodeLedger is the canonical JSON of a ledger policy, and its SHA-256 in hex.
// Equal policies give equal bytes.
func EncodeLedger(p inventory.Policy) (content []byte, hash string, err error) {
	f := ledgerFile{Version: p.Version, Origins: p.Origins}
	for _, o := range p.Owners {
		f.Owners = append(f.Owners, ownerFile{Location: o.Location, Balance: o.Balance, Moves: o.Moves})
	}
	if content, err = json.Marshal(f); err != nil {
		return nil, "", fmt.Errorf("encoding ledger policy: %w", err)
	}
	sum := sha256.Sum256(content)
	return content, hex.EncodeToString(sum[:]), nil
}

// DecodeLedger reads what EncodeLedger wrote. An unknown field is an error: a
// worker must not decide by half a policy.
func DecodeLedger(content []byte) (inventory.Policy, error) {
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	var f ledgerFile
	if err := d.Decode(&f); err != nil {
		return inventory.Policy{}, fmt.Errorf("decoding ledger policy: %w", err)
	}
	return f.policy(), nil
}

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
	// Authority goes beyond Owners: see ledger_authority.go.
	Authority *authorityFile `yaml:"authority" json:"authority,omitempty"`
	// Counts, Lines and Lanes: see ledger_count.go.
	Counts []countFile `yaml:"counts" json:"counts,omitempty"`
	Lines  *linesFile  `yaml:"lines" json:"lines,omitempty"`
	Lanes  []laneFile  `yaml:"lanes" json:"lanes,omitempty"`
	// Reservations: see ledger_reservation.go.
	Reservations *reservationFile `yaml:"reservations" json:"reservations,omitempty"`
	// Limits: see ledger_limit.go.
	Limits *limitFile `yaml:"limits" json:"limits,omitempty"`
}

func (f *ledgerFile) policy() inventory.Policy {
	p := inventory.Policy{Version: f.Version, Origins: f.Origins}
	p.Authority = f.authority()
	f.counting(&p)
	p.Reservations = f.Reservations.policy()
	p.Limits = f.Limits.policy()
	return p
}

// EncodeLedger is the canonical JSON of a ledger policy, and its SHA-256 in hex.
// Equal policies give equal bytes.
func EncodeLedger(p inventory.Policy) (content []byte, hash string, err error) {
	f := ledgerFile{Version: p.Version, Origins: p.Origins}
	f.setAuthority(&p.Authority)
	f.setCounting(&p)
	f.setReservations(&p.Reservations)
	f.setLimits(&p.Limits)
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

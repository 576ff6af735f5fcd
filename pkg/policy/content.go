package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
)

// ATPName is the name in policies.v1 of what promises are made by: policies/atp
// without safety stock, which goes through the log, and policies/channels without
// addresses and secrets.
const ATPName = "atp"

type atpContent struct {
	ATP      ATPPolicy `json:"atp"`
	Channels []Channel `json:"channels,omitempty"`
}

// EncodeATP is the canonical JSON of what promises are made by, and its SHA-256 in
// hex. Equal policies give equal bytes.
func EncodeATP(p *ATPPolicy, channels []Channel) (content []byte, hash string, err error) {
	if content, err = json.Marshal(atpContent{*p, channels}); err != nil {
		return nil, "", fmt.Errorf("encoding atp policy: %w", err)
	}
	sum := sha256.Sum256(content)
	return content, hex.EncodeToString(sum[:]), nil
}

// DecodeATP reads what EncodeATP wrote. An unknown field is an error: nobody
// promises by half a policy.
func DecodeATP(content []byte) (*Promises, error) {
	d := json.NewDecoder(bytes.NewReader(content))
	d.DisallowUnknownFields()
	var c atpContent
	if err := d.Decode(&c); err != nil {
		return nil, fmt.Errorf("decoding atp policy: %w", err)
	}
	p, err := NewPromises(&c.ATP, c.Channels)
	if err != nil {
		return nil, fmt.Errorf("reading atp policy: %w", err)
	}
	return p, nil
}

package road

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// Answer is what the door said.
type Answer struct {
	Status int    `json:"-"`
	ID     string `json:"id"`   // of the raw message, when taken
	Code   string `json:"code"` // of the problem, when not
}

// A Sender plays the partners: it knows the policies and the secrets.
type Sender struct {
	Ingest   string // base URL of the door
	Policies *policy.Set
	Key      string              // an API key every source accepts
	Getenv   func(string) string // the secrets that the policies leave to the environment
	HTTP     *http.Client
}

// Send sends a step's file as its source would.
func (p *Sender) Send(ctx context.Context, sc *Scenario, s Step) (Answer, error) {
	body, err := readBounded(filepath.Join(sc.Dir, s.File))
	if err != nil {
		return Answer{}, err
	}
	return p.Post(ctx, s, body)
}

// Post sends a body as a step's source would.
func (p *Sender) Post(ctx context.Context, s Step, body []byte) (Answer, error) {
	src := p.Policies.Source(inventory.Source(s.Source))
	if src == nil && s.Status <= http.StatusAccepted {
		return Answer{}, fmt.Errorf("%w: no source %q in the policies", ErrScenario, s.Source)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.Ingest+"/v1/messages/"+s.Source, bytes.NewReader(body))
	if err != nil {
		return Answer{}, fmt.Errorf("sending: %w", err)
	}
	req.Header.Set("Content-Type", contentType(s, src))
	name := s.Filename
	if name == "" {
		name = filepath.Base(s.File)
	}
	req.Header.Set("X-Filename", name)
	key := p.Key
	if s.Key != "" {
		key = s.Key
	}
	req.Header.Set("Authorization", "Bearer "+key)
	if src != nil && src.Auth.HMAC != nil {
		req.Header.Set(src.Auth.HMAC.Header, p.sign(src.Auth.HMAC, s, body))
	}
	resp, err := p.HTTP.Do(req)
	if err != nil {
		return Answer{}, fmt.Errorf("sending: %w", err)
	}
	defer resp.Body.Close()
	a := Answer{Status: resp.StatusCode}
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&a); err != nil {
		return Answer{}, fmt.Errorf("reading the door's answer (%d): %w", resp.StatusCode, err)
	}
	return a, nil
}

func (p *Sender) sign(h *policy.HMAC, s Step, body []byte) string {
	secret := p.Getenv(h.SecretEnv)
	if s.Signature != "" {
		secret = s.Signature
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	if h.Encoding == "hex" {
		return h.Prefix + hex.EncodeToString(mac.Sum(nil))
	}
	return h.Prefix + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

func contentType(s Step, src *policy.Source) string {
	switch {
	case s.ContentType != "":
		return s.ContentType
	case src != nil && len(src.ContentTypes) > 0:
		return src.ContentTypes[0]
	case src != nil && src.Format == policy.FormatCSV:
		return "text/csv"
	case src != nil && src.Format == policy.FormatX12:
		return "application/edi-x12"
	case src != nil && (src.Format == policy.FormatXML || src.Format == policy.FormatIDoc):
		return "application/xml"
	case src != nil && (src.Format == policy.FormatNDJSON || src.Format == policy.FormatFixed):
		return "text/plain"
	}
	return "application/json"
}

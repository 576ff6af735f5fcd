package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/stockweave/stockweave/pkg/access/idempotent"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/ingest/signature"
	"github.com/stockweave/stockweave/services/ingest/soap"
)

// signing is how a source signs, with its secrets and what of it was seen.
type signing struct {
	verifier signature.Verifier // nil: no scheme, only tokens of SOAP
	token    *soap.Rule         // nil: none is asked for
}

// newSigning reads what a source's policy says of signatures; nil where it says
// nothing. secret reads one from the environment and notes what is missing.
func newSigning(src *policy.Source, secret func(env string) string, fetch signature.Fetch) (*signing, error) {
	rule, ws := src.Auth.Signature, src.Auth.WSSecurity
	if rule == nil && ws == nil {
		return nil, nil // most sources sign by no scheme
	}
	read := func(envs []string) []string {
		var out []string
		for _, env := range envs {
			if v := secret(env); v != "" {
				out = append(out, v)
			}
		}
		return out
	}
	out := &signing{}
	if rule != nil {
		v, err := signature.New(rule, read(rule.SecretEnvs), fetch)
		if err != nil {
			return nil, fmt.Errorf("source %s: auth.signature: %w", src.Name, err)
		}
		out.verifier = v
	}
	if ws != nil {
		out.token = &soap.Rule{Username: ws.Username, Passwords: read(ws.PasswordEnvs), Text: ws.Text, Within: ws.Within()}
	}
	return out, nil
}

// Ids of signed messages are remembered for as long as a signature from the future can
// be fresh. That is of one process. What is played to another, or to one that has
// started again, is stored with the id that the message has already (try.id), and so
// makes the same events, and nothing.
const (
	idsKept = 2 * policy.MaxTolerance
	mostIDs = 50_000
)

// wholeFirst says whether the body has to be in memory before anything of it is
// believed.
func (d *door) wholeFirst() bool {
	return d.secret != nil || d.signed != nil && d.signed.verifier != nil
}

// verify checks the signature over the body as it came, before anybody parses a byte
// of it. A source that has none passes; one that has only tokens of SOAP does not,
// since there is nothing here that says who sends.
func (s *server) verify(ctx context.Context, d *door, r *http.Request, wire []byte) (signature.Claim, error) {
	if !d.signatureOK(r.Header, wire) {
		return signature.Claim{}, badSignature()
	}
	if d.signed == nil || d.signed.verifier == nil {
		if !d.asks && d.secret == nil {
			return signature.Claim{}, badKey()
		}
		return signature.Claim{}, nil
	}
	req := &signature.Request{Method: r.Method, Path: r.URL.EscapedPath(), Header: r.Header, Body: wire}
	claim, err := d.signed.verifier.Verify(ctx, req, s.now())
	return claim, s.refused(err)
}

// refused is the answer to a signature that was not taken.
func (s *server) refused(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, signature.ErrUnavailable):
		if err != signature.ErrUnavailable { //nolint:errorlint // bare it is the echo of one that was logged
			s.log.Warn("signatures cannot be checked", slog.Any("err", err))
		}
		return later("signature_unavailable", "the signature cannot be checked now; send it again", int(s.cfg.RetryAfter.Seconds()))
	case errors.Is(err, signature.ErrStale):
		return newProblem(http.StatusUnauthorized, "stale_signature", "the signature fits, but its time is too far from now")
	case errors.Is(err, signature.ErrBad):
		if err != signature.ErrBad { //nolint:errorlint // with a reason it is not the sender's fault alone
			s.log.Warn("a signature is refused", slog.Any("err", err))
		}
		return badSignature()
	}
	return err
}

// once keeps a message that its sender signed under an id from being taken twice: what
// comes again, from the sender who was not told or from somebody who listened, gets the
// first answer. It returns a nil try where there is no id.
func (s *server) once(src *policy.Source, id string, signed []byte) (*try, *idempotent.Answer, error) {
	if id == "" {
		return nil, nil, nil
	}
	t := &try{window: s.ids, scope: string(src.Name) + "\x00signed", key: id}
	switch found, a := s.ids.Begin(t.scope, id, idempotent.Fingerprint(signed)); found {
	case idempotent.Again:
		s.messages.WithLabelValues(string(src.Name), "repeat").Inc()
		return nil, &a, nil
	case idempotent.UnderWay:
		p := newProblem(http.StatusConflict, "repeat_under_way", "the same message is being taken; ask again")
		p.retryAfter = 1
		return nil, nil, p
	case idempotent.Other:
		return nil, nil, newProblem(http.StatusConflict, "repeated_id", "another message came under the same signed id")
	case idempotent.New:
	}
	return t, nil, nil
}

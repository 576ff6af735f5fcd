package ingest

import (
	"bytes"
	"errors"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"github.com/stockweave/stockweave/pkg/access/idempotent"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	ours "github.com/stockweave/stockweave/pkg/soap"
	"github.com/stockweave/stockweave/services/ingest/body"
	"github.com/stockweave/stockweave/services/ingest/soap"
)

// soapPost takes an envelope and answers with one. What it refuses is a fault under
// the same codes as elsewhere.
func (s *server) soapPost(c echo.Context) error {
	name := inventory.Source(c.Param("source"))
	version := soap.VersionOf(c.Request().Header)
	answer, err := s.takeSOAP(c, name, &version)
	s.count(name, "accepted", err)
	if err == nil {
		return c.Blob(answer.Status, answer.Type, answer.Body) //nolint:wrapcheck // echo's own
	}
	p, ok := errors.AsType[*problem](err)
	if !ok {
		p = newProblem(http.StatusInternalServerError, "internal", "the request failed")
	}
	fault := ours.Fault{Sender: p.Status < http.StatusInternalServerError, Code: p.Code, Reason: p.Detail}
	status := fault.Status(version)
	// What stands in front of SOAP keeps its HTTP status: clients ask for credentials,
	// wait and stop by it.
	switch p.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		status = p.Status
	}
	p.tell(c.Response().Header())
	return c.Blob(status, ours.ContentType(version), fault.Append(nil, version)) //nolint:wrapcheck // echo's own
}

// takeSOAP is take for envelopes; version is set as soon as it is known.
func (s *server) takeSOAP(c echo.Context, name inventory.Source, version *string) (*idempotent.Answer, error) {
	release, err := s.slot()
	if err != nil {
		return nil, err
	}
	defer release()
	r := c.Request()
	v, err := s.porter.admit(c.Response().Header(), r, name)
	if err != nil {
		return nil, err
	}
	defer v.leave()
	d := v.door
	if d.src.HTTP.SOAP == nil {
		if d.asks { // it has shown who it is
			return nil, newProblem(http.StatusNotFound, "no_soap", "the source does not send SOAP")
		}
		return nil, badKey() // as a source that is not known
	}
	e, b, signed, err := s.envelope(v, r)
	if err != nil {
		return nil, err
	}
	*version = e.Version
	action, ok := soap.Action(r.Header, e.Version)
	if !ok {
		return nil, newProblem(http.StatusUnsupportedMediaType, "unsupported_media_type", "text/xml with SOAP 1.1, application/soap+xml with SOAP 1.2, in UTF-8")
	}
	if as := d.src.HTTP.SOAP.Actions; len(as) > 0 && !slices.Contains(as, action) {
		return nil, newProblem(http.StatusBadRequest, "unknown_action", "the source does not send this action")
	}
	return s.storeSOAP(c, v, e, b, signed)
}

// envelope reads one and checks all that says who sends it. signed is what makes it
// another than all others; empty when nothing does.
func (s *server) envelope(v *visit, r *http.Request) (e *soap.Envelope, b []byte, signed string, err error) {
	release, err := s.stranger(v)
	if err != nil {
		return nil, nil, "", err
	}
	defer release()
	d, limit := v.door, int64(v.door.limit())
	token := d.signed != nil && d.signed.token != nil
	wire, err := readWire(r, limit)
	if err != nil {
		return nil, nil, "", err
	}
	if d.wholeFirst() {
		claim, err := s.verify(r.Context(), d, r, wire)
		v.known = err == nil && !token
		if err != nil {
			return nil, nil, "", err
		}
		signed = claim.ID
	}
	if b, err = plainBody(wire, r.Header.Get("Content-Encoding"), limit); err != nil {
		return nil, nil, "", err
	}
	if e, err = soap.Read(b); err != nil {
		if token { // nobody is told more before it is known who sends
			v.known = false
			return nil, nil, "", newProblem(http.StatusBadRequest, "bad_envelope", "the body is no SOAP envelope")
		}
		return nil, nil, "", badEnvelope(err)
	}
	nonce, err := s.checkToken(d, e)
	v.known = err == nil
	if signed += nonce; signed != "" {
		signed = "soap " + signed
	}
	return e, b, signed, err
}

func (s *server) storeSOAP(c echo.Context, v *visit, e *soap.Envelope, b []byte, signed string) (*idempotent.Answer, error) {
	in := &arrival{visit: v, c: c, r: c.Request(), src: v.door.src}
	raw, err := s.message(in.r, in.src, e.Stored(b), c.RealIP())
	if err != nil {
		return nil, err
	}
	return s.keep(in, raw.Body, signed, b, []*event.RawMessage{raw}, func() (idempotent.Answer, error) {
		return idempotent.Answer{Status: http.StatusOK, Type: ours.ContentType(e.Version), Body: soap.Accepted(e.Version, raw.ID)}, nil
	})
}

// checkToken checks the token in the security header, where the source has one. The
// nonce is what makes it another than all others.
func (s *server) checkToken(d *door, e *soap.Envelope) (nonce string, err error) {
	if d.signed == nil || d.signed.token == nil {
		return "", nil
	}
	nonce, err = e.Security.Check(d.signed.token, s.now())
	switch {
	case errors.Is(err, soap.ErrStale):
		return "", newProblem(http.StatusUnauthorized, "stale_signature", "the UsernameToken fits, but its time is too far from now")
	case err != nil:
		return "", newProblem(http.StatusUnauthorized, "bad_signature", "the UsernameToken is missing or does not fit")
	}
	return nonce, nil
}

func badEnvelope(err error) *problem {
	code := "bad_envelope"
	switch {
	case errors.Is(err, soap.ErrDTD):
		code = "dtd_refused"
	case errors.Is(err, soap.ErrVersion):
		code = "unknown_soap_version"
	case errors.Is(err, soap.ErrDepth):
		code = "too_deep"
	case errors.Is(err, soap.ErrHeader):
		code = "header_not_understood"
	}
	return newProblem(http.StatusBadRequest, code, err.Error())
}

// plainBody undoes a Content-Encoding of what is in memory.
func plainBody(wire []byte, encoding string, limit int64) ([]byte, error) {
	b := wire
	if encoding != "" {
		in, err := body.NewReader(bytes.NewReader(wire), encoding, limit, policy.MaxRatio)
		if err != nil {
			return nil, unreadable(err, limit)
		}
		if b, err = readAll(in, -1, limit); err != nil {
			return nil, err
		}
	}
	if empty(b) {
		return nil, noMessage()
	}
	return b, nil
}

// describe answers ?wsdl, for any name alike: it says nothing of who sends here.
func (s *server) describe(c echo.Context) error {
	_, ok := c.QueryParams()["wsdl"]
	if _, too := c.QueryParams()["WSDL"]; !ok && !too {
		return echo.ErrMethodNotAllowed
	}
	address := c.Scheme() + "://" + c.Request().Host + c.Request().URL.EscapedPath()
	return c.Blob(http.StatusOK, "text/xml; charset=utf-8", soap.WSDL(address)) //nolint:wrapcheck // echo's own
}

// Package soap reads SOAP requests at the door: the envelope's form and its security
// header, and nothing of what its body means. It does no I/O.
package soap

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/stockweave/stockweave/pkg/soap"
)

// Faults of a request, all of its sender.
var (
	ErrXML      = errors.New("the body is not well-formed XML")
	ErrDTD      = errors.New("a document type declaration is not taken (SOAP 1.1 §3, SOAP 1.2 part 1 §5)")
	ErrEnvelope = errors.New("the document is no SOAP envelope")
	ErrVersion  = errors.New("the envelope is of neither SOAP 1.1 nor 1.2")
	ErrDepth    = errors.New("elements are nested too deeply")
	ErrHeader   = errors.New("a header block must be understood and is not known here")
)

// Limits of an envelope.
const (
	maxDepth      = 100
	maxElements   = 200_000
	maxAttributes = 256 // of an element
)

// Envelope is a request as the door sees it.
type Envelope struct {
	Version  string // soap.V11 or soap.V12
	Payload  xml.Name
	Security *Token // nil: it has no UsernameToken

	cut [2]int64 // the bytes of its security header; none when equal
}

// Stored is the envelope without its security header: no password gets into the log.
func (e *Envelope) Stored(b []byte) []byte {
	if e.cut[0] == e.cut[1] {
		return b
	}
	return append(bytes.Clone(b[:e.cut[0]]), b[e.cut[1]:]...)
}

// Read reads an envelope in UTF-8 that is in memory. It fetches nothing, expands no
// entity but the five of XML, and an error says the line it is in.
func Read(b []byte) (*Envelope, error) {
	r := &reader{d: xml.NewDecoder(bytes.NewReader(b)), out: &Envelope{}}
	r.d.Strict = true
	if err := r.read(); err != nil {
		line, _ := r.d.InputPos()
		return nil, fmt.Errorf("line %d: %w", line, err)
	}
	return r.out, nil
}

type reader struct {
	d        *xml.Decoder
	out      *Envelope
	stack    []xml.Name
	ns       string // of the envelope
	elements int
	bodies   int
	payloads int
	token    *tokenReader // while the security header is open
}

func (r *reader) read() error {
	for {
		from := r.d.InputOffset()
		t, err := r.d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrXML, err)
		}
		switch t := t.(type) {
		case xml.Directive:
			return ErrDTD
		case xml.StartElement:
			if err := r.open(t, from); err != nil {
				return err
			}
		case xml.EndElement:
			if err := r.close(); err != nil {
				return err
			}
		case xml.CharData:
			if r.token != nil {
				r.token.text(t)
			} else if len(r.stack) == 0 && len(bytes.TrimSpace(bytes.TrimPrefix(t, []byte("\xef\xbb\xbf")))) > 0 {
				return ErrXML
			}
		case xml.ProcInst:
			if t.Target != "xml" {
				return fmt.Errorf("%w: a processing instruction (SOAP 1.2 part 1 §5)", ErrEnvelope)
			}
		}
	}
	if r.elements == 0 || r.bodies != 1 {
		return ErrEnvelope
	}
	return nil
}

func (r *reader) open(t xml.StartElement, from int64) error {
	r.elements++
	if len(r.stack) >= maxDepth || r.elements > maxElements || len(t.Attr) > maxAttributes {
		return ErrDepth
	}
	r.stack = append(r.stack, t.Name)
	switch depth := len(r.stack); {
	case depth == 1:
		if r.elements > 1 || t.Name.Local != "Envelope" {
			return ErrEnvelope
		}
		if r.ns, r.out.Version = t.Name.Space, soap.VersionOf(t.Name.Space); r.out.Version == "" {
			return ErrVersion
		}
	case depth == 2:
		if t.Name.Space != r.ns || r.bodies > 0 || t.Name.Local != "Header" && t.Name.Local != "Body" {
			return ErrEnvelope
		}
		if t.Name.Local == "Body" {
			r.bodies++
		}
	case r.token != nil:
		return r.token.open(t)
	case depth == 3 && r.bodies > 0:
		if r.payloads++; r.payloads == 1 {
			r.out.Payload = t.Name
		}
	case depth == 3:
		if t.Name == (xml.Name{Space: nsSecurity, Local: "Security"}) {
			if r.out.cut[1] > 0 {
				return fmt.Errorf("%w: two security headers", ErrEnvelope)
			}
			r.out.cut[0], r.token = from, &tokenReader{}
			return nil
		}
		if mustUnderstand(t, r.ns) {
			return fmt.Errorf("%w: %.100s", ErrHeader, t.Name.Local)
		}
	}
	return nil
}

func (r *reader) close() error {
	depth := len(r.stack)
	r.stack = r.stack[:depth-1]
	if r.token == nil {
		return nil
	}
	if depth > 3 {
		r.token.close()
		return nil
	}
	var err error
	r.out.Security, err = r.token.done()
	r.out.cut[1], r.token = r.d.InputOffset(), nil
	return err
}

func mustUnderstand(t xml.StartElement, ns string) bool {
	for _, a := range t.Attr {
		if a.Name.Space == ns && a.Name.Local == "mustUnderstand" {
			v := strings.TrimSpace(a.Value)
			return v == "1" || v == "true"
		}
	}
	return false
}

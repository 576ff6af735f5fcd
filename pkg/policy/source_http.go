package policy

import (
	"fmt"
	"regexp"
	"slices"
)

// HTTP says what a source may do beyond sending one message a request.
type HTTP struct {
	// Batch: a body of NDJSON is a message a line, each with an answer of its own; for
	// the json format.
	Batch bool `yaml:"batch"`
	// Part is the name of the one part of multipart/form-data that is the message;
	// when empty each part with a file name is one.
	Part string `yaml:"part"`
	// MaxParts of multipart/form-data; DefaultMaxParts when 0.
	MaxParts int `yaml:"max_parts"`
	// MaxFileBytes is the largest body, without its Content-Encoding, of a format of
	// lines: what is beyond a message (Limits.MaxBytes, PartRows) is cut at line ends
	// into several. 0: a body is a message.
	MaxFileBytes int64 `yaml:"max_file_bytes"`
	// PartRows is how many lines a part has at most; DefaultPartRows when 0.
	PartRows int `yaml:"part_rows"`
	// SOAP lets it send to /v1/soap/{source}.
	SOAP *SOAP `yaml:"soap"`
}

// SOAP is what a source may send as SOAP.
type SOAP struct {
	// Actions that are taken (SOAPAction of 1.1, action of 1.2); all when empty.
	Actions []string `yaml:"actions"`
}

// Limits of bodies.
const (
	DefaultMaxParts = 16
	MaxParts        = 100
	// MaxFile is the largest file that is taken over HTTP, bytes.
	MaxFile = 1 << 30
	// DefaultPartRows leaves room for a row to become two lines (DefaultMaxLines).
	DefaultPartRows = 5000
	// MaxRatio is how many times its own length a compressed body may become; text
	// hardly passes 20, and deflate ends at 1032.
	MaxRatio = 100
)

// Parts is how many parts a multipart body may have.
func (h *HTTP) Parts() int {
	if h.MaxParts > 0 {
		return h.MaxParts
	}
	return DefaultMaxParts
}

// Rows is how many lines a part of a file may have.
func (h *HTTP) Rows() int {
	if h.PartRows > 0 {
		return h.PartRows
	}
	return DefaultPartRows
}

var partRule = regexp.MustCompile(`^[A-Za-z0-9_.\[\]-]{1,64}$`)

func (s *Source) validateHTTP() []error {
	var errs []error
	bad := func(field, code, format string, args ...any) {
		errs = append(errs, &Fault{Field: "http." + field, Code: code, Reason: fmt.Sprintf(format, args...)})
	}
	h := &s.HTTP
	if h.Batch && (s.Format != FormatJSON || s.Auth.WSSecurity != nil) {
		bad("batch", CodeConflicting, "is for the json format; a body of ndjson is one message")
	}
	if h.Part != "" && !partRule.MatchString(h.Part) {
		bad("part", CodeOutOfRange, "letters, digits and . _ - [ ] only, at most 64")
	}
	if h.MaxParts < 0 || h.MaxParts > MaxParts {
		bad("max_parts", CodeOutOfRange, "must be at most %d", MaxParts)
	}
	if h.PartRows < 0 || h.PartRows > DefaultMaxLines {
		bad("part_rows", CodeOutOfRange, "must be at most %d", DefaultMaxLines)
	}
	if h.MaxFileBytes < 0 || h.MaxFileBytes > MaxFile {
		bad("max_file_bytes", CodeOutOfRange, "must be at most %d", MaxFile)
	}
	if h.MaxFileBytes > 0 {
		if why := s.whole(); why != "" {
			bad("max_file_bytes", CodeConflicting, "%s", why)
		}
	} else if h.PartRows > 0 {
		bad("part_rows", CodeConflicting, "is for files, which max_file_bytes allows")
	}
	if h.SOAP != nil && !slices.Contains([]string{FormatXML, FormatIDoc, FormatEPCIS}, s.Format) {
		bad("soap", CodeConflicting, "is for the formats of XML: xml, idoc and epcis")
	}
	if s.Auth.WSSecurity != nil && h.SOAP == nil {
		bad("soap", CodeRequired, "auth.ws_security is in a SOAP header")
	}
	return errs
}

// whole says why a file of the source cannot be cut into parts; empty when it can.
func (s *Source) whole() string {
	switch {
	case s.Format != FormatCSV && s.Format != FormatNDJSON && s.Format != FormatFixed:
		return "only csv, ndjson and fixed have lines to cut at"
	case s.Auth.signed():
		return "a signature is checked before anything is stored, and of a file in parts it would be after"
	case s.Balance != nil && s.Balance.Complete:
		return "a part does not list all that balance.complete says it does"
	case s.Encoding == UTF16:
		return "lines of utf-16 are not cut"
	case s.Fixed.Length > 0:
		return "records without line ends are not cut"
	}
	for _, r := range s.CSV.Records {
		if r.Role != RowRecord && r.Role != SkipRecord {
			return "rows of csv.records belong together"
		}
	}
	for _, r := range s.Fixed.Records {
		if r.Role != RowRecord && r.Role != SkipRecord {
			return "rows of fixed.records belong together"
		}
	}
	return ""
}

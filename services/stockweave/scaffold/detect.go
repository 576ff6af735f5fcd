// Package scaffold proposes a source from one message of a partner's: its format, a
// mapping to begin with, and what a person has to decide.
package scaffold

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/stockweave/stockweave/pkg/policy"
)

// ErrUnknown says that a message is in no format that can be told.
var ErrUnknown = errors.New("the format cannot be told")

// Guess is what a message looks like.
type Guess struct {
	Format   string
	Encoding string // of text that is no UTF-8
	Text     string // the message in UTF-8
	Bare     bool   // X12 without an interchange
	XMLUnit  string // path of the elements that repeat
	Doctype  bool   // XML with a document type declaration
	Table    Table  // of CSV and fixed width
	Notes    []string
}

// Detect tells the format of a message by its first bytes, of a table by its rows.
func Detect(body []byte, filename string) (Guess, error) {
	if len(body) == 0 || len(body) > policy.MaxMessage {
		return Guess{}, fmt.Errorf("%w: a message has between 1 and %d bytes", ErrUnknown, policy.MaxMessage)
	}
	g := Guess{}
	g.Text, g.Encoding = decodeText(body)
	text := strings.TrimSpace(strings.TrimPrefix(g.Text, "\ufeff"))
	switch {
	case strings.HasPrefix(text, "UNA"), strings.HasPrefix(text, "UNB"):
		g.Format = policy.FormatEDIFACT
	case strings.HasPrefix(text, "ISA"):
		g.Format = policy.FormatX12
	case bareX12.MatchString(text):
		g.Format, g.Bare = policy.FormatX12, true
	case strings.HasPrefix(text, "EDI_DC"):
		g.Format = policy.FormatIDoc
		g.Notes = append(g.Notes, "a flat IDoc: put its segment dictionary (segment,field,offset,length) beside the file and name it in idoc.dictionary")
	case strings.HasPrefix(text, "<"):
		g.xml(text)
	case strings.HasPrefix(text, "{"), strings.HasPrefix(text, "["):
		return g, g.json(text)
	default:
		return g, g.table(text, filename)
	}
	if g.Format != policy.FormatXML && g.Format != policy.FormatIDoc {
		g.Encoding = "" // the interchange says it itself
	}
	return g, nil
}

var (
	bareX12  = regexp.MustCompile(`^(GS[^A-Za-z0-9 ][A-Z]{2}[^A-Za-z0-9 ]|ST[^A-Za-z0-9 ][0-9]{3}[^A-Za-z0-9 ])`)
	idocXML  = regexp.MustCompile(`<EDI_DC40[\s>]`)
	epcisXML = regexp.MustCompile(`<([A-Za-z0-9_]+:)?EPCIS(Document|QueryDocument)[\s>]`)
)

func (g *Guess) xml(text string) {
	g.Doctype = strings.Contains(text[:min(len(text), 4096)], "<!DOCTYPE")
	switch {
	case idocXML.MatchString(text):
		g.Format = policy.FormatIDoc
	case epcisXML.MatchString(text):
		g.Format = policy.FormatEPCIS
	default:
		g.Format = policy.FormatXML
	}
	g.Encoding = "" // the declaration says it
}

func (g *Guess) json(text string) error {
	g.Encoding = ""
	d := json.NewDecoder(strings.NewReader(text))
	var first any
	if err := d.Decode(&first); err != nil {
		return fmt.Errorf("%w: it begins like JSON, but %w", ErrUnknown, err)
	}
	g.Format = policy.FormatJSON
	if d.More() {
		g.Format = policy.FormatNDJSON
	}
	if o, ok := first.(map[string]any); ok {
		kind, _ := o["type"].(string)
		if o["@context"] != nil && strings.HasPrefix(kind, "EPCIS") {
			g.Format = policy.FormatEPCIS
		}
	}
	return nil
}

// Ext is the ending of a sample's file name.
func (g *Guess) Ext(filename string) string {
	if ext := filepath.Ext(filename); len(ext) > 1 && len(ext) < 8 {
		return strings.ToLower(ext)
	}
	return map[string]string{
		policy.FormatX12: ".edi", policy.FormatEDIFACT: ".edi", policy.FormatJSON: ".json", policy.FormatNDJSON: ".ndjson", policy.FormatXML: ".xml",
		policy.FormatIDoc: ".xml", policy.FormatCSV: ".csv", policy.FormatFixed: ".txt", policy.FormatEPCIS: ".json",
	}[g.Format]
}

// decodeText is a body in UTF-8 and the encoding a source of it names; none for UTF-8.
// Text of one byte a character is Windows-1252 where it has bytes that ISO 8859-1
// leaves to control characters.
func decodeText(body []byte) (text, encoding string) {
	switch {
	case bytes.HasPrefix(body, []byte{0xff, 0xfe}), bytes.HasPrefix(body, []byte{0xfe, 0xff}):
		units := make([]uint16, 0, len(body)/2)
		for i := 2; i+1 < len(body); i += 2 {
			a, b := uint16(body[i]), uint16(body[i+1])
			if body[0] == 0xff {
				a, b = b, a
			}
			units = append(units, a<<8|b)
		}
		return string(utf16.Decode(units)), "utf-16"
	case utf8.Valid(body):
		return string(body), ""
	}
	encoding = "iso-8859-1"
	runes := make([]rune, len(body))
	for i, b := range body {
		if runes[i] = rune(b); b >= 0x80 && b < 0xa0 {
			encoding = "windows-1252"
		}
	}
	return string(runes), encoding
}

package canonicalizer

import (
	"iter"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
	"github.com/stockweave/stockweave/services/canonicalizer/format/csv"
	"github.com/stockweave/stockweave/services/canonicalizer/format/edifact"
	"github.com/stockweave/stockweave/services/canonicalizer/format/epcis"
	"github.com/stockweave/stockweave/services/canonicalizer/format/fixed"
	"github.com/stockweave/stockweave/services/canonicalizer/format/idoc"
	"github.com/stockweave/stockweave/services/canonicalizer/format/json"
	"github.com/stockweave/stockweave/services/canonicalizer/format/x12"
	"github.com/stockweave/stockweave/services/canonicalizer/format/xml"
)

// formatOf is the table of formats. A new one is a folder, a line here and a name
// in pkg/policy.
func formatOf(name string) (format.Parse, bool) {
	parse, ok := map[string]format.Parse{
		policy.FormatJSON:    json.Parse,
		policy.FormatNDJSON:  json.Lines,
		policy.FormatX12:     x12.Parse,
		policy.FormatEDIFACT: edifact.Parse,
		policy.FormatCSV:     csv.Parse,
		policy.FormatXML:     xml.Parse,
		policy.FormatIDoc:    idoc.Parse,
		policy.FormatEPCIS:   epcis.Parse,
		policy.FormatFixed:   fixed.Parse,
	}[name]
	return parse, ok
}

// units are those of a message. Rows of a part of a file are numbered as in the file,
// so that faults name its lines, and what is known by its line is known in all of it.
// A unit is good until the next one comes.
func units(p *sourceProgram, raw *event.RawMessage) iter.Seq[format.Unit] {
	first := raw.FirstLine()
	switch {
	case p.src.Format == policy.FormatCSV:
		return csv.Lent(raw.Body, p.src, first)
	case p.src.Format == policy.FormatFixed && first > 0:
		return fixed.Part(raw.Body, p.src, first)
	case p.src.Format == policy.FormatNDJSON && first > 0:
		return json.Part(raw.Body, p.src, first)
	}
	return p.parse(raw.Body, p.src)
}

// documentID is what a message is to its mapping: parts of a file are one document,
// however it was cut.
func documentID(raw *event.RawMessage) string {
	if raw.FileID != "" {
		return raw.FileID
	}
	return raw.ID
}

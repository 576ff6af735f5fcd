package canonicalizer

import (
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

package canonicalizer

import (
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
	"github.com/stockweave/stockweave/services/canonicalizer/format/csv"
	"github.com/stockweave/stockweave/services/canonicalizer/format/json"
	"github.com/stockweave/stockweave/services/canonicalizer/format/x12"
)

// formatOf is the table of formats. A new one is a folder, a line here and a name
// in pkg/policy.
func formatOf(name string) (format.Parse, bool) {
	parse, ok := map[string]format.Parse{
		policy.FormatJSON: json.Parse,
		policy.FormatX12:  x12.Parse,
		policy.FormatCSV:  csv.Parse,
	}[name]
	return parse, ok
}

package policy

import (
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// One mapping_version stands for two versions of a source only where no message is
// understood otherwise.
func TestSameMapping(t *testing.T) {
	base := func() *Source {
		return &Source{
			Name: "wms", Entity: "acme", Format: FormatCSV, Mapping: "[]", MappingVersion: "1", Defaults: map[string]string{"a": "b"},
			CSV: CSV{Delimiter: ";", Header: []string{"a"}}, Balance: &Balance{Basis: inventory.Physical, Covers: []inventory.Account{inventory.OnHand, inventory.Damaged}},
			Items: []ItemName{{Type: "VN", Value: "1", Item: "A"}}, UnitAliases: map[string]string{"ST": "EA"}, IDTypes: map[string][]string{"XX": {"sku"}},
		}
	}
	for name, tc := range map[string]struct {
		change func(*Source)
		same   bool
	}{
		"nothing":             {func(*Source) {}, true},
		"description":         {func(s *Source) { s.Description = "x" }, true},
		"auth":                {func(s *Source) { s.Auth.APIKeyEnv = "K" }, true},
		"limits":              {func(s *Source) { s.Limits.MaxLines = 5 }, true},
		"latency class":       {func(s *Source) { s.LatencyClass = LatencyBulk }, true},
		"acknowledgements":    {func(s *Source) { s.Acks.X12 = "997" }, true},
		"another format's":    {func(s *Source) { s.XML.Unit = "/a" }, true},
		"states, reordered":   {func(s *Source) { s.Balance.Covers = []inventory.Account{inventory.Damaged, inventory.OnHand} }, true},
		"an item more":        {func(s *Source) { s.Items = append(s.Items, ItemName{Type: "VN", Value: "2", Item: "B"}) }, true},
		"an item less":        {func(s *Source) { s.Items = nil }, true},
		"an item reads alike": {func(s *Source) { s.Items = []ItemName{{Type: "vn", Value: "1", Item: "A"}} }, true},
		"a unit more":         {func(s *Source) { s.UnitAliases = map[string]string{"ST": "EA", "KT": "CT"} }, true},
		"an item means other": {func(s *Source) { s.Items = []ItemName{{Type: "vn", Value: "1", Item: "B"}} }, false},
		"a unit means other":  {func(s *Source) { s.UnitAliases = map[string]string{"ST": "CT"} }, false},
		"types of number":     {func(s *Source) { s.IDTypes = nil }, false},
		"mapping":             {func(s *Source) { s.Mapping = "[1]" }, false},
		"format":              {func(s *Source) { s.Format = FormatNDJSON }, false},
		"encoding":            {func(s *Source) { s.Encoding = Latin1 }, false},
		"entity":              {func(s *Source) { s.Entity = "x" }, false},
		"default location":    {func(s *Source) { s.DefaultLocation = "x" }, false},
		"defaults":            {func(s *Source) { s.Defaults = nil }, false},
		"zone":                {func(s *Source) { s.TimeZone = "UTC" }, false},
		"as of":               {func(s *Source) { s.AsOf.Delay = time.Minute }, false},
		"delimiter":           {func(s *Source) { s.CSV.Delimiter = "|" }, false},
		"decimal":             {func(s *Source) { s.CSV.Decimal = "," }, false},
		"columns":             {func(s *Source) { s.CSV.Columns = []string{"a"} }, false},
		"no balance":          {func(s *Source) { s.Balance = nil }, false},
		"basis":               {func(s *Source) { s.Balance.Basis = inventory.Sellable }, false},
		"complete":            {func(s *Source) { s.Balance.Complete = true }, false},
		"covers":              {func(s *Source) { s.Balance.Covers = s.Balance.Covers[:1] }, false},
		"includes":            {func(s *Source) { s.Balance.Includes = []inventory.Account{inventory.Picked} }, false},
	} {
		a, b := base(), base()
		tc.change(b)
		if SameMapping(a, b) != tc.same || SameMapping(b, a) != tc.same {
			t.Errorf("%s: %v", name, !tc.same)
		}
	}
	for what, tc := range map[string]struct {
		format string
		change func(*Source)
	}{
		"x12":         {FormatX12, func(s *Source) { s.X12.Bare = true }},
		"xml":         {FormatXML, func(s *Source) { s.XML.Unit = "/a" }},
		"epcis":       {FormatEPCIS, func(s *Source) { s.XML.Doctype = DoctypeIgnore }},
		"idoc in xml": {FormatIDoc, func(s *Source) { s.XML.Doctype = DoctypeIgnore }},
		"idoc":        {FormatIDoc, func(s *Source) { s.IDoc.Fields = map[string][]IDocField{"A": {{Name: "B", Length: 1}}} }},
		"fixed":       {FormatFixed, func(s *Source) { s.Fixed.Records = []FixedRecord{{Type: "A"}} }},
	} {
		a, b := base(), base()
		a.Format, b.Format = tc.format, tc.format
		tc.change(b)
		if SameMapping(a, b) {
			t.Errorf("%s is read otherwise", what)
		}
	}
}

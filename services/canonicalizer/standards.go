package canonicalizer

import (
	"cmp"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// A standard is a format whose documents mean the same whoever sends them: its mapping
// is shipped, and a source of it needs none of its own.
type standard struct {
	format  string
	mapping string
}

// standardOf is the table of standards, by the first word of a document's kind.
func standardOf(kind string) (standard, bool) {
	s, ok := map[string]standard{
		"x12":     {format: policy.FormatX12, mapping: "x12_lines"},
		"edifact": {format: policy.FormatEDIFACT, mapping: "edifact_lines"},
		"idoc":    {format: policy.FormatIDoc, mapping: "idoc_lines"},
		"xml":     {format: policy.FormatXML, mapping: "xml_lines"},
		"epcis":   {format: policy.FormatEPCIS, mapping: "epcis_lines"},
	}[kind]
	return s, ok
}

// Choose picks who reads a document of a kind such as x12/846 or json/shopify: a
// source of that name, else a ready partner, else the standard of that name.
func Choose(set *policy.Set) func(kind string) *policy.Source {
	return func(kind string) *policy.Source {
		family, name, _ := strings.Cut(kind, "/")
		if family == "flat" {
			return flatSource()
		}
		if s, ok := standardOf(family); ok {
			return &policy.Source{
				Name: "standard", Entity: "standard", Format: s.format, Mapping: s.mapping, MappingVersion: "1", File: "standard", Zone: time.UTC,
				XML: policy.XML{Doctype: policy.DoctypeIgnore}, // cXML names its DTD; nothing is fetched
			}
		}
		for n := name; n != ""; n = n[:max(strings.LastIndexByte(n, '-'), 0)] { // shopify-webhook is read by shopify
			if src := cmp.Or(set.Sources[inventory.Source(n)], set.Partners[inventory.Source(n)]); src != nil {
				return src
			}
		}
		return nil
	}
}

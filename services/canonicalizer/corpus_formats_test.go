package canonicalizer

import (
	"encoding/csv"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/jq"
	"github.com/stockweave/stockweave/pkg/policy"
)

// corpusCase says how a kind of file of the corpus is read, and what must come out.
type corpusCase struct {
	prefix string
	src    policy.Source
	fault  string // of its only unit; empty: units without faults
	units  int    // 0: at least one
}

// TestCorpusFormats reads every file of the corpus that is no EDI by its format:
// each gives units, and what is invalid a fault with its code.
func TestCorpusFormats(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(corpus, "manifest.tsv"))
	if err != nil {
		t.Skipf("SKIPPED: the corpus of real messages is not here: %v", err)
	}
	cases := []corpusCase{
		{prefix: "json/woocommerce/common-with-comment", src: policy.Source{Format: policy.FormatJSON}, fault: "json_syntax", units: 1},
		{prefix: "json/", src: policy.Source{Format: policy.FormatJSON}, units: 1},
		{prefix: "db/cdc/flink-debezium", src: policy.Source{Format: policy.FormatNDJSON}, units: 16},
		{prefix: "db/cdc/flink-maxwell", src: policy.Source{Format: policy.FormatNDJSON}, units: 20},
		{prefix: "xml/amazon/AmazonEnvelope-inventory", src: policy.Source{Format: policy.FormatXML}, fault: "xml_syntax", units: 1},
		{prefix: "xml/cxml/", src: policy.Source{Format: policy.FormatXML}, fault: "xml_doctype", units: 1},
		{prefix: "xml/cxml/", src: policy.Source{Format: policy.FormatXML, XML: policy.XML{Doctype: policy.DoctypeIgnore}}, units: 1},
		{prefix: "xml/tracking/", src: policy.Source{Format: policy.FormatXML}, units: 1},
		{prefix: "epcis/epcis-ErrorDeclaration", src: policy.Source{Format: policy.FormatEPCIS}, units: 2},
		{prefix: "epcis/epcis-Example_9.6.1", src: policy.Source{Format: policy.FormatEPCIS}, units: 2},
		{prefix: "epcis/", src: policy.Source{Format: policy.FormatEPCIS}},
		{prefix: "idoc/FLAT/erpl-idoc-flight_dict.csv", src: policy.Source{Format: policy.FormatCSV}},
		{prefix: "idoc/DELVRY/", src: policy.Source{Format: policy.FormatIDoc}, units: 2},
		{prefix: "idoc/", src: policy.Source{Format: policy.FormatIDoc}, units: 1},
		{prefix: "flat/csv/nested-hd", units: 4, src: policy.Source{Format: policy.FormatCSV, CSV: policy.CSV{Records: []policy.Record{
			{Type: "H", Role: policy.HeadRecord, Columns: []string{"kind", "batch", "date", "time"}},
			{Type: "D", Columns: []string{"kind", "batch", "parcel", "note", "place", "office", "event"}},
		}}}},
		{prefix: "flat/csv/", src: policy.Source{Format: policy.FormatCSV}, units: 8},
		{prefix: "flat/fixed/hd-multi-rows", units: 2, src: policy.Source{Format: policy.FormatFixed, Fixed: policy.Fixed{
			Type: policy.Span{From: 1, Width: 4}, Records: []policy.FixedRecord{
				{Type: "H001", Role: policy.BeginRecord, Columns: []policy.FixedColumn{{Name: "order", From: 25, Width: 15}}},
				{Type: "H002", Role: policy.PartRecord, Columns: []policy.FixedColumn{{Name: "order", From: 5, Width: 15}, {Name: "key", From: 20, Width: 4}, {Name: "value", From: 24}}},
			},
		}}},
		{prefix: "flat/fixed/postnl", units: 4, src: policy.Source{Format: policy.FormatFixed, Fixed: policy.Fixed{
			Type: policy.Span{From: 1, Width: 4}, Records: postnl(),
		}}},
	}
	read := map[string]bool{}
	for row := range strings.SplitSeq(string(b), "\n") {
		cols := strings.Split(row, "\t")
		kind, _, _ := strings.Cut(cols[0], "/")
		if len(cols) < 7 || !slices.Contains([]string{"json", "xml", "idoc", "epcis", "flat", "db"}, kind) {
			continue
		}
		body, err := os.ReadFile(filepath.Join(corpus, cols[0]))
		if err != nil {
			t.Fatal(err)
		}
		longest := 0
		for _, c := range cases {
			if strings.HasPrefix(cols[0], c.prefix) {
				longest = max(longest, len(c.prefix))
			}
		}
		if longest == 0 {
			t.Errorf("%s: no case reads it", cols[0])
		}
		for _, c := range cases {
			if !strings.HasPrefix(cols[0], c.prefix) || len(c.prefix) < longest {
				continue
			}
			read[c.prefix] = true
			t.Run(cols[0], func(t *testing.T) { c.check(t, body) })
		}
	}
	for _, c := range cases {
		if !read[c.prefix] {
			t.Errorf("the manifest has nothing of %s", c.prefix)
		}
	}
}

func (c *corpusCase) check(t *testing.T, body []byte) {
	t.Helper()
	parse, ok := formatOf(c.src.Format)
	if !ok {
		t.Fatalf("no format %s", c.src.Format)
	}
	n := 0
	for u := range parse(body, &c.src) {
		n++
		switch {
		case c.fault != "" && (u.Fault == nil || u.Fault.Code != c.fault):
			t.Errorf("%s: %+v, want %s", u.Where, u.Fault, c.fault)
		case c.fault == "" && u.Fault != nil:
			t.Errorf("%s: %+v", u.Where, u.Fault)
		case c.fault == "" && u.Tree == nil:
			t.Errorf("%s: no tree", u.Where)
		}
		if _, err := json.Marshal(u.Tree); err != nil {
			t.Error(err)
		}
	}
	if n == 0 || c.units > 0 && n != c.units {
		t.Errorf("%d units, want %d", n, c.units)
	}
}

// postnl are the tags of a file whose every line is a field: V010 begins a parcel.
func postnl() []policy.FixedRecord {
	value := []policy.FixedColumn{{Name: "value", From: 6}}
	var out []policy.FixedRecord
	for _, tag := range []string{"A010", "A011", "A020", "A030", "A050", "A060", "A999", "V999", "Z001", "Z999"} {
		out = append(out, policy.FixedRecord{Type: tag, Role: policy.SkipRecord})
	}
	out = append(out, policy.FixedRecord{Type: "V010", Role: policy.BeginRecord, Columns: value})
	for tag := range strings.FieldsSeq("V020 V035 V040 V045 V046 V047 V060 V070 V080 V081 V090 V091 V100 V110 V120 V130 V140 V150 V160 V170 V180 V190 V200") {
		out = append(out, policy.FixedRecord{Type: tag, Role: policy.PartRecord, Columns: value})
	}
	return out
}

// TestCorpusIDocFlat holds the flat IDoc of the corpus, read by its dictionary,
// against the same document as XML.
func TestCorpusIDocFlat(t *testing.T) {
	folder := filepath.Join(corpus, "idoc", "FLAT")
	dict, err := os.ReadFile(filepath.Join(folder, "erpl-idoc-flight_dict.csv"))
	if err != nil {
		t.Skipf("SKIPPED: the corpus of real messages is not here: %v", err)
	}
	rows, err := csv.NewReader(strings.NewReader(string(dict))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var own strings.Builder
	own.WriteString("segment,field,offset,length\n")
	for _, r := range rows[1:] { // idoctyp,cimtyp,release,segnam,segdef,field_pos,field_name,offset,length
		own.WriteString(strings.Join([]string{r[3], r[6], r[7], r[8]}, ",") + "\n")
	}
	fields, err := policy.ReadIDocDictionary(strings.NewReader(own.String()))
	if err != nil {
		t.Fatal(err)
	}
	src := &policy.Source{Format: policy.FormatIDoc, IDoc: policy.IDoc{Fields: fields}}
	parse, _ := formatOf(policy.FormatIDoc)
	trees := map[string]map[string]any{}
	for _, name := range []string{"erpl-idoc-flight.idoc", "erpl-idoc-flight.xml"} {
		body, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		us := slices.Collect(parse(body, src))
		if len(us) != 1 || us[0].Fault != nil {
			t.Fatalf("%s: %+v", name, us)
		}
		trees[name], _ = jq.Plain(us[0].Tree).(map[string]any)
	}
	flat, doc := trees["erpl-idoc-flight.idoc"], trees["erpl-idoc-flight.xml"]
	for _, k := range []string{"type", "message", "number"} {
		if flat[k] == nil || flat[k] != doc[k] {
			t.Errorf("%s: flat %v, XML %v", k, flat[k], doc[k])
		}
	}
	sameFields(t, "control", flat["control"], doc["control"])
	sameSegments(t, flat["segments"], doc["segments"])
}

// sameFields holds the fields XML has against the flat ones; XML leaves out what is
// empty.
func sameFields(t *testing.T, where string, flat, doc any) {
	t.Helper()
	a, _ := flat.(map[string]any)
	b, _ := doc.(map[string]any)
	for _, k := range slices.Sorted(maps.Keys(b)) {
		if k != "segments" && a[k] != b[k] {
			t.Errorf("%s %s: flat %v, XML %v", where, k, a[k], b[k])
		}
	}
}

func sameSegments(t *testing.T, flat, doc any) {
	t.Helper()
	a, _ := flat.([]any)
	b, _ := doc.([]any)
	if len(a) != len(b) || len(b) == 0 {
		t.Fatalf("%d flat segments, %d in XML", len(a), len(b))
	}
	for i := range b {
		x, _ := a[i].(map[string]any)
		y, _ := b[i].(map[string]any)
		id, _ := y["id"].(string)
		sameFields(t, id, x, y)
		if below, _ := y["segments"].([]any); len(below) > 0 {
			sameSegments(t, x["segments"], y["segments"])
		}
	}
}

package canonicalizer

import (
	"bytes"
	"fmt"
	"maps"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
)

// What one message may cost, whatever is in it.
const (
	mostTime   = time.Second
	mostMemory = 64 << 20 // above what was there before
)

// hostile are messages of at most a megabyte that are as bad as they can be, by
// format.
func hostile() map[string]map[string]string {
	full := func(unit string) string { return strings.Repeat(unit, policy.MaxMessage/len(unit)) }
	wrap := func(before, unit, after string) string {
		return before + strings.Repeat(unit, (policy.MaxMessage-len(before)-len(after))/len(unit)) + after
	}
	numbered := func(before, pattern, after string) string {
		var b strings.Builder
		b.WriteString(before)
		for i := 0; b.Len() < policy.MaxMessage-len(after)-64; i++ {
			fmt.Fprintf(&b, pattern, i)
		}
		return b.String() + after
	}
	laughs := `<?xml version="1.0"?><!DOCTYPE l [<!ENTITY l0 "lol">`
	for i := 1; i < 10; i++ {
		laughs += fmt.Sprintf(`<!ENTITY l%d "%s">`, i, strings.Repeat(fmt.Sprintf("&l%d;", i-1), 10))
	}
	laughs += "]><l>&l9;</l>"
	both := map[string]string{
		"empty": "", "NUL": full("\x00"), "not UTF-8": full("\xff"), "surrogates in UTF-8": full("\xed\xa0\x80"), "line ends": full("\n"), "blanks": full(" "),
	}
	xml := map[string]string{
		"billion laughs":          laughs,
		"quadratic blow-up":       `<!DOCTYPE a [<!ENTITY a "` + strings.Repeat("a", 50_000) + `">]><a>` + strings.Repeat("&a;", 50_000) + `</a>`,
		"an external entity":      `<!DOCTYPE a [<!ENTITY a SYSTEM "file:///etc/passwd">]><a>&a;</a>`,
		"10,000 deep":             strings.Repeat("<a>", 10_000) + strings.Repeat("</a>", 10_000),
		"deep and not closed":     full("<a>"),
		"elements":                wrap("<a>", "<b/>", "</a>"),
		"short elements":          wrap("<a>", "<b>1</b>", "</a>"),
		"names":                   numbered("<a>", "<b%d/>", "</a>"),
		"attributes":              numbered("<a ", `b%d="" `, "/>"),
		"elements of attributes":  wrap("<a>", "<b "+attributes(200)+"/>", "</a>"),
		"an attribute":            wrap(`<a b="`, "x", `"/>`),
		"namespaces":              numbered("<a ", `xmlns:b%d="u" `, "/>"),
		"namespaces in scope":     wrap("<a "+namespaces(250)+">", "<n0:b/>", "</a>"),
		"names of two namespaces": wrap(`<a xmlns:p="u">`, "<p:b/><b/>", "</a>"),
		"text":                    wrap("<a>", "x", "</a>"),
		"text in pieces":          wrap("<a>", "x<!---->", "</a>"),
		"references":              wrap("<a>", "&lt;", "</a>"),
		"a reference":             wrap("<a>&", "a", ";</a>"),
		"CDATA":                   wrap("<a>", "<![CDATA[]]>", "</a>"),
		"comments":                wrap("", "<!---->", "<a/>"),
		"a comment":               wrap("<!--", "-", ""),
		"instructions":            wrap("<a>", "<?b?>", "</a>"),
		"a name":                  wrap("<", "a", "/>"),
		"UTF-16":                  utf16Text(wrap16("<a>", "<b/>", "</a>")),
		"SOAP":                    wrap(`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>`, "<s:Fault/>", "</s:Body></s:Envelope>"),
	}
	some := map[string]string{}
	for _, what := range []string{"billion laughs", "10,000 deep", "elements", "attributes", "UTF-16"} {
		some[what] = xml[what]
	}
	return map[string]map[string]string{
		"": both,
		policy.FormatJSON: {
			"10,000 deep":        strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000),
			"deep, not closed":   full("["),
			"deep objects":       full(`{"a":`),
			"1e1000000000":       `{"quantity":1e1000000000}`,
			"many such":          wrap("[", "1e1000000000,", "0]"),
			"digits":             full("9"),
			"digits of exponent": "1e" + full("9")[2:],
			"empty arrays":       wrap("[", "[],", "0]"),
			"empty objects":      wrap("[", "{},", "0]"),
			"small objects":      wrap("[", `{"a":1},`, "0]"),
			"small numbers":      wrap("[", "1,", "0]"),
			"empty texts":        wrap("[", `"",`, "0]"),
			"keys":               numbered("{", `"%d":1,`, `"a":1}`),
			"keys of many":       numbered("[", `{"%d":1},`, `0]`),
			"lone surrogates":    wrap("[", `"\ud800",`, "0]"),
			"escapes":            wrap(`"`, `\u00e4`, `"`),
			"a text":             wrap(`"`, "x", `"`),
			"a key":              wrap(`{"`, "x", `":1}`),
			"nulls":              wrap("[", "null,", "0]"),
			"escaped NULs":       wrap("[", `"\u0000",`, "0]"),
		},
		policy.FormatNDJSON: {
			"lines":        full("{}\n"),
			"rows":         full("1\n"),
			"faults":       full("{\n"),
			"a row each":   full(`{"sku":"A","q":1}` + "\n"),
			"1e1000000000": full("1e1000000000\n"),
		},
		policy.FormatCSV: {
			"rows":          "sku,quantity\n" + full("1,2\n")[16:],
			"10^6 rows":     full("\n"),
			"short rows":    "a\n" + full("1\n")[4:],
			"ragged rows":   "a,b\n" + full("1\n")[8:],
			"columns":       full("a,"),
			"fields":        "a\n" + full(",")[4:],
			"quotes":        "a\n" + full(`"`)[4:],
			"an open quote": "a\n\"" + full("x")[8:],
			"bare quotes":   "a\n" + full("x\"\n")[4:],
			"wide rows":     strings.Repeat("a", 1) + numbered("", ",c%d", "")[:1000] + "\n" + full(",")[2000:],
		},
		policy.FormatFixed: {
			"rows":       full("1\n"),
			"one record": full("x"),
			"types":      full("D\nQ\n"),
			"parts":      "O\n" + full("L\n")[4:],
			"heads":      full("H\nD\n"),
		},
		policy.FormatXML: xml,
		policy.FormatEPCIS: mergeMaps(some, map[string]string{
			"events":       wrap(`<EventList>`, "<A/>", "</EventList>"),
			"JSON events":  wrap(`{"eventList":[`, "{},", "{}]}"),
			"contexts":     wrap(`{"@context":{`+strings.TrimSuffix(numbered("", `"p%d":"u",`, "")[:300_000], `"`), " ", `}}`),
			"own contexts": wrap(`{"eventList":[`, `{"@context":{"a":"b"},"a:c":1},`, "{}]}"),
			"extensions":   wrap("<EventList>", "<extension><A/></extension>", "</EventList>"),
			"EPCs":         wrap(`<ObjectEvent><epcList>`, "<epc>a</epc>", "</epcList></ObjectEvent>"),
			"JSON EPCs":    wrap(`{"type":"ObjectEvent","epcList":[`, `"a",`, `"a"]}`),
			"10,000 deep":  strings.Repeat(`{"a":`, 10_000),
		}),
		policy.FormatIDoc: mergeMaps(some, map[string]string{
			"IDocs":         wrap("<a>", "<IDOC/>", "</a>"),
			"segments":      wrap("<IDOC><EDI_DC40><MESTYP>A</MESTYP></EDI_DC40>", "<B/>", "</IDOC>"),
			"fields":        wrap("<IDOC><EDI_DC40><MESTYP>A</MESTYP></EDI_DC40><S>", "<B/>", "</S></IDOC>"),
			"controls":      wrap("<IDOC>", "<EDI_DC40/>", "</IDOC>"),
			"flat controls": full("EDI_DC40  \n"),
			"flat segments": wrap("EDI_DC40  \n", "A\n", ""),
			"flat chain":    "EDI_DC40  \n" + chain(),
			"one record":    full("EDI_DC40  "),
		}),
	}
}

func attributes(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `b%d="" `, i)
	}
	return b.String()
}

func namespaces(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `xmlns:n%d="u" `, i)
	}
	return b.String()
}

func chain() string {
	var b strings.Builder
	for i := 1; b.Len() < policy.MaxMessage-200; i++ {
		fmt.Fprintf(&b, "%-49s%06d%06d\n", "A", i%1_000_000, (i-1)%1_000_000)
	}
	return b.String()
}

func wrap16(before, unit, after string) string {
	return before + strings.Repeat(unit, policy.MaxMessage/2/len(unit)-16) + after
}

func utf16Text(s string) string {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

func mergeMaps(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// sources of the formats whose options make them read most.
func hostileSource(name string) *policy.Source {
	src := &policy.Source{Name: "x", File: "x", Format: name, Mapping: `[]`, MappingVersion: "1", Zone: time.UTC}
	column := []policy.FixedColumn{{Name: "a", From: 2, Width: 5}, {Name: "b", From: 3}}
	src.Fixed = policy.Fixed{Type: policy.Span{From: 1, Width: 1}, Records: []policy.FixedRecord{
		{Type: "H", Role: policy.HeadRecord, Columns: column},
		{Type: "D", Columns: column},
		{Type: "O", Role: policy.BeginRecord, Columns: column},
		{Type: "L", Role: policy.PartRecord, Columns: column},
	}}
	return src
}

// TestHostileMessages measures what the worst messages cost, mapped by a mapping
// that looks at all of them.
func TestHostileMessages(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: measures for seconds")
	}
	if raceEnabled {
		t.Skip("SKIPPED: the race detector has a cost of its own")
	}
	all := hostile()
	m := &masters{}
	for _, name := range policy.Formats() {
		bodies := mergeMaps(all[""], all[name])
		for _, mapping := range []string{`[]`, `[.tree | tojson | length | select(. < 0)]`} {
			src := hostileSource(name)
			src.Mapping = mapping
			if name == policy.FormatXML {
				src.XML.Doctype = policy.DoctypeIgnore
			}
			p, err := program(src)
			if err != nil {
				t.Fatal(err)
			}
			for what, body := range bodies {
				t.Run(name+"/"+what, func(t *testing.T) {
					if len(body) > policy.MaxMessage {
						t.Fatalf("%d bytes", len(body))
					}
					raw := &event.RawMessage{ID: strings.Repeat("a", 32), Source: "x", Body: []byte(body), ReceivedAt: sampleTime}
					took, memory := cost(t, func() {
						if _, err := canonicalize(t.Context(), p, raw, m); err != nil {
							t.Error(err)
						}
					})
					if took > mostTime || memory > mostMemory {
						t.Errorf("%s and %d MiB of %d bytes", took, memory>>20, len(body))
					}
					if took > mostTime/3 || memory > mostMemory/2 {
						t.Logf("%s and %d MiB of %d bytes, mapping %q", took.Round(time.Millisecond), memory>>20, len(body), mapping)
					}
				})
			}
		}
	}
}

// cost runs f and says how much the heap grew at its most, with a collector that
// keeps it near what is in use, and how much processor time it took, of all threads;
// of that the best of three counts, without that collector.
func cost(t *testing.T, f func()) (time.Duration, int64) {
	t.Helper()
	normal := debug.SetGCPercent(10)
	runtime.GC()
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	before, peak := int64(sample[0].Value.Uint64()), int64(0)
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				metrics.Read(sample)
				peak = max(peak, int64(sample[0].Value.Uint64())-before)
			}
		}
	}()
	started := processorTime(t)
	f()
	took := processorTime(t) - started
	close(stop)
	<-done
	debug.SetGCPercent(normal)
	for range 3 {
		if took <= mostTime {
			break
		}
		started = processorTime(t)
		f()
		took = min(took, processorTime(t)-started)
	}
	return took, peak
}

// processorTime is what the process has used. Unlike a clock it does not tell how
// busy the machine is.
func processorTime(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// Only for bodies that must not be taken: each says its code.
func TestHostileCodes(t *testing.T) {
	all := hostile()
	for format, cases := range map[string]map[string]string{
		policy.FormatJSON:   {"10,000 deep": "json_too_deep", "1e1000000000": "json_number", "digits": "json_number", "lone surrogates": "json_surrogate", "escaped NULs": "json_nul", "small objects": "json_too_large"},
		policy.FormatXML:    {"billion laughs": "xml_doctype", "quadratic blow-up": "xml_doctype", "an external entity": "xml_doctype", "10,000 deep": "xml_too_deep", "elements": "xml_too_large", "namespaces": "xml_too_large"},
		policy.FormatCSV:    {"10^6 rows": "csv_rows", "columns": "csv_header"},
		policy.FormatFixed:  {"rows": "fixed_rows"},
		policy.FormatIDoc:   {"flat chain": "idoc_too_deep", "billion laughs": "xml_doctype"},
		policy.FormatEPCIS:  {"10,000 deep": "json_too_deep", "billion laughs": "xml_doctype"},
		policy.FormatNDJSON: {"lines": "ndjson_lines"},
	} {
		parse, _ := formatOf(format)
		for what, want := range cases {
			body, ok := all[format][what]
			if !ok {
				t.Errorf("no body %s/%s", format, what)
			}
			for u := range parse(bytes.Clone([]byte(body)), hostileSource(format)) {
				if u.Fault == nil || u.Fault.Code != want {
					t.Errorf("%s/%s: %+v, want %s", format, what, u.Fault, want)
				}
				break
			}
		}
	}
}

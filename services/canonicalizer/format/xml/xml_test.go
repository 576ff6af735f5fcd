package xml

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format"
)

func parse(body string, x policy.XML) []format.Unit {
	return slices.Collect(Parse([]byte(body), &policy.Source{XML: x}))
}

func wire(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

func TestTrees(t *testing.T) {
	for _, tc := range []struct{ name, body, want string }{
		{"children are arrays", `<a><b>1</b><c/><b x="2"> 3 </b></a>`, `{"a":[{"b":[{"#text":"1"},{"#text":" 3 ","@x":"2"}],"c":[{}]}]}`},
		{
			"mixed text, CDATA, comments, references", "<a>x<b/>&lt;<![CDATA[<&]]>]]&gt;<!-- no --><?p i?>&#65;&#x42;\r\ny\rz</a>",
			`{"a":[{"#text":"x<<&]]>AB\ny\nz","b":[{}]}]}`,
		},
		{"an attribute is one line", "<a b='1\r\n2\t3&#10;4\"&quot;'/>", `{"a":[{"@b":"1 2 3\n4\"\""}]}`},
		{"prefixes do not matter", `<p:a xmlns:p="urn:1"><q:b xmlns:q="urn:1"/></p:a>`, `{"a":[{"#ns":"urn:1","b":[{}]}]}`},
		{
			"another namespace is said", `<a xmlns="urn:1"><b xmlns="urn:2"><c/></b><d xmlns=""/></a>`,
			`{"a":[{"#ns":"urn:1","b":[{"#ns":"urn:2","c":[{}]}],"d":[{"#ns":""}]}]}`,
		},
		{
			"one name in two namespaces", `<a xmlns="urn:1" xmlns:x="urn:2"><x:q>9</x:q><q>1</q><x:r/></a>`,
			`{"a":[{"#ns":"urn:1","q":[{"#text":"1"}],"r":[{"#ns":"urn:2"}],"{urn:2}q":[{"#ns":"urn:2","#text":"9"}]}]}`,
		},
		{
			"attributes of namespaces", `<a xml:lang="de" xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:type="t" xmlns:x="urn:2" x:q="1" q="2"/>`,
			`{"a":[{"@q":"2","@xml:lang":"de","@xsi:type":"t","@{urn:2}q":"1"}]}`,
		},
		{"nil", `<a xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><b i:nil="true"/><c i:nil="0">1</c></a>`, `{"a":[{"b":[{"#nil":true}],"c":[{"#text":"1"}]}]}`},
		{"declaration, comments and instructions around", "\xef\xbb\xbf<?xml version='1.0' encoding=\"UTF-8\" standalone='no' ?>\n<!-- x --><?y z?>\n<a/>\n<!-- x -->\n", `{"a":[{}]}`},
		{"latin-1", "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>K\xf6ln</a>", `{"a":[{"#text":"Köln"}]}`},
		{"windows-1252", "<?xml version=\"1.0\" encoding=\"windows-1252\"?><a>5\x80</a>", `{"a":[{"#text":"5€"}]}`},
		{"UTF-16 by its mark", utf16le(`<?xml version="1.0" encoding="UTF-16"?><a>ä😀</a>`), `{"a":[{"#text":"ä😀"}]}`},
		{"names of letters", "<größe é='1'/>", `{"größe":[{"@é":"1"}]}`},
		{
			"SOAP 1.1", `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header><id xmlns="urn:h">7</id></s:Header><s:Body><o xmlns="urn:o"><n>1</n></o></s:Body></s:Envelope>`,
			`{"#header":{"id":[{"#ns":"urn:h","#text":"7"}]},"#soap":"1.1","o":[{"#ns":"urn:o","n":[{"#text":"1"}]}]}`,
		},
		{"SOAP 1.2 with nothing in it", `<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body/></s:Envelope>`, `{"#header":{},"#soap":"1.2"}`},
		{"an envelope of somebody else", `<Envelope><Body/></Envelope>`, `{"Envelope":[{"Body":[{}]}]}`},
	} {
		us := parse(tc.body, policy.XML{})
		if len(us) != 1 || us[0].Fault != nil || wire(t, us[0].Tree) != tc.want {
			t.Errorf("%s: %+v %s\nwant %s", tc.name, us[0].Fault, wire(t, us[0].Tree), tc.want)
		}
	}
}

func utf16le(s string) string {
	b := []byte{0xff, 0xfe}
	for _, u := range utf16.Encode([]rune(s)) {
		b = append(b, byte(u), byte(u>>8))
	}
	return string(b)
}

func TestFaults(t *testing.T) {
	lol := `<!DOCTYPE l [<!ENTITY a "lol"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]><l>&b;</l>`
	for body, want := range map[string]string{
		"":                                 "xml_syntax: line 1 column 1: there is no element",
		"x":                                "xml_syntax: line 1 column 1: text before",
		"<a>\n<b></a>":                     "xml_syntax: line 2 column 4: </a> ends <b>, which begins at line 2",
		"<a>\n":                            "xml_syntax: line 2 column 1: it ends inside <a>",
		"<a/><b/>":                         "xml_syntax: line 1 column 5: something follows",
		"<a/>x":                            "xml_syntax",
		"<a":                               "xml_syntax",
		"<a b>":                            "xml_syntax: line 1 column 5: an attribute without =",
		"<a b=c/>":                         "xml_syntax: line 1 column 6: an attribute without quotes",
		"<a b='1'c='2'/>":                  "xml_syntax: line 1 column 9: no white space",
		"<a b='<'/>":                       "xml_syntax",
		"<a b='":                           "xml_syntax",
		"<a>]]></a>":                       "xml_syntax: line 1 column 4: ]]> in text",
		"<a><![CDATA[</a>":                 "xml_syntax",
		"<a><!-- -- --></a>":               "xml_syntax",
		"<a><!ELEMENT b ANY></a>":          "xml_syntax",
		"<a>&</a>":                         "xml_syntax",
		"<a><?xml version='1.0'?></a>":     "xml_syntax",
		" <?xml version='1.0'?><a/>":       "xml_syntax",
		"<?xml encoding='utf-8'?><a/>":     "xml_syntax",
		"<?xml version='2.0'?><a/>":        "xml_syntax",
		"<1/>":                             "xml_syntax: line 1 column 2: '1' where a name",
		"< a/>":                            "xml_syntax",
		"<a></ a>":                         "xml_syntax",
		"<a:b/>":                           "xml_namespace: line 1 column 1",
		"<a b:c='1'/>":                     "xml_namespace: line 1 column 4",
		"<:a/>":                            "xml_namespace",
		"<a: xmlns:a='u'/>":                "xml_namespace",
		"<a:b:c xmlns:a='u'/>":             "xml_namespace",
		"<a xmlns:p=''/>":                  "xml_namespace",
		"<a xmlns:xml='u'/>":               "xml_namespace",
		"<a xmlns:xmlns='u'/>":             "xml_namespace",
		"<a><b xmlns:p='u'/><p:c/></a>":    "xml_namespace: line 1 column 20",
		"<a><b xmlns:p='u'></b><p:c/></a>": "xml_namespace: line 1 column 23",
		"<a b='1' b='2'/>":                 "xml_attribute: line 1 column 10",
		"<a xmlns:p='u' xmlns:q='u' p:b='1' q:b='2'/>": "xml_attribute: line 1 column 36",
		"<a xmlns:p='u' xmlns:p='v'/>":                 "xml_attribute",
		"<a>\x00</a>":                                  "xml_char: line 1 column 4",
		"<a>\x01</a>":                                  "xml_char",
		"<a>&#0;</a>":                                  "xml_char",
		"<a>&#xD800;</a>":                              "xml_char",
		"<a>&#x110000;</a>":                            "xml_char",
		"<a>\uffff</a>":                                "xml_char",
		"<a>\xff</a>":                                  "invalid_utf8: line 1 column 4",
		"<a>\xed\xa0\x80</a>":                          "invalid_utf8", // a surrogate in UTF-8
		"<a>&nbsp;</a>":                                "xml_entity: line 1 column 4",
		lol:                                            "xml_doctype: line 1 column 1",
		"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>":                                                      "xml_doctype",
		"<?xml version='1.0' encoding='ebcdic-cp-us'?><a/>":                                                 "xml_encoding",
		"<?xml version='1.0' encoding='UTF-16'?><a/>":                                                       "xml_encoding",
		"<\x00a\x00/\x00>\x00":                                                                              "xml_encoding",
		"\xff\xfe<\x00a\x00\x00\xd8":                                                                        "xml_encoding",
		strings.Repeat("<a>", 65) + strings.Repeat("</a>", 65):                                              "xml_too_deep: line 1 column 193",
		strings.Repeat("<a>", 10_000):                                                                       "xml_too_deep",
		"<a>" + strings.Repeat("<b/>", 250_000) + "</a>":                                                    "xml_too_large",
		"<" + strings.Repeat("a", 1001) + "/>":                                                              "xml_syntax",
		`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header/></s:Envelope>`:          "soap_envelope",
		`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/><s:Body/></s:Envelope>`:   "soap_envelope",
		`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><Body/></s:Envelope>`:              "soap_envelope",
		`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body/><s:Header/></s:Envelope>`: "soap_envelope",
	} {
		us := parse(body, policy.XML{})
		if len(us) != 1 || us[0].Fault == nil || us[0].Tree != nil || !strings.HasPrefix(us[0].Fault.Code+": "+us[0].Fault.Reason, want) {
			t.Errorf("%.60q: %+v, want %s", body, us[0].Fault, want)
		}
	}
}

func TestNamespacesInScope(t *testing.T) {
	declare := func(from, to int) string {
		var b strings.Builder
		for i := from; i < to; i++ {
			fmt.Fprintf(&b, " xmlns:n%d='u'", i)
		}
		return b.String()
	}
	for n, want := range map[int]string{56: "", 57: "xml_too_large"} {
		us := parse("<a"+declare(0, 200)+"><b"+declare(200, 200+n)+"/></a>", policy.XML{})
		if got := us[0].Fault; (got == nil) != (want == "") || got != nil && got.Code != want {
			t.Errorf("%d and 200: %+v, want %q", n, got, want)
		}
	}
}

func TestDoctype(t *testing.T) {
	for body, want := range map[string]string{
		`<!DOCTYPE a SYSTEM "http://dtd.example/a.dtd"><a/>`:            "",
		`<!DOCTYPE a PUBLIC "-//X//Y" 'http://dtd.example/a.dtd' ><a/>`: "",
		`<!DOCTYPE a><a/>`:                         "",
		`<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`: "xml_doctype",
		`<!DOCTYPE a SYSTEM "x" []><a/>`:           "xml_doctype",
		`<!DOCTYPE a SYSTEM "x"><a>&b;</a>`:        "xml_entity",
		`<!DOCTYPE a><!DOCTYPE a><a/>`:             "xml_syntax",
		`<a/><!DOCTYPE a>`:                         "xml_syntax",
		`<!DOCTYPE a SYSTEM><a/>`:                  "xml_syntax",
		`<!DOCTYPE a SYSTEM "x`:                    "xml_syntax",
		`<!DOCTYPE a`:                              "xml_syntax",
	} {
		us := parse(body, policy.XML{Doctype: policy.DoctypeIgnore})
		got := ""
		if us[0].Fault != nil {
			got = us[0].Fault.Code
		}
		if got != want {
			t.Errorf("%s: %+v, want %q", body, us[0].Fault, want)
		}
	}
}

func TestUnits(t *testing.T) {
	body := "<m><h><n>7</n></h>\n<ls><l>1</l>\n<x/><l>2</l></ls><t>2</t></m>"
	us := parse(body, policy.XML{Unit: "/m/*/l"})
	head := `"#head":{"m":[{"h":[{"n":[{"#text":"7"}]}],"ls":[{"x":[{}]}],"t":[{"#text":"2"}]}]}`
	if len(us) != 2 || wire(t, us[0].Tree) != `{`+head+`,"l":[{"#text":"1"}]}` || wire(t, us[1].Tree) != `{`+head+`,"l":[{"#text":"2"}]}` ||
		us[1].Where != "l 2, line 3" {
		t.Errorf("%+v", us)
	}
	if us := parse("<m><ls/></m>", policy.XML{Unit: "/m/ls/l"}); len(us) != 0 {
		t.Errorf("an empty list: %+v", us)
	}
	if us := parse("<m/>", policy.XML{Unit: "/m/ls/l"}); len(us) != 1 || us[0].Fault == nil || us[0].Fault.Code != "xml_no_unit" {
		t.Errorf("another document: %+v", us)
	}
	// What breaks off later says nothing before.
	if us := parse("<m><ls><l>1</l>", policy.XML{Unit: "/m/ls/l"}); len(us) != 1 || us[0].Fault == nil {
		t.Errorf("half a document: %+v", us)
	}
	soap := `<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><o><l/></o></s:Body></s:Envelope>`
	if us := parse(soap, policy.XML{Unit: "/o/l"}); len(us) != 1 || us[0].Fault != nil ||
		wire(t, us[0].Tree) != `{"#head":{"#header":{},"#soap":"1.1","o":[{}]},"l":[{}]}` {
		t.Errorf("%+v", us)
	}
}

func TestSOAPFault(t *testing.T) {
	for body, want := range map[string]string{
		`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><s:Fault><faultcode>s:Client</faultcode><faultstring>no such order</faultstring><detail><n>7</n></detail></s:Fault></s:Body></s:Envelope>`:                                            `{"#fault":{"code":"s:Client","detail":{"n":[{"#text":"7"}]},"reason":"no such order"},"#header":{},"#soap":"1.1"}`,
		`<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>x</s:Value></s:Subcode></s:Code><s:Reason><s:Text xml:lang="en">no</s:Text></s:Reason></s:Fault></s:Body></s:Envelope>`: `{"#fault":{"code":"s:Sender","reason":"no","subcode":"x"},"#header":{},"#soap":"1.2"}`,
	} {
		us := parse(body, policy.XML{Unit: "/a/b"})
		if len(us) != 1 || us[0].Fault == nil || us[0].Fault.Code != "soap_fault" || wire(t, us[0].Tree) != want {
			t.Errorf("%+v %s\nwant %s", us[0].Fault, wire(t, us[0].Tree), want)
		}
	}
}

// Whatever comes, there are units with trees or faults, and places.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		`<a><b x="1">t</b><!-- c --><![CDATA[d]]></a>`, `<?xml version="1.0" encoding="ISO-8859-1"?><a>` + "\xe9</a>",
		`<!DOCTYPE a SYSTEM "x"><a/>`, `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, `<p:a xmlns:p="u" p:b="1">&#65;&amp;</p:a>`,
		`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header/><s:Body><s:Fault/></s:Body></s:Envelope>`,
		"\xff\xfe<\x00a\x00/\x00>\x00", "<a>\r\n]]&gt;</a>", "<a><a><a></a></a></a>", "<m><l/><l/></m>",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, x := range []policy.XML{{}, {Doctype: policy.DoctypeIgnore, Unit: "/m/l"}} {
			for u := range Parse(body, &policy.Source{XML: x}) {
				if u.Fault == nil && u.Tree == nil || u.Where == "" {
					t.Fatalf("%+v", u)
				}
			}
		}
	})
}

package xmltext

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/policy"
)

// What this reader takes, encoding/xml takes, with the same names and texts.
func FuzzRead(f *testing.F) {
	for _, s := range []string{
		`<a><b x="1">t</b><!-- c --><![CDATA[d]]></a>`, `<?xml version="1.0" encoding="ISO-8859-1"?><a>` + "\xe9</a>",
		`<!DOCTYPE a SYSTEM "x"><a/>`, `<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>`, `<p:a xmlns:p="u" p:b="1">&#65;&amp;</p:a>`,
		`<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Header/><s:Body><s:Fault/></s:Body></s:Envelope>`,
		"\xff\xfe<\x00a\x00/\x00>\x00", "<a>\r\n]]&gt;</a>", "<a><a><a></a></a></a>", "<m><l/><l/></m>",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		root, fault := Read(body, policy.DoctypeIgnore, "")
		if fault != nil || bytes.HasPrefix(body, []byte{0xff, 0xfe}) || bytes.HasPrefix(body, []byte{0xfe, 0xff}) {
			return
		}
		plain, _ := decode(body, "")
		var mine, theirs strings.Builder
		flat(&mine, root)
		d := xml.NewDecoder(bytes.NewReader(plain))
		d.CharsetReader = func(_ string, r io.Reader) (io.Reader, error) { return r, nil }
		var texts []string
		for {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				// It knows the names of an older edition, fewer versions, and
				// no > or quote inside the literals of a DOCTYPE.
				if s := err.Error(); strings.Contains(s, "invalid XML name") || strings.Contains(s, "unsupported version") || bytes.Contains(plain, []byte("<!DOCTYPE")) ||
					strings.Contains(s, "xml: encoding") || strings.Contains(s, "invalid sequence \"--\"") {
					return
				}
				t.Fatalf("taken, but %v", err)
			}
			switch tok := tok.(type) {
			case xml.StartElement:
				theirs.WriteString("<" + tok.Name.Local)
				texts = append(texts, "")
			case xml.CharData:
				if len(texts) > 0 {
					texts[len(texts)-1] += string(tok)
				}
			case xml.EndElement:
				theirs.WriteString(texts[len(texts)-1] + ">")
				texts = texts[:len(texts)-1]
			}
		}
		if mine.String() != theirs.String() {
			t.Fatalf("%q against %q", mine.String(), theirs.String())
		}
	})
}

// flat writes names as they begin and texts as elements end.
func flat(b *strings.Builder, e *Element) {
	b.WriteString("<" + e.Name)
	for _, c := range e.Children {
		flat(b, c)
	}
	b.WriteString(e.Text + ">")
}

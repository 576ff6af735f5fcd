package policy

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// signed is a source of a format whose auth is something else.
func signed(format, auth, options string) string {
	head, tail, _ := strings.Cut(of(format, options), "auth:")
	_, tail, _ = strings.Cut(tail, "\nmapping")
	return head + auth + "\nmapping" + tail
}

func TestSignaturesAndBodies(t *testing.T) {
	set, err := LoadFS(folder(map[string]string{
		"sources/a.yaml": signed("json", "auth: {signature: {scheme: shippo, secret_envs: [OLD, NEW], tolerance: 10m}}", "http: {batch: true, part: file, max_parts: 3}\n"),
		"sources/b.yaml": strings.Replace(signed("xml", "auth: {ws_security: {username: wms, password_envs: [PW], text: true}}", "http: {soap: {actions: [\"urn:a\"]}}\n"), "name: wms", "name: b", 1),
		"sources/c.yaml": strings.Replace(of("csv", "http: {max_file_bytes: 1073741824, part_rows: 100}\n"), "name: wms", "name: c", 1),
		"sources/d.yaml": strings.Replace(signed("json", `auth: {signature: {scheme: amazon-sns, topics: ["arn:aws:sns:us-east-1:123456789012:orders"]}}`, ""), "name: wms", "name: d", 1),
	}))
	if err != nil {
		t.Fatal(err)
	}
	a := set.Sources["wms"]
	if s := a.Auth.Signature; s.Scheme != SchemeShippo || !slices.Equal(s.SecretEnvs, []string{"OLD", "NEW"}) || s.Within() != 10*time.Minute {
		t.Errorf("%+v", s)
	}
	if h := a.HTTP; !h.Batch || h.Part != "file" || h.Parts() != 3 || h.Rows() != DefaultPartRows {
		t.Errorf("%+v", h)
	}
	if b := set.Sources["b"]; b.Auth.WSSecurity.Username != "wms" || !b.Auth.WSSecurity.Text || b.Auth.WSSecurity.Within() != DefaultTolerance || b.HTTP.SOAP.Actions[0] != "urn:a" {
		t.Errorf("%+v", b.Auth.WSSecurity)
	}
	if c := set.Sources["c"].HTTP; c.MaxFileBytes != MaxFile || c.Rows() != 100 || c.Parts() != DefaultMaxParts {
		t.Errorf("%+v", c)
	}
	// SNS sends a message again with its first time.
	if d := set.Sources["d"].Auth.Signature; d.Within() != MaxTolerance {
		t.Errorf("%s", d.Within())
	}
}

func TestSignatureAndBodyFaults(t *testing.T) {
	sig := func(s string) string { return signed("json", "auth: {signature: {"+s+"}}", "") }
	for name, tc := range map[string]struct{ body, want string }{
		"no such scheme":            {sig("scheme: rot13, secret_envs: [A]"), "auth.signature.scheme"},
		"no secret":                 {sig("scheme: shopify"), "auth.signature.secret_envs"},
		"a secret of Amazon's":      {sig(`scheme: amazon-sns, secret_envs: [A], topics: ["arn:aws:sns:us-east-1:123456789012:a"]`), "amazon-sns has no secret of ours"},
		"all of Amazon's customers": {sig("scheme: amazon-sns"), "auth.signature.topics"},
		"no topic":                  {sig(`scheme: amazon-sns, topics: ["arn:aws:sns:us-east-1:12:a"]`), "auth.signature.topics[0]"},
		"a topic for nothing":       {sig(`scheme: shopify, secret_envs: [A], topics: ["arn:aws:sns:us-east-1:123456789012:a"]`), "auth.signature.topics[0]"},
		"a tolerance of no time":    {sig("scheme: shopify, secret_envs: [A], tolerance: 5m"), "shopify signs no time"},
		"a day":                     {sig("scheme: shippo, secret_envs: [A], tolerance: 24h"), "must be at most 1h0m0s"},
		"a header for nothing":      {sig("scheme: shippo, secret_envs: [A], header: X-A"), "auth.signature.header"},
		"no header":                 {sig("scheme: timestamped, secret_envs: [A]"), "auth.signature.header"},
		"a path for nothing":        {sig("scheme: shippo, secret_envs: [A], path: /a"), "auth.signature.path"},
		"two signatures":            {signed("json", "auth: {hmac: {header: X-A, encoding: hex, algorithm: sha256, secret_env: A}, signature: {scheme: shopify, secret_envs: [A]}}", ""), "hmac or signature, not both"},
		"a token without SOAP":      {signed("xml", "auth: {ws_security: {username: a, password_envs: [A]}}", ""), "auth.ws_security is in a SOAP header"},
		"SOAP of JSON":              {of("json", "http: {soap: {}}\n"), "http.soap"},
		"a batch of lines":          {of("ndjson", "http: {batch: true}\n"), "http.batch"},
		"a file of JSON":            {of("json", "http: {max_file_bytes: 9000000}\n"), "only csv, ndjson and fixed have lines to cut at"},
		"a signed file":             {signed("csv", "auth: {signature: {scheme: shopify, secret_envs: [A]}}", "http: {max_file_bytes: 9000000}\n"), "a signature is checked before anything is stored"},
		"a list of all there is":    {of("csv", "balance: {basis: physical, covers: [on_hand], complete: true}\nhttp: {max_file_bytes: 9000000}\n"), "balance.complete"},
		"rows that hang together":   {of("csv", "csv: {records: [{type: H, role: head}, {type: D}]}\nhttp: {max_file_bytes: 9000000}\n"), "rows of csv.records belong together"},
		"lines of utf-16":           {of("csv", "encoding: utf-16\nhttp: {max_file_bytes: 9000000}\n"), "lines of utf-16 are not cut"},
		"records without lines":     {of("fixed", "fixed: {length: 80, records: [{columns: [{name: a, from: 1}]}]}\nhttp: {max_file_bytes: 9000000}\n"), "records without line ends are not cut"},
		"rows without files":        {of("csv", "http: {part_rows: 5}\n"), "http.part_rows"},
		"a file beyond all limits":  {of("csv", "http: {max_file_bytes: 2000000000}\n"), "http.max_file_bytes"},
	} {
		_, err := LoadFS(folder(map[string]string{"sources/a.yaml": tc.body}))
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %s", name, err, tc.want)
		}
	}
}

// Square signs its own URL: without it nothing fits, and another scheme has none.
func TestSquareURL(t *testing.T) {
	for _, rule := range []string{
		"scheme: square", `scheme: square, url: "http://a.example/x"`, `scheme: square, url: "https://"`, `scheme: square, url: "https://u:p@a.example/"`,
		`scheme: shopify, url: "https://a.example/x"`,
	} {
		_, err := LoadFS(folder(map[string]string{"sources/a.yaml": signed("json", "auth: {signature: {"+rule+", secret_envs: [A]}}", "")}))
		if err == nil || !strings.Contains(err.Error(), "signature") || !strings.Contains(err.Error(), "url") {
			t.Errorf("%s: %v", rule, err)
		}
	}
}

// What the schema takes and what the code knows are the same schemes.
func TestSchemaKnowsEveryScheme(t *testing.T) {
	for _, s := range Schemes() {
		extra := "secret_envs: [A]"
		switch s {
		case SchemeSNS:
			extra = `topics: ["arn:aws:sns:us-east-1:123456789012:a"]`
		case SchemeTimestamped:
			extra += ", header: X-A"
		case SchemeSquare:
			extra += ", url: \"https://stock.example/v1/messages/a\""
		}
		if _, err := LoadFS(folder(map[string]string{"sources/a.yaml": signed("json", "auth: {signature: {scheme: "+s+", "+extra+"}}", "")})); err != nil {
			t.Errorf("%s: %v", s, err)
		}
	}
}

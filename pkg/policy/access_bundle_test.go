package policy

import (
	"bytes"
	"strings"
	"testing"
	"testing/fstest"
)

// What is published of access reads back as it was, with the keys of issuers; what Load
// refuses is refused.
func TestAccessAsPublished(t *testing.T) {
	const jwks = `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}`
	const shop = "name: shop\nscopes: [\"atp:read\"]\nkeys: [{id: sw_1, sha256: 1111111111111111111111111111111111111111111111111111111111111111}]\n" +
		"clients: [{issuer: idp, id: shop}]\nrate: {per_second: 5}\n"
	const idp = "name: idp\nissuer: https://id.example\naudience: [stock]\nalgorithms: [EdDSA]\njwks_file: idp.json\n"
	files := fstest.MapFS{"access/shop.yaml": {Data: []byte(shop)}, "issuers/idp.yaml": {Data: []byte(idp)}, "issuers/idp.json": {Data: []byte(jwks)}}
	load := func() *Set {
		t.Helper()
		l := loader{fsys: files}
		var err error
		if l.schemas, err = compileSchemas(); err != nil {
			t.Fatal(err)
		}
		set := &Set{}
		if l.access(set); len(l.faults) > 0 {
			t.Fatal(l.faults)
		}
		return set
	}
	set := load()
	content, hash, err := EncodeAccess(&set.Access)
	if err != nil {
		t.Fatal(err)
	}
	again, _, err := EncodeAccess(&load().Access)
	if err != nil || !bytes.Equal(content, again) {
		t.Errorf("the same files give %s and %s, %v", content, again, err)
	}
	got, err := DecodeAccess(content)
	if err != nil {
		t.Fatal(err)
	}
	if p := got.Principals; len(p) != 1 || p[0].Name != "shop" || p[0].Rate.PerSecond != 5 || p[0].File != "access/shop.yaml" {
		t.Errorf("%+v", p)
	}
	if i := got.Issuers; len(i) != 1 || string(i[0].JWKS) != jwks {
		t.Errorf("%+v", i)
	}
	if _, back, err := EncodeAccess(got); err != nil || back != hash {
		t.Errorf("what was read is published as another: %v", err)
	}
	if a, err := DecodeAccess([]byte(`{"files":{}}`)); err != nil || len(a.Principals) != 0 {
		t.Errorf("nobody: %+v, %v", a, err)
	}
	for name, text := range map[string]string{
		"a key twice":    strings.Replace(string(content), `"files":{`, `"files":{"access/zhop.yaml":`+"\"name: zhop\\nscopes: [\\\"atp:read\\\"]\\nkeys: [{id: sw_1, sha256: 1111111111111111111111111111111111111111111111111111111111111111}]\\n\",", 1),
		"no keys":        strings.Replace(string(content), "issuers/idp.json", "issuers/other.json", 1),
		"unknown issuer": strings.Replace(string(content), "issuer: idp", "issuer: ipd", 1),
		"unknown field":  strings.Replace(string(content), "rate:", "rates:", 1),
		"unknown scope":  strings.Replace(string(content), "atp:read", "atp:all", 1),
		"unknown member": `{"files":{},"more":1}`,
		"a file outside": `{"files":{"access/../x.yaml":"name: x"}}`,
		"a file of none": `{"files":{"groups/x.yaml":"name: x"}}`,
		"of a source":    strings.Replace(string(content), "{", `{"file":"sources/x.yaml",`, 1),
		"half of it":     string(content[:len(content)/2]),
		"more behind it": string(content) + "{}",
	} {
		if text == string(content) {
			t.Fatalf("%s: nothing is changed", name)
		}
		if a, err := DecodeAccess([]byte(text)); err == nil {
			t.Errorf("%s: %+v", name, a)
		}
	}
	files["access/shop.yaml"].Data = append(files["access/shop.yaml"].Data, []byte("description: "+strings.Repeat("x", MaxAccessContent))...)
	if _, _, err := EncodeAccess(&set.Access); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("too much: %v", err)
	}
}

package canonicalizer

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// draftOf reads sources/x.yaml of files.
func draftOf(t *testing.T, files map[string]string) *policy.Source {
	t.Helper()
	content, err := json.Marshal(map[string]any{"file": "sources/x.yaml", "files": files})
	if err != nil {
		t.Fatal(err)
	}
	src, err := policy.DecodeSource(content)
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func tryOf(t *testing.T, src *policy.Source, body string) *Try {
	t.Helper()
	b, err := NewBench(&policy.Set{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Try(t.Context(), src, Message{Body: []byte(body)}, TryOptions{Assume: true, Leaves: true})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func pathsOf(t *Try) string {
	var out []string
	for _, u := range t.Unmapped {
		out = append(out, u.Path)
	}
	slices.Sort(out)
	return strings.Join(out, " ")
}

const tryHead = "name: x\nentity: acme\nauth: {api_key_env: KEY}\ndefault_location: DC1\nmapping_version: \"1\"\n"

func TestUnmapped(t *testing.T) {
	src := draftOf(t, map[string]string{"sources/x.yaml": tryHead + `format: json
mapping: |
  .tree as $t | [$t.lines[] | {kind: "movement", document: {type: "r", number: $t.id}, ids: [{type: "sku", value: .sku}], quantity: .qty,
    occurred_at: ($t.first // $t.second), movement: {type: "receipt"}}]
`})
	got := tryOf(t, src, `{"id":"1","first":"2026-11-02","second":"2026-11-03","note":{"by":"me","to":["a","b"]},"lines":[{"sku":"A","qty":1,"color":"red"},{"sku":"B","qty":2,"color":"red"}]}`)
	if paths, want := pathsOf(got), "lines[].color note.by note.to[] second"; paths != want {
		t.Errorf("unmapped %q, want %q", paths, want)
	}
	if got.Leaves != 12 || got.Mapped != 6 || len(got.Result.Events) != 2 {
		t.Errorf("%d of %d leaves, %d events", got.Mapped, got.Leaves, len(got.Result.Events))
	}
	// What is rejected is not looked at.
	if got := tryOf(t, src, `{"lines":1}`); got.Leaves != 0 || len(got.Result.Rejected) != 1 {
		t.Errorf("rejected: %d leaves, %+v", got.Leaves, got.Result.Rejected)
	}
}

func TestUnmappedOfX12(t *testing.T) {
	src := draftOf(t, map[string]string{"sources/x.yaml": tryHead + "format: x12\nx12: {bare: true}\nmapping: x12_lines\n"})
	got := tryOf(t, src, "ST*944*0001~W17*F*20261104*RC-1~N1*WH*CENTRAL*91*WH01~N9*ZZ*NOBODY~W07*18*EA**SK*SKU-2~SE*6*0001~")
	paths := " " + pathsOf(got) + " "
	if len(got.Result.Events) != 1 || !strings.Contains(paths, " N9-02 ") || strings.Contains(paths, " W07-01 ") || strings.Contains(paths, "-00") {
		t.Errorf("%d events, unmapped%s", len(got.Result.Events), paths)
	}
}

// A changed version of one of the set's sources is tried as it is changed.
func TestTryOfAChangedSource(t *testing.T) {
	src := draftOf(t, map[string]string{"sources/x.yaml": tryHead + "format: json\nmapping: '[]'\n"})
	changed := draftOf(t, map[string]string{"sources/x.yaml": tryHead + "format: json\nmapping: '[{kind: \"error\", code: \"as_changed\", reason: \"r\"}]'\n"})
	b, err := NewBench(&policy.Set{Sources: map[inventory.Source]*policy.Source{src.Name: src}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		src  *policy.Source
		want int
	}{{src, 0}, {changed, 1}} {
		got, err := b.Try(t.Context(), tc.src, Message{Body: []byte(`{}`)}, TryOptions{})
		if err != nil || len(got.Result.Rejected) != tc.want {
			t.Errorf("%+v, %v", got.Result.Rejected, err)
		}
	}
}

// Partners' own numbers of items and words for units, in the file and in tables beside it.
func TestCrossReference(t *testing.T) {
	files := map[string]string{
		"sources/x.yaml": tryHead + `format: json
items: [{type: VN, value: V-1, item: SKU-1}, {type: upc, value: "036000291452", item: SKU-2}]
items_file: x-items.csv
unit_aliases: {Stk: EA}
unit_aliases_file: x-units.csv
mapping: |
  [{kind: "movement", document: {type: "r", number: "1", line: "1"}, ids: [{type: .tree.type, value: .tree.value}], quantity: 1, unit: .tree.unit, movement: {type: "receipt"}}]
`,
		"sources/x-items.csv": "# what they call it\nitem,type,value\nSKU-77,customer,C 3\n",
		"sources/x-units.csv": "alias,unit\nKart,CA\n",
	}
	src := draftOf(t, files)
	set := load(t, shipped)
	b, err := NewBench(set)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct{ typ, value, unit, want string }{
		{"VN", "V-1", "Stk", "SKU-1 1"},
		{"vendor", "V-1", "Kart", "SKU-1 12"},
		{"gtin", "00036000291452", "", "SKU-2 1"},         // the same number in 14 digits
		{"UP", "036000291452", "", "SKU-2 1"},             // by X12's qualifier
		{"customer", "C 3", "", "item:sku:SKU-77"},        // waits under its own code
		{"vendor", "V-9", "", "item:vendor:V-9"},          // nobody's
		{"sku", "SKU-1", "Palette", "unit:SKU-1:Palette"}, // no such unit
	} {
		body, err := json.Marshal(map[string]string{"type": tc.typ, "value": tc.value, "unit": tc.unit})
		if err != nil {
			t.Fatal(err)
		}
		got, err := b.Try(t.Context(), src, Message{Body: body}, TryOptions{})
		if err != nil {
			t.Fatal(err)
		}
		said := ""
		for i := range got.Result.Events {
			said = string(got.Result.Events[i].Key.Item) + " " + got.Result.Events[i].Movement.Quantity.String()
		}
		for _, p := range got.Result.Parked {
			said = p.Missing
		}
		if said != tc.want {
			t.Errorf("%s %s %s: got %q, want %q", tc.typ, tc.value, tc.unit, said, tc.want)
		}
	}

	for name, text := range map[string]string{
		"one number, two items": "item,type,value\nSKU-9,vendor,V-1\n",
		"no column":             "item,typ,value\nSKU-9,vendor,V-1\n",
		"an empty cell":         "item,type,value\nSKU-9,,V-1\n",
	} {
		files["sources/x-items.csv"] = text
		content, err := json.Marshal(map[string]any{"file": "sources/x.yaml", "files": files})
		if err != nil {
			t.Fatal(err)
		}
		src, err := policy.DecodeSource(content)
		if err == nil {
			_, err = program(src)
		}
		if err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

func TestDifference(t *testing.T) {
	file := tryHead + `format: json
mapping: |
  [.tree.lines[] | {kind: "movement", document: {type: "r", number: "1", line: .line}, ids: [{type: "sku", value: .sku}], quantity: .qty, movement: {type: "receipt"}}]
`
	old := draftOf(t, map[string]string{"sources/x.yaml": file})
	changed := draftOf(t, map[string]string{"sources/x.yaml": strings.Replace(file, ".tree.lines[] |", `.tree.lines[] | select(.sku != "C") | if .sku == "D" then .line = "9" else . end | if .sku == "B" then .qty *= 2 else . end |`, 1)})
	b, err := NewBench(&policy.Set{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := b.Differing(old, changed)
	if err != nil {
		t.Fatal(err)
	}
	for _, body := range []string{`{"lines":[{"line":"1","sku":"A","qty":1},{"line":"2","sku":"B","qty":1},{"line":"3","sku":"C","qty":1},{"line":"4","sku":"D","qty":1}]}`, `{"lines":[{"line":"1","sku":"A","qty":1}]}`} {
		if err := d.Add(t.Context(), "m", Message{Body: []byte(body)}); err != nil {
			t.Fatal(err)
		}
	}
	got := d.Sum()
	if got.Messages != 2 || got.Touched != 1 || got.Same != 2 || got.Changed != 1 || got.Added != 1 || got.Removed != 2 || !got.Differs() {
		t.Errorf("%+v", got)
	}
	if len(got.Examples) != 4 {
		t.Errorf("%d examples", len(got.Examples))
	}
}

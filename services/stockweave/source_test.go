package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stockweave/stockweave/services/canonicalizer"
)

// source runs a command of sources; the code is that of the process.
func source(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, bad strings.Builder
	code = run(t.Context(), append([]string{"source"}, args...), &out, &bad)
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimRight(line, "\n")); n > maxWidth && !strings.Contains(strings.Join(args, " "), "--json") && !strings.Contains(line, "wrote") {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	return code, out.String(), bad.String()
}

// copied is the shipped policies, to write into.
func copied(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "policies")
	if err := os.CopyFS(dir, os.DirFS(shippedPolicies)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// A source that is scaffolded passes check, whatever format its sample has.
func TestSourceNew(t *testing.T) {
	t.Parallel()
	dir := copied(t)
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(shippedPolicies, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	for name, tc := range map[string]struct{ text, want string }{
		"latin.csv":   {"Artikel;Bezeichnung;Bestand;Lager\nA-100;Gr\xf6\xdfe;1250,5;HH\nA-200;B;12,00;HH\n", "csv, from the fields found"},
		"feed.json":   {`{"stock":{"rows":[{"productCode":"SKU-1","onHandQty":12,"asOf":"2026-11-02T10:00:00Z"},{"productCode":"SKU-9","onHandQty":3,"asOf":"2026-11-02T10:00:00Z"}]}}`, "json, from the fields found"},
		"fixed.txt":   {"SKU-1     DC1   00012 20261102\nSKU-22    DC1   00003 20261102\n", "fixed, from the fields found"},
		"myshop.json": {read("partners/samples/shopify-order.json"), "json, from partners/shopify.yaml"},
		"advice.edi":  {read("sources/samples/wms-945.edi"), "x12, from the standard (x12_lines)"},
		"stock.edi":   {read("partners/samples/wms-edifact-stock.edi"), "edifact, from the standard (edifact_lines)"},
		"goods.xml":   {read("partners/samples/sap-idoc-receipt.xml"), "idoc, from the standard (idoc_lines)"},
	} {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(tc.text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, bad := source(t, "new", "--from", file, "--policies", dir)
		if code != exitOK || !strings.Contains(out, tc.want) || !strings.Contains(out, "to decide:") {
			t.Errorf("%s: %d\n%s%s", name, code, out, bad)
		}
		if code, _, _ := source(t, "new", "--from", file, "--policies", dir); code != exitMisuse {
			t.Errorf("%s again: %d: a file may be written over", name, code)
		}
	}
	var out, bad strings.Builder
	if code := run(t.Context(), []string{"check", "--policies", dir}, &out, &bad); code != exitOK {
		t.Errorf("check: %d %s", code, bad.String())
	}
	b, err := os.ReadFile(filepath.Join(dir, "sources", "latin.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"encoding: iso-8859-1", `delimiter: ";"`, `decimal: ","`, `$r["bestand"]`, `$r["artikel"]`, `$r["lager"]`, "DECIDE"} {
		if !strings.Contains(string(b), want) {
			t.Errorf("latin.yaml has no %s:\n%s", want, b)
		}
	}
	file := filepath.Join(t.TempDir(), "noise.bin")
	if err := os.WriteFile(file, []byte("\x00\x01"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, _, bad := source(t, "new", "--from", file, "--policies", dir); code != exitMisuse || !strings.Contains(bad, "cannot be told") {
		t.Errorf("noise: %d %s", code, bad)
	}
}

func TestSourceTest(t *testing.T) {
	dir := copied(t)
	if code, out, bad := source(t, "test", "--policies", dir); code != exitOK || !strings.Contains(out, " 0 otherwise") {
		t.Fatalf("%d %s%s", code, out, bad)
	}
	file := filepath.Join(dir, "sources", "samples", "return.expected.json")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(b), `"quantity": "1"`, `"quantity": "7"`, 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, _ := source(t, "test", "returns", "--policies", dir)
	if code != exitFailed || !strings.Contains(out, `-       "quantity": "7"`) || !strings.Contains(out, `+       "quantity": "1"`) {
		t.Errorf("%d\n%s", code, out)
	}
	if code, _, _ := source(t, "test", "nobody", "--policies", dir); code != exitMisuse {
		t.Errorf("a source that is not there: %d", code)
	}
}

func TestSourceTry(t *testing.T) {
	sample := filepath.Join(shippedPolicies, "sources", "samples", "wms-944.edi")
	code, out, bad := source(t, "try", sample, "--source", "wms", "--policies", shippedPolicies)
	if code != exitOK {
		t.Fatal(code, bad)
	}
	for _, want := range []string{"2 events", "1 rejected", "fraction_of_indivisible", "segment 10", "SKU-1", "unmapped:", "W17-02"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	_, out, _ = source(t, "try", sample, "--source", "wms", "--policies", shippedPolicies, "--json")
	var got tried
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Leaves == 0 || got.Mapped == 0 || len(got.Unmapped) == 0 {
		t.Errorf("%v %+v", err, got)
	}
}

func TestSourceCoverage(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a.json": `{"rma":"R","items":[{"sku":"A","quantity":1}],"x":1}`, "b.json": `{"rma":"R","items":[],"x":1}`, "c.json": `no`} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, out, bad := source(t, "coverage", "returns", dir, "--policies", shippedPolicies, "--json")
	var got []canonicalizer.Coverage
	if err := json.Unmarshal([]byte(out), &got); code != exitOK || err != nil || len(got) != 1 {
		t.Fatal(code, err, out, bad)
	}
	c := got[0]
	if c.Documents != 3 || c.Whole != 1 || c.Rejected != 2 || len(c.Codes) != 2 || len(c.Unmapped) != 1 || c.Unmapped[0].Path != "x" {
		t.Errorf("%+v", c)
	}
	if code, _, _ := source(t, "coverage", "returns", dir, "--policies", shippedPolicies); code != exitOK {
		t.Error(code)
	}
}

func TestSourceDiffOfFolder(t *testing.T) {
	dir := copied(t)
	b, err := os.ReadFile(filepath.Join(dir, "sources", "returns.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(dir, "sources", "returns-next.yml")
	messages := t.TempDir()
	if err := os.WriteFile(filepath.Join(messages, "a.json"), []byte(`{"rma":"R","items":[{"sku":"A","quantity":1}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		old, new string
		code     int
		want     string
	}{
		{"", "", exitOK, "1 same, 0 changed"},
		{"quantity: $l.quantity", "quantity: ($l.quantity * 2)", exitFailed, `+   "quantity": "2"`},
		{"name: returns", "name: others", exitMisuse, ""},
	} {
		if err := os.WriteFile(next, []byte(strings.Replace(string(b), tc.old, tc.new, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		code, out, bad := source(t, "diff", "returns", "--new", next, "--from-dir", messages, "--policies", shippedPolicies)
		if code != tc.code || !strings.Contains(out, tc.want) {
			t.Errorf("%q: %d\n%s%s", tc.new, code, out, bad)
		}
	}
	if err := sourceDiff(t.Context(), []string{"returns"}, os.Stdout, os.Stderr); !errors.Is(err, errMisuse) {
		t.Error(err)
	}
}

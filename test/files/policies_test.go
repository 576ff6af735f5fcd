package files_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// drop is a source of movements without a number: each is known by the line of its
// file.
const drop = `name: %s
entity: acme
format: csv
default_location: DC1
time_zone: UTC
csv: {header: [sku, qty, n]}
without: {revision: lines of a test are never corrected}
mapping_version: "1"
mapping: |
  .raw.id as $file | .tree as $r
  | [{ kind: "movement", at: $r.row, document: {type: "drop", number: $file, line: "\($r.row)"},
       ids: [{type: "sku", value: $r.sku}], quantity: $r.qty, occurred_at: "2026-11-30T12:00:00Z",
       attributes: {n: $r.n}, movement: {type: "receipt"} }]
transport:
%s`

const master = `name: %s
entity: acme
format: csv
mapping_version: "1"
mapping: |
  .tree as $r | [%s]
transport:
  files:
    dir: %s
    pickup: {ready: rename, poll: {every: 1s}}
`

// policies writes a folder with two drops and masters, and returns it.
func policies(t *testing.T, dirs map[string]string, sftp string) string {
	t.Helper()
	root := t.TempDir()
	const pickup = "pickup: {match: ['*.csv'], ready: rename, part_rows: 500, poll: {every: 1s, retry: {first: 100ms, most: 1s}}}"
	files := map[string]string{
		"sources/items.yaml":  fmt.Sprintf(master, "items", `{kind: "item", item: $r.item, base_unit: "EA"}`, dirs["items"]),
		"sources/places.yaml": fmt.Sprintf(master, "places", `{kind: "location", location: $r.location, class: "dc", time_zone: "UTC"}`, dirs["places"]),
		"sources/local.yaml":  fmt.Sprintf(drop, "local", "  files:\n    dir: "+dirs["local"]+"\n    "+pickup+"\n"),
		"sources/remote.yaml": fmt.Sprintf(drop, "remote", sftp+"    "+pickup+"\n"),
	}
	files["ownership/ledger.yaml"] = "version: 1\nowners:\n  - {location: DC1, moves: [local, remote]}\n"
	for name, text := range files {
		write(t, filepath.Join(root, name), text)
	}
	if err := os.CopyFS(filepath.Join(root, "atp"), os.DirFS(filepath.Join("..", "..", "policies", "atp"))); err != nil {
		t.Fatal(err)
	}
	return root
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path+".part", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".part", path); err != nil {
		t.Fatal(err)
	}
}

// table is a file with lines from first on, some with what lines are easily cut at: a
// line end in quotes, a blank line, a quote in a quote.
func table(first, lines int) string {
	var b strings.Builder
	b.WriteString("sku,qty,n,note\n")
	for i := range lines {
		n := first + i
		note := ""
		switch n % 1000 {
		case 1:
			note = "\"two\nlines\""
		case 2:
			note = "\"say \"\"no\"\"\""
		case 3:
			b.WriteString("\n")
		}
		fmt.Fprintf(&b, "SKU-%d,%d,%d,%s\n", n%20, 1+n%7, n, note)
	}
	return b.String()
}

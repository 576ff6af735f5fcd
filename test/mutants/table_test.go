package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Each mutant still finds the one line it breaks.
func TestMutantsFindTheirLine(t *testing.T) {
	for _, m := range mutants() {
		src, err := os.ReadFile(filepath.Join("..", "..", m.file))
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(src, []byte(m.old)); n != 1 {
			t.Errorf("%s: %s has the line %d times: %s", m.name, m.file, n, m.old)
		}
	}
}

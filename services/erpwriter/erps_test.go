package erpwriter

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// Every adapter in the table explains itself and passes the contract.
func TestEveryAdapter(t *testing.T) {
	for name := range erps() {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("erp", name)
			if b, err := os.ReadFile(filepath.Join(dir, "README.md")); err != nil || len(b) == 0 {
				t.Errorf("README.md: %v", err)
			}
			tests, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
			if err != nil {
				t.Fatal(err)
			}
			for _, file := range tests {
				b, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				if bytes.Contains(b, []byte("erptest.Run(")) {
					return
				}
			}
			t.Error("no test calls erptest.Run")
		})
	}
}

//go:build bench

package bench

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"runtime/pprof"
	"strings"
	"testing"
)

func TestProfileNamesNoMachine(t *testing.T) {
	var heap bytes.Buffer
	if err := pprof.Lookup("heap").WriteTo(&heap, 0); err != nil {
		t.Fatal(err)
	}
	plain := unpack(t, heap.Bytes())
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(plain, path) {
		t.Fatal("the path of the binary does not stand in its profile")
	}
	got, err := neutral(heap.Bytes(), path)
	if err != nil {
		t.Fatal(err)
	}
	switch out := unpack(t, got); {
	case strings.Contains(out, path):
		t.Error("the path is still in it")
	case len(out) != len(plain):
		t.Errorf("%d bytes, not %d", len(out), len(plain))
	}
	for name, binary := range map[string]string{"another binary": "/nowhere/at/all/stockweave", "a short path": "/x"} {
		if _, err := neutral(heap.Bytes(), binary); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := neutral([]byte("not a profile"), path); err == nil {
		t.Error("no error for what is no profile")
	}
}

func unpack(t *testing.T, b []byte) string {
	t.Helper()
	r, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

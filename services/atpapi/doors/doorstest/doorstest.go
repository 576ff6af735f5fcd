// Package doorstest holds what doors read and say against samples in testdata.
package doorstest

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// Read reads a sample, which has no field that is not known.
func Read(t *testing.T, name string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	Strict(t, b, into)
}

// Strict reads a text, which has no field that is not known.
func Strict(t *testing.T, text []byte, into any) {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		t.Fatal(err)
	}
}

// Same holds an answer against a sample.
func Same(t *testing.T, name string, answer any) {
	t.Helper()
	b, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if Read(t, name, &want); !reflect.DeepEqual(got, want) {
		t.Errorf("%s is answered\n%s", name, b)
	}
}

//go:build bench

package bench

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"strings"
)

// program is the name under which a kept profile knows the binary.
const program = "stockweave"

// neutral returns a profile that names no machine: the path of the binary, which
// stands in its table of mappings, gives way to the program's name behind as many
// slashes, so that no length in the profile changes.
func neutral(profile []byte, binary string) ([]byte, error) {
	if len(binary) < len(program) {
		return nil, fmt.Errorf("path %q is shorter than %q", binary, program)
	}
	r, err := gzip.NewReader(bytes.NewReader(profile))
	if err != nil {
		return nil, fmt.Errorf("unpacking profile: %w", err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("unpacking profile: %w", err)
	}
	if !bytes.Contains(plain, []byte(binary)) {
		return nil, errors.New("profile is not of the binary it was asked of")
	}
	name := strings.Repeat("/", len(binary)-len(program)) + program
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	if _, err := w.Write(bytes.ReplaceAll(plain, []byte(binary), []byte(name))); err != nil {
		return nil, fmt.Errorf("packing profile: %w", err)
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("packing profile: %w", err)
	}
	return out.Bytes(), nil
}

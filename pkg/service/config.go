package service

import (
	"bytes"
	"fmt"
	"os"

	"github.com/goccy/go-yaml"
)

// maxConfig bounds a configuration file.
const maxConfig = 1 << 20

// LoadConfig decodes a YAML file over what into already holds. Unknown and
// repeated keys are errors with their line and column. No error shows the text of the file:
// somebody may have written a password where none belongs.
func LoadConfig(path string, into any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading configuration: %w", err)
	}
	if len(b) > maxConfig {
		return fmt.Errorf("reading configuration: %s is larger than %d bytes", path, maxConfig)
	}
	if len(bytes.TrimSpace(b)) == 0 {
		return nil
	}
	if err := yaml.NewDecoder(bytes.NewReader(b), yaml.Strict()).Decode(into); err != nil {
		return fmt.Errorf("decoding configuration %s: %s", path, yaml.FormatError(err, false, false))
	}
	return nil
}

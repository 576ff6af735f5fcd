package road

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"github.com/goccy/go-yaml"
)

// A Scenario is a folder with scenario.yaml (the messages in order), the message
// files, optionally policies/ (else the shipped ones), and expected.json.
type Scenario struct {
	Dir      string            `yaml:"-"`
	Policies string            `yaml:"-"` // its own folder, else the shipped one
	Title    string            `yaml:"title"`
	Entity   string            `yaml:"entity"`
	Secrets  map[string]string `yaml:"secrets"` // by the environment name the policies give
	Steps    []Step            `yaml:"steps"`
	Expected Expectations      `yaml:"-"`
}

// Step sends one file as one source's message.
type Step struct {
	Say         string `yaml:"say"`
	Source      string `yaml:"source"`
	File        string `yaml:"file"`
	ContentType string `yaml:"content_type"`
	Filename    string `yaml:"filename"`
	// Status is the HTTP status the door must answer with; 202 when 0.
	Status int `yaml:"status"`
	// Signature and Key, where set, are used as the HMAC secret and the API key
	// instead of the right ones.
	Signature string `yaml:"signature"`
	Key       string `yaml:"key"`
}

// Expectations are the figures a scenario ends with. Only what is listed is
// compared; quantities are plain decimals in the base unit.
type Expectations struct {
	ATP      map[string]ExpectedItem      `json:"atp"`
	ERP      map[string]map[string]string `json:"erp"`      // item → place → quantity
	Channels map[string]map[string]string `json:"channels"` // channel → item or listing → value
	Outcomes map[string]int               `json:"outcomes"`
	Rejected *int                         `json:"rejected"`
	Parked   *int                         `json:"parked"`
	Messages *int                         `json:"messages"`
}

// ExpectedItem is what ATP over HTTP must say of an item.
type ExpectedItem struct {
	ATP       string                       `json:"atp"`
	Locations map[string]map[string]string `json:"locations"` // location → state, reserved or atp → quantity
}

// maxScenarioFile bounds every file of a scenario.
const maxScenarioFile = 8 << 20

// ErrScenario marks a fault of the scenario itself.
var ErrScenario = errors.New("scenario is faulty")

// Load reads a scenario; its policies are shippedPolicies where it has none.
func Load(dir, shippedPolicies string) (*Scenario, error) {
	s := &Scenario{Dir: dir, Entity: "acme"}
	b, err := readBounded(filepath.Join(dir, "scenario.yaml"))
	if err != nil {
		return nil, err
	}
	if err := yaml.UnmarshalWithOptions(b, s, yaml.Strict()); err != nil {
		return nil, fmt.Errorf("%w: decoding scenario.yaml: %w", ErrScenario, err)
	}
	if b, err = readBounded(filepath.Join(dir, "expected.json")); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(b, &s.Expected); err != nil {
		return nil, fmt.Errorf("%w: decoding expected.json: %w", ErrScenario, err)
	}
	s.Policies = filepath.Join(dir, "policies")
	if _, err := os.Stat(s.Policies); errors.Is(err, os.ErrNotExist) {
		s.Policies = shippedPolicies
	}
	for i, st := range s.Steps {
		if st.Source == "" || st.File == "" {
			return nil, fmt.Errorf("%w: scenario.yaml: step %d needs a source and a file", ErrScenario, i+1)
		}
		if st.Status == 0 {
			s.Steps[i].Status = http.StatusAccepted
		}
	}
	return s, nil
}

func readBounded(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: reading scenario: %w", ErrScenario, err)
	}
	if info.Size() > maxScenarioFile {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrScenario, path, maxScenarioFile)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading scenario: %w", err)
	}
	return b, nil
}

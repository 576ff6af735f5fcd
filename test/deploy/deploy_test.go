package deploy_test

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/stockweave/stockweave/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

const root = "../.."

// services are the binary's services, as its usage tells them.
func services(t *testing.T) []string {
	t.Helper()
	p := harness.Start(t, harness.Run{Name: "usage"})
	if code := p.Wait(t, time.Minute); code != 2 {
		t.Fatalf("no command: exit code %d", code)
	}
	commands := []string{"demo", "topics", "policies", "version", "check", "probe", "counterparts", "txn", "audit", "cutover", "replay", "repartition", "explain", "parked", "approve", "thaw", "snapshots", "source", "key"}
	var names []string
	for line := range strings.Lines(p.Log(t)) {
		fields := strings.Fields(line)
		if strings.HasPrefix(line, "  ") && len(fields) > 0 && !slices.Contains(commands, fields[0]) {
			names = append(names, fields[0])
		}
	}
	if len(names) < 6 {
		t.Fatalf("services %v in the usage:\n%s", names, p.Log(t))
	}
	return names
}

// valid demands that every service accepts a configuration.
func valid(t *testing.T, names []string, config string) {
	t.Helper()
	policies, err := filepath.Abs(filepath.Join(root, "policies"))
	if err != nil {
		t.Fatal(err)
	}
	shipped := regexp.MustCompile(`(?m)^policies_dir: .*$`)
	if !shipped.MatchString(config) {
		t.Fatalf("no policies_dir in\n%s", config)
	}
	config = shipped.ReplaceAllString(config, "policies_dir: "+policies)
	for _, name := range names {
		p := harness.Start(t, harness.Run{
			Name: name, Args: []string{name, "--check"}, Config: config,
			Env: map[string]string{"STOCKWEAVE_INSTANCE": "0"}, // the pod's own
		})
		if code := p.Wait(t, time.Minute); code != 0 {
			t.Errorf("%s refuses its configuration:\n%s\n%s", name, p.Log(t), config)
		}
	}
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// documents decodes a file of many YAML documents, strictly.
func documents(t *testing.T, path string) []map[string]any {
	t.Helper()
	var all []map[string]any
	for doc := range bytes.SplitSeq(read(t, path), []byte("\n---\n")) {
		var v map[string]any
		if err := yaml.UnmarshalWithOptions(doc, &v, yaml.Strict()); err != nil {
			t.Fatalf("%s: %v\n%s", path, err, doc)
		}
		if v != nil {
			all = append(all, v)
		}
	}
	return all
}

// at walks into nested maps; a missing key gives nil.
func at(v any, path ...string) any {
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

func list(v any) []any {
	l, ok := v.([]any)
	if !ok {
		return nil
	}
	return l
}

func text(v any) string {
	s, ok := v.(string)
	if !ok {
		return ""
	}
	return s
}

func TestImage(t *testing.T) {
	var last, user string
	for line := range strings.Lines(string(read(t, "Dockerfile"))) {
		switch fields := strings.Fields(line); {
		case len(fields) < 2:
		case fields[0] == "FROM":
			last = fields[1]
		case fields[0] == "USER":
			user = fields[1]
		}
	}
	if last != "scratch" || !regexp.MustCompile(`^[1-9][0-9]*(:[1-9][0-9]*)?$`).MatchString(user) {
		t.Errorf("the image is made from %q and runs as %q", last, user)
	}
	// What the build needs is let through, and nothing of the tests or the history.
	for _, path := range []string{"go.mod", "go.sum", "pkg", "services", "schemas", "policies"} {
		if !strings.Contains(string(read(t, ".dockerignore")), "\n!"+path+"\n") {
			t.Errorf(".dockerignore keeps %s out", path)
		}
	}
}

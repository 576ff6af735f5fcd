// Command mutants breaks, one at a time, the lines that Stockweave's guarantees
// rest on, and demands that a named test turns red for each. It changes no file:
// the broken source reaches the compiler by an overlay.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// A mutant is one broken line and the test that must notice.
type mutant struct {
	name string
	file string // from the repository's root
	old  string // occurs exactly once
	new  string
	pkg  string // package of the test
	test string // pattern of the test that must fail
	tags string // build tags it needs
}

// perMutant bounds one build and test.
const perMutant = 5 * time.Minute

func main() {
	root := flag.String("root", ".", "the repository's root")
	only := flag.String("only", "", "run only the mutant of this name")
	flag.Parse()
	if err := run(context.Background(), *root, *only); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, root, only string) error {
	var faults []error
	n := 0
	for _, m := range mutants() {
		if only != "" && m.name != only {
			continue
		}
		n++
		began := time.Now()
		if err := m.kill(ctx, root); err != nil {
			fmt.Printf("SURVIVED  %-22s %v\n", m.name, err)
			faults = append(faults, fmt.Errorf("mutant %s: %w", m.name, err))
			continue
		}
		fmt.Printf("killed    %-22s by %s in %s (%.1f s)\n", m.name, m.test, m.pkg, time.Since(began).Seconds())
	}
	fmt.Printf("%d mutants, %d killed, %d survived\n", n, n-len(faults), len(faults))
	return errors.Join(faults...)
}

// kill runs the named test against the whole code, which must pass, and then
// against the broken code, which must fail.
func (m mutant) kill(ctx context.Context, root string) error {
	path, err := filepath.Abs(filepath.Join(root, m.file))
	if err != nil {
		return fmt.Errorf("finding %s: %w", m.file, err)
	}
	src, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("reading the source: %w", err)
	}
	if c := bytes.Count(src, []byte(m.old)); c != 1 {
		return fmt.Errorf("%s has the line %d times, want once: %s", m.file, c, m.old)
	}
	dir, err := os.MkdirTemp("", "mutant")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // a leftover in the temporary folder harms nobody
	broken := filepath.Join(dir, filepath.Base(path))
	if err := os.WriteFile(broken, bytes.Replace(src, []byte(m.old), []byte(m.new), 1), 0o600); err != nil {
		return fmt.Errorf("writing the broken source: %w", err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{path: broken}})
	if err != nil {
		return fmt.Errorf("encoding the overlay: %w", err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return fmt.Errorf("writing the overlay: %w", err)
	}
	if out, err := m.goTest(ctx, root); err != nil {
		return fmt.Errorf("%s is red before anything is broken: %w\n%s", m.test, err, tailOf(out))
	}
	out, err := m.goTest(ctx, root, "-overlay", file)
	switch {
	case err == nil:
		return fmt.Errorf("%s stays green", m.test)
	case !strings.Contains(out, "--- FAIL"):
		return fmt.Errorf("the broken code does not run: %w\n%s", err, tailOf(out))
	}
	return nil
}

func (m mutant) goTest(ctx context.Context, root string, flags ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, perMutant)
	defer cancel()
	args := append([]string{"test", "-count=1", "-run", m.test}, flags...)
	if m.tags != "" {
		args = append(args, "-tags", m.tags)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, m.pkg)...)
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err == nil && strings.Contains(string(out), "no tests to run") {
		return string(out), errors.New("there is no such test")
	}
	return string(out), err
}

func tailOf(out string) string {
	lines := strings.Split(strings.TrimSpace(out), "\n")
	return strings.Join(lines[max(0, len(lines)-15):], "\n")
}

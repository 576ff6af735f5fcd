package harness

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// trytonStart bounds installation, an empty database, seeding and start.
const trytonStart = 5 * time.Minute

// An ERP is a Tryton server on loopback, on SQLite.
type ERP struct {
	URL string
	// Facts are the contents of facts.json: what a client must know to talk to it.
	Facts json.RawMessage
	Dir   string // holds facts.json, trytond.log and data/
}

// Tryton starts an ERP with the master data of a seed file; it ends with the test.
// An empty seed is the one that lies beside the start script.
func Tryton(t testing.TB, seed string) *ERP {
	t.Helper()
	e, stop, err := newTryton(t.Context(), seed)
	demand(t, "Tryton", err)
	t.Cleanup(stop)
	return e
}

func newTryton(ctx context.Context, seed string) (*ERP, func(), error) {
	root, err := testRoot()
	if err != nil {
		return nil, nil, err
	}
	for _, need := range []struct{ program, debianPackage string }{{"bash", "bash"}, {"curl", "curl"}, {"flock", "util-linux"}, {"python3", "python3"}} {
		if _, err := command(need.program, need.debianPackage); err != nil {
			return nil, nil, err
		}
	}
	if exec.CommandContext(ctx, "python3", "-c", "import ensurepip, venv").Run() != nil {
		if err := install("python3-venv"); err != nil {
			return nil, nil, err
		}
	}
	cache, err := cacheRoot()
	if err != nil {
		return nil, nil, err
	}
	dir, err := folder("tryton")
	if err != nil {
		return nil, nil, err
	}
	port, err := Port()
	if err != nil {
		return nil, nil, err
	}
	args := []string{filepath.Join(root, "tryton", "up.sh"), dir, fmt.Sprint(port)}
	if seed != "" {
		if seed, err = filepath.Abs(seed); err != nil {
			return nil, nil, fmt.Errorf("finding the seed: %w", err)
		}
		args = append(args, seed)
	}
	cmd := exec.Command("bash", args...)
	cmd.Env = append(os.Environ(), "TRYTON_CACHE="+filepath.Join(cache, "tryton"))
	up, err := launchGroup("tryton", filepath.Join(dir, "up.log"), cmd)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, trytonStart)
	defer cancel()
	select {
	case <-up.done:
	case <-ctx.Done():
		up.killGroup()
		return nil, nil, fmt.Errorf("starting tryton: %w\n%s", context.Cause(ctx), up.tail(30))
	}
	if !up.state.Success() {
		up.killGroup()
		return nil, nil, fmt.Errorf("starting tryton: %s\n%s\n%s", up.state, up.tail(30), tailOf(filepath.Join(dir, "trytond.log"), 30))
	}
	facts, err := os.ReadFile(filepath.Join(dir, "facts.json"))
	if err == nil && !json.Valid(facts) {
		err = errors.New("facts.json is not JSON")
	}
	if err != nil {
		up.killGroup()
		return nil, nil, fmt.Errorf("reading tryton's facts: %w", err)
	}
	return &ERP{URL: "http://" + loopback(port), Facts: facts, Dir: dir}, up.killGroup, nil
}

// testRoot is the folder of the test module, repoRoot that of the product: tests
// run in their package's folder.
func testRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("finding the test module: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(out))), nil
}

func repoRoot() (string, error) {
	root, err := testRoot()
	return filepath.Dir(root), err
}

package contract_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// TestTryton runs the suite of the Tryton adapter against a real one.
func TestTryton(t *testing.T) {
	e := harness.Tryton(t, "")
	cmd := exec.CommandContext(t.Context(), "go", "test", "-count", "1", "-v", "./services/erpwriter/erp/tryton")
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "GOWORK=off", "TRYTON_FACTS="+filepath.Join(e.Dir, "facts.json"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if s := string(out); strings.Contains(s, "NOT RUN") || !strings.Contains(s, "--- PASS") {
		t.Errorf("the suite did not run:\n%s", s)
	}
}

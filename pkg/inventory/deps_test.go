package inventory_test

import (
	"os/exec"
	"strings"
	"testing"
)

// The domain is pure: the standard library only, and of it nothing that does I/O,
// reads a clock, waits or carries an encoding of records.
func TestDeps(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-f", `{{join .Imports "\n"}}`, ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for p := range strings.FieldsSeq(string(out)) {
		switch p {
		case "cmp", "errors", "iter", "maps", "math/bits", "slices", "strconv", "strings",
			"crypto/sha256", "encoding/hex": // RefHash
		default:
			t.Errorf("inventory must not import %s", p)
		}
	}
}

package harness

import (
	"fmt"
	"strings"
	"testing"
)

// verdict records how a test was ended, and stops it there.
type verdict struct {
	testing.TB
	how, why string
}

func (*verdict) Helper()      {}
func (*verdict) Name() string { return "TestX" }

func (v *verdict) end(how, format string, args []any) {
	v.how, v.why = how, fmt.Sprintf(format, args...)
}
func (v *verdict) Skipf(format string, args ...any)  { v.end("skipped", format, args) }
func (v *verdict) Fatalf(format string, args ...any) { v.end("failed", format, args) }

func TestWhatIsMissing(t *testing.T) {
	lacking := fmt.Errorf("java 21 or newer: %w", errMissing)
	for _, tt := range []struct {
		ci   string
		err  error
		want string
	}{
		{"", nil, ""},
		{"true", nil, ""},
		{"", lacking, "skipped"},
		{"true", lacking, "failed"},
		{"", fmt.Errorf("port taken"), "failed"},
	} {
		t.Setenv("CI", tt.ci)
		v := &verdict{}
		demand(v, "Apicurio Registry", tt.err)
		if v.how != tt.want {
			t.Errorf("CI=%q, %v: %q, not %q", tt.ci, tt.err, v.how, tt.want)
		}
		if tt.want == "skipped" && !strings.Contains(v.why, "NOT RUN") {
			t.Errorf("skipped without a word: %q", v.why)
		}
	}
}

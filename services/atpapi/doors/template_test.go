package doors

import (
	"strings"
	"testing"
)

func TestTemplate(t *testing.T) {
	for _, text := range []string{"", "x", "{}", "{a}{b}", "{a}--{b}", "{a}-{A}", "{a", "a}", "{a}-{b}}", "{{a}"} {
		if tpl, err := ParseTemplate(text); err == nil {
			t.Errorf("%q is taken: %+v", text, tpl)
		}
	}
	tpl, err := ParseTemplate("P:{A}-{b}/X")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ a, b, want, code string }{
		{"1", "2", "P:1-2/X", ""},
		{"P:1", "2/X", "P:P:1-2/X/X", ""},
		{"", "2", "", "missing_dimension"},
		{"1-2", "3", "P:1-2-3/X", ""},
		{"1", "-2", "", "ambiguous_dimensions"},
		{strings.Repeat("x", 256), "2", "", "missing_dimension"},
		{strings.Repeat("x", 250), "2", "", "missing_dimension"}, // with the rest
	} {
		got, bad := tpl.Fill(func(name string) string { return map[string]string{"a": tt.a, "b": tt.b}[name] })
		if got != tt.want || (bad == nil) != (tt.code == "") || bad != nil && bad.Code != tt.code {
			t.Errorf("%.9q %.9q: %q %v", tt.a, tt.b, got, bad)
		}
	}
}

// No two sets of values make the same name.
func FuzzTemplate(f *testing.F) {
	f.Add("a", "b", "a-", "b")
	tpl, err := ParseTemplate("{a}-{b}")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		x, bad := tpl.Fill(func(name string) string { return map[string]string{"a": a, "b": b}[name] })
		y, worse := tpl.Fill(func(name string) string { return map[string]string{"a": c, "b": d}[name] })
		if bad == nil && worse == nil && x == y && (a != c || b != d) {
			t.Errorf("%q and %q, %q and %q: %q", a, b, c, d, x)
		}
	})
}

func TestKnown(t *testing.T) {
	for name, want := range map[string]bool{"atp": true, "supply": true, "on_hand": true, "quarantine": true, "customer": false, "": false, "ATP": false} {
		if Known(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

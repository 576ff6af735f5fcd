package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	shippedScenario = "../../examples/scenario"
	shippedPolicies = "../../policies"
)

func playDemo(t *testing.T, scenario string) (summary, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out bytes.Buffer
	err := demo(ctx, demoOptions{once: true, json: true, scenario: scenario, policies: shippedPolicies}, &out, slog.New(slog.DiscardHandler))
	var s summary
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &s); err != nil {
			t.Fatal(err)
		}
	}
	return s, err
}

// The whole road in one process ends with the scenario's figures, and every line
// has one outcome (Invariant 2).
func TestDemoEndsWithTheExpectedFigures(t *testing.T) {
	t.Parallel()
	s, err := playDemo(t, shippedScenario)
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(s.Differences, "\n"))
	}
	outcomes := 0
	for _, n := range s.Outcomes {
		outcomes += n
	}
	if s.Lines != outcomes+s.Rejected+s.Parked+s.Masters || s.Events != outcomes {
		t.Errorf("lines do not add up: %+v", s)
	}
	if len(s.LatencyMS) == 0 || s.Documents == 0 || s.Offers == 0 {
		t.Errorf("something was not seen: %+v", s)
	}
}

// A figure that differs is said, and the run fails.
func TestDemoNoticesAnotherFigure(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(shippedScenario)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "expected.json")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.Replace(b, []byte(`"on_hand": "94"`), []byte(`"on_hand": "93"`), 1)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := playDemo(t, dir)
	if !errors.Is(err, errFigures) || len(s.Differences) != 1 || !strings.Contains(s.Differences[0], "on_hand of SKU-1 at DC1") {
		t.Fatalf("got %v, differences %q", err, s.Differences)
	}
}

func TestFaultyScenarioIsMisuse(t *testing.T) {
	for name, dir := range map[string]string{"no folder": "nowhere", "no scenario": t.TempDir()} {
		if _, err := playDemo(t, dir); !errors.Is(err, errMisuse) {
			t.Errorf("%s: got %v, want misuse", name, err)
		}
	}
}

func TestCommandLine(t *testing.T) {
	for _, tc := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"none", nil, exitMisuse, "usage"},
		{"unknown", []string{"nothing"}, exitMisuse, "usage"},
		{"stray argument", []string{"atp", "more"}, exitMisuse, "unexpected argument"},
		{"no such file", []string{"atp", "--config", "nowhere.yaml"}, exitMisuse, "nowhere.yaml"},
		{"check", []string{"check", "--policies", shippedPolicies}, exitOK, "valid"},
		{"check only", []string{"ingest", "--check", "--config", "testdata/complete.yaml"}, exitOK, "valid"},
		{"unknown key", []string{"atp", "--config", "testdata/bad_key.yaml"}, exitMisuse, "colour"},
		{"bad level", []string{"atp", "--config", "testdata/bad_level.yaml"}, exitMisuse, "log.level"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out, errs bytes.Buffer
			if code := run(t.Context(), tc.args, &out, &errs); code != tc.code || !strings.Contains(out.String()+errs.String(), tc.want) {
				t.Errorf("exit %d, want %d with %q:\n%s%s", code, tc.code, tc.want, out.String(), errs.String())
			}
		})
	}
}

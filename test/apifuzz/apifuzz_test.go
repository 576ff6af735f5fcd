package apifuzz

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// runTime bounds a run of schemathesis.
const runTime = 25 * time.Minute

const checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance," +
	"unsupported_method,negative_data_rejection,use_after_free"

// TestSchemathesis asks the whole service whatever the document allows, one thing after
// the other by its links, and much that it does not allow. It runs where the variable
// SCHEMATHESIS names the program (make api/fuzz); what stands in SCHEMATHESIS_ARGS is
// handed on, and the report is kept in the folder SCHEMATHESIS_REPORTS.
func TestSchemathesis(t *testing.T) {
	program := os.Getenv("SCHEMATHESIS")
	if program == "" {
		t.Skip("NOT RUN: SCHEMATHESIS names no program; make api/fuzz does")
	}
	w := newWorld(t)
	ctx, cancel := context.WithTimeout(t.Context(), runTime)
	defer cancel()
	stirring, calm := context.WithCancel(ctx)
	stirred := make(chan error, 1)
	go func() { stirred <- w.stir(stirring) }()

	dir := t.TempDir()
	har := filepath.Join(cmp.Or(os.Getenv("SCHEMATHESIS_REPORTS"), dir), "asked.har")
	args := []string{
		"--config-file", config(t, dir, w.bookmark(t)), "run", w.url + "/openapi.json", "--header", "X-Api-Key: " + key, "--no-color", "--workers", "1", "--request-timeout", "10",
		"--checks", checks, "--continue-on-failure", "--report", "har", "--report-har-path", har,
	}
	args = append(args, strings.Fields(os.Getenv("SCHEMATHESIS_ARGS"))...)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	calm()
	if err != nil {
		t.Errorf("schemathesis: %v; the service logged:\n%s", err, w.said.text())
	}
	if err := <-stirred; err != nil {
		t.Error(err)
	}
	met(t, w.url, har)
}

// config is the configuration, with the days and times of now and an id of changes.
func config(t *testing.T, dir, bookmark string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "schemathesis.toml"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC()
	of := []string{"@bookmark@", bookmark}
	for name, after := range map[string]time.Duration{"today": 0, "tomorrow": 24 * time.Hour, "month": 30 * 24 * time.Hour} {
		of = append(of, "@"+name+"@", now.Add(after).Format(time.DateOnly))
	}
	for name, after := range map[string]time.Duration{"now": 0, "soon": time.Hour, "then": -time.Hour, "days": 48 * time.Hour} {
		of = append(of, "@"+name+"@", now.Add(after).Format(time.RFC3339))
	}
	path := filepath.Join(dir, "schemathesis.toml")
	if err := os.WriteFile(path, []byte(strings.NewReplacer(of...).Replace(string(text))), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// mustMeet are what a run has to have met of each operation, or it has asked an empty
// service.
var mustMeet = map[string][]int{
	"GET /v1/atp":                        {200},
	"GET /v1/atp/{item}":                 {200, 404},
	"GET /v1/atp/{item}/explain":         {200},
	"POST /v1/atp/batch":                 {200},
	"POST /v1/reservations":              {201, 409},
	"GET /v1/reservations/{id}":          {200},
	"PATCH /v1/reservations/{id}":        {200},
	"DELETE /v1/reservations/{id}":       {204},
	"POST /v1/reservations/{id}/confirm": {200},
	"POST /v1/reservations/{id}/extend":  {200},
	"GET /v1/changes":                    {200},
	"POST /v1/subscriptions":             {201},
	"GET /v1/subscriptions":              {200},
	"GET /v1/subscriptions/{id}":         {200},
	"PATCH /v1/subscriptions/{id}":       {200},
	"DELETE /v1/subscriptions/{id}":      {204},
	"POST /v1/subscriptions/{id}/secret": {200},
	"POST /v1/subscriptions/{id}/test":   {200},

	"GET /api/environment/{environmentId}/onhand":                  {200},
	"POST /api/environment/{environmentId}/onhand/indexquery":      {200},
	"POST /api/environment/{environmentId}/onhand/exactquery":      {200},
	"POST /api/environment/{environmentId}/onhand/reserve":         {200},
	"POST /api/environment/{environmentId}/onhand/reserve/bulk":    {200},
	"POST /api/environment/{environmentId}/onhand/unreserve":       {404},
	"POST /api/environment/{environmentId}/onhand/unreserve/bulk":  {200},
	"POST /inventory/{tenantId}/v1/availability/node":              {200},
	"POST /inventory/{tenantId}/v1/availability/network":           {200},
	"POST /inventory/{tenantId}/v1/reservations":                   {200},
	"DELETE /inventory/{tenantId}/v1/reservations/{reservationId}": {204},
}

// met wants what must be met, and prints how often each operation was answered how.
func met(t *testing.T, base, har string) {
	t.Helper()
	b, err := os.ReadFile(har)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Log struct {
			Entries []struct {
				Request  struct{ Method, URL string }
				Response struct{ Status int }
			}
		}
	}
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatalf("reading the report: %v", err)
	}
	counts := map[string]map[int]int{}
	for i := range file.Log.Entries {
		e := &file.Log.Entries[i]
		op := operation(e.Request.Method, strings.TrimPrefix(e.Request.URL, base))
		if counts[op] == nil {
			counts[op] = map[int]int{}
		}
		counts[op][e.Response.Status]++
	}
	var lines []string
	for op, of := range counts {
		lines = append(lines, fmt.Sprint(op, " ", of))
	}
	slices.Sort(lines)
	t.Logf("answered:\n%s", strings.Join(lines, "\n"))
	for op, all := range mustMeet {
		for _, status := range all {
			if counts[op][status] == 0 {
				t.Errorf("%s was never answered %d %s", op, status, http.StatusText(status))
			}
		}
	}
}

// operation is the one that a request was for, by what it says.
func operation(method, target string) string {
	path, _, _ := strings.Cut(target, "?")
	parts := strings.Split(path, "/")
	best := ""
	for op := range mustMeet {
		m, template, _ := strings.Cut(op, " ")
		want := strings.Split(template, "/")
		if m != method || len(want) != len(parts) {
			continue
		}
		fits := true
		for i, p := range want {
			if parts[i] != p && (!strings.HasPrefix(p, "{") || parts[i] == "") {
				fits = false
			}
		}
		if fits && (best == "" || strings.Count(op, "{") < strings.Count(best, "{")) {
			best = op
		}
	}
	if best == "" {
		return "other"
	}
	return best
}

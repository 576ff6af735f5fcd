package atpapi

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/outbound"
	"github.com/stockweave/stockweave/pkg/policy"
)

// TestSchemathesis lets schemathesis ask the whole service, over a real Redis and an
// in-process log, whatever the document allows and much that it does not. It runs
// where the variable SCHEMATHESIS names the program (make api/fuzz); what stands in
// SCHEMATHESIS_ARGS is handed on.
func TestSchemathesis(t *testing.T) {
	program := os.Getenv("SCHEMATHESIS")
	if program == "" {
		t.Skip("NOT RUN: SCHEMATHESIS names no program; make api/fuzz does")
	}
	r := newRoad(t, event.TopicEvents, event.TopicOutcomes, event.TopicState, event.TopicAnswers)
	for i, item := range []string{"SKU-1", "SKU-2", "a/b %|c"} {
		r.write(t, kgo.TryCommit, item, int64(i+1), map[inventory.Location]int64{"DC1": 10, "DC2": 4})
	}
	url, _ := r.serve(t, realRedis(t), func(c *Config) {
		c.ATP.Groups = map[string][]inventory.Location{"web": {"DC1", "DC2"}}
		c.Channels = []policy.Channel{{Name: "shop", Entity: "acme", Locations: []inventory.Location{"DC1"}, Listings: map[inventory.Item]string{"SKU-1": "L-1"}}}
		subscribing(nil)(c)
		c.Doors.D365.Environments, c.Doors.Sterling.Tenants = []string{"env-1"}, map[string]inventory.Entity{"us-1": "acme"}
		c.Reservations.Wait = 20 * time.Millisecond // there is no ledger
		// Whatever URL is made up, nobody is called.
		c.Subscriptions.Control = func(string, string, syscall.RawConn) error { return outbound.ErrPrivate }
		c.Access.Principals = []policy.Principal{principal("fuzz", "atp:read", "atp:explain", "reservations:read", "reservations:write", "subscriptions:read", "subscriptions:write")}
	})
	config, err := filepath.Abs("testdata/schemathesis.toml")
	if err != nil {
		t.Fatal(err)
	}
	args := []string{
		"--config-file", config, "run", url + "/openapi.json", "--header", "X-Api-Key: fuzz", "--no-color", "--workers", "1", "--request-timeout", "10",
		"--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance,unsupported_method,negative_data_rejection",
		"--continue-on-failure",
	}
	args = append(args, strings.Fields(os.Getenv("SCHEMATHESIS_ARGS"))...)
	ctx, cancel := context.WithTimeout(t.Context(), 9*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = t.TempDir()
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("schemathesis: %v", err)
	}
}

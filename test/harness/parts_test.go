package harness_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/stockweave/stockweave/test/harness"
)

func TestRedisForgetsWhenKilled(t *testing.T) {
	s := harness.Redis(t)
	ctx := t.Context()
	if err := s.Client(t).Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Client(t).Get(ctx, "k").Result(); err != nil || got != "v" {
		t.Fatalf("%q, %v", got, err)
	}
	s.Kill()
	if err := s.Client(t).Ping(ctx).Err(); err == nil {
		t.Fatal("the killed server answers")
	}
	s.Restart(t)
	if n, err := s.Client(t).DBSize(ctx).Result(); err != nil || n != 0 {
		t.Errorf("%d keys, %v", n, err)
	}
}

func TestRegistryRefusesIncompatibleAndRemembers(t *testing.T) {
	s := harness.Registry(t)
	client, err := sr.NewClient(sr.URLs(s.URL()))
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	const subject = "harness-value"
	level := client.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatFullTransitive}, subject)
	if err := level[0].Err; err != nil {
		t.Fatal(err)
	}
	schema := func(fields string) sr.Schema {
		return sr.Schema{Schema: `{"type":"record","name":"R","fields":[` + fields + `]}`}
	}
	first, err := client.CreateSchema(ctx, subject, schema(`{"name":"a","type":"string"}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.CreateSchema(ctx, subject, schema(`{"name":"a","type":"string"},{"name":"b","type":"string"}`)); err == nil {
		t.Error("a new field without a default was accepted")
	}
	s.Kill()
	s.Restart(t)
	again, err := client.LookupSchema(ctx, subject, schema(`{"name":"a","type":"string"}`))
	if err != nil || again.ID != first.ID {
		t.Errorf("id %d after the restart, %d before: %v", again.ID, first.ID, err)
	}
}

func TestTrytonAnswers(t *testing.T) {
	e := harness.Tryton(t, "")
	var facts struct {
		URL      string   `json:"url"`
		Key      string   `json:"key"`
		Products []string `json:"products"`
	}
	if err := json.Unmarshal(e.Facts, &facts); err != nil {
		t.Fatal(err)
	}
	if facts.URL != e.URL || facts.Key == "" || len(facts.Products) == 0 {
		t.Errorf("facts: %s", e.Facts)
	}
	body := strings.NewReader(`{"id":0,"method":"common.server.version","params":[]}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, e.URL+"/rpc/", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || !bytes.Contains(b, []byte("8.2")) {
		t.Errorf("version %s, %v", b, err)
	}
}

func TestProcessIsMisusedAndKilled(t *testing.T) {
	p := harness.Start(t, harness.Run{Args: []string{"no-such-command"}})
	if code := p.Wait(t, 30*time.Second); code != 2 {
		t.Errorf("exit code %d", code)
	}
	if log := p.Log(t); !strings.Contains(log, "usage") {
		t.Errorf("log %q", log)
	}
}

// TestWardenCleansUpAfterAPanic runs this test binary again as a test process that
// starts a part and then panics, or is killed.
func TestWardenCleansUpAfterAPanic(t *testing.T) {
	switch end := os.Getenv("HARNESS_TEST_END"); end {
	case "panic", "kill":
		fmt.Printf("ADDR=%s\n", harness.Redis(t).Addr())
		if end == "panic" {
			go func() { panic("on purpose") }() // not even a test's own cleanup runs
		}
		<-t.Context().Done()
		return
	}
	for _, end := range []string{"panic", "kill"} {
		t.Run(end, func(t *testing.T) {
			temp := t.TempDir()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWardenCleansUpAfterAPanic$", "-test.v")
			cmd.Env = append(os.Environ(), "HARNESS_TEST_END="+end, "TMPDIR="+temp)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var addr string
			buf := make([]byte, 4096)
			for seen := ""; addr == ""; {
				n, err := out.Read(buf)
				seen += string(buf[:n])
				if _, rest, ok := strings.Cut(seen, "ADDR="); ok {
					addr, _, _ = strings.Cut(rest, "\n")
				} else if err != nil {
					t.Fatalf("no address: %v\n%s", err, seen)
				}
			}
			if end == "kill" {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			if err := cmd.Wait(); err == nil {
				t.Fatal("the inner test process ended well")
			}
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			for {
				conn, dialErr := dial(ctx, addr)
				if dialErr == nil {
					_ = conn.Close()
				}
				left, err := os.ReadDir(temp)
				if err != nil {
					t.Fatal(err)
				}
				if dialErr != nil && len(left) == 0 {
					return
				}
				select {
				case <-ctx.Done():
					t.Fatalf("still there: %s (%v), files %v", addr, dialErr, left)
				case <-time.After(50 * time.Millisecond):
				}
			}
		})
	}
}

func dial(ctx context.Context, addr string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", addr)
}

package reserve

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/test/harness"
	"github.com/stockweave/stockweave/test/stack"
)

const limit = 30 * time.Second

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

type world struct {
	*stack.Stack
	t *testing.T
}

// policies is a folder with the least there must be.
func policies(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, sub := range []string{"ownership", "atp", "sources", "channels", "erp"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "ownership", "ledger.yaml"), []byte("version: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Stock that is reserved over HTTP can be promised to nobody else, by the time the ledger
// has told Redis, and can again once it is given back, though the replica that was asked
// was killed in between and Redis has forgotten all.
func TestReserved(t *testing.T) {
	w := &world{t: t, Stack: stack.New(t, stack.Options{
		Policies: policies(t), Config: "atp: {commit: 5ms}\n",
	})}
	w.Start(t, "atp", "atp-api")
	w.stock("A", 10)
	w.stock("B", 4)
	w.promised("A", "10")
	w.promised("B", "4")

	one := w.ask(http.MethodPost, "/v1/reservations", "one", `{"entity":"acme","lines":[{"item":"A","quantity":"3"}]}`, http.StatusCreated)
	two := w.ask(http.MethodPost, "/v1/reservations", "two", `{"entity":"acme","lines":[{"item":"A","quantity":"2"},{"item":"B","quantity":"4"}]}`, http.StatusCreated)
	w.promised("A", "5")
	w.promised("B", "0")
	denied := w.ask(http.MethodPost, "/v1/reservations", "three", `{"entity":"acme","lines":[{"item":"A","quantity":"1"},{"item":"B","quantity":"1"}]}`, http.StatusConflict)
	if denied.Code != "denied" || denied.Item != "B" || denied.Available != "0" {
		t.Errorf("%+v", denied)
	}
	w.promised("A", "5")
	if got := w.ask(http.MethodPost, "/v1/reservations/"+one.ID+"/confirm", "", "", http.StatusOK); len(got.Lines) != 1 || got.Lines[0].Location != "DC1" {
		t.Errorf("%+v", got)
	}

	w.Process("atp-api").Kill9()
	w.Redis.Flush(t)
	w.Start(t, "atp-api")
	w.ask(http.MethodDelete, "/v1/reservations/"+two.ID, "", "", http.StatusNoContent)
	w.promised("A", "7")
	w.promised("B", "4")
	w.ask(http.MethodDelete, "/v1/reservations/"+one.ID, "", "", http.StatusNoContent)
	w.ask(http.MethodDelete, "/v1/reservations/"+one.ID, "", "", http.StatusNoContent)
	w.promised("A", "10")
	w.Stop(t, "atp-api", "atp")
}

type answer struct {
	ID, Code, Item, Available, ATP string
	Lines                          []struct{ Location string }
}

// ask wants a status; while the service is loading it asks again.
func (w *world) ask(method, path, key, body string, status int) answer {
	w.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		got, a, text := w.once(method, path, key, body)
		if got == status {
			return a
		}
		if got != http.StatusServiceUnavailable || time.Now().After(deadline) {
			w.t.Fatalf("%s %s: %d, not %d: %s", method, path, got, status, text)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (w *world) once(method, path, key, body string) (status int, a answer, text string) {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.API()+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if len(b) > 0 {
		var problem struct{ Code, Item, Available string }
		if resp.StatusCode >= http.StatusBadRequest {
			err = json.Unmarshal(b, &problem)
			a.Code, a.Item, a.Available = problem.Code, problem.Item, problem.Available
		} else {
			err = json.Unmarshal(b, &a)
		}
		if err != nil {
			w.t.Fatalf("%s: %v", b, err)
		}
	}
	return resp.StatusCode, a, string(b)
}

// promised waits until so much may be promised.
func (w *world) promised(item, quantity string) {
	w.t.Helper()
	deadline := time.Now().Add(limit)
	for {
		status, a, text := w.once(http.MethodGet, "/v1/atp/"+item+"?entity=acme", "", "")
		if status == http.StatusOK && a.ATP == quantity {
			return
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("of %s not %s is promised but: %d %s", item, quantity, status, text)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// stock receives an item.
func (w *world) stock(item string, quantity int64) {
	w.t.Helper()
	producer, err := stream.NewProducer(w.Stream())
	if err != nil {
		w.t.Fatal(err)
	}
	defer producer.Close()
	d := inventory.Document{Type: "wms", Number: fmt.Sprint("receipt-", item), Line: "1"}
	now := inventory.Instant(time.Now().UnixMilli())
	ev := &inventory.Event{
		ID: event.EventID("wms", d), Kind: inventory.KindMovement, Key: inventory.Key{Entity: "acme", Item: inventory.Item(item)}, Source: "wms", Document: d,
		OccurredAt: now, OccurredBasis: inventory.BasisReceipt, ReceivedAt: now,
		Movement: &inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: inventory.Quantity(quantity) * inventory.One},
	}
	value, err := w.Codecs.AppendEvent(nil, ev)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := producer.Produce(w.t.Context(), &stream.Record{Topic: event.TopicEvents, Key: []byte(ev.Key.String()), Value: value}); err != nil {
		w.t.Fatal(err)
	}
}

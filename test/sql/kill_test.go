package sql_test

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/test/harness"
	"github.com/stockweave/stockweave/test/stack"
)

// outboxSource is a partner that puts receipts of one piece into its outbox.
const outboxSource = `name: outbox
entity: acme
format: json
transport:
  sql: {url_env: STOCKWEAVE_OUTBOX_DB, tls: disable, outbox: {}, poll: {every: 1s, batch: 20, retry: {first: 100ms, most: 1s}}}
default_location: DC1
mapping_version: "1"
mapping: |
  .tree | [{kind: "movement", document: {type: "receipt", number: .n}, ids: [{type: "sku", value: "SKU-1"}], quantity: 1,
    occurred_at: .at, movement: {type: "receipt"}, refs: [{issuer: "outbox", type: "receipt", number: .n}]}]
`

// TestKilled kills ingest again and again while it empties an outbox into which rows go
// on being put, by transactions that end in any order. Each row must be applied once.
func TestKilled(t *testing.T) {
	rows, kills := 5_000, 5
	if os.Getenv("STOCKWEAVE_FAULTS") == "long" {
		rows, kills = 60_000, 40
	}
	db := harness.Postgres(t)
	conn := install(t, db)
	s := stack.New(t, stack.Options{Policies: withOutbox(t), Env: secrets(t, db.URL("reader"))})
	s.Start(t, "ingest", "canonicalizer", "atp")
	masters(t, s)

	ended := make(chan struct{})
	go func() {
		defer close(ended)
		fill(t, db, rows)
	}()
	again, struck := 0, 0
	delivered := func() int {
		return count(t, conn, "select coalesce(max(id), 0) - count(*) from stockweave.outbox")
	}
	for range kills {
		before := delivered()
		await(t, "it works", func() bool {
			return delivered() != before || count(t, conn, "select count(*) from stockweave.outbox") == 0
		})
		<-time.After(time.Duration(rand.IntN(30)) * time.Millisecond) // where in a batch it dies is chance
		s.Process("ingest").Kill9()
		if count(t, conn, "select count(*) from stockweave.outbox") > 0 {
			struck++
		}
		s.Start(t, "ingest")
	}
	<-ended
	await(t, "the outbox is empty", func() bool { return count(t, conn, "select count(*) from stockweave.outbox") == 0 })
	s.Rest(t, 2*time.Minute, []stack.Reader{{Group: "canonicalizer", Topic: event.TopicRaw}, {Group: "atp", Topic: event.TopicEvents}})

	raws := map[string]int{}
	read(t, s, event.TopicRaw, func(value []byte) error {
		var raw event.RawMessage
		if err := s.Codecs.DecodeRaw(value, &raw); err != nil {
			return err
		}
		if raw.Source == "outbox" {
			raws[raw.ID]++
		}
		return nil
	})
	for _, n := range raws {
		again += n - 1
	}
	if len(raws) != rows {
		t.Errorf("%d rows came out as %d messages", rows, len(raws))
	}
	applied, duplicates := map[string]int{}, 0
	read(t, s, event.TopicOutcomes, func(value []byte) error {
		var o inventory.Outcome
		if err := s.Codecs.DecodeOutcome(value, &o); err != nil {
			return err
		}
		switch {
		case o.Source != "outbox":
		case o.Kind == inventory.Applied:
			applied[o.Document.Number]++
		case o.Kind == inventory.Duplicate:
			duplicates++
		default:
			t.Errorf("%s: %v %v", o.Document.Number, o.Kind, o.Codes)
		}
		return nil
	})
	for n, times := range applied {
		if times != 1 {
			t.Errorf("row %s was applied %d times", n, times)
		}
	}
	if len(applied) != rows {
		t.Errorf("%d of %d rows were applied", len(applied), rows)
	}
	if struck < kills/2 {
		t.Errorf("only %d of %d kills came while rows were waiting", struck, kills)
	}
	t.Logf("%d rows, %d kills, %d messages repeated, %d duplicates of the ledger", rows, kills, again, duplicates)
}

// fill puts rows by four transactions at a time, each of which holds its row for a
// moment: ids are committed out of order.
func fill(t *testing.T, db *harness.PostgresServer, rows int) {
	const writers = 4
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			conn := db.Connect(t)
			for n := w; n < rows; n += 5 * writers {
				tx, err := conn.Begin(t.Context())
				for i := n; err == nil && i < min(rows, n+5*writers); i += writers {
					_, err = tx.Exec(t.Context(), "select stockweave.stockweave_outbox_put('outbox', jsonb_build_object('n', $1::text, 'at', '2026-11-02T10:00:00Z'), stream_key => $1)", fmt.Sprint(i))
				}
				if err == nil {
					err = tx.Commit(t.Context())
				}
				if err != nil {
					t.Errorf("putting rows: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// withOutbox is the shipped policies and the source, which may move stock of DC1.
func withOutbox(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../policies")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "sources/outbox.yaml"), []byte(outboxSource), 0o600); err != nil {
		t.Fatal(err)
	}
	ledger := filepath.Join(dir, "ownership/ledger.yaml")
	b, err := os.ReadFile(ledger)
	if err != nil {
		t.Fatal(err)
	}
	changed := strings.Replace(string(b), "moves: [wms,", "moves: [outbox, wms,", 1)
	if changed == string(b) {
		t.Fatal("the shipped ledger policy has no such owner")
	}
	if err := os.WriteFile(ledger, []byte(changed), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func secrets(t *testing.T, url string) map[string]string {
	t.Helper()
	set, err := policy.Load("../../policies")
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"STOCKWEAVE_OUTBOX_DB": url}
	for _, name := range slices.Sorted(maps.Keys(set.Sources)) {
		a := set.Sources[name].Auth
		env[cmp.Or(a.APIKeyEnv, "STOCKWEAVE_NONE")] = "a-key-of-every-source"
		if a.HMAC != nil {
			env[a.HMAC.SecretEnv] = "a-secret-of-every-source"
		}
		if a.Signature != nil {
			for _, name := range a.Signature.SecretEnvs {
				env[name] = "a-secret-of-every-source"
			}
		}
	}
	return env
}

// read takes the values of all there is on a topic.
func read(t *testing.T, s *stack.Stack, topic string, each func([]byte) error) {
	t.Helper()
	admin := s.Kafka.Admin(t)
	ends, err := admin.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	cl := s.Kafka.Client(t, kgo.ConsumeTopics(topic), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	left := map[int32]int64{}
	for _, end := range ends[topic] {
		if end.Offset > 0 {
			left[end.Partition] = end.Offset
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for len(left) > 0 {
		fetched := cl.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			t.Fatalf("reading %s: %v", topic, err)
		}
		fetched.EachRecord(func(rec *kgo.Record) {
			if !rec.Attrs.IsControl() {
				if err := each(rec.Value); err != nil {
					t.Errorf("%s: %v", topic, err)
				}
			}
			if rec.Offset+1 >= left[rec.Partition] {
				delete(left, rec.Partition)
			}
		})
	}
}

// masters sends the item and the location that the rows name.
func masters(t *testing.T, s *stack.Stack) {
	t.Helper()
	for source, body := range map[string]string{
		"master-items":     "item,base_unit\nSKU-1,EA\n",
		"master-locations": "location,class,time_zone\nDC1,dc,UTC\n",
	} {
		post(t, s.Ingest()+"/v1/messages/"+source, body)
	}
}

func post(t *testing.T, url, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X-Api-Key", "a-key-of-every-source")
	req.Header.Set("Content-Type", "text/csv")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		b, _ := io.ReadAll(resp.Body) // for the message only
		t.Fatalf("%s: %d %s", url, resp.StatusCode, b)
	}
}

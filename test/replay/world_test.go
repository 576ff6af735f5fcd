package replay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
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

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

const (
	items     = 400
	locations = 4
	partsWas  = 6
	// settle bounds the way of all events through the ledger.
	settle = 2 * time.Minute
	entity = "acme"
)

// A world is a ledger on a real broker, and what its figures must be.
type world struct {
	*stack.Stack
	t       *testing.T
	aliases stream.Aliases
	sent    int
	expect  map[string]figures // by position key
}

// figures are what the events sum up to, counted apart from the ledger.
type figures struct {
	onHand inventory.Quantity
}

func newWorld(t *testing.T) *world {
	t.Helper()
	policies, err := filepath.Abs(filepath.Join("..", "..", "policies"))
	if err != nil {
		t.Fatal(err)
	}
	return &world{
		t: t, expect: map[string]figures{},
		Stack: stack.New(t, stack.Options{
			Partitions: partsWas, Policies: policies,
			Env: map[string]string{ // of channels that are never called: the items are not theirs
				"STOCKWEAVE_MARKET_URL": "http://127.0.0.1:9/", "STOCKWEAVE_MARKET_SECRET": "whsec_c2VjcmV0IG9mIGEgbWFya2V0IHRoYXQgaXMgbm90IHRoZXJl",
				"STOCKWEAVE_WEBSHOP_URL": "http://127.0.0.1:9/",
			},
			Config: "channel_publisher: {allow_private: true}",
		}),
	}
}

// command runs an operator's command and returns its exit code and output.
func (w *world) command(args ...string) (int, string) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), settle)
	defer cancel()
	cmd := exec.CommandContext(ctx, harness.Binary(w.t), args...)
	cmd.Env = append(os.Environ(),
		"STOCKWEAVE_KAFKA_BROKERS="+strings.Join(w.Kafka.Brokers(), ","), "STOCKWEAVE_REDIS_ADDRESSES="+w.Redis.Addr())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if code, ok := errors.AsType[*exec.ExitError](err); ok {
		return code.ExitCode(), out.String()
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return 0, out.String()
}

// want runs a command and wants an exit code and words in what it prints.
func (w *world) want(code int, args []string, words ...string) string {
	w.t.Helper()
	got, out := w.command(args...)
	if got != code {
		w.t.Fatalf("%s ended with %d, not %d:\n%s", strings.Join(args, " "), got, code, out)
	}
	for _, word := range words {
		if !strings.Contains(out, word) {
			w.t.Fatalf("%s does not say %q:\n%s", strings.Join(args, " "), word, out)
		}
	}
	return out
}

func (w *world) config() stream.Config {
	cfg := w.Stream()
	cfg.Aliases = w.aliases
	return cfg
}

// play appends events, as many as n, that visit the items without locality: every
// fourth ships, the others receive.
func (w *world) play(n int) {
	w.t.Helper()
	producer, err := stream.NewProducer(w.config(), stream.WithLinger(5*time.Millisecond))
	if err != nil {
		w.t.Fatal(err)
	}
	defer producer.Close()
	recs := make([]*stream.Record, 0, n)
	for range n {
		recs = append(recs, w.next())
	}
	if err := producer.Produce(w.t.Context(), recs...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) next() *stream.Record {
	n := w.sent
	w.sent++
	h := uint64(n) * 0x9E3779B97F4A7C15
	key := inventory.Key{Entity: entity, Item: inventory.Item(fmt.Sprintf("item-%04d", n*7919%items))}
	loc := inventory.Location(fmt.Sprintf("DC%d", h>>40%locations+1))
	q := inventory.Quantity(100+h>>56) * inventory.One
	m := inventory.Movement{Type: inventory.Receipt, Location: loc, Quantity: q}
	at := inventory.Instant(time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC).UnixMilli() + int64(n))
	doc := inventory.Document{Type: "944", Number: fmt.Sprintf("R%09d", n), Line: "1"}
	f := w.expect[inventory.PositionKey(key, loc)]
	if n%4 == 3 {
		m.Type, m.Quantity = inventory.Ship, inventory.One
		f.onHand -= m.Quantity
	} else {
		f.onHand += q
	}
	w.expect[inventory.PositionKey(key, loc)] = f
	e := inventory.Event{
		ID: event.EventID("wms", doc), Kind: inventory.KindMovement, Key: key, Source: "wms", Document: doc,
		OccurredAt: at, OccurredBasis: "document", ReceivedAt: at, Movement: &m,
	}
	value, err := w.Codecs.AppendEvent(nil, &e)
	if err != nil {
		w.t.Fatal(err)
	}
	return &stream.Record{Topic: event.TopicEvents, Key: []byte(key.String()), Value: value}
}

// reads looks at topics by the names that services use.
func (w *world) reads() *stream.RestoreReads {
	w.t.Helper()
	r, err := stream.NewRestoreReads(w.config())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(r.Close)
	return r
}

// applied waits until the ledger has applied everything.
func (w *world) applied() {
	w.t.Helper()
	reads := w.reads()
	ctx, cancel := context.WithTimeout(w.t.Context(), settle)
	defer cancel()
	_, partitions, err := reads.Topic(ctx, event.TopicEvents)
	if err != nil {
		w.t.Fatal(err)
	}
	for p := range partitions {
		end, err := reads.HighWatermark(ctx, event.TopicEvents, p)
		if err != nil {
			w.t.Fatal(err)
		}
		for {
			off, err := reads.GroupOffset(ctx, "atp", event.TopicEvents, p)
			if err != nil {
				w.t.Fatal(err)
			}
			if off >= end {
				break
			}
			if !w.Process("atp").Running() {
				w.t.Fatalf("the ledger ended:\n%s", w.Process("atp").Log(w.t))
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// figures are those of the positions that readers see, checked against what the
// events sum up to.
func (w *world) figures() {
	w.t.Helper()
	reads := w.reads()
	_, partitions, err := reads.Topic(w.t.Context(), event.TopicPositions)
	if err != nil {
		w.t.Fatal(err)
	}
	got := map[string]inventory.Quantity{}
	versions := map[string]int64{}
	for p := range partitions {
		if _, err := reads.Fold(w.t.Context(), event.TopicPositions, p, func(rec *stream.Record) error {
			var pos inventory.Position
			if err := w.Codecs.DecodePosition(rec.Value, &pos); err != nil {
				return err
			}
			key := string(rec.Key)
			if !strings.HasPrefix(string(pos.Key.Item), "item-") {
				return nil // a setting of the shipped policies
			}
			if pos.Version < versions[key] {
				w.t.Errorf("the version of %s falls from %d to %d", key, versions[key], pos.Version)
			}
			if want := stream.Partition([]byte(pos.Key.String()), partitions); want != p {
				w.t.Errorf("%s stands in partition %d, not %d", key, p, want)
			}
			got[key], versions[key] = pos.States[inventory.OnHand], pos.Version
			return nil
		}); err != nil {
			w.t.Fatal(err)
		}
	}
	want := map[string]inventory.Quantity{}
	for key, f := range w.expect {
		want[key] = f.onHand
	}
	if maps.Equal(got, want) {
		return
	}
	wrong := 0
	for key, q := range want {
		if got[key] != q {
			if wrong++; wrong <= 5 {
				w.t.Errorf("%s holds %v, the events sum up to %v", key, got[key], q)
			}
		}
	}
	w.t.Fatalf("%d of %d positions are wrong, %d too many", wrong, len(want), len(got)-len(want))
}

// stop ends the ledger for good, so that nobody waits for its session.
func (w *world) stop() {
	w.t.Helper()
	w.Stop(w.t, "atp")
	admin, err := stream.NewAdmin(w.Stream())
	if err != nil {
		w.t.Fatal(err)
	}
	defer admin.Close()
	if err := admin.RemoveMember(w.t.Context(), "atp", "0"); err != nil {
		w.t.Fatal(err)
	}
}

// audit folds the log once more, by other code.
func (w *world) audit(words ...string) {
	w.t.Helper()
	w.want(0, []string{"audit", "--redis=false"}, append(words, "all that was checked is right")...)
}

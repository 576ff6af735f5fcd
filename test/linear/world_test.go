package linear

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/test/harness"
	"github.com/stockweave/stockweave/test/stack"
)

const (
	partitions = 6
	atps       = 2
	// settle bounds the way of all events through the ledger.
	settle = 2 * time.Minute
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

// A world is a ledger of two workers on a real broker.
type world struct {
	*stack.Stack
	t         *testing.T
	workers   [atps]*harness.Process
	ready     [atps]string // URLs
	positions *positions
}

func newWorld(t *testing.T) *world {
	t.Helper()
	policies, err := filepath.Abs(filepath.Join("..", "..", "policies"))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, Stack: stack.New(t, stack.Options{Partitions: partitions, Policies: policies})}
	for i := range w.workers {
		port, err := harness.Port()
		if err != nil {
			t.Fatal(err)
		}
		w.ready[i] = fmt.Sprintf("http://127.0.0.1:%d/readyz", port)
		w.workers[i] = harness.Start(t, harness.Run{
			Name: fmt.Sprint("atp-", i), Args: []string{"atp"},
			Config: fmt.Sprintf("kafka: {brokers: [%q], instance: \"%d\"}\nredis: {addresses: [%q]}\nregistry: {url: %q}\npolicies_dir: %q\n"+
				"admin: {listen: \"127.0.0.1:%d\"}\natp: {commit: 5ms}\n",
				strings.Join(w.Kafka.Brokers(), `", "`), i, w.Redis.Addr(), w.Registry.URL(), policies, port),
		})
	}
	for i, p := range w.workers {
		p.Ready(t, w.ready[i])
	}
	w.positions = &positions{codecs: w.Codecs, last: map[string]inventory.Position{}}
	table, err := stream.NewTable(stream.TableConfig{
		Config: w.Stream(), Topic: event.TopicPositions, ReadCommitted: true, Apply: w.positions.apply,
	})
	if err != nil {
		t.Fatal(err)
	}
	background(t, table.Run)
	return w
}

// background runs tasks until the test ends.
func background(t *testing.T, tasks ...service.Task) {
	t.Helper()
	ended := make(chan error, 1)
	ctx := t.Context() // it ends before the test's clean-up
	go func() { ended <- service.Run(ctx, tasks...) }()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Errorf("in the background: %v", err)
		}
	})
}

// until waits for what comes by itself.
func (w *world) until(not string, limit time.Duration, yes func() bool) {
	w.t.Helper()
	timeout := time.After(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-timeout:
			w.t.Fatal(not)
		case <-tick.C:
		}
	}
}

// positions are what the ledger has published: the last ones, and what no commit may
// ever show.
type positions struct {
	codecs *event.Codecs

	mu       sync.Mutex
	last     map[string]inventory.Position
	seen     int
	oversold []string
}

func (p *positions) apply(rec *stream.Record) error {
	var x inventory.Position
	if err := p.codecs.DecodePosition(rec.Value, &x); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen++
	p.last[string(rec.Key)] = x
	if q := reserved(&x); q > x.States[inventory.OnHand] {
		p.oversold = append(p.oversold, fmt.Sprintf("%s: %v reserved of %v", rec.Key, q, x.States[inventory.OnHand]))
	}
	return nil
}

func reserved(x *inventory.Position) (q inventory.Quantity) {
	for _, b := range x.Reserved {
		q += b.Quantity
	}
	return q
}

// totals are on hand and reserved, over all positions.
func (p *positions) totals() (onHand, claimed inventory.Quantity) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, x := range p.last {
		onHand += x.States[inventory.OnHand]
		claimed += reserved(&x)
	}
	return onHand, claimed
}

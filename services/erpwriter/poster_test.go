package erpwriter

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/simulate"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/erpwriter/erp"
)

func records(recs ...*stream.Record) []*stream.Record { return recs }

func testMetrics(t *testing.T) *metrics {
	t.Helper()
	m, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func outcomeRecord(t *testing.T, o *inventory.Outcome) *stream.Record {
	t.Helper()
	value, err := event.TestCodecs().AppendOutcome(nil, o)
	if err != nil {
		t.Fatal(err)
	}
	return &stream.Record{Topic: event.TopicOutcomes, Key: []byte(o.Key.String()), Value: value}
}

// quick is a configuration whose waits do not slow a test down.
func quick() *Config {
	c := DefaultConfig()
	c.FirstWait, c.MostWait, c.BreakerCool, c.BreakerMost = time.Millisecond, 4*time.Millisecond, time.Millisecond, 4*time.Millisecond
	c.Timeout = 250 * time.Millisecond
	c.BreakerAfter, c.MaxRefusals = 50, 6
	c.Getenv = func(string) string { return "" }
	return &c
}

func posterOn(t *testing.T, e *policy.ERP, adapter erp.ERP, cfg *Config) *poster {
	t.Helper()
	return newPoster(e, adapter, cfg, service.Env{Log: slog.New(slog.DiscardHandler), Now: time.Now}, testMetrics(t))
}

// bench is a poster on a simulated ERP.
type bench struct {
	erp    *simulate.ERP
	policy policy.ERP
	cfg    *Config
}

func newBench(t *testing.T, opts simulate.ERPOptions) *bench {
	t.Helper()
	b := &bench{erp: simulate.NewERP(opts), policy: mainERP(), cfg: quick()}
	srv := httptest.NewServer(b.erp)
	t.Cleanup(srv.Close)
	b.policy.URL = srv.URL
	return b
}

// restart is a poster that remembers nothing.
func (b *bench) restart(t *testing.T) *poster {
	t.Helper()
	a, err := open(&b.policy, b.cfg, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return posterOn(t, &b.policy, a, b.cfg)
}

// receive is the posting of a receipt of some units under a document number.
func receive(number string, units int64) *event.Posting {
	o := outcome(inventory.Applied, inventory.Move{
		Type: inventory.Receipt, From: outside(inventory.Supplier), To: stateAt("DC1", inventory.OnHand),
		Quantity: inventory.Quantity(units) * inventory.One,
	})
	o.Document.Number = number
	o.EventID = event.EventID(o.Source, o.Document)
	e := mainERP()
	return &plan(o, []policy.ERP{e}, zonesForTest)[0]
}

func mustPost(t *testing.T, p *poster, x *event.Posting, status, code string) event.PostingResult {
	t.Helper()
	r, err := p.post(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	if r.Status != status || r.Code != code || r.PostingID != x.ID || r.At == 0 {
		t.Fatalf("got %+v, want %s %s", r, status, code)
	}
	if status != event.PostFailed && r.Reference == "" || status == event.PostFailed && r.Reason == "" {
		t.Fatalf("a result without reference or reason: %+v", r)
	}
	return r
}

func (b *bench) expect(t *testing.T, documents int, units int64) {
	t.Helper()
	if got := b.erp.Quantity("SKU-1", "DC1"); got != inventory.Quantity(units)*inventory.One {
		t.Errorf("the ERP holds %s, want %d", got, units)
	}
	if got := len(b.erp.Documents("")); got != documents {
		t.Errorf("the ERP has %d documents, want %d", got, documents)
	}
}

// TestLookUpBeforePosting is the one that turns red when the look-up is removed:
// this ERP accepts the same document any number of times.
func TestLookUpBeforePosting(t *testing.T) {
	t.Run("delivered again after a restart", func(t *testing.T) {
		b := newBench(t, simulate.ERPOptions{AllowTwice: true})
		x := receive("1", 5)
		mustPost(t, b.restart(t), x, event.Posted, "")
		mustPost(t, b.restart(t), x, event.AlreadyPosted, "")
		b.expect(t, 1, 5)
	})
	for _, op := range []simulate.ERPOperation{simulate.ERPFind, simulate.ERPCreate, simulate.ERPPost} {
		for _, fault := range []simulate.ERPFault{
			simulate.FaultDropAfter, simulate.FaultErrorAfter, simulate.FaultHang, simulate.FaultGarbage, simulate.FaultHuge,
			simulate.FaultDropBefore, simulate.FaultErrorBefore, simulate.FaultUnavailable, simulate.FaultSlow, simulate.FaultForeign,
		} {
			t.Run(string(op)+" "+string(fault), func(t *testing.T) {
				b := newBench(t, simulate.ERPOptions{AllowTwice: true})
				b.erp.Fail(op, fault)
				x := receive("1", 5)
				if r, err := b.restart(t).post(t.Context(), x); err != nil || r.Status == event.PostFailed {
					t.Fatalf("got %+v, %v", r, err)
				}
				b.expect(t, 1, 5)
			})
		}
	}
}

func TestCrashBetweenCreateAndPost(t *testing.T) {
	b := newBench(t, simulate.ERPOptions{AllowTwice: true})
	x := receive("1", 5)
	b.erp.Fail(simulate.ERPPost, simulate.FaultUnavailable, simulate.FaultUnavailable)
	ctx, cancel := context.WithCancel(t.Context())
	b.cfg.FirstWait, b.cfg.MostWait = time.Hour, time.Hour // it never gets to the second try
	done := make(chan error, 1)
	p := b.restart(t)
	go func() { _, err := p.post(ctx, x); done <- err }()
	waitFor(t, func() bool { return b.erp.Counters()["fault_503"] == 1 })
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	b.expect(t, 1, 0)
	b.cfg.FirstWait, b.cfg.MostWait = time.Millisecond, time.Millisecond
	mustPost(t, b.restart(t), x, event.Posted, "")
	b.expect(t, 1, 5)
}

func TestFaultsAtRandom(t *testing.T) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			b := newBench(t, simulate.ERPOptions{AllowTwice: true})
			b.cfg.MaxRefusals = 100 // chance must not park one
			b.erp.FailAtRandom(seed, 0.3, simulate.FaultDropAfter, simulate.FaultErrorAfter, simulate.FaultGarbage,
				simulate.FaultDropBefore, simulate.FaultErrorBefore, simulate.FaultUnavailable, simulate.FaultForeign)
			p := b.restart(t)
			var wg sync.WaitGroup
			for i := range 40 {
				wg.Go(func() {
					if r, err := p.post(t.Context(), receive(fmt.Sprint(i), 1)); err != nil || r.Status == event.PostFailed {
						t.Errorf("posting %d: %+v, %v", i, r, err)
					}
				})
			}
			wg.Wait()
			b.expect(t, 40, 40)
		})
	}
}

func TestRefusalsAreResults(t *testing.T) {
	unmapped := receive("1", 1)
	unmapped.Lines[0].To.Account = inventory.Quarantine
	samePlace := receive("2", 1)
	samePlace.Lines[0].From = stateAt("DC1", inventory.Picked)
	item := receive("3", 1)
	item.Lines[0].Item = "NO-SUCH"
	for _, c := range []struct {
		name, code string
		x          *event.Posting
	}{
		{"a place the policy does not name", codeUnmapped, unmapped},
		{"two ends that became one place", codeSamePlace, samePlace},
		{"an item the ERP does not know", erp.CodeUnknownItem, item},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, simulate.ERPOptions{Items: []string{"SKU-1"}})
			p := b.restart(t)
			mustPost(t, p, c.x, event.PostFailed, c.code)
			mustPost(t, p, receive("9", 2), event.Posted, "") // the next one goes on
			b.expect(t, 1, 2)
		})
	}
	t.Run("a fault of one document, again and again", func(t *testing.T) {
		b := newBench(t, simulate.ERPOptions{})
		for range 20 {
			b.erp.Fail(simulate.ERPCreate, simulate.FaultErrorBefore)
		}
		r := mustPost(t, b.restart(t), receive("1", 1), event.PostFailed, erp.CodeFault)
		if r.Attempts != int32(b.cfg.MaxRefusals) {
			t.Errorf("%d attempts, want %d", r.Attempts, b.cfg.MaxRefusals)
		}
	})
	t.Run("look-ups that fail are no verdict", func(t *testing.T) {
		b := newBench(t, simulate.ERPOptions{})
		for range 20 {
			b.erp.Fail(simulate.ERPFind, simulate.FaultErrorBefore)
		}
		mustPost(t, b.restart(t), receive("1", 1), event.Posted, "")
	})
	t.Run("cancelled in the ERP", func(t *testing.T) {
		b := newBench(t, simulate.ERPOptions{})
		x := receive("1", 5)
		d := b.enter(t, x.ID, "1", 5)
		if _, err := b.erp.Cancel(d.ID); err != nil {
			t.Fatal(err)
		}
		mustPost(t, b.restart(t), x, event.PostFailed, erp.CodeCancelled)
	})
	t.Run("our reference on other goods", func(t *testing.T) {
		b := newBench(t, simulate.ERPOptions{})
		x := receive("1", 5)
		b.enter(t, x.ID, "1", 4)
		mustPost(t, b.restart(t), x, event.PostFailed, erp.CodeConflict)
	})
}

// enter puts a document into the ERP beside the poster.
func (b *bench) enter(t *testing.T, ref, business string, units int64) simulate.ERPDocument {
	t.Helper()
	d, err := b.erp.Create(simulate.ERPDocument{Reference: ref, Business: business, Type: string(inventory.Receipt), Lines: []simulate.ERPLine{
		{Item: "SKU-1", From: "SUP", To: "DC1", Amount: fmt.Sprint(units)},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestBusinessLookUp(t *testing.T) {
	for _, c := range []struct {
		name         string
		units        int64
		posted       bool
		status, code string
		holds        int64
	}{
		{"the same, posted", 5, true, event.AlreadyPosted, "", 5},
		{"another quantity", 4, true, event.PostFailed, erp.CodeBusinessDiffer, 4},
		{"the same, still open", 5, false, event.PostFailed, erp.CodeBusinessDiffer, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(t, simulate.ERPOptions{AllowTwice: true})
			d := b.enter(t, "", "GR-1", c.units)
			if c.posted {
				if _, err := b.erp.Post(d.ID); err != nil {
					t.Fatal(err)
				}
			}
			x := receive("GR-1", 5)
			mustPost(t, b.restart(t), x, c.status, c.code)
			b.expect(t, 1, c.holds)
			mustPost(t, b.restart(t), x, c.status, c.code) // and again after a restart
			b.expect(t, 1, c.holds)
		})
	}
	t.Run("one of somebody else's covers one of ours", func(t *testing.T) {
		b := newBench(t, simulate.ERPOptions{AllowTwice: true})
		d := b.enter(t, "", "GR-1", 5)
		if _, err := b.erp.Post(d.ID); err != nil {
			t.Fatal(err)
		}
		p := b.restart(t)
		first, second := receive("GR-1", 5), receive("GR-1", 5)
		second.ID = "another line of the same document"
		mustPost(t, p, first, event.AlreadyPosted, "")
		mustPost(t, p, second, event.Posted, "")
		b.expect(t, 2, 10)
	})
}

func TestRedeliveryToTheSameProcess(t *testing.T) {
	b := newBench(t, simulate.ERPOptions{})
	p := b.restart(t)
	x := receive("1", 5)
	first := mustPost(t, p, x, event.Posted, "")
	calls := b.erp.Counters()["calls_find"]
	if second := mustPost(t, p, x, event.Posted, ""); second != first {
		t.Errorf("another result: %+v", second)
	}
	if again := b.erp.Counters()["calls_find"]; again != calls {
		t.Errorf("%d more look-ups", again-calls)
	}
}

// fake is an ERP under a fake clock.
type fake struct {
	mu    sync.Mutex
	up    bool
	calls int
	docs  map[string]erp.Document
}

func (f *fake) call() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	if !f.up {
		return erp.Outage(erp.CodeUnreachable, 0, errors.New("down"))
	}
	return nil
}

func (f *fake) Find(_ context.Context, ref string) (erp.Document, bool, error) {
	if err := f.call(); err != nil {
		return erp.Document{}, false, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	d, ok := f.docs[ref]
	return d, ok, nil
}

func (f *fake) FindBusiness(context.Context, erp.Request) ([]erp.Document, error) {
	return nil, f.call()
}
func (f *fake) Adopt(context.Context, erp.Document, string) error { return f.call() }
func (f *fake) Create(_ context.Context, r erp.Request) (erp.Document, error) {
	d := erp.Document{Handle: r.Ref, Number: "N", State: erp.Done, Lines: r.Lines}
	if err := f.call(); err != nil {
		return d, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.docs[r.Ref] = d
	return d, nil
}

func (f *fake) Finish(_ context.Context, d erp.Document) (erp.Document, error) { return d, f.call() }

// An ERP that is down for two hours loses nothing, keeps the order, and is not
// hammered.
func TestDownForTwoHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{docs: map[string]erp.Document{}}
		cfg := DefaultConfig()
		e := mainERP()
		p := posterOn(t, &e, f, &cfg)
		done := make(chan event.PostingResult, 1)
		go func() {
			r, err := p.post(t.Context(), receive("1", 1))
			if err != nil {
				t.Error(err)
			}
			done <- r
		}()
		time.Sleep(2 * time.Hour)
		f.mu.Lock()
		calls := f.calls
		f.up = true
		f.mu.Unlock()
		if calls < 60 || calls > 300 {
			t.Errorf("%d calls in two hours", calls)
		}
		time.Sleep(2 * time.Minute)
		select {
		case r := <-done:
			if r.Status != event.Posted {
				t.Errorf("got %+v", r)
			}
		default:
			t.Error("not posted two minutes after the ERP is back")
		}
	})
}

func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPace(5, time.Now)
		start := time.Now()
		var wg sync.WaitGroup
		for range 51 {
			wg.Go(func() {
				if err := p.wait(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("51 calls at 5 a second took %s", took)
		}
		time.Sleep(time.Hour) // what was not used is not saved up
		start = time.Now()
		for range 6 {
			if err := p.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(start); took != time.Second {
			t.Errorf("6 calls after a pause took %s", took)
		}
	})
}

// The policy's throttle counts calls, of which a document takes several.
func TestThrottleCountsCalls(t *testing.T) {
	b := newBench(t, simulate.ERPOptions{})
	b.policy.Throttle = policy.Throttle{PerSecond: 100, Concurrent: 8}
	p := b.restart(t)
	start := time.Now()
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			if r, err := p.post(t.Context(), receive(fmt.Sprint(i), 1)); err != nil || r.Status != event.Posted {
				t.Errorf("posting %d: %+v, %v", i, r, err)
			}
		})
	}
	wg.Wait()
	calls := 0
	for what, n := range b.erp.Counters() {
		if strings.HasPrefix(what, "calls_") {
			calls += n
		}
	}
	if least := time.Duration(calls-1) * 10 * time.Millisecond; time.Since(start) < least {
		t.Errorf("%d calls took %s, want at least %s", calls, time.Since(start), least)
	}
}

func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		n      int
		jitter float64
		want   time.Duration
	}{
		{1, 0, time.Second},
		{2, 0, 2 * time.Second},
		{4, 0, 8 * time.Second},
		{5, 0, 10 * time.Second},
		{1 << 30, 0, 10 * time.Second},
		{2, 1, time.Second},
	} {
		if got := backoff(c.n, time.Second, 10*time.Second, c.jitter); got != c.want {
			t.Errorf("attempt %d, jitter %v: %s, want %s", c.n, c.jitter, got, c.want)
		}
	}
}

// waitFor polls until ok or the test's patience ends.
func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited too long")
		}
	}
}

package channelpublisher

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/simulate"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/channelpublisher/channel"
)

// pub is a publisher and the channel it publishes to.
type pub struct {
	*publisher
	sim     *simulate.Channel
	said    []event.OfferResult // by the reconciler
	offset  int64
	adapter channel.Channel
}

func newPub(t *testing.T) *pub {
	t.Helper()
	sim := simulate.NewChannel(simulate.ChannelOptions{})
	url, stop, err := sim.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	cfg := DefaultConfig()
	cfg.AllowPrivate, cfg.Timeout, cfg.Attempts, cfg.FirstWait, cfg.MostWait = true, 300*time.Millisecond, 3, time.Millisecond, 5*time.Millisecond
	cfg.Getenv = func(string) string { return "" }
	c, err := open(&policy.Channel{Name: "shop", Type: policy.ChannelSimulated, URL: url}, &cfg, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	p := &pub{sim: sim, adapter: c}
	p.restart(t, &cfg)
	return p
}

// restart is a new process: it knows what stands on offer, and nothing else.
func (p *pub) restart(t *testing.T, cfg *Config) {
	t.Helper()
	count, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	codecs := event.TestCodecs()
	b := newBoard(codecs)
	if p.publisher != nil {
		b = p.board
	}
	p.publisher = &publisher{
		name: "shop", channel: p.adapter, board: b, codecs: codecs, budget: newBudget(10_000, time.Now), cfg: cfg,
		now: time.Now, logger: slog.New(slog.DiscardHandler), count: count, parts: map[int32]*shown{},
		produce: func(_ context.Context, recs ...*stream.Record) error {
			p.said = append(p.said, p.results(t, recs)...)
			return nil
		},
	}
}

func (p *pub) results(t *testing.T, recs []*stream.Record) []event.OfferResult {
	t.Helper()
	out := make([]event.OfferResult, len(recs))
	for i, r := range recs {
		if r.Topic != event.TopicConfirmed {
			t.Errorf("a record for %s", r.Topic)
		}
		if err := p.codecs.DecodeOfferResult(r.Value, &out[i]); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// offer makes an offer's record and puts it on the board, as the log would.
func (p *pub) offer(t *testing.T, item string, version, quantity int64) *stream.Record {
	t.Helper()
	o := event.Offer{
		Channel: "shop", Key: inventory.Key{Entity: "acme", Item: inventory.Item(item)}, Listing: "L-" + item,
		Quantity: inventory.Quantity(quantity) * inventory.One, Version: version, PolicyVersion: 1, Day: "2026-11-24",
	}
	rec, err := offerRecord(p.codecs, &o)
	if err != nil {
		t.Fatal(err)
	}
	rec.Offset = p.offset
	p.offset++
	if err := p.board.apply(rec); err != nil {
		t.Fatal(err)
	}
	return rec
}

func (p *pub) publish(t *testing.T, recs ...*stream.Record) []event.OfferResult {
	t.Helper()
	out, err := p.batch(t.Context(), recs)
	if err != nil {
		t.Fatal(err)
	}
	return p.results(t, out)
}

func (p *pub) reconciled(t *testing.T) []event.OfferResult {
	t.Helper()
	p.said = nil
	if err := p.reconcile(t.Context(), event.TopicOffers, 0); err != nil {
		t.Fatal(err)
	}
	return p.said
}

func (p *pub) shows(t *testing.T, item, want string) {
	t.Helper()
	if v, _ := p.sim.Value("L-" + item); v.Quantity != want {
		t.Errorf("%s shows %q, want %q", item, v.Quantity, want)
	}
}

// one checks that exactly one result came, and returns it.
func one(t *testing.T, rs []event.OfferResult, status, code string) event.OfferResult {
	t.Helper()
	if len(rs) != 1 || rs[0].Status != status || rs[0].Code != code {
		t.Fatalf("results %+v, want one %s %s", rs, status, code)
	}
	return rs[0]
}

func TestTheLatestWinsAndZeroGoesFirst(t *testing.T) {
	p := newPub(t)
	p.cfg.Concurrent = 1
	p.publish(t,
		p.offer(t, "A", 1, 9), p.offer(t, "B", 1, 5), p.offer(t, "C", 1, 3), p.offer(t, "A", 2, 8), p.offer(t, "D", 1, 0), p.offer(t, "B", 2, 1))
	var order []string
	for _, c := range p.sim.Calls() {
		order = append(order, c.Listing+"="+c.Quantity)
	}
	if want := []string{"L-D=0", "L-B=1", "L-C=3", "L-A=8"}; !slices.Equal(order, want) {
		t.Errorf("calls %v, want %v", order, want)
	}
}

// TestAnOlderOfferNeverOverwritesANewer, whoever sends it: a repeat of the log, a
// log that holds a newer one already, or a process that has lost its partition.
func TestAnOlderOfferNeverOverwritesANewer(t *testing.T) {
	p := newPub(t)
	old := p.offer(t, "A", 1, 9)
	newer := p.offer(t, "A", 2, 4)
	r := one(t, p.publish(t, old), event.Confirmed, "") // the board knows better
	if r.Version != 2 || r.Quantity != 4*inventory.One {
		t.Errorf("result %+v", r)
	}
	p.publish(t, newer)
	p.shows(t, "A", "4")
	if n := len(p.sim.Calls()); n != 1 {
		t.Errorf("%d calls, want 1: %+v", n, p.sim.Calls())
	}

	zombie := &pub{sim: p.sim, adapter: p.adapter}
	zombie.restart(t, p.cfg)
	r = one(t, zombie.publish(t, zombie.offer(t, "A", 1, 9)), event.Refused, codeStale)
	if r.Seen != 4*inventory.One {
		t.Errorf("seen %s", r.Seen)
	}
	p.shows(t, "A", "4")
	if rs := zombie.reconciled(t); len(rs) != 0 {
		t.Errorf("it says so again: %+v", rs)
	}
}

// TestWhateverTheChannelAnswersWhatItShowsDecides.
func TestWhateverTheChannelAnswersWhatItShowsDecides(t *testing.T) {
	tests := map[string]struct {
		set    []simulate.ChannelFault
		read   []simulate.ChannelFault
		status string
		code   string
		calls  int
	}{
		"well":                  {nil, nil, event.Confirmed, "", 1},
		"timeout after success": {[]simulate.ChannelFault{simulate.ChannelHang}, nil, event.Confirmed, "", 1},
		"500 after success":     {[]simulate.ChannelFault{simulate.ChannelErrorAfter}, nil, event.Confirmed, "", 1},
		"dropped after success": {[]simulate.ChannelFault{simulate.ChannelDropAfter}, nil, event.Confirmed, "", 1},
		"500 before":            {[]simulate.ChannelFault{simulate.ChannelErrorBefore}, nil, event.Confirmed, "", 2},
		"429 then well":         {[]simulate.ChannelFault{simulate.ChannelThrottle}, nil, event.Confirmed, "", 2},
		"refused":               {[]simulate.ChannelFault{simulate.ChannelRefuse}, nil, event.Refused, "not_for_sale", 1},
		"down": {
			[]simulate.ChannelFault{simulate.ChannelUnavailable, simulate.ChannelUnavailable, simulate.ChannelUnavailable},
			nil,
			event.Unconfirmed, codeUnreachable, 3,
		},
		"throttled throughout": {
			[]simulate.ChannelFault{simulate.ChannelThrottle, simulate.ChannelThrottle, simulate.ChannelThrottle},
			nil,
			event.Unconfirmed, codeThrottled, 3,
		},
		"accepted, not shown": {[]simulate.ChannelFault{simulate.ChannelLag, simulate.ChannelLag, simulate.ChannelLag}, nil, event.Unconfirmed, codeNotShown, 3},
		"the reading fails once": {
			nil, []simulate.ChannelFault{simulate.ChannelErrorBefore}, event.Confirmed, "", 2,
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPub(t)
			p.sim.Fail(simulate.ChannelSet, tt.set...)
			p.sim.Fail(simulate.ChannelRead, tt.read...)
			r := one(t, p.publish(t, p.offer(t, "A", 1, 5)), tt.status, tt.code)
			if r.Version != 1 || r.Quantity != 5*inventory.One || r.Channel != "shop" || r.Key.Item != "A" {
				t.Errorf("result %+v", r)
			}
			if n := p.sim.Counters()["calls_set"]; n != tt.calls {
				t.Errorf("%d set calls, want %d", n, tt.calls)
			}
			if tt.status == event.Confirmed {
				p.shows(t, "A", "5")
			}
		})
	}
}

// TestAValueChangedByHandIsPutRight, by the process that set it and by one that
// has just started.
// TestOffersOfOneMark: an override ended, or a second midnight came. The later one
// is published, whoever comes first, and nobody is blamed for the one before.
func TestOffersOfOneMark(t *testing.T) {
	p := newPub(t)
	offer := func(quantity int64, at inventory.Instant) *stream.Record {
		t.Helper()
		o := event.Offer{
			Channel: "shop", Key: inventory.Key{Entity: "acme", Item: "A"}, Listing: "L-A", Quantity: inventory.Quantity(quantity) * inventory.One,
			Version: 3, PolicyVersion: 1, Day: "2026-11-24", At: at,
		}
		rec, err := offerRecord(p.codecs, &o)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.board.apply(rec); err != nil {
			t.Fatal(err)
		}
		return rec
	}
	p.publish(t, offer(9, 1))
	stopped := offer(0, 2)
	if r := one(t, p.reconciled(t), event.Confirmed, ""); r.Quantity != 0 {
		t.Errorf("%+v", r)
	}
	p.shows(t, "A", "0")
	again := offer(9, 3)
	one(t, p.publish(t, stopped), event.Confirmed, "")
	p.shows(t, "A", "9") // the log holds a later one already
	if n := len(p.sim.Calls()); n != 3 {
		t.Errorf("%d calls", n)
	}
	one(t, p.publish(t, again), event.Confirmed, "")
	ids := map[string]bool{}
	for _, rec := range []*stream.Record{offer(9, 1), stopped, again} {
		for _, h := range rec.Headers {
			if h.Key == "ce_id" {
				ids[string(h.Value)] = true
			}
		}
	}
	if len(ids) != 3 {
		t.Errorf("three offers have the ids %v", ids)
	}
}

func TestAValueChangedByHandIsPutRight(t *testing.T) {
	for _, restarted := range []bool{false, true} {
		p := newPub(t)
		p.publish(t, p.offer(t, "A", 1, 5), p.offer(t, "B", 1, 6))
		if rs := p.reconciled(t); len(rs) != 0 {
			t.Fatalf("nothing was wrong: %+v", rs)
		}
		p.sim.SetByHand("L-A", 77*inventory.One)
		if restarted {
			p.restart(t, p.cfg)
		}
		var corrected []event.OfferResult
		for _, r := range p.reconciled(t) {
			if r.Status == event.Corrected {
				corrected = append(corrected, r)
			} else if !restarted || r.Status != event.Confirmed {
				t.Errorf("restarted %v: %+v", restarted, r)
			}
		}
		r := one(t, corrected, event.Corrected, codeChanged)
		if r.Seen != 77*inventory.One || r.Quantity != 5*inventory.One {
			t.Errorf("result %+v", r)
		}
		p.shows(t, "A", "5")
		p.shows(t, "B", "6")
		if rs := p.reconciled(t); len(rs) != 0 {
			t.Errorf("restarted %v: it says so again: %+v", restarted, rs)
		}
	}
}

// TestUnconfirmedIsNotDone: what was accepted and not shown is looked at again
// until it is (Invariant 7).
func TestUnconfirmedIsNotDone(t *testing.T) {
	p := newPub(t)
	p.sim.Fail(simulate.ChannelSet, simulate.ChannelLag, simulate.ChannelLag, simulate.ChannelLag)
	one(t, p.publish(t, p.offer(t, "A", 1, 5)), event.Unconfirmed, codeNotShown)
	p.sim.ShowHidden()
	one(t, p.reconciled(t), event.Confirmed, "")
	if rs := p.reconciled(t); len(rs) != 0 {
		t.Errorf("it says so again: %+v", rs)
	}

	p.sim.Down(true)
	one(t, p.publish(t, p.offer(t, "A", 2, 3)), event.Unconfirmed, codeUnreachable)
	if rs := p.reconciled(t); len(rs) != 0 {
		t.Errorf("a channel that is down says %+v", rs)
	}
	p.sim.Down(false)
	one(t, p.reconciled(t), event.Confirmed, "")
	p.shows(t, "A", "3")
}

// TestARepeatedBatchSaysItAgain: its results may not have been acked.
func TestARepeatedBatchSaysItAgain(t *testing.T) {
	p := newPub(t)
	rec := p.offer(t, "A", 1, 5)
	one(t, p.publish(t, rec), event.Confirmed, "")
	one(t, p.publish(t, rec), event.Confirmed, "")
	if n := len(p.sim.Calls()); n != 1 {
		t.Errorf("%d calls, want 1", n)
	}
}

func TestUnreadableOffersAreRejected(t *testing.T) {
	p := newPub(t)
	good := p.offer(t, "A", 1, 5)
	for _, rec := range []*stream.Record{{Key: good.Key, Value: []byte("junk")}, {Key: []byte("shop|acme|B"), Value: good.Value}} {
		var no *stream.Rejection
		if _, err := p.batch(t.Context(), []*stream.Record{rec}); !asRejection(err, &no) {
			t.Errorf("got %v, want a rejection", err)
		}
	}
	other := &publisher{name: "other", codecs: p.codecs, parts: map[int32]*shown{}}
	if out, err := other.batch(t.Context(), []*stream.Record{good}); err != nil || len(out) != 0 {
		t.Errorf("another channel's offer: %v, %v", out, err)
	}
}

func asRejection(err error, into **stream.Rejection) bool { return errors.As(err, into) }

// TestBudget: calls keep their distance, and a pause the channel asked for holds.
func TestBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBudget(10, time.Now)
		began := time.Now()
		for range 31 {
			if err := b.wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		// Eleven at once (a second's worth, and the one due), then one each 100 ms.
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("31 calls took %s, want 2 s", took)
		}
		b.hold(5 * time.Second)
		began = time.Now()
		if err := b.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("held for %s, want 5 s", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		b.hold(time.Hour)
		if err := b.wait(ctx); err == nil {
			t.Error("waits on although nobody waits for it")
		}
	})
}

func TestConfig(t *testing.T) {
	c := DefaultConfig()
	if err := c.Validate(); err != nil {
		t.Fatalf("the default is not valid: %v", err)
	}
	c = Config{Channels: map[string]ChannelConfig{"shop": {PerSecond: -1}}}
	err := c.Validate()
	for _, want := range []string{"group", "timeout", "attempts", "first_wait", "concurrent", "per_second", "reconcile_every", "check_every", "max_records", "channels.shop"} {
		if err == nil || !strings.Contains(err.Error(), "channel_publisher."+want) {
			t.Errorf("%v does not name %s", err, want)
		}
	}
}

// TestEveryAdapterOpens: each type a policy may name has an adapter, and errors
// name the channel.
func TestEveryAdapterOpens(t *testing.T) {
	cfg := DefaultConfig()
	env := map[string]string{"SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "URL": "https://shop.example/hook"}
	cfg.Getenv = func(name string) string { return env[name] }
	for _, typ := range []string{policy.ChannelSimulated, policy.ChannelWebhook} {
		if _, err := open(&policy.Channel{Name: "shop", Type: typ, URLEnv: "URL", SecretEnv: "SECRET"}, &cfg, time.Now); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
		if _, err := open(&policy.Channel{Name: "shop", Type: typ, URLEnv: "URL", SecretEnv: "NONE"}, &cfg, time.Now); err == nil || !strings.Contains(err.Error(), "channel shop") {
			t.Errorf("%s without its secret: %v", typ, err)
		}
	}
	if _, err := open(&policy.Channel{Name: "shop", Type: "fax"}, &cfg, time.Now); err == nil {
		t.Error("a fax was opened")
	}
}

// TestEveryAdapterHasItsPaper: a folder with a README that shows a configuration.
func TestEveryAdapterHasItsPaper(t *testing.T) {
	for name := range adapters() {
		b, err := os.ReadFile(filepath.Join("channel", name, "README.md"))
		if err != nil {
			t.Error(err)
		}
		if !strings.Contains(string(b), "type: "+name) {
			t.Errorf("the README of %s shows no configuration", name)
		}
	}
}

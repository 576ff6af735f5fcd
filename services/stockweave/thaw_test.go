package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/explain"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/atp"
)

// lone is the ledger alone, on an embedded log, with commands at hand.
type lone struct {
	t *testing.T
	console
	cluster *kfake.Cluster
	cfg     *Config
	codecs  *event.Codecs
	prod    *stream.Producer
}

var loneKey = inventory.Key{Entity: "acme", Item: "SKU-1"}

// newLone is a ledger that keeps so many events of a key aside.
func newLone(t *testing.T, parked int32) *lone {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	registry := srfake.New()
	t.Cleanup(registry.Close)
	l := &lone{t: t, cluster: cluster, cfg: defaultConfig()}
	l.cfg.Kafka.Brokers, l.cfg.Kafka.Instance, l.cfg.Kafka.Log = cluster.ListenAddrs(), "0", slog.New(slog.DiscardHandler)
	l.console = consoleOf(t, cluster.ListenAddrs(), nil)
	if _, err := applyTopics(t.Context(), l.cfg.Kafka, &registryConfig{URL: registry.URL()}, topicsConfig{ReplicationFactor: 1}); err != nil {
		t.Fatal(err)
	}
	if l.codecs, err = loadCodecs(t.Context(), l.cfg.Kafka); err != nil {
		t.Fatal(err)
	}
	if l.prod, err = stream.NewProducer(l.cfg.Kafka); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.prod.Close)
	p := inventory.Policy{Version: 7, Limits: inventory.LimitPolicy{Parked: parked, Window: 10 * 365 * 24 * 3_600_000}}
	p.Counts.Sources = []inventory.CountSource{{Source: "erp", Guard: inventory.CountGuard{Absolute: inventory.One}}}
	content, hash, err := policy.EncodeLedger(p)
	if err != nil {
		t.Fatal(err)
	}
	value, err := l.codecs.AppendPolicy(nil, &event.PolicyContent{Name: policy.LedgerName, Version: 7, Hash: hash, Content: content, At: 1})
	if err != nil {
		t.Fatal(err)
	}
	l.produce(&stream.Record{Topic: event.TopicPolicies, Key: []byte("ledger@7"), Value: value})
	byNumber, err := stream.NewProducer(l.cfg.Kafka, stream.WithOwnPartition())
	if err != nil {
		t.Fatal(err)
	}
	defer byNumber.Close()
	for part := range int32(6) {
		rec, err := controlRecord(l.codecs, &policy.Set{Ledger: p, LedgerHash: hash}, part, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := byNumber.Produce(t.Context(), rec); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func (l *lone) produce(rec *stream.Record) {
	l.t.Helper()
	if err := l.prod.Produce(l.t.Context(), rec); err != nil {
		l.t.Fatal(err)
	}
}

// record is that of an event.
func (l *lone) record(ev inventory.Event) *stream.Record {
	value, err := l.codecs.AppendEvent(nil, &ev)
	if err != nil {
		l.t.Error(err)
	}
	return &stream.Record{Topic: event.TopicEvents, Key: []byte(ev.Key.String()), Value: value}
}

// start runs the service until stop is called.
func (l *lone) start() (stop func()) { return l.startTight(event.MaxBatch(event.TopicOutcomes)) }

// startTight is start with a limit of what the log takes of an outcome, in bytes.
func (l *lone) startTight(limit int32) (stop func()) {
	l.t.Helper()
	cfg := atp.DefaultConfig()
	cfg.Kafka, cfg.Codecs = l.cfg.Kafka, l.codecs
	cfg.Kafka.MaxBatch = func(topic string) int32 {
		if topic == event.TopicOutcomes {
			return limit
		}
		return event.MaxBatch(topic)
	}
	cfg.Kafka.Metrics = prometheus.NewRegistry()
	tasks, err := atp.Build(l.t.Context(), cfg, service.Env{Name: "atp", Log: cfg.Kafka.Log, Health: &service.Health{}, Now: time.Now})
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx, tasks...) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
	}
}

// send appends events and returns the offset of the last.
func (l *lone) send(evs ...inventory.Event) (offset int64) {
	l.t.Helper()
	for i := range evs {
		rec := l.record(evs[i])
		l.produce(rec)
		offset = rec.Offset
	}
	return offset
}

// settled waits until the ledger has decided every event of the key's partition.
func (l *lone) settled() {
	l.t.Helper()
	reads := l.reads()
	defer reads.Close()
	part := stream.Partition([]byte(loneKey.String()), 6)
	end, err := reads.HighWatermark(l.t.Context(), event.TopicEvents, part)
	if err != nil {
		l.t.Fatal(err)
	}
	s := word{cfg: l.cfg, reads: reads, partition: part, wait: 20 * time.Second}
	if err := s.decided(l.t.Context(), end-1); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lone) reads() *stream.RestoreReads {
	l.t.Helper()
	reads, err := stream.NewRestoreReads(l.cfg.Kafka)
	if err != nil {
		l.t.Fatal(err)
	}
	return reads
}

// command runs one and demands its exit code and a part of what it prints.
func (l *lone) command(code int, say string, args ...string) string {
	l.t.Helper()
	var out bytes.Buffer
	if got := l.run(l.t.Context(), args, &out, &out); got != code || !strings.Contains(out.String(), say) {
		l.t.Fatalf("%v: exit %d, want %d and %q:\n%s", args, got, code, say, out.String())
	}
	return out.String()
}

// figures are what the world may know of the item.
func (l *lone) figures() string {
	l.t.Helper()
	ps, err := explain.Positions(l.t.Context(), l.cfg.Kafka, l.codecs, loneKey)
	if err != nil {
		l.t.Fatal(err)
	}
	var b strings.Builder
	for _, p := range ps {
		fmt.Fprintln(&b, p.Location, p.States, p.Reserved, p.Supply, p.ParkedOut, p.Frozen, p.SafetyStock)
	}
	return b.String()
}

func loneEvent(kind inventory.Kind, number string) inventory.Event {
	doc := inventory.Document{Type: string(kind), Number: number}
	return inventory.Event{
		ID: event.EventID("wms", doc), Kind: kind, Key: loneKey, Source: "wms", Document: doc,
		OccurredAt: 1_790_000_000_000, OccurredBasis: inventory.BasisDocument, ReceivedAt: 1_790_000_000_000,
	}
}

func loneReceipt(number string, q inventory.Quantity) inventory.Event {
	ev := loneEvent(inventory.KindMovement, number)
	ev.Movement = &inventory.Movement{Type: inventory.Receipt, Location: "DC1", Quantity: q}
	return ev
}

// loneReversal is of a receipt that may not have come yet.
func loneReversal(number, of string) inventory.Event {
	ev := loneEvent(inventory.KindMovement, number)
	ev.Movement = &inventory.Movement{
		Type: inventory.Reversal, Location: "DC1", FromState: inventory.OnHand, ToState: inventory.Supplier, Quantity: inventory.One,
		Reverses: loneReceipt(of, 0).ID,
	}
	return ev
}

func loneRequest(number string, action inventory.Action) inventory.Event {
	ev := loneEvent(inventory.KindReservation, number)
	ev.Reservation = &inventory.Reservation{ID: "r0", Action: action, Partner: "web", ReplyTo: -1}
	if action == inventory.Try {
		ev.Reservation.ExpiresAt = inventory.Instant(time.Now().Add(time.Minute).UnixMilli())
		ev.Reservation.Lines = []inventory.ReservationLine{{Line: "1", Location: "DC1", Quantity: 2 * inventory.One}}
	}
	return ev
}

// A key that froze because too much waited is listed, decided, and released, while
// events go on coming in; its figures are then those of a ledger that never froze.
func TestThawedKeyIsAsOneThatNeverFroze(t *testing.T) {
	t.Parallel()
	const many, meanwhile = maxCopies + 20, 400
	one := inventory.One
	item := loneKey.String()
	play := func(parked int32) string {
		l := newLone(t, parked)
		defer l.start()()
		l.command(exitFailed, "no such item", "parked", item)
		l.send(loneReceipt("R0", 10*one), loneRequest("T", inventory.Try), loneReversal("V1", "R1"))
		froze := l.send(loneReversal("V2", "R2"))
		l.send(loneReceipt("R3", 5*one), loneReceipt("R3", 5*one), loneRequest("C", inventory.Confirm))
		for n := range many { // more than one round copies
			l.send(loneReceipt(fmt.Sprint("R4-", n), one))
		}
		l.settled()
		frozen := parked == 1
		if frozen {
			l.whileFrozen(froze, 4+many)
		}
		l.command(exitOK, "movement: applied", "approve", loneReversal("V1", "").ID, "--item", item, "--apply", "--author", "ann", "--note", "checked")
		stop, done := make(chan struct{}), make(chan int)
		go func() { // the world goes on
			n := 0
			for {
				var next <-chan time.Time
				if n < meanwhile {
					next = time.After(time.Millisecond)
				}
				select {
				case <-stop:
					done <- n
					return
				case <-next:
					if err := l.prod.Produce(t.Context(), l.record(loneReceipt(fmt.Sprint("M", n), one))); err != nil {
						t.Error(err)
					}
					n++
				}
			}
		}()
		if frozen {
			out := l.command(exitOK, "takes events again", "thaw", "acme/SKU-1", "--author", "ann")
			if !strings.Contains(out, "round 1: 500 copies, more to copy") || !strings.Contains(out, "unfreeze applied") {
				t.Errorf("thaw told\n%s", out)
			}
		}
		close(stop)
		came := <-done
		for n := came; n < meanwhile; n++ { // as many in either ledger
			l.send(loneReceipt(fmt.Sprint("M", n), one))
		}
		l.settled()
		out := l.command(exitOK, "1 parked, 0 held, 0 keys frozen", "parked")
		if !strings.Contains(out, loneReversal("V2", "").ID) {
			t.Errorf("what waits still is not listed:\n%s", out)
		}
		l.command(exitOK, "all that was checked is right", "audit", "--redis=false")
		l.command(exitMisuse, "is not frozen", "thaw", item, "--author", "ann")
		return l.figures()
	}
	if never, once := play(1000), play(1); once != never {
		t.Errorf("thawed:\n%s\nnever frozen:\n%s", once, never)
	}
}

// whileFrozen looks at the key as it froze, and finds no way past what is too much.
func (l *lone) whileFrozen(froze, missed int64) {
	l.t.Helper()
	out := l.command(exitOK, "", "parked", loneKey.String(), "--json")
	var x parkedKey
	if err := json.Unmarshal([]byte(out), &x); err != nil {
		l.t.Fatal(err, out)
	}
	if x.Key != loneKey.String() || x.Frozen == nil || x.Frozen.Offset != froze || x.Frozen.NotTaken != missed || x.Frozen.Why != "parked_full" ||
		len(x.Events) != 1 || x.Events[0].Event != loneReversal("V1", "").ID || x.Events[0].State != "parked" || x.Events[0].Why != "unknown_reversal" ||
		x.Events[0].Offset != froze-1 || x.Events[0].Document != "movement V1" || x.Frozen.Since == "-" || x.Events[0].Since == "-" {
		l.t.Errorf("listed %+v %+v", x, x.Frozen)
	}
	out = l.command(exitOK, "1 parked, 0 held, 1 keys frozen", "parked")
	if !slices.ContainsFunc(strings.Split(out, "\n"), func(s string) bool {
		return strings.HasPrefix(s, "acme|SKU-1  frozen  parked_full") && strings.HasSuffix(s, fmt.Sprint(missed, " events are not taken"))
	}) {
		l.t.Errorf("listed\n%s", out)
	}
	for range 2 { // the same from wherever it begins
		l.command(exitFailed, fmt.Sprintf("too much still (parked_full), and %d are not taken", missed), "thaw", loneKey.String(), "--author", "ann")
	}
}

// What retention took of a frozen key is not passed over: it is given up by name.
func TestThawOfEventsThatAreGone(t *testing.T) {
	t.Parallel()
	l := newLone(t, 1)
	defer l.start()()
	item := loneKey.String()
	l.send(loneReceipt("R0", inventory.One), loneReversal("V1", "R1"))
	froze := l.send(loneReversal("V2", "R2"))
	last := l.send(loneReceipt("R3", inventory.One), loneReceipt("R4", inventory.One))
	l.settled()
	out := l.command(exitOK, "rejected dropped", "approve", loneReversal("V1", "").ID, "--item", item, "--drop", "--author", "ann", "--note", "a mistake")
	if !strings.Contains(out, "dropped by ann: a mistake") {
		t.Errorf("author and note are not in the outcome:\n%s", out)
	}
	part := stream.Partition([]byte(item), 6)
	if err := l.cluster.DeleteRecords(event.TopicEvents, part, froze+1); err != nil {
		t.Fatal(err)
	}
	l.command(exitFailed, "1 of the 3 events it has not taken are gone", "thaw", item, "--author", "ann")
	if err := l.cluster.DeleteRecords(event.TopicEvents, part, last); err != nil {
		t.Fatal(err)
	}
	l.command(exitFailed, "2 of the 3 events it has not taken are gone", "thaw", item, "--author", "ann")
	l.command(exitOK, "events given up: 3", "thaw", item, "--author", "ann", "--drop")
	l.command(exitOK, "0 parked, 0 held, 0 keys frozen", "parked", item)
	l.send(loneReceipt("R5", 4*inventory.One))
	l.settled()
	if f := l.figures(); f != fmt.Sprintf("DC1 [%s 0 0 0 0 0] [] [] 0 false 0\n", 5*inventory.One) {
		t.Errorf("figures %s", f)
	}
}

// A key that an event froze which no transaction could hold stays so until one can, and
// the log is right at every step.
func TestThawOfAnOversizeEvent(t *testing.T) {
	t.Parallel()
	l := newLone(t, 10)
	item := loneKey.String()
	big := loneReceipt("R1", 5*inventory.One)
	for i := range 30 {
		big.Attributes = append(big.Attributes, inventory.Attribute{Name: fmt.Sprint("note", i), Value: rand.Text() + strings.Repeat(rand.Text(), 20)})
	}
	stop := l.startTight(4000)
	l.send(loneReceipt("R0", inventory.One), big, loneReceipt("R2", inventory.One))
	l.settled()
	out := l.command(exitOK, "0 parked, 0 held, 1 keys frozen", "parked", item)
	if !strings.Contains(out, "frozen  oversize") || !strings.Contains(out, "2 events are not taken") {
		t.Errorf("listed\n%s", out)
	}
	l.command(exitOK, "0 dead letters", "audit", "--redis=false")
	l.command(exitFailed, "too much still (oversize), and 2 are not taken", "thaw", item, "--author", "ann")
	l.command(exitOK, "all that was checked is right", "audit", "--redis=false")
	stop()
	defer l.start()()
	l.command(exitOK, "round 1: 2 copies, unfreeze applied", "thaw", item, "--author", "ann")
	l.wantCopies(4)
	l.command(exitOK, "all that was checked is right", "audit", "--redis=false")
	if f := l.figures(); f != fmt.Sprintf("DC1 [%s 0 0 0 0 0] [] [] 0 false 0\n", 7*inventory.One) {
		t.Errorf("figures %s", f)
	}
}

// An event whose freeze no transaction could hold went to the dead letters, which is its
// one outcome: it is named and not copied.
func TestThawLeavesDeadLetters(t *testing.T) {
	t.Parallel()
	l := newLone(t, 10)
	item := loneKey.String()
	big, dead := loneReceipt("R1", 5*inventory.One), loneReceipt("R2", 100*inventory.One)
	for i := range 30 {
		big.Attributes = append(big.Attributes, inventory.Attribute{Name: fmt.Sprint("note", i), Value: rand.Text() + strings.Repeat(rand.Text(), 20)})
	}
	for range 16 { // these are in its outcome, whatever else is left out
		dead.Refs = append(dead.Refs, inventory.Ref{Issuer: "erp", Type: "shipment", Number: strings.Repeat(rand.Text(), 2) + rand.Text() + rand.Text() + rand.Text() + rand.Text() + rand.Text() + rand.Text() + rand.Text()})
	}
	stop := l.startTight(4000)
	l.send(loneReceipt("R0", inventory.One), big)
	offset := l.send(dead)
	l.send(loneReceipt("R3", inventory.One))
	l.settled()
	l.command(exitOK, "2 events are not taken", "parked", item)
	l.command(exitOK, "1 dead letters", "audit", "--redis=false")
	stop()
	defer l.start()()
	out := l.command(exitOK, "round 1: 2 copies, unfreeze applied", "thaw", item, "--author", "ann")
	if !strings.Contains(out, fmt.Sprintf("offset %d is not copied: it went to the dead letters (diverted, ", offset)) {
		t.Errorf("told\n%s", out)
	}
	l.wantCopies(2)
	l.command(exitOK, "all that was checked is right", "audit", "--redis=false")
	if f := l.figures(); f != fmt.Sprintf("DC1 [%s 0 0 0 0 0] [] [] 0 false 0\n", 7*inventory.One) {
		t.Errorf("figures %s", f)
	}
}

// A letter is of the event that it names by place and ledger time, whenever the letter
// was written: its writer has a clock of its own, and began before the event came.
func TestThawKnowsALetterByItsEvent(t *testing.T) {
	l := newLone(t, 10)
	reads := l.reads()
	defer reads.Close()
	for name, tc := range map[string]struct {
		change func(*event.DeadLetter)
		dead   bool
	}{
		"of the event":         {func(*event.DeadLetter) {}, true},
		"without its value":    {func(d *event.DeadLetter) { d.Value = nil }, true},
		"of a log before":      {func(d *event.DeadLetter) { d.At -= 3_600_000 }, false},
		"of another event":     {func(d *event.DeadLetter) { d.Value = []byte("x") }, false},
		"of another offset":    {func(d *event.DeadLetter) { d.Offset++ }, false},
		"of another partition": {func(d *event.DeadLetter) { d.Partition++ }, false},
		"of another topic":     {func(d *event.DeadLetter) { d.Topic = event.TopicSnapshots }, false},
	} {
		t.Run(name, func(t *testing.T) {
			rec := l.record(loneReceipt(name, inventory.One))
			l.produce(rec)
			var of *stream.Record // as it is read: the log gives it its time
			if err := reads.Each(t.Context(), event.TopicEvents, rec.Partition, rec.Offset, rec.Offset+1, func(r *stream.Record) error {
				of = &stream.Record{Key: r.Key, Value: r.Value, Offset: r.Offset, Partition: r.Partition, Timestamp: r.Timestamp}
				return nil
			}); err != nil || of == nil {
				t.Fatal(of, err)
			}
			d := event.DeadLetter{
				ID: "l", Service: "atp", Code: "diverted", Topic: event.TopicEvents, Partition: rec.Partition, Offset: rec.Offset,
				Key: of.Key, Value: of.Value, At: inventory.Instant(of.Timestamp.UnixMilli()),
			}
			tc.change(&d)
			value, err := l.codecs.AppendDeadLetter(nil, &d)
			if err != nil {
				t.Fatal(err)
			}
			l.produce(&stream.Record{Topic: event.TopicDeadATP, Key: of.Key, Value: value, Timestamp: of.Timestamp.Add(-time.Minute)})
			w := &thaw{word: &word{cfg: l.cfg, codecs: l.codecs, reads: reads, key: loneKey, partition: rec.Partition}, state: asideReader{only: loneKey.String()}}
			if err := w.buried(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := w.isDead(of); got != tc.dead {
				t.Errorf("dead %v, want %v", got, tc.dead)
			}
		})
	}
}

// wantCopies demands so many copies in the log, each of the place and the ledger time
// that its event has.
func (l *lone) wantCopies(want int) {
	l.t.Helper()
	reads := l.reads()
	defer reads.Close()
	had, copies := map[int64]*stream.Record{}, 0
	_, err := reads.Fold(l.t.Context(), event.TopicEvents, stream.Partition([]byte(loneKey.String()), 6), func(rec *stream.Record) error {
		offset, at, ok := event.ParseCopyOf(rec.Headers)
		if had[rec.Offset] = rec; !ok {
			return nil
		}
		copies++
		if of := had[offset]; of == nil || of.Timestamp.UnixMilli() != int64(at) || !bytes.Equal(of.Value, rec.Value) || !bytes.Equal(of.Key, rec.Key) {
			l.t.Errorf("offset %d is no copy of %d", rec.Offset, offset)
		}
		return nil
	})
	if err != nil || copies != want {
		l.t.Errorf("%d copies, want %d: %v", copies, want, err)
	}
}

// A word is told what became of it: taken, refused, given before, or not come to yet.
func TestApprove(t *testing.T) {
	t.Parallel()
	l := newLone(t, 10)
	item := loneKey.String()
	v1 := loneReversal("V1", "R1")
	stop := l.start()
	l.send(loneReceipt("R0", 10*inventory.One), v1, loneReversal("V2", "R2"))
	l.settled()
	stop()
	drop := []string{"approve", v1.ID, "--item", item, "--drop", "--author", "ann", "--note", "a mistake", "--wait", "50ms"}
	l.command(exitPart, "the word stands in the log", drop...)
	defer l.start()()
	l.settled()
	l.command(exitOK, "0 keys frozen", "parked", item)
	drop = drop[:len(drop)-2]
	for note, want := range map[string]string{"a mistake": "approval: duplicate", "another": "approval: conflict"} {
		drop[len(drop)-1] = note
		if out := l.command(exitOK, "given before", drop...); !strings.Contains(out, want) {
			t.Errorf("told\n%s", out)
		}
	}
	l.command(exitFailed, "not_held", "approve", v1.ID, "--item", item, "--apply", "--author", "ann")
	l.command(exitFailed, "not_held", "approve", loneReversal("V2", "").ID, "--item", "acme/OTHER", "--apply", "--author", "ann")
	count := loneEvent(inventory.KindCount, "C1")
	count.Source = "erp"
	count.Count = &inventory.Count{
		Location: "DC1", Basis: inventory.Physical, AsOf: count.OccurredAt, AsOfBasis: inventory.BasisDocument,
		Covers: []inventory.Account{inventory.OnHand}, Balances: []inventory.StateBalance{{State: inventory.OnHand, Quantity: 30 * inventory.One}},
	}
	l.send(count)
	l.settled()
	out := l.command(exitOK, "1 parked, 1 held, 0 keys frozen", "parked", item)
	if !strings.Contains(out, "held    guard") {
		t.Errorf("told\n%s", out)
	}
	out = l.command(exitOK, "movement: applied", "approve", loneReversal("V2", "").ID, "--item", item, "--apply", "--author", "ann")
	if !strings.Contains(out, "approval: applied") {
		t.Errorf("told\n%s", out)
	}
	l.command(exitOK, "count: applied", "approve", count.ID, "--item", item, "--apply", "--author", "ann")
	if f := l.figures(); f != fmt.Sprintf("DC1 [%s 0 0 0 0 0] [] [] 0 false 0\n", 30*inventory.One) {
		t.Errorf("figures %s", f)
	}
}

// Nobody decides by a slip of the hand.
func TestWordsNeedToBeWhole(t *testing.T) {
	for _, args := range [][]string{
		{"approve"},
		{"approve", "--item", "acme/A", "--drop", "--author", "ann"},
		{"approve", "x", "--drop", "--author", "ann"},
		{"approve", "x", "--item", "A", "--drop", "--author", "ann"},
		{"approve", "x", "--item", "acme/A", "--drop"},
		{"approve", "x", "--item", "acme/A", "--author", "ann"},
		{"approve", "x", "--item", "acme/A", "--author", "ann", "--drop", "--apply"},
		{"approve", "x", "--item", "acme/A", "--author", "ann", "--drop", "--wait", "0s"},
		{"thaw"},
		{"thaw", "acme/A"},
		{"thaw", "A", "--author", "ann"},
		{"parked", "A"},
		{"parked", "acme/A", "more"},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), args, &out, &out); code != exitMisuse {
			t.Errorf("%v: exit %d: %s", args, code, out.String())
		}
	}
}

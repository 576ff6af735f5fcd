package channelpublisher

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/current"
	"github.com/stockweave/stockweave/pkg/policy/heard"
	"github.com/stockweave/stockweave/pkg/stream"
)

// fakeLog is a partition of positions in memory; every commit leaves a marker.
type fakeLog struct {
	mu   sync.Mutex
	end  int64
	recs []*stream.Record
}

func (l *fakeLog) Topic(context.Context, string) (string, int32, error) { return "t1", 1, nil }

func (l *fakeLog) LogStart(context.Context, string, int32) (int64, error) { return 0, nil }

func (l *fakeLog) LastStable(context.Context, string, int32) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end, nil
}

func (l *fakeLog) NextRecord(_ context.Context, _ string, _ int32, from int64) (int64, bool, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.recs {
		if r.Offset >= from {
			return r.Offset, true, nil
		}
	}
	return max(from, l.end), false, nil
}

// position is a record of positions.
func position(t *testing.T, c *event.Codecs, itemName string, l inventory.Location, version, onHand int64, part, parts int32, reserved ...inventory.Bucket) *stream.Record {
	t.Helper()
	p := inventory.Position{
		Key: inventory.Key{Entity: "acme", Item: inventory.Item(itemName)}, Location: l, Version: version, Part: part, Parts: parts,
		RecordedAt: inventory.Instant(1_700_000_000_000 + version), EventID: "e", PolicyVersion: 1, Reserved: reserved,
	}
	p.States[inventory.OnHand] = inventory.Quantity(onHand) * inventory.One
	value, err := c.AppendPosition(nil, &p)
	if err != nil {
		t.Fatal(err)
	}
	return &stream.Record{Topic: event.TopicPositions, Key: []byte(inventory.PositionKey(p.Key, l)), Value: value}
}

func (l *fakeLog) commit(recs ...*stream.Record) []*stream.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range recs {
		r.Offset = l.end
		l.end++
	}
	l.end++
	l.recs = append(l.recs, recs...)
	return recs
}

// stage is an evaluator over a fake log.
type stage struct {
	*evaluator
	flog   *fakeLog
	clock  time.Time
	sent   []event.Offer
	failed error // of the next append
}

func shop() policy.Channel {
	return policy.Channel{
		Name: "shop", Type: policy.ChannelSimulated, Entity: "acme", Locations: []inventory.Location{"DC1", "DC2"},
		Share: 50, Buffer: inventory.One, Cap: 20 * inventory.One, Unit: 2 * inventory.One, Listings: map[inventory.Item]string{"A": "L-1"},
	}
}

func newStage(t *testing.T, channels ...policy.Channel) *stage {
	t.Helper()
	return newStageOf(t, event.TestCodecs(), channels...)
}

func newStageOf(t *testing.T, codecs *event.Codecs, channels ...policy.Channel) *stage {
	t.Helper()
	count, err := newMetrics(nil)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{flog: &fakeLog{}, clock: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)}
	s.evaluator = &evaluator{
		codecs: codecs, log: s.flog, zones: place.New(codecs), board: newBoard(codecs), count: count,
		dead: func(d stream.DeadLetter) (*stream.Record, error) { return deadLetter(codecs, d) },
		now:  func() time.Time { return s.clock }, logger: slog.New(slog.DiscardHandler), parts: map[int32]*partition{},
		produce: func(_ context.Context, recs ...*stream.Record) error {
			if err := s.failed; err != nil {
				s.failed = nil
				return err
			}
			for _, r := range recs {
				var o event.Offer
				if err := codecs.DecodeOffer(r.Value, &o); err != nil {
					return err
				}
				s.sent = append(s.sent, o)
			}
			return nil
		},
	}
	s.promiseBy(t, policy.ATPPolicy{}, channels...)
	return s
}

// promiseBy makes the evaluator promise by a policy, with no kits.
func (s *stage) promiseBy(t *testing.T, a policy.ATPPolicy, channels ...policy.Channel) {
	t.Helper()
	p, err := policy.NewPromises(&a, channels)
	if err != nil {
		t.Fatal(err)
	}
	s.policies = current.New(s.codecs, p, s.logger)
	cfg := heard.Config{Codecs: s.codecs, Policies: s.policies, Now: func() time.Time { return s.clock }, Log: s.logger}
	s.views = heard.NewViews(cfg)
	s.heard, err = heard.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.heard.Covers(time.UnixMilli(0))
	s.kits = &kitParts{codecs: s.codecs, policies: s.policies}
	s.kits.begin(p.Parts())
	s.kits.setLoaded()
}

// hears takes the receipt of a message of a source, which came so long ago.
func (s *stage) hears(t *testing.T, source inventory.Source, ago time.Duration) {
	t.Helper()
	value, err := s.codecs.AppendReceipt(nil, &event.Receipt{RawID: "r", Source: source, At: inventory.Instant(s.clock.Add(-ago).UnixMilli())})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.heard.Apply(&stream.Record{Value: value}); err != nil {
		t.Fatal(err)
	}
}

func (s *stage) begin(t *testing.T) {
	t.Helper()
	if _, err := s.start(t.Context(), event.TopicPositions, 0); err != nil {
		t.Fatal(err)
	}
}

func (s *stage) take1(t *testing.T, recs ...*stream.Record) {
	t.Helper()
	if _, err := s.batch(t.Context(), recs); err != nil {
		t.Fatal(err)
	}
}

func (s *stage) look(t *testing.T) {
	t.Helper()
	if err := s.check(t.Context(), event.TopicPositions, 0); err != nil {
		t.Fatal(err)
	}
}

// wants checks the offers appended since the last call.
func (s *stage) wants(t *testing.T, want ...string) {
	t.Helper()
	var got []string
	for _, o := range s.sent {
		got = append(got, o.Listing+"="+o.Quantity.String())
	}
	s.sent = nil
	if len(got) != len(want) {
		t.Fatalf("offers %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("offers %v, want %v", got, want)
		}
	}
}

// TestOffers follows group → share → buffer → cap → unit.
func TestOffers(t *testing.T) {
	s := newStage(t, shop())
	c := s.codecs
	s.begin(t)
	s.look(t)
	s.wants(t)
	// (17 + 4) × 50 % = 10.5, less 1 = 9.5, in twos: 8. DC3 is of no concern.
	s.take1(t, s.flog.commit(
		position(t, c, "A", "DC1", 1, 17, 1, 3), position(t, c, "A", "DC2", 1, 4, 2, 3), position(t, c, "A", "DC3", 1, 900, 3, 3))...)
	s.wants(t, "L-1=8")
	// Another version, 20 × 50 % - 1 = 9, in twos the same number: nothing to say.
	s.take1(t, s.flog.commit(position(t, c, "A", "DC2", 2, 3, 1, 1))...)
	s.wants(t)
	s.take1(t, s.flog.commit(position(t, c, "A", "DC1", 3, 100, 1, 1))...)
	s.wants(t, "L-1=20") // the cap
	s.take1(t, s.flog.commit(position(t, c, "A", "DC1", 4, 0, 1, 1))...)
	s.wants(t, "L-1=0")
	// An item never seen in the group is not offered; another entity's neither.
	s.take1(t, s.flog.commit(position(t, c, "B", "DC3", 1, 5, 1, 1))...)
	s.wants(t)
	// A replay changes nothing.
	s.take1(t, s.flog.recs...)
	s.wants(t)
}

// TestHalfACommitIsNotOffered: a transfer of 10 is not 10 less for a moment.
func TestHalfACommitIsNotOffered(t *testing.T) {
	ch := shop()
	ch.Share, ch.Buffer, ch.Cap = 100, 0, 0
	s := newStage(t, ch)
	c := s.codecs
	s.begin(t)
	s.look(t)
	s.take1(t, s.flog.commit(position(t, c, "A", "DC1", 1, 20, 1, 2), position(t, c, "A", "DC2", 1, 0, 2, 2))...)
	s.wants(t, "L-1=20")
	both := s.flog.commit(position(t, c, "A", "DC1", 2, 10, 1, 2), position(t, c, "A", "DC2", 2, 10, 2, 2))
	s.take1(t, both[:1]...)
	s.wants(t)
	s.take1(t, both[1:]...)
	s.wants(t)
	// Unless the rest was compacted away.
	part := s.flog.commit(position(t, c, "A", "DC1", 3, 4, 1, 2))
	s.take1(t, part...)
	s.wants(t)
	s.look(t)
	s.wants(t, "L-1=14")
}

// TestNothingIsOfferedBeforeEverythingIsRead: in the middle of the log, stock looks
// like what it was.
func TestNothingIsOfferedBeforeEverythingIsRead(t *testing.T) {
	s := newStage(t, shop())
	c := s.codecs
	for v := int64(1); v <= 200; v++ {
		s.flog.commit(position(t, c, "A", "DC1", v, v, 1, 1))
	}
	s.begin(t)
	s.take1(t, s.flog.recs[:150]...)
	s.look(t)
	s.wants(t)
	s.take1(t, s.flog.recs[150:]...) // the end is a marker that no batch brings
	s.wants(t, "L-1=20")

	// A restart with what stands on offer known says nothing again.
	again := newStage(t, shop())
	again.board, again.flog = s.board, s.flog
	again.log = s.flog
	again.begin(t)
	again.take1(t, s.flog.recs...)
	again.look(t)
	again.wants(t)
}

func TestAFailedAppendIsOfferedAgain(t *testing.T) {
	s := newStage(t, shop())
	s.begin(t)
	s.look(t)
	recs := s.flog.commit(position(t, s.codecs, "A", "DC1", 1, 100, 1, 1))
	s.failed = errors.New("no leader")
	if _, err := s.batch(t.Context(), recs); err == nil {
		t.Fatal("no error")
	}
	s.take1(t, recs...)
	s.wants(t, "L-1=20")
}

// TestANewDayIsEvaluated: a claim for tomorrow is due when tomorrow comes, at the
// location's midnight, without any record.
func TestANewDayIsEvaluated(t *testing.T) {
	ch := shop()
	ch.Share, ch.Buffer, ch.Cap, ch.Unit = 100, 0, 0, 0
	s := newStage(t, ch)
	s.promiseBy(t, policy.ATPPolicy{Horizon: 1}, ch)
	m := event.MasterLocation{Entity: "acme", Location: "DC1", Zone: "America/New_York"}
	value, err := s.codecs.AppendLocation(nil, &m)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.zones.Apply(&stream.Record{Key: []byte("acme|DC1"), Value: value}); err != nil {
		t.Fatal(err)
	}
	s.clock = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	due := inventory.Day(time.Date(2026, 11, 26, 0, 0, 0, 0, time.UTC).Unix() / 86400)
	s.begin(t)
	s.look(t)
	s.take1(t, s.flog.commit(position(t, s.codecs, "A", "DC1", 1, 10, 1, 1, inventory.Bucket{Due: due, Quantity: 3 * inventory.One}))...)
	s.wants(t, "L-1=10") // the 26th is beyond the horizon of one day
	s.clock = time.Date(2026, 11, 25, 2, 0, 0, 0, time.UTC)
	s.look(t)
	s.wants(t) // still the 24th there
	s.clock = time.Date(2026, 11, 25, 6, 0, 0, 0, time.UTC)
	s.look(t)
	s.wants(t, "L-1=7")
}

// TestAZombieDoesNotOffer: somebody else has offered from newer facts.
func TestAZombieDoesNotOffer(t *testing.T) {
	s := newStage(t, shop())
	s.begin(t)
	s.look(t)
	s.board.put("shop|acme|A", event.Offer{Channel: "shop", Key: inventory.Key{Entity: "acme", Item: "A"}, Listing: "L-1", Version: 9, Quantity: 4 * inventory.One}, 0)
	s.take1(t, s.flog.commit(position(t, s.codecs, "A", "DC1", 8, 100, 1, 1))...)
	s.wants(t)
}

func TestUnreadablePositionsAreDeadLetters(t *testing.T) {
	s := newStage(t, shop())
	s.begin(t)
	bad := position(t, s.codecs, "A", "DC1", 1, 1, 1, 1)
	bad.Value = []byte("junk")
	dead, err := s.batch(t.Context(), s.flog.commit(bad, position(t, s.codecs, "A", "DC2", 1, 100, 1, 1)))
	if err != nil || len(dead) != 1 || dead[0].Topic != event.TopicDeadChannel {
		t.Fatalf("dead letters %v, %v", dead, err)
	}
	s.wants(t, "L-1=20")
}

package audit_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

const start = 1_790_000_000_000

// world is a log and all that came of it, as the ledger itself makes it, before it
// is written: what a test damages.
type world struct {
	codecs    *event.Codecs
	events    []*stream.Record
	outcomes  []*inventory.Outcome
	state     map[string]*inventory.Piece // by state key; the last one wins
	stateLog  []string                    // keys in the order of writing
	positions []*inventory.Position
	cache     map[string]map[string]string
	through   int64
	group     int64 // offset of the group
	letters   []event.DeadLetter
	late      inventory.Instant
	copyOf    *inventory.Outcome
	commits   int // flush each so many events

	ledgers map[inventory.Key]*inventory.Ledger
	pieces  map[inventory.Key]*memory
	policy  inventory.Policy
}

func newWorld() *world {
	return &world{
		codecs: event.TestCodecs(), state: map[string]*inventory.Piece{}, cache: map[string]map[string]string{}, through: -1, commits: 3,
		ledgers: map[inventory.Key]*inventory.Ledger{}, pieces: map[inventory.Key]*memory{},
	}
}

// memory is the stored pieces of a ledger; heads stay in the ledger.
type memory struct{ m map[string]inventory.Piece }

func (m *memory) get(kind string, n ...string) inventory.Piece {
	return m.m[kind+"|"+strings.Join(n, "|")]
}

func (m *memory) Head() *inventory.Head { return nil }

func (m *memory) Location(l inventory.Location) *inventory.LocationState {
	return m.get(inventory.PieceLocation, string(l)).Location
}

func (m *memory) IDs(n int64) ([]inventory.Seen, inventory.Instant) {
	p := m.get(inventory.PieceIDs, strconv.FormatInt(n, 10))
	return p.IDs, p.Latest
}

func (m *memory) Journal(l inventory.Location, n int64) []inventory.Entry {
	return m.get(inventory.PieceJournal, string(l), strconv.FormatInt(n, 10)).Journal
}

func (m *memory) Line(id string) *inventory.Line { return m.get(inventory.PieceLine, id).Line }

func (m *memory) SupplyLine(id string) *inventory.SupplyLine {
	return m.get(inventory.PieceSupply, id).Supply
}

func (m *memory) Kept(kind string, n int64) *inventory.Kept {
	return m.get(kind, strconv.FormatInt(n, 10)).Kept
}

func (m *memory) Lines(f func(*inventory.Line) bool) {
	for _, k := range slices.Sorted(maps.Keys(m.m)) {
		if p := m.m[k]; p.Line != nil && !f(p.Line) {
			return
		}
	}
}

func (m *memory) Names(kind, after string, f func(string) bool) {
	for _, k := range slices.Sorted(maps.Keys(m.m)) {
		if p := m.m[k]; p.Kind == kind && !p.Deleted && len(p.N) == 1 && p.N[0] > after && !f(p.N[0]) {
			return
		}
	}
}

func (m *memory) Ref(h string) *inventory.RefTarget { return m.get(inventory.PieceRef, h).Ref }

func (m *memory) View(s inventory.Source, l inventory.Location) *inventory.View {
	return m.get(inventory.PieceView, string(s), string(l)).View
}

// must is for what cannot fail in a world that a test made up.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// send appends events to the log, decides them, and flushes now and then as a
// transaction does.
func (w *world) send(es ...*inventory.Event) {
	for _, e := range es {
		offset := int64(len(w.events))
		at := inventory.Instant(start+offset) + w.late
		rec := &stream.Record{
			Topic: event.TopicEvents, Key: []byte(e.Key.String()), Value: must(w.codecs.AppendEvent(nil, e)),
			Timestamp: time.UnixMilli(int64(at)),
		}
		w.through, w.group = offset, offset+1
		if e.Kind == inventory.KindControl {
			rec.Key = []byte(event.ControlKey)
			w.policy.Version = e.Control.PolicyVersion
			w.events = append(w.events, rec)
			continue
		}
		w.events = append(w.events, rec)
		led := w.ledgers[e.Key]
		if led == nil {
			w.pieces[e.Key] = &memory{map[string]inventory.Piece{}}
			led = inventory.NewLedger(e.Key, w.pieces[e.Key])
			w.ledgers[e.Key] = led
		}
		e.RecordedAt = at
		place := inventory.At{Lineage: 1, Offset: offset}
		if w.copyOf != nil {
			place.Copy, place.Original = true, w.copyOf.Offset
			rec.Headers = event.AppendCopyOf[stream.RecordHeader](nil, w.copyOf.Offset, w.copyOf.RecordedAt)
			e.RecordedAt = w.copyOf.RecordedAt
		}
		out, err := led.Apply(&w.policy, e, place)
		if err != nil {
			out = inventory.Outcome{
				Kind: inventory.Rejected, EventID: e.ID, EventKind: e.Kind, Key: e.Key, Source: e.Source, Document: e.Document,
				RecordedAt: e.RecordedAt, PolicyVersion: w.policy.Version, Lineage: 1, Offset: offset,
			}
		}
		out.Moves = slices.Clone(out.Moves)
		w.outcomes = append(w.outcomes, &out)
		for _, o := range led.Also() {
			o.Moves = slices.Clone(o.Moves)
			w.outcomes = append(w.outcomes, &o)
		}
		if w.commits > 0 && len(w.events)%w.commits == 0 {
			w.flush()
		}
	}
}

func (w *world) flush() {
	keys := slices.Collect(maps.Keys(w.ledgers))
	slices.SortFunc(keys, func(a, b inventory.Key) int { return strings.Compare(a.String(), b.String()) })
	for _, k := range keys {
		led := w.ledgers[k]
		led.Changed(func(p inventory.Piece) {
			value := must(w.codecs.AppendState(nil, &p))
			key := inventory.StateKey(k, p.Kind, p.N...)
			var c, mine inventory.Piece
			if err := w.codecs.DecodeState([]byte(key), value, &c); err != nil {
				panic(err)
			}
			if err := w.codecs.DecodeState([]byte(key), value, &mine); err != nil {
				panic(err)
			}
			w.pieces[k].m[p.Kind+"|"+strings.Join(p.N, "|")] = mine
			if p.Deleted {
				delete(w.pieces[k].m, p.Kind+"|"+strings.Join(p.N, "|"))
			}
			w.state[key] = &c
			w.stateLog = append(w.stateLog, key)
		})
		for _, p := range led.ChangedPositions() {
			w.positions = append(w.positions, &p)
		}
		led.ClearChanged()
	}
}

// rig is the log with all that came of it, on an in-process cluster.
type rig struct {
	cfg         stream.Config
	positionsID string
	w           *world
	client      *kgo.Client
	next        int64 // of the cache; -1 while it is loaded
}

// write writes the world as it stands.
func (w *world) write(t testing.TB) *rig {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	r := &rig{w: w, next: int64(len(w.positions)), cfg: stream.Config{Brokers: cluster.ListenAddrs(), Log: slog.New(slog.DiscardHandler)}}
	admin, err := stream.NewAdmin(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	var specs []stream.TopicSpec
	for _, s := range event.TopicSpecs() {
		configs := s.Configs
		delete(configs, "message.timestamp.type") // the world has times of its own
		specs = append(specs, stream.TopicSpec{Name: s.Name, Partitions: 1, Replicas: 1, Configs: configs})
	}
	if _, err := admin.EnsureTopics(t.Context(), false, specs...); err != nil {
		t.Fatal(err)
	}
	reads, err := stream.NewRestoreReads(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer reads.Close()
	eventsID, _, err := reads.Topic(t.Context(), event.TopicEvents)
	if err != nil {
		t.Fatal(err)
	}
	if r.positionsID, _, err = reads.Topic(t.Context(), event.TopicPositions); err != nil {
		t.Fatal(err)
	}
	if r.client, err = kgo.NewClient(kgo.SeedBrokers(r.cfg.Brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.MaxBufferedRecords(1_000_000)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.client.Close)

	var recs []*kgo.Record
	for _, rec := range w.events {
		recs = append(recs, &kgo.Record{Topic: rec.Topic, Key: rec.Key, Value: rec.Value, Headers: rec.Headers, Timestamp: rec.Timestamp})
	}
	for _, o := range w.outcomes {
		recs = append(recs, &kgo.Record{Topic: event.TopicOutcomes, Key: []byte(o.Key.String()), Value: must(w.codecs.AppendOutcome(nil, o))})
	}
	for _, key := range w.stateLog {
		recs = append(recs, &kgo.Record{Topic: event.TopicState, Key: []byte(key), Value: value(must(w.codecs.AppendState(nil, w.state[key])))})
	}
	recs = append(recs, &kgo.Record{Topic: event.TopicState, Key: []byte(stream.HeaderKey), Value: must(w.codecs.AppendStateHeader(nil, &event.StateHeader{
		Lineage: 1, TopicID: eventsID, Topic: event.TopicEvents, Partitions: 1, Partitioner: "murmur2", StoreVersion: 1,
		AppliedThrough: w.through, PolicyVersion: w.policy.Version,
	}))})
	for _, p := range w.positions {
		recs = append(recs, &kgo.Record{Topic: event.TopicPositions, Key: []byte(inventory.PositionKey(p.Key, p.Location)), Value: must(w.codecs.AppendPosition(nil, p))})
	}
	for i := range w.letters {
		recs = append(recs, &kgo.Record{Topic: event.TopicDeadATP, Key: w.letters[i].Key, Value: must(w.codecs.AppendDeadLetter(nil, &w.letters[i]))})
	}
	if err := r.client.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	offsets := kadm.Offsets{}
	offsets.AddOffset(event.TopicEvents, 0, w.group, -1)
	if err := kadm.NewClient(r.client).CommitAllOffsets(t.Context(), "atp", offsets); err != nil {
		t.Fatal(err)
	}
	return r
}

func value(b []byte) []byte {
	if len(b) == 0 {
		return nil
	}
	return b
}

// project fills the cache as the projector does.
func (w *world) project() {
	for _, p := range w.positions {
		item := w.cache[p.Key.String()]
		if item == nil {
			item = map[string]string{}
			w.cache[p.Key.String()] = item
		}
		item[string(p.Location)] = fmt.Sprintf("%020d", p.Version) + string(must(w.codecs.AppendPosition(nil, p)))
	}
}

// Mark, Items and Keys make the rig a cache.
func (r *rig) Mark(context.Context, int32) (int64, string, bool, error) {
	return r.next, r.positionsID, r.next >= 0, nil
}

func (r *rig) Items(_ context.Context, _ int32, keys []string) ([]map[string]string, error) {
	items := make([]map[string]string, len(keys))
	for i, k := range keys {
		items[i] = maps.Clone(r.w.cache[k])
	}
	return items, nil
}

func (r *rig) Keys(_ context.Context, _ int32, f func(string)) error {
	for k := range r.w.cache {
		f(k)
	}
	return nil
}

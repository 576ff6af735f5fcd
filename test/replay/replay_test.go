package replay

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

const played = 20_000

// A log replayed beside the live ledger gives the same state byte for byte; a damaged
// piece of the live one is named; the shadow takes its place.
func TestShadow(t *testing.T) {
	w := newWorld(t)
	w.Start(t, "atp")
	w.play(played)
	w.applied()
	outcomes := w.records(event.TopicOutcomes)
	w.want(0, []string{"replay", "--shadow", "check"}, "6 partitions", " 0 different", "identical")
	if n := w.records(event.TopicOutcomes); n != outcomes {
		t.Fatalf("the replay wrote %d live outcomes", n-outcomes)
	}
	// Beside traffic: keys that move are compared once they stand still.
	w.play(500)
	w.want(0, []string{"replay", "--shadow", "check"}, "identical")
	w.want(2, []string{"replay", "--shadow", "check", "--promote", "--yes"}, "group atp has members at work: atp-0")
	w.applied()
	w.stop()

	// One unit more on hand, written by hand.
	key := w.damage(7)
	out := w.want(1, []string{"replay", "--shadow", "check"}, " 1 different", "FIRST DIFFERENCE  "+key)
	if !strings.Contains(out, "  live    {") || !strings.Contains(out, "  shadow  {") {
		t.Errorf("both sides are to be shown:\n%s", out)
	}
	w.want(2, []string{"replay", "--shadow", "check", "--promote", "--yes"}, "1 pieces differ and --accept states 0")
	w.want(2, []string{"replay", "--shadow", "check", "--promote", "--accept", "2", "--yes"}, "--accept states 2")
	w.want(2, []string{"replay", "--shadow", "check", "--promote", "--accept", "1"}, "--yes")
	w.want(0, []string{"replay", "--shadow", "check", "--promote", "--accept", "1", "--yes"}, "generation 1 of topics holds",
		event.TopicState+" = "+event.TopicState+".shadow-check")
	w.want(2, []string{"replay", "--shadow", "check", "--drop", "--yes"}, "generation 1 uses")
	w.want(2, []string{"replay", "--shadow", "check"}, "is in use")

	w.aliases = stream.Aliases{}
	for _, topic := range []string{event.TopicState, event.TopicPositions, event.TopicViews} {
		w.aliases[topic] = topic + ".shadow-check"
	}
	w.Start(t, "atp")
	w.play(1000)
	w.applied()
	w.figures()
	w.audit(fmt.Sprintf("1000 events = %d applied", played+1501))
	// Readers use the shadow: the cache is loaded from its positions.
	w.Start(t, "atp-api")
	deadline := time.Now().Add(settle)
	for {
		code, out := w.command("audit")
		if code == 0 && strings.Contains(out, "1601 fields of Redis compared") {
			break
		}
		if code == 1 || time.Now().After(deadline) {
			t.Fatalf("audit ended with %d:\n%s", code, out)
		}
		time.Sleep(200 * time.Millisecond) // the cache is loading
	}
	w.Stop(t, "atp-api")
	w.want(0, []string{"replay", "--shadow", "again"}, "identical")
	w.want(0, []string{"replay", "--shadow", "again", "--drop", "--yes"}, "dropped")

	// Back is possible only while nothing is lost by it.
	w.stop()
	w.want(2, []string{"topics", "use", "--generation", "0", "--yes"}, "refused")
	w.want(0, []string{"topics", "list"}, "generation 0\n", "generation 1 (in use)")
}

// A service that works on topics which are not meant any more ends by itself.
func TestSwitchEndsServices(t *testing.T) {
	w := newWorld(t)
	w.Start(t, "atp")
	w.play(100)
	w.applied()
	w.Stop(t, "atp") // its session goes on for a while, and is waited for
	w.Start(t, "channel-publisher", "atp-api")
	w.want(2, []string{"replay", "--shadow", "blue", "--promote", "--yes"}, "group atp-api has members at work")
	w.Stop(t, "atp-api")
	w.want(0, []string{"replay", "--shadow", "blue", "--promote", "--yes"}, "generation 1 of topics holds")
	if code := w.Process("channel-publisher").Wait(t, settle); code != 1 || !strings.Contains(w.Process("channel-publisher").Log(t), "topics were switched") {
		t.Fatalf("ended with %d:\n%s", code, w.Process("channel-publisher").Log(t))
	}
	// Nothing was applied since: back is harmless.
	w.want(2, []string{"topics", "use", "--generation", "0"}, "--yes")
	w.want(0, []string{"topics", "use", "--generation", "0", "--yes"}, "every topic by its own name")
	w.Start(t, "atp")
	w.play(100)
	w.applied()
	w.figures()
	w.audit()
}

// records counts what a topic holds.
func (w *world) records(topic string) (n int) {
	w.t.Helper()
	reads := w.reads()
	_, partitions, err := reads.Topic(w.t.Context(), topic)
	if err != nil {
		w.t.Fatal(err)
	}
	for p := range partitions {
		if _, err := reads.Fold(w.t.Context(), topic, p, func(*stream.Record) error {
			n++
			return nil
		}); err != nil {
			w.t.Fatal(err)
		}
	}
	return n
}

// damage writes one unit more on hand of an item into the live state, and returns the
// key of the piece.
func (w *world) damage(item int) string {
	w.t.Helper()
	key := inventory.Key{Entity: entity, Item: inventory.Item(fmt.Sprintf("item-%04d", item))}
	head := inventory.StateKey(key, inventory.PieceHead)
	partition := stream.Partition([]byte(key.String()), partsWas)
	var last []byte
	if _, err := w.reads().Fold(w.t.Context(), event.TopicState, partition, func(rec *stream.Record) error {
		if string(rec.Key) == head {
			last = rec.Value
		}
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	var piece inventory.Piece
	if err := w.Codecs.DecodeState([]byte(head), last, &piece); err != nil {
		w.t.Fatal(err)
	}
	piece.Head.Locations[0].States[inventory.OnHand] += inventory.One
	value, err := w.Codecs.AppendState(nil, &piece)
	if err != nil {
		w.t.Fatal(err)
	}
	cl := w.Kafka.Client(w.t, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err := cl.ProduceSync(w.t.Context(), &kgo.Record{Topic: event.TopicState, Partition: partition, Key: []byte(head), Value: value}).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
	return head
}

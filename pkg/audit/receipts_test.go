package audit_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/audit"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// a message's receipt, and the lines it names that have no event.
type message struct {
	receipt    event.Receipt
	rejected   []int32 // line numbers, as they stand in the dead letters
	milestones []int32
	parked     []int32
	again      []event.Receipt // of lines that were parked
}

// healthy is a message with a line of every sort, once canonicalized twice, and with
// more than 64 milestones.
func healthy() *message {
	m := &message{
		receipt: event.Receipt{
			RawID: "r1", Source: "wms", Lines: 105, EventIDs: []string{"e1"}, Rejected: 2, Parked: 1, Masters: 1, Milestones: 100, At: start,
		},
		rejected: []int32{2, 3, 2, 3, 0}, // 0 is a snapshot that does not end
		parked:   []int32{4},
	}
	for n := range int32(100) {
		m.milestones = append(m.milestones, n+6)
	}
	return m
}

func (m *message) send(t *testing.T, r *rig, at time.Time) {
	t.Helper()
	var recs []*kgo.Record
	put := func(topic string, value []byte, err error) {
		if err != nil {
			t.Fatal(err)
		}
		recs = append(recs, &kgo.Record{Topic: topic, Key: []byte("wms|1"), Value: value, Timestamp: at})
	}
	for _, n := range m.rejected {
		value, err := r.w.codecs.AppendDeadLetter(nil, &event.DeadLetter{ID: "d", Service: "canonicalizer", Code: "no_item", RawID: m.receipt.RawID, Line: n, At: start})
		put(event.TopicDeadCanonicalizer, value, err)
	}
	for i, n := range m.milestones {
		about := []string{event.AboutOrders, event.AboutShipments, event.AboutReturns}[i%3]
		value, err := r.w.codecs.AppendMilestone(nil, &event.Milestone{
			About: about, ID: fmt.Sprint(n), Source: "wms", Document: inventory.Document{Type: "scan", Number: "1"}, Entity: "acme", Status: "seen",
			OccurredAt: start, OccurredBasis: "document", ReceivedAt: start, Trace: inventory.Trace{RawID: m.receipt.RawID, RawLine: n},
		})
		topic, _ := event.MilestoneTopic(about)
		put(topic, value, err)
	}
	for _, n := range m.parked {
		value, err := r.w.codecs.AppendParked(nil, &event.ParkedLine{ID: "p", Missing: "item:sku:X", Code: "unknown_item", RawID: m.receipt.RawID, Line: n, Source: "wms", At: start})
		put(event.TopicParked, value, err)
	}
	value, err := r.w.codecs.AppendReceipt(nil, &m.receipt)
	put(event.TopicReceipts, value, err)
	for i := range m.again {
		value, err := r.w.codecs.AppendReceipt(nil, &m.again[i])
		put(event.TopicReceipts, value, err)
	}
	if err := r.client.ProduceSync(t.Context(), recs...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// Every line of a message is where its receipt says (Invariant 2).
func TestReceipts(t *testing.T) {
	for _, tc := range []struct {
		name   string
		damage func(m *message)
		check  string
		found  string
	}{
		{"whole", func(*message) {}, "", ""},
		{"twice", func(m *message) { m.milestones = append(m.milestones, m.milestones...) }, "", ""},
		{"more than there were", func(m *message) { m.rejected = append(m.rejected, 104) }, "", ""},
		{"one line in no list", func(m *message) { m.receipt.Lines++ }, audit.ReceiptSum, "1 events, 2 rejected, 1 parked, 1 masters, 100 milestones"},
		{"a milestone is not counted", func(m *message) { m.receipt.Milestones-- }, audit.ReceiptSum, "1 events, 2 rejected, 1 parked, 1 masters, 99 milestones"},
		{"a rejected line is lost", func(m *message) { m.rejected = []int32{2, 2, 0} }, audit.LineMissing, "1"},
		{"an early milestone is lost", func(m *message) { m.milestones[0] = m.milestones[1] }, audit.LineMissing, "99"},
		{"a late milestone is lost", func(m *message) { m.milestones[98] = m.milestones[99] }, audit.LineMissing, "99"},
		{"a parked line is lost", func(m *message) { m.parked = nil }, audit.LineMissing, "0"},
		{"a parked line has run again", func(m *message) {
			m.parked, m.again = nil, []event.Receipt{{RawID: "r1", Source: "wms", Lines: 1, EventIDs: []string{"e4"}, At: start, Line: 4}}
		}, "", ""},
		{"another line has run again", func(m *message) {
			m.receipt.Parked, m.receipt.Lines = 2, 106
			m.parked, m.again = nil, []event.Receipt{{RawID: "r1", Source: "wms", Lines: 1, EventIDs: []string{"e4"}, At: start, Line: 4}}
		}, audit.LineMissing, "1"},
		{"all are lost", func(m *message) { m.milestones = nil }, audit.LineMissing, "0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := history().write(t)
			m := healthy()
			tc.damage(m)
			m.send(t, r, time.Now())
			report := r.audit(t)
			if report.Receipts != 1 || report.Milestones != int(m.receipt.Milestones) || report.Partitions != 1 || report.Incomplete != nil {
				t.Errorf("report %+v", report)
			}
			switch f := report.First(); {
			case tc.check == "" && f != nil:
				t.Errorf("found %+v", f)
			case tc.check != "" && (f == nil || report.Bad != 1 || f.Check != tc.check || f.Found != tc.found || f.Invariant != 2 ||
				f.Topic != event.TopicReceipts || f.EventID != "r1" || f.Key != "wms|1" || f.Offset != 0):
				t.Errorf("found %+v of %d, want %s: %s", f, report.Bad, tc.check, tc.found)
			}
		})
	}
}

// What retention has taken is no fault of the canonicalizer, but what it cannot have
// taken is.
func TestReceiptsOfWhatIsGone(t *testing.T) {
	r := history().write(t)
	now := time.Now()
	healthy().send(t, r, now.Add(-100*24*time.Hour))
	late := healthy()
	late.receipt.RawID, late.milestones = "r2", late.milestones[:99]
	late.send(t, r, now.Add(-10*24*time.Hour))
	late = healthy()
	late.receipt.RawID = "r3"
	late.send(t, r, now.Add(-12*24*time.Hour))
	offsets := kadm.Offsets{}
	offsets.AddOffset(event.TopicOrders, 0, 34, -1) // of the first message alone
	if _, err := kadm.NewClient(r.client).DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	report := r.audit(t)
	f := report.First()
	if f == nil || report.Bad != 1 || f.EventID != "r2" || f.Check != audit.LineMissing {
		t.Errorf("found %+v of %d", f, report.Bad)
	}
	if len(report.Notes) != 1 || report.Notes[0] != "of 1 messages retention has taken milestones" {
		t.Errorf("notes %q", report.Notes)
	}
}

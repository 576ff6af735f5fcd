package event

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	inv "github.com/stockweave/stockweave/pkg/inventory"
)

// sample is a record of a topic, with its codec behind one shape.
type sample struct {
	name   string
	topic  string
	value  any // a pointer to the record
	encode func() ([]byte, error)
	decode func(value []byte) (any, error)
}

func sampleOf[T any](name, topic string, x T, app func([]byte, *T) ([]byte, error), dec func([]byte, *T) error) sample {
	return sample{
		name: name, topic: topic, value: &x,
		encode: func() ([]byte, error) { return app(nil, &x) },
		decode: func(value []byte) (any, error) {
			into := new(T)
			err := dec(value, into)
			return into, err
		},
	}
}

// filled returns a T with every field set, each to a value of its own, so that two
// fields taken one for the other are seen.
func filled[T any]() T {
	var x T
	n := 0
	fill(reflect.ValueOf(&x).Elem(), &n)
	return x
}

func fill(v reflect.Value, n *int) {
	*n++
	switch v.Type() {
	case reflect.TypeFor[inv.Account]():
		v.SetUint(uint64(1 + *n%(inv.NumStates-1)))
		return
	case reflect.TypeFor[inv.Quantity]():
		v.SetInt(int64(*n) * 1_234_567)
		if *n%2 == 0 {
			v.SetInt(-v.Int())
		}
		return
	case reflect.TypeFor[inv.Instant]():
		v.SetInt(1_700_000_000_000 + int64(*n))
		return
	}
	switch kind := v.Kind(); {
	case kind == reflect.String:
		v.SetString(fmt.Sprintf("é-%d", *n))
	case kind == reflect.Bool:
		v.SetBool(true)
	case v.CanInt():
		v.SetInt(int64(20_000 + *n))
	case v.Type() == reflect.TypeFor[inv.Verdict]():
		v.SetUint(uint64(*n % 64))
	case kind == reflect.Uint8:
		v.SetUint(uint64(*n % 256))
	case v.CanUint():
		v.SetUint(uint64(*n)*0x01020304 + 0x80000000)
	case kind == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n)
	case v.Type() == reflect.TypeFor[[]byte]():
		v.SetBytes(fmt.Appendf(nil, "bytes-%d", *n))
	case kind == reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n)
		fill(v.Index(1), n)
	case kind == reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), n)
		}
	case kind == reflect.Struct:
		for _, f := range v.Fields() {
			fill(f, n)
		}
	default:
		panic("fill: " + v.Type().String())
	}
}

// filledEvent has one body, the one its kind names.
func filledEvent(kind inv.Kind) inv.Event {
	ev := filled[inv.Event]()
	ev.Kind, ev.RecordedAt = kind, 0
	keep := map[inv.Kind]string{
		inv.KindMovement: "Movement", inv.KindCount: "Count", inv.KindDemand: "Demand",
		inv.KindSupply: "Supply", inv.KindSetting: "Setting", inv.KindControl: "Control",
		inv.KindReservation: "Reservation", inv.KindApproval: "Approval",
	}
	dropBodies(&ev, keep[kind])
	return ev
}

// filledPiece has one body, the one its kind names.
func filledPiece(kind, body string) inv.Piece {
	p := filled[inv.Piece]()
	p.Kind, p.N, p.Deleted = kind, nil, false
	for _, name := range []string{"IDs", "Latest", "Journal"} {
		if name != body && (name != "Latest" || body != "IDs") {
			reflect.ValueOf(&p).Elem().FieldByName(name).SetZero()
		}
	}
	dropBodies(&p, body)
	if p.Kept != nil {
		p.Kept.Event = filledEvent(inv.KindDemand)
	}
	return p
}

// dropBodies sets every pointer of a record to nil but one.
func dropBodies(x any, keep string) {
	v := reflect.ValueOf(x).Elem()
	for i := range v.NumField() {
		if v.Field(i).Kind() == reflect.Pointer && v.Type().Field(i).Name != keep {
			v.Field(i).SetZero()
		}
	}
}

var pieceBodies = map[string]string{
	inv.PieceHead: "Head", inv.PieceLocation: "Location", inv.PieceIDs: "IDs", inv.PieceJournal: "Journal",
	inv.PieceLine: "Line", inv.PieceSupply: "Supply", inv.PieceView: "View", inv.PieceRef: "Ref",
	inv.PieceParked: "Kept", inv.PieceWaiting: "Kept",
}

func testCodecs(t testing.TB) *Codecs {
	t.Helper()
	c, err := NewCodecs(LocalIDs())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// samples returns a filled sample of every record type and kind.
func samples(c *Codecs) []sample {
	posting, offer := filled[Posting](), filled[Offer]()
	posting.DocumentDate, posting.PostingDate, offer.Day = "2026-02-28", "2026-03-01", "2027-12-31"
	all := []sample{
		sampleOf("raw", TopicRaw, filled[RawMessage](), c.AppendRaw, c.DecodeRaw),
		sampleOf("raw-bulk", TopicRawBulk, filled[RawMessage](), c.AppendRawBulk, c.DecodeRaw),
		sampleOf("outcome", TopicOutcomes, filled[inv.Outcome](), c.AppendOutcome, c.DecodeOutcome),
		sampleOf("position", TopicPositions, filled[inv.Position](), c.AppendPosition, c.DecodePosition),
		sampleOf("answer", TopicAnswers, filled[Answered](), c.AppendAnswer, c.DecodeAnswer),
		sampleOf("snapshot", TopicSnapshots, filled[SnapshotEnded](), c.AppendSnapshot, c.DecodeSnapshot),
		sampleOf("view", TopicViews, filled[inv.View](), c.AppendView, c.DecodeView),
		sampleOf("state-header", TopicState, filled[StateHeader](), c.AppendStateHeader, c.DecodeStateHeader),
		sampleOf("item", TopicItems, filled[MasterItem](), c.AppendItem, c.DecodeItem),
		sampleOf("location", TopicLocations, filled[MasterLocation](), c.AppendLocation, c.DecodeLocation),
		sampleOf("policy", TopicPolicies, filled[PolicyContent](), c.AppendPolicy, c.DecodePolicy),
		sampleOf("posting", TopicPostings, posting, c.AppendPosting, c.DecodePosting),
		sampleOf("result", TopicResults, filled[PostingResult](), c.AppendResult, c.DecodeResult),
		sampleOf("offer", TopicOffers, offer, c.AppendOffer, c.DecodeOffer),
		sampleOf("offer-result", TopicConfirmed, filled[OfferResult](), c.AppendOfferResult, c.DecodeOfferResult),
		sampleOf("parked", TopicParked, filled[ParkedLine](), c.AppendParked, c.DecodeParked),
		sampleOf("retry", TopicRetry, filled[ParkedLine](), c.AppendRetry, c.DecodeParked),
		sampleOf("mark", TopicMarks, filled[Mark](), c.AppendMark, c.DecodeMark),
		sampleOf("cursor", TopicCursors, filled[Cursor](), c.AppendCursor, c.DecodeCursor),
		sampleOf("subscription", TopicSubscriptions, filled[Subscription](), c.AppendSubscription, c.DecodeSubscription),
		sampleOf("subscription-delivery", TopicSubscriptions, filled[Delivery](), c.AppendDelivery, c.DecodeDelivery),
		sampleOf("ack", TopicAcks, filled[PartnerAck](), c.AppendAck, c.DecodeAck),
		sampleOf("receipt", TopicReceipts, filled[Receipt](), c.AppendReceipt, c.DecodeReceipt),
	}
	for _, kind := range []inv.Kind{inv.KindMovement, inv.KindCount, inv.KindDemand, inv.KindSupply, inv.KindReservation, inv.KindApproval, inv.KindTick, inv.KindSetting, inv.KindControl} {
		all = append(all, sampleOf("event-"+string(kind), TopicEvents, filledEvent(kind), c.AppendEvent, c.DecodeEvent))
	}
	for kind, body := range pieceBodies {
		key := []byte("e|i|" + kind)
		all = append(all, sampleOf("state-"+kind, TopicState, filledPiece(kind, body), c.AppendState,
			func(value []byte, into *inv.Piece) error { return c.DecodeState(key, value, into) }))
	}
	for about, topic := range milestoneTopic() {
		m := filled[Milestone]()
		m.About = about
		all = append(all, sampleOf("milestone-"+about, topic, m, c.AppendMilestone, c.DecodeMilestone))
	}
	for service, topic := range deadLetterTopic() {
		letter := filled[DeadLetter]()
		letter.Service = service
		all = append(all, sampleOf("dead-"+service, topic, letter, c.AppendDeadLetter, c.DecodeDeadLetter))
	}
	slices.SortFunc(all, func(a, b sample) int { return strings.Compare(a.name, b.name) })
	return all
}

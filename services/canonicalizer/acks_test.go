package canonicalizer

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// acknowledger is a process that acknowledges, on topics that outlive it.
func (k *lane) acknowledger(sources map[inventory.Source]*sourceProgram, m *masters) *handler {
	a := newAcks(event.TestCodecs())
	a.parts = func(context.Context) (int32, error) { return 1, nil }
	a.read = func(_ context.Context, _ int32, from int64, f func(*stream.Record) error) (int64, error) {
		for _, rec := range k.log[event.TopicAcks][from:] {
			if err := f(rec); err != nil {
				return 0, err
			}
		}
		return int64(len(k.log[event.TopicAcks])), nil
	}
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "l"}, []string{"source", "became"})
	return &handler{codecs: event.TestCodecs(), sources: sources, masters: m, chunk: maxChunk, lines: counter, snapshots: counter, produce: k.produce, acks: a}
}

// with is the shipped sources, one of them with acknowledgements.
func with(t *testing.T, name inventory.Source, acks policy.Acks) (map[inventory.Source]*sourceProgram, *masters) {
	t.Helper()
	all, m := world(t)
	src := *all[name].src
	src.Acks = acks
	all[name] = programOf(t, &src)
	return all, m
}

func deliver(t *testing.T, h *handler, id, body string) error {
	t.Helper()
	raw := &event.RawMessage{ID: id, Source: "wms", Body: []byte(body), ReceivedAt: sampleTime}
	value, err := h.codecs.AppendRaw(nil, raw)
	if err != nil {
		t.Fatal(err)
	}
	_, err = h.batch(t.Context(), []*stream.Record{{Topic: event.TopicRaw, Key: []byte("wms|"), Value: value}})
	return err
}

func (k *lane) answers(t *testing.T) []event.PartnerAck {
	t.Helper()
	var out []event.PartnerAck
	for _, rec := range k.log[event.TopicAcks] {
		var a event.PartnerAck
		if err := event.TestCodecs().DecodeAck(rec.Value, &a); err != nil {
			t.Fatal(err)
		}
		out = append(out, a)
	}
	return out
}

// Each interchange is answered once, with a number of its own, by what could be read of
// each of its sets; a set of unknown items is accepted.
func TestAcknowledged(t *testing.T) {
	all, m := with(t, "wms", policy.Acks{X12: "997"})
	k := &lane{log: map[string][]*stream.Record{}, dies: -1}
	h := k.acknowledger(all, m)
	good := set945("0002", "1002", "SKU-1", 4)
	for id, body := range map[string]string{
		"r1": isa + set945("0001", "1001", "GHOST", 4) + good + "GE*2*1~IEA*1*1~" + isa + good + "GE*1*1~IEA*1*1~",
	} {
		if err := deliver(t, h, id, body); err != nil {
			t.Fatal(err)
		}
	}
	if err := deliver(t, h, "r2", isa+set945("0001", "1001", "SKU-1", 9)+good+"GE*2*1~IEA*1*1~"); err != nil {
		t.Fatal(err)
	}
	if err := deliver(t, h, "r3", "hello"); err != nil {
		t.Fatal(err)
	}
	got := k.answers(t)
	var said []string
	first := got[0].Control
	for _, a := range got {
		b := string(a.Body)
		said = append(said, fmt.Sprint(a.RawID, " ", a.Document, " ", a.Status, " +", a.Control-first, " ", strings.Count(b, "AK5*A"), strings.Count(b, "AK5*R")))
		if !strings.Contains(b, fmt.Sprintf("*%09d*0*P*", a.Control)) {
			t.Errorf("control %d of %s", a.Control, b)
		}
	}
	if s := strings.Join(said, ", "); s != "r1 997 accepted +0 2 0, r1 997 accepted +1 1 0, r2 997 partly_accepted +2 1 1" {
		t.Error(s)
	}
	if first != firstControl(sampleTime)+1 {
		t.Errorf("begins at %d", first)
	}
}

// A message delivered again gives the same bytes and numbers, whether or not they got
// to the topic; another process goes on above what stands there.
func TestAcknowledgedAgain(t *testing.T) {
	all, m := with(t, "wms", policy.Acks{X12: "999", TA1: policy.TA1Always})
	good := isa + set945("0001", "1001", "SKU-1", 4) + "GE*1*1~IEA*1*1~"
	for dies := range 2 {
		k := &lane{log: map[string][]*stream.Record{}, dies: -1}
		h := k.acknowledger(all, m)
		for _, id := range []string{"a", "b"} {
			if err := deliver(t, h, id, good); err != nil {
				t.Fatal(err)
			}
		}
		k.dies = dies
		err := deliver(t, h, "c", good)
		if (dies == 0) != errors.Is(err, errDead) {
			t.Fatal(err)
		}
		k.dies = -1
		if dies == 0 { // the same process tries again
			if err := deliver(t, h, "c", good); err != nil {
				t.Fatal(err)
			}
		}
		before := k.answers(t)
		h = k.acknowledger(all, m) // another one, from its last commit on
		for _, id := range []string{"b", "c", "d"} {
			if err := deliver(t, h, id, good); err != nil {
				t.Fatal(err)
			}
		}
		after := k.answers(t)
		if len(before) != 3 || len(after) != 4 {
			t.Fatalf("%d, then %d answers", len(before), len(after))
		}
		for i, a := range after {
			if a.Control != after[0].Control+int32(i) || a.RawID != string("abcd"[i]) || !strings.Contains(string(a.Body), "TA1*") {
				t.Errorf("answer %d: %s %d %s", i, a.RawID, a.Control, a.Body)
			}
		}
	}
}

// What others wrote meanwhile is read before a number is given.
func TestAckNumbersOfAnother(t *testing.T) {
	all, m := with(t, "wms", policy.Acks{X12: "997"})
	good := isa + set945("0001", "1001", "SKU-1", 4) + "GE*1*1~IEA*1*1~"
	k := &lane{log: map[string][]*stream.Record{}, dies: -1}
	one, two := k.acknowledger(all, m), k.acknowledger(all, m)
	for i, h := range []*handler{one, two, one, two} {
		h.acks.forget() // the partition changed hands
		if err := deliver(t, h, fmt.Sprint("r", i), good); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[int32]bool{}
	for _, a := range k.answers(t) {
		if seen[a.Control] {
			t.Errorf("number %d twice", a.Control)
		}
		seen[a.Control] = true
	}
	if len(seen) != 4 {
		t.Errorf("%d numbers", len(seen))
	}
	full := one.acks.of("wms")
	full.last = maxControl
	if err := deliver(t, one, "late", good); err != nil || len(k.answers(t)) != 4 {
		t.Errorf("%d answers, %v", len(k.answers(t)), err)
	}
	var d event.DeadLetter
	letters := k.log[event.TopicDeadCanonicalizer]
	if err := one.codecs.DecodeDeadLetter(letters[len(letters)-1].Value, &d); err != nil || d.Code != codeNoAck {
		t.Errorf("%+v, %v", d, err)
	}
}

func TestAcknowledgesEDIFACT(t *testing.T) {
	src := &policy.Source{Name: "edi", Format: policy.FormatEDIFACT, Acks: policy.Acks{CONTRL: true}, Zone: time.UTC}
	body := "UNA:+.? 'UNB+UNOC:3+S:14+R:14+261102:1015+77'UNH+1+DESADV:D:96A:UN'BGM+351+9'UNT+3+1'UNH+2+DESADV:D:96A:UN'BGM+351+9'UNT+9+2'UNZ+2+77'"
	list := answers(src, &event.RawMessage{ID: "r", Source: "edi", Body: []byte(body), ReceivedAt: sampleTime}, nil)
	if len(list) != 1 || list[0].ack.Interchange != "77" || list[0].ack.Status != event.AckPartly {
		t.Fatalf("%+v", list)
	}
	b, err := list[0].write(4711)
	if err != nil || !strings.Contains(string(b), "+4711'") || !strings.Contains(string(b), "UCM+2+DESADV:D:96A:UN+4") {
		t.Errorf("%s, %v", b, err)
	}
}

// A message of IDocs is answered by one of STATUS, with a number for each: of one that was
// read, of one whose segments do not fit, and none of one that nobody could find again.
func TestAcknowledgesIDoc(t *testing.T) {
	src := &policy.Source{Name: "sap", Format: policy.FormatIDoc, Acks: policy.Acks{Status: true}, Zone: time.UTC}
	doc := func(number, segment string) string {
		return `<IDOC BEGIN="1"><EDI_DC40 SEGMENT="1"><DOCNUM>` + number + `</DOCNUM><IDOCTYP>MBGMCR03</IDOCTYP><MESTYP>MBGMCR</MESTYP><SNDPRN>ERP</SNDPRN><RCVPRN>WMS</RCVPRN></EDI_DC40>` + segment + `</IDOC>`
	}
	body := "<MBGMCR03>" + doc("7", "<E1X><A>1</A></E1X>") + doc("8", "<E1X><A>1</A><A>2</A></E1X>") + doc("", "") + "</MBGMCR03>"
	list := answers(src, &event.RawMessage{ID: "r", Source: "sap", Body: []byte(body), ReceivedAt: sampleTime}, nil)
	if len(list) != 1 || list[0].ack.Interchange != "7" || list[0].ack.Document != "STATUS" || list[0].ack.Status != event.AckPartly || list[0].numbers != 2 {
		t.Fatalf("%+v", list)
	}
	b, err := list[0].write(4711)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"<DOCNUM>0000000000004711</DOCNUM>", "<DOCNUM>7</DOCNUM>", "<STATUS>16</STATUS>", "<DOCNUM>0000000000004712</DOCNUM>", "<DOCNUM>8</DOCNUM>", "<STATUS>17</STATUS>",
		"<STAPA1>idoc_field_twice</STAPA1>", "<RCVPRN>ERP</RCVPRN>",
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("no %s in %s", want, b)
		}
	}
	many := "<MBGMCR03>" + strings.Repeat(doc("7", ""), 900) + "</MBGMCR03>"
	if list := answers(src, &event.RawMessage{ID: "r", Source: "sap", Body: []byte(many), ReceivedAt: sampleTime}, nil); len(list) != 3 || list[2].numbers != 100 || list[0].ack.ID == list[1].ack.ID {
		t.Errorf("900 IDocs have %d answers", len(list))
	}
	if list := answers(src, &event.RawMessage{ID: "r", Source: "sap", Body: b, ReceivedAt: sampleTime}, nil); len(list) != 0 {
		t.Errorf("an answer is answered: %+v", list)
	}
}

// An interchange that is refused as replayed is told so: its TA1 rejects it as a
// duplicate number, its sets are not acknowledged, and others of the message are.
func TestReplayedIsNotAccepted(t *testing.T) {
	all, m := with(t, "wms", policy.Acks{X12: "997"})
	k := &lane{log: map[string][]*stream.Record{}, dies: -1}
	h := k.acknowledger(all, m)
	l := &markLog{}
	h.marks = newMarks(event.TestCodecs(), all, l.produce)
	l.readers = append(l.readers, h.marks)
	bodies := []string{interchange(7, "W", "1"), interchange(7, "W", "2") + interchange(8, "W", "1"), interchange(7, "W", "1")}
	for i, body := range bodies {
		if err := deliver(t, h, fmt.Sprint("r", i), body); err != nil {
			t.Fatal(err)
		}
	}
	var said []string
	for _, a := range k.answers(t) {
		b := string(a.Body)
		said = append(said, fmt.Sprint(a.RawID, " ", a.Document, " ", a.Status, " ", strings.Count(b, "AK5*A"), strings.Count(b, "~TA1*000000007*261102*1015*R*025~IEA*0*")))
	}
	if s := strings.Join(said, ", "); s != "r0 997 accepted 1 0, r1 TA1 rejected 0 1, r1 997 accepted 1 0, r2 997 accepted 1 0" {
		t.Error(s)
	}
}

// A number of a source that policy has no more is looked for all the same.
func TestMarkOfASourceThatIsGone(t *testing.T) {
	l := &markLog{}
	m := l.join(t, nil)
	x := event.Mark{Source: "gone", Sort: event.MarkInterchange, Value: "v", Digest: strings.Repeat("0", 64), RawID: "r", At: sampleTime}
	m.keep(&x)
	if !m.holds(&x) {
		t.Error("it is not held")
	}
	x.At += inventory.Instant(policy.DefaultUnique.Milliseconds()) + 1
	if m.holds(&x) {
		t.Error("it is held for ever")
	}
}

package canonicalizer

import (
	"slices"
	"strconv"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/canonicalizer/format/edifact"
	edifactack "github.com/stockweave/stockweave/services/canonicalizer/format/edifact/ack"
	"github.com/stockweave/stockweave/services/canonicalizer/format/idoc"
	idocack "github.com/stockweave/stockweave/services/canonicalizer/format/idoc/ack"
	"github.com/stockweave/stockweave/services/canonicalizer/format/x12"
	x12ack "github.com/stockweave/stockweave/services/canonicalizer/format/x12/ack"
)

// answer is an acknowledgement without its number.
type answer struct {
	ack     event.PartnerAck
	numbers int // of groups, or one
	write   func(control int) ([]byte, error)
}

// answers are what a message's interchanges are to be answered, as its source's policy
// says. They tell what could be read, never what came of it. Interchanges that are
// replayed, by the values of their marks, are answered by a refusal.
func answers(src *policy.Source, raw *event.RawMessage, replayed map[string]string) []answer {
	if src.Acks == (policy.Acks{}) {
		return nil
	}
	zone := src.Zone
	if zone == nil {
		zone = time.UTC
	}
	at := time.UnixMilli(int64(raw.ReceivedAt)).In(zone)
	var out []answer
	add := func(i int, document, interchange, status, contentType string, numbers int, write func(int) ([]byte, error)) {
		id := event.EventID(src.Name, inventory.Document{Type: "ack", Number: raw.ID, Revision: document, Line: strconv.Itoa(i)})
		out = append(out, answer{event.PartnerAck{
			ID: id, Source: src.Name, RawID: raw.ID, Interchange: shorten(interchange, maxCode), Document: document, Status: status,
			ContentType: contentType, At: raw.ReceivedAt,
		}, max(1, numbers), write})
	}
	if kind := src.Acks.X12; kind != "" {
		in, _ := x12.Read(raw.Body)
		for i := range in {
			x := in[i]
			if x.ISA == nil {
				continue // no interchange: its dead letter tells
			}
			x.ISA = asks(x.ISA, src.Acks.TA1)
			document, groups, status := kind, 0, x12Status(&x)
			_, duplicate := replayed[interchangeOfISA(x.ISA)]
			if duplicate {
				x.Groups, status = nil, event.AckRejected
			}
			for _, g := range x.Groups {
				if len(g.GS) > 1 && g.GS[1] != "FA" {
					groups++
				}
			}
			if groups == 0 {
				document = "TA1"
			}
			add(i, document, elementAt(x.ISA, 13), status, "application/edi-x12", groups, func(control int) ([]byte, error) {
				return x12ack.Answer(x, x12ack.Options{Kind: kind, Control: control, Group: control, At: at, Duplicate: duplicate})
			})
		}
	}
	if src.Acks.CONTRL {
		in, _ := edifact.Read(raw.Body)
		for i := range in {
			x := in[i]
			add(i, "CONTRL", elementAt(x.UNB, 5), edifactStatus(&x), "application/edifact", 1, func(control int) ([]byte, error) {
				return edifactack.Answer(x, edifactack.Options{Control: strconv.Itoa(control), At: at})
			})
		}
	}
	if src.Acks.Status {
		i := 0
		for in := range slices.Chunk(idocack.Told(idocsOf(raw.Body, src)), idocack.Most) {
			number, _ := in[0].Control["DOCNUM"].(string)
			add(i, "STATUS", number, idocStatus(in), "application/xml", len(in), func(control int) ([]byte, error) {
				return idocack.Answer(in, idocack.Options{Control: control, At: at})
			})
			i++
		}
	}
	return out
}

// idocsOf are the IDocs of a message, as they are answered.
func idocsOf(body []byte, src *policy.Source) []idocack.Received {
	var out []idocack.Received
	for u := range idoc.Parse(body, src) {
		tree, _ := u.Tree.(map[string]any)
		r := idocack.Received{}
		r.Control, _ = tree["control"].(map[string]any)
		if u.Fault != nil {
			r.Code, r.Reason = u.Fault.Code, u.Fault.Reason
		}
		out = append(out, r)
	}
	return out
}

func idocStatus(in []idocack.Received) string {
	broken := 0
	for i := range in {
		if in[i].Code != "" {
			broken++
		}
	}
	return statusOf(len(in)-broken, broken, 0)
}

// asks is an ISA with the wish for a TA1 (ISA14) that policy has.
func asks(isa []string, ta1 string) []string {
	wish := map[string]string{policy.TA1Always: "1", policy.TA1Error: "0"}[ta1]
	if wish == "" || len(isa) <= 14 {
		return isa
	}
	out := slices.Clone(isa)
	out[14] = wish
	return out
}

func elementAt(e []string, n int) string {
	if n < len(e) {
		return e[n]
	}
	return ""
}

func x12Status(in *x12.Interchange) string {
	whole, broken, faults := 0, 0, len(in.Faults)
	for _, g := range in.Groups {
		faults += len(g.Faults)
		for _, s := range g.Sets {
			if len(s.Faults) == 0 {
				whole++
			} else {
				broken++
			}
		}
	}
	return statusOf(whole, broken, faults)
}

func edifactStatus(in *edifact.Interchange) string {
	whole, broken, faults := 0, 0, len(in.Faults)
	count := func(ms []edifact.Message) {
		for _, m := range ms {
			if len(m.Faults) == 0 {
				whole++
			} else {
				broken++
			}
		}
	}
	count(in.Messages)
	for _, g := range in.Groups {
		faults += len(g.Faults)
		count(g.Messages)
	}
	return statusOf(whole, broken, faults)
}

func statusOf(whole, broken, faults int) string {
	switch {
	case whole == 0 && broken+faults > 0:
		return event.AckRejected
	case broken > 0:
		return event.AckPartly
	case faults > 0:
		return event.AckErrors
	}
	return event.AckAccepted
}

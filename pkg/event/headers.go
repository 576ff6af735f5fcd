package event

import (
	"slices"
	"time"
	"unsafe"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Header is a header of a message, free of any client.
type Header = struct {
	Key   string
	Value []byte
}

// Header keys of a CloudEvent in binary mode (CloudEvents Kafka Protocol Binding
// 1.0.2, section 3.2).
const (
	ceID      = "ce_id"
	ceSource  = "ce_source"
	ceType    = "ce_type"
	ceTime    = "ce_time"
	ceVersion = "ce_specversion"
)

// CE is the CloudEvents context of a record, and the W3C trace it belongs to.
type CE struct {
	ID          string
	Source      string
	Type        string
	Time        inventory.Instant // zero: not stated
	TraceParent string            // empty: not stated
}

// Headers returns the context as message headers: ce_specversion 1.0, ce_id,
// ce_source, ce_type, and ce_time and traceparent where they are stated. Their
// values must not be written to.
func (ce CE) Headers() []Header {
	return AppendCE(make([]Header, 0, 6), ce, AppendStamp(nil, ce.Time))
}

// AppendCE appends the context's headers to hs, whatever the client's own type of
// a header is, and returns them. Records carry these by the hundred thousand a
// second, so it copies nothing: the values are the memory of ce's texts and of
// stamp, its Time as AppendStamp writes it, and must not be written to.
func AppendCE[H ~struct {
	Key   string
	Value []byte
}](hs []H, ce CE, stamp []byte) []H {
	hs = append(hs, H{ceVersion, textBytes("1.0")}, H{ceID, textBytes(ce.ID)}, H{ceSource, textBytes(ce.Source)}, H{ceType, textBytes(ce.Type)})
	if len(stamp) > 0 {
		hs = append(hs, H{ceTime, slices.Clip(stamp)})
	}
	if ce.TraceParent != "" {
		hs = append(hs, H{TraceParent, textBytes(ce.TraceParent)})
	}
	return hs
}

// HeadersOf are the headers of a record of inventory.events that no raw message led
// to: source is who appends it, a URN; the type is that of all events of the kind.
func HeadersOf[H ~struct {
	Key   string
	Value []byte
}](ev *inventory.Event, source string) []H {
	ce := CE{ID: ev.ID, Source: source, Type: TypeOf(ev), Time: ev.ReceivedAt}
	return AppendCE(make([]H, 0, 5), ce, AppendStamp(nil, ce.Time))
}

// TypeOf is the CloudEvents type of an event.
func TypeOf(ev *inventory.Event) string {
	switch ev.Kind { //nolint:exhaustive // those that come by the hundred thousand
	case inventory.KindMovement:
		return "inventory.movement"
	case inventory.KindCount:
		return "inventory.count"
	case inventory.KindDemand:
		return "inventory.demand"
	case inventory.KindSupply:
		return "inventory.supply"
	}
	return "inventory." + string(ev.Kind)
}

// AppendStamp writes a time as it stands in ce_time: RFC 3339 in UTC with
// milliseconds. It writes nothing for one that is not stated or beyond the year
// 9999.
func AppendStamp(b []byte, t inventory.Instant) []byte {
	if t == 0 {
		return b
	}
	return appendInstant(b, t)
}

// textBytes is the text's own memory.
func textBytes(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }

// ParseCE is the opposite of Headers. What is missing stays empty, other headers
// are passed over, and a time that is not RFC 3339 is not stated.
func ParseCE(hs []Header) CE {
	var ce CE
	for i := range hs {
		switch hs[i].Key {
		case ceID:
			ce.ID = string(hs[i].Value)
		case ceSource:
			ce.Source = string(hs[i].Value)
		case ceType:
			ce.Type = string(hs[i].Value)
		case ceTime:
			if t, err := time.Parse(time.RFC3339Nano, string(hs[i].Value)); err == nil {
				ce.Time = inventory.Instant(t.UnixMilli())
			}
		case TraceParent:
			ce.TraceParent = string(hs[i].Value)
		}
	}
	return ce
}

package event

import (
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Header is a header of a message, free of any client.
type Header = struct {
	Key   string
	Value []byte
}

// Message is a record to be, free of any client.
type Message struct {
	Topic      string
	Key, Value []byte
	Headers    []Header
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
// ce_source, ce_type, and ce_time and traceparent where they are stated.
func (ce CE) Headers() []Header {
	size := len("1.0") + len(ce.ID) + len(ce.Source) + len(ce.Type) + len(ce.TraceParent) + len(time.RFC3339Nano)
	hs, _ := AppendCE(make([]Header, 0, 6), make([]byte, 0, size), ce)
	return hs
}

// AppendCE appends the context's headers to hs, whatever the client's own type of
// a header is, and their values to buf, and returns both. Records carry these by
// the hundred thousand a second, so the memory is the caller's.
func AppendCE[H ~struct {
	Key   string
	Value []byte
}](hs []H, buf []byte, ce CE) ([]H, []byte) {
	put := func(key, value string) {
		from := len(buf)
		buf = append(buf, value...)
		hs = append(hs, H{Key: key, Value: buf[from:len(buf):len(buf)]})
	}
	put(ceVersion, "1.0")
	put(ceID, ce.ID)
	put(ceSource, ce.Source)
	put(ceType, ce.Type)
	if ce.Time != 0 {
		from := len(buf)
		if buf = appendInstant(buf, ce.Time); len(buf) > from {
			hs = append(hs, H{Key: ceTime, Value: buf[from:len(buf):len(buf)]})
		}
	}
	if ce.TraceParent != "" {
		put(TraceParent, ce.TraceParent)
	}
	return hs, buf
}

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

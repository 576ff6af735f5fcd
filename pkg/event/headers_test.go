package event

import (
	"slices"
	"strings"
	"testing"
	"time"

	inv "github.com/stockweave/stockweave/pkg/inventory"
)

func TestHeaders(t *testing.T) {
	ce := CE{
		ID: "0123456789abcdef0123456789abcdef", Source: "/atp", Type: "io.stockweave.outcome", Time: 1_767_225_599_007,
		TraceParent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
	var got []string
	for _, h := range ce.Headers() {
		got = append(got, h.Key+"="+string(h.Value))
	}
	want := []string{
		"ce_specversion=1.0", "ce_id=0123456789abcdef0123456789abcdef", "ce_source=/atp", "ce_type=io.stockweave.outcome",
		"ce_time=2025-12-31T23:59:59.007Z", "traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	hs := append([]Header{{Key: "other", Value: []byte("x")}}, ce.Headers()...)
	if back := ParseCE(hs); back != ce {
		t.Errorf("%+v", back)
	}
	// Values do not grow into each other.
	hs = ce.Headers()
	_ = append(hs[1].Value, "overwritten"...)
	if string(hs[2].Value) != ce.Source {
		t.Errorf("source became %q", hs[2].Value)
	}
	if n := len(CE{ID: "i", Source: "s", Type: "t"}.Headers()); n != 4 {
		t.Errorf("%d headers without time and trace", n)
	}
	if ce := ParseCE([]Header{{Key: "ce_time", Value: []byte("yesterday")}}); ce != (CE{}) {
		t.Errorf("%+v", ce)
	}
	if ce := ParseCE([]Header{{Key: "ce_time", Value: []byte("2026-01-01T01:00:00+01:00")}}); ce.Time != 1_767_225_600_000 {
		t.Errorf("a foreign time zone: %d", ce.Time)
	}
}

func TestTypeOf(t *testing.T) {
	for _, kind := range []inv.Kind{
		inv.KindMovement, inv.KindCount, inv.KindDemand, inv.KindSupply, inv.KindReservation, inv.KindSetting, inv.KindControl, inv.KindApproval, inv.KindTick,
	} {
		if got := TypeOf(&inv.Event{Kind: kind}); got != "inventory."+string(kind) {
			t.Errorf("%s is %s", kind, got)
		}
	}
}

// No id of a subscription has the key of another one's delivery.
func TestDeliveryKey(t *testing.T) {
	if got := DeliveryKey("a"); got != "a|delivery" {
		t.Error(got)
	}
	if got := DeliveryKey("a|delivery"); got != "a%7Cdelivery|delivery" {
		t.Error(got)
	}
}

func TestInstants(t *testing.T) {
	for _, ms := range []int64{
		0, 1, -1, 999, 86_399_999, -86_400_000, -86_400_001, 951_782_400_000, 4_107_542_399_999,
		time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli(), time.Date(9999, 12, 31, 23, 59, 59, 999e6, time.UTC).UnixMilli(),
	} {
		want := time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z")
		if got := string(appendInstant(nil, inv.Instant(ms))); got != want {
			t.Errorf("%d: %s, not %s", ms, got, want)
		}
	}
	for _, ms := range []int64{-1 << 63, 1<<63 - 1, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli()} {
		if got := appendInstant(nil, inv.Instant(ms)); got != nil {
			t.Errorf("%d: %s", ms, got)
		}
	}
}

// TestDates walks through 1,200 years by the standard library's calendar.
func TestDates(t *testing.T) {
	first := time.Date(1599, 12, 31, 0, 0, 0, 0, time.UTC)
	for i := range 1200 * 366 {
		at := first.AddDate(0, 0, i)
		want, day := at.Format(time.DateOnly), int32(at.Unix()/86_400)
		if at.Unix()%86_400 != 0 {
			t.Fatal(at)
		}
		if got := string(appendDate(nil, day)); got != want {
			t.Fatalf("%d: %s, not %s", day, got, want)
		}
		if got, ok := parseDate(want); !ok || got != day {
			t.Fatalf("%s: %d, not %d", want, got, day)
		}
	}
	for s, want := range map[string]int32{"0001-01-01": firstDay, "9999-12-31": lastDay, "1970-01-01": 0} {
		if got, ok := parseDate(s); !ok || got != want || string(appendDate(nil, want)) != s {
			t.Errorf("%s: %d, %t", s, got, ok)
		}
	}
	for _, bad := range []string{"", "2026-1-01", "2026-02-29", "2100-02-29", "2026-13-01", "2026-00-10", "2026-04-31", "0000-01-01", "2026/01/01", "20x6-01-01", "2026-01-01T", "-026-01-01"} {
		if day, ok := parseDate(bad); ok {
			t.Errorf("%q is day %d", bad, day)
		}
	}
}

// TestEventID pins the rule: ids on topics are kept for ever.
func TestEventID(t *testing.T) {
	doc := inv.Document{Type: "x12_945", Number: "1001", Revision: "", Line: "1"}
	if got := EventID("wms", doc); got != "821e27e9ab0c2b88f37fdb1d559c4c48" {
		t.Errorf("%s", got)
	}
	if got := string(AppendEventID([]byte("before "), "wms", doc)); got != "before "+EventID("wms", doc) || len(EventID("wms", doc)) != IDSize {
		t.Errorf("appended it is %s", got)
	}
	seen := map[string]string{}
	for name, id := range map[string]string{
		"first":        EventID("wms", doc),
		"source":       EventID("wm", inv.Document{Type: "sx12_945", Number: "1001", Line: "1"}),
		"revision":     EventID("wms", inv.Document{Type: "x12_945", Number: "1001", Revision: "1"}),
		"moved":        EventID("wms", inv.Document{Type: "x12_945", Number: "100", Revision: "1", Line: "1"}),
		"line":         EventID("wms", inv.Document{Type: "x12_945", Number: "1001", Line: "2"}),
		"place":        PlaceID("a", 1, 2),
		"other place":  PlaceID("a", 2, 1),
		"other offset": PlaceID("a", 1, 3),
		"other topic":  PlaceID("b", 1, 2),
	} {
		if len(id) != 32 || strings.Trim(id, "0123456789abcdef") != "" {
			t.Errorf("%s: %q is not 32 hex digits", name, id)
		}
		if before, ok := seen[id]; ok {
			t.Errorf("%s and %s share an id", name, before)
		}
		seen[id] = name
	}
}

func TestUnescape(t *testing.T) {
	for _, s := range []string{"", "plain", "a|b", "100%", "%7C", "\x00\x1f\x7f", "é|%", "%%|"} {
		if got := inv.Unescape(inv.Escape(s)); got != s {
			t.Errorf("%q becomes %q", s, got)
		}
	}
	for _, s := range []string{"%", "%7", "%zz", "a%"} {
		if got := inv.Unescape(s); got != s {
			t.Errorf("%q, which is no escape, becomes %q", s, got)
		}
	}
}

// An event that no raw message led to is named as all of its kind are.
func TestHeadersOf(t *testing.T) {
	ev := inv.Event{ID: "e1", Kind: inv.KindReservation, ReceivedAt: 1_790_000_000_000}
	got := ParseCE(HeadersOf[Header](&ev, "urn:stockweave:reservation"))
	want := CE{ID: "e1", Source: "urn:stockweave:reservation", Type: "inventory.reservation", Time: ev.ReceivedAt}
	if got != want {
		t.Errorf("headers say %+v, want %+v", got, want)
	}
}

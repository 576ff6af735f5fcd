package place

import (
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/stream"
)

func TestPlaces(t *testing.T) {
	codecs := event.TestCodecs()
	p := New(codecs)
	put := func(m event.MasterLocation) {
		t.Helper()
		value, err := codecs.AppendLocation(nil, &m)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Apply(&stream.Record{Key: []byte("acme|DC1"), Value: value}); err != nil {
			t.Fatal(err)
		}
	}
	midnight := time.Date(2026, 11, 25, 3, 30, 0, 0, time.UTC) // still the 24th in New York
	day := func() string { return Date(p.Day(midnight, "acme", "DC1")) }

	if got := day(); got != "2026-11-25" {
		t.Errorf("without a record: %s", got)
	}
	put(event.MasterLocation{Entity: "acme", Location: "DC1", Zone: "America/New_York", Publishable: true})
	if pl, ok := p.Of("acme", "DC1"); !ok || !pl.Publishable || day() != "2026-11-24" {
		t.Errorf("with a zone: %+v %v, day %s", pl, ok, day())
	}
	put(event.MasterLocation{Entity: "acme", Location: "DC1", Zone: "Moon/Base"})
	if got := day(); got != "2026-11-25" {
		t.Errorf("with an unknown zone: %s", got)
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	if got := p.Zone("acme", "DC1", berlin); got != berlin {
		t.Errorf("another zone is not taken: %v", got)
	}
	put(event.MasterLocation{Entity: "acme", Location: "DC1", Zone: "America/New_York", Deleted: true})
	if _, ok := p.Of("acme", "DC1"); ok {
		t.Error("a deleted location is still there")
	}
	put(event.MasterLocation{Entity: "acme", Location: "DC1", Zone: "America/New_York"})
	if err := p.Apply(&stream.Record{Key: []byte("acme|DC1")}); err != nil {
		t.Fatal(err)
	}
	if _, ok := p.Of("acme", "DC1"); ok {
		t.Error("a tombstone is not obeyed")
	}
	if err := p.Apply(&stream.Record{Key: []byte("acme|DC1"), Value: []byte("junk")}); err == nil {
		t.Error("junk is taken")
	}
}

// TestSince: from when on what is said has been so is told, also of what is gone; what says
// the same again changes nothing.
func TestSince(t *testing.T) {
	codecs := event.TestCodecs()
	p := New(codecs)
	put := func(at int64, m *event.MasterLocation) {
		t.Helper()
		rec := &stream.Record{Key: []byte("acme|DC1"), Timestamp: time.UnixMilli(at)}
		if m != nil {
			var err error
			m.Entity, m.Location = "acme", "DC1"
			if rec.Value, err = codecs.AppendLocation(nil, m); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Apply(rec); err != nil {
			t.Fatal(err)
		}
	}
	if got := p.Since("acme", "DC1"); got != 0 {
		t.Errorf("of what never was: %d", got)
	}
	for i, tt := range []struct {
		m    *event.MasterLocation
		want int64 // index + 1 of the record
	}{
		{&event.MasterLocation{Zone: "UTC", Publishable: true}, 1},
		{&event.MasterLocation{Zone: "UTC", Publishable: true, Description: "other"}, 1},
		{&event.MasterLocation{Zone: "UTC"}, 3},
		{&event.MasterLocation{Zone: "Europe/Berlin"}, 4},
		{&event.MasterLocation{Zone: "Europe/Berlin"}, 4},
		{&event.MasterLocation{}, 6},
		{&event.MasterLocation{Deleted: true}, 7},
		{nil, 7},
		{&event.MasterLocation{}, 9},
		{nil, 10},
	} {
		put(int64(i+1), tt.m)
		if got := int64(p.Since("acme", "DC1")); got != tt.want {
			t.Errorf("after record %d: since %d, want %d", i+1, got, tt.want)
		}
	}
}

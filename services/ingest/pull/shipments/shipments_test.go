package shipments

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

var noon = time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)

func told(source inventory.Source, carrier, status string, at time.Time, numbers ...string) *event.Milestone {
	m := &event.Milestone{
		About: event.AboutShipments, Source: source, Status: status, ReceivedAt: inventory.Instant(at.UnixMilli()),
		Attributes: []inventory.Attribute{{Name: "carrier", Value: carrier}},
	}
	for _, n := range numbers {
		m.Identifiers = append(m.Identifiers, event.Identifier{Type: "tracking", Value: n})
	}
	return m
}

func TestOpen(t *testing.T) {
	now := noon
	o := New(policy.AskShipments{Carriers: []string{"UPS"}, For: 24 * time.Hour}, "tracking", func() time.Time { return now })
	expect := func(step string, want ...string) {
		t.Helper()
		if got, ok := o.List(); !ok || !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", step, got, want)
		}
	}
	if _, ok := o.List(); ok {
		t.Error("a list before the milestones are read")
	}
	o.Loaded()
	expect("nothing is known")
	o.Apply(told("shop", "ups", "shipped", noon, "1Z1", "UPS:1Z1"))
	o.Apply(told("wms", "UPS", "shipped", noon, "UPS:1Z2"))
	o.Apply(told("shop", "DHL", "shipped", noon, "JD1"))
	o.Apply(&event.Milestone{
		Source: "shop", Status: "fulfilled", ReceivedAt: inventory.Instant(noon.UnixMilli()),
		Attributes: []inventory.Attribute{{Name: "carrier", Value: "UPS"}, {Name: "tracking", Value: "1Z3"}},
	})
	o.Apply(told("shop", "UPS", "shipped", noon, strings.Repeat("9", 256), "")) // no numbers
	expect("the carrier's, by numbers alone", "1Z1", "1Z2", "1Z3")
	o.Apply(told("tracking", "UPS", "in_transit", noon, "1Z9"))
	expect("what the carrier itself tells opens none", "1Z1", "1Z2", "1Z3")
	o.Apply(told("tracking", "", "in_transit", noon, "1Z1"))
	o.Apply(told("tracking", "", "delivered", noon, "1Z1"))
	o.Apply(told("easypost", "UPS", "Delivered/signed", noon, "1Z2"))
	expect("over, whoever says so", "1Z3")
	o.Apply(told("shop", "UPS", "shipped", noon.Add(time.Hour), "1Z1"))
	expect("what comes late opens none again", "1Z3")
	o.Apply(told("easypost", "UPS", "delivered", noon, "1Z4"))
	o.Apply(told("shop", "UPS", "shipped", noon, "1Z4"))
	expect("also where the end comes first", "1Z3")
	o.Apply(told("other", "", "delivered", noon, "Z"))
	if len(o.all) != 4 {
		t.Errorf("%d numbers are remembered", len(o.all))
	}
	now = noon.Add(25 * time.Hour)
	expect("too old")
	if len(o.all) != 0 {
		t.Errorf("%d numbers are remembered: %v", len(o.all), o.all)
	}
}

// The oldest are forgotten where there are too many.
func TestOpenIsBounded(t *testing.T) {
	o := New(policy.AskShipments{Carriers: []string{"UPS"}}, "tracking", func() time.Time { return noon })
	o.Loaded()
	o.most = 100
	for i := range 1000 {
		o.Apply(told("shop", "UPS", "shipped", noon.Add(time.Duration(i-1000)*time.Minute), fmt.Sprintf("%04d", i)))
		if len(o.all) > o.most {
			t.Fatalf("%d are remembered", len(o.all))
		}
	}
	got, _ := o.List()
	if n := len(got); n < 80 || got[n-1] != "0999" || got[0] != fmt.Sprintf("%04d", 1000-n) {
		t.Errorf("%d: %s to %s", n, got[0], got[n-1])
	}
}

package canonicalizer

import (
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// everyLayout tries the layouts one by one: what parseTime must give.
func everyLayout(s string, zone *time.Location) (inventory.Instant, bool) {
	for _, layout := range zonedLayouts {
		if t, err := time.Parse(layout, s); err == nil {
			at, err := instant(t)
			return at, err == nil
		}
	}
	for _, list := range [][]string{localLayouts, dateLayouts} {
		for _, layout := range list {
			if t, err := time.ParseInLocation(layout, s, zone); err == nil {
				at, err := instant(t)
				return at, err == nil
			}
		}
	}
	return 0, false
}

// TestParseTimeSkipsNothing: layouts that are left out by the form of a text would not
// have fitted it.
func TestParseTimeSkipsNothing(t *testing.T) {
	zone := time.FixedZone("east", 2*60*60)
	texts := []string{"", "2026", "2026-11-2", "2026-11-02T5:04", "2026-11-02 5:04:05", "20261102T504", "2026-11-02T10:15:00.5", "2026-11-02T10:15:00,25", "20261102101500.125", "-2026-11-02"}
	at := time.Date(2026, 11, 2, 9, 5, 7, 250e6, zone)
	for _, list := range [][]string{zonedLayouts, localLayouts, dateLayouts} {
		for _, layout := range list {
			texts = append(texts, at.Format(layout), at.UTC().Format(layout))
		}
	}
	read := 0
	for _, s := range texts {
		for cut := range len(s) + 1 { // and what is left of it
			want, ok := everyLayout(s[cut:], zone)
			got, err := parseTime(s[cut:], &policy.Source{Zone: zone})
			if (err == nil) != ok || got != want {
				t.Errorf("%q: %d, %v, want %d, %v", s[cut:], got, err, want, ok)
			}
			if ok {
				read++
			}
		}
	}
	if read < 30 {
		t.Errorf("only %d are times", read)
	}
}

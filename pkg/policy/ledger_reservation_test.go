package policy

import (
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
)

func reservations(t *testing.T, ledger, atp string) (*Set, error) {
	t.Helper()
	return LoadFS(fstest.MapFS{
		"ownership/ledger.yaml": {Data: []byte(ledger)},
		"atp/atp.yaml":          {Data: []byte(atp)},
	})
}

const atpWithZones = `horizon: 14
keep_days: 2
supply_at: [{location: DC2, counts: none}]
time_zones: [{location: DC1, zone: Europe/Berlin}, {location: DC0, zone: Europe/Berlin}, {entity: us, location: DC1, zone: America/New_York}]
`

// What is granted follows the terms and days of what is shown, and the log carries all
// of it: a worker needs no zones of its own.
func TestReservationPolicyIsCarriedWhole(t *testing.T) {
	set, err := reservations(t, `version: 3
reservations:
  ranks:
    - {channel: web, locations: [DC2, DC1]}
    - {locations: [DC1]}
  split: true
  partner_cap: 20.5
  item_cap: 100
  max_claims: 500
  tombstone: 5m
`, atpWithZones)
	if err != nil {
		t.Fatal(err)
	}
	back, err := DecodeLedger(set.LedgerContent)
	if err != nil {
		t.Fatal(err)
	}
	again, hash, err := EncodeLedger(back)
	if err != nil || string(again) != string(set.LedgerContent) || hash != set.LedgerHash {
		t.Fatalf("read and written again it is\n%s\nnot\n%s, %v", again, set.LedgerContent, err)
	}
	p := back.Reservations
	if len(p.Ranks) != 2 || p.Ranks[0].Channel != "web" || p.Ranks[0].Locations[0] != "DC2" || !p.Split ||
		p.PartnerCap != 205_000 || p.ItemCap != 100*inventory.One || p.MaxClaims != 500 || p.Tombstone != 300_000 {
		t.Errorf("%+v", p)
	}
	if p.Terms.Horizon != 14 || p.Terms.KeepDays != 2 || !p.Terms.At["DC2"].None {
		t.Errorf("terms %+v", p.Terms)
	}
	for _, zone := range []struct {
		entity inventory.Entity
		at     inventory.Location
		zone   string
	}{{"", "DC1", "Europe/Berlin"}, {"de", "DC0", "Europe/Berlin"}, {"us", "DC1", "America/New_York"}, {"us", "DC9", "UTC"}} {
		z, err := time.LoadLocation(zone.zone)
		if err != nil {
			t.Fatal(err)
		}
		// Every half hour of days around the changes of 2026 and 2044.
		for _, from := range []string{"2026-03-28", "2026-10-24", "2026-03-07", "2044-10-29"} {
			day, _ := time.Parse(time.DateOnly, from)
			for at := day; at.Before(day.AddDate(0, 0, 2)); at = at.Add(30 * time.Minute) {
				y, m, d := at.In(z).Date()
				want := inventory.Day(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / 86_400)
				if got := p.Today(zone.entity, zone.at, inventory.Instant(at.UnixMilli())); got != want {
					t.Fatalf("%s %s at %s: day %d, not %d", zone.entity, zone.at, at, got, want)
				}
			}
		}
	}
}

func TestReservationPolicyFaults(t *testing.T) {
	for name, c := range map[string]struct{ ledger, want string }{
		"cap":   {"version: 1\nreservations:\n  partner_cap: -1\n", "ownership/ledger.yaml:3:3: reservations.partner_cap: below zero"},
		"twice": {"version: 1\nreservations:\n  ranks:\n    - {locations: [A]}\n    - {locations: [B]}\n", "ownership/ledger.yaml:5:8: reservations.ranks[1]: an earlier one"},
		"none":  {"version: 1\nreservations:\n  ranks:\n    - {channel: web}\n", "locations"},
		"name":  {"version: 1\nreservations: {horizon: 3}\n", "horizon"},
		"time":  {"version: 1\nreservations: {tombstone: soon}\n", "is no duration"},
	} {
		if _, err := reservations(t, c.ledger, "horizon: 3\n"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Package promisetest holds what every surface that promises must answer: worked
// examples with their numbers, and random cases with the question they come to. The
// tests of the reader and of the publisher run both, so that the two say the same.
package promisetest

import (
	"fmt"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// What every vector is about: an item or kit of Entity, its Group of locations A, B
// and C, and a Channel that sells from them, by its own Listing.
const (
	Entity  inventory.Entity = "acme"
	Item    inventory.Item   = "SKU-1"
	Group                    = "all"
	Channel                  = "shop"
)

// Today is the day of most vectors, in UTC.
var Today = Day("2026-11-24")

// Noon is the time of most vectors.
func Noon() time.Time { return time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC) }

// Day is a day written as 2006-01-02.
func Day(text string) inventory.Day {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		return 0
	}
	return inventory.Day(t.Unix() / 86400)
}

// Vector is a question and its answer.
type Vector struct {
	Name string
	// ATP and Shop are lines for the files of policies/atp and of the channel; Market
	// those of another channel of the same locations, which exists when not empty.
	ATP, Shop, Market string
	// Zones are those of the location master.
	Zones map[inventory.Location]string
	// Positions are committed together, item by item.
	Positions []inventory.Position
	// Heard is how long ago sources were last heard; the others never were.
	Heard map[inventory.Source]time.Duration
	At    time.Time     // Noon when zero
	On    inventory.Day // of delivery; zero: today
	Item  inventory.Item
	Want  string // of the group
	Shown string // by the channel; Want when empty
}

// Load is the vector's policy, from its files.
func (v *Vector) Load(t *testing.T) *policy.Set {
	t.Helper()
	channel := func(name, lines string) *fstest.MapFile {
		return &fstest.MapFile{Data: fmt.Appendf(nil, "name: %s\ntype: simulated\nentity: %s\ngroup: %s\n%s", name, Entity, Group, lines)}
	}
	files := fstest.MapFS{
		"ownership/ledger.yaml": {Data: []byte("version: 7\n")},
		"atp/atp.yaml":          {Data: []byte("groups: {all: [A, B, C]}\n" + v.ATP)},
		"channels/shop.yaml":    channel(Channel, v.Shop),
	}
	for source := range v.Heard {
		files["sources/"+string(source)+".yaml"] = &fstest.MapFile{Data: fmt.Appendf(nil,
			"name: %s\nentity: %s\nformat: json\nauth: {api_key_env: K}\nmapping_version: \"1\"\nmapping: \"[]\"\n", source, Entity)}
	}
	if v.Market != "" {
		files["channels/market.yaml"] = channel("market", v.Market)
	}
	set, err := policy.LoadFS(files)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// Now is the time of the vector.
func (v *Vector) Now() time.Time {
	if v.At.IsZero() {
		return Noon()
	}
	return v.At
}

// Key is of the item asked for.
func (v *Vector) Key() inventory.Key { return inventory.Key{Entity: Entity, Item: v.item()} }

func (v *Vector) item() inventory.Item {
	if v.Item == "" {
		return Item
	}
	return v.Item
}

// Sees is what the channel shows.
func (v *Vector) Sees() string {
	if v.Shown == "" {
		return v.Want
	}
	return v.Shown
}

func units(n int) inventory.Quantity { return inventory.Quantity(n) * inventory.One }

// at is Item at a location. Buckets below zero are claims.
func at(l inventory.Location, onHand int, bs ...inventory.Bucket) inventory.Position {
	p := inventory.Position{Key: inventory.Key{Entity: Entity, Item: Item}, Location: l}
	p.States[inventory.OnHand] = units(onHand)
	for _, b := range bs {
		if b.Quantity < 0 {
			b.Quantity = -b.Quantity
			p.Reserved = append(p.Reserved, b)
		} else {
			p.Supply = append(p.Supply, b)
		}
	}
	return p
}

func of(i inventory.Item, p inventory.Position) inventory.Position { p.Key.Item = i; return p }
func safety(n int, p inventory.Position) inventory.Position        { p.SafetyStock = units(n); return p }

func due(d inventory.Day, n int) inventory.Bucket {
	return inventory.Bucket{Due: d, Quantity: units(n)}
}
func movable(n int) inventory.Bucket { return inventory.Bucket{Movable: true, Quantity: units(n)} }
func ordered(channel string, d inventory.Day, n int) inventory.Bucket {
	return inventory.Bucket{Due: d, Channel: channel, Quantity: units(n)}
}

// Vectors are the worked examples.
func Vectors() []Vector {
	var out []Vector
	out = append(out, dates()...)
	out = append(out, saleable()...)
	out = append(out, supply()...)
	out = append(out, networks()...)
	out = append(out, kits()...)
	out = append(out, channels()...)
	out = append(out, overrides()...)
	out = append(out, silences()...)
	return append(out, midnights()...)
}

// dates are ATP on each of seven days, asked for on the first.
func dates() []Vector {
	d0 := Today - 1
	full := at("A", 20, due(d0+1, -3), due(d0+4, -15), due(d0+3, 10), due(d0+5, 1), due(d0+6, 3))
	var out []Vector
	for i, want := range []string{"12", "12", "12", "12", "13", "16", "16"} {
		out = append(out, Vector{
			Name: fmt.Sprintf("projected, day %d", i+1), Positions: []inventory.Position{full}, On: Today + inventory.Day(i),
			Want: want, Shown: "12",
		}, Vector{
			// Who asks on that day sees the same: claims are overdue, supply is kept.
			Name: fmt.Sprintf("projected, on day %d itself", i+1), ATP: "keep_days: 9\n", Positions: []inventory.Position{full},
			At: Noon().AddDate(0, 0, i), Want: want,
		})
	}
	d4 := at("A", 17, due(Today, -15), due(Today+1, 1), due(Today+2, 3))
	for i, want := range []string{"2", "3", "6", "6", "6", "6", "6"} {
		out = append(out, Vector{
			Name: fmt.Sprintf("without the supply, %d days later", i), Positions: []inventory.Position{d4}, On: Today + inventory.Day(i),
			Want: want, Shown: "2",
		})
	}
	return out
}

// saleable are the numbers of Vendure's documentation: on hand, allocated, threshold.
func saleable() []Vector {
	var out []Vector
	for _, c := range []struct {
		onHand, allocated, threshold int
		want                         string
	}{{10, 0, 0, "10"}, {10, 0, 3, "7"}, {10, 5, 0, "5"}, {10, 5, 3, "2"}, {10, 10, 0, "0"}, {10, 10, -5, "5"}} {
		p := safety(c.threshold, at("A", c.onHand))
		if c.allocated > 0 {
			p.Reserved = []inventory.Bucket{{Movable: true, Quantity: units(c.allocated)}}
		}
		out = append(out, Vector{
			Name:      fmt.Sprintf("saleable (%d, %d, %d)", c.onHand, c.allocated, c.threshold),
			Positions: []inventory.Position{p}, Want: c.want,
		})
	}
	return out
}

func supply() []Vector {
	one := func(ps ...inventory.Position) []inventory.Position { return ps }
	transit := at("A", 5)
	transit.States[inventory.InTransit] = units(7)
	parked := at("A", 5)
	parked.ParkedOut = units(2)
	return []Vector{
		{Name: "undated supply never counts", ATP: "keep_days: 366\n", Positions: one(at("A", 5, due(0, 7))), Want: "5"},
		{Name: "in transit is no supply", Positions: one(transit), Want: "5"},
		{Name: "overdue supply that is kept", ATP: "keep_days: 3\n", Positions: one(at("A", 5, due(Today-3, 7))), Want: "12"},
		{Name: "overdue supply that is kept no more", ATP: "keep_days: 3\n", Positions: one(at("A", 5, due(Today-4, 7))), Want: "5"},
		{
			Name: "a location that keeps it longer", ATP: "keep_days: 3\nsupply_at: [{location: A, keep_days: 9}]\n",
			Positions: one(at("A", 5, due(Today-4, 7)), at("B", 1, due(Today-4, 7))), Want: "13",
		},
		{
			Name: "a location whose supply does not count", ATP: "supply_at: [{location: A, counts: none}]\n",
			Positions: one(at("A", 5, due(Today, 7))), Want: "5",
		},
		{Name: "overdue and undated claims count today", Positions: one(at("A", 5, due(0, -1), due(Today-9, -2))), Want: "2"},
		{Name: "claims beyond the horizon do not", ATP: "horizon: 5\n", Positions: one(at("A", 5, due(Today+6, -2))), Want: "5"},
		{
			Name: "but before the day asked for they do", ATP: "horizon: 5\n", Positions: one(at("A", 5, due(Today+6, -2))),
			On: Today + 7, Want: "3", Shown: "5",
		},
		{Name: "what waits in parked events is not there", Positions: one(parked), Want: "3"},
	}
}

func networks() []Vector {
	return []Vector{
		{Name: "movable claims take from the other", Positions: []inventory.Position{at("A", 0, movable(-3)), at("B", 3)}, Want: "0"},
		{Name: "negative stock takes nothing", Positions: []inventory.Position{at("A", -3), at("B", 3)}, Want: "3"},
		{Name: "safety stock takes nothing", Positions: []inventory.Position{safety(5, at("A", 2)), at("B", 3)}, Want: "3"},
		{Name: "of the group only", Positions: []inventory.Position{at("A", 4), at("C", 2), at("Z", 90)}, Want: "6"},
	}
}

func kits() []Vector {
	const kit = "kits: [{entity: acme, item: KIT, parts: [{item: P1, quantity: 2}, {item: P2, quantity: 2}]}]\n"
	return []Vector{
		{
			Name: "a kit at three below zero shows none", ATP: kit, Item: "KIT", Want: "0",
			Positions: []inventory.Position{of("P1", at("A", 8, due(0, -14))), of("P2", at("A", 4258, due(0, -168)))},
		},
		{
			// Four below zero with three on order: who subtracts them must not see one.
			Name: "its sign is kept to the end", ATP: kit, Item: "KIT", Shop: "basis: gross\n", Want: "0",
			Positions: []inventory.Position{
				of("P1", at("A", 8, due(0, -15))), of("P2", at("A", 90)), of("KIT", at("A", 0, ordered(Channel, 0, -3))),
			},
		},
		{
			Name: "the scarcest part, whole kits, over locations", ATP: kit, Item: "KIT", Want: "3", Shown: "3",
			Positions: []inventory.Position{of("P1", at("A", 3)), of("P1", at("B", 4)), of("P2", at("A", 90))},
		},
		{
			Name: "a part nobody has heard of", ATP: kit, Item: "KIT", Want: "0",
			Positions: []inventory.Position{of("P1", at("A", 3))},
		},
		{
			Name: "a part that is not sold", Item: "KIT", Want: "0",
			ATP:       kit + "overrides: [{kind: stop_sell, item: P2, author: ana}]\n",
			Positions: []inventory.Position{of("P1", at("A", 9)), of("P2", at("A", 90))},
		},
		{
			Name: "to a channel", ATP: kit, Item: "KIT", Shop: "buffer: 1\nunit: 3\n", Want: "10", Shown: "9",
			Positions: []inventory.Position{of("P1", at("A", 20)), of("P2", at("A", 90))},
		},
	}
}

func channels() []Vector {
	stock := func(n int, bs ...inventory.Bucket) []inventory.Position {
		return []inventory.Position{at("B", n, bs...)}
	}
	const traits = "items: [{entity: acme, item: SKU-1, class: A, velocity: 12}]\n"
	return []Vector{
		{Name: "a share", Shop: "share: 50\nunit: 0.5\n", Positions: stock(97), Want: "97", Shown: "48.5"},
		{Name: "what is set aside for it", Shop: "ring_fences: [{item: SKU-1, quantity: 20}]\n", Positions: stock(97), Want: "97", Shown: "20"},
		{
			Name: "a share of what is not set aside for another", Shop: "share: 50\n", Market: "ring_fences: [{item: SKU-1, quantity: 40}]\n",
			Positions: stock(97), Want: "97", Shown: "28",
		},
		{
			Name: "of another item nothing is set aside", Shop: "share: 50\n", Market: "ring_fences: [{item: SKU-2, quantity: 40}]\n",
			Positions: stock(98), Want: "98", Shown: "49",
		},
		{
			Name: "by rank", Shop: "ring_fences: [{quantity: 20}]\nrank: 2\n", Market: "ring_fences: [{item: SKU-1, quantity: 40}]\nrank: 1\n",
			Positions: stock(50), Want: "50", Shown: "10",
		},
		{
			Name: "safety by class and velocity", ATP: traits, Positions: stock(97), Want: "97", Shown: "72",
			Shop: "safety: [{class: B, quantity: 50}, {class: A, velocity: 13, quantity: 60}, {class: A, velocity: 10, quantity: 1, days: 2}]\n",
		},
		{Name: "buffer beyond it", Shop: "buffer: 5\n", Positions: stock(4), Want: "4", Shown: "0"},
		{Name: "cap, then its unit", Shop: "buffer: 5\ncap: 20\nunit: 6\n", Positions: stock(97), Want: "97", Shown: "18"},
		{
			Name: "every step in its order", ATP: "items: [{entity: acme, item: SKU-1, velocity: 3}]\n", Positions: stock(120), Want: "120", Shown: "12",
			Shop: "share: 50\nsafety: [{quantity: 4, days: 2}]\nbuffer: 6\ncap: 17\nunit: 6\n", Market: "ring_fences: [{quantity: 40}]\n",
		},
		{Name: "net", Positions: stock(10, ordered(Channel, Today, -3)), Want: "7"},
		{
			Name: "gross adds back its own open orders", Shop: "basis: gross\n", Want: "5", Shown: "8",
			Positions: stock(10, ordered(Channel, Today, -3), ordered("market", Today, -2)),
		},
		{Name: "gross keeps a deficit one", Shop: "basis: gross\n", Positions: stock(2, ordered(Channel, 0, -5)), Want: "0", Shown: "2"},
	}
}

func overrides() []Vector {
	stock := []inventory.Position{at("A", 40), at("B", 50)}
	set := "overrides:\n  - {kind: set_quantity, entity: acme, item: SKU-1, quantity: 7, until: 2026-11-24T13:00:00+01:00, author: ben, made_at: 2026-11-23T08:00:00Z}\n"
	return []Vector{
		{Name: "stop-sell", ATP: "overrides: [{kind: stop_sell, item: SKU-1, author: ana}]\n", Positions: stock, Want: "0"},
		{Name: "stop-sell of another item", ATP: "overrides: [{kind: stop_sell, item: SKU-2, author: ana}]\n", Positions: stock, Want: "90"},
		{Name: "stop-sell on the channel", ATP: "overrides: [{kind: stop_sell, item: SKU-1, channel: shop, author: ana}]\n", Positions: stock, Want: "90", Shown: "0"},
		{Name: "stop-sell at a location", ATP: "overrides: [{kind: stop_sell, location: B, author: ana}]\n", Positions: stock, Want: "40"},
		{
			Name: "stop-sell shows nothing to a gross channel", ATP: "overrides: [{kind: stop_sell, item: SKU-1, author: ana}]\n", Shop: "basis: gross\n",
			Positions: []inventory.Position{at("A", 40, ordered(Channel, 0, -4))}, Want: "0",
		},
		{Name: "set, until then", ATP: set, Positions: stock, At: Noon().Add(-time.Millisecond), Want: "7"},
		{Name: "set, and then no more", ATP: set, Positions: stock, At: Noon(), Want: "90"},
		{Name: "a stop before a quantity", ATP: set + "  - {kind: stop_sell, item: SKU-1, author: ana}\n", Positions: stock, At: Noon().Add(-time.Hour), Want: "0"},
	}
}

// silences are the owner of A an hour and a bit after its last word, or before.
func silences() []Vector {
	stock := []inventory.Position{at("A", 41, due(Today+1, 9)), at("B", 50)}
	ago := func(d time.Duration) map[inventory.Source]time.Duration {
		return map[inventory.Source]time.Duration{"wms": d}
	}
	silent := ago(time.Hour + time.Millisecond)
	rule := func(more string) string {
		return "silence:\n  - {location: A, owner: wms, heartbeat: 1h, " + more + "}\n"
	}
	kit := "kits: [{entity: acme, item: KIT, parts: [{item: SKU-1, quantity: 2}]}]\n"
	return []Vector{
		{Name: "an owner within its heartbeat", ATP: rule("then: zero"), Heard: ago(time.Hour), Positions: stock, Want: "91"},
		{Name: "a silent owner, zero", ATP: rule("then: zero"), Heard: silent, Positions: stock, Want: "50"},
		{Name: "zero, with what comes", ATP: rule("then: zero"), Heard: silent, Positions: stock, On: Today + 1, Want: "50"},
		{Name: "a silent owner, hold", ATP: rule("then: hold"), Heard: silent, Positions: stock, Want: "91"},
		{Name: "a silent owner, haircut, rounded down", ATP: rule("then: haircut, haircut: 33.3333"), Heard: silent, Positions: stock, Want: "77.3333", Shown: "77"},
		{Name: "a silent owner of a kit's part", ATP: kit + rule("then: zero"), Heard: silent, Positions: stock, Item: "KIT", Want: "25"},
		{
			Name: "a person's number before a silent owner's", Heard: silent, Positions: stock, Want: "52",
			ATP: rule("then: zero") + "overrides: [{kind: set_quantity, item: SKU-1, location: A, quantity: 2, until: 2026-11-25T00:00:00Z, author: ana}]\n",
		},
		{
			Name: "zero leaves a gross channel what it has on order", ATP: rule("then: zero"), Heard: silent, Shop: "basis: gross\n",
			Positions: []inventory.Position{at("A", 40, ordered(Channel, 0, -4))}, Want: "0",
		},
		{
			Name: "what a silent owner's location owes is owed", ATP: rule("then: zero"), Heard: silent,
			Positions: []inventory.Position{at("A", 9, movable(-3)), at("B", 50)}, Want: "47",
		},
	}
}

// midnights are one claim, two minutes around a location's midnight.
func midnights() []Vector {
	claim := []inventory.Position{at("A", 10, due(Today+2, -3))}
	newYork := map[inventory.Location]string{"A": "America/New_York"}
	before := time.Date(2026, 11, 25, 4, 59, 0, 0, time.UTC)
	return []Vector{
		{Name: "before midnight in New York", ATP: "horizon: 1\n", Zones: newYork, Positions: claim, At: before, Want: "10"},
		{Name: "after midnight in New York", ATP: "horizon: 1\n", Zones: newYork, Positions: claim, At: before.Add(2 * time.Minute), Want: "7"},
		{Name: "midnight in London has passed", ATP: "horizon: 1\n", Positions: claim, At: before, Want: "7"},
		{
			Name: "the policy's zone, where the master states none", ATP: "horizon: 1\ntime_zones: [{location: A, zone: America/New_York}]\n",
			Positions: claim, At: before, Want: "10",
		},
		{
			Name: "the master's zone before the policy's", ATP: "horizon: 1\ntime_zones: [{location: A, zone: Europe/London}]\n",
			Zones: newYork, Positions: claim, At: before, Want: "10",
		},
	}
}

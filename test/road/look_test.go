package road

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/simulate/road"
)

// look reads the figures at every end: in the ERP by its own REST API, in Redis
// from the bytes that stand there, over HTTP, and at the channels.
func (w *world) look(t *testing.T) figures {
	t.Helper()
	f := figures{}
	for _, item := range w.books.Products {
		for _, location := range []string{"DC1", "DC2"} {
			for _, place := range []string{"storage", "picked", "damaged", "returned", "quarantine"} {
				code := location + "/" + place
				f[fmt.Sprintf("erp %s %s", item, code)] = w.books.quantity(t, item, code)
			}
		}
		w.lookInRedis(t, item, f)
		w.lookOverHTTP(t, item, f)
	}
	for name, c := range w.channels {
		for _, v := range c.Values() {
			f[fmt.Sprintf("channel %s %s", name, v.Listing)] = v.Quantity
		}
	}
	return f
}

// versionDigits begin every value in Redis.
const versionDigits = 20

func (w *world) lookInRedis(t *testing.T, item string, f figures) {
	t.Helper()
	client := w.Redis.Client(t)
	keys, err := client.Keys(t.Context(), "sw:{p*}:i:acme|"+item).Result()
	if err != nil || len(keys) != 1 {
		t.Fatalf("redis has %d keys for %s: %v, %v", len(keys), item, keys, err)
	}
	values, err := client.HGetAll(t.Context(), keys[0]).Result()
	if err != nil {
		t.Fatal(err)
	}
	for location, value := range values {
		var p inventory.Position
		if err := w.Codecs.DecodePosition([]byte(value[versionDigits:]), &p); err != nil {
			t.Fatalf("%s of %s in redis: %v", location, item, err)
		}
		if value[:versionDigits] != fmt.Sprintf("%020d", p.Version) || string(p.Location) != location || string(p.Key.Item) != item {
			t.Errorf("%s of %s in redis is under version %s, but says %s %s %d",
				location, item, value[:versionDigits], p.Key.Item, p.Location, p.Version)
		}
		for state, q := range p.States {
			f[fmt.Sprintf("redis %s %s %s", item, location, inventory.Account(state))] = q.String()
		}
		var reserved inventory.Quantity
		for _, b := range p.Reserved {
			reserved += b.Quantity
		}
		f[fmt.Sprintf("redis %s %s reserved", item, location)] = reserved.String()
	}
}

func (w *world) lookOverHTTP(t *testing.T, item string, f figures) {
	t.Helper()
	a, err := road.Ask(t.Context(), w.http, w.API(), inventory.Key{Entity: "acme", Item: inventory.Item(item)})
	if err != nil {
		t.Fatal(err)
	}
	f[fmt.Sprintf("http %s atp", item)] = a.ATP
	for _, l := range a.Locations {
		for state, q := range l.States {
			f[fmt.Sprintf("http %s %s %s", item, l.Location, state)] = q
		}
		f[fmt.Sprintf("http %s %s reserved", item, l.Location)] = l.Reserved
		f[fmt.Sprintf("http %s %s atp", item, l.Location)] = l.ATP
	}
}

// differences says where two sets of figures differ.
func differences(got, want figures) string {
	var b strings.Builder
	all := maps.Clone(want)
	maps.Copy(all, got)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if g, w := got[name], want[name]; g != w {
			fmt.Fprintf(&b, "%s: %q, want %q\n", name, g, w)
		}
	}
	return b.String()
}

// dump writes a map's content in the order of its keys.
func dump[V any](m map[string]V) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(m)) {
		fmt.Fprintf(&b, "%s: %+v\n", k, m[k])
	}
	return b.String()
}

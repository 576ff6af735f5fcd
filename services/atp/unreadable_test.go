package atp

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// A piece of state that cannot be read is never taken for one that is not there: the
// worker stops, whichever piece an event needs.
func TestUnreadableStateStops(t *testing.T) {
	w := newOneKey(t, key, compared())
	at, n := oneKeyAt, 0
	next := func(typ string, kind inventory.Kind, refs ...inventory.Ref) *inventory.Event {
		n++
		ev := receipt(fmt.Sprint(typ, n), inventory.One)
		ev.Kind, ev.Refs, ev.OccurredAt, ev.ReceivedAt = kind, refs, at, at
		if kind != inventory.KindMovement {
			ev.Movement = nil
		}
		return ev
	}
	order := inventory.Ref{Issuer: "shop", Type: "order", Number: "1"}
	bought := inventory.Ref{Issuer: "erp", Type: "purchase_order", Number: "1"}
	known := inventory.Ref{Issuer: "wms", Type: "order", Number: "W1"} // under another name
	ship := func() *inventory.Event {
		ev := next("ship", inventory.KindMovement, known)
		ev.Movement.Type = inventory.Ship
		return ev
	}
	probes := map[string]func() *inventory.Event{
		"receipt": func() *inventory.Event { return next("R", inventory.KindMovement) },
		"receipt elsewhere": func() *inventory.Event {
			ev := next("R", inventory.KindMovement)
			ev.Movement.Location = "L099"
			return ev
		},
		"ship":   ship,
		"bought": func() *inventory.Event { return next("R", inventory.KindMovement, bought) },
		"claims": func() *inventory.Event { return claims("erp", next("C", inventory.KindCount).ID, at, inventory.One) },
		"count of before": func() *inventory.Event {
			return claims("wms", next("C", inventory.KindCount).ID, oneKeyAt+1, inventory.One)
		},
		"late reversal": func() *inventory.Event { return reversal("V", "R-none", inventory.One) },
	}
	for i := range 400 {
		at++
		ev := next("R", inventory.KindMovement)
		if i < 100 {
			ev.Movement.Location = inventory.Location(fmt.Sprintf("L%03d", i))
		}
		w.commit(at, ev)
	}
	ordered := next("order", inventory.KindDemand, order, known)
	ordered.Demand = &inventory.Demand{Stage: inventory.Ordered, Location: "DC1", Quantity: 9 * inventory.One}
	coming := next("po", inventory.KindSupply, bought)
	coming.Supply = &inventory.Supply{Stage: inventory.Ordered, Location: "DC1", Quantity: 9 * inventory.One}
	w.commit(at, ordered, coming, probes["claims"](), reversal("V", "R-other", inventory.One))

	state, kinds := map[string][]byte{}, map[string]bool{}
	w.st.Each(func(key string, value []byte) bool {
		state[key] = bytes.Clone(value)
		_, rest := split(key)
		kind, _, _ := strings.Cut(rest, "|")
		kinds[kind] = true
		return true
	})
	if got := strings.Join(slices.Sorted(maps.Keys(kinds)), ""); got != "cdhjlprsv" {
		t.Fatalf("the state has pieces of the kinds %s", got)
	}
	kinds = map[string]bool{} // that were missed
	for _, k := range slices.Sorted(maps.Keys(state)) {
		var missed []string
		for _, name := range slices.Sorted(maps.Keys(probes)) {
			for k, v := range state {
				w.st.Put(k, bytes.Clone(v))
			}
			w.st.Put(k, []byte("junk"))
			w.st.Merge()
			w.st.SetObject(nil)
			ev := probes[name]()
			ev.Key = w.key
			value, err := w.proc.codecs.AppendEvent(nil, ev)
			if err != nil {
				t.Fatal(err)
			}
			rec := &stream.Record{Key: []byte(w.key.String()), Value: value, Offset: w.next, Timestamp: time.UnixMilli(int64(at))}
			err = w.proc.Step(stream.Input{Record: rec, Lineage: 1, Header: &stream.Header{Lineage: 1}}, w.st, func(*stream.Record) {})
			w.st.Drop()
			if errors.Is(err, stream.ErrStop) {
				missed = append(missed, name)
			} else if err != nil {
				t.Fatalf("%s with %s unreadable: %v", name, k, err)
			}
		}
		_, rest := split(k)
		if kind, _, _ := strings.Cut(rest, "|"); len(missed) > 0 {
			kinds[kind] = true
		}
		if rest == inventory.PieceHead && len(missed) != len(probes) {
			t.Errorf("without a head only %v stop", missed)
		}
	}
	if got := strings.Join(slices.Sorted(maps.Keys(kinds)), ""); got != "cdhjlprsv" {
		t.Errorf("only of the kinds %s an unreadable piece was missed", got)
	}
}

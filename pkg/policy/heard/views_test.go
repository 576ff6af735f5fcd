package heard

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/current"
	"github.com/stockweave/stockweave/pkg/stream"
)

func key(i inventory.Item) inventory.Key { return inventory.Key{Entity: "acme", Item: i} }

// claim is a view of so many on hand, with the system's own movements since.
func (tp *topic) claim(i inventory.Item, l inventory.Location, s inventory.Source, onHand int) {
	tp.t.Helper()
	v := inventory.View{
		Key: key(i), Location: l, Source: s, Basis: inventory.Sellable, AsOf: 100, EventID: "e", Version: 1,
		Balances: []inventory.StateBalance{{State: inventory.OnHand, Quantity: inventory.Quantity(onHand) * inventory.One}},
		Moved:    []inventory.ViewMove{{At: 110, Quantity: 1}, {At: 120, Quantity: 2}},
	}
	value, err := tp.codecs.AppendView(nil, &v)
	if err != nil {
		tp.t.Fatal(err)
	}
	tp.append(value)
}

func fallback(l inventory.Location, to inventory.Source) policy.Silence {
	return policy.Silence{Entity: "acme", Location: l, Owner: "wms", Heartbeat: 60 * minute, Then: inventory.SilenceFallback, Fallback: to}
}

// wants checks the views of an item: location, source and on hand.
func (v *Views) wants(t *testing.T, i inventory.Item, want ...inventory.View) {
	t.Helper()
	got := v.Of(key(i))
	if len(got) != len(want) {
		t.Errorf("%s: %d views, want %d", i, len(got), len(want))
		return
	}
	for j := range got {
		g, w := &got[j], &want[j]
		if g.Location != w.Location || g.Source != w.Source || g.Balances[0].Quantity != w.Balances[0].Quantity || g.AsOf != 100 || g.Moved[len(g.Moved)-1].At != 120 {
			t.Errorf("%s: %+v, want %+v", i, g, w)
		}
	}
}

func view(l inventory.Location, s inventory.Source, onHand int) inventory.View {
	return inventory.View{Location: l, Source: s, Balances: []inventory.StateBalance{{Quantity: inventory.Quantity(onHand) * inventory.One}}}
}

// Only what a rule may need is kept, anew with another policy, and what changes is
// told one by one.
func TestViewsThatTakeAnOwnersPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tp := &topic{t: t, codecs: event.TestCodecs(), slow: time.Minute}
		tp.claim("A", "DC1", "erp", 5)
		tp.claim("A", "DC1", "erp", 6)
		tp.claim("A", "DC2", "erp", 7)
		tp.claim("A", "DC1", "shop", 8)
		p := current.New(tp.codecs, rules(t, 1, policy.Silence{Owner: "wms", Heartbeat: minute, Then: inventory.SilenceZero}), quiet())
		v := NewViews(Config{Codecs: tp.codecs, Policies: p, Log: quiet()})
		v.table = func(apply func(*stream.Record) error) (table, error) { return tp.open(time.Time{}, apply), nil }
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- v.Run(ctx) }()
		<-v.Loaded()
		if len(tp.readers()) != 0 || v.Ready() != nil {
			t.Fatal("views are read for nobody")
		}
		_, seen, ok := v.Since(0)
		if !ok || seen != 0 {
			t.Errorf("changes %d, %v", seen, ok)
		}
		publish(t, tp.codecs, p, 2, fallback("DC1", "erp"))
		time.Sleep(59 * time.Second)
		v.wants(t, "A")
		time.Sleep(2 * time.Second)
		v.wants(t, "A", view("DC1", "erp", 6))
		if _, seen, ok = v.Since(seen); ok {
			t.Error("another policy's views are no change")
		}
		given := v.Of(key("A"))
		tp.claim("A", "DC1", "erp", 9)
		tp.claim("B", "DC1", "erp", 3)
		tp.claim("B", "DC1", "shop", 4)
		tp.append([]byte("junk"))
		v.wants(t, "A", view("DC1", "erp", 9))
		v.wants(t, "B", view("DC1", "erp", 3))
		if given[0].Balances[0].Quantity != 6*inventory.One {
			t.Error("a view that was given out changed")
		}
		keys, now, ok := v.Since(seen)
		if !ok || len(keys) != 2 || keys[0] != key("A") || keys[1] != key("B") {
			t.Errorf("changed are %v, %v", keys, ok)
		}
		if keys, _, ok := v.Since(now); !ok || len(keys) != 0 {
			t.Errorf("then %v, %v", keys, ok)
		}

		// While others are read, those in force are followed.
		publish(t, tp.codecs, p, 3, fallback("", "shop"), fallback("DC1", "erp"))
		time.Sleep(30 * time.Second)
		tp.claim("A", "DC1", "erp", 10)
		v.wants(t, "A", view("DC1", "erp", 10))
		time.Sleep(31 * time.Second)
		v.wants(t, "A", view("DC1", "erp", 10), view("DC1", "shop", 8))
		if _, _, ok := v.Since(now); ok {
			t.Error("another policy's views are no change")
		}
		for range 2*maxChanges + 5 {
			tp.claim("B", "DC1", "erp", 1)
		}
		_, now, _ = v.Since(0)
		if _, _, ok := v.Since(now - maxChanges); !ok {
			t.Error("changes are forgotten too soon")
		}
		if _, _, ok := v.Since(now - 2*maxChanges - 5); ok {
			t.Error("changes are never forgotten")
		}
		publish(t, tp.codecs, p, 4)
		time.Sleep(time.Second)
		v.wants(t, "A")
		for _, ended := range tp.readers() {
			if !ended {
				t.Error("views are read for nobody")
			}
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestViewsThatFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tp := &topic{t: t, codecs: event.TestCodecs()}
		p := current.New(tp.codecs, rules(t, 1, fallback("", "erp")), quiet())
		v := NewViews(Config{Codecs: tp.codecs, Policies: p, Log: quiet()})
		boom := errors.New("boom")
		v.table = func(apply func(*stream.Record) error) (table, error) {
			f := tp.open(time.Time{}, apply)
			f.fail <- boom
			return f, nil
		}
		if err := v.Run(context.Background()); !errors.Is(err, boom) {
			t.Errorf("it goes on: %v", err)
		}
	})
}

package inventory_test

import (
	"fmt"
	"runtime"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

// A request that any location might serve costs what the locations are, not their
// square: one of two lines that no location takes together looks at each.
func TestARequestOfManyLocationsIsLinear(t *testing.T) {
	cost := func(locations int) uint64 {
		g := newLog(t, scenarioKey, false)
		now := Instant(1000 * 60_000)
		for i := range locations {
			ev := reserveOp{kind: opReceipt, located: 1, quantity: 2}.event(i, now)
			ev.Movement.Location = Location(fmt.Sprintf("S%05d", i))
			if _, err := g.ledger.Apply(&g.policy, &ev, At{Lineage: 1, Offset: int64(i)}); err != nil {
				t.Fatal(err)
			}
		}
		ev := reserveOp{kind: opTry, ttl: 60, lines: []reserveLine{{name: 1, quantity: 1}, {name: 2, quantity: 3}}}.event(1<<20, now)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		out, err := g.ledger.Apply(&g.policy, &ev, At{Lineage: 1, Offset: 1 << 20})
		runtime.ReadMemStats(&after)
		if err != nil || out.Kind != Denied || out.Answer.Available != 3*One {
			t.Fatalf("%v, %v %+v", err, out.Kind, out.Answer)
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	few, many := cost(500), cost(2000)
	if many > 7*few {
		t.Errorf("of 500 locations it takes %d bytes, of 2000 %d", few, many)
	}
}

// Of many locations the same are found as of few: by rank, together, and where the
// lines were.
func TestSourcingAmongManyLocations(t *testing.T) {
	g := newLog(t, scenarioKey, true)
	now := Instant(1000 * 60_000)
	stock := map[int]int{0: 1, 30: 4, 50: 7, 70: 9}
	for i := range 80 {
		ev := reserveOp{kind: opReceipt, located: 1, quantity: max(1, stock[i])}.event(i, now)
		ev.Movement.Location = Location(fmt.Sprintf("S%05d", i))
		if _, err := g.append(ev); err != nil {
			t.Fatal(err)
		}
	}
	try := func(n int, a, b int, want Location) {
		t.Helper()
		ev := reserveOp{kind: opTry, ttl: 60, lines: []reserveLine{{name: 1, quantity: a}, {name: 2, quantity: b}}}.event(1000+n, now)
		out, err := g.append(ev)
		if err != nil || out.Answer.Verdict != Granted || len(out.Answer.Lines) != 2 || out.Answer.Lines[0].Location != want || out.Answer.Lines[1].Location != want {
			t.Errorf("%v, %+v, want both at %s", err, out.Answer, want)
		}
	}
	try(1, 3, 4, "S00050") // the first that takes both
	try(2, 1, 2, "S00050") // a change to less stays
	try(3, 5, 4, "S00070") // to more goes on
}

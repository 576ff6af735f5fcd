package inventory_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

func claim(line string, d Day, n int) PegClaim {
	return PegClaim{Line: line, Due: d, Quantity: units(n)}
}

func coming(line string, d Day, n int) PegSupply {
	return PegSupply{Line: line, Due: d, Quantity: units(n)}
}

// pegged writes pegs and lines at risk down: "A on_hand 3, B supply P 2 late; risk
// B late 2 short 0".
func pegged(p Pegging) string {
	var b strings.Builder
	for i, x := range p.Pegs {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %s", x.Line, x.From)
		if x.Supply != "" {
			b.WriteString(" " + x.Supply)
		}
		b.WriteString(" " + x.Quantity.String())
		if x.Late {
			b.WriteString(" late")
		}
	}
	for _, r := range p.AtRisk {
		fmt.Fprintf(&b, "; risk %s late %v short %v", r.Line, r.Late, r.Short)
	}
	return b.String()
}

func TestPegClaims(t *testing.T) {
	const d0 = atpToday
	before := func(c PegClaim, priority int, granted Instant) PegClaim {
		c.Priority, c.GrantedAt = priority, granted
		return c
	}
	for _, c := range []struct {
		name   string
		onHand int
		claims []PegClaim
		supply []PegSupply
		keep   int
		want   string
	}{
		{"nothing", 5, nil, nil, 0, ""},
		{"on hand", 5, []PegClaim{claim("A", 0, 3)}, nil, 0, "A on_hand 3"},
		{
			"priority first", 3,
			[]PegClaim{before(claim("A", d0, 2), 2, 1), before(claim("B", d0+9, 2), 1, 2)},
			nil, 0, "B on_hand 2, A on_hand 1, A nothing 1; risk A late 0 short 1",
		},
		{
			"then the due day", 3,
			[]PegClaim{before(claim("A", d0+2, 2), 0, 1), before(claim("B", d0+1, 2), 0, 2)},
			nil, 0, "B on_hand 2, A on_hand 1, A nothing 1; risk A late 0 short 1",
		},
		{
			"then grant time; undated and overdue are due today alike", 3,
			[]PegClaim{before(claim("A", 0, 2), 0, 3), before(claim("B", d0-5, 2), 0, 2), before(claim("C", d0, 1), 0, 1)},
			nil, 0, "C on_hand 1, B on_hand 2, A nothing 2; risk A late 0 short 2",
		},
		{"then the line", 1, []PegClaim{claim("B", 0, 1), claim("A", 0, 1)}, nil, 0, "A on_hand 1, B nothing 1; risk B late 0 short 1"},
		{
			"supply in time leaves stock to who needs it sooner", 5,
			[]PegClaim{before(claim("A", d0+5, 5), 1, 0), before(claim("B", d0, 5), 2, 0)},
			[]PegSupply{coming("P", d0+4, 5)},
			0, "A supply P 5, B on_hand 5",
		},
		{
			"late supply, the first", 0,
			[]PegClaim{claim("A", d0, 5)},
			[]PegSupply{coming("Q", d0+7, 5), coming("P", d0+4, 3)},
			0, "A supply P 3 late, A supply Q 2 late; risk A late 5 short 0",
		},
		{
			"priority takes also late", 0,
			[]PegClaim{before(claim("A", d0, 5), 1, 0), before(claim("B", d0+4, 5), 2, 0)},
			[]PegSupply{coming("P", d0+4, 5)},
			0, "A supply P 5 late, B nothing 5; risk A late 5 short 0; risk B late 0 short 5",
		},
		{"undated supply serves nothing", 0, []PegClaim{claim("A", d0, 1)}, []PegSupply{coming("P", 0, 5)}, 99, "A nothing 1; risk A late 0 short 1"},
		{"overdue supply that is kept is there today", 0, []PegClaim{claim("A", d0, 1)}, []PegSupply{coming("P", d0-3, 5)}, 3, "A supply P 1"},
		{"and one day longer is not", 0, []PegClaim{claim("A", d0, 1)}, []PegSupply{coming("P", d0-4, 5)}, 3, "A nothing 1; risk A late 0 short 1"},
		{
			"a negative balance is made good first", -3,
			[]PegClaim{claim("A", d0+2, 4)},
			[]PegSupply{coming("P", d0+1, 2), coming("Q", d0+2, 4)},
			0, "A supply Q 3, A nothing 1; risk A late 0 short 1",
		},
		{
			"lots are passed as they are used up", 1,
			[]PegClaim{claim("A", d0+3, 2), claim("B", d0+3, 2), claim("C", d0+3, 2)},
			[]PegSupply{coming("P", d0+1, 2), coming("Q", d0+2, 1), coming("R", d0+3, 1)},
			0,
			"A supply R 1, A supply Q 1, B supply P 2, C on_hand 1, C nothing 1; risk C late 0 short 1",
		},
		{"nothing claimed is nothing pegged", 5, []PegClaim{claim("A", 0, 0), claim("B", 0, -2)}, nil, 0, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			for range 2 {
				if got := pegged(PegClaims(units(c.onHand), c.claims, c.supply, d0, c.keep)); got != c.want {
					t.Errorf("got  %s\nwant %s", got, c.want)
				}
				slices.Reverse(c.claims)
				slices.Reverse(c.supply)
			}
		})
	}
}

func TestPegRiskTellsTheLine(t *testing.T) {
	c := PegClaim{Line: "A", Channel: "web", Due: atpToday, Movable: true, Quantity: units(9)}
	got := PegClaims(units(1), []PegClaim{c}, []PegSupply{coming("P", atpToday+2, 3), coming("Q", atpToday+5, 2)}, atpToday, 0)
	want := Risk{Line: "A", Channel: "web", Due: atpToday, Movable: true, Late: units(5), By: atpToday + 5, Short: units(3)}
	if len(got.AtRisk) != 1 || got.AtRisk[0] != want {
		t.Errorf("got %+v, want %+v", got.AtRisk, want)
	}
	if p := got.Pegs[0]; p.From != FromOnHand || p.Day != atpToday || p.Late {
		t.Errorf("%+v", p)
	}
}

func TestPegOfLines(t *testing.T) {
	ln := &Line{
		ID: "L", Channel: "web", Due: atpToday + 1, Movable: true,
		Entries: []LineEntry{{Stage: Allocated, At: 5}, {Stage: Ordered, At: 30}, {Stage: Ordered, At: 20}},
		Claims:  []Claim{{Location: "DC1", Quantity: units(2)}, {Location: "DC2", Quantity: units(3)}},
	}
	want := PegClaim{
		Line: "L", Channel: "web", Priority: 4, Due: atpToday + 1, GrantedAt: 20, Quantity: units(3), Movable: true,
	}
	if got := PegClaimsOf(ln, "DC2", 4); len(got) != 1 || got[0] != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	s := &SupplyLine{ID: "P", Open: []SupplyOpen{
		{Location: "DC1", Due: 7, Quantity: One}, {Location: "DC2", Quantity: units(2)}, {Location: "DC2", Due: 9, Quantity: units(4)},
	}}
	if got := PegSupplyOf(s, "DC2"); !slices.Equal(got, []PegSupply{coming("P", 0, 2), coming("P", 9, 4)}) {
		t.Errorf("got %+v", got)
	}
}

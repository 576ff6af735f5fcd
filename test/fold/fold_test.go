package fold_test

import (
	"maps"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/test/fold"
)

// at is a time of one day: at("10:05").
func at(hhmm string) time.Time {
	t, err := time.Parse("2006-01-02 15:04", "2026-03-02 "+hhmm)
	if err != nil {
		panic(err)
	}
	return t
}

func fact(kind, location string, qty int64, order, when string) fold.Fact {
	return fold.Fact{Kind: kind, Item: "A", Location: location, Qty: fold.Whole(qty), Order: order, At: at(when)}
}

func with(f fold.Fact, id string, revision int) fold.Fact {
	f.ID, f.Revision = id, revision
	return f
}

func into(f fold.Fact, state string) fold.Fact {
	f.Into = state
	return f
}

// figures in whole units.
func figures(onHand, reserved int64) fold.Figures {
	return fold.Figures{OnHand: fold.Whole(onHand), Reserved: fold.Whole(reserved)}
}

func TestFold(t *testing.T) {
	open := fact(fold.Opening, "DC1", 100, "", "08:00")
	order := with(fact(fold.Order, "DC1", 5, "1001", "09:00"), "order-1001", 1)
	tests := map[string]struct {
		facts []fold.Fact
		want  map[string]fold.Figures // by location
	}{
		"an opening balance": {[]fold.Fact{open}, map[string]fold.Figures{"DC1": figures(100, 0)}},
		"an order is a claim, not a movement": {
			[]fold.Fact{open, order},
			map[string]fold.Figures{"DC1": figures(100, 5)},
		},
		"the same order twice, then corrected": {
			[]fold.Fact{open, order, order, with(fact(fold.Order, "DC1", 7, "1001", "09:10"), "order-1001", 2), order},
			map[string]fold.Figures{"DC1": figures(100, 7)},
		},
		"a receipt, part of it damaged": {
			[]fold.Fact{open, fact(fold.Receipt, "DC1", 40, "", "10:00"), into(fact(fold.Receipt, "DC1", 2, "", "10:00"), fold.Damaged)},
			map[string]fold.Figures{"DC1": {OnHand: fold.Whole(140), Damaged: fold.Whole(2)}},
		},
		"two partial shipments fulfil": {
			[]fold.Fact{open, order, fact(fold.Ship, "DC1", 2, "1001", "10:00"), fact(fold.Ship, "DC1", 3, "1001", "11:00")},
			map[string]fold.Figures{"DC1": figures(95, 0)},
		},
		"a shipment before its order": {
			[]fold.Fact{open, fact(fold.Ship, "DC1", 2, "1001", "08:30"), order},
			map[string]fold.Figures{"DC1": figures(98, 3)},
		},
		"picked, then partly shipped": {
			[]fold.Fact{open, order, fact(fold.Pick, "DC1", 4, "1001", "10:00"), fact(fold.Ship, "DC1", 3, "1001", "11:00")},
			map[string]fold.Figures{"DC1": {OnHand: fold.Whole(96), Picked: fold.Whole(1), Reserved: fold.Whole(1)}},
		},
		"cancelled in part": {
			[]fold.Fact{open, order, fact(fold.Cancel, "DC1", 2, "1001", "10:00"), fact(fold.Ship, "DC1", 1, "1001", "11:00")},
			map[string]fold.Figures{"DC1": figures(99, 2)},
		},
		"shipped from elsewhere": {
			[]fold.Fact{open, order, fact(fold.Opening, "DC2", 10, "", "08:00"), fact(fold.Ship, "DC2", 4, "1001", "10:00")},
			map[string]fold.Figures{"DC1": figures(100, 1), "DC2": figures(6, 0)},
		},
		"returned, half of it sellable": {
			[]fold.Fact{open, fact(fold.Return, "DC1", 2, "", "10:00"), fact(fold.Dispose, "DC1", 1, "", "11:00")},
			map[string]fold.Figures{"DC1": {OnHand: fold.Whole(101), Returned: fold.Whole(1)}},
		},
		"a count forgets what was before it": {
			[]fold.Fact{open, fact(fold.Count, "DC1", 90, "", "12:00"), fact(fold.Adjust, "DC1", -3, "", "11:59"), fact(fold.Adjust, "DC1", -4, "", "12:01")},
			map[string]fold.Figures{"DC1": figures(86, 0)},
		},
		"a count covers its own instant": {
			[]fold.Fact{open, fact(fold.Count, "DC1", 90, "", "12:00"), fact(fold.Adjust, "DC1", -3, "", "12:00")},
			map[string]fold.Figures{"DC1": figures(90, 0)},
		},
		"below zero is told as it is": {
			[]fold.Fact{fact(fold.Ship, "DC1", 2, "1001", "09:00")},
			map[string]fold.Figures{"DC1": figures(-2, 0)},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			want := map[fold.Place]fold.Figures{}
			for location, f := range tt.want {
				want[fold.Place{Item: "A", Location: location}] = f
			}
			for _, order := range permutations(tt.facts) {
				got, err := fold.Fold(order)
				if err != nil {
					t.Fatal(err)
				}
				if !maps.Equal(got, want) {
					t.Fatalf("got %v\nwant %v\nof %v", got, want, order)
				}
			}
		})
	}
}

func TestFoldCountsInAnyOrder(t *testing.T) {
	facts := []fold.Fact{
		fact(fold.Count, "DC1", 102, "", "10:00"),
		fact(fold.Ship, "DC1", 2, "1", "10:05"),
		fact(fold.Ship, "DC1", 1, "2", "10:06"),
	}
	for _, order := range permutations(facts) {
		got, err := fold.Fold(order)
		if err != nil {
			t.Fatal(err)
		}
		if f := got[fold.Place{Item: "A", Location: "DC1"}]; f.OnHand != fold.Whole(99) {
			t.Errorf("%v gives %s", order, fold.Text(f.OnHand))
		}
	}
}

func TestFoldRefuses(t *testing.T) {
	for name, f := range map[string]fold.Fact{
		"an unknown kind":     fact("gift", "DC1", 1, "", "10:00"),
		"an unknown state":    into(fact(fold.Receipt, "DC1", 1, "", "10:00"), "lost"),
		"a negative shipment": fact(fold.Ship, "DC1", -1, "1", "10:00"),
	} {
		if got, err := fold.Fold([]fold.Fact{f}); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestText(t *testing.T) {
	for q, want := range map[int64]string{0: "0", 10_000: "1", 125_000: "12.5", -5_000: "-0.5", 1: "0.0001", 1_000_000: "100"} {
		if got := fold.Text(q); got != want {
			t.Errorf("%d is %q, want %q", q, got, want)
		}
	}
}

func TestATP(t *testing.T) {
	f := figures(20, 6)
	if got := f.ATP(fold.Whole(5)); got != fold.Whole(9) {
		t.Errorf("atp %s", fold.Text(got))
	}
	if got := f.ATP(fold.Whole(50)); got != 0 {
		t.Errorf("atp %s below zero", fold.Text(got))
	}
}

// TestFoldStandsAlone keeps the model from leaning on what it judges.
func TestFoldStandsAlone(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "github.com/stockweave/stockweave/test/fold").Output()
	if err != nil {
		t.Fatal(err)
	}
	for dep := range strings.Lines(string(out)) {
		if strings.HasPrefix(dep, "github.com/") && strings.TrimSpace(dep) != "github.com/stockweave/stockweave/test/fold" {
			t.Errorf("imports %s", dep)
		}
	}
}

// permutations returns every order of up to five facts.
func permutations(facts []fold.Fact) [][]fold.Fact {
	if len(facts) < 2 {
		return [][]fold.Fact{facts}
	}
	var all [][]fold.Fact
	for i, f := range facts {
		rest := append(append([]fold.Fact{}, facts[:i]...), facts[i+1:]...)
		for _, order := range permutations(rest) {
			all = append(all, append([]fold.Fact{f}, order...))
		}
	}
	return all
}

package inventory_test

import (
	"reflect"
	"testing"

	. "github.com/stockweave/stockweave/pkg/inventory"
)

func TestHush(t *testing.T) {
	const minute = Instant(60_000)
	now := 1000 * minute
	pos := Position{
		Location: "DC1", Reserved: []Bucket{{Quantity: 4 * One}}, Supply: []Bucket{{Due: 3, Quantity: 9 * One}},
	}
	pos.States[OnHand], pos.States[Picked] = 10*One, 2*One
	short := pos
	short.States[OnHand] = -3 * One
	view := func(basis Basis, q Quantity, asOf Instant, includes ...Account) []View {
		return []View{
			{Source: "other", Location: "DC1", Balances: []StateBalance{{OnHand, 99 * One}}, AsOf: now},
			{Source: "erp", Location: "DC2", Balances: []StateBalance{{OnHand, 98 * One}}, AsOf: now},
			{Source: "erp", Location: "DC1", Basis: basis, Includes: includes, Balances: []StateBalance{{OnHand, q}}, AsOf: asOf},
		}
	}
	rule := func(then SilenceAction) *SilenceRule {
		return &SilenceRule{Owner: "wms", Heartbeat: 60 * minute, Then: then}
	}
	cut := func(percent Quantity) *SilenceRule {
		r := rule(SilenceHaircut)
		r.Haircut = percent
		return r
	}
	fall := rule(SilenceFallback)
	fall.Fallback = "erp"
	heard := now - 61*minute

	for name, c := range map[string]struct {
		pos    Position
		rule   *SilenceRule
		heard  Instant
		views  []View
		onHand Quantity
		supply int
		silent Silent
	}{
		"no rule":            {pos, nil, 0, nil, 10 * One, 1, Silent{}},
		"within heartbeat":   {pos, rule(SilenceZero), now - 60*minute, nil, 10 * One, 1, Silent{}},
		"heard in future":    {pos, rule(SilenceZero), now + minute, nil, 10 * One, 1, Silent{}},
		"never heard":        {pos, rule(SilenceHold), 0, nil, 10 * One, 1, Silent{Owner: "wms", Action: SilenceHold}},
		"hold":               {pos, rule(SilenceHold), heard, nil, 10 * One, 1, Silent{Owner: "wms", Since: heard, Action: SilenceHold}},
		"zero":               {pos, rule(SilenceZero), heard, nil, 0, 0, Silent{Owner: "wms", Since: heard, Action: SilenceZero}},
		"zero hides no debt": {short, rule(SilenceZero), heard, nil, -3 * One, 0, Silent{Owner: "wms", Since: heard, Action: SilenceZero}},
		"haircut":            {pos, cut(25 * One), heard, nil, 75_000, 1, Silent{Owner: "wms", Since: heard, Action: SilenceHaircut}},
		"haircut down":       {pos, cut(333_333), heard, nil, 66_666, 1, Silent{Owner: "wms", Since: heard, Action: SilenceHaircut}},
		"haircut of debt":    {short, cut(25 * One), heard, nil, -3 * One, 1, Silent{Owner: "wms", Since: heard, Action: SilenceHaircut}},
		"haircut of all":     {pos, cut(150 * One), heard, nil, 0, 1, Silent{Owner: "wms", Since: heard, Action: SilenceHaircut}},
		"fallback": {
			pos, fall, heard, view(Sellable, 7*One, now-minute), 7 * One, 1,
			Silent{Owner: "wms", Since: heard, Action: SilenceFallback, Fallback: "erp", AsOf: now - minute},
		},
		"fallback includes": {
			pos, fall, heard, view(Physical, 7*One, now-minute, Picked), 5 * One, 1,
			Silent{Owner: "wms", Since: heard, Action: SilenceFallback, Fallback: "erp", AsOf: now - minute},
		},
		"fallback available": {
			pos, fall, heard, view(Available, 7*One, now-minute), 11 * One, 1,
			Silent{Owner: "wms", Since: heard, Action: SilenceFallback, Fallback: "erp", AsOf: now - minute},
		},
		"fallback older": {
			pos, fall, heard, view(Sellable, 7*One, heard), 10 * One, 1,
			Silent{Owner: "wms", Since: heard, Action: SilenceFallback, Unmet: true},
		},
		"no fallback": {
			pos, fall, heard, nil, 10 * One, 1,
			Silent{Owner: "wms", Since: heard, Action: SilenceFallback, Unmet: true},
		},
	} {
		before := c.pos
		got, silent := Hush(c.pos, c.rule, c.heard, now, c.views)
		if got.States[OnHand] != c.onHand || len(got.Supply) != c.supply || silent != c.silent {
			t.Errorf("%s: on_hand %v, %d supply, %+v; want %v, %d, %+v", name, got.States[OnHand], len(got.Supply), silent, c.onHand, c.supply, c.silent)
		}
		if !reflect.DeepEqual(before, c.pos) {
			t.Errorf("%s: the position given was changed", name)
		}
	}
}

func TestSilenceRuleOfALocation(t *testing.T) {
	p := Policy{Authority: AuthorityPolicy{Silence: []SilenceRule{{Location: "DC1", Owner: "a"}, {Owner: "b"}}}}
	if r := p.Silence("DC1"); r == nil || r.Owner != "a" {
		t.Errorf("DC1: %+v", r)
	}
	if r := p.Silence("DC2"); r == nil || r.Owner != "b" {
		t.Errorf("DC2: %+v", r)
	}
	if r := (&Policy{}).Silence("DC1"); r != nil {
		t.Errorf("no rules: %+v", r)
	}
}

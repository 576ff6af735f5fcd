package inventory_test

import (
	"reflect"
	"slices"
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
	ahead := pos
	ahead.SafetyStock = -5 * One
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
	recorded := func(vs []View, at Instant) []View {
		vs[len(vs)-1].RecordedAt = at
		return vs
	}

	for name, c := range map[string]struct {
		pos    Position
		rule   *SilenceRule
		heard  Instant
		views  []View
		onHand Quantity
		supply int
		silent Silent
	}{
		"no rule":                              {pos, nil, 0, nil, 10 * One, 1, Silent{}},
		"within heartbeat":                     {pos, rule(SilenceZero), now - 60*minute, nil, 10 * One, 1, Silent{}},
		"heard in future":                      {pos, rule(SilenceZero), now + minute, nil, 10 * One, 1, Silent{}},
		"never heard":                          {pos, rule(SilenceHold), 0, nil, 10 * One, 1, Silent{Location: "DC1", Owner: "wms", Action: SilenceHold}},
		"hold":                                 {pos, rule(SilenceHold), heard, nil, 10 * One, 1, Silent{Location: "DC1", Owner: "wms", Heard: heard, Action: SilenceHold}},
		"zero":                                 {pos, rule(SilenceZero), heard, nil, 0, 0, Silent{Location: "DC1", Owner: "wms", Heard: heard, Action: SilenceZero}},
		"zero sells nothing that is not there": {ahead, rule(SilenceZero), heard, nil, 0, 0, Silent{Location: "DC1", Owner: "wms", Heard: heard, Action: SilenceZero}},
		"zero hides no debt":                   {short, rule(SilenceZero), heard, nil, -3 * One, 0, Silent{Location: "DC1", Owner: "wms", Heard: heard, Action: SilenceZero}},
		"haircut":                              {pos, cut(25 * One), heard, nil, 75_000, 1, Silent{Location: "DC1", Owner: "wms", Heard: heard, Action: SilenceHaircut}},
		"haircut down":                         {pos, cut(333_333), heard, nil, 66_666, 1, Silent{Location: "DC1", Owner: "wms", Heard: heard, Action: SilenceHaircut}},
		"haircut of debt":                      {short, cut(25 * One), heard, nil, -3 * One, 1, Silent{Location: "DC1", Owner: "wms", Heard: heard, Action: SilenceHaircut}},
		"haircut of all":                       {pos, cut(150 * One), heard, nil, 0, 1, Silent{Location: "DC1", Owner: "wms", Heard: heard, Action: SilenceHaircut}},
		"fallback": {
			pos, fall, heard, view(Sellable, 7*One, now-minute), 7 * One, 1,
			Silent{Location: "DC1", Owner: "wms", Heard: heard, Action: SilenceFallback, Fallback: "erp", AsOf: now - minute},
		},
		"fallback includes": {
			pos, fall, heard, view(Physical, 7*One, now-minute, Picked), 5 * One, 1,
			Silent{Location: "DC1", Owner: "wms", Heard: heard, Action: SilenceFallback, Fallback: "erp", AsOf: now - minute},
		},
		"fallback available": {
			pos, fall, heard, view(Available, 7*One, now-minute), 11 * One, 1,
			Silent{Location: "DC1", Owner: "wms", Heard: heard, Action: SilenceFallback, Fallback: "erp", AsOf: now - minute},
		},
		"fallback older": {
			pos, fall, heard, view(Sellable, 7*One, heard), 10 * One, 1,
			Silent{Location: "DC1", Owner: "wms", Heard: heard, Action: SilenceFallback, Unmet: true},
		},
		"fallback said before, of a time to come": {
			pos, fall, heard, recorded(view(Sellable, 7*One, now+minute), heard), 10 * One, 1,
			Silent{Location: "DC1", Owner: "wms", Heard: heard, Action: SilenceFallback, Unmet: true},
		},
		"fallback said since, of a time to come": {
			pos, fall, heard, recorded(view(Sellable, 7*One, now+minute), heard+1), 7 * One, 1,
			Silent{Location: "DC1", Owner: "wms", Heard: heard, Action: SilenceFallback, Fallback: "erp", AsOf: now + minute},
		},
		"no fallback": {
			pos, fall, heard, nil, 10 * One, 1,
			Silent{Location: "DC1", Owner: "wms", Heard: heard, Action: SilenceFallback, Unmet: true},
		},
	} {
		before := c.pos
		got, silent := Hush(c.pos, c.rule, Heard{At: c.heard}, now, c.views)
		if got.States[OnHand] != c.onHand || len(got.Supply) != c.supply || silent != c.silent {
			t.Errorf("%s: on_hand %v, %d supply, %+v; want %v, %d, %+v", name, got.States[OnHand], len(got.Supply), silent, c.onHand, c.supply, c.silent)
		}
		if c.rule != nil && c.rule.Then == SilenceZero && silent.Owner != "" && got.SafetyStock < 0 {
			t.Errorf("%s: %v is sold without being there", name, -got.SafetyStock)
		}
		if !reflect.DeepEqual(before, c.pos) {
			t.Errorf("%s: the position given was changed", name)
		}
	}
}

// What is not known of an owner's past is no reason to take it for silent.
func TestHeardSince(t *testing.T) {
	r := &SilenceRule{Owner: "wms", Heartbeat: 60, Then: SilenceHold}
	for name, c := range map[string]struct {
		heard  Heard
		silent bool
	}{
		"never":                            {Heard{}, true},
		"nothing is known":                 {Heard{Since: 1000}, false},
		"known for as long":                {Heard{Since: 940}, false},
		"known for longer":                 {Heard{Since: 939}, true},
		"heard before what is known":       {Heard{At: 100, Since: 940}, false},
		"heard long ago, all of it known":  {Heard{At: 939, Since: 500}, true},
		"heard, and all the rest is known": {Heard{At: 940, Since: 500}, false},
	} {
		if got := r.Silent(c.heard, 1000); got != c.silent {
			t.Errorf("%s: silent is %v, want %v", name, got, c.silent)
		}
	}
}

// silenceAsk is a question about DC1 and DC2 with 10 on hand each, of which rules are
// asked: a was heard within an hour of noon, b and c were not.
func silenceAsk(rules ...SilenceRule) *Question {
	q := ask(in("DC1", at(10)), in("DC2", at(10)))
	q.Now, q.Silence = 1000, rules
	q.Heard = func(s Source) Heard {
		return map[Source]Heard{"a": {At: 950}, "b": {At: 900}, "c": {At: 800}}[s]
	}
	return q
}

func TestPromiseOfSilentOwners(t *testing.T) {
	zero := func(l Location, s Source) SilenceRule {
		return SilenceRule{Location: l, Owner: s, Heartbeat: 60, Then: SilenceZero}
	}
	hold, half := zero("DC1", "b"), zero("DC1", "b")
	hold.Then = SilenceHold
	half.Then, half.Haircut = SilenceHaircut, 50*One
	long, other := zero("DC1", "b"), zero("", "b")
	long.Heartbeat, other.Entity = 100, "other"
	for name, c := range map[string]struct {
		rules []SilenceRule
		want  Quantity
		said  []Silent
	}{
		"heard":                      {[]SilenceRule{zero("DC1", "a")}, units(20), nil},
		"zero":                       {[]SilenceRule{zero("DC1", "b")}, units(10), []Silent{{Location: "DC1", Owner: "b", Heard: 900, Action: SilenceZero}}},
		"haircut":                    {[]SilenceRule{half}, units(15), []Silent{{Location: "DC1", Owner: "b", Heard: 900, Action: SilenceHaircut}}},
		"hold is told too":           {[]SilenceRule{hold}, units(20), []Silent{{Location: "DC1", Owner: "b", Heard: 900, Action: SilenceHold}}},
		"any location":               {[]SilenceRule{zero("", "c")}, 0, []Silent{{Location: "DC1", Owner: "c", Heard: 800, Action: SilenceZero}, {Location: "DC2", Owner: "c", Heard: 800, Action: SilenceZero}}},
		"another entity's":           {[]SilenceRule{other}, units(20), nil},
		"the first that is silent":   {[]SilenceRule{zero("DC1", "a"), hold, zero("DC1", "c")}, units(20), []Silent{{Location: "DC1", Owner: "b", Heard: 900, Action: SilenceHold}}},
		"an owner's own rule counts": {[]SilenceRule{long, zero("", "b")}, units(10), []Silent{{Location: "DC2", Owner: "b", Heard: 900, Action: SilenceZero}}},
	} {
		q := silenceAsk(c.rules...)
		p := Promise(q)
		if p.Quantity != c.want || !slices.Equal(p.Silent, c.said) {
			t.Errorf("%s: %v, %+v; want %v, %+v", name, p.Quantity, p.Silent, c.want, c.said)
		}
		steps := Explain(q)
		if last := steps[len(steps)-1].Value; last != c.want {
			t.Errorf("%s: explained as %v, want %v", name, last, c.want)
		}
		var said []Silent
		for _, s := range steps {
			if s.Name == StepSilence {
				said = append(said, *s.Silent)
			}
		}
		if !slices.Equal(said, c.said) {
			t.Errorf("%s: explained by %+v, want %+v", name, said, c.said)
		}
		q.Heard = nil
		if p := Promise(q); p.Quantity != units(20) || p.Silent != nil {
			t.Errorf("%s, nobody listens: %v, %+v", name, p.Quantity, p.Silent)
		}
	}

	// It is told as what it takes off, and the rest follows from what is left.
	cut := silenceAsk(half)
	cut.Positions[0].SafetyStock = units(2)
	if got, want := told(Explain(cut)), []string{
		"on_hand@DC1 10 = 10", "silence@DC1 -5 = 5", "safety_stock@DC1 -2 = 3", "least@DC1 d0 0 = 3",
		"on_hand@DC2 10 = 10", "least@DC2 d0 0 = 10", "location@DC1 3 = 3", "location@DC2 10 = 13", "shown 0 = 13",
	}; !slices.Equal(got, want) {
		t.Errorf("told as\n%q\nwant\n%q", got, want)
	}

	// Another system's view takes the ledger's place, of the item that is asked for.
	fall := SilenceRule{Location: "DC1", Owner: "b", Heartbeat: 60, Then: SilenceFallback, Fallback: "erp"}
	q := silenceAsk(fall)
	q.Views = func(k Key) []View {
		if k != q.Key {
			return nil
		}
		return []View{{Source: "erp", Location: "DC1", Basis: Physical, Balances: []StateBalance{{OnHand, units(3)}}, AsOf: 950}}
	}
	viewed := []Silent{{Location: "DC1", Owner: "b", Heard: 900, Action: SilenceFallback, Fallback: "erp", AsOf: 950}}
	if p := Promise(q); p.Quantity != units(13) || !slices.Equal(p.Silent, viewed) {
		t.Errorf("by a view: %v, %+v", p.Quantity, p.Silent)
	}
	if steps := Explain(q); steps[len(steps)-1].Value != units(13) {
		t.Errorf("by a view it is explained as %v", steps[len(steps)-1].Value)
	}
	q.Heard = func(Source) Heard { return Heard{Since: 939} }
	if p := Promise(q); p.Quantity != units(13) {
		t.Errorf("by a view that is newer than any word can be: %v, %+v", p.Quantity, p.Silent)
	}
	fall.Heartbeat = 10
	q.Silence, q.Heard = []SilenceRule{fall}, func(Source) Heard { return Heard{Since: 960} }
	if p := Promise(q); p.Quantity != units(20) || len(p.Silent) != 1 || !p.Silent[0].Unmet {
		t.Errorf("by a view that may be older than its word: %v, %+v", p.Quantity, p.Silent)
	}
	q.Views = nil
	if p := Promise(q); p.Quantity != units(20) || len(p.Silent) != 1 || !p.Silent[0].Unmet {
		t.Errorf("without the view: %v, %+v", p.Quantity, p.Silent)
	}

	// A kit is as silent as its parts, and says so of each location once.
	q = silenceAsk(half)
	q.Kit = []Part{
		{Key: Key{Entity: "acme", Item: "A"}, PerKit: One, Positions: []Position{in("DC1", at(8)), in("DC2", at(1))}},
		{Key: Key{Entity: "acme", Item: "B"}, PerKit: One, Positions: []Position{in("DC1", at(90))}},
	}
	if p := Promise(q); p.Quantity != units(5) || len(p.Silent) != 1 || p.Silent[0].Location != "DC1" {
		t.Errorf("a kit: %v, %+v", p.Quantity, p.Silent)
	}
	if steps := Explain(q); steps[len(steps)-1].Value != units(5) {
		t.Errorf("a kit is explained as %v", steps[len(steps)-1].Value)
	}
	// A person's number goes before it, and does not hide it.
	q = silenceAsk(zero("", "b"))
	q.Overrides = []Override{{Kind: SetQuantity, Quantity: units(3), Until: 2000, Author: "ana"}}
	if p := Promise(q); p.Quantity != units(3) || len(p.Silent) != 2 {
		t.Errorf("under an override: %v, %+v", p.Quantity, p.Silent)
	}
}

package promisetest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// Case is a random policy with random facts. Every location has a position of every
// item. Days are those of UTC, and it is Noon.
type Case struct {
	ATP       policy.ATPPolicy
	Channels  []policy.Channel
	Positions []inventory.Position
	Key       inventory.Key
	// Heard is how long ago sources were last heard.
	Heard map[inventory.Source]time.Duration

	question inventory.Question
}

// Want is what the group has, Shown what the channel shows, and Signed what inside
// stands for it: by the question written out by hand.
func (c *Case) Want() inventory.Quantity {
	q := c.question
	q.Channel = nil
	return inventory.Promise(&q).Quantity
}

// Shown is what the channel shows.
func (c *Case) Shown() inventory.Quantity { return inventory.Promise(&c.question).Quantity }

// Promises is the case's policy.
func (c *Case) Promises(t *testing.T) *policy.Promises {
	t.Helper()
	p, err := policy.NewPromises(&c.ATP, c.Channels)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Draw draws a case.
func Draw(t *rapid.T) *Case {
	now := inventory.Instant(Noon().UnixMilli())
	c := &Case{Key: inventory.Key{Entity: Entity, Item: Item}}
	group := []inventory.Location{"A", "B"}
	c.ATP = policy.ATPPolicy{
		Version: 7, Horizon: rapid.IntRange(1, 14).Draw(t, "horizon"), KeepDays: rapid.IntRange(0, 7).Draw(t, "keep"),
		Groups: map[string][]inventory.Location{Group: group},
	}
	q := &c.question
	*q = inventory.Question{
		Key: c.Key, Group: group, Now: now, Today: func(inventory.Location) inventory.Day { return Today },
		Terms: inventory.Terms{Horizon: c.ATP.Horizon, KeepDays: c.ATP.KeepDays},
	}
	if rapid.Bool().Draw(t, "supply at A") {
		none, keep := rapid.Bool().Draw(t, "none"), rapid.IntRange(0, 7).Draw(t, "keep at A")
		at := policy.SupplyAt{Location: "A", KeepDays: &keep}
		if none {
			at.Counts, at.KeepDays, keep = policy.SupplyNone, nil, c.ATP.KeepDays
		}
		c.ATP.SupplyAt = []policy.SupplyAt{at}
		q.Terms.At = map[inventory.Location]inventory.SupplyTerms{"A": {None: none, KeepDays: keep}}
	}
	parts := []inventory.Item{"P1", "P2"}
	byItem := map[inventory.Item][]inventory.Position{}
	for _, i := range append([]inventory.Item{Item}, parts...) {
		for _, l := range []inventory.Location{"A", "B", "C"} {
			p := drawPosition(t, i, l)
			byItem[i] = append(byItem[i], p)
			c.Positions = append(c.Positions, p)
		}
	}
	q.Positions = byItem[Item]
	if rapid.IntRange(0, 2).Draw(t, "kit") == 0 {
		kit := policy.Kit{Entity: Entity, Item: Item}
		for _, i := range parts[:rapid.IntRange(1, 2).Draw(t, "parts")] {
			per := halves(t, "per kit", 1, 6)
			kit.Parts = append(kit.Parts, policy.KitPart{Item: i, Quantity: per})
			q.Kit = append(q.Kit, inventory.Part{Key: inventory.Key{Entity: Entity, Item: i}, Positions: byItem[i], PerKit: per})
		}
		c.ATP.Kits = []policy.Kit{kit}
	}
	c.drawChannels(t)
	c.drawOverride(t)
	c.drawSilence(t)
	return c
}

func halves(t *rapid.T, label string, from, to int) inventory.Quantity {
	return inventory.Quantity(rapid.IntRange(from, to).Draw(t, label)) * inventory.One / 2
}

func drawPosition(t *rapid.T, i inventory.Item, l inventory.Location) inventory.Position {
	label := fmt.Sprintf("%s at %s: ", i, l)
	day := func(what string) inventory.Day {
		if rapid.IntRange(0, 4).Draw(t, label+what+" undated") == 0 {
			return 0
		}
		return Today + inventory.Day(rapid.IntRange(-6, 12).Draw(t, label+what+" due"))
	}
	p := inventory.Position{Key: inventory.Key{Entity: Entity, Item: i}, Location: l}
	p.States[inventory.OnHand] = halves(t, label+"on hand", -10, 60)
	p.SafetyStock = halves(t, label+"safety", -2, 8)
	for range rapid.IntRange(0, 3).Draw(t, label+"claims") {
		p.Reserved = append(p.Reserved, inventory.Bucket{
			Due: day("claim"), Quantity: halves(t, label+"claimed", 1, 14), Movable: rapid.Bool().Draw(t, label+"movable"),
			Channel: rapid.SampledFrom([]string{"", Channel, "market"}).Draw(t, label+"for"),
		})
	}
	for range rapid.IntRange(0, 3).Draw(t, label+"supplies") {
		p.Supply = append(p.Supply, inventory.Bucket{Due: day("supply"), Quantity: halves(t, label+"supplied", 1, 14)})
	}
	slices.SortStableFunc(p.Reserved, func(a, b inventory.Bucket) int {
		return cmp.Or(cmp.Compare(a.Due, b.Due), strings.Compare(a.Channel, b.Channel))
	})
	slices.SortStableFunc(p.Supply, func(a, b inventory.Bucket) int { return cmp.Compare(a.Due, b.Due) })
	return p
}

func (c *Case) drawChannels(t *rapid.T) {
	q := &c.question
	percent := rapid.IntRange(1, 100).Draw(t, "share")
	rule := inventory.ChannelRule{
		Share: inventory.Quantity(percent) * inventory.One / 100, Buffer: halves(t, "buffer", 0, 4),
		Cap: halves(t, "cap", 0, 40), Unit: halves(t, "unit", 1, 6),
	}
	shop := policy.Channel{
		Name: Channel, Type: policy.ChannelSimulated, Entity: Entity, Group: Group, Locations: q.Group,
		Share: percent, Buffer: rule.Buffer, Cap: rule.Cap, Unit: rule.Unit,
	}
	terms := &inventory.ChannelTerms{Name: Channel, Rule: rule}
	if rapid.Bool().Draw(t, "gross") {
		shop.Basis, terms.Gross = policy.BasisGross, true
	}
	market := shop
	market.Name, market.Basis = "market", ""
	market.Rank = 1
	for _, f := range []*policy.Channel{&shop, &market} { // by rank
		if rapid.IntRange(0, 2).Draw(t, "fenced "+f.Name) == 0 {
			level := halves(t, "fence", 0, 30)
			f.RingFences = []policy.RingFence{{Item: Item, Quantity: level}, {Quantity: 1}}
			terms.Fences = append(terms.Fences, inventory.RingFence{Channel: f.Name, Quantity: level})
		}
	}
	c.ATP.Items = []policy.ItemTraits{{Entity: Entity, Item: Item, Class: "A", Velocity: halves(t, "velocity", 0, 6)}}
	q.Class, q.Velocity = "A", c.ATP.Items[0].Velocity
	for range rapid.IntRange(0, 2).Draw(t, "safety rules") {
		r := policy.SafetyRule{
			Class:    rapid.SampledFrom([]string{"", "A", "B"}).Draw(t, "class"),
			Velocity: halves(t, "from velocity", 0, 6), Quantity: halves(t, "kept", 0, 4), Days: rapid.IntRange(0, 3).Draw(t, "days"),
		}
		shop.Safety = append(shop.Safety, r)
		terms.Safety = append(terms.Safety, inventory.SafetyRule{Class: r.Class, Velocity: r.Velocity, Quantity: r.Quantity, Days: r.Days})
	}
	q.Channel, c.Channels = terms, []policy.Channel{shop, market}
}

func (c *Case) drawOverride(t *rapid.T) {
	for range rapid.IntRange(0, 2).Draw(t, "overrides") {
		o := policy.Override{
			Kind:     rapid.SampledFrom([]inventory.OverrideKind{inventory.StopSell, inventory.SetQuantity}).Draw(t, "override"),
			Item:     rapid.SampledFrom([]inventory.Item{"", Item, "P1", "ANOTHER"}).Draw(t, "override of"),
			Location: rapid.SampledFrom([]inventory.Location{"", "A"}).Draw(t, "override at"),
			Channel:  rapid.SampledFrom([]string{"", Channel, "market"}).Draw(t, "override on"),
			Author:   "ana",
		}
		in := inventory.Override{Kind: o.Kind, Item: o.Item, Location: o.Location, Channel: o.Channel, Author: o.Author}
		if o.Kind == inventory.SetQuantity {
			o.Quantity = halves(t, "override to", 0, 20)
			in.Quantity = o.Quantity
			until := Noon().AddDate(0, 0, rapid.SampledFrom([]int{-1, 0, 1}).Draw(t, "override ends"))
			o.Until, in.Until = until.Format("2006-01-02T15:04:05Z07:00"), inventory.Instant(until.UnixMilli())
		}
		c.ATP.Overrides = append(c.ATP.Overrides, o)
		c.question.Overrides = append(c.question.Overrides, in)
	}
}

// drawSilence draws rules for two owners, and when they were last heard. The
// heartbeats are an hour and half a day.
func (c *Case) drawSilence(t *rapid.T) {
	c.Heard = map[inventory.Source]time.Duration{}
	for _, s := range []inventory.Source{"wms", "count"} {
		c.Heard[s] = time.Duration(rapid.IntRange(0, 26).Draw(t, string(s)+" heard")) * 30 * time.Minute
	}
	for range rapid.IntRange(0, 2).Draw(t, "silences") {
		s := policy.Silence{
			Location: rapid.SampledFrom([]inventory.Location{"", "A", "B"}).Draw(t, "silent at"),
			Owner:    rapid.SampledFrom([]inventory.Source{"wms", "count"}).Draw(t, "owner"),
			Then:     rapid.SampledFrom([]inventory.SilenceAction{inventory.SilenceHold, inventory.SilenceHaircut, inventory.SilenceZero}).Draw(t, "then"),
		}
		in := inventory.SilenceRule{Location: s.Location, Owner: s.Owner, Then: s.Then}
		if s.Heartbeat, in.Heartbeat = 3_600_000, 3_600_000; rapid.Bool().Draw(t, "half a day") {
			s.Heartbeat, in.Heartbeat = 43_200_000, 43_200_000
		}
		if s.Then == inventory.SilenceHaircut {
			s.Haircut = halves(t, "haircut", 1, 200)
			in.Haircut = s.Haircut
		}
		c.ATP.Silence, c.question.Silence = append(c.ATP.Silence, s), append(c.question.Silence, in)
	}
	c.question.Heard = func(s inventory.Source) inventory.Heard {
		return inventory.Heard{At: c.question.Now - inventory.Instant(c.Heard[s].Milliseconds())}
	}
}

package inventory

// ChannelTerms are all that decides what a channel shows of a group's ATP.
type ChannelTerms struct {
	Name string
	// Rule's share does not apply where the channel has a ring-fence.
	Rule ChannelRule
	// Fences are those of all channels over this item and group, by rank: where they
	// are more than there is, the first are served first.
	Fences []RingFence
	// Safety rules are tried in order; the first that matches the item decides.
	Safety []SafetyRule
	// Gross says that the channel subtracts its own open orders from what it is sent.
	Gross bool
}

// RingFence sets stock of a group aside for one channel: the others share the rest,
// and the channel has this and no more.
type RingFence struct {
	Channel  string
	Quantity Quantity
	Used     Quantity // sold out of it so far; zero keeps it at its level
}

func (f *RingFence) left() Quantity {
	return max(0, saturate(max(0, f.Quantity), -max(0, f.Used)))
}

// SafetyRule keeps stock back from a channel for items of a class that sell at least
// so fast: a fixed quantity and so many days of sales.
type SafetyRule struct {
	Class    string   // of the item; empty: any
	Velocity Quantity // sales a day, at least; zero: any
	Quantity Quantity
	Days     int
}

// ChannelSteps are the numbers of a channel on their way from the group's ATP, each
// after the step it is named for. All but the last are signed.
type ChannelSteps struct {
	Allotted Quantity // ring-fence or share
	Safe     Quantity // less safety stock
	Buffered Quantity
	Capped   Quantity
	Gross    Quantity // with the channel's own open orders, for one that subtracts them
	Shown    Quantity // rounded down to the channel's unit; never below zero
}

// steps takes a group's ATP to what the channel shows. It keeps the sign to the
// end: a gross channel that subtracts more open orders than there is stock for must
// not show the difference when it loses one of them.
func (c *ChannelTerms) steps(group Quantity, class string, velocity, own Quantity) ChannelSteps {
	var s ChannelSteps
	s.Allotted = c.allotted(group)
	s.Safe = saturate(s.Allotted, -c.safety(class, velocity))
	s.Buffered = c.Rule.buffered(s.Safe)
	s.Capped = c.Rule.capped(s.Buffered)
	s.Gross = saturate(s.Capped, own)
	s.Shown = c.Rule.rounded(max(0, s.Gross))
	return s
}

// allotted is the channel's ring-fence as far as the group covers it, or its share
// of what no ring-fence sets aside. A deficit is nobody's share: it stays whole.
func (c *ChannelTerms) allotted(group Quantity) Quantity {
	if group <= 0 {
		return group
	}
	rest, mine, fenced := group, Quantity(0), false
	for i := range c.Fences {
		f := &c.Fences[i]
		part := min(rest, f.left())
		rest -= part
		if f.Channel == c.Name {
			mine, fenced = mine+part, true
		}
	}
	if fenced {
		return mine
	}
	return c.Rule.shared(rest)
}

func (c *ChannelTerms) safety(class string, velocity Quantity) Quantity {
	velocity = max(0, velocity)
	for i := range c.Safety {
		r := &c.Safety[i]
		if (r.Class == "" || r.Class == class) && velocity >= r.Velocity {
			return saturate(max(0, r.Quantity), times(velocity, r.Days))
		}
	}
	return 0
}

// times is q n times, at most MaxQuantity; neither counts below zero.
func times(q Quantity, n int) Quantity {
	q, m := max(0, q), Quantity(max(0, n))
	if m > 0 && q > MaxQuantity/m {
		return MaxQuantity
	}
	return q * m
}

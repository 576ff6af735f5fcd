package inventory

// How many bytes a piece takes where it is kept: never less, and little more, than
// the Avro encoding that pkg/event gives it, which a test there holds it to. The
// ledger asks before it decides, since a piece too large to be kept is no state.

// MaxPieceBytes is what one piece of a key's state may take.
const MaxPieceBytes = 256 << 10

// Weight is how many bytes a line, a supply line or a location's state takes at
// most, or an event set aside; of any other piece it is 0.
func (p *Piece) Weight() int {
	switch {
	case p.Line != nil:
		return weighLine(p.Line)
	case p.Supply != nil:
		return weighSupply(p.Supply)
	case p.Location != nil:
		return frame + weighLocation(p.Location)
	case p.Kept != nil:
		return frame + weighEvent(&p.Kept.Event) + len(p.Kept.Detail) + len(p.Kept.Code) + 64
	}
	return 0
}

// frame is what stands around a body: the schema's id, the kind, absent bodies.
const frame = 32

// vlong is the size of a number in zig-zag.
func vlong(n int64) int {
	size := 1
	for u := uint64(n<<1) ^ uint64(n>>63); u >= 0x80; u >>= 7 {
		size++
	}
	return size
}

// vtext and optional are the sizes of a text, and of one that may be absent.
func vtext[S ~string](s S) int { return vlong(int64(len(s))) + len(s) }

func optional[S ~string](s S) int { return 1 + vtext(s) }

func optionalLong(n int64) int {
	if n == 0 {
		return 1
	}
	return 1 + vlong(n)
}

// vquantity is the size of a decimal: its length and the shortest two's complement.
func vquantity(q Quantity) int {
	size := 2
	for q > 127 || q < -128 {
		size++
		q >>= 8
	}
	return size
}

func weighLocation(st *LocationState) int {
	n := vtext(st.Location) + vlong(st.Version) + vlong(st.journalCount()) + 5
	for _, q := range st.States {
		n += vquantity(q)
	}
	safety, _ := st.Safety()
	n += vquantity(safety) + weighBuckets(st.Reserved()) + weighBuckets(st.Supply())
	if st.More == nil {
		return n
	}
	if m := st.More.LastCount; m != nil {
		n += vlong(int64(m.AsOf)) + optional(m.Source) + optionalLong(m.Sequence) + optional(m.Snapshot) + 3
	}
	if t := st.More.Trimmed; t != nil {
		n += vlong(t.From) + optionalLong(int64(t.Blurred)) + vlong(t.Sums) + vlong(t.Gone)
	}
	return n
}

func weighBuckets(bs []Bucket) int {
	n := 4
	for i := range bs {
		n += optionalLong(int64(bs[i].Due)) + optional(bs[i].Channel) + 1 + vquantity(bs[i].Quantity)
	}
	return n
}

func weighRefs(rs []Ref) int {
	n := 4
	for i := range rs {
		n += vtext(rs[i].Issuer) + vtext(rs[i].Type) + vtext(rs[i].Number) + optional(rs[i].Line)
	}
	return n
}

func weighClaims(cs []Claim) int {
	n := 4
	for i := range cs {
		n += optional(cs[i].Location) + vquantity(cs[i].Quantity)
	}
	return n
}

func weighLine(ln *Line) int {
	n := frame + vtext(ln.ID) + weighRefs(ln.Refs) + optional(ln.Channel) + optionalLong(int64(ln.Due)) + 16
	for i := range ln.Entries {
		e := &ln.Entries[i]
		n += 4 + vtext(e.Source) + optional(e.Location) + 8 + optional(e.Revision) + vtext(e.Stage) +
			vquantity(e.Quantity) + optionalLong(int64(e.At)) + optionalLong(e.Sequence) + weighState(e.State)
	}
	n += weighClaims(ln.Claims) + weighClaims(ln.Sourced)
	for i := range ln.Posted {
		p := &ln.Posted[i]
		n += optional(p.Location) + vquantity(p.Outflow) + vquantity(p.Shipped)
	}
	if h := ln.Held; h != nil {
		n += vtext(h.Reservation) + vtext(h.Line) + vtext(h.Partner) + vtext(h.State) + weighClaims(h.Granted) + 48
		for _, k := range h.Siblings {
			n += vtext(k.Entity) + vtext(k.Item)
		}
	}
	return n
}

// weighState is the size of a state that may be absent, as on_hand is.
func weighState(a Account) int {
	if a == OnHand {
		return 1
	}
	return optional(a.String())
}

func weighSupply(ln *SupplyLine) int {
	n := frame + vtext(ln.ID) + weighRefs(ln.Refs) + 16
	for i := range ln.Entries {
		e := &ln.Entries[i]
		n += 4 + vtext(e.Source) + optional(e.Location) + 8 + optional(e.Revision) + vtext(e.Stage) +
			vquantity(e.Quantity) + optionalLong(int64(e.Due)) + optionalLong(int64(e.At)) + optionalLong(e.Sequence) + weighState(e.State) +
			1 + optionalLong(e.Via)
	}
	for i := range ln.Open {
		o := &ln.Open[i]
		n += optional(o.Location) + optionalLong(int64(o.Due)) + vquantity(o.Quantity)
	}
	return n
}

func weighEvent(ev *Event) int {
	n := vtext(ev.ID) + vtext(ev.Kind) + optional(ev.Key.Entity) + optional(ev.Key.Item) + vtext(ev.Source) +
		weighRefs(ev.Refs) + optional(ev.OccurredBasis) + 64
	d, t := &ev.Document, &ev.Trace
	n += vtext(d.Type) + vtext(d.Number) + optional(d.Revision) + optional(d.Line)
	n += len(t.RawID) + len(t.MappingVersion) + 48
	for i := range ev.Attributes {
		n += vtext(ev.Attributes[i].Name) + vtext(ev.Attributes[i].Value)
	}
	if m := ev.Movement; m != nil {
		n += vtext(m.Type) + vtext(m.Location) + optional(m.ToLocation) + optional(m.Reason) + optional(m.Reverses) + 64
	}
	if c := ev.Count; c != nil {
		n += vtext(c.Location) + vtext(c.Basis) + optional(c.AsOfBasis) + optional(c.Snapshot) + 64 +
			16*(len(c.Includes)+len(c.Covers)) + 28*len(c.Balances)
	}
	if m := ev.Demand; m != nil {
		n += vtext(m.Stage) + vtext(m.Location) + optional(m.Channel) + 32
	}
	if s := ev.Supply; s != nil {
		n += vtext(s.Stage) + vtext(s.Location) + 32
	}
	if r := ev.Reservation; r != nil {
		n += vtext(r.ID) + vtext(r.Action) + vtext(r.Partner) + 64
		for i := range r.Lines {
			n += vtext(r.Lines[i].Line) + optional(r.Lines[i].Location) + optional(r.Lines[i].Channel) + 32
		}
		for _, k := range r.Siblings {
			n += vtext(k.Entity) + vtext(k.Item)
		}
	}
	if s := ev.Setting; s != nil {
		n += optional(s.Location) + 16
	}
	return n
}

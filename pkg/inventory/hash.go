package inventory

import (
	"crypto/sha256"
	"encoding/hex"
)

// HashID shortens an event id to what dedupe and the fence keep: the first 16 hex
// digits of a 32-digit id, which is itself a hash, as a number; of any other
// string its FNV-1a hash.
func HashID(id string) uint64 {
	if len(id) == 32 {
		if h, ok := hexID(id); ok {
			return h
		}
	}
	h := uint64(14695981039346656037)
	for i := range len(id) {
		h = (h ^ uint64(id[i])) * 1099511628211
	}
	return h
}

func hexID(id string) (uint64, bool) {
	var h uint64
	var bad byte
	for i := range 16 {
		d := hexDigits[id[i]]
		bad |= d | hexDigits[id[16+i]]
		h = h<<4 | uint64(d&15)
	}
	return h, bad < 16
}

// hexDigits are the values of hex digits; of any other byte, more than 15.
var hexDigits = func() (t [256]byte) {
	for i := range t {
		t[i] = 0x80
	}
	for i := range byte(10) {
		t['0'+i] = i
	}
	for i := range byte(6) {
		t['a'+i], t['A'+i] = 10+i, 10+i
	}
	return t
}()

// digest mixes words of eight bytes. It is stored (content hashes, document
// hashes), so it never changes; TestHashesAreStable pins it.
type digest uint64

func (d digest) word(w uint64) digest {
	d = (d ^ digest(w)) * 0x9e3779b97f4a7c15
	return d ^ d>>29
}

// text mixes in the length, then the bytes, little endian, zero-padded.
func (d digest) text(s string) digest {
	d = d.word(uint64(len(s)))
	for len(s) >= 8 {
		d = d.word(uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
			uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56)
		s = s[8:]
	}
	if len(s) > 0 {
		var w uint64
		for i := len(s) - 1; i >= 0; i-- {
			w = w<<8 | uint64(s[i])
		}
		d = d.word(w)
	}
	return d
}

func (d digest) stated(basis string, t Instant) digest {
	switch basis {
	case BasisDocument, BasisFile, BasisEnvelope:
		return d.text(basis).word(uint64(t))
	}
	return d.word(0) // known by receipt only: another reading would state another
}

// ContentHash is a fingerprint of what an event states: kind, key, document,
// refs, quantities and stated times. Receipt and inferred times, versions of
// mapping and master data, attributes and the trace stay out, so that reading a
// message again gives the same hash (EXACTLY-ONCE §5).
func ContentHash(ev *Event) uint32 {
	d := digest(0).text(string(ev.Kind)).text(string(ev.Key.Entity)).text(string(ev.Key.Item)).
		text(string(ev.Source)).
		text(ev.Document.Type).text(ev.Document.Number).text(ev.Document.Revision).text(ev.Document.Line).
		stated(ev.OccurredBasis, ev.OccurredAt).
		word(uint64(len(ev.Refs)))
	for i := range ev.Refs {
		r := &ev.Refs[i]
		d = d.text(r.Issuer).text(r.Type).text(r.Number).text(r.Line)
	}
	if m := ev.Movement; m != nil {
		d = d.text(string(m.Type)).text(string(m.Location)).text(string(m.ToLocation)).
			word(uint64(m.FromState)<<8 | uint64(m.ToState)).
			word(uint64(m.Quantity)).text(m.Reason).text(m.Reverses).word(uint64(m.Sequence))
	}
	if c := ev.Count; c != nil {
		d = d.text(string(c.Location)).text(string(c.Basis)).
			word(uint64(set(c.Includes))<<8 | uint64(set(c.Covers))).
			word(uint64(len(c.Balances)))
		for _, b := range c.Balances {
			d = d.word(uint64(b.State)).word(uint64(b.Quantity))
		}
		d = d.stated(c.AsOfBasis, c.AsOf).word(uint64(c.Sequence)).word(flag(c.Complete)).text(c.Snapshot)
		if c.Part != 0 {
			d = d.word(uint64(uint32(c.Part))<<32 | uint64(uint32(c.Parts)))
		}
	}
	if m := ev.Demand; m != nil {
		d = d.text(string(m.Stage)).text(string(m.Location)).word(uint64(m.Quantity)).
			text(m.Channel).word(uint64(uint32(m.Due))<<1 | flag(m.Movable))
	}
	if s := ev.Supply; s != nil {
		d = d.text(string(s.Stage)).text(string(s.Location)).word(uint64(s.Quantity)).word(uint64(uint32(s.Due)))
	}
	if r := ev.Reservation; r != nil {
		d = d.text(r.ID).text(string(r.Action)).text(r.Partner).word(flag(r.Partial)).word(uint64(r.ExpiresAt)).
			word(uint64(len(r.Siblings))).word(uint64(len(r.Lines)))
		for _, k := range r.Siblings {
			d = d.text(string(k.Entity)).text(string(k.Item))
		}
		for i := range r.Lines {
			n := &r.Lines[i]
			d = d.text(n.Line).text(string(n.Location)).word(uint64(n.Quantity)).text(n.Channel).
				word(uint64(uint32(n.Due))<<9 | uint64(n.Priority)<<1 | flag(n.Movable))
		}
	}
	if a := ev.Approval; a != nil {
		d = d.text(a.Event).text(string(a.Release)).text(a.Author).text(a.Reason)
	}
	if s := ev.Setting; s != nil {
		d = d.text(string(s.Location)).word(uint64(s.SafetyStock))
	}
	if c := ev.Control; c != nil {
		d = d.word(uint64(c.PolicyVersion)).text(c.PolicyHash)
	}
	return uint32(d ^ d>>32)
}

func flag(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// set is the accounts of a list as bits; accounts outside locations are dropped.
func set(as []Account) uint8 {
	var s uint8
	for _, a := range as {
		if a.IsState() {
			s |= a.bit()
		}
	}
	return s
}

// RefHash names a business reference in state keys: the first 16 hex digits of
// SHA-256 over its four parts, each behind its length.
func RefHash(r Ref) string {
	var a [256]byte
	b := a[:0]
	for _, s := range [4]string{r.Issuer, r.Type, r.Number, r.Line} {
		b = append(b, byte(len(s)>>8), byte(len(s)))
		b = append(b, s...)
	}
	sum := sha256.Sum256(b)
	var h [16]byte
	hex.Encode(h[:], sum[:8])
	return string(h[:])
}

// documentHash names a document line among the documents of a source, whatever
// its revision.
func documentHash(d *Document) uint64 {
	return uint64(digest(0).text(d.Type).text(d.Number).text(d.Line))
}

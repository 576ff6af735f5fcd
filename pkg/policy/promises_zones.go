package policy

import "time"

// Zones are the time zones of locations whose master records state none, in no
// order.
func (p *Promises) Zones() []*time.Location {
	out := make([]*time.Location, 0, len(p.zones))
	for _, z := range p.zones {
		if z != nil {
			out = append(out, z)
		}
	}
	return out
}

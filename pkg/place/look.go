package place

import (
	"encoding/binary"
	"hash/fnv"
	"time"
)

// Look is what all locations together say: their time zones, each once, and a number
// that is another one when a zone or what may be shown has changed.
func (p *Places) Look() (zones []*time.Location, print uint64) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	seen := map[string]bool{} // a zone that is loaded again is another pointer
	for k, pl := range p.byKey {
		h := fnv.New64a()
		_, _ = h.Write([]byte(k)) // never fails
		if pl.Zone != nil {
			_, _ = h.Write([]byte("|" + pl.Zone.String()))
			if !seen[pl.Zone.String()] {
				seen[pl.Zone.String()] = true
				zones = append(zones, pl.Zone)
			}
		}
		shown := uint64(0)
		if pl.Publishable {
			shown = 1
		}
		_, _ = h.Write(binary.AppendUvarint(nil, shown))
		print += h.Sum64() // in whatever order
	}
	return zones, print
}

package inventory

import "slices"

// maxParts of a full snapshot.
const maxParts = 10_000

// partsRight says whether a part of a full snapshot is numbered as it may be.
func partsRight(part, parts int32) bool {
	switch {
	case part == 0:
		return parts == 0
	case part < 0 || part > maxParts || parts < 0 || parts > maxParts:
		return false
	}
	return parts == 0 || part <= parts
}

// SnapshotWhole says, of ends of one full snapshot in several messages, which parts have
// not ended; none and an empty text: it is over. Where no part says how many there are,
// the one behind the last is missing. The text says why they can never be one snapshot.
func SnapshotWhole(ends []SnapshotEnd) (missing []int32, why string) {
	var parts, last int32
	there := map[int32]bool{}
	for i := range ends {
		e := &ends[i]
		there[e.Part] = true
		last = max(last, e.Part)
		switch {
		case e.Part == 0:
			return nil, "one message says that it is all of it, another that it is a part"
		case e.AsOf != ends[0].AsOf:
			return nil, "its parts state different times"
		case e.Basis != ends[0].Basis || set(e.Covers) != set(ends[0].Covers):
			return nil, "its parts count different things"
		case e.Parts != 0 && parts != 0 && e.Parts != parts:
			return nil, "its parts disagree on how many there are"
		}
		parts = max(parts, e.Parts)
	}
	if parts != 0 && last > parts {
		return nil, "its parts disagree on how many there are"
	}
	until := parts
	if parts == 0 {
		until = last + 1
	}
	for n := int32(1); n <= until; n++ {
		if !there[n] {
			missing = append(missing, n)
		}
	}
	return slices.Clip(missing), ""
}

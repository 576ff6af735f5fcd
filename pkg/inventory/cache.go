package inventory

import "slices"

// cache holds pieces of one kind by the text that names them, sorted. A nil value
// is a piece known not to exist.
type cache[T any] struct{ slots []slot[T] }

type slot[T any] struct {
	name  string
	val   *T
	dirty bool
}

func (c *cache[T]) find(name string) (int, bool) {
	lo, hi := 0, len(c.slots)
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); c.slots[mid].name < name {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo, lo < len(c.slots) && c.slots[lo].name == name
}

// insert puts a value at the place that find gave.
func (c *cache[T]) insert(i int, name string, val *T) {
	c.slots = slices.Insert(c.slots, i, slot[T]{name: name, val: val})
}

// set replaces a value, or adds it, as changed. A nil value is a deletion.
func (c *cache[T]) set(name string, val *T) {
	i, ok := c.find(name)
	if !ok {
		c.insert(i, name, nil)
	}
	c.slots[i].val = val
	c.slots[i].dirty = true
}

package format

// MaxTree bounds what the tree of one unit takes, bytes, as a Budget estimates it:
// a megabyte of "[{},{},..." would take a hundred.
const MaxTree = 40 << 20

// Budget is what is left of MaxTree. The zero value is a whole one.
type Budget struct{ used int }

// What the parts of a tree take, bytes: a value in an interface, an object (a map
// with room for eight members), a member beyond eight, an element of an array, an
// element of a document before it is a tree.
const (
	costValue  = 16
	costObject = 336
	costMember = 64
	costElem   = 40
	costNode   = 128
)

// Object takes one object from the budget; it and the others are false when it is
// spent.
func (b *Budget) Object() bool { return b.take(costObject) }

// Member takes one member of an object.
func (b *Budget) Member() bool { return b.take(costMember) }

// Elem takes one element of an array.
func (b *Budget) Elem() bool { return b.take(costElem) }

// Text takes a text of n bytes.
func (b *Budget) Text(n int) bool { return b.take(costValue + n) }

func (b *Budget) take(n int) bool {
	b.used += n
	return b.used <= MaxTree
}

// Node takes an element of a document, with the object it becomes.
func (b *Budget) Node() bool { return b.take(costNode + costObject + costElem) }

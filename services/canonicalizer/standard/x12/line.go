package x12

import (
	"encoding/json"
	"slices"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/jq"
)

// Kinds of line, as in policies/README.md.
const (
	kindMovement  = "movement"
	kindCount     = "count"
	kindDemand    = "demand"
	kindSupply    = "supply"
	kindMilestone = "milestone"
	kindError     = "error"
)

// Line is a mapped line, as policies/README.md has it. What is empty is not stated. As a
// value it is an object (jq.Lazy). Its lists are memory of the Memory it is from.
type Line struct {
	Kind         string
	At           int    // pos of its segment
	Code, Reason string // of an error

	Document inventory.Document
	Nth      int // above 0: the document's line is this number, and Document.Line empty

	Status         string
	IDs            []event.Identifier
	Location       Place
	Quantity, Unit string
	OccurredAt     string
	OccurredBasis  string
	Ref            inventory.Ref         // of no number: none
	Attributes     []inventory.Attribute // in the order of their names

	Movement       string // type
	MovementReason string
	State          string // of a count that is of this state's balance alone
	Stage, Due     string // of demand and supply; Due also of a milestone
	About          string // of a milestone

	// Of balances: the first line of the same item, place and time; and of that one how many
	// there are of each state.
	counted int
	counts  [4]int32
}

// Place is the names under which a location may be known, the best first; no first one:
// none.
type Place struct{ Code, Name string }

// placeOf is a place by a code and a name, either of which may be missing.
func placeOf(code, name string) Place {
	if code == "" {
		return Place{Code: name}
	}
	return Place{code, name}
}

// or is the place, or another where it is none.
func (p Place) or(q Place) Place {
	if p.Code == "" {
		return q
	}
	return p
}

// attribute adds an attribute, in the place of one of its name. An empty one is none.
func (l *Line) attribute(name, value string) {
	if value == "" {
		return
	}
	at := len(l.Attributes)
	for at > 0 && l.Attributes[at-1].Name > name {
		at--
	}
	if at > 0 && l.Attributes[at-1].Name == name {
		l.Attributes[at-1].Value = value
		return
	}
	l.Attributes = slices.Insert(l.Attributes, at, inventory.Attribute{Name: name, Value: value})
}

// without takes an attribute away.
func (l *Line) without(name string) {
	l.Attributes = slices.DeleteFunc(l.Attributes, func(a inventory.Attribute) bool { return a.Name == name })
}

// known makes attributes of a line's parties, its first ones. There is room for what a line
// says of itself.
func (l *Line) known(roles []inventory.Attribute) {
	l.Attributes = append(slices.Grow(l.Attributes[:0], len(roles)+8), roles...)
}

// flag adds a word to the flags, an attribute.
func (l *Line) flag(word string) {
	for i := range l.Attributes {
		if a := &l.Attributes[i]; a.Name == "flags" {
			a.Value += " " + word
			return
		}
	}
	l.attribute("flags", word)
}

// milestone makes the line one with a status, of the topic that the status is of.
func (l *Line) milestone(status, due string) {
	l.Kind, l.Status, l.About, l.Due = kindMilestone, status, about(status), due
}

// moves makes the line a movement. One of nothing, or one that takes back, is none.
func (l *Line) moves(movement, status string) {
	if zero(l.Quantity) || l.Quantity != "" && l.Quantity[0] == '-' {
		l.milestone(status, "")
		return
	}
	l.Kind, l.Status, l.Movement = kindMovement, status, movement
}

// staged makes the line demand or supply.
func (l *Line) staged(kind, status, stage, due string) {
	l.Kind, l.Status, l.Stage, l.Due = kind, status, stage, due
}

// balance makes the line the balance of the status it is reported under.
func (l *Line) balance() {
	l.Kind = kindCount
	switch l.Status {
	case onHold:
		l.State = "quarantine"
	case damaged:
		l.State = "damaged"
	}
}

// Value is the line as an object.
func (l *Line) Value() any {
	b := make(builder, 0, 16)
	b.text("kind", l.Kind)
	b.add("at", l.At)
	if l.Kind == kindError {
		b.text("code", l.Code)
		b.text("reason", l.Reason)
		return jq.Ordered(b)
	}
	document := make(builder, 0, 4)
	document.text("type", l.Document.Type)
	document.text("number", l.Document.Number)
	document.text("revision", l.Document.Revision)
	document.text("line", l.Document.Line)
	if l.Nth > 0 {
		document.add("line", l.Nth)
	}
	b.add("document", jq.Ordered(document))
	ids := make([]any, len(l.IDs))
	for i, id := range l.IDs {
		ids[i] = jq.NewObject(jq.Member{Key: "type", Value: id.Type}, jq.Member{Key: "value", Value: id.Value})
	}
	b.add("ids", ids)
	attributes := make(builder, 0, len(l.Attributes))
	for _, a := range l.Attributes {
		attributes.text(a.Name, a.Value)
	}
	b.add("attributes", jq.Ordered(attributes))
	refs := []any{}
	if l.Ref.Number != "" {
		ref := make(builder, 0, 3)
		ref.text("issuer", l.Ref.Issuer)
		ref.text("type", l.Ref.Type)
		ref.text("number", l.Ref.Number)
		refs = append(refs, jq.Ordered(ref))
	}
	b.add("refs", refs)
	if l.Location.Code != "" {
		names := []any{l.Location.Code}
		if l.Location.Name != "" {
			names = append(names, l.Location.Name)
		}
		b.add("location", names)
	}
	b.text("occurred_at", l.OccurredAt)
	b.text("occurred_basis", l.OccurredBasis)
	b.text("status", l.Status)
	b.text("unit", l.Unit)
	of := make(builder, 0, 2) // what is of the kind alone
	switch l.Kind {
	case kindMovement:
		of.text("type", l.Movement)
		of.text("reason", l.MovementReason)
	case kindDemand, kindSupply:
		of.text("stage", l.Stage)
		of.text("due", l.Due)
	case kindMilestone:
		of.text("about", l.About)
		of.text("due", l.Due)
	}
	if l.State == "" {
		b.text("quantity", l.Quantity)
	} else {
		balance := make(builder, 0, 2)
		balance.text("state", l.State)
		balance.text("quantity", l.Quantity)
		of.add("balances", []any{jq.Ordered(balance)})
	}
	if len(of) > 0 {
		b.add(l.Kind, jq.Ordered(of))
	}
	return jq.Ordered(b)
}

// Field is a member of the object.
func (l *Line) Field(key string) any { return jq.Field(l.Value(), key) }

// MarshalJSON writes the object.
func (l *Line) MarshalJSON() ([]byte, error) { return json.Marshal(jq.Plain(l.Value())) } //nolint:wrapcheck // it is the object's own

// builder gathers the members of an object, those that are stated.
type builder []jq.Member

func (b *builder) add(key string, v any) { *b = append(*b, jq.Member{Key: key, Value: v}) }

func (b *builder) text(key, s string) {
	if s != "" {
		b.add(key, s)
	}
}

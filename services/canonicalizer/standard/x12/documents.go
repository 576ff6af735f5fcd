package x12

import (
	"github.com/stockweave/stockweave/pkg/inventory"
)

// Words for what became of a quantity.
const (
	acked           = "acked"
	available       = "available"
	cancelled       = "cancelled"
	damaged         = "damaged"
	inQuestion      = "in_question"
	inTransit       = "in_transit"
	onHand          = "on_hand"
	onHold          = "on_hold"
	ordered         = "ordered"
	orderLineGone   = "order_line_deleted"
	received        = "received"
	rejected        = "rejected"
	returned        = "returned"
	shipped         = "shipped"
	sold            = "sold"
	adjusted        = "adjusted"
	backordered     = "backordered"
	returnRequested = "return_requested"
	transferIn      = "transfer_in"
	transferOut     = "transfer_out"
	issued          = "issued"
)

// Topics of milestones.
const (
	aboutOrders    = "orders"
	aboutShipments = "shipments"
	aboutReturns   = "returns"
)

// about is the topic of milestones with a status.
func about(status string) string {
	switch status {
	case shipped, inTransit, "inbound", received, "picked", transferIn, transferOut, inQuestion, damaged:
		return aboutShipments
	case returned, returnRequested:
		return aboutReturns
	}
	return aboutOrders
}

// revision is that of a document with a purpose (353): one that corrects, cancels or
// replaces is another revision, named by what orders them: a change number, or a date.
func revision(purpose, order string) string {
	switch purpose {
	case "01", "02", "03", "04", "05", "18", "19", "20", "38", "54":
		return first(digitsOf(order), purpose)
	}
	return ""
}

// reportRevision is the same of order status (473) and reporting (514) codes.
func reportRevision(code string) string {
	switch code {
	case "N", "F", "O":
		return ""
	}
	return code
}

// cancels says whether a purpose (353) takes a document back.
func cancels(purpose string) bool { return purpose == "01" || purpose == "03" }

// control is the number of a document that has none of its own: its set's in its
// interchange.
func (r *reading) control() string {
	return joined("-", field(r.c.Interchange, "control"), field(r.c.Group, "control"), r.c.Control)
}

// order is a reference to a customer's order, purchase one to ours; of no number none.
func (r *reading) order(number string) inventory.Ref {
	return inventory.Ref{Issuer: r.d.orderIssuer, Type: r.d.orderType, Number: number}
}

func (r *reading) purchase(number string) inventory.Ref {
	return inventory.Ref{Issuer: r.d.supplyIssuer, Type: r.d.supplyType, Number: number}
}

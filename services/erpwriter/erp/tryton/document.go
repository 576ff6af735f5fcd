package tryton

import (
	"fmt"

	"github.com/stockweave/stockweave/services/erpwriter/erp"
)

// The models of documents. A movement takes the document that Tryton's own people
// would use for it.
const (
	modelMove           = "stock.move"
	modelReceipt        = "stock.shipment.in"
	modelSupplierReturn = "stock.shipment.in.return"
	modelIssue          = "stock.shipment.out"
	modelCustomerReturn = "stock.shipment.out.return"
	modelInternal       = "stock.shipment.internal"
)

// modelFor chooses by the types of the two locations. A move may stand by itself
// only where no stock has to be assigned first: into storage.
func modelFor(from, to location) (string, error) {
	switch {
	case from.Type == "supplier" && to.Type == "storage" && to.warehouse != 0:
		return modelReceipt, nil
	case from.Type == "customer" && to.Type == "storage" && to.warehouse != 0:
		return modelCustomerReturn, nil
	case to.Type == "storage" && (from.Type == "supplier" || from.Type == "customer" || from.Type == "lost_found"):
		return modelMove, nil
	case from.Type == "storage" && to.Type == "customer" && from.warehouse != 0:
		return modelIssue, nil
	case from.Type == "storage" && to.Type == "supplier":
		return modelSupplierReturn, nil
	case from.Type == "storage" && (to.Type == "storage" || to.Type == "lost_found"):
		return modelInternal, nil
	}
	return "", erp.Refuse(erp.CodeUnsupported, "no document moves stock from %s (%s) to %s (%s)",
		from.Code, from.Type, to.Code, to.Type)
}

// move is the body of a stock.move. Prices are the product's own cost: valuation
// is the ERP's business.
func move(m *master, r erp.Request, p product, from, to location, day date) map[string]any {
	v := map[string]any{
		"product": p.ID, "unit": p.Unit, "quantity": number(r.Lines[0].Quantity),
		"from_location": from.ID, "to_location": to.ID,
		"company": m.company, "external_ref": r.Ref, "planned_date": day,
	}
	outside := func(t string) bool { return t == "supplier" || t == "customer" }
	if outside(from.Type) || outside(to.Type) {
		v["unit_price"], v["currency"] = p.Cost, m.currency
	}
	return v
}

// body is the whole document around the move.
func body(m *master, model string, r erp.Request, p product, from, to location) (map[string]any, error) {
	day, err := parseDate(r.PostingDate)
	if err != nil {
		return nil, err
	}
	mv := move(m, r, p, from, to, day)
	if model == modelMove {
		mv["effective_date"] = day
		return mv, nil
	}
	lines := []any{[]any{"create", []any{mv}}}
	v := map[string]any{"company": m.company, "planned_date": day, "effective_date": day}
	if r.Business != "" {
		v["reference"] = r.Business
	}
	switch model {
	case modelReceipt:
		// Input and storage are one place, so receiving is putting away.
		v["supplier"], v["warehouse"] = m.supplier.ID, to.warehouse
		v["warehouse_input"], v["warehouse_storage"] = to.ID, to.ID
		v["incoming_moves"] = lines
	case modelCustomerReturn:
		v["customer"], v["contact_address"], v["warehouse"] = m.customer.ID, m.customer.Addresses[0], to.warehouse
		v["warehouse_input"], v["warehouse_storage"] = to.ID, to.ID
		v["incoming_moves"] = lines
	case modelIssue:
		// Storage and output are one place, so there is no picking move between.
		v["customer"], v["delivery_address"], v["warehouse"] = m.customer.ID, m.customer.Addresses[0], from.warehouse
		v["warehouse_storage"], v["warehouse_output"] = from.ID, from.ID
		v["outgoing_moves"] = lines
	case modelSupplierReturn:
		v["supplier"], v["delivery_address"] = m.supplier.ID, m.supplier.Addresses[0]
		v["from_location"], v["to_location"] = from.ID, to.ID
		v["moves"] = lines
	case modelInternal:
		v["from_location"], v["to_location"] = from.ID, to.ID
		v["planned_start_date"], v["effective_start_date"] = day, day
		v["moves"] = lines
	}
	return v, nil
}

// next is the button that brings a document one step nearer to done. Stock is
// assigned by force: the movement has happened, whatever the ERP believes to hold,
// and the receipt that explains it may come later.
func next(model, state string, transit bool) (string, error) {
	switch model {
	case modelMove:
		if state == "draft" || state == "assigned" {
			return "do", nil
		}
	case modelReceipt, modelCustomerReturn:
		switch state {
		case "draft":
			return "receive", nil
		case "received":
			return "do", nil
		}
	default:
		switch {
		case state == "request":
			return "draft", nil
		case state == "draft":
			return "wait", nil
		case state == "waiting":
			return "assign_force", nil
		case state == "assigned" && (model == modelIssue || transit), state == "picked":
			return "pack", nil
		case state == "packed" && transit:
			return "ship", nil
		case state == "assigned", state == "packed", state == "shipped":
			return "do", nil
		}
	}
	return "", erp.Block(erp.CodeFault, "%s in state %q: no way on", model, state)
}

// stateOf reads the state of a move by itself or of the shipment around it.
func stateOf(s string) erp.State {
	switch s {
	case "done":
		return erp.Done
	case "cancelled":
		return erp.Cancelled
	}
	return erp.Open
}

// way names how goods moved, for the look-up by business number: the model of the
// shipment, and the field of the move whose location lies in our warehouse.
func way(model string) (ours, theirs, theirType string, err error) {
	switch model {
	case modelReceipt:
		return "to_location", "from_location", "supplier", nil
	case modelCustomerReturn:
		return "to_location", "from_location", "customer", nil
	case modelIssue:
		return "from_location", "to_location", "customer", nil
	case modelSupplierReturn:
		return "from_location", "to_location", "supplier", nil
	}
	return "", "", "", fmt.Errorf("no business look-up for %s", model)
}

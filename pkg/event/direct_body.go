package event

import inv "github.com/stockweave/stockweave/pkg/inventory"

// Straight code for the bodies of events that messages of sources become, as in
// direct_event.go.

const minStateBalance = 2 // bytes: its fields

func encodeAttribute(w *writer, x *inv.Attribute) {
	w.text(x.Name)
	w.prose(x.Value)
}

func decodeAttribute(r *reader, x *inv.Attribute) {
	x.Name = r.word()
	x.Value = r.text()
}

func encodeStateBalance(w *writer, x *inv.StateBalance) {
	w.account(x.State)
	w.quantity(x.Quantity)
}

func decodeStateBalance(r *reader, x *inv.StateBalance) {
	x.State = r.account()
	x.Quantity = r.quantity()
}

func encodeCount(w *writer, x *inv.Count) {
	w.text(string(x.Location))
	w.text(string(x.Basis))
	encodeList(w, x.Includes, (*writer).account)
	encodeList(w, x.Covers, (*writer).account)
	encodeAll(w, x.Balances, encodeStateBalance)
	w.long(int64(x.AsOf))
	w.text(x.AsOfBasis)
	w.optLong(x.Sequence)
	w.flag(x.Complete)
	w.optText(x.Snapshot)
	w.optLong(int64(x.Part))
	w.optLong(int64(x.Parts))
}

func decodeCount(r *reader, x *inv.Count) {
	x.Location = inv.Location(r.word())
	x.Basis = inv.Basis(r.word())
	x.Includes = decodeList(r, (*reader).account)
	x.Covers = decodeList(r, (*reader).account)
	x.Balances = decodeAll(r, minStateBalance, decodeStateBalance)
	x.AsOf = inv.Instant(r.long())
	x.AsOfBasis = r.word()
	x.Sequence = r.optLong()
	x.Complete = r.flag()
	x.Snapshot = r.optText()
	x.Part = r.optInt()
	x.Parts = r.optInt()
}

func encodeDemand(w *writer, x *inv.Demand) {
	w.text(string(x.Stage))
	w.optText(string(x.Location))
	w.quantity(x.Quantity)
	w.optText(x.Channel)
	w.optLong(int64(x.Due))
	w.flag(x.Movable)
}

func decodeDemand(r *reader, x *inv.Demand) {
	x.Stage = inv.Stage(r.word())
	x.Location = inv.Location(r.optWord())
	x.Quantity = r.quantity()
	x.Channel = r.optWord()
	x.Due = inv.Day(r.optInt())
	x.Movable = r.flag()
}

func encodeSupply(w *writer, x *inv.Supply) {
	w.text(string(x.Stage))
	w.optText(string(x.Location))
	w.quantity(x.Quantity)
	w.optLong(int64(x.Due))
}

func decodeSupply(r *reader, x *inv.Supply) {
	x.Stage = inv.Stage(r.word())
	x.Location = inv.Location(r.optWord())
	x.Quantity = r.quantity()
	x.Due = inv.Day(r.optInt())
}

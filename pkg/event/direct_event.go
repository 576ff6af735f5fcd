package event

import inv "github.com/stockweave/stockweave/pkg/inventory"

// Straight code for the records that every event passes through. It says again
// what the tables say; TestDirect holds both to the same bytes.

// Least sizes of elements, in bytes: their fields.
const (
	minRef       = 4
	minAttribute = 2
	minLapse     = 5
	minMove      = 6
	minBucket    = 4
)

func encodeDocument(w *writer, x *inv.Document) {
	w.text(x.Type)
	w.text(x.Number)
	w.optText(x.Revision)
	w.optText(x.Line)
}

func decodeDocument(r *reader, x *inv.Document) {
	x.Type = r.word()
	x.Number = r.text()
	x.Revision = r.optText()
	x.Line = r.optText()
}

func encodeRef(w *writer, x *inv.Ref) {
	w.text(x.Issuer)
	w.text(x.Type)
	w.text(x.Number)
	w.optText(x.Line)
}

func decodeRef(r *reader, x *inv.Ref) {
	x.Issuer = r.word()
	x.Type = r.word()
	x.Number = r.text()
	x.Line = r.optText()
}

func encodeTrace(w *writer, x *inv.Trace) {
	w.optText(x.RawID)
	w.optLong(int64(x.RawLine))
	w.optText(x.MappingVersion)
	w.optLong(x.MasterVersion)
	w.optQuantity(x.UnitFactor, x.UnitFactor != 0)
}

func decodeTrace(r *reader, x *inv.Trace) {
	x.RawID = r.optText()
	x.RawLine = r.optInt()
	x.MappingVersion = r.optWord()
	x.MasterVersion = r.optLong()
	x.UnitFactor, _ = r.optQuantity()
}

func encodeOptTrace(w *writer, x *inv.Trace) {
	if *x == (inv.Trace{}) {
		w.null()
		return
	}
	w.some()
	encodeTrace(w, x)
}

func decodeOptTrace(r *reader, x *inv.Trace) {
	if r.some() {
		decodeTrace(r, x)
	}
}

func encodeMovement(w *writer, x *inv.Movement) {
	w.text(string(x.Type))
	w.optText(string(x.Location))
	w.optText(string(x.ToLocation))
	w.optAccount(x.FromState)
	w.optAccount(x.ToState)
	w.quantity(x.Quantity)
	w.optProse(x.Reason)
	w.optText(x.Reverses)
	w.optLong(x.Sequence)
}

func decodeMovement(r *reader, x *inv.Movement) {
	x.Type = inv.MovementType(r.word())
	x.Location = inv.Location(r.optWord())
	x.ToLocation = inv.Location(r.optWord())
	x.FromState = r.optAccount()
	x.ToState = r.optAccount()
	x.Quantity = r.quantity()
	x.Reason = r.optText()
	x.Reverses = r.optText()
	x.Sequence = r.optLong()
}

func encodeEvent(w *writer, x *inv.Event) {
	w.text(string(x.Kind))
	w.text(x.ID)
	w.optText(string(x.Key.Entity))
	w.optText(string(x.Key.Item))
	w.text(string(x.Source))
	encodeDocument(w, &x.Document)
	w.optLong(int64(x.OccurredAt))
	w.optText(x.OccurredBasis)
	w.optLong(int64(x.ReceivedAt))
	encodeAll(w, x.Refs, encodeRef)
	encodeAll(w, x.Attributes, encodeAttribute)
	encodeOptTrace(w, &x.Trace)
	encodeBody(w, x.Movement, encodeMovement)
	encodeBody(w, x.Count, encodeCount)
	encodeBody(w, x.Demand, encodeDemand)
	encodeBody(w, x.Supply, encodeSupply)
	encodeBody(w, x.Reservation, reservationTable.enc)
	encodeBody(w, x.Approval, approvalTable.enc)
	encodeBody(w, x.Setting, settingTable.enc)
	encodeBody(w, x.Control, controlTable.enc)
}

func decodeEvent(r *reader, x *inv.Event) {
	x.Kind = inv.Kind(r.word())
	x.ID = r.text()
	x.Key.Entity = inv.Entity(r.optWord())
	x.Key.Item = inv.Item(r.optText())
	x.Source = inv.Source(r.word())
	decodeDocument(r, &x.Document)
	x.OccurredAt = inv.Instant(r.optLong())
	x.OccurredBasis = r.optWord()
	x.ReceivedAt = inv.Instant(r.optLong())
	x.Refs = decodeAll(r, minRef, decodeRef)
	x.Attributes = decodeAll(r, minAttribute, decodeAttribute)
	decodeOptTrace(r, &x.Trace)
	x.Movement = decodeEventMovement(r)
	x.Count = decodeBody(r, decodeCount)
	x.Demand = decodeBody(r, decodeDemand)
	x.Supply = decodeBody(r, decodeSupply)
	x.Reservation = decodeBody(r, reservationTable.dec)
	x.Approval = decodeBody(r, approvalTable.dec)
	x.Setting = decodeBody(r, settingTable.dec)
	x.Control = decodeBody(r, controlTable.dec)
}

// decodeEventMovement is the body that most events have; a Buf brings the
// memory for it.
func decodeEventMovement(r *reader) *inv.Movement {
	if r.into == nil {
		return decodeBody(r, decodeMovement)
	}
	if !r.some() {
		return nil
	}
	decodeMovement(r, &r.into.movement) // every field of it
	return &r.into.movement
}

func encodeMove(w *writer, x *inv.Move) {
	w.text(string(x.Type))
	w.optText(string(x.From.Location))
	w.account(x.From.Account)
	w.optText(string(x.To.Location))
	w.account(x.To.Account)
	w.quantity(x.Quantity)
	w.optProse(x.Reason)
	w.optLong(int64(x.At))
}

func decodeMove(r *reader, x *inv.Move) {
	x.Type = inv.MovementType(r.word())
	x.From.Location = inv.Location(r.optWord())
	x.From.Account = r.account()
	x.To.Location = inv.Location(r.optWord())
	x.To.Account = r.account()
	x.Quantity = r.quantity()
	x.Reason = r.optText()
	x.At = inv.Instant(r.optLong())
}

func encodeOutcome(w *writer, x *inv.Outcome) {
	w.text(string(x.Kind))
	w.flag(x.Late)
	w.count(len(x.Codes))
	if len(x.Codes) > 0 {
		for _, c := range x.Codes {
			w.text(string(c))
		}
		w.null()
	}
	w.optProse(x.Detail)
	w.text(x.EventID)
	w.text(string(x.EventKind))
	w.optText(string(x.Key.Entity))
	w.optText(string(x.Key.Item))
	w.text(string(x.Source))
	encodeDocument(w, &x.Document)
	encodeAll(w, x.Refs, encodeRef)
	encodeAll(w, x.Moves, encodeMove)
	w.optLong(int64(x.OccurredAt))
	w.optLong(int64(x.RecordedAt))
	w.long(x.Version)
	w.long(x.PolicyVersion)
	w.optText(x.Line)
	encodeBody(w, x.Answer, answerTable.enc)
	encodeAll(w, x.Lapsed, lapseTable.enc)
	encodeAll(w, x.Attributes, encodeAttribute)
	encodeOptTrace(w, &x.Trace)
	w.long(x.Lineage)
	w.long(int64(x.Partition))
	w.long(x.Offset)
}

func decodeOutcome(r *reader, x *inv.Outcome) {
	x.Kind = inv.OutcomeKind(r.word())
	x.Late = r.flag()
	x.Codes = decodeList(r, decodeCode)
	x.Detail = r.optText()
	x.EventID = r.text()
	x.EventKind = inv.Kind(r.word())
	x.Key.Entity = inv.Entity(r.optWord())
	x.Key.Item = inv.Item(r.optText())
	x.Source = inv.Source(r.word())
	decodeDocument(r, &x.Document)
	x.Refs = decodeAll(r, minRef, decodeRef)
	x.Moves = decodeAll(r, minMove, decodeMove)
	x.OccurredAt = inv.Instant(r.optLong())
	x.RecordedAt = inv.Instant(r.optLong())
	x.Version = r.long()
	x.PolicyVersion = r.long()
	x.Line = r.optText()
	x.Answer = decodeBody(r, answerTable.dec)
	x.Lapsed = decodeAll(r, minLapse, lapseTable.dec)
	x.Attributes = decodeAll(r, minAttribute, decodeAttribute)
	decodeOptTrace(r, &x.Trace)
	x.Lineage = r.long()
	x.Partition = r.int()
	x.Offset = r.long()
}

func decodeCode(r *reader) inv.Code { return inv.Code(r.word()) }

func encodeStates(w *writer, x *states) {
	for _, q := range x {
		w.quantity(q)
	}
}

func decodeStates(r *reader, x *states) {
	for i := range x {
		x[i] = r.quantity()
	}
}

func encodeBucket(w *writer, x *inv.Bucket) {
	w.optLong(int64(x.Due))
	w.optText(x.Channel)
	w.flag(x.Movable)
	w.quantity(x.Quantity)
}

func decodeBucket(r *reader, x *inv.Bucket) {
	x.Due = inv.Day(r.optInt())
	x.Channel = r.optWord()
	x.Movable = r.flag()
	x.Quantity = r.quantity()
}

func encodePosition(w *writer, x *inv.Position) {
	w.text(string(x.Key.Entity))
	w.text(string(x.Key.Item))
	w.text(string(x.Location))
	encodeStates(w, &x.States)
	encodeAll(w, x.Reserved, encodeBucket)
	encodeAll(w, x.Supply, encodeBucket)
	w.optQuantity(x.ParkedOut, x.ParkedOut != 0)
	w.flag(x.Frozen)
	w.quantity(x.SafetyStock)
	w.long(x.Version)
	w.long(int64(x.Part))
	w.long(int64(x.Parts))
	w.optLong(int64(x.RecordedAt))
	w.optText(x.EventID)
	w.long(x.PolicyVersion)
	w.long(x.Lineage)
	w.long(int64(x.Partition))
	w.long(x.Offset)
	w.optLong(x.Previous)
}

func decodePosition(r *reader, x *inv.Position) {
	x.Key.Entity = inv.Entity(r.word())
	x.Key.Item = inv.Item(r.text())
	x.Location = inv.Location(r.word())
	decodeStates(r, &x.States)
	x.Reserved = decodeAll(r, minBucket, decodeBucket)
	x.Supply = decodeAll(r, minBucket, decodeBucket)
	x.ParkedOut, _ = r.optQuantity()
	x.Frozen = r.flag()
	x.SafetyStock = r.quantity()
	x.Version = r.long()
	x.Part = r.int()
	x.Parts = r.int()
	x.RecordedAt = inv.Instant(r.optLong())
	x.EventID = r.optText()
	x.PolicyVersion = r.long()
	x.Lineage = r.long()
	x.Partition = r.int()
	x.Offset = r.long()
	x.Previous = r.optLong()
}

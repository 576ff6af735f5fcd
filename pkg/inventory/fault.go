package inventory

import "errors"

// ErrFence reports an event that the fence does not allow: another event at the
// fence's offset, or a lineage older than the fence's. No retry cures it; the
// shell stops (EXACTLY-ONCE §4).
var ErrFence = errors.New("inventory: the log is not the one this ledger was built from")

// Fault is why an event is rejected. A ledger that returns one is unchanged.
type Fault struct {
	Code   Code   // stable, snake_case
	Field  string // path of the faulty field within the event, e.g. movement.quantity
	Detail string // for people; never parsed
}

// Codes of faults.
const (
	FaultNoID             Code = "no_id"
	FaultKind             Code = "unknown_kind"
	FaultBody             Code = "body_mismatch" // not exactly the body the kind names
	FaultNoKey            Code = "no_key"
	FaultNoSource         Code = "no_source"
	FaultNoTime           Code = "no_time"
	FaultTime             Code = "bad_time"
	FaultTimeBasis        Code = "bad_time_basis"
	FaultTooLong          Code = "too_long"
	FaultTooMany          Code = "too_many"
	FaultRef              Code = "bad_ref"
	FaultNoRefs           Code = "no_refs"
	FaultMovementType     Code = "bad_movement_type"
	FaultNoLocation       Code = "no_location"
	FaultState            Code = "bad_state"
	FaultSameAccount      Code = "same_account"
	FaultQuantity         Code = "bad_quantity"
	FaultOverflow         Code = "quantity_overflow"
	FaultNoReason         Code = "no_reason"
	FaultNoReversed       Code = "no_reversed_event"
	FaultUnknownReversal  Code = "unknown_reversal"
	FaultAlreadyReversed  Code = "already_reversed"
	FaultStage            Code = "bad_stage"
	FaultBasis            Code = "bad_basis"
	FaultCovers           Code = "bad_covers"
	FaultIncludes         Code = "bad_includes"
	FaultParts            Code = "bad_parts"
	FaultBalances         Code = "bad_balances"
	FaultFutureCount      Code = "count_from_future"
	FaultTooManyLocations Code = "too_many_locations"
	FaultTooManyDocuments Code = "too_many_documents" // of one line
	FaultAction           Code = "bad_action"
	FaultNotHeld          Code = "not_held"   // the event of an approval does not wait
	FaultNotFrozen        Code = "not_frozen" // the key of an unfreeze takes events
)

func (f *Fault) Error() string {
	s := "inventory: " + string(f.Code)
	if f.Field != "" {
		s += " at " + f.Field
	}
	if f.Detail != "" {
		s += ": " + f.Detail
	}
	return s
}

func fault(c Code, field, detail string) *Fault { return &Fault{Code: c, Field: field, Detail: detail} }

func overflow(field string) *Fault {
	return fault(FaultOverflow, field, "a sum would pass 99999999999999.9999")
}

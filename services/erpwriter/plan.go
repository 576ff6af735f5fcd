package erpwriter

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
)

// plan makes the postings of an outcome: one for each move and each ERP that
// should hear of it, in the order of the moves and of the ERPs. It is pure: the
// same outcome, policy and zones give the same postings, whenever and however
// often they are planned.
func plan(o *inventory.Outcome, erps []policy.ERP, zone zoneOf) []event.Posting {
	if o.Kind != inventory.Applied {
		return nil
	}
	var out []event.Posting
	for n, m := range o.Moves {
		// An opening balance is what the ERP had before us, never news to it.
		if m.Type == inventory.OpeningBalance || m.From.Account == inventory.Opening || m.To.Account == inventory.Opening {
			continue
		}
		at := concerns(m)
		for i := range erps {
			e := &erps[i]
			if !e.Posted(o.Key.Entity, at, m.Type) {
				continue
			}
			from, fromOK := e.Place(m.From)
			to, toOK := e.Place(m.To)
			if fromOK && toOK && from == to {
				continue // the ERP does not tell these two apart
			}
			// A place without a code is planned all the same: it fails by name at
			// the poster, where a person sees it (Invariant 6).
			out = append(out, posting(o, n, e, zone(o.Key.Entity, at, e.Zone)))
		}
	}
	return out
}

// zoneOf is a location's time zone, or the other one where it has none; never nil.
type zoneOf func(e inventory.Entity, l inventory.Location, other *time.Location) *time.Location

// posting is the document of one move.
func posting(o *inventory.Outcome, n int, e *policy.ERP, zone *time.Location) event.Posting {
	m := o.Moves[n]
	when := o.OccurredAt
	if when == 0 {
		when = o.RecordedAt
	}
	day := time.UnixMilli(int64(when)).In(zone).Format(time.DateOnly)
	return event.Posting{
		ID: postingID([]string{o.EventID}, n, e.Name), ERP: e.Name, Entity: o.Key.Entity, Type: m.Type,
		Lines:    []event.PostingLine{{Item: o.Key.Item, From: m.From, To: m.To, Quantity: m.Quantity}},
		EventIDs: []string{o.EventID}, Refs: o.Refs, Document: o.Document, Source: o.Source, Reason: m.Reason,
		DocumentDate: day, PostingDate: day, OccurredAt: when, PolicyVersion: o.PolicyVersion,
		// The ledger's time, not the clock's, so that a replayed plan is the same.
		At: o.RecordedAt,
	}
}

// concerns is the location whose poster decides: the issuer's for a move between
// two, else the one there is.
func concerns(m inventory.Move) inventory.Location {
	if m.From.Location != "" {
		return m.From.Location
	}
	return m.To.Location
}

// postingID is the id of the ERP document of a move: hex of the first 16 bytes of
// SHA-256 over the length-prefixed event ids, the move's number and the ERP.
func postingID(events []string, move int, erp string) string {
	h := sha256.New()
	part := func(s string) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	for _, id := range events {
		part(id)
	}
	var n [8]byte
	binary.BigEndian.PutUint64(n[:], uint64(move))
	h.Write(n[:])
	part(erp)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// postingKey is the topic key entity|document: documents of one number keep their
// order.
func postingKey(p *event.Posting) string {
	number := p.Document.Number
	if number == "" {
		number = p.ID
	}
	return inventory.Escape(string(p.Entity)) + "|" + inventory.Escape(number)
}

// placeName names a place for people.
func placeName(p inventory.Place) string {
	if p.Location == "" {
		return p.Account.String()
	}
	return string(p.Location) + "/" + p.Account.String()
}

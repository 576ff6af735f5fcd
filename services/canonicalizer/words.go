package canonicalizer

import (
	"unsafe"

	"github.com/stockweave/stockweave/pkg/jq"
)

// word is the name of a member of a mapped line, or of an object in one.
type word uint8

// The words, which policies/README.md says the meaning of.
const (
	wAliases word = iota
	wAt
	wAttributes
	wBalances
	wAbout
	wBaseUnit
	wChannel
	wClass
	wCode
	wComplete
	wCount
	wDeleted
	wDemand
	wDescription
	wDocument
	wDue
	wFactor
	wFromState
	wIdentifiers
	wIDs
	wIndivisible
	wIssuer
	wItem
	wKind
	wLast
	wLine
	wLocation
	wMilestone
	wMovable
	wMovement
	wNumber
	wOccurredAt
	wOccurredBasis
	wOwner
	wPart
	wParts
	wPublishable
	wQuantity
	wReason
	wReceiptTo
	wRefs
	wReverses
	wRevision
	wSequence
	wSnapshot
	wStage
	wState
	wStatus
	wSupply
	wTimeZone
	wToLocation
	wToState
	wType
	wUnit
	wUnits
	wValue
	wValued
	numWords
	noWord = numWords
)

var words = [numWords]string{
	wAliases: "aliases", wAt: "at", wAttributes: "attributes", wBalances: "balances", wAbout: "about", wBaseUnit: "base_unit", wChannel: "channel",
	wClass: "class", wCode: "code", wComplete: "complete", wCount: "count", wDeleted: "deleted", wDemand: "demand", wDescription: "description",
	wDocument: "document", wDue: "due", wFactor: "factor", wFromState: "from_state", wIdentifiers: "identifiers", wIDs: "ids", wIndivisible: "indivisible",
	wIssuer: "issuer", wItem: "item", wKind: "kind", wLast: "last", wLine: "line", wLocation: "location", wMilestone: "milestone", wMovable: "movable",
	wMovement: "movement", wNumber: "number", wOccurredAt: "occurred_at", wOccurredBasis: "occurred_basis", wOwner: "owner", wPart: "part", wParts: "parts",
	wPublishable: "publishable", wQuantity: "quantity", wReason: "reason", wReceiptTo: "receipt_to", wRefs: "refs", wReverses: "reverses",
	wRevision: "revision", wSequence: "sequence", wSnapshot: "snapshot", wStage: "stage", wState: "state", wStatus: "status", wSupply: "supply",
	wTimeZone: "time_zone", wToLocation: "to_location", wToState: "to_state", wType: "type", wUnit: "unit", wUnits: "units", wValue: "value", wValued: "valued",
}

var wordOf = func() map[string]word {
	m := make(map[string]word, numWords)
	for w, s := range words {
		m[s] = word(w)
	}
	return m
}()

// layout is where the words stand among members of the same keys: objects of a message
// have few different lists of keys, and come by the hundred thousand.
type layout struct {
	keys  []string
	words []word // of the keys; noWord: none
	has   uint64 // a bit for each word
	all   bool   // they are all words
	at    [numWords]uint8
}

// nowhere is where a word stands that is not there. Of more members than that there is
// always one that is no word.
const nowhere = 255

func layoutOf(members []jq.Member) *layout {
	l := &layout{keys: make([]string, len(members)), words: make([]word, len(members)), all: true}
	for w := range l.at {
		l.at[w] = nowhere
	}
	for i := range members {
		l.keys[i], l.words[i] = members[i].Key, noWord
		w, ok := wordOf[members[i].Key]
		if !ok || i >= nowhere {
			l.all = false
			continue
		}
		l.words[i], l.at[w] = w, uint8(i)
		l.has |= 1 << w
	}
	return l
}

// of says whether the layout is that of members.
func (l *layout) of(members []jq.Member) bool {
	if len(l.keys) != len(members) {
		return false
	}
	for i := range members {
		// The keys of objects of one program are one text each, which need not be read.
		if a, b := l.keys[i], members[i].Key; len(a) != len(b) || unsafe.StringData(a) != unsafe.StringData(b) && a != b {
			return false
		}
	}
	return true
}

// layouts are those of the last objects that stood in one place of a line.
type layouts struct {
	last [4]*layout
	next uint8 // to be given up
}

func (ls *layouts) of(members []jq.Member) *layout {
	for i, l := range ls.last {
		if l != nil && l.of(members) {
			if i > 0 {
				ls.last[0], ls.last[i] = l, ls.last[0]
			}
			return l
		}
	}
	l := layoutOf(members)
	ls.next = ls.next%3 + 1
	ls.last[0], ls.last[ls.next] = l, ls.last[0]
	return l
}

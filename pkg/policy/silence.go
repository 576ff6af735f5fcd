package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Silence says what readers make of a location whose owner has not been heard of for
// longer than its heartbeat. The order of rules counts: see inventory.Question.
type Silence struct {
	Entity    inventory.Entity        `yaml:"entity" json:"entity,omitempty"`     // empty: any
	Location  inventory.Location      `yaml:"location" json:"location,omitempty"` // empty: any
	Owner     inventory.Source        `yaml:"owner" json:"owner"`
	Heartbeat span                    `yaml:"heartbeat" json:"heartbeat"`
	Then      inventory.SilenceAction `yaml:"then" json:"then"`
	Haircut   inventory.Quantity      `yaml:"haircut" json:"haircut,omitempty"`   // per cent; of haircut
	Fallback  inventory.Source        `yaml:"fallback" json:"fallback,omitempty"` // whose view; of fallback
}

// MaxHeartbeat bounds how far back readers look for an owner's last word: twice that
// is well within what canonicalizer.receipts keeps.
const MaxHeartbeat = 30 * 24 * time.Hour

// maxSilence bounds the rules: each is looked at for each position.
const maxSilence = 1000

func (s *Silence) rule() inventory.SilenceRule {
	return inventory.SilenceRule{
		Entity: s.Entity, Location: s.Location, Owner: s.Owner, Heartbeat: inventory.Instant(s.Heartbeat), Then: s.Then,
		Haircut: s.Haircut, Fallback: s.Fallback,
	}
}

// silence checks the rules for silent owners. Whether there are such sources is
// looked at across files.
func (p *ATPPolicy) silence(fs *faults) {
	if len(p.Silence) > maxSilence {
		fs.add(CodeOutOfRange, "silence", "at most %d rules", maxSilence)
	}
	for i := range p.Silence {
		s := &p.Silence[i]
		field := fmt.Sprintf("silence[%d]", i)
		if s.Owner == "" {
			fs.add(CodeRequired, field+".owner", "required")
		}
		if most := span(MaxHeartbeat.Milliseconds()); s.Heartbeat < 1 || s.Heartbeat > most {
			fs.add(CodeOutOfRange, field+".heartbeat", "must be above 0 and at most %s", MaxHeartbeat)
		}
		switch s.Then {
		case inventory.SilenceHold, inventory.SilenceHaircut, inventory.SilenceZero, inventory.SilenceFallback:
		default:
			fs.add(CodeBadShape, field+".then", "must be hold, haircut, zero or fallback, not %q", s.Then)
		}
		if fall := s.Then == inventory.SilenceFallback; fall != (s.Fallback != "") {
			fs.add(CodeConflicting, field+".fallback", "is given with the action fallback, and only with it")
		} else if fall && s.Fallback == s.Owner {
			fs.add(CodeConflicting, field+".fallback", "is the owner itself")
		}
		if cut := s.Then == inventory.SilenceHaircut; cut != (s.Haircut != 0) {
			fs.add(CodeConflicting, field+".haircut", "is given with the action haircut, and only with it")
		} else if s.Haircut < 0 || s.Haircut > inventory.MaxPercent {
			fs.add(CodeOutOfRange, field+".haircut", "is a share from 0 to 100 per cent")
		}
		for j := range i {
			if o := &p.Silence[j]; o.Owner == s.Owner && (o.Entity == "" || o.Entity == s.Entity) && (o.Location == "" || o.Location == s.Location) {
				fs.add(CodeUnreachable, field, "silence[%d] stands before it and decides all of it: the most specific goes first", j)
				break
			}
		}
	}
}

// silent looks for owners that nobody is.
func (l *loader) silent(set *Set) {
	missing := func(i int, field string, s inventory.Source) {
		if s != "" && set.Sources[s] == nil {
			l.coded(l.silenceFile, CodeUnknownSource, fmt.Sprintf("silence[%d].%s", i, field), "no file of sources is named %q", s)
		}
	}
	for i := range set.ATP.Silence {
		missing(i, "owner", set.ATP.Silence[i].Owner)
		missing(i, "fallback", set.ATP.Silence[i].Fallback)
	}
}

// Silence are the rules for silent owners, in their order. They are not to be
// changed.
func (p *Promises) Silence() []inventory.SilenceRule { return p.silence }

// Heartbeat is the longest of all rules for silent owners; 0 where there are none.
func (p *Promises) Heartbeat() time.Duration {
	if len(p.silence) == 0 {
		return 0
	}
	longest := slices.MaxFunc(p.silence, func(a, b inventory.SilenceRule) int { return int(a.Heartbeat - b.Heartbeat) })
	return time.Duration(longest.Heartbeat) * time.Millisecond
}

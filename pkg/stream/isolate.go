package stream

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// suspect is a record that made its transaction abort again and again. The records
// before it are committed without it; then it is tried in a transaction of its own,
// and when that aborts too it is diverted (§2): to the processor if that is a
// Diverter, else or when that aborts as well to the dead letters, and with its value
// left out if even that is too much.
type suspect struct {
	part   int32
	offset int64
	after  int64 // position at which it is the next record
	alone  bool  // the open transaction is its own
	most   int   // records of a transaction before it
	divert divert
	why    error
}

// divert is how far a suspect's diversion has come.
type divert uint8

const (
	undiverted    divert = iota // it is tried
	toProcessor                 // to the Diverter
	toLetters                   // to the dead letters
	toLettersBare               // the same, without the value
)

// codeDiverted marks dead letters of records no transaction could hold.
const codeDiverted = "diverted"

// isolateFor bounds the transaction before a suspect; well below its timeout.
const isolateFor = time.Second

// blamed counts an abort against a record.
func (s *session) blamed(f *fault) {
	s.mu.Lock()
	p := s.parts[f.part]
	s.mu.Unlock()
	if p == nil || p.phase != active {
		return
	}
	if q := s.suspect; q != nil && q.part == f.part && q.offset == f.offset && q.alone {
		if q.divert == undiverted { // what a diversion fails of is another thing
			q.why = f.err
		}
		q.divert = min(q.divert+1, toLettersBare)
		if _, ok := s.r.cfg.Processor.(Diverter); !ok {
			q.divert = max(q.divert, toLetters)
		}
		s.r.log.Error("record is diverted", slog.Int("partition", int(f.part)), slog.Int64("offset", f.offset), slog.Any("error", f.err))
		return
	}
	if p.fails == nil {
		p.fails = map[int64]int{}
	}
	at, most := f.offset, s.r.cfg.MaxRecords
	if f.shared {
		// Of the records of a group any may be to blame, and the last of them is
		// another one each time. Transactions of ever fewer records find out.
		if q := s.suspect; q != nil && q.part == f.part {
			q.most = max(min(q.most, s.txn.records)/2, 1)
			return
		}
		at, most = p.pos, max(s.txn.records/2, 1)
	}
	if p.fails[at]++; p.fails[at] >= divertAfter {
		s.suspect = &suspect{part: f.part, offset: f.offset, after: f.offset, most: most, why: f.err}
		s.r.log.Error("record is taken alone", slog.Int("partition", int(f.part)), slog.Int64("offset", f.offset), slog.Any("error", f.err))
	}
}

// isolate moves a suspect one transaction on. Other partitions wait meanwhile, and
// records are polled one by one, so that a transaction ends exactly before it.
func (s *session) isolate(ctx, last, poll context.Context) error {
	q := s.suspect
	p := s.working(q.part)
	if p == nil || p.pos > q.offset {
		s.suspect = nil
		s.hold(-1)
		return nil
	}
	s.hold(q.part)
	q.alone = p.pos >= q.after
	b := bounds{poll: 1, most: q.most, during: isolateFor, full: func() bool { return p.pos >= q.after }}
	if q.alone {
		b.most = 1
	}
	wait, cancel := context.WithTimeout(poll, isolateFor)
	defer cancel()
	return s.transact(ctx, last, wait, b)
}

// divertTo sends a suspect where its diversion has come to.
func (s *session) divertTo(p *partition, rec *Record) *fault {
	q := s.suspect
	if q.divert == toProcessor {
		return s.step(p, rec, q.why)
	}
	return s.divertToLetters(p, rec)
}

// divertToLetters sends a suspect to the dead letters without stepping it.
func (s *session) divertToLetters(p *partition, rec *Record) *fault {
	q := s.suspect
	reason := q.why.Error()
	if q.divert == toLettersBare {
		bare := *rec
		bare.Value, bare.Headers = nil, nil
		reason = fmt.Sprintf("%s (value of %d bytes left out)", reason, len(rec.Value))
		rec = &bare
	}
	return s.deadLetter(p, rec, codeDiverted, reason)
}

// divert asks the processor to take note of a suspect.
func (s *session) divert(in Input, st *State, why error) error {
	d, ok := s.r.cfg.Processor.(Diverter)
	if !ok {
		return why
	}
	return d.Divert(in, st, why, s.txn.emit)
}

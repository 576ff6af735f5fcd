package stream

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// suspect is a record that made its transaction abort again and again. The records
// before it are committed without it; then it is tried in a transaction of its own,
// and when that aborts too it is diverted: to the dead letters, and with its value
// left out if even that is too much (§2).
type suspect struct {
	part   int32
	offset int64
	after  int64 // position at which it is the next record
	alone  bool  // the open transaction is its own
	divert int   // 0 try, 1 divert, 2 divert without the value
	reason string
}

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
		q.divert = min(q.divert+1, 2)
		q.reason = f.err.Error()
		return
	}
	if p.fails == nil {
		p.fails = map[int64]int{}
	}
	if p.fails[f.offset]++; p.fails[f.offset] >= divertAfter {
		s.suspect = &suspect{part: f.part, offset: f.offset, after: f.offset, reason: f.err.Error()}
		s.r.log.Error("record is taken alone", slog.Int("partition", int(f.part)), slog.Int64("offset", f.offset), slog.Any("error", f.err))
	}
}

// isolate moves a suspect one transaction on. Other partitions wait meanwhile, and
// records are polled one by one, so that a transaction ends exactly before it.
func (s *session) isolate(ctx, poll context.Context) error {
	q := s.suspect
	p := s.working(q.part)
	if p == nil || p.pos > q.offset {
		s.suspect = nil
		s.hold(-1)
		return nil
	}
	s.hold(q.part)
	q.alone = p.pos >= q.after
	b := batch{poll: 1, most: s.r.cfg.MaxRecords, during: isolateFor, full: func() bool { return p.pos >= q.after }}
	if q.alone {
		b.most = 1
	}
	wait, cancel := context.WithTimeout(poll, isolateFor)
	defer cancel()
	return s.transact(ctx, wait, b)
}

// divert sends a suspect to the dead letters without stepping it.
func (s *session) divert(p *partition, rec *Record) *fault {
	q := s.suspect
	reason := q.reason
	if q.divert > 1 {
		bare := *rec
		bare.Value, bare.Headers = nil, nil
		reason = fmt.Sprintf("%s (value of %d bytes left out)", reason, len(rec.Value))
		rec = &bare
	}
	return s.deadLetter(p, rec, codeDiverted, reason)
}

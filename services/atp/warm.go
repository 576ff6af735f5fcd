package atp

import "github.com/stockweave/stockweave/pkg/stream"

var _ stream.Warmer = (*ledger)(nil)

// Warm is stream.Warmer's.
func (l *ledger) Warm() int { return l.Touch() + len(l.pieces.headKey) + l.memo.Touch() + int(l.wakes) }

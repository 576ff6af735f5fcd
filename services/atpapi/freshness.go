package atpapi

import (
	"strconv"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// freshness says how much the answer may lag behind the ledger: every position
// that stood in the log AgeMS before the answer is in it.
type freshness struct {
	AgeMS      int64  `json:"age_ms"`
	CaughtUp   bool   `json:"caught_up"`
	RecordedAt string `json:"recorded_at,omitempty"` // ledger time of the partition's last position
	CopyMS     *int64 `json:"copy_ms,omitempty"`     // of the local copy: at most so long ago it was what stands in Redis
	Stale      bool   `json:"stale,omitempty"`       // Redis does not say what stands there now
}

// freshnessHeader says in an answer without a body what its freshness would: a
// dictionary (RFC 9651 §3.2) of the same names.
const freshnessHeader = "Stockweave-Freshness"

func (f *freshness) header() string {
	b := strconv.AppendInt([]byte("age_ms="), f.AgeMS, 10)
	b = append(b, ", caught_up"...)
	if !f.CaughtUp {
		b = append(b, "=?0"...)
	}
	if f.RecordedAt != "" {
		b = append(append(append(b, `, recorded_at="`...), f.RecordedAt...), '"')
	}
	if f.CopyMS != nil {
		b = strconv.AppendInt(append(b, ", copy_ms="...), *f.CopyMS, 10)
	}
	if f.Stale {
		b = append(b, ", stale"...)
	}
	return string(b)
}

// freshnessRoom is what a freshness takes at most, encoded with its name.
const freshnessRoom = 192

// append adds the freshness, encoded, to b.
func (f *freshness) append(b []byte) []byte {
	b = strconv.AppendInt(append(b, `{"age_ms":`...), f.AgeMS, 10)
	b = strconv.AppendBool(append(b, `,"caught_up":`...), f.CaughtUp)
	if f.RecordedAt != "" {
		b = append(append(append(b, `,"recorded_at":"`...), f.RecordedAt...), '"') // digits: see instant
	}
	if f.CopyMS != nil {
		b = strconv.AppendInt(append(b, `,"copy_ms":`...), *f.CopyMS, 10)
	}
	if f.Stale {
		b = append(b, `,"stale":true`...)
	}
	return append(b, '}')
}

// freshness is that of the partition that lags most.
func (f *facts) freshness(now time.Time) freshness { return fresh(now, f.copied, f.stale, f.marks...) }

func fresh(now time.Time, copied time.Duration, stale bool, marks ...mark) freshness {
	out := freshness{CaughtUp: len(marks) > 0}
	var recorded int64
	for i, m := range marks {
		out.AgeMS = max(out.AgeMS, now.UnixMilli()-m.watermark)
		out.CaughtUp = out.CaughtUp && m.caughtUp()
		if i == 0 || m.recorded < recorded {
			recorded = m.recorded
		}
	}
	out.RecordedAt = instant(inventory.Instant(recorded))
	if copied > 0 || stale {
		ms := (copied + time.Millisecond - 1).Milliseconds()
		out.CopyMS, out.Stale, out.CaughtUp = &ms, stale, out.CaughtUp && !stale
	}
	return out
}

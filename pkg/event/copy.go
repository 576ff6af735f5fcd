package event

import (
	"strconv"
	"strings"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// CopyOf is the header of an event that a frozen key did not take and that an
// operator appended again: the offset it had in the same partition, and its ledger
// time there, in ms, with a space between.
const CopyOf = "stockweave_copy_of"

// AppendCopyOf marks a record as the copy of an event.
func AppendCopyOf[H ~struct {
	Key   string
	Value []byte
}](hs []H, offset int64, recordedAt inventory.Instant) []H {
	v := strconv.AppendInt(nil, offset, 10)
	v = strconv.AppendInt(append(v, ' '), int64(recordedAt), 10)
	return append(hs, H{CopyOf, v})
}

// ParseCopyOf is the opposite; false for a record that is no copy.
func ParseCopyOf[H ~struct {
	Key   string
	Value []byte
}](hs []H) (offset int64, recordedAt inventory.Instant, ok bool) {
	for i := range hs {
		h := struct {
			Key   string
			Value []byte
		}(hs[i])
		if h.Key != CopyOf {
			continue
		}
		first, second, _ := strings.Cut(string(h.Value), " ")
		offset, err := strconv.ParseInt(first, 10, 64)
		if err != nil || offset < 0 {
			return 0, 0, false
		}
		at, err := strconv.ParseInt(second, 10, 64)
		if err != nil || at <= 0 {
			return 0, 0, false
		}
		return offset, inventory.Instant(at), true
	}
	return 0, 0, false
}

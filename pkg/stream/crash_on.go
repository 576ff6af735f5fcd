//go:build crashpoints

package stream

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

// CrashPoints are the names a build with the tag crashpoints knows, in the order in
// which a worker comes by them.
var CrashPoints = []string{
	"assigned", "offsets_read", "end_read", "restored",
	"polled", "stepped", "flushed", "produced", "offsets_added", "ended", "merged", "snapshot_written", "snapshot_renamed",
}

// crashes counts how often each point was passed.
var crashes atomic.Int64

// crash ends the process at once, as kill -9 does, when it comes by the point that
// STOCKWEAVE_CRASH names for the n-th time: "point" or "point:n".
func crash(point string) {
	name, count, _ := strings.Cut(os.Getenv("STOCKWEAVE_CRASH"), ":")
	if name != point {
		return
	}
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		n = 1
	}
	if crashes.Add(1) == n {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}

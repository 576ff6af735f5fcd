//go:build crashpoints

package stream

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
)

// unknownPoints begin the names of the points that a worker only comes by when the
// answer to a commit is lost. Their number says which answer that is.
const unknownPoints = "unknown_"

// crashAt is what STOCKWEAVE_CRASH says: "point" or "point:n".
var crashAt = sync.OnceValues(func() (point string, n int64) {
	point, count, _ := strings.Cut(os.Getenv("STOCKWEAVE_CRASH"), ":")
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		n = 1
	}
	return point, n
})

// passes counts how often the point, or for an unknown commit the answer, was passed.
var passes atomic.Int64

// Crash ends the process at once, as kill -9 does, when it comes by the point that
// STOCKWEAVE_CRASH names for the n-th time. It says so first.
func Crash(point string) {
	name, n := crashAt()
	if name != point {
		return
	}
	if strings.HasPrefix(point, unknownPoints) || passes.Add(1) == n {
		_, _ = os.Stderr.WriteString("crash at " + point + "\n")
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // the signal is on its way
	}
}

// answered loses the n-th answer to a commit.
func answered(err error) error {
	if name, n := crashAt(); strings.HasPrefix(name, unknownPoints) && passes.Add(1) == n {
		return errors.New("the answer is lost on purpose")
	}
	return err
}

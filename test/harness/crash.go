package harness

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// CrashMain is Main for tests that end processes at crash points: it builds the program
// with them, and the harness starts that one.
func CrashMain(m *testing.M) int {
	path, err := compile("-pgo=off", "-tags", "crashpoints")
	if err == nil {
		err = os.Setenv("STOCKWEAVE_BINARY", path)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		return 1
	}
	return Main(m)
}

// Strike starts a process that has ended and waits until it ends itself by SIGKILL at
// a crash point, when it comes by for the nth time; anything else fails the test.
func (p *Process) Strike(t testing.TB, point string, n int, limit time.Duration) {
	t.Helper()
	// The process says where it is before it ends itself: without that line the point
	// was not reached, whatever it died of.
	said := "crash at " + point + "\n"
	before := strings.Count(p.Log(t), said)
	p.start(t, "STOCKWEAVE_CRASH="+point+":"+strconv.Itoa(n))
	code := p.Wait(t, limit)
	if after := strings.Count(p.Log(t), said); code != -1 || after != before+1 {
		t.Fatalf("%s:%d: ended with %d, not by kill -9 at the point", point, n, code)
	}
}

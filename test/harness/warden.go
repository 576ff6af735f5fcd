package harness

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
)

// wardenScript reads "+ID" and "-ID" lines of process groups until its input
// ends with the test process, then kills the groups still listed and removes the
// folder given to it.
const wardenScript = `
trap '' INT TERM HUP
live=
while read -r line; do
  id=${line#?}
  case $line in
    +*) live="$live $id" ;;
    -*) rest=; for g in $live; do [ "$g" = "$id" ] || rest="$rest $g"; done; live=$rest ;;
  esac
done
for g in $live; do kill -KILL "-$g" 2>/dev/null; done
[ -n "$STOCKWEAVE_KEEP" ] || for n in 1 2 3 4 5; do rm -rf "$1" 2>/dev/null && break; sleep 0.2; done
`

// A warden outlives the test process just long enough to clean up after it.
type warden struct {
	mu   sync.Mutex
	root string
	pipe io.WriteCloser
	cmd  *exec.Cmd
}

// theWarden is made on first use; there is one a test process.
var theWarden = sync.OnceValues(func() (*warden, error) {
	root, err := os.MkdirTemp("", "stockweave-test-")
	if err != nil {
		return nil, fmt.Errorf("making the temporary folder: %w", err)
	}
	cmd := exec.Command("/bin/sh", "-c", wardenScript, "warden", root)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("making the warden's pipe: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the warden: %w", err)
	}
	return &warden{root: root, pipe: pipe, cmd: cmd}, nil
})

// watch puts a process group under the warden's eyes; the function returned
// takes it out again.
func (w *warden) watch(pgid int) (forget func(), err error) {
	if err := w.tell('+', pgid); err != nil {
		return nil, err
	}
	return func() { _ = w.tell('-', pgid) }, nil
}

func (w *warden) tell(sign rune, pgid int) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, err := fmt.Fprintf(w.pipe, "%c%d\n", sign, pgid); err != nil {
		return fmt.Errorf("telling the warden about group %d: %w", pgid, err)
	}
	return nil
}

// Main runs a package's tests and waits until everything the harness started has
// ended: func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }.
// Without it the warden cleans up all the same, a moment after the tests.
func Main(m *testing.M) int {
	code := m.Run()
	w, err := theWarden()
	if err != nil {
		fmt.Fprintln(os.Stderr, "harness:", err)
		return max(code, 1)
	}
	_ = w.pipe.Close()
	_ = w.cmd.Wait() // it has killed what was shared, and removed the folder
	return code
}

// folder makes a new folder for one part inside the test process's own.
func folder(name string) (string, error) {
	w, err := theWarden()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(w.root, name+"-")
	if err != nil {
		return "", fmt.Errorf("making a folder for %s: %w", name, err)
	}
	return dir, nil
}

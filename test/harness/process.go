package harness

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Run says how a stockweave command is started.
type Run struct {
	// Name tells the processes of one test apart; the sub-command by default.
	Name string
	// Args are the sub-command and its flags.
	Args []string
	// Config, when not empty, is the text of a configuration file; --config FILE is
	// appended to Args.
	Config string
	// Env is added to the test's own environment.
	Env map[string]string
}

// A Process is one stockweave process. It ends with the test, and its log is shown
// when the test fails. It is safe for concurrent use.
type Process struct {
	Name  string
	run   Run
	dir   string
	child *child
}

var program once[string]

// Binary is the path of the stockweave program, built once a test process;
// STOCKWEAVE_BINARY names one that is built already.
func Binary(t testing.TB) string {
	t.Helper()
	path, err := program.get(build)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func build() (string, error) {
	if path := os.Getenv("STOCKWEAVE_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	return compile("-trimpath")
}

// compile builds the program with the flags of go build that are given. It is kept in the
// cache, by checkout and flags: go build links it anew only when something of it has
// changed. What is run is a copy, which no later build touches.
func compile(flags ...string) (string, error) {
	root, err := repoRoot()
	if err != nil {
		return "", err
	}
	cache, err := cacheRoot()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(strings.Join(append([]string{root}, flags...), "\x00")))
	kept := filepath.Join(cache, "bin", "stockweave-"+hex.EncodeToString(sum[:6]))
	if err := os.MkdirAll(filepath.Dir(kept), 0o755); err != nil {
		return "", fmt.Errorf("making the cache folder: %w", err)
	}
	unlock, err := lock(kept)
	if err != nil {
		return "", err
	}
	defer unlock()
	cmd := exec.Command("go", append(append([]string{"build"}, flags...), "-o", kept, "./services/stockweave")...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOWORK=off") // what ships is what go.mod says
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building stockweave: %w: %s", err, strings.TrimSpace(string(out)))
	}
	dir, err := folder("bin")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "stockweave")
	// By a process of its own: a program that this one has open to write, and so whatever it
	// starts meanwhile, cannot be run.
	if out, err := exec.Command("cp", kept, path).CombinedOutput(); err != nil {
		return "", fmt.Errorf("copying stockweave: %w: %s", err, out)
	}
	return path, nil
}

// Start runs a command of the stockweave program as a process of its own.
func Start(t testing.TB, run Run) *Process {
	t.Helper()
	if run.Name == "" && len(run.Args) > 0 {
		run.Name = run.Args[0]
	}
	dir, err := folder(run.Name)
	if err != nil {
		t.Fatal(err)
	}
	if run.Config != "" {
		path := filepath.Join(dir, "config.yaml")
		if err := os.WriteFile(path, []byte(run.Config), 0o600); err != nil {
			t.Fatalf("writing the configuration of %s: %v", run.Name, err)
		}
		run.Args = append(slices.Clone(run.Args), "--config", path)
	}
	p := &Process{Name: run.Name, run: run, dir: dir}
	p.Restart(t)
	t.Cleanup(func() {
		p.child.stop(stopGrace)
		if t.Failed() {
			t.Logf("end of the log of %s:\n%s", p.Name, p.child.tail(40))
		}
	})
	return p
}

// Restart starts the same command again once it has ended; the log goes on.
func (p *Process) Restart(t testing.TB) {
	t.Helper()
	p.start(t)
}

// start is Restart with more in the environment, as KEY=value.
func (p *Process) start(t testing.TB, env ...string) {
	t.Helper()
	if p.child != nil && !p.child.ended() {
		t.Fatalf("%s is still running", p.Name)
	}
	cmd := exec.Command(Binary(t), p.run.Args...)
	cmd.Dir = p.dir
	cmd.Env = os.Environ()
	for _, key := range slices.Sorted(maps.Keys(p.run.Env)) {
		cmd.Env = append(cmd.Env, key+"="+p.run.Env[key])
	}
	cmd.Env = append(cmd.Env, env...)
	child, err := launch(p.Name, filepath.Join(p.dir, "log"), cmd)
	if err != nil {
		t.Fatal(err)
	}
	p.child = child
}

// Ready waits until a URL of the process (its /readyz, say) answers 200.
func (p *Process) Ready(t testing.TB, url string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), partStart)
	defer cancel()
	if err := p.child.await(ctx, url, func(ctx context.Context) error { return answersOK(ctx, url) }); err != nil {
		t.Fatal(err)
	}
}

// WaitLog waits until the log, from its start, contains a text.
func (p *Process) WaitLog(t testing.TB, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), partStart)
	defer cancel()
	err := poll(ctx, func(context.Context) error {
		if strings.Contains(p.Log(t), text) {
			return nil
		}
		if p.child.ended() {
			return fatal{fmt.Errorf("%s ended: %s", p.Name, p.child.state)}
		}
		return fmt.Errorf("not logged yet")
	})
	if err != nil {
		t.Fatalf("waiting for %q in the log of %s: %v\n%s", text, p.Name, err, p.child.tail(30))
	}
}

// Log is everything the process and those before it have written.
func (p *Process) Log(t testing.TB) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(p.dir, "log"))
	if err != nil {
		t.Fatalf("reading the log of %s: %v", p.Name, err)
	}
	return string(b)
}

// PID is the process's number.
func (p *Process) PID() int { return p.child.cmd.Process.Pid }

// Running says whether the process has not ended yet.
func (p *Process) Running() bool { return !p.child.ended() }

// Kill9 ends the process with SIGKILL and returns when it is gone.
func (p *Process) Kill9() { p.child.kill() }

// Term asks the process to end and does not wait.
func (p *Process) Term() { p.child.signal(syscall.SIGTERM) }

// Pause freezes the process, as a stalled machine would; Resume lets it go on.
func (p *Process) Pause() { p.child.signal(syscall.SIGSTOP) }

// Resume lets a paused process go on.
func (p *Process) Resume() { p.child.signal(syscall.SIGCONT) }

// Wait returns the exit code once the process has ended, -1 after a signal; it fails
// the test after a limit.
func (p *Process) Wait(t testing.TB, limit time.Duration) int {
	t.Helper()
	select {
	case <-p.child.done:
		return p.child.state.ExitCode()
	case <-time.After(limit):
		t.Fatalf("%s has not ended within %s:\n%s", p.Name, limit, p.child.tail(30))
		return 0
	}
}

// CPU is the processor time, user and system, that an ended process used.
func (p *Process) CPU() time.Duration {
	<-p.child.done
	return p.child.state.UserTime() + p.child.state.SystemTime()
}

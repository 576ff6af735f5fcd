package harness

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// stopGrace is how long a part may take over a clean stop before it is killed.
const stopGrace = 30 * time.Second

// A child is a process in a group of its own, under the warden's eyes, whose
// output goes to a file. It is safe for concurrent use.
type child struct {
	name    string
	logPath string
	cmd     *exec.Cmd
	forget  func()        // tells the warden that the group is gone
	done    chan struct{} // closed once the process has been reaped
	state   *os.ProcessState
}

// launch starts cmd; its output is appended to logPath.
func launch(name, logPath string, cmd *exec.Cmd) (*child, error) {
	c, err := launchGroup(name, logPath, cmd)
	if err != nil {
		return nil, err
	}
	go func() {
		<-c.done
		c.forget()
	}()
	return c, nil
}

// launchGroup is launch for a script that leaves a server behind: the group stays
// under the warden's eyes until killGroup.
func launchGroup(name, logPath string, cmd *exec.Cmd) (*child, error) {
	w, err := theWarden()
	if err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("opening the log of %s: %w", name, err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	c := &child{name: name, logPath: logPath, cmd: cmd, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // the state tells
		c.state = cmd.ProcessState
		close(c.done)
	}()
	if c.forget, err = w.watch(cmd.Process.Pid); err != nil {
		c.kill()
		return nil, err
	}
	return c, nil
}

// signal reaches the whole group; a process that has ended is no error.
func (c *child) signal(sig syscall.Signal) {
	select {
	case <-c.done: // its number may already be somebody else's
	default:
		_ = syscall.Kill(-c.cmd.Process.Pid, sig)
	}
}

// kill ends the group at once and waits for it.
func (c *child) kill() {
	c.signal(syscall.SIGKILL)
	<-c.done
}

// killGroup ends whatever is left of a group whose first process may be gone.
func (c *child) killGroup() {
	group := -c.cmd.Process.Pid
	for range 100 {
		if syscall.Kill(group, syscall.SIGKILL) != nil {
			break // nobody is left
		}
		time.Sleep(20 * time.Millisecond)
	}
	c.forget()
}

// stop asks the group to end and kills it when it takes too long.
func (c *child) stop(grace time.Duration) {
	c.signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(grace):
		c.kill()
	}
}

func (c *child) ended() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// tail returns the end of the log, for a failure's message.
func (c *child) tail(lines int) string { return tailOf(c.logPath, lines) }

func tailOf(path string, lines int) string {
	const most = 64 << 10
	f, err := os.Open(path)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	if size, err := f.Seek(0, io.SeekEnd); err == nil {
		_, _ = f.Seek(max(0, size-most), io.SeekStart)
	}
	b, err := io.ReadAll(io.LimitReader(f, most))
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// await polls check until it returns nil. It ends early when the child does, and
// carries the last reason and the end of the log.
func (c *child) await(ctx context.Context, what string, check func(context.Context) error) error {
	err := poll(ctx, func(ctx context.Context) error {
		if c.ended() {
			return fatal{fmt.Errorf("%s ended: %s", c.name, c.state)}
		}
		return check(ctx)
	})
	if err != nil {
		return fmt.Errorf("waiting for %s: %w\n%s:\n%s", what, err, filepath.Base(c.logPath), c.tail(30))
	}
	return nil
}

// fatal is an error that polling does not outwait.
type fatal struct{ error }

// poll calls check every 50 ms until it returns nil or the context ends, and then
// returns its last error.
func poll(ctx context.Context, check func(context.Context) error) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := check(attempt)
		cancel()
		var f fatal
		if err == nil || errors.As(err, &f) {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}

// A once makes a shared part on first use and remembers how that went.
type once[T any] struct {
	mu    sync.Mutex
	made  bool
	value T
	err   error
}

func (o *once[T]) get(make func() (T, error)) (T, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.made {
		o.made = true
		o.value, o.err = make()
	}
	return o.value, o.err
}

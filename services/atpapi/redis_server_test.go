package atpapi

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/redis/go-redis/v9"
)

// server is a redis-server on a loopback port, with a folder of its own.
type server struct {
	addr, dir string
	args      []string // beyond what each has
	cmd       *exec.Cmd
}

// newServer finds a port and starts nothing.
func newServer(t *testing.T, args ...string) *server {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("NOT RUN: redis-server is not installed")
		}
		t.Skip("NOT RUN: redis-server is not installed; only the in-process Redis was tested")
	}
	return &server{addr: net.JoinHostPort("127.0.0.1", freePort(t)), dir: t.TempDir(), args: args}
}

// portsGiven is how many ports have been tried: no two servers of a run get the same.
var portsGiven atomic.Int64

// freePort is one that nobody listens on. It lies below those from which the kernel serves
// outgoing connections, so that a server that was killed finds it free again, whatever tests
// run beside.
func freePort(t *testing.T) string {
	t.Helper()
	const lowest, many = 20_000, 12_000
	for range many {
		port := strconv.FormatInt(lowest+(int64(os.Getpid())*97+portsGiven.Add(1))%many, 10)
		if ln, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", port)); err == nil {
			_ = ln.Close()
			return port
		}
	}
	t.Fatal("no free port on loopback")
	return ""
}

func (s *server) port() string {
	_, port, _ := net.SplitHostPort(s.addr)
	return port
}

// start runs it until the test ends, and waits until it answers.
func (s *server) start(t *testing.T) {
	t.Helper()
	s.launch(t, append([]string{
		"--port", s.port(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", s.dir, "--maxmemory-policy", "noeviction",
	}, s.args...)...)
	rdb := redis.NewClient(&redis.Options{Addr: s.addr})
	defer rdb.Close()
	eventually(t, "redis-server answers", func() bool { return rdb.Ping(t.Context()).Err() == nil })
}

func (s *server) launch(t *testing.T, args ...string) {
	t.Helper()
	s.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), "redis-server", args...)
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	cmd := s.cmd
	t.Cleanup(func() { end(cmd) })
}

func (s *server) kill() { end(s.cmd) }

func end(cmd *exec.Cmd) {
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
}

// write puts a file into its folder.
func (s *server) write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(s.dir, name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

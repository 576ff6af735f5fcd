package harness

import (
	"context"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// partStart bounds the start of a part that is quick.
const partStart = 60 * time.Second

// A RedisServer is a Redis on loopback that keeps nothing on disk. It is not safe
// for concurrent use.
type RedisServer struct {
	program, dir string
	port         int
	child        *child
}

var sharedRedis once[*RedisServer]

// Redis returns the server that all tests of this process share, up and empty.
func Redis(t testing.TB) *RedisServer {
	t.Helper()
	s, err := sharedRedis.get(newRedis)
	demand(t, "Redis", err)
	if s.child.ended() {
		s.Restart(t)
	}
	s.Flush(t)
	return s
}

func newRedis() (*RedisServer, error) {
	program, err := command("redis-server", "redis-server")
	if err != nil {
		return nil, err
	}
	dir, err := folder("redis")
	if err != nil {
		return nil, err
	}
	port, err := Port()
	if err != nil {
		return nil, err
	}
	s := &RedisServer{program: program, dir: dir, port: port}
	return s, s.start()
}

func (s *RedisServer) start() error {
	cmd := exec.Command(s.program, "--bind", "127.0.0.1", "--port", strconv.Itoa(s.port),
		"--save", "", "--appendonly", "no", "--dir", s.dir, "--daemonize", "no")
	child, err := launch("redis", filepath.Join(s.dir, "redis.log"), cmd)
	if err != nil {
		return err
	}
	s.child = child
	client := redis.NewClient(&redis.Options{Addr: s.Addr()})
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), partStart)
	defer cancel()
	return child.await(ctx, "redis", func(ctx context.Context) error { return client.Ping(ctx).Err() })
}

// Addr is the server's address, host:port.
func (s *RedisServer) Addr() string { return loopback(s.port) }

// Client opens a client that ends with the test.
func (s *RedisServer) Client(t testing.TB) *redis.Client {
	t.Helper()
	client := redis.NewClient(&redis.Options{Addr: s.Addr()})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// Flush forgets everything, scripts too.
func (s *RedisServer) Flush(t testing.TB) {
	t.Helper()
	client := s.Client(t)
	if err := client.FlushAll(t.Context()).Err(); err != nil {
		t.Fatalf("flushing redis: %v", err)
	}
	if err := client.ScriptFlush(t.Context()).Err(); err != nil {
		t.Fatalf("flushing scripts: %v", err)
	}
}

// Kill ends the server with SIGKILL; what it held is gone.
func (s *RedisServer) Kill() { s.child.kill() }

// Restart starts a killed server on its old address, empty.
func (s *RedisServer) Restart(t testing.TB) {
	t.Helper()
	if err := s.start(); err != nil {
		t.Fatalf("starting redis: %v", err)
	}
}

package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"

	"github.com/jackc/pgx/v5"
)

// A PostgresServer is a PostgreSQL on loopback with a database of its own, "partner",
// and the superuser "postgres" without a password. It is not safe for concurrent use.
type PostgresServer struct {
	bin, dir string
	port     int
	child    *child
}

// Postgres starts a server for one test; it ends with the test.
func Postgres(t testing.TB) *PostgresServer {
	t.Helper()
	s, err := newPostgres(t.Context())
	demand(t, "PostgreSQL", err)
	t.Cleanup(func() { s.child.kill() })
	return s
}

func newPostgres(ctx context.Context) (*PostgresServer, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	dir, err := folder("postgres")
	if err != nil {
		return nil, err
	}
	port, err := Port()
	if err != nil {
		return nil, err
	}
	s := &PostgresServer{bin: bin, dir: dir, port: port}
	if os.Getuid() == 0 { // the server does not run as root
		if out, err := exec.CommandContext(ctx, "chown", "postgres", dir).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("giving the folder to postgres: %w: %s", err, out)
		}
		for up := filepath.Dir(dir); up != os.TempDir() && up != "/"; up = filepath.Dir(up) {
			if err := os.Chmod(up, 0o711); err != nil { //nolint:gosec // to pass through only
				return nil, fmt.Errorf("opening the way to the folder: %w", err)
			}
		}
	}
	init := s.command("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "-N")
	if out, err := init.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("making a database cluster: %w: %s", err, out)
	}
	if err := s.start(); err != nil {
		return nil, err
	}
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return nil, fmt.Errorf("connecting: %w", err)
	}
	defer func() { _ = conn.Close(ctx) }()
	if _, err := conn.Exec(ctx, "create database partner"); err != nil {
		return nil, fmt.Errorf("making the database: %w", err)
	}
	return s, nil
}

// postgresBin is the folder of the newest server's programs.
func postgresBin() (string, error) {
	const pattern = "/usr/lib/postgresql/*/bin/postgres"
	find := func() []string {
		found, _ := filepath.Glob(pattern) // the pattern is well formed
		slices.Sort(found)
		return found
	}
	found := find()
	if path, err := exec.LookPath("initdb"); len(found) == 0 && err == nil {
		return filepath.Dir(path), nil
	}
	if len(found) == 0 {
		if err := install("postgresql"); err != nil {
			return "", err
		}
		found = find()
	}
	if len(found) == 0 {
		return "", fmt.Errorf("%w: %s", errMissing, pattern)
	}
	return filepath.Dir(found[len(found)-1]), nil
}

func (s *PostgresServer) data() string { return filepath.Join(s.dir, "data") }

// command runs a program of the server as its user.
func (s *PostgresServer) command(program string, args ...string) *exec.Cmd {
	args = append([]string{filepath.Join(s.bin, program)}, args...)
	if os.Getuid() == 0 {
		args = append([]string{"setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"}, args...)
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = "/"
	return cmd
}

func (s *PostgresServer) start() error {
	child, err := launch("postgres", filepath.Join(s.dir, "postgres.log"), s.command("postgres", "-D", s.data(),
		"-p", strconv.Itoa(s.port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
		"-c", "shared_buffers=32MB", "-c", "max_connections=40"))
	if err != nil {
		return err
	}
	s.child = child
	ctx, cancel := context.WithTimeout(context.Background(), partStart)
	defer cancel()
	return child.await(ctx, "postgres", func(ctx context.Context) error {
		conn, err := pgx.Connect(ctx, s.url("postgres"))
		return errors.Join(err, closed(ctx, conn))
	})
}

func closed(ctx context.Context, conn *pgx.Conn) error {
	if conn == nil {
		return nil
	}
	return conn.Close(ctx) //nolint:wrapcheck // await says of what
}

func (s *PostgresServer) url(database string) string {
	return fmt.Sprintf("postgres://postgres@%s/%s?sslmode=disable", loopback(s.port), database)
}

// URL is the connection URL of a user of the database; one without a password, since
// the server trusts everybody.
func (s *PostgresServer) URL(user string) string {
	return fmt.Sprintf("postgres://%s@%s/partner", user, loopback(s.port))
}

// Connect opens a connection of the superuser to the database; it ends with the test.
func (s *PostgresServer) Connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), s.url("partner"))
	if err != nil {
		t.Fatalf("connecting to postgres: %v", err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	return conn
}

// Kill ends the server as a power cut would; what was committed is kept.
func (s *PostgresServer) Kill() { s.child.kill() }

// Restart starts a killed server on its old address. It does not start before the
// processes of the killed one have noticed and let go of its memory.
func (s *PostgresServer) Restart(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), partStart)
	defer cancel()
	again := func(context.Context) error {
		if err := s.start(); err != nil {
			return errors.New(err.Error()) // no end of the polling, though the process has ended
		}
		return nil
	}
	if err := poll(ctx, again); err != nil {
		t.Fatalf("starting postgres: %v", err)
	}
}

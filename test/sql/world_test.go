package sql_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/ingest/pull"
	"github.com/stockweave/stockweave/services/ingest/sql"
	"github.com/stockweave/stockweave/test/harness"
)

func TestMain(m *testing.M) { os.Exit(harness.Main(m)) }

const limit = 2 * time.Minute

// taken is a log that keeps what it is given, and fails while it is told to.
type taken struct {
	mu    sync.Mutex
	raws  []*event.RawMessage
	fails error
	tried int    // appends, those that failed too
	after func() // called behind each append
}

func (l *taken) Append(_ context.Context, raws []*event.RawMessage) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.tried++
	if l.fails != nil {
		return l.fails
	}
	l.raws = append(l.raws, raws...)
	if l.after != nil {
		l.after()
	}
	return nil
}

func (l *taken) fail(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fails = err
}

func (l *taken) tries() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tried
}

// bodies in the order in which they came.
func (l *taken) bodies() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for _, r := range l.raws {
		all = append(all, string(r.Body))
	}
	return all
}

// ids counts the raw messages by id.
func (l *taken) ids() map[string]int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := map[string]int{}
	for _, r := range l.raws {
		n[r.ID]++
	}
	return n
}

// memory is a store of cursors.
type memory struct {
	mu     sync.Mutex
	values map[string][]byte
}

func (m *memory) Load(_ context.Context, key string) ([]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	v, ok := m.values[key]
	return v, ok, nil
}

func (m *memory) Save(_ context.Context, key string, value []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.values == nil {
		m.values = map[string][]byte{}
	}
	m.values[key] = value
	return nil
}

func await(t *testing.T, what string, yes func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !yes() {
		select {
		case <-ctx.Done():
			t.Fatalf("not within %s: %s", limit, what)
		case <-tick.C:
		}
	}
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// install runs examples/outbox.sql, twice, and makes two users of its roles.
func install(t *testing.T, db *harness.PostgresServer) *pgx.Conn {
	t.Helper()
	conn := db.Connect(t)
	text, err := os.ReadFile("../../examples/outbox.sql")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		exec(t, conn, string(text))
	}
	exec(t, conn, "create role reader login in role stockweave_reader; create role writer login in role stockweave_writer")
	return conn
}

func exec(t *testing.T, conn *pgx.Conn, text string, args ...any) {
	t.Helper()
	if _, err := conn.Exec(t.Context(), text, args...); err != nil {
		t.Fatalf("%.80s: %v", text, err)
	}
}

// count is the one number that a query gives.
func count(t *testing.T, conn *pgx.Conn, text string, args ...any) (n int) {
	t.Helper()
	if err := conn.QueryRow(t.Context(), text, args...).Scan(&n); err != nil {
		t.Fatalf("%.80s: %v", text, err)
	}
	return n
}

func source(s *policy.SQL) *policy.Source {
	s.URLEnv, s.TLS = "DB", policy.TLSDisable
	if s.Poll.Every == 0 {
		s.Poll.Every = 50 * time.Millisecond
	}
	s.Poll.Retry = policy.Retry{First: 20 * time.Millisecond, Most: 100 * time.Millisecond}
	return &policy.Source{Name: "shop", Format: policy.FormatJSON, Zone: time.UTC}
}

// run works until the test ends, or stop is called.
func run(t *testing.T, work func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- work(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(stop)
	return stop
}

func outbox(t *testing.T, db *harness.PostgresServer, src *policy.Source, s *policy.SQL, log pull.Appender) *sql.Outbox {
	t.Helper()
	return &sql.Outbox{
		Source: src, SQL: s, Config: config(t, db, s), Append: log, Log: quiet(), Now: time.Now, Random: func() float64 { return 0 },
	}
}

func config(t *testing.T, db *harness.PostgresServer, s *policy.SQL) *pgx.ConnConfig {
	t.Helper()
	cfg, err := sql.Config(s, func(string) string { return db.URL("reader") })
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

var errAway = errors.New("the log is away")

// has says whether the value of a key contains a text.
func (m *memory) has(key, text string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return strings.Contains(string(m.values[key]), text)
}

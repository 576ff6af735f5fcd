// Package sql reads PostgreSQL databases of partners: an outbox, whose rows are claimed
// and marked, and tables that cannot be changed, by a column that grows.
package sql

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/ingest/pull"
)

// Codes of faults.
const (
	codeTable = "table_not_as_expected"
	codeQuery = "query_failed"
)

// application is what the database's own views call the reader.
const application = "stockweave-ingest"

// Config reads the connection of a source; secrets come from the environment. It
// connects to nothing.
func Config(s *policy.SQL, getenv func(string) string) (*pgx.ConnConfig, error) {
	text := getenv(s.URLEnv)
	if text == "" {
		return nil, fmt.Errorf("%s is not set", s.URLEnv)
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "postgres" && u.Scheme != "postgresql" {
		return nil, fmt.Errorf("%s is no postgres:// URL", s.URLEnv) // its text may hold the password
	}
	mode := s.TLS
	if mode == "" {
		mode = policy.TLSVerifyFull
	}
	q := u.Query()
	if said := q.Get("sslmode"); said != "" && said != mode {
		return nil, fmt.Errorf("%s says sslmode=%s and the source tls: %s", s.URLEnv, said, mode)
	}
	q.Set("sslmode", mode)
	if s.CAFile != "" {
		q.Set("sslrootcert", s.CAFile)
	}
	u.RawQuery = q.Encode()
	cfg, err := pgx.ParseConfig(u.String())
	if err != nil {
		return nil, fmt.Errorf("%s cannot be used as a connection URL, or its certificates cannot be read", s.URLEnv)
	}
	if s.PasswordEnv != "" {
		if cfg.Password = getenv(s.PasswordEnv); cfg.Password == "" {
			return nil, fmt.Errorf("%s is not set", s.PasswordEnv)
		}
	}
	if cfg.TLSConfig != nil {
		cfg.TLSConfig.MinVersion = tls.VersionTLS12
	}
	poll := s.Poll.Defaults()
	ms := strconv.FormatInt(poll.Timeout.Milliseconds(), 10)
	// The server ends what hangs, also when we are gone and cannot.
	cfg.RuntimeParams["application_name"] = application
	cfg.RuntimeParams["statement_timeout"] = ms
	cfg.RuntimeParams["lock_timeout"] = ms
	cfg.RuntimeParams["idle_in_transaction_session_timeout"] = strconv.FormatInt((poll.Timeout + idleGrace).Milliseconds(), 10)
	cfg.ConnectTimeout = 10 * time.Second
	cfg.DialFunc = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 5 * time.Second, Count: 3}}).DialContext
	return cfg, nil
}

// idleGrace is how much longer than a statement a transaction may wait for the log.
const idleGrace = 30 * time.Second

// link is a connection that is opened when it is needed. It is used by one goroutine at
// a time.
type link struct {
	cfg  *pgx.ConnConfig
	conn *pgx.Conn
}

// get returns the connection, a new one where the last has ended; opened says so.
func (l *link) get(ctx context.Context) (conn *pgx.Conn, opened bool, err error) {
	if l.conn != nil && !l.conn.IsClosed() {
		return l.conn, false, nil
	}
	if l.conn, err = pgx.ConnectConfig(ctx, l.cfg); err != nil {
		l.conn = nil
		return nil, false, &pull.Fault{Code: pull.CodeUnreachable, Err: fmt.Errorf("connecting to %s:%d: %w", l.cfg.Host, l.cfg.Port, connectError(err))}
	}
	return l.conn, true, nil
}

// connectError leaves out what a connection's error repeats of its settings.
func connectError(err error) error {
	for inner := errors.Unwrap(err); inner != nil; inner = errors.Unwrap(err) {
		err = inner
	}
	return err
}

// drop ends the connection; the next get opens another.
func (l *link) drop() {
	if l.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = l.conn.Close(ctx) // it is given up
	l.conn = nil
}

package sql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/ingest/pull"
)

// Channel is what the trigger of examples/outbox.sql notifies.
const Channel = "stockweave_outbox"

// maxBatchBytes bounds the bodies of one batch.
const maxBatchBytes = 8 << 20

// An Outbox empties the outbox of one source.
//
// A row is claimed, not passed by: its id was given out before its transaction ended,
// so a cursor over ids would pass a row that is committed late. A batch is one
// transaction: lock the source's turn, lock rows, append them, mark them. A crash
// between the log's ack and the mark appends them again, under the same ids. Who dies
// gives the turn back with the connection.
type Outbox struct {
	Source *policy.Source
	SQL    *policy.SQL
	Config *pgx.ConnConfig
	Append pull.Appender

	Log     *slog.Logger
	Now     func() time.Time
	Random  func() float64 // from 0 to 1, for jitter
	Metrics *pull.Metrics
}

// Run empties the outbox until ctx ends, and returns nil then, behind the batch it has
// begun. It ends for no other reason: what fails is tried again.
func (o *Outbox) Run(ctx context.Context) error {
	poll := o.SQL.Poll.Defaults()
	zone := o.Source.Zone
	if zone == nil {
		zone = time.UTC
	}
	l := &link{cfg: o.Config}
	defer l.drop()
	defer o.Metrics.Forget(o.Source.Name)
	for failures := 0; ctx.Err() == nil; {
		if now := o.Now(); poll.OpensAt(now, zone).After(now) {
			l.drop() // nothing of ours is in the way of the work there
			if pull.Sleep(ctx, poll.OpensAt(now, zone).Sub(now)) != nil {
				return nil
			}
			continue
		}
		n, err := o.turn(ctx, l, poll)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			l.drop()
			failures++
			wait := pull.Backoff(poll.Retry, failures, o.Random())
			o.fault(err, failures, wait)
			o.Metrics.Open(o.Source.Name, failures >= poll.Retry.Open)
			if pull.Sleep(ctx, wait) != nil {
				return nil
			}
		case n == 0:
			failures = 0
			o.Metrics.Open(o.Source.Name, false)
			o.Metrics.Round(o.Source.Name, o.Now())
			if err := o.rest(ctx, l, poll.Every); err != nil && ctx.Err() == nil {
				l.drop()
			}
		default:
			failures = 0
			o.Metrics.Open(o.Source.Name, false)
		}
	}
	return nil
}

// rest waits for a notification, or for as long as the policy says: a notification may
// be lost with a connection, and a pooler passes none on.
func (o *Outbox) rest(ctx context.Context, l *link, most time.Duration) error {
	within, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	_, err := l.conn.WaitForNotification(within)
	if err == nil || within.Err() != nil && !l.conn.IsClosed() {
		return nil
	}
	if l.conn.IsClosed() {
		return fmt.Errorf("waiting for a notification: %w", err)
	}
	return pull.Sleep(within, most) // this connection cannot listen
}

// row is a row of the table.
type row struct {
	id                              int64
	streamKey, messageID, mediaType string
	headers                         []byte
	body                            []byte // nil: larger than allowed
	size                            int64
}

// turn moves one batch; the number of rows that are no longer waiting.
func (o *Outbox) turn(ctx context.Context, l *link, poll policy.Poll) (int, error) {
	unit, over := pull.Unit(ctx)
	defer over()
	within, cancel := context.WithTimeout(unit, poll.Timeout+idleGrace)
	defer cancel()
	conn, opened, err := l.get(within)
	if err != nil {
		return 0, err
	}
	if opened {
		if _, err := conn.Exec(within, "listen "+Channel); err != nil {
			// A pooler in transaction mode refuses it; polling goes on.
			o.Log.Info("the database does not let us listen", slog.String("source", string(o.Source.Name)), slog.Any("err", err))
		}
	}
	tx, err := conn.BeginTx(within, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		return 0, failed(err)
	}
	// A rollback gives the turn and the rows back; after a commit it does nothing.
	defer func() { _ = tx.Rollback(context.WithoutCancel(within)) }()
	var mine bool
	if err := tx.QueryRow(within, "select pg_try_advisory_xact_lock($1, $2)", lockSpace, lockOf(o.Source.Name)).Scan(&mine); err != nil {
		return 0, failed(err)
	}
	if !mine {
		return 0, nil // another replica has its turn: one at a time keeps the streams in order
	}
	rows, err := o.claim(within, tx, poll.Batch)
	if err != nil {
		return 0, err
	}
	if len(rows) == 0 {
		return 0, o.sweep(within, tx)
	}
	if err := o.move(within, tx, rows); err != nil {
		return 0, err
	}
	if err := tx.Commit(within); err != nil {
		return 0, failed(err)
	}
	return len(rows), nil
}

// lockSpace keeps our advisory locks apart from others': "swob".
const lockSpace int32 = 0x73776f62

func lockOf(s inventory.Source) int32 {
	id := pull.RawID("outbox", string(s))
	n, err := strconv.ParseUint(id[:8], 16, 32)
	if err != nil {
		return 0
	}
	return int32(uint32(n)) //nolint:gosec // any 32 bits will do
}

func (o *Outbox) table() string {
	return pgx.Identifier{o.SQL.Outbox.SchemaName(), "outbox"}.Sanitize()
}

// claim locks the first rows that wait, at most so many, and so many bytes of bodies;
// the body of a row beyond the limit stays where it is.
func (o *Outbox) claim(ctx context.Context, tx pgx.Tx, most int) ([]row, error) {
	found, err := tx.Query(ctx, `
with waiting as (
  select id, stream_key, coalesce(message_id, '') as message_id, content_type, headers::text as headers, body, octet_length(body)::bigint as size
  from `+o.table()+`
  where source = $1 and delivered_at is null and refused is null
  order by id
  limit $2
  for update skip locked
), counted as (select *, sum(least(size, $3)) over (order by id) as upto from waiting)
select id, stream_key, message_id, content_type, headers, case when size <= $3 then body end, size
from counted where upto - least(size, $3) < $4 order by id`, string(o.Source.Name), most, int64(pull.Limit(o.Source)), int64(maxBatchBytes))
	if err != nil {
		return nil, failed(err)
	}
	rows, err := pgx.CollectRows(found, func(r pgx.CollectableRow) (row, error) {
		var x row
		err := r.Scan(&x.id, &x.streamKey, &x.messageID, &x.mediaType, &x.headers, &x.body, &x.size)
		return x, err //nolint:wrapcheck // failed does
	})
	if err != nil {
		return nil, failed(err)
	}
	return rows, nil
}

// move appends rows and marks them.
func (o *Outbox) move(ctx context.Context, tx pgx.Tx, rows []row) error {
	raws, ids := make([]*event.RawMessage, 0, len(rows)), make([]int64, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		if r.body == nil {
			if err := o.refuse(ctx, tx, r); err != nil {
				return err
			}
			continue
		}
		raws, ids = append(raws, o.message(r)), append(ids, r.id)
	}
	if len(raws) == 0 {
		return nil
	}
	// Invariant 1, towards a table: no row is marked before the log has it.
	if err := o.Append.Append(ctx, raws); err != nil {
		return &pull.Fault{Code: "log_unavailable", Err: fmt.Errorf("appending %d rows: %w", len(raws), err)}
	}
	mark := "delete from " + o.table() + " where id = any($1)"
	if o.SQL.Outbox.Keep > 0 {
		mark = "update " + o.table() + " set delivered_at = now() where id = any($1)"
	}
	tag, err := tx.Exec(ctx, mark, ids)
	if err != nil {
		return failed(err)
	}
	if tag.RowsAffected() != int64(len(ids)) {
		return pull.NewFault(codeTable, "%d rows were claimed and %d marked: does the table have rules, or row security?", len(ids), tag.RowsAffected())
	}
	o.Metrics.Record(o.Source.Name, "appended", len(raws))
	return nil
}

// refuse leaves a row in the table with the reason, out of the way of the others.
func (o *Outbox) refuse(ctx context.Context, tx pgx.Tx, r *row) error {
	reason := fmt.Sprintf("%s: %d bytes, and the source may send %d", pull.CodeTooLarge, r.size, pull.Limit(o.Source))
	if _, err := tx.Exec(ctx, "update "+o.table()+" set refused = $2 where id = $1", r.id, reason); err != nil {
		return failed(err)
	}
	o.Metrics.Record(o.Source.Name, pull.CodeTooLarge, 1)
	o.Log.Error("a row of the outbox is refused", slog.String("source", string(o.Source.Name)), slog.Int64("id", r.id), slog.String("reason", reason))
	return nil
}

// sweep deletes what was delivered long enough ago, a batch at a time.
func (o *Outbox) sweep(ctx context.Context, tx pgx.Tx) error {
	keep := o.SQL.Outbox.Keep
	if keep <= 0 {
		return nil
	}
	if _, err := tx.Exec(ctx, "delete from "+o.table()+" where id in (select id from "+o.table()+
		" where source = $1 and delivered_at < now() - make_interval(secs => $2) limit 10000)", string(o.Source.Name), keep.Seconds()); err != nil {
		return failed(err)
	}
	if err := tx.Commit(ctx); err != nil {
		return failed(err)
	}
	return nil
}

// message is a row as a push of it would have been. The content is part of the id: a
// database that is restored may give an id out again.
func (o *Outbox) message(r *row) *event.RawMessage {
	id := strconv.FormatInt(r.id, 10)
	dedupe := r.messageID
	if dedupe == "" {
		dedupe = "outbox," + id
	}
	return &event.RawMessage{
		ID:     pull.RawID(string(o.Source.Name), "outbox", id, pull.ContentHash(r.body)),
		Source: o.Source.Name, StreamKey: pull.Short(r.streamKey), DedupeKey: pull.Short(dedupe), ContentType: pull.Short(r.mediaType),
		Body: r.body, Headers: o.headers(r.headers), ReceivedAt: inventory.Instant(o.Now().UnixMilli()),
	}
}

// headers are those that the source names, as of a push.
func (o *Outbox) headers(b []byte) []inventory.Attribute {
	var said map[string]string
	if json.Unmarshal(b, &said) != nil {
		return nil
	}
	var kept []inventory.Attribute
	for _, name := range slices.Sorted(maps.Keys(said)) {
		for _, want := range o.Source.Headers {
			if strings.EqualFold(name, want) && said[name] != "" {
				kept = append(kept, inventory.Attribute{Name: want, Value: pull.Short(said[name])})
			}
		}
	}
	return kept
}

func (o *Outbox) fault(err error, failures int, wait time.Duration) {
	code := codeQuery
	if f, ok := errors.AsType[*pull.Fault](err); ok {
		code = f.Code
	}
	o.Metrics.Fault(o.Source.Name, code)
	o.Log.Warn("reading an outbox failed", slog.String("source", string(o.Source.Name)), slog.String("code", code),
		slog.Any("err", err), slog.Int("failures", failures), slog.Duration("again_in", wait))
}

// failed gives errors of the database their code.
func failed(err error) error {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code { // PostgreSQL, Appendix A
		case "42P01", "42703", "42883", "42501", "3F000": // no such table, column, function; no right; no schema
			return &pull.Fault{Code: codeTable, Err: err}
		case "57014", "55P03", "25P03": // statement, lock and idle time-outs
			return &pull.Fault{Code: pull.CodeTimeout, Err: err}
		}
		return &pull.Fault{Code: codeQuery, Err: err}
	}
	return &pull.Fault{Code: pull.CodeUnreachable, Err: err}
}

package sql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/ingest/pull"
)

// Rows is a pull.Adapter over a query or a function of the partner's database.
type Rows struct {
	sql   *policy.SQL
	link  link
	limit int // of a body, bytes
	batch int
	now   func() time.Time
}

// NewRows makes an adapter and connects to nothing.
func NewRows(src *policy.Source, s *policy.SQL, cfg *pgx.ConnConfig, now func() time.Time) *Rows {
	return &Rows{sql: s, link: link{cfg: cfg}, limit: pull.Limit(src), batch: s.Poll.Defaults().Batch, now: now}
}

// Close ends the connection.
func (r *Rows) Close() { r.link.drop() }

// place is a row's place, as texts that PostgreSQL reads.
type place struct {
	Position string `json:"position"`
	ID       string `json:"id"`
}

// position is where the reading stands: High is the furthest read of all rounds, At
// where this one is; nil is before everything.
type position struct {
	High *place `json:"high"`
	At   *place `json:"at,omitempty"`
}

// Begin implements pull.Adapter.
func (r *Rows) Begin(end json.RawMessage) (json.RawMessage, error) {
	p, err := pull.DecodePosition[position](end)
	if err != nil {
		return nil, err
	}
	p.At = p.High
	if q := r.sql.Query; q != nil && p.High != nil {
		if p.At, err = back(q, p.High); err != nil {
			return nil, err
		}
	}
	return pull.EncodePosition(p)
}

// back is the place at which a round begins.
func back(q *policy.Query, high *place) (*place, error) {
	if q.Cursor == policy.CursorTime {
		t, err := time.Parse(time.RFC3339Nano, high.Position)
		if err != nil {
			return nil, fmt.Errorf("reading the time of the cursor: %w", err)
		}
		return &place{t.Add(-q.Back()).Format(time.RFC3339Nano), leastID(q.ID)}, nil
	}
	n, err := strconv.ParseInt(high.Position, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("reading the number of the cursor: %w", err)
	}
	if n < math.MinInt64+q.Behind {
		n = math.MinInt64 + q.Behind
	}
	return &place{strconv.FormatInt(n-q.Behind, 10), leastID(q.ID)}, nil
}

func leastID(kind string) string {
	switch kind {
	case policy.IDText:
		return ""
	case policy.IDUUID:
		return "00000000-0000-0000-0000-000000000000"
	}
	return strconv.FormatInt(math.MinInt32, 10) // of an integer column too
}

// least is before everything.
func least(q *policy.Query) *place {
	if q.Cursor == policy.CursorTime {
		return &place{"-infinity", leastID(q.ID)}
	}
	return &place{strconv.FormatInt(math.MinInt32, 10), leastID(q.ID)}
}

// Fetch implements pull.Adapter.
func (r *Rows) Fetch(ctx context.Context, at json.RawMessage) (pull.Page, error) {
	p, err := pull.DecodePosition[position](at)
	if err != nil {
		return pull.Page{}, pull.NewFault(pull.CodeBadAnswer, "%w", err)
	}
	conn, _, err := r.link.get(ctx)
	if err != nil {
		return pull.Page{}, err
	}
	page, err := r.page(ctx, conn, &p)
	if err != nil {
		r.link.drop()
		return pull.Page{}, err
	}
	page.Next, err = pull.EncodePosition(p)
	return page, err
}

// answer is a row of a page.
type answer struct {
	position, id string
	streamKey    *string
	body         []byte
	size         int64
	found        int64 // rows of the page, those for which there was no room too
}

func (r *Rows) page(ctx context.Context, conn *pgx.Conn, p *position) (pull.Page, error) {
	mode := pgx.ReadOnly
	if r.sql.Function != "" {
		mode = pgx.ReadWrite // it may note who has read what
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: mode})
	if err != nil {
		return pull.Page{}, failed(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(ctx)) }()
	text, args, err := r.statement(ctx, tx, p)
	if err != nil {
		return pull.Page{}, err
	}
	rows, err := tx.Query(ctx, text, args...)
	if err != nil {
		return pull.Page{}, failed(err)
	}
	answers, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (answer, error) {
		var a answer
		err := row.Scan(&a.position, &a.id, &a.streamKey, &a.body, &a.size, &a.found)
		return a, err //nolint:wrapcheck // failed does
	})
	if _, broken := errors.AsType[pgx.ScanArgError](err); broken {
		return pull.Page{}, pull.NewFault(pull.CodeBadAnswer, "a row has no position, id or body: %w", err)
	}
	if err != nil {
		return pull.Page{}, failed(err)
	}
	if err := tx.Commit(ctx); err != nil {
		return pull.Page{}, failed(err)
	}
	page := pull.Page{}
	for i := range answers {
		page.Records = append(page.Records, r.record(&answers[i]))
	}
	r.reach(p, answers)
	page.More = len(answers) > 0 && (answers[0].found >= int64(r.batch) || answers[0].found > int64(len(answers)))
	if !page.More {
		p.At = nil
	}
	return page, nil
}

func (r *Rows) record(a *answer) pull.Record {
	rec := pull.Record{ID: a.id, Version: a.position, Body: a.body, StreamKey: a.id}
	if a.streamKey != nil {
		rec.StreamKey = *a.streamKey
	}
	if int(a.size) > r.limit {
		rec.Size = int(a.size)
	}
	if r.sql.Function != "" {
		rec.Version = "" // a position says where a row stands, not what state it is in
	}
	return rec
}

// reach moves the position behind the answers.
func (r *Rows) reach(p *position, answers []answer) {
	if len(answers) == 0 {
		return
	}
	last := &answers[len(answers)-1]
	p.At = &place{last.position, last.id}
	if r.sql.Query == nil {
		p.High = p.At
		return
	}
	high := *p.At
	if r.sql.Query.Cursor == policy.CursorTime {
		// A clock that was ahead once must not hide what is written after it was put right.
		if t, err := time.Parse(time.RFC3339Nano, high.Position); err == nil && t.After(r.now()) {
			high.Position = r.now().UTC().Format(time.RFC3339Nano)
		}
	}
	if p.High == nil || before(r.sql.Query.Cursor, p.High.Position, high.Position) {
		p.High = &high
	}
}

func before(kind, a, b string) bool {
	if kind == policy.CursorNumber {
		x, _ := strconv.ParseInt(a, 10, 64) // they were numbers of the database
		y, _ := strconv.ParseInt(b, 10, 64)
		return x < y
	}
	x, _ := time.Parse(time.RFC3339Nano, a)
	y, _ := time.Parse(time.RFC3339Nano, b)
	return x.Before(y)
}

// statement is the partner's own query with a bound on the bytes of its answer.
func (r *Rows) statement(ctx context.Context, tx pgx.Tx, p *position) (string, []any, error) {
	if r.sql.Function != "" {
		var after *string
		if p.At != nil {
			after = &p.At.Position
		}
		name := pgx.Identifier(strings.Split(r.sql.Function, ".")).Sanitize()
		inner := "select cursor, id, body, stream_key, row_number() over () as turn from " + name + "($1::text, $2::int)"
		return r.bounded(inner, "cursor", "stream_key", "octet_length(body::text)", "turn"), []any{after, r.batch}, nil
	}
	q := r.sql.Query
	inner := strings.TrimRight(strings.TrimSpace(q.SQL), "; \t\r\n")
	d, err := tx.Prepare(ctx, "", inner)
	if err != nil {
		return "", nil, failed(err)
	}
	columns := map[string]uint32{}
	for _, f := range d.Fields {
		columns[f.Name] = f.DataTypeOID
	}
	for _, name := range []string{"cursor", "id", "body"} {
		if columns[name] == 0 {
			return "", nil, pull.NewFault(codeTable, "the query has no column %q", name)
		}
	}
	stream, size := "null::text", "octet_length(body::text)"
	if columns["stream_key"] != 0 {
		stream = "stream_key::text"
	}
	if columns["body"] == pgtype.ByteaOID {
		size = "octet_length(body)"
	}
	position := "cursor::bigint::text"
	if q.Cursor == policy.CursorTime {
		position = `to_char(cursor::timestamptz at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
	}
	at := p.At
	if at == nil {
		at = least(q)
	}
	return r.bounded(inner, position, stream, size, "cursor, id"), []any{at.Position, at.ID, r.batch}, nil
}

// bounded reads the rows of inner in order, without bodies that are too large, and
// stops where the bodies together are; the first row always comes.
func (r *Rows) bounded(inner, position, stream, size, order string) string {
	limit := strconv.Itoa(r.limit)
	return `with page as materialized (` + inner + "\n" + `),
sized as (select page.*, ` + size + `::bigint as stockweave_size, count(*) over () as stockweave_found from page),
counted as (select sized.*, sum(least(stockweave_size, ` + limit + `)) over (order by ` + order + `) as stockweave_upto from sized)
select ` + position + `, id::text, ` + stream + `, case when stockweave_size <= ` + limit + ` then body end, stockweave_size, stockweave_found
from counted where stockweave_upto - least(stockweave_size, ` + limit + `) < ` + strconv.Itoa(maxBatchBytes) + ` order by ` + order
}

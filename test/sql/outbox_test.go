package sql_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/test/harness"
)

const put = "select stockweave.stockweave_outbox_put('shop', $1::text, stream_key => $2)"

func TestOutbox(t *testing.T) {
	db := harness.Postgres(t)
	conn := install(t, db)
	clear := func(t *testing.T) {
		t.Helper()
		exec(t, conn, "delete from stockweave.outbox")
	}

	t.Run("late commit", func(t *testing.T) {
		clear(t)
		log := &taken{}
		s := &policy.SQL{Outbox: &policy.Outbox{}}
		run(t, outbox(t, db, source(s), s, log).Run)
		slow, err := db.Connect(t).Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var first, second int
		if err := slow.QueryRow(t.Context(), put, "slow", "").Scan(&first); err != nil {
			t.Fatal(err)
		}
		if second = count(t, conn, put, "quick", ""); second < first {
			t.Fatalf("the later row has id %d, the earlier one %d: the test shows nothing", second, first)
		}
		await(t, "the quick row", func() bool { return slices.Equal(log.bodies(), []string{"quick"}) })
		await(t, "it is gone", func() bool { return count(t, conn, "select count(*) from stockweave.outbox") == 0 })
		if err := slow.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		// What a cursor over ids would see from here on.
		if n := count(t, conn, "select count(*) from stockweave.outbox where id > $1", second); n != 0 {
			t.Fatal("a cursor over ids would find the late row: the test shows nothing")
		}
		await(t, "the slow row", func() bool { return slices.Equal(log.bodies(), []string{"quick", "slow"}) })
	})

	t.Run("listen wakes, and its loss costs a poll", func(t *testing.T) {
		clear(t)
		log := &taken{}
		s := &policy.SQL{Outbox: &policy.Outbox{}, Poll: policy.Poll{Every: time.Hour}}
		stop := run(t, outbox(t, db, source(s), s, log).Run)
		listening := func() bool { // it has found nothing, and waits
			return count(t, conn, "select count(*) from pg_stat_activity where application_name = 'stockweave-ingest' and state = 'idle' and query = 'rollback'") == 1
		}
		await(t, "the reader rests", listening)
		exec(t, conn, put, "a", "")
		await(t, "a notification wakes it", func() bool { return len(log.bodies()) == 1 })
		await(t, "the reader rests", listening)
		// A connection that ends is noticed, and another is opened, and listens.
		exec(t, conn, "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'stockweave-ingest'")
		await(t, "the reader is back", listening)
		exec(t, conn, put, "b", "")
		await(t, "it listens again", func() bool { return len(log.ids()) == 2 })
		stop()
		exec(t, conn, "alter table stockweave.outbox disable trigger outbox_notify")
		defer exec(t, conn, "alter table stockweave.outbox enable trigger outbox_notify")
		s.Poll.Every = 100 * time.Millisecond
		run(t, outbox(t, db, source(s), s, log).Run)
		await(t, "the reader rests", listening)
		exec(t, conn, put, "c", "")
		await(t, "polling finds what nobody told of", func() bool { return len(log.ids()) == 3 })
	})

	t.Run("the log is away", func(t *testing.T) {
		clear(t)
		log := &taken{fails: errAway}
		s := &policy.SQL{Outbox: &policy.Outbox{}}
		exec(t, conn, put, "a", "")
		run(t, outbox(t, db, source(s), s, log).Run)
		for n := range 3 {
			await(t, "it is tried", func() bool { return log.tries() > n })
			if n := count(t, conn, "select count(*) from stockweave.outbox where delivered_at is null"); n != 1 {
				t.Fatal("a row is marked that the log does not have")
			}
		}
		log.fail(nil)
		await(t, "the row", func() bool { return len(log.bodies()) == 1 })
	})

	t.Run("dead between ack and mark", func(t *testing.T) {
		clear(t)
		log := &taken{}
		s := &policy.SQL{Outbox: &policy.Outbox{Keep: time.Hour}}
		ctx, cancel := context.WithCancel(t.Context())
		log.after = func() { // the mark finds no connection, and nobody goes on
			cancel()
			exec(t, conn, "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'reader'")
		}
		exec(t, conn, put, "a", "")
		if err := outbox(t, db, source(s), s, log).Run(ctx); err != nil {
			t.Fatal(err)
		}
		log.after = nil
		run(t, outbox(t, db, source(s), s, log).Run)
		await(t, "the row comes again", func() bool { return len(log.bodies()) == 2 })
		if len(log.ids()) != 1 {
			t.Errorf("one row has %d ids", len(log.ids()))
		}
		await(t, "the mark", func() bool {
			return count(t, conn, "select count(*) from stockweave.outbox where delivered_at is not null") == 1
		})
		// What was delivered long ago goes, what was delivered now stays.
		exec(t, conn, "insert into stockweave.outbox (source, body, delivered_at) values ('shop', 'old', now() - interval '2 hours')")
		await(t, "the sweep", func() bool { return count(t, conn, "select count(*) from stockweave.outbox") == 1 })
	})

	t.Run("ended between ack and mark", func(t *testing.T) {
		clear(t)
		log := &taken{}
		s := &policy.SQL{Outbox: &policy.Outbox{Keep: time.Hour}}
		ctx, cancel := context.WithCancel(t.Context())
		log.after = cancel // the batch that has begun comes to its end
		exec(t, conn, put, "a", "")
		if err := outbox(t, db, source(s), s, log).Run(ctx); err != nil {
			t.Fatal(err)
		}
		if n := count(t, conn, "select count(*) from stockweave.outbox where delivered_at is not null"); n != 1 || len(log.bodies()) != 1 {
			t.Errorf("%d rows are marked, %d messages", n, len(log.bodies()))
		}
	})

	t.Run("two replicas keep streams in order", func(t *testing.T) {
		clear(t)
		log := &taken{}
		const rows = 2_000
		exec(t, conn, "select stockweave.stockweave_outbox_put('shop', n::text, stream_key => (n % 7)::text) from generate_series(1, $1::int) n", rows)
		for range 2 {
			s := &policy.SQL{Outbox: &policy.Outbox{}, Poll: policy.Poll{Batch: 50, Every: time.Millisecond}}
			run(t, outbox(t, db, source(s), s, log).Run)
		}
		await(t, "all rows", func() bool { return len(log.bodies()) >= rows })
		for i, b := range log.bodies() {
			if b != fmt.Sprint(i+1) {
				t.Fatalf("message %d is row %s", i+1, b)
			}
		}
	})

	t.Run("what is too large stands aside", func(t *testing.T) {
		clear(t)
		log := &taken{}
		s := &policy.SQL{Outbox: &policy.Outbox{}}
		src := source(s)
		src.Limits.MaxBytes = 10
		src.Headers = []string{"X-Topic"}
		exec(t, conn, put, strings.Repeat("x", 11), "")
		exec(t, conn, "select stockweave.stockweave_outbox_put('shop', 'small'::text, 'o-1', 'm-1', 'text/csv', '{\"x-topic\": \"t\", \"authorization\": \"secret\"}')")
		exec(t, conn, "select stockweave.stockweave_outbox_put('shop', 'small'::text, 'o-1', 'm-1')")
		exec(t, conn, "select stockweave.stockweave_outbox_put('other', 'not ours'::text)")
		run(t, outbox(t, db, src, s, log).Run)
		await(t, "the small row", func() bool { return slices.Equal(log.bodies(), []string{"small"}) })
		raw := log.raws[0]
		if raw.StreamKey != "o-1" || raw.DedupeKey != "m-1" || raw.ContentType != "text/csv" || len(raw.Headers) != 1 || raw.Headers[0].Value != "t" {
			t.Errorf("%+v", raw)
		}
		await(t, "the reason", func() bool {
			return count(t, conn, "select count(*) from stockweave.outbox where source = 'shop' and refused like 'too_large: 11 bytes%'") == 1
		})
		if n := count(t, conn, "select count(*) from stockweave.outbox where source = 'other' and delivered_at is null and refused is null"); n != 1 {
			t.Error("another source's row was touched")
		}
	})

	t.Run("least privilege", func(t *testing.T) {
		for user, denied := range map[string][]string{
			"writer": {"select * from stockweave.outbox", "delete from stockweave.outbox", "insert into stockweave.outbox (source, body) values ('shop', 'x')"},
			"reader": {"insert into stockweave.outbox (source, body) values ('shop', 'x')", "update stockweave.outbox set body = 'y'", "select stockweave.stockweave_outbox_put('shop', 'x'::text)"},
		} {
			as, err := pgx.Connect(t.Context(), db.URL(user)+"?sslmode=disable")
			if err != nil {
				t.Fatal(err)
			}
			for _, text := range denied {
				if _, err := as.Exec(t.Context(), text); err == nil || !strings.Contains(err.Error(), "42501") {
					t.Errorf("%s: %s: %v", user, text, err)
				}
			}
			if user == "writer" {
				exec(t, as, "select stockweave.stockweave_outbox_put('shop', '{}'::jsonb)")
			}
			_ = as.Close(t.Context())
		}
	})

	t.Run("the database restarts", func(t *testing.T) {
		clear(t)
		log := &taken{}
		s := &policy.SQL{Outbox: &policy.Outbox{}, Poll: policy.Poll{Batch: 20}}
		run(t, outbox(t, db, source(s), s, log).Run)
		for i := range 200 {
			exec(t, conn, put, fmt.Sprint(i), "")
		}
		await(t, "some rows", func() bool { return len(log.bodies()) > 40 })
		db.Kill()
		db.Restart(t)
		conn = db.Connect(t)
		for i := range 50 {
			exec(t, conn, put, fmt.Sprint(200+i), "")
		}
		await(t, "all rows", func() bool { return len(log.ids()) == 250 })
		await(t, "none waits", func() bool { return count(t, conn, "select count(*) from stockweave.outbox") == 0 })
	})
}

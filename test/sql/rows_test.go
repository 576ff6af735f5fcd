package sql_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/ingest/pull"
	"github.com/stockweave/stockweave/services/ingest/sql"
	"github.com/stockweave/stockweave/test/harness"
)

func feed(t *testing.T, db *harness.PostgresServer, src *policy.Source, s *policy.SQL, log pull.Appender, store pull.Store) func(context.Context) error {
	t.Helper()
	rows := sql.NewRows(src, s, config(t, db, s), time.Now)
	t.Cleanup(rows.Close)
	f := &pull.Feed{
		Source: src, Poll: s.Poll, Adapter: rows, Append: log, Cursors: store, Key: "shop",
		Log: quiet(), Now: time.Now, Random: func() float64 { return 0 },
	}
	return f.Run
}

// rows of whole numbers, without what comes twice.
func distinct(log *taken) []string {
	all := log.bodies()
	slices.Sort(all)
	return slices.Compact(all)
}

func TestRows(t *testing.T) {
	db := harness.Postgres(t)
	conn := install(t, db)
	exec(t, conn, `create table stock (id bigint primary key, sku text, qty int, changed timestamptz not null default now());
grant select on stock to reader`)
	clear := func(t *testing.T) {
		t.Helper()
		exec(t, conn, "delete from stock")
	}
	const byTime = "select changed as cursor, id, jsonb_build_object('id', id, 'qty', qty) as body, sku as stream_key from stock where (changed, id) > ($1, $2) order by changed, id limit $3;"

	t.Run("late commit and overlap", func(t *testing.T) {
		clear(t)
		log, store := &taken{}, &memory{}
		s := &policy.SQL{Query: &policy.Query{SQL: byTime, Cursor: policy.CursorTime, Overlap: time.Minute}}
		stop := run(t, feed(t, db, source(s), s, log, store))
		slow, err := db.Connect(t).Begin(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := slow.Exec(t.Context(), "insert into stock values (1, 'A', 1)"); err != nil {
			t.Fatal(err)
		}
		exec(t, conn, "insert into stock values (2, 'A', 2)")
		await(t, "the quick row", func() bool { return slices.Equal(log.bodies(), []string{`{"id": 2, "qty": 2}`}) })
		await(t, "its cursor", func() bool { return store.has("shop", "20") && store.has("shop", `"open":false`) })
		if err := slow.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		await(t, "the slow row", func() bool { return len(log.bodies()) == 2 })
		exec(t, conn, "update stock set qty = 5, changed = now() where id = 1")
		await(t, "the change", func() bool { return len(log.bodies()) == 3 })
		if log.raws[2].StreamKey != "A" || string(log.raws[2].Body) != `{"id": 1, "qty": 5}` {
			t.Errorf("%+v", log.raws[2])
		}
		stop()
		// Another process goes on from the cursor, and what the last one saw is not
		// appended again.
		run(t, feed(t, db, source(s), s, log, store))
		exec(t, conn, "insert into stock values (3, 'A', 3)")
		await(t, "the row after the restart", func() bool { return len(log.bodies()) >= 4 })
		if n := len(log.ids()); n != 4 || len(log.bodies()) != 4 {
			t.Errorf("%d messages under %d ids", len(log.bodies()), n)
		}
	})

	t.Run("pages of rows and of bytes", func(t *testing.T) {
		clear(t)
		log := &taken{}
		// All of one transaction have one time; a page ends within them.
		exec(t, conn, "insert into stock select n, repeat('x', 200), n from generate_series(1, 1000) n")
		s := &policy.SQL{Query: &policy.Query{SQL: byTime, Cursor: policy.CursorTime}, Poll: policy.Poll{Batch: 64}}
		run(t, feed(t, db, source(s), s, log, &memory{}))
		await(t, "all rows", func() bool { return len(distinct(log)) == 1000 })
	})

	t.Run("numbers", func(t *testing.T) {
		clear(t)
		log := &taken{}
		s := &policy.SQL{Query: &policy.Query{
			SQL: "select id as cursor, id, qty::text as body from stock where (id, id) > ($1, $2) order by id limit $3", Cursor: policy.CursorNumber, Behind: 100,
		}}
		run(t, feed(t, db, source(s), s, log, &memory{}))
		exec(t, conn, "insert into stock values (60, 'A', 60)")
		await(t, "the first", func() bool { return len(log.bodies()) == 1 })
		exec(t, conn, "insert into stock values (10, 'A', 10)")
		await(t, "one behind it", func() bool { return slices.Equal(log.bodies(), []string{"60", "10"}) })
	})

	t.Run("what is too large is named", func(t *testing.T) {
		clear(t)
		log := &taken{}
		s := &policy.SQL{Query: &policy.Query{SQL: "select changed as cursor, id, sku as body from stock where (changed, id) > ($1, $2) order by changed, id limit $3", Cursor: policy.CursorTime}}
		src := source(s)
		src.Limits.MaxBytes = 100
		exec(t, conn, "insert into stock values (1, 'small', 1), (2, repeat('x', 101), 1), (3, 'also', 1)")
		run(t, feed(t, db, src, s, log, &memory{}))
		await(t, "all three", func() bool { return len(log.bodies()) == 3 })
		if b := log.bodies()[1]; !strings.Contains(b, `"refused":"too_large"`) || !strings.Contains(b, `"id":"2"`) || !strings.Contains(b, `"bytes":101`) {
			t.Errorf("%s", b)
		}
	})

	t.Run("a function", func(t *testing.T) {
		log, store := &taken{}, &memory{}
		exec(t, conn, `create table journal (n bigserial primary key, what text);
create function changes(after text, most int) returns table (cursor text, id text, body text, stream_key text) language sql as $$
  select n::text, 'j' || n, what, null::text from journal where n > coalesce(after::bigint, 0) order by journal.n limit most $$;
grant select on journal to reader;
insert into journal (what) select 'w' || n from generate_series(1, 25) n`)
		s := &policy.SQL{Function: "changes", Poll: policy.Poll{Batch: 10}}
		stop := run(t, feed(t, db, source(s), s, log, store))
		await(t, "all", func() bool { return len(log.bodies()) == 25 })
		await(t, "the cursor", func() bool { return store.has("shop", `"25"`) })
		for i, b := range log.bodies() {
			if b != fmt.Sprint("w", i+1) {
				t.Fatalf("message %d is %s", i, b)
			}
		}
		stop()
		exec(t, conn, "insert into journal (what) values ('w26')")
		run(t, feed(t, db, source(s), s, log, store))
		await(t, "only what is new", func() bool { return slices.Equal(log.bodies()[25:], []string{"w26"}) })
	})
}

// TestConfig wants no weaker TLS than the source says, and no secret in an error.
func TestConfig(t *testing.T) {
	for url, want := range map[string]string{
		"":                                       "DB is not set",
		"mysql://u:geheim@h/db":                  "no postgres:// URL",
		"postgres://u:geheim@h/db?sslmode=allow": "sslmode=allow",
		"postgres://u:geheim@h:port/db":          "DB is no postgres",
	} {
		_, err := sql.Config(&policy.SQL{URLEnv: "DB"}, func(string) string { return url })
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: %v", url, err)
		}
	}
	cfg, err := sql.Config(&policy.SQL{URLEnv: "DB", PasswordEnv: "PW"}, func(name string) string {
		return map[string]string{"DB": "postgres://u@db.example/x", "PW": "geheim"}[name]
	})
	if err != nil || cfg.Password != "geheim" || cfg.TLSConfig == nil || cfg.TLSConfig.InsecureSkipVerify || cfg.TLSConfig.ServerName != "db.example" || len(cfg.Fallbacks) != 0 {
		t.Errorf("%+v, %v", cfg, err)
	}
}

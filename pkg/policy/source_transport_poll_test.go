package policy

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestOpensAt(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	at := func(s string) time.Time {
		v, err := time.ParseInLocation("2006-01-02 15:04", s, zone)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	// 2026-11-02 is a Monday; the clocks go back on 2026-10-25 and forward on 2026-03-29.
	for _, c := range []struct {
		name      string
		closed    []Closed
		now, open string
	}{
		{"none", nil, "2026-11-02 12:00", "2026-11-02 12:00"},
		{"before", []Closed{{From: "13:00", Until: "14:00"}}, "2026-11-02 12:59", "2026-11-02 12:59"},
		{"at its beginning", []Closed{{From: "13:00", Until: "14:00"}}, "2026-11-02 13:00", "2026-11-02 14:00"},
		{"at its end", []Closed{{From: "13:00", Until: "14:00"}}, "2026-11-02 14:00", "2026-11-02 14:00"},
		{"over midnight, before", []Closed{{From: "22:00", Until: "02:00"}}, "2026-11-02 23:00", "2026-11-03 02:00"},
		{"over midnight, after", []Closed{{From: "22:00", Until: "02:00"}}, "2026-11-03 01:00", "2026-11-03 02:00"},
		{"of the day on which it begins", []Closed{{Days: []string{"mon"}, From: "22:00", Until: "02:00"}}, "2026-11-03 01:00", "2026-11-03 02:00"},
		{"not of the day on which it ends", []Closed{{Days: []string{"tue"}, From: "22:00", Until: "02:00"}}, "2026-11-03 01:00", "2026-11-03 01:00"},
		{"one after the other", []Closed{{From: "01:00", Until: "02:00"}, {From: "02:00", Until: "03:00"}}, "2026-11-02 01:30", "2026-11-02 03:00"},
		{"the hour left out", []Closed{{From: "01:00", Until: "04:00"}}, "2026-03-29 01:30", "2026-03-29 04:00"},
		{"around the clock", []Closed{{From: "00:00", Until: "00:00"}}, "2026-11-02 12:00", "2026-11-09 12:00"},
	} {
		p := Poll{Closed: c.closed}
		if got := p.OpensAt(at(c.now), zone); !got.Equal(at(c.open)) {
			t.Errorf("%s: %s", c.name, got)
		}
	}
}

// TestTransportFaults wants a fault with its field for each thing that cannot be meant.
func TestTransportFaults(t *testing.T) {
	sql := func(change func(*SQL)) []error {
		s := SQL{URLEnv: "DB", Outbox: &Outbox{}}
		change(&s)
		return s.validate("sql")
	}
	http := func(change func(*PullHTTP)) []error {
		h := PullHTTP{URL: "https://api.example/x"}
		change(&h)
		return (&Pull{HTTP: &h}).validate("pull")
	}
	ask := func(shipments AskShipments) []error {
		return http(func(h *PullHTTP) { h.URL, h.Ask = "https://api.example/{ask}", &PullAsk{Shipments: &shipments} })
	}
	for name, c := range map[string]struct {
		errs []error
		want string
	}{
		"two ways":       {sql(func(s *SQL) { s.Function = "f" }), "sql: exactly one"},
		"no way":         {sql(func(s *SQL) { s.Outbox = nil }), "sql: exactly one"},
		"a bad function": {sql(func(s *SQL) { s.Outbox, s.Function = nil, "f(); drop table x" }), "sql.function"},
		"a bad schema":   {sql(func(s *SQL) { s.Outbox.Schema = `x"."y` }), "sql.outbox.schema"},
		"unchecked CA":   {sql(func(s *SQL) { s.CAFile, s.TLS = "/ca", TLSRequire }), "sql.ca_file"},
		"no behind":      {sql(func(s *SQL) { s.Outbox, s.Query = nil, &Query{SQL: "x", Cursor: CursorNumber} }), "sql.query.behind"},
		"long overlap":   {sql(func(s *SQL) { s.Outbox, s.Query = nil, &Query{SQL: "x", Cursor: CursorTime, Overlap: 200 * time.Hour} }), "sql.query.overlap"},
		"often":          {sql(func(s *SQL) { s.Poll.Every = time.Millisecond }), "sql.poll.every"},
		"no clock":       {sql(func(s *SQL) { s.Poll.Closed = []Closed{{From: "24:00", Until: "1:00"}} }), "sql.poll.closed[0]"},
		"no day":         {sql(func(s *SQL) { s.Poll.Closed = []Closed{{Days: []string{"monday"}, From: "23:00", Until: "01:00"}} }), "sql.poll.closed[0]"},
		"a secret":       {http(func(h *PullHTTP) { h.Headers = map[string]string{"authorization": "x"} }), "pull.http.headers"},
		"a key in a URL": {http(func(h *PullHTTP) { h.URL = "https://u:p@api.example" }), "pull.http.url"},
		"no {ask}":       {http(func(h *PullHTTP) { h.Ask = &PullAsk{File: "/x"} }), "pull.http.url"},
		"two lists":      {http(func(h *PullHTTP) { h.URL, h.Ask = "https://a/{ask}", &PullAsk{File: "/x", List: []string{"1"}} }), "pull.http.ask:"},
		"no list":        {http(func(h *PullHTTP) { h.URL, h.Ask = "https://a/{ask}", &PullAsk{} }), "pull.http.ask:"},
		"any carrier":    {ask(AskShipments{}), "pull.http.ask.shipments.carriers:"},
		"a bare carrier": {ask(AskShipments{Carriers: []string{"a", ""}}), "pull.http.ask.shipments.carriers[1]:"},
		"a bare status":  {ask(AskShipments{Carriers: []string{"a"}, Done: []string{""}}), "pull.http.ask.shipments.done[0]:"},
		"for ever":       {ask(AskShipments{Carriers: []string{"a"}, For: maxAskFor + 1}), "pull.http.ask.shipments.for:"},
		"half a cursor":  {http(func(h *PullHTTP) { h.Page = PullPage{By: PageCursor, Next: "/n"} }), "pull.http.page"},
		"no pointer":     {http(func(h *PullHTTP) { h.Items = "data" }), "pull.http.items"},
		"no domain":      {(&Pull{Tryton: &PullTryton{URL: "http://erp", KeyEnv: "K", Database: "d", Models: []TrytonModel{{Model: "m", Fields: []string{"f"}, Domain: "{}"}}}}).validate("pull"), "pull.tryton.models[0].domain"},
	} {
		if len(c.errs) != 1 || !strings.HasPrefix(c.errs[0].Error(), c.want) {
			t.Errorf("%s: %v", name, c.errs)
		}
	}
	if errs := slices.Concat(sql(func(*SQL) {}), http(func(*PullHTTP) {}), ask(AskShipments{Carriers: []string{"a"}, For: maxAskFor})); len(errs) != 0 {
		t.Errorf("what is in order: %v", errs)
	}
}

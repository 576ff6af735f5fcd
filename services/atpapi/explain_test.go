package atpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/client"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/explain"
	"github.com/stockweave/stockweave/pkg/explain/explaintest"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// proved is a web whose numbers are of a ledger, and the ledger's log.
type proved struct {
	*web
	world   *explaintest.World
	cluster *kfake.Cluster
	kafka   stream.Config
	due     inventory.Day
}

const unit = explaintest.One

// newProved is of item A, which was received, ordered, shipped, counted and bought in
// the three days before now, and of others.
func newProved(t *testing.T) *proved {
	t.Helper()
	p := &proved{web: newWeb(t), world: explaintest.New()}
	p.due = place.DayAt(p.now, time.UTC) + 3
	a, kitted := inventory.Key{Entity: "acme", Item: "A"}, inventory.Key{Entity: "acme", Item: "PART"}
	ago := func(hours int) time.Time { return p.now.Add(time.Duration(-hours) * time.Hour) }
	send := func(recorded time.Time, ev *inventory.Event) {
		t.Helper()
		if out, err := p.world.Send(recorded, ev); err != nil || out.Kind != inventory.Applied {
			t.Fatalf("%s: %+v %v", ev.Document.Number, out, err)
		}
	}
	receipt := func(k inventory.Key, number string, hours int, l inventory.Location, q inventory.Quantity) {
		t.Helper()
		send(ago(hours), explaintest.Move(k, number, ago(hours), inventory.Movement{Type: inventory.Receipt, Location: l, Quantity: q}))
	}
	receipt(a, "r1", 72, "DC1", 10*unit)
	receipt(a, "r2", 71, "DC2", 4*unit)
	receipt(inventory.Key{Entity: "other", Item: "A"}, "r3", 70, "DC1", 7*unit)
	receipt(kitted, "r4", 69, "DC1", 9*unit)
	send(ago(60), explaintest.Order(a, "1001", ago(60), "DC1", 2*unit))
	send(ago(50), explaintest.Purchase(a, "77", ago(50), "DC2", 5*unit, p.due))
	send(ago(30), explaintest.Count(a, "c1", ago(40), "DC1", 12*unit))
	// It went before the count, and comes to light after it.
	send(ago(20), explaintest.Move(a, "s1", ago(45), inventory.Movement{Type: inventory.Damage, Location: "DC1", Quantity: unit}))
	send(ago(10), explaintest.Move(a, "s2", ago(11), inventory.Movement{Type: inventory.TransferOut, Location: "DC1", ToLocation: "DC2", Quantity: 3 * unit}))
	receipt(a, "r5", 5, "DC2", 6*unit)
	p.write(t)
	return p
}

func (p *proved) write(t *testing.T) {
	t.Helper()
	p.onKafka(t)
	for _, rec := range p.world.Positions {
		one := *rec
		one.Offset = p.flog.end
		p.flog.recs, p.flog.end = append(p.flog.recs, &one), p.flog.end+1
	}
	p.run(t, 10)
}

// onKafka puts the world's log, and more, where questions are answered from.
func (p *proved) onKafka(t *testing.T, more ...*stream.Record) {
	t.Helper()
	var err error
	if p.cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, event.TopicEvents, event.TopicOutcomes, event.TopicState, event.TopicPositions, event.TopicPolicies)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.cluster.Close)
	p.kafka = stream.Config{Brokers: p.cluster.ListenAddrs(), Log: slog.New(slog.DiscardHandler)}
	producer, err := stream.NewProducer(p.kafka)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	state, err := p.world.State()
	if err != nil {
		t.Fatal(err)
	}
	if err := producer.Produce(t.Context(), slices.Concat(p.world.Events, p.world.Outcomes, p.world.Positions, state, more)...); err != nil {
		t.Fatal(err)
	}
	p.api.prover, err = newProver(&Config{Kafka: p.kafka, Explain: DefaultExplain()}, &service.Env{Now: func() time.Time { return p.now }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.api.prover.close)
}

// report is an explanation.
func (p *proved) explain(t *testing.T, query string, headers ...string) *explain.Report {
	t.Helper()
	rec := p.get(t, "/v1/atp/A/explain"+query, headers...)
	r := &explain.Report{}
	if err := json.Unmarshal(rec.Body.Bytes(), r); err != nil || rec.Code != http.StatusOK {
		t.Fatalf("%s: %d %s: %v", query, rec.Code, rec.Body, err)
	}
	return r
}

func (p *proved) problem(t *testing.T, path string, headers ...string) (int, problemBody, http.Header) {
	t.Helper()
	rec := p.get(t, path, headers...)
	var b problemBody
	if err := json.Unmarshal(rec.Body.Bytes(), &b); err != nil {
		t.Fatalf("%s: %d %s: %v", path, rec.Code, rec.Body, err)
	}
	return rec.Code, b, rec.Header()
}

// TestExplain: the proof is of the number that is read, whatever it is asked of; its
// offsets, moves and terms come to it.
func TestExplain(t *testing.T) {
	p := newProved(t)
	day := place.Date(p.due)
	for _, query := range []string{"", "?location=DC1", "?location=DC2", "?group=web", "?channel=shop", "?on=" + day, "?location=DC2&on=" + day} {
		read, told := p.asks(t, "A", query), p.explain(t, query)
		want, n := read.ATP, len(read.Locations)
		if read.Channel != nil {
			want, n = read.Channel.Quantity, 1 // what makes it, not what stands beside
		}
		if told.Promise.Quantity != want || told.Promise.Formula != read.Formula || told.Promise.Policy != read.PolicyVersion || told.Version != read.Version {
			t.Errorf("%s: %+v of version %d, read %+v", query, told.Promise, told.Version, read)
		}
		steps := told.Promise.Steps
		var value inventory.Quantity
		for _, s := range steps {
			amount, err := inventory.ParseQuantity(s.Amount)
			if s.Start {
				value = 0
			}
			if value += amount; err != nil || value.String() != s.Value {
				t.Errorf("%s: %+v comes to %s: %v", query, s, value, err)
			}
		}
		if len(told.Locations) != n || len(told.Differences) > 0 || told.Incomplete != "" || told.Withheld {
			t.Errorf("%s: %+v", query, told)
		}
		for _, l := range told.Locations {
			at := slices.IndexFunc(read.Locations, func(a atLocation) bool { return a.Location == l.Location })
			if got, want := fmt.Sprint(l.States), fmt.Sprint(read.Locations[at].States); got != want || l.SafetyStock != read.Locations[at].SafetyStock || l.Version != read.Locations[at].Version {
				t.Errorf("%s at %s: %s, read %s", query, l.Location, got, want)
			}
			p.recompute(t, &l)
		}
	}
	all := p.explain(t, "")
	dc1, dc2 := all.Locations[0], all.Locations[1]
	if len(dc1.Claims) != 1 || dc1.Claims[0].Quantity != "2" || dc1.Claims[0].Channel != "shop" || dc1.Claims[0].Refs[0].Number != "1001" ||
		len(dc2.Supply) != 1 || dc2.Supply[0].Quantity != "5" || dc2.Supply[0].Due != day || len(all.Others) != 2 {
		t.Errorf("claims %+v, supply %+v, without a move %+v", dc1.Claims, dc2.Supply, all.Others)
	}
	first := dc1.Contributions[0]
	if first.Raw != (explain.ReportedRaw{ID: "raw-r1", Line: 1, Mapping: "wms@1"}) || first.Source != "wms" || first.Document != (explain.ReportedDocument{Type: "test", Number: "r1"}) || first.Event == "" {
		t.Errorf("where it came from: %+v", first)
	}
	if few := p.explain(t, "?limit=1"); len(few.Locations[1].Contributions) != 1 || few.Locations[1].Contributions[0].Document.Number != "r5" || few.Promise.Quantity != all.Promise.Quantity {
		t.Errorf("the last contribution: %+v", few)
	}
	// A kit without facts of its own is told by its parts.
	p.promiseBy(t, policy.ATPPolicy{Kits: []policy.Kit{{Entity: "acme", Item: "KIT", Parts: []policy.KitPart{{Item: "PART", Quantity: 2 * unit}}}}})
	rec := p.get(t, "/v1/atp/KIT/explain")
	var kit explain.Report
	if err := json.Unmarshal(rec.Body.Bytes(), &kit); err != nil || kit.Promise == nil || kit.Promise.Quantity != p.asks(t, "KIT", "").ATP || kit.Promise.Quantity != "4" || len(kit.Locations) != 0 {
		t.Errorf("%d %s: %v", rec.Code, rec.Body, err)
	}
}

// recompute adds up what stands at the offsets of a location's contributions.
func (p *proved) recompute(t *testing.T, l *explain.ReportedLocation) {
	t.Helper()
	var sum explain.States
	for _, c := range l.Contributions {
		var o inventory.Outcome
		if err := p.codecs.DecodeOutcome(p.world.Outcomes[*c.OutcomeAt].Value, &o); err != nil || o.EventID != c.Event || o.Offset != c.Offset {
			t.Errorf("offset %d has %+v, not %+v: %v", *c.OutcomeAt, o, c, err)
		}
		for _, m := range o.Moves {
			if m.From.Account.IsState() && string(m.From.Location) == l.Location {
				sum[m.From.Account] -= m.Quantity
			}
			if m.To.Account.IsState() && string(m.To.Location) == l.Location {
				sum[m.To.Account] += m.Quantity
			}
		}
	}
	if got := fmt.Sprint(explain.StatesText(&sum)); got != fmt.Sprint(l.States) {
		t.Errorf("%s: the log comes to %s, told %v", l.Location, got, l.States)
	}
}

// TestAsOf: what stood then, by when it happened and by when it was recorded.
func TestAsOf(t *testing.T) {
	p := newProved(t)
	ago := func(hours float64) string {
		return p.now.Add(time.Duration(-hours * float64(time.Hour))).Format(time.RFC3339)
	}
	for _, tt := range []struct {
		query    string
		dc1, dc2 string // on hand
	}{
		{"as_of=" + ago(73), "0", "0"},
		{"as_of=" + ago(71.5), "10", "0"},
		{"as_of=" + ago(44), "9", "4"},  // the damage, though it came to light later
		{"as_of=" + ago(40), "12", "4"}, // counted
		{"as_of=" + ago(11.5), "12", "4"},
		{"as_of=" + ago(10.5), "9", "4"}, // on its way
		{"as_of=" + ago(0), "9", "10"},
		{"known_at=" + ago(35), "10", "4"}, // the count was not known
		{"known_at=" + ago(25), "12", "4"},
		{"known_at=" + ago(15), "12", "4"}, // restated: the count holds
		{"known_at=" + ago(10.5), "12", "4"},
		{"known_at=" + ago(10), "9", "4"},
		{"as_of=" + ago(44) + "&known_at=" + ago(25), "10", "4"}, // the damage was not known
		{"as_of=" + ago(44) + "&known_at=" + ago(15), "9", "4"},
		{"as_of=" + ago(71.5) + "&known_at=" + ago(72.5), "0", "0"},
	} {
		rec := p.get(t, "/v1/atp/A?"+tt.query)
		var got pastAnswer
		if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || len(got.Locations) != 2 {
			t.Fatalf("%s: %d %s", tt.query, rec.Code, rec.Body)
		}
		if got.Locations[0].States["on_hand"] != tt.dc1 || got.Locations[1].States["on_hand"] != tt.dc2 {
			t.Errorf("%s: %+v, want %s and %s", tt.query, got.Locations, tt.dc1, tt.dc2)
		}
		told := p.explain(t, "?"+tt.query)
		for i, l := range told.Locations {
			if fmt.Sprint(l.States) != fmt.Sprint(got.Locations[i].States) || l.Claims == nil || len(l.Claims)+len(l.Supply) > 0 || told.Promise != nil {
				t.Errorf("%s explained: %+v, answered %+v", tt.query, l, got.Locations[i])
			}
		}
		if told.AsOf != got.AsOf || told.KnownAt != got.KnownAt {
			t.Errorf("%s: explained as of %q, %q", tt.query, told.AsOf, told.KnownAt)
		}
	}
	var one pastAnswer
	rec := p.get(t, "/v1/atp/A?location=DC2&known_at="+ago(5))
	if err := json.Unmarshal(rec.Body.Bytes(), &one); err != nil || len(one.Locations) != 1 || one.States["on_hand"] != "10" || one.States["in_transit"] != "3" || one.Log.To == 0 {
		t.Errorf("at a location: %d %s", rec.Code, rec.Body)
	}
	rec = p.get(t, "/v1/atp/A?channel=shop&as_of="+ago(0))
	if err := json.Unmarshal(rec.Body.Bytes(), &one); err != nil || one.Channel != "shop" || one.Group != "" {
		t.Errorf("of a channel: %d %s", rec.Code, rec.Body)
	}
}

// TestAsOfALaggingStore: what Redis has not taken in yet is told by the log.
func TestAsOfALaggingStore(t *testing.T) {
	p := newProved(t)
	now := p.now
	p.now = now.Add(-24 * time.Hour)
	p.flog.recs = slices.DeleteFunc(p.flog.recs, func(rec *stream.Record) bool { return rec.Timestamp.After(p.now) })
	p.flog.end = int64(len(p.flog.recs))
	p.mini.FlushAll()
	p.reader.setPartitions(1)
	p.run(t, 10)
	p.now = now
	if read := p.asks(t, "A", "?location=DC2"); read.Locations[0].States["on_hand"] != "4" {
		t.Fatalf("it does not lag: %+v", read)
	}
	var got pastAnswer
	rec := p.get(t, "/v1/atp/A?known_at="+now.Format(time.RFC3339))
	if err := json.Unmarshal(rec.Body.Bytes(), &got); err != nil || len(got.Locations) != 2 || got.Locations[0].States["on_hand"] != "9" || got.Locations[1].States["on_hand"] != "10" {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

// TestClientExplains drives both through the client.
func TestClientExplains(t *testing.T) {
	p := newProved(t)
	called := count(t, p.router)
	c, err := client.New(client.Config{URL: "http://atp.example", HTTP: &http.Client{Transport: direct{p.router}}, Attempts: 1})
	if err != nil {
		t.Fatal(err)
	}
	x, err := c.Explain(t.Context(), client.ExplainQuery{Item: "A", Limit: 2, On: "2026-11-26", Where: client.Where{Location: "DC1"}})
	if err != nil || len(x.Locations) != 1 || len(x.Locations[0].Contributions) != 2 || x.Locations[0].Contributions[1].Document.Number != "s2" || x.Promise.Quantity != "7" {
		t.Errorf("%+v %v", x, err)
	}
	at := p.now.Add(-44 * time.Hour)
	past, err := c.AsOf(t.Context(), client.PastQuery{Item: "A", When: client.When{AsOf: at, KnownAt: p.now.Add(-15 * time.Hour)}})
	if err != nil || past.States["on_hand"] != "13" || past.AsOf != at.Format("2006-01-02T15:04:05.000Z") || len(past.Locations) != 2 {
		t.Errorf("%+v %v", past, err)
	}
	p.forget(t, 8)
	_, err = c.AsOf(t.Context(), client.PastQuery{Item: "A", When: client.When{KnownAt: at}})
	problem := (*client.Problem)(nil)
	if !errors.As(err, &problem) || problem.Code != "log_expired" {
		t.Fatalf("%v", err)
	}
	earliest, err := time.Parse(time.RFC3339, problem.Earliest)
	if err != nil {
		t.Fatal(err)
	}
	if past, err = c.AsOf(t.Context(), client.PastQuery{Item: "A", When: client.When{KnownAt: earliest}}); err != nil || past.States["on_hand"] != "13" {
		t.Errorf("the earliest: %+v %v", past, err)
	}
	if !called["GET /v1/atp/{item}/explain"] {
		t.Error("explain was never called")
	}
}

// forget lets retention take outcomes.
func (p *proved) forget(t *testing.T, before int64) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(p.kafka.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	offsets := kadm.Offsets{}
	offsets.AddOffset(event.TopicOutcomes, 0, before, -1)
	if _, err := kadm.NewClient(cl).DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
}

// TestExplainProblems: what cannot be told is refused by its code, and the log is read
// for a few at a time.
func TestExplainProblems(t *testing.T) {
	p := newProved(t)
	past := p.now.Add(-time.Hour).Format(time.RFC3339)
	want := func(path string, status int, code string) http.Header {
		t.Helper()
		got, b, h := p.problem(t, path)
		if got != status || b.Code != code {
			t.Errorf("%s: %d %s, want %d %s", path, got, b.Code, status, code)
		}
		return h
	}
	for path, tt := range map[string]struct {
		status int
		code   string
	}{
		"/v1/atp/A?as_of=yesterday":                              {400, "bad_time"},
		"/v1/atp/A?known_at=2026-11-24T12:00:01Z":                {400, "bad_time"},
		"/v1/atp/A?as_of=2026-11-01T10:00:00+01:00":              {400, "bad_time"}, // + is a space
		"/v1/atp/A?as_of=1969-11-01T10:00:00Z":                   {400, "bad_time"},
		"/v1/atp/A?as_of=" + past + "&on=2026-12-01":             {400, "conflicting_parameters"},
		"/v1/atp/A?as_of=" + past + "&quantity=2":                {400, "conflicting_parameters"},
		"/v1/atp/A?known_at=" + past + "&quantity=-2":            {400, "bad_quantity"},
		"/v1/atp/A?known_at=" + past + "&fields=atp":             {400, "unknown_parameter"},
		"/v1/atp/A?as_of=" + past + "&as_of=" + past:             {400, "bad_parameter"},
		"/v1/atp/A?as%5Fof=" + past:                              {400, "unknown_parameter"},
		"/v1/atp/A?as_of=" + past + "&group=web&channel=s":       {400, "conflicting_parameters"},
		"/v1/atp/NOPE?as_of=" + past:                             {404, "unknown_item"},
		"/v1/atp/A?location=NOPE&as_of=" + past:                  {404, "unknown_location"},
		"/v1/atp/A?group=NOPE&as_of=" + past:                     {404, "unknown_group"},
		"/v1/atp/A?channel=NOPE&as_of=" + past:                   {404, "unknown_channel"},
		"/v1/atp/A/explain?limit=0":                              {400, "bad_parameter"},
		"/v1/atp/A/explain?limit=10001":                          {400, "bad_parameter"},
		"/v1/atp/A/explain?fields=atp":                           {400, "unknown_parameter"},
		"/v1/atp/A/explain?on=2026-12-01&as_of=" + past:          {400, "conflicting_parameters"},
		"/v1/atp/A/explain?on=2026-11-01":                        {400, "day_past"},
		"/v1/atp/A/explain?location=DC1&group=web":               {400, "conflicting_parameters"},
		"/v1/atp/NOPE/explain":                                   {404, "unknown_item"},
		"/v1/atp/batch/explain":                                  {404, "unknown_item"},
		"/v1/atp/A/explain?location=NOPE":                        {404, "unknown_location"},
		"/v1/atp/A/explain?location=NOPE&known_at=" + past:       {404, "unknown_location"},
		"/v1/atp/A/explain?channel=NOPE":                         {404, "unknown_channel"},
		"/v1/atp/" + strings.Repeat("x", 256) + "/explain":       {400, "bad_item"},
		"/v1/atp/" + strings.Repeat("x", 256) + "?as_of=" + past: {400, "bad_item"},
	} {
		want(path, tt.status, tt.code)
	}
	pr := p.api.prover
	pr.cfg.MaxRecords = 2
	want("/v1/atp/A/explain", 422, "too_costly")
	want("/v1/atp/A?as_of="+past, 422, "too_costly")
	pr.cfg = DefaultExplain()

	// The log is read for two at a time, and of one caller for one.
	p.admits(t, &Config{Keys: []Key{{"a", hashed("a")}, {"b", hashed("b")}, {"c", hashed("c")}}})
	a, bad := pr.enter("key:a")
	if bad != nil {
		t.Fatal(bad)
	}
	if code, b, h := p.problem(t, "/v1/atp/A/explain", "X-Api-Key", "a"); code != 429 || b.Code != "too_many_explains" || h.Get("Retry-After") != "1" {
		t.Errorf("two of one caller: %d %+v %v", code, b, h)
	}
	if rec := p.get(t, "/v1/atp/A/explain", "X-Api-Key", "b"); rec.Code != 200 {
		t.Errorf("of another: %d %s", rec.Code, rec.Body)
	}
	b, bad := pr.enter("key:b")
	if bad != nil {
		t.Fatal(bad)
	}
	if code, b, h := p.problem(t, "/v1/atp/A?as_of="+past, "X-Api-Key", "c"); code != 503 || b.Code != "explain_busy" || h.Get("Retry-After") != "2" {
		t.Errorf("three at a time: %d %+v %v", code, b, h)
	}
	// Reads do not wait for them.
	if rec := p.get(t, "/v1/atp/A", "X-Api-Key", "a"); rec.Code != 200 {
		t.Errorf("a read: %d %s", rec.Code, rec.Body)
	}
	a()
	b()
	if rec := p.get(t, "/v1/atp/A/explain", "X-Api-Key", "a"); rec.Code != 200 || len(pr.of) != 0 || pr.open != 0 {
		t.Errorf("after they left: %d %s", rec.Code, rec.Body)
	}
	p.admits(t, &Config{})

	p.forget(t, 8)
	code, body, _ := p.problem(t, "/v1/atp/A/explain?as_of="+past)
	if code != 410 || body.Code != "log_expired" {
		t.Errorf("%d %+v", code, body)
	}
	if told := p.explain(t, ""); !strings.Contains(told.Incomplete, "retention") || len(told.Differences) > 0 || told.Promise.Quantity != p.asks(t, "A", "").ATP {
		t.Errorf("after retention: %+v", told)
	}

	// A record that is none, and a log that does not answer.
	producer, err := stream.NewProducer(p.kafka)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	if err := producer.Produce(t.Context(), &stream.Record{Topic: event.TopicOutcomes, Key: []byte("acme|A"), Value: []byte("none")}); err != nil {
		t.Fatal(err)
	}
	want("/v1/atp/A/explain", 500, "unreadable_log")
	want("/v1/atp/A?known_at="+past, 500, "unreadable_log")
	p.cluster.Close()
	pr.cfg.Timeout = 200 * time.Millisecond
	want("/v1/atp/A/explain", 503, "explain_timeout")
	bad = unexplained(context.Background(), errors.New("refused"))
	if bad.status != 503 || bad.code != "log_unavailable" {
		t.Errorf("%+v", bad)
	}
	p.api.prover = nil
	want("/v1/atp/A/explain", 503, "log_unavailable")
	want("/v1/atp/A?as_of="+past, 503, "log_unavailable")
}

// TestExplainMatrix: who may ask for proofs and for the past, of what; a refusal says the
// same of what is there and of what is not, without a look at the log.
func TestExplainMatrix(t *testing.T) {
	p := newProved(t)
	p.admits(t, &Config{
		Keys: []Key{{"old", hashed("old")}},
		Access: policy.Access{Principals: []policy.Principal{
			principal("read", "atp:read"), principal("explain", "atp:explain"), principal("acme", "atp:explain:entity=acme", "atp:read:entity=acme"),
			principal("shop", "atp:explain:channel=shop", "atp:read:channel=shop"), principal("dc1", "atp:explain:location=DC1", "atp:read:location=DC1"),
			principal("booker", "reservations:write"), principal("sender", "messages:write"),
			principal("both", "atp:explain:location=DC1", "atp:explain:location=DC2"),
		}},
	})
	every := []string{"", "?channel=shop", "?location=DC1", "?location=DC2", "?group=web", "?entity=other", "?location=NOPE", "?entity=NOPE", "?channel=NOPE"}
	found := map[string]bool{"": true, "?channel=shop": true, "?location=DC1": true, "?location=DC2": true, "?group=web": true, "?entity=other": true}
	acme := slices.DeleteFunc(slices.Clone(every), func(q string) bool { return strings.Contains(q, "entity=") })
	for _, who := range []struct {
		name          string
		explain, past []string
	}{
		{"old", every, every},
		{"read", nil, every},
		{"explain", every, nil},
		{"acme", acme, acme},
		{"shop", []string{"?channel=shop"}, []string{"?channel=shop"}},
		{"dc1", []string{"?location=DC1"}, []string{"?location=DC1"}},
		{"booker", nil, nil},
		{"sender", nil, nil},
		{"nobody", nil, nil},
	} {
		refused := map[string]bool{}
		for _, q := range every {
			as := "&as_of=2026-11-24T00:00:00Z"
			if q == "" {
				as = "?" + as[1:]
			}
			for path, may := range map[string][]string{"/v1/atp/A/explain" + q: who.explain, "/v1/atp/A/explain" + q + as: who.explain, "/v1/atp/A" + q + as: who.past} {
				rec := p.get(t, path, "X-Api-Key", who.name)
				switch {
				case !slices.Contains(may, q):
					if refused[rec.Body.String()] = true; rec.Code != 403 && (who.name != "nobody" || rec.Code != 401) {
						t.Errorf("%s, %s: %d %s", who.name, path, rec.Code, rec.Body)
					}
				case found[q] != (rec.Code == 200):
					t.Errorf("%s, %s: %d %s", who.name, path, rec.Code, rec.Body)
				}
			}
		}
		if len(refused) > 1 {
			t.Errorf("%s is refused in several ways: %v", who.name, refused)
		}
	}
	// Of a channel the numbers are told, not the documents of others beside its own; of a
	// location nothing of other locations.
	shop := p.explain(t, "?channel=shop", "X-Api-Key", "shop")
	if l := shop.Locations; !shop.Withheld || len(l) != 1 || l[0].States["on_hand"] != "9" || len(l[0].Contributions)+len(l[0].Claims)+len(l[0].Supply)+len(shop.Others) > 0 || shop.Promise == nil {
		t.Errorf("a channel is told %+v", shop)
	}
	if body := p.get(t, "/v1/atp/A/explain?channel=shop", "X-Api-Key", "shop").Body.String(); strings.Contains(body, "raw-") || strings.Contains(body, "1001") || strings.Contains(body, "DC2") {
		t.Errorf("a channel is told %s", body)
	}
	dc1 := p.explain(t, "?location=DC1", "X-Api-Key", "dc1")
	if dc1.Withheld || len(dc1.Locations) != 1 || len(dc1.Locations[0].Contributions) == 0 || len(dc1.Others) > 0 {
		t.Errorf("a location is told %+v", dc1)
	}
	// The transfer to DC2 names it to whoever may be told of it alone.
	for who, to := range map[string]string{"dc1": "in_transit", "both": "DC2/in_transit", "explain": "DC2/in_transit", "acme": "DC2/in_transit"} {
		cs := p.explain(t, "?location=DC1", "X-Api-Key", who).Locations[0].Contributions
		if m := cs[len(cs)-1].Moves[0]; m.Type != "transfer_out" || m.From != "DC1/on_hand" || m.To != to || m.Quantity != "3" {
			t.Errorf("%s is told of a transfer: %+v", who, m)
		}
	}
	if body := p.get(t, "/v1/atp/A/explain?location=DC1", "X-Api-Key", "dc1").Body.String(); strings.Contains(body, "DC2") {
		t.Errorf("a location is told %s", body)
	}
	p.cluster.Close()
	if code, b, _ := p.problem(t, "/v1/atp/A/explain?location=DC2", "X-Api-Key", "dc1"); code != 403 || b.Code != "insufficient_scope" {
		t.Errorf("refused after a look at the log: %d %+v", code, b)
	}
}

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/audit"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/simulate/road"
	"github.com/stockweave/stockweave/pkg/stream"
)

// platform is all of it, with its command line.
type platform struct {
	*stage
	console
}

// console is the command line of a configuration file.
type console struct{ file string }

// consoleOf writes down where the log is and, where there is one, Redis.
func consoleOf(t *testing.T, brokers, addresses []string) console {
	t.Helper()
	text, err := json.Marshal(map[string]any{"kafka": map[string]any{"brokers": brokers}, "redis": map[string]any{"addresses": addresses}})
	if err != nil {
		t.Fatal(err)
	}
	return console{written(t, "config.yaml", string(text))} // JSON is YAML
}

func (c console) run(ctx context.Context, args []string, out, errs io.Writer) int {
	return run(ctx, slices.Concat(args, []string{"--config", c.file}), out, errs)
}

// staged is the whole platform after the shipped scenario.
func staged(t *testing.T) *platform {
	t.Helper()
	st, play := toPlay(t)
	if err := play(); err != nil {
		t.Fatal(err)
	}
	return st
}

// toPlay is the whole platform before it.
func toPlay(t *testing.T, change ...func(*stage)) (p *platform, play func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	s, err := road.Load(shippedScenario, shippedPolicies)
	if err != nil {
		t.Fatal(err)
	}
	st, err := startStage(ctx, s, slog.New(slog.DiscardHandler), change...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = st.stop() })
	p = &platform{st, consoleOf(t, st.cfg.Kafka.Brokers, st.cfg.Redis.Addresses)}
	return p, func() error { return (&player{scenario: s, stage: st, out: io.Discard}).play(ctx) }
}

type auditAnswer struct {
	audit.Report
	First *audit.Finding `json:"first"`
	Clean bool           `json:"clean"`
}

func (p *platform) audit(t *testing.T) (auditAnswer, int) {
	t.Helper()
	var out, errs bytes.Buffer
	code := p.run(t.Context(), []string{"audit", "--json"}, &out, &errs)
	var a auditAnswer
	if err := json.Unmarshal(out.Bytes(), &a); err != nil {
		t.Fatalf("%v: %s%s", err, out.String(), errs.String())
	}
	return a, code
}

// What the services made of the scenario audits clean, up to every field of Redis.
func TestAuditOfTheDemoIsClean(t *testing.T) {
	t.Parallel()
	st := staged(t)
	deadline := time.Now().Add(20 * time.Second)
	for {
		a, code := st.audit(t)
		if a.First != nil || len(a.Incomplete) > 0 || code != exitOK || !a.Clean {
			t.Fatalf("exit %d, first %+v, incomplete %q", code, a.First, a.Incomplete)
		}
		if a.Moved == 0 && a.Waiting == 0 {
			if a.Events < 20 || a.Positions == 0 || a.CacheFields != a.Positions || a.Controls == 0 {
				t.Errorf("%+v", a)
			}
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("never at rest: %+v", a)
		}
	}
	var out, errs bytes.Buffer
	if code := st.run(t.Context(), []string{"audit"}, &out, &errs); code != exitOK || !strings.Contains(out.String(), "all that was checked is right") || !strings.Contains(out.String(), "not checked 4: reservations") {
		t.Errorf("exit %d: %s%s", code, out.String(), errs.String())
	}
	errs.Reset()
	if code := run(t.Context(), []string{"audit", "--help"}, &out, &errs); code != exitOK || !strings.Contains(errs.String(), "exits with 0") {
		t.Errorf("exit %d: %s", code, errs.String())
	}
}

// An audit beside services at work calls nothing wrong that is only on its way.
func TestAuditBesideWork(t *testing.T) {
	st, play := toPlay(t)
	done := make(chan error, 1)
	go func() { done <- play() }()
	for n := 0; ; n++ {
		if a, code := st.audit(t); a.First != nil || code == exitFailed {
			t.Fatalf("audit %d: exit %d, first %+v", n, code, a.First)
		}
		select {
		case err := <-done:
			if err != nil || n < 2 {
				t.Fatalf("after %d audits: %v", n, err)
			}
			return
		default:
		}
	}
}

// Damage done to what the services wrote is found and named, and exits with 1.
func TestAuditNamesDamage(t *testing.T) {
	t.Parallel()
	st := staged(t)
	codecs, err := loadCodecs(t.Context(), st.cfg.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	rdb := redis.NewClient(&redis.Options{Addr: st.cfg.Redis.Addresses[0]})
	defer rdb.Close()
	key := "acme|SKU-1"
	partition := stream.Partition([]byte(key), 6)
	redisKey := fmt.Sprintf("sw:{p%d}:i:%s", partition, key)
	location, value := "", ""
	for l, v := range rdb.HGetAll(t.Context(), redisKey).Val() {
		location, value = l, v // one of them will do
	}
	damaged := []byte(value)
	var p inventory.Position
	if err := codecs.DecodePosition(damaged[audit.VersionDigits:], &p); err != nil {
		t.Fatalf("reading %s from Redis: %v", key, err)
	}
	p.States[inventory.Damaged] += inventory.One
	body, err := codecs.AppendPosition(nil, &p)
	if err != nil {
		t.Fatal(err)
	}
	if err := rdb.HSet(t.Context(), redisKey, location, value[:audit.VersionDigits]+string(body)).Err(); err != nil {
		t.Fatal(err)
	}
	want := func(check string, event string) {
		t.Helper()
		a, code := st.audit(t)
		if code != exitFailed || a.First == nil || a.First.Check != check || a.First.EventID != event || a.First.Partition != partition || a.Bad != 1 {
			t.Fatalf("exit %d, first %+v, want %s of %s", code, a.First, check, event)
		}
	}
	want(audit.CacheDiffers, p.EventID)
	var out, errs bytes.Buffer
	if code := st.run(t.Context(), []string{"audit"}, &out, &errs); code != exitFailed || !strings.Contains(out.String(), "FIRST BAD   invariant 3, cache_differs: "+event.TopicEvents) {
		t.Errorf("exit %d: %s", code, out.String())
	}
	if err := rdb.HSet(t.Context(), redisKey, location, value).Err(); err != nil {
		t.Fatal(err)
	}
	if _, code := st.audit(t); code != exitOK {
		t.Fatalf("exit %d after repair", code)
	}

	// A second outcome of an event, as a writer without a fence would append it.
	st.tail.Lock()
	first := st.tail.Outcomes[len(st.tail.Outcomes)-1]
	st.tail.Unlock()
	body, err = codecs.AppendOutcome(nil, &first)
	if err != nil {
		t.Fatal(err)
	}
	producer, err := stream.NewProducer(st.cfg.Kafka, stream.WithOwnPartition())
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	err = producer.Produce(t.Context(), &stream.Record{Topic: event.TopicOutcomes, Partition: first.Partition, Key: []byte(first.Key.String()), Value: body})
	if err != nil {
		t.Fatal(err)
	}
	partition = first.Partition
	want(audit.DoubledOutcome, first.EventID)
}

// Where retention has taken the head of the audit trail, the audit says so, calls
// nothing wrong, and exits with 3.
func TestAuditOfHalfALogIsIncomplete(t *testing.T) {
	t.Parallel()
	st := staged(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(st.cfg.Kafka.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	offsets := kadm.Offsets{}
	offsets.AddOffset(event.TopicOutcomes, stream.Partition([]byte("acme|SKU-1"), 6), 3, -1)
	if _, err := kadm.NewClient(client).DeleteRecords(t.Context(), offsets); err != nil {
		t.Fatal(err)
	}
	a, code := st.audit(t)
	if code != exitPart || a.First != nil || a.Clean || len(a.Incomplete) != 1 || !strings.Contains(a.Incomplete[0], "deleted by retention") {
		t.Errorf("exit %d, first %+v, incomplete %q", code, a.First, a.Incomplete)
	}
}

package main

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/canonicalizer"
)

// canonicalize runs the service beside the ledger until stop is called.
func (l *lone) canonicalize() (stop func()) {
	l.t.Helper()
	set, err := policy.Load(shippedPolicies)
	if err != nil {
		l.t.Fatal(err)
	}
	cfg := canonicalizer.DefaultConfig()
	cfg.Kafka, cfg.Codecs, cfg.Policies = l.cfg.Kafka, l.codecs, set
	tasks, err := canonicalizer.Build(l.t.Context(), cfg, service.Env{
		Name: "canonicalizer", Log: cfg.Kafka.Log, Metrics: prometheus.NewRegistry(), Health: &service.Health{}, Now: time.Now,
	})
	if err != nil {
		l.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- service.Run(ctx, tasks...) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			l.t.Error(err)
		}
	}
}

func (l *lone) message(topic string, source inventory.Source, id string, at inventory.Instant, body string) {
	l.t.Helper()
	raw := &event.RawMessage{ID: id, Source: source, Body: []byte(body), ReceivedAt: at}
	add := l.codecs.AppendRaw
	if topic == event.TopicRawBulk {
		add = l.codecs.AppendRawBulk
	}
	value, err := add(nil, raw)
	if err != nil {
		l.t.Fatal(err)
	}
	l.produce(&stream.Record{Topic: topic, Key: []byte(event.StreamKey(source, "")), Value: value})
}

// until waits for a command to succeed and say something.
func (l *lone) until(say string, args ...string) string {
	l.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		var out strings.Builder
		code := l.run(l.t.Context(), args, &out, &out)
		if code == exitOK && strings.Contains(out.String(), say) {
			return out.String()
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("%v never said %q:\n%s", args, say, out.String())
		}
	}
}

// letters are the dead letters of the canonicalizer.
func (l *lone) letters() (out []event.DeadLetter) {
	l.t.Helper()
	reads := l.reads()
	defer reads.Close()
	_, partitions, err := reads.Topic(l.t.Context(), event.TopicDeadCanonicalizer)
	if err != nil {
		l.t.Fatal(err)
	}
	for p := range partitions {
		if _, err := reads.Fold(l.t.Context(), event.TopicDeadCanonicalizer, p, func(rec *stream.Record) error {
			var d event.DeadLetter
			err := l.codecs.DecodeDeadLetter(rec.Value, &d)
			out = append(out, d)
			return err
		}); err != nil {
			l.t.Fatal(err)
		}
	}
	return out
}

// Lines that wait for master data are listed, run again by a person's word without
// anything coming of it while what they miss is missing, and are given up by name.
func TestParkedLines(t *testing.T) {
	t.Parallel()
	l := newLone(t, 10)
	defer l.start()()
	defer l.canonicalize()()
	l.command(exitOK, "0 lines wait", "parked", "list")
	l.command(exitFailed, "no such line waits", "parked", "retry")
	const at = 1_790_000_000_000
	l.message(event.TopicRaw, "master-items", "m1", at, "item,description,base_unit,indivisible\nSKU-1,seen,EA,no\n")
	l.message(event.TopicRaw, "master-locations", "m2", at, "location,description,class,time_zone,valued,publishable,receipt_to,aliases\nDC1,Central,dc,UTC,yes,yes,,\n")
	l.message(event.TopicRaw, "wms-count", "r1", at, "count_id,sku,quantity,unit\nC,GHOST,3,\nC,OTHER,4,\n")
	l.message(event.TopicRaw, "wms-count", "r2", at, "count_id,sku,quantity,unit\nC,GHOST,5,\n")
	out := l.until("3 lines wait: 3 for items, 0 for locations, 0 for units", "parked", "list")
	if !strings.Contains(out, "no item is known under sku GHOST") || !strings.Contains(out, "unknown_item") {
		t.Errorf("listed\n%s", out)
	}
	var listed []waitingJSON
	for line := range strings.Lines(l.command(exitOK, "", "parked", "list", "--json")) {
		var x waitingJSON
		if err := json.Unmarshal([]byte(line), &x); err != nil {
			t.Fatal(err, line)
		}
		listed = append(listed, x)
	}
	if len(listed) != 3 || listed[0].RawID != "r1" || listed[0].Line != 1 || listed[1].Line != 2 || listed[2].RawID != "r2" || listed[0].Source != "wms-count" ||
		listed[0].Missing != "item:sku:GHOST" || listed[0].Since == "-" || !strings.Contains(string(listed[0].Tree), "GHOST") || listed[0].Event == "" {
		t.Errorf("listed %+v", listed)
	}
	l.command(exitOK, "2 lines wait", "parked", "list", "--missing", "item:sku:GHOST")
	l.command(exitOK, "0 lines wait", "parked", "list", "--source", "shop")

	l.command(exitOK, "3 lines of 1 sources are sent to be run again", "parked", "retry", "--source", "wms-count")
	l.command(exitFailed, "no such line waits", "parked", "retry", "nokey")
	l.command(exitMisuse, "--author and --note", "parked", "drop", listed[1].Key)
	l.command(exitMisuse, "--author and --note", "parked", "drop", listed[1].Key, "--author", "ann", "--note", " ")
	l.command(exitMisuse, "which lines?", "parked", "drop", "--author", "ann", "--note", "why")
	l.command(exitOK, "1 lines of 1 sources are sent to be dropped", "parked", "drop", listed[1].Key, "--author", "ann", "--note", "a test of theirs")
	l.until("2 lines wait", "parked", "list")
	all := l.letters()
	if len(all) != 1 || all[0].Code != "dropped" || !strings.HasPrefix(all[0].Reason, "ann: a test of theirs (it waited: ") || all[0].RawID != "r1" || all[0].Line != 2 || len(all[0].Value) == 0 {
		t.Errorf("letters %+v", all)
	}

	// What was missing comes, and those that were not given up run by themselves.
	l.message(event.TopicRaw, "master-items", "m3", at, "item,description,base_unit,indivisible\nGHOST,seen,EA,no\nOTHER,seen,EA,no\n")
	l.until("0 lines wait", "parked", "list")
	if n := len(l.letters()); n != 1 {
		t.Errorf("%d letters", n)
	}
	reads := l.reads()
	defer reads.Close()
	var items []string
	for p := range int32(6) {
		if _, err := reads.Fold(t.Context(), event.TopicEvents, p, func(rec *stream.Record) error {
			if key := string(rec.Key); strings.HasPrefix(key, "acme|") {
				items = append(items, key)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if !slices.Equal(items, []string{"acme|GHOST", "acme|GHOST"}) {
		t.Errorf("events of %v", items)
	}
}

package canonicalizer

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/follow"
	"github.com/stockweave/stockweave/pkg/stream"
)

// published are the records that put one version of a source in force, beside the
// sources of master data.
func (k *kafka) published(t *testing.T, version int64, yaml string) []*stream.Record {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "sources")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "live.yaml")
	if err := os.WriteFile(file, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	live, err := policy.LoadSource(file)
	if err != nil {
		t.Fatal(err)
	}
	set := load(t, shipped)
	var out []*stream.Record
	add := func(name string, version int64, content []byte, err error) {
		var value []byte
		if err == nil {
			value, err = k.codecs.AppendPolicy(nil, &event.PolicyContent{Name: name, Version: version, Content: content})
		}
		if err != nil {
			t.Fatal(err)
		}
		// One partition, so that a source comes before the list.
		out = append(out, &stream.Record{Topic: event.TopicPolicies, Key: fmt.Appendf(nil, "%s@%d", name, version), Value: value})
	}
	for name, src := range map[inventory.Source]*policy.Source{"live": live, "master-items": set.Sources["master-items"], "master-locations": set.Sources["master-locations"]} {
		n := int64(1)
		if name == "live" {
			n = version
		}
		content, _, err := policy.EncodeSource(src)
		add(policy.SourcePrefix+string(name), n, content, err)
	}
	content, _, err := policy.EncodeSources(map[inventory.Source]int64{"live": version, "master-items": 1, "master-locations": 1})
	add(policy.SourcesName, version, content, err)
	return out
}

func liveSource(version int, more string) string {
	return fmt.Sprintf(`name: live
entity: acme
format: csv
auth: {api_key_env: KEY}
default_location: DC1
time_zone: UTC
balance: {basis: physical, covers: [on_hand]}
mapping_version: "%d"
mapping: |
  .tree as $r
  | [{kind: "count", document: {type: "count v%d", number: $r.id, line: $r.sku}, ids: [{type: "vendor", value: $r.sku}, {type: "sku", value: $r.sku}], quantity: $r.quantity}]
%s`, version, version, more)
}

// ledger is one that has read all that is appended.
func (k *kafka) ledger(t *testing.T) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.cfg.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	adm, ctx := kadm.NewClient(cl), t.Context()
	go func() {
		for look := time.NewTicker(20 * time.Millisecond); ; {
			if ends, err := adm.ListEndOffsets(ctx, event.TopicEvents); err == nil {
				_, _ = adm.CommitOffsets(ctx, "atp", ends.Offsets())
			}
			select {
			case <-look.C:
			case <-ctx.Done():
				return
			}
		}
	}()
}

// An item added to a source's cross-reference lets the lines run again that wait for it,
// without a restart, by what is published and not by the service's own files.
func TestANameAddedLetsLinesRunAgain(t *testing.T) {
	k := newKafka(t)
	publish := func(version int64, more string) {
		t.Helper()
		if err := k.prod.Produce(t.Context(), k.published(t, version, liveSource(1, more))...); err != nil {
			t.Fatal(err)
		}
	}
	k.ledger(t)
	publish(1, "")
	defer k.start(t)()
	k.send(t, "master-items", "m1", sample(t, "master-items.csv"))
	k.send(t, "master-locations", "m2", sample(t, "master-locations.csv"))
	k.await(t, event.TopicReceipts, 2)
	k.send(t, "live", "r1", []byte("id,sku,quantity\nC,V-1,3\nC,V-2,4\nC,SKU-1,5\n"))
	k.await(t, event.TopicParked, 2)
	publish(2, "items: [{type: vendor, value: V-1, item: SKU-2}]\n")
	for _, rec := range k.await(t, event.TopicEvents, 2) {
		var ev inventory.Event
		if err := k.codecs.DecodeEvent(rec.Value, &ev); err != nil {
			t.Fatal(err)
		}
		if want := map[string]inventory.Item{"V-1": "SKU-2", "SKU-1": "SKU-1"}[ev.Document.Line]; ev.Key.Item != want {
			t.Errorf("line %s is of %s, want %q", ev.Document.Line, ev.Key.Item, want)
		}
	}
	recs := k.await(t, event.TopicParked, 3) // and the end of its waiting
	if last := recs[2]; last.Value != nil {
		t.Errorf("the third record is %s", last.Key)
	}
}

// Sources change while messages go on: each message is read by one version, whole, as
// its lines say, and none is lost or read by an older version than the one before it.
func TestSourcesChangeUnderLoad(t *testing.T) {
	const versions, messages = 15, 120
	k := newKafka(t)
	publish := func(version int) {
		t.Helper()
		if err := k.prod.Produce(t.Context(), k.published(t, int64(version), liveSource(version, ""))...); err != nil {
			t.Fatal(err)
		}
	}
	publish(1)
	defer k.start(t)()
	k.send(t, "master-items", "m1", sample(t, "master-items.csv"))
	k.send(t, "master-locations", "m2", sample(t, "master-locations.csv"))
	k.await(t, event.TopicReceipts, 2)
	body := "id,sku,quantity\n"
	for range 50 {
		body += "%[1]d,SKU-1,1\n%[1]d,SKU-2,2\n"
	}
	for n := range messages {
		k.send(t, "live", fmt.Sprintf("r%03d", n), fmt.Appendf(nil, body, n))
		if n%(messages/versions) == 0 {
			publish(n/(messages/versions) + 2)
		}
	}
	k.await(t, event.TopicReceipts, 2+messages)
	of, seen := map[string]string{}, map[string]bool{}
	for _, rec := range k.await(t, event.TopicEvents, 100*messages) {
		var ev inventory.Event
		if err := k.codecs.DecodeEvent(rec.Value, &ev); err != nil {
			t.Fatal(err)
		}
		version := ev.Trace.MappingVersion
		if ev.Document.Type != "count v"+version {
			t.Fatalf("an event of %s is stamped with version %s", ev.Document.Type, version)
		}
		if was := of[ev.Trace.RawID]; was != "" && was != version {
			t.Fatalf("message %s is read by versions %s and %s", ev.Trace.RawID, was, version)
		}
		of[ev.Trace.RawID], seen[version] = version, true
	}
	last := 0
	for n := range messages {
		var now int
		if _, err := fmt.Sscan(of[fmt.Sprintf("r%03d", n)], &now); err != nil || now < last {
			t.Fatalf("message %d is read by version %d after %d, %v", n, now, last, err)
		}
		last = now
	}
	if len(seen) < 3 {
		t.Errorf("only versions %v were in force", seen)
	}
}

// The metric says how many of the sources in force are read by the interpreter.
func TestInterpretedMappingsAreCounted(t *testing.T) {
	own := map[inventory.Source]*sourceProgram{}
	for name, mapping := range map[inventory.Source]string{"a": "[]", "b": "def f: if . == 0 then [] else . - 1 | f end; 3 | f"} {
		own[name] = programOf(t, &policy.Source{Name: name, Format: policy.FormatJSON, MappingVersion: "1", Mapping: mapping})
	}
	live, err := follow.New(follow.Config[*sourceProgram]{Codecs: event.TestCodecs(), Own: own, Prefix: "test"})
	if err != nil {
		t.Fatal(err)
	}
	reg := prometheus.NewRegistry()
	if err := reg.Register(interpretedMappings(live)); err != nil {
		t.Fatal(err)
	}
	if n := testutil.ToFloat64(interpretedMappings(live)); n != 1 {
		t.Errorf("%v mappings", n)
	}
}

// Lines that wait are told of what their source calls things, and of nothing else that
// changes in its file.
func TestRenamed(t *testing.T) {
	src := &policy.Source{Name: "live", Format: policy.FormatJSON, Mapping: "[]", MappingVersion: "1"}
	for name, tc := range map[string]struct {
		change func(*policy.Source)
		runs   bool
	}{
		"description": {func(s *policy.Source) { s.Description = "x" }, false},
		"items":       {func(s *policy.Source) { s.Items = []policy.ItemName{{Type: "sku", Value: "A", Item: "B"}} }, true},
		"units":       {func(s *policy.Source) { s.UnitAliases = map[string]string{"ST": "EA"} }, true},
		"types":       {func(s *policy.Source) { s.IDTypes = map[string][]string{"XX": {"sku"}} }, true},
		"location":    {func(s *policy.Source) { s.DefaultLocation = "DC1" }, true},
	} {
		w := newWaits(10)
		for _, source := range []inventory.Source{"live", "other"} {
			w.put(&waitingLine{key: string(source), source: source}, false)
		}
		changed := *src
		tc.change(&changed)
		h := &handler{waits: w}
		h.renamed("live", programOf(t, src), true, programOf(t, &changed))
		taken := w.take(0, 10, time.Now())
		if runs := len(taken) == 1 && taken[0].key == "live"; runs != tc.runs || len(taken) > 1 {
			t.Errorf("%s: %d lines may run", name, len(taken))
		}
	}
}

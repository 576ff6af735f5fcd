package ingest

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// publishedAccess is a version of access: files by name.
func publishedAccess(t *testing.T, codecs *event.Codecs, version int64, files map[string]string) *stream.Record {
	t.Helper()
	content, err := json.Marshal(map[string]any{"files": files})
	if err != nil {
		t.Fatal(err)
	}
	value, err := codecs.AppendPolicy(nil, &event.PolicyContent{Name: policy.AccessName, Version: version, Content: content})
	if err != nil {
		t.Fatal(err)
	}
	return &stream.Record{Topic: event.TopicPolicies, Key: fmt.Appendf(nil, "access@%d", version), Value: value}
}

// partner is the file of a principal with one key and what else is given.
func partner(key string, more string) map[string]string {
	return map[string]string{"access/partner.yaml": fmt.Sprintf(
		"name: partner\nscopes: [\"messages:write\"]\nkeys: [{id: sw_1, sha256: %q}]\n%s", hashed(key), more)}
}

// Principals, scopes, keys and rates are those published last. What cannot be used changes
// nothing. A key that goes from a principal to a source, or back, opens whatever comes first.
func TestAccessFollowsPolicies(t *testing.T) {
	const a, b = "key-a-0123456789", "key-b-0123456789"
	codecs := event.TestCodecs()
	src := &policy.Source{Name: "erp", Format: policy.FormatJSON, Auth: policy.Auth{Access: true}}
	set := &policy.Set{Sources: map[inventory.Source]*policy.Source{"erp": src}}
	cfg := Config{Codecs: codecs, Getenv: func(string) string { return a }}
	known, err := doors(set, cfg.Getenv, nil)
	if err != nil {
		t.Fatal(err)
	}
	env := service.Env{Log: slog.New(slog.DiscardHandler)}
	p, err := newPorter(set, known, nil, env.Log, func() time.Time { return noon })
	if err != nil {
		t.Fatal(err)
	}
	f, err := newFetcher(&cfg, env, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	live, err := followed(&cfg, env, map[inventory.Source]*way{"erp": {door: known["erp"]}}, p, f, newCrew(cfg.Kafka, env.Log))
	if err != nil {
		t.Fatal(err)
	}
	permits, err := permitted(&cfg, env, p)
	if err != nil {
		t.Fatal(err)
	}
	take := takePolicy(live, permits)
	apply := func(recs ...*stream.Record) {
		t.Helper()
		for _, r := range recs {
			if err := take(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	enter := func(source inventory.Source, key string) string {
		t.Helper()
		r := httptest.NewRequest(http.MethodPost, "/v1/messages/"+string(source), http.NoBody)
		r.Header.Set("X-Api-Key", key)
		v, err := p.admit(http.Header{}, r, source)
		if err != nil {
			return err.(*problem).Code //nolint:errorlint,forcetypeassert // the door answers with nothing else
		}
		v.leave()
		return "in"
	}
	expect := func(step string, source inventory.Source, wantA, wantB string) {
		t.Helper()
		if gotA, gotB := enter(source, a), enter(source, b); gotA != wantA || gotB != wantB {
			t.Errorf("%s: a %s, b %s, want %s, %s", step, gotA, gotB, wantA, wantB)
		}
	}
	loadPolicy(live, permits)
	expect("nobody", "erp", "bad_key", "bad_key")
	apply(publishedAccess(t, codecs, 1, partner(a, "")))
	expect("published", "erp", "in", "bad_key")
	apply(publishedAccess(t, codecs, 2, partner(b, "")))
	expect("revoked, and the next key", "erp", "bad_key", "in")
	apply(publishedAccess(t, codecs, 3, map[string]string{"access/partner.yaml": strings.Replace(partner(a, "")["access/partner.yaml"], "messages:write", "messages:read", 1)}))
	expect("a scope that is none: the one before goes on", "erp", "bad_key", "in")
	if why := permits.Refused()[policy.AccessName]; !strings.Contains(why, "access/partner.yaml") || strings.Contains(why, hashed(a)) {
		t.Errorf("refused: %q", why)
	}
	apply(publishedAccess(t, codecs, 4, partner(b, "rate: {per_second: 0.001, burst: 1}\n")))
	expect("mended, with a rate", "erp", "bad_key", "in")
	expect("the rate is used up", "erp", "bad_key", "rate_limited")
	apply(publishedAccess(t, codecs, 5, partner(b, "")))
	expect("without a rate", "erp", "bad_key", "in")

	// The source wms has the key a itself.
	apply(publishedAccess(t, codecs, 6, partner(a, "")))
	apply(publishedDoor(t, codecs, 1, "KEY")...)
	expect("a principal has it still: the list is refused", "erp", "in", "bad_key")
	if live.Refused()["*"] == "" {
		t.Error("the list is not refused")
	}
	apply(publishedAccess(t, codecs, 7, partner(b, "")))
	if got := enter("wms", a); got != "in" || len(live.Refused()) != 0 {
		t.Errorf("the key went from the principal to the source: %s, %v", got, live.Refused())
	}
	apply(publishedAccess(t, codecs, 8, partner(a, "")))
	if got := enter("wms", b); got != "in" || permits.Refused() == nil {
		t.Errorf("the source has it still: %s, %v", got, permits.Refused())
	}
	none, _, err := policy.EncodeSources(map[inventory.Source]int64{})
	if err != nil {
		t.Fatal(err)
	}
	value, err := codecs.AppendPolicy(nil, &event.PolicyContent{Name: policy.SourcesName, Version: 2, Content: none})
	if err != nil {
		t.Fatal(err)
	}
	apply(&stream.Record{Value: value})
	if got := p.hall.Load().guard; got == nil || permits.Refused() != nil {
		t.Errorf("the key went back: %v", permits.Refused())
	}
	expect("no source", "erp", "insufficient_scope", "bad_key")
}

// A key that is revoked is refused by a running service at once, without a restart.
func TestRevokedKeyIsRefusedSoon(t *testing.T) {
	codecs := event.TestCodecs()
	set := wirePolicies()
	set.Sources["erp"] = &policy.Source{Name: "erp", Entity: "acme", Format: policy.FormatJSON, Auth: policy.Auth{Access: true}}
	set.Access = policy.Access{Principals: []policy.Principal{{Name: "partner", Keys: []policy.PrincipalKey{{SHA256: hashed("first")}}, Scopes: []string{"messages:write"}}}}
	w := newWire(t, set, hookEnv)
	producer, err := stream.NewProducer(w.kafka)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	sent := func(key string) int {
		status, _, _ := w.send(t, "/v1/messages/erp", strings.NewReader("{}"), "X-Api-Key", key)
		return status
	}
	if first, second := sent("first"), sent("second"); first != http.StatusAccepted || second != http.StatusUnauthorized {
		t.Fatalf("at the start %d, %d", first, second)
	}
	if err := producer.Produce(t.Context(), publishedAccess(t, codecs, 1, partner("second", ""))); err != nil {
		t.Fatal(err)
	}
	// A second is what is promised; the machine may be busy.
	since := time.Now()
	for sent("first") != http.StatusUnauthorized {
		if time.Since(since) > 5*time.Second {
			t.Fatal("the key still opens")
		}
	}
	t.Logf("refused after %v", time.Since(since))
	if got := sent("second"); got != http.StatusAccepted {
		t.Errorf("the next key: %d", got)
	}
	if status, _, _ := w.send(t, "/v1/messages/events", strings.NewReader(`{"id":1}`)); status != http.StatusAccepted {
		t.Errorf("a source's own key: %d", status)
	}
}

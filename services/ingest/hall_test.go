package ingest

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// publishedDoor is a version of a source that takes the key in an environment variable.
func publishedDoor(t *testing.T, codecs *event.Codecs, version int64, env string) []*stream.Record {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "sources")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := fmt.Sprintf("name: wms\nentity: acme\nformat: json\nauth: {api_key_env: %s}\nmapping_version: \"%d\"\nmapping: \"[]\"\n", env, version)
	if err := os.WriteFile(filepath.Join(dir, "wms.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	src, err := policy.LoadSource(filepath.Join(dir, "wms.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	content, _, err := policy.EncodeSource(src)
	if err != nil {
		t.Fatal(err)
	}
	list, _, err := policy.EncodeSources(map[inventory.Source]int64{"wms": version})
	if err != nil {
		t.Fatal(err)
	}
	var out []*stream.Record
	for _, c := range []event.PolicyContent{
		{Name: policy.SourcePrefix + "wms", Version: version, Content: content}, {Name: policy.SourcesName, Version: version, Content: list},
	} {
		value, err := codecs.AppendPolicy(nil, &c)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, &stream.Record{Key: []byte(c.Name), Value: value})
	}
	return out
}

// Sources change while requests come in: each request is judged by one version, with
// the secrets of that version; a broken one changes nothing; one taken off is closed.
func TestDoorsFollowPolicies(t *testing.T) {
	secrets := map[string]string{"KEY_A": "key-a-0123456789", "KEY_B": "key-b-0123456789"}
	codecs := event.TestCodecs()
	set := &policy.Set{Sources: map[inventory.Source]*policy.Source{}}
	p, err := newPorter(set, map[inventory.Source]*door{}, nil, slog.New(slog.DiscardHandler), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Codecs: codecs, Getenv: func(k string) string { return secrets[k] }}
	env := service.Env{Log: slog.New(slog.DiscardHandler)}
	f, err := newFetcher(&cfg, env, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	live, err := followed(&cfg, env, map[inventory.Source]*way{}, p, f, newCrew(cfg.Kafka, env.Log))
	if err != nil {
		t.Fatal(err)
	}
	live.Loaded()
	apply := func(recs []*stream.Record) {
		t.Helper()
		for _, r := range recs {
			if err := live.Apply(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	opens := func(key string) bool {
		r := httptest.NewRequest(http.MethodPost, "/v1/messages/wms", http.NoBody)
		r.Header.Set("X-Api-Key", key)
		v, err := p.admit(http.Header{}, r, "wms")
		if err == nil {
			v.leave()
		}
		return err == nil
	}
	expect := func(step string, a, b bool) {
		t.Helper()
		if gotA, gotB := opens(secrets["KEY_A"]), opens(secrets["KEY_B"]); gotA != a || gotB != b {
			t.Errorf("%s: a opens %v, b opens %v", step, gotA, gotB)
		}
	}
	expect("no source", false, false)
	apply(publishedDoor(t, codecs, 1, "KEY_A"))
	expect("published", true, false)
	apply(publishedDoor(t, codecs, 2, "KEY_MISSING"))
	expect("a secret that is not there: the version before goes on", true, false)
	if why := live.Refused()["wms"]; !strings.Contains(why, "KEY_MISSING") {
		t.Errorf("refused: %v", live.Refused())
	}
	versions := [][]*stream.Record{}
	for v := int64(3); v < 40; v++ {
		versions = append(versions, publishedDoor(t, codecs, v, []string{"KEY_A", "KEY_B"}[v%2]))
	}
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for range 3 {
		senders.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					opens(secrets["KEY_A"])
					opens("nobody's")
				}
			}
		})
	}
	for _, recs := range versions {
		apply(recs)
		if a, b := opens(secrets["KEY_A"]), opens(secrets["KEY_B"]); a == b {
			t.Error("both keys, or none, open it")
		}
	}
	close(stop)
	senders.Wait()
	none, _, err := policy.EncodeSources(map[inventory.Source]int64{})
	if err != nil {
		t.Fatal(err)
	}
	value, err := codecs.AppendPolicy(nil, &event.PolicyContent{Name: policy.SourcesName, Version: 99, Content: none})
	if err != nil {
		t.Fatal(err)
	}
	apply([]*stream.Record{{Value: value}})
	expect("taken off", false, false)
	if _, ok := live.Last("wms"); !ok {
		t.Error("what it sent is not known any more")
	}
}

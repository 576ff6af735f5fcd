package follow_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/follow"
	"github.com/stockweave/stockweave/pkg/stream"
)

// published makes records of policies.v1.
type published struct {
	t      *testing.T
	codecs *event.Codecs
}

func (p published) record(name string, version int64, content []byte) *stream.Record {
	p.t.Helper()
	value, err := p.codecs.AppendPolicy(nil, &event.PolicyContent{Name: name, Version: version, Content: content})
	if err != nil {
		p.t.Fatal(err)
	}
	return &stream.Record{Key: fmt.Appendf(nil, "%s@%d", name, version), Value: value}
}

func (p published) source(name string, version int64, mapping string) *stream.Record {
	p.t.Helper()
	dir := filepath.Join(p.t.TempDir(), "sources")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Fatal(err)
	}
	file := filepath.Join(dir, name+".yaml")
	text := fmt.Sprintf("name: %s\nentity: acme\nformat: json\nauth: {api_key_env: KEY}\nmapping_version: \"%d\"\nmapping: %q\n", name, version, mapping)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		p.t.Fatal(err)
	}
	src, err := policy.LoadSource(file)
	if err != nil {
		p.t.Fatal(err)
	}
	content, _, err := policy.EncodeSource(src)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.record(policy.SourcePrefix+name, version, content)
}

func (p published) list(version int64, sources map[inventory.Source]int64) *stream.Record {
	p.t.Helper()
	content, _, err := policy.EncodeSources(sources)
	if err != nil {
		p.t.Fatal(err)
	}
	return p.record(policy.SourcesName, version, content)
}

type ready struct{ name, version, mapping string }

var errBroken = errors.New("it does not compile")

func prepare(src *policy.Source) (ready, error) {
	if strings.Contains(src.Mapping, "broken") {
		return ready{}, errBroken
	}
	return ready{string(src.Name), src.MappingVersion, src.Mapping}, nil
}

func newSources(t *testing.T, log *slog.Logger, metrics prometheus.Registerer) *follow.Sources[ready] {
	t.Helper()
	s, err := follow.New(follow.Config[ready]{
		Codecs: event.TestCodecs(), Log: log, Prepare: prepare, Metrics: metrics, Prefix: "test",
		Own: map[inventory.Source]ready{"wms": {"wms", "own", "."}, "old": {"old", "own", "."}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func apply(t *testing.T, s *follow.Sources[ready], recs ...*stream.Record) {
	t.Helper()
	for _, r := range recs {
		if err := s.Apply(r); err != nil {
			t.Fatal(err)
		}
	}
}

// what is a source's version now, and its last one.
func what(s *follow.Sources[ready], name inventory.Source) string {
	now, ok := s.Get(name)
	last, was := s.Last(name)
	out := "-"
	if ok {
		out = now.version
	}
	if !was {
		return out + "/-"
	}
	return out + "/" + last.version
}

func TestSources(t *testing.T) {
	p := published{t, event.TestCodecs()}
	var logged strings.Builder
	metrics := prometheus.NewRegistry()
	s := newSources(t, slog.New(slog.NewTextHandler(&logged, nil)), metrics)
	expect := func(step string, want map[inventory.Source]string) {
		t.Helper()
		for name, w := range want {
			if got := what(s, name); got != w {
				t.Errorf("%s: %s is %s, want %s", step, name, got, w)
			}
		}
	}
	s.Loaded()
	expect("nothing published: the files", map[inventory.Source]string{"wms": "own/own", "new": "-/-"})

	apply(t, s, p.source("wms", 1, "."), p.source("new", 1, "."))
	expect("sources without a list", map[inventory.Source]string{"wms": "own/own", "new": "-/-"})
	apply(t, s, p.list(1, map[inventory.Source]int64{"wms": 1, "new": 1}))
	expect("the list: what it leaves out may send no more, and is still read", map[inventory.Source]string{"wms": "1/1", "new": "1/1", "old": "-/own"})

	apply(t, s, p.source("wms", 2, "broken"), p.list(2, map[inventory.Source]int64{"wms": 2, "new": 1}))
	expect("a broken one: the one before goes on", map[inventory.Source]string{"wms": "1/1", "new": "1/1"})
	if why := s.Refused()["wms"]; !strings.Contains(why, follow.CodeRefused) || !strings.Contains(why, "version 2") || !strings.Contains(why, errBroken.Error()) {
		t.Errorf("refused: %v", s.Refused())
	}
	if n, err := testutil.GatherAndCount(metrics, "test_source_refused"); err != nil || n != 1 {
		t.Errorf("%d series of refused sources, %v", n, err)
	}
	apply(t, s, p.source("new", 2, ".a"), p.list(3, map[inventory.Source]int64{"wms": 2, "new": 2}))
	expect("others change beside it", map[inventory.Source]string{"wms": "1/1", "new": "2/2"})
	if n := strings.Count(logged.String(), "level=ERROR"); n != 1 {
		t.Errorf("the refusal is logged %d times", n)
	}
	apply(t, s, p.source("wms", 3, ".b"), p.list(4, map[inventory.Source]int64{"wms": 3}))
	expect("mended, and one taken off", map[inventory.Source]string{"wms": "3/3", "new": "-/2"})
	if len(s.Refused()) != 0 {
		t.Errorf("still refused: %v", s.Refused())
	}
	apply(t, s, p.list(3, map[inventory.Source]int64{"wms": 2, "new": 2}))
	expect("an older list says nothing any more", map[inventory.Source]string{"wms": "3/3", "new": "-/2"})

	// A restart finds all of it in the topic.
	again := newSources(t, slog.New(slog.DiscardHandler), nil)
	apply(t, again, p.source("wms", 1, "."), p.source("new", 2, ".a"), p.source("wms", 2, "broken"), p.list(4, map[inventory.Source]int64{"wms": 2}))
	if got := what(again, "wms"); got != "own/own" {
		t.Errorf("before the topic is read once: %s", got)
	}
	again.Loaded()
	for name, want := range map[inventory.Source]string{"wms": "1/1", "new": "-/2"} {
		if got := what(again, name); got != want {
			t.Errorf("after a restart %s is %s, want %s", name, got, want)
		}
	}
}

// Readers see one list or the other, while the topic goes on.
func TestSourcesUnderLoad(t *testing.T) {
	p := published{t, event.TestCodecs()}
	s := newSources(t, slog.New(slog.DiscardHandler), nil)
	s.Loaded()
	var recs []*stream.Record
	for v := int64(1); v <= 20; v++ {
		recs = append(recs, p.source("a", v, fmt.Sprintf(". + %d", v)), p.list(v, map[inventory.Source]int64{"a": v}))
	}
	apply(t, s, recs[0], recs[1])
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			last := ""
			for {
				select {
				case <-stop:
					return
				default:
				}
				r, ok := s.Get("a")
				if want := ". + " + r.version; !ok || r.mapping != want {
					t.Errorf("version %s has the mapping %q", r.version, r.mapping)
					return
				}
				if len(r.version) < len(last) || len(r.version) == len(last) && r.version < last {
					t.Errorf("version %s after %s", r.version, last)
					return
				}
				last = r.version
				s.Refused()
			}
		})
	}
	apply(t, s, recs[2:]...)
	close(stop)
	readers.Wait()
	if got := what(s, "a"); got != "20/20" {
		t.Errorf("at the end %s", got)
	}
}

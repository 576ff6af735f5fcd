package follow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/policy/follow"
	"github.com/stockweave/stockweave/pkg/stream"
)

// access is a record with one principal, whose name is told.
func (p published) access(version int64, name string) *stream.Record {
	p.t.Helper()
	file := "access/" + name + ".yaml"
	content, err := json.Marshal(map[string]any{"files": map[string]string{
		file: fmt.Sprintf("name: %s\nscopes: [\"atp:read\"]\nkeys: [{id: sw_1, sha256: \"%064d\"}]\n", name, version),
	}})
	if err != nil {
		p.t.Fatal(err)
	}
	return p.record(policy.AccessName, version, content)
}

var errTaken = errors.New("a key that another one has already")

// gate is whom an access lets in: the one principal's name.
type gate struct{ in, refuses string }

func (g *gate) enter(a *policy.Access) error {
	if len(a.Principals) != 1 {
		return fmt.Errorf("%d principals", len(a.Principals))
	}
	if a.Principals[0].Name == g.refuses {
		return errTaken
	}
	g.in = a.Principals[0].Name
	return nil
}

func newAccess(t *testing.T, g *gate, log *slog.Logger, metrics prometheus.Registerer) *follow.Access {
	t.Helper()
	a, err := follow.NewAccess(follow.AccessConfig{Codecs: event.TestCodecs(), Log: log, Enter: g.enter, Metrics: metrics, Prefix: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAccess(t *testing.T) {
	p := published{t, event.TestCodecs()}
	var logged strings.Builder
	metrics := prometheus.NewRegistry()
	g := &gate{in: "files", refuses: "taken"}
	a := newAccess(t, g, slog.New(slog.NewTextHandler(&logged, nil)), metrics)
	apply := func(recs ...*stream.Record) {
		t.Helper()
		for _, r := range recs {
			if err := a.Apply(r); err != nil {
				t.Fatal(err)
			}
		}
	}
	expect := func(step, in string, version int, why string) {
		t.Helper()
		if g.in != in {
			t.Errorf("%s: %s is let in, want %s", step, g.in, in)
		}
		got := a.Refused()[policy.AccessName]
		refused := 0
		if why != "" {
			refused = 1
		}
		if (got != "") != (why != "") || !strings.Contains(got, why) {
			t.Errorf("%s: refused %q, want %q", step, got, why)
		}
		want := fmt.Sprintf("# HELP test_access_refused 1 while the published access (principals and issuers) cannot be used and an older one goes on.\n"+
			"# TYPE test_access_refused gauge\ntest_access_refused %d\n"+
			"# HELP test_access_version Version of the published access in use; 0: the service's own files.\n"+
			"# TYPE test_access_version gauge\ntest_access_version %d\n", refused, version)
		if err := testutil.GatherAndCompare(metrics, strings.NewReader(want)); err != nil {
			t.Errorf("%s: %v", step, err)
		}
	}
	apply(p.access(1, "one"), p.access(2, "two"))
	expect("before the topic is read once", "files", 0, "")
	a.Loaded()
	expect("the newest", "two", 2, "")
	apply(p.access(3, "three"))
	expect("changed", "three", 3, "")
	apply(p.access(2, "two"))
	expect("an older one says nothing any more", "three", 3, "")

	apply(p.access(4, "taken"))
	expect("one that cannot be used", "three", 3, "access_refused: version 4: "+errTaken.Error())
	apply(p.source("wms", 1, "."), p.list(1, nil))
	expect("sources are nothing of it", "three", 3, "version 4")
	g.refuses = ""
	a.Again()
	expect("tried again", "taken", 4, "")

	broken := p.record(policy.AccessName, 5, []byte(`{"files":{"access/x.yaml":"name: x\nkeys: [{id: a, sha256: 00}]\nscopes: [\"atp:read\"]\nmore: 1\n"}}`))
	apply(broken)
	expect("a field that is not known", "taken", 4, "access/x.yaml")
	g.refuses = "taken" // could not be entered now; it is in force, and nothing older may be
	apply(p.record(policy.AccessName, 6, []byte(`{"files":`)))
	expect("no JSON", "taken", 4, "version 6")
	if n := strings.Count(logged.String(), "level=ERROR"); n != 3 {
		t.Errorf("three refusals are logged %d times:\n%s", n, &logged)
	}
	apply(p.access(7, "seven"))
	expect("mended", "seven", 7, "")

	// A restart with broken ones: the newest before them that can be used, of the last five,
	// and none older.
	for _, in := range []struct {
		broken int64 // versions behind the newest that is good
		want   string
	}{{1, "four"}, {4, "four"}, {5, "files"}} {
		again := &gate{in: "files"}
		b := newAccess(t, again, slog.New(slog.DiscardHandler), nil)
		recs := []*stream.Record{p.access(3, "three"), p.access(4, "four")}
		for v := range in.broken {
			recs = append(recs, p.record(policy.AccessName, 5+v, []byte("{}broken")))
		}
		for _, r := range recs {
			if err := b.Apply(r); err != nil {
				t.Fatal(err)
			}
		}
		b.Loaded()
		if again.in != in.want || !strings.Contains(b.Refused()[policy.AccessName], fmt.Sprintf("version %d", 4+in.broken)) {
			t.Errorf("after a restart with %d broken ones %s, %v", in.broken, again.in, b.Refused())
		}
	}
}

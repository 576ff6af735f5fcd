package current

import (
	"log/slog"
	"testing"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

func TestWhatIsPublishedDecides(t *testing.T) {
	codecs := event.TestCodecs()
	own, err := policy.NewPromises(&policy.ATPPolicy{Version: 9}, nil)
	if err != nil {
		t.Fatal(err)
	}
	p := New(codecs, own, slog.New(slog.DiscardHandler))
	apply := func(c event.PolicyContent) error {
		t.Helper()
		value, err := codecs.AppendPolicy(nil, &c)
		if err != nil {
			t.Fatal(err)
		}
		return p.Apply(&stream.Record{Key: []byte(c.Name), Value: value})
	}
	publish := func(version int64) {
		t.Helper()
		content, hash, err := policy.EncodeATP(&policy.ATPPolicy{Version: version}, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := apply(event.PolicyContent{Name: policy.ATPName, Version: version, Hash: hash, Content: content}); err != nil {
			t.Fatal(err)
		}
	}
	is := func(want int64) {
		t.Helper()
		if got := p.Get().Version(); got != want {
			t.Fatalf("version %d, want %d", got, want)
		}
	}
	is(9)
	if err := apply(event.PolicyContent{Name: policy.LedgerName, Version: 10, Content: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	is(9) // not about promises
	publish(4)
	is(4) // the files beside the service are not what was published
	publish(6)
	publish(5)
	is(6)
	if err := p.Apply(&stream.Record{Key: []byte("atp@6")}); err != nil {
		t.Fatal(err)
	}
	is(6)
	for name, c := range map[string]event.PolicyContent{
		"half a policy":     {Name: policy.ATPName, Version: 7, Content: []byte(`{"atp":{"version":7,"horizons":3}}`)},
		"another's version": {Name: policy.ATPName, Version: 8, Content: []byte(`{"atp":{"version":7}}`)},
		"a zone nobody has": {Name: policy.ATPName, Version: 7, Content: []byte(`{"atp":{"version":7,"time_zones":[{"location":"L","zone":"Mars/Base"}]}}`)},
		"a bad time":        {Name: policy.ATPName, Version: 7, Content: []byte(`{"atp":{"version":7,"overrides":[{"kind":"stop_sell","author":"a","until":"soon"}]}}`)},
	} {
		if err := apply(c); err == nil {
			t.Errorf("%s is taken", name)
		}
	}
	if err := p.Apply(&stream.Record{Key: []byte("atp@9"), Value: []byte("junk")}); err == nil {
		t.Error("junk is taken")
	}
	is(6)
}

package atp

import (
	"errors"
	"testing"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// oneVersion has the content of one policy version, under one hash.
type oneVersion struct{}

func (oneVersion) Ledger(version int64, hash string) (*inventory.Policy, error) {
	if version != 7 || hash != "" && hash != "right" {
		return nil, errors.New("no such content")
	}
	return &inventory.Policy{Version: 7}, nil
}

// A worker without the content of the policy that the log names stops, for another
// would decide otherwise (EXACTLY-ONCE §6).
func TestMissingPolicyStopsThePartition(t *testing.T) {
	codecs := event.TestCodecs()
	step := func(e *inventory.Event, key string, header *stream.Header) error {
		t.Helper()
		value, err := codecs.AppendEvent(nil, e)
		if err != nil {
			t.Fatal(err)
		}
		p := &processor{codecs: codecs, policies: oneVersion{}}
		st := stream.NewState(key)
		in := stream.Input{Record: &stream.Record{Key: []byte(key), Value: value}, Lineage: 1, Header: header}
		return p.Step(in, st, func(*stream.Record) {})
	}
	control := func(version int64, hash string) *inventory.Event {
		return &inventory.Event{
			ID: "c", Kind: inventory.KindControl, Source: "op", Document: inventory.Document{Type: "policy"},
			OccurredAt: 1, OccurredBasis: "receipt", Control: &inventory.Control{PolicyVersion: version, PolicyHash: hash},
		}
	}
	for name, c := range map[string]struct {
		ev     *inventory.Event
		key    string
		at     int64
		stops  bool
		policy int64
	}{
		"the content is there": {control(7, "right"), "", 0, false, 7},
		"another content":      {control(7, "wrong"), "", 0, true, 0},
		"no content":           {control(8, "right"), "", 0, true, 0},
		"an event under it":    {receipt("R1", inventory.One), key.String(), 7, false, 7},
		"an event without it":  {receipt("R1", inventory.One), key.String(), 8, true, 8},
	} {
		h := &stream.Header{Lineage: 1, PolicyVersion: c.at}
		if err := step(c.ev, c.key, h); errors.Is(err, stream.ErrStop) != c.stops || !c.stops && err != nil || h.PolicyVersion != c.policy {
			t.Errorf("%s: %v, version %d", name, err, h.PolicyVersion)
		}
	}
}

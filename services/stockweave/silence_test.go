package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/explain"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// On the whole road: once a policy says how often the warehouse is to be heard, what
// is promised of its location falls, the answer and the explanation say why, and the
// channels follow.
func TestASilentOwnerOnTheRoad(t *testing.T) {
	t.Parallel()
	st := staged(t)
	before, code := st.explain(t)
	if code != exitOK || before.Promise.Quantity == "0" {
		t.Fatalf("exit %d: %+v", code, before.Promise)
	}
	set, err := policy.Load(shippedPolicies)
	if err != nil {
		t.Fatal(err)
	}
	atp := set.ATP
	atp.Version++
	for _, l := range []inventory.Location{"DC1", "DC2"} {
		atp.Silence = append(atp.Silence, policy.Silence{Location: l, Owner: "wms", Heartbeat: 1, Then: inventory.SilenceZero})
	}
	content, hash, err := policy.EncodeATP(&atp, set.Channels)
	if err != nil {
		t.Fatal(err)
	}
	codecs, err := loadCodecs(t.Context(), st.cfg.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	value, err := codecs.AppendPolicy(nil, &event.PolicyContent{Name: policy.ATPName, Version: atp.Version, Hash: hash, Content: content})
	if err != nil {
		t.Fatal(err)
	}
	producer, err := stream.NewProducer(st.cfg.Kafka)
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	rec := &stream.Record{Topic: event.TopicPolicies, Key: fmt.Appendf(nil, "%s@%d", policy.ATPName, atp.Version), Value: value}
	if err := producer.Produce(t.Context(), rec); err != nil {
		t.Fatal(err)
	}

	after, code := st.explain(t)
	silent := slices.IndexFunc(after.Promise.Steps, func(s explain.ReportedStep) bool { return s.Name == string(inventory.StepSilence) })
	if code != exitOK || after.Promise.Quantity != "0" || silent < 1 || after.Promise.Steps[silent].Amount != "-"+after.Promise.Steps[silent-1].Value {
		t.Errorf("exit %d: %+v", code, after.Promise)
	}
	var a struct {
		ATP    string
		Silent []struct{ Owner, Then string }
	}
	deadline := time.Now().Add(30 * time.Second)
	for a.ATP != "0" || len(a.Silent) == 0 {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s the API says %+v", a)
		}
		resp, err := http.Get(st.urls["atp-api"] + "/v1/atp/SKU-1?entity=acme")
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || json.Unmarshal(body, &a) != nil {
			t.Fatalf("%s: %v", body, err)
		}
	}
	if a.Silent[0].Owner != "wms" || a.Silent[0].Then != "zero" {
		t.Errorf("the API says %+v", a.Silent)
	}
	for name, c := range st.channels {
		p := set.Channels[slices.IndexFunc(set.Channels, func(p policy.Channel) bool { return p.Name == name })]
		listing := p.Listing("SKU-1")
		for shown := ""; shown != "0"; {
			changed := c.Changed()
			v, _ := c.Value(listing)
			if shown = v.Quantity; shown == "0" {
				break
			}
			select {
			case <-changed:
			case <-time.After(time.Until(deadline)):
				t.Fatalf("after 30 s %s shows %q", name, shown)
			}
		}
	}
}

//go:build synctests

package canonicalizer

import (
	"context"
	"fmt"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
)

// Lines of 40 messages wait for an item; two processes take turns, each ended now and
// then at any moment; when the item comes, each line has one event id, its receipt, and
// waits no more. Messages of one stream run again in their order. The seed moves the ends.
func TestParkedLinesOnKafka(t *testing.T) {
	for seed := range 1 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { synctest.Test(t, func(t *testing.T) { parkedOnKafka(t, seed) }) })
	}
}

func parkedOnKafka(t *testing.T, seed int) {
	var net kfake.VirtualNetwork
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(19092), kfake.ListenFn(net.Listen))
	if err != nil {
		t.Fatal(err)
	}
	config := func(instance string) stream.Config {
		return stream.Config{Brokers: cluster.ListenAddrs(), Instance: instance, Dialer: net.DialContext, Log: slog.New(slog.DiscardHandler)}
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.Dialer(net.DialContext))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		cl.Close()
		cluster.Close()
		time.Sleep(time.Minute)
	}()
	admin, err := stream.NewAdmin(config("admin"))
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close()
	for _, s := range event.TopicSpecs() {
		if _, err := admin.EnsureTopics(context.Background(), false, stream.TopicSpec{Name: s.Name, Partitions: min(s.Partitions, 2), Replicas: 1, Configs: s.Configs}); err != nil {
			t.Fatal(err)
		}
	}
	codecs, set := event.TestCodecs(), load(t, shipped)
	send := func(source inventory.Source, id string, body []byte) {
		value, err := codecs.AppendRaw(nil, &event.RawMessage{ID: id, Source: source, Body: body, ReceivedAt: sampleTime})
		if err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(context.Background(), &kgo.Record{Topic: event.TopicRaw, Key: []byte(event.StreamKey(source, "")), Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	stopLedger := make(chan struct{})
	ledgerDone := make(chan struct{})
	go func() { // a ledger that has read all
		defer close(ledgerDone)
		adm := kadm.NewClient(cl)
		for {
			ends, err := adm.ListEndOffsets(context.Background(), event.TopicEvents)
			if err == nil {
				_, _ = adm.CommitOffsets(context.Background(), "atp", ends.Offsets())
			}
			select {
			case <-stopLedger:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	stop := make(chan struct{})
	ended := make(chan struct{}, 2)
	for i := range 2 {
		go func() {
			defer func() { ended <- struct{}{} }()
			for life := 0; ; life++ {
				cfg := DefaultConfig()
				cfg.Kafka, cfg.Codecs, cfg.Policies = config(fmt.Sprint(i)), codecs, set
				tasks, err := Build(context.Background(), cfg, service.Env{
					Log: cfg.Kafka.Log, Metrics: prometheus.NewRegistry(), Health: &service.Health{}, Now: time.Now,
				})
				if err != nil {
					t.Error(err)
					return
				}
				ctx, cancel := context.WithCancel(context.Background())
				done := make(chan error, 1)
				go func() { done <- service.Run(ctx, tasks...) }()
				last := false
				select {
				case <-stop:
					last = true
				case <-time.After(time.Duration(3000+1703*((seed+1)*(i+2)+life)%9000) * time.Millisecond):
				case err := <-done:
					t.Errorf("process %d: %v", i, err)
				}
				cancel()
				if err := <-done; err != nil {
					t.Errorf("process %d ended with %v", i, err)
				}
				if last {
					return
				}
			}
		}()
	}
	send("master-items", "m1", sample(t, "master-items.csv"))
	send("master-locations", "m2", sample(t, "master-locations.csv"))
	time.Sleep(20 * time.Second)
	for n := range 40 {
		send("wms-count", fmt.Sprintf("r%02d", n), fmt.Appendf(nil, "count_id,sku,quantity\nC%d,SKU-1,1\nC%d,GHOST,%d\n", n, n, n))
		time.Sleep(500 * time.Millisecond)
	}
	time.Sleep(30 * time.Second)
	send("master-items", "m3", []byte("item,description,base_unit,indivisible\nGHOST,seen,EA,no\n"))
	time.Sleep(time.Minute)
	close(stop)
	<-ended
	<-ended
	close(stopLedger)
	<-ledgerDone

	reads, err := stream.NewRestoreReads(config("reader"))
	if err != nil {
		t.Fatal(err)
	}
	defer reads.Close()
	each := func(topic string, f func(*stream.Record)) {
		for p := range int32(2) {
			if _, err := reads.Fold(context.Background(), topic, p, func(rec *stream.Record) error { f(rec); return nil }); err != nil {
				t.Fatal(err)
			}
		}
	}
	stands := map[string]bool{}
	parked := 0
	each(event.TopicParked, func(rec *stream.Record) {
		if parked++; rec.Value == nil {
			delete(stands, string(rec.Key))
			return
		}
		stands[string(rec.Key)] = true
	})
	ids, order := map[string]bool{}, []string{}
	each(event.TopicEvents, func(rec *stream.Record) {
		var ev inventory.Event
		if err := codecs.DecodeEvent(rec.Value, &ev); err != nil {
			t.Fatal(err)
		}
		if ev.Key.Item == "GHOST" {
			if !ids[ev.ID] {
				order = append(order, ev.Trace.RawID)
			}
			ids[ev.ID] = true
		}
	})
	whole, again := map[string]bool{}, map[string]bool{}
	each(event.TopicReceipts, func(rec *stream.Record) {
		var r event.Receipt
		if err := codecs.DecodeReceipt(rec.Value, &r); err != nil || !r.Adds() {
			t.Fatalf("%+v, %v", r, err)
		}
		if r.Line == 0 {
			whole[r.RawID] = true
		} else if ids[r.EventIDs[0]] {
			again[r.RawID] = true
		}
	})
	if parked < 80 || len(stands) != 0 || len(ids) != 40 || len(whole) != 43 || len(again) != 40 {
		t.Errorf("%d records of parked lines, %d wait; %d events, %d messages and %d lines have receipts", parked, len(stands), len(ids), len(whole), len(again))
	}
	for i := 1; i < len(order); i++ {
		if order[i] < order[i-1] {
			t.Errorf("run again in the order %v", order)
			break
		}
	}
}

package stream

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestConfigurationNamesAllFaults(t *testing.T) {
	_, err := NewRunner(RunnerConfig{})
	for _, want := range []string{"kafka.brokers", "no group", "no instance", "no input", "no state", "no dead letters", "no header codec", "no processor"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	_, err = NewWorker(WorkerConfig{})
	for _, want := range []string{"kafka.brokers", "no group", "no topics", "no dead letters", "exactly one"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	if _, err := NewTable(TableConfig{Config: Config{Brokers: []string{"x:1"}}}); err == nil {
		t.Error("a table without a topic")
	}
	if _, err := NewProducer(Config{Brokers: []string{"x:1"}}, WithCompression("brotli")); err == nil || !strings.Contains(err.Error(), "brotli") {
		t.Error(err)
	}
}

func TestRejectionUnwraps(t *testing.T) {
	cause := errors.New("cause")
	err := fmt.Errorf("stepping: %w", Reject("some_code", cause))
	var rej *Rejection
	if !errors.As(err, &rej) || rej.Code != "some_code" || !errors.Is(err, cause) || rej.Error() != "some_code: cause" {
		t.Error(err)
	}
}

// Groups of one process share a registry.
func TestMetricsShareARegistry(t *testing.T) {
	reg := prometheus.NewRegistry()
	a, b := newMetrics(reg, "a"), newMetrics(reg, "b")
	again := newMetrics(reg, "a")
	a.commits.Inc()
	again.commits.Inc()
	b.lag("t", 3, 7, 1.5)
	b.aborts.WithLabelValues("step").Inc()
	got := map[string]float64{}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			key := f.GetName()
			for _, l := range m.GetLabel() {
				key += " " + l.GetValue()
			}
			got[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for key, want := range map[string]float64{
		"stockweave_stream_commits_total a":            2,
		"stockweave_stream_commits_total b":            0,
		"stockweave_stream_consumer_lag_records b 3 t": 7,
		"stockweave_stream_consumer_lag_seconds b 3 t": 1.5,
		"stockweave_stream_aborts_total step b":        1,
	} {
		if v, ok := got[key]; !ok || v != want {
			t.Errorf("%s = %v, want %v (%v)", key, v, want, ok)
		}
	}
	b.unowned("t", 3)
	if n := len(got); n == 0 {
		t.Error("nothing gathered")
	}
}

// What may skip or repeat records stops; what the client heals by itself does not.
func TestFetchFault(t *testing.T) {
	for _, err := range []error{
		&kgo.ErrDataLoss{Topic: "t"}, &kgo.ErrDecompressTooLarge{}, kerr.OffsetOutOfRange, kerr.UnknownTopicID,
		kerr.UnknownTopicOrPartition, &kgo.ErrGroupSession{Err: kerr.FencedInstanceID}, kerr.TopicAuthorizationFailed,
	} {
		if got := fetchFault("t", 1, fmt.Errorf("wrapped: %w", err)); !errors.Is(got, ErrStop) || !errors.Is(got, err) {
			t.Errorf("%v: got %v", err, got)
		}
	}
	for _, err := range []error{nil, kerr.NotLeaderForPartition, &kgo.ErrGroupSession{Err: kerr.UnknownMemberID}} {
		if got := fetchFault("t", 1, err); got != nil {
			t.Errorf("%v: got %v", err, got)
		}
	}
}

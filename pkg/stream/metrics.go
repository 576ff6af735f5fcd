package stream

import (
	"errors"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the collectors of one group. Groups of one process share the
// collectors of a registry and differ by label.
type metrics struct {
	commits, noops, gaps   prometheus.Counter
	aborts, dead           *prometheus.CounterVec // by cause; by code
	outcomes               *prometheus.CounterVec // by outcome
	records                prometheus.Counter
	txnRecords, txnSeconds prometheus.Observer
	restores               prometheus.Observer
	restored               prometheus.Counter
	snapshots              snapshotMetrics
	owned, restoring       prometheus.Gauge
	lagRecords, lagSeconds *prometheus.GaugeVec // by topic, partition
}

type snapshotMetrics struct {
	written, failed, bytes prometheus.Counter
	write, read            prometheus.Observer
	used                   *prometheus.CounterVec // by result
}

const (
	metricNamespace = "stockweave"
	metricSubsystem = "stream"
)

func newMetrics(reg prometheus.Registerer, group string) *metrics {
	name := func(n, help string) prometheus.Opts {
		return prometheus.Opts{Namespace: metricNamespace, Subsystem: metricSubsystem, Name: n, Help: help}
	}
	counter := func(n, help string, labels ...string) *prometheus.CounterVec {
		c := register(reg, prometheus.NewCounterVec(prometheus.CounterOpts(name(n, help)), append([]string{"group"}, labels...)))
		return c.MustCurryWith(prometheus.Labels{"group": group})
	}
	gauge := func(n, help string, labels ...string) *prometheus.GaugeVec {
		g := register(reg, prometheus.NewGaugeVec(prometheus.GaugeOpts(name(n, help)), append([]string{"group"}, labels...)))
		return g.MustCurryWith(prometheus.Labels{"group": group})
	}
	histogram := func(n, help string, buckets []float64) prometheus.Observer {
		o := prometheus.HistogramOpts{Namespace: metricNamespace, Subsystem: metricSubsystem, Name: n, Help: help, Buckets: buckets}
		return register(reg, prometheus.NewHistogramVec(o, []string{"group"})).WithLabelValues(group)
	}
	return &metrics{
		commits:    counter("commits_total", "Transactions or offset commits that took effect.").WithLabelValues(),
		aborts:     counter("aborts_total", "Transactions aborted, or attempts repeated, by cause.", "cause"),
		outcomes:   counter("unknown_commits_total", "Commits whose answer was lost, by what became of the transaction's state.", "outcome"),
		records:    counter("records_total", "Input records whose effects are committed.").WithLabelValues(),
		noops:      counter("noops_total", "Input records that had been applied before.").WithLabelValues(),
		gaps:       counter("gaps_total", "Jumps in input offsets that a second reading confirmed.").WithLabelValues(),
		dead:       counter("dead_letters_total", "Input records sent to the dead letters, by code.", "code"),
		txnRecords: histogram("transaction_records", "Input records a transaction.", prometheus.ExponentialBuckets(1, 4, 8)),
		txnSeconds: histogram("transaction_seconds", "From the begin of a transaction to its commit.", prometheus.ExponentialBuckets(0.0025, 2, 12)),
		restores:   histogram("restore_seconds", "Time to restore a partition's state.", prometheus.ExponentialBuckets(0.01, 4, 9)),
		restored:   counter("restored_records_total", "State records read in restores.").WithLabelValues(),
		snapshots: snapshotMetrics{
			written: counter("snapshot_written_total", "Snapshots of a partition's state written.").WithLabelValues(),
			failed:  counter("snapshot_failed_total", "Snapshots that could not be written.").WithLabelValues(),
			bytes:   counter("snapshot_bytes_total", "Bytes of the snapshots written.").WithLabelValues(),
			write:   histogram("snapshot_write_seconds", "Time to write a partition's snapshot.", prometheus.ExponentialBuckets(0.01, 4, 9)),
			used:    counter("snapshot_used_total", "Restores by what became of the partition's snapshot.", "result"),
			read:    histogram("snapshot_read_seconds", "Time to read a partition's snapshot.", prometheus.ExponentialBuckets(0.01, 4, 9)),
		},
		owned:      gauge("partitions_owned", "Partitions assigned to this process.").WithLabelValues(),
		restoring:  gauge("partitions_restoring", "Partitions assigned and not yet worked on.").WithLabelValues(),
		lagRecords: gauge("consumer_lag_records", "Offsets from the next unread record to the end of the partition.", "topic", "partition"),
		lagSeconds: gauge("consumer_lag_seconds", "Age of the oldest unread record of the partition.", "topic", "partition"),
	}
}

// register returns the collector of that name the registry already has, or c.
func register[C prometheus.Collector](reg prometheus.Registerer, c C) C {
	if reg == nil {
		return c
	}
	if known, ok := errors.AsType[prometheus.AlreadyRegisteredError](reg.Register(c)); ok {
		if old, ok := known.ExistingCollector.(C); ok {
			return old
		}
	}
	return c
}

func (m *metrics) lag(topic string, partition int32, records int64, seconds float64) {
	p := strconv.Itoa(int(partition))
	m.lagRecords.WithLabelValues(topic, p).Set(float64(records))
	m.lagSeconds.WithLabelValues(topic, p).Set(seconds)
}

func (m *metrics) unowned(topic string, partition int32) {
	p := strconv.Itoa(int(partition))
	m.lagRecords.DeleteLabelValues(topic, p)
	m.lagSeconds.DeleteLabelValues(topic, p)
}

// Package stream runs pure step functions over Kafka topics. It knows no
// inventory: it moves records, keeps state, and sees to it that neither runs
// ahead of the log. EXACTLY-ONCE rules are cited where they are enforced.
package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/connect"
)

// Record is a log record; services use it without importing the client.
type Record = kgo.Record

// RecordHeader is a header of a Record.
type RecordHeader = kgo.RecordHeader

// Config says how to reach the cluster. It is part of every service's
// configuration.
type Config struct {
	Brokers []string `yaml:"brokers"`
	// Instance names this process among its group's members: the StatefulSet
	// ordinal for transactional workers. It makes the transactional id and the
	// static group instance id, so a restart never waits out the session.
	Instance string `yaml:"instance"`

	TLS  connect.TLS `yaml:"tls"`
	SASL SASL        `yaml:"sasl"`

	// MaxBatch, when set, is the largest batch, and so record, a topic takes, in
	// bytes. It must not be above the topic's max.message.bytes; the client's own
	// limit is the broker's default, 1,000,012.
	MaxBatch func(topic string) int32 `yaml:"-"`

	// Aliases are the topics that are meant by the names of others.
	Aliases Aliases `yaml:"-"`
	// Sealed keeps everything made of this configuration from writing to a topic that
	// Aliases do not name: a Runner stops, a Producer returns an ErrStop. A shadow must
	// not be heard outside.
	Sealed bool `yaml:"-"`

	Dialer  func(ctx context.Context, network, host string) (net.Conn, error) `yaml:"-"`
	Log     *slog.Logger                                                      `yaml:"-"`
	Metrics prometheus.Registerer                                             `yaml:"-"`
}

// A Rejection is a permanent failure of one record: it goes to the dead letters
// with its code and reason, and work goes on. Any other error aborts: the record
// is tried again.
type Rejection struct {
	Code string // stable, snake_case
	err  error
}

// Reject marks err as permanent, under a stable code.
func Reject(code string, err error) error { return &Rejection{Code: code, err: err} }

// Rejectf is Reject with a formatted reason.
func Rejectf(code, format string, args ...any) error {
	return Reject(code, fmt.Errorf(format, args...))
}

func (r *Rejection) Error() string { return r.Code + ": " + r.err.Error() }

// Unwrap returns the reason.
func (r *Rejection) Unwrap() error { return r.err }

// ErrStop marks a fault that no retry cures and that must never be skipped: a
// foreign header, a broken fence, a lost log. The worker stops and says so.
var ErrStop = errors.New("stream: stopped, needs a person")

// ErrNoop is what a Step returns for a record its own fence says it has applied:
// counted, without outputs, and not an error.
var ErrNoop = errors.New("stream: already applied")

// Header is the per-partition record in the state topic, key "|header". It is
// written with each transaction; restore and lineage rest on it (§3, §4).
type Header struct {
	Lineage        int64
	Cluster        string // cluster id
	TopicID        string // of the input topic
	Topic          string
	Partition      int32
	Partitions     int32
	Partitioner    string // "murmur2"
	StoreVersion   int32
	AppliedThrough int64 // offset of the last input record whose effects are in the state; -1 before any
	PolicyVersion  int64 // of the processor; carried, staged with the transaction

	// How this lineage began, as long as it lasts.
	Origin      string // OriginLog, OriginCutover, OriginRepartition
	PreviousEnd int64  // AppliedThrough of the lineage before a cutover; -1 for none
	Start       int64  // offset of its first record
}

// Origins of a lineage. A state whose every lineage began with its log is the fold of
// it; of another one the log alone does not hold everything.
const (
	OriginLog         = ""
	OriginCutover     = "cutover"
	OriginRepartition = "repartition"
)

// HeaderCodec turns the header into the state topic's own format.
type HeaderCodec interface {
	EncodeHeader(Header) ([]byte, error)
	DecodeHeader([]byte) (Header, error)
}

// HeaderKey is the header's key in the state topic; no group is ever empty.
const HeaderKey = "|header"

// Input is a record and where it stands.
type Input struct {
	*Record
	Lineage int64
	// Header is the partition's header as staged by this transaction. A Step may
	// change PolicyVersion and nothing else.
	Header *Header
}

// A Processor is the only code a transactional service writes. One goroutine
// calls it for one partition at a time; the runner may discard everything a
// transaction did and call it again, so it keeps nothing of its own between
// calls that State does not hold.
type Processor interface {
	// Group names the state a record belongs to: the key of the record as a rule.
	// An empty group means a record for the whole partition. An error that is a
	// Rejection sends the record to the dead letters. The string may share memory
	// with the record; it is copied when kept.
	Group(rec *Record) (string, error)
	// Step handles one record. It must not touch what State holds before it is
	// sure to succeed: after an error the state is what it was before the call.
	// Outputs of a failed Step are dropped.
	//
	// emit copies the record, with its key, value and headers. What in leads to stays
	// as it is until the transaction has ended, and no longer: its memory serves other
	// records then, so whoever keeps a part of it copies it.
	Step(in Input, st *State, emit func(*Record)) error
	// Flush is called once for each group a transaction touched, before commit:
	// it puts the changed pieces into st and emits what is published once per
	// transaction (coalescing).
	Flush(st *State, emit func(*Record)) error
}

// ErrTooLarge is why a record is diverted whose outputs the log does not take.
var ErrTooLarge = errors.New("stream: too large for the log")

// A Diverter is a Processor that takes note of a record it could not work on, not even
// in a transaction of the record's own. Then the dead letters need not keep it: it
// stands in the log, and whoever reads the outputs knows of it.
type Diverter interface {
	// Divert is called in the place of Step, once; why is what Step, Flush or the log
	// said last. It is to do little: when what it makes cannot be committed either, the
	// record goes to the dead letters after all. So it does after an error other than
	// ErrStop and ErrNoop, in the same transaction, and then the state is what it was
	// before the call.
	Divert(in Input, st *State, why error, emit func(*Record)) error
}

// An Owner is told which partitions a worker works on. It must not wait, and is
// called from several goroutines.
type Owner interface {
	// Owned comes once the state of a partition is restored and before the first
	// Step on it. each calls its argument with every committed piece, in no order,
	// until that says false; key and value are not to be kept.
	Owned(partition int32, each func(yield func(key string, value []byte) bool))
	// Disowned comes when the partition is taken away, perhaps more than once.
	Disowned(partition int32)
}

// A Settler is an Owner that is told how transactions end, by the goroutine that calls
// the processor and before it calls it again. Where the outcome of one is in doubt
// nothing is said: Owned comes again for what is restored then.
type Settler interface {
	// Settled says whether what was flushed since it was last called is the state now,
	// or never will be.
	Settled(committed bool)
}

// RunnerConfig is what a transactional worker is made of.
type RunnerConfig struct {
	Config
	Group string      // consumer group; the transactional id is Group-Instance
	Input string      // topic; produced non-transactionally (§1)
	State string      // compacted changelog, as many partitions as Input
	Dead  DeadLetters // written in the transaction
	Codec HeaderCodec
	// GroupOf returns the group a state key belongs to. The string may share memory
	// with the key; it is copied when kept.
	GroupOf func(stateKey []byte) string
	// StoreVersion of the pieces; another one in the header stops the worker.
	StoreVersion int32
	Commit       time.Duration // from one commit to the next, where not behind; 20 ms, or 5 ms when reservations are served
	MaxRecords   int           // of one transaction; 10,000 when 0
	Processor    Processor
	Owner        Owner // nil: nobody needs to know

	// OwnPartition names the output topics whose records keep the Partition the
	// processor gave them; all others go to the partition of their input.
	OwnPartition []string
	Compression  Compression
	// CachedObjects bounds the decoded groups kept in all; 200,000 when 0.
	CachedObjects int
	// AnyTimestamp accepts an input topic whose timestamps are not the broker's.
	AnyTimestamp bool
	// Drain bounds the end of the open transaction after ctx is done; 20 s when 0.
	// The last snapshots have as long again.
	Drain time.Duration

	// SnapshotDir is a folder on this process's own volume for snapshots of the
	// state, from which the next restore starts; empty for none. It is made when it
	// is not there.
	SnapshotDir string
	// SnapshotEvery is the pause between two snapshots of a partition that changes;
	// 30 s when 0. Where writing them takes long, it is nine times as long as that.
	SnapshotEvery time.Duration
}

// DeadLetter is what could not be processed, and why.
type DeadLetter struct {
	Record *Record // the input as read
	Code   string  // of the Rejection
	Reason string
}

// DeadLetters turns dead letters into records of a service's own dead-letter
// topic. The record's id is a function of the input's topic, partition and
// offset, so a repeat is recognisable.
type DeadLetters func(DeadLetter) (*Record, error)

// Handler handles one record of an at-least-once worker. Its outputs are acked by
// the log before the record's offset is committed. A Rejection sends the record
// to the dead letters (deterministic id, acked before the commit); a Rewind seeks;
// any other error is retried with back-off, and nothing behind it in its
// partition is committed meanwhile. Records of one partition come in order from
// one goroutine; partitions run beside each other.
type Handler func(ctx context.Context, rec *Record) ([]*Record, error)

// Rewind is an error that makes a worker read its partition again from Offset:
// what it projected into has lost something.
type Rewind struct{ Offset int64 }

func (r Rewind) Error() string { return fmt.Sprintf("stream: rewind to %d", r.Offset) }

// WorkerConfig is what an at-least-once worker is made of.
type WorkerConfig struct {
	Config
	Group  string
	Topics []string
	Dead   DeadLetters
	// Handle is called record by record; or Batch with all the records of one
	// partition that one poll brought. Exactly one is set. A failed Batch is
	// retried whole; one that rejects, panics, or makes what the log refuses, record
	// by record.
	Handle Handler
	Batch  func(ctx context.Context, recs []*Record) ([]*Record, error)
	// Start, when set, says where a partition begins instead of the group's
	// offset: the next offset to read. It runs in the background with the
	// partition paused, never inside the assign callback.
	Start func(ctx context.Context, topic string, partition int32) (int64, error)
	// Check, when set, is called at least each CheckEvery for every owned
	// partition, also when nothing flows. It may return a Rewind.
	Check      func(ctx context.Context, topic string, partition int32) error
	CheckEvery time.Duration
	// Lost, when set, is told that a partition was taken away.
	Lost func(topic string, partition int32)
	// ReadCommitted is set when the topics have transactional writers.
	ReadCommitted bool
	MaxRecords    int // of one poll, and of one Batch; 10,000 when 0

	// OwnPartition names the output topics whose records go to the Partition they
	// carry; all others go by their key.
	OwnPartition []string
	Compression  Compression
	// Drain bounds the end of the work under way after ctx is done; 20 s when 0.
	Drain time.Duration
}

// TableConfig describes a reader of a whole compacted topic: master data,
// policies, schemas; or, with Since, of what a topic holds from a time on. Apply is called for each record from one goroutine, with a
// nil Value for a tombstone; its error stops the table.
type TableConfig struct {
	Config
	Topic         string
	Partitions    []int32 // nil: all
	ReadCommitted bool
	// Since, when set, leaves out what was appended before, by the records'
	// timestamps.
	Since time.Time
	Apply func(rec *Record) error
}

package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// A Ledger is what operators must know of a transactional worker: its group, its
// topics, and how its state is keyed.
type Ledger struct {
	Group        string
	Input, State string
	Codec        HeaderCodec
	StoreVersion int32
	// GroupOf returns the group that a key of the state, or of another co-partitioned
	// topic, belongs to.
	GroupOf func(key []byte) string
	// Bound says in a few words why a piece of state cannot leave the log it was made
	// from, or nothing when it can. nil: every piece can.
	Bound func(key, value []byte) (string, error)
}

// An Operator changes, between two lives of a transactional worker, what the worker
// itself never does: from which log its state goes on. It is not safe for
// concurrent use.
type Operator struct {
	cfg   Config
	led   Ledger
	adm   *Admin
	reads *RestoreReads
}

// NewOperator connects lazily.
func NewOperator(cfg Config, led Ledger) (*Operator, error) {
	if led.Group == "" || led.Input == "" || led.State == "" || led.Codec == nil || led.GroupOf == nil {
		return nil, errors.New("operating a worker: group, input, state, codec and groups of keys are needed")
	}
	adm, err := NewAdmin(cfg)
	if err != nil {
		return nil, err
	}
	led.Input, led.State = cfg.Physical(led.Input), cfg.Physical(led.State)
	return &Operator{cfg: cfg, led: led, adm: adm, reads: adm.reads}, nil
}

// Close ends it.
func (o *Operator) Close() { o.adm.Close() }

// Refused is why an operator's command does nothing: the world is not as it must be.
type Refused struct{ Reasons []string }

func (r *Refused) Error() string { return "refused: " + strings.Join(r.Reasons, "; ") }

func (r *Refused) add(format string, args ...any) {
	r.Reasons = append(r.Reasons, fmt.Sprintf(format, args...))
}

func (r *Refused) err() error {
	if len(r.Reasons) == 0 {
		return nil
	}
	return r
}

// idleWait bounds how long a group is given to become empty: static members that
// were stopped stay in it until their session is over.
const idleWait = sessionTimeout + 5*time.Second

// Idle waits until a group has no member, at most for one session, and else is a
// Refused that names them.
func (a *Admin) Idle(ctx context.Context, group string) error {
	until := a.now().Add(idleWait)
	for {
		members, err := a.members(ctx, group)
		if err != nil || len(members) == 0 {
			return err
		}
		if !a.now().Before(until) {
			return &Refused{[]string{fmt.Sprintf("group %s has members at work: %s", group, strings.Join(members, ", "))}}
		}
		if pause(ctx, 500*time.Millisecond); ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

func (a *Admin) members(ctx context.Context, group string) ([]string, error) {
	groups, err := a.adm.DescribeGroups(ctx, group)
	if err != nil {
		return nil, fmt.Errorf("describing group %s: %w", group, err)
	}
	g := groups[group]
	if g.Err != nil && !errors.Is(g.Err, kerr.GroupIDNotFound) {
		return nil, fmt.Errorf("describing group %s: %w", group, g.Err)
	}
	var names []string
	for _, m := range g.Members {
		name := m.MemberID
		if m.InstanceID != nil {
			name = *m.InstanceID
		}
		names = append(names, name)
	}
	return names, nil
}

// fence ends what any worker of the ledger has left open and fences it: what it
// writes from here on is refused until it has begun anew, and then it restores.
func (o *Operator) fence(ctx context.Context) error {
	listed, err := o.adm.adm.ListTransactions(ctx, nil, nil)
	if err != nil {
		return fmt.Errorf("listing transactions: %w", err)
	}
	for _, t := range listed.Sorted() {
		if !strings.HasPrefix(t.TxnID, o.led.Group+"-") {
			continue
		}
		if _, err := o.reads.settle(ctx, t.TxnID, transactionTimeout); err != nil {
			return err
		}
	}
	return nil
}

// identity is the operator's transactional id: two operators fence each other.
func (o *Operator) identity() string { return "operator-" + o.led.Group }

// quiet makes sure that nobody works on the ledger and that nobody who comes back
// from a pause can: first the group is empty, then all its identities are fenced.
func (o *Operator) quiet(ctx context.Context) error {
	if err := o.adm.Idle(ctx, o.led.Group); err != nil {
		return err
	}
	return o.fence(ctx)
}

// Standing is where a partition of a ledger stands.
type Standing struct {
	Partition int32
	Header    Header
	Found     bool  // the header
	Pieces    int   // of state
	Group     int64 // the group's offset, -1 for none
	First     int64 // offset the input still has
	End       int64 // of the input
	Foreign   []string
	Bound     []string // pieces that cannot leave their log, a few of them
}

// Applied is the offset through which the state has applied its log, -1 for none.
func (s *Standing) Applied() int64 {
	if !s.Found {
		return -1
	}
	return s.Header.AppliedThrough
}

// Gaps are the ways in which the log at hand does not go on where the state ends.
func (s *Standing) Gaps() []string {
	why := slices.Clone(s.Foreign)
	if len(why) > 0 {
		return why
	}
	switch next := s.Applied() + 1; {
	case next < s.First:
		why = append(why, fmt.Sprintf("the log begins at %d, the next record to read was %d", s.First, next))
	case next > s.End:
		why = append(why, fmt.Sprintf("the log ends at %d, the next record to read was %d", s.End, next))
	}
	return why
}

// Standings reads where every partition stands, in the order of a restore.
func (o *Operator) Standings(ctx context.Context) ([]Standing, error) {
	input, err := o.reads.meta(ctx, true, o.led.Input)
	if err != nil {
		return nil, err
	}
	state, err := o.reads.meta(ctx, true, o.led.State)
	if err != nil {
		return nil, err
	}
	all := make([]Standing, len(state.leaders))
	for i := range all {
		s := &all[i]
		s.Partition = int32(i) //nolint:gosec // partition counts are int32
		if s.Group, err = o.reads.GroupOffset(ctx, o.led.Group, o.led.Input, s.Partition); err != nil {
			return nil, err
		}
		pieces := map[string]bool{} // whether it is bound
		_, err := o.reads.Fold(ctx, o.led.State, s.Partition, func(rec *Record) error {
			switch {
			case string(rec.Key) == HeaderKey:
				s.Found = rec.Value != nil
				if s.Header, err = o.led.Codec.DecodeHeader(rec.Value); err != nil {
					return fmt.Errorf("%w: reading header of partition %d of %s: %w", ErrStop, s.Partition, o.led.State, err)
				}
			case rec.Value == nil:
				delete(pieces, string(rec.Key))
			default:
				why, err := o.bound(rec)
				if err != nil {
					return err
				}
				pieces[string(rec.Key)] = why
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		s.Pieces = len(pieces)
		for key, bound := range pieces {
			if bound {
				s.Bound = append(s.Bound, key)
			}
		}
		slices.Sort(s.Bound)
		s.Bound = s.Bound[:min(len(s.Bound), 5)]
		if int(s.Partition) < len(input.leaders) {
			if s.First, err = o.reads.LogStart(ctx, o.led.Input, s.Partition); err != nil {
				return nil, err
			}
			if s.End, err = o.reads.HighWatermark(ctx, o.led.Input, s.Partition); err != nil {
				return nil, err
			}
		}
		s.Foreign = o.foreign(s, input)
	}
	return all, nil
}

func (o *Operator) bound(rec *Record) (bool, error) {
	if o.led.Bound == nil {
		return false, nil
	}
	why, err := o.led.Bound(rec.Key, rec.Value)
	return why != "", err
}

// foreign compares a header with the log at hand, as a restore does.
func (o *Operator) foreign(s *Standing, input topicMeta) []string {
	if !s.Found {
		return nil
	}
	var why []string
	differ := func(what string, was, is any) {
		if was != is {
			why = append(why, fmt.Sprintf("%s was %v and is %v", what, was, is))
		}
	}
	h := &s.Header
	differ("cluster", h.Cluster, input.cluster)
	differ("topic", h.Topic, o.led.Input)
	differ("topic id", h.TopicID, input.idString())
	differ("partition", h.Partition, s.Partition)
	differ("partition count", int(h.Partitions), len(input.leaders))
	return why
}

// header is a new header of a partition over the log at hand.
func (o *Operator) header(input topicMeta, partition int32) Header {
	return Header{
		Lineage: 1, Cluster: input.cluster, TopicID: input.idString(), Topic: o.led.Input,
		Partition: partition, Partitions: int32(len(input.leaders)), //nolint:gosec // partition counts are int32
		Partitioner: headerPartitioner, StoreVersion: o.led.StoreVersion, AppliedThrough: -1, PreviousEnd: -1,
	}
}

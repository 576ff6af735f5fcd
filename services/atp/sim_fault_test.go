//go:build synctests

package atp

import (
	"context"
	"slices"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/stockweave/stockweave/pkg/event"
)

// simFaults are what may befall a cluster. Each answers the next few requests that
// match; produce requests that say REQUEST_TIMED_OUT are carried out all the same.
func simFaults() map[string]kfake.Fault {
	end := func(err *kerr.Error) kfake.Fault {
		return kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: err}
	}
	offsets := func(err *kerr.Error) kfake.Fault {
		return kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: err}
	}
	produce := func(topic string, err *kerr.Error) kfake.Fault {
		return kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topic, Err: err}
	}
	return map[string]kfake.Fault{
		"end not applied, timed out":   end(kerr.RequestTimedOut),
		"end unknown":                  end(kerr.UnknownServerError),
		"end fenced":                   end(kerr.ProducerFenced),
		"offsets unknown member":       offsets(kerr.UnknownMemberID),
		"offsets illegal generation":   offsets(kerr.IllegalGeneration),
		"event applied, answer lost":   produce(event.TopicEvents, kerr.RequestTimedOut),
		"outcome applied, answer lost": produce(event.TopicOutcomes, kerr.RequestTimedOut),
		"answer applied, answer lost":  produce(event.TopicAnswers, kerr.RequestTimedOut),
		"state fenced":                 produce(event.TopicState, kerr.InvalidProducerEpoch),
		"heartbeat unknown member":     {Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Err: kerr.UnknownMemberID},
		"state end unreadable": {
			Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: event.TopicState, Err: kerr.NotLeaderForPartition, Count: 3,
		},
	}
}

// The faults that are no answer to a request.
const (
	faultLeaders      = "leaders move"
	faultCoordinators = "coordinators move"
	faultEndApplied   = "end applied, answer lost"
)

func simFaultNames() []string {
	names := []string{faultLeaders, faultCoordinators, faultEndApplied}
	for name := range simFaults() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// faults lets happen what the plan says, and returns when the last of it is over.
func (w *simWorld) faults(plan *simPlan) {
	kinds := simFaults()
	handles := map[*kfake.FaultHandle]string{}
	var lost []*atomic.Bool
	for _, f := range plan.faults {
		w.sleepUntil(f.at)
		switch f.name {
		case faultLeaders:
			w.c.ShufflePartitionLeaders()
			w.meet(f.name, 1)
		case faultCoordinators:
			w.c.RehashCoordinators()
			w.meet(f.name, 1)
		case faultEndApplied:
			lost = append(lost, w.loseEnd())
		default:
			handles[w.c.Fault(kinds[f.name])] = f.name
		}
	}
	w.sleepUntil(plan.calm)
	for _, l := range lost {
		if l.Swap(true) { // nor is it to come later
			w.meet(faultEndApplied, 1)
		}
	}
	for h, name := range handles {
		w.meet(name, h.Hits())
		h.Remove()
	}
}

// loseEnd lets the next commit take effect and answers it with an error.
func (w *simWorld) loseEnd() *atomic.Bool {
	done := new(atomic.Bool)
	w.c.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
		q, ok := r.(*kmsg.EndTxnRequest)
		if !ok || !q.Commit || done.Swap(true) {
			return nil, nil, false
		}
		same := *q // another client ends it
		w.c.SleepControl(func() {
			if _, err := same.RequestWith(context.Background(), w.cl); err != nil {
				w.t.Error(err)
			}
		})
		resp, ok := q.ResponseKind().(*kmsg.EndTxnResponse)
		if !ok {
			return nil, nil, false
		}
		resp.ErrorCode = kerr.RequestTimedOut.Code
		return resp, nil, true
	})
	return done
}

func (w *simWorld) meet(name string, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.met[name] += n
}

func (w *simWorld) sleepUntil(at time.Duration) { time.Sleep(time.Until(w.start.Add(at))) }

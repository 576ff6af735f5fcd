//go:build synctests

package stream

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// simFaults are what may befall a cluster. Each answers the next few requests that
// match; produce requests that say REQUEST_TIMED_OUT are carried out all the same.
var simFaults = map[string]func() kfake.Fault{
	"end not applied, timed out": func() kfake.Fault {
		return kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.RequestTimedOut}
	},
	"end unknown": func() kfake.Fault {
		return kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.UnknownServerError}
	},
	"end fenced": func() kfake.Fault {
		return kfake.Fault{Keys: []kmsg.Key{kmsg.EndTxn}, TopLevel: true, Err: kerr.ProducerFenced}
	},
	"offsets unknown member": func() kfake.Fault {
		return kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.UnknownMemberID}
	},
	"offsets illegal generation": func() kfake.Fault {
		return kfake.Fault{Keys: []kmsg.Key{kmsg.TxnOffsetCommit}, Err: kerr.IllegalGeneration}
	},
	"produce applied, answer lost": func() kfake.Fault {
		return kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topicOut, Err: kerr.RequestTimedOut}
	},
	"produce fenced": func() kfake.Fault {
		return kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Topic: topicState, Err: kerr.InvalidProducerEpoch}
	},
	"heartbeat unknown member": func() kfake.Fault {
		return kfake.Fault{Keys: []kmsg.Key{kmsg.Heartbeat}, TopLevel: true, Err: kerr.UnknownMemberID}
	},
	"state end unreadable": func() kfake.Fault {
		return kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Topic: topicState, Err: kerr.NotLeaderForPartition, Count: 3}
	},
}

// Two workers that restart again and again, while leaders and coordinators move and
// answers are lost: every record counts once, and state is the fold of the log. The
// plan of faults is a function of the seed; the run itself is not. SIM_SEEDS says
// how many seeds, SIM_SEED where they begin.
func TestSimulation(t *testing.T) {
	number := func(env string, otherwise uint64) uint64 {
		if n, err := strconv.ParseUint(os.Getenv(env), 10, 64); err == nil {
			return n
		}
		return otherwise
	}
	first := number("SIM_SEED", 1)
	for seed := first; seed < first+number("SIM_SEEDS", 4); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { simulate(t, seed) })
	}
}

func simulate(t *testing.T, seed uint64, change ...func(*RunnerConfig)) {
	const (
		parts   = 4
		records = 600 // in all
	)
	inBubble(t, parts, func(b *bubble) {
		rng := rand.New(rand.NewPCG(seed, 2))
		names := []string{"leaders", "coordinators", "end applied, answer lost"}
		for name := range simFaults {
			names = append(names, name)
		}
		// The whole plan first, so that a failing seed tells what it does.
		type step struct {
			wait time.Duration
			name string
		}
		var plan []step
		slices.Sort(names)
		for range 60 {
			plan = append(plan, step{time.Duration(1+rng.IntN(6)) * time.Second, names[rng.IntN(len(names))]})
		}
		t.Logf("plan: %v", plan)

		var (
			wg    sync.WaitGroup
			mu    sync.Mutex
			met   = map[string]int{}
			lives int
		)
		stop := make(chan struct{})
		for i, life := range []time.Duration{61 * time.Second, 83 * time.Second} {
			wg.Go(func() {
				for {
					w := b.runner(strconv.Itoa(i), &counter{}, change...)
					mu.Lock()
					lives++
					mu.Unlock()
					timer := time.NewTimer(life)
					select {
					case <-timer.C:
						w.stop()
					case err := <-w.done:
						t.Errorf("worker %d stopped: %v", i, err)
						return
					case <-stop:
						timer.Stop()
						w.stop()
						return
					}
					time.Sleep(time.Second)
				}
			})
		}
		fed := make(chan struct{})
		go func() {
			defer close(fed)
			for i := range records {
				p := int32(i % parts)
				b.put(p, fmt.Sprintf("k%d", p))
				time.Sleep(400 * time.Millisecond)
			}
		}()
		handles := map[*kfake.FaultHandle]string{}
		var lost []*atomic.Bool
		for _, s := range plan {
			time.Sleep(s.wait)
			switch s.name {
			case "leaders":
				b.c.ShufflePartitionLeaders()
				met[s.name]++
			case "coordinators":
				b.c.RehashCoordinators()
				met[s.name]++
			case "end applied, answer lost":
				lost = append(lost, b.loseEnd(kerr.RequestTimedOut, true, nil))
			default:
				handles[b.c.Fault(simFaults[s.name]())] = s.name
			}
		}
		<-fed
		for _, met1 := range lost {
			if met1.Swap(true) { // nor is it to come later
				met["end applied, answer lost"]++
			}
		}
		for h, name := range handles {
			met[name] += h.Hits()
			h.Remove()
		}
		b.wantCounted(parts, records/parts)
		close(stop)
		wg.Wait()
		for p := range int32(parts) {
			if s := b.state(p); s[fmt.Sprintf("k%d|h", p)] != strconv.Itoa(records/parts) {
				t.Errorf("partition %d: state %v", p, s)
			}
			if h := b.header(p); h.AppliedThrough != records/parts-1 {
				t.Errorf("partition %d: header %+v", p, h)
			}
		}
		b.wantNone(topicDead)
		var outcomes [2]float64
		for _, w := range b.workers {
			outcomes[0] += w.metric("unknown_commits_total", outcomeAdopted)
			outcomes[1] += w.metric("unknown_commits_total", "")
		}
		t.Logf("%v commits adopted of %v whose outcome was unknown", outcomes[0], outcomes[1])
		t.Logf("%d lives, faults met: %v", lives, met)
		for name, n := range met {
			if n == 0 {
				t.Logf("seed %d never met: %s", seed, name)
				delete(met, name)
			}
		}
		if len(met) < 8 {
			t.Errorf("only %d kinds of faults were met", len(met))
		}
	}, kfake.SleepOutOfOrder())
}

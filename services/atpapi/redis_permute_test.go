package atpapi

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

const permuted = 5 // items

// permutation is a log that grows, two projectors that bring it into one Redis, each at
// its pace, dying and starting anew, and readers that poll: one by Redis, one by the
// copy first. Whatever happens to Redis, no version a reader sees falls, and each value
// is what was committed with it (Invariant 5).
type permutation struct {
	flog     *fakeLog
	writers  [2]*rig
	readers  []*reader
	open     func() *store
	versions [permuted]atomic.Int64 // committed
	answers  atomic.Int64
	refused  atomic.Int64
	stale    atomic.Int64
}

// permute runs disturb while all that goes on, and afterwards waits for the last
// commit to be read by all.
func permute(t *testing.T, c RedisConfig, disturb func(p *permutation)) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	c.Timeout = 300 * time.Millisecond
	p := &permutation{flog: &fakeLog{topic: "t1"}, open: func() *store {
		rdb, err := c.client(func(string) string { return "" })
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = rdb.Close() })
		return &store{rdb: rdb}
	}}
	for i := range p.writers {
		p.writers[i] = newRig(t, p.open(), p.flog)
		p.writers[i].projector.now = time.Now
	}
	codecs := p.writers[0].codecs
	commit := func(i int) {
		v := p.versions[i].Load() + 1
		p.flog.commit(t, codecs, fmt.Sprintf("I%d", i), v, map[inventory.Location]int64{"DC1": v, "DC2": 2 * v, "DC3": 3 * v}) // its numbers tell its version
		p.versions[i].Store(v)
	}
	for i := range permuted {
		commit(i)
	}
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	for i := range p.writers {
		rng := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() { p.write(ctx, p.writers[i].projector, rng) })
	}
	for _, first := range []bool{true, false} {
		r := newRig(t, p.open(), p.flog).reader
		r.now, r.local = time.Now, newLocal(LocalConfig{Bytes: 1 << 20, First: first, Bound: 50 * time.Millisecond, Stale: 300 * time.Millisecond})
		r.gather = &gather{load: r.store.items}
		r.local.begin("t1", map[int32]int64{0: 0})
		p.readers = append(p.readers, r)
		all.Go(func() { p.follow(ctx, r) })
		followed := make(chan struct{})
		close(followed)
		all.Go(func() { _ = r.look(ctx, followed) })
		for range 2 { // each of them a reader of its own
			all.Go(func() { p.poll(ctx, t, r) })
		}
	}
	all.Go(func() {
		rng := rand.New(rand.NewPCG(seed, 9))
		for ctx.Err() == nil {
			commit(rng.IntN(permuted))
			time.Sleep(time.Duration(rng.IntN(3)) * time.Millisecond)
		}
	})
	p.settle(t, "at first")
	disturb(p)
	p.settle(t, "in the end")
	t.Logf("%d answers, %d of them stale, %d refused, %d records", p.answers.Load(), p.stale.Load(), p.refused.Load(), p.flog.end)
}

// settle waits until each reader has seen all that is committed now, by Redis.
func (p *permutation) settle(t *testing.T, when string) {
	t.Helper()
	var want [permuted]int64
	for i := range want {
		want[i] = p.versions[i].Load()
	}
	for n, r := range p.readers {
		eventually(t, fmt.Sprintf("%s: reader %d reads what is committed", when, n), func() bool {
			for i := range want {
				s := r.load(t.Context(), []inventory.Key{{Entity: "acme", Item: inventory.Item(fmt.Sprintf("I%d", i))}})[0]
				if s.problem != nil || s.stale || versionIn(s.positions) < want[i] {
					return false
				}
			}
			return true
		})
	}
}

func versionIn(ps []inventory.Position) (top int64) {
	for i := range ps {
		top = max(top, ps[i].Version)
	}
	return top
}

// write projects in polls of any size, and now and then forgets all it knew.
func (p *permutation) write(ctx context.Context, w *projector, rng *rand.Rand) {
	at := int64(-1)
	for ctx.Err() == nil {
		if at < 0 || rng.IntN(200) == 0 {
			w.lost(event.TopicPositions, 0)
			from, err := w.start(ctx, event.TopicPositions, 0)
			if err != nil {
				at = -1
				pauseFor(ctx, 5*time.Millisecond)
				continue
			}
			at = from
		}
		poll := p.from(at, 1+rng.IntN(30))
		var err error
		if len(poll) == 0 || rng.IntN(20) == 0 {
			pauseFor(ctx, time.Millisecond)
			err = w.check(ctx, event.TopicPositions, 0)
		} else if _, err = w.batch(ctx, poll); err == nil {
			at = poll[len(poll)-1].Offset + 1
		}
		if back, ok := errors.AsType[stream.Rewind](err); ok {
			at = back.Offset
		} else if err != nil {
			pauseFor(ctx, 5*time.Millisecond) // and the same again
		}
	}
}

func (p *permutation) from(at int64, n int) []*stream.Record {
	p.flog.mu.Lock()
	defer p.flog.mu.Unlock()
	i := 0
	for i < len(p.flog.recs) && p.flog.recs[i].Offset < at {
		i++
	}
	return append([]*stream.Record(nil), p.flog.recs[i:min(len(p.flog.recs), i+n)]...)
}

func pauseFor(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (p *permutation) follow(ctx context.Context, r *reader) {
	for next := int64(0); ctx.Err() == nil; {
		p.flog.mu.Lock()
		end := p.flog.end
		p.flog.mu.Unlock()
		for _, rec := range p.from(next, 1<<30) {
			if rec.Offset < end {
				r.local.passed(0, rec.Offset, rec.Key[:strings.LastIndexByte(string(rec.Key), '|')])
			}
		}
		if end > next {
			r.local.passed(0, end-1, nil) // the marker
			next = end
		}
		pauseFor(ctx, 2*time.Millisecond)
	}
}

func (p *permutation) poll(ctx context.Context, t *testing.T, r *reader) {
	var seen [permuted]int64
	for n := 0; ctx.Err() == nil && !t.Failed(); n++ {
		i := n % permuted
		s := r.load(ctx, []inventory.Key{{Entity: "acme", Item: inventory.Item(fmt.Sprintf("I%d", i))}})[0]
		if ctx.Err() != nil {
			return
		}
		if s.problem != nil {
			if s.problem.status != 503 {
				t.Errorf("I%d: %v %v", i, s.problem, s.problem.cause)
			}
			p.refused.Add(1)
			pauseFor(ctx, time.Millisecond)
			continue
		}
		p.answers.Add(1)
		if s.stale {
			p.stale.Add(1)
		}
		v := versionIn(s.positions)
		if v < seen[i] {
			t.Errorf("I%d fell from %d to %d: %+v", i, seen[i], v, s)
		}
		seen[i] = v
		if len(s.positions) != 3 || v > p.versions[i].Load()+1 {
			t.Errorf("I%d: %+v, but %d is committed", i, s.positions, p.versions[i].Load())
		}
		for l := range s.positions {
			if at := &s.positions[l]; at.Version != v || at.States[inventory.OnHand] != inventory.Quantity(int64(l+1)*v)*inventory.One {
				t.Errorf("I%d at version %d was never committed as %+v", i, v, at)
			}
		}
		if n%64 == 0 {
			pauseFor(ctx, time.Millisecond)
		}
	}
}

// TestPermutedFlushesAndKills empties one real node and kills it, again and again.
func TestPermutedFlushesAndKills(t *testing.T) {
	srv := newServer(t)
	srv.start(t)
	c := DefaultRedis()
	c.Addresses = []string{srv.addr}
	permute(t, c, func(p *permutation) {
		root := redis.NewClient(&redis.Options{Addr: srv.addr})
		defer root.Close()
		for i := range 3 {
			if err := root.FlushAll(t.Context()).Err(); err != nil {
				t.Fatal(err)
			}
			p.settle(t, fmt.Sprintf("after flush %d", i))
			srv.kill()
			time.Sleep(100 * time.Millisecond)
			srv.start(t)
			p.settle(t, fmt.Sprintf("after kill %d", i))
		}
	})
}

// TestPermutedFailover kills a master whose replica has been cut off: Sentinel, told of
// by the configuration, makes the replica that lags the master.
func TestPermutedFailover(t *testing.T) {
	t.Parallel()
	master, replica := newServer(t), newServer(t)
	master.start(t)
	replica.args = []string{"--replicaof", "127.0.0.1 " + master.port(), "--repl-diskless-sync-delay", "0"}
	replica.start(t)
	of := redis.NewClient(&redis.Options{Addr: replica.addr})
	defer of.Close()
	info := func(want string) func() bool {
		return func() bool { return strings.Contains(of.Info(t.Context(), "replication").Val(), want) }
	}
	eventually(t, "the replica follows", info("master_link_status:up"))
	watch := newServer(t)
	watch.launch(t, watch.write(t, "sentinel.conf", fmt.Sprintf("port %s\nbind 127.0.0.1\ndir %s\nsentinel monitor stock 127.0.0.1 %s 1\nsentinel down-after-milliseconds stock 300\nsentinel failover-timeout stock 3000\n",
		watch.port(), watch.dir, master.port())), "--sentinel")
	asked := redis.NewSentinelClient(&redis.Options{Addr: watch.addr})
	defer asked.Close()
	eventually(t, "the sentinel knows the replica", func() bool {
		known, err := asked.Replicas(t.Context(), "stock").Result()
		return err == nil && len(known) == 1
	})
	c := DefaultRedis()
	c.Addresses, c.Sentinel = nil, SentinelConfig{Master: "stock", Addresses: []string{watch.addr}}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	permute(t, c, func(p *permutation) {
		// The replica hears nothing any more, and the readers see what it will not know.
		if err := of.Do(t.Context(), "replicaof", "127.0.0.1", "1").Err(); err != nil {
			t.Fatal(err)
		}
		had, _, err := (&store{rdb: of}).mark(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		p.settle(t, "before the failover")
		last, _, err := p.open().mark(t.Context(), 0)
		if err != nil || last.next <= had.next {
			t.Fatalf("the replica stands at %d, the master at %d: %v", had.next, last.next, err)
		}
		master.kill()
		eventually(t, "the replica is the master", info("role:master"))
		t.Logf("it fell back by %d offsets", last.next-had.next)
	})
}

// TestPermutedSlots moves the slot of the partition around a cluster of three, key by
// key, while all goes on.
func TestPermutedSlots(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	nodes, clients, ids := clusterOfThree(t)
	slot := clients[0].ClusterKeySlot(ctx, markKey(0)).Val()
	at := int(slot) / 5461
	c := DefaultRedis()
	c.Addresses = []string{nodes[0].addr, nodes[1].addr}
	do := func(c *redis.Client, args ...any) {
		t.Helper()
		if err := c.Do(ctx, args...).Err(); err != nil {
			t.Fatalf("%v: %v", args, err)
		}
	}
	permute(t, c, func(p *permutation) {
		for range 4 {
			to := (at + 1) % 3
			do(clients[to], "cluster", "setslot", slot, "importing", ids[at])
			do(clients[at], "cluster", "setslot", slot, "migrating", ids[to])
			for {
				keys, err := clients[at].ClusterGetKeysInSlot(ctx, int(slot), 1).Result()
				if err != nil {
					t.Fatal(err)
				}
				if len(keys) == 0 {
					break
				}
				port, _ := strconv.Atoi(nodes[to].port())
				do(clients[at], "migrate", "127.0.0.1", port, keys[0], 0, 1000)
				time.Sleep(20 * time.Millisecond) // the slot is in two places
			}
			do(clients[to], "cluster", "setslot", slot, "node", ids[to])
			do(clients[at], "cluster", "setslot", slot, "node", ids[to])
			p.settle(t, fmt.Sprintf("in node %d", to))
			at = to
		}
	})
}

// A Redis that fell back while a commit was open stands at the same offset as before,
// but not where it was: both the projector and readers notice.
func TestAFallBackBehindAnOpenCommit(t *testing.T) {
	onRedis(t, func(t *testing.T, s *store) {
		ctx := t.Context()
		r := newRig(t, s, &fakeLog{topic: "t1"})
		r.flog.commit(t, r.codecs, "Y", 1, map[inventory.Location]int64{"DC1": 1})
		r.run(t, 10)
		open := r.flog.commit(t, r.codecs, "X", 1, map[inventory.Location]int64{"DC1": 1, "DC2": 1})
		if _, err := r.batch(ctx, open[:1]); err != nil {
			t.Fatal(err)
		}
		stood, err := s.rdb.Get(ctx, markKey(0)).Result()
		if err != nil {
			t.Fatal(err)
		}
		old := s.rdb.HGetAll(ctx, itemKey(0, "acme|Y")).Val()
		next := r.flog.commit(t, r.codecs, "Y", 2, map[inventory.Location]int64{"DC1": 2})
		if _, err := r.batch(ctx, next); err != nil {
			t.Fatal(err)
		}
		if a := r.get(t, "Y", ""); a.Version != 2 {
			t.Fatalf("%+v", a)
		}
		s.rdb.Set(ctx, markKey(0), stood, 0) // what a replica that lags holds
		s.rdb.HSet(ctx, itemKey(0, "acme|Y"), old)
		r.get(t, "Y", "not_caught_up")
		var back stream.Rewind
		if _, err := r.batch(ctx, open[1:]); !errors.As(err, &back) || back.Offset > next[0].Offset {
			t.Fatalf("it goes on as if nothing was lost: %v", err)
		}
		r.feed(t, back.Offset, 10)
		if a := r.get(t, "Y", ""); a.Version != 2 {
			t.Errorf("%+v", a)
		}
	})
}

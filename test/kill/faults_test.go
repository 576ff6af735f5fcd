package kill_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

const (
	tries     = 10               // for a fault to hit
	aim       = 20 * time.Second // for the moment to come at which a kill hits
	afterward = 10 * time.Second // for its trace to show
)

// A fault is one blow. Strike returns whether it has hit work under way, and what
// it hit; all it has killed runs again by then.
type fault struct {
	name   string
	strike func(t *testing.T, w *world, d *delivery) (hit bool, what string)
}

// shortFaults are one blow of each kind.
func shortFaults() []fault {
	return []fault{
		killATP("atp-0"),
		killIngest(),
		killCanonicalizer(),
		killATP("atp-1"),
		killCaller("erp-writer", "books", "a draft created, not answered", true, call(http.MethodPost, "/documents", "/documents")),
		killProjector(),
		flushRedis(),
		killCaller("channel-publisher", "webshop", "a value set, not answered", true, call(http.MethodPut, "/listings/", "")),
		killATP("atp-0", "atp-1"),
		killCaller("erp-writer", "books", "a document posted, not answered", true, call(http.MethodPost, "/documents/", "/post")),
	}
}

// longFaults are several rounds of the short ones and what takes longer.
func longFaults() []fault {
	var all []fault
	for range 3 {
		all = append(all, shortFaults()...)
	}
	return append(all,
		killCaller("erp-writer", "books", "a draft not created yet", false, call(http.MethodPost, "/documents", "/documents")),
		killCaller("erp-writer", "books", "a draft not posted yet", false, call(http.MethodPost, "/documents/", "/post")),
		killCaller("channel-publisher", "market", "a webhook taken, not answered", true, call(http.MethodPost, "/webhook", "")),
		killCaller("channel-publisher", "webshop", "a value not set yet", false, call(http.MethodPut, "/listings/", "")),
		zombie(), usurped(), takeOver(),
		flushRedis(), killProjector(), // while it loads Redis again
	)
}

// strike tries a fault until it hits.
func (f fault) hit(t *testing.T, w *world, d *delivery) {
	t.Helper()
	began := time.Now()
	for try := 1; try <= tries; try++ {
		hit, what := f.strike(t, w, d)
		if t.Failed() {
			t.FailNow()
		}
		if hit {
			t.Logf("%-28s hit at message %d, try %d, %s: %s", f.name, d.acked.Load(), try, time.Since(began).Round(time.Millisecond), what)
			return
		}
	}
	t.Fatalf("%s has hit nothing in %d tries", f.name, tries)
}

// killATP kills workers at once while each has a transaction open.
func killATP(names ...string) fault {
	return fault{strings.Join(names, " and "), func(t *testing.T, w *world, _ *delivery) (bool, string) {
		states := w.killOpen(t, names...)
		w.revive(t, names...)
		return !slices.ContainsFunc(states, func(s string) bool { return !isOpen(s) }), strings.Join(states, ", ")
	}}
}

// killOpen kills workers and returns the states of the transactions they leave.
func (w *world) killOpen(t *testing.T, names ...string) []string {
	t.Helper()
	w.freeze(t, names...)
	for _, name := range names {
		w.processes[name].Kill9()
	}
	return w.transactions(t, names...)
}

// freeze stops workers at a moment at which each has a transaction open.
func (w *world) freeze(t *testing.T, names ...string) {
	t.Helper()
	if !poll(t.Context(), aim, func() bool {
		if w.open(t, names...) != nil {
			return false
		}
		for _, name := range names {
			w.processes[name].Pause()
		}
		// What they had sent has reached the broker.
		if sleep(t.Context(), 10*time.Millisecond) && w.open(t, names...) == nil {
			return true
		}
		for _, name := range names {
			w.processes[name].Resume()
		}
		return false
	}) {
		t.Fatalf("no transaction of %v within %s: %v", names, aim, w.open(t, names...))
	}
}

// transactions are the states of workers' transactions; their ids are the names.
func (w *world) transactions(t *testing.T, names ...string) []string {
	t.Helper()
	described, err := w.admin.DescribeTransactions(t.Context(), names...)
	if err != nil {
		t.Fatalf("describing transactions: %v", err)
	}
	states := make([]string, len(names))
	for i, name := range names {
		states[i] = described[name].State
	}
	return states
}

func isOpen(state string) bool {
	return slices.Contains([]string{"Ongoing", "PrepareCommit", "PrepareAbort"}, state)
}

// open is nil when every named worker has begun a transaction and not ended it.
func (w *world) open(t *testing.T, names ...string) error {
	t.Helper()
	if states := w.transactions(t, names...); slices.ContainsFunc(states, func(s string) bool { return s != "Ongoing" }) {
		return fmt.Errorf("transactions are %v", states)
	}
	return nil
}

// killIngest kills the door while a request is in its hands.
func killIngest() fault {
	return fault{"ingest", func(t *testing.T, w *world, d *delivery) (bool, string) {
		if !poll(t.Context(), aim, func() bool { return d.inflight.Load() > 0 }) {
			t.Fatalf("no request within %s", aim)
		}
		before := d.broken.Load()
		w.processes["ingest"].Kill9()
		hit := poll(t.Context(), time.Second, func() bool { return d.broken.Load() > before })
		w.revive(t, "ingest")
		return hit, fmt.Sprintf("%d requests in flight broke off", d.broken.Load()-before)
	}}
}

// killCanonicalizer kills it while messages are worked off and their offsets are
// not committed: they are worked off once more.
func killCanonicalizer() fault {
	return fault{"canonicalizer", func(t *testing.T, w *world, _ *delivery) (bool, string) {
		if !poll(t.Context(), aim, func() bool { return w.lag(t, "canonicalizer", event.TopicRaw) > 0 }) {
			t.Fatalf("canonicalizer is never behind within %s", aim)
		}
		before := w.replays()
		w.processes["canonicalizer"].Kill9()
		lag := w.lag(t, "canonicalizer", event.TopicRaw)
		w.revive(t, "canonicalizer")
		hit := lag > 0 && poll(t.Context(), afterward/2, func() bool { return w.replays() > before })
		return hit, fmt.Sprintf("%d messages uncommitted, %d events written again", lag, w.replays()-before)
	}}
}

// lag is how many records a group has not committed.
func (w *world) lag(t *testing.T, group, topic string) int64 {
	t.Helper()
	ends, err := w.admin.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	fetched, err := w.admin.FetchOffsets(t.Context(), group)
	if err != nil {
		t.Fatal(err)
	}
	var lag int64
	ends.Each(func(end kadm.ListedOffset) {
		at := int64(0)
		if o, ok := fetched.Lookup(topic, end.Partition); ok {
			at = o.At
		}
		lag += end.Offset - at
	})
	return lag
}

// replays counts events that stand on the log more than once from one message.
type replays struct {
	next  int
	n     int
	known map[[2]string]bool
}

func (w *world) replays() int {
	w.tail.Lock()
	defer w.tail.Unlock()
	r := &w.seen
	if r.known == nil {
		r.known = map[[2]string]bool{}
	}
	for ; r.next < len(w.tail.Events); r.next++ {
		e := &w.tail.Events[r.next]
		id := [2]string{e.Trace.RawID, e.ID}
		if r.known[id] {
			r.n++
		}
		r.known[id] = true
	}
	return r.n
}

// killCaller kills a service while a counterpart holds a call of it.
func killCaller(service, counterpart, what string, after bool, match func(*http.Request) bool) fault {
	return fault{service, func(t *testing.T, w *world, _ *delivery) (bool, string) {
		g := w.gates[counterpart]
		trap := g.arm(after, match)
		select {
		case <-trap.held:
		case <-time.After(aim):
			g.disarm()
			t.Fatalf("no call of %s within %s", service, aim)
		}
		w.processes[service].Kill9()
		close(trap.release)
		<-trap.done
		w.revive(t, service)
		return true, what
	}}
}

// killProjector kills atp-api while Redis holds a write of it.
func killProjector() fault {
	return fault{"atp-api", func(t *testing.T, w *world, _ *delivery) (bool, string) {
		ctx := t.Context()
		pause := func() {
			// Reads go on, writes wait.
			if err := w.cache.Do(ctx, "CLIENT", "PAUSE", "3000", "WRITE").Err(); err != nil {
				t.Fatalf("pausing redis: %v", err)
			}
		}
		pause()
		began := time.Now()
		held := poll(ctx, aim, func() bool {
			if time.Since(began) > time.Second { // before the service's own limit is over
				w.unpause(t)
				pause()
				began = time.Now()
			}
			list, err := w.cache.ClientList(ctx).Result()
			if err != nil {
				t.Fatalf("listing redis clients: %v", err)
			}
			return slices.ContainsFunc(strings.Split(list, "\n"), func(c string) bool {
				return strings.Contains(c, "name=stockweave-atp-api") && strings.Contains(c, "flags=b") && strings.Contains(c, "cmd=eval")
			})
		})
		if !held {
			t.Fatalf("no write to redis within %s", aim)
		}
		versions := w.versions()
		w.processes["atp-api"].Kill9()
		w.unpause(t)
		behind := w.behind(t, versions)
		w.revive(t, "atp-api")
		return behind > 0, fmt.Sprintf("a write in flight, %d positions not in redis", behind)
	}}
}

func (w *world) unpause(t *testing.T) {
	t.Helper()
	if err := w.cache.Do(t.Context(), "CLIENT", "UNPAUSE").Err(); err != nil {
		t.Fatalf("going on with redis: %v", err)
	}
}

// versions are those of all positions that stand committed on the log.
func (w *world) versions() map[inventory.Key]map[inventory.Location]int64 {
	w.tail.Lock()
	defer w.tail.Unlock()
	all := map[inventory.Key]map[inventory.Location]int64{}
	for _, p := range w.tail.Positions {
		if all[p.Key] == nil {
			all[p.Key] = map[inventory.Location]int64{}
		}
		all[p.Key][p.Location] = p.Version
	}
	return all
}

// behind counts positions of which Redis has an older version, or none. Redis
// holds a hash an item, of location to 20 digits of version and the position.
func (w *world) behind(t *testing.T, versions map[inventory.Key]map[inventory.Location]int64) int {
	t.Helper()
	topics, err := w.admin.ListTopics(t.Context(), event.TopicPositions)
	if err != nil {
		t.Fatal(err)
	}
	partitions := int32(len(topics[event.TopicPositions].Partitions))
	n := 0
	for key, at := range versions {
		k := key.String()
		held, err := w.cache.HGetAll(t.Context(), fmt.Sprintf("sw:{p%d}:i:%s", stream.Partition([]byte(k), partitions), k)).Result()
		if err != nil {
			t.Fatalf("reading redis: %v", err)
		}
		for location, version := range at {
			if v := held[string(location)]; len(v) < 20 || v[:20] < fmt.Sprintf("%020d", version) {
				n++
			}
		}
	}
	return n
}

// flushRedis empties Redis; the projector notices and loads it again.
func flushRedis() fault {
	return fault{"redis FLUSHALL", func(t *testing.T, w *world, _ *delivery) (bool, string) {
		const loading = "loading a partition into redis from its start"
		api := w.processes["atp-api"]
		keys, err := w.cache.DBSize(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		before := strings.Count(api.Log(t), loading)
		if err := w.cache.FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		noticed := poll(t.Context(), afterward, func() bool { return strings.Count(api.Log(t), loading) >= before+6 })
		w.ready(t, "atp-api")
		return noticed && keys > 6, fmt.Sprintf("%d keys gone, every partition loaded again", keys)
	}}
}

// zombie freezes a worker in the middle of a transaction for longer than its
// session, until the other has taken over, and lets it go on: it is fenced.
func zombie() fault {
	return fault{"atp-1 frozen", func(t *testing.T, w *world, _ *delivery) (bool, string) {
		p := w.processes["atp-1"]
		w.freeze(t, "atp-1")
		before := len(p.Log(t))
		if !poll(t.Context(), time.Minute, func() bool { return !w.member(t, "atp-1") && !isOpen(w.transactions(t, "atp-1")[0]) }) {
			t.Fatal("a frozen worker keeps its place in the group or its transaction")
		}
		w.goesOn(t)
		p.Resume()
		// It learns so from the transaction's coordinator or from the group's, whichever
		// answers first: its session ends, or its transaction does.
		fenced := poll(t.Context(), 30*time.Second, func() bool {
			log := p.Log(t)[before:]
			return strings.Contains(log, "opening session anew") || strings.Contains(log, `"cause":"rebalance"`)
		})
		if !p.Running() {
			t.Fatalf("the frozen worker has ended:\n%s", p.Log(t)[before:])
		}
		if !fenced {
			t.Fatalf("the frozen worker was not fenced:\n%s", p.Log(t)[before:])
		}
		if !poll(t.Context(), time.Minute, func() bool { return w.member(t, "atp-1") }) {
			t.Fatal("the worker does not come back into the group")
		}
		w.ready(t, "atp-0", "atp-1")
		return true, "transaction aborted by the broker, session taken over, fenced, back again"
	}}
}

// usurped freezes a worker and starts another under its name: the frozen one must
// end when it goes on, and never drive its successor out.
func usurped() fault {
	return fault{"atp-1 frozen and replaced", func(t *testing.T, w *world, _ *delivery) (bool, string) {
		old := w.processes["atp-1"]
		w.freeze(t, "atp-1")
		w.start(t, "atp-1b", "atp", "1")
		w.ready(t, "atp-1b")
		old.Resume()
		code := old.Wait(t, time.Minute)
		if code == 0 {
			t.Fatalf("the replaced worker has ended as if all were well:\n%s", old.Log(t))
		}
		w.processes["atp-1"] = w.processes["atp-1b"]
		delete(w.processes, "atp-1b")
		if !w.processes["atp-1"].Running() {
			t.Fatal("the successor was driven out")
		}
		return true, fmt.Sprintf("the frozen one was fenced and ended with %d", code)
	}}
}

// takeOver kills a worker for longer than its session: the other does its work.
func takeOver() fault {
	return fault{"atp-0 gone for long", func(t *testing.T, w *world, _ *delivery) (bool, string) {
		hit := isOpen(w.killOpen(t, "atp-0")[0])
		if !poll(t.Context(), time.Minute, func() bool { return !w.member(t, "atp-0") }) {
			t.Fatal("a dead worker keeps its place in the group")
		}
		w.goesOn(t)
		w.revive(t, "atp-0")
		w.ready(t, "atp-1")
		return hit, "the other worker took over and gave back"
	}}
}

// member says whether a worker is in the group.
func (w *world) member(t *testing.T, name string) bool {
	t.Helper()
	groups, err := w.admin.DescribeGroups(t.Context(), "atp")
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(groups["atp"].Members, func(m kadm.DescribedGroupMember) bool {
		return m.InstanceID != nil && *m.InstanceID == name
	})
}

// goesOn waits until every event of every partition that is there now has its
// outcome, with one worker away.
func (w *world) goesOn(t *testing.T) {
	t.Helper()
	w.tail.Lock()
	events := len(w.tail.Events)
	w.tail.Unlock()
	if !poll(t.Context(), time.Minute, func() bool {
		w.tail.Lock()
		defer w.tail.Unlock()
		return len(w.tail.Outcomes) >= events
	}) {
		t.Fatal("one worker does not do the work of both")
	}
}

// watch reads items over and over, and says where an answer was not what a reader
// may see: a version that fell, or an item that was known and is unknown
// (Invariant 5).
func (w *world) watch(ctx context.Context) []string {
	client := &http.Client{Timeout: 5 * time.Second}
	versions := map[string]int64{}
	var wrong []string
	for n := 0; sleep(ctx, 20*time.Millisecond); n++ {
		item := sku(n % 10)
		status, version, err := w.ask(ctx, client, item)
		switch {
		case err != nil || status == http.StatusServiceUnavailable:
		case status == http.StatusOK && version >= versions[item]:
			versions[item] = version
		case status == http.StatusNotFound && versions[item] == 0:
		default:
			wrong = append(wrong, fmt.Sprintf("%s: status %d, version %d after %d", item, status, version, versions[item]))
		}
	}
	return wrong
}

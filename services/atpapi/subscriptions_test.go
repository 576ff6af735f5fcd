package atpapi

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/client"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
)

// TestWebhooks is a subscription's life: numbers, signatures, a rotation, a receiver that
// fails for too long, one that is gone, and the end.
func TestWebhooks(t *testing.T) {
	r, rcv := newRoad(t), newReceiver(t)
	r.write(t, kgo.TryCommit, "A", 1, map[inventory.Location]int64{"DC1": 5})
	r.write(t, kgo.TryCommit, "B", 1, map[inventory.Location]int64{"DC1": 6})
	url, _ := r.serve(t, miniredis.RunT(t).Addr(), subscribing(rcv))
	a := &asker{t, url, readDocument(t)}

	named := a.made("shop", fmt.Sprintf(`{"url":%q,"items":["A","NOPE"],"description":"stock of A"}`, rcv.srv.URL+"/x?token=1"))
	eventually(t, "what is named comes at once", func() bool { return rcv.numbers(named.ID)["A"].ATP == "5" })
	if one := a.ask(http.MethodGet, "/v1/subscriptions/"+named.ID, "shop", ""); one.Secret != "" || one.Status != "active" || one.Description != "stock of A" {
		t.Errorf("it stands as %+v", one)
	}
	all := a.made("shop", fmt.Sprintf(`{"url":%q}`, rcv.srv.URL))
	r.write(t, kgo.TryCommit, "A", 2, map[inventory.Location]int64{"DC1": 7})
	r.write(t, kgo.TryCommit, "B", 2, map[inventory.Location]int64{"DC1": 8})
	eventually(t, "changes come", func() bool {
		n := rcv.numbers(all.ID)
		return n["A"].ATP == "7" && n["B"].ATP == "8" && rcv.numbers(named.ID)["A"].ATP == "7"
	})
	if _, other := rcv.numbers(named.ID)["B"]; other {
		t.Error("an item that was not named was told of")
	}
	for _, m := range rcv.all() {
		mine, others := named.Secret, all.Secret
		if m.msg.Data.Subscription == all.ID {
			mine, others = others, mine
		}
		if m.verified(t, mine) != 1 || m.verified(t, others) != 0 || len(strings.Fields(m.signature)) != 1 || strings.Contains(m.id, ".") {
			t.Errorf("signed %q, id %q", m.signature, m.id)
		}
		if err := a.doc.Is("WebhookMessage", m.body); err != nil {
			t.Errorf("not as documented: %v", err)
		}
	}

	// Both secrets sign for a while, and then the new one.
	new1 := a.ask(http.MethodPost, "/v1/subscriptions/"+all.ID+"/secret", "shop", `{"keep_old":3600}`)
	if new1.code != 200 || new1.Secret == "" || new1.Secret == all.Secret || new1.OldSecretUntil == "" {
		t.Fatalf("rotated: %+v", new1)
	}
	tested := a.ask(http.MethodPost, "/v1/subscriptions/"+all.ID+"/test", "shop", "")
	if got := rcv.all(); !tested.Received || got[len(got)-1].msg.Type != "subscription.test" || got[len(got)-1].verified(t, all.Secret) != 1 || got[len(got)-1].verified(t, new1.Secret) != 1 {
		t.Errorf("tested: %+v", tested)
	}
	new2 := a.ask(http.MethodPost, "/v1/subscriptions/"+all.ID+"/secret", "shop", `{"keep_old":0}`)
	// Who delivers learns of it soon after the answer: from the first message that the new one
	// signs alone no other signs any more.
	b, soon := int64(2), len(rcv.all())
	eventually(t, "a change comes that the new secret signs alone", func() bool {
		b++
		r.write(t, kgo.TryCommit, "B", b, map[inventory.Location]int64{"DC1": 6 + b})
		want := strconv.FormatInt(6+b, 10)
		eventually(t, "a change comes", func() bool { return rcv.numbers(all.ID)["B"].ATP == want })
		alone := false
		for _, m := range rcv.all()[soon:] {
			if m.msg.Data.Subscription != all.ID {
				continue
			}
			old := m.verified(t, new1.Secret) + m.verified(t, all.Secret)
			if m.verified(t, new2.Secret) == 1 && old == 0 {
				alone = true
			} else if alone {
				t.Errorf("after the second rotation it is signed %q", m.signature)
			}
		}
		return alone
	})
	if code := a.ask(http.MethodDelete, "/v1/subscriptions/"+named.ID, "shop", "").code; code != 204 {
		t.Errorf("removed: %d", code)
	}

	// It fails for too long.
	rcv.answers(func(*arrived) int { return 500 })
	r.write(t, kgo.TryCommit, "A", 3, map[inventory.Location]int64{"DC1": 1})
	a.status("shop", all.ID, "retrying")
	a.status("shop", all.ID, "failing")
	one := a.ask(http.MethodGet, "/v1/subscriptions/"+all.ID, "shop", "")
	if one.Stopped != "exhausted" || one.Fault != "status_500" || one.FailedAttempts != 3 || one.FailingSince == "" || !one.Enabled {
		t.Errorf("it stands as %+v", one)
	}
	failed := rcv.all()
	letter := r.letter(t)
	if last := failed[len(failed)-1]; letter.Code != "webhook_exhausted" || string(letter.Key) != all.ID || letter.ID != last.id || string(letter.Value) != string(last.body) {
		t.Errorf("dead letter %+v", letter)
	}
	// What changed meanwhile comes when it is enabled, of each item what is so then.
	for v := int64(4); v < 40; v++ {
		r.write(t, kgo.TryCommit, "A", v, map[inventory.Location]int64{"DC1": v})
	}
	r.write(t, kgo.TryCommit, "B", b+1, map[inventory.Location]int64{"DC1": 44})
	rcv.answers(nil)
	if got := a.ask(http.MethodPatch, "/v1/subscriptions/"+all.ID, "shop", `{"enabled":true}`); got.Status != "active" || got.FailedAttempts != 0 {
		t.Errorf("enabled: %+v", got)
	}
	eventually(t, "what changed meanwhile comes", func() bool {
		n := rcv.numbers(all.ID)
		return n["A"].ATP == "39" && n["B"].ATP == "44"
	})
	if more := len(rcv.all()) - len(failed); more > 6 {
		t.Errorf("%d messages for two items", more)
	}

	// It is gone.
	rcv.answers(func(*arrived) int { return 410 })
	r.write(t, kgo.TryCommit, "A", 40, map[inventory.Location]int64{"DC1": 2})
	a.status("shop", all.ID, "disabled")
	if one := a.ask(http.MethodGet, "/v1/subscriptions/"+all.ID, "shop", ""); one.Stopped != "gone" {
		t.Errorf("it stands as %+v", one)
	}
	rcv.answers(nil)
	a.ask(http.MethodPatch, "/v1/subscriptions/"+all.ID, "shop", fmt.Sprintf(`{"enabled":true,"url":%q}`, rcv.srv.URL+"/other"))
	eventually(t, "it goes on", func() bool { return rcv.numbers(all.ID)["A"].ATP == "2" })
	if got := a.ask(http.MethodPatch, "/v1/subscriptions/"+all.ID, "shop", `{"enabled":false}`); got.Status != "disabled" || got.Stopped != "" {
		t.Errorf("disabled: %+v", got)
	}
	if list := a.ask(http.MethodGet, "/v1/subscriptions", "shop", ""); len(list.Subscriptions) != 1 || list.Subscriptions[0].ID != all.ID {
		t.Errorf("listed: %+v", list)
	}
	if code := a.ask(http.MethodDelete, "/v1/subscriptions/"+all.ID, "shop", "").code; code != 204 {
		t.Errorf("removed: %d", code)
	}
	if code := a.ask(http.MethodGet, "/v1/subscriptions/"+all.ID, "shop", "").code; code != 404 {
		t.Errorf("read after its end: %d", code)
	}
}

// letter is the first dead letter.
func (r *road) letter(t *testing.T) (d event.DeadLetter) {
	t.Helper()
	reads, err := stream.NewRestoreReads(stream.Config{Brokers: r.brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer reads.Close()
	for p := range int32(partitions) {
		_, err := reads.Fold(t.Context(), event.TopicDeadATPAPI, p, func(rec *stream.Record) error { return r.codecs.DecodeDeadLetter(rec.Value, &d) })
		if err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// TestWebhooksResume: replicas end and others go on, receivers fail now and then; no
// change is missing at the end, no version falls, one id is one message, and while nothing
// breaks one replica delivers.
func TestWebhooksResume(t *testing.T) {
	r, rcv := newRoad(t), newReceiver(t)
	mini := miniredis.RunT(t)
	small := func(c *Config) {
		c.Changes.Recent = 4 // so that what is older comes from the log
		c.Subscriptions.Retries = []time.Duration{time.Second, time.Second, time.Second, time.Second, time.Second, time.Second, time.Second, time.Second}
		c.Subscriptions.MaxChanges = 3
	}
	zero, stopZero := r.serve(t, mini.Addr(), at("", subscribing(rcv, small)))
	_, stopOne := r.serve(t, mini.Addr(), at("", subscribing(rcv, small)))
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	fails := rand.New(rand.NewPCG(seed, 2)) // of the receiver, which locks
	a := &asker{t, zero, readDocument(t)}
	var subs []subscriptionSaid
	for range 4 {
		subs = append(subs, a.made("shop", fmt.Sprintf(`{"url":%q}`, rcv.srv.URL)))
	}
	want := map[string]string{}
	version := int64(0)
	write := func(n int) {
		for range n {
			version++
			item, q := fmt.Sprintf("I%d", rnd.IntN(8)), rnd.Int64N(100)
			r.write(t, kgo.TryCommit, item, version, map[inventory.Location]int64{"DC1": q})
			want[item] = fmt.Sprint(q)
		}
	}
	arrive := func(when string) {
		t.Helper()
		for _, s := range subs {
			// A replica that has ended is missed when its session is over.
			for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
				got, missing := rcv.numbers(s.ID), ""
				for item, w := range want {
					if got[item].ATP != w {
						missing += fmt.Sprintf(" %s is %s, not %s;", item, got[item].ATP, w)
					}
				}
				if missing == "" {
					break
				}
				if time.Now().After(deadline) {
					t.Logf("it stands as %+v", a.ask("GET", "/v1/subscriptions/"+s.ID, "shop", ""))
					t.Fatalf("%s: not told to %s within a minute:%s", when, s.ID, missing)
				}
			}
		}
	}
	write(40)
	arrive("while both run")
	seen := map[string]bool{}
	for _, m := range rcv.all() {
		if seen[m.id] {
			t.Errorf("%s came twice: %s", m.id, m.body)
		}
		seen[m.id] = true
	}
	rcv.answers(func(*arrived) int {
		if fails.IntN(4) == 0 {
			return 503
		}
		return 200
	})
	write(20)
	stopOne()
	write(20)
	arrive("one has ended")
	stopZero()
	write(20)
	two, stopTwo := r.serve(t, mini.Addr(), at("", subscribing(rcv, small)))
	write(5)
	stopTwo()
	write(5)
	r.serve(t, mini.Addr(), at("", subscribing(rcv, small)))
	_ = two
	arrive("all have ended once")
	said := map[string]string{}
	for _, m := range rcv.all() {
		says := ""
		for _, c := range m.msg.Data.Changes {
			says += fmt.Sprintf("%s %d %s;", c.Item, c.Version, c.ATP)
		}
		if len(m.msg.Data.Changes) > 3 {
			t.Errorf("%d changes in one message", len(m.msg.Data.Changes))
		}
		if was, ok := said[m.id]; ok && was != says {
			t.Errorf("%s says %s, and said %s", m.id, says, was)
		}
		said[m.id] = says
	}
}

// TestWebhooksUnderWay: what was under way when a replica ended is sent by the next one
// under the same id, though more has changed; and receivers that fail for long do not keep
// others from what has to be read from the log.
func TestWebhooksUnderWay(t *testing.T) {
	t.Parallel()
	r, rcv := newRoad(t), newReceiver(t)
	mini := miniredis.RunT(t)
	few := func(c *Config) {
		c.Changes.Recent, c.Changes.Backlogs = 1, 1
		c.Subscriptions.Retries = []time.Duration{2 * time.Second, time.Hour}
	}
	url, stop := r.serve(t, mini.Addr(), at("", subscribing(rcv, few)))
	a := &asker{t, url, readDocument(t)}
	good := a.made("shop", fmt.Sprintf(`{"url":%q}`, rcv.srv.URL))
	bad := map[string]bool{}
	for range 3 {
		bad[a.made("shop", fmt.Sprintf(`{"url":%q}`, rcv.srv.URL)).ID] = true
	}
	rcv.answers(func(m *arrived) int {
		if bad[m.msg.Data.Subscription] {
			return 500
		}
		return 204
	})
	r.write(t, kgo.TryCommit, "B", 1, map[inventory.Location]int64{"DC1": 1})
	for id := range bad {
		a.status("shop", id, "retrying")
	}
	before := map[string]string{}
	for _, m := range rcv.all() {
		before[m.msg.Data.Subscription] = m.id
	}
	stop()
	n := len(rcv.all())
	rcv.answers(func(m *arrived) int {
		if bad[m.msg.Data.Subscription] && !m.has("B") {
			return 500
		}
		return 204
	})
	for i := range 12 {
		r.write(t, kgo.TryCommit, fmt.Sprintf("C%d", i), 1, map[inventory.Location]int64{"DC1": int64(i)})
	}
	a.url, _ = r.serve(t, mini.Addr(), at("", subscribing(rcv, few)))
	for id := range bad {
		eventually(t, "the others fail", func() bool { return a.ask("GET", "/v1/subscriptions/"+id, "shop", "").FailedAttempts == 2 })
	}
	for i := 12; i < 24; i++ {
		r.write(t, kgo.TryCommit, fmt.Sprintf("C%d", i), 1, map[inventory.Location]int64{"DC1": int64(i)})
	}
	eventually(t, "all is told to the one that takes it", func() bool { return len(rcv.numbers(good.ID)) == 25 })
	seen := map[string]bool{}
	for _, m := range rcv.all()[n:] {
		if sub := m.msg.Data.Subscription; bad[sub] && !seen[sub] {
			seen[sub] = true
			if m.id != before[sub] || !m.has("B") || len(m.msg.Data.Changes) != 1 {
				t.Errorf("first comes %s %s, under way was %s", m.id, m.body, before[sub])
			}
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d were sent something", len(seen))
	}
}

// TestClientSubscribes drives the operations of subscriptions through the client, and holds
// its types against the document.
func TestClientSubscribes(t *testing.T) {
	r, rcv := newRoad(t), newReceiver(t)
	r.write(t, kgo.TryCommit, "A", 1, map[inventory.Location]int64{"DC1": 5})
	url, _ := r.serve(t, miniredis.RunT(t).Addr(), subscribing(rcv))
	c, err := client.New(client.Config{URL: url, Key: "shop", Attempts: 20})
	if err != nil {
		t.Fatal(err)
	}
	ctx, key := t.Context(), client.NewKey()
	ask := client.Subscribe{URL: rcv.srv.URL, Items: []string{"A"}}
	made, err := c.Subscribe(ctx, key, ask)
	if err != nil || made.Secret == "" || made.Status != "active" {
		t.Fatalf("%+v %v", made, err)
	}
	if again, err := c.Subscribe(ctx, key, ask); err != nil || again.ID != made.ID || again.Secret != made.Secret {
		t.Errorf("again: %+v %v", again, err)
	}
	if all, err := c.Subscriptions(ctx); err != nil || len(all) != 1 || all[0].ID != made.ID || all[0].Secret != "" {
		t.Errorf("listed: %+v %v", all, err)
	}
	if rotated, err := c.RotateSecret(ctx, made.ID, time.Hour); err != nil || rotated.Secret == made.Secret || rotated.OldSecretUntil == "" {
		t.Errorf("rotated: %+v %v", rotated, err)
	}
	if got, err := c.TestSubscription(ctx, made.ID); err != nil || !got.Received || got.Status != 204 {
		t.Errorf("tested: %+v %v", got, err)
	}
	off, words := false, "not now"
	if got, err := c.ChangeSubscription(ctx, made.ID, client.SubscriptionChange{Enabled: &off, Description: &words}); err != nil || got.Status != "disabled" || got.URL != made.URL {
		t.Errorf("disabled: %+v %v", got, err)
	}
	if got, err := c.Subscription(ctx, made.ID); err != nil || got.Description != words || got.Enabled {
		t.Errorf("read: %+v %v", got, err)
	}
	if err := c.Unsubscribe(ctx, made.ID); err != nil {
		t.Error(err)
	}
	if err := c.Unsubscribe(ctx, made.ID); client.Code(err) != "unknown_subscription" {
		t.Errorf("removed twice: %v", err)
	}
	doc := readDocument(t)
	for name, typ := range map[string]reflect.Type{
		"SubscribeRequest": reflect.TypeFor[client.Subscribe](), "Subscription": reflect.TypeFor[client.Subscription](),
		"SubscriptionChange": reflect.TypeFor[client.SubscriptionChange](), "SubscriptionTest": reflect.TypeFor[client.SubscriptionTest](),
	} {
		var has []string
		for f := range typ.Fields() {
			tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			has = append(has, tag)
		}
		slices.Sort(has)
		if want := doc.Properties(name); !slices.Equal(has, want) {
			t.Errorf("%s: the client has %q, the document %q", name, has, want)
		}
	}
}

// TestTogether: messages have no more items than they may, what was under way is one by
// itself, and what is no change stands alone.
func TestTogether(t *testing.T) {
	change := func(item string) told { return told{name: eventChange, data: &changeEvent{Entity: "acme", Item: item}} }
	m := &messages{most: 3, sending: map[inventory.Item]bool{"A": true, "B": true}}
	events := []told{
		{name: eventOpen, data: openEvent{}},
		change("A"), change("B"), change("C"),
		{name: eventProblem, data: problemEvent{Entity: "acme", Item: "D"}},
		change("E"), change("F"),
		{name: eventRecheck, data: reasonOf{}},
	}
	var got []int
	for len(events) > 0 {
		n := m.together(events)
		got, events = append(got, n), events[n:]
	}
	if want := []int{1, 2, 3, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("%v events go together, want %v", got, want)
	}
}

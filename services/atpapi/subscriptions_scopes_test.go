package atpapi

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// TestSubscriptionsOfOthers: scopes bound what may be subscribed to, and a subscription is
// its owner's alone. What a scope does not reach is refused the same whether it exists.
func TestSubscriptionsOfOthers(t *testing.T) {
	r, rcv := newRoad(t), newReceiver(t)
	r.write(t, kgo.TryCommit, "A", 1, map[inventory.Location]int64{"DC1": 5})
	web := func(c *Config) {
		c.Channels = []policy.Channel{{Name: "web", Entity: "acme", Locations: []inventory.Location{"DC1"}, Listings: map[inventory.Item]string{"A": "L"}}}
		c.Subscriptions.MaxPerCaller, c.Subscriptions.MaxTotal = 2, 4
	}
	redis := miniredis.RunT(t).Addr()
	url, stop := r.serve(t, redis, subscribing(rcv, web))
	a := &asker{t, url, readDocument(t)}
	to := func(more string) string { return fmt.Sprintf(`{"url":%q%s}`, rcv.srv.URL, more) }
	mine := a.made("shop", to(""))
	path := "/v1/subscriptions/" + mine.ID
	for _, c := range []struct {
		who, method, path, body string
		code                    int
		problem                 string
	}{
		{"", "GET", path, "", 401, "bad_key"},
		{"nobody", "GET", path, "", 401, "bad_key"},
		{"reader", "GET", path, "", 403, "insufficient_scope"},
		{"reader", "GET", "/v1/subscriptions", "", 403, "insufficient_scope"},
		{"reader", "POST", "/v1/subscriptions", to(""), 403, "insufficient_scope"},
		{"watcher", "POST", "/v1/subscriptions", to(""), 403, "insufficient_scope"},
		{"watcher", "DELETE", path, "", 403, "insufficient_scope"},
		{"watcher", "POST", path + "/secret", "", 403, "insufficient_scope"},
		{"watcher", "POST", path + "/test", "", 403, "insufficient_scope"},
		{"watcher", "PATCH", path, `{"enabled":false}`, 403, "insufficient_scope"},
		{"watcher", "GET", path, "", 404, "unknown_subscription"},
		{"rival", "GET", path, "", 404, "unknown_subscription"},
		{"rival", "PATCH", path, `{"enabled":false}`, 404, "unknown_subscription"},
		{"rival", "DELETE", path, "", 404, "unknown_subscription"},
		{"rival", "POST", path + "/secret", "", 404, "unknown_subscription"},
		{"rival", "POST", path + "/test", "", 404, "unknown_subscription"},
		{"rival", "GET", "/v1/subscriptions/" + strings.Repeat("0", 32), "", 404, "unknown_subscription"},
		{"narrow", "POST", "/v1/subscriptions", to(""), 403, "insufficient_scope"},
		{"narrow", "POST", "/v1/subscriptions", to(`,"channel":"NOPE"`), 403, "insufficient_scope"},
		{"narrow", "POST", "/v1/subscriptions", to(`,"location":"DC1"`), 403, "insufficient_scope"},
		{"half", "POST", "/v1/subscriptions", to(""), 403, "insufficient_scope"},
		{"half", "POST", "/v1/subscriptions", to(`,"channel":"other"`), 403, "insufficient_scope"},
		{"shop", "POST", "/v1/subscriptions", to(`,"channel":"NOPE"`), 404, "unknown_channel"},
		{"shop", "POST", "/v1/subscriptions", to(`,"group":"NOPE"`), 404, "unknown_group"},
	} {
		if got := a.ask(c.method, c.path, c.who, c.body); got.code != c.code || got.Code != c.problem {
			t.Errorf("%s %s %s by %q: %d %s, want %d %s", c.method, c.path, c.body, c.who, got.code, got.Code, c.code, c.problem)
		}
	}
	if list := a.ask("GET", "/v1/subscriptions", "rival", ""); list.code != 200 || len(list.Subscriptions) != 0 {
		t.Errorf("another's are listed: %+v", list)
	}
	narrow := a.made("narrow", to(`,"channel":"web","items":["A"]`))
	eventually(t, "within its scope it is told", func() bool { return rcv.numbers(narrow.ID)["A"].Channel != nil })

	// Caps, and requests that come again.
	first := a.made("shop", to(`,"items":["A"]`), "Idempotency-Key", "k1")
	if again := a.ask("POST", "/v1/subscriptions", "shop", to(`,"items":["A"]`), "Idempotency-Key", "k1"); again.code != 201 || again.ID != first.ID || again.Secret != first.Secret {
		t.Errorf("sent again: %+v", again)
	}
	if got := a.ask("POST", "/v1/subscriptions", "shop", to(`,"items":["B"]`), "Idempotency-Key", "k1"); got.Code != "idempotency_key_reused" {
		t.Errorf("another request under the key: %+v", got)
	}
	for _, who := range []string{"shop", "rival"} { // its own cap, that of all
		if got := a.ask("POST", "/v1/subscriptions", who, to("")); got.code != 409 || got.Code != "too_many_subscriptions" {
			t.Errorf("one more of %s: %+v", who, got)
		}
		if who == "shop" {
			a.made("half", to(`,"channel":"web"`)) // the last of all
		}
	}
	a.ask("POST", "/v1/subscriptions/"+first.ID+"/secret", "shop", `{"keep_old":0}`)
	if again := a.ask("POST", "/v1/subscriptions", "shop", to(`,"items":["A"]`), "Idempotency-Key", "k1"); again.code != 201 || again.Secret != "" {
		t.Errorf("sent again after a rotation: %+v", again)
	}

	// A scope that is taken away ends what it allowed.
	stop()
	told := len(rcv.all())
	r.write(t, kgo.TryCommit, "A", 2, map[inventory.Location]int64{"DC1": 6})
	a.url, _ = r.serve(t, redis, subscribing(rcv, web, func(c *Config) {
		for i := range c.Access.Principals {
			if p := &c.Access.Principals[i]; p.Name == "narrow" {
				p.Scopes = []string{"subscriptions:read", "atp:read:channel=other", "subscriptions:write"}
			}
		}
	}))
	eventually(t, "the others are told", func() bool { return rcv.numbers(mine.ID)["A"].ATP == "6" })
	a.status("narrow", narrow.ID, "forbidden")
	for _, m := range rcv.all()[told:] {
		if m.msg.Data.Subscription == narrow.ID {
			t.Errorf("told beyond the scope: %s", m.body)
		}
	}
}

// TestSubscriptionsByToken: who comes with a token that says less than the owner may cannot
// have what a subscription is about sent elsewhere, sign as it, or have it sent again.
func TestSubscriptionsByToken(t *testing.T) {
	r, rcv, idp := newRoad(t), newReceiver(t), newIssuer(t)
	r.write(t, kgo.TryCommit, "A", 1, map[inventory.Location]int64{"DC1": 5})
	url, _ := r.serve(t, miniredis.RunT(t).Addr(), subscribing(rcv, func(c *Config) {
		c.Channels = []policy.Channel{{Name: "web", Entity: "acme", Locations: []inventory.Location{"DC1"}, Listings: map[inventory.Item]string{"A": "L"}}}
		c.Access.Issuers = []policy.TokenIssuer{idp.policy}
		c.Access.Principals[0].Clients = []policy.PrincipalClient{{Issuer: "idp", ID: "shop"}}
	}))
	a := &asker{t, url, readDocument(t)}
	to := func(more string) string { return fmt.Sprintf(`{"url":%q%s}`, rcv.srv.URL, more) }
	all, web := a.made("shop", to("")), a.made("shop", to(`,"channel":"web","items":["A"]`), "Idempotency-Key", "k")
	// Where it stands is written first, so that nothing is missed whoever delivers it and when.
	if d := r.begins(t, web.ID); d.Bookmark == "" || !slices.Equal(d.Sending, []string{"A"}) || d.Epoch != 1 {
		t.Errorf("it begins at %+v", d)
	}
	less := idp.token(t, "shop", "subscriptions:write subscriptions:read atp:read:channel=web", time.Now().Add(time.Hour))
	mine := a.made(less, to(`,"channel":"web"`))
	if again := a.ask("POST", "/v1/subscriptions", less, to(`,"channel":"web","items":["A"]`), "Idempotency-Key", "k"); again.code != 201 || again.ID != web.ID || again.Secret != "" {
		t.Errorf("sent again by who may not be sent all of it: %+v", again)
	}
	for _, c := range []struct {
		id, method, more, body string
		code                   int
	}{
		{all.ID, "PATCH", "", to(""), 200}, // as it is
		{all.ID, "PATCH", "", `{"url":"https://elsewhere.example"}`, 403},
		{all.ID, "POST", "/secret", "", 403},
		{all.ID, "PATCH", "", `{"enabled":false}`, 200},
		{all.ID, "PATCH", "", `{"enabled":true}`, 403},
		{web.ID, "PATCH", "", `{"url":"https://elsewhere.example"}`, 403}, // it tells of the listed item at other locations, too
		{web.ID, "POST", "/secret", "", 403},
		{mine.ID, "PATCH", "", `{"url":"https://elsewhere.example"}`, 200},
		{mine.ID, "POST", "/secret", "", 200},
	} {
		if got := a.ask(c.method, "/v1/subscriptions/"+c.id+c.more, less, c.body); got.code != c.code {
			t.Errorf("%s %s%s %s: %d %s, want %d", c.method, c.id, c.more, c.body, got.code, got.Code, c.code)
		}
	}
	for _, s := range []subscriptionSaid{all, web} {
		if got := a.ask("PATCH", "/v1/subscriptions/"+s.ID, "shop", `{"enabled":true,"url":"https://elsewhere.example"}`); got.code != 200 {
			t.Errorf("by its owner: %d %s", got.code, got.Code)
		}
	}
}

// begins is where a subscription stood before it was there.
func (r *road) begins(t *testing.T, id string) (d event.Delivery) {
	t.Helper()
	reads, err := stream.NewRestoreReads(stream.Config{Brokers: r.brokers})
	if err != nil {
		t.Fatal(err)
	}
	defer reads.Close()
	there := false
	for p := range int32(partitions) {
		_, err := reads.Fold(t.Context(), event.TopicSubscriptions, p, func(rec *stream.Record) error {
			if there = there || string(rec.Key) == id; !there && string(rec.Key) == event.DeliveryKey(id) {
				return r.codecs.DecodeDelivery(rec.Value, &d)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return d
}

// TestSubscribeRequests: what is wrong is said with its code and where.
func TestSubscribeRequests(t *testing.T) {
	r := newRoad(t)
	r.write(t, kgo.TryCommit, "A", 1, map[inventory.Location]int64{"DC1": 5})
	url, _ := r.serve(t, miniredis.RunT(t).Addr(), subscribing(nil, func(c *Config) { c.Subscriptions.AllowNetworks = nil }))
	a := &asker{t, url, readDocument(t)}
	mine := a.made("shop", `{"url":"https://hooks.example/x"}`)
	long := strings.Repeat("x", 300)
	for _, c := range []struct{ body, code, pointer string }{
		{`{`, "bad_body", ""},
		{`{}`, "bad_url", "/url"},
		{`{"url":"https://h.example","secret":"mine"}`, "bad_body", "/secret"},
		{`{"url":"http://hooks.example/"}`, "bad_url", "/url"},
		{`{"url":"ftp://hooks.example/"}`, "bad_url", "/url"},
		{`{"url":"hooks.example"}`, "bad_url", "/url"},
		{`{"url":"https:///x"}`, "bad_url", "/url"},
		{`{"url":"https://user:pw@hooks.example/"}`, "bad_url", "/url"},
		{`{"url":"https://hooks.example/#x"}`, "bad_url", "/url"},
		{`{"url":"https://hooks.example:0/"}`, "bad_url", "/url"},
		{`{"url":"https://hooks.example/` + strings.Repeat("x", 2048) + `"}`, "bad_url", "/url"},
		{`{"url":"https://127.0.0.1/"}`, "url_not_allowed", "/url"},
		{`{"url":"https://169.254.169.254/latest"}`, "url_not_allowed", "/url"},
		{`{"url":"https://[::1]:8443/"}`, "url_not_allowed", "/url"},
		{`{"url":"https://[::ffff:10.0.0.1]/"}`, "url_not_allowed", "/url"},
		{`{"url":"https://h.example","description":"two\nlines"}`, "bad_description", "/description"},
		{`{"url":"https://h.example","description":"` + strings.Repeat("x", 501) + `"}`, "bad_description", "/description"},
		{`{"url":"https://h.example","items":["A",""]}`, "bad_item", "/items/1"},
		{`{"url":"https://h.example","items":["` + long + `"]}`, "bad_item", "/items/0"},
		{`{"url":"https://h.example","items":["A"` + strings.Repeat(`,"A"`, 100) + `]}`, "too_many_items", "/items"},
		{`{"url":"https://h.example","location":"` + long + `"}`, "bad_parameter", "/location"},
		{`{"url":"https://h.example","location":"DC1","channel":"web"}`, "conflicting_parameters", ""},
	} {
		if got := a.ask("POST", "/v1/subscriptions", "shop", c.body); got.code != 400 || got.Code != c.code || got.Pointer != c.pointer {
			t.Errorf("%.80s: %d %s at %q, want %s at %q", c.body, got.code, got.Code, got.Pointer, c.code, c.pointer)
		}
	}
	for range 20 { // of several faults the first is told
		body := `{"url":"https://h.example","entity":"` + long + `","location":"` + long + `","group":"` + long + `","channel":"` + long + `"}`
		if got := a.ask("POST", "/v1/subscriptions", "shop", body); got.Code != "bad_parameter" || got.Pointer != "/entity" {
			t.Fatalf("four long names: %s at %q", got.Code, got.Pointer)
		}
	}
	path := "/v1/subscriptions/" + mine.ID
	for _, c := range []struct{ method, path, body, code, pointer string }{
		{"PATCH", path, `{}`, "nothing_to_change", ""},
		{"PATCH", path, `{"items":["B"]}`, "bad_body", "/items"},
		{"PATCH", path, `{"url":"https://10.0.0.1/"}`, "url_not_allowed", "/url"},
		{"PATCH", path, `{"description":"a\u0000"}`, "bad_description", "/description"},
		{"POST", path + "/secret", `{"keep_old":-1}`, "bad_keep_old", "/keep_old"},
		{"POST", path + "/secret", `{"keep_old":604801}`, "bad_keep_old", "/keep_old"},
	} {
		if got := a.ask(c.method, c.path, "shop", c.body); got.Code != c.code || got.Pointer != c.pointer {
			t.Errorf("%s %s: %d %s at %q", c.method, c.body, got.code, got.Code, got.Pointer)
		}
	}
	if got := a.ask("POST", "/v1/subscriptions", "shop", `{"url":"https://h.example"}`, "Idempotency-Key", "a b"); got.Code != "bad_idempotency_key" {
		t.Errorf("a key with a blank: %+v", got)
	}
	// A name that resolves inside is not reached.
	local := a.made("shop", `{"url":"https://localhost:8443/"}`)
	if got := a.ask("POST", "/v1/subscriptions/"+local.ID+"/test", "shop", ""); got.code != 200 || got.Received || got.Fault != "address_not_allowed" {
		t.Errorf("a name of this machine: %+v", got)
	}
}

// TestSubscriptionTestsBusy: a test for which there is no slot says so, and is not taken for
// one that a receiver has not answered.
func TestSubscriptionTestsBusy(t *testing.T) {
	r := newRoad(t)
	r.write(t, kgo.TryCommit, "A", 1, map[inventory.Location]int64{"DC1": 5})
	rcv := newReceiver(t)
	under, let := make(chan struct{}, 2), make(chan struct{})
	rcv.answers(func(*arrived) int {
		under <- struct{}{}
		<-let
		return http.StatusNoContent
	})
	url, _ := r.serve(t, miniredis.RunT(t).Addr(), subscribing(rcv, func(c *Config) { c.Subscriptions.AtOnce = 1 }))
	a := &asker{t, url, readDocument(t)}
	path := func(who string) string {
		return "/v1/subscriptions/" + a.made(who, `{"url":"`+rcv.srv.URL+`"}`).ID + "/test"
	}
	mine, others := path("shop"), path("rival")
	ended := make(chan subscriptionSaid, 1)
	go func() { ended <- a.ask(http.MethodPost, mine, "shop", "") }()
	<-under
	if got := a.ask(http.MethodPost, others, "rival", ""); got.code != 503 || got.Code != "tests_busy" || got.retry == "" {
		t.Errorf("beside another's test: %+v, Retry-After %q", got, got.retry)
	}
	close(let)
	if got := <-ended; !got.Received {
		t.Errorf("the first: %+v", got)
	}
	if got := a.ask(http.MethodPost, others, "rival", ""); !got.Received {
		t.Errorf("later: %+v", got)
	}
}

// TestSubscriptionsOff: without keys there are none.
func TestSubscriptionsOff(t *testing.T) {
	w := newWeb(t)
	if rec := w.get(t, "/v1/subscriptions"); rec.Code != 404 || !strings.Contains(rec.Body.String(), "subscriptions_off") {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}

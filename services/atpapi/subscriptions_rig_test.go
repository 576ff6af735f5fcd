package atpapi

import (
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/apidoc/apidoctest"
	"github.com/stockweave/stockweave/pkg/outbound"
	"github.com/stockweave/stockweave/pkg/policy"
)

// arrived is a message that a receiver saw.
type arrived struct {
	id, signature, timestamp string
	body                     []byte
	status                   int // that it answered
	msg                      struct {
		Type string
		Data struct {
			Subscription string
			Reason       string
			Changes      []changeEvent
		}
	}
}

// receiver is a subscriber's server.
type receiver struct {
	t   *testing.T
	srv *httptest.Server
	ca  string

	mu     sync.Mutex
	got    []arrived
	answer func(a *arrived) int // status of a message; nil: 204
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{t: t}
	r.srv = httptest.NewTLSServer(http.HandlerFunc(r.serve))
	t.Cleanup(r.srv.Close)
	r.ca = filepath.Join(t.TempDir(), "ca.pem")
	b := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.srv.Certificate().Raw})
	if err := os.WriteFile(r.ca, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *receiver) serve(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	a := arrived{
		id: req.Header.Get("webhook-id"), signature: req.Header.Get("webhook-signature"), timestamp: req.Header.Get("webhook-timestamp"), body: body,
		status: http.StatusNoContent,
	}
	if err := json.Unmarshal(body, &a.msg); err != nil {
		r.t.Errorf("%s: %v", body, err)
	}
	if r.answer != nil {
		a.status = r.answer(&a)
	}
	r.got = append(r.got, a)
	w.WriteHeader(a.status)
}

func (r *receiver) answers(f func(a *arrived) int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.answer = f
}

func (r *receiver) all() []arrived {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// numbers are what the receiver believes: of each item the last number that it took, of one
// subscription. Versions must not fall.
func (r *receiver) numbers(sub string) map[string]changeEvent {
	out := map[string]changeEvent{}
	for _, a := range r.all() {
		if a.status > 299 || a.msg.Data.Subscription != sub {
			continue
		}
		for _, c := range a.msg.Data.Changes {
			if c.Version < out[c.Item].Version {
				r.t.Errorf("version of %s fell from %d to %d", c.Item, out[c.Item].Version, c.Version)
			}
			out[c.Item] = c
		}
	}
	return out
}

// has says whether a message tells of an item.
func (a *arrived) has(item string) bool {
	return slices.ContainsFunc(a.msg.Data.Changes, func(c changeEvent) bool { return c.Item == item })
}

// verified says by how many of the signatures a message is signed with a secret.
func (a *arrived) verified(t *testing.T, secret string) int {
	t.Helper()
	key, err := outbound.ParseSecret(secret)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for s := range strings.FieldsSeq(a.signature) {
		if s == outbound.Sign(key, a.id, a.timestamp, a.body) {
			n++
		}
	}
	return n
}

var sealingKey = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))

// subscribing lets subscriptions be made by partners, to receivers of this machine.
func subscribing(r *receiver, change ...func(*Config)) func(*Config) {
	return func(c *Config) {
		c.Subscriptions.KeysEnv, c.Subscriptions.AllowNetworks = "HOOK_KEYS", []string{"127.0.0.0/8"}
		if r != nil {
			c.Subscriptions.CAFile = r.ca
		}
		c.Subscriptions.Retries = []time.Duration{time.Second, time.Second}
		c.Getenv = func(name string) string {
			if name == "HOOK_KEYS" {
				return sealingKey
			}
			return ""
		}
		c.Changes.Heartbeat = time.Second
		all := []string{"atp:read", "subscriptions:read", "subscriptions:write"}
		c.Access = policy.Access{Principals: []policy.Principal{
			principal("shop", all...), principal("rival", all...),
			principal("narrow", "atp:read:channel=web", "subscriptions:write", "subscriptions:read"),
			principal("half", "atp:read", "subscriptions:write:channel=web", "subscriptions:read"),
			principal("watcher", "atp:read", "subscriptions:read"), principal("reader", "atp:read"),
		}}
		for _, f := range change {
			f(c)
		}
	}
}

// asker sends requests about subscriptions and holds the answers against the document.
type asker struct {
	t   *testing.T
	url string
	doc *apidoctest.Document
}

// subscriptionSaid is what a request was answered: a subscription, several, a problem or a test.
type subscriptionSaid struct {
	subscriptionAnswer
	Status        any `json:"status"` // text of a subscription, a number of the others
	Code, Pointer string
	Received      bool
	Subscriptions []subscriptionAnswer
	code          int
	retry         string // Retry-After
}

func (a *asker) ask(method, path, who, body string, headers ...string) subscriptionSaid {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, a.url+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if who != "" {
		req.Header.Set("Authorization", "Bearer "+who)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	check := req.Clone(a.t.Context())
	if err := a.doc.Check(check, resp.StatusCode, resp.Header, b); err != nil {
		a.t.Errorf("%s %s: not as documented: %v", method, path, err)
	}
	out := subscriptionSaid{code: resp.StatusCode, retry: resp.Header.Get("Retry-After")}
	if len(b) > 0 {
		if err := json.Unmarshal(b, &out); err != nil {
			a.t.Fatalf("%s: %v", b, err)
		}
	}
	return out
}

// made subscribes, as soon as the store is loaded.
func (a *asker) made(who, body string, headers ...string) subscriptionSaid {
	a.t.Helper()
	var got subscriptionSaid
	eventually(a.t, "subscribed", func() bool {
		got = a.ask(http.MethodPost, "/v1/subscriptions", who, body, headers...)
		return got.code != http.StatusServiceUnavailable
	})
	if got.code != http.StatusCreated || got.Secret == "" || got.ID == "" {
		a.t.Fatalf("%s: %d %+v", body, got.code, got)
	}
	return got
}

func (a *asker) status(who, id, want string) {
	a.t.Helper()
	eventually(a.t, id+" is "+want, func() bool { return a.ask(http.MethodGet, "/v1/subscriptions/"+id, who, "").Status == want })
}

package webhook_test

import (
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/outbound"
	"github.com/stockweave/stockweave/pkg/simulate"
	"github.com/stockweave/stockweave/services/channelpublisher/channel"
	"github.com/stockweave/stockweave/services/channelpublisher/channel/channeltest"
	"github.com/stockweave/stockweave/services/channelpublisher/channel/webhook"
)

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func TestContract(t *testing.T) {
	for name, readBack := range map[string]bool{"with read-back": true, "without": false} {
		t.Run(name, func(t *testing.T) {
			channeltest.Run(t, func(t *testing.T) channeltest.Subject {
				sim := simulate.NewChannel(simulate.ChannelOptions{Secret: secret})
				url, stop, err := sim.Listen("127.0.0.1:0")
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(stop)
				s := channel.Settings{URL: url + "/webhook", Secrets: []string{secret}, Timeout: 500 * time.Millisecond, AllowPrivate: true, Now: time.Now}
				if readBack {
					s.ReadURL = url + "/listings/{listing}"
				}
				c, err := webhook.New(s)
				if err != nil {
					t.Fatal(err)
				}
				return channeltest.Subject{
					Channel: c, SetByHand: sim.SetByHand, NoReadBack: !readBack,
					Shown: func(listing string) (inventory.Quantity, bool) {
						v, ok := sim.Value(listing)
						q, err := inventory.ParseQuantity(v.Quantity)
						return q, ok && err == nil
					},
					Fail: func(f channeltest.Fault) {
						sim.Fail(simulate.ChannelSet, map[channeltest.Fault]simulate.ChannelFault{
							channeltest.TimeoutAfter: simulate.ChannelHang, channeltest.ErrorAfter: simulate.ChannelErrorAfter,
							channeltest.ErrorBefore: simulate.ChannelErrorBefore, channeltest.Throttle: simulate.ChannelThrottle,
							channeltest.Refuse: simulate.ChannelRefuse, channeltest.Redirect: simulate.ChannelRedirect, channeltest.Huge: simulate.ChannelHuge,
						}[f])
					},
				}
			})
		})
	}
}

// The same offer has one id; another one of the same mark and number has not: what
// ended and came again must not be taken for a redelivery.
func TestID(t *testing.T) {
	o := channel.Offer{Channel: "hub", Listing: "L-1", Quantity: inventory.One, Mark: channel.Mark{Version: 1, Day: "2026-11-24"}, At: 1}
	later := o
	later.At = 2
	first := webhook.ID(o)
	if again := webhook.ID(o); first != again || first == webhook.ID(later) {
		t.Errorf("%s, %s, and later %s", first, again, webhook.ID(later))
	}
}

// TestDelivery pins what a receiver sees: a redelivery has the same id and body,
// another timestamp, and is signed with the current and the old secret.
func TestDelivery(t *testing.T) {
	type delivery struct {
		header http.Header
		body   string
	}
	var got []delivery
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		got = append(got, delivery{r.Header.Clone(), string(b)})
	}))
	defer srv.Close()
	now := time.Unix(1_700_000_000, 0)
	other := "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	c, err := webhook.New(channel.Settings{
		URL: srv.URL, Secrets: []string{other, secret}, Timeout: time.Second, AllowPrivate: true, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	o := channel.Offer{
		Channel: "shop", Key: inventory.Key{Entity: "acme", Item: "A"}, Listing: "L1", Quantity: 125_000,
		Mark: channel.Mark{Version: 9_007_199_254_740_993, PolicyVersion: 2, Day: "2026-11-24"},
	}
	for range 2 {
		if err := c.Publish(t.Context(), o, channel.CompareAndSet{}); err != nil {
			t.Fatal(err)
		}
		now = now.Add(time.Minute)
	}
	o.Quantity = 0
	if err := c.Publish(t.Context(), o, channel.CompareAndSet{}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 3 {
		t.Fatalf("%d deliveries", len(got))
	}
	if want := `{"type":"channel.offer","data":{"channel":"shop","entity":"acme","item":"A","listing":"L1","quantity":"12.5","version":9007199254740993,"policy_version":2,"day":"2026-11-24","at":0}}`; got[0].body != want {
		t.Errorf("body %s", got[0].body)
	}
	a, b, z := got[0].header, got[1].header, got[2].header
	if a.Get("webhook-id") != b.Get("webhook-id") || got[0].body != got[1].body {
		t.Error("a redelivery is not recognisable")
	}
	if a.Get("webhook-id") == z.Get("webhook-id") {
		t.Error("another value has the same id")
	}
	if a.Get("webhook-timestamp") != "1700000000" || b.Get("webhook-timestamp") != "1700000060" {
		t.Errorf("timestamps %s, %s", a.Get("webhook-timestamp"), b.Get("webhook-timestamp"))
	}
	oldKey, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	want := outbound.Sign([]byte(strings.Repeat("k", 32)), a.Get("webhook-id"), "1700000000", []byte(got[0].body)) + " " +
		outbound.Sign(oldKey, a.Get("webhook-id"), "1700000000", []byte(got[0].body))
	if a.Get("webhook-signature") != want {
		t.Errorf("signature %s", a.Get("webhook-signature"))
	}
}

func TestBadSettings(t *testing.T) {
	good := channel.Settings{URL: "https://shop.example/hook", Secrets: []string{secret}, Now: time.Now}
	if _, err := webhook.New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*channel.Settings){
		"url":      func(s *channel.Settings) { s.URL = "shop.example" },
		"secret":   func(s *channel.Settings) { s.Secrets = nil },
		"secret 1": func(s *channel.Settings) { s.Secrets = []string{"whsec_c2hvcnQ="} },
		"secret 2": func(s *channel.Settings) { s.Secrets = []string{secret, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"} },
		"read_url": func(s *channel.Settings) { s.ReadURL = "https://shop.example/read" },
	} {
		s := good
		change(&s)
		_, err := webhook.New(s)
		if err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(name, " ")) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && (strings.Contains(err.Error(), "MfKQ") || strings.Contains(err.Error(), "c2hv")) {
			t.Errorf("%s: the error shows a secret: %v", name, err)
		}
	}
}

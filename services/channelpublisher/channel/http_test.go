package channel_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/services/channelpublisher/channel"
)

func TestPublic(t *testing.T) {
	for addr, want := range map[string]bool{
		"8.8.8.8": true, "93.184.216.34": true, "2606:2800:220:1::1": true, "::ffff:8.8.8.8": true,
		"127.0.0.1": false, "10.1.2.3": false, "172.16.0.1": false, "192.168.1.1": false, "169.254.169.254": false,
		"100.64.0.1": false, "0.0.0.0": false, "0.1.2.3": false, "224.0.0.1": false, "255.255.255.255": false, "240.0.0.1": false,
		"192.0.0.1": false, "198.18.0.1": false, "::": false, "::1": false, "fe80::1%eth0": false, "fc00::1": false, "ff02::1": false,
		"::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false, "64:ff9b::7f00:1": false, "2002:7f00:1::": false, "2001:db8::1": false,
	} {
		if got := channel.Public(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: public %v, want %v", addr, got, want)
		}
	}
}

// TestPrivateAddressesAreRefused: by number and by name, at the moment of
// connecting, for good.
func TestPrivateAddressesAreRefused(t *testing.T) {
	hit := 0
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { hit++ }))
	defer srv.Close()
	for _, url := range []string{srv.URL, strings.Replace(srv.URL, "127.0.0.1", "localhost", 1)} {
		c := channel.Client(channel.Settings{Timeout: 2 * time.Second})
		_, err := channel.Do(t.Context(), c, http.MethodGet, url+"?key=hidden", nil, nil)
		var no *channel.Refusal
		if !errors.As(err, &no) || no.Code != "private_address" {
			t.Errorf("%s: %v", url, err)
		}
		if strings.Contains(err.Error(), "hidden") {
			t.Errorf("the error shows the query: %v", err)
		}
		c = channel.Client(channel.Settings{Timeout: 2 * time.Second, AllowPrivate: true})
		if _, err := channel.Do(t.Context(), c, http.MethodGet, url, nil, nil); err != nil {
			t.Errorf("%s, allowed: %v", url, err)
		}
	}
	if hit != 2 {
		t.Errorf("the server was reached %d times, want 2", hit)
	}
}

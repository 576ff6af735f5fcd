package channel_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/services/channelpublisher/channel"
)

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

package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stockweave/stockweave/pkg/policy"
)

func TestProbe(t *testing.T) {
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/never" || asked.Add(1) < 3 {
			http.Error(w, "restoring", http.StatusServiceUnavailable)
		}
	}))
	defer srv.Close()
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"probe", "--url", srv.URL + "/never"}, exitFailed, "restoring"},
		{[]string{"probe", "--url", srv.URL, "--wait", "20s"}, exitOK, "ok"},
		{[]string{"probe", "--url", "http://127.0.0.1:1/"}, exitFailed, "refused"},
		{[]string{"probe", "--url", "::"}, exitMisuse, "missing protocol scheme"},
	} {
		var out bytes.Buffer
		if code := run(t.Context(), tt.args, &out, &out); code != tt.code || !strings.Contains(out.String(), tt.want) {
			t.Errorf("%v: exit %d, output %s", tt.args, code, out.String())
		}
	}
}

func TestCounterparts(t *testing.T) {
	set := &policy.Set{ERPs: []policy.ERP{{Name: "books", KeyEnv: "K"}}, Channels: []policy.Channel{
		{Name: "webshop", Type: policy.ChannelSimulated},
		{Name: "keyed", Type: policy.ChannelSimulated, SecretEnv: "K"},
		{Name: "market", Type: policy.ChannelWebhook, SecretEnv: "K"},
	}}
	srv := httptest.NewServer(counterparts(set, func(name string) string { return map[string]string{"K": "secret"}[name] }))
	defer srv.Close()
	for path, want := range map[string]int{
		"/": 200, "/erp/books/quantities": 401, "/channel/webshop/listings": 200, "/channel/other/listings": 404,
		"/channel/keyed/listings": 401, "/channel/market/listings": 200,
	} {
		resp, err := http.Get(srv.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %s", path, resp.Status)
		}
	}
}

package service_test

import (
	"net"
	"testing"

	"github.com/stockweave/stockweave/pkg/service"
)

// TestListening: who does not listen yet is not ready, and the address is passed on.
func TestListening(t *testing.T) {
	var h service.Health
	var got net.Addr
	bound, other := h.Listening("door", func(a net.Addr) { got = a }), h.Listening("other", nil)
	if err := h.Check()["door"]; err == nil {
		t.Error("ready before it listens")
	}
	at := &net.TCPAddr{Port: 1}
	bound(at)
	if bad := h.Check(); bad["door"] != nil || bad["other"] == nil || got != net.Addr(at) {
		t.Errorf("%v, passed on %v", bad, got)
	}
	if other(at); len(h.Check()) > 0 {
		t.Errorf("%v", h.Check())
	}
}

package simulate

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// channelHeaderTimeout lets go of a silent peer.
const channelHeaderTimeout = 5 * time.Second

// Listen serves the channel on a TCP address, port 0 for a free one, until stop
// is called. It returns the base URL, such as http://127.0.0.1:8123.
func (c *Channel) Listen(address string) (url string, stop func(), err error) {
	ln, err := net.Listen("tcp", address) //nolint:noctx // listening does not wait
	if err != nil {
		return "", nil, fmt.Errorf("listening for the simulated channel: %w", err)
	}
	srv := &http.Server{Handler: c, ReadHeaderTimeout: channelHeaderTimeout}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(ln) }()
	return "http://" + ln.Addr().String(), func() {
		err := srv.Close()
		if served := <-done; err != nil || !errors.Is(served, http.ErrServerClosed) {
			return // nothing is left to close
		}
	}, nil
}

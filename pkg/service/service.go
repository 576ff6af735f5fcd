// Package service is the shell every service runs in: logging, metrics, health
// and ordered shutdown. It knows neither the domain nor Kafka.
package service

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// A Task blocks until ctx is cancelled, drains, and returns nil.
type Task func(ctx context.Context) error

// Env is what the shell hands to a service's Build.
type Env struct {
	Name    string
	Log     *slog.Logger
	Metrics prometheus.Registerer
	Health  *Health
	Now     func() time.Time // wall clock, for what is observed, never for what is decided
}

// Run starts all tasks and waits for all; the first failure cancels the rest.
func Run(ctx context.Context, tasks ...Task) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(tasks))
	var wg sync.WaitGroup
	for i, task := range tasks {
		wg.Go(func() {
			if errs[i] = task(ctx); errs[i] != nil {
				cancel()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// Health gathers what /readyz reports. It is safe for concurrent use.
type Health struct {
	mu      sync.Mutex
	checks  map[string]func() error
	details map[string]func() map[string]string
}

// Detail adds what a part of the service has to say of itself that does not make it
// unready, under a name: empty when nothing is wrong.
func (h *Health) Detail(name string, tell func() map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.details == nil {
		h.details = map[string]func() map[string]string{}
	}
	h.details[name] = tell
}

// Details is what every part has to say, by its name; without those that have nothing.
func (h *Health) Details() map[string]map[string]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := map[string]map[string]string{}
	for name, tell := range h.details {
		if d := tell(); len(d) > 0 {
			out[name] = d
		}
	}
	return out
}

// Ready adds a readiness check under a name; nil means ready.
func (h *Health) Ready(name string, check func() error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.checks == nil {
		h.checks = map[string]func() error{}
	}
	h.checks[name] = check
}

// Listening adds a check under a name that fails until what is returned is told the
// address listened on (see Serve), which it passes on to next, if there is one. Requests
// that come before that are refused.
func (h *Health) Listening(name string, next func(net.Addr)) (bound func(net.Addr)) {
	var open atomic.Bool
	h.Ready(name, func() error {
		if !open.Load() {
			return errors.New("not listening yet")
		}
		return nil
	})
	return func(a net.Addr) {
		open.Store(true)
		if next != nil {
			next(a)
		}
	}
}

// Check runs every check and returns the failures by name.
func (h *Health) Check() map[string]error {
	h.mu.Lock()
	defer h.mu.Unlock()
	bad := map[string]error{}
	for name, check := range h.checks {
		if err := check(); err != nil {
			bad[name] = err
		}
	}
	return bad
}

package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of every HTTP server of ours: a slow or silent peer is let go.
const (
	readHeaderTimeout = 5 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 30 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 16 << 10
	drainTimeout      = 20 * time.Second
)

// Admin serves /metrics, /healthz (the process answers) and /readyz (503 with the
// reasons while any check fails; restoring is not ready) on an address. Both have
// details of what is wrong and makes nothing unready.
//
// With profiles it also serves /debug/pprof, which shows what a process holds in
// memory: for an address that only operators reach.
func Admin(listen string, profiles bool, metrics prometheus.Gatherer, health *Health, log *slog.Logger) Task {
	mux := http.NewServeMux()
	if profiles {
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	}
	mux.Handle("GET /metrics", promhttp.HandlerFor(metrics, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, detailed(map[string]any{"status": "ok"}, health), log)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		bad := health.Check()
		if len(bad) == 0 {
			answer(w, http.StatusOK, detailed(map[string]any{"status": "ready"}, health), log)
			return
		}
		reasons := make(map[string]string, len(bad))
		for name, err := range bad {
			reasons[name] = err.Error()
		}
		answer(w, http.StatusServiceUnavailable, detailed(map[string]any{"status": "not ready", "reasons": reasons}, health), log)
	})
	return Serve(listen, mux, nil)
}

// detailed adds what is wrong and does not make the process unready.
func detailed(body map[string]any, health *Health) map[string]any {
	if d := health.Details(); len(d) > 0 {
		body["details"] = d
	}
	return body
}

func answer(w http.ResponseWriter, status int, body any, log *slog.Logger) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(body); err != nil {
		log.Debug("writing admin answer", slog.Any("err", err))
	}
}

// Serve runs an HTTP handler on an address until cancelled, then lets requests
// under way finish. When bound is not nil it receives the address listened on
// before the first request is served, so that port 0 can be used.
func Serve(listen string, handler http.Handler, bound func(net.Addr)) Task {
	return serve(listen, handler, nil, bound)
}

func serve(listen string, handler http.Handler, brief Brief, bound func(net.Addr)) Task {
	return func(ctx context.Context) error {
		var lc net.ListenConfig
		ln, err := lc.Listen(ctx, "tcp", listen)
		if err != nil {
			return fmt.Errorf("listening on %s: %w", listen, err)
		}
		if bound != nil {
			bound(ln.Addr())
		}
		srv := &http.Server{
			Handler:           handler,
			ReadHeaderTimeout: readHeaderTimeout,
			ReadTimeout:       readTimeout,
			WriteTimeout:      writeTimeout,
			IdleTimeout:       idleTimeout,
			MaxHeaderBytes:    maxHeaderBytes,
		}
		if brief != nil {
			ln = answerBriefly(ctx, srv, ln, brief)
		}
		done := make(chan error, 1)
		go func() { done <- srv.Serve(ln) }()
		select {
		case err := <-done:
			return fmt.Errorf("serving %s: %w", listen, err)
		case <-ctx.Done():
		}
		drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
		defer cancel()
		if err := srv.Shutdown(drain); err != nil {
			return fmt.Errorf("draining %s: %w", listen, err)
		}
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serving %s: %w", listen, err)
		}
		return nil
	}
}

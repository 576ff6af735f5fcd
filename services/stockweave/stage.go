package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/simulate"
	"github.com/stockweave/stockweave/pkg/simulate/road"
	"github.com/stockweave/stockweave/services/channelpublisher"
)

// A stage is the whole platform in one process: the services as they are, on an
// embedded log, registry and cache, with simulated counterparts, all on loopback.
type stage struct {
	cfg      *Config
	policies *policy.Set
	tail     *road.Tail
	erps     map[string]*simulate.ERP     // by the policy's name
	channels map[string]*simulate.Channel // by the policy's name
	urls     map[string]string            // of what a person may try
	secrets  map[string]string            // what getenv answers
	key      string                       // an API key every source accepts
	latency  *latencies
	broker   []kfake.Opt // of the embedded log

	failed  chan error
	cancel  context.CancelFunc
	closers []func()
	work    sync.WaitGroup // the services
	servers sync.WaitGroup // the counterparts
}

// startStage starts it; change is called before anything is.
func startStage(ctx context.Context, s *road.Scenario, log *slog.Logger, change ...func(*stage)) (*stage, error) {
	ctx, cancel := context.WithCancel(ctx)
	st := &stage{
		cfg: defaultConfig(), erps: map[string]*simulate.ERP{}, channels: map[string]*simulate.Channel{},
		urls: map[string]string{}, secrets: map[string]string{}, failed: make(chan error, 16), cancel: cancel,
	}
	for _, f := range change {
		f(st)
	}
	if err := st.start(ctx, s, log); err != nil {
		return nil, errors.Join(err, st.stop())
	}
	return st, nil
}

func (st *stage) start(ctx context.Context, s *road.Scenario, log *slog.Logger) error {
	var err error
	if st.policies, err = policy.Load(s.Policies); err != nil {
		return fmt.Errorf("%w: %w", errMisuse, err)
	}
	if err := st.embedded(ctx); err != nil {
		return err
	}
	if err := st.counterparts(ctx, s); err != nil {
		return err
	}
	st.cfg.Kafka.Log = log
	if _, err := applyTopics(ctx, st.cfg.Kafka, &st.cfg.Registry, topicsConfig{ReplicationFactor: 1}); err != nil {
		return err
	}
	codecs, err := loadCodecs(ctx, st.cfg.Kafka)
	if err != nil {
		return err
	}
	if _, err := applyPolicies(ctx, st.cfg.Kafka, codecs, st.policies, time.Now); err != nil {
		return err
	}

	st.tail = road.NewTail(codecs, time.Now)
	st.latency = newLatencies(st.urls["atp-api"], time.Now)
	st.tail.Visible = st.latency.seen
	tasks, err := st.tail.Follow(st.cfg.Kafka)
	if err != nil {
		return err
	}
	tasks = append(tasks, st.latency.run)

	healths := make([]*service.Health, 0, len(serviceTable()))
	for _, e := range serviceTable() {
		health := &service.Health{}
		healths = append(healths, health)
		metrics := prometheus.NewRegistry()
		cfg := *st.cfg
		cfg.Kafka.Metrics, cfg.Kafka.Log = metrics, log.With(slog.String("service", e.name))
		env := service.Env{Name: e.name, Log: cfg.Kafka.Log, Metrics: metrics, Health: health, Now: time.Now}
		built, err := e.build(ctx, &cfg, parts{codecs: codecs, policies: st.policies, getenv: st.getenv}, env)
		if err != nil {
			return fmt.Errorf("building %s: %w", e.name, err)
		}
		tasks = append(tasks, built...)
	}
	st.work.Go(func() {
		if err := service.Run(ctx, tasks...); err != nil {
			st.failed <- err
		}
	})
	return st.ready(ctx, healths)
}

// embedded starts the in-process log, registry and cache.
func (st *stage) embedded(ctx context.Context) error {
	cluster, err := kfake.NewCluster(append(st.broker, kfake.NumBrokers(1))...)
	if err != nil {
		return fmt.Errorf("starting the embedded log: %w", err)
	}
	st.closers = append(st.closers, cluster.Close)
	registry := srfake.New()
	st.closers = append(st.closers, registry.Close)
	redis := miniredis.NewMiniRedis()
	if err := redis.Start(); err != nil {
		return fmt.Errorf("starting the embedded cache: %w", err)
	}
	st.closers = append(st.closers, redis.Close)
	st.cfg.Kafka.Brokers = cluster.ListenAddrs()
	st.cfg.Kafka.Instance = "0"
	st.cfg.Registry.URL = registry.URL()
	st.cfg.Redis.Addresses = []string{redis.Addr()}
	for name, listen := range map[string]*string{"ingest": &st.cfg.Ingest.Listen, "atp-api": &st.cfg.ATPAPI.Listen} {
		if *listen, err = freeAddress(ctx); err != nil {
			return err
		}
		st.urls[name] = "http://" + *listen
	}
	return nil
}

// listenLoopback listens on a free port of this machine alone.
func listenLoopback(ctx context.Context) (net.Listener, error) {
	var lc net.ListenConfig
	return lc.Listen(ctx, "tcp", "127.0.0.1:0")
}

// freeAddress is a loopback address nobody listens on now.
func freeAddress(ctx context.Context) (string, error) {
	ln, err := listenLoopback(ctx)
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	defer ln.Close()
	return ln.Addr().String(), nil
}

// counterparts starts a simulated system for every ERP and channel of the
// policies, and makes up the secrets that the policies leave to the environment.
func (st *stage) counterparts(ctx context.Context, s *road.Scenario) error {
	st.key = rand.Text()
	sum := sha256.Sum256([]byte(st.key))
	for _, src := range st.policies.Sources {
		src.Auth.APIKeys = append(src.Auth.APIKeys, hex.EncodeToString(sum[:]))
		if h := src.Auth.HMAC; h != nil {
			st.secret(s, h.SecretEnv, rand.Text())
		}
		if env := src.Auth.APIKeyEnv; env != "" {
			st.secret(s, env, st.key)
		}
		if sig := src.Auth.Signature; sig != nil {
			for _, env := range sig.SecretEnvs {
				st.secret(s, env, "whsec_"+base64.StdEncoding.EncodeToString([]byte(rand.Text())))
			}
		}
		if ws := src.Auth.WSSecurity; ws != nil {
			for _, env := range ws.PasswordEnvs {
				st.secret(s, env, rand.Text())
			}
		}
	}
	for i := range st.policies.ERPs {
		e := &st.policies.ERPs[i]
		e.Type = policy.ERPSimulated // whatever it is elsewhere, here it is simulated
		if e.KeyEnv != "" {
			st.secret(s, e.KeyEnv, rand.Text())
		}
		erp := simulate.NewERP(simulate.ERPOptions{Key: st.secrets[e.KeyEnv]})
		url, err := st.serve(ctx, erp)
		if err != nil {
			return err
		}
		e.URL, st.urls["erp "+e.Name], st.erps[e.Name] = url, url+"/quantities", erp
		if e.URLEnv != "" {
			st.secrets[e.URLEnv] = url
		}
	}
	st.cfg.ChannelPublisher.AllowPrivate = true // the counterparts are on loopback
	st.cfg.ChannelPublisher.Channels = map[string]channelpublisher.ChannelConfig{}
	for i := range st.policies.Channels {
		c := &st.policies.Channels[i]
		opts := simulate.ChannelOptions{}
		if c.SecretEnv != "" {
			st.secret(s, c.SecretEnv, "whsec_"+base64.StdEncoding.EncodeToString([]byte(rand.Text())))
			opts.Secret = st.secrets[c.SecretEnv]
		}
		if c.Type == policy.ChannelSimulated {
			opts.Key = opts.Secret
		}
		channel := simulate.NewChannel(opts)
		url, err := st.serve(ctx, channel)
		if err != nil {
			return err
		}
		st.urls["channel "+c.Name], st.channels[c.Name] = url+"/listings", channel
		if c.Type == policy.ChannelWebhook {
			st.cfg.ChannelPublisher.Channels[c.Name] = channelpublisher.ChannelConfig{ReadURL: url + "/listings/{listing}"}
			url += "/webhook"
		}
		c.URL = url
		if c.URLEnv != "" {
			st.secrets[c.URLEnv] = url
		}
	}
	return nil
}

// secret takes the scenario's own value of a variable, else the one made up.
func (st *stage) secret(s *road.Scenario, env, made string) {
	if v, ok := s.Secrets[env]; ok {
		made = v
	}
	if _, ok := st.secrets[env]; !ok {
		st.secrets[env] = made
	}
}

func (st *stage) sender() *road.Sender {
	return &road.Sender{
		Ingest: st.urls["ingest"], Policies: st.policies, Key: st.key, Getenv: st.getenv, HTTP: &http.Client{Timeout: settleWithin},
	}
}

func (st *stage) getenv(name string) string { return st.secrets[name] }

func (st *stage) serve(ctx context.Context, h http.Handler) (string, error) {
	ln, err := listenLoopback(ctx)
	if err != nil {
		return "", fmt.Errorf("starting a counterpart: %w", err)
	}
	srv := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second}
	st.servers.Go(func() {
		if err := srv.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			st.failed <- fmt.Errorf("serving a counterpart: %w", err)
		}
	})
	st.closers = append(st.closers, func() { _ = srv.Close() })
	return "http://" + ln.Addr().String(), nil
}

// ready waits until every service says so.
func (st *stage) ready(ctx context.Context, healths []*service.Health) error {
	deadline := time.NewTimer(startWithin)
	defer deadline.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		var bad []error
		for i, h := range healths {
			for name, err := range h.Check() {
				bad = append(bad, fmt.Errorf("%s: %s: %w", serviceTable()[i].name, name, err))
			}
		}
		if len(bad) == 0 {
			return nil
		}
		select {
		case <-tick.C:
		case err := <-st.failed:
			return err
		case <-deadline.C:
			return fmt.Errorf("not ready after %s: %w", startWithin, errors.Join(bad...))
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stop ends the services first, since they drain against the embedded parts, and
// then those parts.
func (st *stage) stop() error {
	st.cancel()
	st.work.Wait()
	for _, c := range slices.Backward(st.closers) {
		c()
	}
	st.servers.Wait()
	select {
	case err := <-st.failed:
		return err
	default:
		return nil
	}
}

// invite says what a person may try while the stage is up.
func (st *stage) invite(w io.Writer) {
	fmt.Fprintf(w, "\nEverything stays up; end it with Ctrl-C.\n\n")
	fmt.Fprintf(w, "  ATP of an item    curl %s/v1/atp/SKU-1?entity=acme\n", st.urls["atp-api"])
	fmt.Fprintf(w, "  send a message    curl -H 'Authorization: Bearer %s' -H 'Content-Type: text/csv' --data-binary @FILE %s/v1/messages/SOURCE\n", st.key, st.urls["ingest"])
	for _, name := range slices.Sorted(maps.Keys(st.erps)) {
		fmt.Fprintf(w, "  ERP %-13s curl %s\n", name, st.urls["erp "+name])
	}
	for _, name := range slices.Sorted(maps.Keys(st.channels)) {
		fmt.Fprintf(w, "  channel %-9s curl %s\n", name, st.urls["channel "+name])
	}
}

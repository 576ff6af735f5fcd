package follow

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// CodeAccessRefused is the exception code of an access that was published and cannot be
// used.
const CodeAccessRefused = "access_refused"

// AccessConfig says who uses what is published of access.
type AccessConfig struct {
	Codecs *event.Codecs
	Log    *slog.Logger
	// Enter puts an access in the place of the one before, all at once. An error refuses
	// it and leaves that. It must not ask the Access.
	Enter   func(*policy.Access) error
	Metrics prometheus.Registerer // nil: none
	Prefix  string                // of metrics: stockweave_ingest
}

// Access keeps who may ask for what as policies.v1 says: principals with their keys,
// scopes and rates, and issuers. Until something is published the service's own files
// decide, and from then on they do not. It is safe for concurrent use.
type Access struct {
	cfg     AccessConfig
	refused prometheus.Gauge
	version prometheus.Gauge

	mu       sync.Mutex
	loaded   bool
	contents map[int64][]byte // by version, the newest few
	now      int64            // version in force; 0: the service's own files
	why      string           // the newest is refused; empty where it is not
}

// NewAccess starts with what the service has of its own.
func NewAccess(cfg AccessConfig) (*Access, error) {
	a := &Access{
		cfg: cfg, contents: map[int64][]byte{},
		refused: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: cfg.Prefix + "_access_refused", Help: "1 while the published access (principals and issuers) cannot be used and an older one goes on.",
		}),
		version: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: cfg.Prefix + "_access_version", Help: "Version of the published access in use; 0: the service's own files.",
		}),
	}
	if cfg.Metrics != nil {
		for _, c := range []prometheus.Collector{a.refused, a.version} {
			if err := cfg.Metrics.Register(c); err != nil {
				return nil, fmt.Errorf("registering metrics: %w", err)
			}
		}
	}
	return a, nil
}

// Refused tells why the newest access is not in force; nil where it is.
func (a *Access) Refused() map[string]string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.why == "" {
		return nil
	}
	return map[string]string{policy.AccessName: CodeAccessRefused + ": " + a.why}
}

// Apply takes one record of policies.v1.
func (a *Access) Apply(rec *stream.Record) error {
	if rec.Value == nil {
		return nil
	}
	var c event.PolicyContent
	if err := a.cfg.Codecs.DecodePolicy(rec.Value, &c); err != nil {
		return fmt.Errorf("decoding policy %s: %w", rec.Key, err)
	}
	if c.Name != policy.AccessName {
		return nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.contents[c.Version] = slices.Clone(c.Content)
	for len(a.contents) > keptVersions {
		delete(a.contents, slices.Min(slices.Collect(maps.Keys(a.contents))))
	}
	if a.loaded {
		a.change()
	}
	return nil
}

// Loaded puts the newest access in force: the topic has been read once. Until then the
// service must let nobody in, or a restart would let in who was taken off.
func (a *Access) Loaded() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.loaded = true
	a.change()
}

// Again tries what was refused once more: what it lacked may be there by now.
func (a *Access) Again() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.loaded && a.why != "" {
		a.change()
	}
}

// change puts the newest version in force that can be used. One older than what is in
// force is not tried: it may let in who was taken off since.
func (a *Access) change() {
	why := ""
	for _, v := range slices.Backward(slices.Sorted(maps.Keys(a.contents))) {
		if v <= a.now {
			break
		}
		err := a.enter(a.contents[v])
		if err == nil {
			a.now = v
			a.version.Set(float64(v))
			a.cfg.Log.Info("access changed", slog.Int64("access_version", v))
			break
		}
		if why == "" {
			why = fmt.Sprintf("version %d: %v", v, err)
		}
	}
	a.refused.Set(0)
	if why != "" {
		a.refused.Set(1)
	}
	if why != "" && why != a.why {
		a.cfg.Log.Error("the published access is refused; the one before goes on", slog.String("code", CodeAccessRefused),
			slog.Int64("access_version", a.now), slog.String("reason", why))
	}
	a.why = why
}

func (a *Access) enter(content []byte) error {
	next, err := policy.DecodeAccess(content)
	if err != nil {
		return err //nolint:wrapcheck // it names the files
	}
	return a.cfg.Enter(next)
}

package hooks

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/stockweave/stockweave/pkg/outbound"
)

// Config bounds subscriptions and their deliveries.
type Config struct {
	// KeysEnv names the variable that has the keys which secrets are sealed with: each 32
	// bytes in base64, with commas between them. The first seals, all open. Where it is
	// empty there are no subscriptions.
	KeysEnv string `yaml:"keys_env"`
	// Group divides the subscriptions among the replicas.
	Group string `yaml:"group"`
	// AllowHTTP lets receivers be reached without TLS: for tests.
	AllowHTTP bool `yaml:"allow_http"`
	// AllowNetworks are private networks in which there are receivers, as CIDR. Public hosts
	// are reached without being named.
	AllowNetworks []string `yaml:"allow_networks"`
	// CAFile has the authorities, PEM, that certificates of receivers are held against in
	// place of the system's.
	CAFile string `yaml:"ca_file"`
	// MaxPerCaller bounds the subscriptions of one principal, MaxTotal those of all.
	MaxPerCaller int `yaml:"max_per_caller"`
	MaxTotal     int `yaml:"max_total"`
	// MaxChanges bounds the items of one message.
	MaxChanges int `yaml:"max_changes"`
	// AtOnce bounds the deliveries of a replica that are under way, a fourth of it those of
	// one principal. Tests have an eighth as many beside them. Each is one at least.
	AtOnce int `yaml:"at_once"`
	// Timeout is a receiver's for its answer.
	Timeout time.Duration `yaml:"timeout"`
	// Retries are the waits between attempts; when the last has failed the subscription is
	// stopped.
	Retries []time.Duration `yaml:"retries"`
	// KeepOld is how long an old secret signs beside the new one, where who rotates it does
	// not say.
	KeepOld time.Duration `yaml:"keep_old"`
	// Control is asked before each connection in place of the guard: for tests.
	Control outbound.Control `yaml:"-"`
}

// Default is what holds where the file says nothing. The retries are those of Standard
// Webhooks 1.0.0, "Deliverability and reliability": three days.
func Default() Config {
	return Config{
		Group: "atp-api-subscriptions", MaxPerCaller: 20, MaxTotal: 1000, MaxChanges: 50, AtOnce: 64,
		Timeout: 15 * time.Second, KeepOld: 24 * time.Hour,
		Retries: []time.Duration{
			5 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour, 5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
		},
	}
}

const (
	maxRetries = 30
	// MaxWait bounds one wait, a Retry-After too.
	MaxWait = 24 * time.Hour
	// MaxKeepOld bounds how long an old secret signs.
	MaxKeepOld = 7 * 24 * time.Hour
)

// On says whether there are subscriptions.
func (c *Config) On() bool { return c.KeysEnv != "" }

// Validate reports every fault at once.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("atp_api.subscriptions."+format, args...))
	}
	within := func(name string, v, low, high int) {
		if v < low || v > high {
			bad("%s: must be between %d and %d", name, low, high)
		}
	}
	lasts := func(name string, v, low, high time.Duration) {
		if v < low || v > high {
			bad("%s: must be between %v and %v", name, low, high)
		}
	}
	if c.Group == "" {
		bad("group: required")
	}
	if _, err := c.networks(); err != nil {
		bad("%w", err)
	}
	within("max_per_caller", c.MaxPerCaller, 1, 1000)
	within("max_total", c.MaxTotal, 1, 10_000)
	within("max_changes", c.MaxChanges, 1, 100)
	within("at_once", c.AtOnce, 1, 1000)
	lasts("timeout", c.Timeout, time.Second, time.Minute)
	lasts("keep_old", c.KeepOld, 0, MaxKeepOld)
	within("retries", len(c.Retries), 1, maxRetries)
	for i, r := range c.Retries {
		lasts(fmt.Sprintf("retries[%d]", i), r, time.Second, MaxWait)
	}
	return errors.Join(errs...)
}

func (c *Config) networks() ([]netip.Prefix, error) {
	var out []netip.Prefix
	for i, text := range c.AllowNetworks {
		p, err := netip.ParsePrefix(text)
		if err != nil || p != p.Masked() {
			return nil, fmt.Errorf("allow_networks[%d]: %q is no network, such as 10.1.0.0/16", i, text)
		}
		out = append(out, p)
	}
	return out, nil
}

package atpapi

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/stockweave/stockweave/pkg/access"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/atpapi/hooks"
)

// Config is the service's configuration.
type Config struct {
	Kafka  stream.Config `yaml:"-"`
	Codecs *event.Codecs `yaml:"-"`
	Redis  RedisConfig   `yaml:"-"`
	// ATP and Channels are the policy's, until one stands in policies.v1.
	ATP      policy.ATPPolicy `yaml:"-"`
	Channels []policy.Channel `yaml:"-"`
	// Access is the policies': who may ask, and how often.
	Access policy.Access `yaml:"-"`
	// Fetch gets the keys of issuers; access.HTTPS when nil.
	Fetch access.Fetch `yaml:"-"`
	// Getenv reads the password that the configuration leaves to the environment.
	Getenv func(string) string `yaml:"-"`
	// Bound, when set, is told the address listened on.
	Bound func(net.Addr) `yaml:"-"`

	// Listen is the address of the API. Without keys or principals it must be a loopback
	// address, whoever reaches which may everything.
	Listen string `yaml:"listen"`
	// Keys read everything.
	Keys []Key `yaml:"keys"`
	// Principals says that a credential is asked for though there are no keys: that of a
	// principal of policies/access.
	Principals bool `yaml:"principals"`
	// Entity is asked about when a request names none; empty: it must name one.
	Entity inventory.Entity `yaml:"entity"`
	// Local is the replica's copy of what it has read.
	Local LocalConfig `yaml:"local"`
	// Group is the projector's consumer group.
	Group string `yaml:"group"`
	// CheckEvery is how often Redis is asked whether it still holds what was written
	// and an idle partition's watermark moves.
	CheckEvery time.Duration `yaml:"check_every"`
	// MaxRecords bounds one write to Redis.
	MaxRecords int `yaml:"max_records"`
	// Explain bounds what is read from the log for one question.
	Explain ExplainConfig `yaml:"explain"`
	// Doors are for systems that speak another dialect.
	Doors DoorsConfig `yaml:"doors"`
	// Changes are the streams of changes.
	Changes ChangesConfig `yaml:"changes"`
	// Subscriptions are those to whom changes are sent.
	Subscriptions hooks.Config `yaml:"subscriptions"`
	// RetryAfter is what a 503 tells the caller.
	RetryAfter time.Duration `yaml:"retry_after"`
	// Reservations bounds those made over HTTP.
	Reservations ReservationsConfig `yaml:"reservations"`
}

// Key is an API key, known by the SHA-256 of it, hex.
type Key struct {
	Name   string `yaml:"name"`
	SHA256 string `yaml:"sha256"`
}

// DefaultConfig is what holds where the file says nothing.
func DefaultConfig() Config {
	return Config{
		Redis: DefaultRedis(), Local: DefaultLocal(), Listen: "127.0.0.1:8082", Group: "atp-api",
		CheckEvery: 500 * time.Millisecond, MaxRecords: 5000, RetryAfter: time.Second, Changes: DefaultChanges(), Explain: DefaultExplain(), Reservations: DefaultReservations(),
		Subscriptions: hooks.Default(),
		Doors:         DefaultDoors(),
	}
}

// Validate reports every fault at once.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("atp_api."+format, args...)) }
	if c.Group == "" {
		bad("group: required")
	}
	if c.CheckEvery < 10*time.Millisecond || c.CheckEvery > time.Minute {
		bad("check_every: must be between 10ms and 1m")
	}
	if c.MaxRecords < 1 || c.MaxRecords > 100_000 {
		bad("max_records: must be between 1 and 100000")
	}
	if c.RetryAfter < time.Second || c.RetryAfter > time.Hour {
		bad("retry_after: must be between 1s and 1h")
	}
	if host, _, err := net.SplitHostPort(c.Listen); err != nil {
		bad("listen: %v", err)
	} else if len(c.Keys) == 0 && !c.Principals && !loopback(host) {
		bad("keys: required where others than this machine can connect, or principals: true")
	}
	for i, k := range c.Keys {
		if k.Name == "" {
			bad("keys[%d].name: required", i)
		}
		if b, err := hex.DecodeString(k.SHA256); err != nil || len(b) != 32 {
			bad("keys[%d].sha256: must be 64 hex digits", i)
		}
	}
	c.Reservations.validate(bad)
	if err := c.Doors.Validate(); err != nil {
		errs = append(errs, err)
	}
	if err := c.Changes.Validate(); err != nil {
		errs = append(errs, err)
	}
	if err := c.Explain.Validate(); err != nil {
		errs = append(errs, err)
	}
	if err := c.Subscriptions.Validate(); err != nil {
		errs = append(errs, err)
	}
	if err := c.Local.Validate(); err != nil {
		errs = append(errs, err)
	}
	if err := c.Redis.Validate(); err != nil {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

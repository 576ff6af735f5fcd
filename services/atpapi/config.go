package atpapi

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// Config is the service's configuration.
type Config struct {
	Kafka  stream.Config `yaml:"-"`
	Codecs *event.Codecs `yaml:"-"`
	Redis  RedisConfig   `yaml:"-"`
	// ATP and Channels are the policy's, until one stands in policies.v1.
	ATP      policy.ATPPolicy `yaml:"-"`
	Channels []policy.Channel `yaml:"-"`
	// Getenv reads the password that the configuration leaves to the environment.
	Getenv func(string) string `yaml:"-"`
	// Bound, when set, is told the address listened on.
	Bound func(net.Addr) `yaml:"-"`

	// Listen is the address of the API. Without keys it must be a loopback address.
	Listen string `yaml:"listen"`
	// Keys may read; empty means everybody who reaches the loopback address.
	Keys []Key `yaml:"keys"`
	// Entity is asked about when a request names none; empty: it must name one.
	Entity inventory.Entity `yaml:"entity"`
	// Group is the projector's consumer group.
	Group string `yaml:"group"`
	// CheckEvery is how often Redis is asked whether it still holds what was written
	// and an idle partition's watermark moves.
	CheckEvery time.Duration `yaml:"check_every"`
	// MaxRecords bounds one write to Redis.
	MaxRecords int `yaml:"max_records"`
	// RetryAfter is what a 503 tells the caller.
	RetryAfter time.Duration `yaml:"retry_after"`
}

// Key is an API key, known by the SHA-256 of it, hex.
type Key struct {
	Name   string `yaml:"name"`
	SHA256 string `yaml:"sha256"`
}

// DefaultConfig is what holds where the file says nothing.
func DefaultConfig() Config {
	return Config{
		Redis: DefaultRedis(), Listen: "127.0.0.1:8082", Group: "atp-api",
		CheckEvery: 500 * time.Millisecond, MaxRecords: 5000, RetryAfter: time.Second,
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
	} else if len(c.Keys) == 0 && !loopback(host) {
		bad("keys: required where others than this machine can connect")
	}
	for i, k := range c.Keys {
		if k.Name == "" {
			bad("keys[%d].name: required", i)
		}
		if b, err := hex.DecodeString(k.SHA256); err != nil || len(b) != 32 {
			bad("keys[%d].sha256: must be 64 hex digits", i)
		}
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

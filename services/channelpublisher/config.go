package channelpublisher

import (
	"errors"
	"fmt"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
)

// Config is the service's configuration.
type Config struct {
	Kafka  stream.Config `yaml:"-"`
	Codecs *event.Codecs `yaml:"-"`
	// ATP and Policies are the policy's: how ATP is computed, and the channels. What
	// stands in policies.v1 decides before them; the channels that are published to
	// are these.
	ATP      policy.ATPPolicy `yaml:"-"`
	Policies []policy.Channel `yaml:"-"`
	// Getenv reads the addresses and secrets that policies leave to the environment.
	Getenv func(string) string `yaml:"-"`

	// Group begins the names of the consumer groups: <group>-offers, and
	// <group>-publish-<channel> for each channel, so that one that is down holds up
	// no other.
	Group string `yaml:"group"`
	// Timeout bounds one call to a channel.
	Timeout time.Duration `yaml:"timeout"`
	// Attempts bounds the calls that try to set one offer; what is not shown by then
	// is unconfirmed, and the reconciler's.
	Attempts int `yaml:"attempts"`
	// FirstWait and MostWait bound the wait between two attempts; it doubles.
	FirstWait time.Duration `yaml:"first_wait"`
	MostWait  time.Duration `yaml:"most_wait"`
	// Concurrent calls to one channel from one partition.
	Concurrent int `yaml:"concurrent"`
	// PerSecond is the rate budget of a channel, in calls, reading back included.
	PerSecond float64 `yaml:"per_second"`
	// ReconcileEvery is how often the listings of a partition are read back, and
	// ReconcileFor how long that may hold up new offers.
	ReconcileEvery time.Duration `yaml:"reconcile_every"`
	ReconcileFor   time.Duration `yaml:"reconcile_for"`
	// CheckEvery is how often the evaluator looks whether it has read everything and
	// whether a local day has begun.
	CheckEvery time.Duration `yaml:"check_every"`
	// MaxRecords bounds one poll.
	MaxRecords int `yaml:"max_records"`
	// AllowPrivate lets calls go to addresses that are not public, for all channels.
	AllowPrivate bool `yaml:"allow_private"`
	// Channels holds what is particular to one, by name.
	Channels map[string]ChannelConfig `yaml:"channels"`
}

// ChannelConfig is what is particular to one channel.
type ChannelConfig struct {
	ReadURL      string  `yaml:"read_url"` // webhooks only; {listing} stands for the listing
	AllowPrivate bool    `yaml:"allow_private"`
	PerSecond    float64 `yaml:"per_second"`
}

// DefaultConfig is what holds where the file says nothing.
func DefaultConfig() Config {
	return Config{
		Group: "channel-publisher", Timeout: 10 * time.Second, Attempts: 5,
		FirstWait: 100 * time.Millisecond, MostWait: 10 * time.Second, Concurrent: 4, PerSecond: 50,
		ReconcileEvery: time.Minute, ReconcileFor: 5 * time.Second, CheckEvery: 500 * time.Millisecond, MaxRecords: 2000,
	}
}

// Validate reports every fault at once.
func (c *Config) Validate() error {
	var errs []error
	bad := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("channel_publisher."+format, args...))
	}
	if c.Group == "" {
		bad("group: required")
	}
	if c.Timeout <= 0 || c.Timeout > time.Minute {
		bad("timeout: must be above 0 and at most 1m")
	}
	if c.Attempts < 1 || c.Attempts > 100 {
		bad("attempts: must be between 1 and 100")
	}
	if c.FirstWait <= 0 || c.MostWait < c.FirstWait || c.MostWait > 5*time.Minute {
		bad("first_wait, most_wait: must be above 0, in this order, at most 5m")
	}
	if c.Concurrent < 1 || c.Concurrent > 64 {
		bad("concurrent: must be between 1 and 64")
	}
	if c.PerSecond <= 0 || c.PerSecond > 10_000 {
		bad("per_second: must be above 0 and at most 10000")
	}
	if c.ReconcileEvery <= 0 || c.ReconcileEvery > 24*time.Hour || c.ReconcileFor <= 0 || c.ReconcileFor > c.ReconcileEvery {
		bad("reconcile_every, reconcile_for: must be above 0, at most 24h, and the second not above the first")
	}
	if c.CheckEvery < 10*time.Millisecond || c.CheckEvery > time.Minute {
		bad("check_every: must be between 10ms and 1m")
	}
	if c.MaxRecords < 1 || c.MaxRecords > 100_000 {
		bad("max_records: must be between 1 and 100000")
	}
	for name, ch := range c.Channels {
		if ch.PerSecond < 0 || ch.PerSecond > 10_000 {
			bad("channels.%s.per_second: must be between 0 and 10000", name)
		}
	}
	return errors.Join(errs...)
}

// rate is a channel's budget.
func (c *Config) rate(name string) float64 {
	if r := c.Channels[name].PerSecond; r > 0 {
		return r
	}
	return c.PerSecond
}

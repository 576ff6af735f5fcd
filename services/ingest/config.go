package ingest

import (
	"errors"
	"net"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/ingest/signature"
)

// Config is the service's configuration.
type Config struct {
	Kafka    stream.Config `yaml:"-"`
	Codecs   *event.Codecs `yaml:"-"`
	Policies *policy.Set   `yaml:"-"`
	// Getenv reads the secrets that the policies leave to the environment.
	Getenv func(string) string `yaml:"-"`
	// Fetch asks Amazon for the certificates that SNS signs with; signature.HTTPFetch
	// when nil.
	Fetch signature.Fetch `yaml:"-"`
	// Bound, when set, is told the address listened on.
	Bound func(net.Addr) `yaml:"-"`

	// Listen is the address of the door.
	Listen string `yaml:"listen"`
	// MaxInFlight bounds the requests under way, each of which may hold a body of
	// policy.MaxMessage bytes. Those that are read to learn who sends them have half.
	MaxInFlight int `yaml:"max_in_flight"`
	// AckTimeout is how long a sender waits for the log before it is told to come
	// back later.
	AckTimeout time.Duration `yaml:"ack_timeout"`
	// RetryAfter is what it is told.
	RetryAfter time.Duration `yaml:"retry_after"`
}

// DefaultConfig is what holds where the file says nothing.
func DefaultConfig() Config {
	return Config{Listen: "127.0.0.1:8080", MaxInFlight: 128, AckTimeout: 10 * time.Second, RetryAfter: 5 * time.Second}
}

// Validate reports every fault at once.
func (c *Config) Validate() error {
	var errs []error
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		errs = append(errs, errors.New("ingest.listen: must be host:port"))
	}
	if c.MaxInFlight < 1 || c.MaxInFlight > 10_000 {
		errs = append(errs, errors.New("ingest.max_in_flight: must be between 1 and 10000"))
	}
	if c.AckTimeout < 100*time.Millisecond || c.AckTimeout > 25*time.Second {
		errs = append(errs, errors.New("ingest.ack_timeout: must be between 100ms and 25s"))
	}
	if c.RetryAfter < time.Second || c.RetryAfter > time.Hour {
		errs = append(errs, errors.New("ingest.retry_after: must be between 1s and 1h"))
	}
	return errors.Join(errs...)
}

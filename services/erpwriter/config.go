package erpwriter

import (
	"errors"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/erpwriter/erp"
)

// Config is the service's configuration.
type Config struct {
	Kafka  stream.Config `yaml:"-"`
	Codecs *event.Codecs `yaml:"-"`
	// ERPs are the policy's, sorted by name.
	ERPs []policy.ERP `yaml:"-"`
	// Getenv reads the addresses and keys that the policy leaves to the environment.
	Getenv func(string) string `yaml:"-"`

	// Group begins the names of the consumer groups: <group>-planner, and
	// <group>-poster-<erp> for each ERP, so that one that is down holds up no other.
	Group string `yaml:"group"`
	// Timeout bounds one call to an ERP.
	Timeout time.Duration `yaml:"timeout"`
	// FirstWait and MostWait bound the wait between two attempts at one document;
	// it doubles from the first to the most.
	FirstWait time.Duration `yaml:"first_wait"`
	MostWait  time.Duration `yaml:"most_wait"`
	// MaxRefusals is how often an answering ERP may fail one document before it is
	// given to a person. An ERP that does not answer is waited for without limit.
	MaxRefusals int `yaml:"max_refusals"`
	// BreakerAfter outages in a row keep all calls away for BreakerCool, doubling up
	// to BreakerMost.
	BreakerAfter int           `yaml:"breaker_after"`
	BreakerCool  time.Duration `yaml:"breaker_cool"`
	BreakerMost  time.Duration `yaml:"breaker_most"`
	// BusinessLookup looks for the business document in the ERP before posting a
	// receipt, issue or return: somebody may have entered it by hand.
	BusinessLookup bool `yaml:"business_lookup"`
	// MaxRecords bounds the postings of one poll: so many are looked up again after
	// a crash.
	MaxRecords int `yaml:"max_records"`
	// Supplier and Customer are the codes of the ERP's parties that stand for
	// everybody outside, where an ERP wants one named.
	Supplier string `yaml:"supplier"`
	Customer string `yaml:"customer"`
}

// DefaultConfig is what holds where the file says nothing.
func DefaultConfig() Config {
	return Config{
		Group: "erp-writer", Timeout: erp.DefaultTimeout,
		FirstWait: 200 * time.Millisecond, MostWait: 30 * time.Second, MaxRefusals: 8,
		BreakerAfter: 5, BreakerCool: time.Second, BreakerMost: time.Minute,
		BusinessLookup: true, MaxRecords: 200, Supplier: "SUPPLIER", Customer: "CUSTOMER",
	}
}

// Validate reports every fault at once.
func (c *Config) Validate() error {
	var errs []error
	bad := func(s string) { errs = append(errs, errors.New("erp_writer."+s)) }
	if c.Group == "" {
		bad("group: required")
	}
	if c.Timeout <= 0 || c.Timeout > 5*time.Minute {
		bad("timeout: must be above 0 and at most 5m")
	}
	if c.FirstWait <= 0 || c.MostWait < c.FirstWait || c.MostWait > time.Hour {
		bad("first_wait, most_wait: must be above 0, in this order, at most 1h")
	}
	if c.MaxRefusals < 1 || c.MaxRefusals > 1000 {
		bad("max_refusals: must be between 1 and 1000")
	}
	if c.BreakerAfter < 1 || c.BreakerCool <= 0 || c.BreakerMost < c.BreakerCool || c.BreakerMost > time.Hour {
		bad("breaker_after, breaker_cool, breaker_most: must be at least 1, above 0, and in order, at most 1h")
	}
	if c.MaxRecords < 1 || c.MaxRecords > 10_000 {
		bad("max_records: must be between 1 and 10000")
	}
	return errors.Join(errs...)
}

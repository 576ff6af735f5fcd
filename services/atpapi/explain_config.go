package atpapi

import (
	"errors"
	"fmt"
	"time"

	"github.com/stockweave/stockweave/pkg/explain"
)

// ExplainConfig bounds what is read from the log for one question: an explanation, or
// what stood at a time in the past.
type ExplainConfig struct {
	// AtOnce are answered at one time.
	AtOnce int `yaml:"at_once"`
	// PerCaller of them are one caller's.
	PerCaller int `yaml:"per_caller"`
	// Timeout bounds one.
	Timeout time.Duration `yaml:"timeout"`
	// MaxRecords of the item's partition are read for one, those of all items counted.
	MaxRecords int64 `yaml:"max_records"`
	// MaxBytes of keys and values are read for one.
	MaxBytes int64 `yaml:"max_bytes"`
}

// DefaultExplain is what holds where the file says nothing.
func DefaultExplain() ExplainConfig {
	return ExplainConfig{AtOnce: 2, PerCaller: 1, Timeout: 8 * time.Second, MaxRecords: 5_000_000, MaxBytes: 2 << 30}
}

// Validate reports every fault at once.
func (c *ExplainConfig) Validate() error {
	var errs []error
	within := func(name string, v, low, high int64) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("atp_api.explain.%s: must be between %d and %d", name, low, high))
		}
	}
	within("at_once", int64(c.AtOnce), 1, 64)
	within("per_caller", int64(c.PerCaller), 1, 64)
	within("max_records", c.MaxRecords, 1000, 1<<40)
	within("max_bytes", c.MaxBytes, 1<<20, 1<<50)
	// The server ends an answer after 30 s.
	if c.Timeout < 100*time.Millisecond || c.Timeout > 25*time.Second {
		errs = append(errs, errors.New("atp_api.explain.timeout: must be between 100ms and 25s"))
	}
	return errors.Join(errs...)
}

func (c *ExplainConfig) budget() explain.Budget {
	return explain.Budget{Records: c.MaxRecords, Bytes: c.MaxBytes}
}

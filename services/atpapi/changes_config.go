package atpapi

import (
	"errors"
	"fmt"
	"time"
)

// ChangesConfig bounds the streams of changes.
type ChangesConfig struct {
	// MaxStreams are open at one time, long polls among them.
	MaxStreams int `yaml:"max_streams"`
	// MaxPerCaller of them are one caller's.
	MaxPerCaller int `yaml:"max_per_caller"`
	// Heartbeat is how often a stream says something, though nothing changes.
	Heartbeat time.Duration `yaml:"heartbeat"`
	// SlowAfter is how long a reader may take for what was sent to it before it is
	// dropped.
	SlowAfter time.Duration `yaml:"slow_after"`
	// MaxAge ends a stream, so that whoever reads has to show again that it may.
	MaxAge time.Duration `yaml:"max_age"`
	// Recent is how many changes of each partition of positions are kept in memory.
	Recent int `yaml:"recent"`
	// MaxBack is how many offsets a resumed stream may read again from the log.
	MaxBack int64 `yaml:"max_back"`
	// Backlogs is how many streams may do so at one time.
	Backlogs int `yaml:"backlogs"`
}

// DefaultChanges is what holds where the file says nothing.
func DefaultChanges() ChangesConfig {
	return ChangesConfig{
		MaxStreams: 1000, MaxPerCaller: 20, Heartbeat: 15 * time.Second, SlowAfter: 10 * time.Second, MaxAge: time.Hour,
		Recent: 8192, MaxBack: 2_000_000, Backlogs: 4,
	}
}

// Validate reports every fault at once.
func (c *ChangesConfig) Validate() error {
	var errs []error
	within := func(name string, v, low, high int64) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("atp_api.changes.%s: must be between %d and %d", name, low, high))
		}
	}
	lasts := func(name string, v, low, high time.Duration) {
		if v < low || v > high {
			errs = append(errs, fmt.Errorf("atp_api.changes.%s: must be between %v and %v", name, low, high))
		}
	}
	within("max_streams", int64(c.MaxStreams), 1, 100_000)
	within("max_per_caller", int64(c.MaxPerCaller), 1, 100_000)
	within("recent", int64(c.Recent), 1, 1_000_000)
	within("max_back", c.MaxBack, 0, 1<<40)
	within("backlogs", int64(c.Backlogs), 1, 64)
	lasts("heartbeat", c.Heartbeat, time.Second, time.Minute)
	lasts("slow_after", c.SlowAfter, 100*time.Millisecond, time.Minute)
	lasts("max_age", c.MaxAge, time.Minute, 24*time.Hour)
	return errors.Join(errs...)
}

package policy

import (
	"fmt"
	"net/url"
	"time"
)

// What a source makes of the Idempotency-Key.
const (
	IdempotencyOptional = "optional"
	IdempotencyRequired = "required"
)

// Door is how a source may use the door, beside its auth.
type Door struct {
	// Rate of the source, whoever sends; a principal may have one of its own.
	Rate Rate `yaml:"rate"`
	// IdempotencyKey is optional when empty.
	IdempotencyKey string      `yaml:"idempotency_key"`
	Deprecated     *Deprecated `yaml:"deprecated"`
	// Unique is how long an interchange's control number, or an Idempotency-Key, may
	// not come again with other content; 30 days when empty, 0 for never mind.
	Unique *time.Duration `yaml:"unique"`
}

// Deprecated says that a way of sending ends. Times are RFC 3339 and end in Z.
type Deprecated struct {
	At     string `yaml:"at"`     // Deprecation (RFC 9745)
	Sunset string `yaml:"sunset"` // Sunset (RFC 8594); not said when empty
	Link   string `yaml:"link"`   // a page about it
}

// DefaultUnique is how long a number is unique where nothing is said.
const DefaultUnique = 30 * 24 * time.Hour

// maxUnique is how long numbers are kept at all.
const maxUnique = 365 * 24 * time.Hour

// UniqueFor is Unique with its default.
func (d *Door) UniqueFor() time.Duration {
	if d.Unique == nil {
		return DefaultUnique
	}
	return *d.Unique
}

// Times are At and Sunset, the zero time where nothing is said.
func (d *Deprecated) Times() (at, sunset time.Time, err error) {
	if at, err = utc(d.At); err != nil {
		return at, sunset, fmt.Errorf("at: %w", err)
	}
	if sunset, err = utc(d.Sunset); err != nil {
		return at, sunset, fmt.Errorf("sunset: %w", err)
	}
	return at, sunset, nil
}

func (d *Door) validate() []error {
	errs := d.Rate.validate("door.rate")
	if k := d.IdempotencyKey; k != "" && k != IdempotencyOptional && k != IdempotencyRequired {
		errs = append(errs, &Fault{Field: "door.idempotency_key", Reason: "must be optional or required"})
	}
	if u := d.Unique; u != nil && (*u < 0 || *u > maxUnique) {
		errs = append(errs, &Fault{Field: "door.unique", Code: CodeOutOfRange, Reason: "must be between 0 and 8760h"})
	}
	if d.Deprecated == nil {
		return errs
	}
	at, sunset, err := d.Deprecated.Times()
	switch {
	case err != nil:
		errs = append(errs, &Fault{Field: "door.deprecated", Code: CodeBadTime, Reason: err.Error()})
	case at.IsZero():
		errs = append(errs, &Fault{Field: "door.deprecated.at", Code: CodeRequired, Reason: "required"})
	case !sunset.IsZero() && sunset.Before(at): // RFC 9745 §4
		errs = append(errs, &Fault{Field: "door.deprecated.sunset", Code: CodeConflicting, Reason: "it ends before it is deprecated"})
	}
	if l := d.Deprecated.Link; l != "" {
		if u, err := url.Parse(l); err != nil || u.Scheme != "https" || u.Host == "" {
			errs = append(errs, &Fault{Field: "door.deprecated.link", Reason: "must be an https URL"})
		}
	}
	return errs
}

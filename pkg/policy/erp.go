package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// ERP types; each has a folder in services/erpwriter/erp.
const (
	ERPSimulated = "simulated"
	ERPTryton    = "tryton"
)

// ERP is a system that accounts for stock: one file in policies/erp.
type ERP struct {
	Name     string `yaml:"name"`
	Type     string `yaml:"type"`
	URL      string `yaml:"url"`     // or URLEnv names the variable that has it
	URLEnv   string `yaml:"url_env"` //
	KeyEnv   string `yaml:"key_env"`
	Database string `yaml:"database"` // Tryton
	Company  string `yaml:"company"`  // the ERP's own name of the legal entity

	// Posts are tried in order; the first that matches says who posts. Without a
	// match nobody does.
	Posts []PostRule `yaml:"posts"`
	// Places are tried in order; the first that matches gives the ERP's own code
	// of an account. Without a match there is none.
	Places []PlaceRule `yaml:"places"`
	// Units are the ERP's own names of units.
	Units    map[string]string `yaml:"units"`
	TimeZone string            `yaml:"time_zone"` // of its document dates, where the location has none
	Throttle Throttle          `yaml:"throttle"`

	File string         `yaml:"-"`
	Zone *time.Location `yaml:"-"` // TimeZone, loaded
}

// Who posts.
const (
	PostedByStockweave = "stockweave" // this project
	PostedByOther      = "external"   // somebody else does: expect and reconcile
)

// PostRule says who posts the documents of some movements.
type PostRule struct {
	Entity   inventory.Entity         `yaml:"entity"`   // empty: any
	Location inventory.Location       `yaml:"location"` // empty: any
	Types    []inventory.MovementType `yaml:"types"`    // empty: any
	Poster   string                   `yaml:"poster"`   // stockweave when empty
}

// PlaceRule gives the ERP's code of an account at a location.
type PlaceRule struct {
	Location inventory.Location `yaml:"location"` // empty: any; none for outside accounts
	Account  inventory.Account  `yaml:"account"`
	Code     string             `yaml:"code"` // {location} stands for the location
}

// Throttle spares the ERP.
type Throttle struct {
	PerSecond  float64 `yaml:"per_second"` // calls; no limit when 0
	Concurrent int     `yaml:"concurrent"` // calls at once; 1 when 0
}

// Posted says whether Stockweave posts a movement of that type that concerns the
// location; false also when somebody else does.
func (e *ERP) Posted(entity inventory.Entity, l inventory.Location, t inventory.MovementType) bool {
	for i := range e.Posts {
		r := &e.Posts[i]
		if (r.Entity == "" || r.Entity == entity) && (r.Location == "" || r.Location == l) &&
			(len(r.Types) == 0 || slices.Contains(r.Types, t)) {
			return r.Poster != PostedByOther
		}
	}
	return false
}

// Place is the ERP's own code of a place; false when the policy names none.
func (e *ERP) Place(p inventory.Place) (string, bool) {
	for i := range e.Places {
		r := &e.Places[i]
		if r.Account == p.Account && (r.Location == "" || r.Location == p.Location) {
			return strings.ReplaceAll(r.Code, "{location}", string(p.Location)), true
		}
	}
	return "", false
}

// Unit is the ERP's own name of a unit.
func (e *ERP) Unit(u string) string {
	if own, ok := e.Units[u]; ok {
		return own
	}
	return u
}

// Validate reports every fault of the ERP alone.
func (e *ERP) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, &Fault{Field: field, Reason: fmt.Sprintf(format, args...)})
	}
	if !nameRule.MatchString(e.Name) {
		bad("name", "lower-case letters, digits, - and _ only, at most 63")
	}
	switch e.Type {
	case ERPSimulated:
	case ERPTryton:
		if e.URL == "" && e.URLEnv == "" {
			bad("url", "url or url_env is required")
		}
		if e.KeyEnv == "" {
			bad("key_env", "required")
		}
		if e.Database == "" {
			bad("database", "required")
		}
	default:
		bad("type", "must be simulated or tryton, not %q", e.Type)
	}
	errs = append(errs, checkURL("url", e.URL)...)
	for i, r := range e.Posts {
		if r.Poster != "" && r.Poster != PostedByStockweave && r.Poster != PostedByOther {
			bad(fmt.Sprintf("posts[%d].poster", i), "must be stockweave or external")
		}
	}
	for i, r := range e.Places {
		field := fmt.Sprintf("places[%d]", i)
		if r.Code == "" {
			bad(field+".code", "required")
		}
		if !r.Account.IsState() && (r.Location != "" || strings.Contains(r.Code, "{location}")) {
			bad(field, "%s is outside: it has no location", r.Account)
		}
	}
	if e.Throttle.PerSecond < 0 || e.Throttle.Concurrent < 0 || e.Throttle.Concurrent > 64 {
		bad("throttle", "must not be negative, at most 64 at once")
	}
	return errors.Join(errs...)
}

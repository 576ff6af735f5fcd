package policy

import (
	"regexp"
	"time"
)

// SQL is a PostgreSQL database of the partner that ingest reads: one of Outbox, Query
// and Function.
type SQL struct {
	// URLEnv names the environment variable with the connection URL (libpq's URI form);
	// PasswordEnv one with the password, where it does not stand in the URL.
	URLEnv      string `yaml:"url_env"`
	PasswordEnv string `yaml:"password_env"`
	// TLS is one of TLSModes; TLSVerifyFull when empty. The URL must not say another.
	TLS string `yaml:"tls"`
	// CAFile is a PEM file of who may have signed the server's certificate; the
	// system's own when empty.
	CAFile string `yaml:"ca_file"`

	Outbox *Outbox `yaml:"outbox"`
	Query  *Query  `yaml:"query"`
	// Function names a function f(after text, most int) that returns rows (cursor
	// text, id text, body text, stream_key text) behind a position, in its order. What
	// it leaves out once must not come behind a later position.
	Function string `yaml:"function"`

	Poll Poll `yaml:"poll"`
}

// TLS modes of a database, as libpq means them.
const (
	TLSDisable    = "disable"
	TLSRequire    = "require" // encrypted, to whomever it may be
	TLSVerifyCA   = "verify-ca"
	TLSVerifyFull = "verify-full"
)

// TLSModes is all of them.
func TLSModes() []string { return []string{TLSDisable, TLSRequire, TLSVerifyCA, TLSVerifyFull} }

// Outbox is a table in the form of examples/outbox.sql.
type Outbox struct {
	Schema string `yaml:"schema"` // stockweave when empty
	// Keep leaves delivered rows in the table for so long; 0: they are deleted with
	// their delivery.
	Keep time.Duration `yaml:"keep"`
}

// Query reads a table that cannot be changed, by a column that grows with each change.
type Query struct {
	// SQL selects rows with the columns cursor (timestamptz or bigint), id and body
	// (json, jsonb, text or bytea), and stream_key (text) where there is one, where
	// (cursor, id) > ($1, $2), ordered by cursor, id, at most $3 of them.
	SQL string `yaml:"sql"`
	// Cursor is the type of the cursor: CursorTime or CursorNumber. ID is that
	// of the id: IDNumber (when empty), IDText or IDUUID.
	Cursor string `yaml:"cursor"`
	ID     string `yaml:"id"`
	// Overlap is how far each round goes back, for rows whose transaction ended after
	// that of later ones: a duration of times, Behind of numbers.
	Overlap time.Duration `yaml:"overlap"`
	Behind  int64         `yaml:"behind"`
}

// Types of cursors, and of ids.
const (
	CursorTime   = "time"
	CursorNumber = "number"

	IDNumber = "number"
	IDText   = "text"
	IDUUID   = "uuid"
)

// DefaultOverlap is how far back a cursor of times goes when nothing is stated.
const DefaultOverlap = 10 * time.Minute

// Back is the overlap that holds.
func (q *Query) Back() time.Duration {
	if q.Overlap == 0 {
		return DefaultOverlap
	}
	return q.Overlap
}

var sqlNameRule = regexp.MustCompile(`^[a-z_][a-z0-9_]{0,62}(\.[a-z_][a-z0-9_]{0,62})?$`)

// SchemaName is the schema of the table.
func (o *Outbox) SchemaName() string {
	if o.Schema == "" {
		return "stockweave"
	}
	return o.Schema
}

func (s *SQL) validate(at string) []error {
	var fs faults
	if s.URLEnv == "" {
		fs.add(CodeRequired, at+".url_env", "required")
	}
	n := 0
	for _, is := range []bool{s.Outbox != nil, s.Query != nil, s.Function != ""} {
		if is {
			n++
		}
	}
	if n != 1 {
		fs.add(CodeConflicting, at, "exactly one of outbox, query and function is required")
	}
	if s.CAFile != "" && (s.TLS == TLSDisable || s.TLS == TLSRequire) {
		fs.add(CodeConflicting, at+".ca_file", "tls %s checks no certificate", s.TLS)
	}
	if o := s.Outbox; o != nil {
		if o.Schema != "" && !sqlNameRule.MatchString(o.Schema) {
			fs.add("", at+".outbox.schema", "lower-case letters, digits and _ only")
		}
		if o.Keep < 0 || o.Keep > 90*24*time.Hour {
			fs.add(CodeOutOfRange, at+".outbox.keep", "must be between 0 and 2160h")
		}
	}
	if s.Function != "" && !sqlNameRule.MatchString(s.Function) {
		fs.add("", at+".function", "a name, or schema.name, of lower-case letters, digits and _")
	}
	if q := s.Query; q != nil {
		q.validate(at+".query", &fs)
	}
	return append(fs, s.Poll.validate(at+".poll")...)
}

func (q *Query) validate(at string, fs *faults) {
	if q.SQL == "" {
		fs.add(CodeRequired, at+".sql", "required")
	}
	switch q.Cursor {
	case CursorTime:
		if q.Behind != 0 {
			fs.add(CodeConflicting, at+".behind", "of numbers only; times have overlap")
		}
	case CursorNumber:
		if q.Overlap != 0 {
			fs.add(CodeConflicting, at+".overlap", "of times only; numbers have behind")
		}
		if q.Behind < 1 {
			fs.add(CodeRequired, at+".behind", "required: how many numbers may still be given to transactions under way")
		}
	default:
		fs.add("", at+".cursor", "must be time or number, not %q", q.Cursor)
	}
	if id := q.ID; id != "" && id != IDNumber && id != IDText && id != IDUUID {
		fs.add("", at+".id", "must be number, text or uuid, not %q", id)
	}
	if q.Overlap < 0 || q.Overlap > maxOverlap {
		fs.add(CodeOutOfRange, at+".overlap", "must be between 0 and 168h")
	}
}

package policy

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Formats of messages. Each has a folder in services/canonicalizer/format.
const (
	FormatJSON = "json"
	FormatX12  = "x12"
	FormatCSV  = "csv"

	FormatEDIFACT = "edifact"

	FormatNDJSON = "ndjson"
	FormatXML    = "xml"
	FormatIDoc   = "idoc"
	FormatEPCIS  = "epcis"
	FormatFixed  = "fixed"
)

// Formats is all of them.
func Formats() []string {
	return []string{
		FormatJSON, FormatX12, FormatCSV, FormatEDIFACT,
		FormatNDJSON, FormatXML, FormatIDoc, FormatEPCIS, FormatFixed,
	}
}

// MaxMessage is the largest message a source may send, bytes: what a record
// holds. Larger files come in parts.
const MaxMessage = 1 << 20

// Source is a partner's way of sending: one file in policies/sources.
type Source struct {
	Name        inventory.Source `yaml:"name"`
	Description string           `yaml:"description"`
	Entity      inventory.Entity `yaml:"entity"`
	Format      string           `yaml:"format"`
	// Encoding of its text, one of Encodings, where the message itself says nothing.
	Encoding string `yaml:"encoding"`
	// ContentTypes the door accepts; the format's own when empty.
	ContentTypes []string `yaml:"content_types"`
	Auth         Auth     `yaml:"auth"`
	Limits       Limits   `yaml:"limits"`
	Door         Door     `yaml:"door"`
	HTTP         HTTP     `yaml:"http"`
	// Transport is how ingest fetches its messages, where it does not send them.
	Transport Transport `yaml:"transport"`
	// LatencyClass of its messages; LatencyRealTime when empty.
	LatencyClass string `yaml:"latency_class"`
	// Windows of a scheduled source.
	Windows []Window `yaml:"windows"`
	// StreamKey is a JSON Pointer (RFC 6901) to what identifies the document in a
	// JSON message; messages of one document keep their order. Empty: the source
	// as a whole is one stream.
	StreamKey string `yaml:"stream_key"`
	// DedupeHeader names the request header that carries the sender's own message
	// id, kept with the raw message.
	DedupeHeader string `yaml:"dedupe_header"`
	// Headers are request headers kept with the raw message, for the mapping; never
	// those that carry a secret.
	Headers []string `yaml:"headers"`

	// DefaultLocation stands in where a line names none.
	DefaultLocation inventory.Location `yaml:"default_location"`
	// Defaults are handed to the mapping as they are.
	Defaults map[string]string `yaml:"defaults"`
	// TimeZone (IANA) of times that state none; UTC when empty.
	TimeZone string   `yaml:"time_zone"`
	AsOf     AsOf     `yaml:"as_of"`
	Balance  *Balance `yaml:"balance"`
	CSV      CSV      `yaml:"csv"`
	X12      X12      `yaml:"x12"`
	Fixed    Fixed    `yaml:"fixed"`
	XML      XML      `yaml:"xml"`
	IDoc     IDoc     `yaml:"idoc"`
	Acks     Acks     `yaml:"acks"`
	// UnitAliases are the source's words for units of the item master.
	UnitAliases map[string]string `yaml:"unit_aliases"`
	// IDTypes say what the source's types of item number mean, in the order to try;
	// what is not here means what its standard says.
	IDTypes map[string][]string `yaml:"id_types"`
	// Items and UnitAliases also come from tables beside the file: type,value,item and
	// alias,unit. After Load they have both.
	Items           []ItemName `yaml:"items"`
	ItemsFile       string     `yaml:"items_file"`
	UnitAliasesFile string     `yaml:"unit_aliases_file"`
	// Without states what its messages truly have none of.
	Without Statement `yaml:"without"`

	// Mapping is a jq program from the message's tree to lines, or MappingFile
	// names the file that holds it, relative to this one. After Load, Mapping has
	// the program in both cases. MappingVersion is stamped on every event.
	Mapping        string   `yaml:"mapping"`
	MappingFile    string   `yaml:"mapping_file"`
	MappingVersion string   `yaml:"mapping_version"`
	Samples        []Sample `yaml:"samples"`

	// File is the path it was read from, inside the policies folder.
	File string `yaml:"-"`
	// Zone is TimeZone, loaded.
	Zone *time.Location `yaml:"-"`

	files fs.FS
}

// ReadSample returns a file that Samples names.
func (s *Source) ReadSample(name string) ([]byte, error) {
	if s.files == nil {
		return nil, fmt.Errorf("reading sample %s: %w", name, fs.ErrNotExist)
	}
	b, err := fs.ReadFile(s.files, beside(s.File, name))
	if err != nil {
		return nil, fmt.Errorf("reading sample: %w", err)
	}
	return b, nil
}

// Auth is how a source proves who it is. Everything it names must hold.
type Auth struct {
	// APIKeys are the SHA-256 hashes, hex, of the keys it may use; several while
	// one is replaced by the next.
	APIKeys []string `yaml:"api_keys"`
	// APIKeyEnv names an environment variable with one more key, in clear.
	APIKeyEnv string `yaml:"api_key_env"`
	// Access asks for a key or a token of a principal that may write its messages.
	Access bool  `yaml:"access"`
	HMAC   *HMAC `yaml:"hmac"`

	Signature  *Signature  `yaml:"signature"`
	WSSecurity *WSSecurity `yaml:"ws_security"`
}

// HMAC is a signature over the raw body.
type HMAC struct {
	Header    string `yaml:"header"`
	Prefix    string `yaml:"prefix"`    // before the digest, e.g. sha256=
	Encoding  string `yaml:"encoding"`  // base64 or hex
	Algorithm string `yaml:"algorithm"` // sha256
	SecretEnv string `yaml:"secret_env"`
}

// Limits of a source.
type Limits struct {
	MaxBytes int `yaml:"max_bytes"` // MaxMessage when 0, never above it
	MaxLines int `yaml:"max_lines"` // of one message, after the mapping; DefaultMaxLines when 0
}

// DefaultMaxLines bounds the lines one message may become; a receipt lists them.
const DefaultMaxLines = 10_000

// AsOf says how a source's times are to be read.
type AsOf struct {
	// Delay is how old a balance is when the message arrives, where nothing states
	// its time: as-of = receipt − Delay.
	Delay time.Duration `yaml:"delay"`
	// Date is what a date alone means: start, noon or end of that day in TimeZone.
	Date string `yaml:"date"`
}

// What a date alone means.
const (
	DateStart = "start"
	DateNoon  = "noon"
	DateEnd   = "end"
)

// Balance declares what the balances of a source count. A source without it
// cannot send counts.
type Balance struct {
	Basis    inventory.Basis     `yaml:"basis"`
	Includes []inventory.Account `yaml:"includes"`
	Covers   []inventory.Account `yaml:"covers"`
	Complete bool                `yaml:"complete"` // each message lists all items of the location
}

// CSV says how a source writes its tables (RFC 4180 where it says nothing).
type CSV struct {
	Delimiter string   `yaml:"delimiter"` // one character; a comma when empty
	Decimal   string   `yaml:"decimal"`   // "." or ","; "." when empty
	Header    []string `yaml:"header"`    // columns that must be there; all rows have as many fields as the first
	Columns   []string `yaml:"columns"`   // names of the columns of a table without a header row
	Comment   string   `yaml:"comment"`   // rows that begin with this character are skipped
	// Records are the record types of a table without a header row that has rows of
	// several; Type is the number of the field, from 1, that says which a row is, 1
	// when 0.
	Records []Record `yaml:"records"`
	Type    int      `yaml:"type"`
}

// X12 says how a source writes X12.
type X12 struct {
	Bare bool `yaml:"bare"` // it sends sets, or groups, without an interchange around them
}

// Sample is a message and what it must become; stockweave check runs it.
type Sample struct {
	File     string `yaml:"file"`     // relative to the source's own file
	Expected string `yaml:"expected"` // JSON, the same
	Filename string `yaml:"filename"` // as stated by the sender
}

var (
	nameRule   = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	sha256Rule = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Validate reports every fault of the source alone.
func (s *Source) Validate() error {
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, &Fault{Field: field, Reason: fmt.Sprintf(format, args...)})
	}
	if !nameRule.MatchString(string(s.Name)) {
		bad("name", "lower-case letters, digits, - and _ only, at most 63")
	}
	if s.Entity == "" {
		bad("entity", "required")
	}
	if !slices.Contains(Formats(), s.Format) {
		bad("format", "must be one of %s, not %q", strings.Join(Formats(), ", "), s.Format)
	}
	errs = append(errs, s.validateFormat()...)
	if s.Limits.MaxBytes < 0 || s.Limits.MaxBytes > MaxMessage {
		bad("limits.max_bytes", "must be at most %d", MaxMessage)
	}
	if s.Limits.MaxLines < 0 || s.Limits.MaxLines > DefaultMaxLines {
		bad("limits.max_lines", "must be at most 10000")
	}
	if c := s.LatencyClass; c != "" && c != LatencyRealTime && c != LatencyBulk && c != LatencyScheduled {
		bad("latency_class", "must be real-time, bulk or scheduled, not %q", c)
	}
	errs = append(errs, s.validateSchedule()...)
	if s.StreamKey != "" && (s.Format != FormatJSON || !strings.HasPrefix(s.StreamKey, "/")) {
		bad("stream_key", "a JSON Pointer, for the json format only")
	}
	if s.AsOf.Delay < 0 {
		bad("as_of.delay", "must not be negative")
	}
	if d := s.AsOf.Date; d != "" && d != DateStart && d != DateNoon && d != DateEnd {
		bad("as_of.date", "must be start, noon or end, not %q", d)
	}
	if s.Mapping == "" {
		bad("mapping", "mapping or mapping_file is required")
	}
	if s.MappingVersion == "" {
		bad("mapping_version", "required")
	}
	for i, h := range s.Headers {
		if slices.ContainsFunc([]string{"authorization", "x-api-key", "cookie", "proxy-authorization"}, func(x string) bool { return strings.EqualFold(x, h) }) ||
			s.Auth.HMAC != nil && strings.EqualFold(s.Auth.HMAC.Header, h) {
			bad(fmt.Sprintf("headers[%d]", i), "%s carries a secret", h)
		}
	}
	if s.Knocks() {
		errs = append(errs, s.Auth.validate()...)
	}
	errs = append(errs, s.Acks.validate(s)...)
	errs = append(errs, s.validateNames()...)
	errs = append(errs, s.Door.validate()...)
	errs = append(errs, s.Auth.validateSignature()...)
	errs = append(errs, s.validateHTTP()...)
	errs = append(errs, s.Transport.validate()...)
	if s.Transport.Pull != nil && s.Format != FormatJSON {
		bad("transport.pull", "what is pulled is json, not %s", s.Format)
	}
	if s.Balance != nil {
		errs = append(errs, s.Balance.validate()...)
	}
	if n := len(s.CSV.Delimiter); n > 1 || n == 1 && strings.ContainsAny(s.CSV.Delimiter, "\"\r\n") {
		bad("csv.delimiter", "one character other than a quote or a line end")
	}
	if d := s.CSV.Decimal; d != "" && d != "." && d != "," {
		bad("csv.decimal", "must be . or ,")
	} else if d == "," && (s.CSV.Delimiter == "" || s.CSV.Delimiter == ",") {
		bad("csv.decimal", "the delimiter is a comma already")
	}
	return errors.Join(errs...)
}

func (a *Auth) validate() []error {
	var errs []error
	for i, k := range a.APIKeys {
		if !sha256Rule.MatchString(k) {
			errs = append(errs, &Fault{Field: fmt.Sprintf("auth.api_keys[%d]", i), Reason: "a SHA-256 in 64 lower-case hex digits, never the key itself"})
		}
	}
	if len(a.APIKeys) == 0 && a.APIKeyEnv == "" && !a.Access && !a.signed() {
		errs = append(errs, &Fault{Field: "auth", Reason: "an API key or a signature is required"})
	}
	if h := a.HMAC; h != nil {
		if h.Header == "" || h.SecretEnv == "" {
			errs = append(errs, &Fault{Field: "auth.hmac", Reason: "header and secret_env are required"})
		}
		if h.Encoding != "base64" && h.Encoding != "hex" {
			errs = append(errs, &Fault{Field: "auth.hmac.encoding", Reason: "must be base64 or hex"})
		}
		if h.Algorithm != "sha256" {
			errs = append(errs, &Fault{Field: "auth.hmac.algorithm", Reason: "must be sha256"})
		}
	}
	return errs
}

func (b *Balance) validate() []error {
	var errs []error
	if b.Basis != inventory.Physical && b.Basis != inventory.Sellable && b.Basis != inventory.Available {
		errs = append(errs, &Fault{Field: "balance.basis", Reason: "must be physical, sellable or available"})
	}
	if len(b.Covers) == 0 {
		errs = append(errs, &Fault{Field: "balance.covers", Reason: "the states it reports are required"})
	}
	if b.Basis != inventory.Physical && len(b.Includes) > 0 {
		errs = append(errs, &Fault{Field: "balance.includes", Reason: "only a physical number includes other states"})
	}
	for _, a := range b.Covers {
		if !a.IsState() {
			errs = append(errs, &Fault{Field: "balance.covers", Reason: a.String() + " is no state at a location"})
		}
	}
	for _, a := range b.Includes {
		if !a.IsState() || a == inventory.OnHand {
			errs = append(errs, &Fault{Field: "balance.includes", Reason: a.String() + " cannot be included"})
		}
	}
	return errs
}

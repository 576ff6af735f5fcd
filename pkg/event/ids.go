package event

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/hamba/avro/v2"

	"github.com/stockweave/stockweave/schemas"
)

// ErrMissingSchema says that a schema this build needs has no id yet: topics
// apply has not run for it.
var ErrMissingSchema = errors.New("event: schema is not registered")

// SchemaID is one registered schema, so that services start with the registry
// down. Key: subject|version.
type SchemaID struct {
	Subject     string `json:"subject"`
	Version     int32  `json:"version"`
	Fingerprint string `json:"fingerprint"` // SHA-256 of the canonical form, hex
	ID          int32  `json:"id"`
	// Schema is the text as registered. It lets an older build read what a newer
	// one writes while both run.
	Schema string `json:"schema,omitempty"`
}

// EncodeSchemaID returns the value of a record of schemas.v1: plain JSON, so that
// it can be read before any id is known.
func EncodeSchemaID(id SchemaID) ([]byte, error) {
	value, err := json.Marshal(id)
	if err != nil {
		return nil, fmt.Errorf("encoding schema id: %w", err)
	}
	return value, nil
}

// DecodeSchemaID is the opposite of EncodeSchemaID; its error is ErrUndecodable.
func DecodeSchemaID(value []byte) (SchemaID, error) {
	var id SchemaID
	if len(value) > MaxValue {
		return id, fmt.Errorf("%w: %s: %d bytes", ErrUndecodable, TopicSchemas, len(value))
	}
	if err := json.Unmarshal(value, &id); err != nil {
		return SchemaID{}, fmt.Errorf("%w: %s: %w", ErrUndecodable, TopicSchemas, err)
	}
	if id.Subject == "" || id.Version < 1 || id.ID < 0 {
		return SchemaID{}, fmt.Errorf("%w: %s: subject, version and id are required", ErrUndecodable, TopicSchemas)
	}
	return id, nil
}

// IDs are the registered schemas, as schemas.v1 holds them. They are filled by
// one goroutine and only read afterwards.
type IDs struct{ bySubject map[string]map[int32]SchemaID }

// NewIDs returns an empty set.
func NewIDs() *IDs { return &IDs{bySubject: map[string]map[int32]SchemaID{}} }

// Add puts a registered schema in; a later one of the same subject and version
// replaces it.
func (ids *IDs) Add(id SchemaID) {
	versions := ids.bySubject[id.Subject]
	if versions == nil {
		versions = map[int32]SchemaID{}
		ids.bySubject[id.Subject] = versions
	}
	versions[id.Version] = id
}

// Complete returns nil when every schema of this build has an id, else an
// ErrMissingSchema that names all those without.
func (ids *IDs) Complete() error {
	var missing []string
	for _, s := range schemas.All() {
		if _, ok := ids.bySubject[s.Subject()][int32(s.Version)]; !ok {
			missing = append(missing, fmt.Sprintf("%s version %d", s.Subject(), s.Version))
		}
	}
	if missing != nil {
		return fmt.Errorf("%w: %s", ErrMissingSchema, strings.Join(missing, ", "))
	}
	return nil
}

// version is a schema a value may have been written with.
type version struct {
	number int32
	id     int32
	schema avro.Schema
	ours   bool // of this build, not learnt from the log
}

// versions returns every readable version of a topic, ascending. The text of a
// version of this build is this build's; its fingerprint must be the registered
// one, or somebody changed a released file.
func (ids *IDs) versions(topic string) ([]version, error) {
	registered := ids.bySubject[schemas.Subject(topic)]
	known := map[int32]version{}
	for _, s := range schemas.Of(topic) {
		id, ok := registered[int32(s.Version)]
		if !ok {
			return nil, fmt.Errorf("%w: %s version %d", ErrMissingSchema, s.Subject(), s.Version)
		}
		schema, err := parse(s.Text)
		if err != nil {
			return nil, fmt.Errorf("event: parsing %s version %d: %w", topic, s.Version, err)
		}
		fingerprint := fingerprintOf(schema)
		if id.Fingerprint != "" && id.Fingerprint != fingerprint {
			return nil, fmt.Errorf("event: %s version %d is registered with fingerprint %s, this build has %s",
				s.Subject(), s.Version, id.Fingerprint, fingerprint)
		}
		known[id.Version] = version{number: id.Version, id: id.ID, schema: schema, ours: true}
	}
	for n, id := range registered {
		if _, ok := known[n]; ok || id.Schema == "" {
			continue
		}
		schema, err := parse(id.Schema)
		if err != nil {
			return nil, fmt.Errorf("event: parsing %s version %d: %w", topic, n, err)
		}
		known[n] = version{number: n, id: id.ID, schema: schema}
	}
	all := make([]version, 0, len(known))
	for _, v := range known {
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b version) int { return int(a.number - b.number) })
	return all, nil
}

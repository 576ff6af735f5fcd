// Package registry registers the released schemas with a schema registry that
// speaks Confluent's API (Confluent Schema Registry, Apicurio, Karapace). Services
// never talk to it: they read the ids from schemas.v1.
package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/sr"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/schemas"
)

// ErrIncompatible says that the registry refused a version: it breaks
// FULL_TRANSITIVE against what stands there already.
var ErrIncompatible = errors.New("registry: schema is incompatible")

// Register sets every subject to FULL_TRANSITIVE and registers its versions in
// ascending order; without specs, all released schemas. It may be repeated: what
// stands there keeps its id. The result is sorted by subject and version and holds
// the ids under which values of these schemas travel.
func Register(ctx context.Context, client *sr.Client, specs ...schemas.Schema) ([]event.SchemaID, error) {
	if len(specs) == 0 {
		specs = schemas.All()
	}
	specs = slices.SortedFunc(slices.Values(specs), func(a, b schemas.Schema) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Version, b.Version))
	})
	ids := make([]event.SchemaID, 0, len(specs))
	strict := "" // the subject known to be FULL_TRANSITIVE
	for _, s := range specs {
		subject := s.Subject()
		if strict != subject {
			err := setCompatibility(ctx, client, subject)
			switch {
			case err == nil:
				strict = subject
			case !notFound(err):
				return nil, fmt.Errorf("setting compatibility of %s: %w", subject, err)
			}
		}
		id, err := register(ctx, client, s)
		if err != nil {
			return nil, fmt.Errorf("registering %s version %d: %w", subject, s.Version, err)
		}
		ids = append(ids, id)
		// Apicurio knows no rule of a subject that has no schema yet. Confluent's
		// does, and there nothing is registered before its rule stands.
		if strict != subject {
			if err := setCompatibility(ctx, client, subject); err != nil {
				return nil, fmt.Errorf("setting compatibility of %s: %w", subject, err)
			}
			strict = subject
		}
	}
	return ids, nil
}

func setCompatibility(ctx context.Context, client *sr.Client, subject string) error {
	for _, result := range client.SetCompatibility(ctx, sr.SetCompatibility{Level: sr.CompatFullTransitive}, subject) {
		if result.Err != nil {
			return result.Err
		}
	}
	return nil
}

func notFound(err error) bool {
	var response *sr.ResponseError
	return errors.As(err, &response) && response.StatusCode == http.StatusNotFound
}

// register registers one version and reads it back: an id that names another
// schema would make every value of it unreadable.
func register(ctx context.Context, client *sr.Client, s schemas.Schema) (event.SchemaID, error) {
	fingerprint, err := event.Fingerprint(s.Text)
	if err != nil {
		return event.SchemaID{}, err
	}
	id, err := client.RegisterSchema(ctx, s.Subject(), sr.Schema{Schema: s.Text, Type: sr.TypeAvro}, -1, -1)
	var response *sr.ResponseError
	switch {
	case errors.As(err, &response) && response.StatusCode == http.StatusConflict:
		return event.SchemaID{}, fmt.Errorf("%w: %w", ErrIncompatible, err)
	case err != nil:
		return event.SchemaID{}, err
	case id < 0 || id > math.MaxInt32:
		return event.SchemaID{}, fmt.Errorf("id %d does not fit the wire format", id)
	}
	stored, err := client.SchemaByID(ctx, id)
	if err != nil {
		return event.SchemaID{}, fmt.Errorf("reading back id %d: %w", id, err)
	}
	switch found, err := event.Fingerprint(stored.Schema); {
	case err != nil:
		return event.SchemaID{}, fmt.Errorf("reading back id %d: %w", id, err)
	case found != fingerprint:
		return event.SchemaID{}, fmt.Errorf("id %d names a schema with fingerprint %s, not %s", id, found, fingerprint)
	}
	return event.SchemaID{
		Subject: s.Subject(), Version: int32(s.Version), Fingerprint: fingerprint, ID: int32(id), Schema: s.Text,
	}, nil
}

package registry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/schemas"
)

func TestRegister(t *testing.T) {
	for name, f := range map[string]*fake{"confluent": {}, "apicurio": {needsSubject: true}} {
		t.Run(name, func(t *testing.T) {
			client := newFake(t, f)
			ids, err := Register(t.Context(), client)
			if err != nil {
				t.Fatal(err)
			}
			all := schemas.All()
			if len(ids) != len(all) {
				t.Fatalf("%d ids for %d schemas", len(ids), len(all))
			}
			for i, s := range all {
				if f.levels[s.Subject()] != "FULL_TRANSITIVE" {
					t.Errorf("%s is %q", s.Subject(), f.levels[s.Subject()])
				}
				id := ids[i]
				if id.Subject != s.Subject() || id.Version != int32(s.Version) || id.Schema != s.Text || len(id.Fingerprint) != 64 {
					t.Errorf("%+v", id)
				}
				if f.byID[id.ID-1] != s.Text {
					t.Errorf("%s: id %d names another schema", id.Subject, id.ID)
				}
			}
			// What it returns is all that a service needs.
			known := event.NewIDs()
			for _, id := range ids {
				value, err := event.EncodeSchemaID(id)
				if err != nil {
					t.Fatal(err)
				}
				if id, err = event.DecodeSchemaID(value); err != nil {
					t.Fatal(err)
				}
				known.Add(id)
			}
			if _, err := event.NewCodecs(known); err != nil {
				t.Error(err)
			}
			again, err := Register(t.Context(), client)
			if err != nil || !slices.Equal(ids, again) {
				t.Errorf("a second run gives other ids: %v", err)
			}
		})
	}
}

// TestRuleBeforeSchema: where the registry allows it, nothing is registered before
// its rule stands.
func TestRuleBeforeSchema(t *testing.T) {
	f := &fake{}
	if _, err := Register(t.Context(), newFake(t, f)); err != nil {
		t.Fatal(err)
	}
	for _, s := range schemas.All() {
		rule := slices.Index(f.calls, "PUT /config/"+s.Subject())
		if first := slices.Index(f.calls, "POST /subjects/"+s.Subject()+"/versions"); rule < 0 || rule > first {
			t.Errorf("%s: rule at call %d, schema at %d", s.Subject(), rule, first)
		}
	}
}

func version(n int, fields string) schemas.Schema {
	return schemas.Schema{Topic: "t.v1", Version: n, Text: `{"type": "record", "name": "T", "namespace": "io.stockweave.v1", "fields": [
		{"name": "kind", "type": "string"}` + fields + `]}`}
}

func TestHistories(t *testing.T) {
	one := version(1, "")
	two := version(2, `, {"name": "a", "type": ["null", "string"], "default": null}`)
	for _, needsSubject := range []bool{false, true} {
		f := &fake{needsSubject: needsSubject}
		client := newFake(t, f)
		// Given in any order they are registered in theirs.
		ids, err := Register(t.Context(), client, two, one)
		if err != nil || len(ids) != 2 || ids[0].Version != 1 || ids[1].Version != 2 || ids[0].ID == ids[1].ID {
			t.Fatalf("%+v, %v", ids, err)
		}
		if got := f.subjects["t.v1-value"]; len(got) != 2 || got[0] != one.Text {
			t.Errorf("versions in another order: %q", got)
		}
		// A version that breaks the history is refused and not registered.
		ids, err = Register(t.Context(), client, one, two, version(3, `, {"name": "b", "type": "string"}`))
		if !errors.Is(err, ErrIncompatible) || !strings.Contains(err.Error(), "t.v1-value version 3") || ids != nil {
			t.Errorf("%+v, %v", ids, err)
		}
		if n := len(f.subjects["t.v1-value"]); n != 2 {
			t.Errorf("%d versions", n)
		}
	}
}

func TestFaults(t *testing.T) {
	two := schemas.Schema{Topic: "u.v1", Version: 1, Text: `"string"`}
	if ids, err := Register(t.Context(), newFake(t, &fake{wrongID: true}), version(1, ""), two); err == nil || ids != nil {
		t.Errorf("an id of another schema passes: %+v", ids)
	}
	if _, err := Register(t.Context(), newFake(t, &fake{}), schemas.Schema{Topic: "t", Version: 1, Text: "{"}); err == nil {
		t.Error("a broken schema is registered")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Register(ctx, newFake(t, &fake{})); !errors.Is(err, context.Canceled) {
		t.Errorf("after cancel: %v", err)
	}
}

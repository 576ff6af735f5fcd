package event

import (
	"errors"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/schemas"
)

func TestIDsComplete(t *testing.T) {
	ids := NewIDs()
	if err := ids.Complete(); !errors.Is(err, ErrMissingSchema) || !strings.Contains(err.Error(), "inventory.events.v1-value version 1") ||
		!strings.Contains(err.Error(), "raw.messages.v1-value version 1") {
		t.Errorf("empty: %v", err)
	}
	if _, err := NewCodecs(ids); !errors.Is(err, ErrMissingSchema) {
		t.Errorf("codecs without ids: %v", err)
	}
	for i, s := range schemas.All() {
		if err := ids.Complete(); !errors.Is(err, ErrMissingSchema) || !strings.Contains(err.Error(), s.Subject()) {
			t.Errorf("without %s: %v", s.Subject(), err)
		}
		ids.Add(SchemaID{Subject: s.Subject(), Version: int32(s.Version), ID: int32(100 + i)})
	}
	if err := ids.Complete(); err != nil {
		t.Error(err)
	}
}

// TestFingerprintMustMatch: a released file that changed does not start.
func TestFingerprintMustMatch(t *testing.T) {
	ids := LocalIDs()
	latest, _ := schemas.Latest(TopicEvents)
	right, err := Fingerprint(latest.Text)
	if err != nil {
		t.Fatal(err)
	}
	id := SchemaID{Subject: latest.Subject(), Version: int32(latest.Version), ID: 1000, Fingerprint: right}
	ids.Add(id)
	if _, err := NewCodecs(ids); err != nil {
		t.Fatal(err)
	}
	id.Fingerprint = strings.Repeat("0", 64)
	ids.Add(id)
	if _, err := NewCodecs(ids); err == nil || !strings.Contains(err.Error(), "inventory.events.v1-value version 1") {
		t.Errorf("a changed schema starts: %v", err)
	}
}

func TestSchemaIDValue(t *testing.T) {
	in := SchemaID{Subject: "a-value", Version: 3, Fingerprint: "f", ID: 7, Schema: "{}"}
	value, err := EncodeSchemaID(in)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"subject":"a-value","version":3,"fingerprint":"f","id":7,"schema":"{}"}`; string(value) != want {
		t.Errorf("%s", value)
	}
	if out, err := DecodeSchemaID(value); err != nil || out != in {
		t.Errorf("%+v, %v", out, err)
	}
	for _, bad := range []string{"", "null", "{}", `{"subject":"a","version":0,"id":1}`, `{"subject":"a","version":1,"id":-1}`, `{"subject":1}`} {
		if out, err := DecodeSchemaID([]byte(bad)); !errors.Is(err, ErrUndecodable) || out.Subject != "" && out.Version > 0 && out.ID >= 0 {
			t.Errorf("%s: %+v, %v", bad, out, err)
		}
	}
}

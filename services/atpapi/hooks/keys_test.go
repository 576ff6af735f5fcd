package hooks

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
	"testing"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

func key(c string) string { return base64.StdEncoding.EncodeToString([]byte(strings.Repeat(c, 32))) }

func keysOf(t *testing.T, text string) *Keys {
	t.Helper()
	k, err := ReadKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestReadKeys(t *testing.T) {
	for _, text := range []string{"", "secret", key("a") + ",", base64.StdEncoding.EncodeToString([]byte("short"))} {
		if _, err := ReadKeys(text); err == nil || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestSealed: a secret is opened by the key that sealed it, for its subscription alone; an
// old key goes on opening beside the first, and what it sealed is sealed anew.
func TestSealed(t *testing.T) {
	old := keysOf(t, key("a"))
	s := event.Subscription{ID: "s1"}
	secret, err := old.Rotate(&s, 0)
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(s.Secrets[0].Sealed, []byte(strings.TrimPrefix(secret, "whsec_"))) {
		t.Error("the secret stands there")
	}
	if got, err := old.Present(&s); err != nil || got != secret {
		t.Errorf("%q %v", got, err)
	}
	other := s
	other.ID = "s2"
	if _, err := old.Present(&other); err == nil {
		t.Error("it opens for another subscription")
	}
	if _, err := keysOf(t, key("b")).Present(&s); !errors.Is(err, ErrNoKey) {
		t.Errorf("by another key: %v", err)
	}
	both := keysOf(t, key("b")+", "+key("a"))
	if got, err := both.Present(&s); err != nil || got != secret {
		t.Errorf("by the new and the old key: %q %v", got, err)
	}
	again, some := both.reseal(&s)
	if got, err := keysOf(t, key("b")).Present(&again); !some || err != nil || got != secret {
		t.Errorf("sealed anew: %t %q %v", some, got, err)
	}
	if _, some := both.reseal(&again); some {
		t.Error("it is sealed anew for ever")
	}
	if kept, some := keysOf(t, key("c")).reseal(&s); some || !bytes.Equal(kept.Secrets[0].Sealed, s.Secrets[0].Sealed) {
		t.Error("what cannot be opened was touched")
	}
}

// TestRotate: the old secret signs beside the new one for its time, and no longer.
func TestRotate(t *testing.T) {
	k := keysOf(t, key("a"))
	s := event.Subscription{ID: "s1"}
	signs := func(now int) int {
		t.Helper()
		keys, err := k.signing(&s, inventory.Instant(now))
		if err != nil {
			t.Fatal(err)
		}
		return len(keys)
	}
	rotate := func(until inventory.Instant) string {
		t.Helper()
		secret, err := k.Rotate(&s, until)
		if err != nil {
			t.Fatal(err)
		}
		return secret
	}
	first, second := rotate(0), rotate(1000)
	if first == second || signs(999) != 2 || signs(1000) != 1 {
		t.Errorf("%d signatures before, %d after", signs(999), signs(1000))
	}
	third := rotate(5000)
	if got, err := k.Present(&s); err != nil || got != third || len(s.Secrets) != 2 || signs(10) != 2 {
		t.Errorf("after another rotation: %d secrets, %v", len(s.Secrets), err)
	}
	if rotate(0); signs(10) != 1 || len(s.Secrets) != 2 {
		t.Errorf("the old secret signs though it is not to, or it cannot be told that there was one: %d", len(s.Secrets))
	}
	if _, err := k.signing(&event.Subscription{ID: "s2"}, 0); err == nil {
		t.Error("nothing signs, and it is sent")
	}
}

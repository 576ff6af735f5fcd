package outbound

import (
	"bytes"
	"strings"
	"testing"
	"time"
)

// TestVector is the one of the specification's own libraries.
func TestVector(t *testing.T) {
	key, err := ParseSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
	if err != nil {
		t.Fatal(err)
	}
	h := Signed([][]byte{key}, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 999), []byte(`{"test": 2432232314}`))
	for name, want := range map[string]string{
		"webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek", "webhook-timestamp": "1614265330", "content-type": "application/json",
		"webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
	} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	two := Signed([][]byte{key, bytes.Repeat([]byte("k"), 32)}, "a", time.Unix(1, 0), nil).Get("webhook-signature")
	if first, second, _ := strings.Cut(two, " "); first != Sign(key, "a", "1", nil) || second != Sign(bytes.Repeat([]byte("k"), 32), "a", "1", nil) {
		t.Errorf("two keys: %q", two)
	}
}

func TestSecrets(t *testing.T) {
	made, err := NewSecret(bytes.NewReader(bytes.Repeat([]byte{7}, 32)))
	if err != nil {
		t.Fatal(err)
	}
	if key, err := ParseSecret(made); err != nil || len(key) != 32 {
		t.Errorf("%q: %d bytes, %v", made, len(key), err)
	}
	for _, text := range []string{"", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_c2hvcnQ=", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!"} {
		if _, err := ParseSecret(text); err == nil {
			t.Errorf("%q is a secret", text)
		}
	}
	if _, err := NewSecret(strings.NewReader("few")); err == nil {
		t.Error("a secret of few bytes was made")
	}
}

package hooks

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/outbound"
)

// Keys seal secrets with AES-256-GCM, the first of them, and open what any of them has
// sealed. They are safe for concurrent use.
type Keys struct {
	first string
	by    map[string]cipher.AEAD
}

// ErrNoKey is a secret sealed with a key that is not here.
var ErrNoKey = errors.New("it is sealed with a key that the configuration does not have")

// ReadKeys reads keys: see Config.KeysEnv. Its errors do not show them.
func ReadKeys(text string) (*Keys, error) {
	k := &Keys{by: map[string]cipher.AEAD{}}
	for i, one := range strings.Split(text, ",") {
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(one))
		if err != nil || len(raw) != 32 {
			return nil, fmt.Errorf("key %d is not 32 bytes in base64", i+1)
		}
		block, err := aes.NewCipher(raw)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		gcm, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("key %d: %w", i+1, err)
		}
		sum := sha256.Sum256(raw)
		id := hex.EncodeToString(sum[:4])
		if k.first == "" {
			k.first = id
		}
		k.by[id] = gcm
	}
	return k, nil
}

// seal encrypts a secret of a subscription.
func (k *Keys) seal(id, secret string) event.SealedSecret {
	return event.SealedSecret{KeyID: k.first, Sealed: k.by[k.first].Seal(nil, nil, []byte(secret), []byte(id))}
}

func (k *Keys) open(id string, s *event.SealedSecret) (string, error) {
	gcm := k.by[s.KeyID]
	if gcm == nil {
		return "", fmt.Errorf("secret of %s: %w (%s)", id, ErrNoKey, s.KeyID)
	}
	b, err := gcm.Open(nil, nil, s.Sealed, []byte(id))
	if err != nil {
		return "", fmt.Errorf("secret of %s: %w", id, err)
	}
	return string(b), nil
}

// Rotate gives a subscription another secret. The one before signs beside it until a time,
// 0: no more, but stays, so that it is known that there was one; any older does not.
func (k *Keys) Rotate(s *event.Subscription, until inventory.Instant) (secret string, err error) {
	if secret, err = outbound.NewSecret(rand.Reader); err != nil {
		return "", err //nolint:wrapcheck // it says what
	}
	secrets := []event.SealedSecret{k.seal(s.ID, secret)}
	if len(s.Secrets) > 0 {
		old := s.Secrets[0]
		old.Until = max(until, 1)
		secrets = append(secrets, old)
	}
	s.Secrets = secrets
	return secret, nil
}

// Present is the newest secret.
func (k *Keys) Present(s *event.Subscription) (string, error) {
	if len(s.Secrets) == 0 {
		return "", fmt.Errorf("subscription %s has no secret", s.ID)
	}
	return k.open(s.ID, &s.Secrets[0])
}

// signing are the keys that sign now, the newest first.
func (k *Keys) signing(s *event.Subscription, now inventory.Instant) ([][]byte, error) {
	var out [][]byte
	for i := range s.Secrets {
		if until := s.Secrets[i].Until; until != 0 && now >= until {
			continue
		}
		text, err := k.open(s.ID, &s.Secrets[i])
		if err != nil {
			return nil, err
		}
		key, err := outbound.ParseSecret(text)
		if err != nil {
			return nil, fmt.Errorf("secret of %s: %w", s.ID, err)
		}
		out = append(out, key)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("subscription %s has no secret", s.ID)
	}
	return out, nil
}

// reseal is a subscription with all secrets sealed by the first key; false: it has no
// other. What cannot be opened stays as it is.
func (k *Keys) reseal(s *event.Subscription) (event.Subscription, bool) {
	out, some := *s, false
	out.Secrets = slices.Clone(s.Secrets)
	for i := range out.Secrets {
		if out.Secrets[i].KeyID == k.first {
			continue
		}
		text, err := k.open(s.ID, &out.Secrets[i])
		if err != nil {
			continue
		}
		until := out.Secrets[i].Until
		out.Secrets[i] = k.seal(s.ID, text)
		out.Secrets[i].Until, some = until, true
	}
	return out, some
}

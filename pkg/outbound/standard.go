package outbound

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Standard Webhooks 1.0.0 (standardwebhooks.com), the sender's side.

// Bounds of a secret, bytes.
const (
	MinSecret = 24
	MaxSecret = 64
)

const secretPrefix = "whsec_"

// ParseSecret reads a secret as the specification writes it: whsec_ and base64.
func ParseSecret(text string) ([]byte, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, secretPrefix))
	if err != nil || !strings.HasPrefix(text, secretPrefix) || len(key) < MinSecret || len(key) > MaxSecret {
		return nil, fmt.Errorf("must be whsec_ and base64 of %d to %d bytes", MinSecret, MaxSecret)
	}
	return key, nil
}

// NewSecret makes one of 32 bytes.
func NewSecret(random io.Reader) (text string, err error) {
	key := make([]byte, 32)
	if _, err := io.ReadFull(random, key); err != nil {
		return "", fmt.Errorf("making a secret: %w", err)
	}
	return secretPrefix + base64.StdEncoding.EncodeToString(key), nil
}

// Sign is the v1 signature of a message: of "id.timestamp.body".
func Sign(key []byte, id, timestamp string, body []byte) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id))
	mac.Write([]byte{'.'})
	mac.Write([]byte(timestamp))
	mac.Write([]byte{'.'})
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// Signed are the headers of a message in JSON sent now, signed with each key. The id has
// no full stop.
func Signed(keys [][]byte, id string, now time.Time, body []byte) http.Header {
	timestamp := strconv.FormatInt(now.Unix(), 10)
	signatures := make([]string, 0, len(keys))
	for _, key := range keys {
		signatures = append(signatures, Sign(key, id, timestamp, body))
	}
	h := http.Header{"Content-Type": {"application/json"}}
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", timestamp)
	h.Set("Webhook-Signature", strings.Join(signatures, " "))
	return h
}

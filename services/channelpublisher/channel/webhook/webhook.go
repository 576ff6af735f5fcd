// Package webhook publishes offers as signed webhooks by the Standard Webhooks
// specification (standardwebhooks.com, "Webhook Headers" and "Signature scheme"):
// webhook-id, webhook-timestamp, and webhook-signature v1 = base64 of HMAC-SHA256
// over "id.timestamp.body".
package webhook

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/outbound"
	"github.com/stockweave/stockweave/services/channelpublisher/channel"
)

// EventType is the type of the one event sent.
const EventType = "channel.offer"

type adapter struct {
	url     string
	readURL string
	http    *http.Client
	keys    [][]byte
	now     func() time.Time
}

// New makes the channel from the endpoint's URL, its secrets (whsec_ and base64 of
// 24 to 64 bytes; every delivery is signed with each) and, optionally, a URL to
// read a listing back from. Without it Read is ErrNoReadBack and every result
// stays unconfirmed.
func New(s channel.Settings) (channel.Channel, error) {
	var errs []error
	if _, err := channel.BaseURL(s.URL); err != nil {
		errs = append(errs, err)
	}
	if s.ReadURL != "" {
		if _, err := channel.BaseURL(s.ReadURL); err != nil {
			errs = append(errs, fmt.Errorf("read_%w", err))
		}
		if !strings.Contains(s.ReadURL, "{listing}") && !strings.Contains(s.ReadURL, "%7Blisting%7D") {
			errs = append(errs, errors.New("read_url: must hold {listing}"))
		}
	}
	if len(s.Secrets) == 0 {
		errs = append(errs, errors.New("secret: required"))
	}
	keys := make([][]byte, 0, len(s.Secrets))
	for i, secret := range s.Secrets {
		key, err := outbound.ParseSecret(secret)
		if err != nil {
			errs = append(errs, fmt.Errorf("secret %d: %w", i+1, err))
			continue
		}
		keys = append(keys, key)
	}
	if s.Now == nil {
		errs = append(errs, errors.New("clock: required"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return &adapter{url: s.URL, readURL: s.ReadURL, http: channel.Client(s), keys: keys, now: s.Now}, nil
}

// payload is the body of a delivery. It holds no time of sending: the body never
// changes under one id.
type payload struct {
	Type string `json:"type"`
	Data data   `json:"data"`
}

// data is the offer. Receivers keep (version, policy_version, day, at) and ignore
// what is older: that is the compare-and-set.
type data struct {
	Channel       string `json:"channel"`
	Entity        string `json:"entity"`
	Item          string `json:"item"`
	Listing       string `json:"listing"`
	Quantity      string `json:"quantity"`
	Version       int64  `json:"version"`
	PolicyVersion int64  `json:"policy_version"`
	Day           string `json:"day"`
	At            int64  `json:"at"` // ms UTC of the evaluation: orders what shares the rest
}

// Publish delivers the offer. A redelivery has the same id and body, and a
// timestamp and signature of its own.
func (a *adapter) Publish(ctx context.Context, o channel.Offer, _ channel.CompareAndSet) error {
	body, err := json.Marshal(payload{EventType, data{
		Channel: o.Channel, Entity: string(o.Key.Entity), Item: string(o.Key.Item), Listing: o.Listing, Quantity: o.Quantity.String(),
		Version: o.Mark.Version, PolicyVersion: o.Mark.PolicyVersion, Day: o.Mark.Day, At: int64(o.At),
	}})
	if err != nil {
		return fmt.Errorf("encoding offer: %w", err)
	}
	h := outbound.Signed(a.keys, ID(o), a.now(), body)
	_, err = channel.Do(ctx, a.http, http.MethodPost, a.url, h, body)
	return err
}

// ID names a delivery by what it says, so that a redelivery, after a restart too,
// is recognisable.
func ID(o channel.Offer) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q %q %q %d %d %q %d %d", o.Channel, o.Key.String(), o.Listing,
		o.Mark.Version, o.Mark.PolicyVersion, o.Mark.Day, o.Quantity, o.At))
	return "msg_" + hex.EncodeToString(sum[:16])
}

// Read asks the read-back URL. The answer is an object with quantity (a plain
// decimal, or a number) and, where the receiver keeps them, the mark's fields.
func (a *adapter) Read(ctx context.Context, listing string) (channel.Value, error) {
	if a.readURL == "" {
		return channel.Value{}, channel.ErrNoReadBack
	}
	address := strings.NewReplacer("{listing}", url.PathEscape(listing), "%7Blisting%7D", url.PathEscape(listing)).Replace(a.readURL)
	b, err := channel.Do(ctx, a.http, http.MethodGet, address, http.Header{"Accept": {"application/json"}}, nil)
	if err != nil {
		return channel.Value{}, err
	}
	var v struct {
		Quantity      json.RawMessage `json:"quantity"`
		Version       int64           `json:"version"`
		PolicyVersion int64           `json:"policy_version"`
		Day           string          `json:"day"`
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return channel.Value{}, fmt.Errorf("decoding read-back: %w", err)
	}
	q, err := inventory.ParseQuantity(strings.Trim(string(v.Quantity), `"`))
	if err != nil {
		return channel.Value{}, fmt.Errorf("decoding read-back's quantity: %w", err)
	}
	return channel.Value{Quantity: q, Mark: channel.Mark{Version: v.Version, PolicyVersion: v.PolicyVersion, Day: v.Day}}, nil
}

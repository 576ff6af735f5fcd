// Package simulated publishes to a simulated channel over its REST API. That
// channel keeps the mark of the offer behind each value and refuses older ones.
package simulated

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/channelpublisher/channel"
)

type adapter struct {
	base *url.URL
	http *http.Client
	key  string
}

// New makes the channel from its base URL and, when the channel asks for one, its
// key.
func New(s channel.Settings) (channel.Channel, error) {
	base, err := channel.BaseURL(s.URL)
	if err != nil {
		return nil, err
	}
	return &adapter{base: base, http: channel.Client(s), key: s.Key}, nil
}

// value is a listing as the channel writes it.
type value struct {
	Listing       string `json:"listing"`
	Quantity      string `json:"quantity"`
	Version       int64  `json:"version"`
	PolicyVersion int64  `json:"policy_version"`
	Day           string `json:"day"`
}

// Publish sets the listing. The channel compares the offer's mark itself.
func (a *adapter) Publish(ctx context.Context, o channel.Offer, _ channel.CompareAndSet) error {
	body, err := json.Marshal(value{o.Listing, o.Quantity.String(), o.Mark.Version, o.Mark.PolicyVersion, o.Mark.Day})
	if err != nil {
		return fmt.Errorf("encoding offer: %w", err)
	}
	_, err = channel.Do(ctx, a.http, http.MethodPut, a.address(o.Listing), a.header(), body)
	return err
}

// Read returns what the channel shows for the listing.
func (a *adapter) Read(ctx context.Context, listing string) (channel.Value, error) {
	b, err := channel.Do(ctx, a.http, http.MethodGet, a.address(listing), a.header(), nil)
	if err != nil {
		return channel.Value{}, err
	}
	var v value
	if err := json.Unmarshal(b, &v); err != nil {
		return channel.Value{}, fmt.Errorf("decoding listing: %w", err)
	}
	if v.Listing != listing {
		return channel.Value{}, errors.New("decoding listing: the answer is about another one")
	}
	q, err := inventory.ParseQuantity(v.Quantity)
	if err != nil {
		return channel.Value{}, fmt.Errorf("decoding listing's quantity: %w", err)
	}
	return channel.Value{Quantity: q, Mark: channel.Mark{Version: v.Version, PolicyVersion: v.PolicyVersion, Day: v.Day}}, nil
}

func (a *adapter) address(listing string) string {
	return a.base.JoinPath("listings", url.PathEscape(listing)).String()
}

func (a *adapter) header() http.Header {
	h := http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json"}}
	if a.key != "" {
		h.Set("Authorization", "Bearer "+a.key)
	}
	return h
}

package channelpublisher

import (
	"fmt"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/channelpublisher/channel"
)

// ceSource names this service as the source of its records.
const ceSource = "/stockweave/channel-publisher"

// offerKey is the key of an offer and of its results.
func offerKey(channel string, k inventory.Key) string {
	return inventory.Escape(channel) + "|" + k.String()
}

func markOf(o *event.Offer) channel.Mark {
	return channel.Mark{Version: o.Version, PolicyVersion: o.PolicyVersion, Day: o.Day}
}

// offerRecord is an offer as it stands on channel.offers.
func offerRecord(c *event.Codecs, o *event.Offer) (*stream.Record, error) {
	key := offerKey(o.Channel, o.Key)
	value, err := c.AppendOffer(nil, o)
	if err != nil {
		return nil, fmt.Errorf("encoding offer of %s: %w", key, err)
	}
	id := fmt.Sprintf("%s|%d|%d|%s|%s|%d", key, o.Version, o.PolicyVersion, o.Day, o.Quantity, o.At)
	ce := event.CE{ID: id, Source: ceSource, Type: "channel.offer", Time: o.At}
	return &stream.Record{Topic: event.TopicOffers, Key: []byte(key), Value: value, Headers: headers(ce)}, nil
}

// resultRecord is a result as it stands on channel.results, under the offer's key.
func resultRecord(c *event.Codecs, r *event.OfferResult) (*stream.Record, error) {
	key := offerKey(r.Channel, r.Key)
	value, err := c.AppendOfferResult(nil, r)
	if err != nil {
		return nil, fmt.Errorf("encoding result of %s: %w", key, err)
	}
	id := fmt.Sprintf("%s|%d|%s|%s|%d", key, r.Version, r.Quantity, r.Status, r.At)
	ce := event.CE{ID: id, Source: ceSource, Type: "channel.result", Time: r.At}
	return &stream.Record{Topic: event.TopicConfirmed, Key: []byte(key), Value: value, Headers: headers(ce)}, nil
}

func headers(ce event.CE) []stream.RecordHeader {
	hs := ce.Headers()
	out := make([]stream.RecordHeader, len(hs))
	for i, h := range hs {
		out[i] = stream.RecordHeader{Key: h.Key, Value: h.Value}
	}
	return out
}

// deadLetter is an input this service cannot decode, kept whole with its reason.
func deadLetter(c *event.Codecs, d stream.DeadLetter) (*stream.Record, error) {
	letter := event.DeadLetter{
		ID: event.PlaceID(d.Record.Topic, d.Record.Partition, d.Record.Offset), Service: "channel-publisher",
		Code: d.Code, Reason: d.Reason,
		Topic: d.Record.Topic, Partition: d.Record.Partition, Offset: d.Record.Offset,
		Key: d.Record.Key, Value: d.Record.Value, At: inventory.Instant(d.Record.Timestamp.UnixMilli()),
	}
	value, err := c.AppendDeadLetter(nil, &letter)
	if err != nil {
		return nil, fmt.Errorf("encoding dead letter: %w", err)
	}
	return &stream.Record{Topic: event.TopicDeadChannel, Key: d.Record.Key, Value: value}, nil
}

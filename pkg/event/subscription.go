package event

import inv "github.com/stockweave/stockweave/pkg/inventory"

// TopicSubscriptions has who is sent changes of ATP, and how far that has come.
const TopicSubscriptions = "atp-api.subscriptions.v1"

// Subscription is a receiver of changes: what its owner says of it. Key on the topic:
// its id.
type Subscription struct {
	ID          string
	Owner       string // the principal's name
	URL         string
	Description string
	Entity      inv.Entity
	Items       []string // none: all
	Location    inv.Location
	Group       string
	Channel     string
	Narrow      bool // of the channel's own locations alone
	Enabled     bool
	// Epoch grows when the owner has it delivered anew: enabled again, or to another URL.
	Epoch int64
	// Secrets sign, the newest first.
	Secrets []SealedSecret
	// Request is the digest of the request that made it, hex.
	Request   string
	CreatedAt inv.Instant
	UpdatedAt inv.Instant
}

// SealedSecret is a secret, encrypted.
type SealedSecret struct {
	KeyID  string // of the key it is sealed with
	Sealed []byte
	Until  inv.Instant // it signs until then; 0: it is the present one
}

// Delivery is how far a subscription has come: what the replica that delivers it says of
// it. Key on the topic: id|delivery, in the partition of the id.
type Delivery struct {
	ID       string
	Epoch    int64       // of the subscription
	Bookmark string      // everything before it was received
	Sending  []string    // items of the message under way
	Print    string      // of what that says, hex; empty: none is under way
	Number   int64       // of that message
	Stopped  string      // why nothing is sent any more in this epoch; empty: it is
	Failed   int32       // attempts since the last that succeeded
	Fault    string      // of the last of them
	Since    inv.Instant // of the first of them
	Next     inv.Instant // of the next attempt; 0: at once
	Received inv.Instant // of the last message that was
	At       inv.Instant
}

// DeliveryKey is a delivery's key on its topic.
func DeliveryKey(id string) string { return inv.Escape(id) + "|delivery" }

var sealedSecretTable = record("SealedSecret",
	text("key_id", func(x *SealedSecret) *string { return &x.KeyID }),
	blob("sealed", func(x *SealedSecret) *[]byte { return &x.Sealed }),
	optInstant("until", func(x *SealedSecret) *inv.Instant { return &x.Until }),
)

var subscriptionTable = record("SubscriptionRecord",
	tag[Subscription]("subscription"),
	when("subscription", record("Subscription",
		text("id", func(x *Subscription) *string { return &x.ID }),
		text("owner", func(x *Subscription) *string { return &x.Owner }),
		text("url", func(x *Subscription) *string { return &x.URL }),
		optProse("description", func(x *Subscription) *string { return &x.Description }),
		word("entity", func(x *Subscription) *inv.Entity { return &x.Entity }),
		texts("items", func(x *Subscription) *[]string { return &x.Items }),
		optWord("location", func(x *Subscription) *inv.Location { return &x.Location }),
		optWord("group", func(x *Subscription) *string { return &x.Group }),
		optWord("channel", func(x *Subscription) *string { return &x.Channel }),
		boolean("narrow", func(x *Subscription) *bool { return &x.Narrow }),
		boolean("enabled", func(x *Subscription) *bool { return &x.Enabled }),
		long("epoch", func(x *Subscription) *int64 { return &x.Epoch }),
		many("secrets", sealedSecretTable, func(x *Subscription) *[]SealedSecret { return &x.Secrets }),
		optText("request", func(x *Subscription) *string { return &x.Request }),
		instant("created_at", func(x *Subscription) *inv.Instant { return &x.CreatedAt }),
		instant("updated_at", func(x *Subscription) *inv.Instant { return &x.UpdatedAt }),
	), nil),
	absent[Subscription]("delivery"),
)

var deliveryTable = record("SubscriptionRecord",
	tag[Delivery]("delivery"),
	absent[Delivery]("subscription"),
	when("delivery", record("SubscriptionDelivery",
		text("id", func(x *Delivery) *string { return &x.ID }),
		long("epoch", func(x *Delivery) *int64 { return &x.Epoch }),
		optText("bookmark", func(x *Delivery) *string { return &x.Bookmark }),
		texts("sending", func(x *Delivery) *[]string { return &x.Sending }),
		optText("print", func(x *Delivery) *string { return &x.Print }),
		long("number", func(x *Delivery) *int64 { return &x.Number }),
		optText("stopped", func(x *Delivery) *string { return &x.Stopped }),
		integer("failed", func(x *Delivery) *int32 { return &x.Failed }),
		optText("fault", func(x *Delivery) *string { return &x.Fault }),
		optInstant("since", func(x *Delivery) *inv.Instant { return &x.Since }),
		optInstant("next", func(x *Delivery) *inv.Instant { return &x.Next }),
		optInstant("received", func(x *Delivery) *inv.Instant { return &x.Received }),
		instant("at", func(x *Delivery) *inv.Instant { return &x.At }),
	), nil),
)

// AppendSubscription appends a record of atp-api.subscriptions.
func (c *Codecs) AppendSubscription(dst []byte, x *Subscription) ([]byte, error) {
	return c.subscriptions.append(dst, x)
}

// DecodeSubscription reads a record of atp-api.subscriptions.
func (c *Codecs) DecodeSubscription(value []byte, into *Subscription) error {
	return c.subscriptions.decode(value, into)
}

// AppendDelivery appends a record of atp-api.subscriptions.
func (c *Codecs) AppendDelivery(dst []byte, x *Delivery) ([]byte, error) {
	return c.deliveries.append(dst, x)
}

// DecodeDelivery reads a record of atp-api.subscriptions.
func (c *Codecs) DecodeDelivery(value []byte, into *Delivery) error {
	return c.deliveries.decode(value, into)
}

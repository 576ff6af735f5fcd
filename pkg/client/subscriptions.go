package client

import (
	"context"
	"net/http"
	"net/url"
	"time"
)

// Subscribe asks for changes to be sent to a URL, by Standard Webhooks 1.0.0.
type Subscribe struct {
	URL         string   `json:"url"`
	Description string   `json:"description,omitempty"`
	Entity      string   `json:"entity,omitempty"`
	Items       []string `json:"items,omitempty"` // none: all
	Location    string   `json:"location,omitempty"`
	Group       string   `json:"group,omitempty"`
	Channel     string   `json:"channel,omitempty"`
}

// Subscription is how one stands. Times are RFC 3339.
type Subscription struct {
	ID             string   `json:"id"`
	URL            string   `json:"url"`
	Description    string   `json:"description,omitempty"`
	Entity         string   `json:"entity"`
	Items          []string `json:"items,omitempty"`
	Location       string   `json:"location,omitempty"`
	Group          string   `json:"group,omitempty"`
	Channel        string   `json:"channel,omitempty"`
	Enabled        bool     `json:"enabled"`
	Status         string   `json:"status"`
	Stopped        string   `json:"stopped,omitempty"`
	FailedAttempts int      `json:"failed_attempts,omitempty"`
	Fault          string   `json:"fault,omitempty"`
	FailingSince   string   `json:"failing_since,omitempty"`
	NextAttempt    string   `json:"next_attempt,omitempty"`
	ReceivedAt     string   `json:"received_at,omitempty"`
	OldSecretUntil string   `json:"old_secret_until,omitempty"`
	CreatedAt      string   `json:"created_at"`
	UpdatedAt      string   `json:"updated_at"`
	// Secret is there when it was made, by Subscribe or Rotate, and never again.
	Secret string `json:"secret,omitempty"`
}

// SubscriptionChange says what is to be another one; nil stays.
type SubscriptionChange struct {
	URL         *string `json:"url,omitempty"`
	Description *string `json:"description,omitempty"`
	Enabled     *bool   `json:"enabled,omitempty"`
}

// SubscriptionTest is what came of a message that tells nothing.
type SubscriptionTest struct {
	ID       string `json:"id"` // of the message
	Received bool   `json:"received"`
	Status   int    `json:"status,omitempty"`
	Fault    string `json:"fault,omitempty"`
	TookMS   int64  `json:"took_ms"`
}

const subscriptionsPath = "/v1/subscriptions"

func subscriptionPath(id string) string { return subscriptionsPath + "/" + url.PathEscape(id) }

// Subscribe makes a subscription. With a key, of NewKey say, it is made once however
// often it is sent; without one it is tried once.
func (c *Client) Subscribe(ctx context.Context, key string, s Subscribe) (*Subscription, error) {
	k := &call{method: http.MethodPost, path: subscriptionsPath, in: s, again: key != ""}
	if key != "" {
		k.header = http.Header{"Idempotency-Key": {key}}
	}
	return c.subscription(ctx, k)
}

func (c *Client) subscription(ctx context.Context, k *call) (*Subscription, error) {
	out := &Subscription{}
	if _, err := c.do(ctx, k, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Subscriptions are the caller's, the oldest first.
func (c *Client) Subscriptions(ctx context.Context) ([]Subscription, error) {
	var out struct {
		Subscriptions []Subscription `json:"subscriptions"`
	}
	if _, err := c.do(ctx, &call{method: http.MethodGet, path: subscriptionsPath, again: true}, &out); err != nil {
		return nil, err
	}
	return out.Subscriptions, nil
}

// Subscription asks how one stands.
func (c *Client) Subscription(ctx context.Context, id string) (*Subscription, error) {
	return c.subscription(ctx, &call{method: http.MethodGet, path: subscriptionPath(id), again: true})
}

// ChangeSubscription changes one. To enable one that is stopped is to have it go on from
// where it stands.
func (c *Client) ChangeSubscription(ctx context.Context, id string, change SubscriptionChange) (*Subscription, error) {
	return c.subscription(ctx, &call{method: http.MethodPatch, path: subscriptionPath(id), in: change, again: true})
}

// RotateSecret gives one another secret, which is in the answer; the one before signs beside
// it for so long. It is tried once: an answer that is lost has the secret.
func (c *Client) RotateSecret(ctx context.Context, id string, keepOld time.Duration) (*Subscription, error) {
	in := struct {
		KeepOld int64 `json:"keep_old"`
	}{int64(keepOld / time.Second)}
	return c.subscription(ctx, &call{method: http.MethodPost, path: subscriptionPath(id) + "/secret", in: in})
}

// testTime is what the API gives the receiver of a test.
const testTime = 10 * time.Second

// TestSubscription has one message sent that tells nothing, and waits for its receiver.
func (c *Client) TestSubscription(ctx context.Context, id string) (*SubscriptionTest, error) {
	out := &SubscriptionTest{}
	if _, err := c.patient(testTime).do(ctx, &call{method: http.MethodPost, path: subscriptionPath(id) + "/test"}, out); err != nil {
		return nil, err
	}
	return out, nil
}

// Unsubscribe ends one.
func (c *Client) Unsubscribe(ctx context.Context, id string) error {
	_, err := c.do(ctx, &call{method: http.MethodDelete, path: subscriptionPath(id)}, nil)
	return err
}

package hooks

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/stockweave/stockweave/pkg/access/idempotent"
	"github.com/stockweave/stockweave/pkg/event"
)

// Types of messages.
const (
	TypeChanged = "atp.changed"       // items have changed
	TypeRecheck = "atp.recheck"       // any number may be another one: read again what is held
	TypeReset   = "atp.reset"         // changes may be missing: read again what is held
	TypeTest    = "subscription.test" // somebody tries whether it arrives
)

// Message is what a receiver is told.
type Message struct {
	Type string
	Data any // JSON object
	// Says is what makes it another message than one of the same type: not how fresh it is.
	Says []byte
}

// Batch is a message to be delivered, and where that leaves the subscription.
type Batch struct {
	Items []string // that it tells of
	From  string   // bookmark of before; empty: as it is
	To    string   // bookmark once it is received; empty: as it is
	// Make makes it of what is so now. It is asked again before each further attempt; nil:
	// there is nothing to tell any more.
	Make func(again bool) (*Message, error)
}

// envelope is the payload of Standard Webhooks 1.0.0.
type envelope struct {
	Type      string `json:"type"`
	Timestamp string `json:"timestamp"`
	Data      any    `json:"data"`
}

func (m *Message) body(now time.Time) ([]byte, error) {
	b, err := json.Marshal(envelope{m.Type, now.UTC().Format("2006-01-02T15:04:05.000Z"), m.Data})
	if err != nil {
		return nil, fmt.Errorf("encoding a message: %w", err)
	}
	return b, nil
}

func (m *Message) print() string {
	sum := idempotent.Fingerprint([]byte(m.Type), m.Says)
	return hex.EncodeToString(sum[:sha256.Size/2])
}

// messageID is the same for the same message of a subscription, whoever sends it and
// however often. The number tells it from an earlier one that said the same.
func messageID(d *event.Delivery) string {
	return idempotent.ID([]byte("stockweave webhook"), []byte(d.ID), []byte(strconv.FormatInt(d.Number, 10)), []byte(d.Print))
}

// Test is the body of a message that tells nothing.
func Test(id string, now time.Time) ([]byte, error) {
	return (&Message{Type: TypeTest, Data: struct {
		Subscription string `json:"subscription"`
	}{id}}).body(now)
}

package signature

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha1" // SignatureVersion 1 is what Amazon sends unless it is told otherwise
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/policy"
)

// sns is Amazon SNS over HTTPS (SNS Developer Guide, Verifying the signatures of Amazon
// SNS messages): the message is JSON that has its signature in it, over some of its
// fields, by a certificate it names the address of.
type sns struct {
	topics []string
	within time.Duration
	certs  *certificates
	fetch  Fetch
}

func newSNS(rule *policy.Signature, fetch Fetch) *sns {
	return &sns{topics: rule.Topics, within: rule.Within(), certs: newCertificates(fetch), fetch: fetch}
}

// snsMessage is what of a message is signed, and what signs it.
type snsMessage struct {
	Type, MessageID, TopicArn, Subject, Message, Timestamp, SubscribeURL, Token string
	SignatureVersion, Signature, SigningCertURL                                 string

	subject bool // whether it has one: an empty one is signed, too
}

// readSNS reads a message. A name that stands twice is refused, as the canonicalizer
// does: what is signed and what is mapped are the same.
func readSNS(body []byte) (*snsMessage, bool) {
	m := &snsMessage{}
	fields := map[string]*string{
		"Type": &m.Type, "MessageId": &m.MessageID, "TopicArn": &m.TopicArn, "Subject": &m.Subject, "Message": &m.Message,
		"Timestamp": &m.Timestamp, "SubscribeURL": &m.SubscribeURL, "Token": &m.Token, "SignatureVersion": &m.SignatureVersion,
		"Signature": &m.Signature, "SigningCertURL": &m.SigningCertURL,
	}
	d := json.NewDecoder(strings.NewReader(string(body)))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	had := map[string]bool{}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok || had[name] {
			return nil, false
		}
		had[name] = true
		into := fields[name]
		if into == nil {
			var skip json.RawMessage
			if d.Decode(&skip) != nil {
				return nil, false
			}
			continue
		}
		var text *string
		if d.Decode(&text) != nil {
			return nil, false
		}
		if text != nil {
			*into = *text
			m.subject = m.subject || name == "Subject"
		}
	}
	if _, err := d.Token(); err != nil || d.More() {
		return nil, false
	}
	return m, true
}

// canonical is the text that is signed: names and values of some fields, in the order
// of their names, each on a line of its own.
func (m *snsMessage) canonical() ([]byte, bool) {
	var b strings.Builder
	line := func(name, value string) { b.WriteString(name + "\n" + value + "\n") }
	line("Message", m.Message)
	line("MessageId", m.MessageID)
	switch m.Type {
	case "Notification":
		if m.subject {
			line("Subject", m.Subject)
		}
	case "SubscriptionConfirmation", "UnsubscribeConfirmation":
		line("SubscribeURL", m.SubscribeURL)
	default:
		return nil, false
	}
	line("Timestamp", m.Timestamp)
	if m.Type != "Notification" {
		line("Token", m.Token)
	}
	line("TopicArn", m.TopicArn)
	line("Type", m.Type)
	return []byte(b.String()), true
}

func (v *sns) Verify(ctx context.Context, r *Request, now time.Time) (Claim, error) {
	m, ok := readSNS(r.Body)
	if !ok || !slices.Contains(v.topics, m.TopicArn) || m.MessageID == "" || len(m.MessageID) > 255 {
		return Claim{}, ErrBad
	}
	signed, ok := m.canonical()
	if !ok {
		return Claim{}, ErrBad
	}
	// What can be seen to be wrong without asking anybody is not asked about.
	at, err := time.Parse(time.RFC3339, m.Timestamp)
	if err != nil {
		return Claim{}, ErrBad
	}
	sig, err := base64.StdEncoding.DecodeString(m.Signature)
	if err != nil || len(sig) < 128 || len(sig) > 1024 || !certURL(m.SigningCertURL, m.TopicArn) {
		return Claim{}, ErrBad
	}
	key, err := v.certs.key(ctx, m.SigningCertURL, m.TopicArn, now)
	if err != nil {
		return Claim{}, err
	}
	switch m.SignatureVersion {
	case "1":
		sum := sha1.Sum(signed) // as above
		err = rsa.VerifyPKCS1v15(key, crypto.SHA1, sum[:], sig)
	case "2":
		sum := sha256.Sum256(signed)
		err = rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], sig)
	default:
		err = ErrBad
	}
	if err != nil {
		return Claim{}, ErrBad
	}
	if err := fresh(at, now, v.within); err != nil {
		return Claim{}, err
	}
	claim := Claim{ID: m.MessageID}
	if m.Type != "Notification" {
		claim.Confirm = func(ctx context.Context) error { return v.confirm(ctx, m) }
	}
	return claim, nil
}

// confirm tells Amazon that the subscription is wanted: its topic is on our list. An
// unsubscription is not answered, which lets it stand.
func (v *sns) confirm(ctx context.Context, m *snsMessage) error {
	if m.Type != "SubscriptionConfirmation" {
		return nil
	}
	u, ok := amazonURL(m.SubscribeURL, m.TopicArn)
	if !ok || u.Path != "/" && u.Path != "" || u.Query().Get("Action") != "ConfirmSubscription" || u.Query().Get("TopicArn") != m.TopicArn {
		return ErrBad
	}
	if _, err := v.fetch(ctx, m.SubscribeURL, maxAnswer); err != nil {
		return fmt.Errorf("%w: confirming the subscription: %w", ErrUnavailable, err)
	}
	return nil
}

var certPath = regexp.MustCompile(`^/SimpleNotificationService-[0-9a-f]{32}\.pem$`)

// certURL says whether a certificate may be asked for at an address: nobody can make
// the door call anything but SNS of the topic's own region.
func certURL(address, topic string) bool {
	u, ok := amazonURL(address, topic)
	return ok && u.RawQuery == "" && certPath.MatchString(u.Path)
}

// amazonURL reads an address of SNS in the region of a topic.
func amazonURL(address, topic string) (*url.URL, bool) {
	arn := strings.Split(topic, ":")
	if len(address) > 2048 || len(arn) != 6 {
		return nil, false
	}
	u, err := url.Parse(address)
	host := "sns." + arn[3] + ".amazonaws.com"
	if arn[1] == "aws-cn" {
		host += ".cn"
	}
	if err != nil || u.Scheme != "https" || u.Host != host || u.User != nil || u.Opaque != "" || u.Fragment != "" || u.RawPath != "" {
		return nil, false
	}
	return u, true
}

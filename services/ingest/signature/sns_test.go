package signature

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/policy"
)

// The certificate and the signatures were made with OpenSSL, of the texts that the SNS
// Developer Guide says are signed:
//
//	openssl req -x509 -newkey rsa:2048 -nodes -keyout sns.key -out sns.pem -days 36500 -subj /CN=sns.amazonaws.com
//	printf 'Message\n{"a":1}\nMessageId\n22b8...\nSubject\nMy First Message\nTimestamp\n...\nTopicArn\n...\nType\nNotification\n' |
//	  openssl dgst -sha256 -sign sns.key | base64 -w0        # SignatureVersion 1: -sha1
const (
	snsCert  = "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem"
	snsTopic = "arn:aws:sns:us-west-2:123456789012:MyTopic"
	snsJoin  = "https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription&TopicArn=" + snsTopic + "&Token=2336412f37"
	snsOne   = "skP4GqI7P833+2+lQABTtMbHInLiA7/5+XAyFg2SyMM961ncZQ4tUPf9ufvxJiJ2ikVARFZHM9DI72B+LPOs6jrZMBidBf3CCjR884enmSwAmTLOHG4mjRCjs+uELPBAKGwjZ4pp983jvFLjSLmjNXrItJdg0aL2oiRM3ZI4SRYqNTqFeAjN97PAcxQv1pFG7zYIcSSkUuzsss2gnCl96q3LMfBt8+k9d0awYrRjNz5p9bTYGycgS7D1iYKQQq6I4xvCtUkZXsauxT4veowWRQK4Wx7LfHO3ebJtHhYUoOrjiveKIlRSywptBxh6nNVLNQ/tJEMYUW16yL9MtXkqvw=="
	snsTwo   = "iNdpDx7CiTa09PLdY5T/kUZ4wd/0617nMrSwthKD9PFMH1YSYxbFAOULK7bpGJ8mxgjVaCWuNeYe4cefTAc+9dbX4Gt9vlVzoPidhMLkZL/uI7TvvF4/ggcfo6GoHtUANZBRzTOuu/qJLnxbTc7ierq3AY6Rdna9UOffyC3KJaXs88veG3HCEflD/ebSOnUFuyncSoIDuuToaD+9GsDRJ7tZrDy68ulcW73J0xuNyoFdaUgQnJACKyEr+CTZYB26YfqhBhN1DIjvOZOOkA6xZNaop+BLXT8kFz5M7WFEOQ7fyn67Z0I2Hcils2Sqd1R/RM0vEk4SapbtZbRXwZ00ZQ=="
	snsYes   = "xFDpyRu9mPEE9bDlMpKHW/dmS/6b+OoeYMjvCXv47g8/oQl6EWxs4DWIuqMRIVO4EvpLs7X1d2aRJWNzwaoAywBX/1rdMfB6STDLUqqEH1SSsKgJCh/lSZzmSsmkIoAAtMs5imgGeBpc3fZ/ry84Bnjw7klK0j+ueAFmUK9UGx6A/2+MThwwqHYMkCo9Fm2f7kWLPfLdXOZO7TWPimotuhGu/9DOWEF8JYoNh5zHT8g/+ZxeQhtsjWNoJsnAaWw3owHB/BvV4TN57z1pbVoAaujGgqqCimNuQOs2lQytAaqnJHrlZVvdp1EtbXRsD88RmQL1BZ5p7MZ03FaYGJ4qMA=="
)

func snsBody(change ...string) []byte {
	return []byte(strings.NewReplacer(change...).Replace(`{
  "Type" : "Notification", "MessageId" : "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324", "TopicArn" : "` + snsTopic + `",
  "Subject" : "My First Message", "Message" : "{\"a\":1}", "Timestamp" : "2026-12-01T10:00:00.000Z",
  "SignatureVersion" : "2", "Signature" : "` + snsTwo + `", "SigningCertURL" : "` + snsCert + `", "MessageAttributes" : {"x": {"Type": "String"}} }`))
}

// amazon is what is at Amazon's addresses.
type amazon struct {
	asked []string
	down  error
	pki   *pki // of the test when nil
}

func (a *amazon) fetch(_ context.Context, url string, _ int64) ([]byte, error) {
	a.asked = append(a.asked, url)
	if a.down != nil {
		return nil, a.down
	}
	if url == snsCert {
		return a.pki.file, nil
	}
	if der, ok := a.pki.above[url]; ok {
		return der, nil
	}
	return []byte("<ok/>"), nil
}

func newTestSNS(t *testing.T, a *amazon) Verifier {
	t.Helper()
	v, err := New(&policy.Signature{Scheme: policy.SchemeSNS, Topics: []string{snsTopic}}, nil, a.fetch)
	if err != nil {
		t.Fatal(err)
	}
	if a.pki == nil {
		a.pki = newPKI(t, "sns.amazonaws.com")
	}
	v.(*sns).certs.roots = a.pki.roots
	return v
}

var snsNow = time.Date(2026, 12, 1, 10, 0, 30, 0, time.UTC)

func TestSNS(t *testing.T) {
	for _, tc := range []struct {
		name string
		body []byte
		now  time.Time
		want error
	}{
		{name: "version 2", body: snsBody()},
		{name: "version 1", body: snsBody(`"2"`, `"1"`, snsTwo, snsOne)},
		{name: "version 1 called 2", body: snsBody(snsTwo, snsOne), want: ErrBad},
		{name: "version 3", body: snsBody(`"2"`, `"3"`), want: ErrBad},
		{name: "another message", body: snsBody(`{\"a\":1}`, `{\"a\":2}`), want: ErrBad},
		{name: "another id", body: snsBody("22b80b92", "22b80b93"), want: ErrBad},
		{name: "a message twice", body: snsBody(`"MessageAttributes" : {`, `"Message": "other", "MessageAttributes" : {`), want: ErrBad},
		{name: "a message twice, the other first", body: snsBody(`"Type" : "N`, `"Message": "other", "Type" : "N`), want: ErrBad},
		{name: "without its subject", body: snsBody(`"Subject" : "My First Message",`, ``), want: ErrBad},
		{name: "a topic of somebody else", body: snsBody("123456789012", "999999999999"), want: ErrBad},
		{name: "an hour late", body: snsBody(), now: snsNow.Add(time.Hour), want: ErrStale},
		{name: "no JSON", body: []byte("Message=1"), want: ErrBad},
		{name: "text behind it", body: append(snsBody(), '1'), want: ErrBad},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now := tc.now
			if now.IsZero() {
				now = snsNow
			}
			claim, err := newTestSNS(t, &amazon{}).Verify(t.Context(), &Request{Body: tc.body}, now)
			if !errors.Is(err, tc.want) || err != nil && tc.want == nil {
				t.Fatalf("%v, want %v", err, tc.want)
			}
			if err == nil && claim.ID != "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324" {
				t.Errorf("id %q", claim.ID)
			}
		})
	}
}

// Nobody makes the door call what is not SNS of the topic's own region.
func TestSNSAsksOnlyAmazon(t *testing.T) {
	for _, address := range []string{
		"http://sns.us-west-2.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
		"https://sns.us-east-1.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
		"https://sns.us-west-2.amazonaws.com.evil.example/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
		"https://sns.us-west-2.amazonaws.com:8443/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
		"https://evil@sns.us-west-2.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
		"https://bucket.s3.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
		"https://sns.us-west-2.amazonaws.com/x.pem",
		"https://sns.us-west-2.amazonaws.com/a/../SimpleNotificationService-0123456789abcdef0123456789abcdef.pem",
		"https://sns.us-west-2.amazonaws.com/SimpleNotificationService-0123456789abcdef0123456789abcdef.pem?x=1",
		"https://sns.us-west-2.amazonaws.com/?Action=ConfirmSubscription",
		"https://169.254.169.254/latest/meta-data", "", "::",
	} {
		a := &amazon{}
		if _, err := newTestSNS(t, a).Verify(t.Context(), &Request{Body: snsBody(snsCert, address)}, snsNow); !errors.Is(err, ErrBad) || len(a.asked) > 0 {
			t.Errorf("%s: %v, asked for %v", address, err, a.asked)
		}
	}
}

// Amazon signs for all of its customers: what it signed for another topic is nobody's.
func TestSNSOfATopicThatIsNotOurs(t *testing.T) {
	a := &amazon{}
	v, err := New(&policy.Signature{Scheme: policy.SchemeSNS, Topics: []string{snsTopic + "2"}}, nil, a.fetch)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), &Request{Body: snsBody()}, snsNow); !errors.Is(err, ErrBad) || len(a.asked) > 0 {
		t.Errorf("%v, asked for %v", err, a.asked)
	}
}

func TestSNSKeepsCertificates(t *testing.T) {
	a := &amazon{}
	v := newTestSNS(t, a)
	for range 3 {
		if _, err := v.Verify(t.Context(), &Request{Body: snsBody()}, snsNow); err != nil {
			t.Fatal(err)
		}
	}
	if len(a.asked) != 1 {
		t.Errorf("asked %d times", len(a.asked))
	}
}

// A certificate that cannot be had is not asked for by each request.
func TestSNSWhileAmazonIsAway(t *testing.T) {
	a := &amazon{down: errors.New("no route")}
	v := newTestSNS(t, a)
	for range 3 {
		if _, err := v.Verify(t.Context(), &Request{Body: snsBody()}, snsNow); !errors.Is(err, ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if len(a.asked) != 1 {
		t.Errorf("asked %d times within a second", len(a.asked))
	}
	a.down = nil
	if _, err := v.Verify(t.Context(), &Request{Body: snsBody()}, snsNow.Add(2*time.Second)); err != nil {
		t.Errorf("after a while: %v", err)
	}
}

func TestSNSConfirmsWhatWeWant(t *testing.T) {
	confirmation := func(change ...string) []byte {
		return []byte(strings.NewReplacer(change...).Replace(`{"Type": "SubscriptionConfirmation", "MessageId": "165545c9-2a5c-472c-8df2-7ff2be2b3b1b",
			"Token": "2336412f37", "TopicArn": "` + snsTopic + `", "Message": "Confirm it", "SubscribeURL": "` + snsJoin + `",
			"Timestamp": "2026-12-01T10:00:00.000Z", "SignatureVersion": "2", "Signature": "` + snsYes + `", "SigningCertURL": "` + snsCert + `"}`))
	}
	a := &amazon{}
	v := newTestSNS(t, a)
	claim, err := v.Verify(t.Context(), &Request{Body: confirmation()}, snsNow)
	if err != nil || claim.Confirm == nil {
		t.Fatalf("%+v, %v", claim, err)
	}
	if err := claim.Confirm(t.Context()); err != nil || len(a.asked) != 2 || a.asked[1] != snsJoin {
		t.Errorf("%v, asked for %v", err, a.asked)
	}
	if _, err := v.Verify(t.Context(), &Request{Body: confirmation(snsJoin, "https://evil.example/")}, snsNow); !errors.Is(err, ErrBad) {
		t.Errorf("another address: %v", err)
	}
	// An address that Amazon would sign and that is not its own is not called either.
	for _, address := range []string{"https://evil.example/?Action=ConfirmSubscription", "https://sns.us-west-2.amazonaws.com/?Action=DeleteTopic&TopicArn=" + snsTopic} {
		m := &snsMessage{Type: "SubscriptionConfirmation", TopicArn: snsTopic, SubscribeURL: address}
		if err := v.(*sns).confirm(t.Context(), m); !errors.Is(err, ErrBad) || len(a.asked) != 2 {
			t.Errorf("%s: %v, asked for %v", address, err, a.asked)
		}
	}
}

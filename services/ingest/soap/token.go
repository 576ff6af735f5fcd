package soap

import (
	"crypto/hmac"
	"crypto/sha1" // what the UsernameToken profile says
	"encoding/base64"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Names of WS-Security 1.0 and of its UsernameToken profile.
const (
	nsSecurity = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
	nsUtility  = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-utility-1.0.xsd"
	profile    = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-username-token-profile-1.0#"
)

// Why a token is refused.
var (
	ErrToken = errors.New("the UsernameToken is missing or does not fit")
	ErrStale = errors.New("the UsernameToken was created too long ago, or is not yet")
)

// maxText bounds a text of a token, bytes.
const maxText = 1024

// Token is a UsernameToken (OASIS Web Services Security UsernameToken Profile 1.1 §3.1).
type Token struct {
	Username, Password, Nonce, Created string
	Digest                             bool // Password is one
}

// Rule is who may send.
type Rule struct {
	Username  string
	Passwords []string // any of them will do
	Text      bool     // PasswordText is allowed
	Within    time.Duration
}

// Check says whether a token is of the rule, and returns what makes it another than all
// others: its nonce, empty for a text without one. now is the door's time.
func (t *Token) Check(rule *Rule, now time.Time) (nonce string, err error) {
	if t == nil {
		return "", ErrToken
	}
	given, raw := []byte(t.Password), []byte(nil)
	if t.Digest {
		var err1, err2 error
		given, err1 = base64.StdEncoding.DecodeString(t.Password)
		raw, err2 = base64.StdEncoding.DecodeString(t.Nonce)
		if err1 != nil || err2 != nil || len(raw) == 0 || t.Created == "" {
			return "", ErrToken
		}
	} else if !rule.Text || t.Password == "" {
		return "", ErrToken
	}
	ok := equal([]byte(t.Username), []byte(rule.Username))
	fits := false
	for _, p := range rule.Passwords {
		want := []byte(p)
		if t.Digest {
			sum := sha1.Sum(append(append(append([]byte(nil), raw...), t.Created...), p...)) // as above
			want = sum[:]
		}
		fits = equal(given, want) || fits
	}
	if !ok || !fits {
		return "", ErrToken
	}
	if t.Created != "" {
		at, err := time.Parse(time.RFC3339, t.Created)
		if err != nil {
			return "", ErrToken
		}
		if d := now.Sub(at); d > rule.Within || d < -rule.Within {
			return "", ErrStale
		}
	}
	if t.Nonce == "" {
		return "", nil
	}
	return t.Nonce + " " + t.Created, nil
}

// equal takes the same time wherever two texts differ, and says nothing of their
// lengths.
func equal(a, b []byte) bool {
	sum := func(x []byte) []byte {
		m := hmac.New(sha1.New, []byte("length"))
		m.Write(x)
		return m.Sum(nil)
	}
	return hmac.Equal(sum(a), sum(b))
}

// tokenReader gathers a token while its header is read.
type tokenReader struct {
	token  Token
	at     []xml.Name // below the security header
	tokens int
	long   bool
}

func (r *tokenReader) open(t xml.StartElement) error {
	r.at = append(r.at, t.Name)
	if len(r.at) == 1 && t.Name == (xml.Name{Space: nsSecurity, Local: "UsernameToken"}) {
		r.tokens++
	}
	if len(r.at) == 2 && t.Name.Space == nsSecurity && t.Name.Local == "Password" {
		for _, a := range t.Attr {
			if a.Name.Local == "Type" {
				switch a.Value {
				case profile + "PasswordDigest":
					r.token.Digest = true
				case profile + "PasswordText":
				default:
					return fmt.Errorf("%w: a password of another type", ErrToken)
				}
			}
		}
	}
	return nil
}

func (r *tokenReader) text(b []byte) {
	if len(r.at) != 2 || r.at[0] != (xml.Name{Space: nsSecurity, Local: "UsernameToken"}) {
		return
	}
	var into *string
	switch r.at[1] {
	case xml.Name{Space: nsSecurity, Local: "Username"}:
		into = &r.token.Username
	case xml.Name{Space: nsSecurity, Local: "Password"}:
		into = &r.token.Password
	case xml.Name{Space: nsSecurity, Local: "Nonce"}:
		into = &r.token.Nonce
	case xml.Name{Space: nsUtility, Local: "Created"}:
		into = &r.token.Created
	default:
		return
	}
	if len(*into)+len(b) > maxText {
		r.long = true
		return
	}
	*into += string(b)
}

func (r *tokenReader) close() { r.at = r.at[:len(r.at)-1] }

// done is the token, nil where there is none.
func (r *tokenReader) done() (*Token, error) {
	if r.tokens > 1 || r.long {
		return nil, ErrToken
	}
	if r.tokens == 0 {
		return nil, nil // no token is no fault of the header
	}
	t := r.token
	t.Username, t.Nonce, t.Created = strings.TrimSpace(t.Username), strings.TrimSpace(t.Nonce), strings.TrimSpace(t.Created)
	if t.Digest {
		t.Password = strings.TrimSpace(t.Password)
	}
	return &t, nil
}

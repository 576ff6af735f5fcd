package policy

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Schemes of signatures that a door knows by name. What each signs, and in which
// headers, stands with its verifier in services/ingest/signature.
const (
	SchemeShopify     = "shopify"
	SchemeWooCommerce = "woocommerce"
	SchemeBigCommerce = "bigcommerce"
	SchemeEasyPost    = "easypost"
	SchemeEasyPost2   = "easypost-v2"
	SchemeShippo      = "shippo"
	SchemeAfterShip   = "aftership"
	SchemeSquare      = "square"
	SchemeSNS         = "amazon-sns"
	SchemeStandard    = "standard-webhooks"
	SchemeTimestamped = "timestamped" // t=<seconds>,v1=<hex> in a header of its own, over "t.body"
)

// Schemes is all of them.
func Schemes() []string {
	return []string{
		SchemeShopify, SchemeWooCommerce, SchemeBigCommerce, SchemeEasyPost, SchemeEasyPost2,
		SchemeShippo, SchemeAfterShip, SchemeSquare, SchemeSNS, SchemeStandard, SchemeTimestamped,
	}
}

// Limits of a signature's tolerance.
const (
	DefaultTolerance = 5 * time.Minute
	MaxTolerance     = time.Hour
)

// Signature is how a vendor signs what it sends, by the name of its scheme.
type Signature struct {
	Scheme string `yaml:"scheme"`
	// SecretEnvs name environment variables with a secret each; several while one
	// replaces another, and any of them will do. SNS has none: Amazon's certificate
	// says who signed.
	SecretEnvs []string `yaml:"secret_envs"`
	// Tolerance is how far the time that is signed may be from the door's, to both
	// sides; when 0 DefaultTolerance, and MaxTolerance for SNS, which sends a message
	// again with its first time. Schemes that sign no time have none.
	Tolerance time.Duration `yaml:"tolerance"`
	// Header carries the signature; for SchemeTimestamped only.
	Header string `yaml:"header"`
	// Path is what the sender was told to call, where something in front of the door
	// changes it; for SchemeEasyPost2 only, which signs it.
	Path string `yaml:"path"`
	// URL is the notification URL of the subscription, byte for byte; for SchemeSquare
	// only, which signs it.
	URL string `yaml:"url"`
	// Topics are the ARNs whose messages are taken; for SNS only, which signs for all
	// of Amazon's customers alike.
	Topics []string `yaml:"topics"`
}

// SignsTime says whether a scheme signs the time it was signed at.
func SignsTime(scheme string) bool {
	switch scheme {
	case SchemeBigCommerce, SchemeEasyPost2, SchemeShippo, SchemeSNS, SchemeStandard, SchemeTimestamped:
		return true
	}
	return false
}

// Within is the tolerance in force.
func (s *Signature) Within() time.Duration {
	switch {
	case s.Tolerance > 0:
		return s.Tolerance
	case s.Scheme == SchemeSNS:
		return MaxTolerance
	}
	return DefaultTolerance
}

// WSSecurity is a UsernameToken in a SOAP header (OASIS Web Services Security
// UsernameToken Profile 1.1): PasswordDigest with nonce and time of creation, or
// PasswordText.
type WSSecurity struct {
	Username string `yaml:"username"`
	// PasswordEnvs name environment variables with a password each; several while one
	// replaces another.
	PasswordEnvs []string `yaml:"password_envs"`
	// Text allows PasswordText: the password itself is in the message then, and only
	// the connection protects it. It is cut out before the message is stored.
	Text      bool          `yaml:"text"`
	Tolerance time.Duration `yaml:"tolerance"` // of the time of creation; DefaultTolerance when 0
}

// Within is the tolerance in force.
func (w *WSSecurity) Within() time.Duration {
	if w.Tolerance > 0 {
		return w.Tolerance
	}
	return DefaultTolerance
}

var (
	headerRule = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)
	topicRule  = regexp.MustCompile(`^arn:aws(-cn|-us-gov)?:sns:[a-z0-9-]{1,32}:[0-9]{12}:[A-Za-z0-9_.-]{1,256}$`)
)

// maxSecrets bounds the secrets of one signature: each is tried.
const maxSecrets = 4

func (a *Auth) validateSignature() []error {
	var errs []error
	bad := func(field, code, format string, args ...any) {
		errs = append(errs, &Fault{Field: "auth." + field, Code: code, Reason: fmt.Sprintf(format, args...)})
	}
	if s := a.Signature; s != nil {
		if !slices.Contains(Schemes(), s.Scheme) {
			bad("signature.scheme", CodeOutOfRange, "must be one of %s, not %q", strings.Join(Schemes(), ", "), s.Scheme)
		}
		if a.HMAC != nil {
			bad("signature", CodeConflicting, "hmac or signature, not both")
		}
		if s.Scheme == SchemeSNS {
			if len(s.SecretEnvs) > 0 {
				bad("signature.secret_envs", CodeConflicting, "amazon-sns has no secret of ours")
			}
			if len(s.Topics) == 0 {
				bad("signature.topics", CodeRequired, "the ARNs of the topics: Amazon signs for all of its customers")
			}
		} else if n := len(s.SecretEnvs); n == 0 || n > maxSecrets {
			bad("signature.secret_envs", CodeRequired, "1 to %d names of environment variables", maxSecrets)
		}
		if s.Tolerance < 0 || s.Tolerance > MaxTolerance {
			bad("signature.tolerance", CodeOutOfRange, "must be at most %s", MaxTolerance)
		}
		if s.Tolerance > 0 && !SignsTime(s.Scheme) {
			bad("signature.tolerance", CodeConflicting, "%s signs no time", s.Scheme)
		}
		if (s.Header != "") != (s.Scheme == SchemeTimestamped) {
			bad("signature.header", CodeConflicting, "is for the scheme %s, which needs it", SchemeTimestamped)
		} else if s.Header != "" && !headerRule.MatchString(s.Header) {
			bad("signature.header", CodeOutOfRange, "is no name of a header")
		}
		if s.Path != "" && (s.Scheme != SchemeEasyPost2 || !strings.HasPrefix(s.Path, "/")) {
			bad("signature.path", CodeConflicting, "is an absolute path, for the scheme %s", SchemeEasyPost2)
		}
		if (s.URL != "") != (s.Scheme == SchemeSquare) {
			bad("signature.url", CodeConflicting, "is for the scheme %s, which needs it", SchemeSquare)
		} else if u, err := url.Parse(s.URL); s.URL != "" && (err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil || u.Fragment != "") {
			bad("signature.url", CodeOutOfRange, "is an https:// URL, as the subscription has it")
		}
		for i, t := range s.Topics {
			if s.Scheme != SchemeSNS || !topicRule.MatchString(t) {
				bad(fmt.Sprintf("signature.topics[%d]", i), CodeOutOfRange, "is the ARN of a topic, for the scheme %s", SchemeSNS)
			}
		}
	}
	if w := a.WSSecurity; w != nil {
		if w.Username == "" {
			bad("ws_security.username", CodeRequired, "required")
		}
		if n := len(w.PasswordEnvs); n == 0 || n > maxSecrets {
			bad("ws_security.password_envs", CodeRequired, "1 to %d names of environment variables", maxSecrets)
		}
		if w.Tolerance < 0 || w.Tolerance > MaxTolerance {
			bad("ws_security.tolerance", CodeOutOfRange, "must be at most %s", MaxTolerance)
		}
	}
	return errs
}

// signed says whether somebody signs the whole body, which then has to be read
// before a byte of it is believed.
func (a *Auth) signed() bool { return a.HMAC != nil || a.Signature != nil || a.WSSecurity != nil }

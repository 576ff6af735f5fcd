package limit

import (
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// The fields (draft-ietf-httpapi-ratelimit-headers-10 §3 and §4): lists of strings
// with parameters (RFC 9651), one for each policy.
const (
	HeaderPolicy = "RateLimit-Policy"
	HeaderLimit  = "RateLimit"
	retryAfter   = "Retry-After" // RFC 9110 §10.2.3
)

// Set writes a state under the name of its policy beside those that are there. The
// window w of the policy is the time in which the bucket fills, so that q in w is the
// rate. A concurrency is a policy of its own, in the unit of concurrent-requests, and
// has no window.
func Set(h http.Header, policy string, s State) {
	r := s.Rule
	if r.PerSecond > 0 {
		burst := r.Size()
		w := max(1, int(math.Ceil((r.gap() * time.Duration(burst)).Seconds())))
		join(h, HeaderPolicy, quote(policy)+";q="+strconv.Itoa(burst)+";w="+strconv.Itoa(w))
		join(h, HeaderLimit, quote(policy)+";r="+strconv.Itoa(max(0, s.Remaining))+";t="+strconv.Itoa(seconds(s.Reset)))
	}
	if r.Concurrent > 0 {
		join(h, HeaderPolicy, quote(policy+"-concurrent")+";q="+strconv.Itoa(r.Concurrent)+`;qu="concurrent-requests"`)
	}
}

// Wait says when to come again, in whole seconds and at least one.
func Wait(h http.Header, after time.Duration) {
	h.Set(retryAfter, strconv.Itoa(max(1, seconds(after))))
}

func seconds(d time.Duration) int { return max(0, int(math.Ceil(d.Seconds()))) }

func join(h http.Header, name, value string) {
	if old := h.Get(name); old != "" {
		value = old + ", " + value
	}
	h.Set(name, value)
}

// quote is a string of RFC 9651 §3.3.3, of what may be in one.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c >= ' ' && c <= '~':
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

package simulate

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
)

// maxChannelBody bounds a request's body.
const maxChannelBody = 64 << 10

// ServeHTTP speaks the channel's little REST API:
//
//	PUT  /listings/{listing}   {"quantity", "version", "policy_version", "day"}; 409 "stale" when a newer offer stands
//	GET  /listings/{listing}   what it shows
//	GET  /listings             all of it
//	GET  /counters
//	POST /webhook              a Standard Webhooks delivery of an offer, same rules
//
// Refusals are {"code", "detail", "current"} with 401, 404, 409 or 422.
func (c *Channel) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/webhook" && c.opts.Key != "" && !bearer(r, c.opts.Key) {
		channelAnswer(w, http.StatusUnauthorized, channelRefusal{Code: "unauthorised", Detail: "the key is missing or wrong"})
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /listings/{listing}", c.step(ChannelSet, c.put))
	mux.HandleFunc("POST /webhook", c.step(ChannelSet, c.webhook))
	mux.HandleFunc("GET /listings/{listing}", c.step(ChannelRead, c.get))
	mux.HandleFunc("GET /listings", func(w http.ResponseWriter, _ *http.Request) { channelAnswer(w, http.StatusOK, c.Values()) })
	mux.HandleFunc("GET /counters", func(w http.ResponseWriter, _ *http.Request) { channelAnswer(w, http.StatusOK, c.Counters()) })
	mux.ServeHTTP(w, r)
}

func bearer(r *http.Request, key string) bool {
	return subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte("Bearer "+key)) == 1
}

// step runs one operation under the fault scripted for it.
func (c *Channel) step(op ChannelOperation, do func(*http.Request, bool) (ChannelValue, *channelRefusal)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c.count("calls_" + string(op))
		fault := c.faults.next(op)
		if fault != "" {
			c.count("fault_" + string(fault))
		}
		switch fault {
		case ChannelErrorBefore:
			http.Error(w, "<html>500 Internal Server Error</html>", http.StatusInternalServerError)
			return
		case ChannelThrottle:
			w.Header().Set("Retry-After", "1")
			channelAnswer(w, http.StatusTooManyRequests, channelRefusal{Code: "too_many_requests", Detail: "slow down"})
			return
		case ChannelUnavailable:
			channelAnswer(w, http.StatusServiceUnavailable, channelRefusal{Code: "unavailable", Detail: "down for now"})
			return
		case ChannelRedirect:
			http.Redirect(w, r, "/counters", http.StatusTemporaryRedirect)
			return
		case ChannelRefuse:
			channelAnswer(w, http.StatusUnprocessableEntity, channelRefusal{Code: "not_for_sale", Detail: "this listing is closed"})
			return
		case ChannelUnknown:
			w.WriteHeader(http.StatusTeapot)
			_, _ = w.Write([]byte("short and stout"))
			return
		case ChannelHang, ChannelDropAfter, ChannelErrorAfter, ChannelLag, ChannelGarbage, ChannelHuge: // after the fact
		}
		v, refused := do(r, fault == ChannelLag)
		switch fault {
		case ChannelHang:
			erpHang(r)
			erpDrop(w)
			return
		case ChannelDropAfter:
			erpDrop(w)
			return
		case ChannelErrorAfter:
			http.Error(w, "<html>500 Internal Server Error</html>", http.StatusInternalServerError)
			return
		case ChannelGarbage:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusOK)
			_, _ = w.Write([]byte(`{"listing": `))
			return
		case ChannelHuge:
			erpHuge(w)
			return
		case ChannelLag, ChannelErrorBefore, ChannelThrottle, ChannelUnavailable, ChannelRedirect, ChannelRefuse, ChannelUnknown:
		}
		if refused != nil {
			channelAnswer(w, refused.status, refused)
			return
		}
		channelAnswer(w, http.StatusOK, v)
	}
}

func (c *Channel) put(r *http.Request, hide bool) (ChannelValue, *channelRefusal) {
	var v ChannelValue
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxChannelBody))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&v); err != nil {
		return v, &channelRefusal{status: http.StatusBadRequest, Code: "bad_request", Detail: err.Error()}
	}
	v.Listing = r.PathValue("listing")
	return c.set(v, "put", "", hide)
}

func (c *Channel) get(r *http.Request, _ bool) (ChannelValue, *channelRefusal) {
	v, ok := c.Value(r.PathValue("listing"))
	if !ok {
		return v, &channelRefusal{status: http.StatusNotFound, Code: "unknown_listing", Detail: "nothing is shown for " + r.PathValue("listing")}
	}
	return v, nil
}

// webhook takes a delivery: its signature is checked over the raw body as the
// Standard Webhooks specification says, independently of the sender's code.
func (c *Channel) webhook(r *http.Request, hide bool) (ChannelValue, *channelRefusal) {
	if c.opts.Secret == "" {
		return ChannelValue{}, &channelRefusal{status: http.StatusNotFound, Code: "no_webhook", Detail: "no secret is set"}
	}
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxChannelBody))
	if err != nil {
		return ChannelValue{}, &channelRefusal{status: http.StatusRequestEntityTooLarge, Code: "too_large", Detail: err.Error()}
	}
	id := r.Header.Get("webhook-id")
	if id == "" || !c.signed(id, r.Header.Get("webhook-timestamp"), r.Header.Get("webhook-signature"), body) {
		return ChannelValue{}, &channelRefusal{status: http.StatusUnauthorized, Code: "bad_signature", Detail: "the signature does not fit"}
	}
	var d struct {
		Type string       `json:"type"`
		Data ChannelValue `json:"data"`
	}
	if err := json.Unmarshal(body, &d); err != nil || d.Data.Listing == "" {
		return ChannelValue{}, &channelRefusal{status: http.StatusBadRequest, Code: "bad_request", Detail: "no offer in the body"}
	}
	return c.set(d.Data, "webhook", id, hide)
}

func (c *Channel) signed(id, timestamp, header string, body []byte) bool {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(c.opts.Secret, "whsec_"))
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(id + "." + timestamp + "."))
	mac.Write(body)
	want := []byte("v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	for sig := range strings.FieldsSeq(header) {
		if subtle.ConstantTimeCompare([]byte(sig), want) == 1 {
			return true
		}
	}
	return false
}

func channelAnswer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a caller that left is not our fault
}

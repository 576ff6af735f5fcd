package atpapi

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stockweave/stockweave/pkg/access/idempotent"
	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/atpapi/hooks"
)

const (
	maxSubscription = 64 << 10 // bytes of a request
	maxDescription  = 500      // bytes
)

// subscribeRequest is the body of POST /v1/subscriptions.
type subscribeRequest struct {
	URL         string   `json:"url"`
	Description string   `json:"description"`
	Entity      string   `json:"entity"`
	Items       []string `json:"items"`
	Location    string   `json:"location"`
	Group       string   `json:"group"`
	Channel     string   `json:"channel"`
}

// readSubscription reads and bounds what is asked for.
func (a *api) readSubscription(r *http.Request, s *subscribers) (*event.Subscription, *problem) {
	var req subscribeRequest
	if bad := readJSON(r, maxSubscription, &req); bad != nil {
		return nil, bad
	}
	if bad := readURL(s, req.URL); bad != nil {
		return nil, bad
	}
	if bad := readDescription(req.Description); bad != nil {
		return nil, bad
	}
	for _, n := range [...]struct{ pointer, name string }{
		{"/entity", req.Entity}, {"/location", req.Location}, {"/group", req.Group}, {"/channel", req.Channel},
	} {
		if len(n.name) > maxName || !utf8.ValidString(n.name) {
			return nil, badBody("bad_parameter", n.pointer, "a name has at most %d bytes", maxName)
		}
	}
	if req.Entity == "" {
		req.Entity = string(a.entity)
	}
	switch {
	case req.Entity == "":
		return nil, badBody("entity_required", "/entity", "which legal entity's items?")
	case asked(req.Location, req.Group, req.Channel) > 1:
		return nil, badBody("conflicting_parameters", "", "one of location, group and channel")
	case len(req.Items) > maxNamed:
		return nil, badBody("too_many_items", "/items", "at most %d items; without any it is about all", maxNamed)
	}
	seen := map[string]bool{}
	items := []string{}
	for i, it := range req.Items {
		if it == "" || len(it) > maxName || !utf8.ValidString(it) {
			return nil, badBody("bad_item", "/items/"+strconv.Itoa(i), "an item has between 1 and %d bytes", maxName)
		}
		if !seen[it] {
			seen[it] = true
			items = append(items, it)
		}
	}
	same, err := json.Marshal(&req) // however it was written
	if err != nil {
		return nil, broken(err)
	}
	print := idempotent.Fingerprint(same)
	return &event.Subscription{
		URL: req.URL, Description: req.Description, Entity: inventory.Entity(req.Entity), Items: items,
		Location: inventory.Location(req.Location), Group: req.Group, Channel: req.Channel, Request: hex.EncodeToString(print[:]),
	}, nil
}

func readURL(s *subscribers, text string) *problem {
	switch err := s.hub.Poster().Check(text); {
	case errors.Is(err, hooks.ErrAddress):
		return badBody("url_not_allowed", "/url", "the address is not one of a public host")
	case err != nil:
		return badBody("bad_url", "/url", "%s", err.Error())
	}
	return nil
}

func readDescription(text string) *problem {
	bad := len(text) > maxDescription || !utf8.ValidString(text)
	for _, r := range text {
		bad = bad || unicode.IsControl(r)
	}
	if bad {
		return badBody("bad_description", "/description", "at most %d bytes of text on one line", maxDescription)
	}
	return nil
}

// subscriptionChange is the body of PATCH /v1/subscriptions/{id}.
type subscriptionChange struct {
	URL         *string `json:"url"`
	Description *string `json:"description"`
	Enabled     *bool   `json:"enabled"`
}

func (a *api) readChange(r *http.Request, s *subscribers) (*subscriptionChange, *problem) {
	var req subscriptionChange
	if bad := readJSON(r, maxSubscription, &req); bad != nil {
		return nil, bad
	}
	if req.URL == nil && req.Description == nil && req.Enabled == nil {
		return nil, badBody("nothing_to_change", "", "url, description or enabled; what it is about stays: make another one")
	}
	if req.URL != nil {
		if bad := readURL(s, *req.URL); bad != nil {
			return nil, bad
		}
	}
	if req.Description != nil {
		if bad := readDescription(*req.Description); bad != nil {
			return nil, bad
		}
	}
	return &req, nil
}

// readRotation reads for how long the old secret signs beside the new one.
func (a *api) readRotation(r *http.Request, s *subscribers) (time.Duration, *problem) {
	if r.ContentLength == 0 {
		return s.cfg.KeepOld, nil
	}
	var req struct {
		KeepOld *int64 `json:"keep_old"` // seconds
	}
	if bad := readJSON(r, maxSubscription, &req); bad != nil {
		return 0, bad
	}
	if req.KeepOld == nil {
		return s.cfg.KeepOld, nil
	}
	if most := int64(hooks.MaxKeepOld / time.Second); *req.KeepOld < 0 || *req.KeepOld > most {
		return 0, badBody("bad_keep_old", "/keep_old", "a whole number of seconds from 0 to %d", most)
	}
	return time.Duration(*req.KeepOld) * time.Second, nil
}

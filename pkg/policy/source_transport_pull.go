package policy

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Pull is a system of the partner that ingest asks over HTTP: one of Tryton and HTTP.
type Pull struct {
	Tryton *PullTryton `yaml:"tryton"`
	HTTP   *PullHTTP   `yaml:"http"`
	Poll   Poll        `yaml:"poll"`
}

// PullTryton reads records of a Tryton ERP by the time they were last written.
type PullTryton struct {
	URL      string `yaml:"url"` // or URLEnv names the variable that has it
	URLEnv   string `yaml:"url_env"`
	KeyEnv   string `yaml:"key_env"` // of a user application "rest"
	Database string `yaml:"database"`
	// Overlap is how far each round goes back: longer than the ERP's longest
	// transaction. DefaultOverlap when 0.
	Overlap time.Duration `yaml:"overlap"`
	Models  []TrytonModel `yaml:"models"`
}

// TrytonModel is a model and what of it is read. Within a round models are read in the
// order of the list: masters go first.
type TrytonModel struct {
	Model  string   `yaml:"model"`
	Fields []string `yaml:"fields"` // a.b is a field of the record that field a names
	Domain string   `yaml:"domain"` // JSON; more that a record must meet
}

// PullHTTP reads a JSON API.
type PullHTTP struct {
	// URL may hold {ask}; URLEnv names a variable that has it instead.
	URL     string            `yaml:"url"`
	URLEnv  string            `yaml:"url_env"`
	Headers map[string]string `yaml:"headers"`
	// Auth names the header with the key: Prefix and the text of KeyEnv.
	Auth PullAuth `yaml:"auth"`
	// Items is a JSON Pointer (RFC 6901) to the records in an answer; empty: the answer
	// is one record, or the array of all.
	Items string `yaml:"items"`
	// ID and Version are JSON Pointers in a record; without them it is known by its
	// content. StreamKey is the document.
	ID        string    `yaml:"id"`
	Version   string    `yaml:"version"`
	StreamKey string    `yaml:"stream_key"`
	Page      PullPage  `yaml:"page"`
	Since     PullSince `yaml:"since"`
	Ask       *PullAsk  `yaml:"ask"`
	// AllowPrivate lets the URL be one of a private network.
	AllowPrivate bool `yaml:"allow_private"`
}

// PullAuth is the secret of an API.
type PullAuth struct {
	Header string `yaml:"header"`
	Prefix string `yaml:"prefix"` // "Bearer ", say
	KeyEnv string `yaml:"key_env"`
}

// Ways to the next page.
const (
	PageNone   = "none"
	PageLink   = "link"   // the header Link with rel=next (RFC 8288), or the URL at Next
	PageCursor = "cursor" // the text at Next, in the parameter Param
	PageNumber = "number" // counted from First, in Param, until a page has no records
)

// PullPage is how an API divides its answers.
type PullPage struct {
	By    string `yaml:"by"` // PageNone when empty
	Next  string `yaml:"next"`
	Param string `yaml:"param"`
	First int    `yaml:"first"`
	// Size names the parameter with the number of records wanted; none when empty.
	Size string `yaml:"size"`
}

// PullSince asks only for what has changed: the greatest time seen, less Overlap.
type PullSince struct {
	Param   string        `yaml:"param"` // none when empty
	At      string        `yaml:"at"`    // JSON Pointer in a record, to an RFC 3339 time
	Overlap time.Duration `yaml:"overlap"`
}

// PullAsk is a list of things to ask for one by one, open shipments say.
type PullAsk struct {
	List []string `yaml:"list"`
	// File is a path outside the policies with one a line, read anew in each round.
	File string `yaml:"file"`
	// Shipments are the open ones of a carrier, as Stockweave knows them.
	Shipments *AskShipments `yaml:"shipments"`
}

func (p *Pull) validate(at string) []error {
	var fs faults
	if (p.Tryton == nil) == (p.HTTP == nil) {
		fs.add(CodeConflicting, at, "exactly one of tryton and http is required")
	}
	if p.Tryton != nil {
		p.Tryton.validate(at+".tryton", &fs)
	}
	if p.HTTP != nil {
		p.HTTP.validate(at+".http", &fs)
	}
	return append(fs, p.Poll.validate(at+".poll")...)
}

func (t *PullTryton) validate(at string, fs *faults) {
	address(at, t.URL, t.URLEnv, fs)
	for field, v := range map[string]string{"key_env": t.KeyEnv, "database": t.Database} {
		if v == "" {
			fs.add(CodeRequired, at+"."+field, "required")
		}
	}
	if t.Overlap < 0 || t.Overlap > maxOverlap {
		fs.add(CodeOutOfRange, at+".overlap", "must be between 0 and 168h")
	}
	if len(t.Models) == 0 {
		fs.add(CodeRequired, at+".models", "required")
	}
	seen := map[string]bool{}
	for i, m := range t.Models {
		field := fmt.Sprintf("%s.models[%d]", at, i)
		if m.Model == "" || len(m.Fields) == 0 {
			fs.add(CodeRequired, field, "model and fields are required")
		}
		if seen[m.Model] {
			fs.add(CodeDuplicate, field, "%s stands there twice", m.Model)
		}
		seen[m.Model] = true
		if d := strings.TrimSpace(m.Domain); d != "" && !isJSONArray(d) {
			fs.add("", field+".domain", "a JSON array")
		}
	}
}

func (h *PullHTTP) validate(at string, fs *faults) {
	address(at, h.URL, h.URLEnv, fs)
	for field, p := range map[string]string{
		"items": h.Items, "id": h.ID, "version": h.Version, "stream_key": h.StreamKey, "since.at": h.Since.At,
	} {
		if p != "" && !strings.HasPrefix(p, "/") {
			fs.add("", at+"."+field, "a JSON Pointer begins with /")
		}
	}
	if (h.Auth.Header == "") != (h.Auth.KeyEnv == "") {
		fs.add(CodeRequired, at+".auth", "header and key_env belong together")
	}
	for name := range h.Headers {
		if slices.Contains([]string{"Authorization", "Cookie", "Host", "Content-Length", "X-Api-Key"}, http.CanonicalHeaderKey(name)) {
			fs.add("", at+".headers", "%s is not for here: a secret belongs into auth", name)
		}
	}
	switch p := h.Page; p.By {
	case "", PageNone, PageLink:
	case PageCursor:
		if p.Next == "" || p.Param == "" {
			fs.add(CodeRequired, at+".page", "next and param are required")
		}
	case PageNumber:
		if p.Param == "" {
			fs.add(CodeRequired, at+".page.param", "required")
		}
	default:
		fs.add("", at+".page.by", "must be none, link, cursor or number, not %q", p.By)
	}
	if (h.Since.Param == "") != (h.Since.At == "") {
		fs.add(CodeRequired, at+".since", "param and at belong together")
	}
	if o := h.Since.Overlap; o < 0 || o > maxOverlap {
		fs.add(CodeOutOfRange, at+".since.overlap", "must be between 0 and 168h")
	}
	if a := h.Ask; a != nil {
		a.validate(at+".ask", fs)
		if h.URL != "" && !strings.Contains(h.URL, "{ask}") {
			fs.add(CodeRequired, at+".url", "has no {ask}")
		}
		if h.Since.Param != "" {
			fs.add(CodeConflicting, at+".since", "what is asked for one by one has no common time")
		}
	}
}

func address(at, url, env string, fs *faults) {
	if (url == "") == (env == "") {
		fs.add(CodeRequired, at+".url", "url or url_env is required")
	}
	*fs = append(*fs, checkURL(at+".url", strings.ReplaceAll(url, "{ask}", "ask"))...)
}

func isJSONArray(s string) bool {
	var a []any
	return json.Unmarshal([]byte(s), &a) == nil
}

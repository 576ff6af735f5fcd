package ingest

import (
	"encoding/json"
	"errors"
	"net/http"
	"strconv"

	"github.com/labstack/echo/v4"
)

// problem is an RFC 9457 problem detail. Its code is stable; its detail is for
// people and never repeats a secret.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Code   string `json:"code"`
	Detail string `json:"detail,omitempty"`
	// Parts of a file that are stored, before the place where it ended.
	Parts int `json:"parts,omitempty"`

	retryAfter int // seconds; 0: no header
}

func (p *problem) Error() string { return p.Code + ": " + p.Detail }

// The problems of the door. Unknown sources are told bad_key, as a wrong key is:
// nobody learns from outside which sources there are.
func newProblem(status int, code, detail string) *problem {
	return &problem{Type: "urn:stockweave:problem:" + code, Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
}

func badKey() *problem {
	return newProblem(http.StatusUnauthorized, "bad_key", "the source is not known, or the API key is not one of its own")
}

func badSignature() *problem {
	return newProblem(http.StatusUnauthorized, "bad_signature", "the signature is missing or does not fit the body")
}

func tooLarge(limit int) *problem {
	return newProblem(http.StatusRequestEntityTooLarge, "too_large", "the body is larger than "+strconv.Itoa(limit)+" bytes")
}

func later(code, detail string, seconds int) *problem {
	p := newProblem(http.StatusServiceUnavailable, code, detail)
	p.retryAfter = seconds
	return p
}

// tell sets the headers that a refusal has.
func (p *problem) tell(h http.Header) {
	if p.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.retryAfter))
	}
	if p.Status == http.StatusUnauthorized && h.Get("WWW-Authenticate") == "" {
		h.Set("WWW-Authenticate", "Bearer")
	}
}

// writeProblem is the door's echo.HTTPErrorHandler.
func writeProblem(err error, c echo.Context) {
	if c.Response().Committed {
		return
	}
	p, ok := errors.AsType[*problem](err)
	if !ok {
		p = newProblem(http.StatusInternalServerError, "internal", "")
		if he, ok := errors.AsType[*echo.HTTPError](err); ok {
			code := map[int]string{
				http.StatusNotFound: "not_found", http.StatusMethodNotAllowed: "method_not_allowed",
			}[he.Code]
			if code != "" {
				p = newProblem(he.Code, code, "")
			}
		}
	}
	p.tell(c.Response().Header())
	b, err := json.Marshal(p)
	if err != nil {
		b = nil
	}
	// What fails here fails at the sender's end of the line.
	_ = c.Blob(p.Status, "application/problem+json", b)
}

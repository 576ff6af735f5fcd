package simulate

import (
	"crypto/subtle"
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// maxERPBody bounds a request's body.
const maxERPBody = 1 << 20

// erpHangLimit ends a hanging answer whose caller never gives up.
const erpHangLimit = time.Minute

// ServeHTTP speaks the ERP's little REST API:
//
//	POST /documents                      create a draft
//	POST /documents/{id}/post            move its stock
//	POST /documents/{id}/cancel          void a draft
//	POST /documents/{id}/reference       {"reference": …} on a document without one
//	GET  /documents[?reference=|business=]
//	GET  /quantities                     balances that are not zero
//	GET  /counters
//
// Refusals are {"code", "detail"} with 404, 409 or 422.
func (e *ERP) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if want := "Bearer " + e.opts.Key; e.opts.Key != "" &&
		subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), []byte(want)) != 1 {
		erpAnswer(w, http.StatusUnauthorized, erpProblem{"unauthorised", "the key is missing or wrong"})
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /documents", e.step(ERPCreate, e.create))
	mux.HandleFunc("POST /documents/{id}/post", e.step(ERPPost, e.byID(e.Post)))
	mux.HandleFunc("POST /documents/{id}/cancel", e.step(ERPPost, e.byID(e.Cancel)))
	mux.HandleFunc("POST /documents/{id}/reference", e.step(ERPAdopt, e.adopt))
	mux.HandleFunc("GET /documents", e.step(ERPFind, e.find))
	mux.HandleFunc("GET /quantities", func(w http.ResponseWriter, _ *http.Request) { erpAnswer(w, http.StatusOK, e.Balances()) })
	mux.HandleFunc("GET /counters", func(w http.ResponseWriter, _ *http.Request) { erpAnswer(w, http.StatusOK, e.Counters()) })
	mux.ServeHTTP(w, r)
}

type erpProblem struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

// step runs one operation under the faults scripted for it.
func (e *ERP) step(op ERPOperation, do func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		e.count("calls_" + string(op))
		fault := e.faults.next(op)
		if fault != "" {
			e.count("fault_" + string(fault))
		}
		switch fault {
		case FaultDropBefore:
			erpDrop(w)
			return
		case FaultErrorBefore:
			http.Error(w, "<html>500 Internal Server Error</html>", http.StatusInternalServerError)
			return
		case FaultThrottle:
			w.Header().Set("Retry-After", "1")
			erpAnswer(w, http.StatusTooManyRequests, erpProblem{"too_many_requests", "slow down"})
			return
		case FaultUnavailable:
			erpAnswer(w, http.StatusServiceUnavailable, erpProblem{"unavailable", "down for now"})
			return
		case FaultForeign:
			erpAnswer(w, http.StatusOK, []ERPDocument{{ID: 999999, Number: "FOREIGN", Reference: "not-yours", State: ERPPosted}})
			return
		case FaultDropAfter, FaultErrorAfter, FaultHang, FaultSlow, FaultGarbage, FaultHuge:
		}
		body, err := do(r)
		switch fault {
		case FaultDropAfter:
			erpDrop(w)
			return
		case FaultErrorAfter:
			http.Error(w, "<html>500 Internal Server Error</html>", http.StatusInternalServerError)
			return
		case FaultHang:
			erpHang(r)
			erpDrop(w)
			return
		case FaultSlow:
			erpWait(r, erpSlowAnswer)
		case FaultGarbage:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusOK)
			_, _ = w.Write([]byte(`{"id": `))
			return
		case FaultHuge:
			erpHuge(w)
			return
		case FaultDropBefore, FaultErrorBefore, FaultThrottle, FaultUnavailable, FaultForeign: // answered above
		}
		if err == nil {
			erpAnswer(w, http.StatusOK, body)
			return
		}
		if ref, ok := asERPRefusal(err); ok {
			erpAnswer(w, ref.status, erpProblem{ref.code, ref.detail})
			return
		}
		erpAnswer(w, http.StatusBadRequest, erpProblem{"bad_request", err.Error()})
	}
}

func (e *ERP) create(r *http.Request) (any, error) {
	var d ERPDocument
	if err := erpDecode(r, &d); err != nil {
		return nil, err
	}
	return e.Create(d)
}

func (e *ERP) adopt(r *http.Request) (any, error) {
	var body struct {
		Reference string `json:"reference"`
	}
	if err := erpDecode(r, &body); err != nil {
		return nil, err
	}
	return e.byID(func(id int) (ERPDocument, error) { return e.SetReference(id, body.Reference) })(r)
}

func (e *ERP) byID(do func(int) (ERPDocument, error)) func(*http.Request) (any, error) {
	return func(r *http.Request) (any, error) {
		id, err := strconv.Atoi(r.PathValue("id"))
		if err != nil {
			return nil, erpRefuse(http.StatusNotFound, "not_found", "no document %q", r.PathValue("id"))
		}
		return do(id)
	}
}

func (e *ERP) find(r *http.Request) (any, error) {
	q := r.URL.Query()
	if b := q.Get("business"); b != "" {
		return e.business(b), nil
	}
	return e.Documents(q.Get("reference")), nil
}

func erpDecode(r *http.Request, into any) error {
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxERPBody))
	dec.DisallowUnknownFields()
	return dec.Decode(into)
}

func erpAnswer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // a caller that left is not our fault
}

// erpDrop breaks the connection without an answer.
func erpDrop(w http.ResponseWriter) {
	if h, ok := w.(http.Hijacker); ok {
		if c, _, err := h.Hijack(); err == nil {
			_ = c.Close() // it is meant to break
			return
		}
	}
	w.WriteHeader(http.StatusBadGateway)
}

func erpHang(r *http.Request) { erpWait(r, erpHangLimit) }

func erpWait(r *http.Request, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.Context().Done():
	}
}

// erpHuge answers with more than anybody should read: 64 MiB at most, so that a
// caller without a limit fails its test and not the machine.
func erpHuge(w http.ResponseWriter) {
	w.WriteHeader(http.StatusOK)
	chunk := make([]byte, 64<<10)
	for i := range chunk {
		chunk[i] = ' '
	}
	for range 1024 {
		if _, err := w.Write(chunk); err != nil {
			return
		}
	}
}

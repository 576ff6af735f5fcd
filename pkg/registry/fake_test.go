package registry

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync"
	"testing"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/sr"
)

// fake is a registry over HTTP that does what a real one does with what Register
// sends: it parses schemas, keeps one id per content, and checks FULL_TRANSITIVE
// where it is set.
type fake struct {
	// needsSubject refuses a rule for a subject without a schema, as Apicurio does.
	needsSubject bool
	// wrongID answers every registration with another schema's id.
	wrongID bool

	mu       sync.Mutex
	byID     []string // id - 1: canonical schema text
	subjects map[string][]string
	levels   map[string]string
	calls    []string
}

func newFake(t *testing.T, f *fake) *sr.Client {
	t.Helper()
	f.subjects, f.levels = map[string][]string{}, map[string]string{}
	mux := http.NewServeMux()
	mux.HandleFunc("PUT /config/{subject}", f.config)
	mux.HandleFunc("POST /subjects/{subject}/versions", f.register)
	mux.HandleFunc("GET /schemas/ids/{id}", f.schema)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.calls = append(f.calls, r.Method+" "+r.URL.Path)
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	client, err := sr.NewClient(sr.URLs(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status, code int, format string, args ...any) {
	answer(w, status, map[string]any{"error_code": code, "message": fmt.Sprintf(format, args...)})
}

func (f *fake) config(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Compatibility string `json:"compatibility"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Compatibility == "" {
		refuse(w, http.StatusUnprocessableEntity, 42203, "invalid compatibility level")
		return
	}
	subject := r.PathValue("subject")
	if f.needsSubject && len(f.subjects[subject]) == 0 {
		refuse(w, http.StatusNotFound, 40401, "no artifact with id %q", subject)
		return
	}
	f.levels[subject] = body.Compatibility
	answer(w, http.StatusOK, body)
}

func (f *fake) register(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Schema string `json:"schema"`
		Type   string `json:"schemaType"`
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.Type != "" && body.Type != "AVRO" {
		refuse(w, http.StatusBadRequest, 400, "bad request")
		return
	}
	schema, err := avro.Parse(body.Schema)
	if err != nil {
		refuse(w, http.StatusUnprocessableEntity, 42201, "invalid Avro schema: %v", err)
		return
	}
	subject := r.PathValue("subject")
	known := false
	for i, text := range f.subjects[subject] {
		before, err := avro.Parse(text)
		if err != nil {
			refuse(w, http.StatusInternalServerError, 50001, "%v", err)
			return
		}
		known = known || string(before.Canonical()) == string(schema.Canonical())
		back, forth := avro.CheckCompatibility(before, schema), avro.CheckCompatibility(schema, before)
		if f.levels[subject] == "FULL_TRANSITIVE" && (back != nil || forth != nil) {
			refuse(w, http.StatusConflict, 409, "incompatible with version %d: %v, %v", i+1, back, forth)
			return
		}
	}
	if !known {
		f.subjects[subject] = append(f.subjects[subject], body.Schema)
	}
	id := 0
	for i, text := range f.byID {
		if before, err := avro.Parse(text); err == nil && string(before.Canonical()) == string(schema.Canonical()) {
			id = i + 1
		}
	}
	if id == 0 {
		f.byID = append(f.byID, body.Schema)
		id = len(f.byID)
	}
	if f.wrongID {
		id = max(1, id-1)
	}
	answer(w, http.StatusOK, map[string]int{"id": id})
}

func (f *fake) schema(w http.ResponseWriter, r *http.Request) {
	id, err := strconv.Atoi(r.PathValue("id"))
	if err != nil || id < 1 || id > len(f.byID) {
		refuse(w, http.StatusNotFound, 40403, "schema not found")
		return
	}
	answer(w, http.StatusOK, map[string]string{"schema": f.byID[id-1]})
}

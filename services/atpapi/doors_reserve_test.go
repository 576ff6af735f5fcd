package atpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/services/atpapi/doors/d365"
	"github.com/stockweave/stockweave/services/atpapi/doors/sterling"
)

// knock asks at a door as a partner and reads the answer.
func knock[T any](r *replica, method, path, partner, body string, headers ...string) (out T, status int, h http.Header) {
	r.t.Helper()
	status, h, b := r.ask(method, path, body, append(headers, "Authorization", "Bearer "+r.keys[partner])...)
	if len(b) > 0 {
		if err := json.Unmarshal(b, &out); err != nil {
			r.t.Fatalf("%s: %v", b, err)
		}
	}
	return out, status, h
}

// soft is a soft reservation.
func soft(id, item, quantity string) string {
	return fmt.Sprintf(`{"id":%q,"organizationId":"usmf","productId":%q,"quantity":%s,"quantityDataSource":"iv","modifier":"SoftReservOrdered","ifCheckAvailForReserv":true,"dimensions":{"siteId":"1","locationId":"DC1"}}`, id, item, quantity)
}

func (r *replica) soft(partner, id, item, quantity string) (d365.Record, http.Header) {
	r.t.Helper()
	rec, status, h := knock[d365.Record](r, http.MethodPost, d365At+"/reserve", partner, soft(id, item, quantity))
	if status != rec.StatusCode {
		r.t.Errorf("status %d of %+v", status, rec)
	}
	return rec, h
}

func (r *replica) unreserve(partner, organization, id, quantity string) d365.Record {
	r.t.Helper()
	rec, status, _ := knock[d365.Record](r, http.MethodPost, d365At+"/unreserve", partner,
		fmt.Sprintf(`{"id":"u","organizationId":%q,"reservationId":%q,"dimensions":{"siteid":"1","locationid":"DC1"},"OffsetQty":%s}`, organization, id, quantity))
	if status != rec.StatusCode {
		r.t.Errorf("status %d of %+v", status, rec)
	}
	return rec
}

func wantRecord(t *testing.T, what string, got d365.Record, status int, processing, code string) {
	t.Helper()
	if got.StatusCode != status || got.Status != processing || got.Code != code || (got.Message == "") != (code == "") {
		t.Errorf("%s: %+v, want %d %s %s", what, got, status, processing, code)
	}
}

// A soft reservation is one of the ledger's, kept until it is given back, and is made once
// however often it is sent.
func TestD365Reservations(t *testing.T) {
	b := newBench(t)
	b.stock("A", "DC1", 10)
	b.stock("B", "DC1", 1)
	r, other := b.replica(), b.replica()
	openDoors(t, r.api)
	openDoors(t, other.api)

	got, _ := r.soft("shop", "order-1", "A", "4.0")
	wantRecord(t, "granted", got, 200, "success", "")
	id, quantity, _ := strings.Cut(got.ReservationID, "~")
	if quantity != "4" || got.ID != "order-1" {
		t.Errorf("%+v", got)
	}
	b.wantClaimed("granted", "A", 4)
	r.at(http.MethodGet, id, "", "shop", "").want(t, "it does not lapse", 200, "confirmed")
	again, _ := other.soft("shop", "order-1", "A", "4")
	if wantRecord(t, "sent again", again, 200, "success", ""); again.ReservationID != got.ReservationID {
		t.Errorf("it is %s, then %s", got.ReservationID, again.ReservationID)
	}
	b.wantClaimed("sent again", "A", 4)
	reused, _ := r.soft("shop", "order-1", "A", "5")
	wantRecord(t, "another request of the same id", reused, 422, "failed", "idempotency_key_reused")
	own, _ := r.soft("rival", "order-1", "A", "1")
	wantRecord(t, "the same id of another partner", own, 200, "success", "")
	b.wantClaimed("another's", "A", 5)

	denied, h := r.soft("shop", "order-2", "A", "6")
	if wantRecord(t, "denied", denied, 409, "failed", "denied"); denied.Message != "5 of A can be granted" || h.Get("Retry-After") != "" {
		t.Errorf("%+v %v", denied, h)
	}
	r.reserve("rival", "1", `{"lines":[{"item":"B","quantity":"1"}]}`).want(t, "granted", 201, "granted")
	busy, h := r.soft("shop", "order-3", "B", "1")
	if wantRecord(t, "contended", busy, 409, "failed", "contended"); h.Get("Retry-After") != "1" {
		t.Errorf("%v", h)
	}
	reader, _ := r.soft("reader", "order-4", "A", "1")
	wantRecord(t, "who may only read", reader, 403, "failed", "insufficient_scope")
	narrow, _ := r.soft("narrow", "order-4", "A", "1")
	wantRecord(t, "who may of a channel", narrow, 403, "failed", "insufficient_scope")
	unknown, _ := r.soft("shop", "order-5", "A", "-1")
	wantRecord(t, "a quantity below zero", unknown, 400, "failed", "bad_quantity")

	wantRecord(t, "less than there is", r.unreserve("shop", "usmf", got.ReservationID, "3"), 400, "failed", "partial_unreserve")
	wantRecord(t, "another's", r.unreserve("rival", "usmf", got.ReservationID, "4"), 404, "failed", "unknown_reservation")
	wantRecord(t, "another organisation's", r.unreserve("shop", "ussi", got.ReservationID, "4"), 404, "failed", "unknown_reservation")
	b.wantClaimed("nothing is given back", "A", 5)
	b.mini.FlushAll() // all that is needed stands in the id
	for range 2 {
		more := other.unreserve("shop", "usmf", got.ReservationID, "5.5")
		if wantRecord(t, "more than there is", more, 200, "partialSuccess", ""); more.Invalid == nil || more.Invalid.String() != "1.5" {
			t.Errorf("%+v", more)
		}
		b.wantClaimed("given back", "A", 1)
	}
	if back := r.unreserve("rival", "usmf", own.ReservationID, "1"); back.Invalid == nil || back.Invalid.String() != "0" {
		t.Errorf("%+v", back)
	}
	b.wantClaimed("all given back", "A", 0)
}

// Each record of a bulk request is answered by itself, in its place.
func TestD365Bulk(t *testing.T) {
	b := newBench(t)
	b.stock("A", "DC1", 100)
	r := b.replica()
	openDoors(t, r.api, func(c *DoorsConfig) { c.D365.Hold = time.Hour })
	var records []string
	for i := range d365.MaxRecords {
		records = append(records, soft(fmt.Sprint("o", i), "A", "1"))
	}
	records[3] = strings.Replace(records[3], `"siteId"`, `"colorId":"red","siteId"`, 1)
	records[7] = soft("big", "A", "1000")
	body := "[" + strings.Join(records, ",") + "]"
	got, status, _ := knock[[]d365.Record](r, http.MethodPost, d365At+"/reserve/bulk", "shop", body)
	if status != 200 || len(got) != d365.MaxRecords {
		t.Fatalf("%d of %d", status, len(got))
	}
	granted := 0
	for i := range got {
		switch {
		case i == 3:
			wantRecord(t, "a dimension that is not known", got[i], 400, "failed", "unknown_dimension")
		case i == 7:
			wantRecord(t, "too much", got[i], 409, "failed", "denied")
		case got[i].Code == "":
			granted++
		case got[i].Code != "contended" && got[i].Code != "denied": // they lapse
			t.Errorf("record %d: %+v", i, got[i])
		}
		if want := fmt.Sprint("o", i); i != 7 && got[i].ID != want {
			t.Errorf("in the place of %s is %s", want, got[i].ID)
		}
	}
	if granted != 100 {
		t.Errorf("%d are granted of 100", granted)
	}
	b.wantClaimed("in bulk", "A", 100)
	var back []string
	for i := range got {
		if got[i].ReservationID != "" {
			back = append(back, fmt.Sprintf(`{"id":"u%d","organizationId":"usmf","reservationId":%q,"OffsetQty":1}`, i, got[i].ReservationID))
		}
	}
	id, _, _ := strings.Cut(got[0].ReservationID, "~")
	if view := r.at(http.MethodGet, id, "", "shop", ""); view.Status != statusGranted || view.Until == "" {
		t.Errorf("where the configuration says how long: %+v", view)
	}
	gone, status, _ := knock[[]d365.Record](r, http.MethodPost, d365At+"/unreserve/bulk", "shop", "["+strings.Join(back, ",")+"]")
	if status != 200 || len(gone) != 100 || gone[99].Status != "success" {
		t.Errorf("%d %+v", status, gone)
	}
	b.wantClaimed("given back in bulk", "A", 0)
	for body, want := range map[string]string{"[]": "too_many_records", "[" + strings.Repeat("{},", d365.MaxRecords) + "{}]": "too_many_records", "{}": "bad_body"} {
		if rec, status, _ := knock[d365.Record](r, http.MethodPost, d365At+"/reserve/bulk", "shop", body); status != 400 || rec.Code != want {
			t.Errorf("%.20s: %+v", body, rec)
		}
	}
}

// What has no answer yet is sent again, and is answered then.
func TestDoorsPending(t *testing.T) {
	b := newBench(t)
	b.stock("A", "DC1", 10)
	r := b.replica(func(c *ReservationsConfig) { c.Wait = 20 * time.Millisecond })
	openDoors(t, r.api)
	b.set(func(b *bench) { b.mute = true })
	line := `{"lines":[{"lineId":"1","itemId":"A","shipNode":"DC1","quantity":2}]}`
	for range 2 {
		slow, h := r.soft("shop", "order-1", "A", "1")
		if wantRecord(t, "slow", slow, 503, "failed", "pending"); h.Get("Retry-After") != "1" || slow.ReservationID != "" {
			t.Errorf("%+v %v", slow, h)
		}
		no, status, h := knock[sterling.Refused](r, http.MethodPost, sterlingAt+"/reservations", "shop", line, "Transaction-Id", "t")
		if status != 503 || no.Code != "pending" || h.Get("Retry-After") != "1" {
			t.Errorf("%d %+v %v", status, no, h)
		}
	}
	b.speak()
	eventually(t, "the soft one is there", func() bool {
		rec, _ := r.soft("shop", "order-1", "A", "1")
		return rec.StatusCode == http.StatusOK
	})
	eventually(t, "the line is there", func() bool {
		_, status, _ := knock[sterling.ReservedAnswer](r, http.MethodPost, sterlingAt+"/reservations", "shop", line, "Transaction-Id", "t")
		return status == http.StatusOK
	})
	b.wantClaimed("once", "A", 3)
}

// Each line is a reservation of its own, made once in its transaction.
func TestSterlingReservations(t *testing.T) {
	b := newBench(t)
	b.stock("A", "DC1", 10)
	b.stock("B", "DC1", 1)
	r := b.replica()
	openDoors(t, r.api)
	r.reserve("rival", "1", `{"lines":[{"item":"B","quantity":"1"}]}`).want(t, "granted", 201, "granted")
	const body = `{"reference":"order-1","timeToExpire":15,"lines":[
		{"lineId":"1","itemId":"A","unitOfMeasure":"EACH","productClass":"GOOD","deliveryMethod":"SHP","shipNode":"DC1","quantity":2.5},
		{"lineId":"2","itemId":"A","shipNode":"DC1","quantity":100},
		{"lineId":"3","itemId":"B","shipNode":"DC1","quantity":1}]}`
	post := func(transaction ...string) sterling.ReservedAnswer {
		t.Helper()
		a, status, _ := knock[sterling.ReservedAnswer](r, http.MethodPost, sterlingAt+"/reservations", "shop", body, transaction...)
		if status != 200 || len(a.Lines) != 3 {
			t.Fatalf("%d %+v", status, a)
		}
		return a
	}
	first, again := post("Transaction-Id", "t 1"), post("Transaction-Id", "t 1")
	for i, code := range []string{"", "denied", "contended"} {
		l := &first.Lines[i]
		quantity := "0"
		if code == "" {
			quantity = "2.5"
		}
		if l.LineID != fmt.Sprint(i+1) || l.Code != code || l.Quantity.String() != quantity || (l.ReservationID == "") != (code != "") || (l.Message == "") != (code == "") {
			t.Errorf("%+v", l)
		}
		if again.Lines[i] != *l {
			t.Errorf("sent again %+v", again.Lines[i])
		}
	}
	id := first.Lines[0].ReservationID
	if view := r.at(http.MethodGet, id, "", "shop", ""); view.Status != statusGranted || view.Until == "" {
		t.Errorf("%+v", view)
	}
	if q := b.claimed("A"); q.String() != "2.5" {
		t.Errorf("%s is claimed", q)
	}
	if a, c := post(), post(); a.Lines[0].ReservationID == c.Lines[0].ReservationID {
		t.Error("without a transaction it is made once")
	}
	if q := b.claimed("A"); q.String() != "7.5" {
		t.Errorf("%s is claimed", q)
	}
	gone := func(path, partner string) int {
		t.Helper()
		_, status, _ := knock[sterling.Refused](r, http.MethodDelete, path, partner, "")
		return status
	}
	for _, tt := range []struct {
		path, partner string
		want          int
	}{
		{sterlingAt + "/reservations/" + id, "rival", 404},
		{"/inventory/other/v1/reservations/" + id, "shop", 404},
		{"/inventory/us-2/v1/reservations/" + id, "shop", 404},
		{sterlingAt + "/reservations/" + id, "reader", 403},
		{sterlingAt + "/reservations/" + id, "shop", 204},
		{sterlingAt + "/reservations/" + id, "shop", 204},
	} {
		if got := gone(tt.path, tt.partner); got != tt.want {
			t.Errorf("%.40s by %s: %d, want %d", tt.path, tt.partner, got, tt.want)
		}
	}
	if q := b.claimed("A"); q.String() != "5" {
		t.Errorf("%s is claimed", q)
	}
	for partner, want := range map[string]string{"reader": "insufficient_scope", "narrow": "insufficient_scope"} {
		if no, status, _ := knock[sterling.Refused](r, http.MethodPost, sterlingAt+"/reservations", partner, body); status != 403 || no.Error != want {
			t.Errorf("%s: %d %+v", partner, status, no)
		}
	}
	if no, status, _ := knock[sterling.Refused](r, http.MethodPost, sterlingAt+"/reservations", "shop", body, "Transaction-Id", strings.Repeat("x", 256)); status != 400 || no.Code != "bad_parameter" {
		t.Errorf("%d %+v", status, no)
	}
	bad := strings.Replace(body, `"timeToExpire":15`, `"timeToExpire":1000000`, 1)
	if a, _, _ := knock[sterling.ReservedAnswer](r, http.MethodPost, sterlingAt+"/reservations", "shop", bad); len(a.Lines) != 3 || a.Lines[0].Code != "hold_too_long" {
		t.Errorf("%+v", a)
	}
}

// What keeps the ledger from being asked is told to whoever runs the service.
func TestDoorsTellWhy(t *testing.T) {
	b := newBench(t)
	b.stock("A", "DC1", 10)
	r := b.replica()
	openDoors(t, r.api)
	got, _ := r.soft("shop", "order-1", "A", "1")
	wantRecord(t, "granted", got, 200, "success", "")
	var said bytes.Buffer
	r.api.log = slog.New(slog.NewTextHandler(&said, nil))
	b.mini.SetError("ERR the book is away")
	away, _ := r.soft("shop", "order-2", "A", "1")
	wantRecord(t, "reserved", away, 503, "failed", "reservations_unavailable")
	if text := said.String(); !strings.Contains(text, "the book is away") || !strings.Contains(text, "code=reservations_unavailable") {
		t.Errorf("nobody is told why: %s", text)
	}
}

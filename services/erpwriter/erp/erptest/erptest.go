// Package erptest is the contract every ERP adapter passes.
package erptest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/services/erpwriter/erp"
)

// Harness is one ERP to put an adapter through the contract with. It may hold
// documents of earlier runs; every run uses references of its own.
type Harness struct {
	// Open makes an adapter of its own, whose HTTP transport is wrapped.
	Open func(t *testing.T, wrap func(http.RoundTripper) http.RoundTripper) erp.ERP
	// Quantity asks the ERP itself, not the adapter.
	Quantity func(t *testing.T, item inventory.Item, place string) inventory.Quantity
	// Foreign enters and finishes a receipt as a person would: with a business
	// number and without a reference.
	Foreign func(t *testing.T, r erp.Request)

	Item inventory.Item // known to the ERP; no other is
	// Place codes. Storage and Second hold stock, in different warehouses; State is
	// beside Storage in the same one; Road belongs to none.
	Supplier, Customer, Adjustment, Storage, State, Second, Road string
	Date                                                         string // not in the future
}

// Run exercises the contract.
func Run(t *testing.T, h Harness) {
	t.Run("moves stock at finish and not before", h.posts)
	t.Run("refuses a second document under one reference", h.twice)
	t.Run("takes up what a crash left open", h.crash)
	t.Run("has a document for every direction", h.directions)
	t.Run("posts an issue beyond stock", h.short)
	t.Run("refuses what it does not know for good", h.unknown)
	t.Run("survives the loss of any one answer", h.lost)
	t.Run("posts once when several post the same", h.concurrent)
	t.Run("finds and adopts what somebody else entered", h.business)
	t.Run("gives up when its caller does", h.cancelled)
	t.Run("does not read an endless answer", h.endless)
}

func plain(rt http.RoundTripper) http.RoundTripper { return rt }

// Ref makes a new reference.
func Ref() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func (h Harness) request(t inventory.MovementType, from, to string, units int64) erp.Request {
	ref := Ref()
	return erp.Request{
		Ref: ref, Entity: "acme", Type: t, Business: "N-" + ref[:12], BusinessType: "test",
		Lines:        []erp.Line{{Item: h.Item, From: from, To: to, Quantity: inventory.Quantity(units) * inventory.One, Unit: "EA"}},
		DocumentDate: h.Date, PostingDate: h.Date, Reason: "test",
	}
}

func (h Harness) posts(t *testing.T) {
	e := h.Open(t, plain)
	r := h.request(inventory.Receipt, h.Supplier, h.Storage, 7)
	before := h.Quantity(t, h.Item, h.Storage)
	if _, ok, err := e.Find(t.Context(), r.Ref); ok || err != nil {
		t.Fatalf("before anything: found %v, %v", ok, err)
	}
	d, err := e.Create(t.Context(), r)
	if err != nil || d.State != erp.Open {
		t.Fatalf("created %+v, %v", d, err)
	}
	h.expect(t, h.Storage, before, 0)
	if d, err = e.Finish(t.Context(), d); err != nil || d.State != erp.Done || d.Number == "" {
		t.Fatalf("finished %+v, %v", d, err)
	}
	h.expect(t, h.Storage, before, 7)
	got, ok, err := e.Find(t.Context(), r.Ref)
	if err != nil || !ok || got.State != erp.Done || got.Number != d.Number || !erp.SameGoods(got.Lines, r.Lines) {
		t.Fatalf("found %+v, %v, %v; want %+v", got, ok, err, d)
	}
	if got, err = e.Finish(t.Context(), got); err != nil || got.State != erp.Done {
		t.Fatalf("finished again: %+v, %v", got, err)
	}
	h.expect(t, h.Storage, before, 7)
}

func (h Harness) twice(t *testing.T) {
	e := h.Open(t, plain)
	r := h.request(inventory.Adjust, h.Adjustment, h.Storage, 3)
	before := h.Quantity(t, h.Item, h.Storage)
	post(t, e, r)
	if _, err := e.Create(t.Context(), r); !errors.Is(err, erp.ErrExists) {
		t.Fatalf("second create: %v, want ErrExists", err)
	}
	h.expect(t, h.Storage, before, 3)
}

func (h Harness) crash(t *testing.T) {
	for _, r := range []erp.Request{
		h.request(inventory.Receipt, h.Supplier, h.Storage, 2),
		h.request(inventory.Ship, h.Storage, h.Customer, 1),
		h.request(inventory.Adjust, h.Storage, h.Adjustment, 1),
	} {
		before := h.Quantity(t, h.Item, h.Storage)
		if _, err := h.Open(t, plain).Create(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		after := h.Open(t, plain) // a new process knows the plan and nothing else
		d, ok, err := after.Find(t.Context(), r.Ref)
		if err != nil || !ok || d.State != erp.Open || !erp.SameGoods(d.Lines, r.Lines) {
			t.Fatalf("found %+v, %v, %v", d, ok, err)
		}
		if d, err = after.Finish(t.Context(), d); err != nil || d.State != erp.Done {
			t.Fatalf("finished %+v, %v", d, err)
		}
		want := r.Lines[0].Quantity
		if r.Lines[0].From == h.Storage {
			want = -want
		}
		h.expect(t, h.Storage, before, int64(want/inventory.One))
	}
}

func (h Harness) directions(t *testing.T) {
	e := h.Open(t, plain)
	post(t, e, h.request(inventory.Receipt, h.Supplier, h.Storage, 100))
	for _, c := range []struct {
		name     string
		kind     inventory.MovementType
		from, to string
	}{
		{"receipt", inventory.Receipt, h.Supplier, h.Storage},
		{"receipt on the road", inventory.Receipt, h.Supplier, h.Road},
		{"issue", inventory.Ship, h.Storage, h.Customer},
		{"issue of what was picked", inventory.Ship, h.State, h.Customer},
		{"return", inventory.ReturnReceipt, h.Customer, h.State},
		{"return to vendor", inventory.ReturnToVendor, h.Storage, h.Supplier},
		{"found", inventory.Adjust, h.Adjustment, h.Storage},
		{"lost", inventory.Adjust, h.Storage, h.Adjustment},
		{"lost on the road", inventory.Adjust, h.Road, h.Adjustment},
		{"damaged", inventory.Damage, h.Storage, h.State},
		{"released", inventory.Release, h.State, h.Storage},
		{"sent", inventory.TransferOut, h.Storage, h.Road},
		{"arrived", inventory.TransferIn, h.Road, h.Second},
		{"between warehouses", inventory.TransferOut, h.Storage, h.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			outside := map[string]bool{h.Supplier: true, h.Customer: true, h.Adjustment: true}
			before := map[string]inventory.Quantity{c.from: h.Quantity(t, h.Item, c.from), c.to: h.Quantity(t, h.Item, c.to)}
			r := h.request(c.kind, c.from, c.to, 2)
			d := post(t, e, r)
			if d.Number == "" {
				t.Error("the document has no number")
			}
			if !outside[c.from] {
				h.expect(t, c.from, before[c.from], -2)
			}
			if !outside[c.to] {
				h.expect(t, c.to, before[c.to], 2)
			}
			if got, ok, err := e.Find(t.Context(), r.Ref); err != nil || !ok || got.State != erp.Done || !erp.SameGoods(got.Lines, r.Lines) {
				t.Errorf("found %+v, %v, %v", got, ok, err)
			}
		})
	}
}

func (h Harness) short(t *testing.T) {
	e := h.Open(t, plain)
	before := h.Quantity(t, h.Item, h.Second)
	units := max(int64(before/inventory.One), 0) + 5
	post(t, e, h.request(inventory.Ship, h.Second, h.Customer, units))
	h.expect(t, h.Second, before, -units)
	post(t, e, h.request(inventory.Receipt, h.Supplier, h.Second, units)) // the late receipt
	h.expect(t, h.Second, before, 0)
}

func (h Harness) unknown(t *testing.T) {
	e := h.Open(t, plain)
	for _, c := range []struct {
		name, code string
		edit       func(*erp.Line)
	}{
		{"item", erp.CodeUnknownItem, func(l *erp.Line) { l.Item = "NO-SUCH-ITEM" }},
		{"place", erp.CodeUnknownPlace, func(l *erp.Line) { l.To = "NO-SUCH-PLACE" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := h.request(inventory.Receipt, h.Supplier, h.Storage, 1)
			c.edit(&r.Lines[0])
			_, err := e.Create(t.Context(), r)
			var refused *erp.Error
			if !errors.As(err, &refused) || refused.Fate != erp.Permanent || refused.Code != c.code {
				t.Fatalf("got %v, want a permanent %s", err, c.code)
			}
			if _, ok, err := e.Find(t.Context(), r.Ref); ok || err != nil {
				t.Fatalf("found %v, %v after the refusal", ok, err)
			}
		})
	}
}

// lost loses the answer of the first call, then of the second, and so on, until a
// posting goes through without reaching that number.
func (h Harness) lost(t *testing.T) {
	for n := int32(1); ; n++ {
		l := &lossy{nth: n}
		e := h.Open(t, func(rt http.RoundTripper) http.RoundTripper { l.next = rt; return l })
		r := h.request(inventory.Ship, h.Storage, h.Customer, 1)
		before := h.Quantity(t, h.Item, h.Storage)
		if err := try(t.Context(), e, r); err != nil {
			t.Fatalf("answer %d lost: %v", n, err)
		}
		h.expect(t, h.Storage, before, -1)
		if l.calls.Load() < n {
			if n < 4 {
				t.Fatalf("a posting took only %d calls", l.calls.Load())
			}
			return
		}
	}
}

// lossy delivers every request, and loses the answer of the nth.
type lossy struct {
	next  http.RoundTripper
	nth   int32
	calls atomic.Int32
}

func (l *lossy) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.next.RoundTrip(r)
	if l.calls.Add(1) == l.nth && err == nil {
		_ = resp.Body.Close() // lost on purpose
		return nil, errors.New("connection reset")
	}
	return resp, err
}

func (h Harness) concurrent(t *testing.T) {
	r := h.request(inventory.Receipt, h.Supplier, h.Storage, 4)
	before := h.Quantity(t, h.Item, h.Storage)
	var wg sync.WaitGroup
	for range 4 {
		e := h.Open(t, plain)
		wg.Go(func() {
			if err := try(t.Context(), e, r); err != nil {
				t.Errorf("one of several: %v", err)
			}
		})
	}
	wg.Wait()
	h.expect(t, h.Storage, before, 4)
}

func (h Harness) business(t *testing.T) {
	e := h.Open(t, plain)
	r := h.request(inventory.Receipt, h.Supplier, h.Storage, 6)
	if docs, err := e.FindBusiness(t.Context(), r); err != nil || len(docs) != 0 {
		t.Fatalf("before anything: %+v, %v", docs, err)
	}
	h.Foreign(t, r)
	before := h.Quantity(t, h.Item, h.Storage)
	docs, err := e.FindBusiness(t.Context(), r)
	if err != nil || len(docs) != 1 || docs[0].State != erp.Done || !erp.SameGoods(docs[0].Lines, r.Lines) {
		t.Fatalf("found %+v, %v", docs, err)
	}
	if err := e.Adopt(t.Context(), docs[0], r.Ref); err != nil {
		t.Fatalf("adopting: %v", err)
	}
	d, ok, err := e.Find(t.Context(), r.Ref)
	if err != nil || !ok || d.State != erp.Done {
		t.Fatalf("after adoption: %+v, %v, %v", d, ok, err)
	}
	if err := e.Adopt(t.Context(), docs[0], Ref()); err == nil {
		t.Fatal("one document was adopted twice")
	}
	if again, err := e.FindBusiness(t.Context(), r); err != nil || len(again) != 0 {
		t.Fatalf("after adoption it is offered again: %+v, %v", again, err)
	}
	h.expect(t, h.Storage, before, 0)
}

func (h Harness) cancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := h.Open(t, plain).Find(ctx, Ref()); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want the caller's cancellation", err)
	}
}

func (h Harness) endless(t *testing.T) {
	e := h.Open(t, func(http.RoundTripper) http.RoundTripper { return endless{} })
	_, _, err := e.Find(t.Context(), Ref())
	var refused *erp.Error
	if !errors.As(err, &refused) || refused.Code != erp.CodeTooLarge {
		t.Fatalf("got %v, want %s", err, erp.CodeTooLarge)
	}
}

type endless struct{}

func (endless) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: r, Body: endlessBody{}}, nil
}

type endlessBody struct{}

func (endlessBody) Read(b []byte) (int, error) { clear(b); return len(b), nil }
func (endlessBody) Close() error               { return nil }

// expect checks a balance against what it was, in whole units.
func (h Harness) expect(t *testing.T, place string, before inventory.Quantity, units int64) {
	t.Helper()
	if got, want := h.Quantity(t, h.Item, place), before+inventory.Quantity(units)*inventory.One; got != want {
		t.Fatalf("%s at %s: %s, want %s (%s before)", h.Item, place, got, want, before)
	}
}

func post(t *testing.T, e erp.ERP, r erp.Request) erp.Document {
	t.Helper()
	d, err := e.Create(t.Context(), r)
	if err != nil {
		t.Fatalf("creating %s → %s: %v", r.Lines[0].From, r.Lines[0].To, err)
	}
	if d, err = e.Finish(t.Context(), d); err != nil || d.State != erp.Done {
		t.Fatalf("finishing %s → %s: %+v, %v", r.Lines[0].From, r.Lines[0].To, d, err)
	}
	return d
}

// try looks up and does what is missing, as the poster does, until it is done.
func try(ctx context.Context, e erp.ERP, r erp.Request) error {
	var last error
	for range 12 {
		d, ok, err := e.Find(ctx, r.Ref)
		if err == nil && !ok {
			d, err = e.Create(ctx, r)
		}
		if err == nil {
			d, err = e.Finish(ctx, d)
		}
		if err == nil && d.State == erp.Done {
			return nil
		}
		var refused *erp.Error
		if errors.As(err, &refused) && refused.Fate == erp.Permanent {
			return err
		}
		last = err
		if err := pause(ctx); err != nil {
			return err
		}
	}
	return errors.Join(errors.New("not done after "+strconv.Itoa(12)+" tries"), last)
}

// pause lets a busy ERP breathe between two tries.
func pause(ctx context.Context) error {
	select {
	case <-time.After(50 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

package simulated_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/simulate"
	"github.com/stockweave/stockweave/services/erpwriter/erp"
	"github.com/stockweave/stockweave/services/erpwriter/erp/erptest"
	"github.com/stockweave/stockweave/services/erpwriter/erp/simulated"
)

func TestContract(t *testing.T) {
	places := []string{"SUP", "CUS", "ADJ", "DC1", "DC1-D", "DC2", "ROAD"}
	e := simulate.NewERP(simulate.ERPOptions{Items: []string{"SKU-1"}, Places: places, Key: "k"})
	srv := httptest.NewServer(e)
	t.Cleanup(srv.Close)
	erptest.Run(t, erptest.Harness{
		Open: func(_ *testing.T, wrap func(http.RoundTripper) http.RoundTripper) erp.ERP {
			c := erp.NewClient(10 * time.Second)
			c.HTTP.Transport = wrap(c.HTTP.Transport)
			return simulated.New(simulated.Config{URL: srv.URL, Key: "k", Client: c})
		},
		Quantity: func(_ *testing.T, item inventory.Item, place string) inventory.Quantity {
			return e.Quantity(string(item), place)
		},
		Foreign: func(t *testing.T, r erp.Request) {
			t.Helper()
			l := r.Lines[0]
			d, err := e.Create(simulate.ERPDocument{Business: r.Business, Type: string(r.Type), Lines: []simulate.ERPLine{
				{Item: string(l.Item), From: l.From, To: l.To, Amount: l.Quantity.String()},
			}})
			if err == nil {
				_, err = e.Post(d.ID)
			}
			if err != nil {
				t.Fatal(err)
			}
		},
		Item: "SKU-1", Supplier: "SUP", Customer: "CUS", Adjustment: "ADJ",
		Storage: "DC1", State: "DC1-D", Second: "DC2", Road: "ROAD", Date: "2026-11-20",
	})
}

// Every scripted fault, at every operation, must end in one document.
func TestFaults(t *testing.T) {
	for _, op := range []simulate.ERPOperation{simulate.ERPFind, simulate.ERPCreate, simulate.ERPPost} {
		for _, fault := range []simulate.ERPFault{
			simulate.FaultDropAfter, simulate.FaultDropBefore, simulate.FaultErrorAfter, simulate.FaultErrorBefore,
			simulate.FaultThrottle, simulate.FaultUnavailable, simulate.FaultHang, simulate.FaultSlow,
			simulate.FaultGarbage, simulate.FaultHuge, simulate.FaultForeign,
		} {
			t.Run(string(op)+" "+string(fault), func(t *testing.T) {
				e := simulate.NewERP(simulate.ERPOptions{})
				srv := httptest.NewServer(e)
				t.Cleanup(srv.Close)
				a := simulated.New(simulated.Config{URL: srv.URL, Client: erp.NewClient(200 * time.Millisecond)})
				r := erp.Request{Ref: "0123", Type: inventory.Receipt, PostingDate: "2026-11-20", Lines: []erp.Line{
					{Item: "SKU-1", From: "SUP", To: "DC1", Quantity: 5 * inventory.One},
				}}
				e.Fail(op, fault)
				var last error
				for range 3 {
					d, ok, err := a.Find(t.Context(), r.Ref)
					if err == nil && !ok {
						d, err = a.Create(t.Context(), r)
					}
					if err == nil {
						_, err = a.Finish(t.Context(), d)
					}
					if last = err; err == nil {
						break
					}
				}
				if last != nil {
					t.Fatalf("never went through: %v", last)
				}
				if got := e.Quantity("SKU-1", "DC1"); got != 5*inventory.One {
					t.Fatalf("quantity %s, want 5", got)
				}
				if n := len(e.Documents("")); n != 1 {
					t.Fatalf("%d documents, want 1", n)
				}
				if e.Counters()["fault_"+string(fault)] != 1 {
					t.Fatal("the fault did not happen")
				}
			})
		}
	}
}

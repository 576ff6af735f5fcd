package canonicalizer

import (
	"reflect"
	"testing"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/inventory"
)

// A document without a number of its own is the same one when it is delivered again,
// and another one when it says something else; of two equal ones in a message both count.
func TestUnnumberedDocumentsAgain(t *testing.T) {
	set := load(t, shipped)
	_, m := world(t)
	for _, tc := range []struct{ source, body, other string }{
		{
			"erpnext", `{"doctype":"Stock Entry","purpose":"Material Receipt","docstatus":1,"posting_date":"2026-11-02","items":[{"item_code":"SKU-1","qty":2,"t_warehouse":"DC1"}]}`,
			`{"doctype":"Stock Entry","purpose":"Material Receipt","docstatus":1,"posting_date":"2026-11-03","items":[{"item_code":"SKU-1","qty":2,"t_warehouse":"DC1"}]}`,
		},
		{
			"erpnext", `[{"doctype":"Stock Entry","purpose":"Material Receipt","docstatus":1,"posting_date":"2026-11-02","items":[{"item_code":"SKU-1","qty":2,"t_warehouse":"DC1"}]},{"doctype":"Stock Entry","purpose":"Material Receipt","docstatus":1,"posting_date":"2026-11-02","items":[{"item_code":"SKU-1","qty":2,"t_warehouse":"DC1"}]}]`,
			`[{"doctype":"Stock Entry","purpose":"Material Receipt","docstatus":1,"posting_date":"2026-11-03","items":[{"item_code":"SKU-1","qty":2,"t_warehouse":"DC1"}]}]`,
		},
		{
			"dynamics", `[{"productId":"SKU-1","organizationId":"o","quantities":{"pos":{"inbound":1}},"dimensions":{"LocationId":"DC1"}},{"productId":"SKU-1","organizationId":"o","quantities":{"pos":{"inbound":1}},"dimensions":{"LocationId":"DC1"}}]`,
			`[{"productId":"SKU-1","organizationId":"o","quantities":{"pos":{"inbound":2}},"dimensions":{"LocationId":"DC1"}}]`,
		},
	} {
		p := programOf(t, set.Partners[inventory.Source(tc.source)])
		ids := map[string]int{}
		add := func(id, body string) (n int) {
			raw := &event.RawMessage{ID: id, Source: p.src.Name, Body: []byte(body), ReceivedAt: sampleTime}
			res, err := canonicalize(t.Context(), p, raw, m)
			if err != nil || len(res.Rejected)+len(res.Parked) > 0 {
				t.Fatalf("%s: %v, %+v %+v", tc.source, err, res.Rejected, res.Parked)
			}
			for _, x := range res.Milestones {
				ids[x.ID]++
				n++
			}
			return n
		}
		n := add("r1", tc.body)
		if add("r2", tc.body); n == 0 || len(ids) != n {
			t.Errorf("%s: %d lines, %d ids when delivered twice", tc.source, n, len(ids))
		}
		if more := add("r3", tc.other); len(ids) != n+more {
			t.Errorf("%s: another document has the same id", tc.source)
		}
	}
}

// A carrier's new estimate is a milestone of its own: what was scanned stays the same,
// to the byte.
func TestEstimatesLeaveScans(t *testing.T) {
	set := load(t, shipped)
	_, m := world(t)
	for source, bodies := range map[inventory.Source][2]string{
		"aftership": {
			`{"msg":{"tracking_number":"T1","slug":"dhl","tag":"InTransit","updated_at":"2026-11-02T10:00:00Z","expected_delivery":"2026-11-04","checkpoints":[{"tag":"InTransit","checkpoint_time":"2026-11-02T09:00:00Z"}]}}`,
			`{"msg":{"tracking_number":"T1","slug":"dhl","tag":"InTransit","updated_at":"2026-11-02T12:00:00Z","expected_delivery":"2026-11-05","checkpoints":[{"tag":"InTransit","checkpoint_time":"2026-11-02T09:00:00Z"}]}}`,
		},
		"easypost": {
			`{"object":"Tracker","tracking_code":"T1","carrier":"UPS","status":"in_transit","updated_at":"2026-11-02T10:00:00Z","est_delivery_date":"2026-11-04T00:00:00Z","tracking_details":[{"status":"in_transit","datetime":"2026-11-02T09:00:00Z"}]}`,
			`{"object":"Tracker","tracking_code":"T1","carrier":"UPS","status":"in_transit","updated_at":"2026-11-02T12:00:00Z","est_delivery_date":"2026-11-05T00:00:00Z","tracking_details":[{"status":"in_transit","datetime":"2026-11-02T09:00:00Z"}]}`,
		},
		"shippo": {
			`{"event":"track_updated","data":{"tracking_number":"T1","carrier":"usps","eta":"2026-11-04T00:00:00Z","tracking_status":{"status":"TRANSIT","status_date":"2026-11-02T09:00:00Z"}}}`,
			`{"event":"track_updated","data":{"tracking_number":"T1","carrier":"usps","eta":"2026-11-05T00:00:00Z","tracking_status":{"status":"TRANSIT","status_date":"2026-11-02T09:00:00Z"}}}`,
		},
	} {
		p := programOf(t, set.Partners[source])
		var scans, estimates []event.Milestone
		for _, body := range bodies {
			raw := &event.RawMessage{ID: "r", Source: source, Body: []byte(body), ReceivedAt: sampleTime}
			res, err := canonicalize(t.Context(), p, raw, m)
			if err != nil || len(res.Milestones) != 2 || len(res.Rejected) > 0 {
				t.Fatalf("%s: %v, %+v, %+v", source, err, res.Milestones, res.Rejected)
			}
			for _, x := range res.Milestones {
				if x.Trace = (inventory.Trace{}); x.Status == statusEstimated {
					estimates = append(estimates, x)
				} else {
					scans = append(scans, x)
				}
			}
		}
		if len(scans) != 2 || !reflect.DeepEqual(scans[0], scans[1]) {
			t.Errorf("%s: the scan differs: %+v", source, scans)
		}
		if len(estimates) != 2 || estimates[0].ID == estimates[1].ID || estimates[0].Due == estimates[1].Due {
			t.Errorf("%s: estimates %+v", source, estimates)
		}
	}
}

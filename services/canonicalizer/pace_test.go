package canonicalizer

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stockweave/stockweave/pkg/event"
)

// What may take a quarter of the time rests three quarters, and no longer than its
// caller waits.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		p := &pace{share: .25, now: time.Now}
		p.begin()
		for range 10 {
			time.Sleep(5 * time.Millisecond) // work, by the bubble's clock
			p.rest(t.Context())
		}
		if took := time.Since(began); took != 200*time.Millisecond {
			t.Errorf("50 ms of work took %v", took)
		}
		time.Sleep(time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began = time.Now()
		if p.rest(ctx); time.Since(began) != time.Second {
			t.Errorf("rested %v after its caller had gone", time.Since(began))
		}
		var none *pace
		none.begin()
		none.rest(t.Context())
	})
}

// A bulk message rests on its way, not only behind it.
func TestBulkRests(t *testing.T) {
	all, m := world(t)
	var body strings.Builder
	body.WriteString("count_id,sku,quantity\n")
	for i := range 10 * restEvery {
		fmt.Fprintf(&body, "C%d,SKU-1,5\n", i)
	}
	asked := 0
	p := &pace{share: .5, now: func() time.Time { asked++; return time.Time{} }}
	raw := &event.RawMessage{ID: "r", Source: "wms-count", Body: []byte(body.String()), ReceivedAt: sampleTime}
	if _, err := canonicalizeAt(t.Context(), all["wms-count"], raw, m, p); err != nil {
		t.Fatal(err)
	}
	if rests := (asked - 1) / 2; rests != 10 {
		t.Errorf("%d rests in %d rows", rests, 10*restEvery)
	}
}

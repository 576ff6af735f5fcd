package atpapi

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// TestWhereReadsComeFrom: the metrics of the copy say it, and an answer without a body has
// its freshness in a header.
func TestWhereReadsComeFrom(t *testing.T) {
	w := newWeb(t)
	w.flog.commit(t, w.codecs, "A", 3, map[inventory.Location]int64{"DC1": 10})
	w.run(t, 10)
	w.reader.local = newLocal(DefaultLocal())
	w.reader.local.begin("t1", map[int32]int64{0: w.flog.end})
	reg := prometheus.NewRegistry()
	if err := w.reader.local.register(reg, func() time.Time { return w.now }); err != nil {
		t.Fatal(err)
	}
	etag := w.get(t, "/v1/atp/A").Header().Get("ETag")
	rec := w.get(t, "/v1/atp/A", "If-None-Match", etag)
	if got := rec.Header().Get("Stockweave-Freshness"); rec.Code != 304 || got != `age_ms=0, caught_up, recorded_at="2023-11-14T22:13:20.003Z"` {
		t.Errorf("%d %s", rec.Code, got)
	}
	w.mini.SetError("away")
	w.now = w.now.Add(2 * time.Second)
	rec = w.get(t, "/v1/atp/A", "If-None-Match", etag)
	if got := rec.Header().Get("Stockweave-Freshness"); rec.Code != 304 || got != `age_ms=2000, caught_up=?0, recorded_at="2023-11-14T22:13:20.003Z", copy_ms=2000, stale` {
		t.Errorf("%d %s", rec.Code, got)
	}
	want := `
# HELP stockweave_atp_api_copy_items Items in the local copy.
# TYPE stockweave_atp_api_copy_items gauge
stockweave_atp_api_copy_items 1
# HELP stockweave_atp_api_copy_reads_total Items read, by where from: the copy, the copy by a mark that Redis was asked for, redis, or the copy as stale while Redis does not say.
# TYPE stockweave_atp_api_copy_reads_total counter
stockweave_atp_api_copy_reads_total{from="copy"} 0
stockweave_atp_api_copy_reads_total{from="mark"} 1
stockweave_atp_api_copy_reads_total{from="redis"} 1
stockweave_atp_api_copy_reads_total{from="stale"} 1
`
	if err := testutil.GatherAndCompare(reg, strings.NewReader(want), "stockweave_atp_api_copy_reads_total", "stockweave_atp_api_copy_items"); err != nil {
		t.Error(err)
	}
}

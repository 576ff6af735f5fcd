package kill_test

import (
	"context"
	"fmt"
	"os"
	"time"
)

func debugSample(ctx context.Context, w *world, d *delivery) {
	for sleep(ctx, 100*time.Millisecond) {
		w.tail.Lock()
		fmt.Fprintf(os.Stderr, "SAMPLE %s acked %d raws %d receipts %d events %d outcomes %d positions %d postings %d results %d\n", time.Now().Format("05.000"), d.acked.Load(), w.tail.Raws, len(w.tail.Receipts), len(w.tail.Events), len(w.tail.Outcomes), len(w.tail.History), len(w.tail.Postings), len(w.tail.Results))
		w.tail.Unlock()
	}
}

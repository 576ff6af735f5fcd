//go:build bench && linux

package bench

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stockweave/stockweave/test/stack"
)

const (
	millionItems  = 1_000_000
	reloadReaders = 4
	reloadWithin  = 5 * time.Minute
)

// million fills Redis with a million items, loses them all, and reads them while they
// come back: what Redis takes of memory, how long the reload lasts, and what readers are
// answered meanwhile. An answer is right or it is 503 with Retry-After; any other fails.
func million(t *testing.T) []row {
	t.Helper()
	s := stack.New(t, stack.Options{Partitions: partitions, Policies: leastPolicies(t)})
	rdb := redis.NewClient(&redis.Options{Addr: s.Redis.Addr()})
	defer rdb.Close()
	before := usedBytes(t, rdb)
	payload := positions(t, s, millionItems)
	api := serveAPI(t, s, "million", false)
	loadedAPI(t, api.url, millionItems)
	memory := float64(usedBytes(t, rdb)-before-payload) / millionItems

	stop := make(chan struct{})
	counts := make([]reloadCount, reloadReaders)
	var readers sync.WaitGroup
	for i := range counts {
		readers.Go(func() { counts[i].read(t, api.url, stop) })
	}
	began := time.Now()
	if err := rdb.FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	// Every partition is whole again when all that were asked for last of it are there.
	loadedKeys(t, rdb, millionItems)
	loadedAPI(t, api.url, millionItems)
	took := time.Since(began)
	close(stop)
	readers.Wait()
	var all reloadCount
	for _, c := range counts {
		all.answered += c.answered
		all.away += c.away
		all.took = append(all.took, c.took...)
	}
	if all.answered == 0 || all.away == 0 {
		t.Errorf("%d answers and %d refusals: readers did not see the reload", all.answered, all.away)
	}
	slices.Sort(all.took)
	return []row{
		{Name: "redis.bytes_an_item", Unit: "bytes", Value: memory, Bar: "≤ 300"},
		{Name: "reload.items_per_s", Unit: "1/s", Value: millionItems / took.Seconds()},
		{Name: "reload.s", Unit: "s", Value: took.Seconds()},
		{Name: "reload.answered", Value: float64(all.answered)},
		{Name: "reload.refused_503", Value: float64(all.away)},
		{Name: "reload.read_p99_ms", Unit: "ms", Value: float64(all.took[len(all.took)*99/100].Microseconds()) / 1000},
	}
}

// reloadCount is what one reader was answered.
type reloadCount struct {
	answered, away int
	took           []time.Duration // of all
}

// read asks for items at random until the end.
func (c *reloadCount) read(t *testing.T, url string, stop <-chan struct{}) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1}, Timeout: time.Minute}
	defer client.CloseIdleConnections()
	for {
		select {
		case <-stop:
			return
		default:
		}
		n := rand.IntN(millionItems) //nolint:gosec // any item will do
		began := time.Now()
		resp, err := client.Get(url + "/v1/atp/" + readItem(n) + "?entity=acme")
		if err != nil {
			t.Error(err)
			return
		}
		body, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		c.took = append(c.took, time.Since(began))
		switch {
		case err != nil:
			t.Error(err)
			return
		case resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
			c.away++
			continue
		}
		var a struct {
			ATP     string `json:"atp"`
			Version int64  `json:"version"`
		}
		if err := json.Unmarshal(body, &a); err != nil || resp.StatusCode != http.StatusOK || a.Version != int64(n+1) || a.ATP != strconv.Itoa(n%1000) {
			t.Errorf("%s: %d %s %v, want version %d and %d", readItem(n), resp.StatusCode, body, err, n+1, n%1000)
			return
		}
		c.answered++
	}
}

// loadedKeys waits until Redis has at least n keys.
func loadedKeys(t *testing.T, rdb *redis.Client, n int64) {
	t.Helper()
	for deadline := time.Now().Add(reloadWithin); ; time.Sleep(20 * time.Millisecond) {
		have, err := rdb.DBSize(t.Context()).Result()
		if err != nil {
			t.Fatal(err)
		}
		if have >= n {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal(fmt.Errorf("redis has %d keys after %v", have, reloadWithin))
		}
	}
}

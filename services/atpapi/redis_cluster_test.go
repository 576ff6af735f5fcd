package atpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// clusterOfThree starts a cluster of Redis whose slots are shared evenly, and says who is
// who.
func clusterOfThree(t *testing.T) (nodes [3]*server, clients [3]*redis.Client, ids [3]string) {
	t.Helper()
	ctx := t.Context()
	for i := range nodes {
		port := freePort(t)
		nodes[i] = newServer(t, "--cluster-enabled", "yes", "--cluster-port", port, "--cluster-node-timeout", "3000")
		nodes[i].start(t)
		clients[i] = redis.NewClient(&redis.Options{Addr: nodes[i].addr})
		t.Cleanup(func() { _ = clients[i].Close() })
		ids[i] = clients[i].Do(ctx, "cluster", "myid").Val().(string)
		from, to := i*5461, (i+1)*5461-1
		if i == 2 {
			to = 16383
		}
		if err := clients[i].ClusterAddSlotsRange(ctx, from, to).Err(); err != nil {
			t.Fatal(err)
		}
		if i > 0 {
			if err := clients[0].Do(ctx, "cluster", "meet", "127.0.0.1", nodes[i].port(), port).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for i := range clients {
		eventually(t, "the cluster stands", func() bool {
			text := clients[i].ClusterInfo(ctx).Val()
			return strings.Contains(text, "cluster_state:ok") && strings.Contains(text, "cluster_known_nodes:3")
		})
	}
	return nodes, clients, ids
}

// TestListOnACluster: the pages of a list go through all servers, each item is on one, and
// a place in the keys of a server that was another process is none.
func TestListOnACluster(t *testing.T) {
	t.Parallel()
	nodes, clients, _ := clusterOfThree(t)
	r := newRoad(t)
	const items = 120
	for i := range items {
		r.write(t, kgo.TryCommit, fmt.Sprintf("I%d", i), int64(i+1), map[inventory.Location]int64{"DC1": int64(i)})
	}
	at, _ := r.serve(t, nodes[0].addr, func(c *Config) {
		c.Redis.Addresses, c.Redis.Cluster = []string{nodes[0].addr, nodes[1].addr}, true
	})
	type listed struct {
		Items []struct{ Item, ATP string }
		Next  string
		Code  string
	}
	list := func(after string) (int, listed) {
		t.Helper()
		status, body := fetched(t, http.MethodGet, at+"/v1/atp?limit=7"+after, "")
		var p listed
		if err := json.Unmarshal(body, &p); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		return status, p
	}
	eventually(t, "all is loaded", func() bool {
		status, _ := get(t, at, fmt.Sprintf("I%d", items-1))
		listable, _ := list("")
		return status == http.StatusOK && listable == http.StatusOK
	})
	holding := 0
	for _, c := range clients {
		if keys, _, err := c.Scan(t.Context(), 0, "sw:{p*}:i:*", 10_000).Result(); err != nil || len(keys) == items {
			t.Fatalf("one server has all: %d, %v", len(keys), err)
		} else if len(keys) > 0 {
			holding++
		}
	}
	if holding < 2 {
		t.Fatalf("%d servers have items", holding)
	}
	got, nexts := map[string]string{}, []string{}
	for after := ""; ; {
		status, p := list(after)
		if status != http.StatusOK {
			t.Fatalf("%d %+v", status, p)
		}
		for _, it := range p.Items {
			got[it.Item] = it.ATP
		}
		if p.Next == "" {
			break
		}
		after = "&after=" + url.QueryEscape(p.Next)
		nexts = append(nexts, p.Next)
	}
	for i := range items {
		if name := fmt.Sprintf("I%d", i); got[name] != fmt.Sprint(i) {
			t.Errorf("%s: %q", name, got[name])
		}
	}
	if len(got) != items || len(nexts) < holding {
		t.Errorf("%d items on %d pages", len(got), len(nexts)+1)
	}
	var servers []int
	for _, next := range nexts {
		c, err := parseCursor(next)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(servers, c.node) {
			servers = append(servers, c.node)
		}
		c.life++
		if status, p := list("&after=" + c.String()); status != http.StatusGone || p.Code != "cursor_expired" {
			t.Errorf("of another process: %d %s", status, p.Code)
		}
		c.life, c.node = c.life-1, (c.node+1)%len(nodes)
		if status, p := list("&after=" + c.String()); status != http.StatusGone || p.Code != "cursor_expired" {
			t.Errorf("of another server: %d %s", status, p.Code)
		}
	}
	if len(servers) < holding {
		t.Errorf("pages begin at servers %v, of %d that have items", servers, holding)
	}
}

package policy

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/policies"
)

// aSource is a file of a source.
func aSource(name string) string {
	return "name: " + name + "\nentity: e\nformat: json\nauth: {api_key_env: K}\nmapping_version: \"1\"\nmapping: \"[]\"\n"
}

const channel = "name: a\ntype: simulated\nentity: e\n"

// TestPromiseFaults: every fault of what promises are made by, with its place and
// its code.
func TestPromiseFaults(t *testing.T) {
	for _, tc := range []struct {
		name  string
		files map[string]string
		want  []string // all of them, sorted by file and place
	}{
		{"a location twice", map[string]string{"atp/a.yaml": "groups:\n  web: [A, B, A]\n"}, []string{`atp/a.yaml:2:15: groups.web[2]: "A" stands there twice (duplicate)`}},
		{"a group in two files", map[string]string{"atp/a.yaml": "groups: {web: [A]}\n", "atp/b.yaml": "horizon: 3\ngroups:\n  web: [B]\n"}, []string{"atp/b.yaml:3:8: groups.web: another file has it already (duplicate)"}},
		{"a group's name", map[string]string{"atp/a.yaml": "groups: {Web Shop: [A]}\n"}, []string{"atp/a.yaml:1:20: groups.Web Shop: a name has lower-case letters, digits, - and _ only, at most 63 (bad_shape)"}},
		{"keep days in two files, zero too", map[string]string{"atp/a.yaml": "keep_days: 0\n", "atp/b.yaml": "keep_days: 4\n"}, []string{"atp/b.yaml:1:1: keep_days: another file has it already (duplicate)"}},
		{
			"safety stock in two files",
			map[string]string{"atp/a.yaml": "safety_stock: [{entity: e, item: i, quantity: 1}]\n", "atp/b.yaml": "safety_stock: [{entity: e, item: i, quantity: -2}]\n"},
			[]string{"atp/b.yaml:1:17: safety_stock[0]: another file has it already (duplicate)"},
		},
		{
			"supply of a location",
			map[string]string{
				"atp/a.yaml": "supply_at:\n  - {location: A, counts: none, keep_days: 3}\n  - {location: A}\n",
				"atp/b.yaml": "supply_at:\n  - {location: A}\n",
				"atp/c.yaml": "supply_at:\n  - {location: B, counts: undated}\n",
			},
			[]string{
				"atp/a.yaml:2:33: supply_at[0].keep_days: no supply counts there (conflicting)", "atp/a.yaml:3:6: supply_at[1]: stands there twice (duplicate)",
				"atp/b.yaml:2:6: supply_at[0]: stands there twice (duplicate)", "atp/c.yaml:2:19: supply_at.0.counts: value must be one of 'dated', 'none' (bad_shape)",
			},
		},
		{
			"time zones",
			map[string]string{"atp/a.yaml": "time_zones:\n  - {location: A, zone: Mars/Base}\n  - {location: B, zone: Local}\n  - {location: B, zone: UTC}\n"},
			[]string{
				`atp/a.yaml:2:6: time_zones[0]: a location and an IANA time zone, not "Mars/Base" (bad_time_zone)`,
				`atp/a.yaml:3:6: time_zones[1]: a location and an IANA time zone, not "Local" (bad_time_zone)`,
				"atp/a.yaml:4:6: time_zones[2]: stands there twice (duplicate)",
			},
		},
		{
			"kits",
			map[string]string{
				"atp/a.yaml": "kits:\n  - entity: e\n    item: K\n    parts:\n      - {item: A, quantity: 1}\n      - {item: A, quantity: 2}\n      - {item: K, quantity: 1}\n      - {item: B, quantity: 0}\n",
				"atp/b.yaml": "kits:\n  - {entity: e, item: L, parts: [{item: K, quantity: 1}]}\n  - {entity: e, item: K, parts: [{item: B, quantity: 1}]}\n",
			},
			[]string{
				`atp/a.yaml:6:10: kits[0].parts[1]: "A" stands there twice (duplicate)`, "atp/a.yaml:7:10: kits[0].parts[2]: a kit is no part of itself (kit_of_kit)",
				"atp/a.yaml:8:19: kits[0].parts[3].quantity: must be above zero (out_of_range)",
				`atp/b.yaml:2:35: kits[0].parts[0]: "K" is a kit itself: name its parts (kit_of_kit)`, "atp/b.yaml:3:6: kits[1]: stands there twice (duplicate)",
			},
		},
		{"a kit of nothing", map[string]string{"atp/a.yaml": "kits:\n  - {entity: e, item: K, parts: []}\n"}, []string{"atp/a.yaml:2:33: kits.0.parts: minItems: got 0, want 1 (bad_shape)"}},
		{
			"overrides",
			map[string]string{
				"channels/a.yaml": channel + "locations: [A]\n",
				"atp/a.yaml": "overrides:\n" +
					"  - {kind: stop_sell, author: ' '}\n" +
					"  - {kind: set_quantity, author: ana, quantity: 3}\n" +
					"  - {kind: stop_sell, author: ana, quantity: 3}\n" +
					"  - {kind: stop_sell, author: ana, until: 2026-11-24T10:00:00 noon}\n" +
					"  - {kind: stop_sell, author: ana, from: 2026-11-24T10:00:00Z, until: 2026-11-24T11:00:00+01:00}\n" +
					"  - {kind: stop_sell, author: ana, channel: fax}\n" +
					"  - {kind: stop_sell, author: ana, channel: a, reason: recall}\n",
			},
			[]string{
				"atp/a.yaml:2:23: overrides[0].author: somebody must answer for it (no_author)", "atp/a.yaml:3:6: overrides[1].until: a set quantity needs an end (no_end)",
				"atp/a.yaml:4:36: overrides[2].quantity: zero or more, and none for stop_sell (bad_quantity)", "atp/a.yaml:5:36: overrides[3].until: RFC 3339, with its offset (bad_time)",
				"atp/a.yaml:6:64: overrides[4].until: must be after from (bad_time)", `atp/a.yaml:7:36: overrides[5].channel: no file of channels is named "fax" (unknown_channel)`,
			},
		},
		{
			"silent owners",
			map[string]string{
				"atp/a.yaml": "silence:\n" +
					"  - {owner: wms, location: A, heartbeat: 0s, then: hold}\n" +
					"  - {owner: erp, location: A, heartbeat: 721h, then: zero}\n" +
					"  - {owner: wms, location: B, heartbeat: 1h, then: haircut}\n" +
					"  - {owner: wms, location: C, heartbeat: 1h, then: zero, haircut: 5}\n" +
					"  - {owner: wms, location: D, heartbeat: 1h, then: haircut, haircut: 100.5}\n" +
					"  - {owner: wms, location: E, heartbeat: 1h, then: fallback}\n" +
					"  - {owner: wms, location: E2, heartbeat: 1h, then: hold, fallback: erp}\n" +
					"  - {owner: wms, location: E3, heartbeat: 1h, then: fallback, fallback: wms}\n" +
					"  - {owner: wms, location: E4, heartbeat: 1h, then: fallback, fallback: fax}\n" +
					"  - {owner: wms, heartbeat: 1h, then: hold}\n" +
					"  - {owner: wms, entity: e, location: F, heartbeat: 1h, then: zero}\n" +
					"  - {owner: fax, location: F, heartbeat: 1h, then: zero}\n", "sources/wms.yaml": aSource("wms"), "sources/erp.yaml": aSource("erp"),
				"atp/b.yaml": "silence:\n  - {owner: erp, heartbeat: 1h, then: zero}\n",
			},
			[]string{
				`atp/a.yaml:10:63: silence[8].fallback: no file of sources is named "fax" (unknown_source)`,
				"atp/a.yaml:12:6: silence[10]: silence[9] stands before it and decides all of it: the most specific goes first (unreachable)",
				`atp/a.yaml:13:6: silence[11].owner: no file of sources is named "fax" (unknown_source)`,
				"atp/a.yaml:2:31: silence[0].heartbeat: must be above 0 and at most 720h0m0s (out_of_range)",
				"atp/a.yaml:3:31: silence[1].heartbeat: must be above 0 and at most 720h0m0s (out_of_range)",
				"atp/a.yaml:4:6: silence[2].haircut: is given with the action haircut, and only with it (conflicting)",
				"atp/a.yaml:5:58: silence[3].haircut: is given with the action haircut, and only with it (conflicting)",
				"atp/a.yaml:6:61: silence[4].haircut: is a share from 0 to 100 per cent (out_of_range)",
				"atp/a.yaml:7:6: silence[5].fallback: is given with the action fallback, and only with it (conflicting)",
				"atp/a.yaml:8:59: silence[6].fallback: is given with the action fallback, and only with it (conflicting)",
				"atp/a.yaml:9:63: silence[7].fallback: is the owner itself (conflicting)",
				"atp/b.yaml:2:3: silence: another file has it already (duplicate)",
			},
		},
		{"a heartbeat that is none", map[string]string{"atp/a.yaml": "silence:\n  - {owner: wms, heartbeat: often, then: hold}\n"}, []string{"atp/a.yaml:2:18: silence.0.heartbeat: 'often' does not match pattern '^([0-9]+([.][0-9]+)?(ms|s|m|h))+$' (bad_shape)"}},
		{"another action", map[string]string{"atp/a.yaml": "silence:\n  - {owner: wms, heartbeat: 1h, then: guess}\n"}, []string{"atp/a.yaml:2:33: silence.0.then: value must be one of 'hold', 'haircut', 'zero', 'fallback' (bad_shape)"}},
		{"an override nobody made", map[string]string{"atp/a.yaml": "overrides:\n  - {kind: stop_sell}\n"}, []string{"atp/a.yaml:2:6: overrides.0: missing property 'author' (bad_shape)"}},
		{"an override of no kind", map[string]string{"atp/a.yaml": "overrides:\n  - {author: ana, kind: sell}\n"}, []string{"atp/a.yaml:2:19: overrides.0.kind: value must be one of 'stop_sell', 'set_quantity' (bad_shape)"}},
		{"a velocity below zero", map[string]string{"atp/a.yaml": "items:\n  - {entity: e, item: A, velocity: \"-1\"}\n"}, []string{"atp/a.yaml:2:26: items.0.velocity: '-1' does not match pattern '^[0-9]+([.][0-9]{1,4})?$' (bad_shape)"}},

		{
			"a channel's terms",
			map[string]string{"channels/a.yaml": channel + "locations: [A, A]\nshare: 50\nring_fences:\n  - {quantity: 5}\n  - {item: X, quantity: 5}\n  - {item: X, quantity: 6}\n"},
			[]string{
				`channels/a.yaml:4:16: locations[1]: "A" stands there twice (duplicate)`, "channels/a.yaml:5:1: share: what is set aside of every item takes the place of the share (conflicting)",
				"channels/a.yaml:9:6: ring_fences[2]: stands there twice (duplicate)",
			},
		},
		{"a basis", map[string]string{"channels/a.yaml": channel + "locations: [A]\nbasis: total\n"}, []string{"channels/a.yaml:5:1: basis: value must be one of 'net', 'gross' (bad_shape)"}},
		{"a group nobody has", map[string]string{"channels/a.yaml": channel + "group: g\n"}, []string{`channels/a.yaml:4:1: group: no file of atp has a group "g" (unknown_group)`}},
		{
			"a ring-fence another list of locations reaches over",
			map[string]string{
				"channels/a.yaml": channel + "locations: [A, B]\nring_fences: [{quantity: 5}]\n",
				"channels/b.yaml": strings.Replace(channel, "name: a", "name: b", 1) + "locations: [B, A]\n",
				"channels/c.yaml": strings.Replace(channel, "name: a", "name: c", 1) + "locations: [B]\n",
				"channels/d.yaml": strings.Replace(channel, "name: a", "name: d", 1) + "locations: [C]\n",
			},
			[]string{"channels/a.yaml:5:14: ring_fences: c sells from some of the same locations, but not from all: it would not keep off what is set aside (fence_overlap)"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			set, err := LoadFS(folder(tc.files))
			if err == nil || set != nil {
				t.Fatal("accepted")
			}
			var got []string
			for _, e := range flatten(err) {
				if f, ok := errors.AsType[*Fault](e); !ok || f.Code == "" {
					t.Errorf("%v has no code", e)
				}
				got = append(got, e.Error())
			}
			slices.Sort(got)
			if !slices.Equal(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}

const everything = `horizon: 14
keep_days: 2
supply_at: [{location: A, keep_days: 0}, {location: B, counts: none}, {location: C, counts: dated}]
groups: {web: [A, B], all: [B, C, A]}
time_zones: [{location: A, zone: Europe/Berlin}, {entity: e, location: A, zone: America/New_York}]
items: [{entity: e, item: X, class: A, velocity: 2.5}]
kits: [{entity: e, item: K, parts: [{item: Y, quantity: 1.5}, {item: X, quantity: "2"}]}]
safety_stock: [{entity: e, item: X, quantity: -4}]
overrides:
  - {kind: set_quantity, entity: e, item: X, location: A, channel: a, quantity: 3, from: 2026-11-24T10:00:00Z, until: 2026-11-24T12:00:00+01:00, author: ana, reason: why, made_at: 2026-11-23T10:00:00Z}
  - {kind: stop_sell, item: Y, author: ben}
  - {kind: stop_sell, entity: other, author: cy}
silence:
  - {entity: e, location: A, owner: wms, heartbeat: 6h, then: haircut, haircut: 12.5}
  - {owner: wms, location: B, heartbeat: 90m, then: fallback, fallback: erp}
  - {owner: wms, heartbeat: 90m, then: hold}
`

// TestPromises: what stands in the files is what Promise is asked, straight from the
// files and by way of what is published.
func TestPromises(t *testing.T) {
	set, err := LoadFS(folder(map[string]string{
		"ownership/ledger.yaml": "version: 5\n", "atp/a.yaml": everything, "sources/wms.yaml": aSource("wms"), "sources/erp.yaml": aSource("erp"),
		"channels/a.yaml": channel + "group: web\nshare: 40\nrank: 2\nring_fences: [{item: Z, quantity: 1}]\nsafety: [{class: A, velocity: 2, quantity: 1, days: 3}]\nbuffer: 1\ncap: 9\nunit: 0.5\nbasis: gross\nurl_env: A_URL\nsecret_env: A_SECRET\nlistings: {X: L-1}\n",
		"channels/b.yaml": strings.Replace(channel, "name: a", "name: b", 1) + "locations: [B, A]\nrank: 1\nring_fences: [{quantity: 7}, {item: Z, quantity: 8}]\n",
		"channels/c.yaml": strings.Replace(channel, "name: a", "name: c", 1) + "locations: [B, A]\nrank: 1\nitems: [Y]\nring_fences: [{quantity: 6}]\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(set.ATPContent), "A_SECRET") || strings.Contains(string(set.ATPContent), "A_URL") || len(set.ATPHash) != 64 {
		t.Errorf("content %s, hash %s", set.ATPContent, set.ATPHash)
	}
	own, err := NewPromises(&set.ATP, set.Channels)
	if err != nil {
		t.Fatal(err)
	}
	published, err := DecodeATP(set.ATPContent)
	if err != nil {
		t.Fatal(err)
	}
	for name, p := range map[string]*Promises{"own": own, "published": published} {
		t.Run(name, func(t *testing.T) { checkPromises(t, p) })
	}
	// The same policy gives the same bytes, however its files are cut.
	again, err := LoadFS(folder(map[string]string{
		"sources/wms.yaml":      aSource("wms"),
		"sources/erp.yaml":      aSource("erp"),
		"ownership/ledger.yaml": "version: 5\n", "atp/a.yaml": strings.SplitAfter(everything, "keep_days: 2\n")[0], "atp/b.yaml": strings.SplitAfter(everything, "keep_days: 2\n")[1],
		"channels/z.yaml": channel + "group: web\nshare: 40\nrank: 2\nring_fences: [{item: Z, quantity: 1}]\nsafety: [{class: A, velocity: 2, quantity: 1, days: 3}]\nbuffer: 1\ncap: 9\nunit: 0.5\nbasis: gross\nlistings: {X: L-1}\n",
		"channels/b.yaml": strings.Replace(channel, "name: a", "name: b", 1) + "locations: [B, A]\nrank: 1\nring_fences: [{quantity: 7}, {item: Z, quantity: 8}]\n",
		"channels/c.yaml": strings.Replace(channel, "name: a", "name: c", 1) + "locations: [B, A]\nrank: 1\nitems: [Y]\nring_fences: [{quantity: 6}]\n",
	}))
	if err != nil || again.ATPHash != set.ATPHash {
		t.Errorf("%v: %s\nis not\n%s", err, again.ATPContent, set.ATPContent)
	}
}

// TestSilenceIsNoMatterOfTheLedger: another rule for silent owners is another policy
// of promises, and the same policy of the ledger.
func TestSilenceIsNoMatterOfTheLedger(t *testing.T) {
	load := func(silence string) *Set {
		t.Helper()
		set, err := LoadFS(folder(map[string]string{
			"ownership/ledger.yaml": "version: 5\n", "atp/a.yaml": "horizon: 3\n" + silence, "sources/wms.yaml": aSource("wms"),
		}))
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	none, hour, day := load(""), load("silence: [{owner: wms, heartbeat: 1h, then: zero}]\n"), load("silence: [{owner: wms, heartbeat: 24h, then: zero}]\n")
	if none.LedgerHash != hour.LedgerHash || hour.LedgerHash != day.LedgerHash {
		t.Error("the ledger's policy is another one")
	}
	if none.ATPHash == hour.ATPHash || hour.ATPHash == day.ATPHash {
		t.Error("the policy of promises is the same")
	}
}

func checkPromises(t *testing.T, p *Promises) {
	const one = inventory.One
	key := func(i inventory.Item) inventory.Key { return inventory.Key{Entity: "e", Item: i} }
	ask := func(i inventory.Item, channel string) *inventory.Question {
		a := Ask{Key: key(i), Positions: func(k inventory.Key) []inventory.Position { return []inventory.Position{{Key: k}} }}
		if channel != "" {
			c, ok := p.Channel(channel)
			if !ok {
				t.Fatalf("no channel %s", channel)
			}
			a.Channel = c
		}
		return p.Question(&a)
	}
	q := ask("X", "a")
	if q.Terms.Horizon != 14 || q.Terms.KeepDays != 2 || len(q.Terms.At) != 3 || q.Terms.At["A"] != (inventory.SupplyTerms{}) ||
		q.Terms.At["B"] != (inventory.SupplyTerms{None: true, KeepDays: 2}) || q.Terms.At["C"] != (inventory.SupplyTerms{KeepDays: 2}) {
		t.Errorf("terms %+v", q.Terms)
	}
	if p.Version() != 5 || !slices.Equal(q.Group, []inventory.Location{"A", "B"}) || q.Class != "A" || q.Velocity != 25_000 || q.Kit != nil {
		t.Errorf("version %d, question %+v", p.Version(), q)
	}
	c := q.Channel
	if c.Name != "a" || !c.Gross || c.Rule != (inventory.ChannelRule{Share: 4_000, Buffer: one, Cap: 9 * one, Unit: one / 2}) ||
		!slices.Equal(c.Safety, []inventory.SafetyRule{{Class: "A", Velocity: 2 * one, Quantity: one, Days: 3}}) {
		t.Errorf("terms of the channel %+v", c)
	}
	// By rank, then name; an item's own before that of all; only of items it lists.
	for item, want := range map[inventory.Item][]inventory.RingFence{
		"X": {{Channel: "b", Quantity: 7 * one}},
		"Y": {{Channel: "b", Quantity: 7 * one}, {Channel: "c", Quantity: 6 * one}},
		"Z": {{Channel: "b", Quantity: 8 * one}, {Channel: "a", Quantity: one}},
	} {
		if got := ask(item, "a").Channel.Fences; !slices.Equal(got, want) {
			t.Errorf("%s: ring-fences %v, want %v", item, got, want)
		}
	}
	authors := func(q *inventory.Question) (out []string) {
		for _, o := range q.Overrides {
			out = append(out, o.Author)
		}
		return out
	}
	// A kit's parts bring theirs with them.
	if x, k, z := authors(q), authors(ask("K", "")), authors(ask("Z", "")); !slices.Equal(x, []string{"cy", "ana"}) ||
		!slices.Equal(k, []string{"cy", "ben", "ana"}) || !slices.Equal(z, []string{"cy"}) {
		t.Errorf("overrides of X %v, of K %v, of Z %v", x, k, z)
	}
	at := func(text string) inventory.Instant {
		when, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return inventory.Instant(when.UnixMilli())
	}
	want := inventory.Override{
		Kind: inventory.SetQuantity, Entity: "e", Item: "X", Location: "A", Channel: "a", Quantity: 3 * one,
		From: at("2026-11-24T10:00:00Z"), Until: at("2026-11-24T11:00:00Z"), Author: "ana", Reason: "why", MadeAt: at("2026-11-23T10:00:00Z"),
	}
	if q.Overrides[1] != want {
		t.Errorf("%+v, want %+v", q.Overrides[1], want)
	}
	for now, epoch := range map[inventory.Instant]int{want.From - 1: 0, want.From: 1, want.Until - 1: 1, want.Until: 2} {
		if got := p.Epoch(now); got != epoch {
			t.Errorf("epoch at %d is %d, want %d", now, got, epoch)
		}
	}
	rules := []inventory.SilenceRule{
		{Entity: "e", Location: "A", Owner: "wms", Heartbeat: 6 * 3_600_000, Then: inventory.SilenceHaircut, Haircut: 125_000},
		{Location: "B", Owner: "wms", Heartbeat: 90 * 60_000, Then: inventory.SilenceFallback, Fallback: "erp"},
		{Owner: "wms", Heartbeat: 90 * 60_000, Then: inventory.SilenceHold},
	}
	if !slices.Equal(q.Silence, rules) || !slices.Equal(p.Silence(), rules) || p.Heartbeat() != 6*time.Hour {
		t.Errorf("silent owners %+v, %s", q.Silence, p.Heartbeat())
	}
	kit := ask("K", "").Kit
	if len(kit) != 2 || kit[0].Key != key("Y") || kit[0].PerKit != 15_000 || kit[1].Key != key("X") || kit[1].PerKit != 2*one || kit[1].Positions[0].Key != key("X") {
		t.Errorf("kit %+v", kit)
	}
	if p.Kit(key("K"))[0].Positions != nil {
		t.Error("a question changed the policy")
	}
	if !slices.Equal(p.Kits(), []inventory.Key{key("K")}) || !slices.Equal(p.Parts(), []inventory.Key{key("X"), key("Y")}) || !slices.Equal(p.KitsWith(key("X")), []inventory.Key{key("K")}) {
		t.Errorf("kits %v, parts %v", p.Kits(), p.Parts())
	}
	if z := p.Zone("e", "A"); z == nil || z.String() != "America/New_York" || p.Zone("f", "A").String() != "Europe/Berlin" || p.Zone("e", "B") != nil {
		t.Errorf("zone %v", z)
	}
	if g, ok := p.Group("all"); !ok || len(g) != 3 {
		t.Errorf("group %v", g)
	}
	if _, ok := p.Group("none"); ok {
		t.Error("a group nobody made")
	}
	if _, ok := p.Channel("none"); ok {
		t.Error("a channel nobody made")
	}
}

// TestFacts: an item's version is its own, a kit's the time of the last change.
func TestFacts(t *testing.T) {
	p, err := NewPromises(&ATPPolicy{Version: 2, Kits: []Kit{{Entity: "e", Item: "K", Parts: []KitPart{{"A", 1}, {"B", 1}}}}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	positions := func(k inventory.Key) []inventory.Position {
		switch k.Item {
		case "A":
			return []inventory.Position{{Version: 9, RecordedAt: 500, EventID: "a9"}, {Version: 8, RecordedAt: 480, EventID: "a8", PolicyVersion: 3}}
		case "B":
			return []inventory.Position{{Version: 2, RecordedAt: 700, EventID: "b2"}}
		}
		return nil
	}
	for item, want := range map[inventory.Item]Facts{
		"A": {Version: 9, PolicyVersion: 3, EventID: "a9", RecordedAt: 500},
		"K": {Version: 700, PolicyVersion: 3, EventID: "b2", RecordedAt: 700},
		"C": {PolicyVersion: 2},
	} {
		if got := p.Facts(inventory.Key{Entity: "e", Item: item}, positions); got != want {
			t.Errorf("%s: %+v, want %+v", item, got, want)
		}
	}
}

// A schema lists what its struct reads, below the top as well.
func TestNestedSchemasFitStructs(t *testing.T) {
	for file, lists := range map[string]map[string]func() any{
		"atp": {
			"supply_at": func() any { return &SupplyAt{} }, "time_zones": func() any { return &TimeZone{} }, "items": func() any { return &ItemTraits{} },
			"safety_stock": func() any { return &SafetyStock{} }, "kits": func() any { return &Kit{} }, "overrides": func() any { return &Override{} },
			"silence": func() any { return &Silence{} },
		},
		"channel": {"ring_fences": func() any { return &RingFence{} }, "safety": func() any { return &SafetyRule{} }},
	} {
		b, err := policies.Schemas.ReadFile("schema/" + file + ".schema.json")
		if err != nil {
			t.Fatal(err)
		}
		root, err := parse(b)
		if err != nil {
			t.Fatal(err)
		}
		for list, into := range lists {
			fields := root.fields["properties"].fields[list].fields["items"].fields["properties"].fields
			for field := range fields {
				if err := decode([]byte(field+": null\n"), into()); err != nil {
					t.Errorf("%s.%s: %s is in the schema only: %v", file, list, field, err)
				}
			}
		}
	}
}

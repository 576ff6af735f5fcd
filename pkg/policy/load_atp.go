package policy

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// origin is where a thing of policies/atp was read, for faults across files.
type origin struct {
	file  string
	field string
}

// atp reads policies/atp, all files together.
func (l *loader) atp(set *Set) {
	all := &set.ATP
	all.Groups = map[string][]inventory.Location{}
	for _, file := range l.files("atp") {
		var p ATPPolicy
		if !l.read(file, "atp", &p) {
			continue
		}
		if err := p.Validate(); err != nil {
			l.faults = append(l.faults, locate(file, l.roots[file], err)...)
		}
		if _, both := l.roots[file].fields["horizon"]; both && all.Horizon != 0 {
			l.coded(file, CodeDuplicate, "horizon", "another file has it already")
		}
		if _, both := l.roots[file].fields["keep_days"]; both && l.keepDays {
			l.coded(file, CodeDuplicate, "keep_days", "another file has it already")
		} else if both {
			l.keepDays = true
		}
		for i := range p.SafetyStock {
			if p.SafetyStock[i].seenIn(all.SafetyStock) {
				l.coded(file, CodeDuplicate, fmt.Sprintf("safety_stock[%d]", i), "another file has it already")
			}
		}
		// Within the file Validate has found them.
		if own := p.twice(nil); len(own) == 0 {
			l.faults = append(l.faults, locate(file, l.roots[file], errors.Join(p.twice(all)...))...)
		}
		all.SafetyStock = append(all.SafetyStock, p.SafetyStock...)
		all.Horizon, all.KeepDays = cmp.Or(all.Horizon, p.Horizon), cmp.Or(all.KeepDays, p.KeepDays)
		for _, name := range slices.Sorted(maps.Keys(p.Groups)) {
			if _, twice := all.Groups[name]; twice {
				l.coded(file, CodeDuplicate, "groups."+name, "another file has it already")
			}
			all.Groups[name] = p.Groups[name]
		}
		for i := range p.Kits {
			l.kits = append(l.kits, origin{file, fmt.Sprintf("kits[%d]", i)})
		}
		for i := range p.Overrides {
			l.overrides = append(l.overrides, origin{file, fmt.Sprintf("overrides[%d]", i)})
		}
		if len(p.Silence) > 0 && l.silenceFile != "" {
			l.coded(file, CodeDuplicate, "silence", "another file has it already")
		} else if len(p.Silence) > 0 {
			l.silenceFile, all.Silence = file, p.Silence
		}
		all.SupplyAt = append(all.SupplyAt, p.SupplyAt...)
		all.TimeZones = append(all.TimeZones, p.TimeZones...)
		all.Items = append(all.Items, p.Items...)
		all.Kits = append(all.Kits, p.Kits...)
		all.Overrides = append(all.Overrides, p.Overrides...)
	}
	all.Horizon = cmp.Or(all.Horizon, DefaultHorizon)
}

func (l *loader) channels(set *Set) {
	for _, file := range l.files("channels") {
		c := Channel{File: file}
		if !l.read(file, "channel", &c) {
			continue
		}
		if err := c.Validate(); err != nil {
			l.faults = append(l.faults, locate(file, l.roots[file], err)...)
		}
		if c.Group != "" {
			if c.Locations = set.ATP.Groups[c.Group]; c.Locations == nil {
				l.coded(file, CodeUnknownGroup, "group", "no file of atp has a group %q", c.Group)
			}
		}
		if c.Share == 0 {
			c.Share = 100
		}
		if c.Unit == 0 {
			c.Unit = inventory.One
		}
		if i := slices.IndexFunc(set.Channels, func(o Channel) bool { return o.Name == c.Name }); i >= 0 {
			l.coded(file, CodeDuplicate, "name", "%s has it already", set.Channels[i].File)
			continue
		}
		set.Channels = append(set.Channels, c)
	}
	slices.SortFunc(set.Channels, func(a, b Channel) int { return strings.Compare(a.Name, b.Name) })
}

// promises looks across files at what promises are made by.
func (l *loader) promises(set *Set) {
	l.silent(set)
	kits := map[inventory.Key]bool{}
	for _, k := range set.ATP.Kits {
		kits[inventory.Key{Entity: k.Entity, Item: k.Item}] = true
	}
	for i, k := range set.ATP.Kits {
		for j, part := range k.Parts {
			if part.Item != k.Item && kits[inventory.Key{Entity: k.Entity, Item: part.Item}] {
				l.coded(l.kits[i].file, CodeKitOfKit, fmt.Sprintf("%s.parts[%d]", l.kits[i].field, j), "%q is a kit itself: name its parts", part.Item)
			}
		}
	}
	for i, o := range set.ATP.Overrides {
		if o.Channel != "" && !slices.ContainsFunc(set.Channels, func(c Channel) bool { return c.Name == o.Channel }) {
			l.coded(l.overrides[i].file, CodeUnknownName, l.overrides[i].field+".channel", "no file of channels is named %q", o.Channel)
		}
	}
	for i := range set.Channels {
		c := &set.Channels[i]
		if len(c.RingFences) == 0 {
			continue
		}
		// What is set aside within one list of locations is not seen from another.
		for j := range set.Channels {
			o := &set.Channels[j]
			if o.Entity == c.Entity && !sameLocations(o.Locations, c.Locations) && overlap(o.Locations, c.Locations) {
				l.coded(c.File, CodeFenceOverlap, "ring_fences", "%s sells from some of the same locations, but not from all: it would not keep off what is set aside", o.Name)
			}
		}
	}
}

func overlap(a, b []inventory.Location) bool {
	return slices.ContainsFunc(a, func(l inventory.Location) bool { return slices.Contains(b, l) })
}

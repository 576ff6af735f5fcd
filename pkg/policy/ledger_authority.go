package policy

import (
	"fmt"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// ownerFile is one rule of authority.
type ownerFile struct {
	Entity   inventory.Entity   `yaml:"entity" json:"entity,omitempty"`
	Location inventory.Location `yaml:"location" json:"location,omitempty"`
	States   []stateName        `yaml:"states" json:"states,omitempty"`
	Facts    []factName         `yaml:"facts" json:"facts,omitempty"`
	From     moment             `yaml:"from" json:"from,omitempty"`
	Until    moment             `yaml:"until" json:"until,omitempty"`
	Window   span               `yaml:"window" json:"window,omitempty"`
	Balance  []inventory.Source `yaml:"balance" json:"balance,omitempty"`
	Moves    []inventory.Source `yaml:"moves" json:"moves,omitempty"`
}

// authorityFile is what goes beyond owners: handovers, modes, and how claimed views
// are compared.
type authorityFile struct {
	Handovers []handoverFile   `yaml:"handovers" json:"handovers,omitempty"`
	Modes     []modeFile       `yaml:"modes" json:"modes,omitempty"`
	Compare   []comparisonFile `yaml:"compare" json:"compare,omitempty"`
}

type handoverFile struct {
	Entity   inventory.Entity   `yaml:"entity" json:"entity,omitempty"`
	Location inventory.Location `yaml:"location" json:"location,omitempty"`
	States   []stateName        `yaml:"states" json:"states,omitempty"`
	Facts    []factName         `yaml:"facts" json:"facts,omitempty"`
	At       moment             `yaml:"at" json:"at"`
	Window   span               `yaml:"window" json:"window"`
	From     inventory.Source   `yaml:"from" json:"from"`
	To       inventory.Source   `yaml:"to" json:"to"`
}

type modeFile struct {
	Source   inventory.Source   `yaml:"source" json:"source,omitempty"`
	Location inventory.Location `yaml:"location" json:"location,omitempty"`
	Facts    []factName         `yaml:"facts" json:"facts,omitempty"`
	Mode     modeName           `yaml:"mode" json:"mode"`
}

type comparisonFile struct {
	Source   inventory.Source     `yaml:"source" json:"source"`
	Location inventory.Location   `yaml:"location" json:"location,omitempty"`
	States   []stateMapFile       `yaml:"states" json:"states,omitempty"`
	Lag      span                 `yaml:"lag" json:"lag,omitempty"`
	Packs    []inventory.Quantity `yaml:"packs" json:"packs,omitempty"`
	Items    []itemTermsFile      `yaml:"items" json:"items,omitempty"`
	Alert    *alertFile           `yaml:"alert" json:"alert,omitempty"`
}

type stateMapFile struct {
	State       stateName   `yaml:"state" json:"state"`
	Ledger      []stateName `yaml:"ledger" json:"ledger"`
	AfterClaims bool        `yaml:"after_claims" json:"after_claims,omitempty"`
}

type itemTermsFile struct {
	Entity inventory.Entity     `yaml:"entity" json:"entity"`
	Item   inventory.Item       `yaml:"item" json:"item"`
	Value  inventory.Quantity   `yaml:"value" json:"value,omitempty"`
	Packs  []inventory.Quantity `yaml:"packs" json:"packs,omitempty"`
}

type alertFile struct {
	Quantity  inventory.Quantity `yaml:"quantity" json:"quantity,omitempty"`
	Percent   inventory.Quantity `yaml:"percent" json:"percent,omitempty"`
	Value     inventory.Quantity `yaml:"value" json:"value,omitempty"`
	Snapshots int32              `yaml:"snapshots" json:"snapshots,omitempty"`
	Dwell     span               `yaml:"dwell" json:"dwell,omitempty"`
}

// authority is the policy of both parts of the file.
func (f *ledgerFile) authority() inventory.AuthorityPolicy {
	var a inventory.AuthorityPolicy
	for i := range f.Owners {
		o := &f.Owners[i]
		a.Owners = append(a.Owners, inventory.Owner{
			Scope: scope(o.Entity, o.Location, o.States, o.Facts), From: inventory.Instant(o.From), Until: inventory.Instant(o.Until),
			Window: inventory.Instant(o.Window), Balance: o.Balance, Moves: o.Moves,
		})
	}
	if f.Authority == nil {
		return a
	}
	for i := range f.Authority.Handovers {
		h := &f.Authority.Handovers[i]
		a.Handovers = append(a.Handovers, inventory.Handover{
			Scope: scope(h.Entity, h.Location, h.States, h.Facts), At: inventory.Instant(h.At), Window: inventory.Instant(h.Window), From: h.From, To: h.To,
		})
	}
	for _, m := range f.Authority.Modes {
		a.Modes = append(a.Modes, inventory.ModeRule{Source: m.Source, Location: m.Location, Facts: facts(m.Facts), Mode: modeNames[m.Mode]})
	}
	for i := range f.Authority.Compare {
		a.Compare = append(a.Compare, f.Authority.Compare[i].comparison())
	}
	return a
}

func scope(e inventory.Entity, l inventory.Location, in []stateName, of []factName) inventory.Scope {
	return inventory.Scope{Entity: e, Location: l, States: states(in), Facts: facts(of)}
}

func (c *comparisonFile) comparison() inventory.Comparison {
	out := inventory.Comparison{Source: c.Source, Location: c.Location, Lag: inventory.Instant(c.Lag), Packs: c.Packs}
	for _, m := range c.States {
		state, _ := inventory.ParseAccount(string(m.State)) // checked when it was read
		out.States = append(out.States, inventory.StateMap{State: state, Ledger: states(m.Ledger), AfterClaims: m.AfterClaims})
	}
	for _, t := range c.Items {
		out.Items = append(out.Items, inventory.ItemTerms{Key: inventory.Key{Entity: t.Entity, Item: t.Item}, Value: t.Value, Packs: t.Packs})
	}
	if c.Alert != nil {
		out.Alert = inventory.Alert{
			Quantity: c.Alert.Quantity, Percent: c.Alert.Percent, Value: c.Alert.Value,
			Snapshots: c.Alert.Snapshots, Dwell: inventory.Instant(c.Alert.Dwell),
		}
	}
	return out
}

// setAuthority is the opposite of authority.
func (f *ledgerFile) setAuthority(a *inventory.AuthorityPolicy) {
	for i := range a.Owners {
		o := &a.Owners[i]
		f.Owners = append(f.Owners, ownerFile{
			Entity: o.Entity, Location: o.Location, States: stateNames(o.States), Facts: factNames(o.Facts),
			From: moment(o.From), Until: moment(o.Until), Window: span(o.Window), Balance: o.Balance, Moves: o.Moves,
		})
	}
	var x authorityFile
	for i := range a.Handovers {
		h := &a.Handovers[i]
		x.Handovers = append(x.Handovers, handoverFile{
			Entity: h.Entity, Location: h.Location, States: stateNames(h.States), Facts: factNames(h.Facts),
			At: moment(h.At), Window: span(h.Window), From: h.From, To: h.To,
		})
	}
	for _, m := range a.Modes {
		x.Modes = append(x.Modes, modeFile{Source: m.Source, Location: m.Location, Facts: factNames(m.Facts), Mode: nameOf(m.Mode)})
	}
	for i := range a.Compare {
		x.Compare = append(x.Compare, comparisonOf(&a.Compare[i]))
	}
	if len(x.Handovers)+len(x.Modes)+len(x.Compare) > 0 {
		f.Authority = &x
	}
}

func comparisonOf(c *inventory.Comparison) comparisonFile {
	out := comparisonFile{Source: c.Source, Location: c.Location, Lag: span(c.Lag), Packs: c.Packs}
	for _, m := range c.States {
		out.States = append(out.States, stateMapFile{State: stateName(m.State.String()), Ledger: stateNames(m.Ledger), AfterClaims: m.AfterClaims})
	}
	for _, t := range c.Items {
		out.Items = append(out.Items, itemTermsFile{Entity: t.Key.Entity, Item: t.Key.Item, Value: t.Value, Packs: t.Packs})
	}
	if a := c.Alert; a != (inventory.Alert{}) {
		out.Alert = &alertFile{Quantity: a.Quantity, Percent: a.Percent, Value: a.Value, Snapshots: a.Snapshots, Dwell: span(a.Dwell)}
	}
	return out
}

// stateName is the name of a state at a location.
type stateName string

// UnmarshalText takes only names there are.
func (s *stateName) UnmarshalText(b []byte) error {
	a, err := inventory.ParseAccount(string(b))
	if err != nil || !a.IsState() {
		return fmt.Errorf("%q is no state of a location", b)
	}
	*s = stateName(b)
	return nil
}

func states(names []stateName) (set uint8) {
	for _, n := range names {
		a, _ := inventory.ParseAccount(string(n)) // checked when it was read
		set |= 1 << a
	}
	return set
}

func stateNames(set uint8) (names []stateName) {
	for a := range inventory.Account(inventory.NumStates) {
		if set&(1<<a) != 0 {
			names = append(names, stateName(a.String()))
		}
	}
	return names
}

// factName is the name of a kind of fact.
type factName string

// UnmarshalText takes only names there are.
func (f *factName) UnmarshalText(b []byte) error {
	if _, ok := inventory.ParseFact(string(b)); !ok {
		return fmt.Errorf("%q is no kind of fact", b)
	}
	*f = factName(b)
	return nil
}

func facts(names []factName) (set inventory.Facts) {
	for _, n := range names {
		f, _ := inventory.ParseFact(string(n)) // checked when it was read
		set |= f
	}
	return set
}

func factNames(set inventory.Facts) (names []factName) {
	for _, n := range set.Names() {
		names = append(names, factName(n))
	}
	return names
}

// modeName is the name of a mode.
type modeName string

var modeNames = map[modeName]inventory.Mode{
	"live": inventory.ModeLive, "shadow": inventory.ModeShadow, "observe": inventory.ModeObserve,
}

// UnmarshalText takes only names there are.
func (m *modeName) UnmarshalText(b []byte) error {
	if _, ok := modeNames[modeName(b)]; !ok {
		return fmt.Errorf("%q is no mode", b)
	}
	*m = modeName(b)
	return nil
}

func nameOf(mode inventory.Mode) modeName {
	for name, m := range modeNames {
		if m == mode {
			return name
		}
	}
	return ""
}

// moment is an instant, RFC 3339 in files.
type moment inventory.Instant

// MarshalText writes it in UTC.
func (m moment) MarshalText() ([]byte, error) {
	return time.UnixMilli(int64(m)).UTC().AppendFormat(nil, time.RFC3339Nano), nil
}

// UnmarshalText refuses what lies outside the years 1970 to 9999.
func (m *moment) UnmarshalText(b []byte) error {
	t, err := time.Parse(time.RFC3339, string(b))
	if err != nil || t.UnixMilli() <= 0 || t.Year() > 9999 {
		return fmt.Errorf("%q is no time such as 2026-11-02T00:00:00Z", b)
	}
	*m = moment(t.UnixMilli())
	return nil
}

// span is a duration in ms, such as 36h or 15m in files.
type span inventory.Instant

// MarshalText writes it as it is read.
func (s span) MarshalText() ([]byte, error) {
	return []byte((time.Duration(s) * time.Millisecond).String()), nil
}

// UnmarshalText refuses what is below zero, or longer than ten years.
func (s *span) UnmarshalText(b []byte) error {
	d, err := time.ParseDuration(string(b))
	if err != nil || d < 0 || d > 87_600*time.Hour {
		return fmt.Errorf("%q is no duration such as 36h or 15m", b)
	}
	*s = span(d.Milliseconds())
	return nil
}

package atpapi

import (
	"fmt"
	"slices"
	"time"

	"github.com/stockweave/stockweave/pkg/inventory"
	"github.com/stockweave/stockweave/pkg/place"
	"github.com/stockweave/stockweave/pkg/policy"
)

// maxAhead bounds the day asked for, days from today.
const maxAhead = 366

// query is a request for one item or kit.
type query struct {
	key      inventory.Key
	location inventory.Location // empty: all
	group    string             // empty: none
	channel  string             // empty: none
	on       inventory.Day      // zero: today
	quantity inventory.Quantity // from which day on may it be promised? zero: that is not asked
	narrow   bool               // of the channel's own locations alone
}

// like says whether two queries of one item ask the same.
func (q *query) like(o *query) bool {
	return q.on == o.on && q.quantity == o.quantity && q.narrow == o.narrow && q.location == o.location && q.group == o.group && q.channel == o.channel
}

// answer is what is known of an item. Quantities are plain decimals in the base
// unit; what is promised is zero or more, the signed number stays inside.
type answer struct {
	body     []byte            // all but freshness, once it is named
	etag     []string          // its name, one, as a header has it
	recorded inventory.Instant // of the newest position of the item, or of a part

	Entity        string          `json:"entity"`
	Item          string          `json:"item"`
	On            string          `json:"on,omitempty"` // the day of delivery asked for
	Group         string          `json:"group,omitempty"`
	ATP           string          `json:"atp"`
	Version       int64           `json:"version"`
	PolicyVersion int64           `json:"policy_version"`
	Formula       string          `json:"formula"`
	Frozen        bool            `json:"frozen,omitempty"` // events of the item wait: numbers are of before
	Override      *overrideAnswer `json:"override,omitempty"`
	Silent        []silentAnswer  `json:"silent,omitempty"`
	Locations     []atLocation    `json:"locations"`
	Promisable    *promisable     `json:"promisable,omitempty"`
	Kit           []kitPart       `json:"kit,omitempty"`
	Channel       *channelAnswer  `json:"channel,omitempty"`
	Freshness     freshness       `json:"freshness,omitzero"` // never zero of what is answered; last, see MarshalJSON
}

// atLocation is an item at a location.
type atLocation struct {
	Location    string            `json:"location"`
	ATP         string            `json:"atp"`
	States      map[string]string `json:"states"`
	Reserved    string            `json:"reserved"`
	Supply      string            `json:"supply"`
	SafetyStock string            `json:"safety_stock"`
	ParkedOut   string            `json:"parked_out,omitempty"` // outbound that waits, not promised
	Day         string            `json:"day"`
	Publishable bool              `json:"publishable"`
	Version     int64             `json:"version"`
	RecordedAt  string            `json:"recorded_at"`
	EventID     string            `json:"event_id"`
}

// kitPart is a part of a kit.
type kitPart struct {
	Item   string `json:"item"`
	PerKit string `json:"per_kit"`
	ATP    string `json:"atp"` // of the part, where the kit was asked for
}

// channelAnswer is what a channel should show.
type channelAnswer struct {
	Name     string          `json:"name"`
	Listing  string          `json:"listing"`
	Quantity string          `json:"quantity"`
	Override *overrideAnswer `json:"override,omitempty"`
}

// overrideAnswer says that a person decided the number. Who and why is not for
// everybody who may read it.
type overrideAnswer struct {
	Kind  string `json:"kind"`
	Until string `json:"until,omitempty"`
}

// silentAnswer says that the owner of a location it tells about is silent, and what
// was made of it: see inventory.SilenceAction.
type silentAnswer struct {
	Location string `json:"location"`
	Owner    string `json:"owner"`
	HeardAt  string `json:"heard_at,omitempty"` // its last word, where it is known
	Then     string `json:"then"`
	View     string `json:"view,omitempty"`  // whose claim took the ledger's place
	AsOf     string `json:"as_of,omitempty"` // of that claim
	Unmet    bool   `json:"unmet,omitempty"` // there is no claim newer than the owner's word: the numbers are held
}

// wanted is a query with what policies say of it.
type wanted struct {
	query
	promises *policy.Promises
	now      time.Time
	heard    func(inventory.Source) inventory.Heard
	channel  *policy.Channel      // nil: none
	group    []inventory.Location // empty: every location that is publishable
	leans    *leaning             // nil: nobody asks
}

// resolve finds what the query names.
func (w *wanted) resolve() *problem {
	missing := func(code, title, format string, args ...any) *problem {
		return &problem{status: 404, code: code, title: title, detail: fmt.Sprintf(format, args...)}
	}
	switch q := &w.query; {
	case q.channel != "":
		c, ok := w.promises.Channel(q.channel)
		if !ok {
			return missing("unknown_channel", "Unknown channel", "no channel %q", q.channel)
		}
		if !c.Sells(q.key) {
			return missing(codeNotListed, "Not listed", "channel %q does not list the item", q.channel)
		}
		w.channel, w.group = c, c.Locations
	case q.group != "":
		g, ok := w.promises.Group(q.group)
		if !ok {
			return missing("unknown_group", "Unknown group", "no group %q", q.group)
		}
		w.group = g
	case q.location != "":
		w.group = []inventory.Location{q.location}
	}
	return nil
}

const codeNotListed = "not_listed" // by the channel

// answer asks the one function what the facts mean (DOMAIN §8).
func (r *reader) answer(w *wanted, f *facts) (*answer, *problem) {
	if bad := r.reachable(w, f); bad != nil {
		return nil, bad
	}
	if w.location != "" && !f.at(w.location) {
		return nil, unknownLocation(w.location)
	}
	of := w.promises.Facts(w.key, func(k inventory.Key) []inventory.Position { return f.of[k] })
	a := &answer{
		Entity: string(w.key.Entity), Item: string(w.key.Item), Group: w.query.group,
		Version: of.Version, PolicyVersion: of.PolicyVersion, Formula: inventory.PromiseFormula,
	}
	if w.on != 0 {
		a.On = place.Date(w.on)
	}
	promised := r.promise(w, f, nil)
	a.ATP, a.Override = promised.Quantity.String(), overridden(promised.Override)
	a.flag(promised.Silent)
	if w.quantity > 0 {
		a.Promisable = r.promisable(w, f)
	}
	if w.channel != nil {
		shown := r.promise(w, f, w.channel)
		a.Channel = &channelAnswer{
			Name: w.channel.Name, Listing: w.channel.Listing(w.key.Item),
			Quantity: shown.Quantity.String(), Override: overridden(shown.Override),
		}
	}
	parts := w.promises.Kit(w.key)
	for i, part := range promised.Parts {
		a.Kit = append(a.Kit, kitPart{
			Item: string(parts[i].Key.Item), PerKit: part.PerKit.String(), ATP: max(0, part.ATP).String(),
		})
		for j := range f.of[parts[i].Key] {
			a.Frozen = a.Frozen || f.of[parts[i].Key][j].Frozen
		}
	}
	a.Locations = []atLocation{}
	for _, ps := range f.of { // in any order: the latest counts
		for i := range ps {
			a.recorded = max(a.recorded, ps[i].RecordedAt)
		}
	}
	for i := range f.of[w.key] {
		p := &f.of[w.key][i]
		a.Frozen = a.Frozen || p.Frozen
		if len(parts) == 0 && w.shows(p.Location) {
			at, alone := r.atLocation(w, p)
			a.Locations = append(a.Locations, at)
			a.flag(alone.Silent)
		}
	}
	a.Freshness = f.freshness(w.now)
	return a, nil
}

func unwritable(err error) *problem {
	return &problem{status: 500, code: "unwritable_answer", title: "The answer cannot be written", cause: err}
}

// shows says whether the answer lists a location. A channel's lists all, for who may
// read them: what it does not sell from is shown beside it.
func (w *wanted) shows(l inventory.Location) bool {
	return w.channel != nil && !w.narrow || len(w.group) == 0 || slices.Contains(w.group, l)
}

// promise asks what is promised of the query: to a channel, or to nobody in
// particular.
func (r *reader) promise(w *wanted, f *facts, c *policy.Channel) inventory.Promised {
	return r.ask(w, w.group, r.shown(w, f), c)
}

// shown are the positions that count for the query.
func (r *reader) shown(w *wanted, f *facts) func(inventory.Key) []inventory.Position {
	if len(w.group) > 0 {
		return func(k inventory.Key) []inventory.Position { return f.of[k] }
	}
	// Asked for by name, a location is answered; else only what may be shown.
	return func(k inventory.Key) []inventory.Position {
		return slices.DeleteFunc(slices.Clone(f.of[k]), func(p inventory.Position) bool {
			return !r.publishable(p.Key.Entity, p.Location)
		})
	}
}

func (r *reader) ask(w *wanted, group []inventory.Location, positions func(inventory.Key) []inventory.Position, c *policy.Channel) inventory.Promised {
	return inventory.Promise(r.question(w, group, positions, c))
}

func (r *reader) question(w *wanted, group []inventory.Location, positions func(inventory.Key) []inventory.Position, c *policy.Channel) *inventory.Question {
	return w.promises.Question(&policy.Ask{
		Key: w.key, Group: group, Channel: c, Day: w.on, Now: inventory.Instant(w.now.UnixMilli()),
		Today: func(l inventory.Location) inventory.Day { return r.today(w, l) }, Heard: w.heard, Views: r.views.Of,
		Positions: positions,
	})
}

// today is the calendar day at a location.
func (r *reader) today(w *wanted, l inventory.Location) inventory.Day {
	e := w.key.Entity
	zone := r.places.Zone(e, l, w.promises.Zone(e, l))
	day := place.DayAt(w.now, zone)
	w.leans.day(zone, day)
	return day
}

// days are the calendar days at the locations asked about, sorted; there is at least one.
func (r *reader) days(w *wanted, f *facts) []inventory.Day {
	var days []inventory.Day
	for _, ps := range f.of { // in any order: they are sorted
		for i := range ps {
			if d := r.today(w, ps[i].Location); w.shows(ps[i].Location) && !slices.Contains(days, d) {
				days = append(days, d)
			}
		}
	}
	if len(days) == 0 {
		days = append(days, place.DayAt(w.now, time.UTC))
		w.leans.day(time.UTC, days[0])
	}
	slices.Sort(days)
	return days
}

// reachable says whether the day of delivery can be told about: the calendar day at
// one of the locations asked about, or later, but not too far ahead.
func (r *reader) reachable(w *wanted, f *facts) *problem {
	if w.on == 0 {
		return nil
	}
	days := r.days(w, f)
	switch {
	case w.on < days[0]:
		return &problem{status: 400, code: "day_past", title: "A day in the past", detail: fmt.Sprintf("it is %s already", place.Date(days[0]))}
	case w.on > days[len(days)-1]+maxAhead:
		return &problem{status: 400, code: "day_too_far", title: "A day too far ahead", detail: fmt.Sprintf("at most %d days", maxAhead)}
	}
	return nil
}

// atLocation is an item at a location, with the number that asking for that
// location alone gives.
func (r *reader) atLocation(w *wanted, p *inventory.Position) (atLocation, inventory.Promised) {
	states := make(map[string]string, inventory.NumStates)
	for s, q := range p.States {
		states[inventory.Account(s).String()] = q.String() //nolint:gosec // NumStates is 6
	}
	here := func(inventory.Key) []inventory.Position { return []inventory.Position{*p} }
	alone := r.ask(w, []inventory.Location{p.Location}, here, nil)
	at := atLocation{
		Location: string(p.Location), ATP: alone.Quantity.String(), States: states,
		Reserved: total(p.Reserved).String(), Supply: total(p.Supply).String(), SafetyStock: p.SafetyStock.String(),
		Day: place.Date(r.today(w, p.Location)), Publishable: r.publishable(p.Key.Entity, p.Location),
		Version: p.Version, RecordedAt: instant(p.RecordedAt), EventID: p.EventID,
	}
	if p.ParkedOut != 0 {
		at.ParkedOut = p.ParkedOut.String()
	}
	return at, alone
}

// flag adds silent owners, of each location once.
func (a *answer) flag(silent []inventory.Silent) {
	for i := range silent {
		s := &silent[i]
		if !slices.ContainsFunc(a.Silent, func(o silentAnswer) bool { return o.Location == string(s.Location) }) {
			a.Silent = append(a.Silent, silentAnswer{
				Location: string(s.Location), Owner: string(s.Owner), HeardAt: instant(s.Heard), Then: string(s.Action),
				View: string(s.Fallback), AsOf: instant(s.AsOf), Unmet: s.Unmet,
			})
		}
	}
}

// at says whether anything is recorded at a location.
func (f *facts) at(l inventory.Location) bool {
	for _, ps := range f.of {
		if slices.ContainsFunc(ps, func(p inventory.Position) bool { return p.Location == l }) {
			return true
		}
	}
	return false
}

func overridden(o *inventory.Override) *overrideAnswer {
	if o == nil {
		return nil
	}
	return &overrideAnswer{Kind: string(o.Kind), Until: instant(o.Until)}
}

func total(bs []inventory.Bucket) inventory.Quantity {
	var sum inventory.Quantity
	for _, b := range bs {
		s, err := sum.Add(b.Quantity)
		if err != nil {
			return inventory.MaxQuantity
		}
		sum = s
	}
	return sum
}

// publishable says whether a location's stock may be shown. One without a master
// record is: leaving its stock out would hide it.
func (r *reader) publishable(e inventory.Entity, l inventory.Location) bool {
	pl, ok := r.places.Of(e, l)
	return !ok || pl.Publishable
}

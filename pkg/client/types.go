package client

// Answer is what is known of an item. Fields that were not asked for are zero.
type Answer struct {
	Entity        string     `json:"entity"`
	Item          string     `json:"item"`
	On            string     `json:"on,omitempty"` // the day of delivery asked for
	Group         string     `json:"group,omitempty"`
	ATP           string     `json:"atp"` // of all that was asked about
	Version       int64      `json:"version"`
	PolicyVersion int64      `json:"policy_version"`
	Formula       string     `json:"formula"`
	Frozen        bool       `json:"frozen,omitempty"` // events of the item wait: numbers are of before
	Override      *Override  `json:"override,omitempty"`
	Silent        []Silent   `json:"silent,omitempty"`
	Locations     []Location `json:"locations"`
	// Promisable is there when a quantity was asked about.
	Promisable *Promisable `json:"promisable,omitempty"`
	Kit        []KitPart   `json:"kit,omitempty"`
	Channel    *Channel    `json:"channel,omitempty"`
	Freshness  Freshness   `json:"freshness"`

	// ETag names the answer by all that it says but its freshness; of GetChanged and
	// Get alone.
	ETag string `json:"-"`
}

// Location is an item at a location.
type Location struct {
	Location    string            `json:"location"`
	ATP         string            `json:"atp"` // what asking for it alone answers
	States      map[string]string `json:"states"`
	Reserved    string            `json:"reserved"`
	Supply      string            `json:"supply"`
	SafetyStock string            `json:"safety_stock"`
	ParkedOut   string            `json:"parked_out,omitempty"` // outbound that waits, not promised
	Day         string            `json:"day"`                  // the calendar day there
	Publishable bool              `json:"publishable"`
	Version     int64             `json:"version"`
	RecordedAt  string            `json:"recorded_at"`
	EventID     string            `json:"event_id"`
}

// KitPart is a part of a kit.
type KitPart struct {
	Item   string `json:"item"`
	PerKit string `json:"per_kit"`
	ATP    string `json:"atp"`
}

// Channel is what a channel should show.
type Channel struct {
	Name     string    `json:"name"`
	Listing  string    `json:"listing"`
	Quantity string    `json:"quantity"`
	Override *Override `json:"override,omitempty"`
}

// Override says that a person decided the number.
type Override struct {
	Kind  string `json:"kind"`
	Until string `json:"until,omitempty"`
}

// Silent says that the owner of a location has said nothing for too long.
type Silent struct {
	Location string `json:"location"`
	Owner    string `json:"owner"`
	HeardAt  string `json:"heard_at,omitempty"`
	Then     string `json:"then"`
	View     string `json:"view,omitempty"`
	AsOf     string `json:"as_of,omitempty"`
	Unmet    bool   `json:"unmet,omitempty"`
}

// Promisable says from which day on a quantity may be promised.
type Promisable struct {
	Quantity string `json:"quantity"`
	On       string `json:"on,omitempty"` // empty: on no day within the horizon
}

// Freshness says that every position that stood in the log AgeMS before the answer is
// in it.
type Freshness struct {
	AgeMS      int64  `json:"age_ms"`
	CaughtUp   bool   `json:"caught_up"`
	RecordedAt string `json:"recorded_at,omitempty"`
	// CopyMS is there when the answer is of a replica's own copy, and how long ago that
	// was what stood in the store, at most; Stale when the store does not answer.
	CopyMS int64 `json:"copy_ms,omitempty"`
	Stale  bool  `json:"stale,omitempty"`
}

// BatchAnswer has a result for each item, in the order asked.
type BatchAnswer struct {
	Answered int           `json:"answered"`
	Failed   int           `json:"failed"`
	Results  []BatchResult `json:"results"`
}

// BatchResult has an answer or a problem, or a freshness where what is held holds still.
type BatchResult struct {
	Item    string   `json:"item"`
	Entity  string   `json:"entity"`
	Status  int      `json:"status"`
	ETag    string   `json:"etag,omitempty"`
	Answer  *Answer  `json:"answer,omitempty"`
	Problem *Problem `json:"problem,omitempty"`
	// Freshness is of what is held, where the status is 304.
	Freshness *Freshness `json:"freshness,omitempty"`
}

// Page is a page of a list.
type Page struct {
	Items []Answer `json:"items"`
	// Next is the After of the next page; empty: this was the last.
	Next string `json:"next,omitempty"`
	// Examined is how many items were looked at for it.
	Examined int `json:"examined"`
}

package policy

import (
	"errors"
	"fmt"
	"net/url"
	"slices"

	"github.com/stockweave/stockweave/pkg/inventory"
)

// Channel types; each has a folder in services/channelpublisher.
const (
	ChannelSimulated = "simulated"
	ChannelWebhook   = "webhook" // Standard Webhooks
)

// What a channel's number is of.
const (
	BasisNet   = "net"   // what may still be sold
	BasisGross = "gross" // with its own open orders, which it subtracts itself
)

// Channel is a surface that shows what can be bought: one file in
// policies/channels. Its number is: ATP of the group → ring-fence or share → safety
// by class and velocity → buffer → cap → rounded down to its unit (DOMAIN §8).
type Channel struct {
	Name   string           `yaml:"name" json:"name"`
	Type   string           `yaml:"type" json:"-"`
	Entity inventory.Entity `yaml:"entity" json:"entity"`
	// Locations it sells from: listed, or by the name of a group of policies/atp.
	// After Load, Locations has them in both cases.
	Group     string               `yaml:"group" json:"group,omitempty"`
	Locations []inventory.Location `yaml:"locations" json:"locations"`
	// Share is the per cent of the group's ATP it may show, 1 to 100; 100 when 0.
	Share int `yaml:"share" json:"share,omitempty"`
	// RingFences set stock aside for it, in the place of a share. Where there is not
	// enough for those of all channels of the same locations, the lower rank is
	// served first, then the name.
	RingFences []RingFence `yaml:"ring_fences" json:"ring_fences,omitempty"`
	Rank       int         `yaml:"rank" json:"rank,omitempty"`
	// Safety keeps stock back from it; the first rule that matches the item decides.
	Safety []SafetyRule `yaml:"safety" json:"safety,omitempty"`
	// Buffer is taken off after that; Cap bounds what is left when above 0.
	Buffer inventory.Quantity `yaml:"buffer" json:"buffer,omitempty"`
	Cap    inventory.Quantity `yaml:"cap" json:"cap,omitempty"`
	// Unit is the step it sells in: the number is a multiple of it, rounded down;
	// 1 when 0. What is sent is in base units.
	Unit  inventory.Quantity `yaml:"unit" json:"unit,omitempty"`
	Basis string             `yaml:"basis" json:"basis,omitempty"` // net when empty
	// Items it lists; empty means all.
	Items []inventory.Item `yaml:"items" json:"items,omitempty"`
	// Listings are its own ids; an item without one is listed under its own name.
	Listings map[inventory.Item]string `yaml:"listings" json:"listings,omitempty"`

	URL       string `yaml:"url" json:"-"`        // or URLEnv names the variable that has it
	URLEnv    string `yaml:"url_env" json:"-"`    //
	SecretEnv string `yaml:"secret_env" json:"-"` // key or signing secret

	File string `yaml:"-" json:"-"`
}

// RingFence sets stock aside.
type RingFence struct {
	Item     inventory.Item     `yaml:"item" json:"item,omitempty"` // empty: of every item without its own
	Quantity inventory.Quantity `yaml:"quantity" json:"quantity"`
}

// SafetyRule keeps stock back for items of a class that sell at least so fast: a
// quantity and so many days of sales.
type SafetyRule struct {
	Class    string             `yaml:"class" json:"class,omitempty"`       // empty: any
	Velocity inventory.Quantity `yaml:"velocity" json:"velocity,omitempty"` // sales a day, at least
	Quantity inventory.Quantity `yaml:"quantity" json:"quantity,omitempty"`
	Days     int                `yaml:"days" json:"days,omitempty"`
}

// Sells says whether the channel lists the item.
func (c *Channel) Sells(k inventory.Key) bool {
	return k.Entity == c.Entity && c.lists(k.Item)
}

func (c *Channel) lists(i inventory.Item) bool {
	return len(c.Items) == 0 || slices.Contains(c.Items, i)
}

// Listing is the channel's own id of an item.
func (c *Channel) Listing(i inventory.Item) string {
	if id, ok := c.Listings[i]; ok {
		return id
	}
	return string(i)
}

// Validate reports every fault of the channel alone.
func (c *Channel) Validate() error {
	var fs faults
	if !nameRule.MatchString(c.Name) {
		fs.add(CodeBadShape, "name", "lower-case letters, digits, - and _ only, at most 63")
	}
	if c.Type != ChannelSimulated && c.Type != ChannelWebhook {
		fs.add(CodeBadShape, "type", "must be simulated or webhook, not %q", c.Type)
	}
	c.terms(&fs)
	if c.Type == ChannelWebhook {
		if c.URL == "" && c.URLEnv == "" {
			fs.add(CodeRequired, "url", "url or url_env is required")
		}
		if c.SecretEnv == "" {
			fs.add(CodeRequired, "secret_env", "required: what is sent is signed")
		}
	}
	return errors.Join(append(fs, checkURL("url", c.URL)...)...)
}

// terms checks what its number depends on.
func (c *Channel) terms(fs *faults) {
	if c.Entity == "" {
		fs.add(CodeRequired, "entity", "required")
	}
	if (c.Group == "") == (len(c.Locations) == 0) {
		fs.add(CodeConflicting, "locations", "either locations or a group")
	}
	for i, l := range c.Locations {
		if slices.Contains(c.Locations[:i], l) {
			fs.add(CodeDuplicate, fmt.Sprintf("locations[%d]", i), "%q stands there twice", l)
		}
	}
	if c.Share < 0 || c.Share > 100 {
		fs.add(CodeOutOfRange, "share", "must be between 1 and 100")
	}
	if c.Basis != "" && c.Basis != BasisNet && c.Basis != BasisGross {
		fs.add(CodeBadShape, "basis", "must be net or gross, not %q", c.Basis)
	}
	notNegative := func(field string, q inventory.Quantity) {
		if q < 0 {
			fs.add(CodeOutOfRange, field, "must not be negative")
		}
	}
	notNegative("buffer", c.Buffer)
	notNegative("cap", c.Cap)
	notNegative("unit", c.Unit)
	for i, f := range c.RingFences {
		field := fmt.Sprintf("ring_fences[%d]", i)
		notNegative(field+".quantity", f.Quantity)
		if slices.ContainsFunc(c.RingFences[:i], func(o RingFence) bool { return o.Item == f.Item }) {
			fs.add(CodeDuplicate, field, "stands there twice")
		}
		if f.Item == "" && c.Share != 0 {
			fs.add(CodeConflicting, "share", "what is set aside of every item takes the place of the share")
		}
	}
	for i, r := range c.Safety {
		field := fmt.Sprintf("safety[%d]", i)
		notNegative(field+".velocity", r.Velocity)
		notNegative(field+".quantity", r.Quantity)
		if r.Days < 0 || r.Days > maxDays {
			fs.add(CodeOutOfRange, field+".days", "must be between 0 and %d", maxDays)
		}
	}
}

// checkURL accepts nothing, or an absolute http(s) URL without credentials.
func checkURL(field, s string) []error {
	if s == "" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return []error{&Fault{Field: field, Reason: "an absolute http or https URL"}}
	}
	if u.User != nil {
		return []error{&Fault{Field: field, Reason: "credentials belong in the environment"}}
	}
	return nil
}

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

// Channel is a surface that shows what can be bought: one file in
// policies/channels. Its number is: ATP of the group → share → buffer → cap →
// rounded down to its unit (DOMAIN §8).
type Channel struct {
	Name   string           `yaml:"name"`
	Type   string           `yaml:"type"`
	Entity inventory.Entity `yaml:"entity"`
	// Locations it sells from: listed, or by the name of a group of policies/atp.
	// After Load, Locations has them in both cases.
	Group     string               `yaml:"group"`
	Locations []inventory.Location `yaml:"locations"`
	// Share is the per cent of the group's ATP it may show, 1 to 100; 100 when 0.
	Share int `yaml:"share"`
	// Buffer is taken off after the share; Cap bounds what is left when above 0.
	Buffer inventory.Quantity `yaml:"buffer"`
	Cap    inventory.Quantity `yaml:"cap"`
	// Unit is the step it sells in: the number is a multiple of it, rounded down;
	// 1 when 0. What is sent is in base units.
	Unit inventory.Quantity `yaml:"unit"`
	// Items it lists; empty means all.
	Items []inventory.Item `yaml:"items"`
	// Listings are its own ids; an item without one is listed under its own name.
	Listings map[inventory.Item]string `yaml:"listings"`

	URL       string `yaml:"url"`        // or URLEnv names the variable that has it
	URLEnv    string `yaml:"url_env"`    //
	SecretEnv string `yaml:"secret_env"` // key or signing secret

	File string `yaml:"-"`
}

// Sells says whether the channel lists the item.
func (c *Channel) Sells(k inventory.Key) bool {
	if k.Entity != c.Entity {
		return false
	}
	if len(c.Items) == 0 {
		return true
	}
	return slices.Contains(c.Items, k.Item)
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
	var errs []error
	bad := func(field, format string, args ...any) {
		errs = append(errs, &Fault{Field: field, Reason: fmt.Sprintf(format, args...)})
	}
	if !nameRule.MatchString(c.Name) {
		bad("name", "lower-case letters, digits, - and _ only, at most 63")
	}
	if c.Type != ChannelSimulated && c.Type != ChannelWebhook {
		bad("type", "must be simulated or webhook, not %q", c.Type)
	}
	if c.Entity == "" {
		bad("entity", "required")
	}
	if (c.Group == "") == (len(c.Locations) == 0) {
		bad("locations", "either locations or a group")
	}
	if c.Share < 0 || c.Share > 100 {
		bad("share", "must be between 1 and 100")
	}
	for field, q := range map[string]inventory.Quantity{"buffer": c.Buffer, "cap": c.Cap, "unit": c.Unit} {
		if q < 0 {
			bad(field, "must not be negative")
		}
	}
	if c.Type == ChannelWebhook {
		if c.URL == "" && c.URLEnv == "" {
			bad("url", "url or url_env is required")
		}
		if c.SecretEnv == "" {
			bad("secret_env", "required: what is sent is signed")
		}
	}
	errs = append(errs, checkURL("url", c.URL)...)
	return errors.Join(errs...)
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

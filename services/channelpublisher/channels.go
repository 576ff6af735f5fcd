package channelpublisher

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/channelpublisher/channel"
	"github.com/stockweave/stockweave/services/channelpublisher/channel/simulated"
	"github.com/stockweave/stockweave/services/channelpublisher/channel/webhook"
)

// adapters is the one table of channel adapters, by the type a policy names.
func adapters() map[string]channel.New {
	return map[string]channel.New{
		policy.ChannelSimulated: simulated.New,
		policy.ChannelWebhook:   webhook.New,
	}
}

// open makes a channel's adapter from its policy and the configuration. Errors
// name the channel and never a secret.
func open(p *policy.Channel, cfg *Config, now func() time.Time) (channel.Channel, error) {
	make, ok := adapters()[p.Type]
	if !ok {
		return nil, fmt.Errorf("channel %s: no adapter of type %q", p.Name, p.Type)
	}
	s := channel.Settings{
		Name: p.Name, URL: p.URL, ReadURL: cfg.Channels[p.Name].ReadURL, Timeout: cfg.Timeout,
		AllowPrivate: cfg.AllowPrivate || cfg.Channels[p.Name].AllowPrivate, Now: now,
	}
	if p.URLEnv != "" {
		s.URL = cfg.Getenv(p.URLEnv)
	}
	if p.SecretEnv != "" {
		// Several, separated by blanks, while a secret is being rotated: the first is
		// the current one.
		s.Secrets = strings.Fields(cfg.Getenv(p.SecretEnv))
		if len(s.Secrets) == 0 {
			return nil, fmt.Errorf("channel %s: %w", p.Name, errors.New("the variable that secret_env names is empty"))
		}
		s.Key = s.Secrets[0]
	}
	c, err := make(s)
	if err != nil {
		return nil, fmt.Errorf("channel %s: %w", p.Name, err)
	}
	return c, nil
}

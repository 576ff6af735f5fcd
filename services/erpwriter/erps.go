package erpwriter

import (
	"fmt"
	"time"

	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/services/erpwriter/erp"
	"github.com/stockweave/stockweave/services/erpwriter/erp/simulated"
	"github.com/stockweave/stockweave/services/erpwriter/erp/tryton"
)

// connection is what an adapter is made of: the policy's words with addresses and
// secrets looked up.
type connection struct {
	policy *policy.ERP
	cfg    *Config
	url    string
	key    string
	client *erp.Client
}

// erps is the table of adapters: a new ERP is a folder in erp/ and a line here.
func erps() map[string]func(connection) erp.ERP {
	return map[string]func(connection) erp.ERP{
		policy.ERPSimulated: func(c connection) erp.ERP {
			return simulated.New(simulated.Config{URL: c.url, Key: c.key, Client: c.client})
		},
		policy.ERPTryton: func(c connection) erp.ERP {
			return tryton.New(tryton.Config{
				URL: c.url, Database: c.policy.Database, Key: c.key, Company: c.policy.Company,
				Supplier: c.cfg.Supplier, Customer: c.cfg.Customer, Client: c.client,
			})
		},
	}
}

// open makes the adapter of an ERP and calls nothing.
func open(e *policy.ERP, cfg *Config, now func() time.Time) (erp.ERP, error) {
	build, ok := erps()[e.Type]
	if !ok {
		return nil, fmt.Errorf("erp %s: no adapter of type %q", e.Name, e.Type)
	}
	c := connection{policy: e, cfg: cfg, url: e.URL, client: erp.NewClient(cfg.Timeout)}
	c.client.Gate = newPace(e.Throttle.PerSecond, now).wait
	if e.URLEnv != "" {
		if v := cfg.Getenv(e.URLEnv); v != "" {
			c.url = v
		}
	}
	if c.url == "" {
		return nil, fmt.Errorf("erp %s: no address: neither url nor the variable %q", e.Name, e.URLEnv)
	}
	if e.KeyEnv != "" {
		if c.key = cfg.Getenv(e.KeyEnv); c.key == "" {
			return nil, fmt.Errorf("erp %s: the variable %q has no key", e.Name, e.KeyEnv)
		}
	}
	return build(c), nil
}

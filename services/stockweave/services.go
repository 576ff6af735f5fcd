package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/policy"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/services/atp"
	"github.com/stockweave/stockweave/services/atpapi"
	"github.com/stockweave/stockweave/services/canonicalizer"
	"github.com/stockweave/stockweave/services/channelpublisher"
	"github.com/stockweave/stockweave/services/erpwriter"
	"github.com/stockweave/stockweave/services/ingest"
)

// parts is what every service is wired from.
type parts struct {
	codecs   *event.Codecs
	policies *policy.Set
	getenv   func(string) string
}

// entry is one service: its name, and how its section of the configuration is
// wired. Adding a service is adding its package and one line to serviceTable.
type entry struct {
	name  string
	about string
	build func(context.Context, *Config, parts, service.Env) ([]service.Task, error)
	valid func(*Config) error // its section alone
}

func serviceTable() []entry {
	return []entry{
		{"ingest", "take messages and make them durable", buildIngest, func(c *Config) error { return c.Ingest.Validate() }},
		{"canonicalizer", "turn raw messages into canonical events", buildCanonicalizer, func(c *Config) error { return c.Canonicalizer.Validate() }},
		{"atp", "fold events into the ledger, exactly once", buildATP, func(c *Config) error {
			c.ATP.Kafka = c.Kafka
			return c.ATP.Validate()
		}},
		{"atp-api", "keep Redis and answer ATP over HTTP", buildATPAPI, func(c *Config) error {
			c.ATPAPI.Redis = c.Redis
			return c.ATPAPI.Validate()
		}},
		{"erp-writer", "post documents to ERPs", buildERPWriter, func(c *Config) error { return c.ERPWriter.Validate() }},
		{"channel-publisher", "show channels what they may sell", buildChannelPublisher, func(c *Config) error { return c.ChannelPublisher.Validate() }},
	}
}

func buildIngest(ctx context.Context, c *Config, p parts, env service.Env) ([]service.Task, error) {
	cfg := c.Ingest
	cfg.Kafka, cfg.Codecs, cfg.Policies, cfg.Getenv = c.Kafka, p.codecs, p.policies, p.getenv
	return ingest.Build(ctx, cfg, env)
}

func buildCanonicalizer(ctx context.Context, c *Config, p parts, env service.Env) ([]service.Task, error) {
	cfg := c.Canonicalizer
	cfg.Kafka, cfg.Codecs, cfg.Policies = c.Kafka, p.codecs, p.policies
	return canonicalizer.Build(ctx, cfg, env)
}

func buildATP(ctx context.Context, c *Config, p parts, env service.Env) ([]service.Task, error) {
	cfg := c.ATP
	cfg.Kafka, cfg.Codecs = c.Kafka, p.codecs
	return atp.Build(ctx, cfg, env)
}

func buildATPAPI(ctx context.Context, c *Config, p parts, env service.Env) ([]service.Task, error) {
	cfg := c.ATPAPI
	cfg.Kafka, cfg.Codecs, cfg.Getenv = c.Kafka, p.codecs, p.getenv
	cfg.ATP, cfg.Channels, cfg.Redis = p.policies.ATP, p.policies.Channels, c.Redis
	cfg.Access = p.policies.Access
	return atpapi.Build(ctx, cfg, env)
}

func buildERPWriter(ctx context.Context, c *Config, p parts, env service.Env) ([]service.Task, error) {
	cfg := c.ERPWriter
	cfg.Kafka, cfg.Codecs, cfg.ERPs, cfg.Getenv = c.Kafka, p.codecs, p.policies.ERPs, p.getenv
	return erpwriter.Build(ctx, cfg, env)
}

func buildChannelPublisher(ctx context.Context, c *Config, p parts, env service.Env) ([]service.Task, error) {
	cfg := c.ChannelPublisher
	cfg.Kafka, cfg.Codecs, cfg.Getenv = c.Kafka, p.codecs, p.getenv
	cfg.ATP, cfg.Policies = p.policies.ATP, p.policies.Channels
	return channelpublisher.Build(ctx, cfg, env)
}

// command runs the service as a process of its own.
func (e entry) command(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	fs := flags(e.name, stderr)
	path := fs.String("config", "", "configuration file")
	checkOnly := fs.Bool("check", false, "check the configuration and exit")
	if err := parse(fs, args); err != nil {
		return err
	}
	cfg, err := loadConfig(*path)
	if err != nil {
		return err
	}
	if err := e.valid(cfg); err != nil {
		return fmt.Errorf("%w: invalid configuration:\n%w", errMisuse, err)
	}
	set, err := policy.Load(cfg.PoliciesDir)
	if err != nil {
		return fmt.Errorf("%w: %w", errMisuse, err)
	}
	if *checkOnly {
		fmt.Fprintln(stdout, "valid")
		return nil
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(cfg.GCPercent)
	}
	log := newLog(stderr, cfg.level()).With(slog.String("service", e.name), slog.String("instance", cfg.Kafka.Instance))
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	cfg.Kafka.Log, cfg.Kafka.Metrics = log, metrics
	health := &service.Health{}
	metrics.MustRegister(health.Collector())
	env := service.Env{Name: e.name, Log: log, Metrics: metrics, Health: health, Now: time.Now}

	codecs, topics, err := connected(ctx, cfg)
	if err != nil {
		return err
	}
	watch, err := watchGeneration(cfg.Kafka, codecs, topics.Number, log)
	if err != nil {
		return err
	}
	tasks, err := e.build(ctx, cfg, parts{codecs: codecs, policies: set, getenv: os.Getenv}, env)
	if err != nil {
		return fmt.Errorf("building %s: %w", e.name, err)
	}
	tasks = append(tasks, watch, service.Admin(cfg.Admin.Listen, cfg.Admin.Profiles, metrics, health, log))
	log.Info("started", slog.String("admin", cfg.Admin.Listen))
	err = service.Run(ctx, tasks...)
	log.Info("ended")
	return err
}

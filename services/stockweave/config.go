package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"

	"github.com/stockweave/stockweave/pkg/event"
	"github.com/stockweave/stockweave/pkg/service"
	"github.com/stockweave/stockweave/pkg/stream"
	"github.com/stockweave/stockweave/services/atp"
	"github.com/stockweave/stockweave/services/atpapi"
	"github.com/stockweave/stockweave/services/canonicalizer"
	"github.com/stockweave/stockweave/services/channelpublisher"
	"github.com/stockweave/stockweave/services/erpwriter"
	"github.com/stockweave/stockweave/services/ingest"
)

// Config is the one configuration file of all services. A service reads the
// common part and its own section.
type Config struct {
	Kafka       stream.Config      `yaml:"kafka"`
	Redis       atpapi.RedisConfig `yaml:"redis"`
	Registry    registryConfig     `yaml:"registry"` // needed by topics apply alone
	Topics      topicsConfig       `yaml:"topics"`
	PoliciesDir string             `yaml:"policies_dir"`
	Admin       adminConfig        `yaml:"admin"`
	// GCPercent is Go's GOGC where the environment says nothing: memory for less
	// processor time. GOMEMLIMIT bounds it.
	GCPercent int       `yaml:"gc_percent"`
	Log       logConfig `yaml:"log"`

	Ingest           ingest.Config           `yaml:"ingest"`
	Canonicalizer    canonicalizer.Config    `yaml:"canonicalizer"`
	ATP              atp.Config              `yaml:"atp"`
	ATPAPI           atpapi.Config           `yaml:"atp_api"`
	ERPWriter        erpwriter.Config        `yaml:"erp_writer"`
	ChannelPublisher channelpublisher.Config `yaml:"channel_publisher"`
}

type topicsConfig struct {
	Partitions        int32 `yaml:"partitions"`         // of keyed topics; the catalogue's own when 0
	ReplicationFactor int16 `yaml:"replication_factor"` // the broker's default when 0
}

type adminConfig struct {
	Listen   string `yaml:"listen"`   // /metrics, /healthz, /readyz
	Profiles bool   `yaml:"profiles"` // and /debug/pprof
}

type logConfig struct {
	Level string `yaml:"level"` // debug, info, warn, error
}

func defaultConfig() *Config {
	return &Config{
		Kafka:       stream.Config{Brokers: []string{"127.0.0.1:9092"}, MaxBatch: event.MaxBatch},
		Redis:       atpapi.DefaultRedis(),
		Registry:    registryConfig{URL: "http://127.0.0.1:8081/apis/ccompat/v7"},
		PoliciesDir: "policies",
		Admin:       adminConfig{Listen: "127.0.0.1:9100"},
		GCPercent:   400,
		Log:         logConfig{Level: "info"},

		Ingest:           ingest.DefaultConfig(),
		Canonicalizer:    canonicalizer.DefaultConfig(),
		ATP:              atp.DefaultConfig(),
		ATPAPI:           atpapi.DefaultConfig(),
		ERPWriter:        erpwriter.DefaultConfig(),
		ChannelPublisher: channelpublisher.DefaultConfig(),
	}
}

// loadConfig reads a file over the defaults, then the environment over both:
// STOCKWEAVE_KAFKA_BROKERS (comma-separated), STOCKWEAVE_INSTANCE and
// STOCKWEAVE_REDIS_ADDRESSES, which differ between replicas and sites.
func loadConfig(path string) (*Config, error) {
	cfg := defaultConfig()
	if path != "" {
		if err := service.LoadConfig(path, cfg); err != nil {
			return nil, fmt.Errorf("%w: %w", errMisuse, err)
		}
	}
	if v := os.Getenv("STOCKWEAVE_KAFKA_BROKERS"); v != "" {
		cfg.Kafka.Brokers = strings.Split(v, ",")
	}
	if v := os.Getenv("STOCKWEAVE_INSTANCE"); v != "" {
		cfg.Kafka.Instance = v
	}
	if v := os.Getenv("STOCKWEAVE_REDIS_ADDRESSES"); v != "" {
		cfg.Redis.Addresses = strings.Split(v, ",")
	}
	errs := []error{cfg.Kafka.Validate(), cfg.Registry.validate()}
	if cfg.GCPercent < 50 || cfg.GCPercent > 1000 {
		errs = append(errs, errors.New("gc_percent: must be between 50 and 1000"))
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		errs = append(errs, fmt.Errorf("log.level: must be debug, info, warn or error, not %q", cfg.Log.Level))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("%w: invalid configuration:\n%w", errMisuse, err)
	}
	return cfg, nil
}

func (c *Config) level() slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Log.Level)); err != nil {
		return slog.LevelInfo // loadConfig has refused it already
	}
	return level
}

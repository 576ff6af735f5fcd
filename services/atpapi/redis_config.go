package atpapi

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/stockweave/stockweave/pkg/connect"
)

// RedisConfig says how to reach Redis: one address is one node, several, or Cluster,
// are a cluster's, and Sentinel says itself where the node is. Its memory policy must be
// noeviction: an evicted item would look unknown. What its user may must be
// RedisCommands on RedisKeys: see docs/redis.md.
type RedisConfig struct {
	Addresses   []string       `yaml:"addresses"`
	Cluster     bool           `yaml:"cluster"` // the one address is a cluster's
	Sentinel    SentinelConfig `yaml:"sentinel"`
	Username    string         `yaml:"username"`     // of an ACL; empty: default
	PasswordEnv string         `yaml:"password_env"` // names the variable that has the password
	Database    int            `yaml:"database"`     // 0 on a cluster
	TLS         connect.TLS    `yaml:"tls"`          // the same for sentinels and nodes
	Timeout     time.Duration  `yaml:"timeout"`      // of one call
	PoolSize    int            `yaml:"pool_size"`
}

// SentinelConfig names a master that sentinels watch over; with no name there are none.
// Addresses of RedisConfig are not used then.
type SentinelConfig struct {
	Master      string   `yaml:"master"`
	Addresses   []string `yaml:"addresses"`
	Username    string   `yaml:"username"`
	PasswordEnv string   `yaml:"password_env"` // of the sentinels, which is not the node's
}

// RedisCommands and RedisKeys are what the user needs, as an ACL says it: see
// docs/redis.md.
const (
	RedisCommands = "+get +set +hget +hset +hmget +hgetall +unlink +pexpire +time +zadd +zremrangebyscore +zcard +evalsha +eval +script|load +multi +exec +scan +info +ping +hello +client|setname +cluster|slots +command"
	RedisKeys     = "~sw:*"
)

// DefaultRedis is what holds where the file says nothing.
func DefaultRedis() RedisConfig {
	return RedisConfig{Addresses: []string{"127.0.0.1:6379"}, Timeout: 2 * time.Second, PoolSize: 32}
}

// Validate reports every fault at once.
func (c *RedisConfig) Validate() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf("redis."+format, args...)) }
	addresses := func(name string, list []string) {
		if len(list) == 0 {
			bad("%s: required", name)
		}
		for i, a := range list {
			if _, _, err := net.SplitHostPort(a); err != nil {
				bad("%s[%d]: must be host:port, not %q", name, i, a)
			}
		}
	}
	watched := c.Sentinel.Master != ""
	switch {
	case watched:
		addresses("sentinel.addresses", c.Sentinel.Addresses)
		if c.Cluster {
			bad("cluster: a cluster has no sentinels")
		}
	case len(c.Sentinel.Addresses) > 0 || c.Sentinel.Username != "" || c.Sentinel.PasswordEnv != "":
		bad("sentinel.master: required beside the rest of sentinel")
	default:
		addresses("addresses", c.Addresses)
	}
	if c.Timeout <= 0 || c.Timeout > time.Minute {
		bad("timeout: must be above 0 and at most 1m")
	}
	if c.PoolSize < 1 || c.PoolSize > 10_000 {
		bad("pool_size: must be between 1 and 10000")
	}
	if c.Database < 0 || c.Database > 0 && !watched && (c.Cluster || len(c.Addresses) > 1) {
		bad("database: must be 0 on a cluster, and never negative")
	}
	return errors.Join(append(errs, c.TLS.Validate("redis.tls"))...)
}

// client connects lazily; an error is that of a file.
func (c *RedisConfig) client(getenv func(string) string) (redis.UniversalClient, error) {
	secured, err := c.TLS.Load("redis.tls")
	if err != nil {
		return nil, err
	}
	o := &redis.UniversalOptions{
		Addrs: c.Addresses, IsClusterMode: c.Cluster, DB: c.Database, Username: c.Username, ClientName: "stockweave-atp-api",
		DialTimeout: c.Timeout, ReadTimeout: c.Timeout, WriteTimeout: c.Timeout, PoolTimeout: c.Timeout,
		ContextTimeoutEnabled: true, PoolSize: c.PoolSize, MaxRetries: 1, TLSConfig: secured,
		// In the third one each reply is looked at for what the server may push, which is nothing.
		Protocol: 2,
		// Commands less a connection, which an ACL would have to allow.
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	if c.PasswordEnv != "" {
		o.Password = getenv(c.PasswordEnv)
	}
	if s := &c.Sentinel; s.Master != "" {
		o.MasterName, o.Addrs, o.SentinelUsername = s.Master, s.Addresses, s.Username
		if s.PasswordEnv != "" {
			o.SentinelPassword = getenv(s.PasswordEnv)
		}
	}
	return redis.NewUniversalClient(o), nil
}

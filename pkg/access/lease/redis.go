package lease

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// Redis is a Store: a bucket is a hash, and lives until it would be full. A Redis that
// lost everything begins with full ones. It is safe for concurrent use.
type Redis struct {
	rdb    redis.UniversalClient
	prefix string // of keys
}

// NewRedis keeps keys under a prefix.
func NewRedis(rdb redis.UniversalClient, prefix string) *Redis {
	return &Redis{rdb: rdb, prefix: prefix}
}

// settleScript takes what was spent from a bucket that fills with time, by the clock of
// Redis. It owes at most a burst.
//
// KEYS: bucket. ARGV: a second's rate, burst, spent. It returns the level.
const settleScript = `
local t = redis.call('TIME')
local now = tonumber(t[1]) + tonumber(t[2]) / 1000000
local rate, burst, spent = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local had = redis.call('HMGET', KEYS[1], 'level', 'at')
local level = tonumber(had[1] or '')
local at = tonumber(had[2] or '')
if not level or not at then level, at = burst, now end
if now > at then level = level + (now - at) * rate end
if level > burst then level = burst end
level = level - spent
if level < -burst then level = -burst end
local text = string.format('%.6f', level)
redis.call('HSET', KEYS[1], 'level', text, 'at', string.format('%.6f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(math.min((burst - level) / rate, 31536000) * 1000) + 60000)
return text
`

var errLevel = errors.New("not a level")

// Settle implements Store.
func (r *Redis) Settle(ctx context.Context, accounts []Account) ([]float64, error) {
	script := redis.NewScript(settleScript)
	cmds := make([]*redis.Cmd, len(accounts))
	send := func() error {
		_, err := r.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			for i := range accounts {
				a := &accounts[i]
				cmds[i] = p.EvalSha(ctx, script.Hash(), []string{r.prefix + "b:" + a.Name},
					strconv.FormatFloat(a.Rule.PerSecond, 'f', -1, 64), a.Rule.Size(), a.Spent)
			}
			return nil
		})
		return err //nolint:wrapcheck // below
	}
	err := send()
	if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") {
		// A restart forgets scripts: none of a node has been run. On a cluster those of
		// another node were, and are taken twice, once.
		if cluster, ok := r.rdb.(*redis.ClusterClient); ok {
			err = cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error {
				return node.ScriptLoad(ctx, settleScript).Err()
			})
		} else {
			err = r.rdb.ScriptLoad(ctx, settleScript).Err()
		}
		if err == nil {
			err = send()
		}
	}
	if err != nil {
		return nil, fmt.Errorf("settling rates: %w", err)
	}
	levels := make([]float64, len(accounts))
	for i, c := range cmds {
		if levels[i], err = c.Float64(); err == nil && (math.IsNaN(levels[i]) || math.IsInf(levels[i], 0)) {
			err = errLevel
		}
		if err != nil {
			return nil, fmt.Errorf("settling the rate of %s: %w", accounts[i].Name, err)
		}
	}
	return levels, nil
}

// meetScript notes when a replica told of itself, and drops those that have not.
//
// KEYS: replicas. ARGV: replica, ms. It returns how many there are.
const meetScript = `
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[2]))
redis.call('PEXPIRE', KEYS[1], tonumber(ARGV[2]) * 2)
return redis.call('ZCARD', KEYS[1])
`

// Meet implements Store.
func (r *Redis) Meet(ctx context.Context, replica string, within time.Duration) (int, error) {
	n, err := redis.NewScript(meetScript).Run(ctx, r.rdb, []string{r.prefix + "replicas"}, replica, within.Milliseconds()).Int()
	if err != nil {
		return 0, fmt.Errorf("telling of the replica: %w", err)
	}
	return n, nil
}

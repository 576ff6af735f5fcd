package atpapi

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"
)

// book is what all replicas remember of reservations, in Redis and for a while. Those of
// one partner share a slot:
//
//	sw:r:{<hash of partner>}:<number>  hash: print, status, lease, owner, made, id, body
//	sw:r:{<hash of partner>}:open      sorted set: the numbers that hold stock tentatively, by when that ends
//
// It sees to it that one run of a request is under way at a time (ADR 19), that a key
// stands for one request, and that a partner has not too many open. Nothing that was
// granted rests on it: when it is lost, giving back and confirming need only the id. It
// is safe for concurrent use.
type book struct {
	rdb redis.UniversalClient
}

func bookKeys(partner, number string) []string {
	sum := sha256.Sum256([]byte(partner))
	tag := "sw:r:{" + hex.EncodeToString(sum[:8]) + "}:"
	return []string{tag + number, tag + "open"}
}

// statusPending is in the book while the request has no answer. The other statuses are
// those of views.
const statusPending = "pending"

// beginScript begins a request, or says what is known of it.
//
// KEYS: record, open  ARGV: now (20 digits), print, owner, lease (20 digits), id, most
// open, number, ms to keep. It returns mine, other, pending, open or known.
const beginScript = `
local cur = redis.call('HMGET', KEYS[1], 'print', 'status', 'lease')
if cur[1] then
  if cur[1] ~= ARGV[2] then return 'other' end
  if cur[2] ~= 'pending' then return 'known' end
  if cur[3] > ARGV[1] then return 'pending' end
else
  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[1])
  if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[6]) then return 'open' end
end
redis.call('HSET', KEYS[1], 'print', ARGV[2], 'status', 'pending', 'lease', ARGV[4], 'owner', ARGV[3], 'id', ARGV[5])
redis.call('HSETNX', KEYS[1], 'made', ARGV[1])
redis.call('PEXPIRE', KEYS[1], ARGV[8])
redis.call('ZADD', KEYS[2], ARGV[4], ARGV[7])
redis.call('PEXPIRE', KEYS[2], ARGV[9])
return 'mine'`

// changeScript writes what became of a request. An owner writes only while it is
// pending and its own; nobody writes over a cancelled one.
//
// KEYS: record, open  ARGV: owner or empty, status, body, ms to keep, until (20 digits,
// or empty: it is open no more), number.
const changeScript = `
local cur = redis.call('HMGET', KEYS[1], 'owner', 'status')
if not cur[1] or cur[2] == 'cancelled' then return 0 end
if ARGV[1] ~= '' and (cur[1] ~= ARGV[1] or cur[2] ~= 'pending') then return 0 end
redis.call('HSET', KEYS[1], 'status', ARGV[2], 'body', ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
if ARGV[5] == '' then redis.call('ZREM', KEYS[2], ARGV[6]) else redis.call('ZADD', KEYS[2], ARGV[5], ARGV[6]) end
return 1`

// forgetScript takes back what begin did. KEYS: record, open  ARGV: owner, number.
const forgetScript = `
if redis.call('HGET', KEYS[1], 'owner') ~= ARGV[1] then return 0 end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[2])
return 1`

// renewScript lengthens the lease of a run that goes on. KEYS: record  ARGV: owner, lease
// (20 digits).
const renewScript = `
local cur = redis.call('HMGET', KEYS[1], 'owner', 'status')
if cur[1] ~= ARGV[1] or cur[2] ~= 'pending' then return 0 end
redis.call('HSET', KEYS[1], 'lease', ARGV[2])
return 1`

// The scripts are sent by their hash, and whole where Redis does not know it.
var (
	bookBegin  = redis.NewScript(beginScript)  //nolint:gochecknoglobals // as good as constants
	bookChange = redis.NewScript(changeScript) //nolint:gochecknoglobals // as good as constants
	bookRenew  = redis.NewScript(renewScript)  //nolint:gochecknoglobals // as good as constants
	bookForget = redis.NewScript(forgetScript) //nolint:gochecknoglobals // as good as constants
)

// begun is what is known of a request that is to begin.
type begun string

const (
	begunMine    begun = "mine"    // it is the caller's to run
	begunOther   begun = "other"   // the key stands for another request
	begunPending begun = "pending" // it is under way
	begunOpen    begun = "open"    // the partner has too many open
	begunKnown   begun = "known"   // it was answered
)

// start is a request that is to begin.
type start struct {
	partner, number, owner, id string
	print                      [sha256.Size]byte
	now, lease                 time.Time // until the lease ends nobody else runs it
	mostOpen                   int
	keep                       time.Duration // the record, and what is open at most
}

func (b *book) begin(ctx context.Context, s *start) (begun, error) {
	keep := s.keep.Milliseconds()
	got, err := bookBegin.Run(ctx, b.rdb, bookKeys(s.partner, s.number),
		digits(s.now), hex.EncodeToString(s.print[:]), s.owner, digits(s.lease), s.id, s.mostOpen, s.number, keep, keep).Text()
	if err != nil {
		return "", fmt.Errorf("looking up the key: %w", err)
	}
	return begun(got), nil
}

// renew lengthens the lease of a run.
func (b *book) renew(ctx context.Context, partner, number, owner string, lease time.Time) error {
	if err := bookRenew.Run(ctx, b.rdb, bookKeys(partner, number)[:1], owner, digits(lease)).Err(); err != nil {
		return fmt.Errorf("renewing a lease: %w", err)
	}
	return nil
}

func digits(t time.Time) string { return number(t.UnixMilli()) }

// change writes a view; by an owner only as the answer to its own run. openUntil is zero
// when nothing is held tentatively.
func (b *book) change(ctx context.Context, partner, owner string, v *view, openUntil time.Time, keep time.Duration) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding a reservation: %w", err)
	}
	until := ""
	if !openUntil.IsZero() {
		until = digits(openUntil)
	}
	if err := bookChange.Run(ctx, b.rdb, bookKeys(partner, v.Reservation), owner, v.Status, body, keep.Milliseconds(), until, v.Reservation).Err(); err != nil {
		return fmt.Errorf("writing a reservation: %w", err)
	}
	return nil
}

func (b *book) forget(ctx context.Context, partner, number, owner string) error {
	if err := bookForget.Run(ctx, b.rdb, bookKeys(partner, number), owner, number).Err(); err != nil {
		return fmt.Errorf("forgetting a reservation: %w", err)
	}
	return nil
}

// noted is what the book has of a reservation.
type noted struct {
	id    string
	made  time.Time
	lease time.Time
	view  view
}

// find returns nil where nothing is known of it under this partner.
func (b *book) find(ctx context.Context, partner, number string) (*noted, error) {
	got, err := b.rdb.HMGet(ctx, bookKeys(partner, number)[0], "status", "lease", "made", "id", "body").Result()
	if err != nil {
		return nil, fmt.Errorf("reading a reservation: %w", err)
	}
	var f [5]string
	for i := range f {
		f[i], _ = got[i].(string)
	}
	if f[0] == "" {
		return nil, nil //nolint:nilnil // as the comment says
	}
	out := &noted{id: f[3]}
	lease, err1 := strconv.ParseInt(f[1], 10, 64)
	made, err2 := strconv.ParseInt(f[2], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("reading a reservation: %w", err)
	}
	out.lease, out.made = time.UnixMilli(lease), time.UnixMilli(made)
	if f[0] == statusPending {
		out.view = view{ID: out.id, Reservation: number, Status: statusPending}
		return out, nil
	}
	if err := json.Unmarshal([]byte(f[4]), &out.view); err != nil {
		return nil, fmt.Errorf("reading a reservation: %w", err)
	}
	return out, nil
}

package atpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"

	"github.com/redis/go-redis/v9"
)

// store is the projection in Redis. The keys of one partition share a slot, so
// that one script call may touch items and their partition's mark:
//
//	sw:{p<n>}:i:<entity|item>   hash: location → version (20 digits) + the position as it stands on the topic
//	sw:{p<n>}:o                 the partition's mark
//
// Numbers are fixed-width decimal text, compared as text: Lua's numbers are
// doubles and lose what is beyond 2^53. It is safe for concurrent use.
type store struct {
	rdb redis.UniversalClient
}

const (
	numberWidth = 20 // digits of the largest uint64
	wipeCount   = 1000
)

func number(n int64) string {
	if n < 0 {
		n = 0 // offsets, versions and times are never negative
	}
	var b [numberWidth]byte
	for i := range b {
		b[numberWidth-1-i] = byte('0' + n%10) //nolint:gosec // a digit
		n /= 10
	}
	return string(b[:])
}

func itemKey(partition int32, key string) string {
	return "sw:{p" + strconv.Itoa(int(partition)) + "}:i:" + key
}

func markKey(partition int32) string { return "sw:{p" + strconv.Itoa(int(partition)) + "}:o" }

// mark says how far a partition's projection has come.
type mark struct {
	next      int64  // offset of the next record to apply
	target    int64  // reads are answered from here on: the log's end when its loading began
	recorded  int64  // ledger time of the last applied record, ms
	watermark int64  // every record that was in the log at this time has been applied, ms
	reached   int64  // offset behind the last record taken in: beyond next while parts of a commit are waited for
	topic     string // id of the topic; prefixed with '!' while the leftovers of another one are removed
}

// caughtUp says whether reads may be answered.
func (m mark) caughtUp() bool { return m.next >= m.target && !strings.HasPrefix(m.topic, wiping) }

// behind says whether a mark is of a Redis that fell back to before another one.
func (m mark) behind(seen mark) bool {
	return m.topic == seen.topic && (m.next < seen.next || m.reached < seen.reached)
}

const wiping = "!"

func (m mark) String() string {
	return number(m.next) + " " + number(m.target) + " " + number(m.recorded) + " " + number(m.watermark) + " " + number(m.reached) + " " + m.topic
}

func parseMark(s string) (mark, error) {
	var m mark
	f := strings.SplitN(s, " ", 6)
	if len(f) != 6 {
		return m, errors.New("mark has not six fields")
	}
	for i, into := range []*int64{&m.next, &m.target, &m.recorded, &m.watermark, &m.reached} {
		if len(f[i]) != numberWidth {
			return m, errors.New("mark has a number of another width")
		}
		for j := range len(f[i]) {
			if f[i][j] < '0' || f[i][j] > '9' {
				return m, errors.New("mark has no number where one belongs")
			}
			*into = *into*10 + int64(f[i][j]-'0')
		}
	}
	m.topic = f[5]
	return m, nil
}

// applyScript writes items and moves the partition's mark, or does nothing when
// Redis is not where the caller believes it to be.
//
// KEYS: mark, item…  ARGV: topic id, offset believed, next offset, recorded,
// watermark, reached believed, reached, then for each item the count of its fields and
// field, value of each. It returns ok, missing, foreign, or behind and the mark.
//
// next alone does not tell a Redis that fell back: while parts of a commit are waited
// for, items behind them are written and next stands still. reached moves with each.
//
// Invariant 5: a field is written only when its version is greater than the one
// that stands there. Nothing here ever moves the mark back.
const applyScript = `
local cur = redis.call('GET', KEYS[1])
if not cur then return 'missing' end
if string.sub(cur, 106) ~= ARGV[1] then return 'foreign' end
local next = string.sub(cur, 1, 20)
if next < ARGV[2] or string.sub(cur, 85, 104) < ARGV[6] then return 'behind ' .. cur end
local a = 8
for k = 2, #KEYS do
  local n = tonumber(ARGV[a])
  a = a + 1
  for _ = 1, n do
    local value = ARGV[a + 1]
    local old = redis.call('HGET', KEYS[k], ARGV[a])
    if not old or string.sub(old, 1, 20) < string.sub(value, 1, 20) then
      redis.call('HSET', KEYS[k], ARGV[a], value)
    end
    a = a + 2
  end
end
local function latest(from, to, new)
  local old = string.sub(cur, from, to)
  if old < new then return new end
  return old
end
local mark = latest(1, 20, ARGV[3]) .. string.sub(cur, 21, 42) .. latest(43, 62, ARGV[4]) .. ' ' .. latest(64, 83, ARGV[5]) .. ' ' .. latest(85, 104, ARGV[7]) .. string.sub(cur, 105)
if mark ~= cur then redis.call('SET', KEYS[1], mark) end
return 'ok'
`

// fields are the new values of one item's locations.
type fields struct {
	key    string // entity|item, escaped
	first  int64  // offset of the first record in it
	names  []string
	values []string
}

// call is one script call.
type call struct {
	items     []*fields
	next      int64
	recorded  int64
	watermark int64
	reached   int64
	since     int64 // reached, as believed before it
}

// What a call of apply may find.
var (
	errMissing = errors.New("redis has lost the partition")
	errForeign = errors.New("redis holds another log's partition")
)

// errBehind is a Redis that stands earlier than the caller had brought it.
type errBehind struct{ mark mark }

func (e *errBehind) Error() string { return fmt.Sprintf("redis is back at offset %d", e.mark.next) }

// apply makes the calls of one partition in one pipeline, in order. believed is
// the offset the mark should have reached before the first.
func (s *store) apply(ctx context.Context, partition int32, topic string, believed int64, calls []call) error {
	script := redis.NewScript(applyScript)
	for attempt := 0; ; attempt++ {
		cmds := make([]*redis.Cmd, 0, len(calls))
		_, err := s.rdb.Pipelined(ctx, func(p redis.Pipeliner) error {
			at := believed
			for i := range calls {
				c := &calls[i]
				keys := make([]string, 1, 1+len(c.items))
				keys[0] = markKey(partition)
				args := make([]any, 7, 7+8*len(c.items))
				args[0], args[1], args[2], args[3], args[4] = topic, number(at), number(c.next), number(c.recorded), number(c.watermark)
				args[5], args[6] = number(c.since), number(c.reached)
				for _, it := range c.items {
					keys = append(keys, itemKey(partition, it.key))
					args = append(args, len(it.names))
					for j := range it.names {
						args = append(args, it.names[j], it.values[j])
					}
				}
				cmds = append(cmds, p.EvalSha(ctx, script.Hash(), keys, args...))
				at = max(at, c.next)
			}
			return nil
		})
		if err != nil && redis.HasErrorPrefix(err, "NOSCRIPT") && attempt == 0 {
			// A restart forgets scripts. Doing all calls again changes nothing that
			// some of them did.
			if err := s.rdb.ScriptLoad(ctx, applyScript).Err(); err != nil {
				return fmt.Errorf("loading script: %w", err)
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("writing to redis: %w", err)
		}
		for _, c := range cmds {
			if err := outcome(c.Text()); err != nil {
				return err
			}
		}
		return nil
	}
}

func outcome(answer string, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("writing to redis: %w", err)
	case answer == "ok":
		return nil
	case answer == "missing":
		return errMissing
	case answer == "foreign":
		return errForeign
	}
	text, ok := strings.CutPrefix(answer, "behind ")
	if !ok {
		return fmt.Errorf("writing to redis: unexpected answer %.80q", answer)
	}
	m, err := parseMark(text)
	if err != nil {
		return fmt.Errorf("reading mark: %w", err)
	}
	return &errBehind{m}
}

// mark reads a partition's mark; found is false when there is none.
func (s *store) mark(ctx context.Context, partition int32) (m mark, found bool, err error) {
	text, err := s.rdb.Get(ctx, markKey(partition)).Result()
	if errors.Is(err, redis.Nil) {
		return m, false, nil
	}
	if err != nil {
		return m, false, fmt.Errorf("reading mark: %w", err)
	}
	m, err = parseMark(text)
	if err != nil {
		return m, false, nil // as good as none: it is written anew
	}
	return m, true, nil
}

// retarget makes reads of a partition wait until its projection has reached end.
// It returns the offset to go on from, or false when what Redis holds does not
// belong to the log: missing, of another topic, or ahead of the log's end.
//
// KEYS: mark. ARGV: topic id, end.
const retargetScript = `
local cur = redis.call('GET', KEYS[1])
if not cur or #cur < 106 or string.sub(cur, 106) ~= ARGV[1] then return '' end
if string.sub(cur, 1, 20) > ARGV[2] then return '' end
cur = string.sub(cur, 1, 21) .. ARGV[2] .. string.sub(cur, 42)
redis.call('SET', KEYS[1], cur)
return cur
`

func (s *store) retarget(ctx context.Context, partition int32, topic string, end int64) (m mark, ok bool, err error) {
	text, err := redis.NewScript(retargetScript).Run(ctx, s.rdb, []string{markKey(partition)}, topic, number(end)).Text()
	if err != nil {
		return m, false, fmt.Errorf("setting target: %w", err)
	}
	if text == "" {
		return m, false, nil
	}
	if m, err = parseMark(text); err != nil {
		return m, false, nil // unreadable: start over
	}
	return m, true, nil
}

// restart empties a partition and sets its mark to begin. While it runs the mark
// names no topic, so that neither a reader nor another projector takes what is
// left for something; a crash on the way is found by the next one.
func (s *store) restart(ctx context.Context, partition int32, begin mark) error {
	undone := begin
	undone.topic = wiping + begin.topic
	if err := s.rdb.Set(ctx, markKey(partition), undone.String(), 0).Err(); err != nil {
		return fmt.Errorf("marking partition as empty: %w", err)
	}
	wipe := func(ctx context.Context, node redis.UniversalClient) error {
		it := node.Scan(ctx, 0, fmt.Sprintf("sw:{p%d}:i:*", partition), wipeCount).Iterator()
		batch := make([]string, 0, wipeCount)
		flush := func() error {
			if len(batch) == 0 {
				return nil
			}
			err := s.rdb.Unlink(ctx, batch...).Err() // one slot: one call on a cluster too
			batch = batch[:0]
			return err
		}
		for it.Next(ctx) {
			if batch = append(batch, it.Val()); len(batch) == wipeCount {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		if err := it.Err(); err != nil {
			return err
		}
		return flush()
	}
	var err error
	if cluster, ok := s.rdb.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return wipe(ctx, node) })
	} else {
		err = wipe(ctx, s.rdb)
	}
	if err != nil {
		return fmt.Errorf("removing what another log left: %w", err)
	}
	if err := s.rdb.Set(ctx, markKey(partition), begin.String(), 0).Err(); err != nil {
		return fmt.Errorf("writing first mark: %w", err)
	}
	return nil
}

// warnEviction logs when the server may throw items away by itself.
func (s *store) warnEviction(ctx context.Context, log *slog.Logger) {
	info, err := s.rdb.Info(ctx, "memory").Result()
	if err != nil {
		return // a server that does not say is not at fault
	}
	for line := range strings.Lines(info) {
		if p, ok := strings.CutPrefix(strings.TrimSpace(line), "maxmemory_policy:"); ok && p != "noeviction" {
			log.Warn("redis may evict items, which then look unknown", slog.String("maxmemory_policy", p))
		}
	}
}

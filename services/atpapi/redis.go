package atpapi

import (
	"context"
	"crypto/rand"
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
	topic     string // id of the topic; see emptying
}

// caughtUp says whether reads may be answered.
func (m mark) caughtUp() bool { return m.next >= m.target && !m.emptied() }

// emptied says whether what another log, or the same one before, left is being removed.
func (m mark) emptied() bool { return strings.HasPrefix(m.topic, wiping) }

// log is the id of the topic, whether its partition is being emptied for it or not.
func (m mark) log() string {
	if m.emptied() && len(m.topic) >= len(wiping)+nonceWidth {
		return m.topic[len(wiping)+nonceWidth:]
	}
	return m.topic
}

// behind says whether a mark is of a Redis that fell back to before another one.
func (m mark) behind(seen mark) bool {
	return m.topic == seen.topic && (m.next < seen.next || m.reached < seen.reached)
}

const (
	wiping     = "!"
	nonceWidth = 16
)

// emptying is the topic of a mark while its partition is emptied for a topic: no topic's
// id, and no two times the same, so that who still empties it for an earlier time removes
// nothing of what stands there since.
func emptying(topic string) string { return wiping + rand.Text()[:nonceWidth] + topic }

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
// watermark, reached believed, reached, target believed, then for each item the count of
// its fields and field, value of each. It returns ok, missing, foreign, or behind and the
// mark.
//
// next alone does not tell a Redis that fell back: while parts of a commit are waited
// for, items behind them are written and next stands still. reached moves with each. A
// target that fell is of another's loading: what the caller takes for hidden may be seen.
//
// Invariant 5: a field is written only when its version is greater than the one
// that stands there. Nothing here ever moves the mark back.
const applyScript = `
local cur = redis.call('GET', KEYS[1])
if not cur then return 'missing' end
if string.sub(cur, 106) ~= ARGV[1] then return 'foreign' end
local next = string.sub(cur, 1, 20)
if next < ARGV[2] or string.sub(cur, 85, 104) < ARGV[6] or string.sub(cur, 22, 41) < ARGV[8] then return 'behind ' .. cur end
local a = 9
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
	target    int64 // as believed
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
				args := make([]any, 8, 8+8*len(c.items))
				args[0], args[1], args[2], args[3], args[4] = topic, number(at), number(c.next), number(c.recorded), number(c.watermark)
				args[5], args[6], args[7] = number(c.since), number(c.reached), number(c.target)
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

// retargetScript makes reads of a partition wait until its projection has reached the
// log's end. What Redis holds and does not belong to the log, since the mark is missing,
// of another topic or ahead of the end, is to be emptied: then the mark says so.
//
// KEYS: mark. ARGV: topic id, end, mark of a partition that is emptied for the topic. It
// returns the mark that stands there then.
//
// The target never falls: another projector may be loading up to a later end, and shows
// commits in part until it is there. Who comes second joins in the emptying.
const retargetScript = `
local cur = redis.call('GET', KEYS[1])
if cur and #cur >= 106 then
  if string.sub(cur, 106) == ARGV[1] and string.sub(cur, 1, 20) <= ARGV[2] then
    if string.sub(cur, 22, 41) >= ARGV[2] then return cur end
    cur = string.sub(cur, 1, 21) .. ARGV[2] .. string.sub(cur, 42)
    redis.call('SET', KEYS[1], cur)
    return cur
  end
  if string.sub(cur, 106, 106) == '!' and string.sub(cur, 123) == ARGV[1] then return cur end
end
redis.call('SET', KEYS[1], ARGV[3])
return ARGV[3]
`

// retarget says where a projection goes on from, or, where the mark is emptied, that
// empty comes first.
func (s *store) retarget(ctx context.Context, partition int32, topic string, end int64) (mark, error) {
	undone := mark{target: end, topic: emptying(topic)}
	text, err := redis.NewScript(retargetScript).Run(ctx, s.rdb, []string{markKey(partition)}, topic, number(end), undone.String()).Text()
	if err != nil {
		return mark{}, fmt.Errorf("setting target: %w", err)
	}
	m, err := parseMark(text)
	if err != nil { // numbers that are none: as good as no mark
		if err := s.rdb.Set(ctx, markKey(partition), undone.String(), 0).Err(); err != nil {
			return mark{}, fmt.Errorf("marking partition as empty: %w", err)
		}
		return undone, nil
	}
	return m, nil
}

// emptyScript removes items and sets the mark, unless the mark is another one by now.
//
// KEYS: mark, item…  ARGV: mark of the emptying, the mark to begin with or nothing.
const emptyScript = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
for k = 2, #KEYS do redis.call('UNLINK', KEYS[k]) end
if ARGV[2] ~= '' then redis.call('SET', KEYS[1], ARGV[2]) end
return 1
`

// empty removes what is in a partition and sets its mark to begin, or is not done, since
// another projector was before. While the mark is undone it names no topic, so that
// neither a reader nor another projector takes what is left for something; a crash on
// the way is found by the next one.
func (s *store) empty(ctx context.Context, partition int32, undone, begin mark) (done bool, err error) {
	script := redis.NewScript(emptyScript)
	errTaken := errors.New("the mark is another one")
	remove := func(ctx context.Context, items []string, then string) error {
		n, err := script.Run(ctx, s.rdb, append([]string{markKey(partition)}, items...), undone.String(), then).Int()
		if err == nil && n == 0 {
			return errTaken
		}
		return err //nolint:wrapcheck // below
	}
	wipe := func(ctx context.Context, node redis.UniversalClient) error {
		it := node.Scan(ctx, 0, fmt.Sprintf("sw:{p%d}:i:*", partition), wipeCount).Iterator()
		batch := make([]string, 0, wipeCount)
		for it.Next(ctx) {
			if batch = append(batch, it.Val()); len(batch) == wipeCount {
				if err := remove(ctx, batch, ""); err != nil { // one slot: one call on a cluster too
					return err
				}
				batch = batch[:0]
			}
		}
		if err := it.Err(); err != nil {
			return err //nolint:wrapcheck // below
		}
		return remove(ctx, batch, "")
	}
	if cluster, ok := s.rdb.(*redis.ClusterClient); ok {
		err = cluster.ForEachMaster(ctx, func(ctx context.Context, node *redis.Client) error { return wipe(ctx, node) })
	} else {
		err = wipe(ctx, s.rdb)
	}
	if err == nil {
		err = remove(ctx, nil, begin.String())
	}
	if errors.Is(err, errTaken) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("removing what another log left: %w", err)
	}
	return true, nil
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

package redisstore

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-login/auth"
)

// An index is a sorted set for each kind and user, in another slot of a Cluster
// than the records. A member is the nonce and the key of a record, its score the
// second after which nobody needs it. It is a hint, and the record is what counts:
// an entry is there before its record and may be there after it, but no record is
// without one. The nonce is that of one insert and so of one user's record: who
// drops an entry late does not drop that of a new record of the same key. An entry
// without a record is left alone until its score has passed: the record may be
// about to come.

// ahead is how much longer than its record an entry is made to last, so that an
// update that puts off Expires need not go to the index every time.
const ahead = 24 * time.Hour

// batch is how many records are asked for at once.
const batch = 100

// indexedUntil is until when the index is to know a record.
func indexedUntil(expires time.Time) time.Time {
	if expires.IsZero() {
		return expires
	}
	return expires.Add(ahead)
}

// enterScript: now, score, member. An entry is never brought forward, as another
// update may have put it off further. The index lives as long as its last entry.
// ZADD comes first, because a Redis that is full refuses it only there.
const enterScript = `
redis.call('ZADD', KEYS[1], 'GT', ARGV[2], ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1])
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')[2] or ARGV[1]
if last == 'inf' then
	redis.call('PERSIST', KEYS[1])
else
	redis.call('PEXPIRE', KEYS[1], (tonumber(last) - tonumber(ARGV[1])) * 1000)
end
return 'done'
`

// enter makes the index know a record until then; forget makes it forget some. A
// failure to forget is no error of the call: the entry goes when its time comes.
// Both may be done twice, so the client may try again.
func (s *Records) enter(ctx context.Context, kind, userID, member string, until time.Time) error {
	if userID == "" {
		return nil
	}
	score := "+inf"
	if !until.IsZero() {
		score = strconv.FormatInt(until.Add(slack).Unix(), 10)
	}
	return s.eval(ctx, enterScript, s.indexKey(kind, userID), s.now().Unix(), score, member).Err()
}

func (s *Records) forget(ctx context.Context, kind, userID string, members ...string) {
	if userID == "" || len(members) == 0 {
		return
	}
	_ = s.client.ZRem(ctx, s.indexKey(kind, userID), members).Err()
}

// findScript and removeScript: nonce.
const (
	findScript = headScript + `
if head():sub(81) ~= ARGV[1] then
	return ''
end
return redis.call('GET', KEYS[1])
`
	removeScript = headScript + `
if head():sub(81) ~= ARGV[1] then
	return ''
end
redis.call('DEL', KEYS[1])
return 'done'
`
)

// ListRecords implements [auth.RecordStore].
func (s *Records) ListRecords(ctx context.Context, kind, userID string) ([]auth.Record, error) {
	if err := s.check(ctx, kind, userID); err != nil {
		return nil, err
	}
	var list []auth.Record
	at := map[string]int{} // where a key is: one that is taken and inserted meanwhile has two entries
	err := s.sweep(ctx, kind, userID, nil, findScript, func(member, text string) error {
		r, _, err := decode(text)
		if err != nil {
			return err
		}
		r.Kind, r.Key = kind, member[nonceLen:]
		if r.Expired(s.now()) {
			return nil
		}
		if i, listed := at[r.Key]; listed {
			list[i] = r
			return nil
		}
		at[r.Key] = len(list)
		list = append(list, r)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("redisstore: listing records: %w", err)
	}
	return list, nil
}

// DeleteRecords implements [auth.RecordStore].
func (s *Records) DeleteRecords(ctx context.Context, kind, userID string, keep ...string) error {
	if err := s.check(ctx, kind, userID); err != nil {
		return err
	}
	var removed []string
	err := s.sweep(ctx, kind, userID, keep, removeScript, func(member, _ string) error {
		removed = append(removed, member)
		return nil
	})
	s.forget(ctx, kind, userID, removed...)
	if err != nil {
		return fmt.Errorf("redisstore: deleting records: %w", err)
	}
	return nil
}

// sweep runs a script on every record of a user but those to keep, and calls
// visit for each that was there.
//
// That is not one step, and meanwhile a login goes from record to record: the
// next is entered and inserted, then the last is taken. A look can miss both, the
// next because it has not come yet and the last because it is gone. So if any
// record was missing we look twice, and then read the index again until it shows
// nothing new. Say that W is the login's record at that last reading. Its entry
// is not new, so it was there before the first look. Then one of the looks has
// found W, or both came before W was inserted; but until then there was the
// record before it, from when W was entered to the end of the first look, which
// has found that one.
func (s *Records) sweep(
	ctx context.Context, kind, userID string, keep []string, script string, visit func(member, answer string) error,
) error {
	found := map[string]bool{} // for every member seen
	for {
		members, err := s.members(ctx, kind, userID)
		if err != nil {
			return err
		}
		var missing []string
		more := false
		for _, member := range members {
			if len(member) <= nonceLen {
				return errDamaged
			}
			if was, seen := found[member]; !was && !slices.Contains(keep, member[nonceLen:]) {
				missing = append(missing, member)
				more = more || !seen
			}
		}
		if !more {
			return nil
		}
		for range 2 {
			if err := s.look(ctx, kind, missing, script, func(member, answer string) error {
				found[member] = answer != ""
				if answer == "" {
					return nil
				}
				return visit(member, answer)
			}); err != nil {
				return err
			}
			missing = slices.DeleteFunc(missing, func(member string) bool { return found[member] })
			if len(missing) == 0 {
				return nil
			}
		}
	}
}

// membersScript: now.
const membersScript = `
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. ARGV[1])
return redis.call('ZRANGE', KEYS[1], 0, -1)
`

// members returns what is in an index, and drops from it what nobody needs.
func (s *Records) members(ctx context.Context, kind, userID string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.eval(ctx, membersScript, s.indexKey(kind, userID), s.now().Unix()).StringSlice()
}

// look runs a script on the records of these members, and calls visit with each
// answer, which is empty for one that is not there.
func (s *Records) look(
	ctx context.Context, kind string, members []string, script string, visit func(member, answer string) error,
) error {
	for some := range slices.Chunk(members, batch) {
		pipe := s.client.Pipeline()
		answers := make([]*redis.Cmd, len(some))
		for i, member := range some {
			answers[i] = pipe.Eval(ctx, script, []string{s.recordKey(kind, member[nonceLen:])}, member[:nonceLen])
		}
		_, failed := pipe.Exec(ctx) // where one fails the others are good
		for i, member := range some {
			if text, err := answers[i].Text(); err == nil {
				if err := visit(member, text); err != nil {
					return err
				}
			}
		}
		if failed != nil {
			return failed
		}
	}
	return nil
}

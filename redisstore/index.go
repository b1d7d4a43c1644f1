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

// An index is a sorted set for each kind and user. In a Cluster it may be in
// another slot than the records. A member is the nonce and the key of a record;
// its score is the second after which it is not needed. The index is a hint,
// and the records decide: an entry may be there before its record and after it,
// but every record has an entry.
//
// The nonce belongs to one insert, and so to one user's record. If a call drops
// an entry late, it therefore does not drop the entry of a new record with the
// same key. An entry without a record stays until its score has passed, because
// the record may be about to be inserted.

// ahead is how much longer than its record an entry lasts. An update that moves
// Expires therefore rarely needs to write to the index.
const ahead = 24 * time.Hour

// batch is how many records are read at once.
const batch = 100

// indexedUntil returns until when a record stays in the index.
func indexedUntil(expires time.Time) time.Time {
	if expires.IsZero() {
		return expires
	}
	return expires.Add(ahead)
}

// enterScript: now, score, member. An entry is never shortened, because another
// update may have extended it further. The index lives as long as its last
// entry. ZADD comes first, because a full Redis refuses a script only at its
// first write.
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

// enter adds a record to the index until the given time. forget removes
// records. A failure of forget is not returned, because the entry disappears
// when its time comes. Both may be repeated, so the client may retry them.
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
	at := map[string]int{} // index in list by key: a key that is taken and inserted meanwhile has two entries
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

// sweep runs a script on every record of a user except those to keep, and calls
// visit for each record that was there.
//
// This is not one step. Meanwhile a login may be rotated: the new record is
// entered in the index and inserted, then the old one is taken. A look can miss
// both, the new one because it is not there yet and the old one because it is
// gone. Therefore, if any record was missing, sweep looks twice, and then reads
// the index again until it has no new entry.
//
// Proof: let W be the login's record at that last reading of the index. Its
// entry is not new, so it was there before the first look. Then either one of
// the looks has found W, or both came before W was inserted. In the second case
// the record before W existed from the time when W was entered until the end of
// the first look, and that look has found it.
func (s *Records) sweep(
	ctx context.Context, kind, userID string, keep []string, script string, visit func(member, answer string) error,
) error {
	found := map[string]bool{} // for every member seen, whether its record was found
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

// members returns the members of an index, and drops those that are no longer
// needed.
func (s *Records) members(ctx context.Context, kind, userID string) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return s.eval(ctx, membersScript, s.indexKey(kind, userID), s.now().Unix()).StringSlice()
}

// look runs a script on the records of these members. It calls visit with each
// answer, which is "" if the record is not there.
func (s *Records) look(
	ctx context.Context, kind string, members []string, script string, visit func(member, answer string) error,
) error {
	for some := range slices.Chunk(members, batch) {
		pipe := s.client.Pipeline()
		answers := make([]*redis.Cmd, len(some))
		for i, member := range some {
			answers[i] = pipe.Eval(ctx, script, []string{s.recordKey(kind, member[nonceLen:])}, member[:nonceLen])
		}
		_, failed := pipe.Exec(ctx) // if one command fails, the answers of the others are still valid
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

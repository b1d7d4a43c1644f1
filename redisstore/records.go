package redisstore

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	"github.com/go-login/auth"
)

// slack is how much longer than needed Redis keeps a key. The clock of the
// store decides whether a record has expired; Redis's own expiry only removes
// records that are no longer needed. Redis is given a duration, so its clock
// need not agree with the store's. slack covers a clock that is set, and a
// replica whose clock differs from the master's.
const slack = time.Hour

// life returns for how many milliseconds Redis must keep a record, or "" for
// ever. A time.Duration would end after 292 years.
func (s *Records) life(expires time.Time) string {
	if expires.IsZero() {
		return ""
	}
	return strconv.FormatInt(max(1, expires.UnixMilli()-s.now().UnixMilli()+slack.Milliseconds()), 10)
}

// Each script below begins with one of these functions, or both. head returns
// the head of the record (see layout.go), or "" if there is none.
const (
	headScript = `
local function head()
	local h = redis.call('GETRANGE', KEYS[1], 0, 92)
	if h ~= '' and (#h < 93 or h:sub(1, 80):find('%D') or redis.call('STRLEN', KEYS[1]) < 93 + tonumber(h:sub(61, 80))) then
		error('the stored value is not a record of redisstore')
	end
	return h
end
`
	saveScript = `
local function save(text, life)
	if life == '' then
		redis.call('SET', KEYS[1], text)
	else
		redis.call('SET', KEYS[1], text, 'PX', life)
	end
	return 'done'
end
`
)

// insertScript: now, life, record.
const insertScript = headScript + saveScript + `
if head():sub(1, 20) > ARGV[1] then
	return 'exists'
end
return save(ARGV[3], ARGV[2])
`

// InsertRecord implements [auth.RecordStore].
func (s *Records) InsertRecord(ctx context.Context, r auth.Record) error {
	if err := s.checkWrite(ctx, r); err != nil {
		return err
	}
	// The index entry is written before the record. The record is therefore
	// never there without being in its user's list.
	nonce, indexed := rand.Text()[:nonceLen], indexedUntil(r.Expires)
	if err := s.enter(ctx, r.Kind, r.UserID, nonce+r.Key, indexed); err != nil {
		return fmt.Errorf("redisstore: inserting a record: %w", err)
	}
	answer, err := s.evalOnce(ctx, insertScript, s.recordKey(r.Kind, r.Key),
		instant(s.now()), s.life(r.Expires), encode(r, indexed, nonce))
	if err != nil {
		return fmt.Errorf("redisstore: inserting a record: %w", err)
	}
	if answer == "exists" {
		s.forget(ctx, r.Kind, r.UserID, nonce+r.Key)
		return auth.ErrRecordExists
	}
	return nil
}

const getScript = `return redis.call('GET', KEYS[1]) or ''`

// GetRecord implements [auth.RecordStore].
func (s *Records) GetRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	if err := s.check(ctx, kind, key); err != nil {
		return auth.Record{}, err
	}
	text, err := s.eval(ctx, getScript, s.recordKey(kind, key)).Text()
	if err != nil {
		return auth.Record{}, fmt.Errorf("redisstore: reading a record: %w", err)
	}
	if text == "" {
		return auth.Record{}, auth.ErrRecordNotFound
	}
	r, _, err := decode(text)
	if err != nil {
		return auth.Record{}, fmt.Errorf("redisstore: reading a record: %w", err)
	}
	if r.Expired(s.now()) {
		return auth.Record{}, auth.ErrRecordNotFound
	}
	r.Kind, r.Key = kind, key
	return r, nil
}

// updateScript: now, life, version, next version, expires, data, the nonce of a
// record, and until when the index has that record. If the record must be in
// the index for longer, the script writes nothing and answers with the old head
// and the UserID.
const updateScript = headScript + saveScript + `
local h = head()
if h:sub(1, 20) <= ARGV[1] then
	return 'gone'
elseif h:sub(41, 60) ~= ARGV[3] then
	return 'conflict'
end
local user, indexed = redis.call('GETRANGE', KEYS[1], 93, 92 + tonumber(h:sub(61, 80))), h:sub(21, 40)
if h:sub(81) == ARGV[7] and ARGV[8] > indexed then
	indexed = ARGV[8]
end
if user ~= '' and ARGV[5] > indexed then
	return h .. user
end
return save(ARGV[5] .. indexed .. ARGV[4] .. h:sub(61) .. user .. ARGV[6], ARGV[2])
`

// UpdateRecord implements [auth.RecordStore].
func (s *Records) UpdateRecord(ctx context.Context, r auth.Record) error {
	if err := s.checkWrite(ctx, r); err != nil {
		return err
	}
	nonce, indexed := "", time.Time{}
	for { // repeated only if another record of the same Version replaced it meanwhile
		answer, err := s.evalOnce(ctx, updateScript, s.recordKey(r.Kind, r.Key), instant(s.now()), s.life(r.Expires),
			number(r.Version), number(r.Version+1), instant(r.Expires), r.Data, nonce, instant(indexed))
		if err != nil {
			return fmt.Errorf("redisstore: updating a record: %w", err)
		}
		switch answer {
		case "done":
			return nil
		case "gone":
			return auth.ErrRecordNotFound
		case "conflict":
			return auth.ErrConflict
		}
		var old auth.Record
		if old, nonce, err = decode(answer); err != nil {
			return fmt.Errorf("redisstore: updating a record: %w", err)
		}
		indexed = indexedUntil(r.Expires)
		if err := s.enter(ctx, r.Kind, old.UserID, nonce+r.Key, indexed); err != nil {
			return fmt.Errorf("redisstore: updating a record: %w", err)
		}
	}
}

// takeScript: now.
const takeScript = headScript + `
if head():sub(1, 20) <= ARGV[1] then
	return ''
end
local text = redis.call('GET', KEYS[1])
redis.call('DEL', KEYS[1])
return text
`

// TakeRecord implements [auth.RecordStore].
func (s *Records) TakeRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	if err := s.check(ctx, kind, key); err != nil {
		return auth.Record{}, err
	}
	text, err := s.evalOnce(ctx, takeScript, s.recordKey(kind, key), instant(s.now()))
	if err != nil {
		return auth.Record{}, fmt.Errorf("redisstore: taking a record: %w", err)
	}
	if text == "" {
		return auth.Record{}, auth.ErrRecordNotFound
	}
	r, nonce, err := decode(text)
	if err != nil {
		return auth.Record{}, fmt.Errorf("redisstore: taking a record: %w", err)
	}
	r.Kind, r.Key = kind, key
	s.forget(ctx, kind, r.UserID, nonce+key)
	return r, nil
}

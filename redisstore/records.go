package redisstore

import (
	"context"
	"crypto/rand"
	"fmt"
	"strconv"
	"time"

	"github.com/go-login/auth"
)

// slack is how much longer than needed Redis keeps things. Whether a record has
// expired is for the clock of the store to say; Redis's own expiry collects what
// nobody asks for any more. It is given as a time to go, so that the two clocks
// need not agree, and has this much to spare for one of them being set and for a
// replica whose clock differs from the master's.
const slack = time.Hour

// life is for how many milliseconds Redis is to keep a record, or empty for ever.
// It is no Duration, which ends after 292 years.
func (s *Records) life(expires time.Time) string {
	if expires.IsZero() {
		return ""
	}
	return strconv.FormatInt(max(1, expires.UnixMilli()-s.now().UnixMilli()+slack.Milliseconds()), 10)
}

// The scripts below begin with one of these, or both. head is the head of the
// record as layout.go has it, or empty.
const (
	headScript = `
local function head()
	local h = redis.call('GETRANGE', KEYS[1], 0, 92)
	if h ~= '' and (#h < 93 or h:sub(1, 80):find('%D') or redis.call('STRLEN', KEYS[1]) < 93 + tonumber(h:sub(61, 80))) then
		error('what is stored is no record of redisstore')
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
	// The entry comes before the record, so that there is no moment when the
	// record is there and its user's list does not have it.
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

// updateScript: now, life, version, next version, expires, data, and of which record
// the index knows until when. It answers with the old head and the UserID,
// having written nothing, if the index has to know of the record for longer.
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
	for { // again only where the record was replaced by one of the same Version meanwhile
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

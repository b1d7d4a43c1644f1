package totp

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"net/url"
	"strings"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/factorkit"
)

const (
	recoveryCodes  = 10
	recoveryLength = 15 // bytes of a code: 120 bits, 24 characters
	generationSize = 16 // bytes
	oneTimeFor     = 10 * time.Minute
)

// crockford is the alphabet of recovery codes: Crockford's base32, which has no I, L, O, U.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// Recovery is the factor "recovery-code": ten codes that a user keeps on paper, each of which
// works once. It implements auth.Factor, auth.FactorBinder and auth.RecoveryFactor. Make it by
// [RecoveryCodes]. It is safe for use by many goroutines.
type Recovery struct{ feature *auth.Feature }

// RecoveryCodes makes the factor for one Manager.
//
// A code has 120 random bits, in six groups of four characters. The store has its SHA-256,
// together with the user's ID. That is enough against an attacker who can read the store:
// nobody can try 2^120 codes, and NIST SP 800-63B-4 (section 3.1.2) asks for a slow hash
// only below 112 bits. The hash has no key on purpose: recovery codes must work after
// Config.Secrets are lost, when codes from an app do not.
func RecoveryCodes() *Recovery { return &Recovery{} }

// Bind implements auth.FactorBinder.
func (r *Recovery) Bind(feature *auth.Feature) error {
	if r.feature != nil {
		return errBound
	}
	r.feature = feature
	return nil
}

// Name implements auth.Factor.
func (*Recovery) Name() string { return recoveryName }

// Enrolled implements auth.Factor. It reports whether the user has a code left, or one of
// OneTimeCode.
func (r *Recovery) Enrolled(ctx context.Context, userID string) (bool, error) {
	for _, key := range []string{codesKey(userID), oneTimeKey(userID)} {
		if n, err := r.count(ctx, userID, key); err != nil || n > 0 {
			return n > 0, err
		}
	}
	return false, nil
}

// Left implements auth.RecoveryFactor. A code of OneTimeCode does not count.
func (r *Recovery) Left(ctx context.Context, userID string) (int, error) {
	return r.count(ctx, userID, codesKey(userID))
}

// count returns how many codes the record with this key has.
func (r *Recovery) count(ctx context.Context, userID, key string) (int, error) {
	if err := factorkit.Check(r.feature, userID, errNotBound); err != nil {
		return 0, err
	}
	record, err := r.feature.Get(ctx, key)
	if there, err := exists(record, err); err != nil || !there {
		return 0, err
	}
	s, _ := decodeCodes(record.Data)
	return len(s.hashes), nil
}

// Prompt implements auth.Factor.
func (*Recovery) Prompt(context.Context, auth.User) (auth.Prompt, []byte, error) {
	return auth.Prompt{Field: field, Autocomplete: "off"}, nil, nil
}

// Verify implements auth.Factor. The code is in the field "code". Spaces, hyphens, line
// breaks and case are ignored; O is taken for 0, I and L for 1.
func (r *Recovery) Verify(ctx context.Context, user auth.User, _ []byte, answer url.Values) error {
	userID := factorkit.UserID(user)
	if err := factorkit.Check(r.feature, userID, errNotBound); err != nil {
		return err
	}
	code, ok := canonical(answer[field])
	if !ok {
		return auth.ErrWrongFactor
	}
	err := r.use(ctx, codesKey(userID), hashOf(userID, code))
	if errors.Is(err, auth.ErrWrongFactor) {
		err = r.use(ctx, oneTimeKey(userID), hashOf(userID, code))
	}
	return err
}

// use removes the code with this hash from a record, or returns ErrWrongFactor. It compares
// all of them, so that its time tells nothing.
func (r *Recovery) use(ctx context.Context, key string, hash [sha256.Size]byte) error {
	err := r.feature.Change(ctx, key, func(record *auth.Record) error {
		s, _ := decodeCodes(record.Data)
		found := -1
		for i := range s.hashes {
			if subtle.ConstantTimeCompare(s.hashes[i][:], hash[:]) == 1 {
				found = i
			}
		}
		if found < 0 {
			return auth.ErrWrongFactor
		}
		s.hashes = append(s.hashes[:found], s.hashes[found+1:]...)
		record.Data = s.encode()
		return nil
	})
	if errors.Is(err, auth.ErrRecordNotFound) {
		err = auth.ErrWrongFactor
	}
	return err
}

// Generate implements auth.RecoveryFactor.
func (r *Recovery) Generate(ctx context.Context, user auth.User) (codes []string, save func(context.Context) error, err error) {
	userID := factorkit.UserID(user)
	if err := factorkit.Check(r.feature, userID, errNotBound); err != nil {
		return nil, nil, err
	}
	var before []byte // the generation that the new codes replace; nil: there are none
	record, err := r.feature.Get(ctx, codesKey(userID))
	there, err := exists(record, err)
	if err != nil {
		return nil, nil, err
	}
	if there {
		before = generationOf(record.Data)
	}
	s := newCodeSet()
	for range recoveryCodes {
		codes = append(codes, s.add(userID))
	}
	return codes, func(ctx context.Context) error { return r.save(ctx, userID, s, before) }, nil
}

// save stores new codes in place of those that Generate has found. Two sets may have been
// made at the same moment. The first that is stored is valid; the other save returns
// ErrConflict, and its codes are not shown.
func (r *Recovery) save(ctx context.Context, userID string, s codeSet, before []byte) error {
	err := r.feature.Change(ctx, codesKey(userID), func(record *auth.Record) error {
		switch there := generationOf(record.Data); {
		case bytes.Equal(there, s.generation[:]): // stored already
			return factorkit.ErrKept
		case before == nil || !bytes.Equal(there, before):
			return auth.ErrConflict
		}
		record.Data, record.Expires = s.encode(), time.Time{}
		return nil
	})
	if errors.Is(err, auth.ErrRecordNotFound) && before == nil {
		err = r.feature.Insert(ctx, auth.Record{Key: codesKey(userID), UserID: userID, Data: s.encode()})
	}
	switch {
	case errors.Is(err, factorkit.ErrKept):
		return nil
	case errors.Is(err, auth.ErrRecordExists) || errors.Is(err, auth.ErrRecordNotFound):
		return auth.ErrConflict
	}
	return err
}

// OneTimeCode makes a recovery code for a user who has lost every factor, for an
// administrator who has made sure that it is the user. It works once, within 10 minutes, and
// replaces an earlier one. The user logs in with the password and this code, and then sets
// up a new factor. The account keeps its factors meanwhile: an attacker who has talked the
// administrator into it still needs the password. Recovery codes that the user has stay
// valid. It is an [EventOneTimeCode], and the owner gets an auth.MailOneTimeCode.
//
// It returns auth.ErrUserNotFound, auth.ErrDisabled, auth.ErrForbidden if another user asks
// who may not act on the account (see auth.Core.SetRoles), or a failure of the store.
func (r *Recovery) OneTimeCode(ctx context.Context, userID string) (auth.Secret, error) {
	if err := factorkit.Check(r.feature, userID, errNotBound); err != nil {
		return auth.Secret{}, err
	}
	actor, err := r.feature.MayAct(ctx, userID)
	if err != nil {
		return auth.Secret{}, err
	}
	s := newCodeSet()
	code := s.add(userID)
	key, until := oneTimeKey(userID), r.feature.Now().Add(oneTimeFor)
	err = auth.ErrRecordExists
	for round := 0; round < maxRounds && errors.Is(err, auth.ErrRecordExists); round++ {
		if _, err = r.feature.Take(ctx, key); err != nil && !errors.Is(err, auth.ErrRecordNotFound) {
			return auth.Secret{}, err
		}
		err = r.feature.Insert(ctx, auth.Record{Key: key, UserID: userID, Data: s.encode(), Expires: until})
	}
	if err != nil {
		return auth.Secret{}, err
	}
	r.feature.Event(ctx, auth.Event{Kind: EventOneTimeCode, UserID: userID, ActorID: actor, Method: recoveryName})
	r.feature.Tell(ctx, auth.MailOneTimeCode, userID)
	return auth.NewSecret(code), nil
}

// Remove implements auth.RecoveryFactor.
func (r *Recovery) Remove(ctx context.Context, userID string) error {
	if err := factorkit.Check(r.feature, userID, errNotBound); err != nil {
		return err
	}
	return remove(ctx, r.feature, userID, codesKey(userID), oneTimeKey(userID))
}

func codesKey(userID string) string   { return recordKey("codes", userID) }
func oneTimeKey(userID string) string { return recordKey("once", userID) }

// A codeSet is what a record of codes has in it:
//
//	version     1 byte: 1
//	generation  16 random bytes, which stay while codes are used
//	hashes      32 bytes for each code that is left
type codeSet struct {
	generation [generationSize]byte
	hashes     [][sha256.Size]byte
}

const codesVersion = 1

func newCodeSet() (s codeSet) {
	_, _ = rand.Read(s.generation[:]) // never fails
	return s
}

// add makes a code, adds it to the set and returns it.
func (s *codeSet) add(userID string) string {
	b := make([]byte, recoveryLength)
	_, _ = rand.Read(b) // never fails
	code := base32.NewEncoding(crockford).WithPadding(base32.NoPadding).EncodeToString(b)
	s.hashes = append(s.hashes, hashOf(userID, code))
	return inFours(code, "-")
}

func (s codeSet) encode() []byte {
	b := append([]byte{codesVersion}, s.generation[:]...)
	for _, hash := range s.hashes {
		b = append(b, hash[:]...)
	}
	return b
}

func decodeCodes(data []byte) (s codeSet, ok bool) {
	const header = 1 + generationSize
	if len(data) < header || data[0] != codesVersion || (len(data)-header)%sha256.Size != 0 || (len(data)-header)/sha256.Size > recoveryCodes {
		return codeSet{}, false
	}
	copy(s.generation[:], data[1:])
	for rest := data[header:]; len(rest) > 0; rest = rest[sha256.Size:] {
		s.hashes = append(s.hashes, [sha256.Size]byte(rest))
	}
	return s, true
}

// generationOf returns which codes a record has. A record that cannot be read has none, and
// is known by all that it has.
func generationOf(data []byte) []byte {
	if s, ok := decodeCodes(data); ok {
		return s.generation[:]
	}
	return append([]byte("damaged "), data...)
}

// hashOf returns the hash under which a code of a user is stored. The user's ID is in it, so
// that a record which is copied to another account is worth nothing.
func hashOf(userID, code string) [sha256.Size]byte {
	b := append([]byte("go-login recovery code\x00"), binary.AppendUvarint(nil, uint64(len(userID)))...)
	return sha256.Sum256(append(append(b, userID...), code...))
}

// canonical returns a code as it was made, from what a user has typed.
func canonical(values []string) (string, bool) {
	text, ok := squeeze(values)
	if !ok {
		return "", false
	}
	text = strings.Map(readAs, text)
	return text, len(text) == recoveryLength*8/5 && strings.Trim(text, crockford) == ""
}

// readAs returns the character of a code that a typed one is taken for.
func readAs(c rune) rune {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	switch c {
	case 'O':
		return '0'
	case 'I', 'L':
		return '1'
	}
	return c
}

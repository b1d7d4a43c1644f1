package passkey

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"net/url"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/factorkit"
)

const (
	challengeLength = 32              // bytes
	askedFor        = 5 * time.Minute // how long the challenge of a login is valid
	askedLength     = 1 + 8 + challengeLength + askedUser
	askedUser       = 16
	askedVersion    = 1
)

// An asked is what private of Ask and Prompt has in it:
//
//	version    byte: 1
//	issued     8 bytes: nanoseconds since 1970, big endian
//	challenge  32 bytes
//	user       16 bytes: the beginning of the hash of the user's ID; zeros: any user
type asked struct {
	issued    time.Time
	challenge []byte
	user      [askedUser]byte
}

func (f *Factor) ask(userID string) asked {
	return asked{issued: f.tick(), challenge: newChallenge(), user: shortHash(userID)}
}

// tick returns the time, and never the same twice: what happens later in this process has a
// later time, also if the clock stands still.
func (f *Factor) tick() time.Time {
	for {
		last, now := f.last.Load(), f.feature.Now().UnixNano()
		if last >= now && last-now < int64(time.Second) { // else the clock was set
			now = last + 1
		}
		if f.last.CompareAndSwap(last, now) {
			return time.Unix(0, now)
		}
	}
}

func (a asked) encode() []byte {
	b := binary.BigEndian.AppendUint64([]byte{askedVersion}, uint64(a.issued.UnixNano()))
	return append(append(b, a.challenge...), a.user[:]...)
}

func decodeAsked(b []byte) (a asked, ok bool) {
	if len(b) != askedLength || b[0] != askedVersion {
		return asked{}, false
	}
	a.issued, b = time.Unix(0, int64(binary.BigEndian.Uint64(b[1:]))), b[9:]
	a.challenge, b = b[:challengeLength], b[challengeLength:]
	copy(a.user[:], b)
	return a, true
}

// shortHash returns what asked has of a user's ID. Nobody chooses an account by its hash:
// stores make the IDs.
func shortHash(userID string) (short [askedUser]byte) {
	if userID != "" {
		sum := sha256.Sum256([]byte(userID))
		copy(short[:], sum[:])
	}
	return short
}

// Ask implements auth.PasskeyFactor. If user is nil, it asks for any passkey of this site,
// and is the same for every visitor except for the challenge.
func (f *Factor) Ask(ctx context.Context, user auth.User) (auth.Prompt, []byte, error) {
	if f.feature == nil {
		return auth.Prompt{}, nil, errNotBound
	}
	userID := factorkit.UserID(user)
	a := f.ask(userID)
	if userID == "" {
		return f.toGet(a.challenge, askedFor, "required", nil), a.encode(), nil
	}
	allowed, err := f.allowed(ctx, userID)
	if err != nil {
		return auth.Prompt{}, nil, err
	}
	return f.toGet(a.challenge, askedFor, "required", allowed), a.encode(), nil
}

// Prompt implements auth.Factor. The password was shown already. So the passkey is proof
// enough without a PIN or a finger, which is quicker.
func (f *Factor) Prompt(ctx context.Context, user auth.User) (auth.Prompt, []byte, error) {
	userID := factorkit.UserID(user)
	if err := f.check(userID); err != nil {
		return auth.Prompt{}, nil, err
	}
	allowed, err := f.allowed(ctx, userID)
	if err != nil {
		return auth.Prompt{}, nil, err
	}
	a := f.ask(userID)
	private := f.feature.Seal(a.encode(), a.issued.Add(askedFor)) // a store must not have challenges that can be read
	return f.toGet(a.challenge, askedFor, "discouraged", allowed), []byte(private), nil
}

// allowed returns the passkeys that a user is asked for. It is never empty for a user who
// has one: without a list, the browser would offer passkeys of other accounts.
func (f *Factor) allowed(ctx context.Context, userID string) ([]credential, error) {
	all, err := f.credentials(ctx, userID)
	if err != nil {
		return nil, err
	}
	var usable []credential
	for _, c := range f.ofThisSite(all) {
		if !c.suspended {
			usable = append(usable, c)
		}
	}
	if len(usable) == 0 {
		return []credential{{id: make([]byte, challengeLength)}}, nil // no authenticator has it
	}
	return usable, nil
}

// Identify implements auth.PasskeyFactor.
func (f *Factor) Identify(ctx context.Context, private [][]byte, form url.Values) (userID, id string, err error) {
	if f.feature == nil {
		return "", "", errNotBound
	}
	var list []asked
	for _, b := range private {
		if a, ok := decodeAsked(b); ok {
			list = append(list, a)
		}
	}
	return f.use(ctx, list, form, true)
}

// Verify implements auth.Factor.
func (f *Factor) Verify(ctx context.Context, user auth.User, private []byte, form url.Values) error {
	_, err := f.VerifyOne(ctx, user, private, form)
	return err
}

// VerifyOne implements auth.PasskeyFactor.
func (f *Factor) VerifyOne(ctx context.Context, user auth.User, private []byte, form url.Values) (id string, err error) {
	userID := factorkit.UserID(user)
	if err := f.check(userID); err != nil {
		return "", err
	}
	b, _ := f.feature.Open(string(private))
	a, ok := decodeAsked(b)
	if !ok || a.user != shortHash(userID) {
		return "", f.refuse(ctx, userID, errExpired)
	}
	_, id, err = f.use(ctx, []asked{a}, form, false)
	return id, err
}

// use checks an answer, and uses up its challenge. It returns whose passkey it is,
// and its ID.
func (f *Factor) use(ctx context.Context, list []asked, form url.Values, verified bool) (userID, id string, err error) {
	a, ok := readAnswer(form)
	if !ok || a.authData == nil {
		return "", "", f.refuse(ctx, "", errUnreadable)
	}
	q, ok := f.askedOf(list, a)
	if !ok {
		return "", "", f.refuse(ctx, "", errExpired)
	}
	record, err := f.feature.Get(ctx, credentialKey(a.id))
	if errors.Is(err, auth.ErrRecordNotFound) {
		return "", "", auth.ErrUnknownPasskey
	}
	if err != nil {
		return "", "", err
	}
	c, ok := decodeCredential(record)
	if !ok {
		f.feature.Event(ctx, auth.Event{Kind: EventUnusable, UserID: record.UserID, Method: factorName, Err: errUnusable})
		return "", "", auth.ErrWrongFactor
	}
	if err := f.mayUse(c, q, a); err != nil {
		return "", "", f.refuse(ctx, c.userID, err)
	}
	o, err := checkAssertion(a, c.publicKey, expectation{challenge: q.challenge, rpID: f.rpID, origins: f.origins, verified: verified})
	if err != nil {
		return "", "", f.refuse(ctx, c.userID, err)
	}
	if err := f.spend(ctx, q); err != nil {
		if errors.Is(err, errSpent) {
			err = f.refuse(ctx, c.userID, err)
		}
		return "", "", err
	}
	if err := f.count(ctx, c, o, q.issued); err != nil {
		return "", "", err
	}
	return c.userID, f.shown(c).ID, nil
}

// askedOf returns which of the challenges an answer is for, if it is still valid.
func (f *Factor) askedOf(list []asked, a answer) (asked, bool) {
	challenge, ok := challengeOf(a)
	now := f.feature.Now()
	for _, q := range list {
		if ok && bytes.Equal(q.challenge, challenge) && !now.After(q.issued.Add(askedFor)) {
			return q, true
		}
	}
	return asked{}, false
}

// mayUse reports whether an answer may be by this passkey.
func (f *Factor) mayUse(c credential, q asked, a answer) error {
	anyone := q.user == [askedUser]byte{}
	switch {
	case !anyone && q.user != shortHash(c.userID):
		return errOtherUser
	case c.rpID != f.rpID:
		return errOtherSite
	case c.suspended:
		return errSuspended
	case (anyone || len(a.handle) > 0) && !bytes.Equal(a.handle, c.handle):
		return errOtherHandle
	}
	return nil
}

// spend uses up a challenge. The record of it is kept until the challenge is no longer
// valid, with some time for the clocks of other processes.
func (f *Factor) spend(ctx context.Context, q asked) error {
	err := f.feature.Insert(ctx, auth.Record{Key: spentKey(q.challenge), Expires: q.issued.Add(2 * askedFor)})
	if errors.Is(err, auth.ErrRecordExists) {
		err = errSpent
	}
	return err
}

// count stores the counter of an answer that is right otherwise. An authenticator that has
// a counter raises it at each use. If a passkey was copied, both copies count from the same
// number. Sooner or later, one of them shows a number that the other has shown before. Then
// the passkey is suspended.
//
// Two honest answers may overtake each other on their way. This is no alarm: a lower number
// is refused, and the passkey stays, if the challenge was made before the stored number was,
// or if the stored number was lower when this request began. The user tries again. An
// attacker who tries again is found out then.
//
// Authenticators that share a passkey among devices have no counter. It is always 0.
func (f *Factor) count(ctx context.Context, before credential, o outcome, issued time.Time) error {
	var cloned, flipped bool
	err := f.feature.Change(ctx, before.key, func(r *auth.Record) error {
		cloned, flipped = false, false
		c, ok := decodeCredential(*r)
		switch {
		case !ok || c.userID != before.userID || !bytes.Equal(c.id, before.id):
			return errUnusable
		case c.suspended:
			return errSuspended
		case c.eligible && !o.eligible:
			return errNotEligible
		case o.count > c.count || o.count == 0 && c.count == 0:
			flipped = o.eligible && !c.eligible
			c.count, c.eligible, c.backedUp = o.count, o.eligible, o.backedUp
			c.used = later(c.used, f.tick())
		case o.count < c.count && (o.count > before.count || !issued.After(c.used)):
			return errOvertaken
		default:
			cloned, c.suspended = true, true
		}
		r.Data = c.encode()
		return nil
	})
	switch {
	case errors.Is(err, auth.ErrRecordNotFound): // removed meanwhile
		return auth.ErrUnknownPasskey
	case errors.Is(err, errUnusable), errors.Is(err, errSuspended), errors.Is(err, errNotEligible), errors.Is(err, errOvertaken):
		return f.refuse(ctx, before.userID, err)
	case err != nil:
		return err
	case cloned:
		f.feature.Suspended(ctx, before.userID)
		return f.refuse(ctx, before.userID, errCloned)
	case flipped:
		f.feature.Event(ctx, auth.Event{Kind: EventEligible, UserID: before.userID, Method: factorName})
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

package passkey

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/factorkit"
	"github.com/go-login/auth/internal/wire"
)

// pendingFor is how long a challenge waits for a new passkey.
const pendingFor = 10 * time.Minute

// maxRounds is how often something that others have changed meanwhile is tried again.
const maxRounds = 10

// A pending is the challenge for a new passkey. It is stored sealed:
//
//	version    byte: 1
//	user       text: the ID of the account
//	stamp      text: the hash of the account's Stamp
//	challenge  text: 32 bytes
//
// A challenge of an earlier Stamp is void: an attacker whose login has ended may know it.
type pending struct {
	userID    string
	stamp     string
	challenge []byte
}

const pendingVersion = 1

func (f *Factor) seal(p pending, until time.Time) []byte {
	b := wire.AppendText(wire.AppendText([]byte{pendingVersion}, p.userID), p.stamp)
	return []byte(f.feature.Seal(wire.AppendText(b, p.challenge), until))
}

// open returns the pending challenge in a record, if it is this user's and has this Stamp.
func (f *Factor) open(r auth.Record, userID, stamp string) (p pending, ok bool) {
	b, ok := f.feature.Open(string(r.Data))
	if !ok {
		return pending{}, false
	}
	read := wire.NewReader(string(b))
	if read.Byte() != pendingVersion {
		return pending{}, false
	}
	p = pending{userID: read.Text(), stamp: read.Text(), challenge: []byte(read.Text())}
	return p, read.OK() && read.Rest() == "" && p.userID == userID && p.stamp == stamp && len(p.challenge) == challengeLength
}

// Begin implements auth.Enroller. It returns auth.ErrTooManyPasskeys if the account has 20.
func (f *Factor) Begin(ctx context.Context, user auth.User) (auth.Setup, error) {
	userID := factorkit.UserID(user)
	if err := f.check(userID); err != nil {
		return auth.Setup{}, err
	}
	has, err := f.credentials(ctx, userID)
	if err != nil {
		return auth.Setup{}, err
	}
	if len(has) >= maxPasskeys {
		return auth.Setup{}, auth.ErrTooManyPasskeys
	}
	handle, err := f.handle(ctx, userID)
	if err != nil {
		return auth.Setup{}, err
	}
	challenge, err := f.begin(ctx, userID, factorkit.StampHash(user))
	if err != nil {
		return auth.Setup{}, err
	}
	return auth.Setup{Prompt: f.toCreate(user.AuthAccount(), handle, challenge, f.ofThisSite(has))}, nil
}

// begin returns the pending challenge, or makes one.
func (f *Factor) begin(ctx context.Context, userID, stamp string) ([]byte, error) {
	key, until := pendingKey(userID), f.feature.Now().Add(pendingFor)
	fresh := pending{userID: userID, stamp: stamp, challenge: newChallenge()}
	challenge := fresh.challenge
	err := factorkit.ChangeOrInsert(ctx, f.feature, auth.Record{Key: key, UserID: userID, Data: f.seal(fresh, until), Expires: until}, func(r *auth.Record) error {
		if there, ok := f.open(*r, userID, stamp); ok {
			challenge = there.challenge
			return factorkit.ErrKept
		}
		challenge = fresh.challenge
		r.Data, r.Expires = f.seal(fresh, until), until
		return nil
	})
	if err != nil {
		return nil, err
	}
	return challenge, nil
}

// Finish implements auth.Enroller. It is Add.
func (f *Factor) Finish(ctx context.Context, user auth.User, form url.Values) (save func(context.Context) error, err error) {
	_, save, err = f.Add(ctx, user, form)
	return save, err
}

// Add implements auth.PasskeyFactor. The challenge of Begin is used up when an answer to it
// is right. save returns auth.ErrTooManyPasskeys if the account has 20 meanwhile.
func (f *Factor) Add(ctx context.Context, user auth.User, form url.Values) (_ auth.Passkey, save func(context.Context) error, err error) {
	userID := factorkit.UserID(user)
	if err := f.check(userID); err != nil {
		return auth.Passkey{}, nil, err
	}
	a, ok := readAnswer(form)
	if !ok || a.attestation == nil {
		return auth.Passkey{}, nil, f.refuse(ctx, userID, errUnreadable)
	}
	challenge, err := f.asked(ctx, user)
	if err != nil {
		return auth.Passkey{}, nil, err
	}
	made, err := checkCreation(a, expectation{challenge: challenge, rpID: f.rpID, origins: f.origins, verified: true})
	if err != nil {
		return auth.Passkey{}, nil, f.refuse(ctx, userID, err)
	}
	handle, err := f.storedHandle(ctx, userID)
	if errors.Is(err, auth.ErrRecordNotFound) { // all passkeys were removed since Begin
		return auth.Passkey{}, nil, f.refuse(ctx, userID, errExpired)
	}
	if err != nil {
		return auth.Passkey{}, nil, err
	}
	c := credential{
		userID: userID, key: credentialKey(made.id), id: made.id, publicKey: made.key, rpID: f.rpID, handle: handle, aaguid: made.aaguid,
		transports: a.transports, eligible: made.eligible, backedUp: made.backedUp, count: made.count, created: f.feature.Now(),
	}
	if err := f.isNew(ctx, c); err != nil {
		return auth.Passkey{}, nil, err
	}
	if err := f.useUp(ctx, user, challenge); err != nil {
		return auth.Passkey{}, nil, err
	}
	return f.shown(c), func(ctx context.Context) error { return f.save(ctx, c) }, nil
}

// asked returns the challenge of the last Begin.
func (f *Factor) asked(ctx context.Context, user auth.User) ([]byte, error) {
	userID := factorkit.UserID(user)
	r, err := f.feature.Get(ctx, pendingKey(userID))
	if err != nil && !errors.Is(err, auth.ErrRecordNotFound) {
		return nil, err
	}
	p, ok := f.open(r, userID, factorkit.StampHash(user))
	if err != nil || !ok {
		return nil, f.refuse(ctx, userID, errExpired)
	}
	return p.challenge, nil
}

// isNew returns an error if somebody has this passkey already.
func (f *Factor) isNew(ctx context.Context, c credential) error {
	switch _, err := f.feature.Get(ctx, c.key); {
	case err == nil:
		return f.taken(ctx, c)
	case !errors.Is(err, auth.ErrRecordNotFound):
		return err
	}
	return nil
}

// useUp takes the challenge. Of several answers to it, one finds it.
func (f *Factor) useUp(ctx context.Context, user auth.User, challenge []byte) error {
	userID := factorkit.UserID(user)
	r, err := f.feature.Take(ctx, pendingKey(userID))
	if err != nil && !errors.Is(err, auth.ErrRecordNotFound) {
		return err
	}
	if p, ok := f.open(r, userID, factorkit.StampHash(user)); err != nil || !ok || !bytes.Equal(p.challenge, challenge) {
		return f.refuse(ctx, userID, errSpent)
	}
	return nil
}

// save stores a passkey. Several may be stored at the same moment. So each looks afterwards,
// and takes itself back if there are too many: the one that looks last sees all.
func (f *Factor) save(ctx context.Context, c credential) error {
	err := f.feature.Insert(ctx, auth.Record{Key: c.key, UserID: c.userID, Data: c.encode()})
	if errors.Is(err, auth.ErrRecordExists) {
		return f.taken(ctx, c)
	}
	if err != nil {
		return err
	}
	has, err := f.credentials(ctx, c.userID)
	if err != nil {
		return err
	}
	if len(has) > maxPasskeys {
		return errors.Join(auth.ErrTooManyPasskeys, f.RemoveOne(ctx, c.userID, f.shown(c).ID))
	}
	if err := f.noteSite(ctx); err != nil { // Check misses this site until the next passkey is added
		f.feature.Event(ctx, auth.Event{Kind: auth.EventCleanupFailed, UserID: c.userID, Method: factorName, Err: err})
	}
	return nil
}

// taken reports that somebody has a passkey with this ID already. Authenticators make the ID
// by chance, so the answer is not an honest one.
func (f *Factor) taken(ctx context.Context, c credential) error {
	f.feature.Event(ctx, auth.Event{Kind: EventTaken, UserID: c.userID, Method: factorName, Err: errTaken})
	return auth.ErrWrongFactor
}

func newChallenge() []byte {
	challenge := make([]byte, challengeLength)
	_, _ = rand.Read(challenge) // never fails
	return challenge
}

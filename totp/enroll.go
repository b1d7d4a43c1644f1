package totp

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/factorkit"
)

// pendingFor is how long a secret waits for its first code.
const pendingFor = 10 * time.Minute

// maxRounds is how often something that others have changed meanwhile is tried again.
const maxRounds = 10

// Begin implements auth.Enroller. It makes a secret that waits 10 minutes for its first code
// in a record of its own. Called again meanwhile, it returns the same one, so that a page
// can be reloaded. If the account has a new Stamp since then, the secret is another one: an
// attacker whose login has ended may have seen the first.
func (f *Factor) Begin(ctx context.Context, user auth.User) (auth.Setup, error) {
	userID := factorkit.UserID(user)
	if err := factorkit.Check(f.feature, userID, errNotBound); err != nil {
		return auth.Setup{}, err
	}
	secret, err := f.begin(ctx, userID, factorkit.StampHash(user))
	if err != nil {
		return auth.Setup{}, err
	}
	link := f.link(base32Of(secret), user.AuthAccount())
	picture, err := drawQR(link)
	if err != nil {
		return auth.Setup{}, err
	}
	return auth.Setup{
		Secret: auth.NewSecret(inFours(base32Of(secret), " ")), URL: auth.NewSecret(link), SVG: auth.NewSecret(picture), Prompt: prompt(),
	}, nil
}

// begin returns the pending secret, or makes one.
func (f *Factor) begin(ctx context.Context, userID, stamp string) ([]byte, error) {
	key, until := pendingKey(userID), f.feature.Now().Add(pendingFor)
	e := entry{kind: pending, userID: userID, secret: make([]byte, secretLength), stamp: stamp}
	_, _ = rand.Read(e.secret) // never fails
	secret := e.secret
	err := factorkit.ChangeOrInsert(ctx, f.feature, auth.Record{Key: key, UserID: userID, Data: f.seal(e, until), Expires: until}, func(r *auth.Record) error {
		if there, ok := f.open(r.Data, pending, userID); ok && there.stamp == stamp {
			secret = there.secret
			return factorkit.ErrKept
		}
		secret = e.secret
		r.Data, r.Expires = f.seal(e, until), until
		return nil
	})
	if err != nil {
		return nil, err
	}
	return secret, nil
}

// Finish implements auth.Enroller. The code is used up by save: it does not work at the next
// login.
func (f *Factor) Finish(ctx context.Context, user auth.User, answer url.Values) (save func(context.Context) error, err error) {
	userID := factorkit.UserID(user)
	if err := factorkit.Check(f.feature, userID, errNotBound); err != nil {
		return nil, err
	}
	code, ok := sixDigits(answer[field])
	if !ok {
		return nil, auth.ErrWrongFactor
	}
	r, err := f.feature.Get(ctx, pendingKey(userID))
	if errors.Is(err, auth.ErrRecordNotFound) {
		return nil, auth.ErrWrongFactor
	}
	if err != nil {
		return nil, err
	}
	e, ok := f.open(r.Data, pending, userID)
	if !ok || e.stamp != factorkit.StampHash(user) {
		return nil, auth.ErrWrongFactor
	}
	now := f.feature.Now()
	step, known := match(e.secret, code, now, noStep)
	f.looked(ctx, now, known)
	if !known {
		return nil, auth.ErrWrongFactor
	}
	before, err := f.stored(ctx, userID)
	if err != nil {
		return nil, err
	}
	done := entry{kind: confirmed, userID: userID, secret: e.secret, last: step}
	return func(ctx context.Context) error { return f.save(ctx, done, before) }, nil
}

// noStep is before every step.
const noStep = -1 << 62

// A predecessor is what a new secret replaces: nothing, a secret, or a record that cannot
// be opened.
type predecessor struct {
	exists bool
	secret []byte // nil if the record cannot be opened
	data   []byte
}

// stored returns what the user has.
func (f *Factor) stored(ctx context.Context, userID string) (predecessor, error) {
	r, err := f.feature.Get(ctx, secretKey(userID))
	if there, err := exists(r, err); err != nil || !there {
		return predecessor{}, err
	}
	return f.predecessorOf(r.Data, userID), nil
}

func (f *Factor) predecessorOf(data []byte, userID string) predecessor {
	e, ok := f.open(data, confirmed, userID)
	if !ok {
		return predecessor{exists: true, data: data}
	}
	return predecessor{exists: true, secret: e.secret}
}

// is reports whether two are the same. A secret that was used meanwhile is.
func (p predecessor) is(other predecessor) bool {
	return p.exists == other.exists && bytes.Equal(p.secret, other.secret) && bytes.Equal(p.data, other.data)
}

// save stores a secret whose code was right, in place of what Finish has found. Package auth
// lets only one of several Finish go as far as here, because each needs the Stamp of before.
// save does not rely on it: if there is another secret meanwhile, it changes nothing. If
// another save has stored the same one, the later of the two steps counts as used.
func (f *Factor) save(ctx context.Context, e entry, before predecessor) error {
	err := auth.ErrRecordExists
	for round := 0; round < maxRounds && errors.Is(err, auth.ErrRecordExists); round++ {
		err = f.feature.Change(ctx, secretKey(e.userID), func(r *auth.Record) error {
			next := e
			if there, ok := f.open(r.Data, confirmed, e.userID); ok && bytes.Equal(there.secret, e.secret) {
				next.last = max(there.last, e.last)
			} else if !before.is(f.predecessorOf(r.Data, e.userID)) {
				return auth.ErrConflict
			}
			r.Data, r.Expires = f.seal(next, farFuture()), time.Time{}
			return nil
		})
		if !errors.Is(err, auth.ErrRecordNotFound) {
			break
		}
		if before.exists { // removed meanwhile
			return auth.ErrConflict
		}
		err = f.feature.Insert(ctx, auth.Record{Key: secretKey(e.userID), UserID: e.userID, Data: f.seal(e, farFuture())})
	}
	if err != nil {
		return err
	}
	// What is left is void: it names the Stamp of before.
	if _, err := f.feature.Take(ctx, pendingKey(e.userID)); err != nil && !errors.Is(err, auth.ErrRecordNotFound) {
		f.feature.Event(ctx, auth.Event{Kind: auth.EventCleanupFailed, UserID: e.userID, Method: factorName, Err: err})
	}
	return nil
}

// maxLabel is how many bytes of a user's name the app is told. A picture has room for 2,331.
const maxLabel = 254

// link returns the otpauth link, in the format of Google Authenticator that all apps read.
// The account is the username, or else the address.
func (f *Factor) link(secret string, a *auth.Account) string {
	account := a.Username
	if account == "" {
		account = a.Email
	}
	if account == "" {
		account = a.ID
	}
	account = strings.ReplaceAll(strings.ToValidUTF8(account, ""), ":", ".") // apps take a colon for the end of the issuer
	for len(account) > maxLabel {
		_, size := utf8.DecodeLastRuneInString(account)
		account = account[:len(account)-size]
	}
	return fmt.Sprintf("otpauth://totp/%s:%s?secret=%s&issuer=%s&algorithm=SHA1&digits=%d&period=%d",
		escape(f.issuer), escape(account), secret, escape(f.issuer), digits, period)
}

// escape escapes everything that has a meaning somewhere in a URL. Apps show a + as it is.
func escape(text string) string { return strings.ReplaceAll(url.QueryEscape(text), "+", "%20") }

// inFours writes a text in groups of four.
func inFours(text, separator string) string {
	var groups []string
	for ; len(text) > 4; text = text[4:] {
		groups = append(groups, text[:4])
	}
	return strings.Join(append(groups, text), separator)
}

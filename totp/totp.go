// Package totp has two second factors for auth.Config.Factors: codes from an authenticator
// app (TOTP, RFC 6238), and recovery codes for users who have lost the app.
//
//	manager, err := auth.New(store, auth.Config{
//		BaseURL: "https://app.example",
//		Secrets: secrets,
//		Factors: []auth.Factor{totp.New(), totp.RecoveryCodes()},
//	})
//
// Users set the app up by Core.BeginFactor and Core.EnrollFactor, with the name "totp".
// They get recovery codes by Core.NewRecoveryCodes, with the name "recovery-code".
//
// # Codes from an app
//
// A code is HMAC-SHA-1 of the time in steps of 30 seconds, cut to 6 digits. Authenticator
// apps ignore other settings, so there are none. The step before and the step after the
// present one are accepted too, because clocks differ.
//
// An attacker may see a code and send it once more. So each code works once: the record
// keeps the last step that was accepted, and an older one, or the same, is refused. The step
// is stored by compare-and-set before the login goes on. Of any number of requests with the
// same code, in any number of processes, one succeeds.
//
// The secret has 160 random bits. It is stored sealed under Config.Secrets, together with
// the ID of its user: a record that an attacker copies to another account does not open. If
// you replace Config.Secrets, keep the old secret in second place. Each secret is sealed
// anew when its user logs in. A record that cannot be opened locks the user out of the app,
// and never lets anybody in: see [EventUnusable]. Recovery codes still work then.
//
// SHA-1 is not allowed under GODEBUG=fips140=only. There, codes cannot be computed.
package totp

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/factorkit"
)

// The kinds of events that the factors report, besides those of package auth.
const (
	// A user's record cannot be opened: its key is no longer in Config.Secrets, or somebody
	// has changed or moved the record. Every code of this user is wrong until the user, or an
	// administrator, removes the factor (Core.RemoveFactor, Core.ResetFactors). It is
	// reported once for each attempt.
	EventUnusable auth.EventKind = "totp.unusable"

	// 20 codes were wrong within 10 minutes, and none was right. The clock of this server
	// may be wrong, or an attacker is trying many accounts. It is reported once in 10 minutes.
	EventAllWrong auth.EventKind = "totp.all-wrong"

	// OneTimeCode made a code for a user.
	EventOneTimeCode auth.EventKind = "recovery-code.issued"
)

const (
	factorName   = "totp"
	recoveryName = "recovery-code"

	field     = "code" // the input of both factors
	maxIssuer = 64     // bytes
)

var (
	errNotBound = errors.New("totp: the factor is not in use; list it in auth.Config.Factors")
	errBound    = errors.New("totp: the factor belongs to another Manager; make one for each Manager")
	errUnusable = errors.New("totp: the record of the secret cannot be opened: its key is not in Config.Secrets, or it was changed or moved")
)

// A Factor is the factor "totp": codes from an authenticator app. It implements auth.Factor,
// auth.FactorBinder and auth.Enroller. Make it by [New]. It is safe for use by many
// goroutines.
type Factor struct {
	issuer  string
	chosen  bool          // Issuer has set issuer
	feature *auth.Feature // set by Bind

	mu    sync.Mutex
	wrong wrongCodes
}

// An Option changes a [Factor].
type Option func(*Factor)

// Issuer sets the name that the authenticator app shows above the user's: the name of your
// site. It has at most 64 bytes, and no colon. By default, it is the host of Config.BaseURL.
// An app takes the same account with another name for another account, so choose it once.
func Issuer(name string) Option {
	return func(f *Factor) { f.issuer, f.chosen = name, true }
}

// New makes the factor for one Manager.
func New(options ...Option) *Factor {
	f := &Factor{}
	for _, option := range options {
		option(f)
	}
	return f
}

// Bind implements auth.FactorBinder.
func (f *Factor) Bind(feature *auth.Feature) error {
	if f.feature != nil {
		return errBound
	}
	if !f.chosen {
		f.issuer = strings.ReplaceAll(feature.Host(), ":", ".") // of an IPv6 address
	}
	if name := f.issuer; name != strings.TrimSpace(name) || name == "" || len(name) > maxIssuer || !utf8.ValidString(name) ||
		strings.Contains(name, ":") || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("totp: the issuer is %.100q; use totp.Issuer with a name of 1 to %d bytes, without a colon", name, maxIssuer)
	}
	f.feature = feature
	return nil
}

// Name implements auth.Factor.
func (*Factor) Name() string { return factorName }

// Enrolled implements auth.Factor. A record that cannot be opened counts.
func (f *Factor) Enrolled(ctx context.Context, userID string) (bool, error) {
	if err := factorkit.Check(f.feature, userID, errNotBound); err != nil {
		return false, err
	}
	return exists(f.feature.Get(ctx, secretKey(userID)))
}

// Prompt implements auth.Factor.
func (*Factor) Prompt(context.Context, auth.User) (auth.Prompt, []byte, error) {
	return prompt(), nil, nil
}

func prompt() auth.Prompt {
	return auth.Prompt{Field: field, Autocomplete: "one-time-code", Numeric: true}
}

// Verify implements auth.Factor. The code is in the field "code". Spaces, hyphens and line
// breaks in it are ignored.
func (f *Factor) Verify(ctx context.Context, user auth.User, _ []byte, answer url.Values) error {
	userID := factorkit.UserID(user)
	if err := factorkit.Check(f.feature, userID, errNotBound); err != nil {
		return err
	}
	code, ok := sixDigits(answer[field])
	if !ok {
		return auth.ErrWrongFactor
	}
	now, known := f.feature.Now(), false
	err := f.feature.Change(ctx, secretKey(userID), func(r *auth.Record) error {
		e, ok := f.open(r.Data, confirmed, userID)
		if !ok {
			return errUnusable
		}
		var step int64
		step, known = match(e.secret, code, now, e.last)
		if step <= e.last {
			return auth.ErrWrongFactor
		}
		e.last = step
		r.Data = f.seal(e, farFuture())
		return nil
	})
	switch {
	case errors.Is(err, errUnusable):
		f.feature.Event(ctx, auth.Event{Kind: EventUnusable, UserID: userID, Method: factorName, Err: errUnusable})
		return auth.ErrWrongFactor
	case errors.Is(err, auth.ErrRecordNotFound): // the factor was removed at this moment
		return auth.ErrWrongFactor
	case err == nil || errors.Is(err, auth.ErrWrongFactor):
		f.looked(ctx, now, known)
	}
	return err
}

// Remove implements auth.Enroller.
func (f *Factor) Remove(ctx context.Context, userID string) error {
	if err := factorkit.Check(f.feature, userID, errNotBound); err != nil {
		return err
	}
	return remove(ctx, f.feature, userID, pendingKey(userID), secretKey(userID))
}

// The keys of records. A user's ID may be longer than a key, so it is hashed.
func secretKey(userID string) string  { return recordKey("secret", userID) }
func pendingKey(userID string) string { return recordKey("pending", userID) }

func recordKey(what, userID string) string {
	sum := sha256.Sum256([]byte(userID))
	return what + "/" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// farFuture is until when a confirmed secret can be opened: for ever.
func farFuture() time.Time { return time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) }

// exists reports whether Get has found a record.
func exists(_ auth.Record, err error) (bool, error) {
	if errors.Is(err, auth.ErrRecordNotFound) {
		return false, nil
	}
	return err == nil, err
}

// remove deletes the records with these keys, and all others that the feature has of the
// user. A record under one of the keys is deleted, even if it names another user.
func remove(ctx context.Context, feature *auth.Feature, userID string, keys ...string) error {
	var failed error
	for _, key := range keys {
		if _, err := feature.Take(ctx, key); err != nil && !errors.Is(err, auth.ErrRecordNotFound) {
			failed = errors.Join(failed, err)
		}
	}
	return errors.Join(failed, feature.Delete(ctx, userID))
}

package auth

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/wire"
)

// This file has API tokens, which programs send in a header. The store has only their
// hashes. A token is bound to the account's Stamp, so a change of password ends it.

// newAPITokens returns the share of the Core in which API tokens are stored. It has its
// own kind of record, because every change of a credential ends API tokens.
func newAPITokens(c *Core) *Feature {
	return &Feature{core: c, name: kindAPIToken, kind: kindAPIToken}
}

const (
	// apiTokenPrefix lets people, and programs that look for leaked secrets, recognise
	// a token.
	apiTokenPrefix = "goauth_"

	apiTokenTouch = time.Hour // how old "last used" may be
	maxTokenName  = 200       // bytes
	maxScopes     = 50
	maxScope      = 100 // bytes
)

// An APIToken describes a token with which a program makes requests for a user.
type APIToken struct {
	ID      string   // for RevokeAPIToken; it is not the token
	Name    string   // the user's name for it: one line of at most 200 bytes; may be empty
	Scopes  []string // 1 to 50 scopes, each of 1 to 100 visible ASCII characters except " and \ (RFC 6749); or ScopeAll
	Created time.Time
	Used    time.Time // the last use, to the hour; zero if it was never used
	Expires time.Time
}

// An apiToken is the decoded record of an API token.
type apiToken struct {
	APIToken
	record Record
	stamp  string
}

func (t *apiToken) encode() {
	b := wire.AppendText(wire.AppendText([]byte{formatVersion}, t.stamp), t.Name)
	b = wire.AppendText(b, strings.Join(t.Scopes, " "))
	b = binary.AppendVarint(binary.AppendVarint(b, t.Created.UnixMilli()), t.Used.UnixMilli())
	t.record.Data = b
}

func decodeAPIToken(record Record) (apiToken, bool) {
	r := wire.NewReader(string(record.Data))
	if r.Byte() != formatVersion {
		return apiToken{}, false
	}
	t := apiToken{record: record, stamp: r.Text()}
	t.ID, t.Expires = record.Key, record.Expires
	t.Name, t.Scopes = r.Text(), append([]string{}, strings.Fields(r.Text())...) // never nil: nil Scopes would allow everything
	t.Created, t.Used = time.UnixMilli(r.Varint()), time.UnixMilli(r.Varint())
	return t, r.OK() && r.Rest() == ""
}

// NewAPIToken makes an API token for the user; see Bearer. Set the Name, Scopes and
// Expires of t. If one of them is not valid, the error is ErrInvalidAPIToken.
// NewAPIToken returns the token, and t with all fields set. The token itself is not
// stored, so show it to the user once. It ends when the account gets a new Stamp, such as
// by a change of password.
func (c *Core) NewAPIToken(ctx context.Context, user User, t APIToken) (_ Secret, _ APIToken, failing error) {
	defer c.met(ctx, &failing)
	if isAbsent(user) {
		return Secret{}, APIToken{}, ErrUserNotFound
	}
	a, now := user.AuthAccount(), c.tokens.Now()
	if err := c.passAccount(ctx, user); err != nil {
		return Secret{}, APIToken{}, err
	}
	switch {
	case !isText(t.Name) || len(t.Name) > maxTokenName || strings.ContainsFunc(t.Name, unicode.IsControl):
		return Secret{}, APIToken{}, fmt.Errorf("%w: the Name must be one line of at most %d bytes", ErrInvalidAPIToken, maxTokenName)
	case len(t.Scopes) == 0 || len(t.Scopes) > maxScopes || slices.ContainsFunc(t.Scopes, func(s string) bool { return !isScope(s) }):
		return Secret{}, APIToken{}, fmt.Errorf("%w: use 1 to %d Scopes, each of 1 to %d visible ASCII characters except \" and \\", ErrInvalidAPIToken, maxScopes, maxScope)
	case !t.Expires.After(now):
		return Secret{}, APIToken{}, fmt.Errorf("%w: Expires must be in the future", ErrInvalidAPIToken)
	}
	if s := c.stateOf(ctx); s != nil && s.exceeds(t.Scopes) {
		return Secret{}, APIToken{}, ErrOutOfScope
	}
	if err := c.stillIn(ctx); err != nil {
		return Secret{}, APIToken{}, err
	}
	act, err := c.actForSelf(ctx, a.ID)
	if err == nil {
		err = act.mayOn(ctx, a.ID)
	}
	if err != nil {
		return Secret{}, APIToken{}, err
	}
	token := apiTokenPrefix + keyring.NewToken()
	made := apiToken{
		APIToken: APIToken{ID: keyring.TokenKey(token), Name: t.Name, Scopes: slices.Clone(t.Scopes), Created: now, Expires: t.Expires},
		record:   Record{Key: keyring.TokenKey(token), UserID: a.ID, Expires: t.Expires},
		stamp:    a.Stamp.Reveal(),
	}
	made.encode()
	if err := c.tokens.Insert(ctx, made.record); err != nil {
		return Secret{}, APIToken{}, err
	}
	c.tokens.Event(ctx, Event{Kind: EventAPITokenIssued, UserID: a.ID, ActorID: act.actor})
	c.notify(ctx, MailAPIToken, user, a.Email)
	return NewSecret(token), made.APIToken, nil
}

// exceeds reports whether one of the scopes is missing in the request's own token.
func (s *state) exceeds(scopes []string) bool {
	s.op.Lock()
	defer s.op.Unlock()
	return slices.ContainsFunc(scopes, func(scope string) bool { return !s.grant.covers(scope) })
}

// isScope reports whether s is a scope as in OAuth (RFC 6749, section 3.3).
func isScope(s string) bool {
	for i := range len(s) {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' {
			return false
		}
	}
	return s != "" && len(s) <= maxScope
}

// APITokens lists a user's API tokens, the newest first.
func (c *Core) APITokens(ctx context.Context, userID string) (_ []APIToken, failing error) {
	defer c.met(ctx, &failing)
	user, err := c.users.load(ctx, userID)
	if err != nil {
		return nil, err
	}
	records, err := c.tokens.List(ctx, userID)
	if err != nil {
		return nil, err
	}
	var tokens []APIToken
	for _, r := range records {
		if t, ok := decodeAPIToken(r); ok && invalid(t.stamp, user) == nil {
			tokens = append(tokens, t.APIToken)
		}
	}
	slices.SortFunc(tokens, func(a, b APIToken) int {
		if order := b.Created.Compare(a.Created); order != 0 {
			return order
		}
		return strings.Compare(a.ID, b.ID)
	})
	return tokens, nil
}

// RevokeAPIToken ends one of a user's API tokens. If the user has no token with this
// ID, it returns ErrAPITokenNotFound.
func (c *Core) RevokeAPIToken(ctx context.Context, userID, id string) (failing error) {
	defer c.met(ctx, &failing)
	if err := c.notActing(ctx); err != nil {
		return err
	}
	if userID == "" {
		return ErrAPITokenNotFound
	}
	act, err := c.actForSelf(ctx, userID)
	if err == nil {
		err = act.mayOn(ctx, userID)
	}
	if err != nil {
		return err
	}
	records, err := c.tokens.List(ctx, userID)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(records, func(r Record) bool { return r.Key == id }) { // it may be another user's
		return ErrAPITokenNotFound
	}
	_, taken := c.tokens.Take(ctx, id)
	if err := unlessNotFound(taken); err != nil {
		return err
	}
	c.watches.endOne(userID, id)
	c.tokens.Event(ctx, Event{Kind: EventAPITokenRevoked, UserID: userID, ActorID: act.actor})
	return nil
}

// Bearer finds the user by an API token that NewAPIToken made. The token must be in the
// header Authorization: Bearer (RFC 6750); the URL is not read. Every request with this
// scheme is decided by Bearer, so a malformed token is a wrong one.
func Bearer() Credential {
	return Credential{Challenge: schemeBearer, scheme: schemeBearer}
}

// loadBearer is the Load of Bearer.
func (c *Core) loadBearer(r *http.Request) (Grant, error) {
	token, found := credentials(r, schemeBearer)
	if !found {
		return Grant{}, nil
	}
	wrong := Grant{Method: methodAPIToken}
	if !strings.HasPrefix(token, apiTokenPrefix) || len(token) != len(apiTokenPrefix)+keyring.TokenLength {
		return wrong, ErrInvalidCredentials
	}
	ctx := r.Context()
	record, err := c.tokens.Get(ctx, keyring.TokenKey(token))
	if unlessNotFound(err) != nil {
		return Grant{}, err
	}
	t, ok := decodeAPIToken(record)
	if err != nil || !ok {
		wrong.UserID = record.UserID
		return wrong, ErrInvalidCredentials
	}
	switch err := c.touchAPIToken(ctx, &t); {
	case errors.Is(err, ErrRecordNotFound): // just revoked
		return wrong, ErrInvalidCredentials
	case err != nil:
		return Grant{}, err
	}
	return Grant{
		UserID: record.UserID, Method: methodAPIToken, Stamp: NewSecret(t.stamp), Scopes: t.Scopes,
		bound: true, id: record.Key,
	}, nil
}

// touchAPIToken stores that a token is in use, unless that was stored within the last
// hour.
func (c *Core) touchAPIToken(ctx context.Context, t *apiToken) error {
	now := c.tokens.Now()
	due := func(used time.Time) bool { return now.Sub(used) >= apiTokenTouch }
	if !due(t.Used) {
		return nil
	}
	err := c.tokens.Change(ctx, t.ID, func(r *Record) error {
		stored, ok := decodeAPIToken(*r)
		if !ok || !due(stored.Used) {
			return errTouched
		}
		stored.Used = now
		stored.encode()
		r.Data = stored.record.Data
		return nil
	})
	if errors.Is(err, errTouched) || errors.Is(err, ErrConflict) {
		return nil
	}
	return err
}

// errTouched says that another request has just stored that the token is in use.
var errTouched = errors.New("auth: touched already")

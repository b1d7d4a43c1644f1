package oauth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/turns"
)

const (
	tokensPrefix = "tokens/"
	tokensLast   = 10 * 365 * 24 * time.Hour // the encryption; the tokens themselves expire when the provider says
	earlier      = time.Minute               // a token that expires sooner is renewed
	renewalLasts = 30 * time.Second          // how long one process may take to renew tokens
)

// ErrNoTokens says that no tokens of this provider are kept for the user, or that they cannot be
// renewed any more. They are kept again when the user logs in at the provider.
var ErrNoTokens = errors.New("oauth: there are no tokens of this user; the user gets new ones by a login at the provider")

// kept are tokens in a record. The record has them encrypted.
type kept struct {
	Identity              string // whose ID is in the record's key
	Access, Refresh, Type string
	Expires               time.Time // zero: not known
}

// keepTokens stores the tokens of an identity, in place of older ones. A provider may send a
// refresh token with the first login only.
func (h *Handler) keepTokens(ctx context.Context, userID, id string, t *oauth2.Token) error {
	k := kept{Identity: id, Access: t.AccessToken, Refresh: t.RefreshToken, Type: t.Type()}
	if t.ExpiresIn > 0 {
		k.Expires = h.feature.Now().Add(time.Duration(t.ExpiresIn) * time.Second)
	}
	change := func(r *auth.Record) error {
		if r.UserID != userID { // left by another user, who has disconnected the identity
			return errTaken
		}
		var old kept
		if k.Refresh == "" && h.open(sealedTokens, string(r.Data), &old) {
			k.Refresh = old.Refresh
		}
		r.Data = []byte(h.seal(sealedTokens, k, h.feature.Now().Add(tokensLast)))
		return nil
	}
	err := h.feature.Change(ctx, tokensPrefix+id, change)
	if errors.Is(err, errTaken) {
		if err := h.take(ctx, tokensPrefix+id); err != nil {
			return err
		}
	} else if !errors.Is(err, auth.ErrRecordNotFound) {
		return err
	}
	r := auth.Record{Key: tokensPrefix + id, UserID: userID}
	_ = change(&r)
	if err = h.feature.Insert(ctx, r); errors.Is(err, auth.ErrRecordExists) {
		return h.feature.Change(ctx, tokensPrefix+id, change)
	}
	if err != nil {
		return err
	}
	if owner, err := h.owner(ctx, id); err != nil || owner != userID { // it was disconnected meanwhile
		return errors.Join(errNotConnected, err, h.take(ctx, tokensPrefix+id))
	}
	return nil
}

// Token returns an access token of one of the user's identities, for requests to the provider.
// The identity's ID is that of auth.Identity. Token renews a token that expires within a
// minute. It does so once, also if it is called many times at the same moment.
//
// It returns ErrNoTokens, auth.ErrConflict if another process renews the token at this moment
// (try again), or a failure. Never show the token to a browser.
func (h *Handler) Token(ctx context.Context, userID, id string) (auth.Secret, error) {
	leave, err := h.turns.Take(ctx, tokensPrefix+id)
	if errors.Is(err, turns.ErrBusy) {
		return auth.Secret{}, auth.ErrBusy
	}
	if err != nil {
		return auth.Secret{}, err
	}
	defer leave()
	k, err := h.kept(ctx, userID, id)
	if err != nil || !h.isOld(k) {
		return auth.NewSecret(k.Access), err
	}
	return h.renew(ctx, userID, id)
}

// kept returns the tokens of an identity.
func (h *Handler) kept(ctx context.Context, userID, id string) (k kept, err error) {
	r, err := h.feature.Get(ctx, tokensPrefix+id)
	switch {
	case errors.Is(err, auth.ErrRecordNotFound), err == nil && (userID == "" || r.UserID != userID):
		return kept{}, ErrNoTokens
	case err != nil:
		return kept{}, err
	case !h.open(sealedTokens, string(r.Data), &k) || k.Identity != id:
		return kept{}, ErrNoTokens
	}
	return k, nil
}

// isOld reports whether the access token must be renewed.
func (h *Handler) isOld(k kept) bool {
	return !k.Expires.IsZero() && !k.Expires.After(h.feature.Now().Add(earlier))
}

// renew gets a new access token. A record keeps other processes from doing the same: many
// providers take a refresh token once, and end everything if it comes twice.
func (h *Handler) renew(ctx context.Context, userID, id string) (auth.Secret, error) {
	p, err := h.providerOf(ctx, id)
	if err != nil {
		return auth.Secret{}, err
	}
	const claim = "renewal/"
	err = h.feature.Insert(ctx, auth.Record{Key: claim + id, Expires: h.feature.Now().Add(renewalLasts)})
	if errors.Is(err, auth.ErrRecordExists) {
		return auth.Secret{}, auth.ErrConflict
	}
	if err != nil {
		return auth.Secret{}, err
	}
	// The provider may have used up the old token, so the new one is stored even if the
	// caller has gone.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*requestTimeout)
	defer cancel()
	defer func() { _ = h.take(ctx, claim+id) }() // it expires in any case
	k, err := h.kept(ctx, userID, id)
	switch {
	case err != nil || !h.isOld(k): // another process has renewed it meanwhile
		return auth.NewSecret(k.Access), err
	case k.Refresh == "":
		return auth.Secret{}, ErrNoTokens
	}
	f, err := p.find(ctx)
	if err != nil {
		return auth.Secret{}, err
	}
	config, err := p.config(f, "")
	if err != nil {
		return auth.Secret{}, err
	}
	t, err := config.TokenSource(oidc.ClientContext(ctx, p.client), &oauth2.Token{RefreshToken: k.Refresh}).Token()
	if answered := (*oauth2.RetrieveError)(nil); errors.As(err, &answered) && answered.ErrorCode == "invalid_grant" {
		return auth.Secret{}, errors.Join(ErrNoTokens, h.take(ctx, tokensPrefix+id))
	}
	if err != nil {
		return auth.Secret{}, tokenError(ctx, p.Name, err)
	}
	if err = h.keepTokens(ctx, userID, id, t); errors.Is(err, errNotConnected) {
		err = errors.Join(ErrNoTokens, err)
	}
	if err != nil {
		return auth.Secret{}, err
	}
	return auth.NewSecret(t.AccessToken), nil
}

// providerOf returns the provider of an identity.
func (h *Handler) providerOf(ctx context.Context, id string) (*remote, error) {
	i, _, err := h.identity(ctx, id)
	if errors.Is(err, auth.ErrRecordNotFound) {
		return nil, ErrNoTokens
	}
	if err != nil {
		return nil, err
	}
	p := h.byIssuer(i.Issuer)
	if p == nil {
		return nil, ErrNoTokens
	}
	return p, nil
}

// forgetTokens deletes the tokens of an identity, and revokes them at the provider (RFC 7009). If
// the provider does not answer, they are only deleted.
func (h *Handler) forgetTokens(ctx context.Context, p *remote, userID, id string) error {
	r, err := h.feature.Take(ctx, tokensPrefix+id)
	if errors.Is(err, auth.ErrRecordNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	var k kept
	if p == nil || !h.open(sealedTokens, string(r.Data), &k) {
		return nil
	}
	token := k.Refresh
	if token == "" {
		token = k.Access
	}
	if err := p.revoke(ctx, token); err != nil {
		h.feature.Event(ctx, auth.Event{Kind: EventUnavailable, UserID: userID, Method: p.method(), Err: err})
	}
	return nil
}

// revoke revokes a token, if the provider has an endpoint for it.
func (p *remote) revoke(ctx context.Context, token string) error {
	f, err := p.find(ctx)
	if err != nil || f.RevocationURL == "" {
		return err
	}
	config, err := p.config(f, "")
	if err != nil {
		return err
	}
	form := url.Values{"token": {token}}
	if p.authStyle(f) == AuthPost {
		form.Set("client_id", config.ClientID)
		form.Set("client_secret", config.ClientSecret)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, f.RevocationURL, strings.NewReader(form.Encode()))
	if err != nil {
		return fmt.Errorf("%w: the revocation endpoint of %s is no URL", errUnavailable, p.Name)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if p.authStyle(f) == AuthBasic {
		r.SetBasicAuth(url.QueryEscape(config.ClientID), url.QueryEscape(config.ClientSecret))
	}
	_, err = read(p.client, r)
	return err
}

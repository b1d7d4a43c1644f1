package oauth

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/go-login/auth"
)

const (
	sessionPrefix  = "session/"
	maxLogins      = 20 // that one session at a provider has made; of more, the newest are kept
	logoutMaxAge   = 2 * time.Minute
	logoutTokenKey = "logout-token/"
	logoutEvent    = "http://schemas.openid.net/event/backchannel-logout"
)

// A session is what is stored about a user's session at a provider, so that the provider can end
// the logins that came from it.
type session struct {
	Identity string
	Logins   []string  // the IDs of the logins
	Waits    bool      // a login owed a second factor: its ID is not known
	Began    time.Time // of the first of these
}

// sessionKey is the key of a session's record.
func sessionKey(issuer, sessionID string) string {
	sum := sha256.Sum256([]byte("session\x00" + issuer + "\x00" + sessionID))
	return sessionPrefix + base64.RawURLEncoding.EncodeToString(sum[:])
}

// noteSession notes that a login is about to come from a session at the provider. Until its ID
// is known, a logout ends all logins of the identity that are newer.
func (h *Handler) noteSession(ctx context.Context, p *remote, v *visit, userID string, remember bool) error {
	if !p.BackChannelLogout || v.sessionID == "" {
		return nil
	}
	now, key, id := h.feature.Now(), sessionKey(p.issuer(), v.sessionID), identityID(p.issuer(), v.Subject)
	cfg := h.core.Config().Session
	until := now.Add(cfg.Lifetime + time.Hour)
	if remember {
		until = now.Add(cfg.RememberFor + cfg.Lifetime)
	}
	fresh, err := json.Marshal(session{Identity: id, Waits: true, Began: now})
	if err != nil {
		return err
	}
	other := false
	err = h.feature.Change(ctx, key, func(r *auth.Record) error {
		var s session
		if other = r.UserID != userID || json.Unmarshal(r.Data, &s) != nil || s.Identity != id; other {
			return nil
		}
		s.Waits = true
		if r.Data, err = json.Marshal(s); r.Expires.Before(until) {
			r.Expires = until
		}
		return err
	})
	if err == nil && other { // another user has logged in in the same session at the provider
		err = h.take(ctx, key)
	}
	if err != nil && !errors.Is(err, auth.ErrRecordNotFound) || err == nil && !other {
		return err
	}
	err = h.feature.Insert(ctx, auth.Record{Key: key, UserID: userID, Data: fresh, Expires: until})
	if errors.Is(err, auth.ErrRecordExists) {
		return errTwice
	}
	return err
}

// addLogin notes the ID of the login that has just been made.
func (h *Handler) addLogin(ctx context.Context, p *remote, v *visit) error {
	if !p.BackChannelLogout || v.sessionID == "" {
		return nil
	}
	l, err := h.core.CurrentLogin(ctx)
	if err != nil {
		return err
	}
	return h.feature.Change(ctx, sessionKey(p.issuer(), v.sessionID), func(r *auth.Record) error {
		var s session
		if err := json.Unmarshal(r.Data, &s); err != nil {
			return errDamaged
		}
		s.Waits = false
		if !slices.Contains(s.Logins, l.ID) {
			s.Logins = append(s.Logins, l.ID)
		}
		s.Logins = s.Logins[max(0, len(s.Logins)-maxLogins):]
		var err error
		r.Data, err = json.Marshal(s)
		return err
	})
}

// backChannelLogout ends logins because the provider says so (OpenID Connect Back-Channel
// Logout 1.0). It reads no cookie; the signature says who it is.
func (h *Handler) backChannelLogout(w http.ResponseWriter, r *http.Request, p *remote) {
	ctx := r.Context()
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	err := parseForm(r)
	tokens := r.PostForm["logout_token"]
	if err != nil || len(tokens) != 1 || len(tokens[0]) > maxIDToken {
		err = refusedLogout("there is no logout_token")
	}
	userID := ""
	if err == nil {
		userID, err = h.logout(ctx, p, tokens[0])
	}
	switch {
	case err == nil:
		h.feature.Event(ctx, auth.Event{Kind: EventLogout, UserID: userID, Method: p.method()})
		w.WriteHeader(http.StatusOK)
	case errors.Is(err, errLogout):
		h.feature.Event(ctx, auth.Event{Kind: EventLogoutRefused, UserID: userID, Method: p.method(), Err: err})
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_request"}`))
	case errors.Is(err, errUnavailable):
		h.feature.Event(ctx, auth.Event{Kind: EventUnavailable, Method: p.method(), Err: err})
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		h.core.Error(w, r, err)
	}
}

var errLogout = errors.New("oauth: the logout is refused")

type logoutError string

func (e logoutError) Error() string        { return errLogout.Error() + ": " + string(e) }
func (e logoutError) Is(target error) bool { return target == errLogout }

func refusedLogout(why string) error { return logoutError(why) }

// logout checks a logout token, and ends the logins that it names.
func (h *Handler) logout(ctx context.Context, p *remote, raw string) (userID string, err error) {
	f, err := p.find(ctx)
	if err != nil {
		return "", err
	}
	token, err := checked(ctx, raw, f.verifier.VerifyLogout)
	switch {
	case errors.Is(err, errUnavailable), err != nil && ctx.Err() != nil:
		return "", err
	case err != nil:
		return "", refusedLogout(whyRefused(err))
	}
	if err := p.checkLogout(token, raw); err != nil {
		return "", err
	}
	userID, ends, err := h.named(ctx, p, token)
	if err != nil {
		return userID, err
	}
	sum := sha256.Sum256([]byte(p.issuer() + "\x00" + token.TokenID))
	key := logoutTokenKey + base64.RawURLEncoding.EncodeToString(sum[:])
	err = h.feature.Insert(ctx, auth.Record{Key: key, Expires: h.feature.Now().Add(logoutMaxAge + 2*leeway)})
	if errors.Is(err, auth.ErrRecordExists) {
		return userID, refusedLogout("the token was used before")
	}
	if err == nil {
		err = h.end(ctx, userID, ends)
	}
	if err != nil { // the provider may try again
		return userID, errors.Join(err, h.take(context.WithoutCancel(ctx), key))
	}
	return userID, nil
}

// checkLogout makes the checks that go-oidc leaves to us.
func (p *remote) checkLogout(token *oidc.LogoutToken, raw string) error {
	var header struct{ Typ string }
	first, _, _ := strings.Cut(raw, ".")
	text, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil || json.Unmarshal(text, &header) != nil || !strings.EqualFold(strings.TrimPrefix(header.Typ, "application/"), "logout+jwt") {
		return refusedLogout("its typ is not logout+jwt")
	}
	var claims struct {
		Events map[string]json.RawMessage `json:"events"`
	}
	if token.Claims(&claims) != nil {
		return refusedLogout("a claim has the wrong type")
	}
	now := p.now()
	switch {
	case !strings.HasPrefix(string(claims.Events[logoutEvent]), "{"):
		return refusedLogout("its event is no object")
	case token.IssuedAt.After(now.Add(leeway)) || token.IssuedAt.Before(now.Add(-logoutMaxAge)):
		return refusedLogout("it was not issued within the last 2 minutes")
	case len(token.Audience) != 1:
		return refusedLogout("it has several audiences")
	case token.Subject != "" && !isSubject(token.Subject):
		return refusedLogout("its sub is refused")
	}
	return nil
}

// named returns the user that a logout token names, and which of the user's logins end.
func (h *Handler) named(ctx context.Context, p *remote, token *oidc.LogoutToken) (userID string, ends func(auth.Login) bool, err error) {
	// A login that a remember cookie has made does not say how the user logged in before.
	fromProvider := func(l auth.Login) bool {
		return slices.Contains(l.Methods, p.method()) || slices.Contains(l.Methods, "remember")
	}
	if token.SessionID == "" {
		userID, err = h.owner(ctx, identityID(p.issuer(), token.Subject))
		if err == nil && userID == "" {
			err = refusedLogout("its sub is unknown")
		}
		return userID, fromProvider, err
	}
	r, err := h.feature.Get(ctx, sessionKey(p.issuer(), token.SessionID))
	if errors.Is(err, auth.ErrRecordNotFound) {
		return "", nil, refusedLogout("its sid is unknown")
	}
	if err != nil {
		return "", nil, err
	}
	var s session
	if json.Unmarshal(r.Data, &s) != nil {
		return "", nil, errDamaged
	}
	if token.Subject != "" && s.Identity != identityID(p.issuer(), token.Subject) {
		return "", nil, refusedLogout("its sid is another user's")
	}
	return r.UserID, func(l auth.Login) bool {
		return slices.Contains(s.Logins, l.ID) || s.Waits && fromProvider(l) && !l.Created.Before(s.Began.Truncate(time.Second))
	}, nil
}

// end ends logins of a user.
func (h *Handler) end(ctx context.Context, userID string, ends func(auth.Login) bool) error {
	logins, err := h.core.Logins(ctx, userID)
	if errors.Is(err, auth.ErrUserNotFound) {
		return nil
	}
	for _, l := range logins {
		if !ends(l) {
			continue
		}
		failed := h.core.EndLogin(ctx, userID, l.ID)
		if !errors.Is(failed, auth.ErrLoginNotFound) {
			err = errors.Join(err, failed)
		}
	}
	return err
}

// LogoutURL returns the page at which the user's session at a provider ends (OpenID Connect
// RP-Initiated Logout 1.0), or "" if the provider has none. Send the browser there after
// Core.LogoutUser, by a link or a page: a redirect from a form is blocked by form-action. back
// is a path of this site. The provider must know its URL, and sends the browser there.
func (h *Handler) LogoutURL(ctx context.Context, provider, back string) (string, error) {
	p := h.byName(provider)
	if p == nil {
		return "", fmt.Errorf("oauth: LogoutURL: there is no provider %.50q", provider)
	}
	f, err := p.find(ctx)
	if err != nil || f.EndSessionURL == "" {
		return "", err
	}
	u, err := url.Parse(f.EndSessionURL)
	if err != nil || checkURL(f.EndSessionURL) != nil {
		return "", fmt.Errorf("%w: the end_session_endpoint of %s is no https URL", errUnavailable, p.Name)
	}
	q := u.Query()
	q.Set("client_id", p.ClientID)
	q.Set("post_logout_redirect_uri", strings.TrimSuffix(h.core.BaseURL(ctx), h.core.BasePath())+auth.ParseNext(back).String())
	u.RawQuery = q.Encode()
	return u.String(), nil
}

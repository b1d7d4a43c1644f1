package oauth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/go-login/auth"
)

// An answer is what the browser brings back from a provider. Each parameter has one value.
type answer struct {
	State string
	Code  string
	Error string // in place of Code
	Iss   string // RFC 9207
	HasIs bool   // whether there is an iss
	User  string // Apple's: the user's name, unsigned
}

const (
	maxParameter = 8 << 10 // bytes of one parameter
	maxIDToken   = 64 << 10
)

var errShape = errors.New("oauth: the answer of the provider has another form than OAuth 2.0 says")

// readAnswer checks the form of an answer.
func readAnswer(values url.Values) (*answer, error) {
	a := &answer{}
	for name, field := range map[string]*string{"state": &a.State, "code": &a.Code, "error": &a.Error, "iss": &a.Iss, "user": &a.User} {
		switch all := values[name]; {
		case len(all) > 1, len(all) == 1 && len(all[0]) > maxParameter:
			return nil, errShape
		case len(all) == 1:
			*field = all[0]
		}
	}
	a.HasIs = values.Has("iss")
	if a.State == "" || (a.Code == "") == (a.Error == "") {
		return nil, errShape
	}
	return a, nil
}

// formPost takes an answer that the provider sends as a form. It comes from another site, so
// the browser sends no cookies along. The answer is a page that goes on by GET, for which it
// does. Until then the provider's answer is encrypted in the URL.
func (h *Handler) formPost(w http.ResponseWriter, r *http.Request, p *remote) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := parseForm(r); err != nil {
		h.core.Error(w, r, err)
		return
	}
	a, err := readAnswer(r.PostForm)
	if err != nil || r.URL.RawQuery != "" {
		h.answer(w, r, p, &transaction{Purpose: toLogin}, nil, errShape)
		return
	}
	query := url.Values{"answer": {h.seal(sealedAnswer, a, h.feature.Now().Add(transactionLasts))}}
	h.show(w, r, p, Page{Kind: PageReturning, Link: h.core.BasePath() + p.callbackPath() + "?" + query.Encode(), Forward: true})
}

// fromQuery reads an answer from a URL.
func (h *Handler) fromQuery(r *http.Request, p *remote) (*answer, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, errShape
	}
	if !p.FormPost {
		return readAnswer(values)
	}
	a := &answer{}
	if len(values) != 1 || len(values["answer"]) != 1 || !h.open(sealedAnswer, values.Get("answer"), a) {
		return nil, errShape
	}
	return a, nil
}

// callback is where the browser comes back to. The checks are in this order: the form of the
// answer, the browser, the transaction, the issuer, the provider's error; then the code is
// exchanged, and the ID token and the userinfo are checked; then the application says
// whether the user may come in; then the identity is looked for; then the gate follows.
func (h *Handler) callback(w http.ResponseWriter, r *http.Request, p *remote) {
	ctx := r.Context()
	a, err := h.fromQuery(r, p)
	if err != nil {
		h.answer(w, r, p, &transaction{Purpose: toLogin}, nil, err)
		return
	}
	t, err := h.finish(ctx, w, r, p, a.State)
	if err != nil {
		h.over(w, r, p, err)
		return
	}
	v, err := h.visit(ctx, p, t, a)
	if err == nil {
		err = h.admit(ctx, p, v)
	}
	if err == nil {
		err = h.enter(ctx, w, p, t, v)
	}
	h.answer(w, r, p, t, v, err)
}

// over answers a callback whose transaction is gone. Most are harmless: the user has gone
// back, or has loaded the page again.
func (h *Handler) over(w http.ResponseWriter, r *http.Request, p *remote, err error) {
	t := &transaction{Purpose: toLogin}
	if errors.Is(err, errNoTransaction) {
		_, failed := h.core.EnrollingUser(r.Context())
		switch {
		case failed == nil:
			auth.Next{}.Redirect(w, h.Home)
			return
		case !errors.Is(failed, auth.ErrNotLoggedIn):
			err = failed
		}
	}
	h.answer(w, r, p, t, nil, err)
}

// visit checks the answer of a provider, exchanges the code, and returns what the provider says
// about the user.
func (h *Handler) visit(ctx context.Context, p *remote, t *transaction, a *answer) (*visit, error) {
	f, err := p.find(ctx)
	if err != nil {
		return nil, err
	}
	switch { // RFC 9207; Google sends iss without announcing it
	case a.HasIs && p.Issuer != "" && a.Iss != p.Issuer, !a.HasIs && f.AnnouncesIss:
		return nil, errOtherIssuer
	case a.Error != "":
		return nil, providerError(a.Error)
	}
	tokens, err := h.exchange(ctx, p, f, t, a.Code)
	if err != nil {
		return nil, err
	}
	if p.isPlain() {
		v, err := p.ask(ctx, tokens.AccessToken)
		if err != nil {
			return nil, err
		}
		v.tokens = tokens
		return v, nil
	}
	raw, _ := tokens.Extra("id_token").(string)
	if raw == "" || len(raw) > maxIDToken {
		return nil, errNoIDToken
	}
	v, err := p.verify(ctx, f, raw, tokens.AccessToken, t)
	if err == nil {
		err = p.userinfo(ctx, f, tokens.AccessToken, v)
	}
	if err != nil {
		return nil, err
	}
	if v.Name == "" {
		v.Name = nameOf(a.User)
	}
	v.tokens = tokens
	return v, nil
}

var (
	errOtherIssuer = errors.New("oauth: the answer came from another issuer, or does not say from which")
	errCancelled   = errors.New("oauth: the user did not agree")
	errProvider    = errors.New("oauth: the provider refuses the login")
)

// providerError returns the error that a provider has sent the browser back with.
func providerError(code string) error {
	switch code {
	case "access_denied", "user_cancelled_authorize", "user_cancelled_login":
		return errCancelled
	case "server_error", "temporarily_unavailable":
		return fmt.Errorf("%w: %s", errUnavailable, code)
	}
	return fmt.Errorf("%w: %s", errProvider, knownCode(code))
}

// knownCode returns an error code, if it is one of the standards'. Other texts are not for the
// log: anybody can write them.
func knownCode(code string) string {
	known := []string{
		"invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type", "unsupported_response_type",
		"invalid_scope", "interaction_required", "login_required", "account_selection_required", "consent_required",
		"redirect_uri_mismatch", "application_suspended", "bad_verification_code", "incorrect_client_credentials",
	}
	if slices.Contains(known, code) {
		return code
	}
	return "an error of its own"
}

// exchange exchanges the code, once.
func (h *Handler) exchange(ctx context.Context, p *remote, f *found, t *transaction, code string) (*oauth2.Token, error) {
	config, err := p.config(f, h.redirectURI(ctx, p))
	if err != nil {
		return nil, err
	}
	tokens, err := config.Exchange(oidc.ClientContext(ctx, p.client), code, oauth2.VerifierOption(t.Verifier))
	if err != nil {
		return nil, tokenError(ctx, p.Name, err)
	}
	return tokens, nil
}

// tokenError says why the token endpoint gave no tokens, without what it has answered.
func tokenError(ctx context.Context, name string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	answered := (*oauth2.RetrieveError)(nil)
	switch {
	case !errors.As(err, &answered):
		return unanswered("the token endpoint of "+name, err)
	case answered.Response.StatusCode >= http.StatusInternalServerError, answered.Response.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("%w: the token endpoint of %s answers %d", errUnavailable, name, answered.Response.StatusCode)
	case answered.ErrorCode == "invalid_client", answered.ErrorCode == "incorrect_client_credentials":
		return fmt.Errorf("%w: %s does not accept the ClientID and the ClientSecret", errUnavailable, name)
	}
	return fmt.Errorf("%w: the token endpoint of %s answers %d: %s", errProvider, name, answered.Response.StatusCode, knownCode(answered.ErrorCode))
}

// ask asks a provider of plain OAuth 2.0 who the user is.
func (p *remote) ask(ctx context.Context, access string) (*visit, error) {
	profile, err := p.Map(ctx, &API{p.client, access})
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, ErrRefused), errors.Is(err, errUnavailable):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: Map of %s: %w", errUnavailable, p.Name, err)
	case !isSubject(profile.Subject):
		return nil, errSubject
	}
	profile.Provider, profile.Name = p.Name, shortName(profile.Name)
	if len(profile.Email) > maxEmail {
		profile.Email = ""
	}
	profile.EmailVerified = profile.EmailVerified && profile.Email != ""
	return &visit{Profile: profile}, nil
}

// nameOf returns the name in Apple's parameter user. The browser could have changed it.
func nameOf(user string) string {
	var u struct {
		Name struct{ FirstName, LastName string }
	}
	if json.Unmarshal([]byte(user), &u) != nil {
		return ""
	}
	return shortName(strings.TrimSpace(u.Name.FirstName + " " + u.Name.LastName))
}

// admit asks the application whether the user may come in.
func (h *Handler) admit(ctx context.Context, p *remote, v *visit) error {
	if p.Admit == nil {
		return nil
	}
	return p.Admit(ctx, v.Profile)
}

// answer answers a request of a user that ended with err, or without an error.
func (h *Handler) answer(w http.ResponseWriter, r *http.Request, p *remote, t *transaction, v *visit, err error) {
	ctx, next := r.Context(), auth.ParseNext(t.Next)
	report := func(kind auth.EventKind) {
		h.feature.Event(ctx, auth.Event{Kind: kind, UserID: t.UserID, Method: p.method(), Err: err})
	}
	link := next.AddTo(h.pageOf(t))
	switch {
	case err == nil && t.Purpose == toLink:
		next.Redirect(w, h.identitiesPage())
	case err == nil:
		next.Redirect(w, h.Home)
	case errors.Is(err, errCancelled):
		h.show(w, r, p, Page{Kind: PageCancelled, Link: link})
	case errors.Is(err, errNotConnected):
		report(EventNotConnected)
		if err := h.feature.IdentityRefused(ctx, v.Email, p.Name); err != nil {
			h.core.Error(w, r, err)
			return
		}
		h.show(w, r, p, Page{Kind: PageNotConnected, Link: auth.ParseNext(h.identitiesPage()).AddTo(h.core.Config().URLs.Login)})
	case errors.Is(err, errUnavailable):
		report(EventUnavailable)
		h.show(w, r, p, Page{Kind: PageUnavailable, Link: link})
	case errors.Is(err, errTooMany):
		report(EventRefused)
		h.show(w, r, p, Page{Kind: PageTooMany, Link: link})
	case errors.Is(err, errShape), errors.Is(err, errNoTransaction), errors.Is(err, errPurpose), errors.Is(err, errTwice),
		errors.Is(err, auth.ErrConflict):
		report(EventRefused)
		h.show(w, r, p, Page{Kind: PageAgain, Link: link})
	case isRefusal(err):
		report(EventRefused)
		h.show(w, r, p, Page{Kind: PageRefused, Link: link})
	case r.Method != http.MethodGet: // at the start: ErrNotFresh, ErrNotLoggedIn and the like
		h.core.Error(w, r, err)
	case errors.Is(err, auth.ErrFactorRequired):
		h.core.Error(w, withNext(r, next), err)
	case errors.Is(err, auth.ErrUnverified):
		h.toVerify(w, r, next, err)
	case errors.Is(err, auth.ErrLoginRefused): // there is an event
		h.show(w, r, p, Page{Kind: PageRefused, Link: link})
	case errors.Is(err, auth.ErrNotFresh), errors.Is(err, auth.ErrNotLoggedIn): // since the start
		h.show(w, r, p, Page{Kind: PageAgain, Link: link})
	default:
		h.core.Error(w, r, err)
	}
}

// isRefusal reports whether what the provider says, or the user, is refused.
func isRefusal(err error) bool {
	for _, refusal := range []error{errIDToken, errSubject, errOtherUserinfo, errOtherIssuer, errProvider, errTaken, errOtherUser, errCannotConfirm, ErrRefused} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// pageOf returns the page from which a user goes to a provider for a purpose.
func (h *Handler) pageOf(t *transaction) string {
	switch t.Purpose {
	case toLink:
		return h.identitiesPage()
	case toConfirm:
		return h.core.Config().URLs.Refresh
	}
	return h.core.Config().URLs.Login
}

// identitiesPage returns the page that lists the accounts that a user has connected.
func (h *Handler) identitiesPage() string {
	return cmp.Or(h.IdentitiesPage, h.feature.IdentitiesPage(), h.Home)
}

// withNext returns the request as if its URL had next alone. Core.Error takes it from there.
func withNext(r *http.Request, next auth.Next) *http.Request {
	r = r.Clone(r.Context())
	r.URL.RawQuery = ""
	r.URL.RawQuery = strings.TrimPrefix(next.AddTo(""), "?")
	return r
}

// toVerify sends the browser to the page that verifies an address. Core.Error would take the
// URL of this request, which has a code, for the page to come back to.
func (h *Handler) toVerify(w http.ResponseWriter, r *http.Request, next auth.Next, err error) {
	cfg := h.core.Config()
	if m := cfg.Message(r, err); m.Text != "" && strings.HasPrefix(cfg.URLs.Verify, "/") {
		_ = h.core.Flash(r.Context(), m.Category, m.Text) // the page says the same
	}
	http.Redirect(w, r, next.AddTo(cfg.URLs.Verify), http.StatusSeeOther)
}

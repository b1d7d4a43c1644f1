package oauth

import (
	"context"
	"errors"
	"mime"
	"net/http"
	"net/url"

	"golang.org/x/oauth2"

	"github.com/go-login/auth"
)

const maxForm = 64 << 10 // bytes

// start begins a visit to a provider: a transaction is stored, and the answer is a page that
// goes to the provider.
func (h *Handler) start(w http.ResponseWriter, r *http.Request, p *remote) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := parseForm(r); err != nil {
		h.core.Error(w, r, err)
		return
	}
	t := &transaction{Provider: p.Name, Issuer: p.issuer(), Purpose: purpose(r.PostForm.Get("purpose")), Remember: r.PostForm.Get("remember_me") != ""}
	if t.Purpose == "" {
		t.Purpose = toLogin
	}
	if err := h.mayBegin(r.Context(), p, t); err != nil {
		h.answer(w, r, p, t, nil, err)
		return
	}
	t.Next = h.core.TakeNext(r).String()
	target, err := h.depart(w, r, p, t)
	if err != nil {
		h.answer(w, r, p, t, nil, err)
		return
	}
	u, err := url.Parse(target)
	if err != nil {
		h.answer(w, r, p, t, nil, errUnavailable)
		return
	}
	h.show(w, r, p, Page{Kind: PageLeaving, Host: u.Host, Link: target, Forward: true})
}

// parseForm reads a form that is no upload.
func parseForm(r *http.Request) error {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" {
		r.PostForm = url.Values{}
		return nil
	}
	return r.ParseForm()
}

// mayBegin checks that the user of the request may go to the provider for this purpose, and
// notes who it is.
func (h *Handler) mayBegin(ctx context.Context, p *remote, t *transaction) error {
	var user auth.User
	var err error
	switch t.Purpose {
	case toLogin:
		// Without LoadAndSave, nothing would refuse a request from another site.
		_, err = h.core.EnrollingUser(ctx)
		if errors.Is(err, auth.ErrNotLoggedIn) || errors.Is(err, auth.ErrOutOfScope) {
			err = nil
		}
		return err
	case toLink:
		user, err = h.core.FreshUser(ctx)
	case toConfirm:
		if !p.confirms() {
			return errCannotConfirm
		}
		user, err = h.core.EnrollingUser(ctx)
	default:
		return errPurpose
	}
	if err != nil {
		return err
	}
	t.UserID, t.Stamp = user.AuthAccount().ID, user.AuthAccount().Stamp.Reveal()
	return nil
}

var (
	errPurpose       = errors.New("oauth: the form has an unknown purpose; use login, link or confirm")
	errCannotConfirm = errors.New("oauth: no login can be confirmed at this provider")
)

// depart stores the transaction, and returns the URL of the authorization request.
func (h *Handler) depart(w http.ResponseWriter, r *http.Request, p *remote, t *transaction) (string, error) {
	f, err := p.find(r.Context())
	if err != nil {
		return "", err
	}
	config, err := p.config(f, h.redirectURI(r.Context(), p))
	if err != nil {
		return "", err
	}
	state, err := h.begin(w, r, t)
	if err != nil {
		return "", err
	}
	var options []oauth2.AuthCodeOption
	set := func(name, value string) { options = append(options, oauth2.SetAuthURLParam(name, value)) }
	for name := range p.Params {
		set(name, p.Params.Get(name))
	}
	if !p.isPlain() {
		set("nonce", t.Nonce)
	}
	if p.FormPost {
		set("response_mode", "form_post")
	}
	if t.Purpose == toConfirm {
		set("max_age", "0")
		set("prompt", "login")
	}
	return config.AuthCodeURL(state, append(options, oauth2.S256ChallengeOption(t.Verifier))...), nil
}

// redirectURI is the URL to which the provider sends the browser back: at the host of the
// request, because its cookies are there.
func (h *Handler) redirectURI(ctx context.Context, p *remote) string {
	return h.core.BaseURL(ctx) + p.callbackPath()
}

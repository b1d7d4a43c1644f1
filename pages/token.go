package pages

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"time"

	"github.com/go-login/auth"
)

// A mailedLink is a page that a mailed link opens: /page?token=…. The token moves
// to a cookie and leaves the address bar at once, by a redirect, and only the POST
// of the page's form uses it. Mail scanners and previews open links as well: a GET
// changes nothing.
type mailedLink struct {
	page   string // the page's URL
	failed string // where to go if the token is no good
	used   string // what to say if it has worked already
	cookie string
	kept   time.Duration // how long it stays in the cookie; after that the link can be opened again
	check  func(ctx context.Context, token string) error
}

// keepToken is how long most tokens are kept: somebody may have to log in first.
const keepToken = time.Hour

// opened moves the token of a mailed link to its cookie, and lets other requests
// through to next. One that is no good does not replace what is in the cookie:
// any page on the web can open a link.
func (p *Pages) opened(link mailedLink, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !p.hasToken(r) {
			next(w, r)
			return
		}
		token := r.URL.Query().Get("token")
		if err := link.check(r.Context(), token); err != nil {
			p.tokenFailed(w, r, link, err, false)
			return
		}
		p.setToken(w, link, token)
		auth.Next{}.Redirect(w, link.page)
	}
}

// linked is the route of a page that a mailed link opens. Its forms are never
// sent to a URL with a token: a form that is shown again would be at that URL.
func (p *Pages) linked(link mailedLink, get, post http.Handler) route {
	return route{
		get: p.opened(link, get.ServeHTTP),
		post: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if p.hasToken(r) {
				p.tokenFailed(w, r, link, auth.ErrInvalidToken, false)
				return
			}
			post.ServeHTTP(w, r)
		}),
	}
}

// tokenOf returns the token that a link's cookie has, or "".
func (p *Pages) tokenOf(r *http.Request, link mailedLink) string {
	cookie, err := r.Cookie(p.core.Cookie(link.cookie).Name)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// setToken keeps a token in a link's cookie, or removes it if it is empty.
func (p *Pages) setToken(w http.ResponseWriter, link mailedLink, token string) {
	cookie := p.core.Cookie(link.cookie)
	cookie.Value, cookie.MaxAge = token, int(link.kept.Seconds())
	if token == "" {
		cookie.MaxAge = -1
	}
	http.SetCookie(w, &cookie)
}

// tokenFailed answers alike whatever is wrong with a token, unless it has worked
// already: whoever has it got it from the mailbox. ours says that it is the one in the
// cookie, which is removed then, and not one in the query.
func (p *Pages) tokenFailed(w http.ResponseWriter, r *http.Request, link mailedLink, err error, ours bool) {
	category, text := "warning", p.texts.InvalidToken
	switch {
	case errors.Is(err, auth.ErrInvalidToken):
		token := r.URL.Query().Get("token")
		if ours {
			token = p.tokenOf(r, link)
		}
		used, err := p.core.TokenUsed(r.Context(), token)
		if err != nil {
			p.error(w, r, err)
			return
		}
		if used {
			category, text = "info", link.used
		}
	case errors.Is(err, auth.ErrEmailTaken): // since the mail went out; who has the mailbox may know
		text = p.texts.EmailTaken
	default:
		p.error(w, r, err)
		return
	}
	if _, err := r.Cookie(p.core.Cookie(link.cookie).Name); ours && err == nil {
		p.setToken(w, link, "")
	}
	p.flash(w, r, category, text, link.failed)
}

// proofOf ties a form to its token. The cookie can be replaced while the form is
// open, by another link that somebody has the browser open: the form must not be
// for that account then.
func proofOf(token string) string {
	sum := sha256.Sum256([]byte("form for " + token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// postedToken returns the token that a link's form is for. If the form was shown
// for another one, the request is answered, and ok is false.
func (p *Pages) postedToken(w http.ResponseWriter, r *http.Request, link mailedLink) (token string, ok bool) {
	token = p.tokenOf(r, link)
	if r.PostForm.Has("proof") && r.PostForm.Get("proof") != proofOf(token) {
		p.tokenFailed(w, r, link, auth.ErrInvalidToken, false)
		return "", false
	}
	return token, true
}

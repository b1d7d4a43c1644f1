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

// A link describes a page that a mailed link opens: /page?token=…. The token moves to a
// cookie, and a redirect removes it from the address bar at once. Only the POST of the
// page's form uses the token: mail scanners and previews open links, too, so a GET must
// not change anything.
type link struct {
	cookie string
	kept   time.Duration // how long the cookie keeps the token; after that the link can be opened again
	check  func(ctx context.Context, token string) (subject auth.User, address string, err error)
	mine   bool // only the user whose account the token is for may see the page

	// use does what the form asks for. Its answer leads to another page, or shows the form
	// again if a field is wrong. done returns the message after a success; it runs before
	// use.
	use  func(*request) (answer, error)
	done func(*request) string

	used   *string // the message for a token that has worked already
	failed *string // the URL to go to if the token is invalid
}

// keepToken is how long most tokens are kept: the user may have to log in first.
const keepToken = time.Hour

// openLink moves the token from the URL to the page's cookie. An invalid token does not
// replace the one in the cookie, because any page on the web can have the browser open a
// link.
func (p *Pages) openLink(page *page, q *request) answer {
	token := q.URL.Query().Get("token")
	if _, _, err := page.link.check(q.Context(), token); err != nil {
		return p.tokenFailed(page, q, token, err)
	}
	return answer{to: *page.url, cookies: p.cookie(page.link, token)}
}

// showLinked shows the page for the token in the cookie.
func (p *Pages) showLinked(q *request) answer {
	var err error
	q.subject, q.address, err = q.page.link.check(q.Context(), q.token)
	if err == nil && q.page.link.mine && q.subject.AuthAccount().ID != q.user.AuthAccount().ID {
		err = auth.ErrInvalidToken // a token for another user is treated as invalid
	}
	if err != nil {
		return p.keptTokenFailed(q, err)
	}
	return p.show(q)
}

// useLink answers the form of a page that a mailed link opens.
func (p *Pages) useLink(q *request) answer {
	text := q.page.link.done(q)
	if q.page.once {
		return p.doOnce(q, "success", text, p.useToken)
	}
	a, done := p.useToken(q)
	if done {
		a.flash = auth.Flash{Category: "success", Text: text}
	}
	return a
}

// useToken uses the token in the cookie, and then removes the cookie. It calls admit,
// rather than post, because a form that was done may be sent again: the browser may have
// lost the first answer, and with it the cookie of the login.
func (p *Pages) useToken(q *request) (a answer, done bool) {
	if a, ok := p.admit(q); !ok {
		return a, false
	}
	if q.PostForm.Has("proof") && q.PostForm.Get("proof") != proofOf(q.token) {
		return p.tokenFailed(q.page, q, q.URL.Query().Get("token"), auth.ErrInvalidToken), false
	}
	a, err := q.page.link.use(q)
	if err != nil {
		return p.keptTokenFailed(q, err), false
	}
	if a.to == "" { // a field is wrong
		return a, false
	}
	a.cookies = append(p.cookie(q.page.link, ""), a.cookies...)
	return a, true
}

// tokenFailed leads away from a page whose token was not accepted. The message does not
// say what is wrong with the token. Only a token that has worked already has a message
// of its own, because its holder received it by mail.
func (p *Pages) tokenFailed(page *page, q *request, token string, err error) answer {
	a := say("warning", p.texts.InvalidToken, *page.link.failed)
	a.why = err
	switch {
	case errors.Is(err, auth.ErrInvalidToken):
		used, err := p.core.TokenUsed(q.Context(), token)
		if err != nil {
			return answer{err: err}
		}
		if used {
			a.flash = auth.Flash{Category: "info", Text: *page.link.used}
		}
	case errors.Is(err, auth.ErrEmailTaken): // after the mail was sent; the owner of the mailbox may know that
		a.flash.Text = p.texts.EmailTaken
	default:
		return answer{err: err}
	}
	return a
}

// keptTokenFailed is tokenFailed for the token in the cookie. It removes the cookie.
func (p *Pages) keptTokenFailed(q *request, err error) answer {
	a := p.tokenFailed(q.page, q, q.token, err)
	if _, err := q.Cookie(p.core.Cookie(q.page.link.cookie).Name); a.err == nil && err == nil {
		a.cookies = p.cookie(q.page.link, "")
	}
	return a
}

// tokenOf returns the token in a link's cookie, or "" without one.
func (p *Pages) tokenOf(r *http.Request, link *link) string {
	cookie, err := r.Cookie(p.core.Cookie(link.cookie).Name)
	if err != nil {
		return ""
	}
	return cookie.Value
}

// cookie returns a link's cookie with the token. If the token is empty, the cookie removes
// the one that the browser has.
func (p *Pages) cookie(link *link, token string) []*http.Cookie {
	cookie := p.core.Cookie(link.cookie)
	cookie.Value, cookie.MaxAge = token, int(link.kept.Seconds())
	if token == "" {
		cookie.MaxAge = -1
	}
	return []*http.Cookie{&cookie}
}

// proofOf returns the field proof, which ties a form to its token. Suppose that an attacker
// has the browser open another link while the form is open. The link replaces the cookie,
// but the form must not work for that link's account.
func proofOf(token string) string {
	sum := sha256.Sum256([]byte("form for " + token))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

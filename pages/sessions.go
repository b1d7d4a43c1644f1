package pages

import (
	"cmp"
	"errors"
	"net/http"
	"strings"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/useragent"
)

func (p *Pages) sessionsPage() *page {
	t := &p.texts
	return &page{
		name: "sessions", title: &t.SessionsTitle,
		texts: []text{
			must(&t.SessionsTitle, "Where you are logged in"),
			may(&t.SessionsExplain, "These browsers are logged in to your account. Log out those that you do not know."),
			must(&t.OthersButton, "Log out all other browsers"),
			must(&t.Browser, "{browser} on {system}"),
			must(&t.UnknownBrowser, "Unknown browser"),
			must(&t.ThisBrowser, "This browser"),
			must(&t.Address, "IP address"),
			must(&t.LastSeen, "Last seen"),
			must(&t.LoggedInSince, "since"),
			must(&t.RememberedUntil, "stays until"),
			must(&t.ActiveNow, "Active now"),
			must(&t.TrustedTitle, "Browsers that are not asked for a code"),
			must(&t.TrustedSince, "Trusted since"),
			must(&t.TrustedUntil, "until"),
			must(&t.TrustEndButton, "Ask for a code again"),
			must(&t.DistrustButton, "Ask for a code in all browsers"),
			may(&t.TrustEnded, "The browser will be asked for a code again."),
			may(&t.BrowsersDistrusted, "All browsers will be asked for a code again."),
			may(&t.LoginEnded, "The browser has been logged out."),
			may(&t.OthersEnded, "All other browsers have been logged out."),
		},
		path: "/account/sessions", url: &p.urls.Sessions,
		who: users, freshPost: true, own: true, fields: []string{"id", "distrust"}, flags: []string{"others"},
		get: p.showSessions, post: p.endSessions,
		sample: func(page *Page) {
			page.Logins = []auth.Login{{ID: "1", Current: true, Remembered: true, Address: "192.0.2.1", UserAgent: "text"}, {ID: "2"}}
			page.Trusted = []auth.TrustedBrowser{{ID: "1", Current: true, Address: "192.0.2.1", UserAgent: "text"}, {ID: "2"}}
		},
	}
}

func (p *Pages) showSessions(q *request) answer {
	logins, err := p.core.Logins(q.Context(), q.user.AuthAccount().ID)
	if err != nil {
		return answer{err: err}
	}
	for i := range logins {
		logins[i].UserAgent = shown(logins[i].UserAgent)
	}
	a := p.show(q)
	a.page.Logins = logins
	return p.withTrusted(q, a)
}

// withTrusted adds to a page the browsers that the user trusts.
func (p *Pages) withTrusted(q *request, a answer) answer {
	if a.page == nil || p.auth.TrustFor == 0 {
		return a
	}
	trusted, err := p.core.TrustedBrowsers(q.Context(), q.user)
	if err != nil {
		return answer{err: err}
	}
	for i := range trusted {
		trusted[i].UserAgent = shown(trusted[i].UserAgent)
	}
	a.page.Trusted = trusted
	return a
}

// endSessions ends one of the user's logins, or all others, or the trust in browsers.
func (p *Pages) endSessions(q *request) answer {
	current, err := p.core.CurrentLogin(q.Context())
	if err != nil {
		return answer{err: err}
	}
	text := p.texts.LoginEnded
	switch id := q.PostForm.Get("id"); {
	case id == current.ID && id != "":
		return p.logout(q)
	case id != "":
		err = p.core.EndLogin(q.Context(), q.user.AuthAccount().ID, id)
	case q.PostForm.Get("others") != "":
		text, err = p.texts.OthersEnded, p.core.EndOtherLogins(q.Context())
	case q.PostForm.Get("distrust") != "":
		text, err = p.texts.TrustEnded, p.core.EndTrust(q.Context(), q.user.AuthAccount().ID, q.PostForm.Get("distrust"))
	case q.PostForm.Has("distrust"):
		text, err = p.texts.BrowsersDistrusted, p.core.EndTrust(q.Context(), q.user.AuthAccount().ID, "")
	default:
		return p.fail(http.StatusBadRequest)
	}
	switch {
	case err == nil:
		return say("success", text, p.urls.Sessions)
	case errors.Is(err, auth.ErrLoginNotFound): // it has ended already, or is another user's
		return p.fail(http.StatusNotFound)
	}
	return answer{err: err}
}

// Browser names the browser and the system of a Login's UserAgent. If one of the two is
// not a common one, it returns the UserAgent as it is.
func (p Page) Browser(userAgent string) string {
	if browser, system := useragent.Browser(userAgent); browser != "" && system != "" {
		return strings.NewReplacer("{browser}", browser, "{system}", system).Replace(p.Texts.Browser)
	}
	return cmp.Or(strings.TrimSpace(userAgent), p.Texts.UnknownBrowser)
}

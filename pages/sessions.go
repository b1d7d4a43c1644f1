package pages

import (
	"cmp"
	"errors"
	"net/http"
	"strings"

	"github.com/go-login/auth"
)

func (p *Pages) sessionsPage() *page {
	t := &p.texts
	return &page{
		name: "sessions", title: &t.SessionsTitle,
		texts: []text{
			must(&t.SessionsTitle, "Where You Are Logged In"),
			may(&t.SessionsExplain, "These browsers are logged in to your account. Log out those that you do not know."),
			must(&t.OthersButton, "Log Out All Other Browsers"),
			must(&t.Browser, "{browser} on {system}"),
			must(&t.UnknownBrowser, "Unknown browser"),
			must(&t.ThisBrowser, "This browser"),
			must(&t.Address, "IP Address"),
			must(&t.LastSeen, "Last Seen"),
			must(&t.LoggedInSince, "Logged In Since"),
			must(&t.RememberedUntil, "Remembered Until"),
			must(&t.Time, "2006-01-02 15:04 UTC"),
			may(&t.LoginEnded, "The browser has been logged out."),
			may(&t.OthersEnded, "All other browsers have been logged out."),
		},
		path: "/account/sessions", url: &p.urls.Sessions,
		who: users, freshPost: true, own: true,
		get: p.showSessions, post: p.endSessions,
		sample: func(page *Page) {
			page.Logins = []auth.Login{{ID: "1", Current: true, Remembered: true, Address: "192.0.2.1", UserAgent: "text"}, {ID: "2"}}
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
	return a
}

// endSessions ends one of the user's logins, or all others.
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
	if browser, system := browserOf(userAgent); browser != "" && system != "" {
		return strings.NewReplacer("{browser}", browser, "{system}", system).Replace(p.Texts.Browser)
	}
	return cmp.Or(strings.TrimSpace(userAgent), p.Texts.UnknownBrowser)
}

// browserOf finds a common browser and a common system in a user agent. The order of the
// lists matters: Edge also claims to be Chrome, Chrome to be Safari, and Android to be
// Linux.
func browserOf(userAgent string) (browser, system string) {
	find := func(names ...string) string {
		for i := 0; i < len(names); i += 2 {
			if strings.Contains(userAgent, names[i]) {
				return names[i+1]
			}
		}
		return ""
	}
	if !strings.HasPrefix(userAgent, "Mozilla/5.0 (") {
		return "", ""
	}
	browser = find("Edg/", "Edge", "EdgA/", "Edge", "EdgiOS/", "Edge", "OPR/", "Opera", "SamsungBrowser/", "Samsung Internet",
		"Firefox/", "Firefox", "FxiOS/", "Firefox", "CriOS/", "Chrome", "Chrome/", "Chrome", "Version/", "Safari")
	system = find("Android", "Android", "iPhone", "iPhone", "iPad", "iPad", "Windows NT", "Windows",
		"CrOS", "ChromeOS", "Mac OS X", "macOS", "Linux", "Linux")
	return browser, system
}

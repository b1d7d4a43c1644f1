package pages

import (
	"cmp"
	"errors"
	"net/http"
	"strings"

	"github.com/go-login/auth"
)

func (p *Pages) showSessions(w http.ResponseWriter, r *http.Request) {
	user, err := p.core.User(r.Context())
	if err != nil {
		p.error(w, r, err)
		return
	}
	page := p.page("sessions", http.StatusOK, nil)
	if page.Logins, err = p.core.Logins(r.Context(), user.AuthAccount().ID); err != nil {
		p.error(w, r, err)
		return
	}
	for i := range page.Logins {
		page.Logins[i].UserAgent = shown(page.Logins[i].UserAgent)
	}
	p.render(w, r, page)
}

// endSessions ends one of the user's logins, or all others.
func (p *Pages) endSessions(w http.ResponseWriter, r *http.Request) {
	current, err := p.core.CurrentLogin(r.Context())
	if err != nil {
		p.error(w, r, err)
		return
	}
	user, err := p.core.User(r.Context())
	if err != nil {
		p.error(w, r, err)
		return
	}
	text := p.texts.LoginEnded
	switch id := r.PostForm.Get("id"); {
	case id == current.ID && id != "":
		p.logout(w, r)
		return
	case id != "":
		err = p.core.EndLogin(r.Context(), user.AuthAccount().ID, id)
	case r.PostForm.Get("others") != "":
		text, err = p.texts.OthersEnded, p.core.EndOtherLogins(r.Context())
	default:
		p.fail(w, r, http.StatusBadRequest)
		return
	}
	switch {
	case err == nil:
		p.flash(w, r, "success", text, p.urls.Sessions)
	case errors.Is(err, auth.ErrLoginNotFound): // it has ended already, or is somebody else's
		p.fail(w, r, http.StatusNotFound)
	default:
		p.error(w, r, err)
	}
}

// Browser says what a Login's UserAgent is: a browser on a system, if both are
// common ones, and else what the client says.
func (p Page) Browser(userAgent string) string {
	if browser, system := browserOf(userAgent); browser != "" && system != "" {
		return strings.NewReplacer("{browser}", browser, "{system}", system).Replace(p.Texts.Browser)
	}
	return cmp.Or(strings.TrimSpace(userAgent), p.Texts.UnknownBrowser)
}

// browserOf finds the common names in a user agent. The first that it has
// counts: Edge says that it is Chrome, too, Chrome that it is Safari, and Android
// that it is Linux.
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

package auth

import (
	"fmt"
	"net/http"
	"net/url"
	"time"
)

func (s *state) setCookie(name, value string, until time.Time) {
	if s.cookie == nil {
		s.cookie = map[string]cookie{}
	}
	s.cookie[name] = cookie{value, until}
}

// deleteCookie deletes a cookie if the client has it or is about to.
func (s *state) deleteCookie(name string) {
	_, set := s.cookie[name]
	if _, has := s.sent(name); has {
		s.setCookie(name, "", time.Time{})
	} else if set {
		delete(s.cookie, name)
	}
}

// Cookie returns a cookie with the name that belongs to this application and
// the attributes that all its cookies have, to be given a value and set:
// http.SetCookie(w, &c). For what must not be stored, such as a token on its
// way through a redirect. The library's own are visitor, flash, next, remember, browser
// and pending.
func (c *Core) Cookie(name string) http.Cookie {
	return http.Cookie{
		Name: c.cookies.session + "-" + name, Path: "/",
		Secure: c.cookies.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

func newCookies(base *url.URL, name string) (cookies, error) {
	for i := range len(name) {
		if c := name[i]; !isAlnum(c) && c != '-' && c != '_' || name[0] == '_' {
			return cookies{}, fmt.Errorf("auth: Config.Session.CookieName is %q; use letters, digits, - and _, without a prefix such as __Host-", name)
		}
	}
	if base.Scheme == "https" {
		name = "__Host-" + name
	} else {
		// Browsers refuse the prefix here. Cookies do not know ports, and
		// several applications may be under development at once.
		port := base.Port()
		if port == "" {
			port = "80"
		}
		name += "-" + port
	}
	return cookies{name, name + "-visitor", name + "-flash", name + "-next", name + "-remember", name + "-browser", name + "-pending", base.Scheme == "https"}, nil
}

// write sets a cookie, or deletes it with the attributes it was set with.
func (c *cookies) write(h http.Header, name string, set cookie, now time.Time) {
	cookie := http.Cookie{
		Name: name, Value: set.value, Path: "/",
		Secure: c.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	switch {
	case set.value == "":
		cookie.MaxAge, cookie.Expires = -1, time.Unix(1, 0)
	case !set.until.IsZero():
		cookie.MaxAge = int(set.until.Sub(now) / time.Second)
	}
	h.Add("Set-Cookie", cookie.String())
}

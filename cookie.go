package auth

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

func (s *state) setCookie(name, value string, until time.Time) {
	s.dropCookie(name)
	s.cookies = append(s.cookies, cookie{name, value, until})
}

// setting returns the cookie of this name that the answer will set or delete, and whether there
// is one.
func (s *state) setting(name string) (cookie, bool) {
	for _, c := range s.cookies {
		if c.name == name {
			return c, true
		}
	}
	return cookie{}, false
}

// dropCookie takes the cookie of this name out of the jar: the answer then neither sets nor
// deletes it.
func (s *state) dropCookie(name string) {
	s.cookies = slices.DeleteFunc(s.cookies, func(c cookie) bool { return c.name == name })
}

// deleteCookie deletes a cookie if the browser has it. If this request was going to set
// the cookie, the request no longer does.
func (s *state) deleteCookie(name string) {
	if _, has := s.sent(name); has {
		s.setCookie(name, "", time.Time{})
	} else {
		s.dropCookie(name)
	}
}

// Cookie returns a cookie of this application, with the attributes of its other cookies:
// HttpOnly, SameSite=Lax and, with https, Secure. Its name begins with the name of the
// session cookie. Give it a value and set it: http.SetCookie(w, &c). Use it for values that
// must not be stored, such as a token during a redirect.
//
// Some names are taken. Package auth uses visitor, flash, next, remember, browser, pending,
// trusted, passkey and code. Package pages uses reset, verify, email, undo, inbox, factor and
// login. The cookie provider has the Name of the Provider that was used last in this browser:
// package oauth sets it, and package pages marks its button.
func (c *Core) Cookie(name string) http.Cookie {
	return http.Cookie{
		Name: c.cookies.session + "-" + name, Path: "/",
		Secure: c.cookies.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// SealCookie encrypts and signs the value of a cookie with this name: see Cookie. OpenCookie
// returns the value until the given time.
func (c *Core) SealCookie(name string, value []byte, until time.Time) string {
	return c.secrets.Seal(purposeCookie+name, value, until)
}

// OpenCookie returns the value that SealCookie was given. It returns false if the text has
// expired, was changed, or was sealed for a cookie with another name or under a secret that is
// no longer in Config.Secrets.
func (c *Core) OpenCookie(name, text string) (value []byte, ok bool) {
	value, _, ok = c.secrets.Open(purposeCookie+name, text, c.cfg.Now())
	return value, ok
}

func newCookies(at *site, session *SessionConfig) (cookies, error) {
	name := session.CookieName
	for i := range len(name) {
		if c := name[i]; !isAlnum(c) && c != '-' && c != '_' || name[0] == '_' {
			return cookies{}, fmt.Errorf("auth: Config.Session.CookieName is %q; use letters, digits, - and _, without a prefix such as __Host-", name)
		}
	}
	if at.origin.Scheme == "https" {
		name = "__Host-" + name
	} else {
		// Browsers refuse the prefix over http. Cookies are shared between ports, so the
		// port in the name separates applications on the same development machine.
		port := at.origin.Port()
		if port == "" {
			port = "80"
		}
		name += "-" + port
	}
	name += strings.ReplaceAll(at.path, "/", ".") // separates applications on the same host
	return cookies{
		name, name + "-visitor", name + "-flash", name + "-next", name + "-remember", name + "-browser", name + "-pending",
		name + "-trusted", name + "-passkey", name + "-code",
		at.origin.Scheme == "https", session.SameSite == http.SameSiteStrictMode,
	}, nil
}

// line returns the line of Set-Cookie that sets a cookie, or deletes it with the
// attributes that it was set with.
func (c *cookies) line(set cookie, now time.Time) string {
	cookie := http.Cookie{
		Name: set.name, Value: set.value, Path: "/",
		Secure: c.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	if c.strict && c.strictly(set.name) {
		cookie.SameSite = http.SameSiteStrictMode
	}
	switch {
	case set.value == "":
		cookie.MaxAge, cookie.Expires = -1, time.Unix(1, 0)
	case !set.until.IsZero():
		cookie.MaxAge = int(set.until.Sub(now) / time.Second)
	}
	return cookie.String()
}

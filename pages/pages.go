// Package pages has the pages that an application with logins needs, ready
// made: register, verify the address, log in and out, forgot and reset the
// password, the account, a change of password or address, the browsers that one is
// logged in with, the end of the account, and a form that asks for the password
// once more.
//
//	p, err := pages.New(manager, pages.Config{Site: "Gophers"})
//	…
//	for _, path := range p.Paths() {
//		mux.Handle(path, p)
//	}
//	http.ListenAndServe(":8080", manager.LoadAndSave(mux))
//
// or, with Config.Prefix "/auth" and auth.Config's LoginURL "/auth/login",
//
//	mux.Handle("/auth/", p)
//
// The mux passes the whole path on; there must be no http.StripPrefix. An
// application that has a page of its own in place of one of these puts it into
// the mux under a more specific pattern.
//
// # Routes
//
// Below the prefix, with the fields of their forms:
//
//	GET POST /register          username, email, password, confirm_password, next
//	GET POST /login             login, password, remember_me, next
//	POST     /logout
//	GET POST /forgot-password   email
//	GET POST /reset-password    password, confirm_password
//	GET POST /verify-email      email, next; or, with a token, next
//	GET      /account
//	GET POST /account/password  current_password, password, confirm_password
//	GET POST /account/email     email; or, with a token, none
//	GET POST /undo-email
//	GET POST /account/sessions  id, or others
//	GET POST /account/close     current_password, confirm
//	GET POST /refresh           password, next
//	GET      /auth.css
//
// HEAD is answered as GET is, and shows (that is, removes) no messages. Without
// a Mailer in auth.Config the pages that mails lead to, and /forgot-password, are
// not there.
//
// A form that is not in order is shown again, with 422 Unprocessable Content
// and what was typed, but for passwords; so is a refused login. What succeeds is
// answered with 303 See Other. Forms are sent as HTML forms are, urlencoded or as
// multipart/form-data without files; any other body gets 415 Unsupported Media
// Type. A body of more than 64 KiB gets 413, one that cannot be read 400; an address that has reached one of auth.Config's Limits 429,
// with Retry-After. What is nobody's fault but ours goes to Manager.Error.
//
// A mailed link is /reset-password?token=…, or another of these pages: the token
// moves to a cookie, for an hour (that of a reset for auth.Config's ResetLifetime),
// and leaves the address bar at once, by a redirect; only the form's POST uses it.
// The form's field proof says which token it is for. A link that has worked already
// says so.
//
// If the user clicks twice, or goes back and sends a form again within 10 minutes,
// the forms of /register and /reset-password, and those that verify an address or
// confirm a new one, show the same page as the first time and do nothing. Their
// field form_once is for that: see Core.FormOnce of package auth. If another process
// is still at work on the first one, the answer is 409 Conflict. A client that sends
// no such field is served as if it sent the form for the first time. A template of
// your own in place of form.html needs the field, too:
//
//	{{with .Form.Once}}<input type="hidden" name="form_once" value="{{.}}">{{end}}
//
// /verify-email with a token says whose address it would verify. Without one it has
// the link sent again, and is where Manager.RequireVerified sends people.
// /account/email with a token, which went to the new address, asks whether to use
// that; without one it asks for the address. Both are there without the token as
// /verify-email?new and /account/email?new, too. The old address gets a link to
// /undo-email, which changes it back, logs this browser out, and goes on to
// /reset-password.
//
// /account/sessions lists a user's logins, and ends the one of that id or, if
// others is not empty, all but the one that asks. That needs a login which is
// fresh, as do a change of address and /account/close: see Config.FreshFor. The
// last asks for the password in any case, if there is one. /refresh is where
// RequireFresh sends who has not shown the password, or not lately. It leads back
// to where the user was.
//
// # Security
//
// The handler must be inside the manager's LoadAndSave; outside it all but the
// stylesheet is 500, with a line in the log. The forms have no hidden CSRF
// token: LoadAndSave refuses what a page of another site makes a browser send.
// Every answer that the handler gives forbids framing, sniffing, foreign
// content and scripts, and, except for the stylesheet, storing. There is no
// JavaScript.
package pages

import (
	"context"
	"errors"
	"fmt"
	"html/template"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/go-login/auth"
)

// Pages is the handler that New makes.
type Pages struct {
	core      *auth.Core
	cfg       Config
	texts     Texts
	urls      URLs
	mails     bool // auth.Config has a Mailer
	templates map[string]*template.Template
	style     stylesheet
	routes    map[string]route // by path below the prefix
}

type route struct{ get, post http.Handler }

// New makes the pages of a manager. It returns an error for a Config that
// contradicts itself or the manager's, and for templates that cannot be read or
// executed; it executes each of them.
func New(manager interface{ Core() *auth.Core }, cfg Config) (*Pages, error) {
	p := &Pages{core: manager.Core(), cfg: cfg}
	// Neither call does anything but say what is missing.
	if _, err := p.core.CheckResetToken(context.Background(), ""); errors.Is(err, auth.ErrNoUserStore) {
		return nil, fmt.Errorf("pages: %w", err)
	}
	p.mails = !errors.Is(p.core.SendReset(context.Background(), "", "/"), auth.ErrNoMailer)
	if err := p.cfg.setDefaults(p.core, p.mails); err != nil {
		return nil, err
	}
	var err error
	if p.texts, err = cfg.Texts.or(defaultTexts(p.core.Identifiers())); err != nil {
		return nil, err
	}
	p.setRoutes()
	if err := p.loadTemplates(); err != nil {
		return nil, err
	}
	return p, nil
}

// setRoutes is the list of pages.
func (p *Pages) setRoutes() {
	p.urls = URLs{
		Home:       p.cfg.Home,
		Stylesheet: p.cfg.Prefix + "/auth.css",
		Register:   p.cfg.Prefix + "/register",
		Login:      p.cfg.Prefix + "/login",
		Logout:     p.cfg.Prefix + "/logout",
		Account:    p.cfg.Prefix + "/account",
		Password:   p.cfg.Prefix + "/account/password",
		Sessions:   p.cfg.Prefix + "/account/sessions",
		Refresh:    p.cfg.Prefix + "/refresh",
		Close:      p.cfg.Prefix + "/account/close",
	}
	visitor, user := p.visitorsOnly, func(h http.HandlerFunc) http.Handler { return p.core.RequireLogin(h) }
	p.routes = map[string]route{
		"/register":         {visitor(p.showRegister), visitor(p.register)},
		"/login":            {visitor(p.showLogin), visitor(p.login)},
		"/logout":           {nil, http.HandlerFunc(p.logout)},
		"/account":          {user(p.showAccount), nil},
		"/account/password": {user(p.showPassword), user(p.password)},
		"/account/sessions": {user(p.showSessions), p.fresh(p.endSessions)},
		"/account/close":    {p.fresh(p.showClose), p.fresh(p.close)},
		"/refresh":          {http.HandlerFunc(p.showRefresh), http.HandlerFunc(p.refresh)},
		"/auth.css":         {http.HandlerFunc(p.serveStyle), nil},
	}
	if p.mails {
		p.urls.Forgot, p.urls.Reset = p.cfg.Prefix+"/forgot-password", p.cfg.Prefix+"/reset-password"
		p.urls.Verify, p.urls.Email, p.urls.Undo = p.cfg.Prefix+"/verify-email", p.cfg.Prefix+"/account/email", p.cfg.Prefix+"/undo-email"
		p.routes["/forgot-password"] = route{visitor(p.showForgot), visitor(p.forgot)}
		p.routes["/reset-password"] = route{visitor(p.opened(p.resetLink(), p.showReset)), visitor(p.reset)}
		p.routes["/verify-email"] = route{p.opened(p.verifyLink(), p.showVerify), http.HandlerFunc(p.verify)}
		p.routes["/account/email"] = route{p.opened(p.emailLink(), user(p.showEmail).ServeHTTP), http.HandlerFunc(p.email)}
		p.routes["/undo-email"] = route{p.opened(p.undoLink(), p.showUndo), http.HandlerFunc(p.undo)}
	}
}

// fresh is a guard for what must not be done by who has only found the browser.
func (p *Pages) fresh(h http.HandlerFunc) http.Handler {
	return p.core.RequireFresh(p.cfg.FreshFor)(h)
}

// Paths returns the paths of the pages, for a mux where other pages have the
// same prefix.
func (p *Pages) Paths() []string {
	paths := slices.Sorted(maps.Keys(p.routes))
	for i := range paths {
		paths[i] = p.cfg.Prefix + paths[i]
	}
	return paths
}

// ServeHTTP serves the pages.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, below := strings.CutPrefix(r.URL.Path, p.cfg.Prefix)
	// /account/email without a token is none of them: by its Referer guards lead back
	// there.
	secret := r.URL.Query().Has("token") || slices.Contains([]string{"/reset-password", "/verify-email", "/undo-email"}, name)
	secure(w.Header(), secret)
	route, ok := p.routes[name]
	switch {
	case !below || !ok:
		p.fail(w, r, http.StatusNotFound)
	case route.get != nil && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		route.get.ServeHTTP(w, r)
	case route.post != nil && r.Method == http.MethodPost:
		p.withForm(route.post).ServeHTTP(w, r)
	default:
		w.Header().Set("Allow", route.allow())
		p.fail(w, r, http.StatusMethodNotAllowed)
	}
}

func (r route) allow() string {
	switch {
	case r.post == nil:
		return "GET, HEAD"
	case r.get == nil:
		return "POST"
	}
	return "GET, HEAD, POST"
}

// secure sets the headers that all answers have.
func secure(h http.Header, secret bool) {
	h.Set("Content-Security-Policy",
		"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	if secret {
		h.Set("Referrer-Policy", "no-referrer")
	}
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/html; charset=utf-8")
}

// visitorsOnly sends those who are logged in home.
func (p *Pages) visitorsOnly(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch _, err := p.core.User(r.Context()); {
		case err == nil:
			auth.Next{}.Redirect(w, p.cfg.Home)
		case errors.Is(err, auth.ErrNotLoggedIn):
			next(w, r)
		default:
			p.error(w, r, err)
		}
	})
}

// flash sends the client to another page, which shows the text, if there is
// one.
func (p *Pages) flash(w http.ResponseWriter, r *http.Request, category, text, target string) {
	if text != "" {
		if err := p.core.Flash(r.Context(), category, text); err != nil {
			p.error(w, r, err)
			return
		}
	}
	auth.Next{}.Redirect(w, target)
}

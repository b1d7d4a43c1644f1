// Package pages has the pages that an application with logins needs, ready
// made: register, verify the address, log in and out, forgot and reset the
// password, the account, a change of password or address, the browsers that one is
// logged in with, the end of the account, and a form that asks for the password
// once more.
//
//	p, err := pages.New(manager.Core, pages.Config{Site: "Gophers"})
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
//	POST     /logout            next
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
// A user who is logged in already and opens /login or /register goes on to next.
// If such a user submits one of these forms with the name of another account,
// nothing is checked or counted: the answer is 409 Conflict and a page that says
// who is logged in and offers to log out. /forgot-password and /reset-password
// work for users who are logged in, too, and name the account.
//
// The forms that change an account or confirm a login have a hidden field,
// form_user, which ties them to the user who opened them. If somebody else has
// logged in since, in another tab, nothing happens: the answer is 409 Conflict,
// says so, and has the form of the user who is logged in now. A form without the
// field is accepted, so that programs can send the fields by hand. A template of
// your own needs this line in each such form:
//
//	<input type="hidden" name="form_user" value="{{.FormUser}}">
//
// A mailed link is /reset-password?token=…, or another of these pages: the token
// moves to a cookie, for an hour (that of a reset for auth.Config's ResetLifetime),
// and leaves the address bar at once, by a redirect; only the form's POST uses it.
// The form's field proof says which token it is for. No page with a form has a
// token in its URL, so every form can be sent with Referrer-Policy same-origin:
// with no-referrer, browsers would send Origin: null, and those that do not send
// Sec-Fetch-Site (Safari before 16.4) would get 403. A link that has worked already
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
func New(core *auth.Core, cfg Config) (*Pages, error) {
	if core == nil {
		return nil, errors.New("pages: no manager: pass manager.Core")
	}
	p := &Pages{core: core, cfg: cfg}
	// Neither call does anything but say what is missing.
	if _, err := p.core.CheckResetToken(context.Background(), ""); errors.Is(err, auth.ErrNoUserStore) {
		return nil, fmt.Errorf("pages: %w", err)
	}
	p.mails = !errors.Is(p.core.SendReset(context.Background(), "", "/"), auth.ErrNoMailer)
	if err := p.cfg.setDefaults(p.core, p.mails); err != nil {
		return nil, err
	}
	var err error
	if p.texts, err = cfg.Texts.or(defaultTexts(p.core, p.mails)); err != nil {
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
		"/account/password": {user(p.showPassword), p.own("password", p.showPassword, user(p.password))},
		"/account/sessions": {user(p.showSessions), p.own("sessions", p.showSessions, p.fresh(p.endSessions))},
		"/account/close":    {p.fresh(p.showClose), p.own("close", p.showClose, p.fresh(p.close))},
		"/refresh":          {http.HandlerFunc(p.showRefresh), p.own("refresh", p.showRefresh, http.HandlerFunc(p.refresh))},
		"/auth.css":         {http.HandlerFunc(p.serveStyle), nil},
	}
	if p.mails {
		p.urls.Forgot, p.urls.Reset = p.cfg.Prefix+"/forgot-password", p.cfg.Prefix+"/reset-password"
		p.urls.Verify, p.urls.Email, p.urls.Undo = p.cfg.Prefix+"/verify-email", p.cfg.Prefix+"/account/email", p.cfg.Prefix+"/undo-email"
		p.routes["/forgot-password"] = route{p.anybody(p.showForgot), p.anybody(p.forgot)}
		p.routes["/reset-password"] = p.linked(p.resetLink(), p.anybody(p.showReset), p.anybody(p.reset))
		p.routes["/verify-email"] = p.linked(p.verifyLink(), http.HandlerFunc(p.showVerify), http.HandlerFunc(p.verify))
		p.routes["/account/email"] = p.linked(p.emailLink(), user(p.showEmail), http.HandlerFunc(p.email))
		p.routes["/undo-email"] = p.linked(p.undoLink(), http.HandlerFunc(p.showUndo), http.HandlerFunc(p.undo))
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
	secure(w.Header(), p.hasToken(r))
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

// hasToken reports whether the request's URL may have a mailed token in it, also
// one that a mail program has broken. The answer then has Referrer-Policy
// no-referrer and no form, which could not be sent.
func (p *Pages) hasToken(r *http.Request) bool {
	name := strings.TrimPrefix(r.URL.Path, p.cfg.Prefix)
	_, ok := p.routes[name]
	if ok && !slices.Contains([]string{"/reset-password", "/verify-email", "/account/email", "/undo-email"}, name) {
		return false
	}
	parts := strings.FieldsFunc(r.URL.RawQuery, func(c rune) bool { return c == '&' || c == ';' })
	return r.URL.Query().Has("token") || slices.ContainsFunc(parts, func(part string) bool { return strings.HasPrefix(part, "token") })
}

// secure sets the headers that all answers have.
func secure(h http.Header, hasToken bool) {
	h.Set("Content-Security-Policy",
		"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	if hasToken {
		h.Set("Referrer-Policy", "no-referrer")
	}
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/html; charset=utf-8")
}

// visitorsOnly is a guard for the login and the registration. Users who are
// logged in already go on to where the login would have led, unless their form is
// for another account.
func (p *Pages) visitorsOnly(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch user, err := p.core.User(r.Context()); {
		case errors.Is(err, auth.ErrNotLoggedIn):
			next(w, r)
		case err != nil:
			p.error(w, r, err)
		case namesAnother(r.PostForm, user):
			p.showSwitch(w, r)
		default:
			p.takeNext(r).Redirect(w, p.cfg.Home)
		}
	})
}

// anybody is a guard for pages that visitors and users have. It answers only if
// it cannot be told who makes the request.
func (p *Pages) anybody(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := p.core.User(r.Context()); err != nil && !errors.Is(err, auth.ErrNotLoggedIn) {
			p.error(w, r, err)
			return
		}
		next(w, r)
	})
}

// own is a guard for the forms of a page that change the user's account. If
// another user opened the form than the one who is logged in now, it has show
// answer for the latter.
func (p *Pages) own(page string, show http.HandlerFunc, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := p.core.CheckForm(r.Context(), page, r.PostForm.Get("form_user")); errors.Is(err, auth.ErrOtherUser) {
			show(w, r.WithContext(context.WithValue(r.Context(), otherUser{}, true)))
			return
		}
		next.ServeHTTP(w, r) // which finds out about the other errors itself
	})
}

// otherUser is the context's key that tells render that another user opened the
// form.
type otherUser struct{}

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

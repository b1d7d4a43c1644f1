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
	core  *auth.Core
	cfg   Config
	mails bool // auth.Config has a Mailer

	table     []*page
	named     map[string]*page // the pages that have a template, by name
	routes    map[string]route // by path below the prefix
	texts     Texts
	urls      URLs
	templates map[string]*template.Template // by the page's name
	style     stylesheet
}

// New makes the pages of a manager. It returns an error if the Config contradicts
// itself or the manager's, and if a template cannot be read or executed. It executes
// each template.
func New(manager interface{ Core() *auth.Core }, cfg Config) (*Pages, error) {
	p := &Pages{core: manager.Core(), cfg: cfg, texts: cfg.Texts}
	// Both calls only report what is missing.
	if _, err := p.core.CheckResetToken(context.Background(), ""); errors.Is(err, auth.ErrNoUserStore) {
		return nil, fmt.Errorf("pages: %w", err)
	}
	p.mails = !errors.Is(p.core.SendReset(context.Background(), "", "/"), auth.ErrNoMailer)
	if err := p.cfg.setDefaults(p.core); err != nil {
		return nil, err
	}
	p.table = p.allPages()
	if err := p.setTexts(); err != nil {
		return nil, err
	}
	if err := p.setRoutes(); err != nil {
		return nil, err
	}
	if err := p.loadTemplates(); err != nil {
		return nil, err
	}
	return p, nil
}

// setRoutes derives the routes and the URLs from the table.
func (p *Pages) setRoutes() error {
	p.named, p.routes = map[string]*page{}, map[string]route{}
	p.urls.Home = p.cfg.Home
	for _, page := range p.table {
		if page.name != "" {
			p.named[page.name] = page
		}
		if page.path == "" || page.mails && !p.mails {
			continue
		}
		*page.url = p.cfg.Prefix + page.path
		if s := page.setting; s != nil && !leadsTo(s.url, *page.url) {
			return fmt.Errorf("pages: %s is %s, but %s of auth.Config is %s", s.page, *page.url, s.name, s.url)
		}
		route := p.routes[page.path]
		if page.link != nil {
			route.linked = page
		} else {
			route.page = page
		}
		p.routes[page.path] = route
	}
	return nil
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
	secure(w.Header(), p.hasToken(r))
	p.write(w, r, p.answer(w, r))
}

// answer finds the page, reads the form, and has the page answer. It uses w only to
// limit the request's body.
func (p *Pages) answer(w http.ResponseWriter, r *http.Request) answer {
	name, below := strings.CutPrefix(r.URL.Path, p.cfg.Prefix)
	route, ok := p.routes[name]
	if !below || !ok {
		return p.fail(http.StatusNotFound)
	}
	gets, posts := route.methods()
	switch {
	case gets && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		return p.get(route, &request{Request: r})
	case posts && r.Method == http.MethodPost:
		if err := readForm(w, r); err != nil {
			return p.badForm(err)
		}
		return p.post(route, &request{Request: r, typed: r.PostForm})
	}
	a := p.fail(http.StatusMethodNotAllowed)
	a.header.Set("Allow", allow(gets, posts))
	return a
}

func (p *Pages) get(route route, q *request) answer {
	q.page = route.page
	if route.linked != nil {
		if p.hasToken(q.Request) {
			return p.openLink(route.linked, q)
		}
		q.token = p.tokenOf(q.Request, route.linked.link)
		if route.page == nil || q.token != "" && !q.URL.Query().Has("new") {
			q.page = route.linked
		}
	}
	if a, ok := p.admit(q); !ok {
		return a
	}
	return q.page.get(q)
}

func (p *Pages) post(route route, q *request) answer {
	q.page = route.page
	if route.linked != nil {
		// Forms are never sent to a URL with a token: if such a form is shown again,
		// the token is in the address bar.
		if p.hasToken(q.Request) {
			return p.tokenFailed(route.linked, q, auth.ErrInvalidToken, false)
		}
		q.token = p.tokenOf(q.Request, route.linked.link)
		if route.page == nil || !q.PostForm.Has("email") { // the form that asks for a link has this field
			q.page = route.linked
		}
	}
	if q.page.own && p.ofOther(q) {
		return p.showOther(route, q)
	}
	if q.page.link == nil { // else useLink admits the request
		if a, ok := p.admit(q); !ok {
			return a
		}
	}
	return q.page.post(q)
}

// hasToken reports whether the request's URL may contain a mailed token, even one
// that a mail program has broken. The answer then has Referrer-Policy no-referrer
// and no form, because browsers would send the form with Origin: null.
func (p *Pages) hasToken(r *http.Request) bool {
	route, ok := p.routes[strings.TrimPrefix(r.URL.Path, p.cfg.Prefix)]
	if ok && route.linked == nil {
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

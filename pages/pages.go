// Package pages provides the pages that an application with logins needs: register,
// verify the address, log in and out, forgot and reset the password, the account,
// change the password or the address, the list of logins, close the account, confirm
// the password once more, and second factors.
//
//	p, err := pages.New(manager.Core, pages.Config{Site: "Gophers"})
//	…
//	for _, path := range p.Paths() {
//		mux.Handle(path, p)
//	}
//	http.ListenAndServe(":8080", manager.LoadAndSave(mux))
//
// or, with Config.Prefix "/auth" and auth.Config's URLs.Login "/auth/login",
//
//	mux.Handle("/auth/", p)
//
// The handler needs the whole path, so do not use http.StripPrefix. To replace one of
// the pages by a page of your own, add yours to the mux under a more specific pattern.
//
// # Who has an account
//
// The login page, /forgot-password and /verify-email never tell who has an account. If
// HideAccounts of auth.Config is set, /register does not tell whose address it knows,
// either. Otherwise it says that an address is taken.
//
// # Routes
//
// Below the prefix, with the fields of their forms:
//
//	GET POST /register                username, email, password, confirm_password, next
//	GET POST /login                   login, password, remember_me, next
//	POST     /logout                  next, cancel
//	GET POST /forgot-password         email
//	GET POST /reset-password          password, confirm_password
//	GET POST /verify-email            email, next; or, with a token, next
//	GET      /account
//	GET POST /account/password        current_password, password, confirm_password
//	GET POST /account/email           email; or, with a token, none
//	GET POST /undo-email
//	GET POST /account/sessions        id, or others
//	GET POST /account/close           current_password, confirm
//	GET POST /refresh                 password, next
//	GET POST /login/verify            what a factor asks for; next
//	GET POST /account/two-factor      remove, or unlock, or what a factor asks for
//	GET POST /account/recovery-codes
//	GET      /auth.css
//
// HEAD is answered like GET, but keeps the flash messages for the next GET. Without a
// Mailer in auth.Config, /forgot-password and the pages that mailed links open do not
// exist. Without Factors, /login/verify and /account/two-factor do not exist, and without
// a BackupFactor among them, /account/recovery-codes does not.
//
// The answers to a form are:
//
//   - 303 See Other if it succeeded; 200 OK from /account/recovery-codes, with the codes.
//   - 422 Unprocessable Content, and the form again with what was typed except for
//     passwords, if a field is wrong or the login is refused.
//   - 409 Conflict in the three cases below.
//   - 415 Unsupported Media Type if the body is neither urlencoded nor
//     multipart/form-data without files.
//   - 413 if the body has more than 64 KiB, and 400 if it cannot be read.
//   - 429 with Retry-After if the client's address has reached one of auth.Config's
//     Limits.
//
// Errors that are not the client's fault go to Core.Error.
//
// # Users who are logged in already
//
// If a user who is logged in opens /login or /register, the answer leads on to next.
// If the user submits one of these forms with the name of another account, nothing is
// checked or counted. The answer is 409 Conflict, and a page that says who is logged in
// and offers to log out. /forgot-password and /reset-password work for users who are
// logged in, too, and name the account.
//
// The forms that change an account or confirm a login have a hidden field, form_user.
// It ties the form to the user who opened it. Suppose that, in another tab, another user
// logs in before the form is sent. Then nothing changes: the answer is 409 Conflict,
// and the page says so and has the form for the user who is logged in now. A form
// without the field is accepted, so that programs can send the fields by hand. If you
// write such a form in a template of your own, it needs this line:
//
//	<input type="hidden" name="form_user" value="{{.FormUser}}">
//
// # Mailed links
//
// A mailed link is /reset-password?token=…, or another of these pages. The token moves
// to a cookie, and a redirect removes it from the address bar at once. The cookie lasts
// an hour; that of a reset lasts for auth.Config's Password.ResetLifetime. Only the form's POST
// uses the token. The form's field proof says which token the form is for. If a link has
// worked already, the page says so.
//
// No page with a form has a token in its URL, so every form can be sent with
// Referrer-Policy same-origin. With no-referrer, browsers would send Origin: null, and
// browsers that do not send Sec-Fetch-Site (Safari before 16.4) would get 403.
//
// With a token, /verify-email says whose address it would verify. Without one it sends
// the link again. Core.RequireVerified sends users there. With a token from the mail
// to the new address, /account/email asks whether to use that address. Without one it
// asks for the address. While the browser has a token, the pages without it are at
// /verify-email?new and /account/email?new. The old address gets a link to /undo-email,
// which changes the address back, logs this browser out, and leads to /reset-password.
//
// # Forms that are sent twice
//
// A user may click twice, or go back and send a form again. Within 10 minutes, the forms
// of /register and /reset-password, and those that verify an address or confirm a new
// one, then show the same page as the first time and do nothing. Their field form_once
// is for that: see Core.FormOnce of package auth. If another process is still working on
// the first one, the answer is 409 Conflict. A form without the field is served as if it
// were sent for the first time. If you replace the template form.html, yours needs the
// field, too:
//
//	{{with .Form.Once}}<input type="hidden" name="form_once" value="{{.}}">{{end}}
//
// # Fresh logins
//
// /account/sessions lists a user's logins. A POST ends the one with this id or, if
// others is not empty, all except the one that asks. For that, for a change of address
// and for /account/close, the login must be fresh: see Config.FreshFor. If the account
// has a password, /account/close asks for it in any case. Core.RequireFresh sends
// users to /refresh if they have not shown the password, or not recently. From there
// they go back to the page they came from.
//
// # Second factors
//
// If a user has one of the Factors of auth.Config, the password leads from /login on to
// /login/verify, and from /refresh too. The page asks for the first factor that the user
// has, and links to the others as /login/verify?with=NAME. A wrong answer is 422. After
// five of them, or five minutes, the user begins again. The button that cancels the login
// posts to /logout.
//
// /account/two-factor lists the factors. GET /account/two-factor?set-up=NAME shows what
// the user needs to set one up, and its form is posted to the same URL. The other forms
// have the name of a factor in remove, or in unlock for a factor that accepts no codes any
// more. /account/recovery-codes says how many codes are left. A POST makes new codes and
// shows them in its own answer, once. To change anything here, the user must have logged
// in within 10 minutes, with a second factor if they have one, whatever FreshFor is.
//
// # Security
//
// The handler must be inside the manager's LoadAndSave. Outside it, every answer except
// the stylesheet is 500, with a line in the log. The forms have no hidden CSRF token:
// LoadAndSave refuses unsafe requests that a page of another site has a browser send.
// Every answer of the handler forbids framing, sniffing, foreign content and scripts,
// and, except for the stylesheet, storing. There is no JavaScript.
package pages

import (
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
	core *auth.Core
	auth auth.Config // the manager's settings
	cfg  Config

	table     []*page
	named     map[string]*page // the pages that have a template, by name
	routes    map[string]route // by path below the prefix
	texts     Texts
	urls      URLs
	templates map[string]*template.Template // by the page's name
	style     stylesheet
}

// New makes the pages of a manager: pass manager.Core. It returns an error if the Config contradicts
// itself or the manager's, and if a template cannot be read or executed. It executes
// each template.
func New(core *auth.Core, cfg Config) (*Pages, error) {
	if core == nil {
		return nil, errors.New("pages: no manager: pass manager.Core")
	}
	p := &Pages{core: core, auth: core.Config(), cfg: cfg, texts: cfg.Texts}
	if !p.core.HasUserStore() {
		return nil, fmt.Errorf("pages: %w", auth.ErrNoUserStore)
	}
	if err := p.cfg.setDefaults(p.core, p.auth); err != nil {
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

// setRoutes derives the routes and the URLs from the table in table.go.
func (p *Pages) setRoutes() error {
	p.named, p.routes = map[string]*page{}, map[string]route{}
	p.urls.Home = p.cfg.Home
	for _, page := range p.table {
		if page.name != "" {
			p.named[page.name] = page
		}
		if page.path == "" || page.absent || page.mails && p.auth.Mailer == nil {
			continue
		}
		*page.url = p.cfg.Prefix + page.path
		if s := page.setting; s != nil && !leadsTo(s.url, p.auth.BaseURL, *page.url) {
			return fmt.Errorf("pages: %s is %s, but URLs.%s of auth.Config is %s; set it to this URL, or change Config.Prefix", s.page, *page.url, s.name, s.url)
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

// answer finds the route, reads the form, and has a page of the route answer. It uses w
// only to limit the request's body.
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

// get answers GET and HEAD. A mailed link first moves its token to a cookie. While the
// browser has the token, it sees the page for the token, unless it asks for ?new.
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

// post answers a form, whose fields are in PostForm.
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

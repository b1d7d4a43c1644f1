// Package pages provides the pages that an application with logins needs: register,
// verify the address, log in and out, forgot and reset the password, the account,
// change the password or the address, the list of logins, close the account, confirm
// the password once more, and second factors.
//
//	p, err := pages.New(manager.Core, pages.Config{Site: "Gophers"})
//	…
//	p.Mount(mux)
//	http.ListenAndServe(":8080", manager.LoadAndSave(mux))
//
// or, with Config.Prefix "/auth" and auth.Config's URLs.Login "/auth/login",
//
//	mux.Handle("/auth/", p)
//
// The handler needs the whole path below that of BaseURL, so do not use http.StripPrefix for
// the Prefix. To replace one of the pages by a page of your own, leave ours out with
// Config.Without.
//
// # Who has an account
//
// The login page, /login/code, /forgot-password and /verify-email never tell who has an account. If
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
//	GET POST /check-inbox
//	POST     /stop-impersonating
//	GET      /account
//	GET POST /account/password        current_password, password, confirm_password
//	GET POST /account/email           email; or, with a token, none
//	GET POST /undo-email
//	GET POST /account/sessions        id, or others
//	GET POST /account/close           current_password, confirm
//	GET POST /refresh                 password, or passkey; next
//	GET POST /login/verify            what a factor asks for; next
//	GET POST /login/code              email, next; or code, remember_me, next; or, with a token, remember_me
//	GET POST /login/passkey           passkey, remember_me, next
//	GET POST /account/two-factor      remove, or unlock, or what a factor asks for
//	GET POST /account/recovery-codes
//	GET POST /account/passkeys        remove, or remove_password, or name, or passkey
//	GET POST /account/identities      remove
//	GET      /.well-known/change-password
//	GET      /auth.css
//	GET      /auth.js
//	GET      /passkey.js
//	GET      /openapi.json
//
// After a form that has a mail sent, /check-inbox says to which address it went and what to do
// if it does not come. Its form sends the mail again. The address is in a sealed cookie for
// half an hour. The page is the same whether there is an account or not.
//
// /.well-known/change-password is never below the prefix. It leads password managers to
// /account/password. If your mux has the pages under the prefix only, add this path.
//
// HEAD is answered like GET, but keeps the flash messages for the next GET. Without a
// Mailer in auth.Config, /forgot-password, /check-inbox and the pages that mailed links open do not
// exist. Without EmailLogin, /login/code does not exist. Without Factors, /login/verify and
// /account/two-factor do not exist, and without a RecoveryFactor among them,
// /account/recovery-codes does not. /login/passkey, /account/passkeys and /passkey.js are
// there if one of Factors is a PasskeyFactor, and /openapi.json if Config.OpenAPI is set.
// /account/identities is 404 while the manager has no providers (see Providers below).
//
// Config.Without leaves pages out, and Config.Paths gives them other paths.
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
// # Error pages
//
// New makes the pages answer Core.Error, for the whole application: guards, your own handlers,
// and requests that fail because of a store. This is for clients that accept HTML, and only if
// ErrorPage of auth.Config is not set. The pages have the statuses of Core.Error, the layout,
// and a way on. With 429 and 503 they say how long to wait. If a form of the pages is answered
// with 429 or 503, it is shown again with what was typed, except for secrets.
//
// # Programs
//
// A request that prefers JSON by its Accept header, such as one of a single-page
// application, gets JSON from the same paths: 200 with the data of the page, 200 with
// {"next": "/path"} in place of a redirect, or an auth.Problem. Its body is a JSON object
// with the fields of the form. docs/json.md describes it, and OpenAPI lists it.
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
// others is not empty, all except the login that sends the form. For that, for a change of address
// and for /account/close, the login must be fresh: see Config.FreshFor. If the account
// has a password, /account/close asks for it in any case. Core.RequireFresh sends
// users to /refresh if they have not shown the password, or not recently. From there
// they go back to the page they came from.
//
// # Logging in by mail
//
// With EmailLogin of auth.Config, the login page links to /login/code. There a user enters an
// address, and then the code that was mailed to it. The page answers the same if there is no
// such account. /login/code?new asks for the address again. The link in the same mail opens
// /login/code with a token, and its button logs in. If another browser asked for the mail,
// the page says when and where. /refresh leads users without a password to /login/code.
//
// # Second factors
//
// If a user has one of the Factors of auth.Config, the password leads from /login on to
// /login/verify, and from /refresh too. The page asks for the factor that was used last in
// this browser (a cookie keeps its name for 30 days), or for the first one that the user
// has. It links to the others as /login/verify?with=NAME. A wrong answer is 422. After
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
// # Passkeys
//
// With a PasskeyFactor among the Factors of auth.Config, such as that of package passkey,
// the login page has a button for a passkey, and browsers offer the user's passkeys in the
// field for the name. /refresh asks users who have a passkey for it, and for the password if
// the account has one. /account/passkeys lists the user's passkeys.
// GET /account/passkeys?add asks for a new one, and GET /account/passkeys?rename=ID for a
// name. A form there has the ID of a passkey in remove, or removes the password.
//
// Passkeys need a script. The pages serve that of the PasskeyFactor, and the template
// passkey.html loads it, into any layout. What needs it is hidden until the script finds
// that the browser has passkeys. GET /login/passkey is for the script: it answers with JSON
// if the request accepts that, and otherwise leads to /login.
//
// # Providers
//
// If package oauth is set up for the same manager, before or after the pages, then /login and
// /register have a button for each provider. /refresh has one for each provider that can
// confirm a login and that the user is connected to. The buttons post to Start of
// auth.Provider, which is a path of this site, with the field next, and the field purpose if
// they do not log in. /account/identities lists the user's accounts at providers, connects
// others, and disconnects them: the form has the ID of an identity in remove. For that, the
// user must have logged in within 10 minutes. The pages also draw what package oauth shows to users, such
// as "Taking you to accounts.google.com", by the template notice.html.
//
// # Impersonation
//
// While an administrator acts as a user (Core.Impersonate), the layout says so on every page
// that knows the user, and has a button that posts to /stop-impersonating. Forms that only
// the user may send are 403. A layout of your own shows the banner if .Acting is true. The
// page on which an administrator begins is your application's.
//
// # Security
//
// The handler must be inside the manager's LoadAndSave. Outside it, every answer except
// the stylesheet, the scripts and /.well-known/change-password is 500, with a line in the log.
// The forms have no hidden CSRF token: LoadAndSave refuses unsafe requests that a page of
// another site has a browser send. Every answer of the handler forbids framing, sniffing and
// foreign content and, except for the stylesheet and the scripts, storing. Scripts are
// forbidden, too, except on pages that load one (see Page.Scripts): those with a form, a list,
// or new recovery codes. There, the policy allows the paths of the pages' own scripts, and no
// other file of the site. Everything but passkeys works without them. The script shows and
// hides passwords, says that caps lock is on, and writes times for the browser's time zone.
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
	"github.com/go-login/auth/internal/accept"
)

// Pages is the handler that New makes.
type Pages struct {
	core *auth.Core
	auth auth.Config // the manager's settings
	cfg  Config

	table     []*page
	named     map[string]*page // the pages that have a template, by name
	routes    map[string]route // by path
	texts     Texts
	words     map[string]string // the package's texts in the language of the pages; nil for English
	languages map[string]*Pages // the same pages in the further languages of auth.Config; nil if there are none
	urls      URLs
	templates map[string]*template.Template // by the page's name
	style     asset
	script    asset
	passkeys  auth.PasskeyFactor // nil: there is none among auth.Config's Factors
	passkeyJS asset              // the script of passkeys
}

// New makes the pages of a manager: pass manager.Core. It returns an error if the Config
// contradicts itself or the manager's, and if a template cannot be read or executed. It
// executes each template.
func New(core *auth.Core, cfg Config) (*Pages, error) {
	if core == nil {
		return nil, errors.New("pages: no manager: pass manager.Core")
	}
	p := &Pages{core: core, auth: core.Config(), cfg: cfg}
	if !p.core.HasUserStore() {
		return nil, fmt.Errorf("pages: %w", auth.ErrNoUserStore)
	}
	if err := p.cfg.setDefaults(p.core, p.auth); err != nil {
		return nil, err
	}
	if err := p.findPasskeys(); err != nil {
		return nil, err
	}
	lang := ""
	if len(p.auth.Languages) > 0 {
		lang = p.auth.Languages[0]
	}
	if err := p.setLanguage(lang, cfg.Texts); err != nil {
		return nil, err
	}
	if err := p.loadTemplates(); err != nil {
		return nil, err
	}
	if err := p.setLanguages(); err != nil {
		return nil, err
	}
	core.DefaultErrorPage(p.showError)
	core.DefaultNoticePage(p.showNotice)
	core.DefaultIdentitiesPage(p.urls.Identities)
	return p, nil
}

// setRoutes derives the routes and the URLs from the table in table.go.
func (p *Pages) setRoutes() error {
	p.named, p.routes = map[string]*page{}, map[string]route{}
	if err := p.checkPaths(); err != nil {
		return err
	}
	p.urls.Home = p.cfg.Home
	for _, page := range p.table {
		if page.name != "" {
			p.named[page.name] = page
		}
		if page.path == "" || page.absent || page.mails && p.auth.Mailer == nil {
			continue
		}
		path, err := p.pathOf(page)
		if err != nil {
			return err
		}
		if slices.Contains(p.cfg.Without, page.path) {
			if err := p.leaveOut(page, p.core.BasePath()+path); err != nil {
				return err
			}
			continue
		}
		*page.url = p.core.BasePath() + path
		if s := page.setting; s != nil && !leadsTo(s.url, p.auth.BaseURL, *page.url) {
			return fmt.Errorf("pages: %s is %s, but URLs.%s of auth.Config is %s; set it to this URL, or change Prefix or Paths of pages.Config", s.page, *page.url, s.name, s.url)
		}
		route := p.routes[path]
		for _, other := range route.pages() {
			switch {
			case page.script:
				return fmt.Errorf("pages: %s is the path of a page and of the script of %s; change the latter", *page.url, p.passkeys.Name())
			case other.path != page.path:
				return fmt.Errorf("pages: %s would be the path of the pages %s and %s; change Paths", *page.url, other.path, page.path)
			}
		}
		if page.link != nil {
			route.linked = page
		} else {
			route.page = page
		}
		p.routes[path] = route
	}
	return nil
}

// Mount adds the pages to a mux, such as an http.ServeMux or a router of chi, each under its
// path. The home page, and all other paths, stay the application's.
//
//	p.Mount(mux)
//	mux.Handle("GET /", home)
//
// If the pages are there for "/", too, they answer unknown paths with their error page for 404:
// the home page is then "GET /{$}". For other routers, Paths has the paths: docs/routers.md shows the lines.
func (p *Pages) Mount(mux interface {
	Handle(pattern string, handler http.Handler)
}) {
	methods := []string{""}
	if _, ok := mux.(*http.ServeMux); ok { // which refuses "GET /" beside a path for all methods
		methods = []string{"GET ", "POST ", "PUT ", "PATCH ", "DELETE "}
	}
	for _, path := range p.Paths() {
		for _, method := range methods {
			mux.Handle(method+path, p)
		}
	}
}

// Paths returns the paths of the pages, for a router that Mount does not fit. If BaseURL of
// auth.Config has a path, each is there twice: without that path, for a mux behind
// http.StripPrefix or a proxy that removes it, and with it.
func (p *Pages) Paths() []string {
	paths := slices.Sorted(maps.Keys(p.routes))
	if base := p.core.BasePath(); base != "" {
		for _, path := range paths {
			paths = append(paths, base+path)
		}
	}
	return paths
}

// below returns the path of a request without the path of BaseURL, which may have reached the
// server or not.
func (p *Pages) below(r *http.Request) string {
	if path, ok := strings.CutPrefix(r.URL.Path, p.core.BasePath()); ok && p.routes[path] != (route{}) {
		return path
	}
	return r.URL.Path
}

// whole returns a URL as the browser sees it: with the path of BaseURL, which may have been
// removed before the request came here.
func (p *Pages) whole(uri string) string {
	base := p.core.BasePath()
	if rest, ok := strings.CutPrefix(uri, base); ok && (rest == "" || rest[0] == '/' || rest[0] == '?') {
		return uri
	}
	return base + uri
}

// ServeHTTP serves the pages.
func (p *Pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.secure(w.Header(), p.hasToken(r))
	p = p.inLanguage(w.Header(), r)
	asJSON := accept.JSON(r)
	if asJSON {
		p.core.AnswerJSON(r.Context())
	}
	p.write(w, r, p.answer(w, r, asJSON), asJSON)
}

// answer finds the route, reads the form, and has a page of the route answer. It uses w
// only to limit the request's body.
func (p *Pages) answer(w http.ResponseWriter, r *http.Request, asJSON bool) answer {
	route, ok := p.routes[p.below(r)]
	if !ok || route.provided() && len(p.core.Providers()) == 0 {
		return p.fail(http.StatusNotFound)
	}
	gets, posts := route.methods()
	switch {
	case gets && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		return p.get(route, &request{Request: r, json: asJSON})
	case posts && r.Method == http.MethodPost:
		read := readForm
		if asJSON {
			read = func(w http.ResponseWriter, r *http.Request) error { return readJSON(w, r, route) }
		}
		if err := read(w, r); err != nil {
			return p.badForm(err)
		}
		return p.post(route, &request{Request: r, typed: r.PostForm, json: asJSON})
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
			return p.tokenFailed(route.linked, q, q.URL.Query().Get("token"), auth.ErrInvalidToken)
		}
		q.token = p.tokenOf(q.Request, route.linked.link)
		if route.page == nil || !q.PostForm.Has("email") && !q.PostForm.Has("code") { // the forms of the page without a token have one of these fields
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
	a := q.page.post(q)
	if a.err != nil {
		a.of = q
	}
	return a
}

// hasToken reports whether the request's URL may contain a mailed token, even one
// that a mail program has broken. The answer then has Referrer-Policy no-referrer
// and no form, because browsers would send the form with Origin: null.
func (p *Pages) hasToken(r *http.Request) bool {
	route, ok := p.routes[p.below(r)]
	if ok && route.linked == nil {
		return false
	}
	parts := strings.FieldsFunc(r.URL.RawQuery, func(c rune) bool { return c == '&' || c == ';' })
	return r.URL.Query().Has("token") || slices.ContainsFunc(parts, func(part string) bool { return strings.HasPrefix(part, "token") })
}

// allowScripts has browsers run the page's scripts if its templates have loaded them, and
// lets the script of passkeys fetch what to ask the browser for.
func (p *Pages) allowScripts(h http.Header, page *Page) {
	if len(*page.scripts) > 0 { // they are not loaded: secure has set the policy without them
		return
	}
	h.Set("Content-Security-Policy", p.cfg.CSP.policy(p.scripts(page), page.Passkey != nil && page.Passkey.URL != ""))
}

// secure sets the headers that all answers have.
func (p *Pages) secure(h http.Header, hasToken bool) {
	h.Set("Content-Security-Policy", p.cfg.CSP.policy(nil, false))
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	if hasToken {
		h.Set("Referrer-Policy", "no-referrer")
	}
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Type", "text/html; charset=utf-8")
	if !slices.Contains(h["Vary"], "Accept") {
		h.Add("Vary", "Accept")
	}
}

// sameForAll says that the answer does not depend on what the client accepts, nor on its
// language. What other
// middlewares have said stays.
func sameForAll(h http.Header) {
	vary := slices.DeleteFunc(slices.Clone(h["Vary"]), func(value string) bool { return value == "Accept" || value == "Accept-Language" })
	if h["Vary"] = vary; len(vary) == 0 {
		h.Del("Vary")
	}
}

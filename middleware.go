package auth

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

// LoadAndSave is Manager.LoadAndSave.
func (c *Core) LoadAndSave(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.requestOf(r.Context()) != nil { // wrapped twice
			next.ServeHTTP(w, r)
			return
		}
		s, sent := c.newState(w, r), r
		if len(r.Header["Cookie"]) > 0 {
			s.arrived = c.cfg.Now()
		}
		rw, r := &s.writer, s.served
		defer handBack(r, sent)
		if isUnsafe(sent.Method) && !c.origins.allows(sent, s.target()) {
			err := fmt.Errorf("%w: Origin %q, Sec-Fetch-Site %q, and this is %s", ErrCrossOrigin,
				cut(r.Header.Get("Origin"), 200), cut(r.Header.Get("Sec-Fetch-Site"), 20), c.baseURL)
			s.fail(err) // for whoever asks who it is
			c.event(&s.ctx, Event{Kind: EventCrossOrigin, Err: err})
			c.Error(rw, r, err)
			return
		}
		if !s.mayBeOwn() {
			if err := s.load(); err != nil {
				// Methods that need the session return the error. A page that asks
				// for neither the user nor the session's data is served.
				s.fail(hidden(err))
			}
			s.identified.Store(true)
		}
		s.suspectForwarded()
		s.emit()
		defer s.saveLate() // also if the handler panics
		next.ServeHTTP(rw, r)
		rw.start(http.StatusOK)
	})
}

// newState returns the state of a request.
func (c *Core) newState(w http.ResponseWriter, r *http.Request) *state {
	if r.Trailer == nil && len(r.TransferEncoding) > 0 {
		r.Trailer = http.Header{} // else the server would make it when the body was read, and our copy would have none
	}
	s := &state{core: c, request: r, forwarded: r.Header["X-Forwarded-For"]}
	s.ctx.Context, s.ctx.state = r.Context(), s
	s.inner.Context, s.inner.core = &s.ctx, c
	s.served = r.WithContext(&s.ctx)
	if r.RequestURI == "" && r.URL != nil { // no server made it
		u := *r.URL
		s.url = &u
	}
	s.writer.ResponseWriter, s.writer.state = w, s
	if len(w.Header()) > 0 {
		s.writer.before = w.Header().Clone()
	}
	return s
}

// handBack does for a copy of a request, when it has been served, what net/http
// does for its own: it removes the temporary files of a multipart form that was
// parsed on the way, also after a panic. And it tells those outside which pattern
// an http.ServeMux inside has found. Nobody can do so for copies that others make.
func handBack(served, sent *http.Request) {
	if form := served.MultipartForm; form != nil && form != sent.MultipartForm {
		_ = form.RemoveAll()
	}
	if served.Pattern != sent.Pattern {
		sent.Pattern = served.Pattern
	}
}

// A responseWriter commits the session before the header goes out.
type responseWriter struct {
	http.ResponseWriter
	state   *state
	before  http.Header // what was set outside
	started bool
	failed  error // the commit's; the response is an error page then, and takes nothing more
}

// start commits, once, before an answer with this status. The answer becomes an
// error page if the commit fails, and if a store has failed and the handler is
// about to answer as if it had not: what it made may be the page of an anonymous
// visitor.
func (w *responseWriter) start(status int) {
	if w.started {
		return
	}
	w.started = true
	s := w.state
	if w.failed = s.hasMet(); w.failed != nil {
		if status == statusOf(w.failed) { // the handler has said it
			w.failed = nil
		} else {
			w.reset()
			s.keepWaiting()
		}
	}
	if err := s.commit(w.Header()); err != nil {
		w.reset()
		w.failed = err
	}
	if w.failed != nil {
		s.core.fail(w.ResponseWriter, s.served, statusOf(w.failed), w.failed)
	}
}

// reset takes back the headers that the handler has set.
func (w *responseWriter) reset() {
	h := w.Header()
	clear(h)
	maps.Copy(h, w.before)
}

func (w *responseWriter) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		w.ResponseWriter.WriteHeader(status) // there may be several before the header
		return
	}
	again := w.started
	if w.start(status); w.failed == nil {
		if status == http.StatusRequestEntityTooLarge {
			tooLarge(w.ResponseWriter)
		}
		w.ResponseWriter.WriteHeader(status) // which complains about a second call
	} else if again {
		w.state.core.cfg.Logger.Debug("auth: WriteHeader after an error page")
	}
}

// tooLarge tells the server that the request's body is too large, so that it reads
// no more of it and closes the connection. http.MaxBytesReader calls an unexported
// method for that if its writer is the server's own, and no other type can have
// that method, nor does it look at Unwrap. So a reader that is over its limit is
// made to call it, when the handler's answer says what the reader told it.
func tooLarge(w http.ResponseWriter) {
	over := http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0)
	_, _ = over.Read(make([]byte, 1))
}

func (w *responseWriter) Write(b []byte) (int, error) {
	if w.start(http.StatusOK); w.failed != nil {
		return 0, w.failed
	}
	return w.ResponseWriter.Write(b)
}

// ReadFrom lets a file be sent without copying.
func (w *responseWriter) ReadFrom(src io.Reader) (int64, error) {
	if w.start(http.StatusOK); w.failed != nil {
		return 0, w.failed
	}
	return io.Copy(w.ResponseWriter, src)
}

func (w *responseWriter) Flush() { _ = w.FlushError() }

// FlushError is what http.ResponseController calls.
func (w *responseWriter) FlushError() error {
	if w.start(http.StatusOK); w.failed != nil {
		return w.failed
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.start(http.StatusSwitchingProtocols); w.failed != nil {
		return nil, nil, w.failed
	}
	return http.NewResponseController(w.ResponseWriter).Hijack()
}

func (w *responseWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// RequireLogin is Manager.RequireLogin.
func (c *Core) RequireLogin(next http.Handler) http.Handler {
	return c.guard(next, c.Error, func(ctx context.Context) error {
		_, err := c.User(ctx)
		return err
	})
}

// guard is a handler that lets only those requests through to next that check
// has nothing against, whatever their method, and has the others answered by deny.
func (c *Core) guard(next http.Handler, deny func(http.ResponseWriter, *http.Request, error), check func(context.Context) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := check(r.Context()); err != nil {
			if errors.Is(err, ErrNotLoggedIn) || errors.Is(err, ErrNotFresh) || errors.Is(err, ErrUnverified) || errors.Is(err, ErrScope) {
				c.event(r.Context(), Event{Kind: EventDenied, UserID: c.known(r.Context()), Err: err})
			}
			deny(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// known is the ID of the user who makes the request, as far as it has been
// found out.
func (c *Core) known(ctx context.Context) string {
	s := c.requestOf(ctx)
	if s == nil {
		return ""
	}
	s.op.Lock()
	defer s.op.Unlock()
	return idOf(s.user)
}

// Error is Manager.Error.
func (c *Core) Error(w http.ResponseWriter, r *http.Request, err error) {
	if s := c.requestOf(r.Context()); s != nil { // asks no loader a second time
		// A handler that took the user for nobody says ErrNotLoggedIn.
		if met := s.hasMet(); met != nil && statusOf(err) != statusOf(met) {
			err = met
		}
	}
	var page string
	switch {
	case errors.Is(err, ErrReplaced): // the browser is logged in, and comes again
	case errors.Is(err, ErrNotLoggedIn):
		page = c.cfg.loginURL(c.targetOf(r).Path)
	case errors.Is(err, ErrNotFresh):
		page = c.cfg.RefreshURL
	case errors.Is(err, ErrUnverified):
		page = c.cfg.VerifyURL
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	client := clientKind(r)
	if page == "" || client == clientAPI || c.hasCredentials(r) {
		c.fail(w, r, statusOf(err), err)
		return
	}
	switch client {
	case clientHTMX:
		h.Set("HX-Redirect", c.send(r, page, c.nextOfPage(r.Header.Get("HX-Current-URL")), err))
		c.fail(w, r, statusOf(err), err)
	case clientInertia:
		h.Set("X-Inertia-Location", c.send(r, page, c.nextOfPage(r.Header.Get("Referer")), err))
		c.fail(w, r, http.StatusConflict, err)
	case clientFrame:
		leaveFrame(w, statusOf(err), c.send(r, page, c.nextOfPage(r.Header.Get("Referer")), err))
	default:
		sent := c.asSent(r)
		next := nextOf(sent.Method, c.targetOf(r))
		if isUnsafe(sent.Method) {
			next = c.nextOfPage(r.Header.Get("Referer"))
		}
		redirect(w, c.send(r, page, next, err))
	}
}

// The kinds of clients, by how they can be sent to another page.
const (
	clientAPI     = iota // not at all
	clientBrowser        // by a redirect
	clientHTMX           // by HX-Redirect, with any status
	clientInertia        // by X-Inertia-Location, with 409 Conflict
	clientFrame          // a frame of Turbo's: by leaveFrame
)

// clientKind tells which kind of client makes a request. A script that followed a
// redirect would put the login page where a part of a page belongs. When htmx
// restores a page from the history it looks at no HX-Redirect, and shows what it
// was redirected to as the whole page.
func clientKind(r *http.Request) int {
	h := r.Header
	switch {
	case h.Get("HX-History-Restore-Request") == "true":
		return clientBrowser
	case h.Get("HX-Request") == "true":
		return clientHTMX
	case h.Get("X-Inertia") == "true":
		return clientInertia
	case !wantsHTML(r):
		return clientAPI
	case h.Get("Turbo-Frame") != "":
		return clientFrame
	}
	return clientBrowser
}

// leaveFrame answers the request of a Turbo frame with a page that Turbo shows in
// place of the whole page, because it says turbo-visit-control, and that leads to
// target. A redirect would not do: Turbo looks for the frame in the login page, and
// where that asks for a reload it is loaded twice, the second time without the
// message. Turbo would load a page with a status of success again from the frame's
// own URL.
func leaveFrame(w http.ResponseWriter, status int, target string) {
	h := w.Header()
	setErrorHeaders(h)
	h.Set("Content-Type", "text/html; charset=utf-8")
	if status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", "Cookie")
	}
	w.WriteHeader(status)
	target = html.EscapeString(target)
	_, _ = fmt.Fprintf(w, `<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta name="turbo-visit-control" content="reload">
<meta http-equiv="refresh" content="0; url=%s">
<title>%s</title>
</head>
<body><a href="%s" data-turbo="false">%s</a></body>
</html>
`, target, http.StatusText(status), target, http.StatusText(status))
}

// isOurPage reports whether a next is for a login page, the refresh page or the
// one for verifying, to which nobody wants to go back.
func (c *Core) isOurPage(next Next) bool {
	path := func(u string) string { return u[:strings.IndexAny(u+"?", "?#")] }
	wanted := path(next.String())
	if wanted == path(c.cfg.LoginURL) || wanted == path(c.cfg.RefreshURL) || wanted == path(c.cfg.VerifyURL) {
		return true
	}
	for _, page := range c.cfg.LoginURLs {
		if wanted == path(page) {
			return true
		}
	}
	return false
}

// hasCredentials reports whether a request has brought its own, so that no page
// is of use to it. An Authorization header that no loader knows says so of a
// program, and nothing of a browser.
func (c *Core) hasCredentials(r *http.Request) bool {
	if len(c.cfg.RequestLoaders) == 0 {
		return false
	}
	if s := c.stateOf(r.Context()); s != nil && s.own {
		return true
	}
	return r.Header.Get("Authorization") != "" && !strings.Contains(r.Header.Get("Accept"), "text/html")
}

// send prepares to send a browser to one of these pages, and returns its URL.
func (c *Core) send(r *http.Request, page string, next Next, reason error) string {
	person := byPerson(c.asSent(r))
	if person && page[0] == '/' { // another site would not show it
		if m := c.cfg.Message(r, reason); m.Text != "" {
			_ = c.Flash(r.Context(), m.Category, m.Text) // outside LoadAndSave, or too late, there is none
		}
	}
	switch ours := c.isOurPage(next); {
	case c.cfg.NextInCookie && (ours || !person): // what is in the cookie stays wanted
		return page
	case c.cfg.NextInCookie:
		c.keepNext(r.Context(), next)
		return page
	case ours:
		var query url.Values
		if u, err := url.Parse(next.String()); err == nil {
			query = u.Query()
		}
		next = ParseNext(query.Get("next"))
	}
	return next.AddTo(page)
}

// DefaultMessage is Config.Message by default.
func DefaultMessage(_ *http.Request, reason error) Flash {
	if errors.Is(reason, ErrNotFresh) {
		return Flash{"info", "Please confirm your password to access this page."}
	}
	if errors.Is(reason, ErrUnverified) {
		return Flash{"info", "Please verify your e-mail address to access this page."}
	}
	return Flash{"info", "Please log in to access this page."}
}

// nextOfPage is the path and query of a page's URL, if it is one of ours.
func (c *Core) nextOfPage(page string) Next {
	u, err := url.Parse(page)
	if err != nil || !c.origins.own[u.Scheme+"://"+u.Host] {
		return Next{}
	}
	return ParseNext(u.RequestURI())
}

// wantsHTML reports whether a redirect to a page is of use to the client: to a
// browser that navigates, and to a client that does not say what it wants.
func wantsHTML(r *http.Request) bool {
	accept := r.Header.Get("Accept")
	if strings.Contains(accept, "text/html") {
		return true
	}
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "", "document", "iframe", "frame", "embed", "object":
		return !strings.Contains(accept, "json") && !strings.Contains(r.Header.Get("Content-Type"), "json")
	}
	return false // a script's request, an image, a WebSocket
}

func statusOf(err error) int {
	var tooLarge *http.MaxBytesError
	var password *PasswordError
	var failed failure
	var mistake broken
	switch {
	case errors.Is(err, ErrUnverified): // before what it wraps: who it is, is known
		return http.StatusForbidden
	case errors.Is(err, ErrNotLoggedIn), errors.Is(err, ErrNotFresh), errors.Is(err, ErrLoginRefused), errors.Is(err, ErrFactorRequired):
		return http.StatusUnauthorized
	case errors.Is(err, ErrCrossOrigin), errors.Is(err, ErrScope):
		return http.StatusForbidden
	case errors.Is(err, ErrLoginNotFound), errors.Is(err, ErrAPITokenNotFound), errors.Is(err, ErrUserNotFound):
		return http.StatusNotFound
	case errors.As(err, &tooLarge):
		return http.StatusRequestEntityTooLarge
	case errors.Is(err, ErrOtherUser):
		return http.StatusConflict
	case errors.Is(err, ErrInvalidToken):
		return http.StatusBadRequest
	case errors.Is(err, ErrConflict), errors.Is(err, ErrFormBusy):
		return http.StatusConflict
	case errors.As(err, &password), errors.Is(err, ErrInvalidUsername), errors.Is(err, ErrInvalidEmail),
		errors.Is(err, ErrUsernameTaken), errors.Is(err, ErrEmailTaken), errors.Is(err, ErrInvalidAPIToken):
		return http.StatusUnprocessableEntity
	case errors.Is(err, ErrRateLimited):
		return http.StatusTooManyRequests
	case errors.Is(err, ErrBusy), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return http.StatusServiceUnavailable
	case errors.As(err, &failed) && !errors.As(err, &mistake):
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// fail writes an error page.
func (c *Core) fail(w http.ResponseWriter, r *http.Request, status int, err error) {
	if status >= 500 {
		level := slog.LevelError
		if errors.Is(err, context.Canceled) { // the client has gone
			level = slog.LevelInfo
		}
		c.cfg.Logger.LogAttrs(r.Context(), level, "auth: request failed",
			slog.Int("status", status), slog.String("method", cut(c.asSent(r).Method, 20)), slog.String("path", cut(c.targetOf(r).Path, 200)),
			slog.Any("error", err))
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	switch limited := (*RateLimitError)(nil); status {
	case http.StatusTooManyRequests:
		if errors.As(err, &limited) {
			h.Set("Retry-After", strconv.FormatInt(int64(limited.RetryAfter/time.Second), 10))
		}
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", "Cookie") // RFC 9110 asks for a challenge; browsers ignore this one
		for _, loader := range c.cfg.RequestLoaders {
			// A browser would ask for a password in a window of its own.
			if loader.Challenge != "" && r.Header.Get("Sec-Fetch-Mode") == "" && !strings.Contains(r.Header.Get("Accept"), "text/html") {
				h.Add("WWW-Authenticate", loader.Challenge)
			}
		}
	}
	if c.cfg.ErrorPage != nil {
		c.cfg.ErrorPage(w, r, status, err)
		return
	}
	text := http.StatusText(status)
	setErrorHeaders(h)
	if !wantsHTML(r) {
		h.Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": text})
		return
	}
	if errors.Is(err, ErrReplaced) {
		h.Set("Content-Type", "text/html; charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, c.tryAgain(r))
		return
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text)
}

// setErrorHeaders sets the headers that our error pages have, unless the
// application has its own.
func setErrorHeaders(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	for name, value := range map[string]string{
		"Content-Security-Policy":      "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
	} {
		if h.Get(name) == "" {
			h.Set(name, value)
		}
	}
}

// tryAgain is the page for ErrReplaced. Its link leads to the page that was asked
// for, or back to the form that was sent.
func (c *Core) tryAgain(r *http.Request) string {
	target := "" // the page itself
	if isUnsafe(r.Method) {
		target = c.nextOfPage(r.Header.Get("Referer")).String()
		if target == "" {
			return "<!DOCTYPE html>\n<title>Try again</title>\n<p>Your login has been renewed. Go back and try again.\n"
		}
	}
	return "<!DOCTYPE html>\n<title>Try again</title>\n<p>Your login has been renewed. <a href=\"" + html.EscapeString(target) + "\">Try again</a>\n"
}

// cookies are the names of the cookies, and the attributes they all have.
type cookies struct {
	session, visitor, flash, next, remember, browser string
	secure                                           bool
}

func newCookies(base *url.URL, name string) (cookies, error) {
	for i := range len(name) {
		if c := name[i]; !isAlnum(c) && c != '-' && c != '_' || name[0] == '_' {
			return cookies{}, fmt.Errorf("auth: CookieName %q is not of letters, digits, - and _, or has a prefix", name)
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
	return cookies{name, name + "-visitor", name + "-flash", name + "-next", name + "-remember", name + "-browser", base.Scheme == "https"}, nil
}

// cookieOf returns the value of a request's cookie, and whether it has one. It is
// what http.Request.Cookie finds for cookies of ours, whose values are base64url,
// without taking apart those of others.
func cookieOf(r *http.Request, name string) (value string, ok bool) {
	for _, line := range r.Header["Cookie"] {
		for rest, more := line, true; more; {
			var cookie string
			cookie, rest, more = strings.Cut(rest, ";")
			cookie = textproto.TrimString(cookie)
			if len(cookie) > len(name) && cookie[len(name)] == '=' && cookie[:len(name)] == name {
				return cookie[len(name)+1:], true
			}
		}
	}
	return "", false
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

// An originCheck refuses requests that a page of another site has made the
// browser send.
type originCheck struct {
	own        map[string]bool // the application's origins
	trusted    map[string]bool // these and Config.Origins
	protection *http.CrossOriginProtection
	bypass     *http.ServeMux
}

func newOriginCheck(base *url.URL, origins, bypass []string) (originCheck, error) {
	o := originCheck{
		own: map[string]bool{}, trusted: map[string]bool{},
		protection: http.NewCrossOriginProtection(), bypass: http.NewServeMux(),
	}
	o.own[base.Scheme+"://"+base.Host] = true
	if base.Scheme == "http" { // the loopback's names are one
		for _, host := range []string{"localhost", "127.0.0.1", "[::1]"} {
			if port := base.Port(); port != "" {
				host += ":" + port
			}
			o.own["http://"+host] = true
		}
	}
	for origin := range o.own {
		origins = append(origins[:len(origins):len(origins)], origin)
	}
	for _, origin := range origins {
		if !isOrigin(origin) {
			return o, fmt.Errorf("auth: %q is not an origin as browsers write it (https://app.example)", origin)
		}
		if err := o.protection.AddTrustedOrigin(origin); err != nil {
			return o, fmt.Errorf("auth: Origins: %w", err)
		}
		o.trusted[origin] = true
	}
	for _, pattern := range bypass {
		if err := handle(o.bypass, pattern); err != nil {
			return o, err
		}
	}
	return o, nil
}

// isOrigin reports whether text is an origin as browsers write one: lower-case
// ASCII, and no port where it is the scheme's own.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	if err != nil || text != u.Scheme+"://"+u.Host || u.Hostname() == "" || strings.HasSuffix(u.Host, ":") {
		return false
	}
	if strings.Trim(u.Host, "abcdefghijklmnopqrstuvwxyz0123456789-.:[]") != "" {
		return false
	}
	return u.Scheme == "https" && u.Port() != "443" || u.Scheme == "http" && u.Port() != "80"
}

// bypassed is the handler of requests that skip the check.
type bypassed struct{}

func (bypassed) ServeHTTP(http.ResponseWriter, *http.Request) {}

// handle turns the panic of a malformed pattern into an error.
func handle(mux *http.ServeMux, pattern string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("auth: CrossOriginBypass %q: %v", pattern, p)
		}
	}()
	mux.Handle(pattern, bypassed{})
	return nil
}

// opens reports whether a form on a page of ours may come from anywhere.
func (o originCheck) opens(base *url.URL, page string) bool {
	u, err := base.Parse(page)
	return err == nil && u.Host == base.Host && o.bypasses(&http.Request{Method: http.MethodPost, Host: u.Host}, u)
}

// isUnsafe reports whether a request with this method may change something.
func isUnsafe(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// allows reports whether a request for target that may change something passes
// the cross-origin check.
func (o originCheck) allows(r *http.Request, target *url.URL) bool {
	if o.bypasses(r, target) {
		return true
	}
	if o.protection.Check(r) != nil {
		return false
	}
	// The check above takes any scheme if the browser is too old to say where
	// the request is from; the origin must be one of ours to the letter. A
	// client that sends neither is no browser, and brings its own cookies.
	origin := r.Header.Get("Origin")
	return r.Header.Get("Sec-Fetch-Site") != "" || origin == "" || o.trusted[origin]
}

// bypasses reports whether the request matches one of CrossOriginBypass. A path
// that another router could read in another way (an escaped slash, a dot
// segment) matches none.
func (o originCheck) bypasses(r *http.Request, target *url.URL) bool {
	if p := target.Path; target.RawPath != "" || strings.TrimSuffix(p, "/") != strings.TrimSuffix(path.Clean(p), "/") {
		return false
	}
	h, _ := o.bypass.Handler(&http.Request{Method: r.Method, URL: target, Host: r.Host})
	return h == bypassed{}
}

package auth

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// LoadAndSave is Manager.LoadAndSave.
func (c *Core) LoadAndSave(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c.stateOf(r.Context()) != nil { // wrapped twice
			next.ServeHTTP(w, r)
			return
		}
		s, r := c.newState(w, r)
		rw := &s.writer
		if !c.origins.allows(r) {
			err := fmt.Errorf("%w: Origin %q, Sec-Fetch-Site %q, and this is %s", ErrCrossOrigin,
				cut(r.Header.Get("Origin"), 200), cut(r.Header.Get("Sec-Fetch-Site"), 20), c.baseURL)
			s.failed, s.ended = err, true // whoever asks who it is
			c.event(&s.ctx, Event{Kind: EventCrossOrigin, Err: err})
			c.Error(rw, r, err)
			return
		}
		err := s.load()
		if err != nil {
			s.failed, s.ended = err, true // the error page may ask who it is for, and who hears of it
		}
		s.suspectForwarded()
		s.emit()
		if err != nil {
			c.Error(rw, r, err)
			return
		}
		next.ServeHTTP(rw, r)
		rw.start()
	})
}

// newState returns the state of a request, and the request with it.
func (c *Core) newState(w http.ResponseWriter, r *http.Request) (*state, *http.Request) {
	s := &state{core: c, request: r, forwarded: r.Header["X-Forwarded-For"]}
	s.ctx.Context, s.ctx.state = r.Context(), s
	s.inner.Context, s.inner.core = &s.ctx, c
	r = r.WithContext(&s.ctx)
	s.writer.ResponseWriter, s.writer.state = w, s
	if len(w.Header()) > 0 {
		s.writer.before = w.Header().Clone()
	}
	return s, r
}

// A responseWriter commits the session before the header goes out.
type responseWriter struct {
	http.ResponseWriter
	state   *state
	before  http.Header // what was set outside
	started bool
	failed  error // the commit's; the response is an error page then, and takes nothing more
}

// start commits, once. If that fails, the answer becomes an error.
func (w *responseWriter) start() {
	if w.started {
		return
	}
	w.started = true
	if w.failed = w.state.commit(w.Header()); w.failed == nil {
		return
	}
	h := w.Header()
	clear(h)
	maps.Copy(h, w.before)
	s := w.state
	s.core.fail(w.ResponseWriter, s.request.WithContext(&s.ctx), statusOf(w.failed), w.failed)
}

func (w *responseWriter) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		w.ResponseWriter.WriteHeader(status) // there may be several before the header
		return
	}
	again := w.started
	if w.start(); w.failed == nil {
		w.ResponseWriter.WriteHeader(status) // which complains about a second call
	} else if again {
		w.state.core.cfg.Logger.Debug("auth: WriteHeader after an error page")
	}
}

func (w *responseWriter) Write(b []byte) (int, error) {
	if w.start(); w.failed != nil {
		return 0, w.failed
	}
	return w.ResponseWriter.Write(b)
}

// ReadFrom lets a file be sent without copying.
func (w *responseWriter) ReadFrom(src io.Reader) (int64, error) {
	if w.start(); w.failed != nil {
		return 0, w.failed
	}
	return io.Copy(w.ResponseWriter, src)
}

func (w *responseWriter) Flush() { _ = w.FlushError() }

// FlushError is what http.ResponseController calls.
func (w *responseWriter) FlushError() error {
	if w.start(); w.failed != nil {
		return w.failed
	}
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *responseWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.start(); w.failed != nil {
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
// has nothing against, and has the others answered by deny.
func (c *Core) guard(next http.Handler, deny func(http.ResponseWriter, *http.Request, error), check func(context.Context) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slices.Contains(c.cfg.ExemptMethods, r.Method) {
			next.ServeHTTP(w, r)
			return
		}
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
	s := c.stateOf(ctx)
	if s == nil {
		return ""
	}
	s.op.Lock()
	defer s.op.Unlock()
	return idOf(s.user)
}

// Error is Manager.Error.
func (c *Core) Error(w http.ResponseWriter, r *http.Request, err error) {
	var page string
	switch {
	case errors.Is(err, ErrNotLoggedIn):
		page = c.cfg.loginURL(r.URL.Path)
	case errors.Is(err, ErrNotFresh):
		page = c.cfg.RefreshURL
	case errors.Is(err, ErrUnverified):
		page = c.cfg.VerifyURL
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	switch next := nextOf(r); {
	case page == "", !wantsHTML(r) && r.Header.Get("HX-Request") != "true", c.hasCredentials(r):
		c.fail(w, r, statusOf(err), err)
	case r.Header.Get("HX-Request") == "true":
		h.Set("HX-Redirect", c.send(r, page, c.nextOfPage(r.Header.Get("HX-Current-URL")), err))
		c.fail(w, r, statusOf(err), err)
	default:
		if isUnsafe(r.Method) {
			next = c.nextOfPage(r.Header.Get("Referer"))
		}
		redirect(w, c.send(r, page, next, err))
	}
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
// is of use to it.
func (c *Core) hasCredentials(r *http.Request) bool {
	if len(c.cfg.RequestLoaders) == 0 {
		return false
	}
	if s := c.stateOf(r.Context()); s != nil {
		s.op.Lock()
		defer s.op.Unlock()
		if s.grant != nil || s.refused {
			return true
		}
	}
	return r.Header.Get("Authorization") != ""
}

// send prepares to send a browser to one of these pages, and returns its URL.
func (c *Core) send(r *http.Request, page string, next Next, reason error) string {
	if m := c.cfg.Message(r, reason); m.Text != "" && page[0] == '/' { // another site would not show it
		_ = c.Flash(r.Context(), m.Category, m.Text) // outside LoadAndSave, or too late, there is none
	}
	switch ours := c.isOurPage(next); {
	case c.cfg.NextInCookie && ours: // what is in the cookie stays wanted
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
			slog.Int("status", status), slog.String("method", cut(r.Method, 20)), slog.String("path", cut(r.URL.Path, 200)),
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
	h.Set("X-Content-Type-Options", "nosniff")
	for name, value := range map[string]string{ // unless the application has its own
		"Content-Security-Policy":      "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		"Referrer-Policy":              "no-referrer",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
	} {
		if h.Get(name) == "" {
			h.Set(name, value)
		}
	}
	if !wantsHTML(r) {
		h.Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": text})
		return
	}
	h.Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text)
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
	return err == nil && u.Host == base.Host && o.bypasses(&http.Request{Method: http.MethodPost, URL: u, Host: u.Host})
}

// isUnsafe reports whether a request with this method may change something.
func isUnsafe(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// allows reports whether the request may come from where it comes from.
func (o originCheck) allows(r *http.Request) bool {
	if !isUnsafe(r.Method) || o.bypasses(r) {
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
func (o originCheck) bypasses(r *http.Request) bool {
	if p := r.URL.Path; r.URL.RawPath != "" || strings.TrimSuffix(p, "/") != strings.TrimSuffix(path.Clean(p), "/") {
		return false
	}
	h, _ := o.bypass.Handler(r)
	return h == bypassed{}
}

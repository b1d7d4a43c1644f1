package auth

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-login/auth/internal/accept"
	"github.com/go-login/auth/internal/origin"
)

// Error answers a request that cannot be served because of err. Guards call it.
//
// For five errors it sends a browser to a page, by 303 See Other with a message:
// ErrNotLoggedIn to Config.URLs.Login, ErrNotFresh to URLs.Refresh, ErrUnverified to
// URLs.Verify, ErrFactorRequired to URLs.Factor, and ErrNoFactor to URLs.TwoFactor. The
// page that the browser wanted is in the query as next (or in a cookie: see
// Config.URLs.NextInCookie). For a request that may change something, next is the page
// of this site that the request came from. A request that the browser makes on its own,
// such as a prefetch (Flashes lists them), sets no message, and leaves the cookie as it
// is.
//
// A script that asks for a part of a page is told to load the login page as a whole
// page. The next is then the page that the user is on: HX-Current-URL, or Referer.
//
//   - htmx (HX-Request), also with hx-boost, gets HX-Redirect with the status.
//   - Inertia (X-Inertia) gets 409 Conflict with X-Inertia-Location.
//   - A Turbo frame (Turbo-Frame) gets the status with a small page, not
//     Config.ErrorPage, that replaces the whole page (Turbo 7.3 or newer).
//
// A client that prefers JSON to HTML, or does not accept HTML, gets a [Problem]: JSON with
// the status and a code. A client that has sent credentials in a header gets the status
// without a redirect. So does a request with ErrReplaced, although it wraps
// ErrNotLoggedIn: its page says to try again. The statuses are:
//
//   - 202: ErrCheckMail
//   - 400: ErrInvalidToken
//   - 401: ErrNotLoggedIn, ErrNotFresh, ErrFactorRequired, and errors that wrap
//     ErrLoginRefused, except ErrUnverified; with Retry-After for a WaitError
//   - 403: ErrCrossOrigin, ErrOutOfScope, ErrForbidden, ErrNoFactor, and ErrUnverified.
//     Because ErrUnverified also wraps ErrLoginRefused, a login page checks for
//     ErrLoginRefused first, and shows its form
//   - 404: ErrUserNotFound, ErrLoginNotFound, ErrAPITokenNotFound
//   - 409: ErrConflict, ErrFormBusy, ErrOtherUser
//   - 413: a body that http.MaxBytesReader cut off
//   - 422: an invalid form: PasswordError, ErrInvalidAPIToken, invalid and taken names
//   - 429: RateLimitError, with Retry-After
//   - 503, with Retry-After: ErrBusy; a context that is done; and, with a record in
//     the log, a failing store or Credential
//   - 500, with a record in the log: everything else
//
// If a method has returned a store's failure in this request, Error answers 503,
// whatever err is: a handler that asked CurrentUser cannot tell a failure from an
// anonymous visitor.
func (c *Core) Error(w http.ResponseWriter, r *http.Request, err error) {
	s := c.requestOf(r.Context()) // and not stateOf: the Credentials must not be asked again
	if s != nil {
		// A handler that saw no user because of the failure passes ErrNotLoggedIn.
		if met := s.hasMet(); met != nil && statusOf(err) != statusOf(met) {
			err = met
		}
	}
	page := c.pageFor(r, err)
	h := w.Header()
	s.noStore(h)
	s.vary(h, "Accept")
	client := clientKind(r)
	if c.answersJSON(r) {
		client = clientAPI
	}
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
		if origin.IsUnsafe(sent.Method) {
			next = c.nextOfPage(r.Header.Get("Referer"))
		}
		if page == c.cfg.URLs.Factor { // the request is a login form's, which has a next itself
			if c.cfg.URLs.NextInCookie || !origin.IsUnsafe(sent.Method) {
				next = Next{} // in the cookie, or the request is a callback whose URL works once
			}
			next = cmp.Or(NextFrom(r), next)
		}
		redirect(w, c.send(r, page, next, err))
	}
}

// The kinds of clients, by the way to send them to another page.
const (
	clientAPI     = iota // there is no way
	clientBrowser        // by a redirect
	clientHTMX           // by HX-Redirect, with any status
	clientInertia        // by X-Inertia-Location, with 409 Conflict
	clientFrame          // a Turbo frame: by leaveFrame
)

// clientKind returns which kind of client made the request. A script needs another way
// than a browser: if it followed a redirect, it would put the login page where a part
// of a page belongs. One request of htmx counts as a browser's: when htmx restores a
// page from its history, it ignores HX-Redirect, follows a redirect, and shows the
// result as the whole page.
func clientKind(r *http.Request) int {
	h := r.Header
	switch {
	case field(h, "Hx-History-Restore-Request") == "true":
		return clientBrowser
	case field(h, "Hx-Request") == "true":
		return clientHTMX
	case field(h, "X-Inertia") == "true":
		return clientInertia
	case !wantsHTML(r):
		return clientAPI
	case field(h, "Turbo-Frame") != "":
		return clientFrame
	}
	return clientBrowser
}

// leaveFrame answers the request of a Turbo frame with a page that leads to target.
// Because the page has turbo-visit-control, Turbo shows it in place of the whole page.
//
// A redirect would not work: Turbo looks for the frame in the login page. If the login
// page asked for a reload, Turbo would load it twice, the second time without the
// message. The status must be an error, because after a success Turbo would load the
// page again from the frame's own URL.
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

// isOurPage reports whether next is a login page, the refresh page, the factor's page
// or the page that verifies an address. No user wants to return to one of these.
func (c *Core) isOurPage(next Next) bool {
	wanted := pathIn(next.String())
	is := func(page string) bool {
		rest, ok := strings.CutPrefix(page, wanted)
		return ok && (rest == "" || rest[0] == '?')
	}
	if is(c.cfg.URLs.Login) || is(c.cfg.URLs.Refresh) || is(c.cfg.URLs.Factor) || is(c.cfg.URLs.Verify) {
		return true
	}
	for _, page := range c.cfg.URLs.LoginFor {
		if is(page) {
			return true
		}
	}
	return false
}

// send prepares to send a browser to one of our pages, and returns the URL: it keeps
// the message and next.
func (c *Core) send(r *http.Request, page string, next Next, reason error) string {
	person := byPerson(c.asSent(r))
	if person && page[0] == '/' { // a page on another site would not show the message
		if m := c.messageFor(r, reason); m.Text != "" {
			_ = c.Flash(r.Context(), m.Category, m.Text) // fails outside LoadAndSave, or after the header
		}
	}
	switch ours := c.isOurPage(next); {
	case c.cfg.URLs.NextInCookie && (ours || !person || page == c.cfg.URLs.Factor && next.IsZero()):
		// The cookie keeps the next that it has. It has one while a login goes on.
		return page
	case c.cfg.URLs.NextInCookie:
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

// messageFor returns the message for a user who is sent to one of our pages because of
// reason. A visitor who will see another message there gets no second one that asks to log
// in: that happens after a logout if the home page needs a login.
func (c *Core) messageFor(r *http.Request, reason error) Flash {
	reason = c.detail(r.Context(), reason)
	if s := c.stateOf(r.Context()); s != nil && errors.Is(reason, ErrNotLoggedIn) && !errors.Is(reason, ErrLoggedOut) &&
		!origin.IsUnsafe(c.asSent(r).Method) && s.hasFlashes() {
		return Flash{}
	}
	return c.cfg.Message(r, reason)
}

// nextOfPage returns the path and query of a page's URL, or the zero value if the page
// is on another site.
func (c *Core) nextOfPage(page string) Next {
	u, err := url.Parse(page)
	if err != nil || !c.origins.Owns(u.Scheme+"://"+u.Host) {
		return Next{}
	}
	return ParseNext(u.RequestURI())
}

// wantsHTML reports whether the client can use a redirect to a page. That is a browser
// that navigates, or a client that does not say what it accepts.
func wantsHTML(r *http.Request) bool {
	if accept.JSON(r) {
		return false
	}
	accept := field(r.Header, "Accept")
	switch {
	case strings.Contains(accept, "text/html"):
		return true
	case strings.EqualFold(field(r.Header, "Upgrade"), "websocket"): // some clients send no Sec-Fetch-Dest
		return false
	}
	switch field(r.Header, "Sec-Fetch-Dest") {
	case "", "document", "iframe", "frame", "embed", "object":
		return !strings.Contains(accept, "json") && !strings.Contains(field(r.Header, "Content-Type"), "json")
	}
	return false // a script's request, an image, a WebSocket
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
	h.Del("Content-Length") // of an answer that the handler has not written
	s := c.requestOf(r.Context())
	s.noStore(h)
	s.vary(h, "Accept")
	for name, values := range c.errorHeader(r, status, err) {
		h[name] = values
	}
	answersJSON := c.answersJSON(r)
	if page := c.errorPageFor(r); page != nil && !answersJSON {
		page(w, r, status, err)
		return
	}
	text := http.StatusText(status)
	if answersJSON || !wantsHTML(r) {
		if status >= http.StatusBadRequest {
			problem := c.Problem(r, err)
			problem.Status = status
			problem.ServeHTTP(w, r)
			return
		}
		setErrorHeaders(h) // ErrCheckMail is no problem
		h.Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(map[string]string{"status": text})
		return
	}
	setErrorHeaders(h)
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

// DefaultErrorPage sets the page that Core.Error and failed requests answer with if
// Config.ErrorPage is not set. It is only for requests that accept HTML: other clients get
// what they get without it. The first page that is set stays. pages.New sets one, so an
// application calls this only if it brings its own pages. The rules of Config.ErrorPage
// apply.
func (c *Core) DefaultErrorPage(page func(w http.ResponseWriter, r *http.Request, status int, err error)) {
	c.fallback.CompareAndSwap(nil, &page)
}

// errorPageFor returns the page that answers a failed request, or nil.
func (c *Core) errorPageFor(r *http.Request) errorPage {
	if c.cfg.ErrorPage != nil {
		return c.cfg.ErrorPage
	}
	if page := c.fallback.Load(); page != nil && !accept.JSON(r) && strings.Contains(r.Header.Get("Accept"), "text/html") {
		return *page
	}
	return nil
}

// tryAgain is the page for ErrReplaced. Its link leads to the page that the browser
// asked for, or back to the form that it sent.
func (c *Core) tryAgain(r *http.Request) string {
	target := "" // the page itself
	if origin.IsUnsafe(r.Method) {
		target = c.nextOfPage(r.Header.Get("Referer")).String()
		if target == "" {
			return "<!DOCTYPE html>\n<title>Try again</title>\n<p>Your login has been renewed. Go back and try again.\n"
		}
	}
	return "<!DOCTYPE html>\n<title>Try again</title>\n<p>Your login has been renewed. <a href=\"" + html.EscapeString(target) + "\">Try again</a>\n"
}

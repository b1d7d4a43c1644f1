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
	"strconv"
	"strings"
	"time"

	"github.com/go-login/auth/internal/origin"
)

// Error answers a request that cannot be served because of err.
//
// ErrNotLoggedIn, ErrNotFresh and ErrUnverified, which is what guards call it with, and
// ErrFactorRequired send a browser to Config.URLs.Login, URLs.Refresh, URLs.Verify or URLs.Factor
// by 303 See Other, with a message, and with the page it wanted in the query as next (or in a cookie: see
// Config.URLs.NextInCookie). That is the page it asked for, or, for a request that
// may change something, the page of this site that the request came from. A request
// that no person made (see Flashes) gets no message and puts nothing in the cookie.
//
// A script that asks for a part of a page is told to load the login page as a whole
// page. The next is then the page that the user is on: HX-Current-URL, or Referer.
//
//   - htmx (HX-Request), also with hx-boost, gets HX-Redirect with the status.
//   - Inertia (X-Inertia) gets 409 Conflict with X-Inertia-Location.
//   - A frame of Turbo's (Turbo-Frame) gets the status with a small page, not
//     Config.ErrorPage, that replaces the whole page (Turbo 7.3 or newer).
//
// A client that does not want HTML, or that has sent credentials in a header, gets
// the status alone. ErrReplaced, although it wraps ErrNotLoggedIn, sends nobody
// anywhere: its page says to try again. Errors are answered by their status:
//
//   - 400: ErrInvalidToken
//   - 401: ErrNotLoggedIn, ErrNotFresh, what wraps ErrLoginRefused, and
//     ErrFactorRequired
//   - 403: ErrCrossOrigin, ErrOutOfScope, ErrForbidden, and ErrUnverified, although that wraps
//     ErrLoginRefused: a login page asks for this first, and shows its form
//   - 404: ErrUserNotFound, ErrLoginNotFound, ErrAPITokenNotFound
//   - 409: ErrConflict, ErrFormBusy
//   - 413: a body that http.MaxBytesReader cut off
//   - 422: what is wrong with a form: PasswordError, ErrInvalidAPIToken, invalid
//     and taken names
//   - 429: RateLimitError, with Retry-After
//   - 503, with Retry-After: ErrBusy; a context that is done; and, with a record in
//     the log, a failing store or Credential
//   - 500, with a record in the log: everything else
//
// If a method has returned a store's failure in this request, Error answers 503,
// whatever err is: a handler that asked CurrentUser may think that nobody is logged
// in.
func (c *Core) Error(w http.ResponseWriter, r *http.Request, err error) {
	if s := c.requestOf(r.Context()); s != nil { // asks no loader a second time
		// A handler that took the user for nobody says ErrNotLoggedIn.
		if met := s.hasMet(); met != nil && statusOf(err) != statusOf(met) {
			err = met
		}
	}
	var page string
	switch {
	case errors.Is(err, ErrFactorRequired):
		page = c.cfg.URLs.Factor
	case errors.Is(err, ErrNoFactor):
		page = c.cfg.URLs.TwoFactor
	case errors.Is(err, ErrReplaced): // the browser is logged in, and comes again
	case errors.Is(err, ErrNotLoggedIn):
		page = c.cfg.URLs.login(c.targetOf(r).Path)
	case errors.Is(err, ErrNotFresh):
		page = c.cfg.URLs.Refresh
	case errors.Is(err, ErrUnverified):
		page = c.cfg.URLs.Verify
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
		if origin.IsUnsafe(sent.Method) {
			next = c.nextOfPage(r.Header.Get("Referer"))
		}
		if page == c.cfg.URLs.Factor { // from a login form, which has the page that the user wanted
			next = cmp.Or(NextFrom(r), next)
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
	if wanted == path(c.cfg.URLs.Login) || wanted == path(c.cfg.URLs.Refresh) || wanted == path(c.cfg.URLs.Factor) || wanted == path(c.cfg.URLs.Verify) {
		return true
	}
	for _, page := range c.cfg.URLs.LoginFor {
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
	if len(c.cfg.Credentials) == 0 {
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
	case c.cfg.URLs.NextInCookie && (ours || !person): // what is in the cookie stays wanted
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

// nextOfPage is the path and query of a page's URL, if it is one of ours.
func (c *Core) nextOfPage(page string) Next {
	u, err := url.Parse(page)
	if err != nil || !c.origins.Owns(u.Scheme+"://"+u.Host) {
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
		for _, loader := range c.cfg.Credentials {
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
	if origin.IsUnsafe(r.Method) {
		target = c.nextOfPage(r.Header.Get("Referer")).String()
		if target == "" {
			return "<!DOCTYPE html>\n<title>Try again</title>\n<p>Your login has been renewed. Go back and try again.\n"
		}
	}
	return "<!DOCTYPE html>\n<title>Try again</title>\n<p>Your login has been renewed. <a href=\"" + html.EscapeString(target) + "\">Try again</a>\n"
}

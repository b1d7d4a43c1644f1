package auth

import (
	"net/http"
	"path"
	"strings"

	"github.com/go-login/auth/internal/origin"
)

// byPerson reports whether a person made the request: they opened a page, or did
// something in a page for which a script sent the request. Browsers and pages make other
// requests on their own: a prefetch, a prerendering, an icon, an image, a poll. Such
// requests change nothing that is kept for the person: the flash messages, and the page
// that follows the login.
//
// byPerson goes by the request's headers, and a client can send any headers. So it
// decides only about these two things, which belong to that client, and never about
// whether a request is allowed.
//
//   - Speculative loads: Sec-Purpose (Fetch; all browsers today; "prefetch",
//     "prefetch;prerender", …), Purpose (Chrome before, Inertia), X-Purpose
//     (Safari), X-Moz (Firefox before 115), X-Sec-Purpose (Turbo, since scripts
//     cannot set Sec- headers), HX-Preloaded (htmx).
//   - HEAD and OPTIONS: the answer is not shown.
//   - Navigations: Sec-Fetch-Mode navigate, also if a service worker passes it
//     on, which leaves Sec-Fetch-Dest empty.
//   - Images, styles, scripts and so on: Sec-Fetch-Dest names them. Browsers that do
//     not send it (Safari before 16.4) are recognised by what they accept, and
//     icons by their paths.
//   - fetch and XMLHttpRequest: Sec-Fetch-Dest empty. A poll and a click look
//     alike. The request counts as a person's if it may change something, if htmx or
//     Inertia sends it, or if its Accept is that of a navigation, as with Turbo Drive.
//     So a poll by these libraries counts as a person's, too.
//   - Beacons and pings: such requests of the mode no-cors.
func byPerson(r *http.Request) bool {
	h := r.Header
	for _, name := range [...]string{"Sec-Purpose", "Purpose", "X-Purpose", "X-Sec-Purpose", "X-Moz"} {
		purpose := field(h, name)
		if purpose == "" {
			continue
		}
		purpose, _, _ = strings.Cut(purpose, ";")
		switch strings.ToLower(strings.TrimSpace(purpose)) {
		case "prefetch", "prerender", "preview":
			return false
		}
	}
	if field(h, "Hx-Preloaded") == "true" || r.Method == http.MethodHead || r.Method == http.MethodOptions {
		return false
	}
	accept, mode := field(h, "Accept"), field(h, "Sec-Fetch-Mode")
	switch field(h, "Sec-Fetch-Dest") {
	case "document", "iframe", "frame", "embed", "object", "fencedframe":
		return true
	case "empty":
		if mode == "navigate" {
			return true
		}
	case "":
		if mode == "navigate" || mode == "" && field(h, "X-Requested-With") == "" {
			return !isResource(r.URL.Path, accept)
		}
	default:
		return false
	}
	if field(h, "Hx-Request") == "true" || field(h, "X-Inertia") == "true" {
		return true
	}
	return mode != "no-cors" && (origin.IsUnsafe(r.Method) || strings.Contains(accept, "application/xhtml+xml"))
}

// isResource reports whether a request without Sec-Fetch-Dest is for a part of a page,
// or for a file that browsers and robots request on their own.
func isResource(target, accept string) bool {
	for _, kind := range [...]string{"image/", "text/css", "audio/", "video/", "font/", "text/event-stream"} {
		if strings.HasPrefix(accept, kind) {
			return true
		}
	}
	if strings.Contains(accept, "text/html") { // a person opens the icon itself
		return false
	}
	name := path.Base(target)
	return name == "favicon.ico" || name == "robots.txt" || strings.HasPrefix(name, "apple-touch-icon")
}

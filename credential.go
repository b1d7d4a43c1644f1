package auth

import (
	"net/http"
	"slices"
	"strings"
)

// A Credential finds the user of a request that brings its own credentials, as the
// clients of an API do. If the Load of a Credential recognises the credentials, it
// alone decides: the request has the user that Load found, or none. The cookies of such
// a request are ignored.
//
// Such a request has no session. Session data is empty, and what you store in it is
// dropped, and so are flash messages. No cookie is read or set, and the login is never
// fresh. Only LoginUser turns it into a request with a session.
//
// The user is loaded and checked as for a session, so Load cannot let in a disabled
// account. Requests with credentials must pass the cross-origin check, too.
type Credential struct {
	// Load returns who makes the request. It has three answers:
	//
	//   - A Grant with a UserID, if the credentials are right.
	//   - An error that wraps ErrLoginRefused, if the request has credentials of this
	//     kind and they are wrong or malformed. The request is then anonymous, guards
	//     answer 401, and there is an event. The event has the UserID and Method of the
	//     Grant, if you set them.
	//   - An empty Grant and no error, if the request has no credentials of this kind.
	//     Then the next Credential is asked, and after the last one the session.
	//
	// Any other error is a failure: the request is answered 503. Load is called at most
	// once for a request, when the user or the session is first needed. The context of
	// r has no session. If Load parses a form, it reads the body, and the handler
	// cannot read it again.
	Load func(r *http.Request) (Grant, error)

	// Challenge, if set, is the value of WWW-Authenticate in a 401 to clients that are
	// not browsers, such as Bearer.
	Challenge string

	// scheme, if set, is the scheme of the Authorization header that Load reads. If the
	// request does not have it, Load need not be called.
	scheme string
}

// A Grant is what the Load of a Credential found.
type Grant struct {
	UserID string
	Method string // how the user authenticated; for events

	// Stamp, if set, must equal the Stamp of the account.
	Stamp Secret

	// Scopes, if not nil, limits what the request may do. It then has a user only in
	// handlers that RequireScope guards with one of these scopes; everywhere else it
	// gets ErrOutOfScope. ScopeAll allows everything.
	Scopes []string

	bound bool   // compare the Stamp even if it is empty
	id    string // the key of the API token's record, or empty
}

// ScopeAll is the scope that includes all others.
const ScopeAll = "*"

// covers reports whether the grant allows this scope. A nil grant is a login and allows
// everything.
func (g *Grant) covers(scope string) bool {
	return g == nil || g.Scopes == nil || slices.Contains(g.Scopes, ScopeAll) || slices.Contains(g.Scopes, scope)
}

// token returns the ID of the API token that the grant comes from, or "".
func (g *Grant) token() string {
	if g == nil {
		return ""
	}
	return g.id
}

// The schemes of Basic and Bearer. For Basic, Authenticate makes the event.
const (
	schemeBasic  = "Basic"
	schemeBearer = "Bearer"
)

// credentials returns the text after the scheme in a request's Authorization header,
// and whether the header names the scheme. If there are several Authorization headers,
// the text is empty, so the credentials are wrong.
func credentials(r *http.Request, scheme string) (text string, found bool) {
	lines := r.Header["Authorization"]
	for _, line := range lines {
		end := strings.IndexAny(line+" ", " \t")
		if !strings.EqualFold(line[:end], scheme) {
			continue
		}
		if len(lines) > 1 {
			return "", true
		}
		return strings.TrimLeft(line[end:], " "), true
	}
	return "", false
}

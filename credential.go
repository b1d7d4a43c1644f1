package auth

import (
	"net/http"
	"slices"
	"strings"
)

// A Credential finds the user of a request that brings credentials of its own,
// as the clients of an API do. If a loader knows the credentials, its verdict is
// final: the user is the one that it found, or nobody, and never that of a cookie
// in the same request. Such a request reads and writes no session: session data is
// empty and what is put there is dropped, flash messages too; no cookie is read or
// set, and nothing is fresh. Only LoginUser makes it a request with a login.
//
// The user is loaded and checked as that of a session is: a loader cannot let in
// a disabled account. No credentials exempt a request from the cross-origin check.
type Credential struct {
	// Load returns who makes the request. It has three answers:
	//
	//   - A Grant with a UserID, if the credentials are right.
	//   - An error that wraps ErrLoginRefused, if the request has credentials of
	//     the loader's kind and they are wrong or malformed. The request is then
	//     anonymous, guards answer 401, and there is an event (with the UserID and
	//     Method of the Grant, if they are known).
	//   - A Grant without a UserID and no error, if the request has none of the
	//     credentials that the loader knows. Then the next loader is asked, and
	//     after the last one the session.
	//
	// Any other error is a failure: the request is answered 503. Load is called once
	// for a request, and only if somebody asks who the user is or uses the session.
	// In the context of r there is no session. A Load that parses a form reads the
	// body, which the handler then cannot read.
	Load func(r *http.Request) (Grant, error)

	// Challenge, if set, is what 401 says in WWW-Authenticate to clients that
	// are no browsers: Bearer.
	Challenge string

	// scheme, if set, is the one of the Authorization header that Load reads, and
	// nothing else: without it there is nothing to ask.
	scheme string
}

// A Grant is what a Credential found.
type Grant struct {
	UserID string
	Method string // how the user authenticated, for events

	// Stamp, if set, must still be the account's.
	Stamp Secret

	// Scopes, if it is not nil, limits what the request may do to what
	// RequireScope guards with one of them, or everything if ScopeAll is among
	// them: for all else there is no user (ErrOutOfScope).
	Scopes []string

	bound bool   // the Stamp must be the account's, also if it is empty
	id    string // of an API token's record
}

// ScopeAll is the scope that has all others in it.
const ScopeAll = "*"

// covers reports whether the grant is for this scope. No grant, which is a login,
// is for all.
func (g *Grant) covers(scope string) bool {
	return g == nil || g.Scopes == nil || slices.Contains(g.Scopes, ScopeAll) || slices.Contains(g.Scopes, scope)
}

// token is the ID of the API token that the grant comes from, if it does.
func (g *Grant) token() string {
	if g == nil {
		return ""
	}
	return g.id
}

// schemeBasic is the scheme of Basic, for which Authenticate makes the event.
const (
	schemeBasic  = "Basic"
	schemeBearer = "Bearer"
)

// credentials returns what a request's Authorization header has for a scheme, and
// whether it names the scheme. Of several headers none is any good.
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

package auth

import (
	"context"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-login/auth/internal/keyring"
)

// A state is what the library knows about one request. LoadAndSave makes it, and it
// lives until the request has been answered. It consists of the parts below, each with
// its own rules. They are embedded, and not behind pointers, so that a request costs
// one allocation for all of them.
//
// Locks are taken in this order: loading, scs's own, op. valuing or noting may be taken
// last; their holder waits for nothing else.
type state struct {
	core   *Core
	ctx    requestContext // the request's context, with this state in it
	writer responseWriter

	json atomic.Bool // errors are answered in JSON: see AnswerJSON

	arrival
	identity
	sessionState
	jar
	notes
	values

	few *seldom // see state.seldom
}

// An arrival is the request as it came. It never changes.
type arrival struct {
	request   *http.Request
	url       *url.URL     // its URL, if it has no RequestURI
	served    http.Request // its copy with state.ctx; handlers get it
	forwarded []string     // the lines of its X-Forwarded-For
	arrived   time.Time    // when it arrived; set only if it has a cookie
}

// An identity says which user makes the request. There are three ways to find out (see
// state.currentUser): the request's own credentials, its session, its remembered
// device. state.op guards it.
type identity struct {
	// loading is held while the request is identified and while the user is loaded,
	// so that each happens once.
	loading sync.Mutex

	// identified is true once own is known and, if own is false, the session has been
	// read.
	identified atomic.Bool

	// own is true if the request has credentials of its own, right or wrong. Its
	// cookies are then ignored.
	own bool

	hadUser bool // the request had a user, who has not logged out in it

	acted atomic.Pointer[impersonation] // nil: the login is the user's own; may be read without op

	user        User   // nil: there is none, or it is not loaded yet
	grant       *Grant // what the request's own credentials allow, if they found the user
	scoped      bool   // Check with a Scope has let the token in for the whole request
	deviceTried bool   // the remember cookie has been used, or must not be used
	unread      bool   // the session could not be read and no caller got the error: the answer is an error
}

// An impersonation is what a request knows about the impersonation that it belongs to.
type impersonation struct {
	*actor
	user User // the administrator
}

// A sessionState is the session of the request. op guards it and is held while the
// store is at work.
//
// At most one of cur and ended is set. Once ended is true, nothing is stored any more,
// unless the request logs in.
type sessionState struct {
	op        sync.Mutex
	cur       *session // the session that the request came with, or its successor; nil: there is no record
	ended     bool     // another request has removed the record, or it cannot be read (failed)
	loggedOut bool     // the removed record was a login's
	replaced  bool     // a change of a credential replaced the token: see ErrReplaced
	failed    error    // why the session cannot be read
	suspect   bool     // the login is used from another client: see Config.Session.Protection
}

// A jar holds the cookies that the answer will set. Once the header is written,
// committed is true, and the jar takes no more. state.op guards it.
type jar struct {
	cookies      []cookie // each name is there once
	next         Next     // commit seals it into a cookie
	flash        []Flash  // commit seals them into a cookie
	flashRead    bool     // flash has been read from the request's cookie
	flashChanged bool
	varies       bool // the answer depends on the request's cookies
	committed    bool
}

// A seldom holds what only few requests need. state.op guards it.
type seldom struct {
	proved      string              // the ID of the account whose password the request has shown
	breachAsked Secret              // the password that Config.Password.Breaches was last asked about
	breached    bool                // the answer
	suspended   string              // the key of the pending record that this request made
	granted     map[string][]string // what Config.Roles.Source has said of roles
}

// seldom returns s.few. It allocates it at first use, so most requests do without. The caller
// holds op.
func (s *state) seldom() *seldom {
	if s.few == nil {
		s.few = &seldom{}
	}
	return s.few
}

// notes are events and failures that wait until no lock is held.
type notes struct {
	some   atomic.Bool // noted or met is set; most requests have neither, and need not lock noting
	noting sync.Mutex
	noted  []Event // OnEvent may ask for the current user, which takes locks
	met    error   // the first failure that a method returned
}

// values hold the application's data between the record and scs. No store is called
// while the mutex is held.
type values struct {
	valuing sync.Mutex
	loaded  string      // the encoded values that scs was given
	given   dataContext // the context in which scs finds them, once the application has asked for them
	dirty   atomic.Bool // values may have changed since the last commit
	lent    atomic.Bool // Load has been called: its caller may change values at any time, without setting dirty
}

// A cookie is what the answer does to the cookie of this name. Without a value it deletes the
// cookie. Otherwise it sets it: until the given time or, if that is zero, for as long as the
// browser runs.
type cookie struct {
	name, value string
	until       time.Time
}

// A requestContext is a request's context with its state.
type requestContext struct {
	context.Context
	state *state
}

func (c *requestContext) Value(key any) any {
	switch k := key.(type) {
	case stateKey:
		if k.core == c.state.core {
			return c.state
		}
	case clientKey:
		if k.core == c.state.core {
			return c.state
		}
	}
	return c.Context.Value(key)
}

type stateKey struct{ core *Core }

// clientKey finds the state even in an innerContext. It is for what waits for no lock:
// the client's address and user agent, and the application's data. A store that loads a
// user may ask for both.
type clientKey struct{ core *Core }

// An innerContext is a request's context without its session. Stores get it (see
// storecalls.go). A lock of the state may be held while a store runs: if the store, or its
// logger, asked for the current user, it would wait for itself.
type innerContext requestContext

func (c *innerContext) Value(key any) any {
	switch k := key.(type) {
	case stateKey:
		if k.core == c.state.core {
			return nil
		}
	case clientKey:
		if k.core == c.state.core {
			return c.state
		}
	}
	return c.Context.Value(key)
}

// inner returns the request's context without its session.
func (s *state) inner() *innerContext { return (*innerContext)(&s.ctx) }

// A responseWriter commits the session before the header goes out.
type responseWriter struct {
	http.ResponseWriter
	state   *state
	before  http.Header // the headers that were set outside LoadAndSave
	started bool
	failed  error // of the commit or a store; the response is an error page, and takes nothing more

	// Room for the values of two headers that most answers get. Only the first header that asks
	// for it gets it: a handler may have several, such as below http.TimeoutHandler, which
	// writes one while the handler writes another.
	varyRoom                [3]string // Cookie, Authorization, Accept
	noStoreRoom             [1]string
	varyTaken, noStoreTaken atomic.Bool
}

// vary says that the answer depends on a header of the request. Outside LoadAndSave, s is nil.
func (s *state) vary(h http.Header, name string) {
	names := h["Vary"]
	if slices.Contains(names, name) {
		return
	}
	if names == nil && s != nil && s.writer.varyTaken.CompareAndSwap(false, true) {
		names = s.writer.varyRoom[:0]
	}
	h["Vary"] = append(names, name)
}

// noStore tells browsers and proxies to keep no copy of the answer. Outside LoadAndSave, s is nil.
func (s *state) noStore(h http.Header) {
	const name = "Cache-Control"
	says := h[name]
	switch {
	case len(says) == 1 && says[0] == "no-store":
	case s != nil && s.writer.noStoreTaken.CompareAndSwap(false, true):
		s.writer.noStoreRoom[0] = "no-store"
		h[name] = s.writer.noStoreRoom[:]
	default:
		h[name] = []string{"no-store"}
	}
}

// requestOf is stateOf for callers that do not need the session. It asks no request
// loader and no store.
func (c *Core) requestOf(ctx context.Context) *state {
	s, _ := ctx.Value(stateKey{c}).(*state)
	return s
}

// clientOf is stateOf for callers that need only the client, or the application's data.
// See clientKey.
func (c *Core) clientOf(ctx context.Context) *state {
	s, _ := ctx.Value(clientKey{c}).(*state)
	return s
}

// hide returns a context without the session: see innerContext.
func (c *Core) hide(ctx context.Context) context.Context {
	switch x := ctx.(type) {
	case *requestContext:
		if x.state.core == c {
			return x.state.inner()
		}
	case *innerContext:
		if x.state.core == c {
			return ctx
		}
	}
	s := c.requestOf(ctx)
	if s == nil {
		return ctx
	}
	return &innerContext{ctx, s}
}

// detach returns a context for steps that belong together. If the client goes away
// between them, they go on, for finishTimeout at most.
func detach(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
}

const (
	finishTimeout = 10 * time.Second // for steps that must finish after the client has gone
)

func (s *state) target() *url.URL { return targetOf(s.request, s.url) }

// fail notes why the user of the request is unknown. From then on, the request stores nothing.
func (s *state) fail(err error) {
	s.op.Lock()
	s.failed, s.ended, s.cur = err, true, nil
	s.op.Unlock()
	s.identified.Store(true)
}

// mayBeOwn reports whether the request may have credentials that a Credential
// knows. If not, no loader has to be asked.
func (s *state) mayBeOwn() bool {
	for _, loader := range s.core.cfg.Credentials {
		if loader.scheme == "" {
			return true
		}
		if _, found := credentials(s.request, loader.scheme); found {
			return true
		}
	}
	return false
}

// sent returns the value of a cookie that the request sent, and whether it sent one.
func (s *state) sent(name string) (value string, ok bool) {
	if s.own {
		return "", false
	}
	return cookieOf(s.request, name)
}

// sentKey returns the key of the record that a cookie of the request names, or "".
func (s *state) sentKey(cookie string) string {
	token, _ := s.sent(cookie)
	if len(token) != keyring.TokenLength {
		return ""
	}
	return keyring.TokenKey(token)
}

// asSent returns the request as LoadAndSave got it: handlers and routers may have
// changed the method and the URL of r. Outside LoadAndSave it returns r.
func (c *Core) asSent(r *http.Request) *http.Request {
	if s := c.requestOf(r.Context()); s != nil {
		return s.request
	}
	return r
}

// targetOf returns the URL that the client asked for, even if a router
// (http.StripPrefix) has changed r.URL.
func (c *Core) targetOf(r *http.Request) *url.URL {
	if s := c.requestOf(r.Context()); s != nil {
		return c.site.whole(s.target())
	}
	return c.site.whole(targetOf(r, r.URL))
}

// known returns the ID of the user who makes the request, if the user is loaded already.
func (s *state) known() string {
	s.op.Lock()
	defer s.op.Unlock()
	return idOf(s.user)
}

func idOf(user User) string {
	if user == nil {
		return ""
	}
	return user.AuthAccount().ID
}

// handBack does for the copy of a request what net/http does for its own request. It
// removes the temporary files of a multipart form that was parsed in the copy. It also
// passes on the pattern that an http.ServeMux inside has found. If a handler makes a
// further copy, handBack does not see it.
func handBack(served, sent *http.Request) {
	if form := served.MultipartForm; form != nil && form != sent.MultipartForm {
		_ = form.RemoveAll()
	}
	if served.Pattern != sent.Pattern {
		sent.Pattern = served.Pattern
	}
}

// cookieOf returns the value of a request's cookie, and whether there is one. For our
// cookies, whose values are base64url, it finds what http.Request.Cookie finds, without
// parsing other cookies.
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

// A dataContext is a context in which scs finds a request's values; see values.go.
type dataContext struct {
	context.Context
	scs context.Context // the context that scs.Load returned; nil until the application asks for its data
}

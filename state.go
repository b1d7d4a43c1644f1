package auth

import (
	"context"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-login/auth/internal/keyring"
)

// A state is what the library knows about one request. LoadAndSave makes it, and it
// lives until the request has been answered. It consists of the parts below, each with
// its own rules. They are embedded, and not behind pointers, so that a request costs one
// allocation for all of them.
//
// Locks are taken in this order: loading, scs's own, op; and values, noting or the cookies'
// while nothing else is waited for.
type state struct {
	core   *Core
	ctx    requestContext // the request's context, with this state in it
	inner  innerContext   // the same without it, for stores
	writer responseWriter

	arrival
	identity
	sessionState
	jar
	proof
	notes
	values
}

// An arrival is the request as it came. It never changes.
type arrival struct {
	request   *http.Request
	url       *url.URL      // its URL, if it has no RequestURI
	served    *http.Request // the same request with state.ctx: handlers get it
	forwarded []string      // its lines of X-Forwarded-For
	arrived   time.Time     // set if it has a cookie
}

// An identity is whose request it is. There are three ways to find out (see
// state.currentUser): credentials of the request's own, its session, its remembered
// device. state.op guards it.
type identity struct {
	// loading is held while the request is identified and while the user is loaded,
	// so that each happens once.
	loading sync.Mutex

	// identified says that own is known and, unless own is true, that the session has
	// been read.
	identified atomic.Bool

	// own says that the request has credentials of its own, right or wrong. Then its
	// cookies are ignored.
	own bool

	user        User   // nil: nobody, or not loaded yet
	grant       *Grant // what the request's own credentials have granted, if they found the user
	scoped      bool   // CheckScope has opened the whole request to the grant
	deviceTried bool   // the remember cookie has been used, or must not be
	unread      bool   // the session could not be read and no caller was told: the answer is an error
}

// A sessionState is the session of the request. op guards it and is held while the
// store is at work.
//
// At most one of cur and ended is set. After ended nothing is stored any more, unless
// the request logs in.
type sessionState struct {
	op        sync.Mutex
	cur       *session // what the request came with, or has become; nil: nothing is stored
	ended     bool     // another request has removed the record, or it cannot be read (failed)
	loggedOut bool     // the record that was removed was a login's
	replaced  bool     // the token was replaced with a credential: see ErrReplaced
	failed    error    // why the session cannot be read
	suspect   bool     // the login is used from another client: see Config.Session.Protection
	suspended string   // the key of the pending record that this request has made
}

// A jar holds the cookies that the answer will set. Once the header is written it is
// committed, and takes no more. state.op guards it.
type jar struct {
	cookie       map[string]cookie // by name
	next         Next              // to be sealed into a cookie
	flash        []Flash           // likewise
	flashRead    bool              // flash has been read from the request's cookie
	flashChanged bool
	varies       bool // the answer depends on the request's cookies
	committed    bool
}

// A proof is what this request has shown about passwords. state.op guards it.
type proof struct {
	proved      string // the ID of the account whose password it has shown
	breachAsked Secret // the password that Config.Password.Breaches was last asked about
	breached    bool   // the answer
}

// notes are what waits until no lock is held.
type notes struct {
	noting sync.Mutex
	noted  []Event // whoever hears of them may ask for the current user
	met    error   // the first failure that a method returned
}

// values are the application's data on their way between the record and scs. No
// store is called while the mutex is held.
type values struct {
	valuing sync.Mutex
	loaded  string      // what scs has been given, encoded
	given   dataContext // where scs finds it, once the application has asked for it
	dirty   atomic.Bool // something may have changed since commit
	lent    atomic.Bool // Load has been called: code that we do not know may change something at any time
}

// A cookie is the value of one that is to be set, and when it ends. Without a value
// it is to be deleted, and without an end it lasts as long as the browser runs.
type cookie struct {
	value string
	until time.Time
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

// clientKey is for the state, too, and answered where there is no session: by
// whom, and from where, does not wait for anything. A store that loads a user may
// also ask for the application's data.
type clientKey struct{ core *Core }

// An innerContext is a request's context without its session. Stores get it (see
// border.go), because a lock of the state may be held while they run: a store, or a
// logger of its own, that asked for the current user would wait for itself.
type innerContext struct {
	context.Context
	core *Core
}

func (c *innerContext) Value(key any) any {
	if k, ok := key.(stateKey); ok && k.core == c.core {
		return nil
	}
	return c.Context.Value(key)
}

// A responseWriter commits the session before the header goes out.
type responseWriter struct {
	http.ResponseWriter
	state   *state
	before  http.Header // what was set outside
	started bool
	failed  error // the commit's; the response is an error page then, and takes nothing more
}

// requestOf is stateOf for what does not depend on the session, and so asks no
// request loader and no store.
func (c *Core) requestOf(ctx context.Context) *state {
	s, _ := ctx.Value(stateKey{c}).(*state)
	return s
}

// clientOf is stateOf for what the state says about the client, and for the
// application's data, and nothing else.
func (c *Core) clientOf(ctx context.Context) *state {
	s, _ := ctx.Value(clientKey{c}).(*state)
	return s
}

// hide returns a context in which there is no session: see innerContext.
func (c *Core) hide(ctx context.Context) context.Context {
	switch x := ctx.(type) {
	case *requestContext:
		if x.state.core == c { // it has one already
			return &x.state.inner
		}
	case *innerContext:
		if x.core == c {
			return ctx
		}
	}
	if c.requestOf(ctx) == nil {
		return ctx
	}
	return &innerContext{ctx, c}
}

// detach returns a context for steps that belong together: if the client goes away
// between them, they go on, for finishTimeout at most.
func detach(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(ctx), finishTimeout)
}

const (
	finishTimeout = 10 * time.Second // for what must be finished after the client has gone
)

func (s *state) target() *url.URL { return targetOf(s.request, s.url) }

// fail notes that nobody can say whose the request is. Nothing is stored any more.
func (s *state) fail(err error) {
	s.op.Lock()
	s.failed, s.ended, s.cur = err, true, nil
	s.op.Unlock()
	s.identified.Store(true)
}

// mayBeOwn reports whether a request loader may know the request's credentials: if
// not, none has to be asked.
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

// sent returns the value of a cookie of the request, and whether it has one.
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

// asSent returns a request as LoadAndSave got it, or the request itself outside:
// what is inside may have changed the method and the URL.
func (c *Core) asSent(r *http.Request) *http.Request {
	if s := c.requestOf(r.Context()); s != nil {
		return s.request
	}
	return r
}

// targetOf returns the URL that the client asked for, whatever a router
// (http.StripPrefix) has made of r.URL since.
func (c *Core) targetOf(r *http.Request) *url.URL {
	if s := c.requestOf(r.Context()); s != nil {
		return s.target()
	}
	return targetOf(r, r.URL)
}

func idOf(user User) string {
	if user == nil {
		return ""
	}
	return user.AuthAccount().ID
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

// This file brings the application's data from the session's record to scs and back.
// In the record the values are encoded; scs has them in a map. First data decodes them,
// when the application asks for one. Then saveValues has scs encode its map, save finds
// out which values have changed, and write changes those in the record.

// A dataContext is a context in which scs finds a request's values.
type dataContext struct {
	context.Context
	scs context.Context // what scs.Load has returned; nil until the application asks for its data
}

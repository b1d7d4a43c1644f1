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

// A state is what a request knows about its session. It lives from LoadAndSave
// to the end of the request. What every request needs is in it, and not behind
// a pointer, so that it is allocated in one piece.
type state struct {
	core      *Core
	request   *http.Request  // as it came
	url       *url.URL       // likewise, if the request has no RequestURI
	served    *http.Request  // the same request with ctx, which handlers get
	forwarded []string       // the lines of X-Forwarded-For that it came with
	ctx       requestContext // its context, with this state in it
	inner     innerContext   // the same without it
	writer    responseWriter

	// loading is held while the request is identified and the user is loaded, so
	// that each happens once.
	loading sync.Mutex

	// identified says that it is known whether the request has credentials of its
	// own, which is own, and that its session has been read if it has none. The
	// cookies of a request that has some are not looked at.
	identified atomic.Bool
	own        bool

	// op guards what follows, and is held while it is brought in line with the
	// store. scs has a lock of its own, which is always taken before op.
	op          sync.Mutex
	failed      error    // the session could not be read: nobody can say whose it is
	cur         *session // what the request came with, or has become; nil: nothing is stored
	user        User
	grant       *Grant            // of the request loader that found the user, if one did
	proved      string            // the ID of the account whose password this request has shown
	breachAsked Secret            // the password that Config.Breaches was last asked about
	cookie      map[string]cookie // to be set
	arrived     time.Time         // when the request did, if it has a cookie
	next        Next              // to be kept in a cookie
	flash       []Flash

	ended        bool // the record that the request came with was removed by another: nothing is stored any more
	loggedOut    bool // and it was a login
	replaced     bool // the request's token was replaced with a credential: see ErrReplaced
	userKnown    bool
	varies       bool // the answer depends on the cookie
	suspect      bool // the login is used from another client: see Config.Protection
	committed    bool // the header is written: no cookie can be set any more
	resumed      bool // the remember cookie has been tried
	unread       bool // nobody was told that the session could not be read: the answer is an error
	scoped       bool // CheckScope has let the request through
	breached     bool // what Config.Breaches said of breachAsked
	flashRead    bool
	flashChanged bool

	// noted are events that wait until no lock is held: what hears of them may
	// ask who the user is. met is the first failure that a method returned.
	noting sync.Mutex
	noted  []Event
	met    error

	// values guards the application's data on its way between the record and
	// scs. No store is called while it is held.
	values   sync.Mutex
	loaded   string         // what scs has been given, encoded
	given    map[string]any // the same map that scs has; only to be touched under scs's lock
	scsData  any            // scs's own state, once the application has asked for it
	scsReady bool
	dirty    atomic.Bool // something may have changed since commit
}

// A cookie is the value of one that is to be set, and when it ends. Without a value
// it is to be deleted, and without an end it lasts as long as the browser runs.
type cookie struct {
	value string
	until time.Time
}

// A requestContext is a request's context with its state. It answers scs, too,
// and only then decodes the application's values: most requests never ask.
type requestContext struct {
	context.Context
	state *state
}

type stateKey struct{ core *Core }

// clientKey is for the state, too, and answered where there is no session: by
// whom, and from where, does not wait for anything.
type clientKey struct{ core *Core }

// An innerContext is what stores get while a lock of the state is held. There
// is no session in it: a store, or a log of its own, that asks who the user is
// would wait for itself.
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

// clientOf is stateOf for what the state says about the client, and nothing
// else.
func (c *Core) clientOf(ctx context.Context) *state {
	s, _ := ctx.Value(clientKey{c}).(*state)
	return s
}

// inner returns a context for stores: see innerContext.
func (c *Core) inner(ctx context.Context) context.Context {
	if outer, ok := ctx.(*requestContext); ok && outer.state.core == c { // it has one already
		return &outer.state.inner
	}
	return &innerContext{ctx, c}
}

// detach returns a context for steps that belong together: a client that goes
// away must not leave half of them.
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
	for _, loader := range s.core.cfg.RequestLoaders {
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

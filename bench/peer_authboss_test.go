package bench_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aarondl/authboss/v3"
	_ "github.com/aarondl/authboss/v3/auth"
	"github.com/aarondl/authboss/v3/defaults"
	_ "github.com/aarondl/authboss/v3/recover"
	"github.com/aarondl/authboss/v3/remember"
	"github.com/alexedwards/argon2id"
	"github.com/go-login/auth"
	"github.com/gorilla/securecookie"
	"github.com/gorilla/sessions"
)

// openAuthboss uses authboss with the modules for logins, remembering and
// recovery, and the middlewares of its sample. It has authboss's defaults, with
// two exceptions: passwords are hashed as in the other applications instead of
// with bcrypt, and answers have no templates. Sessions are in cookies of
// gorilla/sessions, as in authboss-clientstate.
func openAuthboss(tb testing.TB, users *members) *site {
	tb.Helper()
	ab, store := newAuthboss(tb, users, false)
	routes := ab.Core.Router
	at := func(path string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = path
			routes.ServeHTTP(w, r)
		})
	}
	return newSite(parts{
		around: func(next http.Handler) http.Handler {
			return ab.LoadClientStateMiddleware(remember.Middleware(ab)(next))
		},
		who: func(r *http.Request) string {
			user, err := ab.CurrentUser(r)
			if err != nil {
				return ""
			}
			return user.GetPID()
		},
		count: func(w http.ResponseWriter, r *http.Request) int {
			text, _ := authboss.GetSession(r, "visits")
			visits, _ := strconv.Atoi(text)
			authboss.PutSession(w, "visits", strconv.Itoa(visits+1))
			return visits + 1
		},
		guard: authboss.Middleware2(ab, authboss.RequireNone, authboss.RespondRedirect),
		login: at("/login"),
		device: func(w http.ResponseWriter, r *http.Request, m *member) error {
			hash, token, err := remember.GenerateToken(m.name)
			if err != nil {
				return err
			}
			authboss.PutCookie(w, authboss.CookieRemember, token)
			return store.AddRememberToken(r.Context(), m.name, hash)
		},
		token: func(m *member) (string, error) { // what authboss's page does, without the mail
			selector, verifier, token, err := ab.Core.OneTimeTokenGenerator.GenerateToken()
			if err != nil {
				return "", err
			}
			user, err := store.load(m.name)
			if err != nil {
				return "", err
			}
			user.PutRecoverSelector(selector)
			user.PutRecoverVerifier(verifier)
			user.PutRecoverExpiry(time.Now().UTC().Add(ab.Modules.RecoverTokenDuration))
			return token, store.Save(tb.Context(), user)
		},
		reset: func(w http.ResponseWriter, r *http.Request) error {
			at("/recover/end").ServeHTTP(w, r)
			return nil
		},
	}, users)
}

// newAuthboss returns authboss and its store. If json is true, forms are read as JSON.
func newAuthboss(tb testing.TB, users *members, json bool) (*authboss.Authboss, *bossStore) {
	tb.Helper()
	store := &bossStore{users: map[string]*bossUser{}, devices: map[[2]string]bool{}}
	for _, m := range users.named {
		store.users[m.name] = &bossUser{name: m.name, hash: m.hash}
	}
	const secret = "Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq"
	ab := authboss.New()
	ab.Storage.Server = store
	ab.Storage.SessionState = bossSessions{sessions.NewCookieStore([]byte(secret))}
	ab.Storage.CookieState = bossCookies{securecookie.New([]byte(secret), nil)}
	ab.Core.ViewRenderer = defaults.JSONRenderer{}
	ab.Core.MailRenderer = defaults.JSONRenderer{}
	defaults.SetCore(&ab.Config, json, true)
	ab.Core.Logger = defaults.NewLogger(io.Discard)
	ab.Core.ErrorHandler = defaults.NewErrorHandler(ab.Core.Logger)
	ab.Core.Hasher = bossHasher{}
	check(tb, ab.Init())
	return ab, store
}

// bossHasher hashes passwords as the other applications do.
type bossHasher struct{}

func (bossHasher) GenerateHash(password string) (string, error) {
	params := auth.DefaultHashParams()
	return argon2id.CreateHash(password, &params)
}

func (bossHasher) CompareHashAndPassword(hash, password string) error {
	ok, err := argon2id.ComparePasswordAndHash(password, hash)
	if err == nil && !ok {
		err = errors.New("wrong password")
	}
	return err
}

// A bossUser is the user of an application on authboss.
type bossUser struct {
	name, hash, selector, verifier, totp string
	expiry                               time.Time
}

func (u *bossUser) GetPID() string                { return u.name }
func (u *bossUser) GetPassword() string           { return u.hash }
func (u *bossUser) GetEmail() string              { return u.name + "@example.com" }
func (u *bossUser) GetRecoverSelector() string    { return u.selector }
func (u *bossUser) GetRecoverVerifier() string    { return u.verifier }
func (u *bossUser) GetRecoverExpiry() time.Time   { return u.expiry }
func (u *bossUser) GetTOTPSecretKey() string      { return u.totp }
func (u *bossUser) GetRecoveryCodes() string      { return "" }
func (u *bossUser) PutTOTPSecretKey(key string)   { u.totp = key }
func (u *bossUser) PutRecoveryCodes(string)       {} // nobody uses one
func (u *bossUser) PutPID(string)                 {} // names do not change
func (u *bossUser) PutEmail(string)               {} // addresses follow from names
func (u *bossUser) PutPassword(hash string)       { u.hash = hash }
func (u *bossUser) PutRecoverSelector(s string)   { u.selector = s }
func (u *bossUser) PutRecoverVerifier(s string)   { u.verifier = s }
func (u *bossUser) PutRecoverExpiry(at time.Time) { u.expiry = at }

// A bossStore keeps users and remembered devices in maps.
type bossStore struct {
	mu      sync.RWMutex
	users   map[string]*bossUser
	devices map[[2]string]bool // by user and hash
}

// load returns a copy; Save stores changes.
func (s *bossStore) load(name string) (*bossUser, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	user, ok := s.users[name]
	if !ok {
		return nil, authboss.ErrUserNotFound
	}
	c := *user
	return &c, nil
}

func (s *bossStore) Load(_ context.Context, name string) (authboss.User, error) {
	user, err := s.load(name)
	if err != nil {
		return nil, err
	}
	return user, nil
}

func (s *bossStore) LoadByRecoverSelector(_ context.Context, selector string) (authboss.RecoverableUser, error) {
	// A real application would have an index. Here only the first user has a
	// selector.
	user, err := s.load(username(0))
	if err != nil || user.selector != selector {
		return nil, authboss.ErrUserNotFound
	}
	return user, nil
}

func (s *bossStore) Save(_ context.Context, u authboss.User) error {
	user, ok := u.(*bossUser)
	if !ok {
		return errors.New("not a user of this application")
	}
	c := *user
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[user.name] = &c
	return nil
}

func (s *bossStore) AddRememberToken(_ context.Context, name, hash string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.devices[[2]string{name, hash}] = true
	return nil
}

func (s *bossStore) UseRememberToken(_ context.Context, name, hash string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if key := [2]string{name, hash}; s.devices[key] {
		delete(s.devices, key)
		return nil
	}
	return authboss.ErrTokenNotFound
}

func (s *bossStore) DelRememberTokens(_ context.Context, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.devices {
		if key[0] == name {
			delete(s.devices, key)
		}
	}
	return nil
}

// bossSessions keeps authboss's sessions in cookies of gorilla/sessions.
type bossSessions struct{ store *sessions.CookieStore }

const bossSession = "session"

type bossSessionState struct{ session *sessions.Session }

func (s bossSessionState) Get(key string) (string, bool) {
	value, ok := s.session.Values[key].(string)
	return value, ok
}

func (s bossSessions) ReadState(r *http.Request) (authboss.ClientState, error) {
	session, err := s.store.Get(r, bossSession)
	if err != nil {
		return nil, err
	}
	return bossSessionState{session}, nil
}

func (s bossSessions) WriteState(w http.ResponseWriter, state authboss.ClientState, events []authboss.ClientStateEvent) error {
	of, ok := state.(bossSessionState)
	if !ok {
		return errors.New("no session")
	}
	for _, e := range events {
		switch e.Kind {
		case authboss.ClientStateEventPut:
			of.session.Values[e.Key] = e.Value
		case authboss.ClientStateEventDel:
			delete(of.session.Values, e.Key)
		case authboss.ClientStateEventDelAll:
			clear(of.session.Values)
		}
	}
	return s.store.Save(nil, w, of.session)
}

// bossCookies keeps the signed remember cookie.
type bossCookies struct{ codec *securecookie.SecureCookie }

type bossCookieState map[string]string

func (s bossCookieState) Get(key string) (string, bool) {
	value, ok := s[key]
	return value, ok
}

func (c bossCookies) ReadState(r *http.Request) (authboss.ClientState, error) {
	state := bossCookieState{}
	for _, cookie := range r.CookiesNamed(authboss.CookieRemember) {
		var value string
		if err := c.codec.Decode(cookie.Name, cookie.Value, &value); err != nil {
			return nil, err
		}
		state[cookie.Name] = value
	}
	return state, nil
}

func (c bossCookies) WriteState(w http.ResponseWriter, _ authboss.ClientState, events []authboss.ClientStateEvent) error {
	const month = 30 * 24 * 60 * 60
	for _, e := range events {
		cookie := &http.Cookie{Name: e.Key, Path: "/", MaxAge: -1, HttpOnly: true, Secure: true}
		if e.Kind == authboss.ClientStateEventPut {
			encoded, err := c.codec.Encode(e.Key, e.Value)
			if err != nil {
				return err
			}
			cookie.Value, cookie.MaxAge = encoded, month
		}
		http.SetCookie(w, cookie)
	}
	return nil
}

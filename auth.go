// Package auth gives a net/http application logins: sessions that end when
// they are ended, passwords, guarded pages, and the current user in the type
// of the application's own.
//
// A [Manager] is made by [New] from a [UserStore], which finds and saves users,
// and a [Config]. Its LoadAndSave wraps the whole application; inside,
//
//	user, ok := manager.CurrentUser(r.Context())
//
// says who makes the request. A Manager is safe for use by many goroutines, and a
// process may have several: all they share is the memory that password hashing
// takes (Config.HashMemory) and, where they are given the same, stores (Config.Name). Its methods, by what they
// are for:
//
//   - who it is: CurrentUser, User, CurrentLogin
//   - guards: RequireLogin, RequireFresh, RequireVerified, RequireScope; CheckFresh, CheckVerified, CheckScope
//   - logging in and out: Authenticate, LoginUser, ConfirmLogin, LogoutUser, TakeNext
//   - logins elsewhere: Logins, EndLogin, EndOtherLogins, LogoutEverywhere, WhileLoggedIn
//   - accounts: Register, RegisterByMail, CloseAccount
//   - for administrators: Disable, Enable, Unlock
//   - passwords: SetPassword, CheckPassword, SendReset, ResetPassword, WrapHash
//   - addresses: CheckNewEmail, SendVerification, VerifyEmail; SendNewEmail, ConfirmEmail, UndoEmail
//   - programs: NewAPIToken, APITokens, RevokeAPIToken, and Config.RequestLoaders
//   - pages: Sessions, Flash, Flashes, View, Error
//
// Everything the library itself must remember is a [Record] in a
// [RecordStore]. Packages memstore and sqlstore implement both interfaces, and
// package storetest checks an implementation of one's own.
package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/go-login/auth/internal/passhash"
)

// What a login page must tell apart. A page that is written with these three
// questions stays right when later features refuse logins for reasons of their
// own:
//
//   - errors.Is(err, ErrLoginRefused): show the form again, with one text for
//     all reasons, since a reason tells a stranger about the account.
//   - errors.Is(err, ErrFactorRequired): go to the page for the second factor.
//   - anything else: Manager.Error(w, r, err), which answers 503 to ErrBusy and to
//     a store that fails, and 500 to a mistake in the program.
var (
	// ErrLoginRefused is wrapped by all the errors that say "not you" or "not
	// now".
	ErrLoginRefused = errors.New("auth: login refused")

	ErrInvalidCredentials = fmt.Errorf("%w: wrong login or password", ErrLoginRefused)

	// ErrDisabled and ErrUnverified say so only to who has shown the password.
	ErrDisabled   = fmt.Errorf("%w: the account is disabled", ErrLoginRefused)
	ErrUnverified = fmt.Errorf("%w: the address is not verified", ErrLoginRefused)

	// ErrLocked and ErrResetRequired are for events: Authenticate says
	// ErrInvalidCredentials, since the password is not looked at.
	ErrLocked        = fmt.Errorf("%w: too many failures", ErrLoginRefused)
	ErrResetRequired = fmt.Errorf("%w: the password must be reset", ErrLoginRefused)

	// ErrFactorRequired says that the password was right and a second factor
	// is still to be shown.
	ErrFactorRequired = errors.New("auth: a second factor is required")

	// ErrBusy says that more passwords wait to be hashed than the process's memory
	// budget and its short queue take, or that one has waited for some seconds (503
	// with Retry-After).
	ErrBusy = passhash.ErrBusy
)

// Other errors.
var (
	// ErrNotLoggedIn says that nobody is logged in.
	ErrNotLoggedIn = errors.New("auth: not logged in")

	// ErrLoggedOut says that the login was ended while the request was at work.
	ErrLoggedOut = fmt.Errorf("%w: the login has been ended", ErrNotLoggedIn)

	// ErrReplaced says that another request of this browser has just changed the
	// user's password, or another credential, and with it the session's token: this
	// request was sent with the old one. The browser is logged in and has the new one
	// by now, so the same request can be made again. It wraps ErrLoggedOut, and so
	// ErrNotLoggedIn: ask for it first. Manager.Error answers it with 401 and a page to
	// try again from, and sends nobody to the login page.
	ErrReplaced = fmt.Errorf("%w: the session's token was replaced with a credential; try again", ErrLoggedOut)

	// ErrNoSession says that the context is not one of a request inside
	// LoadAndSave.
	ErrNoSession = errors.New("auth: not inside LoadAndSave")

	// ErrHeaderWritten says that it is too late to set a cookie.
	ErrHeaderWritten = errors.New("auth: the response's header has been written")

	// ErrInvalidToken says that a mailed token is damaged, forged, expired,
	// used or made void, or another user's. Which of them it is must stay unknown,
	// except that Core.TokenUsed knows a token that has worked.
	ErrInvalidToken = errors.New("auth: invalid or expired token")

	// ErrHashUnusable says that a stored password hash is malformed, of an
	// unknown kind or beyond the limits. It opens for no password.
	ErrHashUnusable = errors.New("auth: the stored hash is malformed, of an unknown kind or beyond the limits")

	// ErrCrossOrigin says that a request that may change something came from
	// a page of another site.
	ErrCrossOrigin = errors.New("auth: cross-origin request refused")

	// ErrNoUserStore says that the Manager was made by NewLoader, which can
	// only load users.
	ErrNoUserStore = errors.New("auth: this manager has a UserLoader, not a UserStore")
)

// Core is the engine behind a Manager, free of the user's type. Packages that
// build on this one take an interface{ Core() *Core }; applications use the
// Manager.
type Core struct {
	cfg      Config
	baseURL  *url.URL
	users    loader
	store    storer         // nil if there is only a loader
	omitted  []AccountField // that the user store does not keep
	deletes  bool           // the user store is a UserDeleter
	records  RecordStore
	sessions RecordStore
	cookies  cookies
	origins  originCheck
	secrets  *keyring
	hasher   *hasher
	watches  watches
	turns    turns
	instance string // random: no other Core has it
	proxies  proxyWatch
	clock    uint64 // names this Core's clock among those of other servers
	upgrades upgrades
	scs      *scs.SessionManager
	scsKey   any // under which scs looks for its data in a context
}

// A Manager is an application's logins, with its own user type U.
type Manager[U User] struct {
	core   *Core
	absent func(U) bool
}

// New makes a Manager with all features. It returns an error for every
// misconfiguration that it can see.
func New[U User](store UserStore[U], cfg Config) (*Manager[U], error) {
	if isNil(store) {
		return nil, errors.New("auth: no user store")
	}
	if cfg.Records == nil {
		cfg.Records, _ = store.(RecordStore)
	}
	if err := checkStores(store, cfg.Records, cfg.Sessions); err != nil {
		return nil, err
	}
	s := typedStore[U]{typedLoader[U]{store, absent[U]()}, store}
	omitted, err := omitFields(store, &cfg)
	if err != nil {
		return nil, err
	}
	core, err := newCore(s, s, cfg)
	if err != nil {
		return nil, err
	}
	core.omitted = omitted
	_, core.deletes = store.(UserDeleter)
	return &Manager[U]{core, absent[U]()}, nil
}

// NewLoader makes a Manager for an application that checks passwords itself:
// it has sessions, guards and the current user. Methods that need a UserStore
// return ErrNoUserStore.
func NewLoader[U User](loader UserLoader[U], cfg Config) (*Manager[U], error) {
	if isNil(loader) {
		return nil, errors.New("auth: no user loader")
	}
	if cfg.Records == nil {
		cfg.Records, _ = loader.(RecordStore)
	}
	if err := checkStores(loader, cfg.Records, cfg.Sessions); err != nil {
		return nil, err
	}
	core, err := newCore(typedLoader[U]{loader, absent[U]()}, nil, cfg)
	if err != nil {
		return nil, err
	}
	return &Manager[U]{core, absent[U]()}, nil
}

func newCore(users loader, store storer, cfg Config) (*Core, error) {
	c := &Core{cfg: cfg, users: users, store: store, records: cfg.Records, sessions: cfg.Sessions, instance: newToken(), clock: uint64(randomVersion())}
	if store == nil && slices.ContainsFunc(cfg.RequestLoaders, func(l RequestLoader) bool { return l.scheme == schemeBasic }) {
		return nil, fmt.Errorf("auth: BasicLoader: %w", ErrNoUserStore)
	}
	if store == nil && cfg.RequireVerified {
		return nil, fmt.Errorf("auth: RequireVerified: %w", ErrNoUserStore)
	}
	if isNil(c.records) {
		return nil, errors.New("auth: no record store: the user store is none, so Config.Records must name one")
	}
	if c.sessions == nil {
		c.sessions = c.records
	} else if isNil(c.sessions) {
		return nil, errors.New("auth: Config.Sessions is a nil pointer")
	}
	c.records, c.sessions = &border{c.records}, &border{c.sessions}
	if err := c.cfg.setDefaults(); err != nil {
		return nil, err
	}
	c.records, c.sessions = separate(c.records, cfg.Name), separate(c.sessions, cfg.Name)
	var err error
	if c.baseURL, err = parseBaseURL(cfg.BaseURL); err != nil {
		return nil, err
	}
	if c.cookies, err = newCookies(c.baseURL, c.cfg.CookieName); err != nil {
		return nil, err
	}
	if c.origins, err = newOriginCheck(c.baseURL, cfg.Origins, cfg.CrossOriginBypass); err != nil {
		return nil, err
	}
	for _, page := range []string{c.cfg.LoginURL, c.cfg.RefreshURL} {
		if c.origins.opens(c.baseURL, page) {
			return nil, fmt.Errorf("auth: CrossOriginBypass has %s in it, and pages of other sites could log people in", page)
		}
	}
	if c.secrets, err = newKeyring(cfg.Secrets, cfg.Name); err != nil {
		return nil, err
	}
	if err := checkPeppers(cfg.Peppers, cfg.Secrets); err != nil {
		return nil, err
	}
	if c.hasher, err = newHasher(c.cfg.HashParams, c.cfg.HashMemory, cfg.Peppers, c.cfg.Logger); err != nil {
		return nil, err
	}
	c.scs, c.scsKey = newSCS(c)
	return c, nil
}

// Identifiers returns Config.Identifiers.
func (c *Core) Identifiers() Identifiers { return c.cfg.Identifiers }

// BaseURL returns Config.BaseURL as browsers write an origin: in lower case, and
// without the scheme's own port.
func (c *Core) BaseURL() string { return c.baseURL.String() }

// LoginURL returns Config.LoginURL.
func (c *Core) LoginURL() string { return c.cfg.LoginURL }

// RefreshURL returns Config.RefreshURL.
func (c *Core) RefreshURL() string { return c.cfg.RefreshURL }

// VerifyURL returns Config.VerifyURL.
func (c *Core) VerifyURL() string { return c.cfg.VerifyURL }

// RequiresVerified returns Config.RequireVerified.
func (c *Core) RequiresVerified() bool { return c.cfg.RequireVerified }

// ResetLifetime returns Config.ResetLifetime.
func (c *Core) ResetLifetime() time.Duration { return c.cfg.ResetLifetime }

// Cookie returns a cookie with the name that belongs to this application and
// the attributes that all its cookies have, to be given a value and set:
// http.SetCookie(w, &c). For what must not be stored, such as a token on its
// way through a redirect. The library's own are visitor, flash, next, remember and
// browser.
func (c *Core) Cookie(name string) http.Cookie {
	return http.Cookie{
		Name: c.cookies.session + "-" + name, Path: "/",
		Secure: c.cookies.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

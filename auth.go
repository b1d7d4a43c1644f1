// Package auth gives a net/http application logins: sessions that end when
// they are ended, passwords, guarded pages, and the current user in the type
// of the application's own.
//
// A [Manager] is made by [New] from a [UserStore], which finds and saves users,
// and a [Config]. Its LoadAndSave wraps the whole application; inside,
//
//	user, ok := manager.CurrentUser(r.Context())
//
// says who makes the request, RequireLogin guards a handler, Authenticate and
// LoginUser log somebody in, LogoutUser ends it. A Manager is safe for use by
// many goroutines; there is no global state, and a process may have several.
//
// Everything the library itself must remember is a [Record] in a
// [RecordStore]. Packages memstore and sqlstore implement both interfaces, and
// package storetest checks an implementation of one's own.
package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/alexedwards/scs/v2"
)

// What a login page must tell apart. A page that is written with these three
// questions stays right when later features refuse logins for reasons of their
// own:
//
//   - errors.Is(err, ErrLoginRefused): show the form again, with one text for
//     all reasons, since a reason tells a stranger about the account.
//   - errors.Is(err, ErrFactorRequired): go to the page for the second factor.
//   - anything else: Manager.Error(w, r, err), which answers 503 to ErrBusy and
//     500 to what is nobody's fault but ours.
var (
	// ErrLoginRefused is wrapped by all the errors that say "not you" or "not
	// now".
	ErrLoginRefused = errors.New("auth: login refused")

	ErrInvalidCredentials = fmt.Errorf("%w: wrong login or password", ErrLoginRefused)
	ErrDisabled           = fmt.Errorf("%w: the account is disabled", ErrLoginRefused)
	ErrUnverified         = fmt.Errorf("%w: the address is not verified", ErrLoginRefused)
	ErrLocked             = fmt.Errorf("%w: too many failures", ErrLoginRefused)
	ErrResetRequired      = fmt.Errorf("%w: the password must be reset", ErrLoginRefused)

	// ErrFactorRequired says that the password was right and a second factor
	// is still to be shown.
	ErrFactorRequired = errors.New("auth: a second factor is required")

	// ErrBusy says that more passwords wait to be hashed than the memory
	// budget and its short queue take (503 with Retry-After).
	ErrBusy = errors.New("auth: too busy to hash a password")
)

// Other errors.
var (
	// ErrNotLoggedIn says that nobody is logged in.
	ErrNotLoggedIn = errors.New("auth: not logged in")

	// ErrLoggedOut says that the login was ended while the request was at work.
	ErrLoggedOut = fmt.Errorf("%w: the login has been ended", ErrNotLoggedIn)

	// ErrNoSession says that the context is not one of a request inside
	// LoadAndSave.
	ErrNoSession = errors.New("auth: not inside LoadAndSave")

	// ErrHeaderWritten says that it is too late to set a cookie.
	ErrHeaderWritten = errors.New("auth: the response's header has been written")

	// ErrInvalidToken says that a mailed token is damaged, forged, expired,
	// used or made void; which of them is nobody's business.
	ErrInvalidToken = errors.New("auth: invalid or expired token")

	// ErrCrossOrigin says that a request that may change something came from
	// a page of another site.
	ErrCrossOrigin = errors.New("auth: cross-origin request refused")

	// ErrNoUserStore says that the Manager was made by NewLoader, which can
	// only load users.
	ErrNoUserStore = errors.New("auth: this manager has a UserLoader, not a UserStore")
)

// Identifiers says what a user may type as the login.
type Identifiers int

// The identifiers.
const (
	UsernameOrEmail Identifiers = iota // the default
	UsernameOnly
	EmailOnly
)

// A Config holds the settings of a Manager. Only BaseURL and Secrets have no
// default.
type Config struct {
	// BaseURL is where browsers find the application: https, or http on a
	// loopback address for development. Links in mails, the application's own
	// origin and the cookies' attributes follow it, never a request's Host.
	BaseURL string

	// Secrets are random keys of at least 32 bytes each. The first one signs
	// and seals, all are accepted: to rotate, put a new one in front and
	// remove the last one when what it has sealed has expired.
	Secrets [][]byte

	// Records keeps what must last. It defaults to the user store, if that is
	// a RecordStore too.
	Records RecordStore

	// Sessions keeps what may vanish at the cost of logging people out. It
	// defaults to Records.
	Sessions RecordStore

	// Mailer sends the mails. Without one SendReset returns ErrNoMailer.
	Mailer Mailer

	// Identifiers is what people log in with: UsernameOrEmail by default.
	Identifiers Identifiers

	// LoginURL is where RequireLogin sends browsers: /login by default. It is
	// a path of this site or an absolute URL.
	LoginURL string

	// CookieName is the name of the session cookie, "session" by default,
	// which becomes __Host-session over https and session-PORT on loopback.
	CookieName string

	// Lifetime is the longest that a login lasts, however active: 24 hours by
	// default (NIST SP 800-63B-4, section 2.2.3). Rotations do not extend it.
	Lifetime time.Duration

	// IdleTimeout ends a session that made no request for this long: 1 hour by
	// default (the same section). It is kept to the minute: a session may end
	// up to a minute early, never late. Negative means none.
	IdleTimeout time.Duration

	// RememberFor is how long Remember lasts, however often the device is used:
	// 30 days by default (NIST SP 800-63B-4, section 2.1.3), at most 400, which
	// is what browsers keep a cookie.
	RememberFor time.Duration

	// Origins are further origins (https://admin.example) whose pages may send
	// requests that change something. A trusted origin is fully trusted: its
	// pages can do whatever the user can.
	Origins []string

	// CrossOriginBypass are http.ServeMux patterns of requests that skip the
	// cross-origin check, such as webhooks that authenticate each request.
	CrossOriginBypass []string

	// MinPassword is the least number of code points in a new password: 8 by
	// default, which is also the minimum. NIST SP 800-63B-4 asks for 15 where
	// the password is the only factor.
	MinPassword int

	// PasswordWords are words that may not be a password by themselves, nor
	// followed by digits: the application's and the organisation's names.
	PasswordWords []string

	// PasswordCheck, if set, has the last word on a new password. Its error's
	// text is for the user; it is wrapped in a PasswordError.
	PasswordCheck func(ctx context.Context, password string, a Account) error

	// HashParams are the parameters of Argon2id for new hashes; see
	// DefaultHashParams. Weaker ones than OWASP's minimum are refused.
	HashParams *argon2id.Params

	// HashMemory is how much memory password hashing may use at a time, in
	// bytes: 64 MiB by default. Hashes beyond it wait in a short queue, and
	// beyond that get ErrBusy. A stored hash that needs more is never verified.
	HashMemory int64

	// ResetLifetime is how long a reset token is good for: 30 minutes by
	// default, from a minute to 24 hours.
	ResetLifetime time.Duration

	// OnEvent, if set, is told what happens, failures too; see Event. It runs
	// in the request and should be quick. Its panics are logged and go no
	// further.
	OnEvent func(context.Context, Event)

	// Logger gets a record for each event and each error: slog.Default() by
	// default.
	Logger *slog.Logger

	// ErrorPage, if set, writes the answer to a request that failed, in place
	// of a line of plain text. The headers that matter are set; it should
	// write the status and a body. err is for the log and not for the client.
	ErrorPage func(w http.ResponseWriter, r *http.Request, status int, err error)

	// Now is the clock: time.Now by default.
	Now func() time.Time
}

// Core is the engine behind a Manager, free of the user's type. Packages that
// build on this one take an interface{ Core() *Core }; applications use the
// Manager.
type Core struct {
	cfg      Config
	baseURL  *url.URL
	users    loader
	store    storer // nil if there is only a loader
	records  RecordStore
	sessions RecordStore
	cookies  cookies
	origins  originCheck
	secrets  *keyring
	hasher   *hasher
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
	s := typedStore[U]{typedLoader[U]{store, absent[U]()}, store}
	core, err := newCore(s, s, cfg)
	if err != nil {
		return nil, err
	}
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
	core, err := newCore(typedLoader[U]{loader, absent[U]()}, nil, cfg)
	if err != nil {
		return nil, err
	}
	return &Manager[U]{core, absent[U]()}, nil
}

func newCore(users loader, store storer, cfg Config) (*Core, error) {
	c := &Core{cfg: cfg, users: users, store: store, records: cfg.Records, sessions: cfg.Sessions}
	if isNil(c.records) {
		return nil, errors.New("auth: no record store: the user store is none, so Config.Records must name one")
	}
	if c.sessions == nil {
		c.sessions = c.records
	} else if isNil(c.sessions) {
		return nil, errors.New("auth: Config.Sessions is a nil pointer")
	}
	if err := c.cfg.setDefaults(); err != nil {
		return nil, err
	}
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
	if c.secrets, err = newKeyring(cfg.Secrets); err != nil {
		return nil, err
	}
	if c.hasher, err = newHasher(c.cfg.HashParams, c.cfg.HashMemory); err != nil {
		return nil, err
	}
	c.scs, c.scsKey = newSCS(c)
	return c, nil
}

func (cfg *Config) setDefaults() error {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&cfg.Lifetime, 24*time.Hour)
	def(&cfg.IdleTimeout, time.Hour)
	def(&cfg.RememberFor, 30*24*time.Hour)
	def(&cfg.ResetLifetime, 30*time.Minute)
	if cfg.LoginURL == "" {
		cfg.LoginURL = "/login"
	}
	if cfg.CookieName == "" {
		cfg.CookieName = "session"
	}
	if cfg.MinPassword == 0 {
		cfg.MinPassword = minPassword
	}
	if cfg.HashParams == nil {
		p := DefaultHashParams()
		cfg.HashParams = &p
	}
	if cfg.HashMemory == 0 {
		cfg.HashMemory = 64 << 20
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	switch u, err := url.Parse(cfg.LoginURL); {
	case cfg.Identifiers < UsernameOrEmail || cfg.Identifiers > EmailOnly:
		return fmt.Errorf("auth: unknown Identifiers %d", cfg.Identifiers)
	case err != nil || strings.Contains(cfg.LoginURL, "#") || ParseNext(cfg.LoginURL).IsZero() && (u.Host == "" || u.Scheme != "https" && u.Scheme != "http"):
		return fmt.Errorf("auth: LoginURL %q is neither a path of this site nor an absolute URL", cfg.LoginURL)
	case cfg.Lifetime < time.Minute:
		return fmt.Errorf("auth: Lifetime %v is shorter than a minute", cfg.Lifetime)
	case cfg.IdleTimeout > 0 && cfg.IdleTimeout < 2*touchAfter:
		return fmt.Errorf("auth: IdleTimeout %v is shorter than %v", cfg.IdleTimeout, 2*touchAfter)
	case cfg.RememberFor < time.Minute || cfg.RememberFor > maxRemember:
		return fmt.Errorf("auth: RememberFor %v is not between a minute and 400 days", cfg.RememberFor)
	case cfg.ResetLifetime < time.Minute || cfg.ResetLifetime > 24*time.Hour:
		return fmt.Errorf("auth: ResetLifetime %v is not between a minute and 24 hours", cfg.ResetLifetime)
	case cfg.MinPassword < minPassword || cfg.MinPassword > 64:
		return fmt.Errorf("auth: MinPassword %d is not between %d and 64", cfg.MinPassword, minPassword)
	}
	return nil
}

// parseBaseURL accepts what browsers send cookies to safely.
func parseBaseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return nil, errors.New("auth: no BaseURL")
	case err != nil || u.Hostname() == "" || u.User != nil || u.Opaque != "" || strings.ContainsAny(text, "?#"):
		return nil, fmt.Errorf("auth: BaseURL %q is not an absolute URL of scheme, host and path", text)
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return nil, fmt.Errorf("auth: BaseURL %q is neither https nor http on a loopback address", text)
	}
	u.Host = strings.ToLower(u.Host)
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("auth: BaseURL %q has no such port", text)
		}
	}
	// As browsers write an origin.
	u.Host = strings.TrimSuffix(u.Host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// loader and storer are UserLoader and UserStore without the type parameter.
type loader interface {
	load(ctx context.Context, id string) (User, error)
}

type storer interface {
	loader
	find(ctx context.Context, key string) (User, error)
	create(ctx context.Context, a Account, form url.Values) (User, error)
	update(ctx context.Context, a Account) error
}

type typedLoader[U User] struct {
	UserLoader[U]
	absent func(U) bool
}

type typedStore[U User] struct {
	typedLoader[U]
	UserStore[U]
}

func (t typedLoader[U]) load(ctx context.Context, id string) (User, error) {
	u, err := t.LoadUser(ctx, id)
	user, err := t.check(u, err)
	if err == nil && user.AuthAccount().ID != id {
		return nil, errors.New("auth: the store returned another user than it was asked for")
	}
	return user, err
}

func (t typedStore[U]) find(ctx context.Context, key string) (User, error) {
	return t.check(t.FindUser(ctx, key))
}

func (t typedStore[U]) create(ctx context.Context, a Account, form url.Values) (User, error) {
	user, err := t.check(t.CreateUser(ctx, a, form))
	if err == nil && !user.AuthAccount().Stamp.Equal(a.Stamp) {
		return nil, errors.New("auth: the store returned another user than it was to create")
	}
	return user, err
}

func (t typedStore[U]) update(ctx context.Context, a Account) error {
	return t.UpdateAccount(ctx, a)
}

// check turns what a store returned into a user that can be relied on.
func (t typedLoader[U]) check(u U, err error) (User, error) {
	switch {
	case err != nil:
		return nil, err
	case t.absent(u):
		return nil, ErrUserNotFound
	case u.AuthAccount() == nil:
		return nil, errors.New("auth: the store returned a user without an account")
	case u.AuthAccount().ID == "":
		return nil, errors.New("auth: the store returned a user without an ID")
	}
	return u, nil
}

// absent returns a function that says whether a U is nil. How to ask depends
// on the type, which is looked at here, once.
func absent[U User]() func(U) bool {
	var zero U
	switch reflect.TypeFor[U]().Kind() {
	case reflect.Pointer:
		return func(u U) bool { return any(u) == any(zero) }
	case reflect.Interface:
		return func(u U) bool { return isNil(u) }
	}
	return func(U) bool { return false }
}

// isNil reports whether v is nil, or a nil pointer or function.
func isNil(v any) bool {
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.Invalid:
		return true
	case reflect.Pointer, reflect.Func, reflect.Map:
		return r.IsNil()
	}
	return false
}

// Core returns the engine, for packages that build on this one.
func (m *Manager[U]) Core() *Core { return m.core }

// given returns a user that the application has passed, or an error if it is
// nil.
func (m *Manager[U]) given(user U) (User, error) {
	if m.absent(user) || user.AuthAccount() == nil {
		return nil, ErrUserNotFound
	}
	return user, nil
}

// Identifiers returns Config.Identifiers.
func (c *Core) Identifiers() Identifiers { return c.cfg.Identifiers }

// LoginURL returns Config.LoginURL.
func (c *Core) LoginURL() string { return c.cfg.LoginURL }

// Cookie returns a cookie with the name that belongs to this application and
// the attributes that all its cookies have, to be given a value and set:
// http.SetCookie(w, &c). For what must not be stored, such as a token on its
// way through a redirect.
func (c *Core) Cookie(name string) http.Cookie {
	return http.Cookie{
		Name: c.cookies.session + "-" + name, Path: "/",
		Secure: c.cookies.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// typed returns a user in the application's own type.
func typed[U User](user User, err error) (U, error) {
	if err != nil {
		var none U
		return none, err
	}
	u, ok := user.(U)
	if !ok {
		return u, fmt.Errorf("auth: the user is a %T, not a %v", user, reflect.TypeFor[U]())
	}
	return u, nil
}

// CurrentUser returns the user who makes the request, and false if there is
// none or it cannot be told because a store has failed. It is for pages; what
// must know the difference asks User.
func (m *Manager[U]) CurrentUser(ctx context.Context) (U, bool) {
	u, err := m.User(ctx)
	return u, err == nil
}

// User returns the user who makes the request. It returns ErrNotLoggedIn if
// nobody is logged in, ErrNoSession outside LoadAndSave, and the store's error
// if it has failed. The user is loaded at the first call and kept for the
// request.
func (m *Manager[U]) User(ctx context.Context) (U, error) { return typed[U](m.core.User(ctx)) }

// Authenticate returns the user with this login (a username or an address, see
// Config.Identifiers) and password. It does not log the user in: LoginUser
// does. Its errors wrap ErrLoginRefused, or are ErrBusy, or a failure of the
// store. Whatever the state of the account, it computes one hash.
func (m *Manager[U]) Authenticate(ctx context.Context, login, password string) (U, error) {
	return typed[U](m.core.Authenticate(ctx, login, password))
}

// LoginUser logs the user in: it passes the gates, rotates the session token,
// and has the login stored before it returns; the cookie goes out with the
// response's header. What an anonymous visitor had in the session is kept,
// another user's is dropped. An earlier login of this browser is ended, and so
// is what it was remembered as; the option Remember has it remembered.
//
// It must be called inside LoadAndSave (else ErrNoSession) and before the
// header is written (else ErrHeaderWritten). An error that wraps
// ErrLoginRefused comes from a gate. ErrLoggedOut says that the login this
// browser had was ended at the same moment.
func (m *Manager[U]) LoginUser(ctx context.Context, user U, options ...LoginOption) error {
	u, err := m.given(user)
	if err != nil {
		return err
	}
	return m.core.LoginUser(ctx, u, options...)
}

// LogoutUser ends the login and the session that goes with it, everywhere that
// its cookie may have been copied to. It is no error if nobody is logged in.
// After the header is written it ends the login all the same, and returns
// ErrHeaderWritten to say that the cookie, now worthless, could not be removed.
//
// Call it for POST only: a GET would let any page log the user out.
func (m *Manager[U]) LogoutUser(ctx context.Context) error { return m.core.LogoutUser(ctx) }

// Register creates an account. See Registration for the errors.
func (m *Manager[U]) Register(ctx context.Context, r Registration) (U, error) {
	return typed[U](m.core.Register(ctx, r))
}

// SetPassword gives the user a new password, which must satisfy the policy
// (PasswordError), and ends the user's logins, except that the one which makes
// this request goes on with a new token. It returns ErrConflict if another
// change of password came first.
func (m *Manager[U]) SetPassword(ctx context.Context, user U, password string) error {
	u, err := m.given(user)
	if err != nil {
		return err
	}
	return m.core.SetPassword(ctx, u, password)
}

// HashPassword returns the hash of a password, for accounts that are made
// outside Register. It applies no policy.
func (m *Manager[U]) HashPassword(ctx context.Context, password string) (Secret, error) {
	return m.core.HashPassword(ctx, password)
}

// CheckPassword reports whether it is the user's password. It counts for
// nothing and logs nobody in; a page that asks for the current password again
// uses it. The error is ErrBusy or the context's.
func (m *Manager[U]) CheckPassword(ctx context.Context, user U, password string) (bool, error) {
	u, err := m.given(user)
	if err != nil {
		return false, err
	}
	return m.core.CheckPassword(ctx, u, password)
}

// ResetToken returns a token that sets a new password for the user once, to be
// mailed to the account's address. See ResetPassword.
func (m *Manager[U]) ResetToken(ctx context.Context, user U) (string, error) {
	u, err := m.given(user)
	if err != nil {
		return "", err
	}
	return m.core.ResetToken(ctx, u)
}

// SendReset mails a reset token to the account with this address, if there is
// one that is not disabled: as the query's token in a link to page, a path of
// this site ("/reset-password") under Config.BaseURL. It goes to the address
// that is stored, not to the one that was typed.
//
// It returns nil whether there is an account or not, and whether the mail could
// be sent or not, and does the same work for both; the answer should be the
// same text. Errors are ErrInvalidEmail for what is no address, and those of a
// store that has failed.
func (m *Manager[U]) SendReset(ctx context.Context, address, page string) error {
	return m.core.SendReset(ctx, address, page)
}

// CheckResetToken returns the user whose reset token this is, or
// ErrInvalidToken, and changes nothing. It is for the page that the link opens.
func (m *Manager[U]) CheckResetToken(ctx context.Context, token string) (U, error) {
	return typed[U](m.core.CheckResetToken(ctx, token))
}

// ResetPassword sets a new password by a reset token. Of any number of calls
// with an account's tokens one succeeds; the others, and every token that is
// older than the account's last change of password, are ErrInvalidToken. A
// password that the policy refuses (PasswordError) leaves the token as it was.
// It ends all the user's logins and logs nobody in.
//
// An older token that was not used stays valid until one is used, the password
// or the address changes, or it expires: asking for a second mail does not
// make the first one void.
func (m *Manager[U]) ResetPassword(ctx context.Context, token, password string) (U, error) {
	return typed[U](m.core.ResetPassword(ctx, token, password))
}

// Sessions returns a copy of the scs session manager, for the application's
// own data in the session. It cannot reach the login: RenewToken rotates the
// token, Destroy logs the user out, and deadlines, merging and iteration are
// without effect. Where the LoadAndSave of two managers are one inside the
// other, the data is the inner one's.
func (m *Manager[U]) Sessions() *scs.SessionManager { return m.core.Sessions() }

// LoadAndSave wraps the whole application. It refuses cross-origin requests
// that may change something, reads the session of the cookie, and writes what
// changed before the response's header goes out.
func (m *Manager[U]) LoadAndSave(next http.Handler) http.Handler { return m.core.LoadAndSave(next) }

// RequireLogin guards a handler: next runs only for a user who is logged in.
// Others are sent to Config.LoginURL with the page they wanted in the query as
// next; see Core.Error for what is not a browser.
func (m *Manager[U]) RequireLogin(next http.Handler) http.Handler { return m.core.RequireLogin(next) }

// Flash keeps a message for the next page that shows Flashes.
func (m *Manager[U]) Flash(ctx context.Context, category, text string) error {
	return m.core.Flash(ctx, category, text)
}

// Flashes returns the messages that wait to be shown, and removes them.
func (m *Manager[U]) Flashes(ctx context.Context) []Flash { return m.core.Flashes(ctx) }

// Error answers a request that cannot be served because of err: see
// Core.Error.
func (m *Manager[U]) Error(w http.ResponseWriter, r *http.Request, err error) {
	m.core.Error(w, r, err)
}

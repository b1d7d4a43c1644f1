package auth

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/go-login/auth/internal/clientip"
	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/origin"
	"github.com/go-login/auth/internal/turns"
	"golang.org/x/text/language"
)

// A Core is a Manager without the user's type. A [Manager] embeds it, so all methods
// below are the Manager's. Packages that build on auth, such as pages and authtest, take
// a *Core: pass manager.Core. Its methods are safe for use by many goroutines.
//
// Methods that get a User return ErrUserNotFound for nil.
type Core struct {
	cfg      Config
	site     site
	users    loader
	store    storer // nil if there is only a loader
	given    any    // the user store or loader, as it was given
	unused   []unusedSetting
	omitted  []AccountField // that the user store does not keep
	deletes  bool           // the user store is a UserDeleter
	records  RecordStore
	sessions RecordStore
	cookies  cookies
	origins  origin.Check
	secrets  *keyring.Keyring
	hasher   hasher
	watches  watches
	turns    turns.ByKey
	instance string // random: no other Core has it
	proxies  proxyWatch
	bypassed atomic.Bool                 // an answer was written around LoadAndSave
	fallback atomic.Pointer[errorPage]   // see DefaultErrorPage
	notices  atomic.Pointer[noticePage]  // see DefaultNoticePage
	links    atomic.Pointer[string]      // see DefaultIdentitiesPage
	flashed  atomic.Pointer[sealedFlash] // the last one
	clock    uint64                      // names this Core's clock among those of other servers
	upgrades upgrades
	features features
	tokens   *Feature                             // the API tokens
	loads    []func(*http.Request) (Grant, error) // of Config.Credentials
	factors  map[string]*Feature                  // of Config.Factors, by name
	scs      *scs.SessionManager

	languages  language.Matcher // chooses among Config.Languages
	roles      RoleSource       // Config.Roles.Source, or nil
	undeclared undeclared
	watchEvery time.Duration
}

// Config returns the settings, with the defaults filled in. BaseURL is written as
// browsers write an origin: in lower case, and without the scheme's default port. If it has a
// path, there is no slash at the end.
// Secrets and Password.Peppers are left out. The result is a copy: you may change it.
func (c *Core) Config() Config { return c.cfg.public() }

// HasUserStore reports whether the Manager was made by New. One made by NewWithLoader
// cannot register users or change their accounts.
func (c *Core) HasUserStore() bool { return c.store != nil }

// cookies are the names of the cookies, and the attributes they all have.
type cookies struct {
	session, visitor, flash, next, remember, browser, pending, trusted, passkey, code string
	secure                                                                            bool
	strict                                                                            bool // those of strictly are SameSite=Strict
}

// A sealedFlash is a cookie with one message. Most messages are that of RequireLogin, so the
// next browser that is sent to the login page often gets the same cookie. The cookie has nothing
// about a browser or a user.
type sealedFlash struct {
	flash Flash
	line  string // of Set-Cookie
	made  time.Time
}

// strictly reports whether a cookie follows Config.Session.SameSite: those with which a user
// is logged in.
func (c *cookies) strictly(name string) bool {
	return name == c.session || name == c.remember || name == c.pending || name == c.trusted
}

// watches are this process's requests whose WhileLoggedIn contexts end with a login.
type watches struct {
	mu     sync.Mutex
	byUser map[string]map[*watch]bool
}

type watch struct {
	loginID string
	cancel  context.CancelCauseFunc
}

func (w *watches) add(userID string, one *watch) (remove func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byUser == nil {
		w.byUser = map[string]map[*watch]bool{}
	}
	if w.byUser[userID] == nil {
		w.byUser[userID] = map[*watch]bool{}
	}
	w.byUser[userID][one] = true
	return func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if delete(w.byUser[userID], one); len(w.byUser[userID]) == 0 {
			delete(w.byUser, userID)
		}
	}
}

// end cancels the contexts of a user's logins for which ended returns true.
func (w *watches) end(userID string, ended func(loginID string) bool) {
	w.endFor(userID, ended, ErrLoggedOut)
}

// endFor is end with another cause.
func (w *watches) endFor(userID string, ended func(loginID string) bool, cause error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for one := range w.byUser[userID] {
		if ended(one.loginID) {
			one.cancel(cause)
		}
	}
}

// endOne is end for one login.
func (w *watches) endOne(userID, loginID string) {
	w.end(userID, func(id string) bool { return id == loginID })
}

// An unusedSetting is a setting that is set and has no effect.
type unusedSetting struct{ setting, reason string }

// A proxyWatch looks for reverse proxies that are missing in
// Config.Network.TrustedProxies, or are the ones that speak https with browsers.
type proxyWatch struct {
	forwarded  atomic.Bool // an untrusted X-Forwarded-For has been reported
	oneAddress atomic.Bool // so has it that all logins came from one private address
	encrypted  atomic.Bool // BaseURL has http, and a request came over https
	clientip.Watch
}

// upgrades are the accounts whose hash could not be upgraded. A try costs a hash and up
// to four calls of the store. So for each account, a process tries again only after
// upgradeAgain.
type upgrades struct {
	mu    sync.Mutex
	after map[string]time.Time // by account ID: when the next try is due
}

const (
	upgradeAgain = time.Hour
	maxUpgrades  = 10_000 // accounts in the map; when it is full, it is emptied
)

// due reports whether an upgrade may be tried.
func (u *upgrades) due(id string, now time.Time) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return !now.Before(u.after[id])
}

// failed notes that an upgrade failed, so that the next try is due after upgradeAgain.
func (u *upgrades) failed(id string, now time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.after == nil || len(u.after) >= maxUpgrades {
		u.after = map[string]time.Time{}
	}
	u.after[id] = now.Add(upgradeAgain)
}

// identities returns what ProvideIdentities has got, or nil.
func (c *Core) identities() Identities {
	c.features.mu.Lock()
	defer c.features.mu.Unlock()
	return c.features.identities
}

// features are the names that Core.Feature has given out.
type features struct {
	mu     sync.Mutex
	claims map[string]bool

	identities Identities // of ProvideIdentities, or nil
}

// claim gives out a name. It returns false if the name was given out before.
func (f *features) claim(name string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.claims[name] {
		return false
	}
	if f.claims == nil {
		f.claims = map[string]bool{}
	}
	f.claims[name] = true
	return true
}

// A Feature is a package's own share of a Core, under a name of its own: records,
// sealed texts, cookies, counted attempts and events. A package that adds something to
// logins, such as a second factor or an identity provider, keeps all its state in it.
//
// A feature cannot read the records of another feature, nor open its sealed texts. The
// same holds for Cores with different Config.Names. CloseAccount deletes a user's
// records of all features, even if the process no longer uses the feature. No other
// change deletes them: they outlive a change of the password, for example. Records
// without a UserID must expire.
//
// A Feature is safe for use by many goroutines.
type Feature struct {
	core   *Core
	name   string
	kind   string // of its records
	prefix string // of their keys
}

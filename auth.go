// Package auth gives a net/http application logins: sessions that you can end,
// passwords, guarded pages, and the current user in your application's own type.
//
// [New] makes a [Manager] from a [UserStore], which finds and saves your users, and a
// [Config]. The Manager's LoadAndSave wraps the whole application. Inside it,
//
//	user, ok := manager.CurrentUser(r.Context())
//
// returns the user who makes the request.
//
// A Manager has all methods of its [Core], which documents them. Methods that return a
// user exist on Manager again, with your type. By task:
//
//   - The request: [Core.LoadAndSave], [Core.Error], [Core.API], [Core.BasePath], [Core.BaseURL].
//   - The user: [Manager.CurrentUser], [Core.User], [Core.CurrentLogin].
//   - Guards: [Core.RequireLogin], [Core.Require] with a [Rule] or several,
//     [Core.RequireFresh], [Core.RequireVerified], [Core.RequireScope]; in a handler,
//     [Core.Check].
//   - Roles and permissions: Config.Roles, the rules [Role] and [Can], [Core.Can],
//     [Core.HasRole]; [Core.Routes] for routes that are denied by default.
//   - Logging in and out: [Core.Authenticate], [Core.LoginUser], [Core.ConfirmLogin],
//     [Core.LogoutUser], [Core.TakeNext].
//   - Logging in by mail: [Core.SendLoginCode], [Core.LoginByCode], [Core.CheckLoginLink],
//     [Core.LoginByLink], [Core.ConfirmsByMail].
//   - Logins in other browsers: [Core.Logins], [Core.EndLogin], [Core.EndOtherLogins],
//     [Core.LogoutEverywhere], [Core.WhileLoggedIn].
//   - Accounts: [Core.Register], [Core.CloseAccount].
//   - Second factors: [Core.Pending], [Core.PromptFactor], [Core.ContinueLogin];
//     [Core.FactorsOf], [Core.BeginFactor], [Core.EnrollFactor], [Core.RemoveFactor],
//     [Core.NewRecoveryCodes], [Core.TrustBrowser]; the rule [SecondFactor].
//   - Passkeys: [Core.PromptPasskey], [Core.LoginByPasskey], [Core.ConfirmByPasskey];
//     [Core.Passkeys], [Core.RenamePasskey], [Core.RemovePasskey], [Core.RemovePassword].
//   - For administrators: [Core.CreateUser], [Manager.FindUser], [Manager.ListUsers],
//     [Core.SetRoles], [Core.SetUsername], [Core.SetEmail], [Core.Disable], [Core.Enable],
//     [Core.Unlock], [Core.ForceReset], [Core.ResetFactors]; [WithReason];
//     [Core.Impersonate], [Core.StopImpersonating], [Core.Impersonator].
//   - Passwords: [Core.SetPassword], [Core.CheckPassword], [Core.ValidatePassword],
//     [Core.SendReset], [Core.ResetPassword], [Core.HashPassword], [Core.WrapHash].
//   - E-mail addresses: [Core.ValidateEmail], [Core.SendVerification],
//     [Core.VerificationToken], [Core.VerifyEmail], [Core.SendEmailChange], [Core.ConfirmEmailChange],
//     [Core.UndoEmailChange].
//   - Programs: [Core.NewAPIToken], [Core.APITokens], [Core.RevokeAPIToken], and
//     Config.Credentials.
//   - Packages that add something to logins: [Core.Feature].
//   - Mistakes in the setup: [Core.Doctor].
//   - Pages: [Core.SessionData], [Core.Flash], [Core.Flashes], [Manager.View],
//     [Core.FormOnce], [Core.SealForm].
//
// A process may have several Managers. They share only the memory budget for password
// hashing (Config.Password.HashMemory), and the stores that you give to more than one of
// them (see Config.Name).
//
// The library keeps everything it must remember in [Record] values in a [RecordStore].
// Packages memstore and sqlstore implement both interfaces. Package storetest checks an
// implementation of your own.
package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"reflect"
	"slices"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/origin"
)

// A Manager has all methods of [Core], where they are documented. Among them are
// [Core.LoadAndSave], [Core.RequireLogin], [Core.LoginUser] and [Core.LogoutUser]; the
// package overview lists them by task. The methods below use your own user type U. A
// Manager is safe for use by many goroutines.
type Manager[U User] struct {
	*Core
}

// New makes a Manager with all features. It returns an error for every misconfiguration
// that it can detect.
func New[U User](store UserStore[U], cfg Config) (*Manager[U], error) {
	if isNil(store) {
		return nil, errors.New("auth: New got a nil UserStore; pass a store, such as one of package sqlstore or memstore")
	}
	if cfg.Records == nil {
		cfg.Records, _ = store.(RecordStore)
	}
	if err := checkStores(store, cfg.Records, cfg.SessionStore); err != nil {
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
	core.given, core.omitted = store, omitted
	_, core.deletes = store.(UserDeleter)
	return &Manager[U]{core}, nil
}

// NewWithLoader makes a Manager for an application that checks passwords itself. This
// Manager has sessions, guards and the current user. Methods that need a UserStore
// return ErrNoUserStore.
func NewWithLoader[U User](loader UserLoader[U], cfg Config) (*Manager[U], error) {
	if isNil(loader) {
		return nil, errors.New("auth: NewWithLoader got a nil UserLoader; pass one that loads your users")
	}
	if cfg.Records == nil {
		cfg.Records, _ = loader.(RecordStore)
	}
	if err := checkStores(loader, cfg.Records, cfg.SessionStore); err != nil {
		return nil, err
	}
	core, err := newCore(typedLoader[U]{loader, absent[U]()}, nil, cfg)
	if err != nil {
		return nil, err
	}
	core.given = loader
	return &Manager[U]{core}, nil
}

// newCore makes a Core. store is nil if there is only a loader.
func newCore(users loader, store storer, cfg Config) (*Core, error) {
	c := &Core{cfg: cfg, unused: unusedSettings(&cfg), instance: keyring.NewToken(), clock: uint64(keyring.RandomVersion()), watchEvery: watchEvery}
	if store == nil {
		if err := needsStore(&cfg); err != nil {
			return nil, err
		}
	}
	if err := c.setStores(users, store); err != nil {
		return nil, err
	}
	var err error
	if c.languages, err = parseLanguages(&c.cfg); err != nil {
		return nil, err
	}
	if c.cfg.Message == nil {
		c.cfg.Message = c.defaultMessage
	}
	if err := c.setSite(); err != nil {
		return nil, err
	}
	if c.secrets, err = keyring.New(cfg.Secrets, cfg.Name); err != nil {
		return nil, err
	}
	c.tokens = newAPITokens(c)
	c.loads = c.loadsOf(c.cfg.Credentials)
	if c.factors, err = c.bind(c.cfg.Factors); err != nil {
		return nil, err
	}
	if err := checkPeppers(cfg.Password.Peppers, cfg.Secrets); err != nil {
		return nil, err
	}
	if c.hasher, err = newHasher(c.cfg.Password.HashParams, c.cfg.Password.HashMemory, cfg.Password.Peppers, c.cfg.Logger, cfg.Trace); err != nil {
		return nil, err
	}
	if source := c.cfg.Roles.Source; source != nil {
		c.roles = &roleCaller{c, source}
	}
	c.scs = newSCS(c)
	if c.cfg.Network.DevelopmentHTTP {
		c.cfg.Logger.Warn("auth: Config.Network.DevelopmentHTTP is set: passwords and cookies cross the network unencrypted; use it for development only",
			slog.String("url", c.cfg.BaseURL))
	}
	return c, nil
}

// needsStore returns an error for a setting that needs a UserStore.
func needsStore(cfg *Config) error {
	for _, setting := range []struct {
		set   bool
		needs string
	}{
		{slices.ContainsFunc(cfg.Credentials, func(l Credential) bool { return l.scheme == schemeBasic }), "Credentials has Basic, which needs"},
		{cfg.RequireVerified, "RequireVerified needs"},
		{cfg.EmailLogin, "EmailLogin needs"},
		{cfg.Roles.Admin != "", "Roles.Admin needs"},
	} {
		if setting.set {
			return fmt.Errorf("auth: Config.%s a UserStore: %w", setting.needs, ErrNoUserStore)
		}
	}
	return nil
}

// setStores sets the stores. All calls of them go through storecalls.go.
func (c *Core) setStores(users loader, store storer) error {
	switch {
	case c.cfg.Records == nil:
		return errors.New("auth: there is no RecordStore; set Config.Records, for example to sqlstore.NewRecords: your user store or loader is not one")
	case isNil(c.cfg.Records):
		return errors.New("auth: Config.Records is a nil pointer")
	case c.cfg.SessionStore == nil:
		c.cfg.SessionStore = c.cfg.Records
	case isNil(c.cfg.SessionStore):
		return errors.New("auth: Config.SessionStore is a nil pointer; leave it unset to use Records")
	}
	c.records = separate(&recordCaller{c, c.cfg.Records}, c.cfg.Name)
	c.sessions = separate(&recordCaller{c, c.cfg.SessionStore}, c.cfg.Name)
	c.users = &loaderCaller{c, users}
	if store != nil {
		c.store = &userCaller{loaderCaller{c, store}, store}
	}
	return nil
}

// setSite reads BaseURL and checks the other settings, because some depend on BaseURL. It then
// sets the names of the cookies and the origins that requests may come from.
func (c *Core) setSite() (err error) {
	network := &c.cfg.Network
	if c.site, err = newSite(c.cfg.BaseURL, network.Hosts, network.DevelopmentHTTP); err != nil {
		return err
	}
	c.cfg.BaseURL = c.site.origin.String() + c.site.path
	if err := c.cfg.check(&c.site); err != nil {
		return err
	}
	if c.cookies, err = newCookies(&c.site, &c.cfg.Session); err != nil {
		return err
	}
	if c.origins, err = origin.New(c.site.origin, network.Hosts, network.Origins, network.CrossOriginBypass); err != nil {
		return err
	}
	for _, page := range []string{c.cfg.URLs.Login, c.cfg.URLs.Refresh, c.cfg.URLs.Factor, c.cfg.URLs.LoginCode} {
		if c.origins.Exempts(page) || c.site.path != "" && c.origins.Exempts(c.site.below(page)) {
			return fmt.Errorf("auth: Config.Network.CrossOriginBypass contains %s, so pages of other sites could log users in; use narrower patterns", page)
		}
	}
	return nil
}

// loadsOf returns the function of each loader that finds the user of a request.
func (c *Core) loadsOf(loaders []Credential) (loads []func(*http.Request) (Grant, error)) {
	for _, l := range loaders {
		switch {
		case l.Load != nil:
			loads = append(loads, l.Load)
		case l.scheme == schemeBasic:
			loads = append(loads, c.loadBasic)
		default:
			loads = append(loads, c.loadBearer)
		}
	}
	return loads
}

// bind gives each factor its feature, and returns the features by name.
func (c *Core) bind(factors []Factor) (map[string]*Feature, error) {
	bound := map[string]*Feature{}
	for _, factor := range factors {
		feature, err := c.Feature(factor.Name())
		if err != nil {
			return nil, err
		}
		if binder, ok := factor.(FactorBinder); ok {
			if err := binder.Bind(feature); err != nil {
				return nil, fmt.Errorf("auth: Config.Factors: %s: %w", factor.Name(), err)
			}
		}
		bound[factor.Name()] = feature
	}
	return bound, nil
}

// CurrentUser returns the user who makes the request. It returns false if nobody is
// logged in, or if a store has failed. After a failure the answer is 503, whatever the
// handler writes, unless the header has been written already. So the page for anonymous
// visitors never goes out by mistake.
func (m *Manager[U]) CurrentUser(ctx context.Context) (U, bool) {
	u, err := m.User(ctx)
	return u, err == nil
}

// User is [Core.User] with the user as a U.
func (m *Manager[U]) User(ctx context.Context) (U, error) {
	return typed[U](m.Core.User(ctx))
}

// Authenticate is [Core.Authenticate] with the user as a U.
func (m *Manager[U]) Authenticate(ctx context.Context, login, password string) (U, error) {
	return typed[U](m.Core.Authenticate(ctx, login, password))
}

// Register is [Core.Register] with the user as a U.
func (m *Manager[U]) Register(ctx context.Context, r Registration) (U, error) {
	return typed[U](m.Core.Register(ctx, r))
}

// CreateUser is [Core.CreateUser] with the user as a U.
func (m *Manager[U]) CreateUser(ctx context.Context, r Registration, roles ...string) (U, error) {
	return typed[U](m.Core.CreateUser(ctx, r, roles...))
}

// FindUser returns the user with this username or address, as a user types it, for an
// administrator. It returns ErrUserNotFound if there is none, and ErrNoUserStore. Never show
// to visitors whether it found one.
func (m *Manager[U]) FindUser(ctx context.Context, login string) (_ U, failing error) {
	defer m.met(ctx, &failing)
	if m.store == nil {
		return typed[U](nil, ErrNoUserStore)
	}
	user, _, err := m.findByLogin(ctx, login)
	return typed[U](user, err)
}

// ListUsers returns at most limit users, for an administrator, and the cursor of the next
// ones, or "" if there are no more. cursor is "" for the first ones. limit is 1 to 1000.
// Users who are created or deleted meanwhile do not make others appear twice or not at all.
// If the store is not a [UserLister], it returns an error.
func (m *Manager[U]) ListUsers(ctx context.Context, cursor string, limit int) (users []U, next string, failing error) {
	defer m.met(ctx, &failing)
	lister, ok := m.given.(UserLister[U])
	if !ok {
		return nil, "", errors.New("auth: ListUsers needs a user store with a ListUsers method: see UserLister")
	}
	if limit < 1 || limit > maxListed {
		return nil, "", fmt.Errorf("auth: ListUsers got the limit %d; use 1 to %d", limit, maxListed)
	}
	users, err := read(m.hide(ctx), func() ([]U, error) { return lister.ListUsers(m.hide(ctx), cursor, limit+1) })
	if err != nil {
		return nil, "", failed(err)
	}
	if len(users) > limit {
		users = users[:limit]
		next = users[limit-1].AuthAccount().ID
	}
	return users, next, nil
}

// maxListed is the most users that ListUsers returns.
const maxListed = 1000

// CheckVerifyToken is [Core.CheckVerifyToken] with the user as a U.
func (m *Manager[U]) CheckVerifyToken(ctx context.Context, token string) (U, error) {
	return typed[U](m.Core.CheckVerifyToken(ctx, token))
}

// VerifyEmail is [Core.VerifyEmail] with the user as a U.
func (m *Manager[U]) VerifyEmail(ctx context.Context, token string) (U, error) {
	return typed[U](m.Core.VerifyEmail(ctx, token))
}

// CheckEmailChange is [Core.CheckEmailChange] with the user as a U.
func (m *Manager[U]) CheckEmailChange(ctx context.Context, token string) (user U, address string, err error) {
	u, address, err := m.Core.CheckEmailChange(ctx, token)
	user, err = typed[U](u, err)
	return user, address, err
}

// ConfirmEmailChange is [Core.ConfirmEmailChange] with the user as a U.
func (m *Manager[U]) ConfirmEmailChange(ctx context.Context, token string) (U, error) {
	return typed[U](m.Core.ConfirmEmailChange(ctx, token))
}

// CheckEmailUndo is [Core.CheckEmailUndo] with the user as a U.
func (m *Manager[U]) CheckEmailUndo(ctx context.Context, token string) (user U, address string, err error) {
	u, address, err := m.Core.CheckEmailUndo(ctx, token)
	user, err = typed[U](u, err)
	return user, address, err
}

// UndoEmailChange is [Core.UndoEmailChange] with the user as a U.
func (m *Manager[U]) UndoEmailChange(ctx context.Context, token string) (U, error) {
	return typed[U](m.Core.UndoEmailChange(ctx, token))
}

// CheckResetToken is [Core.CheckResetToken] with the user as a U.
func (m *Manager[U]) CheckResetToken(ctx context.Context, token string) (U, error) {
	return typed[U](m.Core.CheckResetToken(ctx, token))
}

// ResetPassword is [Core.ResetPassword] with the user as a U.
func (m *Manager[U]) ResetPassword(ctx context.Context, token, password string) (U, error) {
	return typed[U](m.Core.ResetPassword(ctx, token, password))
}

// typed returns a user in the application's own type.
func typed[U User](user User, err error) (U, error) {
	if err != nil {
		var none U
		return none, err
	}
	u, ok := user.(U)
	if !ok {
		return u, fmt.Errorf("auth: the user is a %T, but the Manager's type is %v", user, reflect.TypeFor[U]())
	}
	return u, nil
}

// Where is a rule of your own. It holds if ok returns true for the user who makes the
// request. Otherwise the answer is ErrForbidden (403). ok runs only if all other rules
// hold.
func (m *Manager[U]) Where(ok func(U) bool) Rule {
	if ok == nil {
		return Rule{}
	}
	return Rule{step: stepOwn, ask: func(_ context.Context, _ *Core, user User) error {
		u, err := typed[U](user, nil)
		if err == nil && !ok(u) {
			err = ErrForbidden
		}
		return err
	}}
}

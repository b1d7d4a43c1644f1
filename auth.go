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
	"slices"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/origin"
)

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
	if c.origins, err = origin.New(c.baseURL, cfg.Origins, cfg.CrossOriginBypass); err != nil {
		return nil, err
	}
	for _, page := range []string{c.cfg.LoginURL, c.cfg.RefreshURL} {
		if c.origins.Exempts(c.baseURL, page) {
			return nil, fmt.Errorf("auth: CrossOriginBypass has %s in it, and pages of other sites could log people in", page)
		}
	}
	if c.secrets, err = keyring.New(cfg.Secrets, cfg.Name); err != nil {
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

package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-login/auth/internal/keyring"
)

// A LoginOption changes what LoginUser does.
type LoginOption func(*loginOptions)

type loginOptions struct {
	by       []string // methods that the application names
	remember time.Duration
	stale    bool
	identity string
	err      error // an option was invalid
}

// By says how the user was authenticated, if not by Authenticate or CheckPassword: for
// example "oauth:google". The method and the time are added to [Login].Methods, and the
// events have it as Method. A method has 1 to 64 letters, digits, colons, dots, hyphens
// and underscores. "remember", "token", "trusted", "mail", "mfa" and what begins with "mfa:"
// are the library's own. For an invalid method LoginUser returns an error. For several methods,
// pass several options. If a method is the name of one of Config.Factors, the login counts as
// having shown that factor.
func By(method string) LoginOption {
	return func(o *loginOptions) {
		if !isMethod(method) || method != methodPassword && isOwnMethod(method) {
			o.err = fmt.Errorf("auth: By(%.100q): use 1 to %d letters, digits, colons, dots, hyphens and underscores, and none of the library's own: %q",
				method, maxMethod, ownMethods()[1:])
			return
		}
		o.by = append(o.by, method)
	}
}

// ByIdentity says that the user was authenticated by this identity, an [Identity].ID. It goes
// with By. If the identity is removed before the login is made, also while the login waits for
// a second factor, the login ends. LoginUser and ConfirmLogin then return ErrIdentityNotFound,
// and ContinueLogin returns ErrNoPending. It needs [Feature.ProvideIdentities].
func ByIdentity(id string) LoginOption {
	return func(o *loginOptions) { o.identity = id }
}

// Multifactor says that the user has shown several factors where they were authenticated,
// for example at a provider that reports it (amr or acr in OpenID Connect), and that you
// trust it. The login then owes no second factor. Login.Methods has it as "mfa". It counts as
// long as the login and its remembered device last.
func Multifactor() LoginOption {
	return func(o *loginOptions) { o.by = append(o.by, methodMulti) }
}

// MultifactorAt is Multifactor for one of Core.Providers, by its Name. It counts only while
// Multifactor of this Provider is true. Login.Methods has it as "mfa:" and the Name.
func MultifactorAt(provider string) LoginOption {
	return func(o *loginOptions) {
		method := methodMultiAt(provider)
		if provider == "" || !isMethod(method) {
			o.err = fmt.Errorf("auth: MultifactorAt(%.100q): use the Name of a Provider", provider)
			return
		}
		o.by = append(o.by, method)
	}
}

// Remember keeps the user logged in on this device after the browser closes, if on is
// true, for Config.Session.RememberFor.
//
// Each use of the remember cookie replaces it by a new one. The old one stays valid,
// for at most 30 uses, until the browser shows that it has the new one. If the old one
// is used after that, it was stolen, and the device's logins end (EventRememberStolen).
func Remember(on bool) LoginOption {
	return func(o *loginOptions) {
		if on {
			o.remember = -1 // Config.Session.RememberFor
		}
	}
}

// RememberFor is Remember with a time of your choice, at most 400 days. If d is not
// positive, the user is not remembered.
func RememberFor(d time.Duration) LoginOption {
	return func(o *loginOptions) { o.remember = min(max(d, 0), maxRemember) }
}

// Stale makes a login that is not fresh: RequireFresh then asks the user to show who
// they are. Use it if the user has not just shown that, for example because they came
// by a link or from another site.
func Stale() LoginOption {
	return func(o *loginOptions) { o.stale = true }
}

// LoginUser logs the user in. It passes the gates, gives the session a new token, and
// stores the login before it returns. The cookie goes out with the response's header.
// The login stays even if the handler fails afterwards, with a 5xx too.
//
// If an anonymous visitor had data in the session, it is kept; another user's data is
// dropped. An earlier login of this browser ends, and so does its remembered device.
// With the option Remember, the browser is remembered anew.
//
// LoginUser returns ErrNoSession outside LoadAndSave and ErrHeaderWritten after the
// header. An error that wraps ErrLoginRefused comes from a gate, and so does
// ErrFactorRequired: the login waits for a second factor. ErrLoggedOut means
// that the earlier login of this browser was ended at the same moment.
func (c *Core) LoginUser(ctx context.Context, user User, options ...LoginOption) (failing error) {
	defer c.met(ctx, &failing)
	if isAbsent(user) {
		return ErrUserNotFound
	}
	s := c.stateOf(ctx)
	if s == nil {
		return ErrNoSession
	}
	defer s.emit()
	o, err := readOptions(options)
	if err != nil {
		return err
	}
	a := o.attempt(user, s.shownMethods(idOf(user)), c.cfg.Now())
	return s.enter(&a)
}

func readOptions(options []LoginOption) (o loginOptions, err error) {
	for _, option := range options {
		if option != nil {
			option(&o)
		}
	}
	return o, o.err
}

// attempt returns the attempt of a user who has shown these methods, and those of By.
func (o *loginOptions) attempt(user User, shown methods, now time.Time) attempt {
	for _, method := range o.by {
		shown = shown.add(method, now)
	}
	return attempt{user: user, methods: shown, remember: o.remember, stale: o.stale, identity: o.identity}
}

// shownMethods returns what this request has shown for an account: its password, or
// nothing.
func (s *state) shownMethods(userID string) (shown methods) {
	s.op.Lock()
	defer s.op.Unlock()
	if userID != "" && s.seldom().proved == userID {
		shown = shown.add(methodPassword, s.core.cfg.Now())
	}
	return shown
}

// enter makes the request a logged-in one. Every way to log in ends here, and nothing
// else does it.
func (s *state) enter(a *attempt) error {
	_, end := s.core.cfg.Trace.begin(&s.ctx, "login", "")
	err := errPanicked
	defer func() { end(err) }()
	err = s.admit(a)
	return err
}

// admit is enter without its trace.
func (s *state) admit(a *attempt) error {
	id, method := idOf(a.user), a.methods.String()
	otherUser, err := false, s.core.notActing(&s.ctx)
	if err == nil {
		err = s.trusted(a)
	}
	if err == nil {
		err = s.core.passLogin(&s.ctx, a)
	}
	if err == nil {
		otherUser, err = s.login(a)
	}
	if err == nil {
		err = s.checkShown(a)
	}
	if errors.Is(err, ErrFactorRequired) && a.device == nil {
		return s.wait(a, "", err)
	}
	if err != nil {
		if !errors.Is(err, ErrConflict) { // after a conflict the caller begins again
			s.note(Event{Kind: EventLoginRefused, UserID: id, Method: method, Err: err})
		}
		return err
	}
	if otherUser {
		s.clearValues()
	}
	s.note(Event{Kind: EventLoginSucceeded, UserID: id, Method: method})
	if a.device == nil {
		s.op.Lock()
		err := s.dropPending(&s.ctx) // another login of this browser that waits, perhaps of another user
		s.op.Unlock()
		if err != nil { // it still owes its factor
			s.note(Event{Kind: EventCleanupFailed, UserID: id, Err: err})
		}
	}
	if err := s.trim(a.user); err != nil { // the next login calls trim again
		s.note(Event{Kind: EventCleanupFailed, UserID: id, Err: err})
	}
	return nil
}

// checkShown ends the login that was just made or confirmed, if what the user has shown was
// removed meanwhile.
func (s *state) checkShown(a *attempt) error {
	err := s.core.checkShown(&s.ctx, a)
	if err == nil {
		return nil
	}
	s.op.Lock()
	failed := s.end()
	if failed != nil { // the records may fail while the sessions are in another store, which works
		if s.cur.isLogin() {
			s.drop(&s.ctx, s.cur)
		}
		s.cur, s.user, s.deviceTried = nil, nil, true
		s.deleteCookie(s.core.cookies.session)
		s.deleteCookie(s.core.cookies.remember)
	}
	s.op.Unlock()
	s.clearValues()
	return errors.Join(err, failed)
}

// login makes the request's session one of the user's. otherUser reports whether the
// session was another user's before.
func (s *state) login(in *attempt) (otherUser bool, err error) {
	s.op.Lock()
	defer s.op.Unlock()
	switch {
	case s.failed != nil:
		return false, s.failed
	case s.committed:
		return false, ErrHeaderWritten
	case s.loggedOut:
		return false, ErrLoggedOut
	}
	a, now := in.user.AuthAccount(), s.core.cfg.Now()
	h := header{
		userID: a.ID, loginID: keyring.NewToken(), family: newHandle(), stamp: a.Stamp.Reveal(), methods: in.methods,
		address: s.address(), agent: s.agent(),
		authenticated: now, created: now, seen: now,
	}
	if in.stale {
		h.authenticated = time.Time{}
	}
	if d := in.device; d != nil {
		h.authenticated, h.device, h.family = time.Time{}, d.record.Key, loginHandle(d.header())
		h.counter, h.unseen = d.counter, d.cookie != ""
		if d.suspect { // the session stays bound to the client that the device is bound to
			h.address, h.agent = d.address, d.agent
		}
	}
	values := ""
	if s.cur != nil {
		values = s.cur.values
	}
	old := s.cur
	if old.isLogin() {
		if otherUser = old.header.userID != a.ID; otherUser {
			values = ""
		} else {
			h.loginID, h.family = old.header.loginID, loginHandle(old.header) // the same login goes on
		}
	}
	var devices []header // the browser was remembered as these; they end
	if in.device == nil {
		if old.isLogin() && old.header.device != "" {
			devices = append(devices, old.header)
		}
		d, err := s.cookieDevice()
		if err != nil {
			return false, err
		}
		if d != nil && d.record.Kind == kindRemember {
			if devices = append(devices, d.header()); !old.isLogin() && d.record.UserID == a.ID {
				h.family = loginHandle(d.header()) // a login of the same browser
			}
		}
	}
	var fresh *device
	if in.remember != 0 {
		if fresh, err = s.insertDevice(a, in.remember, h); err != nil {
			return false, err
		}
		h.device = fresh.record.Key
	}
	var check func() error
	if in.device != nil {
		check = func() error { return s.useUp(in.device) }
	}
	keep := []string{h.loginID}
	if old.isLogin() {
		keep = append(keep, old.header.loginID) // replace takes it
	}
	if err := s.forget(devices, keep...); err != nil {
		s.dropDevice(fresh)
		return false, err
	}
	if err := s.replace(h, values, tokenVoid, check); err != nil {
		s.dropDevice(fresh)
		return false, err
	}
	if in.device == nil {
		s.rememberAs(fresh)
	}
	if in.methods.has(methodPassword) {
		s.knowBrowser(a.ID, a.Stamp)
	}
	if otherUser {
		s.core.watches.endOne(old.header.userID, old.header.loginID)
		s.note(Event{Kind: EventLoginEnded, UserID: old.header.userID})
	}
	s.user, s.hadUser, s.ended, s.suspect, s.replaced, s.grant = in.user, true, false, false, false, nil
	return otherUser, nil
}

// trim ends the user's oldest logins and devices, if there are more than Session.Max.
// Each login calls trim after it was stored. So if several logins happen at the same
// moment, the last one to call trim sees all of them and leaves no more than
// Session.Max.
func (s *state) trim(user User) error {
	c, limit := s.core, s.core.cfg.Session.Max
	s.op.Lock()
	var kept header
	if s.cur.isLogin() {
		kept = s.cur.header
	}
	s.op.Unlock()
	if limit < 0 || kept.userID == "" {
		return nil
	}
	ctx, cancel := detach(&s.ctx)
	defer cancel()
	userID := user.AuthAccount().ID
	live, err := c.liveLogins(ctx, user)
	if err != nil {
		return err
	}
	live = slices.DeleteFunc(live, func(h header) bool { return h.actor != nil })
	newestFirst(live, loginHandle(kept), func(h header) (string, time.Time) { return loginHandle(h), h.created })
	seen, ended := map[string]bool{}, map[string]bool{}
	for _, h := range live {
		// Browsers are counted: a device and the logins made from it count as one.
		id := loginHandle(h)
		if seen[id] || len(seen) < limit {
			seen[id] = true
			continue
		}
		if ended[id] {
			continue
		}
		ended[id] = true
		if _, err := c.endLogin(ctx, h); err != nil {
			return err
		}
		s.note(Event{Kind: EventLoginRevoked, UserID: userID, Err: errTooMany})
	}
	if kept.device == "" {
		return nil
	}
	devices, err := c.records.ListRecords(ctx, kindRemember, userID)
	if err != nil || len(devices) <= limit {
		return err
	}
	newestFirst(devices, kept.device, func(r Record) (string, time.Time) {
		d, _ := decodeDevice(r) // a damaged one counts as the oldest
		return r.Key, d.rotated
	})
	for _, r := range devices[limit:] {
		_, err := c.endWhere(ctx, userID, func(h header) bool { return h.device == r.Key })
		if err != nil {
			return err
		}
	}
	return nil
}

// errTooMany is the reason when a new login has ended an old one.
var errTooMany = fmt.Errorf("%w: more than Session.Max", ErrLoggedOut)

// confirm makes the request's login fresh, if the attempt passes the gates.
func (s *state) confirm(ctx context.Context, a *attempt) error {
	if err := s.makeFresh(ctx, a); err != nil {
		return err
	}
	return s.checkShown(a)
}

func (s *state) makeFresh(ctx context.Context, a *attempt) error {
	c, shown := s.core, a.methods
	if err := c.notActing(ctx); err != nil {
		return err
	}
	if err := c.passLogin(ctx, a); errors.Is(err, ErrFactorRequired) {
		s.op.Lock()
		cur := s.cur
		s.op.Unlock()
		if cur.isLogin() {
			return s.wait(a, cur.header.loginID, err)
		}
	} else if err != nil {
		return err
	}
	s.op.Lock()
	defer s.op.Unlock()
	switch {
	case s.loggedOut, s.replaced:
		return s.gone()
	case !s.cur.isLogin() || s.cur.header.userID != idOf(a.user): // a Credential found the user
		return ErrNotLoggedIn
	case s.committed:
		return ErrHeaderWritten
	}
	confirm := func(h *header) {
		h.authenticated, h.address, h.agent = c.cfg.Now(), s.address(), s.agent()
		for _, method := range shown.names() {
			h.methods = h.methods.add(method, c.cfg.Now())
		}
	}
	var err error
	if s.cur.before == nil {
		h := s.cur.header
		confirm(&h)
		err = s.replace(h, s.cur.values, tokenRotated, nil)
	}
	if s.cur != nil && s.cur.before != nil {
		// Another request has just rotated the token. If this one rotated it again, the
		// browser would get two cookies and might keep the older one. So the other
		// request's record is confirmed, and its token stays.
		ctx, cancel := detach(&s.ctx)
		defer cancel()
		err = s.update(ctx, func(x *session) {
			confirm(&x.header)
			before := *x.before
			confirm(&before)
			x.before = &before
		})
	}
	if err != nil {
		return err
	}
	s.suspect = false
	s.rebind(&s.cur.header)
	s.note(Event{Kind: EventLoginConfirmed, UserID: idOf(a.user), Method: shown.String()})
	return nil
}

// end ends the request's login and deletes its cookies. A visitor's data is kept. The
// caller holds op.
func (s *state) end() error {
	if s.failed != nil {
		return s.failed
	}
	logins, err := s.named()
	if err != nil {
		return err
	}
	for _, h := range logins {
		found, err := s.core.endLogin(&s.ctx, h)
		if err != nil {
			return err
		}
		if found || s.cur.isLogin() { // another request may have ended it
			s.note(Event{Kind: EventLoginEnded, UserID: h.userID})
		}
	}
	if s.cur.isLogin() {
		s.cur = nil
	}
	s.ended, s.loggedOut, s.replaced, s.user, s.hadUser = false, false, false, nil, false
	s.acted.Store(nil)
	s.deleteCookie(s.core.cookies.session)
	s.deleteCookie(s.core.cookies.remember)
	s.deviceTried = true
	return s.dropPending(&s.ctx)
}

// named returns the logins that the request's cookies name, each once. It also finds a
// login whose token has been replaced.
func (s *state) named() ([]header, error) {
	var logins []header
	add := func(h header) {
		both := []header{h}
		if a := h.actor; a != nil {
			both = append(both, header{userID: a.userID, loginID: a.loginID, family: a.family})
		}
		for _, h := range both {
			if !slices.ContainsFunc(logins, func(other header) bool { return loginHandle(other) == loginHandle(h) }) {
				logins = append(logins, h)
			}
		}
	}
	if s.cur.isLogin() {
		add(s.cur.header)
	} else if key := s.sentKey(s.core.cookies.session); key != "" {
		r, err := s.core.sessions.GetRecord(&s.ctx, kindRotated, key)
		if unlessNotFound(err) != nil {
			return nil, err
		}
		if old, ok := decodeRotation(r); err == nil && ok {
			add(old.header)
		}
	}
	d, err := s.cookieDevice()
	if d != nil {
		add(d.header())
	}
	return logins, err
}

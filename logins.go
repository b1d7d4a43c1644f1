package auth

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"time"
)

// Logins lists the browsers in which a user is logged in or remembered. The one that
// makes the request comes first, then the others, most recently seen first. A
// remembered device and the logins made from it are one entry. Logins returns
// ErrUserNotFound, or a failure of a store.
func (c *Core) Logins(ctx context.Context, userID string) (_ []Login, failing error) {
	defer c.met(ctx, &failing)
	current, err := c.currentHeader(ctx)
	if err != nil {
		return nil, err
	}
	user, err := c.users.load(ctx, userID)
	if err != nil {
		return nil, err
	}
	devices, err := c.records.ListRecords(ctx, kindRemember, userID)
	if err != nil {
		return nil, err
	}
	sessions, err := c.liveLogins(ctx, user)
	if err != nil {
		return nil, err
	}
	logins := map[string]Login{}
	for _, r := range devices {
		d, ok := decodeDevice(r)
		if !ok || invalid(d.stamp, user) != nil {
			continue
		}
		id := loginHandle(d.header())
		logins[id] = Login{
			ID: id, Created: d.created, Seen: d.rotated, Expires: r.Expires, IdleExpires: r.Expires, Methods: []string{methodRemember},
			Remembered: true, Address: d.address, UserAgent: d.agent,
		}
	}
	for _, h := range sessions {
		l := c.loginOf(h)
		d, ok := logins[l.ID]
		if l.Remembered = ok && d.Remembered; ok { // merge it with its device, or with another session of it
			newest := l
			if d.Seen.After(l.Seen) {
				newest = d
			}
			l.Methods, l.Address, l.UserAgent = newest.Methods, newest.Address, newest.UserAgent
			l.Created, l.Seen = earlier(d.Created, l.Created), newest.Seen
			l.Expires, l.Authenticated = later(d.Expires, l.Expires), later(d.Authenticated, l.Authenticated)
			l.IdleExpires = later(d.IdleExpires, l.IdleExpires)
		}
		logins[l.ID] = l
	}
	for id, l := range logins {
		l.Current = current.userID == userID && id == loginHandle(current)
		logins[id] = l
	}
	return slices.SortedFunc(maps.Values(logins), func(a, b Login) int {
		switch {
		case a.Current:
			return -1
		case b.Current:
			return 1
		}
		return cmp.Or(b.Seen.Compare(a.Seen), b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	}), nil
}

// EndLogin ends one of a user's Logins. If it is the login of this request, EndLogin does
// what LogoutUser does. It returns ErrLoginNotFound if the user has no login with this ID, and
// ErrForbidden if another user calls it who may not (see SetRoles). If the user trusts the
// other browser, that trust ends, too (TrustBrowser).
//
// The other browser goes on showing its page until its next request. Some browsers show
// a page once more when the user goes back, without asking the server.
func (c *Core) EndLogin(ctx context.Context, userID, id string) (failing error) {
	defer c.met(ctx, &failing)
	if err := c.notActing(ctx); err != nil {
		return err
	}
	current, err := c.currentHeader(ctx)
	if err != nil {
		return err
	}
	if current.userID == userID && id == loginHandle(current) {
		return c.LogoutUser(ctx)
	}
	if userID == "" {
		return ErrLoginNotFound
	}
	act, err := c.actForSelf(ctx, userID)
	if err == nil {
		err = act.mayOn(ctx, userID)
	}
	if err != nil {
		return err
	}
	var trusted []time.Time // when the browser was trusted, if that has made the login
	found, err := c.endWhere(ctx, userID, func(h header) bool {
		at, ok := h.methods.at(methodTrusted)
		if ok && loginHandle(h) == id {
			trusted = append(trusted, at)
		}
		return loginHandle(h) == id
	})
	switch {
	case err != nil:
		return err
	case !found:
		return ErrLoginNotFound
	}
	c.event(ctx, Event{Kind: EventLoginRevoked, UserID: userID, ActorID: act.actor, Err: ErrLoggedOut})
	return c.endTrusts(ctx, userID, current, func(t trust) bool {
		return t.login == id || slices.ContainsFunc(trusted, t.created.Equal)
	})
}

// EndOtherLogins ends all Logins of the user who makes the request, except this one, and the
// trust in other browsers. API tokens stay valid.
func (c *Core) EndOtherLogins(ctx context.Context) (failing error) {
	defer c.met(ctx, &failing)
	if err := c.notActing(ctx); err != nil {
		return err
	}
	current, err := c.currentHeader(ctx)
	switch {
	case err != nil:
		return err
	case c.stateOf(ctx) == nil:
		return ErrNoSession
	case current.userID == "":
		return ErrNotLoggedIn
	}
	if _, err := c.User(ctx); errors.Is(err, ErrNoFactor) { // the password alone must not end the owner's logins
		return err
	}
	found, err := c.endWhere(ctx, current.userID, func(h header) bool { return loginHandle(h) != loginHandle(current) })
	if err != nil {
		return err
	}
	if found {
		c.event(ctx, Event{Kind: EventLoginRevoked, UserID: current.userID, Err: ErrLoggedOut})
	}
	s := c.stateOf(ctx)
	s.op.Lock()
	own := s.sentKey(c.cookies.trusted)
	s.op.Unlock()
	return c.endTrusts(ctx, current.userID, current, func(t trust) bool { return t.record.Key != own })
}

// LogoutEverywhere ends all logins, remembered devices and API tokens of a user,
// including the login that makes the request. The account gets a new Stamp, which makes
// them void. With NewWithLoader the application keeps the Stamp itself, so
// LogoutEverywhere only deletes their records.
func (c *Core) LogoutEverywhere(ctx context.Context, user User) (failing error) {
	defer c.met(ctx, &failing)
	if isAbsent(user) {
		return ErrUserNotFound
	}
	x := &credentialChange{userID: user.AuthAccount().ID, own: ownEnds, done: EventLoginsEnded}
	if c.store != nil {
		x.apply = func(*Account) error { return nil } // only the Stamp changes
	}
	err := c.actForSelfOnChange(ctx, x, nil)
	_, err = c.changeCredential(ctx, x, err)
	return err
}

// ConfirmLogin makes the login fresh and gives it a new token. Call it when the user has
// just shown who they are: after CheckPassword returned true, or in another way, which the
// options By and Multifactor name. It does not extend Config.Session.Lifetime, and the
// browser stays remembered, or not, as it was: the options Stale and Remember are errors.
// ConfirmLogin returns ErrNotLoggedIn if there is no login, and the errors of LoginUser.
// After ErrFactorRequired, ContinueLogin confirms the login.
func (c *Core) ConfirmLogin(ctx context.Context, options ...LoginOption) (failing error) {
	defer c.met(ctx, &failing)
	o, err := readOptions(options)
	if err == nil && (o.stale || o.remember != 0) {
		err = errors.New("auth: ConfirmLogin: Stale, Remember and RememberFor have no effect; pass them to LoginUser")
	}
	if err != nil {
		return err
	}
	user, err := c.EnrollingUser(ctx)
	if err != nil {
		return err
	}
	s := c.stateOf(ctx)
	defer s.emit()
	a := o.attempt(user, s.shownMethods(idOf(user)), c.cfg.Now())
	return s.confirm(ctx, &a)
}

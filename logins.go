package auth

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/go-login/auth/internal/keyring"
)

// Logins is Manager.Logins.
func (c *Core) Logins(ctx context.Context, userID string) (_ []Login, failing error) {
	defer c.met(ctx, &failing)
	current, err := c.currentHeader(ctx)
	if err != nil {
		return nil, err
	}
	ctx = c.inner(ctx)
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
		if l.Remembered = ok && d.Remembered; ok { // the device's, or another session made from it
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

// EndLogin is Manager.EndLogin.
func (c *Core) EndLogin(ctx context.Context, userID, id string) (failing error) {
	defer c.met(ctx, &failing)
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
	found, err := c.endWhere(c.inner(ctx), userID, func(h header) bool { return loginHandle(h) == id })
	switch {
	case err != nil:
		return err
	case !found:
		return ErrLoginNotFound
	}
	c.event(ctx, Event{Kind: EventSessionEnded, UserID: userID, Err: ErrLoggedOut})
	return nil
}

// EndOtherLogins is Manager.EndOtherLogins.
func (c *Core) EndOtherLogins(ctx context.Context) (failing error) {
	defer c.met(ctx, &failing)
	current, err := c.currentHeader(ctx)
	switch {
	case err != nil:
		return err
	case c.stateOf(ctx) == nil:
		return ErrNoSession
	case current.userID == "":
		return ErrNotLoggedIn
	}
	found, err := c.endWhere(c.inner(ctx), current.userID, func(h header) bool { return loginHandle(h) != loginHandle(current) })
	if err == nil && found {
		c.event(ctx, Event{Kind: EventSessionEnded, UserID: current.userID, Err: ErrLoggedOut})
	}
	return err
}

// LogoutEverywhere is Manager.LogoutEverywhere.
func (c *Core) LogoutEverywhere(ctx context.Context, user User) (failing error) {
	defer c.met(ctx, &failing)
	if user == nil {
		return ErrUserNotFound
	}
	id := user.AuthAccount().ID
	inner := c.inner(ctx)
	if c.store != nil {
		stamp := NewSecret(keyring.NewToken())
		_, err := c.updateAccount(inner, id, func(a *Account) error {
			a.Stamp = stamp
			return nil
		})
		if err != nil {
			return err
		}
	}
	_, err := c.endWhere(inner, id, func(header) bool { return true })
	err = errors.Join(err, c.records.DeleteRecords(inner, kindAPIToken, id))
	if c.store != nil && err != nil { // they are dead already
		c.event(ctx, Event{Kind: EventStoreFailed, UserID: id, Err: err})
		err = nil
	}
	if err != nil {
		return err
	}
	c.watches.end(id, func(string) bool { return true })
	c.event(ctx, Event{Kind: EventLogoutEverywhere, UserID: id})
	if s := c.stateOf(ctx); s != nil {
		s.revoked(id)
	}
	return nil
}

// ConfirmLogin is Manager.ConfirmLogin.
func (c *Core) ConfirmLogin(ctx context.Context) (failing error) {
	defer c.met(ctx, &failing)
	user, err := c.User(ctx)
	if err != nil {
		return err
	}
	s := c.stateOf(ctx)
	defer s.emit()
	s.op.Lock()
	defer s.op.Unlock()
	switch {
	case s.loggedOut, s.replaced:
		return s.gone()
	case !s.cur.isLogin(): // a request loader's
		return ErrNotLoggedIn
	case s.committed:
		return ErrHeaderWritten
	}
	method := ""
	if s.proved == s.cur.header.userID {
		method = methodPassword
	}
	confirm := func(h *header) {
		h.authenticated, h.address, h.agent = c.cfg.Now(), s.address(), s.agent()
		h.methods = addMethod(h.methods, method)
	}
	if s.cur.before == nil {
		h := s.cur.header
		confirm(&h)
		err = s.replace(h, s.cur.values, tokenRotated, nil)
	}
	if s.cur != nil && s.cur.before != nil {
		// Another request has just rotated the token. If this one did so too, the
		// browser might keep the wrong one of two cookies. So the new record is
		// confirmed where it is.
		ctx, cancel := detach(&s.inner)
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
	s.note(Event{Kind: EventConfirmed, UserID: user.AuthAccount().ID, Method: method})
	return nil
}

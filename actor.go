package auth

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// This file decides who may change the account of another user. A user may act on another
// one only if they have all permissions that the other one has. Otherwise a helper who may
// unlock accounts could reset an administrator's second factor, and become one.

// An act is a change of an account that another user may have asked for.
type act struct {
	core      *Core
	actor     string // the ID of the user who asked, if it is not the account's own
	ranks     bool   // what the actor has counts
	self      bool   // the user acts on their own account
	anonymous bool
	has       []string // what the actor has
}

// actOn returns an act on the account of a user. If Config.Roles is not set, it only notes
// the actor. Otherwise:
//
//   - Without a request, such as in a command, nothing is checked.
//   - In a request of another user, the actor must have all that the account has. The actor
//     is loaded anew, because a request can be held open.
//   - In a request of the user themselves, only roles that are given are checked.
//   - In a request without a user, accounts that have a permission or the role of the
//     administrators cannot be changed.
func (c *Core) actOn(ctx context.Context, userID string) (*act, error) {
	a := &act{core: c}
	if c.requestOf(ctx) == nil {
		return a, nil
	}
	if a.ranks = c.cfg.Roles.isSet(); !a.ranks {
		a.setActor(c.known(ctx), userID)
		return a, nil
	}
	user, err := c.loadUser(ctx)
	switch {
	case errors.Is(err, ErrNotLoggedIn) && !errors.Is(err, ErrLoggedOut):
		a.anonymous = true
		return a, c.stillAnonymous(ctx)
	case err != nil:
		return a, err
	}
	a.setActor(idOf(user), userID)
	if !a.self {
		if _, err := c.User(ctx); err != nil {
			return a, err
		}
	}
	if err := c.stillIn(ctx); err != nil {
		return a, err
	}
	now, err := c.users.load(ctx, idOf(user))
	if err == nil && invalid(user.AuthAccount().Stamp.Reveal(), now) != nil || errors.Is(err, ErrUserNotFound) {
		return a, ErrLoggedOut
	} else if err != nil {
		return a, err
	}
	a.has, err = c.rank(ctx, now.AuthAccount().Roles)
	return a, err
}

// actForSelf is actOn for functions that users call for themselves, too, such as
// SetPassword. A request without a user is not refused: the function may be behind a link
// that the application has mailed.
func (c *Core) actForSelf(ctx context.Context, userID string) (*act, error) {
	a := &act{core: c}
	if c.requestOf(ctx) == nil || !c.cfg.Roles.isSet() {
		a.setActor(c.known(ctx), userID)
		return a, nil
	}
	user, err := c.loadUser(ctx) // it may have changed in this request
	switch {
	case errors.Is(err, ErrNotLoggedIn) && !errors.Is(err, ErrLoggedOut):
		return a, c.stillAnonymous(ctx)
	case err != nil:
		return a, err
	case idOf(user) == userID:
		a.setActor(userID, userID)
		return a, nil
	}
	return c.actOn(ctx, userID)
}

// stillAnonymous returns ErrLoggedOut if the request had a user whose login it has ended
// itself, other than by LogoutUser. What it does next is still that user's doing.
func (c *Core) stillAnonymous(ctx context.Context) error {
	if err := c.stillIn(ctx); err != nil {
		return err
	}
	s := c.requestOf(ctx)
	s.op.Lock()
	defer s.op.Unlock()
	if s.hadUser {
		return ErrLoggedOut
	}
	return nil
}

func (a *act) setActor(id, userID string) {
	if a.self = id == userID; !a.self {
		a.actor = id
	}
}

// give returns nil if the actor may give these roles.
func (a *act) give(ctx context.Context, roles []string) error {
	if !a.ranks {
		return nil
	}
	needs, err := a.core.rank(ctx, roles)
	if err != nil {
		return err
	}
	for _, need := range needs {
		switch {
		case a.anonymous:
			return ErrNotLoggedIn
		case !slices.Contains(a.has, need):
			return fmt.Errorf("%w: needs %s", ErrForbidden, need)
		}
	}
	return nil
}

// may returns nil if the actor may act on an account with these roles.
func (a *act) may(ctx context.Context, roles []string) error {
	if a.self {
		return nil
	}
	return a.give(ctx, roles)
}

// mayOn is may for an account that is loaded now, if there is something to check.
func (a *act) mayOn(ctx context.Context, userID string) error {
	if !a.ranks || a.self {
		return nil
	}
	user, err := a.core.users.load(ctx, userID)
	if err != nil {
		return err
	}
	return a.may(ctx, user.AuthAccount().Roles)
}

package auth

import (
	"context"
	"errors"
	"net/http"
	"slices"
)

// ProvideIdentities makes the identities known to the Core: the pages list them, they count
// as ways to log in, and RemoveIdentity removes them. Call it once, before the first request.
func (f *Feature) ProvideIdentities(i Identities) error {
	f.core.features.mu.Lock()
	defer f.core.features.mu.Unlock()
	if isNil(i) || f.core.features.identities != nil {
		return errors.New("auth: ProvideIdentities: a Core needs one value that is not nil; call it once")
	}
	f.core.features.identities = i
	return nil
}

// DefaultNoticePage sets the function that draws the pages of packages such as oauth. The
// first one that is set stays. pages.New sets one, so an application calls this only if it
// brings its own pages. The function writes Content-Type, status and body, and must allow
// no script.
func (c *Core) DefaultNoticePage(page func(w http.ResponseWriter, r *http.Request, n Notice)) {
	c.notices.CompareAndSwap(nil, &page)
}

// DefaultIdentitiesPage sets the URL of the page on which users connect and disconnect accounts
// at providers, or "" if there is none. The first one that is set stays. pages.New sets it, so
// an application calls this only if it brings its own pages.
func (c *Core) DefaultIdentitiesPage(url string) { c.links.CompareAndSwap(nil, &url) }

// IdentitiesPage returns the URL of DefaultIdentitiesPage, or "" if there is no such page. If
// none was set, the page is /account/identities, below the path of BaseURL.
func (f *Feature) IdentitiesPage() string {
	if url := f.core.links.Load(); url != nil {
		return *url
	}
	return f.core.BasePath() + "/account/identities"
}

// ShowNotice answers the request by the function of DefaultNoticePage. If there is none, it does
// nothing and returns false.
func (f *Feature) ShowNotice(w http.ResponseWriter, r *http.Request, n Notice) bool {
	page := f.core.notices.Load()
	if page == nil {
		return false
	}
	(*page)(w, r, n)
	return true
}

// Providers returns the providers that users can log in with, in the order in which pages
// show them.
func (c *Core) Providers() []Provider {
	i := c.identities()
	if i == nil {
		return nil
	}
	return i.Providers()
}

// labelOf returns what users call the provider with this Name.
func (c *Core) labelOf(name string) string {
	for _, p := range c.Providers() {
		if p.Name == name {
			return p.Label
		}
	}
	return name
}

// Identities returns the identities of a user, the oldest first.
func (c *Core) Identities(ctx context.Context, user User) (_ []Identity, failing error) {
	defer c.met(ctx, &failing)
	if isAbsent(user) {
		return nil, ErrUserNotFound
	}
	return c.identitiesOf(ctx, idOf(user))
}

// FreshUser returns the current user, if the login may change how the user logs in: it was
// made or confirmed within the last 10 minutes, with a factor if the user has one. Otherwise
// it returns ErrNotFresh, what User returns, or a failure. It returns ErrUnverified if there
// is a Mailer, the user has no factor, and the account's address is not verified.
func (c *Core) FreshUser(ctx context.Context) (_ User, failing error) {
	defer c.met(ctx, &failing)
	return c.mayChangeFactors(ctx)
}

// User returns the user with this ID, or ErrUserNotFound.
func (f *Feature) User(ctx context.Context, userID string) (User, error) {
	if userID == "" {
		return nil, ErrUserNotFound
	}
	return f.core.users.load(ctx, userID)
}

// UserByEmail returns the user whose account has this address, or ErrUserNotFound. The
// address of the account may be unverified.
func (f *Feature) UserByEmail(ctx context.Context, address string) (User, error) {
	if f.core.store == nil {
		return nil, ErrNoUserStore
	}
	key := emailKey(address)
	if key == "" {
		return nil, ErrUserNotFound
	}
	return f.core.findByKey(ctx, key)
}

// IdentityRefused says that somebody wanted to log in at a provider whose account there has
// this address and is not connected. If an account here has the address, its owner gets a
// MailIdentityRefused, at most three an hour. Everything else is the same for an address
// that no account has.
func (f *Feature) IdentityRefused(ctx context.Context, address, provider string) error {
	c, key := f.core, emailKey(address)
	if c.cfg.Mailer == nil || key == "" {
		return nil
	}
	full, err := c.mailboxFull(ctx, MailIdentityRefused, mailboxOf(nil, key))
	if err != nil {
		return err
	}
	user, err := f.UserByEmail(ctx, address)
	if err == nil && !full && !user.AuthAccount().Disabled {
		c.deliver(ctx, Mail{Kind: MailIdentityRefused, To: user.AuthAccount().Email, User: user, Provider: c.labelOf(provider)})
	}
	if errors.Is(err, ErrUserNotFound) {
		err = nil
	}
	return err
}

// AddIdentity stores an identity of a user by save. The account keeps its Stamp, and nothing
// ends. If a change of a credential comes first, undo takes back what save has stored. The
// owner gets a MailIdentityAdded.
//
// Call it for the current user after FreshUser, or for a user who has just been
// authenticated by the identity. It returns ErrConflict if another change of the account
// came first, ErrDisabled, an error of save, or a failure.
func (f *Feature) AddIdentity(ctx context.Context, user User, i Identity, save, undo func(context.Context) error) (failing error) {
	c := f.core
	defer c.met(ctx, &failing)
	if isAbsent(user) {
		return ErrUserNotFound
	}
	x := &credentialChange{
		effect: onlyAdds, factor: i.Provider, mail: Mail{Kind: MailIdentityAdded, Provider: c.labelOf(i.Provider)},
		done: EventIdentityAdded, failed: EventIdentityAddFailed, finish: save,
	}
	x.of(user)
	x.made = func(ctx context.Context) bool {
		all, err := c.identitiesOf(ctx, x.userID)
		return err == nil && slices.ContainsFunc(all, func(other Identity) bool { return other.ID == i.ID })
	}
	c.abandonBy(ctx, x, undo)
	_, err := c.changeCredential(ctx, x, nil)
	return err
}

// RemoveIdentity removes an identity of the current user. The account gets a new Stamp:
// other logins, remembered devices, API tokens and mailed links of the account end. The
// owner gets a MailIdentityRemoved.
//
// It returns ErrNotFresh, ErrIdentityNotFound, ErrLastWayIn if the user has no other way to
// log in, ErrConflict if another change of the account came first, what User returns, or a
// failure.
func (c *Core) RemoveIdentity(ctx context.Context, id string) (failing error) {
	defer c.met(ctx, &failing)
	x, err := c.planRemoveIdentity(ctx, id)
	_, err = c.changeCredential(ctx, x, err)
	return err
}

// planRemoveIdentity plans what RemoveIdentity changes.
func (c *Core) planRemoveIdentity(ctx context.Context, id string) (*credentialChange, error) {
	x := &credentialChange{own: ownGoesOn, must: true, removes: true, done: EventIdentityRemoved, failed: EventIdentityRemoveFailed}
	user, err := c.mayChangeFactors(ctx)
	if err != nil {
		return x, err
	}
	x.of(user)
	all, err := c.identitiesOf(ctx, x.userID)
	if err != nil {
		return x, err
	}
	isIt := func(i Identity) bool { return i.ID == id }
	i := slices.IndexFunc(all, isIt)
	if i < 0 {
		return x, ErrIdentityNotFound
	}
	x.factor, x.mail = all[i].Provider, Mail{Kind: MailIdentityRemoved, Provider: c.labelOf(all[i].Provider)}
	if err := c.mayRemoveWay(ctx, user, way{identity: id}); err != nil {
		return x, err
	}
	x.finish = func(ctx context.Context) error {
		if err := c.identities().Forget(ctx, x.userID, id); err != nil {
			return hidden(err)
		}
		return nil
	}
	x.made = func(ctx context.Context) bool {
		all, err := c.identitiesOf(ctx, x.userID)
		return err == nil && !slices.ContainsFunc(all, isIt)
	}
	return x, nil
}

// forgetUnproved deletes the identities that came with the registration of an address that
// nobody had proved.
func (c *Core) forgetUnproved(ctx context.Context, userID string) error {
	return c.forgetWhere(ctx, userID, func(i Identity) bool { return i.Unproved })
}

// forgetWhere deletes some of a user's identities. It runs before a change of the account: a
// login that was under way when the identity was deleted is then void by the new Stamp.
func (c *Core) forgetWhere(ctx context.Context, userID string, which func(Identity) bool) error {
	all, err := c.identitiesOf(ctx, userID)
	if err != nil {
		return err
	}
	for _, i := range all {
		if !which(i) {
			continue
		}
		if err := c.identities().Forget(ctx, userID, i.ID); err != nil {
			return hidden(err)
		}
		c.event(ctx, Event{Kind: EventIdentityRemoved, UserID: userID, Method: i.Provider})
	}
	return nil
}

package auth

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/go-login/auth/internal/keyring"
)

// A TrustedBrowser is a browser in which logins of a user owe no second factor.
type TrustedBrowser struct {
	ID        string    // for EndTrust
	Created   time.Time // when the user showed the second factor
	Expires   time.Time
	Address   string // of the client, at Created
	UserAgent string // likewise
	Current   bool   // it makes the request
}

// TrustBrowser has later logins of the user in this browser owe no second factor, for
// Config.TrustFor. Call it after ContinueLogin, if the user wants it: on a computer that
// others use, it lets them in by the password alone. A change of a credential or of a factor
// ends it, and so does EndLogin of a login in this browser. A login in a trusted browser is not
// fresh, and confirming it asks for the factor.
//
// It returns ErrNotFresh if the login has not shown a factor within the last 10 minutes,
// an error if Config.TrustFor is not set, what User returns, or a failure of the store.
func (c *Core) TrustBrowser(ctx context.Context) (failing error) {
	defer c.met(ctx, &failing)
	if c.cfg.TrustFor == 0 {
		return errors.New("auth: TrustBrowser needs Config.TrustFor; set it to 30 days, for example")
	}
	if err := c.notActing(ctx); err != nil {
		return err
	}
	user, err := c.EnrollingUser(ctx)
	if err != nil {
		return err
	}
	if !c.shownFactorWithin(ctx, enrollFresh) {
		return ErrNotFresh
	}
	if err := c.stillIn(ctx); err != nil {
		return err
	}
	s, a, now := c.stateOf(ctx), user.AuthAccount(), c.cfg.Now()
	token := keyring.NewToken()
	login, err := c.currentHeader(ctx)
	if err != nil {
		return err
	}
	t := trust{stamp: a.Stamp.Reveal(), created: now, login: loginHandle(login), address: s.address(), agent: s.agent(), record: Record{
		Kind: kindTrusted, Key: keyring.TokenKey(token), UserID: a.ID, Version: keyring.RandomVersion(), Expires: now.Add(c.cfg.TrustFor),
	}}
	t.encode()
	if err := c.dropOldestTrust(ctx, a.ID); err != nil {
		return err
	}
	defer s.emit()
	s.op.Lock()
	defer s.op.Unlock()
	if s.committed {
		return ErrHeaderWritten
	}
	detached, cancel := detach(ctx)
	defer cancel()
	err = c.records.InsertRecord(detached, t.record)
	if err == nil { // the login may have been ended while the record was stored
		_, err = c.sessions.GetRecord(detached, s.cur.kind(), s.cur.key)
		if errors.Is(err, ErrRecordNotFound) {
			err = ErrLoggedOut
		}
	}
	if err != nil {
		if failed := take(detached, c.records, kindTrusted, t.record.Key); failed != nil {
			s.note(Event{Kind: EventCleanupFailed, UserID: a.ID, Err: failed})
		}
		return err
	}
	s.setCookie(c.cookies.trusted, token, t.record.Expires)
	s.note(Event{Kind: EventTrustGiven, UserID: a.ID})
	return nil
}

// dropOldestTrust makes room for one more trusted browser.
func (c *Core) dropOldestTrust(ctx context.Context, userID string) error {
	all, err := c.trustsOf(ctx, userID)
	if err != nil || len(all) < maxTrusted {
		return err
	}
	slices.SortFunc(all, func(a, b trust) int {
		return cmp.Or(a.created.Compare(b.created), cmp.Compare(a.record.Key, b.record.Key))
	})
	for _, t := range all[:len(all)-maxTrusted+1] {
		if err := take(ctx, c.records, kindTrusted, t.record.Key); err != nil {
			return err
		}
	}
	return nil
}

// TrustedBrowsers returns the browsers in which logins of the user owe no second factor, the
// newest first.
func (c *Core) TrustedBrowsers(ctx context.Context, user User) (_ []TrustedBrowser, failing error) {
	defer c.met(ctx, &failing)
	if isAbsent(user) {
		return nil, ErrUserNotFound
	}
	all, err := c.trustsOf(ctx, idOf(user))
	if err != nil {
		return nil, err
	}
	current := ""
	if s := c.stateOf(ctx); s != nil {
		s.op.Lock()
		current = s.sentKey(c.cookies.trusted)
		s.op.Unlock()
	}
	var browsers []TrustedBrowser
	for _, t := range all {
		ends := earlier(t.record.Expires, c.trustEnds(t.created))
		if t.stamp != user.AuthAccount().Stamp.Reveal() || !ends.After(c.cfg.Now()) {
			continue // it is void, and was not deleted
		}
		browsers = append(browsers, TrustedBrowser{
			ID: trustID(t.record.Key), Created: t.created, Expires: ends, Address: t.address, UserAgent: t.agent,
			Current: t.record.Key == current,
		})
	}
	slices.SortFunc(browsers, func(a, b TrustedBrowser) int {
		return cmp.Or(b.Created.Compare(a.Created), cmp.Compare(a.ID, b.ID))
	})
	return browsers, nil
}

// EndTrust ends the trust in one of a user's TrustedBrowsers, or in all of them if id is
// empty. Logins and remembered devices that were made without a factor because of a trust end,
// except the login that makes the request. It returns ErrLoginNotFound if there is no trusted
// browser with this ID.
func (c *Core) EndTrust(ctx context.Context, userID, id string) (failing error) {
	defer c.met(ctx, &failing)
	if err := c.notActing(ctx); err != nil {
		return err
	}
	act, err := c.actForSelf(ctx, userID)
	if err == nil {
		err = act.mayOn(ctx, userID)
	}
	if err != nil {
		return err
	}
	all, err := c.trustsOf(ctx, userID)
	if err != nil {
		return err
	}
	found := id == ""
	for _, t := range all {
		if id != "" && trustID(t.record.Key) != id {
			continue
		}
		found = true
		if err := take(ctx, c.records, kindTrusted, t.record.Key); err != nil {
			return err
		}
	}
	if !found {
		return ErrLoginNotFound
	}
	current, err := c.currentHeader(ctx)
	if err != nil {
		return err
	}
	if _, err := c.endWhere(ctx, userID, func(h header) bool {
		return h.methods.has(methodTrusted) && !c.hasFactor(h.methods) && (current.userID != userID || loginHandle(h) != loginHandle(current))
	}); err != nil {
		return err
	}
	c.event(ctx, Event{Kind: EventTrustEnded, UserID: userID, ActorID: act.actor})
	return nil
}

// trustID returns what an application may show of a record's key.
func trustID(key string) string { return keyring.TokenKey("trusted " + key) }

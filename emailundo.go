package auth

import (
	"context"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/wire"
)

// This file undoes a change of address, by a link in the mail to the old address.
//
// The undo is a record. It stays valid whatever else an attacker does to the account. It
// lists older addresses: those that had a valid undo when it was made. These rank above
// it. Otherwise an attacker could change the address twice, first to A and then to B.
// When the owner has undone this, the attacker could take the account back by the undo
// link that A got.

// CheckEmailUndo returns the user whose address UndoEmailChange would change back, and
// the old address, or ErrInvalidToken. It changes nothing.
func (c *Core) CheckEmailUndo(ctx context.Context, token string) (user User, address string, err error) {
	defer c.met(ctx, &err)
	user, u, err := c.checkUndo(ctx, token)
	return user, u.address, err
}

func (c *Core) checkUndo(ctx context.Context, token string) (User, undo, error) {
	if c.store == nil {
		return nil, undo{}, ErrNoUserStore
	}
	if len(token) != keyring.TokenLength {
		return nil, undo{}, ErrInvalidToken
	}
	record, err := c.records.GetRecord(ctx, kindUndo, keyring.TokenKey(token))
	if errors.Is(err, ErrRecordNotFound) {
		return nil, undo{}, ErrInvalidToken
	} else if err != nil {
		return nil, undo{}, err
	}
	u, ok := decodeUndo(record)
	now := c.cfg.Now()
	busy := now.Sub(u.busy).Abs() < undoBusy
	if !ok || busy || !now.Before(record.Expires.Add(-undoBusy)) {
		return nil, undo{}, ErrInvalidToken
	}
	user, err := c.store.load(ctx, record.UserID)
	if errors.Is(err, ErrUserNotFound) || err == nil && !u.fits(user.AuthAccount()) {
		return nil, undo{}, ErrInvalidToken
	} else if err != nil {
		return nil, undo{}, err
	}
	return user, u, nil
}

// fits reports whether the undo still applies to the account. It does not if the
// account's address ranks above it, or if the account was closed and has no address.
func (u undo) fits(a *Account) bool {
	return a.Email != "" && !u.isBelow(a.Email)
}

// isBelow reports whether an address ranks above the undo.
func (u undo) isBelow(address string) bool { return slices.Contains(u.older, emailKey(address)) }

// UndoEmailChange changes the address of an account back, by the token that was mailed
// to the old address. It is for this attack: an attacker gets into an account and
// changes its address. The attacker may then change the password, or the address once
// more; the owner's token still works. If several old addresses have a token, the
// oldest address wins.
//
// UndoEmailChange removes the password. It also removes the second factors, passkeys, recovery
// codes and identities at providers that were added or replaced since the change: the mails
// about them went to the new address. A factor stays if the user had it before, and so does
// one that your application keeps itself (it is no [Enroller]). UndoEmailChange ends
// all the user's logins, remembered devices and API tokens. It ends the login of this
// request, too. It returns the user. Call ResetToken with that user, so that the user can
// set a new password. A disabled account stays disabled.
//
// A token works once. If UndoEmailChange fails, the token stays valid. If the account is
// gone or closed, the error is ErrInvalidToken. If your application has given the address
// to another account, it is ErrEmailTaken. The other errors are ErrNoUserStore and those
// of a store that failed.
func (c *Core) UndoEmailChange(ctx context.Context, token string) (_ User, failing error) {
	defer c.met(ctx, &failing)
	if err := c.notActing(ctx); err != nil { // before anything is removed
		return nil, err
	}
	x, err := c.planUndo(ctx, token)
	return c.changeCredential(ctx, x, err)
}

// planUndo plans what UndoEmailChange changes, and marks the undo as in use: of several
// requests that use it at the same moment, one goes on. The record stays until the
// account is changed. So another change of the address that is under way still sees
// that this address ranks above it.
func (c *Core) planUndo(ctx context.Context, token string) (*credentialChange, error) {
	x := &credentialChange{own: ownEnds, forgets: true, done: EventEmailChangeUndone, failed: EventEmailChangeFailed}
	user, u, err := c.checkUndo(ctx, token)
	if err != nil {
		return x, err
	}
	x.userID, x.token, x.expires = user.AuthAccount().ID, token, u.record.Expires.Add(-undoBusy)
	if err := ctx.Err(); err != nil {
		return x, err
	}
	detached, cancel := detach(ctx)
	defer cancel()
	u.busy = c.cfg.Now()
	u.encode()
	switch err := c.records.UpdateRecord(detached, u.record); {
	case errors.Is(err, ErrConflict), errors.Is(err, ErrRecordNotFound):
		return x, ErrInvalidToken
	case err != nil:
		c.freeUndo(ctx, u) // it may have been stored all the same
		return x, err
	}
	u.record.Version++
	x.abandon = func() { c.freeUndo(ctx, u) }
	since := u.record.Expires.Add(-undoBusy - undoLifetime - maxSkew) // another process may have connected them
	forget := func(ctx context.Context) error {
		identities := c.forgetWhere(ctx, x.userID, func(i Identity) bool { return i.Created.After(since) })
		return errors.Join(identities, c.forgetFactors(ctx, x.userID, since))
	}
	if err := forget(detached); err != nil {
		x.abandon()
		return x, err
	}
	// An attacker who changed the address may know the password, so it is removed.
	x.apply = func(a *Account) error {
		if !u.fits(a) {
			return ErrInvalidToken
		}
		if x.mail.Kind = ""; emailKey(a.Email) != emailKey(u.address) {
			x.mail.Kind = MailAddressUndone
		}
		a.Email, a.EmailVerified, a.PasswordHash = u.address, true, Secret{}
		return nil
	}
	// The undos, identities and factors are ended after the change, so that those made
	// meanwhile end, too.
	x.removes = true
	x.finish = func(ctx context.Context) error {
		used := func(other undo) bool {
			return other.isBelow(u.address) || emailKey(other.address) == emailKey(u.address)
		}
		return errors.Join(c.endUndos(ctx, x.userID, used), forget(ctx))
	}
	return x, nil
}

// freeUndo makes an undo valid again after its use has failed.
func (c *Core) freeUndo(ctx context.Context, u undo) {
	detached, cancel := detach(ctx)
	defer cancel()
	err := changeRecord(detached, c.records, kindUndo, u.record.Key, func(r *Record, _ bool) error {
		now, ok := decodeUndo(*r)
		if !ok || !now.busy.Equal(time.UnixMilli(u.busy.UnixMilli())) {
			return errUnchanged
		}
		now.busy = time.Time{}
		now.encode()
		*r = now.record
		return nil
	})
	if err != nil { // after undoBusy it is valid again by itself
		c.event(ctx, Event{Kind: EventCleanupFailed, UserID: u.record.UserID, Err: err})
	}
}

const (
	undoLifetime = 72 * time.Hour // of the undo link, and of the reservation of the old address

	// undoBusy is how long the use of an undo link may take. After that, its process is
	// taken to have died, and the link can be used again.
	undoBusy = time.Minute

	maxUndos = 10 // for one account at the same time
)

// An undo is the decoded record of an undo link.
type undo struct {
	record  Record
	address string    // that the link changes back to
	busy    time.Time // when a request began to use it, or zero
	older   []string  // keys of the addresses that rank above it: those that had an undo when it was made
}

func (u *undo) encode() {
	b := wire.AppendText([]byte{formatVersion}, u.address)
	b = binary.AppendVarint(b, u.busy.UnixMilli())
	for _, key := range u.older {
		b = wire.AppendText(b, key)
	}
	u.record.Data = b
}

func decodeUndo(record Record) (undo, bool) {
	r := wire.NewReader(string(record.Data))
	if r.Byte() != formatVersion {
		return undo{}, false
	}
	u := undo{record: record, address: r.Text(), busy: time.UnixMilli(r.Varint())}
	for r.OK() && r.Rest() != "" {
		u.older = append(u.older, r.Text())
	}
	return u, r.OK()
}

// undos returns a user's undos.
func (c *Core) undos(ctx context.Context, userID string) ([]undo, error) {
	records, err := c.records.ListRecords(ctx, kindUndo, userID)
	if err != nil {
		return nil, err
	}
	var all []undo
	for _, r := range records {
		if u, ok := decodeUndo(r); ok {
			all = append(all, u)
		}
	}
	return all, nil
}

// planUndoLink plans that the old address of an account gets a mail with a link that undoes
// the change.
func (c *Core) planUndoLink(ctx context.Context, x *credentialChange, old *Account) error {
	token, err := c.prepareUndo(ctx, old)
	if err != nil {
		return err
	}
	if token != "" {
		x.mail = Mail{Kind: MailAddressChanged, Lifetime: undoLifetime, Link: c.link(ctx, c.cfg.URLs.EmailUndo, token)}
	}
	id := old.ID
	x.abandon = func() { c.dropUndo(ctx, id, token) }
	return nil
}

// prepareUndo stores an undo for the account's present address, and reserves the
// address. It returns the undo's token. If there is no Mailer, or the address was never
// verified, it returns "". The mailbox of an unverified address may belong to another
// person.
func (c *Core) prepareUndo(ctx context.Context, a *Account) (token string, err error) {
	if a.Email == "" || !a.EmailVerified || c.cfg.Mailer == nil {
		return "", nil
	}
	ctx, cancel := detach(ctx)
	defer cancel()
	// If this address ranks above an undo, the account has since been changed back to
	// this address, and the undo must end. It is still there if its deletion failed.
	if err := c.endUndos(ctx, a.ID, func(u undo) bool { return u.isBelow(a.Email) }); err != nil {
		return "", err
	}
	live, err := c.undos(ctx, a.ID)
	if err != nil {
		return "", err
	}
	if len(live) >= maxUndos { // each undo lists the older ones, so their size grows with the square of their number
		first := live[0].record.Expires
		for _, other := range live {
			first = earlier(first, other.record.Expires)
		}
		return "", rateLimited(first.Sub(c.cfg.Now()))
	}
	u := undo{address: a.Email}
	for _, other := range live {
		if key := emailKey(other.address); key != emailKey(a.Email) && !slices.Contains(u.older, key) {
			u.older = append(u.older, key)
		}
	}
	token = keyring.NewToken()
	expires := c.cfg.Now().Add(undoLifetime)
	u.record = Record{
		Kind: kindUndo, Key: keyring.TokenKey(token), UserID: a.ID,
		Version: keyring.RandomVersion(), Expires: expires.Add(undoBusy), // so that a use in the last moment can finish
	}
	u.encode()
	if err := c.reserveEmail(ctx, a, expires); err != nil {
		return "", err
	}
	if err := c.records.InsertRecord(ctx, u.record); err != nil {
		c.dropUndo(ctx, a.ID, token) // it may have been stored all the same
		return "", err
	}
	return token, nil
}

// dropUndo deletes an undo whose change of address was not made.
func (c *Core) dropUndo(ctx context.Context, userID, token string) {
	if token == "" {
		return
	}
	detached, cancel := detach(ctx)
	defer cancel()
	if err := take(detached, c.records, kindUndo, keyring.TokenKey(token)); err != nil {
		c.event(ctx, Event{Kind: EventCleanupFailed, UserID: userID, Err: err})
	}
}

// endUndos deletes some of a user's undos.
func (c *Core) endUndos(ctx context.Context, userID string, which func(undo) bool) error {
	live, err := c.undos(ctx, userID)
	if err != nil {
		return err
	}
	for _, u := range live {
		if which(u) {
			if err := take(ctx, c.records, kindUndo, u.record.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

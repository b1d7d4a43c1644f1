package auth

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/wire"
)

// This file changes the address of an account. The owner of the mailbox can take the
// account by a reset. So the user has to prove that they own the new mailbox before the
// change, and the owner of the old mailbox can undo it.
//
// The proof is a mailed token. Nothing is stored until it is used.
//
// The undo is a record. It stays valid whatever else an attacker does to the account. It
// lists older addresses: those that had a valid undo when it was made. These rank above
// it. Otherwise an attacker could change the address twice, first to A and then to B.
// When the owner has undone this, the attacker could take the account back by the undo
// link that A got.

// ValidateEmail returns nil for an address that an account may get, or ErrInvalidEmail.
// It refuses what EmailKey refuses, except that Config.LocalDomains allows domains
// without a dot. Use it for forms that show everything that is wrong at once. It does
// not say whether the address is free.
func (c *Core) ValidateEmail(address string) error {
	_, err := addressKey(strings.TrimSpace(address), c.cfg.LocalDomains)
	return err
}

// SendEmailChange asks to change the user's address. It mails a link to URLs.EmailChange,
// with a token, to the new address. The token is valid for an hour, and only until a
// credential changes. Nothing changes before ConfirmEmailChange. Before you call it, make
// sure that the user is asking, by CheckPassword or the rule Fresh: the owner of the new
// mailbox can take the account.
//
// If the address belongs to another account, SendEmailChange returns nil, too, and does
// the same work. The owner of that account gets a mail.
//
// If the address is malformed, or the account has it already, the error is
// ErrInvalidEmail. If the login ended meanwhile, it is ErrLoggedOut. The other errors are
// ErrDisabled, ErrNoMailer, ErrNoUserStore, a RateLimitError, and those of a store that
// failed.
func (c *Core) SendEmailChange(ctx context.Context, user User, address string) (failing error) {
	defer c.met(ctx, &failing)
	if isAbsent(user) {
		return ErrUserNotFound
	}
	id := user.AuthAccount().ID
	owner, err := c.sendEmailChange(ctx, user, strings.TrimSpace(address))
	switch {
	case err == nil:
		c.event(ctx, Event{Kind: EventEmailChangeIssued, UserID: id})
	case errors.Is(err, ErrEmailTaken):
		c.event(ctx, Event{Kind: EventEmailChangeFailed, UserID: id, Err: err})
		c.mailFailed(ctx, owner, c.sendTaken(ctx, owner, address))
	default:
		c.event(ctx, Event{Kind: EventEmailChangeFailed, UserID: id, Err: err})
		return err
	}
	return nil
}

// sendEmailChange returns ErrEmailTaken if another account has the address, and its
// owner if it is known.
func (c *Core) sendEmailChange(ctx context.Context, user User, address string) (owner User, err error) {
	switch {
	case c.store == nil:
		return nil, ErrNoUserStore
	case c.cfg.Mailer == nil:
		return nil, ErrNoMailer
	}
	if err := c.allowMails(ctx); err != nil {
		return nil, err
	}
	a := user.AuthAccount()
	if err := mailable(a); err != nil && !errors.Is(err, ErrInvalidEmail) { // the account may have no address yet
		return nil, err
	}
	if err := c.ValidateEmail(address); err != nil {
		return nil, err
	}
	key := emailKey(address)
	if key == emailKey(a.Email) {
		return nil, fmt.Errorf("%w: the account has this address already", ErrInvalidEmail)
	}
	if err := c.stillIn(ctx); err != nil {
		return nil, err
	}
	kept, err := c.keptFor(ctx, reservedEmail(address))
	if err != nil {
		return nil, err
	}
	owner, err = c.findByKey(ctx, key)
	switch {
	case err == nil || errors.Is(err, ErrUserNotFound) && kept != "" && kept != a.ID:
		return owner, ErrEmailTaken
	case !errors.Is(err, ErrUserNotFound):
		return nil, err
	}
	full, err := c.mailboxFull(ctx, MailNewAddress, mailboxOf(nil, key))
	token := c.sealToken(purposeEmail, emailLifetime, a, address)
	if err == nil && !full {
		err = c.mail(ctx, Mail{Kind: MailNewAddress, To: address, User: user, Lifetime: emailLifetime, Link: c.link(ctx, c.cfg.URLs.EmailChange, token)})
	}
	c.mailFailed(ctx, user, err)
	return nil, nil
}

// CheckEmailChange returns the user whose address ConfirmEmailChange would change, and
// the new address. It changes nothing. If the token is not valid, it is ErrInvalidToken.
func (c *Core) CheckEmailChange(ctx context.Context, token string) (user User, address string, err error) {
	defer c.met(ctx, &err)
	user, t, err := c.checkToken(ctx, purposeEmail, token)
	if err != nil {
		return nil, "", err
	}
	return user, t.address, nil
}

// ConfirmEmailChange gives the account the address that the token is for. The address is
// then verified. The user's other logins end. The request must come from a login of the
// same user: without a login it is ErrNotLoggedIn, with another user's it is
// ErrInvalidToken. ErrEmailTaken says that another account got the address meanwhile.
//
// If the old address was verified, it gets a mail with a link to URLs.EmailUndo.
// UndoEmailChange accepts the link's token for 72 hours. Until then no other account can
// get the old address.
func (c *Core) ConfirmEmailChange(ctx context.Context, token string) (_ User, failing error) {
	defer c.met(ctx, &failing)
	x, err := c.planEmail(ctx, token)
	return c.changeCredential(ctx, x, err)
}

// planEmail plans what ConfirmEmailChange changes, and stores the record of its undo.
func (c *Core) planEmail(ctx context.Context, token string) (*credentialChange, error) {
	x := &credentialChange{own: ownGoesOn, done: EventEmailChangeDone, failed: EventEmailChangeFailed}
	user, t, err := c.checkToken(ctx, purposeEmail, token)
	if err != nil {
		return x, err
	}
	x.userID, x.stamp, x.token, x.expires = t.userID, user.AuthAccount().Stamp, token, t.expires
	// Only the user who asked may confirm. Otherwise an attacker could ask for a
	// victim's address on their own account, and the victim might click the link.
	current, err := c.User(ctx)
	if err != nil {
		return x, err
	}
	if current.AuthAccount().ID != t.userID {
		return x, ErrInvalidToken
	}
	if err := c.stillIn(ctx); err != nil {
		return x, err
	}
	kept, err := c.keptFor(ctx, reservedEmail(t.address))
	if err != nil {
		return x, err
	}
	if kept != "" && kept != t.userID {
		return x, ErrEmailTaken
	}
	undo, err := c.prepareUndo(ctx, user.AuthAccount())
	if err != nil {
		return x, err
	}
	if undo != "" {
		x.mail = Mail{Kind: MailAddressChanged, Lifetime: undoLifetime, Link: c.link(ctx, c.cfg.URLs.EmailUndo, undo)}
	}
	x.abandon = func() { c.dropUndo(ctx, t.userID, undo) }
	x.apply = func(a *Account) error {
		if !t.fits(a) {
			return ErrInvalidToken
		}
		a.Email, a.EmailVerified = t.address, true
		return nil
	}
	return x, nil
}

const (
	emailLifetime = time.Hour      // of the link to the new address
	undoLifetime  = 72 * time.Hour // of the undo link, and of the reservation of the old address

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
	if err := c.endUndos(ctx, a.ID, emailKey(a.Email), false); err != nil {
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

// endUndos deletes the undos that an address ranks above. If own is true, it also
// deletes those that change back to this address.
func (c *Core) endUndos(ctx context.Context, userID, key string, own bool) error {
	live, err := c.undos(ctx, userID)
	if err != nil {
		return err
	}
	for _, u := range live {
		if slices.Contains(u.older, key) || own && emailKey(u.address) == key {
			if err := take(ctx, c.records, kindUndo, u.record.Key); err != nil {
				return err
			}
		}
	}
	return nil
}

package auth

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
)

// This file logs users in by a mail (Config.EmailLogin). One mail has a code and a link, and
// each works once: of all uses of both, one logs in.
//
// The code is for the browser that asked. That browser has a sealed cookie, and the code is
// worth nothing without it. A code is short enough to be guessed. So it has five tries, and
// attempts are counted for each account, whatever the code and the browser.
//
// The link works in every browser. Its token cannot be guessed. A GET uses nothing up,
// because programs that scan mail open links.

// SendLoginCode mails a code and a link that log in, to the account with this address. The
// mail goes to the address that is stored, not to the one that was typed. There must be such
// an account, and it must not be disabled. The code works only in the browser that makes
// this request, by LoginByCode. The link opens URLs.LoginCode with a token, for LoginByLink.
// Both are valid for 10 minutes, until one of them is used, a new mail is sent or a
// credential of the account changes.
//
// SendLoginCode returns nil whether there is an account or not, and whether the mail could
// be sent or not. It does the same work for both, so your page should show the same text. If
// the address has been sent three such mails within 10 minutes, it sends nothing and returns
// nil.
//
// next is where the user wants to go, such as NextFrom(r). CheckLoginLink returns it, so the
// link leads there in every browser. It is not in the mail. The zero Next leads nowhere.
//
// The errors are ErrInvalidEmail for a malformed address, a RateLimitError, ErrNoSession,
// ErrHeaderWritten, one that says that Config.EmailLogin is not set, and those of a store
// that failed.
func (c *Core) SendLoginCode(ctx context.Context, address string, next Next) (failing error) {
	defer c.met(ctx, &failing)
	s, err := c.mailLoginState(ctx)
	if err != nil {
		return err
	}
	address = strings.TrimSpace(address)
	user, key, err := c.userForMail(ctx, address)
	if err != nil {
		return err
	}
	asked, err := s.ask(address)
	if err != nil {
		return err
	}
	full, err := c.mailboxFull(ctx, MailLoginCode, mailboxOf(user, key))
	if err != nil {
		return err
	}
	if full {
		c.event(ctx, Event{Kind: EventLoginCodeRefused, UserID: idOf(user), Err: errMailboxFull})
		return nil
	}
	l, token, code := s.newLoginCode(user, key, asked, next)
	if err := c.keepCode(ctx, l); err != nil {
		return err
	}
	err = ErrUserNotFound
	if user != nil {
		err = mailable(user.AuthAccount())
	}
	if err != nil {
		c.event(ctx, Event{Kind: EventLoginCodeRefused, UserID: idOf(user), Err: err})
		return nil
	}
	c.event(ctx, Event{Kind: EventLoginCodeIssued, UserID: idOf(user)})
	c.deliver(ctx, Mail{
		Kind: MailLoginCode, To: user.AuthAccount().Email, User: user, Lifetime: codeLifetime,
		Link: c.link(ctx, c.cfg.URLs.LoginCode, token), Code: NewSecret(code[:codeLength/2] + "-" + code[codeLength/2:]),
	})
	return nil
}

// LoginCodeAddress returns the address for which this browser has asked for a code within 10
// minutes, as it was typed, or "". Use it on the page where the user types the code.
func (c *Core) LoginCodeAddress(ctx context.Context) string {
	s := c.stateOf(ctx)
	if s == nil {
		return ""
	}
	_, address := s.asked()
	return address
}

// LoginByCode logs the user in by the code that SendLoginCode has mailed. It must be called
// in the browser that asked. Case, spaces and hyphens in the code do not matter. LoginByCode
// does what LoginUser does, with the method "mail", and takes the same options.
//
// If the account has a second factor, the error is ErrFactorRequired: a mail is never a
// second factor. If the account has a password or a passkey, the login is not fresh (see
// Stale). If not, it is fresh, and in a browser where the user is logged in already it
// confirms the login, like ConfirmLogin.
//
// If the address of the account was never verified, everything that was set up in it is
// removed, because an attacker may have registered the user's address: the password, logins,
// remembered devices, API tokens, second factors and records of Features. The user's own
// data in your application stays. The address is verified then. cleared reports whether
// anything was removed, also if there is an error: your page should say so. The owner gets a
// MailAccountCleared.
//
// A code has five tries. Wrong codes also count for the account, whatever the code, the
// browser and the address: after five in a row, codes are not looked at for 30 seconds, and
// each further wrong one doubles the time, up to an hour. After a hundred, no code is
// accepted until the user uses the link of a mail or sets a new password, or you call
// Unlock. A new mail does not reset the count.
//
// The errors are ErrInvalidCode, those of LoginUser, a RateLimitError, and one that says
// that Config.EmailLogin is not set. If a store fails, the code stays valid where possible.
func (c *Core) LoginByCode(ctx context.Context, code string, options ...LoginOption) (cleared bool, failing error) {
	defer c.met(ctx, &failing)
	s, o, err := c.beginMailLogin(ctx, options)
	if err != nil {
		return false, err
	}
	defer s.emit()
	user, l, err := c.tryCode(ctx, s, code)
	if err != nil {
		c.event(ctx, Event{Kind: EventLoginFailed, UserID: idOf(user), Method: methodMail, Err: err})
		if errors.Is(err, ErrLocked) {
			err = ErrInvalidCode // only the log says more
		}
		return false, err
	}
	return s.enterByMail(ctx, user, l, &o)
}

// A LoginLink is the link of a MailLoginCode.
type LoginLink struct {
	User        User      // who would be logged in
	SameBrowser bool      // this browser has asked for the mail
	Asked       time.Time // when the mail was asked for
	Address     string    // the client's IP address then
	UserAgent   string    // likewise
	Clears      bool      // the account never had a verified address: LoginByLink removes what was set up in it
	Next        Next      // where the user wanted to go: see SendLoginCode
}

// CheckLoginLink describes the login that LoginByLink would make. It changes nothing. Call
// it for the page that the link opens. The page must wait for a POST before it logs in,
// because programs that scan mail open links. If another browser asked for the mail, the
// page should say when and where: an attacker may have asked, and wait for the user to log
// in on the attacker's computer. The error is ErrInvalidToken, or a failure of a store.
func (c *Core) CheckLoginLink(ctx context.Context, token string) (_ LoginLink, failing error) {
	defer c.met(ctx, &failing)
	user, l, err := c.checkLink(ctx, token)
	if err != nil {
		return LoginLink{}, err
	}
	proved, err := c.isProved(ctx, user)
	if err != nil {
		return LoginLink{}, err
	}
	link := LoginLink{
		User: user, Asked: l.at, Address: l.address, UserAgent: l.agent, Clears: !proved,
		Next: ParseNext(l.next),
	}
	if s := c.stateOf(ctx); s != nil {
		id, _ := s.asked()
		link.SameBrowser = l.isFor(id)
	}
	return link, nil
}

// LoginByLink is LoginByCode for the token in the link of the same mail. It works in every
// browser, also while no code is accepted. It is ErrInvalidToken if the link has expired, if
// it or the code has been used, or if a newer mail was sent. Invalid tokens count like wrong
// passwords, so there may be a RateLimitError.
func (c *Core) LoginByLink(ctx context.Context, token string, options ...LoginOption) (cleared bool, failing error) {
	defer c.met(ctx, &failing)
	s, o, err := c.beginMailLogin(ctx, options)
	if err != nil {
		return false, err
	}
	defer s.emit()
	user, l, err := c.checkLink(ctx, token)
	if err == nil {
		err = c.spendCode(ctx, l, ErrInvalidToken)
	}
	if err != nil {
		c.event(ctx, Event{Kind: EventLoginFailed, UserID: idOf(user), Method: methodMail, Err: err})
		return false, c.refuseToken(ctx, err)
	}
	if err := take(ctx, c.records, kindAttempts, l.record.Key); err != nil { // wrong codes are forgotten
		c.event(ctx, Event{Kind: EventCleanupFailed, UserID: idOf(user), Err: err})
	}
	return s.enterByMail(ctx, user, l, &o)
}

// beginMailLogin returns the request's state and the options, if this request may log in by
// mail. It looks before the mail is used up.
func (c *Core) beginMailLogin(ctx context.Context, options []LoginOption) (*state, loginOptions, error) {
	s, err := c.mailLoginState(ctx)
	if err != nil {
		return nil, loginOptions{}, err
	}
	if err := c.notActing(ctx); err != nil {
		return nil, loginOptions{}, err
	}
	o, err := readOptions(options)
	return s, o, err
}

// mailLoginState returns the request's state, if users can log in by mail.
func (c *Core) mailLoginState(ctx context.Context) (*state, error) {
	if !c.cfg.EmailLogin {
		return nil, errNoEmailLogin
	}
	s := c.stateOf(ctx)
	if s == nil {
		return nil, ErrNoSession
	}
	return s, nil
}

var errNoEmailLogin = errors.New("auth: users cannot log in by mail; set Config.EmailLogin")

// enterByMail logs in a user who has proved by a mail that they own the mailbox.
func (s *state) enterByMail(ctx context.Context, user User, l *loginCode, o *loginOptions) (cleared bool, err error) {
	c := s.core
	user, cleared, err = c.proveMailbox(ctx, user) // before the gates: they must not ask for an attacker's factor
	otherWay := false
	if err == nil {
		otherWay, err = c.hasOtherWay(ctx, user)
	}
	if err == nil {
		a := o.attempt(user, methods("").add(methodMail, c.cfg.Now()), c.cfg.Now())
		a.stale = a.stale || otherWay
		err = s.enterOrConfirm(ctx, &a)
	}
	if err != nil && statusOf(err) >= http.StatusInternalServerError {
		l.binding = tokenBinding(user.AuthAccount())
		c.restoreCode(ctx, l)
		return cleared, err
	}
	c.spend(ctx, idOf(user), l.link, l.record.Expires)
	s.op.Lock()
	defer s.op.Unlock()
	if !s.committed {
		s.deleteCookie(c.cookies.code)
	}
	return cleared, err
}

// ConfirmsByMail reports whether a code by mail makes a login of the user fresh: the account
// has an address, and neither a password, nor a passkey that works, nor an identity. The page
// at Config.URLs.Refresh then leads to the one that mails codes. It returns false if
// Config.EmailLogin is not set, and the error is a failure.
func (c *Core) ConfirmsByMail(ctx context.Context, user User) (_ bool, failing error) {
	defer c.met(ctx, &failing)
	switch {
	case isAbsent(user):
		return false, ErrUserNotFound
	case !c.cfg.EmailLogin || user.AuthAccount().Email == "":
		return false, nil
	}
	other, err := c.hasOtherWay(ctx, user)
	return err == nil && !other, err
}

// hasOtherWay reports whether the user can show who they are by something better than a
// mail. Then a login by mail is not fresh: an attacker who reads the user's mail could
// change the password or the address.
func (c *Core) hasOtherWay(ctx context.Context, user User) (bool, error) {
	err := c.mayRemoveWay(ctx, user, way{})
	if errors.Is(err, ErrLastWayIn) {
		return false, nil
	}
	return err == nil, err
}

// enterOrConfirm logs in. If the browser is logged in as the user already and the attempt is
// fresh, it makes that login fresh instead.
func (s *state) enterOrConfirm(ctx context.Context, a *attempt) error {
	if a.stale {
		return s.enter(a)
	}
	current, err := s.core.EnrollingUser(ctx)
	switch {
	case err == nil && idOf(current) == idOf(a.user):
		return s.confirm(ctx, a)
	case err != nil && statusOf(err) >= http.StatusInternalServerError:
		return err
	}
	return s.enter(a)
}

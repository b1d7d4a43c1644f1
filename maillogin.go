package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/wire"
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
//
// An account has one record, and a new mail replaces it by compare-and-set: of two mails
// that are sent at the same moment, exactly one works. If there is no account, there is a
// record all the same, with a code that nobody gets. So every step does the same work.
const (
	codeLetters  = "BCDFGHJKLMNPQRSTVWXZ" // no vowels, so no words
	codeLength   = 8                      // 20^8 codes: 34.6 bits
	maxCodeTries = 5
	askedID      = 16
	maxAsked     = 1024 // of text
)

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
	keys := loginKeys(address)
	if len(keys) == 0 || !strings.Contains(address, "@") {
		return ErrInvalidEmail
	}
	if err := c.allowMails(ctx); err != nil {
		return err
	}
	user, err := c.findByKey(ctx, keys...)
	if err != nil && !errors.Is(err, ErrUserNotFound) {
		return err
	}
	key := keys[0]
	if user == nil && c.isLocal(key) {
		return ErrInvalidEmail
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
	a := &Account{ID: key} // the same work as for an account
	if user != nil {
		a = user.AuthAccount()
	}
	token, code := c.sealToken(purposeLink, codeLifetime, a, ""), newCode()
	if err := c.keepCode(ctx, s, c.loginCodeKey(user, key), a, idOf(user), asked, token, code, next); err != nil {
		return err
	}
	err = ErrUserNotFound
	if user != nil {
		err = mailable(a)
	}
	if err != nil {
		c.event(ctx, Event{Kind: EventLoginCodeRefused, UserID: idOf(user), Err: err})
		return nil
	}
	c.event(ctx, Event{Kind: EventLoginCodeIssued, UserID: a.ID})
	c.deliver(ctx, Mail{
		Kind: MailLoginCode, To: a.Email, User: user, Lifetime: codeLifetime,
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
// second factor. If the account has a password or a passkey, the login is not fresh (see Stale). If not,
// it is fresh, and in a browser where the user is logged in already it confirms the login,
// like ConfirmLogin.
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

// ask sets the cookie that binds a code to the browser. A browser that has asked before
// keeps its ID: if its mailbox is full, the last code still works.
func (s *state) ask(address string) (id []byte, err error) {
	s.op.Lock()
	defer s.op.Unlock()
	if s.committed {
		return nil, ErrHeaderWritten
	}
	if id, _ = s.openAsked(); id == nil {
		id = make([]byte, askedID)
		_, _ = rand.Read(id) // never fails
	}
	until := s.core.cfg.Now().Add(codeLifetime)
	s.setCookie(s.core.cookies.code, s.core.secrets.Seal(purposeAsked, slices.Concat(id, []byte(address)), until), until)
	return id, nil
}

// asked returns the ID of a browser that has asked for a code, and the address. If it has
// not, id is nil.
func (s *state) asked() (id []byte, address string) {
	s.op.Lock()
	defer s.op.Unlock()
	s.varies = true
	return s.openAsked()
}

// openAsked is asked for a caller that holds op.
func (s *state) openAsked() (id []byte, address string) {
	text, _ := s.sent(s.core.cookies.code)
	if set, ok := s.setting(s.core.cookies.code); ok { // by this request
		text = set.value
	}
	if text == "" || len(text) > maxAsked {
		return nil, ""
	}
	data, _, ok := s.core.secrets.Open(purposeAsked, text, s.core.cfg.Now())
	if !ok || len(data) <= askedID {
		return nil, ""
	}
	return data[:askedID], string(data[askedID:])
}

// A loginCode is the decoded record of the mail that was sent last to an account.
type loginCode struct {
	record  Record
	binding []byte // of the account: see tokenBinding
	browser string // a hash of the ID of the browser that asked
	link    string // a hash of the link's token
	code    []byte // a keyed hash of the code
	tries   uint64 // codes that were typed in that browser
	at      time.Time
	address string // of the client that asked
	agent   string // likewise
	next    string // where the user wanted to go, or ""
}

func (l *loginCode) encode() {
	b := wire.AppendText([]byte{formatVersion}, l.binding)
	b = wire.AppendText(wire.AppendText(b, l.browser), l.link)
	b = binary.AppendUvarint(wire.AppendText(b, l.code), l.tries)
	b = wire.AppendText(binary.AppendVarint(b, l.at.UnixMilli()), l.address)
	l.record.Data = wire.AppendText(wire.AppendText(b, l.agent), l.next)
}

// decodeLoginCode returns false for a record that is damaged, and for one that was used.
func decodeLoginCode(record Record) (*loginCode, bool) {
	r := wire.NewReader(string(record.Data))
	if r.Byte() != formatVersion {
		return nil, false
	}
	l := &loginCode{record: record, binding: []byte(r.Text()), browser: r.Text(), link: r.Text(), code: []byte(r.Text())}
	l.tries, l.at, l.address, l.agent = r.Uvarint(), time.UnixMilli(r.Varint()), r.Text(), r.Text()
	if r.Rest() != "" { // a process of an earlier version writes no next
		l.next = r.Text()
	}
	return l, r.OK()
}

// isFor reports whether the mail was asked for in the browser with this ID.
func (l *loginCode) isFor(id []byte) bool {
	return id != nil && subtle.ConstantTimeCompare([]byte(l.browser), []byte(hashOfAsked(id))) == 1
}

func hashOfAsked(id []byte) string {
	sum := sha256.Sum256(id)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// fits reports whether the mail is for the account as it is now.
func (l *loginCode) fits(user User) bool {
	a := &Account{}
	if user != nil {
		a = user.AuthAccount()
	}
	return subtle.ConstantTimeCompare(l.binding, tokenBinding(a)) == 1 && user != nil && !a.Disabled
}

// signed returns what the keyed hash of a code is made of.
func (l *loginCode) signed(code string) []byte {
	return wire.AppendText(wire.AppendText([]byte(l.record.Key), l.link), code)
}

// loginCodeKey returns the key of an account's loginCode, and of the count of wrong codes. If
// there is no account, the key is for the address.
func (c *Core) loginCodeKey(user User, key string) string {
	if user == nil {
		return counterKey("login code of nobody", string(c.secrets.Sign(purposeLogin, []byte(key))))
	}
	return counterKey("login code", user.AuthAccount().ID)
}

// keepCode stores a new code and link in place of those before.
func (c *Core) keepCode(ctx context.Context, s *state, key string, a *Account, userID string, asked []byte, token, code string, next Next) error {
	now := c.cfg.Now()
	l := loginCode{
		record: Record{Key: key}, binding: tokenBinding(a), browser: hashOfAsked(asked), link: keyring.TokenKey(token),
		at: now, address: s.address(), agent: s.agent(), next: next.String(),
	}
	l.code = c.secrets.Sign(purposeCode, l.signed(code))
	l.encode()
	detached, cancel := detach(ctx)
	defer cancel()
	return changeRecord(detached, c.sessions, kindLoginCode, key, func(r *Record, _ bool) error {
		r.UserID, r.Data, r.Expires = userID, l.record.Data, now.Add(codeLifetime)
		return nil
	})
}

// tryCode counts an attempt at the code that this browser has asked for, and then looks at
// it. If the code is right, it is used up, and tryCode returns the user. It returns the user
// with an error, too, if there is one. The work is the same if there is no account.
func (c *Core) tryCode(ctx context.Context, s *state, typed string) (User, *loginCode, error) {
	id, address := s.asked()
	code, ok := parseCode(typed)
	keys := loginKeys(address)
	if id == nil || !ok || len(keys) == 0 {
		return nil, nil, ErrInvalidCode // it cannot be right, so it is not counted
	}
	user, err := c.findByKey(ctx, keys...)
	if err != nil && !errors.Is(err, ErrUserNotFound) {
		return nil, nil, err
	}
	g := &guess{core: c, ctx: ctx, kind: kindAttempts, key: c.loginCodeKey(user, keys[0]), userID: idOf(user), final: true}
	if err := g.begin(); err != nil {
		return user, nil, err
	}
	defer g.leave()
	if g.err != nil {
		return user, nil, ErrLocked
	}
	l, err := c.countCode(ctx, g.key, id)
	if err != nil {
		g.void()
		return user, nil, err
	}
	if l == nil || !c.secrets.Verify(purposeCode, l.signed(code), l.code) || !l.fits(user) {
		g.wrongSecret(methodMail)
		return user, nil, ErrInvalidCode
	}
	l.tries-- // this one was right
	if err := c.spendCode(ctx, l, ErrInvalidCode); err != nil {
		g.void()
		return user, nil, err
	}
	if err := g.right(); err != nil {
		c.restoreCode(ctx, l)
		return user, nil, err
	}
	return user, l, nil
}

// countCode counts a try of an account's code, and returns the code. If there is none, if it
// was asked for in another browser, or if it has had its tries, countCode returns nil.
func (c *Core) countCode(ctx context.Context, key string, browser []byte) (counted *loginCode, err error) {
	ctx, cancel := detach(ctx)
	defer cancel()
	err = changeRecord(ctx, c.sessions, kindLoginCode, key, func(r *Record, found bool) error {
		counted = nil
		l, ok := decodeLoginCode(*r)
		if !found || !ok || !l.isFor(browser) || l.tries >= maxCodeTries || !c.cfg.Now().Before(r.Expires) {
			return errUnchanged
		}
		l.tries++
		l.encode()
		counted, *r = l, l.record
		return nil
	})
	return counted, err
}

// checkLink returns the user and the loginCode of a link's token.
func (c *Core) checkLink(ctx context.Context, token string) (User, *loginCode, error) {
	user, t, err := c.checkToken(ctx, purposeLink, token)
	if err != nil {
		return nil, nil, err
	}
	record, err := c.sessions.GetRecord(ctx, kindLoginCode, c.loginCodeKey(user, ""))
	if unlessNotFound(err) != nil {
		return user, nil, err
	}
	l, ok := decodeLoginCode(record)
	if err != nil || !ok || l.link != keyring.TokenKey(token) || !c.cfg.Now().Before(earlier(record.Expires, t.expires)) {
		return user, nil, ErrInvalidToken
	}
	return user, l, nil
}

// spendCode uses a mail up. If it was used, or a newer one was sent, the error is gone.
func (c *Core) spendCode(ctx context.Context, l *loginCode, gone error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	detached, cancel := detach(ctx)
	defer cancel()
	err := changeRecord(detached, c.sessions, kindLoginCode, l.record.Key, func(r *Record, found bool) error {
		now, ok := decodeLoginCode(*r)
		if !found || !ok || now.link != l.link {
			return gone
		}
		r.Data = nil
		return nil
	})
	if err != nil && !errors.Is(err, gone) { // it may have been stored all the same
		c.restoreCode(ctx, l)
	}
	return err
}

// restoreCode makes a mail valid again after the login by it has failed, unless a newer one
// was sent.
func (c *Core) restoreCode(ctx context.Context, l *loginCode) {
	detached, cancel := detach(ctx)
	defer cancel()
	l.encode()
	err := changeRecord(detached, c.sessions, kindLoginCode, l.record.Key, func(r *Record, found bool) error {
		if found && len(r.Data) > 0 {
			return errUnchanged
		}
		r.UserID, r.Data, r.Expires = l.record.UserID, l.record.Data, l.record.Expires
		return nil
	})
	if err != nil {
		c.event(ctx, Event{Kind: EventCleanupFailed, UserID: l.record.UserID, Err: err})
	}
}

// enterByMail logs in a user who has proved by a mail that they own the mailbox.
func (s *state) enterByMail(ctx context.Context, user User, l *loginCode, o *loginOptions) (cleared bool, err error) {
	c := s.core
	proved, err := c.isProved(ctx, user)
	if err == nil && !user.AuthAccount().EmailVerified { // before the gates: they must not ask for an attacker's factor
		var now User
		now, cleared, err = c.clearUnproved(ctx, user, proved)
		if err == nil && !now.AuthAccount().EmailVerified { // it could not be loaded after the change
			now, err = c.users.load(ctx, idOf(user))
		}
		if err == nil {
			user = now
		}
	}
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

// newCode returns a random code, without the hyphen.
func newCode() string {
	var code []byte
	for len(code) < codeLength {
		var b [1]byte
		_, _ = rand.Read(b[:]) // never fails
		if most := 256 / len(codeLetters) * len(codeLetters); int(b[0]) < most {
			code = append(code, codeLetters[int(b[0])%len(codeLetters)])
		}
	}
	return string(code)
}

// parseCode returns a code as newCode makes it. It returns false if the text is no code.
func parseCode(typed string) (string, bool) {
	if len(typed) > 64 {
		return "", false
	}
	code := strings.Map(func(r rune) rune {
		switch {
		case strings.ContainsRune(" \t\r\n-\u00a0\u2010\u2011\u2012\u2013\u2014\u2212", r):
			return -1
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		}
		return r
	}, typed)
	return code, len(code) == codeLength && strings.Trim(code, codeLetters) == ""
}

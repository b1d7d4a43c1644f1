package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/wire"
)

// This file has the code and the link of a login by mail (maillogin.go): their record, and
// the cookie of the browser that asked.
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

// newLoginCode makes a code, and the token of a link, for the account of a user. If user is
// nil, they are for nobody, and the work is the same. key is the address, and asked the ID of
// the browser that asks.
func (s *state) newLoginCode(user User, key string, asked []byte, next Next) (l *loginCode, token, code string) {
	c, a, now := s.core, &Account{ID: key}, s.core.cfg.Now()
	if user != nil {
		a = user.AuthAccount()
	}
	token, code = c.sealToken(purposeLink, codeLifetime, a, ""), newCode()
	l = &loginCode{
		record:  Record{Key: c.loginCodeKey(user, key), UserID: idOf(user), Expires: now.Add(codeLifetime)},
		binding: tokenBinding(a), browser: hashOfAsked(asked), link: keyring.TokenKey(token),
		at: now, address: s.address(), agent: s.agent(), next: next.String(),
	}
	l.code = c.secrets.Sign(purposeCode, l.signed(code))
	l.encode()
	return l, token, code
}

// keepCode stores a new code and link in place of those before.
func (c *Core) keepCode(ctx context.Context, l *loginCode) error {
	detached, cancel := detach(ctx)
	defer cancel()
	return changeRecord(detached, c.sessions, kindLoginCode, l.record.Key, func(r *Record, _ bool) error {
		r.UserID, r.Data, r.Expires = l.record.UserID, l.record.Data, l.record.Expires
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

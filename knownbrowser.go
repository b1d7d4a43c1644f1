package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"slices"
	"time"
)

// This file remembers the browsers of an account's owner. An attacker who guesses wrong
// passwords locks the account, and so locks the owner out. Therefore each browser in which
// the owner logs in by password gets its own counter of wrong passwords. So does a browser
// in which the owner sets the password by a mailed token. The browser is known for 180
// days, or until the account gets a new Stamp. If the owner is locked out in another
// browser, they get in by a reset, even while the attacker goes on.
//
// The cookie proves nothing else. It is sealed and contains
//
//	browser  16 bytes, random
//	binding  32 bytes: SHA-256 of the account's Stamp
//	ID       the rest: the account's ID
const (
	browserID      = 16
	browserHeader  = browserID + sha256.Size
	browserFor     = 180 * 24 * time.Hour
	maxBrowserText = 2048
)

// knownBrowser returns the name of the request's browser, if the user has logged in
// with it before, or "".
func (c *Core) knownBrowser(ctx context.Context, user User) string {
	client := c.clientOf(ctx)
	if client == nil || user == nil {
		return ""
	}
	browser, userID, binding := client.browser()
	a := user.AuthAccount()
	if browser == nil || userID != a.ID || subtle.ConstantTimeCompare(binding, stampBinding(a.Stamp)) != 1 {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(browser)
}

func stampBinding(stamp Secret) []byte {
	sum := sha256.Sum256([]byte(stamp.Reveal()))
	return sum[:]
}

// browser reads the request's cookie. If there is no valid cookie, browser is nil.
func (s *state) browser() (browser []byte, userID string, binding []byte) {
	cookie, _ := cookieOf(s.request, s.core.cookies.browser)
	if cookie == "" || len(cookie) > maxBrowserText {
		return nil, "", nil
	}
	data, _, ok := s.core.secrets.Open(purposeBrowser, cookie, s.core.cfg.Now())
	if !ok || len(data) <= browserHeader {
		return nil, "", nil
	}
	return data[:browserID], string(data[browserHeader:]), data[browserID:browserHeader]
}

// knowBrowser sets the cookie that makes the browser known as one of the account's
// owner. If the browser is already known for this account, it keeps its name. The
// caller holds op.
func (s *state) knowBrowser(userID string, stamp Secret) {
	browser, known, _ := s.browser()
	if browser == nil || known != userID {
		browser = make([]byte, browserID)
		_, _ = rand.Read(browser) // never fails
	}
	until := s.core.cfg.Now().Add(browserFor)
	data := slices.Concat(browser, stampBinding(stamp), []byte(userID))
	if len(userID) <= maxTokenID { // a longer ID does not fit into a cookie
		s.setCookie(s.core.cookies.browser, s.core.secrets.Seal(purposeBrowser, data, until), until)
	}
}

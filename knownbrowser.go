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

// A browser that somebody has logged in with by password, or has set one with by
// a mailed token, is known from then on, for as long as the password is the same:
// it has a counter of wrong passwords of its own. Strangers who guess an account's
// password then cannot lock its owner out, and who is locked out in a browser that
// is not known gets in by a reset, however fast they go on guessing. The cookie
// proves nothing else. It is sealed, and has in it
//
//	browser  16 bytes, random
//	binding  32 bytes: SHA-256 of the account's Stamp
//	ID       the rest: the account's
const (
	purposeBrowser = "browser"
	browserID      = 16
	browserHeader  = browserID + sha256.Size
	browserFor     = 180 * 24 * time.Hour
	maxBrowserText = 2048
)

// knownBrowser returns what names the request's browser, if the user has logged
// in with it, or "".
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

// browser reads the request's cookie. browser is nil if there is none that is
// good.
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

// knowBrowser has the browser known as one that the account's owner uses. What it
// was known as before, for the same account, it stays. The caller holds op.
func (s *state) knowBrowser(userID string, stamp Secret) {
	browser, known, _ := s.browser()
	if browser == nil || known != userID {
		browser = make([]byte, browserID)
		_, _ = rand.Read(browser) // never fails
	}
	until := s.core.cfg.Now().Add(browserFor)
	data := slices.Concat(browser, stampBinding(stamp), []byte(userID))
	if len(userID) <= maxTokenID { // else it does not fit into a cookie
		s.setCookie(s.core.cookies.browser, s.core.secrets.Seal(purposeBrowser, data, until), until)
	}
}

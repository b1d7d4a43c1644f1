// Package passkey lets users log in with passkeys (WebAuthn): with a finger, a face or a PIN
// instead of a password, or with a security key beside the password. List it in
// auth.Config.Factors:
//
//	manager, err := auth.New(store, auth.Config{
//		BaseURL: "https://app.example",
//		Secrets: secrets,
//		Factors: []auth.Factor{passkey.New(passkey.Config{})},
//	})
//
// Package pages then has the button at the login, the page that asks for a passkey as a
// second factor, and the list of the user's passkeys. An application with pages of its own
// calls Core.PromptPasskey and Core.LoginByPasskey, and loads the script of Factor.Script.
//
// # What is checked
//
// At a login with a passkey alone, the authenticator must have asked for a PIN, a finger or
// a face in this login. So a passkey stands for a password and a second factor. As a second
// factor after the password, it proves that the user has the device.
//
// Each challenge is random, is valid for 5 minutes, and is used up by the first right answer,
// in whatever process. Until then the store has no record of it: visitors cost nothing. The
// origin of the page, the site (RPID), the kind of request and the signature are checked, and
// that the page was in no frame of another site.
//
// An authenticator that counts its signatures shows when its passkey was copied. The passkey
// is then suspended, the event auth.EventFactorSuspended is reported, and the owner gets a
// mail. Passkeys that are synced among devices do not count.
//
// # What is stored
//
// A record for each passkey, one with the user handle of each account, and for up to 10
// minutes each the challenges of logins and of new passkeys: as a hash, or sealed. The public
// keys are no secrets. An attacker who reads the store cannot log in with what is there.
//
// go-webauthn checks the formats and the signatures.
package passkey

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync/atomic"
	"unicode"
	"unicode/utf8"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/factorkit"
)

// The kinds of events that the factor reports, besides those of package auth.
const (
	// An answer was refused. Err says why. The user is told only that it was wrong.
	EventRefused auth.EventKind = "passkey.refused"

	// A user tried to add a passkey that an account has already, perhaps another one. Only a
	// browser that an attacker controls does so.
	EventTaken auth.EventKind = "passkey.taken"

	// A passkey was bound to one device, and says now that its provider can sync it. Some
	// providers have made this change for passkeys that exist. It is accepted, once.
	EventEligible auth.EventKind = "passkey.eligible"

	// The record of a passkey cannot be read: somebody has changed it.
	EventUnusable auth.EventKind = "passkey.unusable"
)

const (
	factorName    = "passkey"
	scriptDefault = "/passkey.js"
	maxSiteName   = 64 // bytes
)

var (
	errNotBound      = errors.New("passkey: the factor is not in use; list it in auth.Config.Factors")
	errBound         = errors.New("passkey: the factor belongs to another Manager; make one for each Manager")
	errDamagedHandle = errors.New("passkey: the record of the user handle was changed by somebody; delete the record: the user's passkeys then work as second factors only")

	// Why an answer was refused.
	errUnreadable  = errors.New("passkey: it cannot be read")
	errExpired     = errors.New("passkey: it is not for a challenge that waits")
	errSpent       = errors.New("passkey: its challenge was used")
	errTaken       = errors.New("passkey: an account has this passkey already")
	errUnusable    = errors.New("passkey: the record of the passkey was changed by somebody")
	errOtherUser   = errors.New("passkey: the passkey is another user's")
	errOtherSite   = errors.New("passkey: the passkey is for an earlier host of the site")
	errOtherHandle = errors.New("passkey: the user handle is not that of the passkey")
	errSuspended   = errors.New("passkey: the passkey is suspended")
	errCloned      = errors.New("passkey: the counter is not higher than before: the passkey was copied")
	errOvertaken   = errors.New("passkey: another login with the passkey was quicker")
	errNotEligible = errors.New("passkey: the passkey could be synced, and says that it cannot")
)

//go:embed passkey.js
var script []byte

// A Config holds the settings. The zero value is right for most sites.
type Config struct {
	// RPID is the domain that passkeys are for. By default, it is the host of
	// auth.Config.BaseURL. It may be a domain above it: with "example.com", passkeys work on
	// all subdomains. Choose it before the first user adds a passkey: a passkey works for
	// its RPID only. See Factor.Check.
	RPID string

	// Origins are the origins of the pages that may ask for a passkey, such as
	// "https://app.example". By default, it is auth.Config.BaseURL alone. For sites with
	// other domains, see Factor.RelatedOrigins. They must have 5 different names at most:
	// example.com and www.example.de have the same, "example".
	Origins []string

	// SiteName is the name of the site that some browsers show. It has at most 64 bytes. The
	// default is RPID.
	SiteName string

	// ScriptPath is the path under which the application serves the script. Package pages
	// does so. The default is "/passkey.js".
	ScriptPath string
}

// A Factor is the factor "passkey". It implements auth.PasskeyFactor and auth.FactorBinder.
// Make it by [New]. It is safe for use by many goroutines.
type Factor struct {
	rpID       string
	origins    []string
	siteName   string
	scriptPath string
	feature    *auth.Feature // set by Bind
	last       atomic.Int64  // the last tick
}

// New makes the factor for one Manager. auth.New checks the settings.
func New(cfg Config) *Factor {
	return &Factor{rpID: cfg.RPID, origins: slices.Clone(cfg.Origins), siteName: cfg.SiteName, scriptPath: cfg.ScriptPath}
}

// Bind implements auth.FactorBinder. It fills in the defaults and checks the settings.
func (f *Factor) Bind(feature *auth.Feature) error {
	if f.feature != nil {
		return errBound
	}
	if len(f.origins) == 0 {
		f.origins = []string{feature.Origin()}
	}
	if f.rpID == "" {
		f.rpID = feature.Host()
	}
	if f.siteName == "" {
		f.siteName = f.rpID
	}
	if f.scriptPath == "" {
		f.scriptPath = scriptDefault
	}
	if err := checkSite(f.rpID, f.origins, feature.Origin()); err != nil {
		return err
	}
	if name := f.siteName; name != strings.TrimSpace(name) || len(name) > maxSiteName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
		return fmt.Errorf("passkey: Config.SiteName is %.100q; use a name of 1 to %d bytes", name, maxSiteName)
	}
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._/"
	if p := f.scriptPath; !strings.HasPrefix(p, "/") || path.Clean(p) != p || p == "/" || strings.Trim(p, allowed) != "" {
		return fmt.Errorf("passkey: Config.ScriptPath is %.100q; use a path such as %s", p, scriptDefault)
	}
	f.feature = feature
	return nil
}

// Name implements auth.Factor.
func (*Factor) Name() string { return factorName }

// Script implements auth.PasskeyFactor. The script needs no other. A page that loads it may
// send the Content-Security-Policy "script-src 'self'; connect-src 'self'".
func (f *Factor) Script() (path string, source []byte) {
	return f.scriptPath, slices.Clone(script)
}

// refuse reports why an answer is refused. The user is told the same in all cases.
func (f *Factor) refuse(ctx context.Context, userID string, why error) error {
	f.feature.Event(ctx, auth.Event{Kind: EventRefused, UserID: userID, Method: factorName, Err: why})
	return auth.ErrWrongFactor
}

// check returns an error if there is no feature or no user.
func (f *Factor) check(userID string) error { return factorkit.Check(f.feature, userID, errNotBound) }

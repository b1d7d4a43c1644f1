package auth

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/go-login/auth/internal/clientip"
)

// A Config holds the settings of a Manager. Only BaseURL and Secrets have no
// default. Related settings are in groups, such as Session and Password.
//
// New returns an error for a setting that is out of range, contradicts another one or
// has no effect.
type Config struct {
	// BaseURL is the scheme and the host that browsers use for the application:
	// https://app.example, or http on a loopback address for development: localhost, a name
	// below it such as app.localhost, or 127.0.0.1. Links in mails, the application's own
	// origin and the attributes of cookies follow it. The Host of a request is not used,
	// unless it is one of Network.Hosts. For http in a local network, see
	// Network.DevelopmentHTTP.
	//
	// If the application is below a path, such as https://host.example/app, BaseURL has the
	// path. All URLs and paths of the settings are still as browsers see them: the default
	// of URLs.Login is then /app/login. It makes no difference whether the path reaches the
	// application, or a proxy or http.StripPrefix removes it. The names of the cookies get
	// the path (__Host-session.app), because browsers send them to all applications of the
	// host. These can read each other's pages: for applications that do not trust each
	// other, use hosts of their own.
	BaseURL string

	// Secrets are random keys of at least 32 bytes each. The first one signs and
	// seals; all are accepted. To rotate, put a new one in front, and remove the last
	// one when everything that it has sealed has expired.
	Secrets [][]byte

	// Records keeps what must last: remembered devices, API tokens, attempts. The
	// default is the user store, if it is a RecordStore too. If you wrote the user
	// store for your own users' table, use sqlstore.NewRecords or memstore.NewRecords.
	Records RecordStore

	// SessionStore keeps the sessions. If it loses them, users have to log in again,
	// and nothing worse happens. The default is Records.
	SessionStore RecordStore

	// Mailer sends the mails: the links that users ask for, and news about their
	// accounts. Without a Mailer, a method that must send a link returns ErrNoMailer.
	Mailer Mailer

	// Identifiers says what users log in with. The default is UsernameOrEmail, or the
	// one of them that the user store keeps (see FieldOmitter).
	Identifiers Identifiers

	// LocalDomains accepts addresses whose domain has no dot, such as admin@localhost,
	// for mail within one machine or network. The user store must have keys for them:
	// those of AccountKeys. Without LocalDomains, a new address like this is
	// ErrInvalidEmail. Accounts that already have one can log in either way.
	LocalDomains bool

	// RequireVerified refuses the login of an account whose address is not verified,
	// with ErrUnverified, whatever the user logs in with, and requests with credentials
	// of their own, such as an API token. A login that exists goes on. Register then needs an
	// address, and mails the link that verifies it, so there must be a Mailer. If your login
	// page shows one text for ErrLoginRefused, as it should, say there where to ask for the
	// link again.
	RequireVerified bool

	// HideAccounts keeps Register from telling who has an account. Register then
	// returns ErrCheckMail, whether the address is free or taken, and does the same
	// work for both. Your page shows one text, such as "check your mail". If the
	// address is free, the account is created, and the mail has the link that verifies
	// it. If the address is taken, its owner gets a mail with a link to URLs.Forgot.
	//
	// HideAccounts needs RequireVerified: otherwise a login with the new password would
	// tell what Register hides. Without HideAccounts, Register returns ErrEmailTaken.
	// Login, SendReset, SendVerification and SendEmailChange never tell.
	HideAccounts bool

	// EmailLogin lets users log in by a mail, which has a code and a link: see
	// Core.SendLoginCode. It needs a Mailer, and a user store that keeps EmailVerified.
	//
	// If a user logs in by mail to an account whose address was never verified, everything
	// that was set up in it is removed, such as the password: an attacker may have
	// registered the address first. So if you imported the users from another table, set
	// EmailVerified of those whose addresses you know to be theirs before you set this.
	EmailLogin bool

	// Credentials find the user of a request that brings credentials of its own, such
	// as an API token in a header. They are asked in this order, before the session. If
	// there is one with a Load of your own, a request that asks for neither the user
	// nor the session does not extend Session.IdleTimeout.
	Credentials []Credential

	// Factors are what users can show in addition to the password. A user who has
	// enrolled in one of them cannot log in without showing one: see Factor. If you take a
	// factor out again, the users who have set it up still owe one.
	Factors []Factor

	// TrustFor, if set, lets users trust a browser for this long: logins there owe no second
	// factor (see Core.TrustBrowser). The default is 0: no browser is trusted. 30 days are
	// usual; use a day to 90 days.
	TrustFor time.Duration

	// RequireFactor, if set, says of which users a second factor is required, such as those
	// with a role. A user without one can log in, and reaches nothing but the page that
	// sets one up: User returns ErrNoFactor, and Core.Error sends the browser to
	// URLs.TwoFactor. See Core.EnrollingUser. Credentials of a request, such as an API
	// token, cannot show a factor. They work if the user has one, and get ErrNoFactor (403)
	// if not. RequireFactor runs in every request that asks for the user, and must be quick.
	RequireFactor func(user User) bool

	Roles         RoleConfig          // which roles there are, and what they allow
	Impersonation ImpersonationConfig // which administrators may act as other users

	URLs     URLs           // the pages that the library sends browsers to, or names in mails
	Session  SessionConfig  // how long logins last, how many there may be, and their cookie
	Password PasswordConfig // which passwords are accepted, and how they are hashed
	Limits   Limits         // how much one address may try in an hour
	Network  NetworkConfig  // further hosts, other origins, and reverse proxies

	// Name separates Managers that share a store, such as one for customers and one
	// for the staff. Managers with different Names neither see nor accept each other's
	// sessions, remembered devices, tokens and counters, even if Secrets and the users'
	// IDs are the same. All processes of one application have the same Name, and so
	// have Managers with the same users. The default is empty. A Name has 1 to 32
	// letters, digits, -, _ and dots. A new Name logs everybody out.
	//
	// If browsers find two Managers on the same host, give them different values of
	// Session.CookieName, too.
	Name string

	// Languages are the languages that the application speaks, as tags such as "en" or
	// "pt-BR". The first one is for clients that understand none of them. The default is
	// none: everything is in English, or in the words that you have set. Package auth
	// (DefaultMessage), pages and authmail know "en", "de" and "es". For other languages,
	// set Translations of pages.Config and authmail.Content. See Core.Language.
	Languages []string

	// Language, if set, chooses the language of a request, for example by a cookie. If the
	// result is not one of Languages, Accept-Language decides. It runs where locks are
	// held: it must not call methods of the Manager.
	Language func(r *http.Request) string

	// MailLanguage, if set, returns the language of the mails to a user. If the result is not
	// one of Languages, the mail is in the language of the request that caused it. A client
	// chooses that, and may ask for mails to other users. It must not call methods of the
	// Manager, and must be quick: it is called only if there is an account, so a client
	// could measure a query.
	MailLanguage func(user User) string

	// Message, if set, returns the message for a user who is sent to the login page,
	// the refresh page, the page that verifies an address, or one of the pages for second
	// factors. reason is ErrNotLoggedIn, ErrNotFresh, ErrUnverified, ErrFactorRequired or
	// ErrNoFactor. If the browser had a login and the login has ended, reason is ErrLoggedOut,
	// which wraps ErrNotLoggedIn. Message is not called for a visitor who only follows a link
	// while another message waits, such as one of a logout. A Flash without a text shows
	// nothing. The default is DefaultMessage, in the language of the request: see Languages.
	Message func(r *http.Request, reason error) Flash

	// OnEvent, if set, is called with each Event, failures included. It runs in the
	// request and should be quick. If it panics, the panic is logged, and the request
	// goes on.
	OnEvent func(context.Context, Event)

	// Trace, if set, observes logins, hashes and calls of the stores, with their durations.
	// Package authotel sets it for OpenTelemetry.
	Trace TraceFunc

	// Logger gets a record for each event and each error. The default is
	// slog.Default().
	Logger *slog.Logger

	// ErrorPage, if set, writes the answers of Core.Error and of failed requests, in
	// place of a line of plain text or, for browsers, of the error page of package pages.
	// status is 202 for ErrCheckMail. Cache-Control is set, and also Retry-After,
	// WWW-Authenticate, HX-Redirect or X-Inertia-Location where they belong. ErrorPage must
	// write Content-Type, status and body. err is for the log; do not show it to the client. To
	// a client that prefers JSON, it can answer with Core.Problem. Package pages answers such
	// clients itself (see AnswerJSON), and LoadAndSave does so if it refuses a cross-origin
	// request: ErrorPage is not called.
	ErrorPage func(w http.ResponseWriter, r *http.Request, status int, err error)

	// Now is the clock. The default is time.Now.
	Now func() time.Time
}

// check sets the defaults and checks the settings.
func (cfg *Config) check(at *site) error {
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	cfg.Credentials, cfg.Factors = slices.Clone(cfg.Credentials), slices.Clone(cfg.Factors)
	for i, credential := range cfg.Credentials {
		if credential.Load == nil && credential.scheme == "" {
			return fmt.Errorf("auth: Config.Credentials[%d] has no Load; set it, or use Basic or Bearer", i)
		}
	}
	switch {
	case cfg.Identifiers < UsernameOrEmail || cfg.Identifiers > EmailOnly:
		return fmt.Errorf("auth: Config.Identifiers is %d; use UsernameOrEmail, UsernameOnly or EmailOnly", cfg.Identifiers)
	case cfg.Mailer != nil && isNil(cfg.Mailer):
		return errors.New("auth: Config.Mailer is a nil pointer; leave it unset to have no Mailer")
	case cfg.RequireVerified && cfg.Mailer == nil:
		return fmt.Errorf("auth: Config.RequireVerified: %w", ErrNoMailer)
	case cfg.EmailLogin && cfg.Mailer == nil:
		return fmt.Errorf("auth: Config.EmailLogin: %w", ErrNoMailer)
	case cfg.TrustFor != 0 && (cfg.TrustFor < 24*time.Hour || cfg.TrustFor > maxTrust):
		return fmt.Errorf("auth: Config.TrustFor is %v; use a day to 90 days, or 0 for none", cfg.TrustFor)
	case cfg.TrustFor > 0 && len(cfg.Factors) == 0:
		return errors.New("auth: Config.TrustFor has no effect without Factors")
	case cfg.RequireFactor != nil && len(cfg.Factors) == 0:
		return errors.New("auth: Config.RequireFactor needs Factors: without them no user could set one up")
	case cfg.HideAccounts && !cfg.RequireVerified:
		return errors.New("auth: Config.HideAccounts needs RequireVerified: otherwise a login with the new password would tell what Register hides")
	}
	if err := checkName(cfg.Name); err != nil {
		return err
	}
	if err := checkFactors(cfg.Factors); err != nil {
		return err
	}
	if err := cfg.URLs.check(at); err != nil {
		return err
	}
	if err := cfg.Roles.check(); err != nil {
		return err
	}
	if err := cfg.Session.check(); err != nil {
		return err
	}
	if err := cfg.Password.check(); err != nil {
		return err
	}
	if err := cfg.Impersonation.check(&cfg.Roles, cfg.Factors); err != nil {
		return err
	}
	cfg.Limits.check()
	return cfg.Network.check()
}

// public returns a copy that an application may have: without Secrets and Peppers.
func (cfg *Config) public() Config {
	c := *cfg
	c.Secrets, c.Password.Peppers = nil, nil
	c.Credentials, c.Factors = slices.Clone(c.Credentials), slices.Clone(c.Factors)
	c.Languages = slices.Clone(c.Languages)
	c.URLs.LoginFor = maps.Clone(c.URLs.LoginFor)
	c.Roles = c.Roles.public()
	c.Password.Words = slices.Clone(c.Password.Words)
	params := *c.Password.HashParams
	c.Password.HashParams = &params
	c.Network.Hosts = slices.Clone(c.Network.Hosts)
	c.Network.Origins = slices.Clone(c.Network.Origins)
	c.Network.CrossOriginBypass = slices.Clone(c.Network.CrossOriginBypass)
	c.Network.TrustedProxies = slices.Clone(c.Network.TrustedProxies)
	return c
}

// maxActing is how long an impersonation may last.
const maxActing = time.Hour

// An ImpersonationConfig says which administrators may act as other users: see
// [Core.Impersonate].
type ImpersonationConfig struct {
	// Permission is one of Config.Roles.Permissions. Users who have it may act as users
	// who do not have it. If it is empty, nobody may.
	Permission string

	// Lifetime is how long an impersonation lasts. The default is an hour, and so is the
	// maximum.
	Lifetime time.Duration

	// NoMail has the user get no mail. The default is that an administrator who acts as a
	// user is announced to the user by a MailImpersonated.
	NoMail bool
}

func (cfg *ImpersonationConfig) check(roles *RoleConfig, factors []Factor) error {
	switch {
	case cfg.Permission == "" && (cfg.Lifetime != 0 || cfg.NoMail):
		return errors.New("auth: Config.Impersonation has no effect without a Permission")
	case cfg.Permission == "":
		return nil
	case !slices.Contains(roles.Permissions, cfg.Permission):
		return fmt.Errorf("auth: Config.Impersonation.Permission is %.100q, which is not in Config.Roles.Permissions; declare it there, or correct its name", cfg.Permission)
	case cfg.Lifetime < 0 || cfg.Lifetime > maxActing:
		return fmt.Errorf("auth: Config.Impersonation.Lifetime is %v; use at most %v, or 0 for that", cfg.Lifetime, maxActing)
	case len(factors) == 0:
		return errors.New("auth: Config.Impersonation needs Factors: administrators must have shown a second factor to act as another user")
	}
	if cfg.Lifetime == 0 {
		cfg.Lifetime = maxActing
	}
	return nil
}

// Identifiers says what a user may type as the login.
type Identifiers int

// The identifiers.
const (
	UsernameOrEmail Identifiers = iota // the default
	UsernameOnly                       // an address is not accepted
	EmailOnly                          // a username is not accepted
)

// A SessionConfig says how long logins last, how many there may be, and what their
// cookie is called.
type SessionConfig struct {
	// Lifetime is the longest that a login lasts, however active the user is. The
	// default is 24 hours (NIST SP 800-63B-4, section 2.2.3), the minimum is a minute.
	// A new session token does not extend it. If you set more than 24 hours, set
	// IdleTimeout too: otherwise the login would end after an idle hour.
	Lifetime time.Duration

	// IdleTimeout ends a session that has had no request for this long. The default is
	// 1 hour (the same section). It is kept to the minute: a session may end up to a
	// minute early, and never late. A negative value means no limit. Otherwise it must
	// be at least two minutes, and shorter than Lifetime.
	IdleTimeout time.Duration

	// NoActivity, if set, says which requests do not extend IdleTimeout: those that a
	// program made and not the user, such as a poll in the background. It is called
	// before the session is touched, with the request as the browser sent it. It may
	// look at a header that the page's script sets. A client that sets the header
	// wrongly only ends its own login earlier, or sends a request that counts.
	//
	//	NoActivity: func(r *http.Request) bool { return r.URL.Path == "/notifications" }
	NoActivity func(r *http.Request) bool

	// Max is how many logins a user may have at the same time, and also how many
	// remembered devices. The default is 100. One more ends the oldest. A negative
	// value means no limit.
	Max int

	// RememberFor is how long Remember lasts, however often the device is used. The
	// default is 30 days (NIST SP 800-63B-4, section 2.1.3), the maximum 400 days:
	// browsers keep no cookie longer.
	RememberFor time.Duration

	// CookieName is the name of the session cookie. The default is "session". Over
	// https, the cookie is called __Host-session; over plain http, session-PORT. If BaseURL
	// has the path /app, ".app" follows.
	CookieName string

	// PersistentCookie keeps users logged in when they close the browser, until Lifetime or
	// IdleTimeout is over. The default is that the session cookie ends with the browser;
	// Remember is then the way to stay logged in. On a computer that several people use,
	// the next person finds the login if the user has not logged out.
	PersistentCookie bool

	// SameSite of the cookies with which a user is logged in: those of the session, of
	// Remember, of a pending login and of a trusted browser. The default is
	// http.SameSiteLaxMode. The only other value is http.SameSiteStrictMode: browsers then
	// leave out these cookies whenever the user comes from another site. That breaks
	// three things:
	//
	//   - A user who follows a link from another site or from a mail looks logged out,
	//     until the next click on a page of this site.
	//   - A user who opens a mailed link while logged in sees the page for visitors. Its
	//     form works.
	//   - Logins at providers: oauth.New returns an error. The way back from a provider is
	//     a link from another site.
	//
	// The other cookies, such as that of a mailed token, are always Lax.
	SameSite http.SameSite

	// Protection says what happens to a login whose requests begin to come from
	// another user agent. The default is ProtectOff: nothing.
	Protection Protection

	// ProtectAddress makes Protection compare the client's network, too: the first 24
	// bits of its IPv4 address, or 64 bits for IPv6. Users who move between networks
	// then have to log in more often.
	ProtectAddress bool
}

// defaultLifetime is the default of SessionConfig.Lifetime.
const defaultLifetime = 24 * time.Hour

// check sets the defaults and checks the settings.
func (s *SessionConfig) check() error {
	if err := s.checkEffect(); err != nil {
		return err
	}
	s.Lifetime = cmp.Or(s.Lifetime, defaultLifetime)
	s.IdleTimeout = cmp.Or(s.IdleTimeout, time.Hour)
	s.RememberFor = cmp.Or(s.RememberFor, 30*24*time.Hour)
	s.CookieName = cmp.Or(s.CookieName, "session")
	s.Max = cmp.Or(s.Max, 100)
	s.SameSite = cmp.Or(s.SameSite, http.SameSiteLaxMode)
	switch {
	case s.Lifetime < time.Minute:
		return fmt.Errorf("auth: Config.Session.Lifetime is %v; use a minute or more", s.Lifetime)
	case s.IdleTimeout > 0 && s.IdleTimeout < 2*touchAfter:
		return fmt.Errorf("auth: Config.Session.IdleTimeout is %v; use %v or more, or -1 for no limit", s.IdleTimeout, 2*touchAfter)
	case s.RememberFor < time.Minute || s.RememberFor > maxRemember:
		return fmt.Errorf("auth: Config.Session.RememberFor is %v; use a minute to 400 days", s.RememberFor)
	case s.SameSite != http.SameSiteLaxMode && s.SameSite != http.SameSiteStrictMode:
		return fmt.Errorf("auth: Config.Session.SameSite is %d; use http.SameSiteLaxMode or http.SameSiteStrictMode", s.SameSite)
	case s.Protection < ProtectOff || s.Protection > ProtectStrong:
		return fmt.Errorf("auth: Config.Session.Protection is %d; use ProtectOff, ProtectBasic or ProtectStrong", s.Protection)
	case s.ProtectAddress && s.Protection == ProtectOff:
		return errors.New("auth: Config.Session.ProtectAddress has no effect with ProtectOff; set Protection, too")
	}
	return nil
}

// checkEffect returns an error for a time that has no effect because of another one.
// It looks at what the application has set, before the defaults.
func (s *SessionConfig) checkEffect() error {
	switch {
	case s.Lifetime > defaultLifetime && s.IdleTimeout == 0:
		return fmt.Errorf("auth: Config.Session.Lifetime is %v, but a login would end after an idle hour, the default of IdleTimeout; set IdleTimeout too, or -1 for no limit", s.Lifetime)
	case s.IdleTimeout > 0 && s.IdleTimeout >= cmp.Or(s.Lifetime, defaultLifetime):
		return fmt.Errorf("auth: Config.Session.IdleTimeout %v has no effect, because Lifetime is %v; set a longer Lifetime, or IdleTimeout to -1 for no limit", s.IdleTimeout, cmp.Or(s.Lifetime, defaultLifetime))
	case s.IdleTimeout < 0 && s.NoActivity != nil:
		return errors.New("auth: Config.Session.NoActivity has no effect without an IdleTimeout; remove one of the two")
	}
	return nil
}

const (
	maxRemember = 400 * 24 * time.Hour // browsers keep no cookie longer
	maxTrust    = 90 * 24 * time.Hour
	touchAfter  = time.Minute // how old "last seen" may be
)

// A Protection says what happens to a login, or a remembered device, if its requests
// begin to come from another client. That is a sign that the cookie was copied, but
// also of a browser that was updated: it then has a new user agent. A login and its
// device are bound to the first user agent that they are seen with. ConfirmLogin binds
// them to the current one.
type Protection int

// The protections.
const (
	ProtectOff    Protection = iota // nothing happens
	ProtectBasic                    // the login goes on, and is no longer fresh
	ProtectStrong                   // the login ends, and so does the remembered device
)

// A PasswordConfig says which passwords are accepted, and how they are hashed.
type PasswordConfig struct {
	// Min is the least number of code points in a new password. The default is 8,
	// which is also the minimum; the maximum is 64. NIST SP 800-63B-4 asks for 15 where
	// the password is the only factor.
	Min int

	// Words are words that may not be a password by themselves, nor followed by
	// digits: the names of your application and your organisation.
	Words []string

	// Breaches, if set, is asked whether a new password that passed the rules above was
	// in a data breach. A pwned.Client asks Pwned Passwords. If there is no answer
	// within two seconds, the password is accepted, and there is an
	// EventBreachCheckFailed.
	Breaches BreachChecker

	// Check, if set, has the last word on a new password. The text of its error is for
	// the user. The error is wrapped in a PasswordError.
	Check func(ctx context.Context, password string, a Account) error

	// ResetLifetime is how long a reset token is valid. The default is 30 minutes; use
	// a minute to 24 hours.
	ResetLifetime time.Duration

	// HashParams are the parameters of Argon2id for new hashes; see
	// DefaultHashParams. New refuses weaker ones than OWASP's minimum, except
	// authtest.HashParams in a test. Stored hashes
	// with other parameters, and those of other libraries (docs/passwords.md), still
	// work, and are replaced when their users log in. Until then, an attempt on a
	// cheaper hash is made to cost as much as one on a new hash. An attempt on a dearer
	// one takes longer, and an attacker can measure that.
	HashParams *argon2id.Params

	// HashMemory is how much memory password hashing may use at a time, in bytes, for
	// each process. The default is 64 MiB, the minimum what one hash needs. If a process
	// has several Managers, they share the largest HashMemory of any of them.
	//
	// At most max(1, min(GOMAXPROCS-1, NumCPU)) hashes run at once; one of Go's processors
	// is left for other requests. In a container with a CPU limit of more than one, hashes
	// also stay below the limit. Further hashes wait in a queue of 64, for three seconds at
	// most. After that the answer is ErrBusy. To hash on all processors, raise GOMAXPROCS
	// by two: docs/passwords.md says how. A Manager never verifies a stored hash that needs
	// more than its own HashMemory.
	HashMemory int64

	// Peppers are keys without which nobody can try passwords against the new hashes;
	// see Pepper. The first one makes new hashes; all verify. A hash with another
	// pepper, or with none, is replaced when its user logs in. A hash whose pepper is
	// missing here cannot be verified (EventHashUnusable). So, to rotate, put a new one
	// in front, and keep the old one for as long as a hash has its ID.
	Peppers []Pepper
}

// check sets the defaults and checks the settings.
func (p *PasswordConfig) check() error {
	p.Min = cmp.Or(p.Min, minPassword)
	p.ResetLifetime = cmp.Or(p.ResetLifetime, 30*time.Minute)
	p.HashMemory = cmp.Or(p.HashMemory, 64<<20)
	params := DefaultHashParams()
	if p.HashParams != nil {
		params = *p.HashParams
	}
	p.HashParams, p.Words = &params, slices.Clone(p.Words)
	switch {
	case p.Min < minPassword || p.Min > 64:
		return fmt.Errorf("auth: Config.Password.Min is %d; use %d to 64", p.Min, minPassword)
	case p.Breaches != nil && isNil(p.Breaches):
		return errors.New("auth: Config.Password.Breaches is a nil pointer; leave it unset to have no check")
	case p.ResetLifetime < time.Minute || p.ResetLifetime > 24*time.Hour:
		return fmt.Errorf("auth: Config.Password.ResetLifetime is %v; use a minute to 24 hours", p.ResetLifetime)
	}
	return nil
}

// A BreachChecker knows passwords that were in a data breach. A pwned.Client is one.
type BreachChecker interface {
	// Breached reports whether the password was in a data breach. It must return when
	// ctx is done, which is after two seconds at the latest. If it returns an error or
	// panics, the password is accepted, and there is an EventBreachCheckFailed.
	//
	// The text of an error could contain the password. So the event has only the type
	// of the error, unless a method PasswordFree() bool of the error returns true. The
	// errors of pwned.Client have this method.
	Breached(ctx context.Context, password string) (bool, error)
}

// Limits say how much may come from one address in an hour: an IPv4 address, or the
// first 64 bits of an IPv6 address. More is refused with a RateLimitError. Zero means
// the default, a negative number no limit. Users behind one address share its limits.
type Limits struct {
	// Guesses are wrong passwords and invalid mailed tokens. The default is 100. Logins
	// that succeed do not count.
	Guesses int

	// Mails are requests for a mail, such as for a forgotten password, whether a mail
	// was sent or not. The default is 60. Apart from this limit, one mailbox gets at
	// most three mails of a kind in an hour, or within the lifetime of their links if
	// that is shorter.
	Mails int

	// Registrations are attempts to create an account. The default is 100.
	Registrations int
}

// check sets the defaults. Every number is valid.
func (l *Limits) check() {
	l.Guesses = cmp.Or(l.Guesses, 100)
	l.Mails = cmp.Or(l.Mails, 60)
	l.Registrations = cmp.Or(l.Registrations, 100)
}

// A NetworkConfig says at which hosts the application is, which other origins may send
// requests, and which reverse proxies stand in front of it.
type NetworkConfig struct {
	// Hosts are further hosts at which browsers find the application, such as
	// www.app.example or app.example:8443. They have the scheme and the path of BaseURL. A
	// request's Host is compared with them exactly, in lower case. If it is one of them,
	// links in mails lead to it; otherwise they lead to BaseURL. So a proxy must pass on the
	// Host that the browser sent.
	// Each host has cookies of its own: a user logs in on each of them. Hosts that differ only
	// in the port share their cookies. Pages of these hosts
	// may send requests that change something to their own host only, unless Origins has
	// them. Pages of BaseURL may send them to all.
	//
	// If you use passkeys, list the origins in passkey.Config.Origins. At providers, enter
	// the redirect URI of each host.
	Hosts []string

	// DevelopmentHTTP allows http in a local network, for BaseURL and Hosts: such as
	// http://192.168.1.20:8080, or http://web:8080 between containers. It is for
	// development only: everybody in the network can read passwords and cookies. So New logs
	// a warning each time, and accepts only private addresses, names without a dot, and
	// names under .local, .lan, .internal, .test and .home.arpa.
	DevelopmentHTTP bool

	// Origins are further origins, such as https://admin.example, whose pages may send
	// requests that change something. A trusted origin is fully trusted: its pages can
	// do everything that the user can. Schemes of applications, such as
	// capacitor://localhost or app://x, can be listed, too. Browsers count such a page as
	// another site, and leave out cookies that are SameSite: such applications use API
	// tokens.
	Origins []string

	// CrossOriginBypass are http.ServeMux patterns of requests that skip the
	// cross-origin check, such as webhooks that authenticate each request. They are
	// compared with the path that reached the server, also below http.StripPrefix. They
	// may not contain the login page, the refresh page, the factor's page or the page for
	// mailed codes.
	CrossOriginBypass []string

	// TrustedProxies are the networks of the reverse proxies in front of the
	// application. The default is none: a client's address is then that of its
	// connection (http.Request.RemoteAddr, as the server sets it), whatever its headers
	// say. If middleware sets RemoteAddr to something without a port, there is no
	// address.
	//
	// If the connection comes from a trusted proxy, X-Forwarded-For is read from its
	// end. The client's address is the first one found there that is not a trusted
	// proxy's; if all are, it is the leftmost. So each proxy must append the address
	// that it was asked from, or replace the header by it. Parsing stops at the first
	// malformed entry, or after 32. The client's address is then that of the last
	// trusted proxy found. A connection through a Unix socket counts as a trusted
	// proxy's if there are TrustedProxies; otherwise it has no address.
	//
	// For nginx on the same machine, use 127.0.0.1/32 and ::1/128, and configure
	// proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for. Host and
	// X-Forwarded-Proto are not used: BaseURL says where the application is. No other
	// header is read: not Forwarded, X-Real-IP or CF-Connecting-IP. New refuses a
	// prefix of 0 bits, which would trust everybody. See also EventProxySuspected.
	TrustedProxies []netip.Prefix
}

// check checks the settings. Origins and CrossOriginBypass are checked where they are
// parsed, in newCore.
func (n *NetworkConfig) check() (err error) {
	n.Hosts, n.Origins, n.CrossOriginBypass = slices.Clone(n.Hosts), slices.Clone(n.Origins), slices.Clone(n.CrossOriginBypass)
	n.TrustedProxies, err = clientip.NewProxies(n.TrustedProxies)
	return err
}

// An errorPage writes an error page: see Config.ErrorPage.
type errorPage = func(w http.ResponseWriter, r *http.Request, status int, err error)

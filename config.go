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
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/go-login/auth/internal/clientip"
)

// A Config holds the settings of a Manager. Only BaseURL and Secrets have no
// default.
type Config struct {
	// BaseURL is where browsers find the application, scheme and host:
	// https://app.example, or http on a loopback address for development. Links
	// in mails, the application's own origin and the cookies' attributes follow
	// it, never a request's Host.
	BaseURL string

	// Secrets are random keys of at least 32 bytes each. The first one signs
	// and seals, all are accepted: to rotate, put a new one in front and
	// remove the last one when what it has sealed has expired.
	Secrets [][]byte

	// Records keeps what must last. It defaults to the user store, if that is
	// a RecordStore too; a store of one's own on one's users' table usually is
	// not, and goes with sqlstore.NewRecords or memstore.NewRecords.
	Records RecordStore

	// Sessions keeps what may vanish at the cost of logging people out. It
	// defaults to Records.
	Sessions RecordStore

	// Mailer sends the mails: links that somebody asked for (without a Mailer that
	// is ErrNoMailer), and to owners what has been done to their accounts.
	Mailer Mailer

	// Identifiers is what people log in with: UsernameOrEmail by default, or the
	// one of them that the user store keeps (see FieldOmitter).
	Identifiers Identifiers

	// LocalDomains lets accounts have an address whose domain has no dot, such as
	// admin@localhost, for mail within one machine or network. A store must have
	// keys for them: those of AccountKeys. Without it they are ErrInvalidEmail.
	// Accounts that have one already log in in any case.
	LocalDomains bool

	// LoginURL is where RequireLogin sends browsers: /login by default. It is
	// a path of this site or an absolute URL.
	LoginURL string

	// LoginURLs are further login pages, by the path that they are for: with
	// {"/admin": "/admin/login"} RequireLogin sends who wants /admin, or anything
	// below it, there. The longest path that fits counts. Paths are those that the
	// browser asks for, also below http.StripPrefix.
	LoginURLs map[string]string

	// RefreshURL is where RequireFresh sends browsers, to show the password
	// again: "refresh" beside LoginURL by default, so /refresh for /login, or
	// /refresh if LoginURL is on another site.
	RefreshURL string

	// RequireVerified refuses logins of accounts whose address is not verified,
	// with ErrUnverified, however they log in. It is asked at the login: one that
	// exists goes on. Register then needs an address, and mails the link that
	// verifies it, so there must be a Mailer. A login page that shows one text for
	// ErrLoginRefused, as it should, had better say where to ask for the link again.
	RequireVerified bool

	// FactorURL is where Error sends browsers whose login owes a second factor
	// (ErrFactorRequired): "login/verify" beside LoginURL by default, as with RefreshURL.
	FactorURL string

	// Factors are what users can show besides the password. A user who has enrolled in one
	// of them cannot log in without showing one: see Factor.
	Factors []Factor

	// VerifyURL is the page that the link in a mail of kind MailVerify opens, and
	// where the middleware RequireVerified sends browsers: "verify-email" beside
	// LoginURL by default, as with RefreshURL.
	VerifyURL string

	// NextInCookie keeps the page that somebody wanted out of the URL of the
	// login page, in a sealed cookie that is good for an hour. TakeNext returns
	// it.
	NextInCookie bool

	// Message, if set, returns what the login page, the refresh page and the page
	// for verifying are to tell somebody who was sent there: reason is
	// ErrNotLoggedIn, ErrNotFresh or ErrUnverified. A Flash without a text is none.
	// By default it is DefaultMessage; one of your own may speak the language of
	// the request.
	Message func(r *http.Request, reason error) Flash

	// RequestLoaders find the user of a request that brings credentials of its own,
	// such as an API token in its header. They are asked in this order, before the
	// session. With a loader of the application's own, a request that asks for
	// neither the user nor the session does not put IdleTimeout off.
	RequestLoaders []RequestLoader

	// MaxSessions is how many logins a user may have at the same time, and how
	// many remembered devices: 100 by default. One more ends the oldest.
	// Negative means that there is no limit.
	MaxSessions int

	// Protection is what happens to a login whose requests begin to come from
	// another user agent: nothing by default, ProtectOff.
	Protection Protection

	// ProtectAddress has Protection look at the client's network, too: the
	// address's first 24 bits, or 64 for IPv6. Those who change between networks
	// pay for it.
	ProtectAddress bool

	// TrustedProxies are the networks of the reverse proxies in front of the
	// application: none by default, and a client's address is that of its
	// connection, whatever its headers say: http.Request.RemoteAddr, as the server
	// sets it. What a middleware puts there without a port is no address.
	//
	// If the connection comes from one of them, the address is the last one in
	// X-Forwarded-For that is in none of them, or the first one if all are. So each
	// proxy must put the address that it was asked from at the end of the header,
	// or replace the header by it. What is no address ends the search, and so does
	// the 33rd: the client is then taken to be where the last proxy that was found
	// is. A connection through a Unix socket counts as one of a proxy, and as one
	// without an address if there are no TrustedProxies.
	//
	// For nginx on the same machine these are 127.0.0.1/32 and ::1/128, and it
	// needs proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for. Host and
	// X-Forwarded-Proto play no part: BaseURL says where the application is.
	//
	// No other header is read: not Forwarded, X-Real-IP or CF-Connecting-IP. A
	// prefix of 0 bits, which everybody is in, is refused. See also
	// EventProxySuspected.
	TrustedProxies []netip.Prefix

	// Name separates Managers that share a store, such as one for customers and one
	// for the staff, who are other users: with different Names, a Manager neither sees
	// nor accepts the other's sessions, remembered devices, tokens and counters, even
	// if Secrets and the users' IDs are the same. All processes of one application have
	// the same Name, and so have Managers with the same users. It is empty by default,
	// or 1 to 32 letters, digits, -, _ and dots. A new Name logs everybody out.
	//
	// Managers that browsers find on the same host need different CookieNames, too.
	Name string

	// CookieName is the name of the session cookie, "session" by default,
	// which becomes __Host-session over https and session-PORT on loopback.
	CookieName string

	// Lifetime is the longest that a login lasts, however active: 24 hours by
	// default (NIST SP 800-63B-4, section 2.2.3), at least a minute. Rotations do
	// not extend it. If it is longer than that, set IdleTimeout, too: by default a
	// login ends after an idle hour all the same, and New returns an error.
	Lifetime time.Duration

	// IdleTimeout ends a session that made no request for this long: 1 hour by
	// default (the same section). It is kept to the minute: a session may end
	// up to a minute early, never late. Negative means none; else it is at least
	// two minutes, and shorter than Lifetime.
	IdleTimeout time.Duration

	// NoActivity, if set, says which requests do not put off IdleTimeout: those
	// that no person has made, such as a background poll or a stylesheet. It is asked
	// before the session is touched, with the request as the browser sent it. It may
	// look at a header that the page's script sets: a client that lies about it can
	// only end its own login earlier, or send a request that does count.
	//
	//	NoActivity: func(r *http.Request) bool { return r.URL.Path == "/notifications" }
	NoActivity func(r *http.Request) bool

	// RememberFor is how long Remember lasts, however often the device is used:
	// 30 days by default (NIST SP 800-63B-4, section 2.1.3), at most 400, which
	// is what browsers keep a cookie.
	RememberFor time.Duration

	// Limits are how much may come from one address in an hour.
	Limits Limits

	// Origins are further origins (https://admin.example) whose pages may send
	// requests that change something. A trusted origin is fully trusted: its
	// pages can do whatever the user can.
	Origins []string

	// CrossOriginBypass are http.ServeMux patterns of requests that skip the
	// cross-origin check, such as webhooks that authenticate each request. They are
	// compared with the path that was asked for, also below http.StripPrefix. The
	// login and the refresh page may not be among them.
	CrossOriginBypass []string

	// MinPassword is the least number of code points in a new password: 8 by
	// default, which is also the minimum, and at most 64. NIST SP 800-63B-4 asks for 15 where
	// the password is the only factor.
	MinPassword int

	// PasswordWords are words that may not be a password by themselves, nor
	// followed by digits: the application's and the organisation's names.
	PasswordWords []string

	// Breaches, if set, is asked whether a new password that the rules above accept
	// was in a data breach. A pwned.Client asks Pwned Passwords. If there is no answer
	// within two seconds, the password is accepted, and there is an
	// EventBreachCheckFailed.
	Breaches BreachChecker

	// PasswordCheck, if set, has the last word on a new password. Its error's
	// text is for the user; it is wrapped in a PasswordError.
	PasswordCheck func(ctx context.Context, password string, a Account) error

	// HashParams are the parameters of Argon2id for new hashes; see
	// DefaultHashParams. Weaker ones than OWASP's minimum are refused. Hashes
	// with other ones, and those from elsewhere (docs/passwords.md), are verified,
	// and replaced when their users log in. Until then an attempt on a cheaper
	// one is made to cost as much as on a new one; a dearer one takes longer, and
	// that shows.
	HashParams *argon2id.Params

	// Peppers are keys that new hashes cannot be tried without; see Pepper. The
	// first one makes new hashes, all verify; a hash with another one, or with
	// none, is replaced when its user logs in. A hash whose pepper is not here
	// cannot be verified (EventHashUnusable): to rotate, put a new one in front,
	// and keep the old one for as long as a hash has its ID.
	Peppers []Pepper

	// HashMemory is how much memory password hashing may use at a time, in bytes,
	// per process: 64 MiB by default, and at least what one hash needs. If a process
	// has several Managers, they share the largest HashMemory that New was given. At
	// most max(1, min(GOMAXPROCS-1, NumCPU)) hashes run at once, so that other
	// requests are served meanwhile. Further hashes wait in a queue of 64, for five
	// seconds at most; the rest get ErrBusy. The first time, the log has what to set
	// if that leaves processors unused; docs/passwords.md has more. A Manager never
	// verifies a stored hash that needs more than its own HashMemory.
	HashMemory int64

	// ResetLifetime is how long a reset token is good for: 30 minutes by
	// default, from a minute to 24 hours.
	ResetLifetime time.Duration

	// OnEvent, if set, is told what happens, failures too; see Event. It runs
	// in the request and should be quick. Its panics are logged and go no
	// further.
	OnEvent func(context.Context, Event)

	// Logger gets a record for each event and each error: slog.Default() by
	// default.
	Logger *slog.Logger

	// ErrorPage, if set, writes the answer to a request that failed (see
	// Manager.Error for when), in place of a line of plain text. Cache-Control, and
	// Retry-After, WWW-Authenticate, HX-Redirect or X-Inertia-Location where they
	// belong, are set; it must write Content-Type, status and body. err is for the
	// log and not for the client.
	ErrorPage func(w http.ResponseWriter, r *http.Request, status int, err error)

	// Now is the clock: time.Now by default.
	Now func() time.Time
}

// Identifiers says what a user may type as the login.
type Identifiers int

// The identifiers.
const (
	UsernameOrEmail Identifiers = iota // the default
	UsernameOnly
	EmailOnly
)

// Limits are how much may come from one address in an hour: an IPv4 address, or
// the first 64 bits of an IPv6 address. What is more is refused with a
// RateLimitError. Zero is the default, a negative number no limit. People behind
// one address share them.
type Limits struct {
	// Guesses are wrong passwords and mailed tokens that are none: 100 by
	// default. Logins that succeed do not count.
	Guesses int

	// Mails are requests to be sent a mail, for a forgotten password say,
	// whether one was sent or not: 60 by default. Whatever it is, one mailbox
	// gets no more than three mails of a kind in an hour, or in the time that
	// their links are good for if that is less.
	Mails int

	// Registrations are accounts asked for: 100 by default.
	Registrations int
}

// A Protection says what happens to a login, or a remembered device, whose requests
// begin to come from another client than it was made by. Cookies that were copied
// are used from elsewhere; but a browser changes its user agent when it is updated,
// too. A login and its device are bound to the first user agent that they are seen
// with, and to the next one by ConfirmLogin.
type Protection int

// The protections.
const (
	ProtectOff    Protection = iota // nothing happens
	ProtectBasic                    // the login goes on, and is not fresh any more
	ProtectStrong                   // the login ends, and with it what the browser is remembered as
)

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

// A Flash is a message for the next page that the user sees.
type Flash struct {
	Category string // such as "info" or "danger"; for the page to style
	Text     string // plain text: templates must escape it
}

// defaultLifetime is Config.Lifetime by default.
const defaultLifetime = 24 * time.Hour

// checkTimes refuses times of which one has no effect because of the other. They are as
// the application has set them.
func (cfg *Config) checkTimes() error {
	switch {
	case cfg.Lifetime > defaultLifetime && cfg.IdleTimeout == 0:
		return fmt.Errorf("auth: Lifetime is %v, but a login would end after an idle hour, which is IdleTimeout by default; set IdleTimeout too, or -1 for none", cfg.Lifetime)
	case cfg.IdleTimeout > 0 && cfg.IdleTimeout >= cmp.Or(cfg.Lifetime, defaultLifetime):
		return fmt.Errorf("auth: IdleTimeout %v has no effect, for Lifetime is %v; set a longer Lifetime, or IdleTimeout to -1 for none", cfg.IdleTimeout, cmp.Or(cfg.Lifetime, defaultLifetime))
	case cfg.IdleTimeout < 0 && cfg.NoActivity != nil:
		return errors.New("auth: NoActivity has no effect without an IdleTimeout; remove one of the two")
	}
	return nil
}

func (cfg *Config) setDefaults() error {
	if err := cfg.checkTimes(); err != nil {
		return err
	}
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&cfg.Lifetime, defaultLifetime)
	def(&cfg.IdleTimeout, time.Hour)
	def(&cfg.RememberFor, 30*24*time.Hour)
	def(&cfg.ResetLifetime, 30*time.Minute)
	if cfg.LoginURL == "" {
		cfg.LoginURL = "/login"
	}
	if cfg.CookieName == "" {
		cfg.CookieName = "session"
	}
	if cfg.Message == nil {
		cfg.Message = DefaultMessage
	}
	if cfg.MaxSessions == 0 {
		cfg.MaxSessions = 100
	}
	cfg.Limits.setDefaults()
	if cfg.MinPassword == 0 {
		cfg.MinPassword = minPassword
	}
	if cfg.HashParams == nil {
		p := DefaultHashParams()
		cfg.HashParams = &p
	}
	if cfg.HashMemory == 0 {
		cfg.HashMemory = 64 << 20
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := checkName(cfg.Name); err != nil {
		return err
	}
	if err := cfg.setURLs(); err != nil {
		return err
	}
	proxies, err := clientip.NewProxies(cfg.TrustedProxies)
	if err != nil {
		return err
	}
	cfg.TrustedProxies = proxies
	for i, loader := range cfg.RequestLoaders {
		if loader.Load == nil && loader.scheme == "" {
			return fmt.Errorf("auth: RequestLoaders[%d] has no Load", i)
		}
	}
	if err := checkFactors(cfg.Factors); err != nil {
		return err
	}
	switch {
	case cfg.Identifiers < UsernameOrEmail || cfg.Identifiers > EmailOnly:
		return fmt.Errorf("auth: unknown Identifiers %d", cfg.Identifiers)
	case cfg.Protection < ProtectOff || cfg.Protection > ProtectStrong:
		return fmt.Errorf("auth: unknown Protection %d", cfg.Protection)
	case cfg.ProtectAddress && cfg.Protection == ProtectOff:
		return errors.New("auth: ProtectAddress, but Protection is ProtectOff")
	case cfg.Mailer != nil && isNil(cfg.Mailer):
		return errors.New("auth: Mailer is a nil pointer")
	case cfg.RequireVerified && cfg.Mailer == nil:
		return fmt.Errorf("auth: RequireVerified: %w", ErrNoMailer)
	case cfg.Breaches != nil && isNil(cfg.Breaches):
		return errors.New("auth: Breaches is a nil pointer")
	case cfg.Lifetime < time.Minute:
		return fmt.Errorf("auth: Lifetime %v is shorter than a minute", cfg.Lifetime)
	case cfg.IdleTimeout > 0 && cfg.IdleTimeout < 2*touchAfter:
		return fmt.Errorf("auth: IdleTimeout %v is shorter than %v", cfg.IdleTimeout, 2*touchAfter)
	case cfg.RememberFor < time.Minute || cfg.RememberFor > maxRemember:
		return fmt.Errorf("auth: RememberFor %v is not between a minute and 400 days", cfg.RememberFor)
	case cfg.ResetLifetime < time.Minute || cfg.ResetLifetime > 24*time.Hour:
		return fmt.Errorf("auth: ResetLifetime %v is not between a minute and 24 hours", cfg.ResetLifetime)
	case cfg.MinPassword < minPassword || cfg.MinPassword > 64:
		return fmt.Errorf("auth: MinPassword %d is not between %d and 64", cfg.MinPassword, minPassword)
	}
	return nil
}

func (l *Limits) setDefaults() {
	for limit, byDefault := range map[*int]int{&l.Guesses: 100, &l.Mails: 60, &l.Registrations: 100} {
		if *limit == 0 {
			*limit = byDefault
		}
	}
}

// setURLs checks where browsers are sent, and copies what the application might
// change.
func (cfg *Config) setURLs() error {
	if cfg.RefreshURL == "" {
		cfg.RefreshURL = cfg.besideLogin("refresh")
	}
	if cfg.FactorURL == "" {
		cfg.FactorURL = cfg.besideLogin("login/verify")
	}
	if cfg.VerifyURL == "" {
		cfg.VerifyURL = cfg.besideLogin("verify-email")
	}
	cfg.LoginURLs = maps.Clone(cfg.LoginURLs)
	cfg.RequestLoaders = slices.Clone(cfg.RequestLoaders)
	cfg.Factors = slices.Clone(cfg.Factors)
	for setting, page := range map[string]string{"LoginURL": cfg.LoginURL, "RefreshURL": cfg.RefreshURL, "FactorURL": cfg.FactorURL, "VerifyURL": cfg.VerifyURL} {
		if !isPage(page) {
			return fmt.Errorf("auth: %s %q is neither a path of this site nor an absolute URL", setting, page)
		}
	}
	if strings.HasPrefix(cfg.VerifyURL, "http://") && !strings.HasPrefix(cfg.BaseURL, "http://") {
		return fmt.Errorf("auth: VerifyURL %q, which gets tokens, is plain http", cfg.VerifyURL)
	}
	for area, page := range cfg.LoginURLs {
		_, twice := cfg.LoginURLs[area+"/"]
		switch {
		case twice:
			return fmt.Errorf("auth: LoginURLs has %q with and without a slash", area)
		case ParseNext(area).IsZero() || strings.ContainsAny(area, "?#%"):
			return fmt.Errorf("auth: LoginURLs has %q, which is not a plain path", area)
		case !isPage(page):
			return fmt.Errorf("auth: LoginURLs[%q] %q is neither a path of this site nor an absolute URL", area, page)
		}
	}
	return nil
}

// besideLogin is the path of a page that is where LoginURL is, or at the root if
// that is on another site.
func (cfg *Config) besideLogin(name string) string {
	page := cfg.LoginURL
	if base := strings.TrimSuffix(cfg.BaseURL, "/"); strings.HasPrefix(page, base+"/") {
		page = page[len(base):]
	}
	page, _, _ = strings.Cut(page, "?")
	if !strings.HasPrefix(page, "/") {
		return "/" + name
	}
	return page[:strings.LastIndexByte(page, '/')+1] + name
}

// isPage reports whether a next can be added to u for a redirect.
func isPage(u string) bool {
	parsed, err := url.Parse(u)
	if err != nil || strings.Contains(u, "#") {
		return false
	}
	return !ParseNext(u).IsZero() || parsed.Host != "" && (parsed.Scheme == "https" || parsed.Scheme == "http")
}

// loginURL returns the login page for a path.
func (cfg *Config) loginURL(path string) string {
	page, longest := cfg.LoginURL, -1
	for area, p := range cfg.LoginURLs {
		area = strings.TrimSuffix(area, "/")
		if rest, ok := strings.CutPrefix(path, area); ok && (rest == "" || rest[0] == '/') && len(area) > longest {
			page, longest = p, len(area)
		}
	}
	return page
}

// parseBaseURL accepts what browsers send cookies to safely.
func parseBaseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return nil, errors.New("auth: no BaseURL")
	case err != nil || u.Hostname() == "" || u.User != nil || u.Opaque != "" || strings.ContainsAny(text, "?#") || strings.Trim(u.Path, "/") != "":
		return nil, fmt.Errorf("auth: BaseURL %q is not a scheme and a host", text)
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return nil, fmt.Errorf("auth: BaseURL %q is neither https nor http on a loopback address (localhost, 127.0.0.1)", text)
	}
	u.Host = strings.ToLower(u.Host)
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("auth: BaseURL %q has no such port", text)
		}
	}
	// As browsers write an origin.
	u.Host = strings.TrimSuffix(u.Host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
	u.Path = ""
	return u, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

const (
	// maxRemember is what browsers keep a cookie at most.
	maxRemember = 400 * 24 * time.Hour
)

const (
	touchAfter = time.Minute // how old "last seen" may be
)

// DefaultMessage is Config.Message by default.
func DefaultMessage(_ *http.Request, reason error) Flash {
	if errors.Is(reason, ErrNotFresh) {
		return Flash{"info", "Please confirm your password to access this page."}
	}
	if errors.Is(reason, ErrUnverified) {
		return Flash{"info", "Please verify your e-mail address to access this page."}
	}
	return Flash{"info", "Please log in to access this page."}
}

package auth

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/alexedwards/argon2id"
)

// Identifiers says what a user may type as the login.
type Identifiers int

// The identifiers.
const (
	UsernameOrEmail Identifiers = iota // the default
	UsernameOnly
	EmailOnly
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

	// Mailer sends the mails. Without one SendReset returns ErrNoMailer.
	Mailer Mailer

	// Identifiers is what people log in with: UsernameOrEmail by default.
	Identifiers Identifiers

	// LoginURL is where RequireLogin sends browsers: /login by default. It is
	// a path of this site or an absolute URL.
	LoginURL string

	// CookieName is the name of the session cookie, "session" by default,
	// which becomes __Host-session over https and session-PORT on loopback.
	CookieName string

	// Lifetime is the longest that a login lasts, however active: 24 hours by
	// default (NIST SP 800-63B-4, section 2.2.3), at least a minute. Rotations do
	// not extend it.
	Lifetime time.Duration

	// IdleTimeout ends a session that made no request for this long: 1 hour by
	// default (the same section). It is kept to the minute: a session may end
	// up to a minute early, never late. Negative means none; else it is at least
	// two minutes.
	IdleTimeout time.Duration

	// RememberFor is how long Remember lasts, however often the device is used:
	// 30 days by default (NIST SP 800-63B-4, section 2.1.3), at most 400, which
	// is what browsers keep a cookie.
	RememberFor time.Duration

	// Origins are further origins (https://admin.example) whose pages may send
	// requests that change something. A trusted origin is fully trusted: its
	// pages can do whatever the user can.
	Origins []string

	// CrossOriginBypass are http.ServeMux patterns of requests that skip the
	// cross-origin check, such as webhooks that authenticate each request.
	CrossOriginBypass []string

	// MinPassword is the least number of code points in a new password: 8 by
	// default, which is also the minimum, and at most 64. NIST SP 800-63B-4 asks for 15 where
	// the password is the only factor.
	MinPassword int

	// PasswordWords are words that may not be a password by themselves, nor
	// followed by digits: the application's and the organisation's names.
	PasswordWords []string

	// PasswordCheck, if set, has the last word on a new password. Its error's
	// text is for the user; it is wrapped in a PasswordError.
	PasswordCheck func(ctx context.Context, password string, a Account) error

	// HashParams are the parameters of Argon2id for new hashes; see
	// DefaultHashParams. Weaker ones than OWASP's minimum are refused.
	HashParams *argon2id.Params

	// HashMemory is how much memory password hashing may use at a time, in
	// bytes: 64 MiB by default, and at least what one hash needs. There are also
	// never more at a time than runtime.GOMAXPROCS. Hashes beyond that wait in a
	// queue of 64, and the rest get ErrBusy. A stored hash that needs more than
	// HashMemory is never verified.
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
	// Core.Error for when), in place of a line of plain text. Cache-Control, and
	// Retry-After, WWW-Authenticate or HX-Redirect where they belong, are set;
	// it must write Content-Type, status and body. err is for the log and not
	// for the client.
	ErrorPage func(w http.ResponseWriter, r *http.Request, status int, err error)

	// Now is the clock: time.Now by default.
	Now func() time.Time
}

func (cfg *Config) setDefaults() error {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&cfg.Lifetime, 24*time.Hour)
	def(&cfg.IdleTimeout, time.Hour)
	def(&cfg.RememberFor, 30*24*time.Hour)
	def(&cfg.ResetLifetime, 30*time.Minute)
	if cfg.LoginURL == "" {
		cfg.LoginURL = "/login"
	}
	if cfg.CookieName == "" {
		cfg.CookieName = "session"
	}
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
	switch u, err := url.Parse(cfg.LoginURL); {
	case cfg.Identifiers < UsernameOrEmail || cfg.Identifiers > EmailOnly:
		return fmt.Errorf("auth: unknown Identifiers %d", cfg.Identifiers)
	case err != nil || strings.Contains(cfg.LoginURL, "#") || ParseNext(cfg.LoginURL).IsZero() && (u.Host == "" || u.Scheme != "https" && u.Scheme != "http"):
		return fmt.Errorf("auth: LoginURL %q is neither a path of this site nor an absolute URL", cfg.LoginURL)
	case cfg.Mailer != nil && isNil(cfg.Mailer):
		return errors.New("auth: Mailer is a nil pointer")
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

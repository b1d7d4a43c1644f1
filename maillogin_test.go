package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/totp"
)

// A codeApp is an application where users log in by mail.
type codeApp struct{ *mailApp }

func newCodeApp(t *testing.T, configure func(*auth.Config)) *codeApp {
	t.Helper()
	return &codeApp{newMailApp(t, func(c *auth.Config) {
		c.EmailLogin = true
		if configure != nil {
			configure(c)
		}
	})}
}

// ask asks for a code in a browser, and returns what was mailed.
func (m *codeApp) ask(t *testing.T, c *testapp.Client, address string) (code, token string) {
	t.Helper()
	m.box.Take()
	m.send(t, c, address)
	mails := m.box.Take()
	if len(mails) != 1 || mails[0].Kind != auth.MailLoginCode || mails[0].To != address {
		t.Fatalf("the mails are %v", labels(mails))
	}
	return mails[0].Code.Reveal(), tokenIn(t, mails[0])
}

func (m *codeApp) send(t *testing.T, c *testapp.Client, address string) {
	t.Helper()
	m.In(c, func(ctx context.Context) {
		if err := m.SendLoginCode(ctx, address, auth.Next{}); err != nil {
			t.Errorf("SendLoginCode: %v", err)
		}
	})
}

func (m *codeApp) byCode(c *testapp.Client, code string, options ...auth.LoginOption) (cleared bool, err error) {
	m.In(c, func(ctx context.Context) { cleared, err = m.LoginByCode(ctx, code, options...) })
	return cleared, err
}

func (m *codeApp) byLink(c *testapp.Client, token string, options ...auth.LoginOption) (cleared bool, err error) {
	m.In(c, func(ctx context.Context) { cleared, err = m.LoginByLink(ctx, token, options...) })
	return cleared, err
}

// wrongFor returns a code that is well-formed and wrong.
func wrongFor(code string) string {
	if code[0] == 'B' {
		return "C" + code[1:]
	}
	return "B" + code[1:]
}

// TestLoginByCode: a code logs in the browser that asked for it, however it is typed, once.
func TestLoginByCode(t *testing.T) {
	t.Parallel()
	for name, typed := range map[string]func(code string) string{
		"as it is":        func(code string) string { return code },
		"lower case":      strings.ToLower,
		"without hyphens": func(code string) string { return strings.ReplaceAll(code, "-", "") },
		"with spaces":     func(code string) string { return " " + strings.ReplaceAll(code, "-", " \u00a0") + "\n" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newCodeApp(t, nil)
			u := member(t, m.App, "susan", testapp.Password, verified)
			c := m.Client(t)
			code, token := m.ask(t, c, u.Email)
			if len(code) != 9 || code[4] != '-' || strings.Trim(code, "BCDFGHJKLMNPQRSTVWXZ-") != "" {
				t.Errorf("the code is %q", code)
			}
			if c.Who() != "nobody" {
				t.Error("asking logs in")
			}
			m.Events()
			if cleared, err := m.byCode(c, typed(code)); err != nil || cleared {
				t.Fatalf("%v, %v", cleared, err)
			}
			if e := expectEvents(t, m.App, auth.EventLoginSucceeded); len(e) == 1 && (e[0].Method != "mail" || e[0].UserID != u.ID) {
				t.Errorf("the event is %+v", e[0])
			}
			if c.Who() != "susan" || !slices.Equal(m.LoginOf(t, c).Methods, []string{"mail"}) {
				t.Errorf("%s, %+v", c.Who(), m.LoginOf(t, c))
			}
			m.wantMails(t, "the login")
			if _, err := m.byCode(c, code); !errors.Is(err, auth.ErrInvalidCode) {
				t.Errorf("the code once more: %v", err)
			}
			if _, err := m.byLink(m.Client(t), token); !errors.Is(err, auth.ErrInvalidToken) || !used(t, m.App, token) {
				t.Errorf("the link after the code: %v", err)
			}
		})
	}
}

// TestLoginByLink: a link logs in any browser, once, and then the code is void, too.
func TestLoginByLink(t *testing.T) {
	t.Parallel()
	m := newCodeApp(t, nil)
	u := member(t, m.App, "susan", testapp.Password, verified)
	asked, other := m.Client(t), m.Client(t)
	asked.HTTP.Transport = asFirst{asked.HTTP.Transport}
	code, token := m.ask(t, asked, u.Email)
	m.Clock.Advance(time.Minute)
	for _, c := range []*testapp.Client{other, asked, other} { // programs that scan mail ask many times
		m.In(c, func(ctx context.Context) {
			link, err := m.CheckLoginLink(ctx, token)
			if err != nil || link.User.AuthAccount().ID != u.ID || link.SameBrowser != (c == asked) || link.Clears ||
				!link.Asked.Equal(m.Clock.Now().Add(-time.Minute)) || link.Address != "127.0.0.1" || link.UserAgent != "first" {
				t.Errorf("%+v, %v", link, err)
			}
		})
	}
	if _, err := m.byLink(other, token, auth.Remember(true)); err != nil {
		t.Fatal(err)
	}
	if l := m.LoginOf(t, other); !l.Remembered || !slices.Equal(l.Methods, []string{"mail"}) {
		t.Errorf("the login is %+v", l)
	}
	if _, err := m.byLink(m.Client(t), token); !errors.Is(err, auth.ErrInvalidToken) || !used(t, m.App, token) {
		t.Errorf("the link once more: %v", err)
	}
	if _, err := m.byCode(asked, code); !errors.Is(err, auth.ErrInvalidCode) {
		t.Errorf("the code after the link: %v", err)
	}
	if asked.Who() != "nobody" || other.Who() != "susan" {
		t.Errorf("%s, %s", asked.Who(), other.Who())
	}
}

// asFirst is a transport of the user agent "first".
type asFirst struct{ http.RoundTripper }

func (a asFirst) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("User-Agent", "first")
	return a.RoundTripper.RoundTrip(r)
}

// TestLoginCodeIsForItsBrowser: a code is worth nothing in a browser that did not ask, or
// asked for another address, and trying it there uses up nothing.
func TestLoginCodeIsForItsBrowser(t *testing.T) {
	t.Parallel()
	m := newCodeApp(t, nil)
	susan, mike := member(t, m.App, "susan", "", verified), member(t, m.App, "mike", "", verified)
	thief, owner := m.Client(t), m.Client(t)
	m.ask(t, thief, susan.Email) // the owner's mail makes this one void
	code, _ := m.ask(t, owner, susan.Email)
	other := m.Client(t)
	m.ask(t, other, mike.Email)
	for name, c := range map[string]*testapp.Client{"a browser that has not asked": m.Client(t), "one that asked before": thief, "one that asked for another": other} {
		for range 3 {
			if _, err := m.byCode(c, code); !errors.Is(err, auth.ErrInvalidCode) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, err := m.byCode(owner, code); err != nil || owner.Who() != "susan" {
		t.Errorf("the owner's browser: %v, %s", err, owner.Who())
	}
}

// TestLoginCodeExpires: the code and the link are valid for ten minutes.
func TestLoginCodeExpires(t *testing.T) {
	t.Parallel()
	for after, valid := range map[time.Duration]bool{10*time.Minute - time.Second: true, 10 * time.Minute: false, 10*time.Minute + time.Second: false} {
		m := newCodeApp(t, nil)
		u := member(t, m.App, "susan", "", verified)
		c := m.Client(t)
		code, _ := m.ask(t, c, u.Email)
		m.Clock.Advance(after)
		if _, err := m.byCode(c, code); (err == nil) != valid {
			t.Errorf("the code after %v: %v", after, err)
		}
		_, token := m.ask(t, c, u.Email)
		m.Clock.Advance(after)
		if _, err := m.byLink(c, token); (err == nil) != valid {
			t.Errorf("the link after %v: %v", after, err)
		}
	}
}

// TestNewLoginCode: a new mail makes the old one void. Of two that are asked for at the same
// moment, exactly one works.
func TestNewLoginCode(t *testing.T) {
	t.Parallel()
	m := newCodeApp(t, noLimits)
	u := member(t, m.App, "susan", "", verified)
	c := m.Client(t)
	code, token := m.ask(t, c, u.Email)
	m.ask(t, c, u.Email)
	if _, err := m.byCode(c, code); !errors.Is(err, auth.ErrInvalidCode) {
		t.Errorf("the old code: %v", err)
	}
	if _, err := m.byLink(c, token); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("the old link: %v", err)
	}
	m.Clock.Advance(time.Hour)
	for range testapp.Rounds(t, 5, 50) {
		m.Clock.Advance(time.Hour)
		m.box.Take()
		var wg sync.WaitGroup
		browsers := []*testapp.Client{m.Client(t), m.Client(t)}
		for _, c := range browsers {
			wg.Go(func() { m.send(t, c, u.Email) })
		}
		wg.Wait()
		won := 0
		for _, mail := range m.box.Take() {
			if _, err := m.byLink(m.Client(t), tokenIn(t, mail)); err == nil {
				won++
			}
		}
		if won != 1 {
			t.Fatalf("%d of two mails work", won)
		}
	}
}

// TestOneLoginByMail: of fifty requests that bring the code or the link, one logs in.
func TestOneLoginByMail(t *testing.T) {
	t.Parallel()
	apps, _ := processes(t, 2, func(c *auth.Config) {
		noLimits(c)
		c.EmailLogin, c.Mailer = true, nil
		c.Mailer = noMail{}
	})
	box := &testapp.Outbox{}
	third := testapp.New(t, apps[0].Store, apps[0].Clock, func(c *auth.Config) { c.EmailLogin, c.Mailer = true, box })
	m := &codeApp{&mailApp{third, box}}
	for name, kinds := range map[string][]string{"codes": {"code"}, "links": {"link"}, "both": {"code", "link"}} {
		for i := range testapp.Rounds(t, 3, 20) {
			u := member(t, third, fmt.Sprint(name, i), "", verified)
			c := m.Client(t)
			code, token := m.ask(t, c, u.Email)
			var wg sync.WaitGroup
			var mu sync.Mutex
			won := 0
			for n := range 50 {
				wg.Go(func() {
					app := apps[n%2]
					browser := app.Client(t)
					for _, cookie := range c.Issued {
						name, _, _ := strings.Cut(cookie.Name, "-")
						browser.Cookies[name+"-"+portOfApp(t, app)+"-code"] = cookie.Value
					}
					var err error
					app.In(browser, func(ctx context.Context) {
						if kinds[n/2%len(kinds)] == "code" {
							_, err = app.LoginByCode(ctx, code)
						} else {
							_, err = app.LoginByLink(ctx, token)
						}
					})
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err == nil:
						won++
					case !errors.Is(err, auth.ErrInvalidCode) && !errors.Is(err, auth.ErrInvalidToken) && !errors.Is(err, auth.ErrBusy):
						t.Error(err)
					}
				})
			}
			wg.Wait()
			if n := len(logins(t, third, u.ID)); won != 1 || n != 1 {
				t.Errorf("%s: %d requests logged in, and there are %d logins", name, won, n)
			}
		}
	}
}

type noMail struct{}

func (noMail) Send(context.Context, auth.Mail) error { return nil }

func portOfApp(t *testing.T, app *testapp.App) string {
	t.Helper()
	u, err := url.Parse(app.Server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u.Port()
}

// TestLoginCodeTries: a code has five tries. Malformed codes are none.
func TestLoginCodeTries(t *testing.T) {
	t.Parallel()
	for wrong := range 6 {
		m := newCodeApp(t, nil)
		u := member(t, m.App, "susan", "", verified)
		c := m.Client(t)
		code, token := m.ask(t, c, u.Email)
		for range 20 {
			for _, malformed := range []string{"", "BCDF", "BCDF-GHJKL", "AEIO-UAEI", "\xff\xfe", strings.Repeat("B", 1000), "BCDF-GHJ\u00df"} {
				if _, err := m.byCode(c, malformed); !errors.Is(err, auth.ErrInvalidCode) {
					t.Errorf("%q: %v", malformed, err)
				}
			}
		}
		for range wrong {
			m.Clock.Advance(time.Minute)
			if _, err := m.byCode(c, wrongFor(code)); !errors.Is(err, auth.ErrInvalidCode) {
				t.Errorf("a wrong code: %v", err)
			}
		}
		m.Clock.Advance(time.Minute)
		if _, err := m.byCode(c, code); (err == nil) != (wrong < 5) {
			t.Errorf("the right code after %d wrong ones: %v", wrong, err)
		}
		if _, err := m.byLink(c, token); wrong == 5 && err != nil {
			t.Errorf("the link after %d wrong codes: %v", wrong, err)
		}
	}
}

// TestLoginCodesAreCounted: an attacker who tries ten thousand codes has a hundred looked
// at, however many codes they ask for and however many browsers they use. The link of a mail
// works all the time, and after it codes are accepted again. So are they after Unlock.
func TestLoginCodesAreCounted(t *testing.T) {
	t.Parallel()
	m := newCodeApp(t, noLimits)
	u := member(t, m.App, "susan", "", verified)
	attack := func() (lookedAt, disabled int) {
		var c *testapp.Client
		code := ""
		m.Events()
		for i := range 10_000 {
			if i%5 == 0 {
				m.Clock.Advance(time.Hour)
				if i%500 == 0 {
					c = m.Client(t)
				}
				code, _ = m.ask(t, c, u.Email)
			}
			if i > 600 { // nothing changes any more
				break
			}
			if _, err := m.byCode(c, wrongFor(code)); !errors.Is(err, auth.ErrInvalidCode) || errors.Is(err, auth.ErrLocked) {
				t.Fatal(err)
			}
		}
		for _, e := range m.Events() {
			switch {
			case e.Kind == auth.EventLoginFailed && errors.Is(e.Err, auth.ErrInvalidCode):
				lookedAt++
			case e.Kind == auth.EventSecretDisabled && e.Method == "mail" && e.UserID == u.ID:
				disabled++
			}
		}
		return lookedAt, disabled
	}
	right := func() error {
		m.Clock.Advance(time.Hour)
		c := m.Client(t)
		code, _ := m.ask(t, c, u.Email)
		_, err := m.byCode(c, code)
		return err
	}
	if n, disabled := attack(); n != 100 || disabled != 1 {
		t.Errorf("%d codes were looked at, and %d events say that codes are disabled", n, disabled)
	}
	if err := right(); !errors.Is(err, auth.ErrInvalidCode) {
		t.Errorf("the right code after a hundred wrong ones: %v", err)
	}
	m.Clock.Advance(365 * 24 * time.Hour)
	if err := right(); !errors.Is(err, auth.ErrInvalidCode) {
		t.Errorf("a year later: %v", err)
	}
	c := m.Client(t)
	_, token := m.ask(t, c, u.Email)
	if _, err := m.byLink(c, token); err != nil {
		t.Errorf("the link: %v", err)
	}
	if err := right(); err != nil {
		t.Errorf("the right code after the link: %v", err)
	}
	attack()
	if err := m.Unlock(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	if err := right(); err != nil {
		t.Errorf("the right code after Unlock: %v", err)
	}
}

// TestWrongLoginLinksCount: invalid links count for the client's address.
func TestWrongLoginLinksCount(t *testing.T) {
	t.Parallel()
	m := newCodeApp(t, func(c *auth.Config) { c.Limits.Guesses = 3 })
	c := m.Client(t)
	for i := range 5 {
		_, err := m.byLink(c, "nonsense")
		if want := map[bool]error{true: auth.ErrInvalidToken, false: auth.ErrRateLimited}[i < 3]; !errors.Is(err, want) {
			t.Errorf("link %d: %v", i, err)
		}
	}
}

// TestLoginByMailMailbox: a mailbox gets three mails in ten minutes. The browser that asked
// for the last one can use its code, even if it has asked again.
func TestLoginByMailMailbox(t *testing.T) {
	t.Parallel()
	m := newCodeApp(t, nil)
	u := member(t, m.App, "susan", "", verified)
	c := m.Client(t)
	m.ask(t, c, u.Email)
	m.ask(t, m.Client(t), u.Email)
	code, _ := m.ask(t, c, u.Email)
	m.send(t, c, u.Email)
	m.wantMails(t, "the fourth")
	if _, err := m.byCode(c, code); err != nil {
		t.Error(err)
	}
	m.Clock.Advance(10*time.Minute + time.Second)
	m.ask(t, c, u.Email)
}

// TestLoginByMailRefuses: a mail logs nobody in to an account that is disabled, that got
// another Stamp or address, or that is gone.
func TestLoginByMailRefuses(t *testing.T) {
	t.Parallel()
	for name, before := range map[string]func(t *testing.T, m *codeApp, u *testapp.User){
		"disabled": func(t *testing.T, m *codeApp, u *testapp.User) {
			change(t, m.App, u.ID, func(a *auth.Account) { a.Disabled = true })
		},
		"disabled by Disable, and enabled": func(t *testing.T, m *codeApp, u *testapp.User) {
			if err := errors.Join(m.Disable(t.Context(), u.ID), m.Enable(t.Context(), u.ID)); err != nil {
				t.Error(err)
			}
		},
		"another password": func(t *testing.T, m *codeApp, u *testapp.User) {
			if err := m.SetPassword(t.Context(), u, resetTo); err != nil {
				t.Error(err)
			}
		},
		"another address": func(t *testing.T, m *codeApp, u *testapp.User) {
			change(t, m.App, u.ID, func(a *auth.Account) { a.Email = "other@app.example" })
		},
		"closed": func(t *testing.T, m *codeApp, u *testapp.User) {
			if err := m.CloseAccount(t.Context(), u); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newCodeApp(t, nil)
			u := member(t, m.App, "susan", testapp.Password, verified)
			c := m.Client(t)
			code, token := m.ask(t, c, u.Email)
			before(t, m, u)
			if _, err := m.byCode(c, code); !errors.Is(err, auth.ErrInvalidCode) {
				t.Errorf("the code: %v", err)
			}
			if _, err := m.byLink(c, token); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("the link: %v", err)
			}
			if c.Who() != "nobody" {
				t.Error("logged in")
			}
		})
	}
}

// TestLoginByMailOwesAFactor: a user who has a second factor is asked for it, after the code
// and after the link. A mail is never a second factor.
func TestLoginByMailOwesAFactor(t *testing.T) {
	t.Parallel()
	m := newCodeApp(t, func(c *auth.Config) { c.Factors = []auth.Factor{totp.New(), totp.RecoveryCodes()} })
	u := member(t, m.App, "susan", "", verified)
	c := m.Client(t)
	code, _ := m.ask(t, c, u.Email)
	if _, err := m.byCode(c, code); err != nil {
		t.Fatal(err)
	}
	secret := ""
	m.In(c, func(ctx context.Context) {
		setup, err := m.BeginFactor(ctx, "totp")
		if err != nil {
			t.Fatal(err)
		}
		secret = setup.Secret.Reveal()
		now, err := totp.Code(secret, m.Clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		if err := m.EnrollFactor(ctx, "totp", url.Values{"code": {now}}); err != nil {
			t.Errorf("a login by mail of an account without a password is fresh: %v", err)
		}
	})
	for _, way := range []string{"code", "link"} {
		m.Clock.Advance(time.Minute)
		c := m.Client(t)
		code, token := m.ask(t, c, u.Email)
		var err error
		if way == "code" {
			_, err = m.byCode(c, code)
		} else {
			_, err = m.byLink(c, token)
		}
		if !errors.Is(err, auth.ErrFactorRequired) || c.Who() != "nobody" {
			t.Fatalf("after the %s: %v, %s", way, err, c.Who())
		}
		now, err := totp.Code(secret, m.Clock.Now())
		if err != nil {
			t.Fatal(err)
		}
		m.In(c, func(ctx context.Context) {
			p, err := m.Pending(ctx)
			if err != nil || !slices.Equal(p.Methods, []string{"mail"}) || !slices.Equal(p.Missing, []string{"totp"}) {
				t.Errorf("%+v, %v", p, err)
			}
			if err := m.ContinueLogin(ctx, "totp", url.Values{"code": {now}}); err != nil {
				t.Error(err)
			}
		})
		if l := m.LoginOf(t, c); !slices.Equal(l.Methods, []string{"mail", "totp"}) || !m.IsFresh(t, c) {
			t.Errorf("the login is %+v", l)
		}
	}
}

// TestMailIsTheLibrarysMethod: neither an application nor a factor can be called "mail".
func TestMailIsTheLibrarysMethod(t *testing.T) {
	t.Parallel()
	m := newCodeApp(t, nil)
	u := member(t, m.App, "susan", "", verified)
	m.In(m.Client(t), func(ctx context.Context) {
		if err := m.LoginUser(ctx, u, auth.By("mail")); err == nil {
			t.Error("By says mail")
		}
	})
	cfg := goodConfig()
	cfg.Factors = []auth.Factor{named{newCodes(), "mail"}}
	if _, err := auth.New[*testapp.User](testapp.NewSpy(testapp.NewClock()), cfg); err == nil {
		t.Error("a factor is called mail")
	}
}

type named struct {
	auth.Factor
	name string
}

func (n named) Name() string { return n.name }

// TestLoginByMailIsFresh: a login by mail is fresh if the account has no password, and stale
// if it has one, so that an attacker who reads the mail cannot change the password.
func TestLoginByMailIsFresh(t *testing.T) {
	t.Parallel()
	for password, fresh := range map[string]bool{"": true, testapp.Password: false} {
		m := newCodeApp(t, nil)
		u := member(t, m.App, "susan", password, verified)
		for _, way := range []string{"code", "link"} {
			c := m.Client(t)
			code, token := m.ask(t, c, u.Email)
			var err error
			if way == "code" {
				_, err = m.byCode(c, code)
			} else {
				_, err = m.byLink(c, token)
			}
			if err != nil || m.IsFresh(t, c) != fresh {
				t.Errorf("with the password %q, by the %s: fresh %v, %v", password, way, !fresh, err)
			}
		}
	}
}

// TestConfirmsByMail: only a user with neither a password nor a passkey confirms a login by
// mail.
func TestConfirmsByMail(t *testing.T) {
	t.Parallel()
	keys := newPasskeys()
	on := newCodeApp(t, func(c *auth.Config) { c.Factors = []auth.Factor{keys} })
	bare, known, keyed := member(t, on.App, "bare", ""), member(t, on.App, "known", testapp.Password), member(t, on.App, "keyed", "")
	keys.give(keyed.ID, "a")
	for u, want := range map[*testapp.User]bool{bare: true, known: false, keyed: false} {
		if got, err := on.ConfirmsByMail(t.Context(), u); err != nil || got != want {
			t.Errorf("%s: %v, %v", u.Username, got, err)
		}
	}
	off := newMailApp(t, nil)
	if got, err := off.ConfirmsByMail(t.Context(), member(t, off.App, "bare", "")); err != nil || got {
		t.Errorf("without EmailLogin: %v, %v", got, err)
	}
	if _, err := on.ConfirmsByMail(t.Context(), nil); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("nobody: %v", err)
	}
}

// TestConfirmByMail: a user without a password confirms a login by mail. The login goes on,
// with its device, and becomes fresh.
func TestConfirmByMail(t *testing.T) {
	t.Parallel()
	m := newCodeApp(t, func(c *auth.Config) { c.Session.Lifetime = 10 * time.Hour; c.Session.IdleTimeout = -1 })
	u := member(t, m.App, "susan", "", verified)
	c := m.Client(t)
	code, _ := m.ask(t, c, u.Email)
	if _, err := m.byCode(c, code, auth.Remember(true)); err != nil {
		t.Fatal(err)
	}
	before := m.LoginOf(t, c)
	m.Clock.Advance(5 * time.Hour)
	fresh := func() (err error) {
		m.In(c, func(ctx context.Context) { err = m.Check(ctx, auth.Fresh(time.Minute)) })
		return err
	}
	if err := fresh(); !errors.Is(err, auth.ErrNotFresh) {
		t.Fatal(err)
	}
	code, _ = m.ask(t, c, u.Email)
	m.Events()
	if _, err := m.byCode(c, code); err != nil {
		t.Fatal(err)
	}
	expectEvents(t, m.App, auth.EventLoginConfirmed)
	if after := m.LoginOf(t, c); after.ID != before.ID || !after.Remembered || !after.Created.Equal(before.Created) || fresh() != nil {
		t.Errorf("%+v, want a fresh %+v, %v", after, before, fresh())
	}
}

// TestLoginByMailClears: an attacker registers a victim's address and sets up everything
// that lets them in again. When the victim logs in by mail, nothing of it is left, and the
// victim is asked for nothing that the attacker chose.
func TestLoginByMailClears(t *testing.T) {
	t.Parallel()
	for _, way := range []string{"code", "link"} {
		for _, require := range []bool{false, true} {
			t.Run(fmt.Sprint(way, ", RequireVerified ", require), func(t *testing.T) {
				t.Parallel()
				tryClear(t, way, require)
			})
		}
	}
}

func tryClear(t *testing.T, way string, require bool) {
	t.Helper()
	codes, spares := newCodes(), newSpares()
	m := newCodeApp(t, func(c *auth.Config) {
		c.Credentials = []auth.Credential{auth.Bearer()}
		c.Factors, c.TrustFor = []auth.Factor{codes, spares}, 24*time.Hour
	})
	victim := member(t, m.App, "susan", testapp.Password, verified) // verified while the attacker is at work
	attacker := m.Client(t)
	attacker.Login("susan")
	m.In(attacker, func(ctx context.Context) {
		if err := m.EnrollFactor(ctx, "code", url.Values{"code": {"setup"}}); err != nil {
			t.Error(err)
		}
		if _, err := m.NewRecoveryCodes(ctx, "spare"); err != nil {
			t.Error(err)
		}
		if err := m.TrustBrowser(ctx); err != nil {
			t.Error(err)
		}
	})
	feature, err := m.Feature("passkey")
	if err != nil {
		t.Fatal(err)
	}
	if err := feature.Insert(t.Context(), auth.Record{Key: "credential", UserID: victim.ID}); err != nil {
		t.Fatal(err)
	}
	// The attacker's own address, from before, can be brought back by an undo link.
	undo := m.changeEmail(t, attacker, "victim@app.example")
	device := m.Client(t)
	m.In(device, func(ctx context.Context) {
		u := stored(t, m.App, victim.ID)
		if err := m.LoginUser(ctx, u, auth.Remember(true), auth.By("code")); err != nil {
			t.Error(err)
		}
	})
	api := newToken(t, m.App, stored(t, m.App, victim.ID))
	change(t, m.App, victim.ID, func(a *auth.Account) { a.EmailVerified = false })
	pending := m.askEmail(t, attacker, "third@app.example")
	reset := resetToken(t, m.App, stored(t, m.App, victim.ID))
	app := m
	if require {
		other := testapp.New(t, m.Store, m.Clock, func(c *auth.Config) {
			c.EmailLogin, c.RequireVerified, c.Mailer = true, true, m.box
			c.Factors, c.TrustFor = []auth.Factor{codes, spares}, 24*time.Hour
		})
		app = &codeApp{&mailApp{other, m.box}}
	}

	c := app.Client(t)
	code, token := app.ask(t, c, "victim@app.example")
	app.Events()
	var cleared bool
	if way == "code" {
		cleared, err = app.byCode(c, code)
	} else {
		app.In(c, func(ctx context.Context) {
			if link, err := app.CheckLoginLink(ctx, token); err != nil || !link.Clears {
				t.Errorf("the page cannot say that the account is emptied: %+v, %v", link, err)
			}
		})
		cleared, err = app.byLink(c, token)
	}
	if err != nil || !cleared {
		t.Fatalf("cleared %v, %v", cleared, err)
	}
	expectEvents(t, app.App, auth.EventAccountCleared, auth.EventLoginSucceeded)
	app.wantMails(t, "the owner is told", "account-cleared to victim@app.example")
	if who := c.Who(); who != "susan" || !app.IsFresh(t, c) {
		t.Errorf("the victim is %s", who)
	}
	a := stored(t, m.App, victim.ID)
	if !a.EmailVerified || !a.PasswordHash.IsZero() || a.Username != "susan" {
		t.Errorf("the account is %+v", a.Account)
	}
	device.Restart()
	gone(t, "the attacker", attacker)
	if who := device.Who(); who != "nobody" {
		t.Errorf("the attacker's device is %s", who)
	}
	if who := bearer(m.App, t, api); who != "nobody" {
		t.Errorf("the attacker's API token is %s", who)
	}
	if usable(t, m.App, reset) {
		t.Error("the attacker's reset link works")
	}
	if _, _, err := m.CheckEmailUndo(t.Context(), undo); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("the attacker's undo link: %v", err)
	}
	if _, _, err := m.CheckEmailChange(t.Context(), pending); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("the attacker's pending change: %v", err)
	}
	if status := m.Client(t).Post("/login", "login", "susan", "password", testapp.Password).StatusCode; status != http.StatusUnauthorized {
		t.Errorf("the attacker's password: %d", status)
	}
	for _, kind := range []string{"remember", "api-token", "trusted", "feature", "feature-attempts", "email-undo", "reserved", "pending", "login-code"} {
		records, err := m.Store.ListRecords(t.Context(), kind, victim.ID)
		if err != nil || len(records) > 0 && kind != "login-code" {
			t.Errorf("%d records of kind %s are left, %v", len(records), kind, err)
		}
	}
	states, err := m.FactorsOf(t.Context(), a)
	if err != nil || states[0].Enrolled || states[1].Enrolled {
		t.Errorf("the factors are %+v, %v", states, err)
	}
	// The next login is an ordinary one.
	c = app.Client(t)
	code, _ = app.ask(t, c, "victim@app.example")
	if cleared, err := app.byCode(c, code); err != nil || cleared {
		t.Errorf("the next login: cleared %v, %v", cleared, err)
	}
}

// TestLoginByMailVerifies: if nothing was set up in the account, the login just verifies the
// address, and the owner gets no mail.
func TestLoginByMailVerifies(t *testing.T) {
	t.Parallel()
	m := newCodeApp(t, nil)
	u := member(t, m.App, "susan", "")
	c := m.Client(t)
	code, _ := m.ask(t, c, u.Email)
	m.Events()
	if cleared, err := m.byCode(c, code); err != nil || cleared {
		t.Errorf("%v, %v", cleared, err)
	}
	expectEvents(t, m.App, auth.EventVerificationDone, auth.EventLoginSucceeded)
	m.wantMails(t, "nothing to tell")
	if !stored(t, m.App, u.ID).EmailVerified || c.Who() != "susan" {
		t.Error("not verified")
	}
}

// TestLoginByMailStoreFails: the store fails at each call of a login by mail, or the client
// hangs up. The user then is logged in, or learns that it failed and can use the same code
// again. After a link of an unverified account the user may have to ask for another mail.
func TestLoginByMailStoreFails(t *testing.T) {
	t.Parallel()
	for name, state := range map[string]func(*auth.Account){"verified": verified, "unverified": func(*auth.Account) {}} {
		for _, way := range []string{"code", "link"} {
			t.Run(name+" "+way, func(t *testing.T) {
				t.Parallel()
				testapp.AllOrNothing(t, 4, func(t *testing.T, f *testapp.Fault) {
					m := newCodeApp(t, nil)
					u := member(t, m.App, "susan", "", state)
					c := m.Client(t)
					code, token := m.ask(t, c, u.Email)
					login := func(ctx context.Context) (err error) {
						if way == "code" {
							_, err = m.LoginByCode(ctx, code)
						} else {
							_, err = m.LoginByLink(ctx, token)
						}
						return err
					}
					var err error
					m.In(c, func(ctx context.Context) { err = f.During(ctx, m.Spy(), login) })
					who := c.Who()
					switch {
					case err == nil && who != "susan", err != nil && who != "nobody":
						t.Errorf("%s: %v, and the user is %s", f, err, who)
					case errors.Is(err, auth.ErrLoginRefused), errors.Is(err, auth.ErrInvalidToken):
						t.Errorf("%s: the failure is reported as %v", f, err)
					}
					if err == nil {
						return
					}
					var again error
					m.In(c, func(ctx context.Context) { again = login(ctx) })
					if again != nil && (name == "verified" || way == "code") && f.Mode != testapp.StoreGone {
						t.Errorf("%s, and then the same %s is %v", f, way, again)
					}
				})
			})
		}
	}
}

// TestSendLoginCodeTellsNothing: the answer and the work are the same for every account.
func TestSendLoginCodeTellsNothing(t *testing.T) {
	t.Parallel()
	m := newCodeApp(t, noLimits)
	for name, state := range accountStates() {
		member(t, m.App, name, testapp.Password, state)
	}
	names := []string{"verified", "unknown", "unverified", "disabled", "disabled-too", "without-password"}
	learned := func(c *testapp.Client, ask func(ctx context.Context) error) string {
		var err error
		var calls []string
		r := m.In(c, func(ctx context.Context) {
			before := len(m.Spy().Calls())
			err = ask(ctx)
			calls = m.Spy().Calls()[before:]
		})
		for _, cookie := range r.Cookies() { // the value is random, and has the address in it
			r.Header.Add("Cookies", fmt.Sprint(cookie.Name, cookie.MaxAge, cookie.HttpOnly, cookie.SameSite))
		}
		r.Header.Del("Date")
		r.Header.Del("Set-Cookie")
		return fmt.Sprint(err, r.Status, r.Header, r.Text, counted(calls))
	}
	var want []string
	for i, name := range names {
		c := m.Client(t)
		var got []string
		for range 5 { // the fourth mail is not sent
			got = append(got, learned(c, func(ctx context.Context) error { return m.SendLoginCode(ctx, name+"@app.example", auth.Next{}) }))
		}
		for range 7 { // the code is used up, and then the account is locked
			got = append(got, learned(c, func(ctx context.Context) error { _, err := m.LoginByCode(ctx, "BCDF-GHJK"); return err }))
		}
		if i == 0 {
			want = got
		}
		for n := range got {
			if got[n] != want[n] {
				t.Errorf("%s, request %d:\n%s, want\n%s", name, n, got[n], want[n])
			}
		}
	}
}

// TestLoginCodeIsNotStored: neither the stores nor the log have the code or the token.
func TestLoginCodeIsNotStored(t *testing.T) {
	t.Parallel()
	m := newCodeApp(t, nil)
	u := member(t, m.App, "susan", "", verified)
	c := m.Client(t)
	code, token := m.ask(t, c, u.Email)
	for _, err := range []error{second(m.byCode(c, wrongFor(code))), second(m.byLink(c, token+"x")), second(m.byCode(c, code))} {
		_ = err
	}
	text := m.Logs()
	for _, r := range m.Spy().Given("InsertRecord", "UpdateRecord") {
		text += fmt.Sprintf("%s %s %s\n", r.Kind, r.Key, r.Data)
	}
	if !strings.Contains(text, "login-code") {
		t.Fatal("no record was stored")
	}
	bare := strings.ReplaceAll(code, "-", "")
	secrets := []string{code, bare, strings.ToLower(bare), wrongFor(code), token}
	for _, cookie := range c.Issued {
		secrets = append(secrets, cookie.Value)
	}
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("%q is stored or logged", secret)
		}
	}
}

func second(_ bool, err error) error { return err }

// TestLoginByMailSecretsRotate: Secrets are rotated between the mail and its use.
func TestLoginByMailSecretsRotate(t *testing.T) {
	t.Parallel()
	oldSecret, newSecret := []byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq"), []byte("u7#QmZr2!xKp9vLs4@WdTe6^YbNc1&Jf")
	for name, c := range map[string]struct {
		secrets [][]byte
		works   bool
	}{
		"the old secret still opens": {[][]byte{newSecret, oldSecret}, true},
		"the old secret is removed":  {[][]byte{newSecret}, false},
	} {
		first := newCodeApp(t, nil)
		u := member(t, first.App, "susan", "", verified)
		browser := first.Client(t)
		code, token := first.ask(t, browser, u.Email)
		next := &codeApp{&mailApp{testapp.New(t, first.Store, first.Clock, func(cfg *auth.Config) {
			cfg.EmailLogin, cfg.Mailer, cfg.Secrets = true, first.box, c.secrets
		}), first.box}}
		other := next.Client(t)
		for _, cookie := range browser.Issued {
			if strings.HasSuffix(cookie.Name, "-code") {
				other.Cookies["session-"+portOfApp(t, next.App)+"-code"] = cookie.Value
			}
		}
		if _, err := next.byLink(next.Client(t), token+"x"); !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("%s: a changed link: %v", name, err)
		}
		if _, err := next.byCode(other, code); (err == nil) != c.works {
			t.Errorf("%s: the code: %v", name, err)
		}
		if !c.works {
			if _, err := next.byLink(next.Client(t), token); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("%s: the link: %v", name, err)
			}
		}
	}
}

// TestEmailLoginSettings: New refuses EmailLogin where it cannot work, and without it the
// methods say so.
func TestEmailLoginSettings(t *testing.T) {
	t.Parallel()
	store := testapp.NewSpy(testapp.NewClock())
	cfg := goodConfig()
	cfg.EmailLogin = true
	if _, err := auth.New[*testapp.User](store, cfg); !errors.Is(err, auth.ErrNoMailer) {
		t.Errorf("without a Mailer: %v", err)
	}
	cfg.Mailer = noMail{}
	if _, err := auth.NewWithLoader[*testapp.User](store, cfg); !errors.Is(err, auth.ErrNoUserStore) {
		t.Errorf("with a loader: %v", err)
	}
	cfg.Network.CrossOriginBypass = []string{"/login/"}
	if _, err := auth.New[*testapp.User](store, cfg); err == nil || !strings.Contains(err.Error(), "CrossOriginBypass") {
		t.Errorf("with a bypass: %v", err)
	}
	m := newMailApp(t, nil)
	m.In(m.Client(t), func(ctx context.Context) {
		_, byCode := m.LoginByCode(ctx, "BCDF-GHJK")
		_, byLink := m.LoginByLink(ctx, "token")
		for _, err := range []error{m.SendLoginCode(ctx, "susan@app.example", auth.Next{}), byCode, byLink} {
			if err == nil || !strings.Contains(err.Error(), "Config.EmailLogin") {
				t.Errorf("without EmailLogin: %v", err)
			}
		}
	})
	on := newCodeApp(t, nil)
	if err := on.SendLoginCode(t.Context(), "susan@app.example", auth.Next{}); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("outside LoadAndSave: %v", err)
	}
	on.In(on.Client(t), func(ctx context.Context) {
		for _, address := range []string{"", "susan", "a b@app.example", "\xff@app.example", "susan@localhost"} {
			if err := on.SendLoginCode(ctx, address, auth.Next{}); !errors.Is(err, auth.ErrInvalidEmail) {
				t.Errorf("%q: %v", address, err)
			}
		}
	})
}

// FuzzLoginByCode: whatever is typed, in whatever browser, only the code logs in.
func FuzzLoginByCode(f *testing.F) {
	for _, typed := range []string{"", "BCDF-GHJK", "bcdf ghjk", "\xff", "BCDFGHJ\u017f", strings.Repeat("-", 64), "B\u2011CDFGHJK"} {
		f.Add(typed, typed)
	}
	box := &testapp.Outbox{}
	clock := testapp.NewClock()
	app := testapp.New(f, testapp.NewSpy(clock), clock, func(c *auth.Config) { noLimits(c); c.EmailLogin, c.Mailer = true, box })
	app.Create(f, "susan", false)
	f.Fuzz(func(t *testing.T, typed, cookie string) {
		clock.Advance(time.Hour)
		c := app.Client(t)
		app.In(c, func(ctx context.Context) {
			if err := app.SendLoginCode(ctx, "susan@app.example", auth.Next{}); err != nil {
				t.Error(err)
			}
		})
		mails := box.Take()
		code := strings.ReplaceAll(mails[0].Code.Reveal(), "-", "")
		for _, browser := range []*testapp.Client{c, app.Client(t)} {
			if browser != c && !strings.ContainsFunc(cookie, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`",;\`, r) }) {
				browser.Cookies["session-"+portOfApp(t, app)+"-code"] = cookie
			}
			app.In(browser, func(ctx context.Context) {
				if _, err := app.LoginByCode(ctx, typed); !errors.Is(err, auth.ErrInvalidCode) && !strings.Contains(strings.ToUpper(typed), code[:1]) {
					t.Errorf("%q: %v", typed, err)
				}
				if _, err := app.LoginByLink(ctx, typed); !errors.Is(err, auth.ErrInvalidToken) {
					t.Errorf("the token %q: %v", typed, err)
				}
			})
		}
	})
}

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
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// TestVerificationToken: an application without a Mailer verifies addresses with tokens that
// it sends itself.
func TestVerificationToken(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	u := member(t, app, "susan", testapp.Password)
	c := app.Client(t)
	c.Login("susan")
	app.Events()
	token, err := app.VerificationToken(t.Context(), u)
	if err != nil {
		t.Fatal(err)
	}
	if e := app.Events(); len(e) != 1 || e[0].Kind != auth.EventVerificationIssued || e[0].UserID != u.ID {
		t.Errorf("%+v", e)
	}
	if _, err := app.ResetPassword(t.Context(), token, resetTo); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("it sets a password: %v", err)
	}
	if got, err := app.CheckVerifyToken(t.Context(), token); err != nil || got.ID != u.ID {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := app.VerifyEmail(t.Context(), token); err != nil || !got.EmailVerified || !stored(t, app, u.ID).EmailVerified {
		t.Errorf("%v, %v", got, err)
	}
	if c.Who() == "susan" {
		t.Error("a login from before goes on")
	}
	if _, err := app.VerifyEmail(t.Context(), token); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("it works twice: %v", err)
	}
	for name, refused := range map[string]struct {
		change func(*auth.Account)
		want   error
	}{
		"verified":   {func(a *auth.Account) { a.EmailVerified = true }, auth.ErrInvalidToken},
		"disabled":   {func(a *auth.Account) { a.Disabled = true }, auth.ErrDisabled},
		"no address": {func(a *auth.Account) { a.Email = "" }, auth.ErrInvalidEmail},
	} {
		other := *u
		refused.change(&other.Account)
		if token, err := app.VerificationToken(t.Context(), &other); token != "" || !errors.Is(err, refused.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := app.VerificationToken(t.Context(), nil); !errors.Is(err, auth.ErrUserNotFound) {
		t.Error(err)
	}
	late, err := app.VerificationToken(t.Context(), member(t, app, "late", testapp.Password))
	if err != nil {
		t.Fatal(err)
	}
	app.Clock.Advance(24*time.Hour + time.Second)
	if _, err := app.VerifyEmail(t.Context(), late); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("after a day: %v", err)
	}
}

func TestVerifyEmail(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, func(c *auth.Config) { c.BaseURL = "https://app.example" })
	u := member(t, m.App, "susan", testapp.Password, func(a *auth.Account) { a.Email = "Susan@App.example" })
	m.Mux.HandleFunc("POST /resend", func(w http.ResponseWriter, r *http.Request) {
		if err := m.SendVerification(r.Context(), r.PostFormValue("email")); err != nil {
			m.Error(w, r, err)
		}
	})
	r := m.Client(t).Do(http.MethodPost, "/resend", url.Values{"email": {" susan@APP.EXAMPLE "}}, http.Header{
		"X-Forwarded-Host": {"evil.example"}, "Forwarded": {"host=evil.example"}, "X-Forwarded-Proto": {"http"},
		"X-Forwarded-Prefix": {"/evil"}, "X-Original-Url": {"/evil"},
	})
	mails := m.box.Take()
	if r.StatusCode != http.StatusOK || len(mails) != 1 {
		t.Fatalf("%s, %d mails", r.Status, len(mails))
	}
	mail := mails[0]
	link, token, _ := strings.Cut(mail.Link.Reveal(), "?token=")
	if link != "https://app.example/verify-email" || mail.To != "Susan@App.example" || mail.Kind != auth.MailVerify ||
		mail.User.AuthAccount().ID != u.ID || mail.Lifetime != 24*time.Hour {
		t.Errorf("%+v, link to %s", mail, link)
	}
	for range 3 { // checking changes nothing
		if got, err := m.CheckVerifyToken(t.Context(), token); err != nil || got.ID != u.ID || got.EmailVerified {
			t.Errorf("%v, %v", got, err)
		}
	}
	if stored(t, m.App, u.ID).EmailVerified {
		t.Error("verified by looking")
	}
	m.Events()
	got, err := m.VerifyEmail(t.Context(), token)
	if err != nil || got.ID != u.ID || !got.EmailVerified || got.Stamp.Equal(u.Stamp) || !stored(t, m.App, u.ID).EmailVerified {
		t.Errorf("%+v, %v", got, err)
	}
	if !opens(t, m.App, u.ID, testapp.Password) {
		t.Error("the password is gone")
	}
	for range 2 {
		if got, err := m.VerifyEmail(t.Context(), token); got != nil || !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("a second time: %v, %v", got, err)
		}
	}
	events := m.Events()
	if want := []auth.EventKind{auth.EventVerificationDone, auth.EventVerificationFailed, auth.EventVerificationFailed}; !slices.Equal(kinds(events), want) || events[0].UserID != u.ID {
		t.Errorf("the events are %v", events)
	}
	m.wantMails(t, "afterwards")
	if strings.Contains(m.Logs(), token) {
		t.Error("the token is in the log")
	}
}

// The login that verifies the address goes on, with a new token. All other logins end,
// with all devices and tokens that they made.
func TestVerifyEmailEndsWhatWasBefore(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"a login of the user's", "another user's", "an anonymous visitor"} {
		m := newMailApp(t, withBearer)
		u := member(t, m.App, "susan", testapp.Password)
		member(t, m.App, "mike", "")
		own, other, device, mike := m.Client(t), m.Client(t), remembered(t, m.App, "susan"), m.Client(t)
		own.Login("susan")
		other.Login("susan")
		mike.Login("mike")
		before := own.Clone()
		api := newToken(t, m.App, u)
		reset := resetToken(t, m.App, u)
		token := m.verifyToken(t, u)
		clicking := map[string]*testapp.Client{"a login of the user's": own, "another user's": mike, "an anonymous visitor": m.Client(t)}[by]
		as := clicking.Who()
		m.In(clicking, func(ctx context.Context) {
			if got, err := m.VerifyEmail(ctx, token); err != nil || !got.EmailVerified {
				t.Errorf("%s: %v, %v", by, got, err)
			}
			if who, ok := m.CurrentUser(ctx); ok != (as != "nobody") || ok && (who.Username != as || who.ID == u.ID && !who.EmailVerified) {
				t.Errorf("%s: in the request it is %v", by, who)
			}
		})
		if who := clicking.Who(); who != as {
			t.Errorf("%s: afterwards it is %q, and was %q", by, who, as)
		}
		if own == clicking {
			own = before // the cookie of before
		}
		gone(t, by, own, other, device)
		if who := bearer(m.App, t, api); who != "nobody" {
			t.Errorf("%s: the API token is %q", by, who)
		}
		if usable(t, m.App, reset) {
			t.Errorf("%s: the reset token is good", by)
		}
	}
}

// Which changes void a token.
func TestVerifyTokenIsBound(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		change func(t *testing.T, m *mailApp, u *testapp.User)
		good   bool
	}{
		"nothing":       {func(*testing.T, *mailApp, *testapp.User) {}, true},
		"a later token": {func(t *testing.T, m *mailApp, u *testapp.User) { m.verifyToken(t, u) }, true},
		"a login":       {func(t *testing.T, m *mailApp, _ *testapp.User) { m.Client(t).Login("susan") }, true},
		"roles": {func(t *testing.T, m *mailApp, u *testapp.User) {
			change(t, m.App, u.ID, func(a *auth.Account) { a.Roles = []string{"x"} })
		}, true},
		"stamp": {func(t *testing.T, m *mailApp, u *testapp.User) {
			change(t, m.App, u.ID, func(a *auth.Account) { a.Stamp = auth.NewSecret("new") })
		}, false},
		"address": {func(t *testing.T, m *mailApp, u *testapp.User) {
			change(t, m.App, u.ID, func(a *auth.Account) { a.Email = "other@app.example" })
		}, false},
		"the address's case": {func(t *testing.T, m *mailApp, u *testapp.User) {
			change(t, m.App, u.ID, func(a *auth.Account) { a.Email = "SUSAN@app.example" })
		}, false},
		"verified already": {func(t *testing.T, m *mailApp, u *testapp.User) { change(t, m.App, u.ID, verified) }, false},
		"disabled": {func(t *testing.T, m *mailApp, u *testapp.User) {
			change(t, m.App, u.ID, func(a *auth.Account) { a.Disabled = true })
		}, false},
		"deleted": {func(t *testing.T, m *mailApp, u *testapp.User) { deleteUser(t, m.App, u.ID) }, false},
		"password": {func(t *testing.T, m *mailApp, u *testapp.User) {
			if err := m.SetPassword(t.Context(), u, resetTo); err != nil {
				t.Error(err)
			}
		}, false},
		"reset": {func(t *testing.T, m *mailApp, u *testapp.User) {
			if _, err := m.ResetPassword(t.Context(), resetToken(t, m.App, u), resetTo); err != nil {
				t.Error(err)
			}
		}, false},
		"logout everywhere": {func(t *testing.T, m *mailApp, u *testapp.User) {
			if err := m.LogoutEverywhere(t.Context(), u); err != nil {
				t.Error(err)
			}
		}, false},
		"23:59:59.999": {func(_ *testing.T, m *mailApp, _ *testapp.User) { m.Clock.Advance(24*time.Hour - time.Millisecond) }, true},
		"24 hours":     {func(_ *testing.T, m *mailApp, _ *testapp.User) { m.Clock.Advance(24 * time.Hour) }, false},
		"a year":       {func(_ *testing.T, m *mailApp, _ *testapp.User) { m.Clock.Advance(365 * 24 * time.Hour) }, false},
		"a clock that was put back": {func(_ *testing.T, m *mailApp, _ *testapp.User) {
			m.Clock.Advance(25 * time.Hour)
			m.Clock.Advance(-2 * time.Hour)
		}, true},
	} {
		m := newMailApp(t, nil)
		u := member(t, m.App, "susan", testapp.Password)
		token := m.verifyToken(t, u)
		c.change(t, m, u)
		m.Spy().Reset()
		_, checked := m.CheckVerifyToken(t.Context(), token)
		if !c.good {
			for _, call := range m.Spy().Calls() {
				if call != "LoadUser" {
					t.Errorf("%s: the call %s", what, call)
				}
			}
		}
		_, err := m.VerifyEmail(t.Context(), token)
		for _, err := range []error{checked, err} {
			if c.good && err != nil || !c.good && (err == nil || err.Error() != auth.ErrInvalidToken.Error()) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// However many times the account's tokens are used, only one verification succeeds.
func TestVerifyParallelRedemptions(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, nil)
	u := member(t, m.App, "susan", testapp.Password)
	tokens := []string{m.verifyToken(t, u), m.verifyToken(t, u)}
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			switch _, err := m.VerifyEmail(t.Context(), tokens[i%2]); {
			case err == nil:
				won.Add(1)
			case !errors.Is(err, auth.ErrInvalidToken):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if after := stored(t, m.App, u.ID); won.Load() != 1 || after.Version != 2 || !after.EmailVerified {
		t.Errorf("%d have won, and the account is %+v", won.Load(), after)
	}
}

// The caller cannot see whether the account exists: not in the answer, nor in the work,
// nor if the mailer fails.
func TestSendVerificationTellsNothing(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, nil)
	for name, do := range accountStates() {
		member(t, m.App, name, testapp.Password, do)
	}
	asked := alike{app: m.App, by: m.Client(t), ask: m.SendVerification}
	asked.about(t, "unverified", "unverified@app.example")
	m.wantMails(t, "unverified", "verify to unverified@app.example")
	for name := range accountStates() {
		m.Events()
		asked.about(t, name, name+"@app.example")
		if e := m.Events(); len(e) != 1 || e[0].Kind != auth.EventVerificationIssued && e[0].Kind != auth.EventVerificationRefused || e[0].UserID == "" {
			t.Errorf("%s: %v", name, e)
		}
		if name == "unverified" || name == "without-password" {
			m.wantMails(t, name, "verify to "+name+"@app.example")
		} else {
			m.wantMails(t, name)
		}
	}
	m.Events()
	asked.about(t, "unknown", "nobody@app.example")
	m.wantMails(t, "unknown")
	if e := m.Events(); len(e) != 1 || e[0].Kind != auth.EventVerificationRefused || e[0].Err == nil {
		t.Errorf("unknown: %v", e)
	}
	m.box.Fail(errStore)
	asked.about(t, "the mailer is down", "unverified@app.example")
	if e := m.Events(); !slices.Equal(kinds(e), []auth.EventKind{auth.EventVerificationIssued, auth.EventMailFailed}) || !errors.Is(e[1].Err, errStore) {
		t.Errorf("the mailer is down: %v", e)
	}
}

func TestSendVerificationNeeds(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, nil)
	member(t, m.App, "long", "", func(a *auth.Account) { a.ID = strings.Repeat("x", 1025) })
	for _, address := range []string{"", "susan", "susan@app.example, mike@app.example", "susan@app.example\r\nBcc: mike@app.example", "a@b", "\xff@app.example"} {
		if err := m.SendVerification(t.Context(), address); !errors.Is(err, auth.ErrInvalidEmail) {
			t.Errorf("%q: %v", address, err)
		}
	}
	if err := m.SendVerification(t.Context(), "long@app.example"); err != nil {
		t.Error(err)
	}
	m.wantMails(t, "an ID that is too long")
	m.Spy().Hook(func(string) error { return errStore }, nil)
	if err := m.SendVerification(t.Context(), "susan@app.example"); !errors.Is(err, errStore) {
		t.Error(err)
	}
	m.Spy().Reset()
	without, _ := newApp(t, nil)
	if err := without.SendVerification(t.Context(), "susan@app.example"); !errors.Is(err, auth.ErrNoMailer) {
		t.Error(err)
	}
	loader, err := auth.NewWithLoader[*testapp.User](memstore.New[testapp.User](), goodConfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := loader.SendVerification(t.Context(), "susan@app.example"); !errors.Is(err, auth.ErrNoUserStore) {
		t.Error(err)
	}
	if _, err := loader.VerifyEmail(t.Context(), "x"); !errors.Is(err, auth.ErrNoUserStore) {
		t.Error(err)
	}
}

// If any call of VerifyEmail fails, the change is made completely or not at all. If it
// is not made, the token stays good.
func TestVerifyIsAllOrNothing(t *testing.T) {
	t.Parallel()
	testapp.AllOrNothing(t, 3, func(t *testing.T, f *testapp.Fault) {
		m := newMailApp(t, nil)
		u := member(t, m.App, "susan", "")
		browser, other := m.Client(t), m.Client(t)
		browser.Login("susan")
		other.Login("susan")
		token := m.verifyToken(t, u)
		var err error
		m.In(browser, func(ctx context.Context) {
			err = f.During(ctx, m.Spy(), func(ctx context.Context) error {
				_, err := m.VerifyEmail(ctx, token)
				return err
			})
		})
		after := stored(t, m.App, u.ID)
		what := fmt.Sprintf("%s; verified %v", f, after.EmailVerified)
		who := other.Who()
		switch {
		case errors.Is(err, auth.ErrInvalidToken), err == nil && !after.EmailVerified:
			t.Error(what)
		case after.EmailVerified && who != "nobody", !after.EmailVerified && (who != "susan" || browser.Who() != "susan"):
			t.Errorf("%s, and another login is %q", what, who)
		}
		if _, err := m.VerifyEmail(t.Context(), token); after.EmailVerified == (err == nil) {
			t.Errorf("%s, and once more %v", what, err)
		}
	})
}

// With RequireVerified, no entrance lets a user without a verified address in. Without
// it, every entrance does.
func TestRequireVerifiedGate(t *testing.T) {
	t.Parallel()
	for _, on := range []bool{true, false} {
		m := newMailApp(t, func(c *auth.Config) {
			c.RequireVerified = on
			c.Credentials = []auth.Credential{auth.Bearer(), auth.Basic("x"), byHeader()}
		})
		u := member(t, m.App, "susan", testapp.Password, verified)
		member(t, m.App, "unknown", "")
		inside, device := m.Client(t), remembered(t, m.App, "susan")
		inside.Login("susan")
		api := newToken(t, m.App, u)
		change(t, m.App, u.ID, func(a *auth.Account) { a.EmailVerified = false })
		device.Restart()
		want := "susan"
		if on {
			want = "nobody"
		}
		for name, who := range map[string]string{
			"a remembered device": device.Who(),
			"an API token":        bearer(m.App, t, api),
			"Basic":               m.Client(t).Do(http.MethodGet, "/who", nil, basicHeader("susan", testapp.Password)).Text,
			"a loader":            m.Client(t).Do(http.MethodGet, "/who", nil, as(u)).Text,
		} {
			if who != want {
				t.Errorf("on %v: %s is %q", on, name, who)
			}
		}
		c := m.Client(t)
		before := m.PasswordHashes()
		r := c.Post("/login", "login", "susan", "password", testapp.Password)
		if who := c.Who(); who != want || (r.StatusCode == http.StatusOK) == on || m.PasswordHashes() != before+1 {
			t.Errorf("on %v: the password: %s, %q, %d hashes", on, r.Status, who, m.PasswordHashes()-before)
		}
		if r := c.Post("/enter", "login", "susan"); (r.StatusCode == http.StatusOK) == on {
			t.Errorf("on %v: LoginUser: %s", on, r.Status)
		}
		_, err := m.Authenticate(t.Context(), "susan", testapp.Password)
		if on != errors.Is(err, auth.ErrUnverified) || on && !errors.Is(err, auth.ErrLoginRefused) {
			t.Errorf("on %v: %v", on, err)
		}
		if _, err := m.Authenticate(t.Context(), "susan", "wrong"); !errors.Is(err, auth.ErrInvalidCredentials) || errors.Is(err, auth.ErrUnverified) {
			t.Errorf("on %v: a wrong password: %v", on, err)
		}
		_, _, err = m.NewAPIToken(t.Context(), stored(t, m.App, u.ID), auth.APIToken{Scopes: []string{"*"}, Expires: m.Clock.Now().Add(time.Hour)})
		if on != errors.Is(err, auth.ErrUnverified) {
			t.Errorf("on %v: a new API token: %v", on, err)
		}
		if who := inside.Who(); who != "susan" {
			t.Errorf("on %v: the login that was there before is %q", on, who)
		}
		// After the user has verified the address, the login works.
		if _, err := m.VerifyEmail(t.Context(), m.verifyToken(t, stored(t, m.App, u.ID))); err != nil {
			t.Fatal(err)
		}
		if c.Post("/login", "login", "susan", "password", testapp.Password); c.Who() != "susan" {
			t.Errorf("on %v: verified, and not in", on)
		}
	}
}

func TestRequireVerifiedConfig(t *testing.T) {
	t.Parallel()
	cfg := goodConfig()
	cfg.RequireVerified = true
	if _, err := auth.New[*testapp.User](memstore.New[testapp.User](), cfg); !errors.Is(err, auth.ErrNoMailer) {
		t.Errorf("without a Mailer: %v", err)
	}
	cfg.Mailer = &testapp.Outbox{}
	m, err := auth.New[*testapp.User](memstore.New[testapp.User](), cfg)
	if err != nil || !m.Config().RequireVerified || m.Config().URLs.Verify != "/verify-email" {
		t.Errorf("%v", err)
	}
	if _, err := auth.NewWithLoader[*testapp.User](memstore.New[testapp.User](), cfg); !errors.Is(err, auth.ErrNoUserStore) {
		t.Errorf("NewWithLoader: %v", err)
	}
	for _, c := range []struct{ login, verify, want string }{
		{"", "", "/verify-email"},
		{"/account/login", "", "/account/verify-email"},
		{"/account/login?x=1/2", "", "/account/verify-email"},
		{"https://app.example/a/login", "", "/a/verify-email"},
		{"https://sso.example/a/login", "", "/verify-email"},
		{"/login", "/check?lang=de", "/check?lang=de"},
		{"/login", "https://www.example/verify", "https://www.example/verify"},
	} {
		cfg := goodConfig()
		cfg.URLs.Login, cfg.URLs.Verify, cfg.Mailer = c.login, c.verify, &testapp.Outbox{}
		m, err := auth.New[*testapp.User](memstore.New[testapp.User](), cfg)
		if err != nil || m.Config().URLs.Verify != c.want {
			t.Errorf("%v: %v, %v", c, m, err)
		}
	}
	for _, bad := range []string{"verify", "//evil.example", "javascript:x", "/a#b"} {
		cfg := goodConfig()
		if cfg.URLs.Verify = bad; !fails(cfg) {
			t.Errorf("URLs.Verify %q is taken", bad)
		}
	}
}

func fails(cfg auth.Config) bool {
	_, err := auth.New[*testapp.User](memstore.New[testapp.User](), cfg)
	return err != nil
}

// The link is right for every form of URLs.Verify.
func TestVerifyLink(t *testing.T) {
	t.Parallel()
	for page, want := range map[string]string{
		"/verify":                        "https://app.example/verify?token=",
		"/verify?lang=de":                "https://app.example/verify?lang=de&token=",
		"https://www.example/verify":     "https://www.example/verify?token=",
		"https://www.example/verify?a=b": "https://www.example/verify?a=b&token=",
	} {
		m := newMailApp(t, func(c *auth.Config) { c.BaseURL, c.URLs.Verify = "https://app.example", page })
		u := member(t, m.App, "susan", "")
		if err := m.SendVerification(t.Context(), u.Email); err != nil {
			t.Fatal(err)
		}
		mails := m.box.Take()
		link := mails[0].Link.Reveal()
		token, ok := strings.CutPrefix(link, want)
		if !ok {
			t.Errorf("%s: %s", page, link)
		}
		if _, err := m.VerifyEmail(t.Context(), token); err != nil {
			t.Errorf("%s: %v", page, err)
		}
	}
}

func TestRequireVerified(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, func(c *auth.Config) { c.Credentials = []auth.Credential{byHeader()} })
	u := member(t, m.App, "susan", "")
	m.Mux.Handle("/verified", m.RequireVerified(http.HandlerFunc(hello)))
	m.Mux.HandleFunc("GET /flashes", func(w http.ResponseWriter, r *http.Request) {
		for _, f := range m.Flashes(r.Context()) {
			_, _ = fmt.Fprint(w, f.Text)
		}
	})
	c := m.Client(t)
	if r := c.Get("/verified?x=1"); r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(r.Header.Get("Location"), "/login?next=") {
		t.Errorf("without a login: %s to %q", r.Status, r.Header.Get("Location"))
	}
	c.Login("susan")
	c.Get("/flashes")
	m.Events()
	r := c.Get("/verified?x=1")
	if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/verify-email?next=%2Fverified%3Fx%3D1" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s to %q, %v", r.Status, r.Header.Get("Location"), r.Header)
	}
	if e := m.Events(); len(e) != 1 || e[0].Kind != auth.EventAccessDenied || e[0].UserID != u.ID || !errors.Is(e[0].Err, auth.ErrUnverified) {
		t.Errorf("the events are %v", e)
	}
	if text := c.Get("/flashes").Text; !strings.Contains(text, "verify your email address") {
		t.Errorf("the message is %q", text)
	}
	for name, header := range map[string]http.Header{
		"JSON":  {"Accept": {"application/json"}},
		"fetch": {"Sec-Fetch-Dest": {"empty"}},
	} {
		if r := c.Do(http.MethodGet, "/verified", nil, header); r.StatusCode != http.StatusForbidden || r.Header.Get("Location") != "" || r.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: %s, %v", name, r.Status, r.Header)
		}
	}
	if r := m.Client(t).Do(http.MethodGet, "/verified", nil, as(u)); r.StatusCode != http.StatusForbidden || len(r.Cookies()) != 0 {
		t.Errorf("by a loader: %s", r.Status)
	}
	r = c.Do(http.MethodGet, "/verified", nil, http.Header{"Hx-Request": {"true"}, "Hx-Current-Url": {m.Server.URL + "/page"}})
	if r.StatusCode != http.StatusForbidden || r.Header.Get("HX-Redirect") != "/verify-email?next=%2Fpage" {
		t.Errorf("htmx: %s, %v", r.Status, r.Header)
	}
	// After a request that may change something, the next is the page that it came
	// from, but never the page for verifying itself.
	r = c.Do(http.MethodPost, "/verified", url.Values{}, http.Header{"Referer": {m.Server.URL + "/form"}})
	if r.Header.Get("Location") != "/verify-email?next=%2Fform" {
		t.Errorf("POST: %q", r.Header.Get("Location"))
	}
	r = c.Do(http.MethodPost, "/verified", url.Values{}, http.Header{"Referer": {m.Server.URL + "/verify-email?token=x&next=%2Fform"}})
	if r.Header.Get("Location") != "/verify-email?next=%2Fform" {
		t.Errorf("POST from the page: %q", r.Header.Get("Location"))
	}
	if r := c.Do(http.MethodOptions, "/verified", nil, nil); r.StatusCode != http.StatusSeeOther || r.Text != "" {
		t.Errorf("OPTIONS: %s %q", r.Status, r.Text)
	}
	check := func(want error) {
		t.Helper()
		m.In(c, func(ctx context.Context) {
			if err := m.Check(ctx, auth.Verified()); !errors.Is(err, want) {
				t.Errorf("Check: %v, want %v", err, want)
			}
		})
	}
	check(auth.ErrUnverified)
	change(t, m.App, u.ID, verified)
	check(nil)
	if r := c.Get("/verified"); r.Text != "hello" {
		t.Errorf("verified: %s", r.Status)
	}
	m.Spy().Hook(on("LoadUser", func() error { return errStore }), nil)
	if r := c.Get("/verified"); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the store is down: %s", r.Status)
	}
	if err := m.Check(t.Context(), auth.Verified()); !errors.Is(err, auth.ErrNoSession) {
		t.Errorf("outside: %v", err)
	}
}

// An attacker registers an address before its owner does, and prepares everything to
// keep access. When the owner verifies the address or resets the password, all of it
// ends. After verifying, only the password is still the attacker's, and the mail says
// so.
func TestPreHijacking(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"verify", "verify, in the attacker's browser", "reset", "reset of a link that was mailed before"} {
		m := newMailApp(t, withBearer)
		u, err := m.Register(t.Context(), auth.Registration{Username: "victim", Email: "victim@app.example", Password: testapp.Password})
		if err != nil {
			t.Fatal(err)
		}
		browser, device := m.Client(t), remembered(t, m.App, "victim")
		browser.Login("victim")
		api := newToken(t, m.App, u)
		m.box.Take()
		pending := m.askEmail(t, browser, "attacker@app.example")
		verify := m.verifyToken(t, u)
		if err := m.SendReset(t.Context(), u.Email); err != nil {
			t.Fatal(err)
		}
		reset := m.token(t, auth.MailReset, u.Email)
		switch by {
		case "verify":
			_, err = m.VerifyEmail(t.Context(), verify)
		case "verify, in the attacker's browser": // the owner has the mailbox, but sits at the attacker's screen
			m.In(browser, func(ctx context.Context) { _, err = m.VerifyEmail(ctx, verify) })
		case "reset":
			_, err = m.ResetPassword(t.Context(), resetToken(t, m.App, u), resetTo)
		default:
			_, err = m.ResetPassword(t.Context(), reset, resetTo)
		}
		if err != nil {
			t.Fatalf("%s: %v", by, err)
		}
		if by == "verify, in the attacker's browser" {
			if who := browser.Who(); who != "victim" {
				t.Errorf("%s: it is %q", by, who)
			}
			browser.Post("/logout")
		}
		gone(t, by, browser, device)
		if who := bearer(m.App, t, api); who != "nobody" {
			t.Errorf("%s: the API token is %q", by, who)
		}
		if list, err := m.APITokens(t.Context(), u.ID); err != nil || len(list) != 0 {
			t.Errorf("%s: API tokens %v, %v", by, list, err)
		}
		if list := logins(t, m.App, u.ID); len(list) != 0 {
			t.Errorf("%s: logins %v", by, list)
		}
		after := stored(t, m.App, u.ID)
		if !after.EmailVerified || after.Email != "victim@app.example" {
			t.Errorf("%s: %+v", by, after)
		}
		// The pending change and the other links are void, even if the attacker logs in
		// again.
		browser.Login("victim")
		m.In(browser, func(ctx context.Context) {
			if _, err := m.ConfirmEmailChange(ctx, pending); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("%s: the pending change: %v", by, err)
			}
			if _, err := m.VerifyEmail(ctx, verify); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("%s: the other link: %v", by, err)
			}
			if _, err := m.ResetPassword(ctx, reset, resetTo); !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("%s: the reset link: %v", by, err)
			}
		})
		if strings.HasPrefix(by, "reset") && opens(t, m.App, u.ID, testapp.Password) {
			t.Errorf("%s: the attacker's password is good", by)
		}
	}
}

// New refuses a page without https, because links with tokens go there.
func TestVerifyURLIsHTTPS(t *testing.T) {
	t.Parallel()
	for page, good := range map[string]bool{"http://app.example/verify": false, "https://other.example/verify": true, "/verify": true} {
		cfg := goodConfig()
		cfg.URLs.Verify = page
		if _, err := auth.New[*testapp.User](memstore.New[testapp.User](), cfg); (err == nil) != good {
			t.Errorf("%s: %v", page, err)
		}
	}
}

package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// A panicBox is a Mailer that panics.
type panicBox struct{}

func (panicBox) Send(context.Context, auth.Mail) error { panic("no mail today") }

// A Mailer that panics tells nobody whom it had a mail for.
func TestMailerPanics(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) { c.Mailer = panicBox{} })
	app.Create(t, "susan", false)
	for _, address := range []string{"susan@app.example", "nobody@app.example"} {
		if err := app.SendReset(t.Context(), address, "/reset"); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	failed := 0
	for _, e := range app.Events() {
		if e.Kind == auth.EventMailFailed {
			failed++
		}
	}
	if failed != 1 {
		t.Errorf("%d events of a mail that failed", failed)
	}
}

// What no page can be shown for gets 401, and no message waits for a page.
func TestNoPageForWhatIsNone(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	for dest, status := range map[string]int{
		"": http.StatusSeeOther, "document": http.StatusSeeOther, "iframe": http.StatusSeeOther,
		"empty": http.StatusUnauthorized, "image": http.StatusUnauthorized, "websocket": http.StatusUnauthorized,
		"script": http.StatusUnauthorized, "style": http.StatusUnauthorized, "audio": http.StatusUnauthorized, "worker": http.StatusUnauthorized,
	} {
		r := app.Client(t).Do(http.MethodGet, "/guarded", nil, http.Header{"Sec-Fetch-Dest": {dest}, "Accept": {"*/*"}})
		if r.StatusCode != status || (len(r.Cookies()) > 0) != (status == http.StatusSeeOther) {
			t.Errorf("Sec-Fetch-Dest %q: %s, cookies %v", dest, r.Status, r.Cookies())
		}
	}
	// A script that asks for HTML knows what to do with it.
	r := app.Client(t).Do(http.MethodGet, "/guarded", nil, http.Header{"Sec-Fetch-Dest": {"empty"}, "Accept": {"text/html"}})
	if r.StatusCode != http.StatusSeeOther {
		t.Error(r.Status)
	}
}

// What a client says goes into the log in small pieces, and without what makes a
// terminal show something else.
func TestLogsAreShortAndPlain(t *testing.T) {
	t.Parallel()
	app, store := hookedApp(t, nil)
	app.Create(t, "susan", false)
	store.hook(func(string) error { return errors.New("the store is down") }, nil)
	c := app.Client(t)
	c.Cookies[strings.TrimSuffix(app.Core.Cookie("x").Name, "-x")] = strings.Repeat("A", 43)
	r := c.Do(http.MethodGet, "/who?"+strings.Repeat("x", 20_000), nil, nil)
	if r.StatusCode != http.StatusServiceUnavailable {
		t.Fatal(r.Status)
	}
	if logs := app.Logs(); len(logs) > 2000 {
		t.Errorf("%d bytes were logged", len(logs))
	}
	store.hook(nil, nil)
	app.Events()
	app.Client(t).Do(http.MethodPost, "/login", url.Values{"login": {"susan"}, "password": {"wrong"}},
		http.Header{"User-Agent": {"a\u202eb\u0085c\u200bd é"}})
	for _, e := range app.Events() {
		if e.UserAgent != "abcd é" {
			t.Errorf("%s: %q", e.Kind, e.UserAgent)
		}
	}
}

// Nobody learns by SendReset of an account whose ID is too long for a token.
func TestSendResetLongID(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) { c.Mailer = &outbox{} })
	a := auth.Account{ID: strings.Repeat("x", 1025), Username: "long", Email: "long@app.example", Stamp: auth.NewSecret("stamp"), Version: 1}
	if _, err := app.Store.CreateUser(t.Context(), a, nil); err != nil {
		t.Fatal(err)
	}
	if err := app.SendReset(t.Context(), a.Email, "/reset"); err != nil {
		t.Error(err)
	}
}

// Ways back to addresses that an account had are ten at most, so that they do not
// grow without end; the first ones stay good.
func TestUndosAreFew(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, func(c *auth.Config) { c.Limits.Mails = -1 })
	_, c := m.susan(t)
	first := ""
	for i := range 10 {
		if _, err := m.confirm(c, m.askEmail(t, c, fmt.Sprintf("new%d@app.example", i))); err != nil {
			t.Fatal(i, err)
		}
		if first == "" {
			first = m.token(t, auth.MailAddressChanged, "susan@app.example")
		}
	}
	_, err := m.confirm(c, m.askEmail(t, c, "new10@app.example"))
	if limited := (*auth.RateLimitError)(nil); !errors.As(err, &limited) || limited.RetryAfter < 72*time.Hour || limited.RetryAfter > 73*time.Hour {
		t.Errorf("the eleventh: %v", err)
	}
	if u, err := m.UndoEmail(t.Context(), first); err != nil || u.Email != "susan@app.example" {
		t.Errorf("the first way back: %v, %v", u, err)
	}
}

// A link with a token does not go to a page without https.
func TestVerifyURLIsHTTPS(t *testing.T) {
	t.Parallel()
	for page, good := range map[string]bool{"http://app.example/verify": false, "https://other.example/verify": true, "/verify": true} {
		cfg := goodConfig()
		cfg.VerifyURL = page
		if _, err := auth.New[*testapp.User](memstore.New[testapp.User](), cfg); (err == nil) != good {
			t.Errorf("%s: %v", page, err)
		}
	}
}

// An old row with a name that the store would not take today logs in all the same,
// and keeps its old hash.
func TestOldNamesLogIn(t *testing.T) {
	t.Parallel()
	app, store := hookedApp(t, nil)
	u := member(t, app, "susan", "", func(a *auth.Account) { a.PasswordHash = cheapHash(testapp.Password) })
	store.hook(on("UpdateAccount", func() error { return auth.ErrInvalidUsername }), nil)
	if r := app.Client(t).Post("/login", "login", "susan@app.example", "password", testapp.Password); r.StatusCode != http.StatusOK {
		t.Error(r.Status)
	}
	store.hook(nil, nil)
	if now := stored(t, app, u.ID); now.Version != u.Version {
		t.Error("the account was changed")
	}
	if n := count(app.Events(), auth.EventHashNotUpgraded, u.ID); n != 1 {
		t.Errorf("%d events", n)
	}
}

package auth_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// A namedApp is one of two applications with the same record store, Secrets and cookie
// names. Each has a user of its own, with the same ID, Stamp, address and password
// hash.
type namedApp struct {
	*mailApp
	user *testapp.User
}

// namedApps returns two applications with these values of Config.Name.
func namedApps(t *testing.T, names ...string) (one, other *namedApp, store *testapp.Spy) {
	t.Helper()
	clock := testapp.NewClock()
	store = testapp.NewSpy(clock) // the store of the records
	hash := cheapHash(testapp.Password)
	var apps []*namedApp
	for i, name := range names {
		box := &testapp.Outbox{}
		hooked := testapp.NewSpy(clock)
		app := testapp.New(t, hooked, clock, func(c *auth.Config) {
			withBearer(c)
			c.Mailer, c.URLs.NextInCookie = box, true
			c.BaseURL, c.Records, c.Name = "http://localhost:7777", store, name
		})
		app.Mux.HandleFunc("POST /next", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, app.TakeNext(r).String())
		})
		m := &mailApp{app, box}
		user := member(t, app, []string{"susan", "john"}[i], "", verified, func(a *auth.Account) {
			a.ID, a.Email, a.Stamp, a.PasswordHash = "7", "mail@app.example", auth.NewSecret("the same stamp"), hash
		})
		apps = append(apps, &namedApp{m, user})
	}
	return apps[0], apps[1], store
}

// browser returns a browser of this application with cookies of another browser: all of
// them, or the one whose name ends in only.
func (a *namedApp) browser(t *testing.T, from *testapp.Client, only string) *testapp.Client {
	t.Helper()
	c := a.Client(t)
	maps.Copy(c.Cookies, from.Cookies)
	if only != "" {
		maps.DeleteFunc(c.Cookies, func(name, _ string) bool { return !strings.HasSuffix(name, only) })
		if len(c.Cookies) != 1 {
			t.Fatalf("%d cookies end with %q", len(c.Cookies), only)
		}
	}
	return c
}

// enter logs the user in without a password.
func (a *namedApp) enter(t *testing.T, fields ...string) *testapp.Client {
	t.Helper()
	c := a.Client(t)
	if r := c.Post("/enter", append([]string{"login", a.user.Username}, fields...)...); r.StatusCode != http.StatusOK {
		t.Fatalf("%s %s", r.Status, r.Text)
	}
	return c
}

// lock sends wrong passwords until the account is locked.
func (a *namedApp) lock(t *testing.T) {
	t.Helper()
	for range 5 {
		a.Client(t).Post("/login", "login", a.user.Username, "password", "a wrong password")
	}
}

// crossings are the ways in which one application could use the other's records and
// credentials. Each reports whether that worked.
func crossings() map[string]func(t *testing.T, one, other *namedApp) bool {
	accepted := func(t *testing.T, err error) bool {
		t.Helper()
		if err != nil && !errors.Is(err, auth.ErrInvalidToken) {
			t.Error(err)
		}
		return err == nil
	}
	return map[string]func(t *testing.T, one, other *namedApp) bool{
		"a session": func(t *testing.T, one, other *namedApp) bool {
			return other.browser(t, one.enter(t), "session-7777").Who() == "john"
		},
		"a remembered device": func(t *testing.T, one, other *namedApp) bool {
			return other.browser(t, one.enter(t, "remember", "1"), "-remember").Who() == "john"
		},
		"an anonymous visitor's data": func(t *testing.T, one, other *namedApp) bool {
			c := one.Client(t)
			c.Post("/put", "key", "k", "value", "v")
			return other.browser(t, c, "-visitor").Get("/get?key=k").Text == "v"
		},
		"a message": func(t *testing.T, one, other *namedApp) bool {
			c, n := one.Client(t), 0
			one.In(c, func(ctx context.Context) { _ = one.Flash(ctx, "info", "hello") })
			other.In(other.browser(t, c, "-flash"), func(ctx context.Context) { n = len(other.Flashes(ctx)) })
			return n == 1
		},
		"the page for after the login": func(t *testing.T, one, other *namedApp) bool {
			c := one.Client(t)
			c.Do("GET", "/guarded?x=1", nil, http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}})
			return other.browser(t, c, "-next").Post("/next").Text == "/guarded?x=1"
		},
		"a known browser": func(t *testing.T, one, other *namedApp) bool {
			c := one.Client(t)
			c.Post("/login", "login", "susan", "password", testapp.Password)
			other.lock(t)
			c = other.browser(t, c, "-browser")
			return c.Post("/login", "login", "john", "password", testapp.Password).StatusCode == http.StatusOK
		},
		"a count of wrong passwords": func(t *testing.T, one, other *namedApp) bool {
			one.lock(t)
			r := other.Client(t).Post("/login", "login", "john", "password", testapp.Password)
			return r.StatusCode != http.StatusOK
		},
		"a count of wrong logins": func(t *testing.T, one, other *namedApp) bool {
			for range 6 {
				_, _ = one.Authenticate(t.Context(), "ghost", "a wrong password")
			}
			one.Events()
			other.Events()
			_, _ = other.Authenticate(t.Context(), "ghost", "a wrong password")
			return errors.Is(other.Events()[0].Err, auth.ErrLocked)
		},
		"a count of mails": func(t *testing.T, one, other *namedApp) bool {
			for range 3 {
				_ = one.SendReset(t.Context(), one.user.Email)
			}
			_ = other.SendReset(t.Context(), other.user.Email)
			return len(other.box.Take()) == 0
		},
		"a reset token": func(t *testing.T, one, other *namedApp) bool {
			token, err := one.ResetToken(t.Context(), one.user)
			if err != nil {
				t.Fatal(err)
			}
			_, err = other.ResetPassword(t.Context(), token, "another long password")
			return accepted(t, err)
		},
		"a token that verifies": func(t *testing.T, one, other *namedApp) bool {
			for _, app := range []*namedApp{one, other} {
				a := app.user.Account
				a.EmailVerified = false
				if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
					t.Fatal(err)
				}
			}
			_, err := other.VerifyEmail(t.Context(), one.verifyToken(t, one.user))
			return accepted(t, err)
		},
		"a token for a new address": func(t *testing.T, one, other *namedApp) bool {
			token := one.askEmail(t, one.enter(t), "new@app.example")
			_, _, err := other.CheckEmailChange(t.Context(), token)
			return accepted(t, err)
		},
		"the undo link of a new address": func(t *testing.T, one, other *namedApp) bool {
			token := one.changeEmail(t, one.enter(t), "new@app.example")
			changed, err := one.Store.LoadUser(t.Context(), "7")
			if err != nil {
				t.Fatal(err)
			}
			a := other.user.Account
			a.Email, a.Stamp = changed.Email, changed.Stamp
			if err := other.Store.UpdateAccount(t.Context(), a); err != nil {
				t.Fatal(err)
			}
			_, err = other.UndoEmailChange(t.Context(), token)
			return accepted(t, err)
		},
		"a reserved address": func(t *testing.T, one, other *namedApp) bool {
			member(t, one.App, "tom", testapp.Password, verified)
			c := one.Client(t)
			c.Login("tom")
			one.changeEmail(t, c, "new@app.example")
			_, err := other.Register(t.Context(), auth.Registration{Username: "eve", Email: "tom@app.example", Password: "another long password"})
			if err != nil && !errors.Is(err, auth.ErrEmailTaken) {
				t.Error(err)
			}
			return err != nil
		},
		"an API token": func(t *testing.T, one, other *namedApp) bool {
			token, _, err := one.NewAPIToken(t.Context(), one.user, auth.APIToken{Name: "n", Scopes: []string{"*"}, Expires: one.Clock.Now().AddDate(0, 0, 1)})
			if err != nil {
				t.Fatal(err)
			}
			list, err := other.APITokens(t.Context(), "7")
			if err != nil {
				t.Error(err)
			}
			r := other.Client(t).Do("GET", "/who", nil, http.Header{"Authorization": {"Bearer " + token.Reveal()}})
			if found := len(list) > 0; found != (r.Text == "john") {
				t.Errorf("listed: %v, but %s %q", found, r.Status, r.Text)
			}
			return len(list) > 0
		},
		"a list of logins": func(t *testing.T, one, other *namedApp) bool {
			one.enter(t, "remember", "1")
			logins, err := other.Logins(t.Context(), "7")
			if err != nil {
				t.Error(err)
			}
			return len(logins) > 0
		},
		"LogoutEverywhere": func(t *testing.T, one, other *namedApp) bool {
			c := one.enter(t, "remember", "1")
			if err := other.LogoutEverywhere(t.Context(), other.user); err != nil {
				t.Error(err)
			}
			return one.browser(t, c, "session-7777").Who() != "susan" && one.browser(t, c, "-remember").Who() != "susan"
		},
		"CloseAccount": func(t *testing.T, one, other *namedApp) bool {
			c := one.enter(t, "remember", "1")
			if err := other.CloseAccount(t.Context(), other.user); err != nil {
				t.Error(err)
			}
			return one.browser(t, c, "session-7777").Who() != "susan" && one.browser(t, c, "-remember").Who() != "susan"
		},
		"a token that was rotated": func(t *testing.T, one, other *namedApp) bool {
			c := one.enter(t)
			old := one.browser(t, c, "")
			c.Post("/renew")
			other.browser(t, old, "session-7777").Post("/logout")
			return c.Who() != "susan"
		},
	}
}

// isKindOf reports whether records of this kind belong to a Manager with this name.
func isKindOf(kind, name string) bool {
	if name == "" {
		return !strings.ContainsAny(kind, "@/")
	}
	return strings.HasPrefix(kind, "@"+name+"/")
}

// Two Managers share a store, Secrets and cookie names. If their Names differ, neither
// accepts or finds anything of the other, even if their users look the same. If their
// Names are equal, they are processes of one application.
func TestNameSeparates(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		one, other string
		same       bool
	}{
		{"", "", true}, {"shop", "shop", true},
		{"", "shop", false}, {"shop", "", false}, {"shop", "staff", false}, {"shop", "Shop", false},
	} {
		for what, reaches := range crossings() {
			t.Run(test.one+" to "+test.other+", "+what, func(t *testing.T) {
				t.Parallel()
				one, other, store := namedApps(t, test.one, test.other)
				if got := reaches(t, one, other); got != test.same {
					t.Errorf("%v, want %v\n%s", got, test.same, other.Logs())
				}
				for _, kind := range store.Kinds() {
					if !isKindOf(kind, test.one) && !isKindOf(kind, test.other) {
						t.Errorf("a record of kind %q", kind)
					}
				}
			})
		}
	}
}

// The users of a UserLoader may have no Stamp. Then only the Name separates two tables
// of users.
func TestNameSeparatesLoaders(t *testing.T) {
	t.Parallel()
	for names, same := range map[[2]string]bool{{"", ""}: true, {"a", "a"}: true, {"a", "b"}: false, {"", "b"}: false, {"a", ""}: false} {
		records := memstore.NewRecords()
		var handlers []http.Handler
		for i, name := range names {
			m, err := auth.NewWithLoader(auth.LoaderFunc[*testapp.User](func(_ context.Context, id string) (*testapp.User, error) {
				return &testapp.User{Account: auth.Account{ID: id, Username: []string{"susan", "john"}[i]}}, nil
			}), auth.Config{
				BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
				Records: records, Name: name, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				t.Fatal(err)
			}
			handlers = append(handlers, m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/login" {
					if err := m.LoginUser(r.Context(), &testapp.User{Account: auth.Account{ID: "7"}}, auth.Remember(true)); err != nil {
						t.Error(err)
					}
				}
				if u, ok := m.CurrentUser(r.Context()); ok {
					_, _ = io.WriteString(w, u.Username)
				}
			})))
		}
		cookies := direct(t, handlers[0], "GET", "/login", nil).Result().Cookies()
		if len(cookies) < 2 {
			t.Fatalf("%d cookies", len(cookies))
		}
		for _, c := range cookies {
			if c.Name != "__Host-session" && c.Name != "__Host-session-remember" {
				continue
			}
			header := cookieHeader(map[string]string{c.Name: c.Value})
			if got := direct(t, handlers[1], "GET", "/", header).Body.String(); (got == "john") != same || !same && got != "" {
				t.Errorf("%q: %s of the one is %q for the other", names, c.Name, got)
			}
			if got := direct(t, handlers[0], "GET", "/", header).Body.String(); got != "susan" {
				t.Errorf("%q: %s is then %q", names, c.Name, got)
			}
		}
	}
}

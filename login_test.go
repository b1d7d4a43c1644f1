package auth_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// The library creates no account by itself: neither in New, nor when all pages are
// requested.
func TestNoAccountsByDefault(t *testing.T) {
	t.Parallel()
	app, store, p, _ := pagesApp(t, nil)
	if calls := store.Calls(); len(calls) > 0 {
		t.Errorf("New asks the store: %v", calls)
	}
	h := app.LoadAndSave(p)
	for _, path := range p.Paths() {
		direct(t, h, "GET", path, nil)
	}
	for _, login := range []string{"admin", "root", "administrator", "user", "test", "guest", "", "1"} {
		for _, password := range []string{"admin", "password", "changeme", login, "null"} {
			if u, err := app.Authenticate(t.Context(), login, password); err == nil {
				t.Errorf("%s, %s is %+v", login, password, u)
			}
		}
	}
	for _, call := range store.Calls() {
		if call == "CreateUser" || call == "UpdateAccount" {
			t.Errorf("calls %v", store.Calls())
		}
	}
}

// If an account is disabled or deleted, no way to log in works, nor any earlier
// session, device or token.
func TestEveryWayIn(t *testing.T) {
	t.Parallel()
	for name, shut := range map[string]func(*testing.T, *testapp.App, string){
		"disabled": func(t *testing.T, app *testapp.App, id string) {
			change(t, app, id, func(a *auth.Account) { a.Disabled = true })
		},
		"deleted": deleteUser,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			app, _ := newApp(t, loadedBy(auth.Bearer(), auth.Basic("test"), byHeader()))
			u := member(t, app, "susan", testapp.Password)
			login, device := app.Client(t), remembered(t, app, "susan")
			login.Login("susan")
			device.Restart()
			token, reset := newToken(t, app, u), resetToken(t, app, u)
			by := func(header http.Header) bool { return app.Client(t).Do("GET", "/who", nil, header).Text == "susan" }
			ways := map[string]func() bool{
				"a session":           func() bool { return login.Clone().Who() == "susan" },
				"a remembered device": func() bool { return device.Clone().Who() == "susan" },
				"a password": func() bool {
					c := app.Client(t)
					c.Post("/login", "login", "susan", "password", testapp.Password)
					return c.Who() == "susan"
				},
				"LoginUser, with the account as it was": func() bool {
					c := app.Client(t)
					app.In(c, func(ctx context.Context) { _ = app.LoginUser(ctx, u) })
					return c.Who() == "susan"
				},
				"Basic":        func() bool { return by(basicHeader("susan", testapp.Password)) },
				"an API token": func() bool { return by(bearerHeader(token.Reveal())) },
				"a Credential": func() bool { return by(as(u)) },
				"a new API token, with the account as it was": func() bool {
					fresh, _, err := app.NewAPIToken(t.Context(), u, auth.APIToken{Scopes: []string{auth.ScopeAll}, Expires: app.Clock.Now().Add(time.Hour)})
					return err == nil && by(bearerHeader(fresh.Reveal()))
				},
				"a reset link": func() bool { return usable(t, app, reset) },
			}
			for way, in := range ways {
				if !in() {
					t.Errorf("%s is no way in at all", way)
				}
			}
			u = stored(t, app, u.ID) // logins may have upgraded the hash
			reset = resetToken(t, app, u)
			shut(t, app, u.ID)
			for way, in := range ways {
				if in() {
					t.Errorf("%s lets susan in", way)
				}
			}
		})
	}
}

// LoginUser refuses a user without an ID, and nobody is logged in then.
func TestLoginNeedsAnID(t *testing.T) {
	app, _ := stateApp(t, nil)
	app.Mux.HandleFunc("POST /empty", func(_ http.ResponseWriter, r *http.Request) {
		if err := app.LoginUser(r.Context(), &testapp.User{}); err == nil {
			t.Error("no error")
		}
		if _, ok := app.CurrentUser(r.Context()); ok {
			t.Error("a user is logged in")
		}
	})
	if r := app.Client(t).Post("/empty"); len(r.Cookies()) > 0 {
		t.Errorf("cookies %v", r.Cookies())
	}
}

func TestLoginAndLogout(t *testing.T) {
	app, _ := newApp(t, nil)
	app.Create(t, "susan", true)
	c := app.Client(t)
	if who := c.Who(); who != "nobody" {
		t.Fatalf("before the login: %q", who)
	}
	if r := c.Post("/login", "login", "susan", "password", "wrong "+testapp.Password); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("wrong password: %s", r.Status)
	}
	if len(c.Cookies) != 0 {
		t.Errorf("a failed login set cookies: %v", c.Cookies)
	}
	for _, login := range []string{"susan", "SUSAN", "susan@app.example", "Susan@APP.example"} {
		r := c.Post("/login", "login", login, "password", testapp.Password)
		if r.StatusCode != http.StatusOK {
			t.Fatalf("login as %s: %s", login, r.Status)
		}
		if who := c.Who(); who != "susan" {
			t.Errorf("after the login as %s: %q", login, who)
		}
	}
	if r := c.Post("/logout"); r.StatusCode != http.StatusOK {
		t.Errorf("logout: %s", r.Status)
	}
	for name := range c.Cookies {
		if !strings.HasSuffix(name, "-browser") { // which does not log in
			t.Errorf("after the logout there are cookies: %v", c.Cookies)
		}
	}
	for i, who := range c.Replay() {
		if who != "nobody" {
			t.Errorf("cookie %d replayed after the logout is %q", i, who)
		}
	}
	if r := c.Post("/logout"); r.StatusCode != http.StatusOK {
		t.Errorf("a second logout: %s", r.Status)
	}
}

// An event names the method of the login if the library knows it.
func TestMethodOfLogin(t *testing.T) {
	app, _ := newApp(t, nil)
	app.Create(t, "susan", true)
	for path, want := range map[string]string{"/login": "password", "/enter": ""} {
		app.Events()
		if r := app.Client(t).Post(path, "login", "susan", "password", testapp.Password); r.StatusCode != http.StatusOK {
			t.Fatal(r.Status)
		}
		if events := app.Events(); len(events) != 1 || events[0].Kind != auth.EventLoginSucceeded || events[0].Method != want {
			t.Errorf("%s: %v, want a login by %q", path, events, want)
		}
	}
}

func TestLoginReplacesTheCookie(t *testing.T) {
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	first := c.Clone()
	c.Login("susan")
	if who := first.Who(); who != "nobody" {
		t.Errorf("the first login's cookie is %q after the second", who)
	}
	if who := c.Who(); who != "susan" {
		t.Errorf("the second login's cookie is %q", who)
	}
}

// A session token that an attacker has chosen is never adopted.
func TestFixation(t *testing.T) {
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	var name string
	for name = range c.Cookies {
		break
	}
	planted := strings.Repeat("A", 43)
	victim := app.Client(t)
	victim.Cookies[name] = planted
	victim.Login("susan")
	if victim.Cookies[name] == planted {
		t.Error("the planted token was kept")
	}
	attacker := app.Client(t)
	attacker.Cookies[name] = planted
	if who := attacker.Who(); who != "nobody" {
		t.Errorf("the planted token is %q", who)
	}
}

// A void session does not prevent a login in the same request.
func TestLoginAfterVoidSession(t *testing.T) {
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", false)
	app.Mux.HandleFunc("POST /page", func(w http.ResponseWriter, r *http.Request) {
		if _, ok := app.CurrentUser(r.Context()); ok {
			t.Error("the void session has a user")
		}
		fresh, err := app.Store.LoadUser(r.Context(), u.ID)
		if err == nil {
			err = app.LoginUser(r.Context(), fresh)
		}
		if err != nil {
			app.Error(w, r, err)
		}
	})
	c := app.Client(t)
	c.Login("susan")
	a := u.Clone()
	a.Stamp = auth.NewSecret("new")
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	if r := c.Post("/page"); r.StatusCode != http.StatusOK || c.Who() != "susan" {
		t.Errorf("%s, and %q", r.Status, c.Who())
	}
}

// Every entrance with every state of the account.
func TestDisabledAccountsCannotEnter(t *testing.T) {
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", true)
	entrances := map[string]func(c *testapp.Client) int{
		"password": func(c *testapp.Client) int {
			return c.Post("/login", "login", "susan", "password", testapp.Password).StatusCode
		},
		"LoginUser": func(c *testapp.Client) int { return c.Post("/enter", "login", "susan").StatusCode },
	}
	for name, enter := range entrances {
		c := app.Client(t)
		if status := enter(c); status != http.StatusOK || c.Who() != "susan" {
			t.Errorf("%s: %d", name, status)
		}
	}
	a := u.Clone()
	a.Disabled = true
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	for name, enter := range entrances {
		c := app.Client(t)
		if status := enter(c); status != http.StatusUnauthorized || len(c.Cookies) > 0 || c.Who() != "nobody" {
			t.Errorf("%s when disabled: %d, %v", name, status, c.Cookies)
		}
	}
}

// The options of a login are effective in the request itself and in the next ones,
// which set no cookie.
func TestLoginOptionsHoldAtOnce(t *testing.T) {
	for path, want := range map[string]string{
		"/as/plain": "susan fresh", "/as/stale": "susan stale", "/as/remembered": "susan fresh remembered",
	} {
		app, _ := stateApp(t, nil)
		c := app.Client(t)
		expectState(t, c, nil, "nobody")
		if r := c.Post(path); r.Text != want {
			t.Errorf("%s: in the request that logs in: %q", path, r.Text)
		}
		for range 2 {
			if r := c.Get("/state"); r.Text != want || len(r.Cookies()) > 0 {
				t.Errorf("%s: then %q, cookies %v", path, r.Text, r.Cookies())
			}
		}
		if path == "/as/stale" {
			expectSent(t, c.Get("/sensitive"), "/refresh?next=%2Fsensitive")
		}
		if path == "/as/remembered" {
			c.Restart()
			expectState(t, c, nil, "susan stale remembered")
		}
	}
}

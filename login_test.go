package auth_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// Nobody has an account that nobody has made: not after New, and not after
// everything has been asked for.
func TestNobodyIsThereAtFirst(t *testing.T) {
	t.Parallel()
	app, store, p, _ := pagesApp(t, nil)
	if calls := store.made(); len(calls) > 0 {
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
	for _, call := range store.made() {
		if call == "CreateUser" || call == "UpdateAccount" {
			t.Errorf("calls %v", store.made())
		}
	}
}

// Every way in, and what is kept of it, is closed to an account that is disabled
// or gone.
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
			plain, _ := hookedApp(t, loadedBy(auth.BearerLoader(), auth.BasicLoader("test"), byHeader()))
			app := newInsider(plain)
			u := member(t, plain, "susan", testapp.Password)
			login, device := app.Client(t), remembered(t, plain, "susan")
			login.Login("susan")
			device.Restart()
			token, reset := newToken(t, plain, u), resetToken(t, plain, u)
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
					app.in(c, func(ctx context.Context) { _ = app.LoginUser(ctx, u) })
					return c.Who() == "susan"
				},
				"Basic":            func() bool { return by(basicHeader("susan", testapp.Password)) },
				"an API token":     func() bool { return by(bearerHeader(token.Reveal())) },
				"a request loader": func() bool { return by(as(u)) },
				"a new API token, with the account as it was": func() bool {
					fresh, _, err := app.NewAPIToken(t.Context(), u, auth.APIToken{Scopes: []string{auth.ScopeAll}, Expires: app.Clock.Now().Add(time.Hour)})
					return err == nil && by(bearerHeader(fresh.Reveal()))
				},
				"a reset link": func() bool { return usable(t, plain, reset) },
			}
			for way, in := range ways {
				if !in() {
					t.Errorf("%s is no way in at all", way)
				}
			}
			u = stored(t, plain, u.ID) // logins may have upgraded the hash
			reset = resetToken(t, plain, u)
			shut(t, plain, u.ID)
			for way, in := range ways {
				if in() {
					t.Errorf("%s lets susan in", way)
				}
			}
		})
	}
}

// Logging in and out.

func TestFlaskLoginIsFresh(t *testing.T) {
	app, _ := flaskApp(t, nil)
	c := app.Client(t)
	expectState(t, c, nil, "nobody")
	if r := c.Post("/as/plain"); r.Text != "susan fresh" {
		t.Errorf("in the request that logs in: %q", r.Text)
	}
	expectState(t, c, nil, "susan fresh")
}

func TestFlaskLoginNotFresh(t *testing.T) {
	app, _ := flaskApp(t, nil)
	c := app.Client(t)
	if r := c.Post("/as/stale"); r.Text != "susan stale" {
		t.Errorf("in the request that logs in: %q", r.Text)
	}
	expectState(t, c, nil, "susan stale")
	expectSent(t, c.Get("/sensitive"), "/refresh?next=%2Fsensitive")
}

func TestFlaskLoginRemembered(t *testing.T) {
	app, _ := flaskApp(t, nil)
	c := app.Client(t)
	if r := c.Post("/as/remembered"); r.Text != "susan fresh remembered" {
		t.Errorf("in the request that logs in: %q", r.Text)
	}
	expectState(t, c, nil, "susan fresh remembered")
	c.Restart()
	expectState(t, c, nil, "susan stale remembered")
}

// An ID that is empty is no ID, and a login that fails is an error that cannot
// be mistaken.
func TestFlaskEmptyIDCannotLogIn(t *testing.T) {
	app, _ := flaskApp(t, nil)
	app.Mux.HandleFunc("POST /empty", func(_ http.ResponseWriter, r *http.Request) {
		if err := app.LoginUser(r.Context(), &testapp.User{}); err == nil {
			t.Error("no error")
		}
		if _, ok := app.CurrentUser(r.Context()); ok {
			t.Error("somebody is logged in")
		}
	})
	if r := app.Client(t).Post("/empty"); len(r.Cookies()) > 0 {
		t.Errorf("cookies %v", r.Cookies())
	}
}

package auth_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// the personal page of a login that ends meanwhile is not no-store.
func TestNoStoreLost(t *testing.T) {
	app, _, _ := newTrap(t, nil)
	app.Create(t, "susan", false)
	arrived, release := make(chan struct{}), make(chan struct{})
	app.Mux.Handle("GET /slow", app.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, _ := app.CurrentUser(r.Context())
		app.Sessions().Put(r.Context(), "n", "x")
		close(arrived)
		<-release
		fmt.Fprint(w, "private: ", u.Email)
	})))
	c := app.Client(t)
	c.Login("susan")
	other := c.Clone()
	got := make(chan *testapp.Response)
	go func() { got <- c.Get("/slow") }()
	<-arrived
	other.Post("/logout")
	close(release)
	r := <-got
	if r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: Cache-Control %q, Vary %q", r.Text, r.Header.Get("Cache-Control"), r.Header.Get("Vary"))
	}
}

// Everything at once, in one request, under the race detector: nothing waits
// for itself, and nothing is left.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	plain, _ := newApp(t, func(c *auth.Config) {
		c.RequestLoaders = []auth.RequestLoader{auth.BearerLoader()}
		c.Protection, c.MaxSessions, c.NextInCookie = auth.ProtectBasic, 3, true
	})
	app := newInsider(plain)
	u := app.Create(t, "susan", false)
	sessions := app.Sessions()
	scope := app.RequireScope("read")(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = app.User(r.Context()) }))
	for round := range 15 {
		c := remembered(t, plain, "susan")
		app.Clock.Advance(time.Minute)
		if round%3 == 0 {
			c.Restart()
		}
		app.in(c, func(ctx context.Context) {
			request := func() *http.Request { return httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil) }
			var wg sync.WaitGroup
			for _, f := range []func(){
				func() { _, _ = app.User(ctx) },
				func() { _, _ = app.CurrentLogin(ctx) },
				func() { _ = app.CheckFresh(ctx, time.Minute) },
				func() { _ = app.ConfirmLogin(ctx) },
				func() { _ = sessions.RenewToken(ctx) },
				func() { sessions.Put(ctx, "k", "v"); _, _, _ = sessions.Commit(ctx) },
				func() { _, _ = app.Logins(ctx, u.ID) },
				func() { _ = app.EndOtherLogins(ctx) },
				func() { _ = app.LoginUser(ctx, reload(t, plain, u.ID), auth.Remember(true)) },
				func() {
					if round%2 == 0 {
						_ = app.LogoutUser(ctx)
					} else {
						_ = sessions.Destroy(ctx)
					}
				},
				func() { _, stop := app.WhileLoggedIn(ctx); defer stop() },
				func() { scope.ServeHTTP(httptest.NewRecorder(), request()) },
				func() { app.Error(httptest.NewRecorder(), request(), auth.ErrNotFresh) },
				func() { _ = app.TakeNext(request()); _ = app.Flash(ctx, "", "x"); _ = app.Flashes(ctx) },
				func() {
					if round%5 == 4 {
						_ = app.LogoutEverywhere(ctx, u)
					}
				},
			} {
				wg.Go(f)
				wg.Go(f)
			}
			wg.Wait()
		})
	}
	if err := app.LogoutEverywhere(t.Context(), u); err != nil {
		t.Error(err)
	}
	if l := logins(t, plain, u.ID); len(l) > 0 {
		t.Error(l)
	}
}

// Whatever is in the query, a request with a safe method does nothing.
func TestSafeMethodsChangeNothing(t *testing.T) {
	t.Parallel()
	app, store, p, box := pagesApp(t, nil)
	u := member(t, app, "susan", testapp.Password)
	h := app.LoadAndSave(p)
	c, other := app.Client(t), app.Client(t)
	c.Login("susan")
	other.Login("susan")
	query := url.Values{
		"login": {"susan"}, "email": {"susan@app.example"}, "username": {"new"}, "id": {logins(t, app, u.ID)[1].ID}, "others": {"1"},
		"current_password": {testapp.Password}, "password": {resetTo}, "confirm_password": {resetTo}, "remember_me": {"y"},
		"token": {resetToken(t, app, u)}, "_method": {"POST"},
	}
	for _, path := range p.Paths() {
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			for who, header := range map[string]http.Header{"a visitor": {}, "susan": cookieHeader(c.Cookies)} {
				store.hook(nil, nil)
				header.Set("X-HTTP-Method-Override", "POST")
				before := app.Core().PasswordHashes()
				w := direct(t, h, method, path+"?"+query.Encode(), header)
				if wrote(store) || app.Core().PasswordHashes() != before || len(box.take()) > 0 || w.Code >= 500 {
					t.Errorf("%s %s by %s: %d, calls %v", method, path, who, w.Code, store.made())
				}
			}
		}
	}
	if c.Who() != "susan" || other.Who() != "susan" || !opens(t, app, u.ID, testapp.Password) {
		t.Error("something was changed")
	}
}

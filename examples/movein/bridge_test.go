package movein_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/examples/movein"
	"github.com/gorilla/sessions"
)

type User struct{ auth.Account }

var _ auth.User = (*User)(nil)

// An oldApp is an application before the move: login returns the cookies of a user's session.
type oldApp struct {
	read  movein.Reader
	login func(t *testing.T, id string) []*http.Cookie
}

func oldApps() map[string]oldApp {
	withSCS := scs.New()
	withGorilla := sessions.NewCookieStore([]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq"))
	return map[string]oldApp{
		"scs": {movein.SCS(withSCS, "userID"), func(t *testing.T, id string) []*http.Cookie {
			ctx, err := withSCS.Load(t.Context(), "")
			check(t, err)
			withSCS.Put(ctx, "userID", id)
			token, _, err := withSCS.Commit(ctx)
			check(t, err)
			return []*http.Cookie{{Name: withSCS.Cookie.Name, Value: token}}
		}},
		"gorilla": {movein.Gorilla(withGorilla, "session", "userID"), func(t *testing.T, id string) []*http.Cookie {
			w, r := httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			session, err := withGorilla.Get(r, "session")
			check(t, err)
			session.Values["userID"] = id
			check(t, session.Save(r, w))
			return w.Result().Cookies()
		}},
	}
}

// TestBridge: a session of the old library logs its user in once. After a logout it does not,
// nor after the account has changed, nor for an account that may not log in, nor too late.
func TestBridge(t *testing.T) {
	t.Parallel()
	for name, old := range oldApps() {
		test := authtest.New[User](t)
		manager, err := auth.New(test.Store, test.Config)
		check(t, err)
		bridge, err := movein.NewBridge(manager, auth.UserLoader[*User](test.Store), old.read, test.Clock.Now().Add(24*time.Hour))
		check(t, err)
		mux := http.NewServeMux()
		mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
			user, ok := manager.CurrentUser(r.Context())
			if !ok {
				user = &User{}
			}
			_, _ = fmt.Fprintf(w, "%s, fresh: %v", user.Username, manager.Check(r.Context(), auth.Fresh(0)) == nil)
		})
		mux.HandleFunc("POST /logout", func(_ http.ResponseWriter, r *http.Request) { _ = manager.LogoutUser(r.Context()) })
		handler := manager.LoadAndSave(bridge.Wrap(mux))
		user := func(name string) *User {
			u, err := manager.Register(t.Context(), auth.Registration{Username: name, Email: name + "@app.example", Password: "staple battery horse"})
			check(t, err)
			return u
		}
		come := func(cookies []*http.Cookie) (*authtest.Client, string) {
			c := authtest.NewClient(t, manager.Core, handler)
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
			for _, cookie := range cookies {
				r.AddCookie(cookie)
			}
			return c, c.Do(r).Text
		}
		susan := user("susan")
		cookies := old.login(t, susan.ID)
		c, first := come(cookies)
		if first != "susan, fresh: false" || c.Get("/").Text != first {
			t.Errorf("%s: %q, then %q", name, first, c.Get("/").Text)
		}
		c.Post("/logout", nil)
		const nobody = ", fresh: false"
		if _, again := come(cookies); again != nobody || c.Get("/").Text != nobody {
			t.Errorf("%s: the old cookie works twice: %q", name, again)
		}
		if name == "gorilla" { // an older or newer cookie of the same session cannot be told from the first
			if _, again := come(old.login(t, susan.ID)); again != nobody {
				t.Errorf("another cookie of the session works: %q", again)
			}
		}
		changed := user("jacob")
		stolen := old.login(t, changed.ID)
		check(t, manager.SetPassword(context.Background(), changed, "another battery staple"))
		disabled := user("mabel")
		owned := old.login(t, disabled.ID)
		check(t, manager.Disable(context.Background(), disabled.ID))
		for what, cookies := range map[string][]*http.Cookie{
			"a changed account": stolen, "a disabled account": owned, "an unknown account": old.login(t, "4711"),
			"no account": old.login(t, ""), "garbage": {{Name: "session", Value: "x"}}, "nothing": nil,
		} {
			if _, got := come(cookies); got != nobody {
				t.Errorf("%s: %s: %q", name, what, got)
			}
		}
		late := old.login(t, user("late").ID)
		test.Clock.Advance(25 * time.Hour)
		if _, got := come(late); got != nobody {
			t.Errorf("%s: too late: %q", name, got)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

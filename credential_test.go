package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
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

func TestCredentialsAreAskedInOrder(t *testing.T) {
	t.Parallel()
	type load = func() (auth.Grant, error)
	zero := func() (auth.Grant, error) { return auth.Grant{}, nil }
	found := func() (auth.Grant, error) { return auth.Grant{UserID: "susan's"}, nil }
	gone := func() (auth.Grant, error) { return auth.Grant{UserID: "gone"}, nil }
	refused := func() (auth.Grant, error) { return auth.Grant{}, fmt.Errorf("%w: here", auth.ErrLoginRefused) }
	both := func() (auth.Grant, error) { return auth.Grant{UserID: "susan's"}, auth.ErrInvalidCredentials }
	failed := func() (auth.Grant, error) { return auth.Grant{UserID: "susan's"}, errStore }
	busy := func() (auth.Grant, error) { return auth.Grant{}, auth.ErrBusy }
	for name, test := range map[string]struct {
		loaders []load
		asked   int
		status  int
		who     string
	}{
		"none":                      {nil, 0, 200, "nobody"},
		"the first":                 {[]load{found, failed}, 1, 200, "susan"},
		"the third":                 {[]load{zero, zero, found, failed}, 3, 200, "susan"},
		"a refusal ends the search": {[]load{zero, refused, found, failed}, 2, 200, "nobody"},
		"zero, then refused":        {[]load{zero, refused}, 2, 200, "nobody"},
		"refused, and a user":       {[]load{both}, 1, 200, "nobody"},
		"gone":                      {[]load{gone}, 1, 200, "nobody"},
		"gone, then found":          {[]load{gone, found}, 1, 200, "nobody"},
		"failed":                    {[]load{zero, failed, found}, 2, 503, ""},
		"busy":                      {[]load{busy, found}, 1, 503, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked := 0
			app, _ := newApp(t, func(c *auth.Config) {
				for i, load := range test.loaders {
					c.Credentials = append(c.Credentials, auth.Credential{Load: func(r *http.Request) (auth.Grant, error) {
						if i != asked || r.URL.Path == "/" {
							t.Errorf("Credential %d was asked as number %d, for %s", i, asked, r.URL.Path)
						}
						asked++
						return load()
					}})
				}
			})
			member(t, app, "susan", "", func(a *auth.Account) { a.ID = "susan's" })
			c := app.Client(t)
			c.Get("/") // a page that does not ask for the user
			r := c.Get("/who")
			if r.StatusCode != test.status || test.status == 200 && r.Text != test.who || asked != test.asked || len(r.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s %q, %d were asked, cookies %v", r.Status, r.Text, asked, r.Header["Set-Cookie"])
			}
			if (r.StatusCode == http.StatusServiceUnavailable) != (r.Header.Get("Retry-After") != "") {
				t.Errorf("%s with Retry-After %q", r.Status, r.Header.Get("Retry-After"))
			}
			asked = 0
			if r := c.Get("/guarded"); test.status == 200 && (r.StatusCode == http.StatusOK) != (test.who == "susan") || test.status >= 500 && r.StatusCode != test.status {
				t.Errorf("guarded: %s", r.Status)
			}
		})
	}
}

// If Load returns an error that is no refusal, the answer is a 5xx, whatever the error
// wraps.
func TestCredentialErrorsAre5xx(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{
		errStore, auth.ErrUserNotFound, auth.ErrRecordNotFound, auth.ErrNoSession, context.DeadlineExceeded,
		auth.ErrInvalidToken, auth.ErrConflict, auth.ErrNotLoggedIn, auth.ErrLoggedOut, auth.ErrOutOfScope, auth.ErrNotFresh,
		auth.ErrAPITokenNotFound, auth.ErrInvalidEmail,
	} {
		app, _ := newApp(t, loadedBy(auth.Credential{Load: func(*http.Request) (auth.Grant, error) {
			return auth.Grant{}, fmt.Errorf("asking the directory: %w", failure)
		}}))
		for _, path := range []string{"/who", "/guarded"} {
			if r := app.Client(t).Get(path); r.StatusCode < 500 {
				t.Errorf("%s, %v: %s %q", path, failure, r.Status, r.Text)
			}
		}
		if !strings.Contains(app.Logs(), failure.Error()) {
			t.Errorf("%v is not in the log", failure)
		}
	}
}

// If Load or the user store fails, a second call in the same request asks again.
func TestFailedCredentialIsAskedAgain(t *testing.T) {
	t.Parallel()
	fails := 1
	app, _ := newApp(t, loadedBy(auth.Credential{Load: func(r *http.Request) (auth.Grant, error) {
		if fails--; fails >= 0 {
			return auth.Grant{}, errStore
		}
		return auth.Grant{UserID: r.Header.Get("X-User")}, nil
	}}))
	u := member(t, app, "susan", "")
	app.Act(app.Client(t), as(u), func(_ http.ResponseWriter, r *http.Request) {
		if _, err := app.User(r.Context()); !errors.Is(err, errStore) {
			t.Errorf("at first: %v", err)
		}
		app.Spy().Hook(on("LoadUser", func() error { return errStore }), nil)
		if _, err := app.User(r.Context()); !errors.Is(err, errStore) {
			t.Errorf("the user store fails: %v", err)
		}
		for range 2 {
			if got, err := app.User(r.Context()); err != nil || got.ID != u.ID {
				t.Errorf("then: %v", err)
			}
		}
	})
	if fails != -2 {
		t.Errorf("it was asked %d times", 1-fails)
	}
}

// Credentials come before cookies: if a Credential finds its own kind in the request,
// the cookie's user is ignored, whether the credentials are right or wrong. If no
// Credential finds its kind, the cookie counts.
func TestCredentialsBeforeCookies(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, loadedBy(auth.Bearer(), auth.Basic("test"), byHeader()))
	app.Mux.Handle("/data", app.RequireScope("data")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, _ := app.CurrentUser(r.Context())
		_, _ = w.Write([]byte(u.Username))
	})))
	susan := member(t, app, "susan", "")
	mike := member(t, app, "mike", testapp.Password)
	dora := member(t, app, "dora", testapp.Password, func(a *auth.Account) { a.Disabled = true })
	token, _ := issue(t, app, mike, "data")
	basic := func(text string) http.Header { return http.Header{"Authorization": {text}} }
	good := base64.StdEncoding.EncodeToString([]byte("mike:" + testapp.Password))
	for name, test := range map[string]struct {
		header http.Header
		who    string // "": the user of the cookie
	}{
		"a token":                       {bearerHeader(token), "mike"},
		"a token in other case":         {basic("bEARER " + token), "mike"},
		"a password":                    {basicHeader("mike", testapp.Password), "mike"},
		"a password in other case":      {basic("bASIC " + good), "mike"},
		"a key":                         {as(mike), "mike"},
		"an unknown token":              {bearerHeader("goauth_" + strings.Repeat("A", 43)), "nobody"},
		"a token of another kind":       {bearerHeader("eyJhbGciOiJIUzI1NiJ9.e30.x"), "nobody"},
		"a token too long":              {bearerHeader(token + "A"), "nobody"},
		"two tokens in one":             {bearerHeader(token + " " + token), "nobody"},
		"a token and a space":           {basic("Bearer  " + token + " x"), "nobody"},
		"the scheme alone":              {basic("Bearer"), "nobody"},
		"the scheme and a space":        {basic("Bearer "), "nobody"},
		"the scheme and a tab":          {basic("Bearer\t" + token), "nobody"},
		"the header twice":              {http.Header{"Authorization": {"Bearer " + token, "Bearer " + token}}, "nobody"},
		"two schemes":                   {http.Header{"Authorization": {"Negotiate x", "Bearer " + token}}, "nobody"},
		"a wrong password":              {basicHeader("mike", "wrong password"), "nobody"},
		"an unknown user":               {basicHeader("nobody", "wrong password"), "nobody"},
		"a disabled user":               {basicHeader("dora", testapp.Password), "nobody"},
		"no password":                   {basicHeader("mike", ""), "nobody"},
		"no colon":                      {basic("Basic " + base64.StdEncoding.EncodeToString([]byte("mike"))), "nobody"},
		"no base64":                     {basic("Basic !!!"), "nobody"},
		"Basic alone":                   {basic("basic"), "nobody"},
		"Basic twice":                   {http.Header{"Authorization": {"Basic " + good, "Basic " + good}}, "nobody"},
		"a key of a disabled user":      {as(dora), "nobody"},
		"a key of an unknown user":      {http.Header{"X-User": {"unknown"}}, "nobody"},
		"a wrong token and a right key": {http.Header{"Authorization": {"Bearer x"}, "X-User": {mike.ID}}, "nobody"},
		"nothing":                       {http.Header{}, ""},
		"an empty header":               {basic(""), ""},
		"another scheme":                {basic("Digest username=mike"), ""},
		"no scheme":                     {basic(good), ""},
		"a longer scheme":               {basic("Bearerx " + token), ""},
		"a proxy's":                     {http.Header{"Proxy-Authorization": {"Basic " + good}}, ""},
	} {
		for _, remembered := range []bool{false, true} {
			c := app.Client(t)
			app.Enter(t, c, susan, auth.Remember(true))
			if remembered {
				c.Restart()
			}
			before := c.Clone()
			app.Spy().Reset()
			r := c.Do("GET", "/who", nil, test.header)
			want := test.who
			switch {
			case want == "":
				want = "susan"
			case strings.Contains(name, "token") && want == "mike":
				want = "" // a token with scopes, on a page that asks for none
			}
			if want != "" && r.Text != want || want == "" && r.StatusCode != http.StatusForbidden {
				t.Errorf("%s, remembered=%v: %s %q", name, remembered, r.Status, r.Text)
			}
			guarded := c.Do("GET", "/data", nil, test.header)
			switch {
			case test.who == "nobody" && (guarded.StatusCode != http.StatusUnauthorized || guarded.Header.Get("Location") != ""):
				t.Errorf("%s, remembered=%v: a guard answers %s", name, remembered, guarded.Status)
			case test.who == "mike" && guarded.Text != "mike", test.who == "" && guarded.Text != "susan":
				t.Errorf("%s, remembered=%v: behind a guard it is %q", name, remembered, guarded.Text)
			}
			if test.who == "" {
				continue
			}
			if len(r.Header["Set-Cookie"])+len(guarded.Header["Set-Cookie"]) > 0 || !maps.Equal(before.Cookies, c.Cookies) {
				t.Errorf("%s, remembered=%v: cookies %v, %v", name, remembered, r.Header["Set-Cookie"], guarded.Header["Set-Cookie"])
			}
			if who := c.Who(); who != "susan" {
				t.Errorf("%s, remembered=%v: then the cookies are %q's", name, remembered, who)
			}
		}
	}
	// Credentials do not let a request from another site through.
	for _, header := range []http.Header{bearerHeader(token), basicHeader("mike", testapp.Password), as(mike)} {
		header.Set("Sec-Fetch-Site", "cross-site")
		header.Set("Origin", "https://evil.example")
		if r := app.Client(t).Do("POST", "/data", nil, header); r.StatusCode != http.StatusForbidden || r.Text == "mike" {
			t.Errorf("cross-origin: %s %q", r.Status, r.Text)
		}
	}
}

// A request with its own credentials neither reads nor writes the browser's session,
// data, messages or next.
func TestCredentialsLeaveTheSessionAlone(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) {
		c.Credentials = []auth.Credential{auth.Basic("test"), byHeader()}
		c.URLs.NextInCookie = true
	})
	susan := member(t, app, "susan", "")
	mike := member(t, app, "mike", "")
	sessions := app.SessionData()
	actions := map[string]http.HandlerFunc{
		"get": func(_ http.ResponseWriter, r *http.Request) {
			if got := sessions.GetString(r.Context(), "k"); got != "" {
				t.Errorf("the session's data is %q", got)
			}
		},
		"put": func(_ http.ResponseWriter, r *http.Request) { sessions.Put(r.Context(), "k", "changed") },
		"commit": func(_ http.ResponseWriter, r *http.Request) {
			sessions.Put(r.Context(), "k", "changed")
			_, _, _ = sessions.Commit(r.Context())
		},
		"renew":   func(_ http.ResponseWriter, r *http.Request) { _ = sessions.RenewToken(r.Context()) },
		"clear":   func(_ http.ResponseWriter, r *http.Request) { _ = sessions.Clear(r.Context()) },
		"destroy": func(_ http.ResponseWriter, r *http.Request) { _ = sessions.Destroy(r.Context()) },
		"logout":  func(_ http.ResponseWriter, r *http.Request) { _ = app.LogoutUser(r.Context()) },
		"confirm": func(_ http.ResponseWriter, r *http.Request) { _ = app.ConfirmLogin(r.Context()) },
		"others":  func(_ http.ResponseWriter, r *http.Request) { _ = app.EndOtherLogins(r.Context()) },
		"flash":   func(_ http.ResponseWriter, r *http.Request) { _ = app.Flash(r.Context(), "info", "another") },
		"flashes": func(_ http.ResponseWriter, r *http.Request) {
			if got := app.Flashes(r.Context()); len(got) > 0 {
				t.Errorf("messages %v", got)
			}
		},
		"next": func(_ http.ResponseWriter, r *http.Request) {
			if got := app.TakeNext(r); !got.IsZero() {
				t.Errorf("next is %v", got)
			}
		},
		"refused": func(w http.ResponseWriter, r *http.Request) { app.Error(w, r, auth.ErrNotLoggedIn) },
		"stale":   func(w http.ResponseWriter, r *http.Request) { app.Error(w, r, auth.ErrNotFresh) },
	}
	isEnrolled := func(kind string) bool { return kind == "enrolled" } // a gate reads this record
	for name, action := range actions {
		for kind, header := range map[string]http.Header{
			"right": as(mike), "wrong": {"X-User": {"unknown"}}, "malformed": {"Authorization": {"Basic !"}},
		} {
			for _, remembered := range []bool{false, true} {
				c := app.Client(t)
				c.Get("/guarded") // a message and a next are waiting
				app.Enter(t, c, susan, auth.Remember(true))
				c.Post("/put", "key", "k", "value", "kept")
				kept := "kept"
				if remembered {
					kept = ""
					for name := range c.Cookies {
						if !strings.HasSuffix(name, "-remember") && !strings.HasSuffix(name, "-flash") && !strings.HasSuffix(name, "-next") {
							delete(c.Cookies, name)
						}
					}
				}
				before := c.Clone()
				app.Clock.Advance(2 * time.Minute) // a request that used the session would touch it
				app.Spy().Reset()
				r := app.Act(c, header, action)
				if len(r.Header["Set-Cookie"]) > 0 || !maps.Equal(before.Cookies, c.Cookies) || app.Spy().Writes() > 0 || len(slices.DeleteFunc(app.Spy().Kinds(), isEnrolled)) > 0 {
					t.Errorf("%s, %s, remembered=%v: cookies %v, calls %v", name, kind, remembered, r.Header["Set-Cookie"], app.Spy().Calls())
				}
				if r.StatusCode != http.StatusOK && r.StatusCode != http.StatusUnauthorized {
					t.Errorf("%s, %s, remembered=%v: %s", name, kind, remembered, r.Status)
				}
				if who, got := c.Who(), c.Get("/get?key=k").Text; who != "susan" || got != kept {
					t.Errorf("%s, %s, remembered=%v: then it is %q with %q", name, kind, remembered, who, got)
				}
				if _, flash := cookieNamed(c, "-flash"); flash == "" {
					t.Errorf("%s, %s, remembered=%v: the message is gone", name, kind, remembered)
				}
			}
		}
	}
}

// A request computes at most one hash, and only if the handler asks for the user or
// uses the session, even if the request has a cookie, too.
func TestCredentialsAreCheckedWhenNeeded(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, loadedBy(auth.Basic("test")))
	susan := member(t, app, "susan", "")
	app.Create(t, "mike", true)
	app.Client(t).Do("GET", "/who", nil, basicHeader("mike", testapp.Password)) // upgrades the hash
	c := app.Client(t)
	app.Enter(t, c, susan)
	for name, test := range map[string]struct {
		f      http.HandlerFunc
		hashes uint64
	}{
		"nothing": {func(http.ResponseWriter, *http.Request) {}, 0},
		"user":    {func(_ http.ResponseWriter, r *http.Request) { _, _ = app.User(r.Context()) }, 1},
		"data":    {func(_ http.ResponseWriter, r *http.Request) { _ = app.SessionData().GetString(r.Context(), "k") }, 1},
		"flash":   {func(_ http.ResponseWriter, r *http.Request) { _ = app.Flash(r.Context(), "info", "x") }, 1},
		"all": {func(_ http.ResponseWriter, r *http.Request) {
			app.SessionData().Put(r.Context(), "k", "v")
			_ = app.Flashes(r.Context())
			_, _ = app.User(r.Context())
			_ = app.LogoutUser(r.Context())
		}, 1},
	} {
		for _, password := range []string{testapp.Password, "wrong password"} {
			before := app.PasswordHashes()
			app.Act(c, basicHeader("mike", password), test.f)
			if got := app.PasswordHashes() - before; got != test.hashes {
				t.Errorf("%s: %d hashes, want %d", name, got, test.hashes)
			}
		}
	}
	if who := c.Who(); who != "susan" {
		t.Errorf("then it is %q", who)
	}
}

// If Load fails, the answer is never that for an anonymous visitor, whatever the
// handler calls.
func TestCredentialFailureIsNotAnonymous(t *testing.T) {
	t.Parallel()
	fails := true
	app, _ := newApp(t, loadedBy(auth.Credential{Load: func(*http.Request) (auth.Grant, error) {
		if fails {
			return auth.Grant{}, errStore
		}
		return auth.Grant{}, nil
	}}))
	u := member(t, app, "susan", "")
	c := app.Client(t)
	fails = false
	app.Enter(t, c, u)
	c.Post("/put", "key", "k", "value", "kept")
	for name, f := range map[string]http.HandlerFunc{
		"get":   func(_ http.ResponseWriter, r *http.Request) { _ = app.SessionData().GetString(r.Context(), "k") },
		"put":   func(_ http.ResponseWriter, r *http.Request) { app.SessionData().Put(r.Context(), "k", "lost") },
		"flash": func(_ http.ResponseWriter, r *http.Request) { _ = app.Flash(r.Context(), "info", "x") },
		"login": func(_ http.ResponseWriter, r *http.Request) {
			if err := app.LoginUser(r.Context(), u); !errors.Is(err, errStore) {
				t.Errorf("LoginUser: %v", err)
			}
		},
		"logout": func(_ http.ResponseWriter, r *http.Request) {
			if err := app.LogoutUser(r.Context()); !errors.Is(err, errStore) {
				t.Errorf("LogoutUser: %v", err)
			}
		},
	} {
		fails = true
		r := app.Act(c, nil, f)
		fails = false
		if r.StatusCode < 500 || len(r.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s: %s, cookies %v", name, r.Status, r.Header["Set-Cookie"])
		}
		if who, got := c.Who(), c.Get("/get?key=k").Text; who != "susan" || got != "kept" {
			t.Errorf("%s: then it is %q with %q", name, who, got)
		}
	}
}

// Credentials count even if the session of the request is void.
func TestCredentialsAfterVoidSession(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *testapp.App, *testapp.User){
		"another stamp": func(t *testing.T, app *testapp.App, u *testapp.User) {
			change(t, app, u.ID, func(a *auth.Account) { a.Stamp = auth.NewSecret("new") })
		},
		"disabled": func(t *testing.T, app *testapp.App, u *testapp.User) {
			change(t, app, u.ID, func(a *auth.Account) { a.Disabled = true })
		},
		"deleted": func(t *testing.T, app *testapp.App, u *testapp.User) { deleteUser(t, app, u.ID) },
		"a device whose account has another stamp": func(t *testing.T, app *testapp.App, u *testapp.User) {
			change(t, app, u.ID, func(a *auth.Account) { a.Stamp = auth.NewSecret("new") })
		},
	} {
		app, _ := newApp(t, loadedBy(byHeader()))
		susan := member(t, app, "susan", "")
		mike := member(t, app, "mike", "")
		c := app.Client(t)
		app.Enter(t, c, susan, auth.Remember(true))
		if strings.HasPrefix(name, "a device") {
			c.Restart()
		}
		end(t, app, susan)
		if r := c.Do("GET", "/who", nil, as(mike)); r.Text != "mike" || len(r.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s: %q, cookies %v", name, r.Text, r.Header["Set-Cookie"])
		}
	}
}

// A request with its own credentials sets no cookie, makes no record, and is never
// fresh.
func TestRequestWithCredentialsStoresNothing(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) {
		c.Credentials = []auth.Credential{byHeader()}
		c.URLs.NextInCookie = true
	})
	u := member(t, app, "susan", "")
	sessions := app.SessionData()
	for name, f := range map[string]http.HandlerFunc{
		"flash": func(_ http.ResponseWriter, r *http.Request) { _ = app.Flash(r.Context(), "info", "hello") },
		"put":   func(_ http.ResponseWriter, r *http.Request) { sessions.Put(r.Context(), "k", "v") },
		"commit": func(_ http.ResponseWriter, r *http.Request) {
			sessions.Put(r.Context(), "k", "v")
			_, _, _ = sessions.Commit(r.Context())
		},
		"renew": func(_ http.ResponseWriter, r *http.Request) {
			_ = sessions.RenewToken(r.Context())
			sessions.Put(r.Context(), "k", "v")
		},
		"destroy": func(_ http.ResponseWriter, r *http.Request) { _ = sessions.Destroy(r.Context()) },
		"logout":  func(_ http.ResponseWriter, r *http.Request) { _ = app.LogoutUser(r.Context()) },
		"confirm": func(_ http.ResponseWriter, r *http.Request) { _ = app.ConfirmLogin(r.Context()) },
		"not fresh": func(w http.ResponseWriter, r *http.Request) {
			app.Error(w, r, app.Check(r.Context(), auth.Fresh(0))) // with a message, and next in the cookie
		},
		"others": func(_ http.ResponseWriter, r *http.Request) { _ = app.EndOtherLogins(r.Context()) },
	} {
		for _, first := range []bool{true, false} { // asking for the user before or after
			c := app.Client(t)
			app.Spy().Reset()
			r := app.Act(c, as(u), func(w http.ResponseWriter, r *http.Request) {
				if first {
					_, _ = app.User(r.Context())
				}
				f(w, r)
				if got, err := app.User(r.Context()); name != "logout" && name != "destroy" && (err != nil || got.ID != u.ID) {
					t.Errorf("%s: the user is %v, %v", name, got, err)
				}
				if err := app.Check(r.Context(), auth.Fresh(0)); err == nil {
					t.Errorf("%s: fresh", name)
				}
			})
			if len(r.Header["Set-Cookie"]) > 0 || len(c.Cookies) > 0 || app.Spy().Writes() > 0 {
				t.Errorf("%s, first=%v: cookies %v, calls %v", name, first, r.Header["Set-Cookie"], app.Spy().Calls())
			}
			if r.StatusCode == http.StatusOK && (!strings.Contains(strings.Join(r.Header["Vary"], ","), "Authorization") || name != "logout" && name != "destroy" && r.Header.Get("Cache-Control") != "no-store") {
				t.Errorf("%s: %v", name, r.Header)
			}
		}
	}
	// The same if the handler does not ask for the user.
	for name, f := range map[string]http.HandlerFunc{
		"put": func(_ http.ResponseWriter, r *http.Request) { sessions.Put(r.Context(), "k", "v") },
	} {
		app.Spy().Reset()
		if r := app.Act(app.Client(t), as(u), f); len(r.Header["Set-Cookie"]) > 0 || app.Spy().Writes() > 0 {
			t.Errorf("%s, without asking for the user: cookies %v, calls %v", name, r.Header["Set-Cookie"], app.Spy().Calls())
		}
	}
	// A visitor's data is kept as usual.
	c := app.Client(t)
	if c.Post("/put", "key", "k", "value", "v"); c.Get("/get?key=k").Text != "v" {
		t.Error("a visitor's data is lost")
	}
	// The messages of guards set no cookie either.
	for _, path := range []string{"/fresh", "/fresh5"} {
		r := app.Client(t).Do("GET", path, nil, as(u))
		if r.StatusCode != http.StatusUnauthorized || len(r.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s: %s, cookies %v", path, r.Status, r.Header["Set-Cookie"])
		}
	}
}

// If the account that a Credential finds is disabled, deleted, or has another Stamp,
// the request is anonymous. No later Credential is asked.
func TestAccountOfCredentialIsChecked(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		grant auth.Grant
		want  error
	}{
		"disabled":      {auth.Grant{UserID: "disabled", Method: "key"}, auth.ErrDisabled},
		"unknown":       {auth.Grant{UserID: "unknown", Method: "key"}, auth.ErrUserNotFound},
		"another stamp": {auth.Grant{UserID: "susan's", Method: "key", Stamp: auth.NewSecret("old")}, auth.ErrLoggedOut},
		"its stamp":     {auth.Grant{UserID: "susan's", Method: "key", Stamp: auth.NewSecret("stamp of susan")}, nil},
		"no stamp":      {auth.Grant{UserID: "susan's", Method: "key"}, nil},
	} {
		for _, second := range []bool{false, true} {
			app, _ := newApp(t, func(c *auth.Config) {
				c.Credentials = []auth.Credential{{Load: func(*http.Request) (auth.Grant, error) { return test.grant, nil }}}
				if second {
					c.Credentials = append(c.Credentials, byHeader())
				}
			})
			member(t, app, "susan", "", func(a *auth.Account) { a.ID = "susan's" })
			member(t, app, "dora", "", func(a *auth.Account) { a.ID, a.Disabled = "disabled", true })
			mike := member(t, app, "mike", "")
			want := "susan"
			if test.want != nil {
				want = "nobody"
			}
			r := app.Client(t).Do("GET", "/who", nil, as(mike))
			if r.Text != want {
				t.Errorf("%s, second=%v: %s %q", name, second, r.Status, r.Text)
			}
			events := app.Events()
			if test.want == nil {
				if len(events) > 0 {
					t.Errorf("%s: events %+v", name, events)
				}
				continue
			}
			if len(events) != 1 || events[0].Kind != auth.EventLoginRefused || events[0].UserID != test.grant.UserID ||
				events[0].Method != "key" || !errors.Is(events[0].Err, test.want) || events[0].Address == "" {
				t.Errorf("%s: events %+v", name, events)
			}
		}
	}
}

// If Load panics, no lock stays held, and nobody is logged in.
func TestCredentialPanics(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	app, _ := newApp(t, loadedBy(auth.Credential{Load: func(*http.Request) (auth.Grant, error) {
		calls.Add(1)
		panic("boom")
	}}))
	u := member(t, app, "susan", "")
	finish(t, func() {
		r := app.Act(app.Client(t), nil, func(_ http.ResponseWriter, r *http.Request) {
			ask := func() {
				defer func() { _ = recover() }()
				_, err := app.User(r.Context())
				if err == nil {
					t.Error("a user is logged in")
				}
			}
			ask()
			ask()
			if err := app.LogoutUser(r.Context()); err != nil {
				t.Error(err)
			}
			if err := app.LoginUser(r.Context(), u); err != nil {
				t.Error(err)
			}
			if got, err := app.User(r.Context()); err != nil || got.ID != u.ID {
				t.Errorf("then: %v", err)
			}
		})
		if r.StatusCode != http.StatusOK {
			t.Error(r.Status)
		}
	})
	if calls.Load() == 0 {
		t.Error("it was not asked")
	}
}

// In Load no session exists: asking for it is an error, and no deadlock.
func TestCredentialHasNoSession(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	var app *testapp.App
	app, _ = newApp(t, loadedBy(auth.Credential{Load: func(r *http.Request) (auth.Grant, error) {
		asked.Add(1)
		ctx := r.Context()
		u := stored(t, app, r.Header.Get("X-User"))
		_, err1 := app.User(ctx)
		_, err2 := app.CurrentLogin(ctx)
		for i, err := range []error{
			err1, err2, app.Check(ctx, auth.Fresh(0)), app.ConfirmLogin(ctx), app.LoginUser(ctx, u), app.LogoutUser(ctx),
			app.Flash(ctx, "", "x"), app.EndOtherLogins(ctx),
		} {
			if !errors.Is(err, auth.ErrNoSession) {
				t.Errorf("call %d: %v", i, err)
			}
		}
		if len(app.Flashes(ctx)) > 0 || !app.TakeNext(r).IsZero() {
			t.Error("flashes, or a next")
		}
		return auth.Grant{UserID: u.ID}, nil
	}}))
	u := member(t, app, "susan", "")
	finish(t, func() {
		if r := app.Client(t).Do("GET", "/guarded", nil, as(u)); r.Text != "susan" {
			t.Errorf("%s %q", r.Status, r.Text)
		}
	})
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
}

// A listener that gets an event of a Credential may ask for the user.
func TestCredentialEventsMayAskForTheUser(t *testing.T) {
	t.Parallel()
	var app *testapp.App
	var heard atomic.Int32
	app, _ = newApp(t, func(c *auth.Config) {
		c.Credentials = []auth.Credential{auth.Bearer(), auth.Basic("test"), byHeader()}
		c.OnEvent = func(ctx context.Context, _ auth.Event) {
			heard.Add(1)
			if app != nil {
				_, _ = app.User(ctx)
				_, _ = app.CurrentLogin(ctx)
			}
		}
	})
	disabled := member(t, app, "dora", "", func(a *auth.Account) { a.Disabled = true })
	member(t, app, "susan", testapp.Password)
	finish(t, func() {
		for _, header := range []http.Header{as(disabled), basicHeader("susan", "wrong password"), {"Authorization": {"Bearer goauth_" + strings.Repeat("A", 43)}}} {
			if r := app.Client(t).Do("GET", "/who", nil, header); r.Text != "nobody" {
				t.Errorf("%s %q", r.Status, r.Text)
			}
		}
	})
	if heard.Load() < 3 {
		t.Errorf("%d events", heard.Load())
	}
}

func TestCredentialIsAskedOnce(t *testing.T) {
	t.Parallel()
	for _, known := range []bool{true, false} {
		var asked atomic.Int32
		app, _ := newApp(t, loadedBy(auth.Credential{Load: func(r *http.Request) (auth.Grant, error) {
			asked.Add(1)
			return auth.Grant{UserID: r.Header.Get("X-User")}, nil
		}}))
		header := http.Header{}
		if u := member(t, app, "susan", ""); known {
			header = as(u)
		}
		app.Spy().Reset()
		app.Act(app.Client(t), header, func(_ http.ResponseWriter, r *http.Request) {
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					if u, ok := app.CurrentUser(r.Context()); ok != known || ok && u.Username != "susan" {
						t.Errorf("it is %v", u)
					}
				})
				wg.Go(func() { _ = app.Check(r.Context(), auth.Fresh(0)) })
				wg.Go(func() { app.SessionData().Put(r.Context(), "k", "v") })
			}
			wg.Wait()
		})
		loads := slices.DeleteFunc(app.Spy().Calls(), func(c string) bool { return c != "LoadUser" })
		if asked.Load() != 1 || known && len(loads) != 1 {
			t.Errorf("known=%v: asked %d times, loaded %d times", known, asked.Load(), len(loads))
		}
	}
}

// A request with its own credentials may log in. Then it has a session like any other.
func TestLoginInRequestWithCredentials(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, loadedBy(byHeader()))
	susan := member(t, app, "susan", "")
	mike := member(t, app, "mike", "")
	for _, u := range []*testapp.User{susan, mike} {
		c := app.Client(t)
		app.Act(c, as(susan), func(_ http.ResponseWriter, r *http.Request) {
			if _, err := app.User(r.Context()); err != nil {
				t.Error(err)
			}
			if err := app.LoginUser(r.Context(), u); err != nil {
				t.Error(err)
			}
			if got, err := app.User(r.Context()); err != nil || got.ID != u.ID {
				t.Errorf("after the login: %v", err)
			}
			if err := app.Check(r.Context(), auth.Fresh(0)); err != nil {
				t.Errorf("after the login: %v", err)
			}
			app.SessionData().Put(r.Context(), "k", "v")
		})
		if c.Who() != u.Username || c.Get("/get?key=k").Text != "v" || !app.IsFresh(t, c) {
			t.Errorf("then it is %q", c.Who())
		}
	}
	// It may log out, which has no effect beyond the request.
	c := app.Client(t)
	r := app.Act(c, as(susan), func(_ http.ResponseWriter, r *http.Request) {
		_, _ = app.User(r.Context())
		if err := app.LogoutUser(r.Context()); err != nil {
			t.Error(err)
		}
		if _, err := app.User(r.Context()); !errors.Is(err, auth.ErrNotLoggedIn) {
			t.Errorf("logged out: %v", err)
		}
	})
	if len(r.Header["Set-Cookie"]) > 0 || c.Do("GET", "/who", nil, as(susan)).Text != "susan" {
		t.Errorf("cookies %v", r.Header["Set-Cookie"])
	}
	// The same without asking for the user first.
	app.Act(c, as(susan), func(_ http.ResponseWriter, r *http.Request) {
		_ = app.LogoutUser(r.Context())
		if _, err := app.User(r.Context()); !errors.Is(err, auth.ErrNotLoggedIn) {
			t.Errorf("logged out at first: %v", err)
		}
	})
}

// LogoutEverywhere makes the request itself anonymous.
func TestLogoutEverywhereInRequestWithCredentials(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, loadedBy(byHeader()))
	u := member(t, app, "susan", "")
	app.Act(app.Client(t), as(u), func(_ http.ResponseWriter, r *http.Request) {
		got, err := app.User(r.Context())
		if err == nil {
			err = app.LogoutEverywhere(r.Context(), got)
		}
		if err != nil {
			t.Error(err)
		}
		if _, err := app.User(r.Context()); !errors.Is(err, auth.ErrNotLoggedIn) {
			t.Errorf("then: %v", err)
		}
	})
}

func TestCurrentLoginOfCredential(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, loadedBy(byHeader()))
	u := member(t, app, "susan", "")
	app.Act(app.Client(t), as(u), func(_ http.ResponseWriter, r *http.Request) {
		l, err := app.CurrentLogin(r.Context())
		if err != nil || l.ID != "" || !l.Current || !l.Authenticated.IsZero() || !slices.Equal(l.Methods, []string{"key"}) || l.Address == "" {
			t.Errorf("%+v, %v", l, err)
		}
		logins, err := app.Logins(r.Context(), u.ID)
		if err != nil || len(logins) > 0 {
			t.Errorf("%+v, %v", logins, err)
		}
	})
}

func TestBasic(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, loadedBy(auth.Basic("test")))
	u := app.Create(t, "susan", true)
	dora := app.Create(t, "dora", true)
	a := dora.Clone()
	a.Disabled = true
	if err := app.Store.UpdateAccount(t.Context(), a); err != nil {
		t.Fatal(err)
	}
	basic := func(text string) http.Header {
		return http.Header{"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte(text))}}
	}
	for name, test := range map[string]struct {
		header http.Header
		who    string
		hashes uint64
		failed string // the user ID of the event of a failed login; "-" for no event
	}{
		"right":            {basicHeader("susan", testapp.Password), "susan", 1, "-"},
		"the address":      {basicHeader("susan@app.example", testapp.Password), "susan", 1, "-"},
		"the scheme":       {http.Header{"Authorization": {"bAsIc " + base64.StdEncoding.EncodeToString([]byte("susan:"+testapp.Password))}}, "susan", 1, "-"},
		"wrong":            {basicHeader("susan", "wrong password"), "nobody", 1, u.ID},
		"unknown":          {basicHeader("nobody", "wrong password"), "nobody", 1, ""},
		"disabled":         {basicHeader("dora", testapp.Password), "nobody", 1, dora.ID},
		"no password":      {basicHeader("susan", ""), "nobody", 0, ""},
		"no login":         {basicHeader("", testapp.Password), "nobody", 1, ""},
		"a long password":  {basicHeader("susan", strings.Repeat("x", 1025)), "nobody", 0, ""},
		"a NUL":            {basicHeader("susan", testapp.Password+"\x00"), "nobody", 0, ""},
		"no colon":         {basic("susan"), "nobody", 0, "-"},
		"empty":            {http.Header{"Authorization": {"Basic "}}, "nobody", 0, "-"},
		"not base64":       {http.Header{"Authorization": {"Basic !!!"}}, "nobody", 0, "-"},
		"base64 for URLs":  {http.Header{"Authorization": {"Basic " + base64.URLEncoding.EncodeToString([]byte("susan:\xff\xfe\xff??>"))}}, "nobody", 0, "-"},
		"no scheme":        {http.Header{"Authorization": {base64.StdEncoding.EncodeToString([]byte("susan:" + testapp.Password))}}, "nobody", 0, "-"},
		"another scheme":   {http.Header{"Authorization": {"Digest username=susan"}}, "nobody", 0, "-"},
		"a proxy's header": {http.Header{"Proxy-Authorization": basicHeader("susan", testapp.Password)["Authorization"]}, "nobody", 0, "-"},
		"none":             {http.Header{}, "nobody", 0, "-"},
	} {
		app.Events()
		store.Reset()
		before := app.PasswordHashes()
		r := app.Client(t).Do("GET", "/who", nil, test.header)
		if r.StatusCode != http.StatusOK || r.Text != test.who || len(r.Header["Set-Cookie"]) > 0 || test.hashes == 0 && store.Writes() > 0 {
			t.Errorf("%s: %s %q, calls %v", name, r.Status, r.Text, store.Calls())
		}
		if got := app.PasswordHashes() - before; got != test.hashes {
			t.Errorf("%s: %d hashes", name, got)
		}
		events := app.Events()
		if test.failed == "-" {
			if len(events) > 0 {
				t.Errorf("%s: events %+v", name, events)
			}
			continue
		}
		if len(events) != 1 || events[0].Kind != auth.EventLoginFailed || events[0].UserID != test.failed || events[0].Address != "127.0.0.1" ||
			events[0].UserAgent == "" || events[0].Method != "password" || !errors.Is(events[0].Err, auth.ErrLoginRefused) {
			t.Errorf("%s: events %+v", name, events)
		}
	}
	// Credentials in the URL do not count.
	if r := app.Client(t).Get("/who?Authorization=" + url.QueryEscape(basicHeader("susan", testapp.Password).Get("Authorization"))); r.Text != "nobody" {
		t.Errorf("%q", r.Text)
	}
	// A request computes one hash, however often it asks for the user.
	app.Mux.HandleFunc("GET /thrice", func(_ http.ResponseWriter, r *http.Request) {
		for range 3 {
			_, _ = app.CurrentUser(r.Context())
		}
	})
	for _, password := range []string{testapp.Password, "wrong password"} {
		before := app.PasswordHashes()
		app.Client(t).Do("GET", "/thrice", nil, basicHeader("susan", password))
		if got := app.PasswordHashes() - before; got != 1 {
			t.Errorf("%d hashes", got)
		}
	}
	store.Hook(on("FindUser", func() error { return errStore }), nil)
	if r := app.Client(t).Do("GET", "/who", nil, basicHeader("susan", testapp.Password)); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a store that fails: %s", r.Status)
	}
}

// If the hashing queue is full, the answer is 503: neither 401 nor the page for
// anonymous visitors.
func TestBasicBusy(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) {
		oneHashAtATime(c)
		c.Credentials = []auth.Credential{auth.Basic("test")}
	})
	app.Create(t, "susan", true)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	var busy atomic.Int32
	for range 100 {
		wg.Go(func() {
			r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/guarded", nil)
			r.Header = basicHeader("susan", testapp.Password)
			w := httptest.NewRecorder()
			app.Server.Config.Handler.ServeHTTP(w, r)
			switch {
			case w.Code == http.StatusServiceUnavailable && w.Header().Get("Retry-After") != "":
				if ctx.Err() == nil {
					busy.Add(1)
				}
				cancel() // the first client that is refused cancels all others
			case w.Code != http.StatusOK:
				t.Errorf("%d", w.Code)
			}
		})
	}
	wg.Wait()
	if busy.Load() == 0 {
		t.Error("no client got 503")
	}
}

// Programs get a WWW-Authenticate header. Browsers do not, because they would open a
// password dialog of their own.
func TestChallenges(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, loadedBy(auth.Bearer(), auth.Basic("the"), byHeader()))
	member(t, app, "susan", testapp.Password)
	basic := `Basic realm="the", charset="UTF-8"`
	for name, test := range map[string]struct {
		header     http.Header
		status     int
		challenged bool
	}{
		"an API client":       {http.Header{"Accept": {"application/json"}}, 401, true},
		"JSON sent":           {http.Header{"Content-Type": {"application/json"}}, 401, true},
		"a wrong token":       {http.Header{"Authorization": {"Bearer goauth_" + strings.Repeat("A", 43)}}, 401, true},
		"a malformed token":   {http.Header{"Authorization": {"Bearer x"}}, 401, true},
		"a wrong password":    {basicHeader("susan", "wrong password"), 401, true},
		"any authorization":   {http.Header{"Authorization": {"x"}, "Accept": {"*/*"}}, 401, true},
		"a browser's fetch":   {http.Header{"Accept": {"application/json"}, "Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}}, 401, false},
		"a browser with it":   {http.Header{"Accept": {"text/html"}, "Authorization": {"Basic x"}}, 401, false},
		"htmx":                {http.Header{"Hx-Request": {"true"}, "Sec-Fetch-Mode": {"cors"}}, 401, false},
		"htmx with it":        {http.Header{"Hx-Request": {"true"}, "Authorization": {"Bearer x"}, "Accept": {"text/html"}}, 401, false},
		"a browser":           {http.Header{"Accept": {"text/html,*/*"}, "Sec-Fetch-Mode": {"navigate"}}, 303, false},
		"who says nothing":    {http.Header{}, 303, false},
		"an empty one is one": {http.Header{"Authorization": {""}}, 303, false},
	} {
		r := app.Client(t).Do("GET", "/guarded", nil, test.header)
		got := r.Header["Www-Authenticate"]
		want := []string{"Cookie"}
		if test.challenged {
			want = append(want, "Bearer", basic)
		}
		if test.status == 303 {
			want = nil
		}
		if r.StatusCode != test.status || !slices.Equal(got, want) {
			t.Errorf("%s: %s, %q", name, r.Status, got)
		}
		if test.status == 401 && (r.Header.Get("Location") != "" || len(r.Header["Set-Cookie"]) > 0 && r.Header.Get("HX-Redirect") == "") {
			t.Errorf("%s: %v", name, r.Header)
		}
		if _, ok := test.header["Authorization"]; ok && r.Header.Get("HX-Redirect") != "" {
			t.Errorf("%s is sent to %q", name, r.Header.Get("HX-Redirect"))
		}
	}
	// Without Credentials no answer has the header, and Authorization is ignored.
	plain, _ := newApp(t, nil)
	if r := plain.Client(t).Do("GET", "/guarded", nil, http.Header{"Authorization": {"Basic x"}}); r.StatusCode != http.StatusSeeOther {
		t.Errorf("without Credentials: %s", r.Status)
	}
}

func TestCredentialsConfig(t *testing.T) {
	t.Parallel()
	cfg := goodConfig()
	cfg.Credentials = []auth.Credential{byHeader(), {Challenge: "Bearer"}}
	if _, err := auth.New[*testapp.User](testapp.NewSpy(testapp.NewClock()), cfg); err == nil || !strings.Contains(err.Error(), "Credentials[1]") {
		t.Errorf("a Credential without Load: %v", err)
	}
	// If the application changes its slice afterwards, it has no effect.
	loaders := []auth.Credential{byHeader()}
	app, _ := newApp(t, loadedBy(loaders...))
	loaders[0].Load = nil
	u := member(t, app, "susan", "")
	if r := app.Client(t).Do("GET", "/who", nil, as(u)); r.Text != "susan" {
		t.Errorf("%s %q", r.Status, r.Text)
	}
}

func TestCredentialFindsTheUser(t *testing.T) {
	app, spy := stateApp(t, loadedBy(byHeader()))
	u, err := app.Store.FindUser(t.Context(), "mike")
	if err != nil {
		t.Fatal(err)
	}
	c := app.Client(t)
	expectState(t, c, nil, "nobody")
	expectEvents(t, app)
	spy.Reset()
	r := c.Do(http.MethodGet, "/state", nil, asID(u.ID))
	if r.Text != "mike stale" || len(r.Cookies()) > 0 || spy.Writes() > 0 {
		t.Errorf("%q, cookies %v, calls %v", r.Text, r.Cookies(), spy.Calls())
	}
	expectState(t, c, nil, "nobody") // the next request has no credentials

	app.Events()
	expectState(t, c, asID("9000"), "nobody")
	if e := expectEvents(t, app, auth.EventLoginRefused); len(e) == 1 && !errors.Is(e[0].Err, auth.ErrUserNotFound) {
		t.Errorf("%+v", e[0])
	}
}

// A Grant with empty Scopes opens nothing. A Grant with nil Scopes has no limits.
func TestGrantWithoutScopes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		scopes []string
		status int
	}{
		"nil": {nil, http.StatusOK}, "empty": {[]string{}, http.StatusForbidden}, "a blank": {[]string{""}, http.StatusForbidden},
	} {
		app := tokenApp(t, loadedBy(auth.Credential{Load: func(*http.Request) (auth.Grant, error) {
			return auth.Grant{UserID: "susan's", Scopes: test.scopes}, nil
		}}))
		member(t, app, "susan", "", func(a *auth.Account) { a.ID = "susan's" })
		for _, path := range []string{"/read", "/guarded"} {
			if r := app.Client(t).Get(path); r.StatusCode != test.status {
				t.Errorf("%s, %s: %s", name, path, r.Status)
			}
		}
	}
}

// Only the one form of the header is accepted as a token.
func TestBearerHeader(t *testing.T) {
	t.Parallel()
	app := tokenApp(t, nil)
	u := member(t, app, "susan", "")
	token, _ := issue(t, app, u, "*")
	for name, test := range map[string]struct {
		header http.Header
		path   string
		status int
	}{
		"right":               {bearerHeader(token), "/who", 200},
		"lower case":          {http.Header{"Authorization": {"bearer " + token}}, "/who", 200},
		"two spaces":          {http.Header{"Authorization": {"Bearer  " + token}}, "/who", 200},
		"a tab":               {http.Header{"Authorization": {"Bearer\t" + token}}, "/who", 401},
		"no space":            {http.Header{"Authorization": {"Bearer" + token}}, "/who", 401},
		"no scheme":           {http.Header{"Authorization": {token}}, "/who", 401},
		"another scheme":      {http.Header{"Authorization": {"Token " + token}}, "/who", 401},
		"Basic":               {basicHeader(token, ""), "/who", 401},
		"without the prefix":  {bearerHeader(token[len("goauth_"):]), "/who", 401},
		"the prefix in caps":  {bearerHeader("GOAUTH_" + token[len("goauth_"):]), "/who", 401},
		"short":               {bearerHeader(token[:len(token)-1]), "/who", 401},
		"long":                {bearerHeader(token + "A"), "/who", 401},
		"padded":              {bearerHeader(token + "="), "/who", 401},
		"a comma":             {bearerHeader(token + ", Basic x"), "/who", 401},
		"a parameter":         {http.Header{"Authorization": {`Bearer token="` + token + `"`}}, "/who", 401},
		"the second of two":   {http.Header{"Authorization": {"Basic x", "Bearer " + token}}, "/who", 401},
		"in a cookie":         {http.Header{"Cookie": {"Authorization=" + token}}, "/who", 401},
		"in the query":        {http.Header{}, "/who?access_token=" + token, 401},
		"another header":      {http.Header{"X-Authorization": {"Bearer " + token}}, "/who", 401},
		"another one's last":  {bearerHeader(token[:len(token)-1] + string([]byte{token[len(token)-1] ^ 1})), "/who", 401},
		"enormous":            {bearerHeader(strings.Repeat("A", 100_000)), "/who", 401},
		"only the prefix":     {bearerHeader("goauth_"), "/who", 401},
		"nothing":             {http.Header{"Authorization": {"Bearer "}}, "/who", 401},
		"a token of newlines": {bearerHeader("goauth_" + strings.Repeat("%0A", 14) + "A"), "/who", 401},
	} {
		r := app.Client(t).Do("GET", test.path, nil, test.header)
		if who := r.Text; r.StatusCode != http.StatusOK || (who == "susan") != (test.status == 200) {
			t.Errorf("%s: %s %q", name, r.Status, r.Text)
		}
	}
}

// Only a header with a valid token or password finds a user. No header causes a 5xx.
func FuzzAuthorization(f *testing.F) {
	clock := testapp.NewClock()
	store := memstore.New[testapp.User](memstore.WithClock(clock.Now))
	cfg := goodConfig()
	cfg.Credentials = []auth.Credential{auth.Bearer(), auth.Basic("test")}
	cfg.Now = clock.Now
	cfg.Limits.Guesses = -1 // otherwise every answer after the hundredth would be 429
	cfg.Password.HashParams = hashParams(7168, 5, 1, 16, 32)
	m, err := auth.New[*testapp.User](store, cfg)
	if err != nil {
		f.Fatal(err)
	}
	u, err := store.CreateUser(f.Context(), auth.Account{Username: "susan", Stamp: auth.NewSecret("s"), Version: 1}, nil)
	if err != nil {
		f.Fatal(err)
	}
	secret, _, err := m.NewAPIToken(f.Context(), u, auth.APIToken{Scopes: []string{"*"}, Expires: clock.Now().Add(time.Hour)})
	if err != nil {
		f.Fatal(err)
	}
	token := secret.Reveal()
	h := m.LoadAndSave(m.RequireLogin(http.HandlerFunc(hello)))
	for _, seed := range []string{
		"", " ", "Bearer", "Bearer ", "bearer " + token[:len(token)-1], "Bearer " + token + " ", "Bearer goauth_" + strings.Repeat("A", 43),
		"Bearer goauth_" + strings.Repeat("\xff", 43), "Basic", "Basic Og==", "Basic OnA=", "basic c3VzYW46", "Basic c3VzYW46eA==",
		"Basic " + strings.Repeat("A", 4000), "Digest a=b", "Bearer a, Basic b", "\x00", "Bearer\x00goauth_", "Basic c3VzYW5AYXBwLmV4YW1wbGU6AA==",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, header string) {
		if strings.Contains(header, token) {
			return
		}
		if w := direct(t, h, "GET", "/", bearerHeader(token)); w.Code != http.StatusOK {
			t.Fatal(w.Code)
		}
		w := direct(t, h, "GET", "/", http.Header{"Authorization": {header}})
		if header == "" && w.Code == http.StatusSeeOther {
			return
		}
		if w.Code != http.StatusUnauthorized || len(w.Header()["Set-Cookie"]) > 0 || len(w.Header()["Www-Authenticate"]) != 3 {
			t.Errorf("%q: %d %v", header, w.Code, w.Header())
		}
	})
}

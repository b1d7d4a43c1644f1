package auth_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// A golden is what an application has kept: its users, its records, and what browsers
// and clients have of it.
type golden struct {
	Now                 time.Time
	UserAgent, Password string
	Users               []struct {
		ID, Username, Email, PasswordHash, Stamp string
		EmailVerified                            bool
		Version                                  int64
	}
	Records                 []auth.Record
	Browsers                map[string]map[string]string // cookies by name
	APIToken, APITokenID    string
	Reset, Undo, UsedChange string // mailed tokens
	manager                 *auth.Manager[*testapp.User]
	susan, mike             string // the IDs
}

// openGolden starts an application with a store of an earlier version.
func openGolden(t *testing.T, file string) *golden {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	g := &golden{}
	if err := json.Unmarshal(text, g); err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return g.Now }
	store := memstore.New[testapp.User](memstore.WithClock(clock))
	for _, u := range g.Users {
		_, err := store.CreateUser(t.Context(), auth.Account{
			ID: u.ID, Username: u.Username, Email: u.Email, PasswordHash: auth.NewSecret(u.PasswordHash), Stamp: auth.NewSecret(u.Stamp),
			EmailVerified: u.EmailVerified, Version: u.Version,
		}, nil)
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, r := range g.Records {
		if err := store.InsertRecord(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	cfg := goodConfig()
	cfg.Now, cfg.Mailer, cfg.Credentials = clock, &testapp.Outbox{}, []auth.Credential{auth.Bearer()}
	if g.manager, err = auth.New[*testapp.User](store, cfg); err != nil {
		t.Fatal(err)
	}
	g.susan, g.mike = g.Users[0].ID, g.Users[1].ID
	return g
}

// in runs a function in a request with these cookies and headers.
func (g *golden) in(t *testing.T, cookies map[string]string, header http.Header, do func(ctx context.Context)) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "https://app.example/", nil)
	r.Header.Set("User-Agent", g.UserAgent)
	for name, values := range header {
		r.Header[name] = values
	}
	for name, value := range cookies {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	ran := false
	g.manager.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		ran = true
		do(r.Context())
	})).ServeHTTP(httptest.NewRecorder(), r)
	if !ran {
		t.Error("the request did not arrive")
	}
}

// Sessions, remembered devices, API tokens, mailed tokens, locks and the evidence of a
// used token go on after an upgrade of the library. The file has what the version of
// 2026-11-29, before the code got its layers, left in its store and in browsers.
func TestStoreOfEarlierVersion(t *testing.T) {
	t.Parallel()
	g := openGolden(t, "testdata/store-2026-11-29.json")
	m, data := g.manager, g.manager.SessionData()
	who := func(ctx context.Context) string {
		u, err := m.User(ctx)
		if err != nil {
			t.Error(err)
			return ""
		}
		return u.ID
	}
	g.in(t, g.Browsers["visitor"], nil, func(ctx context.Context) {
		if got := data.GetString(ctx, "cart"); got != "two books" {
			t.Errorf("a visitor's cart has %q", got)
		}
	})
	for range 2 { // the second request reads what the first one has written
		g.in(t, g.Browsers["login"], nil, func(ctx context.Context) {
			if who(ctx) != g.susan || data.GetString(ctx, "cart") != "three books" || data.GetInt(ctx, "n") != 42 {
				t.Errorf("a login has the cart %q and the number %d", data.GetString(ctx, "cart"), data.GetInt(ctx, "n"))
			}
			if err := m.Check(ctx, auth.Fresh(time.Minute)); err != nil {
				t.Errorf("a login is not fresh: %v", err)
			}
			data.Put(ctx, "seen", true)
		})
	}
	g.in(t, g.Browsers["mike"], nil, func(ctx context.Context) {
		if who(ctx) != g.mike {
			t.Error("the login that changed the address is gone")
		}
	})
	if logins, err := m.Logins(t.Context(), g.susan); err != nil || len(logins) != 2 {
		t.Errorf("%d logins, %v", len(logins), err)
	}
	const remember = "__Host-session-remember"
	g.in(t, map[string]string{remember: g.Browsers["remembered"][remember]}, nil, func(ctx context.Context) {
		login, err := m.CurrentLogin(ctx)
		if who(ctx) != g.susan || err != nil || !login.Remembered || m.Check(ctx, auth.Fresh(0)) == nil {
			t.Errorf("a remember cookie makes %+v, %v", login, err)
		}
	})
	g.in(t, nil, http.Header{"Authorization": {"Bearer " + g.APIToken}}, func(ctx context.Context) {
		if err := m.Check(ctx, auth.Scope("read")); err != nil {
			t.Errorf("an API token: %v", err)
		}
	})
	if tokens, err := m.APITokens(t.Context(), g.susan); err != nil || len(tokens) != 1 || tokens[0].ID != g.APITokenID || tokens[0].Name != "script" {
		t.Errorf("the API tokens are %+v, %v", tokens, err)
	}
	if _, err := m.Authenticate(t.Context(), "joe", g.Password); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("a locked account: %v", err)
	}
	if used, err := m.TokenUsed(t.Context(), g.UsedChange); err != nil || !used {
		t.Errorf("a used token is not known: %v", err)
	}
	if u, address, err := m.CheckEmailUndo(t.Context(), g.Undo); err != nil || u.ID != g.mike || address != "mike@app.example" {
		t.Errorf("an undo link is for %v and %q, %v", u, address, err)
	}
	if _, err := m.UndoEmailChange(t.Context(), g.Undo); err != nil {
		t.Errorf("an undo link: %v", err)
	}
	if u, err := m.ResetPassword(t.Context(), g.Reset, "another good password"); err != nil || u.ID != g.susan {
		t.Errorf("a reset link is for %v, %v", u, err)
	}
}

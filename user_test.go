package auth_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

func TestNewWithLoaderHasNoUserStore(t *testing.T) {
	t.Parallel()
	store := memstore.New[testapp.User]()
	user, err := store.CreateUser(t.Context(), auth.Account{Username: "alice", Email: "alice@x.example", Stamp: auth.NewSecret("s")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	full, err := auth.New[*testapp.User](store, goodConfig())
	if err != nil {
		t.Fatal(err)
	}
	token, err := full.ResetToken(t.Context(), user)
	if err != nil {
		t.Fatal(err)
	}
	m, err := auth.NewWithLoader[*testapp.User](store, goodConfig()) // it could be a UserStore, but is used as a UserLoader
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	const password = "correct horse"
	for name, call := range map[string]func() error{
		"Authenticate":              func() error { _, err := m.Authenticate(ctx, "alice", password); return err },
		"Authenticate with nothing": func() error { _, err := m.Authenticate(ctx, "", ""); return err },
		"Register": func() error {
			_, err := m.Register(ctx, auth.Registration{Username: "bob", Password: password})
			return err
		},
		"Register with nothing":   func() error { _, err := m.Register(ctx, auth.Registration{}); return err },
		"SetPassword":             func() error { return m.SetPassword(ctx, user, password) },
		"SetPassword to nothing":  func() error { return m.SetPassword(ctx, user, "") },
		"ResetToken":              func() error { _, err := m.ResetToken(ctx, user); return err },
		"CheckResetToken":         func() error { _, err := m.CheckResetToken(ctx, token); return err },
		"CheckResetToken of none": func() error { _, err := m.CheckResetToken(ctx, ""); return err },
		"ResetPassword":           func() error { _, err := m.ResetPassword(ctx, token, password); return err },
		"ResetPassword by none":   func() error { _, err := m.ResetPassword(ctx, "", ""); return err },
	} {
		if err := call(); !errors.Is(err, auth.ErrNoUserStore) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := m.HashPassword(ctx, password); err != nil {
		t.Errorf("HashPassword: %v", err)
	}
	if ok, err := m.CheckPassword(ctx, user, password); ok || err != nil {
		t.Errorf("CheckPassword: %v, %v", ok, err)
	}
	handler := m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := m.LoginUser(r.Context(), user); err != nil {
			t.Errorf("LoginUser: %v", err)
		}
		if u, ok := m.CurrentUser(r.Context()); !ok || u.Username != "alice" {
			t.Errorf("CurrentUser: %v, %v", u, ok)
		}
		_, _ = io.WriteString(w, "ok")
	}))
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, http.MethodGet, "https://app.example/", nil))
	if rec.Code != http.StatusOK || len(rec.Result().Cookies()) != 1 {
		t.Errorf("%d %s, %v", rec.Code, rec.Body, rec.Result().Cookies())
	}
}

func TestNilUser(t *testing.T) {
	t.Parallel()
	store := memstore.New[testapp.User]()
	m, err := auth.New[*testapp.User](store, goodConfig())
	if err != nil {
		t.Fatal(err)
	}
	nilUsers(t, m, nil)
	// The user type may be an interface that holds a nil pointer.
	i, err := auth.New[auth.User](anyUsers{store}, goodConfig())
	if err == nil {
		nilUsers(t, i, nil)
		nilUsers[auth.User](t, i, (*testapp.User)(nil))
	}
	type value struct{ *auth.Account }
	v, err := auth.NewWithLoader(auth.LoaderFunc[value](func(context.Context, string) (value, error) { return value{}, nil }), configWith(store))
	if err != nil {
		t.Fatal(err)
	}
	nilUsers(t, v, value{})
}

func configWith(records auth.RecordStore) auth.Config {
	cfg := goodConfig()
	cfg.Records = records
	return cfg
}

func nilUsers[U auth.User](t *testing.T, m *auth.Manager[U], none U) {
	t.Helper()
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"LoginUser":     func() error { return m.LoginUser(ctx, none) },
		"SetPassword":   func() error { return m.SetPassword(ctx, none, "correct horse") },
		"CheckPassword": func() error { _, err := m.CheckPassword(ctx, none, "correct horse"); return err },
		"ResetToken":    func() error { _, err := m.ResetToken(ctx, none); return err },
	} {
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("%T %s: panic: %v", none, name, p)
				}
			}()
			if err := call(); !errors.Is(err, auth.ErrUserNotFound) {
				t.Errorf("%T %s: %v", none, name, err)
			}
		}()
	}
}

// anyUsers is a store whose user type is an interface.
type anyUsers struct{ *memStore }

func (s anyUsers) LoadUser(ctx context.Context, id string) (auth.User, error) {
	return s.memStore.LoadUser(ctx, id) // on error it returns an interface with a nil *User
}

func (s anyUsers) FindUser(ctx context.Context, key string) (auth.User, error) {
	return s.memStore.FindUser(ctx, key)
}

func (s anyUsers) CreateUser(ctx context.Context, a auth.Account, form url.Values) (auth.User, error) {
	return s.memStore.CreateUser(ctx, a, form)
}

// A wrongStore returns other users than it was asked for.
type wrongStore struct {
	*memStore
	load, find, create func() (*testapp.User, error)
}

func (s *wrongStore) LoadUser(ctx context.Context, id string) (*testapp.User, error) {
	if s.load != nil {
		return s.load()
	}
	return s.memStore.LoadUser(ctx, id)
}

func (s *wrongStore) FindUser(ctx context.Context, key string) (*testapp.User, error) {
	if s.find != nil {
		return s.find()
	}
	return s.memStore.FindUser(ctx, key)
}

func (s *wrongStore) CreateUser(ctx context.Context, a auth.Account, form url.Values) (*testapp.User, error) {
	if s.create != nil {
		if _, err := s.memStore.CreateUser(ctx, a, form); err != nil {
			return nil, err
		}
		return s.create()
	}
	return s.memStore.CreateUser(ctx, a, form)
}

// If a store returns nil, another user, or a user without an ID, nobody is logged in,
// and nothing panics.
func TestStoreReturnsWrongUsers(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"nobody", "another", "without an ID"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			clock := testapp.NewClock()
			store := &wrongStore{memStore: memstore.New[testapp.User](memstore.WithClock(clock.Now))}
			app := testapp.New(t, store, clock, nil)
			alice, err := store.CreateUser(t.Context(), auth.Account{
				Username: "alice", Email: "alice@app.example", PasswordHash: cheapHash(testapp.Password), Stamp: auth.NewSecret("a"), Version: 1,
			}, nil)
			if err != nil {
				t.Fatal(err)
			}
			token, err := app.ResetToken(t.Context(), alice)
			if err != nil {
				t.Fatal(err)
			}
			mallory := app.Create(t, "mallory", true)
			answer := func() (*testapp.User, error) {
				switch name {
				case "nobody":
					return nil, nil
				case "another":
					u, err := store.memStore.LoadUser(t.Context(), mallory.ID)
					if u != nil { // the same Stamp, so that a check of the Stamp cannot tell them apart
						u.Stamp = alice.Stamp
						if store.load != nil {
							u.Email = alice.Email
						}
					}
					return u, err
				}
				u, err := store.memStore.LoadUser(t.Context(), mallory.ID)
				u.ID, u.Username, u.Email = "", "alice", "alice@app.example"
				return u, err
			}
			browser := app.Client(t)
			browser.Login("alice")

			store.find = answer
			for _, login := range []string{"alice", "alice@app.example", "nobody"} {
				if u, err := app.Authenticate(t.Context(), login, testapp.Password); err == nil {
					t.Errorf("FindUser: %s logged in as %s", login, u.Username)
				}
			}
			store.find = nil

			store.load = answer
			if who := browser.Who(); who != "nobody" && who != "500" && who != "503" {
				t.Errorf("LoadUser: the session is %s's", who)
			}
			if u, err := app.CheckResetToken(t.Context(), token); err == nil {
				t.Errorf("LoadUser: the reset token is %s's", u.Username)
			}
			if u, err := app.ResetPassword(t.Context(), token, "another good password"); err == nil {
				t.Errorf("LoadUser: a reset of %s's password", u.Username)
			}
			if err := app.SetPassword(t.Context(), alice, "another good password"); err == nil {
				t.Error("LoadUser: the password was set")
			}
			store.load = nil
			if a, err := store.LoadUser(t.Context(), alice.ID); err != nil || a.Version != 1 {
				t.Errorf("the account was changed: %+v, %v", a, err)
			}

			store.create = answer
			if u, err := app.Register(t.Context(), auth.Registration{Username: "bob" + strings.Repeat("b", len(name)), NoPassword: true}); err == nil {
				t.Errorf("CreateUser: registered as %s", u.Username)
			}
		})
	}
}

// A UserLoader may ask for session data and for the user with its context. It gets no
// user yet.
func TestUserLoaderMayAskForTheUser(t *testing.T) {
	t.Parallel()
	store := memstore.New[testapp.User]()
	u, err := store.CreateUser(t.Context(), auth.Account{Username: "susan", Stamp: auth.NewSecret("s"), Version: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var m *auth.Manager[*testapp.User]
	var tenants []string
	m, err = auth.NewWithLoader(auth.LoaderFunc[*testapp.User](func(ctx context.Context, id string) (*testapp.User, error) {
		if other, ok := m.CurrentUser(ctx); ok {
			t.Errorf("%s is logged in while being loaded", other.Username)
		}
		if err := m.LoginUser(ctx, u); err == nil {
			t.Error("LoginUser works while loading")
		}
		if err := m.LogoutUser(ctx); err == nil {
			t.Error("LogoutUser works while loading")
		}
		_ = m.Flash(ctx, "a", "b")
		_ = m.Flashes(ctx)
		tenants = append(tenants, m.SessionData().GetString(ctx, "tenant"))
		m.SessionData().Put(ctx, "loaded", "yes")
		_ = m.SessionData().RenewToken(ctx)
		_ = m.SessionData().Destroy(ctx)
		_, _, _ = m.SessionData().Commit(ctx)
		return store.LoadUser(ctx, id)
	}), auth.Config{BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}, Records: store})
	if err != nil {
		t.Fatal(err)
	}
	finish(t, func() {
		ask := serve(t, m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.URL.Path {
			case "/login":
				m.SessionData().Put(r.Context(), "tenant", "acme")
				if err := m.LoginUser(r.Context(), u); err != nil {
					t.Error(err)
				}
			default:
				for range 2 {
					if u, ok := m.CurrentUser(r.Context()); ok {
						_, _ = io.WriteString(w, u.Username)
					}
				}
			}
		})))
		ask("POST", "/login")
		for range 3 {
			if status, text := ask("GET", "/"); status != 200 || text != "susansusan" {
				t.Errorf("%d %q", status, text)
			}
		}
	})
	if !slices.Equal(tenants, []string{"acme", "acme", "acme"}) {
		t.Errorf("the loader saw %q", tenants)
	}
}

// With a UserLoader alone, sessions, guards and the current user work.
func TestNewWithLoader(t *testing.T) {
	users := map[string]*testapp.User{"7": {Account: auth.Account{ID: "7", Username: "susan"}}}
	down := false
	manager, err := auth.NewWithLoader(auth.LoaderFunc[*testapp.User](func(_ context.Context, id string) (*testapp.User, error) {
		if down {
			return nil, errStore
		}
		return users[id], nil // nil and no error if the user does not exist
	}), auth.Config{
		BaseURL: "https://app.example",
		Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Records: memstore.NewRecords(),
	})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /enter", func(w http.ResponseWriter, r *http.Request) {
		if err := manager.LoginUser(r.Context(), users["7"]); err != nil {
			manager.Error(w, r, err)
		}
	})
	mux.Handle("GET /guarded", manager.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, _ := manager.CurrentUser(r.Context())
		_, _ = io.WriteString(w, u.Username)
	})))
	do := serve(t, manager.LoadAndSave(mux))
	if status, _ := do("GET", "/guarded"); status != http.StatusSeeOther {
		t.Errorf("an anonymous visitor: %d", status)
	}
	if status, _ := do("POST", "/enter"); status != http.StatusOK {
		t.Fatalf("login: %d", status)
	}
	if status, text := do("GET", "/guarded"); status != http.StatusOK || text != "susan" {
		t.Errorf("%d %q", status, text)
	}
	down = true
	if status, _ := do("GET", "/guarded"); status != http.StatusServiceUnavailable {
		t.Errorf("a loader that fails: %d", status)
	}
	down = false
	delete(users, "7")
	if status, _ := do("GET", "/guarded"); status != http.StatusSeeOther {
		t.Errorf("a user who is gone: %d", status)
	}
	if _, err := manager.Authenticate(t.Context(), "susan", "password"); !errors.Is(err, auth.ErrNoUserStore) {
		t.Errorf("Authenticate: %v", err)
	}
}

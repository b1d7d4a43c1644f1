package bench_test

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/totp"
)

// openGoLogin is the README's program without mails and without the log, which
// would have a record for every login.
func openGoLogin(tb testing.TB, users *members) *site {
	return goLogin(tb, users, func(*auth.Config) {})
}

// openGoLoginOff is openGoLogin without an idle timeout.
func openGoLoginOff(tb testing.TB, users *members) *site {
	return goLogin(tb, users, func(cfg *auth.Config) { cfg.Session.IdleTimeout = -1 })
}

// openGoLoginRoles is openGoLogin with second factors, roles and permissions.
func openGoLoginRoles(tb testing.TB, users *members) *site {
	return goLogin(tb, users, func(cfg *auth.Config) {
		cfg.Factors = []auth.Factor{totp.New(), totp.RecoveryCodes()}
		cfg.Roles = auth.RoleConfig{Permissions: []string{"posts.edit"}, Grants: map[string][]string{"editor": {"posts.edit"}}}
	})
}

// A mapStore loads users from a map, like the other applications. memstore
// would copy each user.
type mapStore struct {
	*memstore.Store[User, *User]
	mu    sync.RWMutex
	users map[string]*User
}

func (s *mapStore) LoadUser(_ context.Context, id string) (*User, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if user := s.users[id]; user != nil {
		return user, nil
	}
	return nil, auth.ErrUserNotFound
}

func (s *mapStore) UpdateAccount(ctx context.Context, a auth.Account) error {
	err := s.Store.UpdateAccount(ctx, a)
	if err != nil {
		return err
	}
	user, err := s.Store.LoadUser(ctx, a.ID)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users[a.ID] = user
	return nil
}

func goLogin(tb testing.TB, users *members, configure func(*auth.Config)) *site {
	tb.Helper()
	store := &mapStore{Store: memstore.New[User](), users: map[string]*User{}}
	for _, m := range users.named {
		user, err := store.CreateUser(tb.Context(), auth.Account{
			ID: m.name, Username: m.name, Email: m.name + "@example.com", EmailVerified: true,
			Roles: []string{"editor"}, PasswordHash: auth.NewSecret(m.hash), Stamp: auth.NewSecret(token(0)), Version: 1,
		}, nil)
		check(tb, err)
		store.users[m.name] = user
	}
	cfg := auth.Config{
		BaseURL: "http://localhost:8080",
		Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Logger:  slog.New(slog.DiscardHandler),
	}
	configure(&cfg)
	manager, err := auth.New(store, cfg)
	check(tb, err)
	sessions := manager.SessionData()
	return newSite(parts{
		around: manager.LoadAndSave,
		who: func(r *http.Request) string {
			if user, ok := manager.CurrentUser(r.Context()); ok {
				return user.Username
			}
			return ""
		},
		count: func(_ http.ResponseWriter, r *http.Request) int {
			visits := sessions.GetInt(r.Context(), "visits") + 1
			sessions.Put(r.Context(), "visits", visits)
			return visits
		},
		guard: manager.RequireLogin,
		rule:  manager.Require(auth.Role("editor"), auth.Fresh(24*time.Hour), auth.Verified()),
		login: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			user, err := manager.Authenticate(r.Context(), r.PostFormValue("username"), r.PostFormValue("password"))
			if err == nil {
				err = manager.LoginUser(r.Context(), user)
			}
			if err != nil {
				manager.Error(w, r, err)
				return
			}
			greet(w, user.Username)
		}),
		device: func(_ http.ResponseWriter, r *http.Request, m *member) error {
			user, err := store.FindUser(r.Context(), m.name)
			if err == nil {
				err = manager.LoginUser(r.Context(), user, auth.Remember(true))
			}
			return err
		},
		token: func(m *member) (string, error) {
			user, err := store.FindUser(tb.Context(), m.name)
			if err != nil {
				return "", err
			}
			return manager.ResetToken(tb.Context(), user)
		},
		reset: func(w http.ResponseWriter, r *http.Request) error {
			user, err := manager.ResetPassword(r.Context(), r.PostFormValue("token"), r.PostFormValue("password"))
			if err == nil {
				greet(w, user.Username)
			}
			return err
		},
	}, users)
}

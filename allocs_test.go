package auth_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/totp"
)

// A sink is a ResponseWriter that drops everything and allocates nothing.
type sink struct{ header http.Header }

func (s *sink) Header() http.Header         { return s.header }
func (s *sink) Write(b []byte) (int, error) { return len(b), nil }
func (s *sink) WriteHeader(int)             {}

// TestAllocations fixes how often requests allocate, which is the same on every
// machine. Two allocations are the copies of the user and of its Roles that the store
// makes.
func TestAllocations(t *testing.T) {
	if underRace {
		t.Skip("the race detector allocates, too")
	}
	users := memstore.New[testapp.User]()
	user, err := users.CreateUser(t.Context(), auth.Account{ID: "7", Username: "susan", Email: "susan@example.com", EmailVerified: true, Roles: []string{"editor"}, Stamp: auth.NewSecret("stamp"), Version: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, idle := range []time.Duration{-1, time.Hour} {
		cfg := goodConfig()
		cfg.Session.IdleTimeout, cfg.Logger = idle, slog.New(slog.DiscardHandler)
		cfg.Factors = []auth.Factor{totp.New(), totp.RecoveryCodes()}
		cfg.Roles.Grants = map[string][]string{"editor": nil}
		manager, err := auth.New(users, cfg)
		if err != nil {
			t.Fatal(err)
		}
		get := func(cookies []*http.Cookie) *http.Request {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, cfg.BaseURL+"/", nil)
			r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36")
			for _, c := range cookies {
				r.AddCookie(c)
			}
			return r
		}
		login := httptest.NewRecorder()
		manager.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if err := manager.LoginUser(r.Context(), user); err != nil {
				t.Error(err)
			}
		})).ServeHTTP(login, get(nil))
		session := login.Result().Cookies()

		page := []byte("page")
		fresh := manager.Require(auth.Role("editor"), auth.Fresh(time.Hour), auth.Verified())
		scanner := get(nil)
		scanner.Header.Set("Sec-Fetch-Dest", "image")
		program := get(nil)
		program.Header.Set("Accept", "application/json")
		plain := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(page) })
		asks := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if u, ok := manager.CurrentUser(r.Context()); ok != (r.Header.Get("Cookie") != "") || ok && u.ID != "7" {
				t.Error(u, ok)
			}
			_, _ = w.Write(page)
		})
		visits := 0
		writes := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			visits++
			manager.SessionData().Put(r.Context(), "visits", visits)
			_, _ = w.Write(page)
		})
		for _, c := range []struct {
			name    string
			handler http.Handler
			request *http.Request
			want    float64
		}{
			{"a page, nobody", plain, get(nil), 1},
			{"who is it, nobody", asks, get(nil), 1},
			{"a page, logged in", plain, get(session), 4},
			{"who is it, logged in", asks, get(session), 6},
			{"RequireLogin, logged in", manager.RequireLogin(asks), get(session), 6},
			{"rules and a role, logged in", fresh(asks), get(session), 6},
			{"a write, logged in", writes, get(session), 24},
			{"RequireLogin, nobody", manager.RequireLogin(asks), get(nil), 7},
			{"RequireLogin, an image", manager.RequireLogin(asks), scanner, 24},
			{"RequireLogin, a program", manager.RequireLogin(asks), program, 26},
		} {
			handler, r, w := manager.LoadAndSave(c.handler), c.request, &sink{http.Header{}}
			got := testing.AllocsPerRun(100, func() {
				clear(w.header)
				handler.ServeHTTP(w, r)
			})
			if got != c.want {
				t.Errorf("%s (idle timeout %v): %v allocations, want %v", c.name, idle, got, c.want)
			}
		}
	}
}

// TestReadsChangeNothing: pages that only read load the session and the user once each,
// and set no cookie, even with an idle timeout.
func TestReadsChangeNothing(t *testing.T) {
	t.Parallel()
	for _, idle := range []time.Duration{-1, time.Hour} {
		app, spy := newApp(t, func(cfg *auth.Config) { cfg.Session.IdleTimeout = idle })
		app.Create(t, "susan", false)
		c := app.Client(t)
		c.Login("susan")
		for range 5 {
			app.Clock.Advance(10 * time.Second)
			spy.Reset()
			r := c.Get("/who")
			if calls := spy.Calls(); r.Text != "susan" || !slices.Equal(calls, []string{"GetRecord", "LoadUser"}) || len(r.Cookies()) > 0 {
				t.Errorf("with an idle timeout of %v: %q, the calls %v, the cookies %v", idle, r.Text, calls, r.Cookies())
			}
		}
	}
}

package auth_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/passhash"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// budgetManager returns a Manager that is not served on a network, so that it can
// be used in a bubble of synctest.
func budgetManager(t *testing.T, configure func(*auth.Config)) (*auth.Manager[*testapp.User], *memstore.Store[testapp.User, *testapp.User]) {
	t.Helper()
	cfg := auth.Config{
		BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Logger: slog.New(slog.DiscardHandler),
	}
	if configure != nil {
		configure(&cfg)
	}
	store := memstore.New[testapp.User]()
	m, err := auth.New(store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return m, store
}

// However many Managers a process has, no more hashes are computed at a time and
// wait than for one: while one hash takes the whole budget, 200 wrong logins at
// forty Managers compute none, 64 wait, and the rest is told at once to come again.
// It is not parallel: it takes the budget of the whole process.
func TestManagersShareOneBudget(t *testing.T) { //nolint:paralleltest // see above
	const logins = 200
	budget := passhash.Process()
	size := max(budget.State().Size, 96<<10)
	managers := make([]*auth.Manager[*testapp.User], 40)
	for i := range managers {
		managers[i], _ = budgetManager(t, func(c *auth.Config) {
			if i == 20 {
				c.HashMemory = 96 << 20 // the largest is everybody's
			}
		})
	}
	idle := passhash.State{Size: size, Free: size}
	if got := budget.State(); got != idle {
		t.Errorf("%+v, want %+v", got, idle)
	}
	if err := budget.Acquire(t.Context(), size); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wg sync.WaitGroup
	var busy, left atomic.Int32
	for i := range logins {
		wg.Go(func() {
			_, err := managers[i%len(managers)].Authenticate(ctx, fmt.Sprint("ghost", i), "a wrong password")
			switch {
			case errors.Is(err, auth.ErrBusy):
				busy.Add(1)
			case errors.Is(err, context.Canceled):
				left.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	for int(busy.Load())+budget.State().Waiting < logins {
		runtime.Gosched()
	}
	want := passhash.State{Size: size, Running: 1, Waiting: budget.MaxQueue}
	if got := budget.State(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	cancel()
	wg.Wait()
	if queue := budget.MaxQueue; int(busy.Load()) != logins-queue || int(left.Load()) != queue {
		t.Errorf("%d were told to come again, and %d waited", busy.Load(), left.Load())
	}
	for i, m := range managers {
		if n := m.Core.PasswordHashes(); n != 0 {
			t.Errorf("manager %d: %d hashes", i, n)
		}
	}
	budget.Release(size)
	if _, err := managers[0].Authenticate(t.Context(), "ghost", "a wrong password"); !errors.Is(err, auth.ErrInvalidCredentials) {
		t.Errorf("afterwards: %v", err)
	}
	if got := budget.State(); got != idle {
		t.Errorf("afterwards %+v, want %+v", got, idle)
	}
}

// A stored hash that needs more than its Manager's HashMemory is not verified, even
// if the process's budget is larger.
func TestHashMemoryOfOneManager(t *testing.T) {
	t.Parallel()
	_, _ = budgetManager(t, func(c *auth.Config) { c.HashMemory = 96 << 20 })
	small, store := budgetManager(t, nil)
	hash := auth.NewSecret("$argon2id$v=19$m=65537,t=1,p=1$" + strings.Repeat("A", 22) + "$" + strings.Repeat("A", 43))
	u, err := store.CreateUser(t.Context(), auth.Account{Username: "susan", PasswordHash: hash, Stamp: auth.NewSecret("s"), Version: 1}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := small.CheckPassword(t.Context(), u, "x"); ok || err != nil {
		t.Errorf("%v, %v", ok, err)
	}
	if _, err := small.WrapHash(t.Context(), hash); !errors.Is(err, auth.ErrHashUnusable) {
		t.Errorf("WrapHash: %v", err)
	}
}

// While the hash before it takes for ever, a login waits for five seconds and is
// then told to come again: so it is answered before a server's WriteTimeout cuts the
// connection. Logins to one account wait for each other, too, and none of them
// longer than twice that. What was not looked at is not counted.
func TestQueueEnds(t *testing.T) {
	t.Parallel()
	for _, accounts := range []int{1, 12} {
		synctest.Test(t, func(t *testing.T) {
			m, store := budgetManager(t, nil)
			m.Core.OwnBudget()
			for i := range accounts {
				account := auth.Account{Username: fmt.Sprint("user", i), PasswordHash: cheapHash(testapp.Password), Stamp: auth.NewSecret("s"), Version: 1}
				if _, err := store.CreateUser(t.Context(), account, nil); err != nil {
					t.Fatal(err)
				}
			}
			handler := m.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				u, err := m.Authenticate(r.Context(), r.PostFormValue("login"), r.PostFormValue("password"))
				if err == nil {
					err = m.LoginUser(r.Context(), u)
				}
				if err != nil {
					m.Error(w, r, err)
				}
			}))
			login := func(i int) *httptest.ResponseRecorder {
				form := url.Values{"login": {fmt.Sprint("user", i%accounts)}, "password": {testapp.Password}}
				r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/login", strings.NewReader(form.Encode()))
				r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
				w := httptest.NewRecorder()
				handler.ServeHTTP(w, r)
				return w
			}
			release, err := m.Core.HoldHashing(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			var wg sync.WaitGroup
			for i := range 12 {
				wg.Go(func() {
					w := login(i)
					if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
						t.Errorf("%d %v", w.Code, w.Header())
					}
					longest := 5 * time.Second
					if accounts == 1 {
						longest *= 2
					}
					if waited := time.Since(begun); waited < 5*time.Second || waited > longest {
						t.Errorf("%d accounts: answered after %v", accounts, waited)
					}
				})
			}
			wg.Wait()
			if n := m.Core.PasswordHashes(); n != 0 || m.Core.HashesWaiting() != 0 || m.Core.TurnsTaken() != 0 {
				t.Errorf("%d hashes; %d wait, %d turns are taken", n, m.Core.HashesWaiting(), m.Core.TurnsTaken())
			}
			release()
			if w := login(0); w.Code != http.StatusOK {
				t.Errorf("afterwards: %d", w.Code)
			}
		})
	}
}

// A login whose hash is to be upgraded does not wait for that: if no lane is free at
// once, the hash stays, and the next login upgrades it.
func TestUpgradeDoesNotWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var kinds []auth.EventKind
		m, store := budgetManager(t, func(c *auth.Config) {
			c.OnEvent = func(_ context.Context, e auth.Event) { kinds = append(kinds, e.Kind) }
		})
		m.Core.OwnBudget()
		old := cheapHash(testapp.Password)
		u, err := store.CreateUser(t.Context(), auth.Account{Username: "susan", PasswordHash: old, Stamp: auth.NewSecret("s"), Version: 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		budget := m.Core.Hashing()
		asked, usual := 0, budget.Lanes
		for _, busy := range []bool{true, false} {
			asked, kinds = 0, nil
			budget.Lanes = func() int {
				if asked++; busy && asked > 1 { // somebody has taken the lane of the verification
					return 0
				}
				return usual()
			}
			begun := time.Now()
			if _, err := m.Authenticate(t.Context(), "susan", testapp.Password); err != nil {
				t.Fatal(err)
			}
			if waited := time.Since(begun); waited != 0 || asked != 2 {
				t.Errorf("waited for %v; asked for %d lanes", waited, asked)
			}
			stored, err := store.LoadUser(t.Context(), u.ID)
			if err != nil {
				t.Fatal(err)
			}
			if kept := stored.PasswordHash.Equal(old); kept != busy || len(kinds) != map[bool]int{true: 0, false: 1}[busy] {
				t.Errorf("busy is %v: the old hash is kept: %v; events %v", busy, kept, kinds)
			}
		}
	})
}

package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// left returns the kinds of records that the user has.
func left(t *testing.T, s *testapp.Spy, userID string) (kinds []string) {
	t.Helper()
	for _, kind := range s.Kinds() {
		list, err := s.Store.ListRecords(t.Context(), kind, userID)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) > 0 {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// closeApp returns an application on a store that can delete users, or cannot.
func closeApp(t *testing.T, deletes bool, configure func(*auth.Config)) *mailApp {
	t.Helper()
	box := &testapp.Outbox{}
	clock := testapp.NewClock()
	hooked := testapp.NewSpy(clock)
	var store testapp.Store = hooked
	if deletes {
		store = testapp.DeletingSpy{Spy: hooked}
	}
	app := testapp.New(t, store, clock, func(c *auth.Config) {
		withBearer(c)
		c.Mailer = box
		if configure != nil {
			configure(c)
		}
	})
	return &mailApp{app, box}
}

func TestCloseAccount(t *testing.T) {
	t.Parallel()
	for _, deletes := range []bool{true, false} {
		for _, by := range []string{"the user", "another login of the user's", "an administrator"} {
			var records, sessions *testapp.Spy
			m := closeApp(t, deletes, func(c *auth.Config) {
				records, sessions = testapp.SpyOn(memstore.New[testapp.User](memstore.WithClock(c.Now))), testapp.SpyOn(memstore.New[testapp.User](memstore.WithClock(c.Now)))
				c.Records, c.SessionStore = records, sessions
			})
			u := member(t, m.App, "susan", testapp.Password, verified, func(a *auth.Account) { a.Roles = []string{"admin"} })
			member(t, m.App, "mike", "", verified)
			browser, mike := m.Client(t), remembered(t, m.App, "mike")
			browser.Login("susan")
			undo := m.changeEmail(t, browser, "new@app.example")
			mikes := m.changeEmail(t, mike, "mikes@app.example")
			device := remembered(t, m.App, "susan")
			browser.Post("/renew")
			browser.Post("/put", "key", "k", "value", "v")
			u = stored(t, m.App, u.ID)
			api, reset := newToken(t, m.App, u), resetToken(t, m.App, u)
			pending := m.askEmail(t, browser, "newer@app.example")
			if got := len(left(t, records, u.ID)) + len(left(t, sessions, u.ID)); got < 6 {
				t.Fatalf("only %v, %v", left(t, records, u.ID), left(t, sessions, u.ID))
			}
			var watched context.Context
			closing := map[string]*testapp.Client{"the user": browser, "another login of the user's": device, "an administrator": mike}[by]
			m.In(browser, func(ctx context.Context) {
				var stop context.CancelFunc
				watched, stop = m.WhileLoggedIn(context.WithoutCancel(ctx))
				t.Cleanup(stop)
			})
			m.box.Take()
			m.Events()
			m.In(closing, func(ctx context.Context) {
				if err := m.CloseAccount(ctx, u); err != nil {
					t.Errorf("%s: %v", by, err)
				}
				if who, ok := m.CurrentUser(ctx); ok != (by == "an administrator") {
					t.Errorf("%s: in the request it is %v", by, who)
				}
			})
			if watched.Err() == nil {
				t.Errorf("%s: the context of WhileLoggedIn goes on", by)
			}
			if by != "an administrator" && len(closing.Cookies) != 0 {
				t.Errorf("%s: there are cookies: %v", by, closing.Cookies)
			}
			m.wantMails(t, by, "closed to new@app.example")
			if e := m.Events(); len(e) != 1 || e[0].Kind != auth.EventAccountClosed || e[0].UserID != u.ID {
				t.Errorf("%s: %v", by, e)
			}
			gone(t, by, browser, device)
			if who := mike.Who(); who != "mike" {
				t.Errorf("%s: mike is %q", by, who)
			}
			if who := bearer(m.App, t, api); who != "nobody" {
				t.Errorf("%s: the API token is %q", by, who)
			}
			if left := append(left(t, records, u.ID), left(t, sessions, u.ID)...); len(left) != 0 {
				t.Errorf("%s: records are left: %v", by, left)
			}
			_, _, one := m.CheckEmailUndo(t.Context(), undo)
			_, two := m.CheckResetToken(t.Context(), reset)
			_, _, three := m.CheckEmailChange(t.Context(), pending)
			for _, err := range []error{one, two, three} {
				if !errors.Is(err, auth.ErrInvalidToken) {
					t.Errorf("%s: a token: %v", by, err)
				}
			}
			for _, key := range []string{"susan", "new@app.example", "susan@app.example"} {
				if found, err := m.Store.FindUser(t.Context(), key); !errors.Is(err, auth.ErrUserNotFound) {
					t.Errorf("%s: %s finds %v, %v", by, key, found, err)
				}
			}
			switch now, err := m.Store.LoadUser(t.Context(), u.ID); {
			case deletes && !errors.Is(err, auth.ErrUserNotFound):
				t.Errorf("%s: %v, %v", by, now, err)
			case deletes:
			case err != nil || !now.Disabled || now.Email != "" || now.EmailVerified || !now.PasswordHash.IsZero() || len(now.Roles) != 0 ||
				now.Stamp.Equal(u.Stamp) || now.Stamp.IsZero() || !strings.HasPrefix(now.Username, "closed-"):
				t.Errorf("%s: %+v, %v", by, now, err)
			}
			// The names are free again, and a new account inherits nothing.
			again, err := m.Register(t.Context(), auth.Registration{Username: "susan", Email: "new@app.example", Password: resetTo})
			if err != nil || again.ID == u.ID || len(again.Roles) != 0 {
				t.Errorf("%s: %v, %v", by, again, err)
			}
			if _, err := m.UndoEmailChange(t.Context(), mikes); err != nil {
				t.Errorf("%s: mike's undo link: %v", by, err)
			}
		}
	}
}

func TestCloseAccountRefused(t *testing.T) {
	t.Parallel()
	m := closeApp(t, false, nil)
	u, browser := m.susan(t)
	m.In(browser, func(ctx context.Context) {
		_, _ = m.User(ctx)
		for _, l := range logins(t, m.App, u.ID) {
			_ = m.EndLogin(t.Context(), u.ID, l.ID)
		}
		if err := m.CloseAccount(ctx, u); !errors.Is(err, auth.ErrLoggedOut) {
			t.Errorf("a login that has ended: %v", err)
		}
	})
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.CloseAccount(cancelled, u); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := m.SetPassword(t.Context(), u, resetTo); err != nil {
		t.Fatal(err)
	}
	m.box.Take()
	m.Events()
	if err := m.CloseAccount(t.Context(), u); !errors.Is(err, auth.ErrConflict) {
		t.Errorf("another change was first: %v", err)
	}
	if e := m.Events(); len(e) != 1 || e[0].Kind != auth.EventAccountCloseFailed || e[0].UserID != u.ID || !errors.Is(e[0].Err, auth.ErrConflict) {
		t.Errorf("%v", e)
	}
	if now := stored(t, m.App, u.ID); now.Disabled || now.Email == "" || !opens(t, m.App, u.ID, resetTo) {
		t.Errorf("%+v", now)
	}
	m.wantMails(t, "nothing was closed")
	if err := m.CloseAccount(t.Context(), nil); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("nil: %v", err)
	}
	u = stored(t, m.App, u.ID)
	deleteUser(t, m.App, u.ID)
	if err := m.CloseAccount(t.Context(), u); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("deleted: %v", err)
	}
	loader, err := auth.NewWithLoader[*testapp.User](memstore.New[testapp.User](), goodConfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := loader.CloseAccount(t.Context(), u); !errors.Is(err, auth.ErrNoUserStore) {
		t.Errorf("NewWithLoader: %v", err)
	}
	// An account without username and address has nothing to lose, and gets no mail.
	bare := member(t, m.App, "bare", "", func(a *auth.Account) { a.Email = "" })
	change(t, m.App, bare.ID, func(a *auth.Account) { a.Username, a.Email = "", "" })
	if err := m.CloseAccount(t.Context(), stored(t, m.App, bare.ID)); err != nil || stored(t, m.App, bare.ID).Username != "" {
		t.Errorf("%v, %+v", err, stored(t, m.App, bare.ID))
	}
	m.wantMails(t, "no address")
}

func TestCloseAccountRace(t *testing.T) {
	t.Parallel()
	for _, deletes := range []bool{true, false} {
		m := closeApp(t, deletes, nil)
		u, _ := m.susan(t)
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				switch err := m.CloseAccount(t.Context(), u); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, auth.ErrConflict) && !errors.Is(err, auth.ErrUserNotFound):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Errorf("%d have won", won.Load())
		}
		m.wantMails(t, "closed once", "closed to susan@app.example")
	}
}

// If any call fails, the account is unchanged or closed. Calling CloseAccount again
// completes it.
func TestCloseAccountFails(t *testing.T) {
	t.Parallel()
	for _, deletes := range []bool{true, false} {
		t.Run(fmt.Sprintf("deletes %v", deletes), func(t *testing.T) {
			testapp.AllOrNothing(t, 5, func(t *testing.T, f *testapp.Fault) {
				m := closeApp(t, deletes, nil)
				_, browser := m.susan(t)
				u := find(t, m.App, "susan")
				change(t, m.App, u.ID, func(a *auth.Account) { a.Roles = []string{"admin"} })
				u = stored(t, m.App, u.ID)
				newToken(t, m.App, u)
				m.box.Take()
				var err error
				m.In(browser, func(ctx context.Context) {
					_, _ = m.User(ctx)
					err = f.During(ctx, m.Spy(), func(ctx context.Context) error { return m.CloseAccount(ctx, u) })
				})
				who := browser.Who()
				now, loadErr := m.Store.LoadUser(t.Context(), u.ID)
				switch {
				case errors.Is(loadErr, auth.ErrUserNotFound), err == nil, now.Disabled:
					if who != "nobody" || now != nil && (!now.PasswordHash.IsZero() || now.Stamp.Equal(u.Stamp) || len(now.Roles) != 0) {
						t.Errorf("%s: closed, and it is %q: %+v", f, who, now)
					}
				case who != "susan" || !opens(t, m.App, u.ID, testapp.Password):
					t.Errorf("%s: not closed, and it is %q", f, who)
				}
				if err != nil && loadErr == nil {
					if err := m.CloseAccount(t.Context(), now); err != nil {
						t.Errorf("%s: once more: %v", f, err)
					}
				}
				for _, key := range []string{"susan", "susan@app.example"} {
					if _, err := m.Store.FindUser(t.Context(), key); !errors.Is(err, auth.ErrUserNotFound) {
						t.Errorf("%s: %s is still taken: %v", f, key, err)
					}
				}
				for _, kind := range []string{"session", "api-token"} {
					if list, err := m.Store.ListRecords(t.Context(), kind, u.ID); err != nil || len(list) != 0 {
						t.Errorf("%s: %d records of kind %s, %v", f, len(list), kind, err)
					}
				}
				mails := labels(m.box.Take())
				if want := []string{"closed to susan@app.example"}; !slices.Equal(mails, want) && (err == nil || loadErr == nil && now.Email != "") {
					t.Errorf("%s: the mails are %v", f, mails)
				}
			})
		})
	}
}

package auth_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// A7: the last administrator cannot be demoted, disabled or closed.
func TestLastAdmin(t *testing.T) {
	t.Parallel()
	ways := map[string]func(s *staff, ctx context.Context, u *testapp.User) error{
		"SetRoles":     func(s *staff, ctx context.Context, u *testapp.User) error { return s.SetRoles(ctx, u.ID, "editor") },
		"Disable":      func(s *staff, ctx context.Context, u *testapp.User) error { return s.Disable(ctx, u.ID) },
		"CloseAccount": func(s *staff, ctx context.Context, u *testapp.User) error { return s.CloseAccount(ctx, u) },
	}
	for first, way := range ways {
		for second, again := range ways {
			s := newStaff(t, nil)
			root, boss := s.users["root"], s.users["boss"]
			if err := way(s, t.Context(), boss); err != nil {
				t.Errorf("%s of one of two: %v", first, err)
			}
			for range 2 { // the second try meets what the first one left
				if err := again(s, t.Context(), root); !errors.Is(err, auth.ErrLastAdmin) {
					t.Errorf("%s after %s: %v", second, first, err)
				}
			}
			if now := stored(t, s.App, root.ID); now.Disabled || len(now.Roles) != 1 || now.Stamp != root.Stamp {
				t.Errorf("%s after %s: the last administrator has changed", second, first)
			}
			if err := s.by(t, "root", func(ctx context.Context) error { return again(s, ctx, root) }); !errors.Is(err, auth.ErrLastAdmin) {
				t.Errorf("%s after %s, by themselves: %v", second, first, err)
			}
			// With a new administrator, the old one may go.
			if err := s.SetRoles(t.Context(), s.users["ed"].ID, "editor", "admin"); err != nil {
				t.Fatal(err)
			}
			if err := again(s, t.Context(), root); err != nil {
				t.Errorf("%s with another administrator: %v", second, err)
			}
		}
	}
}

// A disabled administrator does not count as the other one, and counts again when enabled.
// One whom the application has made counts once SetRoles was called.
func TestOtherAdmin(t *testing.T) {
	t.Parallel()
	s := newStaff(t, nil)
	root, boss := s.users["root"], s.users["boss"]
	if err := s.Disable(t.Context(), boss.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Disable(t.Context(), root.ID); !errors.Is(err, auth.ErrLastAdmin) {
		t.Error(err)
	}
	if err := s.Enable(t.Context(), boss.ID); err != nil {
		t.Fatal(err)
	}
	setRoles(t, s.App, s.users["joe"], "admin") // by SQL
	setRoles(t, s.App, boss, "guest")           // boss is not one any more, and SetRoles does not know
	if err := s.Disable(t.Context(), root.ID); !errors.Is(err, auth.ErrLastAdmin) {
		t.Error(err)
	}
	if err := s.SetRoles(t.Context(), s.users["joe"].ID, "admin"); err != nil {
		t.Error(err)
	}
	if err := s.Disable(t.Context(), root.ID); err != nil {
		t.Error(err)
	}
}

// If a store fails at any call, the change is made or not, and an administrator stays. After
// a crash, the mark of a removal ends by itself.
func TestLastAdminStoreFails(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		for k := 1; k < 60; k++ {
			s := newStaff(t, nil)
			root, boss := s.users["root"], s.users["boss"]
			s.Spy().FailAt(k, after)
			err := s.Disable(t.Context(), boss.ID)
			made := len(s.Spy().Calls()) < k
			s.Spy().Reset()
			if made {
				if err != nil || k < 5 {
					t.Fatalf("%d calls: %v", k, err)
				}
				break
			}
			second := s.Disable(t.Context(), root.ID)
			admins := 0
			for _, u := range []*testapp.User{root, boss} {
				if !stored(t, s.App, u.ID).Disabled {
					admins++
				}
			}
			if admins == 0 {
				t.Errorf("call %d, after %v: no administrator is left: %v, %v", k, after, err, second)
			}
			s.Clock.Advance(6 * time.Minute)
			if third := s.Disable(t.Context(), boss.ID); admins == 2 && third != nil {
				t.Errorf("call %d, after %v: later: %v", k, after, third)
			}
		}
	}
}

// A7: of two processes that remove the last two administrators at once, one fails.
func TestAdminRaces(t *testing.T) {
	testapp.AdminRaces(t, testapp.Rounds(t, 10, 200), func(_ *testing.T, clock func() time.Time) testapp.Store {
		return memstore.New[testapp.User](memstore.WithClock(clock))
	})
}

// If the store fails while an administrator is disabled, the database may still do it later.
// Until it cannot any more, nobody else can take away the other administrator. The same
// change can be tried again at once.
func TestLastAdminChangeArrivesLate(t *testing.T) {
	t.Parallel()
	fail := func(s *staff) {
		t.Helper()
		s.Spy().Hook(on("UpdateAccount", func() error { return errStore }), nil)
		if err := s.Disable(t.Context(), s.users["boss"].ID); !errors.Is(err, errStore) {
			t.Errorf("a store that fails: %v", err)
		}
		s.Spy().Reset()
	}
	s := newStaff(t, nil)
	root, boss := s.users["root"], s.users["boss"]
	fail(s)
	if err := s.Disable(t.Context(), root.ID); !errors.Is(err, auth.ErrLastAdmin) {
		t.Errorf("while the database may be at work: %v", err)
	}
	fail(s)
	if err := s.SetRoles(t.Context(), boss.ID, "no such role"); !errors.Is(err, auth.ErrUnknownRole) {
		t.Error(err)
	}
	if err := s.Disable(t.Context(), root.ID); !errors.Is(err, auth.ErrLastAdmin) {
		t.Errorf("after a second failure: %v", err)
	}
	if err := s.Disable(t.Context(), boss.ID); err != nil {
		t.Errorf("the same change again: %v", err)
	}

	s = newStaff(t, nil)
	fail(s)
	s.Clock.Advance(6 * time.Minute)
	if err := s.Disable(t.Context(), s.users["root"].ID); err != nil {
		t.Errorf("after the time of a change: %v", err)
	}
}

// A change of an administrator that is refused leaves a mark that an earlier one has left.
func TestLastAdminRefusedChangeKeepsMark(t *testing.T) {
	t.Parallel()
	s := newStaff(t, nil)
	root, boss := s.users["root"], s.users["boss"]
	s.Spy().Hook(on("UpdateAccount", func() error { return errStore }), nil)
	if err := s.Disable(t.Context(), boss.ID); !errors.Is(err, errStore) {
		t.Fatal(err)
	}
	s.Spy().Hook(func(method string) error {
		if method == "UpdateAccount" {
			return auth.ErrConflict
		}
		return nil
	}, nil)
	if err := s.Disable(t.Context(), boss.ID); !errors.Is(err, auth.ErrConflict) {
		t.Errorf("a change that came first: %v", err)
	}
	s.Spy().Reset()
	if err := s.Disable(t.Context(), root.ID); !errors.Is(err, auth.ErrLastAdmin) {
		t.Errorf("the mark is gone: %v", err)
	}
}

// The record of the administrators has 500 seats. Those of users who are no administrators
// any more are found again, a few in each call.
func TestLastAdminSeatsArePruned(t *testing.T) {
	t.Parallel()
	s := newStaff(t, nil)
	var made []*testapp.User
	for i := range 498 { // with root and boss
		u, err := s.CreateUser(t.Context(), auth.Registration{Username: "admin" + strconv.Itoa(i), Email: "admin" + strconv.Itoa(i) + "@app.example"}, "admin")
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, u)
	}
	for _, u := range made[60:] {
		setRoles(t, s.App, u, "guest") // by SQL
	}
	ed := s.users["ed"].ID
	for range 3 {
		s.Spy().Reset()
		if err := s.SetRoles(t.Context(), ed, "editor", "admin"); err != nil {
			t.Fatal(err)
		}
		loads := 0
		for _, method := range s.Spy().Calls() {
			if method == "LoadUser" {
				loads++
			}
		}
		if loads > 50 {
			t.Errorf("SetRoles loads %d users", loads)
		}
	}
	for _, u := range append(made[:60], s.users["boss"], s.users["root"]) { // ed counts as the other one
		setRoles(t, s.App, u, "admin")
		if err := s.Disable(t.Context(), u.ID); err != nil {
			t.Fatalf("%s: %v", u.Username, err)
		}
	}
	if err := s.Disable(t.Context(), ed); !errors.Is(err, auth.ErrLastAdmin) {
		t.Error(err)
	}
}

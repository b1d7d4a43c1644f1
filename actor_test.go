package auth_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// A staff is an application with roles, users and one browser for each of them.
type staff struct {
	*mailApp
	users    map[string]*testapp.User
	browsers map[string]*testapp.Client
}

// newStaff has the users root and boss (admin), ed and eve (editor), and joe (no role).
func newStaff(t *testing.T, configure func(*auth.Config)) *staff {
	t.Helper()
	s := &staff{newMailApp(t, func(c *auth.Config) {
		withRoles(c)
		c.Roles.Admin = "admin"
		if configure != nil {
			configure(c)
		}
	}), map[string]*testapp.User{}, map[string]*testapp.Client{}}
	for name, roles := range map[string][]string{"root": {"admin"}, "boss": {"admin"}, "ed": {"editor"}, "eve": {"editor"}, "joe": nil} {
		u := member(t, s.App, name, testapp.Password, func(a *auth.Account) { a.EmailVerified = true })
		if err := s.SetRoles(t.Context(), u.ID, roles...); err != nil {
			t.Fatal(err)
		}
		s.users[name] = stored(t, s.App, u.ID)
		s.browsers[name] = s.Client(t)
		s.browsers[name].Login(name)
	}
	s.box.Take()
	s.Events()
	return s
}

// by calls f in a request of a user; of "nobody", in one without a login; of "", without a request.
func (s *staff) by(t *testing.T, name string, f func(ctx context.Context) error) (err error) {
	t.Helper()
	switch name {
	case "":
		return f(t.Context())
	case "nobody":
		s.In(s.Client(t), func(ctx context.Context) { err = f(ctx) })
	default:
		s.In(s.browsers[name], func(ctx context.Context) {
			if _, ok := s.CurrentUser(ctx); !ok {
				t.Errorf("%s is not logged in", name)
			}
			err = f(ctx)
		})
	}
	return err
}

// acts are all methods by which a user changes another one's account. selfService says that
// users call it for themselves, too.
func (s *staff) acts(t *testing.T) map[string]struct {
	do          func(ctx context.Context, u *testapp.User) error
	selfService bool
} {
	type one = struct {
		do          func(ctx context.Context, u *testapp.User) error
		selfService bool
	}
	return map[string]one{
		"SetRoles":    {func(ctx context.Context, u *testapp.User) error { return s.SetRoles(ctx, u.ID, "guest") }, false},
		"Disable":     {func(ctx context.Context, u *testapp.User) error { return s.Disable(ctx, u.ID) }, false},
		"Enable":      {func(ctx context.Context, u *testapp.User) error { return s.Enable(ctx, u.ID) }, false},
		"Unlock":      {func(ctx context.Context, u *testapp.User) error { return s.Unlock(ctx, u.ID) }, false},
		"ForceReset":  {func(ctx context.Context, u *testapp.User) error { return s.ForceReset(ctx, u.ID) }, false},
		"SetUsername": {func(ctx context.Context, u *testapp.User) error { return s.SetUsername(ctx, u.ID, u.Username+"2") }, false},
		"SetEmail":    {func(ctx context.Context, u *testapp.User) error { return s.SetEmail(ctx, u.ID, "new-"+u.Email) }, false},
		"EndLogin": {func(ctx context.Context, u *testapp.User) error {
			logins, err := s.Logins(t.Context(), u.ID)
			if err != nil || len(logins) == 0 {
				t.Fatal(err)
			}
			return s.EndLogin(ctx, u.ID, logins[0].ID)
		}, true},
		"LogoutEverywhere": {func(ctx context.Context, u *testapp.User) error { return s.LogoutEverywhere(ctx, u) }, true},
		"SetPassword":      {func(ctx context.Context, u *testapp.User) error { return s.SetPassword(ctx, u, "another good horse") }, true},
		"NewAPIToken": {func(ctx context.Context, u *testapp.User) error {
			_, _, err := s.NewAPIToken(ctx, u, auth.APIToken{Scopes: []string{auth.ScopeAll}, Expires: s.Clock.Now().Add(time.Hour)})
			return err
		}, true},
		"RevokeAPIToken": {func(ctx context.Context, u *testapp.User) error {
			_, made, err := s.NewAPIToken(t.Context(), u, auth.APIToken{Scopes: []string{auth.ScopeAll}, Expires: s.Clock.Now().Add(time.Hour)})
			if err != nil {
				t.Fatal(err)
			}
			s.box.Take()
			return s.RevokeAPIToken(ctx, u.ID, made.ID)
		}, true},
		"EndTrust": {func(ctx context.Context, u *testapp.User) error { return s.EndTrust(ctx, u.ID, "") }, true},
		"ResetToken": {func(ctx context.Context, u *testapp.User) error {
			_, err := s.ResetToken(ctx, u)
			return err
		}, true},
		"VerificationToken": {func(ctx context.Context, u *testapp.User) error {
			u.EmailVerified = false
			_, err := s.VerificationToken(ctx, u)
			return err
		}, true},
		"CloseAccount": {func(ctx context.Context, u *testapp.User) error { return s.CloseAccount(ctx, u) }, true},
	}
}

// A6: a user may act on another one only if they have everything that the other one has.
// Every act, every actor and every subject.
func TestLowerRankCannotAct(t *testing.T) {
	t.Parallel()
	for name := range newStaff(t, nil).acts(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, actor := range []string{"", "nobody", "joe", "ed", "boss"} {
				for _, subject := range []string{"joe", "eve", "root"} {
					if name == "Enable" && actor == subject {
						continue // a disabled user makes no request
					}
					s := newStaff(t, nil)
					act := s.acts(t)[name]
					if name == "Enable" {
						change(t, s.App, s.users[subject].ID, func(a *auth.Account) { a.Disabled = true })
					}
					before := stored(t, s.App, s.users[subject].ID)
					var want error
					switch {
					case actor == "", actor == "boss", actor == subject, actor == "ed" && subject != "root", actor == "joe" && subject == "joe":
					case actor == "nobody" && (act.selfService || subject == "joe"):
					case actor == "nobody":
						want = auth.ErrNotLoggedIn
					default:
						want = auth.ErrForbidden
					}
					if name == "SetRoles" && (actor == "joe" && subject == "joe") { // guest has no permission
						want = nil
					}
					err := s.by(t, actor, func(ctx context.Context) error { return act.do(ctx, before) })
					if !errors.Is(err, want) {
						t.Errorf("%s acts on %s: %v, want %v", actor, subject, err, want)
					}
					if after := stored(t, s.App, before.ID); want != nil && (after.Version != before.Version) {
						t.Errorf("%s acts on %s: the account has changed", actor, subject)
					}
					if want != nil && len(s.box.Take()) > 0 {
						t.Errorf("%s acts on %s: a mail was sent", actor, subject)
					}
				}
			}
		})
	}
}

// Nobody gives a role that has more than they have, not even to themselves, and only an
// administrator makes one.
func TestNobodyGivesMoreThanTheyHave(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		actor, subject string
		roles          []string
		want           error
	}{
		{"ed", "joe", []string{"editor"}, nil}, {"ed", "joe", []string{"guest", "editor"}, nil}, {"ed", "joe", []string{"admin"}, auth.ErrForbidden},
		{"ed", "ed", []string{"admin"}, auth.ErrForbidden}, {"ed", "ed", []string{"editor", "admin"}, auth.ErrForbidden}, {"ed", "ed", nil, nil},
		{"joe", "joe", []string{"editor"}, auth.ErrForbidden}, {"joe", "joe", []string{"guest"}, nil}, {"joe", "eve", nil, auth.ErrForbidden},
		{"boss", "joe", []string{"admin"}, nil}, {"boss", "boss", []string{"editor"}, nil}, {"boss", "root", []string{"guest"}, nil},
		{"nobody", "joe", []string{"editor"}, auth.ErrNotLoggedIn}, {"nobody", "joe", []string{"guest"}, nil}, {"", "joe", []string{"admin"}, nil},
		{"boss", "joe", []string{"super"}, auth.ErrUnknownRole}, {"", "joe", []string{"editor", ""}, auth.ErrUnknownRole},
	} {
		s := newStaff(t, nil)
		err := s.by(t, c.actor, func(ctx context.Context) error { return s.SetRoles(ctx, s.users[c.subject].ID, c.roles...) })
		now := strings.Join(stored(t, s.App, s.users[c.subject].ID).Roles, " ")
		want := strings.Join(c.roles, " ")
		if c.want != nil {
			want = strings.Join(s.users[c.subject].Roles, " ")
		}
		if !errors.Is(err, c.want) || now != want {
			t.Errorf("%s gives %s %q: %v, and the roles are %q", c.actor, c.subject, c.roles, err, now)
		}
	}
	// An administrators' role without any permission outranks the others, too.
	s := newStaff(t, func(c *auth.Config) { c.Roles.Grants["admin"] = nil })
	err := s.by(t, "ed", func(ctx context.Context) error { return s.Disable(ctx, s.users["root"].ID) })
	if !errors.Is(err, auth.ErrForbidden) {
		t.Error(err)
	}
	err = s.by(t, "ed", func(ctx context.Context) error { return s.SetRoles(ctx, s.users["ed"].ID, "admin") })
	if !errors.Is(err, auth.ErrForbidden) {
		t.Error(err)
	}
}

// If the subject gets a permission, or the actor loses one, while the request is under way,
// the act is refused.
func TestRankAtTheVeryChange(t *testing.T) {
	t.Parallel()
	s := newStaff(t, nil)
	err := s.by(t, "ed", func(ctx context.Context) error {
		s.Spy().Hook(on("UpdateAccount", func() error {
			s.Spy().Reset()
			setRoles(t, s.App, s.users["joe"], "admin")
			return nil
		}), nil)
		return s.Disable(ctx, s.users["joe"].ID)
	})
	s.Spy().Reset()
	if !errors.Is(err, auth.ErrForbidden) && !errors.Is(err, auth.ErrConflict) || stored(t, s.App, s.users["joe"].ID).Disabled {
		t.Errorf("the subject was promoted: %v", err)
	}
	err = s.by(t, "ed", func(ctx context.Context) error {
		setRoles(t, s.App, s.users["ed"], "guest")
		return s.Disable(ctx, s.users["eve"].ID)
	})
	if !errors.Is(err, auth.ErrForbidden) {
		t.Errorf("the actor was demoted: %v", err)
	}
	err = s.by(t, "boss", func(ctx context.Context) error {
		if err := s.Disable(t.Context(), s.users["boss"].ID); err != nil {
			t.Error(err)
		}
		return s.Disable(ctx, s.users["eve"].ID)
	})
	if !errors.Is(err, auth.ErrLoggedOut) || stored(t, s.App, s.users["eve"].ID).Disabled {
		t.Errorf("the actor was disabled: %v", err)
	}
}

// Without Config.Roles nothing is checked, as before.
func TestNoRanksWithoutRoles(t *testing.T) {
	t.Parallel()
	s := newMailApp(t, nil)
	susan, mike := member(t, s.App, "susan", testapp.Password), member(t, s.App, "mike", testapp.Password)
	c := s.Client(t)
	c.Login("susan")
	s.Events()
	s.In(c, func(ctx context.Context) {
		_, _ = s.CurrentUser(ctx)
		if err := s.Disable(ctx, mike.ID); err != nil {
			t.Error(err)
		}
	})
	if events := s.Events(); len(events) != 1 || events[0].ActorID != susan.ID || events[0].UserID != mike.ID {
		t.Errorf("%v", events)
	}
}

// A8: every act is an event with the actor, the subject and the reason. If it is refused,
// and there is an event, that has them, too.
func TestActsAreEvents(t *testing.T) {
	t.Parallel()
	for name := range newStaff(t, nil).acts(t) {
		s := newStaff(t, nil)
		boss, ed := s.users["boss"], s.users["ed"]
		if name == "Enable" {
			change(t, s.App, ed.ID, func(a *auth.Account) { a.Disabled = true })
		}
		err := s.by(t, "boss", func(ctx context.Context) error {
			return s.acts(t)[name].do(auth.WithReason(ctx, "ticket\n4711"+strings.Repeat("é", 300)), stored(t, s.App, ed.ID))
		})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		found := false
		for _, e := range s.Events() {
			found = found || e.ActorID == boss.ID && e.UserID == ed.ID && strings.HasPrefix(e.Reason, "ticket 4711é") && len(e.Reason) <= 256 && e.Err == nil || name == "EndLogin" && e.ActorID == boss.ID && e.Reason != ""
		}
		if !found {
			t.Errorf("%s: no event has all of it", name)
		}
		if logs := s.Logs(); !strings.Contains(logs, "actor="+boss.ID) || !strings.Contains(logs, `reason="ticket 4711`) {
			t.Errorf("%s: the log has no actor or no reason", name)
		}
	}
	s := newStaff(t, nil)
	if err := s.by(t, "ed", func(ctx context.Context) error {
		return s.SetRoles(auth.WithReason(ctx, "why"), s.users["root"].ID, "guest")
	}); !errors.Is(err, auth.ErrForbidden) {
		t.Error(err)
	}
	if e := s.Events(); len(e) != 1 || e[0].Kind != auth.EventRolesSetFailed || e[0].ActorID != s.users["ed"].ID || e[0].Reason != "why" || !errors.Is(e[0].Err, auth.ErrForbidden) {
		t.Errorf("%v", e)
	}
	if err := s.SetRoles(t.Context(), s.users["joe"].ID, "guest", "editor", "guest"); err != nil {
		t.Error(err)
	}
	if e := s.Events(); len(e) != 1 || e[0].Kind != auth.EventRolesSet || e[0].Roles != "guest editor" || e[0].ActorID != "" {
		t.Errorf("%v", e)
	}
	if err := s.SetRoles(t.Context(), s.users["joe"].ID, "guest", "editor"); err != nil || len(s.Events()) != 0 {
		t.Errorf("the same roles: %v", err)
	}
}

// A request that has changed or ended its own user's login is still that user's: it may do no
// more to others than before.
func TestActAfterAChangeOfTheOwnAccount(t *testing.T) {
	t.Parallel()
	for name, own := range map[string]func(ctx context.Context, s *staff, ed *testapp.User) error{
		"SetPassword": func(ctx context.Context, s *staff, ed *testapp.User) error {
			return s.SetPassword(ctx, ed, "a new battery staple")
		},
		"SetUsername": func(ctx context.Context, s *staff, ed *testapp.User) error {
			return s.SetUsername(ctx, ed.ID, "edward")
		},
		"LogoutEverywhere": func(ctx context.Context, s *staff, ed *testapp.User) error { return s.LogoutEverywhere(ctx, ed) },
		"CloseAccount":     func(ctx context.Context, s *staff, ed *testapp.User) error { return s.CloseAccount(ctx, ed) },
	} {
		for _, act := range []string{"SetPassword", "NewAPIToken", "CloseAccount", "SetEmail", "ResetToken"} {
			s := newStaff(t, nil)
			root := s.users["root"]
			err := s.by(t, "ed", func(ctx context.Context) error {
				if err := own(ctx, s, s.users["ed"]); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				return s.acts(t)[act].do(ctx, root)
			})
			if !errors.Is(err, auth.ErrForbidden) && !errors.Is(err, auth.ErrLoggedOut) {
				t.Errorf("%s, and then %s of an administrator: %v", name, act, err)
			}
			if now := stored(t, s.App, root.ID); now.Version != root.Version {
				t.Errorf("%s, and then %s: the administrator's account has changed", name, act)
			}
		}
	}
}

// A token is made by the rank that the account has now, and not when the handler loaded it.
func TestAPITokenOfAUserWhoWasPromotedMeanwhile(t *testing.T) {
	t.Parallel()
	s := newStaff(t, nil)
	joe := s.users["joe"]
	if err := s.SetRoles(t.Context(), joe.ID, "admin"); err != nil {
		t.Fatal(err)
	}
	if err := s.by(t, "ed", func(ctx context.Context) error { return s.acts(t)["NewAPIToken"].do(ctx, joe) }); !errors.Is(err, auth.ErrForbidden) {
		t.Error(err)
	}
}

// A user of lower rank learns nothing about the last administrator, and marks no seat.
func TestLowerRankMarksNoSeat(t *testing.T) {
	t.Parallel()
	s := newStaff(t, nil)
	if err := s.SetRoles(t.Context(), s.users["boss"].ID); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Disable", "CloseAccount", "SetRoles"} {
		s.Spy().Reset()
		if err := s.by(t, "ed", func(ctx context.Context) error { return s.acts(t)[name].do(ctx, s.users["root"]) }); !errors.Is(err, auth.ErrForbidden) {
			t.Errorf("%s: %v", name, err)
		}
		if written := s.Spy().Given("UpdateRecord", "InsertRecord"); len(written) > 0 {
			for _, r := range written {
				if r.Kind == "administrators" {
					t.Errorf("%s writes to the record of the administrators", name)
				}
			}
		}
	}
}

// With EmailLogin: an administrator gives a verified account another address, by mistake
// perhaps. A login by mail to that address removes nothing of the owner's, still asks for the
// second factor, and the link to the old address works.
func TestSetEmailAndLoginByMail(t *testing.T) {
	t.Parallel()
	factor := newCodes()
	s := newStaff(t, func(c *auth.Config) {
		c.EmailLogin = true
		c.Factors = []auth.Factor{factor}
	})
	m, joe := &codeApp{s.mailApp}, s.users["joe"]
	if err := factor.set(joe.ID, true); err != nil {
		t.Fatal(err)
	}
	if err := s.SetEmail(t.Context(), joe.ID, "other@app.example"); err != nil {
		t.Fatal(err)
	}
	undo := tokenIn(t, s.box.Take()[0])
	c := s.Client(t)
	code, token := m.ask(t, c, "other@app.example")
	if link, err := s.CheckLoginLink(t.Context(), token); err != nil || link.Clears {
		t.Errorf("CheckLoginLink: %+v, %v", link, err)
	}
	if cleared, err := m.byCode(c, code); !errors.Is(err, auth.ErrFactorRequired) || cleared {
		t.Errorf("LoginByCode: %v, %v", cleared, err)
	}
	if has, err := factor.Enrolled(t.Context(), joe.ID); err != nil || !has {
		t.Error("the second factor is gone")
	}
	if now := stored(t, s.App, joe.ID); now.PasswordHash.IsZero() || !now.EmailVerified {
		t.Errorf("%+v", now)
	}
	if _, _, err := s.CheckEmailUndo(t.Context(), undo); err != nil {
		t.Errorf("the link to the old address: %v", err)
	}
}

package main

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
)

// reasoned returns the form of every act.
func reasoned(arg string) url.Values { return url.Values{"reason": {"ticket 4711"}, "arg": {arg}} }

func TestRoutesHaveRules(t *testing.T) {
	t.Parallel()
	authtest.CheckRoutes(t, newSite(t).app.routes)
}

// TestGuards sends every request as every kind of user. It does all acts, so each is on
// a user of its own.
func TestGuards(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	admin, _ := s.staff("susan", "admin")
	support, _ := s.staff("jacob", "support")
	clients := map[string]*authtest.Client{"anonymous": s.client(nil), "user": s.client(s.add("mabel")), "support": support, "admin": admin}
	allowed := func(who, permission string) bool {
		return slices.Contains(s.app.manager.Config().Roles.Grants[who], permission)
	}
	n := 0
	try := func(method, path, permission string) {
		for who, c := range clients {
			n++
			id := s.add(fmt.Sprintf("member-%d", n)).ID
			var r *authtest.Response
			if path := strings.ReplaceAll(path, "ID", id); method == http.MethodGet {
				r = c.Get(path)
			} else {
				r = c.Post(path, reasoned(""))
			}
			got, wants := r.StatusCode, http.StatusForbidden
			if who == "anonymous" {
				wants = http.StatusSeeOther
			}
			if allowed(who, permission) {
				if got == http.StatusForbidden || strings.HasPrefix(r.Header.Get("Location"), "/login") {
					t.Errorf("%s %s as %s: %s", method, path, who, r.Status)
				}
			} else if got != wants {
				t.Errorf("%s %s as %s: %s, want %d", method, path, who, r.Status, wants)
			}
		}
	}
	try(http.MethodGet, "/admin/users", "users.read")
	try(http.MethodGet, "/admin/users/ID", "users.read")
	try(http.MethodPost, "/admin/users", "users.edit")
	try(http.MethodPost, "/admin/users/ID/impersonate", "users.impersonate")
	for _, act := range s.app.acts() {
		if admin.Get("/admin/users").StatusCode != http.StatusOK { // an impersonation is on
			want(t, admin.Post("/stop-impersonating", nil), http.StatusSeeOther, "")
		}
		try(http.MethodPost, "/admin/users/ID/"+act.Name, act.Needs)
	}
	page := support.Get("/admin/users/" + s.add("other").ID)
	want(t, page, http.StatusOK, "/unlock")
	wantNot(t, page, "/disable", "/set-roles", "/impersonate")
}

// TestUsers goes through all pages of the list, while users come and go.
func TestUsers(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	admin, _ := s.staff("susan", "admin")
	const n = 120
	for i := range n {
		s.add(fmt.Sprintf("member-%03d", i))
	}
	seen := map[string]int{}
	pages := 0
	for path := "/admin/users"; path != ""; pages++ {
		r := admin.Get(path)
		want(t, r, http.StatusOK, "<h1>Users</h1>")
		for _, m := range regexp.MustCompile(`>(member-\d+)</a>`).FindAllStringSubmatch(r.Text, -1) {
			seen[m[1]]++
		}
		path = ""
		if m := regexp.MustCompile(`<a href="([^"]+)">More</a>`).FindStringSubmatch(r.Text); m != nil {
			path = html.UnescapeString(m[1])
		}
		newcomer := s.add(fmt.Sprintf("newcomer-%d", pages))
		if pages%2 == 0 {
			check(t, s.app.manager.CloseAccount(t.Context(), newcomer))
		}
	}
	once := 0
	for _, times := range seen {
		if times == 1 {
			once++
		}
	}
	if once != n || len(seen) != n || pages < 3 {
		t.Errorf("of %d members, %d were shown, and %d once, on %d pages", n, len(seen), once, pages)
	}
	for _, search := range []string{"Member-077", "member-077@APP.example", s.find("member-077").ID} {
		found := admin.Get("/admin/users?" + url.Values{"search": {search}}.Encode())
		want(t, found, http.StatusOK, ">member-077</a>")
		wantNot(t, found, ">susan<", "member-07<")
	}
	want(t, admin.Get("/admin/users?search=nobody"), http.StatusOK, "<li class=\"row\">none</li>")
	want(t, admin.Get("/admin/users?search="+url.QueryEscape("no name")), http.StatusOK, "<li class=\"row\">none</li>")
}

// TestActs does each act to a user, and looks at what has happened. The event has the
// administrator, the user and the reason.
func TestActs(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	admin, susan := s.staff("susan", "admin")
	acts := map[string]struct {
		arg   string
		event auth.EventKind
		done  func(user *User, c *authtest.Client, r *authtest.Response) bool
	}{
		"set-roles": {"support", auth.EventRolesSet, func(u *User, _ *authtest.Client, _ *authtest.Response) bool {
			return slices.Equal(u.Roles, []string{"support"})
		}},
		"set-username": {"renamed", auth.EventUsernameChanged, func(u *User, _ *authtest.Client, _ *authtest.Response) bool { return u.Username == "renamed" }},
		"set-email": {"moved@app.example", auth.EventEmailChangeDone, func(u *User, _ *authtest.Client, _ *authtest.Response) bool {
			return u.Email == "moved@app.example" && !u.EmailVerified
		}},
		"unlock": {"", auth.EventAccountUnlocked, func(*User, *authtest.Client, *authtest.Response) bool { return true }},
		"force-reset": {"", auth.EventResetForced, func(u *User, c *authtest.Client, _ *authtest.Response) bool {
			return !loggedIn(c) && strings.Contains(s.mails.Link(t, u.Email), "/reset-password?")
		}},
		"one-time-code": {"", "recovery-code.issued", func(_ *User, _ *authtest.Client, r *authtest.Response) bool {
			return regexp.MustCompile(`The code \S{10,} works once`).MatchString(r.Text)
		}},
		"reset-factors": {"", auth.EventFactorRemoved, func(u *User, c *authtest.Client, _ *authtest.Response) bool {
			d, err := s.app.details(t.Context(), u.ID)
			check(t, err)
			return !slices.ContainsFunc(d.Factors, func(f auth.FactorState) bool { return f.Enrolled })
		}},
		"end-login":  {"", auth.EventLoginRevoked, func(_ *User, c *authtest.Client, _ *authtest.Response) bool { return !loggedIn(c) }},
		"end-logins": {"", auth.EventLoginsEnded, func(_ *User, c *authtest.Client, _ *authtest.Response) bool { return !loggedIn(c) }},
		"disable":    {"", auth.EventAccountDisabled, func(u *User, c *authtest.Client, _ *authtest.Response) bool { return u.Disabled && !loggedIn(c) }},
		"enable":     {"", auth.EventAccountEnabled, func(u *User, _ *authtest.Client, _ *authtest.Response) bool { return !u.Disabled }},
		"close":      {"", auth.EventAccountClosed, func(u *User, c *authtest.Client, _ *authtest.Response) bool { return u == nil && !loggedIn(c) }},
	}
	for _, act := range s.app.acts() {
		t.Run(act.Name, func(t *testing.T) {
			x, ok := acts[act.Name]
			if !ok {
				t.Fatal("there is no test of it")
			}
			user := s.add("member-" + act.Name)
			c := s.client(user)
			s.setUp(c)
			if act.Name == "enable" {
				check(t, s.app.manager.Disable(t.Context(), user.ID))
			}
			if act.Name == "end-login" {
				logins, err := s.app.manager.Logins(t.Context(), user.ID)
				check(t, err)
				x.arg = logins[0].ID
			}
			r := admin.Post("/admin/users/"+user.ID+"/"+act.Name, reasoned(x.arg))
			if act.Name == "close" {
				want(t, r, http.StatusNotFound, "")
			} else {
				want(t, r, http.StatusOK, `role="alert"`)
				user = s.load(user.ID)
			}
			e := s.event(x.event)
			if e.UserID != user.ID || e.ActorID != susan.ID || e.Reason != "ticket 4711" {
				t.Errorf("the event is %+v", e)
			}
			if act.Name == "close" {
				user = nil
			}
			if !x.done(user, c, r) {
				t.Errorf("it was not done: %+v\n%s", user, r.Text)
			}
		})
	}
}

// loggedIn reports whether a browser is logged in.
func loggedIn(c *authtest.Client) bool { return c.Get("/account").StatusCode == http.StatusOK }

// TestRefused: what an administrator got wrong is shown on the page, and changes
// nothing.
func TestRefused(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	admin, _ := s.staff("susan", "admin")
	user := s.add("mabel")
	for _, c := range []struct {
		act    string
		form   url.Values
		status int
		text   string
	}{
		{"disable", url.Values{"reason": {" "}}, http.StatusUnprocessableEntity, "give a reason"},
		{"impersonate", nil, http.StatusUnprocessableEntity, "give a reason"},
		{"set-roles", reasoned("owner"), http.StatusUnprocessableEntity, "owner"},
		{"set-username", reasoned("susan"), http.StatusConflict, "taken"},
		{"set-username", reasoned("two words"), http.StatusUnprocessableEntity, ""},
		{"set-email", reasoned("susan@app.example"), http.StatusConflict, "taken"},
		{"end-login", reasoned("nonsense"), http.StatusUnprocessableEntity, "login"},
	} {
		want(t, admin.Post("/admin/users/"+user.ID+"/"+c.act, c.form), c.status, c.text)
	}
	if now := s.load(user.ID); now.Version != user.Version {
		t.Errorf("the user is %+v", now)
	}
	want(t, admin.Post("/admin/users/nobody/disable", reasoned("")), http.StatusNotFound, "")
	want(t, admin.Get("/admin/users/nobody"), http.StatusNotFound, "")
	s.clock.Advance(16 * time.Minute)
	r := admin.Post("/admin/users/"+user.ID+"/disable", reasoned(""))
	if to := r.Header.Get("Location"); r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/refresh") {
		t.Errorf("a stale login gets %s to %q", r.Status, to)
	}
}

// TestStaffNeedsAFactor: with the password alone, an administrator reaches no page.
func TestStaffNeedsAFactor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	c := s.client(s.add("susan", "admin"))
	r := c.Get("/admin/users")
	if to := r.Header.Get("Location"); r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/account/two-factor") {
		t.Fatalf("got %s to %q", r.Status, to)
	}
	s.setUp(c)
	want(t, c.Get("/admin/users"), http.StatusOK, "susan")
}

// TestLastAdministrator: the last administrator stays, even in a page of their own.
func TestLastAdministrator(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	admin, susan := s.staff("susan", "admin")
	for act, arg := range map[string]string{"set-roles": "support", "disable": "", "close": ""} {
		want(t, admin.Post("/admin/users/"+susan.ID+"/"+act, reasoned(arg)), http.StatusConflict, "last administrator")
	}
	jacob := s.add("jacob")
	want(t, admin.Post("/admin/users/"+jacob.ID+"/set-roles", reasoned("admin")), http.StatusOK, "Done.")
	want(t, admin.Post("/admin/users/"+susan.ID+"/set-roles", reasoned("support")), http.StatusOK, "Done.")
	want(t, admin.Post("/admin/users/"+jacob.ID+"/set-roles", reasoned("")), http.StatusForbidden, "")
}

// TestRank: support cannot help themselves to an administrator's account.
func TestRank(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	_, susan := s.staff("susan", "admin")
	support, _ := s.staff("jacob", "support")
	for _, act := range []string{"unlock", "force-reset", "one-time-code", "end-logins"} {
		want(t, support.Post("/admin/users/"+susan.ID+"/"+act, reasoned("")), http.StatusForbidden, "")
	}
	if now := s.load(susan.ID); now.Version != susan.Version {
		t.Error("the administrator's account was changed")
	}
	want(t, support.Post("/admin/users/"+s.add("mabel").ID+"/unlock", reasoned("")), http.StatusOK, "Done.")
}

// TestCreate: a new user gets a mail with a link, and sets the password.
func TestCreate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	admin, susan := s.staff("susan", "admin")
	form := url.Values{"email": {"mabel@app.example"}, "roles": {"support"}, "reason": {"a new colleague"}}
	r := admin.Post("/admin/users", form)
	want(t, r, http.StatusSeeOther, "")
	want(t, admin.Follow(r), http.StatusOK, "A mail with a link is on its way to mabel@app.example.")
	if e := s.event(auth.EventAccountRegistered); e.Roles != "support" || e.ActorID != susan.ID || e.Reason != "a new colleague" {
		t.Errorf("the event is %+v", e)
	}
	want(t, admin.Post("/admin/users", form), http.StatusConflict, "taken")
	c := s.client(nil)
	password := url.Values{"password": {"a plain sentence"}, "confirm_password": {"a plain sentence"}}
	want(t, c.Get(path(t, s.mails.Link(t, "mabel@app.example"))), http.StatusSeeOther, "")
	want(t, c.Post("/reset-password", password), http.StatusSeeOther, "")
	want(t, c.Post("/login", url.Values{"login": {"mabel@app.example"}, "password": {"a plain sentence"}}), http.StatusSeeOther, "")
	s.setUp(c)
	want(t, c.Get("/admin/users"), http.StatusOK, "mabel")
}

// path returns the path and the query of a link.
func path(t *testing.T, link string) string {
	t.Helper()
	u, err := url.Parse(link)
	check(t, err)
	return u.RequestURI()
}

// TestImpersonate: an administrator acts as a user. Each page says so.
func TestImpersonate(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	admin, susan := s.staff("susan", "admin")
	mabel := s.add("mabel")
	want(t, admin.Post("/admin/users/"+mabel.ID+"/impersonate", reasoned("")), http.StatusSeeOther, "")
	if e := s.event(auth.EventImpersonationBegun); e.UserID != mabel.ID || e.ActorID != susan.ID || e.Reason != "ticket 4711" {
		t.Errorf("the event is %+v", e)
	}
	s.mails.Last(t, "mabel@app.example")
	want(t, admin.Get("/"), http.StatusOK, "Hi, mabel!")
	for _, page := range []string{"/", "/account"} {
		want(t, admin.Get(page), http.StatusOK, `action="/stop-impersonating"`)
	}
	want(t, admin.Get("/admin/users"), http.StatusForbidden, "")
	want(t, admin.Post("/account/close", url.Values{"confirm": {"y"}}), http.StatusForbidden, "")
	want(t, admin.Post("/stop-impersonating", nil), http.StatusSeeOther, "")
	wantNot(t, admin.Get("/"), "/stop-impersonating")
	want(t, admin.Get("/admin/users"), http.StatusOK, "mabel")
	other := s.add("jacob", "admin")
	want(t, admin.Post("/admin/users/"+other.ID+"/impersonate", reasoned("")), http.StatusForbidden, "")
}

package main

import (
	"bytes"
	"database/sql"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-login/auth/authtest"
)

// The passwords of the users in old.sql. The second is too weak for a new one.
const (
	susan = "staple battery horse"
	jacob = "summer2019"
	mabel = "tea with lemon"
)

// A site is the whole application on a database of the old one.
type site struct {
	t   *testing.T
	app *app
	db  *sql.DB
}

func newSite(t *testing.T) *site {
	t.Helper()
	db := opened(t, oldDB(t))
	a, err := newApp(t.Context(), db, "http://localhost:8080", filepath.Join(t.TempDir(), "secret"), &bytes.Buffer{})
	check(t, err)
	return &site{t, a, db}
}

// login returns a browser in which the user has logged in.
func (s *site) login(name, password string) *authtest.Client {
	s.t.Helper()
	c := authtest.NewClient(s.t, s.app.manager.Core, s.app)
	want(s.t, c.Post("/login", url.Values{"login": {name}, "password": {password}}), http.StatusSeeOther, "")
	return c
}

// as returns a browser of a user of old.sql.
func (s *site) as(role string) *authtest.Client {
	s.t.Helper()
	user, err := userStore{s.db}.LoadUser(s.t.Context(), map[string]string{"admin": "1", "editor": "2", "viewer": "3"}[role])
	check(s.t, err)
	c := authtest.NewClient(s.t, s.app.manager.Core, s.app)
	c.Login(user)
	return c
}

// hash returns the hash of a user.
func (s *site) hash(id string) string {
	s.t.Helper()
	user, err := userStore{s.db}.LoadUser(s.t.Context(), id)
	check(s.t, err)
	return user.PasswordHash.Reveal()
}

// want fails unless the answer has this status and this text.
func want(t *testing.T, r *authtest.Response, status int, text string) {
	t.Helper()
	if r.StatusCode != status || !strings.Contains(r.Text, text) {
		t.Fatalf("%s %s: got %s, want %d with %q\n%s", r.Request.Method, r.Request.URL.Path, r.Status, status, text, r.Text)
	}
}

// TestLogin: old users log in, by either name, and their bcrypt hashes become
// Argon2id.
func TestLogin(t *testing.T) {
	s := newSite(t)
	anonymous := authtest.NewClient(t, s.app.manager.Core, s.app)
	r := anonymous.Get("/")
	want(t, r, http.StatusSeeOther, "")
	if got := r.Header.Get("Location"); got != "/login" && got != "/login?next=%2F" {
		t.Errorf("an anonymous visitor is sent to %s", got)
	}
	want(t, anonymous.Post("/login", url.Values{"login": {"susan"}, "password": {jacob}}), http.StatusUnprocessableEntity, "")
	if hash := s.hash("1"); !strings.HasPrefix(hash, "$2a$") {
		t.Errorf("after a wrong password the hash is %s", hash)
	}
	for id, u := range map[string][2]string{"1": {"susan", susan}, "2": {"Jacob@app.example", jacob}, "3": {"mabel@app.example", mabel}} {
		want(t, s.login(u[0], u[1]).Get("/"), http.StatusOK, "Ladder")
		if hash := s.hash(id); !strings.HasPrefix(hash, "$argon2id$") {
			t.Errorf("the hash of %s is %s", u[0], hash)
		}
		want(t, s.login(u[0], u[1]).Get("/"), http.StatusOK, "Ladder") // by the new hash
	}
	c := s.login("susan", susan)
	want(t, c.Post("/logout", nil), http.StatusSeeOther, "")
	want(t, c.Get("/"), http.StatusSeeOther, "")
}

// TestGuards sends every request as every user.
func TestGuards(t *testing.T) {
	s := newSite(t)
	clients := map[string]*authtest.Client{
		"admin": s.as("admin"), "editor": s.as("editor"), "viewer": s.as("viewer"),
		"anonymous": authtest.NewClient(t, s.app.manager.Core, s.app),
	}
	form := url.Values{"name": {"Rope"}, "quantity": {"3"}, "role": {"viewer"}}
	for _, c := range []struct{ method, path, allowed string }{
		{http.MethodGet, "/", "admin editor viewer"},
		{http.MethodPost, "/items", "admin editor"},
		{http.MethodPost, "/items/1", "admin editor"},
		{http.MethodGet, "/users", "admin"},
		{http.MethodPost, "/users/3", "admin"},
	} {
		for who, client := range clients {
			var r *authtest.Response
			if c.method == http.MethodGet {
				r = client.Get(c.path)
			} else {
				r = client.Post(c.path, form)
			}
			to := r.Header.Get("Location")
			switch {
			case who == "anonymous":
				if r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(to, "/login") {
					t.Errorf("%s %s as %s: %s to %q", c.method, c.path, who, r.Status, to)
				}
			case strings.Contains(c.allowed, who):
				if r.StatusCode >= 400 || strings.HasPrefix(to, "/login") {
					t.Errorf("%s %s as %s: %s to %q", c.method, c.path, who, r.Status, to)
				}
			case r.StatusCode != http.StatusForbidden:
				t.Errorf("%s %s as %s: %s", c.method, c.path, who, r.Status)
			}
		}
	}
	want(t, clients["viewer"].Get("/"), http.StatusOK, "Rope")
	for who, wants := range map[string]int{"admin": 2, "editor": 1, "viewer": 0} { // the form of the page, and the link to the users
		page := clients[who].Get("/").Text
		if got := strings.Count(page, `action="/items"`) + strings.Count(page, `href="/users"`); got != wants {
			t.Errorf("the page of %s has %d of 2:\n%s", who, got, page)
		}
	}
}

// TestDelete: an editor deletes only what the editor has added.
func TestDelete(t *testing.T) {
	s := newSite(t)
	editor, admin := s.as("editor"), s.as("admin")
	want(t, editor.Post("/items/1/delete", nil), http.StatusForbidden, "") // the ladder is Susan's
	want(t, editor.Get("/"), http.StatusOK, "Ladder")
	want(t, editor.Post("/items/2/delete", nil), http.StatusSeeOther, "")
	want(t, editor.Post("/items/2/delete", nil), http.StatusNotFound, "")
	want(t, editor.Post("/items", url.Values{"name": {"Rope"}, "quantity": {"3"}}), http.StatusSeeOther, "")
	want(t, admin.Get("/"), http.StatusOK, "Rope")
	want(t, admin.Post("/items/3/delete", nil), http.StatusSeeOther, "") // Jacob's, but an admin may
	if page := admin.Get("/").Text; strings.Contains(page, "Rope") || strings.Contains(page, "Gloves") {
		t.Errorf("the page is %s", page)
	}
}

// TestRoleChange: a new role holds from the next request on, without a new login.
func TestRoleChange(t *testing.T) {
	s := newSite(t)
	admin, user := s.as("admin"), s.as("viewer")
	rope := url.Values{"name": {"Rope"}, "quantity": {"3"}}
	want(t, user.Post("/items", rope), http.StatusForbidden, "")
	want(t, admin.Get("/users"), http.StatusOK, "<option selected>viewer</option>")
	want(t, admin.Post("/users/3", url.Values{"role": {"owner"}}), http.StatusUnprocessableEntity, "")
	want(t, admin.Post("/users/3", url.Values{"role": {"editor"}}), http.StatusSeeOther, "")
	want(t, user.Post("/items", rope), http.StatusSeeOther, "")
	want(t, admin.Post("/users/3", url.Values{"role": {"viewer"}}), http.StatusSeeOther, "")
	want(t, user.Post("/items", rope), http.StatusForbidden, "")
	want(t, user.Get("/"), http.StatusOK, "Rope")
}

// TestLastAdmin: the last administrator cannot give the role away.
func TestLastAdmin(t *testing.T) {
	s := newSite(t)
	admin := s.as("admin")
	editor := url.Values{"role": {"editor"}}
	want(t, admin.Post("/users/1", editor), http.StatusConflict, "")
	want(t, admin.Get("/users"), http.StatusOK, "<option selected>admin</option>")
	want(t, admin.Post("/users/2", url.Values{"role": {"admin"}}), http.StatusSeeOther, "")
	want(t, admin.Post("/users/1", editor), http.StatusSeeOther, "")
	want(t, admin.Get("/users"), http.StatusForbidden, "")
}

// TestRegister: a new user has no role, and may do nothing until an administrator
// gives one.
func TestRegister(t *testing.T) {
	s := newSite(t)
	c := authtest.NewClient(t, s.app.manager.Core, s.app)
	want(t, c.Post("/register", url.Values{
		"username": {"newcomer"}, "email": {"new@app.example"}, "password": {"a plain sentence"}, "confirm_password": {"a plain sentence"},
		"role": {"admin"},
	}), http.StatusSeeOther, "")
	want(t, c.Post("/login", url.Values{"login": {"newcomer"}, "password": {"a plain sentence"}}), http.StatusSeeOther, "")
	want(t, c.Get("/"), http.StatusForbidden, "")
	want(t, c.Get("/account"), http.StatusOK, "newcomer")
	want(t, s.as("admin").Post("/users/4", url.Values{"role": {"viewer"}}), http.StatusSeeOther, "")
	want(t, c.Get("/"), http.StatusOK, "Ladder")
}

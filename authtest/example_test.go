package authtest_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/pages"
)

// User is the application's user type.
type User struct {
	auth.Account
	Name string
}

// newApplication is also called by the program's main, with another store and
// configuration.
func newApplication(store auth.UserStore[*User], cfg auth.Config) (*auth.Manager[*User], http.Handler, error) {
	manager, err := auth.New(store, cfg)
	if err != nil {
		return nil, nil, err
	}
	p, err := pages.New(manager.Core, pages.Config{})
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", p)
	profile := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := manager.CurrentUser(r.Context())
		fmt.Fprintf(w, "Hi, %s!", user.Name)
	})
	mux.Handle("GET /profile", manager.RequireLogin(profile))
	mux.Handle("POST /close", manager.RequireFresh(10*time.Minute)(profile))
	handler := manager.LoadAndSave(mux)
	return manager, handler, nil
}

// testApplication would be called TestApplication in the application's own
// tests.
func testApplication(t *testing.T) {
	test := authtest.New[User](t)
	manager, handler, err := newApplication(test.Store, test.Config)
	if err != nil {
		t.Fatal(err)
	}
	susan, err := manager.Register(t.Context(), auth.Registration{Username: "susan", Email: "susan@example.com", NoPassword: true})
	if err != nil {
		t.Fatal(err)
	}

	// A visitor who is not logged in is redirected to the login page.
	client := authtest.NewClient(t, manager.Core, handler)
	if r := client.Follow(client.Get("/profile")); !strings.Contains(r.Text, "Please log in") {
		t.Errorf("a stranger gets %s: %s", r.Status, r.Text)
	}
	client.Login(susan)
	if r := client.Get("/profile"); r.StatusCode != http.StatusOK {
		t.Errorf("susan gets %s: %s", r.Status, r.Text)
	}

	// Only a fresh login may close the account.
	client.Login(susan, auth.Stale())
	if r := client.Post("/close", nil); r.StatusCode != http.StatusSeeOther {
		t.Errorf("a login that is not fresh gets %s: %s", r.Status, r.Text)
	}

	// A login that nobody uses ends.
	test.Clock.Advance(2 * time.Hour)
	if r := client.Get("/profile"); r.StatusCode != http.StatusSeeOther {
		t.Errorf("an idle login gets %s: %s", r.Status, r.Text)
	}

	// The mailed link opens a form.
	client.Post("/forgot-password", url.Values{"email": {"susan@example.com"}})
	if r := client.Follow(client.Get(test.Mailbox.Link(t, "susan@example.com"))); !strings.Contains(r.Text, "Choose a new password") {
		t.Errorf("the link opens %s: %s", r.Status, r.Text)
	}

	// The login page does not tell who has an account.
	login := func(name string) authtest.Probe {
		return authtest.Probe{Hide: []string{name}, Do: func(c *authtest.Client) {
			c.Post("/login", url.Values{"login": {name}, "password": {"a wrong one"}})
		}}
	}
	app := authtest.App{Core: manager.Core, Handler: handler, Mailbox: test.Mailbox}
	authtest.Indistinguishable(t, app, login("susan"), login("jacob"))
}

// A typical test of an application.
func Example() {
	_ = testApplication // as TestApplication, go test would run it
}

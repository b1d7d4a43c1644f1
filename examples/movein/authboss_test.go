package movein

import (
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/gorilla/sessions"
)

// TestFromAuthboss: a session that names the user by the PID goes on, and the pages take the
// place of the modules.
func TestFromAuthboss(t *testing.T) {
	t.Parallel()
	m := newMove(t, bcryptOf(t, "a plain sentence"), func(c *auth.Config) { c.URLs.Login = "/auth/login" })
	old := sessions.NewCookieStore([]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq"))
	handler, err := afterAuthboss(m.manager, m.users, old, m.until)
	check(t, err)
	c := authtest.NewClient(t, m.manager.Core, handler)
	if r := with(c, gorillaCookies(t, old, "authboss", "uid", "Susan@app.example")); r.Text != "Hello, Susan" {
		t.Errorf("the old session: %d %s", r.StatusCode, r.Text)
	}
	wantGreeting(t, c)
	form := login("a plain sentence")
	form.Set("login", form.Get("email"))
	c = authtest.NewClient(t, m.manager.Core, handler)
	c.Post("/auth/login", form)
	wantGreeting(t, c)
	m.wantUpgrade()
}

package movein

import (
	"net/http"
	"testing"

	"github.com/go-login/auth/authtest"
)

// TestFromFlaskLogin: a hash of Werkzeug is accepted and replaced, and a login is remembered.
func TestFromFlaskLogin(t *testing.T) {
	t.Parallel()
	m := newMove(t, "pbkdf2:sha256:1000$PEtTkSAfx4GqG2iz$dc70cc9d0b04331493698800f9a3f2b4d5db1a1a3ae83a33a12614c313ea699f", nil)
	handler := afterFlaskLogin(m.manager)
	c := authtest.NewClient(t, m.manager.Core, handler)
	if r := c.Post("/login", login("a wrong sentence")); r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/login" {
		t.Errorf("a wrong password: %d to %s", r.StatusCode, r.Header.Get("Location"))
	}
	form := login("correct horse battery")
	form.Set("remember", "y")
	form.Set("next", "//evil.example")
	if r := c.Post("/login", form); r.Header.Get("Location") != "/" {
		t.Errorf("the login leads to %s", r.Header.Get("Location"))
	}
	wantGreeting(t, c)
	m.wantUpgrade()
	c.Restart() // the browser: it keeps only the cookie that remembers
	wantGreeting(t, c)
}

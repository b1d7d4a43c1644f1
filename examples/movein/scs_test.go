package movein

import (
	"net/http"
	"net/url"
	"testing"

	"github.com/alexedwards/scs/v2"
	"github.com/go-login/auth/authtest"
	"golang.org/x/crypto/bcrypt"
)

func bcryptOf(t *testing.T, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	check(t, err)
	return string(hash)
}

// TestFromSCS: a session of scs goes on, a bcrypt hash is accepted and replaced, and the session's
// data is where it was.
func TestFromSCS(t *testing.T) {
	t.Parallel()
	m, old := newMove(t, bcryptOf(t, "a plain sentence"), nil), scs.New()
	handler, err := afterSCS(m.manager, m.users, old, m.until)
	check(t, err)
	ctx, err := old.Load(t.Context(), "")
	check(t, err)
	old.Put(ctx, "userID", 7) // as an integer
	token, _, err := old.Commit(ctx)
	check(t, err)
	c := authtest.NewClient(t, m.manager.Core, handler)
	if r := with(c, []*http.Cookie{{Name: old.Cookie.Name, Value: token}}); r.Text != "Hello, Susan" {
		t.Errorf("the old session: %d %s", r.StatusCode, r.Text)
	}
	wantGreeting(t, c)

	c = authtest.NewClient(t, m.manager.Core, handler)
	if r := c.Post("/login", login("a wrong sentence")); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("a wrong password: %d", r.StatusCode)
	}
	if r := c.Get("/"); r.StatusCode != http.StatusSeeOther {
		t.Errorf("a visitor: %d", r.StatusCode)
	}
	c.Post("/login", login("a plain sentence"))
	wantGreeting(t, c)
	m.wantUpgrade()
	c.Post("/cart", url.Values{"item": {"bolts"}})
	if r := c.Get("/cart"); r.Text != "bolts" {
		t.Errorf("the cart has %q", r.Text)
	}
}

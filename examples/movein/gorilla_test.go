package movein

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/go-login/auth/authtest"
	"github.com/gorilla/sessions"
)

// gorillaCookies returns the cookies of a session of gorilla/sessions with one value.
func gorillaCookies(t *testing.T, store sessions.Store, name, key string, value any) []*http.Cookie {
	t.Helper()
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	session, err := store.Get(r, name)
	check(t, err)
	session.Values[key] = value
	check(t, session.Save(r, w))
	return w.Result().Cookies()
}

// TestFromGorilla: a session of gorilla/sessions goes on, and values, messages and the logout
// have their places.
func TestFromGorilla(t *testing.T) {
	t.Parallel()
	m := newMove(t, bcryptOf(t, "a plain sentence"), nil)
	old := sessions.NewCookieStore([]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq"))
	handler, err := afterGorilla(m.manager, m.users, old, m.until)
	check(t, err)
	c := authtest.NewClient(t, m.manager.Core, handler)
	if r := with(c, gorillaCookies(t, old, "session", "userID", int64(7))); r.Text != "Hello, Susan" {
		t.Errorf("the old session: %d %s", r.StatusCode, r.Text)
	}
	wantGreeting(t, c)
	if r := c.Follow(c.Post("/cart", url.Values{"item": {"bolts"}})); r.Text != "It is in your cart. bolts" {
		t.Errorf("the cart has %q", r.Text)
	}
	c.Post("/logout", nil)
	if r := c.Get("/"); r.StatusCode != http.StatusSeeOther {
		t.Errorf("after the logout: %d", r.StatusCode)
	}
}

// TestIDOf: readers accept the usual types of IDs, and no others.
func TestIDOf(t *testing.T) {
	t.Parallel()
	type number uint32
	for _, test := range []struct {
		value any
		want  string
	}{
		{"7", "7"}, {7, "7"}, {int64(7), "7"}, {number(7), "7"}, {&url.URL{Path: "a-b"}, "a-b"},
		{nil, ""}, {"", ""}, {0, ""}, {int64(0), ""}, {7.5, ""}, {true, ""}, {[]string{"7"}, ""}, {(*url.URL)(nil), ""},
	} {
		if got := idOf(test.value); got != test.want {
			t.Errorf("%#v: %q, want %q", test.value, got, test.want)
		}
	}
}

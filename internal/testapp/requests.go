package testapp

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
)

// Page serves f, for any method, and returns its path.
func (a *App) Page(f http.HandlerFunc) (target string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.acts = append(a.acts, f)
	return "/test?act=" + strconv.Itoa(len(a.acts)-1)
}

// Act answers a request of the client with f. The request is a POST with this header
// and the client's cookies.
func (a *App) Act(c *Client, header http.Header, f http.HandlerFunc) *Response {
	return c.Do(http.MethodPost, a.Page(f), url.Values{}, header)
}

// In calls f in a request of the client.
func (a *App) In(c *Client, f func(ctx context.Context)) *Response {
	return a.Act(c, nil, func(_ http.ResponseWriter, r *http.Request) { f(r.Context()) })
}

// act serves the functions of Page.
func (a *App) act(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.Atoi(r.URL.Query().Get("act"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	a.mu.Lock()
	f := a.acts[n]
	a.mu.Unlock()
	f(w, r)
}

// freshPages are pages that need a fresh login: of any age, of at most five minutes,
// and with a limit that no login meets.
func (a *App) freshPages() {
	for path, maxAge := range map[string]time.Duration{"/fresh": 0, "/fresh5": 5 * time.Minute, "/never": -time.Nanosecond} {
		a.Mux.Handle(path, a.RequireFresh(maxAge)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "hello")
		})))
	}
}

// Enter logs the client in as the user, loaded again from the store, with these
// options.
func (a *App) Enter(tb testing.TB, c *Client, u *User, options ...auth.LoginOption) {
	tb.Helper()
	r := a.Act(c, nil, func(w http.ResponseWriter, r *http.Request) {
		now, err := a.Store.LoadUser(r.Context(), u.ID)
		if err == nil {
			err = a.LoginUser(r.Context(), now, options...)
		}
		if err != nil {
			a.Error(w, r, err)
		}
	})
	if r.StatusCode != http.StatusOK {
		tb.Fatalf("login of %s: %s", u.Username, r.Status)
	}
}

// Confirm calls ConfirmLogin in a request of the client. If password is not empty, the
// request checks it first.
func (a *App) Confirm(tb testing.TB, c *Client, password string) (err error) {
	tb.Helper()
	a.In(c, func(ctx context.Context) {
		if u, ok := a.CurrentUser(ctx); ok && password != "" {
			if right, err := a.CheckPassword(ctx, u, password); !right || err != nil {
				tb.Errorf("CheckPassword: %v, %v", right, err)
			}
		}
		err = a.ConfirmLogin(ctx)
	})
	return err
}

// LoginOf returns the client's login. Without one the test fails.
func (a *App) LoginOf(tb testing.TB, c *Client) (l auth.Login) {
	tb.Helper()
	err := auth.ErrNotLoggedIn
	a.In(c, func(ctx context.Context) { l, err = a.CurrentLogin(ctx) })
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// IsFresh reports whether the client has a fresh login of any age.
func (a *App) IsFresh(tb testing.TB, c *Client) bool {
	tb.Helper()
	switch r := c.Get("/fresh"); {
	case r.StatusCode == http.StatusOK && r.Text == "hello":
		return true
	case r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(r.Header.Get("Location"), "/refresh"):
		tb.Errorf("/fresh: %s to %q", r.Status, r.Header.Get("Location"))
	}
	return false
}

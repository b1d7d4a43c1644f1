package auth_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
)

// A restored backup brings back what was ended since: docs/deployment.md has the loop that
// ends it again.
func TestRestoredBackup(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	cfg.Credentials = []auth.Credential{auth.Bearer()}
	manager, mux, ctx := a.start(t, cfg), a.mux, t.Context()
	mux.Handle("GET /reports", manager.RequireLogin(page("reports")))
	mux.HandleFunc("POST /logout", func(_ http.ResponseWriter, r *http.Request) {
		if err := manager.LogoutUser(r.Context()); err != nil {
			t.Error(err)
		}
	})
	with, browser := copyOf(t, a.browser(t, true)), a.browser(t, false)
	reset, err := manager.ResetToken(ctx, a.susan)
	if err != nil {
		t.Fatal(err)
	}
	backup, err := a.store.ListRecords(ctx, "session", a.susan.ID)
	if err != nil || len(backup) != 1 {
		t.Fatal(backup, err)
	}
	gets(t, browser.Do(with(http.MethodPost, "/logout")), http.StatusOK, "")
	gets(t, browser.Do(with(http.MethodGet, "/reports")), http.StatusSeeOther, "/login")
	for _, r := range backup {
		if err := a.store.InsertRecord(ctx, r); err != nil {
			t.Fatal(err)
		}
	}
	gets(t, browser.Do(with(http.MethodGet, "/reports")), http.StatusOK, "reports")

	if err := endAllLogins(ctx, manager); err != nil {
		t.Fatal(err)
	}
	gets(t, browser.Do(with(http.MethodGet, "/reports")), http.StatusSeeOther, "/login")
	if _, err := manager.CheckResetToken(ctx, reset); !errors.Is(err, auth.ErrInvalidToken) {
		t.Errorf("a reset link from before: %v", err)
	}
	fresh := a.browser(t, false)
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		customer, err := manager.Authenticate(r.Context(), r.PostFormValue("login"), r.PostFormValue("password"))
		if err == nil {
			err = manager.LoginUser(r.Context(), customer)
		}
		if err != nil {
			manager.Error(w, r, err)
		}
	})
	gets(t, fresh.Post("/login", url.Values{"login": {"susan"}, "password": {"correct horse battery"}}), http.StatusOK, "")
	gets(t, fresh.Get("/reports"), http.StatusOK, "reports")
}

// copyOf returns a function that makes requests with the cookies that a browser has now.
func copyOf(t *testing.T, c *authtest.Client) func(method, path string) *http.Request {
	t.Helper()
	cookies := c.Cookies()
	return func(method, path string) *http.Request {
		r := httptest.NewRequestWithContext(t.Context(), method, path, nil)
		for _, cookie := range cookies {
			r.AddCookie(cookie)
		}
		return r
	}
}

// endAllLogins ends the logins, remembered devices, API tokens and mailed links of all users.
func endAllLogins(ctx context.Context, manager *auth.Manager[*Customer]) error {
	cursor := ""
	for {
		customers, next, err := manager.ListUsers(ctx, cursor, 1000)
		for _, c := range customers {
			err = errors.Join(err, manager.LogoutEverywhere(ctx, c))
		}
		if err != nil || next == "" {
			return err
		}
		cursor = next
	}
}

// A middleware outside LoadAndSave sets headers of every answer, errors included.
func TestHeadersOfEveryAnswer(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	manager, mux := a.start(t, cfg), a.mux
	application := manager.LoadAndSave(mux)
	mux.Handle("GET /reports", manager.RequireLogin(page("reports")))

	strict := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Strict-Transport-Security", "max-age=31536000")
		application.ServeHTTP(w, r)
	})

	browser := authtest.NewClient(t, manager.Core, strict)
	elsewhere := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/reports", nil)
	elsewhere.Header.Set("Sec-Fetch-Site", "cross-site")
	for _, r := range []*authtest.Response{browser.Get("/reports"), browser.Get("/nowhere"), browser.Do(elsewhere)} {
		if got := r.Header.Get("Strict-Transport-Security"); got == "" {
			t.Errorf("%s %s: %s without the header", r.Request.Method, r.Request.URL, r.Status)
		}
	}
}

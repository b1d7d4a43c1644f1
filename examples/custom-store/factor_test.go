package main

import (
	"cmp"
	"database/sql"
	"net/http"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/sqlstore"
	"github.com/go-login/auth/totp"
)

// TestSecondFactor: a second factor needs no column in the application's table,
// and no method of its store. A login page that passes errors to Error sends
// the browser to the page for the code.
func TestSecondFactor(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "members.db")
	check(t, run(t.Context(), path)) // registers susan
	db, err := sql.Open("sqlite", "file:"+path+"?_pragma=busy_timeout(10000)&_txlock=immediate")
	check(t, err)
	t.Cleanup(func() { _ = db.Close() })
	clock := authtest.NewClock(time.Now()) // the records have the real clock
	manager, err := auth.New(MemberStore{db}, auth.Config{
		BaseURL:  "http://localhost:8080",
		Secrets:  [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Records:  sqlstore.NewRecords(db, sqlstore.SQLite),
		Now:      clock.Now,
		Factors:  []auth.Factor{totp.New()},
		Password: auth.PasswordConfig{HashParams: authtest.HashParams()},
	})
	check(t, err)

	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, r *http.Request, err error) {
		if err != nil {
			manager.Error(w, r, err)
			return
		}
		manager.TakeNext(r).Redirect(w, "/")
	}
	mux.Handle("GET /plan", manager.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		member, _ := manager.CurrentUser(r.Context())
		_, _ = w.Write([]byte(member.Plan))
	})))
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		member, err := manager.Authenticate(r.Context(), r.PostFormValue("login"), r.PostFormValue("password"))
		if err == nil {
			err = manager.LoginUser(r.Context(), member)
		}
		answer(w, r, err)
	})
	mux.HandleFunc("POST /login/verify", func(w http.ResponseWriter, r *http.Request) {
		err := r.ParseForm()
		if err == nil {
			err = manager.ContinueLogin(r.Context(), "totp", r.PostForm)
		}
		answer(w, r, err)
	})
	var secret string
	mux.HandleFunc("POST /set-up", func(w http.ResponseWriter, r *http.Request) {
		setup, err := manager.BeginFactor(r.Context(), "totp")
		secret = setup.Secret.Reveal()
		code, wrong := totp.Code(secret, clock.Now())
		if err = cmp.Or(err, wrong); err == nil {
			err = manager.EnrollFactor(r.Context(), "totp", url.Values{"code": {code}})
		}
		answer(w, r, err)
	})
	handler := manager.LoadAndSave(mux)

	wantRedirect := func(r *authtest.Response, location string) {
		t.Helper()
		if got := r.Header.Get("Location"); r.StatusCode != http.StatusSeeOther || got != location {
			t.Fatalf("got %s to %q, want 303 to %q\n%s", r.Status, got, location, r.Text)
		}
	}
	const deniedPlan = "/login?next=%2Fplan"
	password := url.Values{"login": {"susan"}, "password": {"staple battery horse"}, "next": {"/plan"}}
	c, other := authtest.NewClient(t, manager.Core, handler), authtest.NewClient(t, manager.Core, handler)
	wantRedirect(c.Post("/login", password), "/plan")
	wantRedirect(c.Post("/set-up", nil), "/")

	wantRedirect(other.Get("/plan"), deniedPlan)
	wantRedirect(other.Post("/login", password), "/login/verify?next=%2Fplan")
	wantRedirect(other.Get("/plan"), deniedPlan)
	clock.Advance(30 * time.Second) // each code works once
	code, err := totp.Code(secret, clock.Now())
	check(t, err)
	wantRedirect(other.Post("/login/verify", url.Values{"code": {code}, "next": {"/plan"}}), "/plan")
	if r := other.Get("/plan"); r.StatusCode != http.StatusOK || r.Text != "gold" {
		t.Errorf("the plan is %s %q", r.Status, r.Text)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

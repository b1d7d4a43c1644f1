package main

import (
	"cmp"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/totp"
)

// TestSecondFactor gives the manager a second factor. The login of auth.go is
// unchanged: Error sends the browser to the page for the code. The application
// adds that page, and one that sets the factor up.
func TestSecondFactor(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	clock := authtest.NewClock(time.Now()) // the store has the real clock
	server := httptest.NewUnstartedServer(nil)
	base := "http://" + server.Listener.Addr().String()
	manager, err := auth.New(s.store, auth.Config{
		BaseURL:     base,
		Secrets:     [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Identifiers: auth.UsernameOnly,
		Now:         clock.Now,
		Factors:     []auth.Factor{totp.New()},
		Password:    auth.PasswordConfig{HashParams: authtest.HashParams()},
	})
	check(t, err)
	a := &app{manager: manager, pages: s.app.pages}
	mux := http.NewServeMux()
	mux.Handle("GET /index", manager.RequireLogin(http.HandlerFunc(a.index)))
	a.authRoutes(mux)
	var secret string
	mux.HandleFunc("POST /set-up", func(w http.ResponseWriter, r *http.Request) {
		setup, err := manager.BeginFactor(r.Context(), "totp")
		secret = setup.Secret.Reveal()
		code, wrong := totp.Code(secret, clock.Now())
		if err = cmp.Or(err, wrong); err == nil {
			err = manager.EnrollFactor(r.Context(), "totp", url.Values{"code": {code}})
		}
		if err != nil {
			manager.Error(w, r, err)
		}
	})
	mux.HandleFunc("POST /login/verify", func(w http.ResponseWriter, r *http.Request) {
		f, ok := a.readForm(w, r)
		if !ok {
			return
		}
		switch err := manager.ContinueLogin(r.Context(), "totp", f.Values); {
		case err == nil:
			manager.TakeNext(r).Redirect(w, "/")
		case errors.Is(err, auth.ErrWrongFactor):
			a.flash(w, r, "Wrong code", auth.NextFrom(r).AddTo("/login/verify"))
		default:
			manager.Error(w, r, err)
		}
	})
	server.Config.Handler = manager.LoadAndSave(mux)
	server.Start()
	t.Cleanup(server.Close)

	c := newClient(t, base)
	wantRedirect(t, c.login("susan", "cat"), "/")
	wantStatus(t, c.post("/set-up", nil), http.StatusOK)
	if !c.loggedIn() {
		t.Error("setting up the factor has ended the login")
	}
	wantRedirect(t, c.post("/logout", nil), "/")

	// A wrong password is answered as before.
	wantRedirect(t, c.login("susan", "dog"), "/login")
	wantMessages(t, c.get("/login"), "Invalid username or password")
	form := credentials("susan", "cat")
	form.Set("next", "/index?page=2")
	const verify = "/login/verify?next=%2Findex%3Fpage%3D2"
	wantRedirect(t, c.post("/login", form), verify)
	if c.loggedIn() {
		t.Fatal("the password alone has logged in")
	}
	code := func() string {
		clock.Advance(30 * time.Second) // each code works once
		code, err := totp.Code(secret, clock.Now())
		check(t, err)
		return code
	}
	answer := url.Values{"code": {"no code"}, "next": {"/index?page=2"}}
	wantRedirect(t, c.post("/login/verify", answer), verify)
	if c.loggedIn() {
		t.Fatal("a wrong code has logged in")
	}
	answer.Set("code", code())
	wantRedirect(t, c.post("/login/verify", answer), "/index?page=2")
	if !c.loggedIn() {
		t.Error("the right code has not logged in")
	}
	// Nothing waits for a code any more, nor in a browser without the password.
	answer.Set("code", code())
	wantRedirect(t, c.post("/login/verify", answer), "/login")
	stranger := newClient(t, base)
	wantRedirect(t, stranger.post("/login/verify", answer), "/login")
	if stranger.loggedIn() {
		t.Error("a code alone has logged in")
	}
}

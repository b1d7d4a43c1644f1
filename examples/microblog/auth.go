package main

import (
	"database/sql"
	"errors"
	"net/http"

	"github.com/go-login/auth"
	"github.com/go-login/auth/sqlstore"
)

// A User is an account and nothing more. Fields of your application would go
// beside it.
type User struct{ auth.Account }

func newManager(db *sql.DB, secret []byte, baseURL string) (*auth.Manager[*User], error) {
	return auth.New(sqlstore.New[User](db, sqlstore.SQLite), auth.Config{
		BaseURL:     baseURL,
		Secrets:     [][]byte{secret},
		Identifiers: auth.UsernameOnly,
		Password:    auth.PasswordConfig{Words: []string{"microblog"}},
	})
}

// authRoutes adds the pages of this file. No form has a hidden token:
// LoadAndSave, which wraps all pages, refuses requests that a page of another
// site makes a browser send.
func (a *app) authRoutes(mux *http.ServeMux) {
	mux.Handle("GET /login", a.anonymous(a.login))
	mux.Handle("POST /login", a.anonymous(a.login))
	mux.Handle("GET /register", a.anonymous(a.register))
	mux.Handle("POST /register", a.anonymous(a.register))
	mux.HandleFunc("POST /logout", a.logout)
}

// anonymous reads the forms of visitors, and redirects users who are logged in
// to the index.
func (a *app) anonymous(next func(http.ResponseWriter, *http.Request, form)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch _, err := a.manager.User(r.Context()); {
		case err == nil:
			auth.Next{}.Redirect(w, "/")
		case errors.Is(err, auth.ErrNotLoggedIn):
			if f, ok := a.readForm(w, r); ok {
				next(w, r, f)
			}
		default:
			a.manager.Error(w, r, err)
		}
	})
}

func (a *app) login(w http.ResponseWriter, r *http.Request, f form) {
	if f.require("username", "password"); !f.valid() {
		a.render(w, r, "login.html", page{Title: "Sign In", Form: f})
		return
	}
	user, err := a.manager.Authenticate(r.Context(), f.Get("username"), f.Get("password"))
	if err == nil {
		err = a.manager.LoginUser(r.Context(), user, auth.Remember(f.Get("remember_me") != ""))
	}
	switch {
	case err == nil:
		a.manager.TakeNext(r).Redirect(w, "/")
	case errors.Is(err, auth.ErrLoginRefused):
		a.flash(w, r, "Invalid username or password", auth.NextFrom(r).AddTo("/login"))
	default:
		a.manager.Error(w, r, err)
	}
}

func (a *app) logout(w http.ResponseWriter, r *http.Request) {
	if err := a.manager.LogoutUser(r.Context()); err != nil {
		a.manager.Error(w, r, err)
		return
	}
	auth.Next{}.Redirect(w, "/")
}

func (a *app) register(w http.ResponseWriter, r *http.Request, f form) {
	f.require("username", "email", "password", "password2")
	_, err := auth.UsernameKey(f.Get("username"))
	f.refuse(problem(err))
	f.refuse(problem(a.manager.ValidateEmail(f.Get("email"))))
	if f.Get("password2") != f.Get("password") {
		f.refuse("password2", "Field must be equal to password.")
	}
	if f.valid() {
		_, err := a.manager.Register(r.Context(), auth.Registration{
			Username: f.Get("username"), Email: f.Get("email"), Password: f.Get("password"),
		})
		if err == nil {
			a.flash(w, r, "Congratulations, you are now a registered user!", "/login")
			return
		}
		if f.refuse(problem(err)); f.valid() { // the error is not about a field
			a.manager.Error(w, r, err)
			return
		}
	}
	a.render(w, r, "register.html", page{Title: "Register", Form: f})
}

// problem returns the field and the text for an error of a registration.
func problem(err error) (field, text string) {
	var password *auth.PasswordError
	switch {
	case errors.Is(err, auth.ErrInvalidUsername):
		return "username", "Invalid username: at most 64 characters, no spaces, no @."
	case errors.Is(err, auth.ErrUsernameTaken):
		return "username", "Please use a different username."
	case errors.Is(err, auth.ErrInvalidEmail):
		return "email", "Invalid email address."
	case errors.Is(err, auth.ErrEmailTaken):
		return "email", "Please use a different email address."
	case errors.As(err, &password):
		return "password", password.Error()
	}
	return "", ""
}

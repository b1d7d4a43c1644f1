// Hello is the README's program: logins on a user type of one's own, kept in
// memory.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
)

type User struct {
	auth.Account // ID, Username, Email, …
	Name         string
}

func main() {
	secret := make([]byte, 32) // a lasting one comes from a file or the environment
	_, _ = rand.Read(secret)
	manager, err := auth.New(memstore.New[User](), auth.Config{
		BaseURL: "http://localhost:8080",
		Secrets: [][]byte{secret},
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := manager.Register(context.Background(), auth.Registration{Username: "susan", Password: "staple battery horse"}); err != nil {
		log.Fatal(err)
	}

	mux := http.NewServeMux()
	mux.Handle("GET /{$}", manager.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := manager.CurrentUser(r.Context()) // *User, no assertion
		fmt.Fprintf(w, "Hi, %s!", user.Username)
	})))
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		fmt.Fprint(w, `<form method="post"><input name="login"><input name="password" type="password"><button>Log in</button></form>`)
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		user, err := manager.Authenticate(r.Context(), r.PostFormValue("login"), r.PostFormValue("password"))
		if err == nil {
			err = manager.LoginUser(r.Context(), user, auth.Remember(true))
		}
		switch {
		case errors.Is(err, auth.ErrLoginRefused):
			http.Error(w, "Wrong login or password.", http.StatusUnauthorized)
		case err != nil:
			manager.Error(w, r, err)
		default:
			auth.NextFrom(r).Redirect(w, "/")
		}
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if err := manager.LogoutUser(r.Context()); err != nil {
			manager.Error(w, r, err)
			return
		}
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	})
	log.Fatal(http.ListenAndServe("localhost:8080", manager.LoadAndSave(mux)))
}

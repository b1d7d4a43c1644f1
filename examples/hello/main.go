// Hello is the README's program: logins for the application's own user type,
// kept in memory, with ready-made pages and mails on the console.
package main

import (
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"os"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authmail"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
)

type User struct {
	auth.Account        // ID, Username, Email, …
	Name         string // and your own fields
}

func main() {
	secret := make([]byte, 32) // for a real site, read it from the environment
	_, _ = rand.Read(secret)
	manager, err := auth.New(memstore.New[User](), auth.Config{
		BaseURL: "http://localhost:8080",
		Secrets: [][]byte{secret},
		Mailer:  authmail.NewPrinter(os.Stdout),
	})
	if err != nil {
		log.Fatal(err)
	}
	ready, err := pages.New(manager.Core, pages.Config{}) // register, log in and out, reset the password …
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	ready.Mount(mux)
	mux.Handle("GET /{$}", manager.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := manager.CurrentUser(r.Context()) // *User, no assertion
		fmt.Fprintf(w, "Hi, %s!", user.Username)
	})))
	log.Fatal(http.ListenAndServe("localhost:8080", manager.LoadAndSave(mux)))
}

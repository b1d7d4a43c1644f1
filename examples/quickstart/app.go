package main

import (
	"bytes"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"net/http"

	"github.com/go-login/auth"
	"github.com/go-login/auth/oauth"
	"github.com/go-login/auth/pages"
)

// A User is an account. Fields of your application would go beside it.
type User struct{ auth.Account }

//go:embed templates
var embedded embed.FS

type app struct {
	manager   *auth.Manager[*User]
	templates fs.FS
}

// newApp returns the whole application. Users can log in with these providers.
func newApp(manager *auth.Manager[*User], providers ...oauth.Provider) (http.Handler, error) {
	templates, err := fs.Sub(embedded, "templates")
	if err != nil {
		return nil, err
	}
	ready, err := pages.New(manager.Core, pages.Config{Site: "Quickstart", Logo: "/logo.svg", Accent: "#0b6b50"})
	if err != nil {
		return nil, err
	}
	a := &app{manager, templates}
	mux := http.NewServeMux()
	mux.Handle("/", ready)
	if len(providers) > 0 {
		handler, err := oauth.New(manager.Core, providers...)
		if err != nil {
			return nil, err
		}
		handler.Mount(mux)
	}
	mux.HandleFunc("GET /{$}", a.page("home", "Home"))
	mux.Handle("GET /profile", manager.RequireLogin(a.page("profile", "Profile")))
	mux.Handle("GET /settings", manager.RequireLogin(a.page("settings", "Settings")))
	mux.Handle("GET /logo.svg", http.FileServerFS(templates))
	return manager.LoadAndSave(mux), nil
}

// page shows a template, with the current user if somebody is logged in.
func (a *app) page(name, title string) http.HandlerFunc {
	page := template.Must(template.ParseFS(a.templates, "layout.html", name+".html"))
	return func(w http.ResponseWriter, r *http.Request) {
		user, err := a.manager.User(r.Context())
		if err != nil && !errors.Is(err, auth.ErrNotLoggedIn) {
			a.manager.Error(w, r, err)
			return
		}
		data := struct {
			Name, Title string
			User        *User
			Flashes     []auth.Flash
		}{name, title, user, a.manager.Flashes(r.Context())}
		var body bytes.Buffer
		if err := page.Execute(&body, data); err != nil {
			a.manager.Error(w, r, err)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/html; charset=utf-8")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		_, _ = body.WriteTo(w) // an error means that the client is gone
	}
}

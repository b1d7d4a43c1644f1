package main

import (
	"bytes"
	"database/sql"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
	"github.com/go-login/auth/sqlstore"
	"github.com/go-login/auth/totp"
)

// A User is an account. Fields of your application would go beside it.
type User struct{ auth.Account }

//go:embed templates
var files embed.FS

// An app is the application and the handler that serves it.
type app struct {
	http.Handler
	manager *auth.Manager[*User]
	store   *sqlstore.Store[User, *User]
	codes   *totp.Recovery
	pages   map[string]*template.Template // by file name
	routes  *auth.Routes
}

// newApp returns the application. It adds roles and second factors to the
// configuration.
func newApp(db *sql.DB, cfg auth.Config) (a *app, err error) {
	a = &app{store: sqlstore.New[User](db, sqlstore.SQLite), codes: totp.RecoveryCodes(), pages: map[string]*template.Template{}}
	cfg.Roles = auth.RoleConfig{
		Permissions: []string{"users.read", "users.help", "users.edit", "users.impersonate"},
		Grants: map[string][]string{
			"support": {"users.read", "users.help"},
			"admin":   {"users.read", "users.help", "users.edit", "users.impersonate"},
		},
		Admin: "admin", // the last one stays
	}
	cfg.Factors = []auth.Factor{totp.New(totp.Issuer("Admin")), a.codes}
	cfg.RequireFactor = func(user auth.User) bool { return len(user.AuthAccount().Roles) > 0 }
	cfg.Impersonation = auth.ImpersonationConfig{Permission: "users.impersonate"}
	if a.manager, err = auth.New(a.store, cfg); err != nil {
		return nil, err
	}
	for _, name := range []string{"home.html", "users.html", "user.html"} {
		page, err := template.ParseFS(files, "templates/layout.html", "templates/"+name)
		if err != nil {
			return nil, err
		}
		a.pages[name] = page
	}
	ready, err := pages.New(a.manager.Core, pages.Config{Site: "Admin"})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/", ready)
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { a.render(w, r, http.StatusOK, "home.html", nil) })
	a.routes = a.adminRoutes()
	mux.Handle("/admin/", a.routes)
	a.Handler = a.manager.LoadAndSave(mux)
	return a, nil
}

// adminRoutes returns the pages for administrators. A route without a rule is
// denied.
func (a *app) adminRoutes() *auth.Routes {
	fresh := auth.Fresh(15 * time.Minute)
	routes := a.manager.Routes()
	routes.HandleFunc("GET /admin/users", a.users, auth.Can("users.read"))
	routes.HandleFunc("POST /admin/users", a.create, auth.Can("users.edit"), fresh)
	routes.HandleFunc("GET /admin/users/{id}", a.user, auth.Can("users.read"))
	routes.HandleFunc("POST /admin/users/{id}/impersonate", a.impersonate, auth.Can("users.impersonate"), fresh)
	for _, act := range a.acts() {
		routes.HandleFunc("POST /admin/users/{id}/"+act.Name, a.do(act), auth.Can(act.Needs), fresh)
	}
	return routes
}

// render answers with a page.
func (a *app) render(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var body bytes.Buffer
	if err := a.pages[name].Execute(&body, a.manager.View(r, data)); err != nil {
		a.manager.Error(w, r, fmt.Errorf("rendering %s: %w", name, err))
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("Cache-Control", "no-store")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = body.WriteTo(w) // an error means that the client is gone
}

package auth_test

import (
	"fmt"
	"html/template"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// A rolePost is a post of the example.
type rolePost struct{ ID, AuthorID string }

// roleLink is a part of a template.
const roleLink = `
{{if .Can "posts.edit"}}<a href="/posts/new">New post</a>{{end}}
`

// newRoleExample returns the application of docs/roles.md.
func newRoleExample(store *memstore.Store[testapp.User, *testapp.User]) (*auth.Manager[*testapp.User], http.Handler, *auth.Routes, error) {
	manager, err := auth.New[*testapp.User](store, auth.Config{
		BaseURL: "https://app.example",
		Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Roles: auth.RoleConfig{
			Permissions: []string{"posts.edit", "users.edit"},
			Grants: map[string][]string{
				"admin":  {"posts.edit", "users.edit"},
				"editor": {"posts.edit"},
			},
			Admin: "admin",
		},
	})
	if err != nil {
		return nil, nil, nil, err
	}
	done := func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "done") }
	savePost, adminPage, listUsers, help := http.HandlerFunc(done), http.HandlerFunc(done), done, done
	mux := http.NewServeMux()
	mux.Handle("POST /posts", manager.Require(auth.Can("posts.edit"))(savePost))
	mux.Handle("GET /admin", manager.Require(auth.Role("admin"), auth.Fresh(15*time.Minute))(adminPage))

	mux.Handle("POST /posts/{id}", manager.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, ok := manager.CurrentUser(r.Context())
		post := rolePost{r.PathValue("id"), "susan's ID"}
		if !ok {
			return
		}
		if post.AuthorID != user.ID && !manager.Can(r.Context(), "posts.edit") {
			manager.Error(w, r, auth.ErrForbidden)
			return
		}
		done(w, r)
	})))

	page := template.Must(template.New("").Parse(roleLink))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		if err := page.Execute(w, manager.View(r, nil)); err != nil {
			manager.Error(w, r, err)
		}
	})

	routes := manager.Routes()
	routes.HandleFunc("GET /admin/users", listUsers, auth.Can("users.edit"))
	routes.HandleFunc("GET /admin/help", help, auth.LoggedIn())
	mux.Handle("/admin/", routes)
	handler := manager.LoadAndSave(mux)
	return manager, handler, routes, nil
}

// The application of docs/roles.md does what the document says.
func TestRolesDocument(t *testing.T) {
	t.Parallel()
	store := memstore.New[testapp.User]()
	manager, handler, routes, err := newRoleExample(store)
	if err != nil {
		t.Fatal(err)
	}
	authtest.CheckRoutes(t, routes)
	for name, roles := range map[string][]string{"susan": nil, "mike": nil, "ed": {"editor"}, "ann": {"admin"}} {
		u, err := store.CreateUser(t.Context(), auth.Account{ID: name + "'s ID", Username: name, Roles: roles, Stamp: auth.NewSecret(name), Version: 1}, nil)
		if err != nil {
			t.Fatal(err)
		}
		allowed := map[string]bool{
			"POST /posts": len(roles) > 0, "GET /admin": name == "ann", "POST /posts/1": name != "mike",
			"GET /admin/users": name == "ann", "GET /admin/help": true, "GET /": true,
		}
		client := authtest.NewClient(t, manager.Core, handler)
		client.Login(u)
		for request, want := range allowed {
			method, path, _ := strings.Cut(request, " ")
			r := client.Get(path)
			if method == http.MethodPost {
				r = client.Post(path, nil)
			}
			if (r.StatusCode == http.StatusOK) != want {
				t.Errorf("%s: %s: %s, want %v", name, request, r.Status, want)
			}
		}
		if r := client.Get("/"); strings.Contains(r.Text, "New post") != (len(roles) > 0) {
			t.Errorf("%s: %q", name, r.Text)
		}
	}
}

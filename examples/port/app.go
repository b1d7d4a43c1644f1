package main

import (
	"bytes"
	"context"
	"database/sql"
	"embed"
	"errors"
	"html/template"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/go-login/auth" // auth
)

//go:embed templates
var files embed.FS

// An app is the application and the handler that serves it.
type app struct {
	http.Handler
	db      *sql.DB
	pages   map[string]*template.Template // by file name
	manager *auth.Manager[*User]          // auth
}

// newApp returns the application on a database that has been migrated.
func newApp(ctx context.Context, db *sql.DB, baseURL, secretFile string, mails io.Writer) (*app, error) { // auth (changed)
	a := &app{db: db, pages: map[string]*template.Template{}}
	for _, name := range []string{"items.html", "users.html"} {
		page, err := template.ParseFS(files, "templates/layout.html", "templates/"+name)
		if err != nil {
			return nil, err
		}
		a.pages[name] = page
	}
	logins, err := a.addAuth(ctx, baseURL, secretFile, mails) // auth
	if err != nil {                                           // auth
		return nil, err // auth
	} // auth
	mux := a.manager.Routes()                                                                         // auth (changed): a route without a rule is denied
	mux.Public("/", logins)                                                                           // auth
	mux.HandleFunc("GET /{$}", a.items, auth.Can("items.read"))                                       // auth (changed)
	mux.HandleFunc("POST /items", a.addItem, auth.Can("items.edit"))                                  // auth (changed)
	mux.HandleFunc("POST /items/{id}", a.countItem, auth.Can("items.edit"))                           // auth (changed)
	mux.HandleFunc("POST /items/{id}/delete", a.deleteItem, auth.Can("items.edit"))                   // auth (changed)
	mux.HandleFunc("GET /users", a.users, auth.Can("users.edit"))                                     // auth (changed)
	mux.HandleFunc("POST /users/{id}", a.setRole, auth.Can("users.edit"), auth.Fresh(15*time.Minute)) // auth (changed)
	a.Handler = a.manager.LoadAndSave(mux)                                                            // auth (changed)
	return a, nil
}

// roles are the values of the column role.
func roles() []string { return []string{"viewer", "editor", "admin"} }

// An item is something in the storeroom.
type item struct {
	ID, Quantity   int64
	Name           string
	OwnerID, Owner string // the user who added it
}

func (a *app) items(w http.ResponseWriter, r *http.Request) {
	items, err := a.listItems(r.Context())
	a.render(w, r, "items.html", items, err)
}

func (a *app) listItems(ctx context.Context) (items []item, err error) {
	rows, err := a.db.QueryContext(ctx, `SELECT items.id, name, quantity, added_by, username
		FROM items JOIN users ON users.id = added_by ORDER BY name, items.id`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var i item
		if err := rows.Scan(&i.ID, &i.Name, &i.Quantity, &i.OwnerID, &i.Owner); err != nil {
			return nil, err
		}
		items = append(items, i)
	}
	return items, rows.Err()
}

func (a *app) addItem(w http.ResponseWriter, r *http.Request) {
	user, _ := a.manager.CurrentUser(r.Context()) // auth: there is one, because the route has a rule
	name, quantity := strings.TrimSpace(r.PostFormValue("name")), quantityOf(r)
	if name == "" || len(name) > 200 || quantity < 0 {
		http.Error(w, "An item needs a name of at most 200 bytes, and a quantity.", http.StatusUnprocessableEntity)
		return
	}
	a.change(w, r, `INSERT INTO items (name, quantity, added_by) VALUES (?, ?, ?)`, name, quantity, user.ID)
}

// countItem changes how many there are.
func (a *app) countItem(w http.ResponseWriter, r *http.Request) {
	quantity := quantityOf(r)
	if quantity < 0 {
		http.Error(w, "The quantity is a number from 0 on.", http.StatusUnprocessableEntity)
		return
	}
	a.change(w, r, `UPDATE items SET quantity = ? WHERE id = ?`, quantity, r.PathValue("id"))
}

// quantityOf returns the quantity in a form, or -1 if that is no number.
func quantityOf(r *http.Request) int64 {
	quantity, err := strconv.ParseInt(r.PostFormValue("quantity"), 10, 32)
	if err != nil {
		return -1
	}
	return quantity
}

func (a *app) deleteItem(w http.ResponseWriter, r *http.Request) {
	var owner string
	err := a.db.QueryRowContext(r.Context(), `SELECT added_by FROM items WHERE id = ?`, r.PathValue("id")).Scan(&owner)
	user, _ := a.manager.CurrentUser(r.Context())                                      // auth
	if err == nil && owner != user.ID && !a.manager.Can(r.Context(), "items.delete") { // auth
		err = auth.ErrForbidden // auth
	} // auth
	if err != nil {
		a.fail(w, r, err)
		return
	}
	a.change(w, r, `DELETE FROM items WHERE id = ?`, r.PathValue("id"))
}

// A member is a row of the page of users.
type member struct{ ID, Username, Role, Created string }

func (a *app) users(w http.ResponseWriter, r *http.Request) {
	members, err := a.listUsers(r.Context())
	a.render(w, r, "users.html", map[string]any{"Members": members, "Roles": roles()}, err)
}

func (a *app) listUsers(ctx context.Context) (members []member, err error) {
	rows, err := a.db.QueryContext(ctx, `SELECT id, username, role, created_at FROM users ORDER BY username, id`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var m member
		if err := rows.Scan(&m.ID, &m.Username, &m.Role, &m.Created); err != nil {
			return nil, err
		}
		members = append(members, m)
	}
	return members, rows.Err()
}

// setRole gives a user another role.
func (a *app) setRole(w http.ResponseWriter, r *http.Request) {
	err := a.manager.SetRoles(r.Context(), r.PathValue("id"), r.PostFormValue("role")) // auth (changed)
	a.done(w, r, err, "/users")
}

// change runs a statement that changes an item.
func (a *app) change(w http.ResponseWriter, r *http.Request, statement string, args ...any) {
	result, err := a.db.ExecContext(r.Context(), statement, args...)
	if err == nil {
		var n int64
		if n, err = result.RowsAffected(); err == nil && n == 0 {
			err = sql.ErrNoRows
		}
	}
	a.done(w, r, err, "/")
}

// done goes back to the page that had the form, or answers with an error.
func (a *app) done(w http.ResponseWriter, r *http.Request, err error, page string) {
	if err != nil {
		a.fail(w, r, err)
		return
	}
	http.Redirect(w, r, page, http.StatusSeeOther)
}

// render answers with a page, or with an error.
func (a *app) render(w http.ResponseWriter, r *http.Request, name string, data any, err error) {
	var body bytes.Buffer
	if err == nil {
		err = a.pages[name].Execute(&body, a.manager.View(r, data)) // auth (changed)
	}
	if err != nil {
		a.fail(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = body.WriteTo(w) // an error means that the client is gone
}

// fail answers with an error.
func (a *app) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, sql.ErrNoRows) {
		http.NotFound(w, r)
		return
	}
	a.manager.Error(w, r, err) // auth (changed)
}

package main

import (
	"bytes"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/go-login/auth"
)

//go:embed templates static
var files embed.FS

// maxBody limits the body of a request, in bytes.
const maxBody = 64 << 10

// An app is the application and the handler that serves it.
type app struct {
	http.Handler
	manager *auth.Manager[*User]
	pages   map[string]*template.Template // by file name
}

// newApp returns the application on a database that has been migrated.
func newApp(db *sql.DB, secret []byte, baseURL string) (*app, error) {
	manager, err := newManager(db, secret, baseURL)
	if err != nil {
		return nil, err
	}
	a := &app{manager: manager, pages: map[string]*template.Template{}}
	for _, name := range []string{"index.html", "login.html", "register.html"} {
		a.pages[name], err = template.ParseFS(files, "templates/base.html", "templates/"+name)
		if err != nil {
			return nil, err
		}
	}
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", manager.RequireLogin(http.HandlerFunc(a.index)))
	mux.Handle("GET /index", manager.RequireLogin(http.HandlerFunc(a.index)))
	a.authRoutes(mux)

	outer := http.NewServeMux()
	outer.Handle("/", manager.LoadAndSave(mux))
	outer.HandleFunc("GET /static/microblog.css", stylesheet) // outside LoadAndSave, because it needs no session
	a.Handler = http.MaxBytesHandler(secured(outer), maxBody)
	return a, nil
}

// secured sets headers that limit what a browser lets the pages do.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy",
			"default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
		h.Set("Referrer-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

func stylesheet(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "max-age=3600")
	http.ServeFileFS(w, r, files, "static/microblog.css")
}

// A page is the .Data of templates. The user and the flash messages are in the
// manager's View.
type page struct {
	Title string
	Form  form
	Posts []post
}

type post struct{ Author, Body string }

func (a *app) index(w http.ResponseWriter, r *http.Request) {
	a.render(w, r, "index.html", page{Title: "Home Page", Posts: []post{
		{"John", "Beautiful day in Portland!"},
		{"Susan", "The Avengers movie was so cool!"},
	}})
}

// render answers with a whole page, or with an error.
func (a *app) render(w http.ResponseWriter, r *http.Request, name string, p page) {
	var body bytes.Buffer
	if err := a.pages[name].Execute(&body, a.manager.View(r, p)); err != nil {
		a.manager.Error(w, r, fmt.Errorf("rendering %s: %w", name, err))
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = body.WriteTo(w) // an error means that the client is gone
}

// flash redirects the client to another page, which shows the text.
func (a *app) flash(w http.ResponseWriter, r *http.Request, text, target string) {
	if err := a.manager.Flash(r.Context(), "message", text); err != nil {
		a.manager.Error(w, r, err)
		return
	}
	auth.Next{}.Redirect(w, target)
}

// A form has the submitted values, and the errors of its fields.
type form struct {
	url.Values
	Errors map[string]string // by field
	posted bool
}

// readForm reads a form from the request's body, never from its query. If it
// returns false, it has answered the request.
func (a *app) readForm(w http.ResponseWriter, r *http.Request) (form, bool) {
	if r.Method != http.MethodPost {
		return form{}, true
	}
	if err := r.ParseForm(); err != nil {
		if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
			a.manager.Error(w, r, err)
		} else {
			http.Error(w, "the form cannot be read", http.StatusBadRequest)
		}
		return form{}, false
	}
	// Any other body would be read as an empty form.
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" && r.ContentLength != 0 {
		http.Error(w, "send the form as application/x-www-form-urlencoded", http.StatusUnsupportedMediaType)
		return form{}, false
	}
	for _, name := range []string{"username", "email"} {
		if r.PostForm.Has(name) {
			r.PostForm.Set(name, strings.TrimSpace(r.PostForm.Get(name)))
		}
	}
	return form{Values: r.PostForm, Errors: map[string]string{}, posted: true}, true
}

// valid reports whether the form was posted and nothing is wrong with it.
func (f form) valid() bool { return f.posted && len(f.Errors) == 0 }

// require refuses blank fields.
func (f form) require(fields ...string) {
	for _, field := range fields {
		if f.Get(field) == "" {
			f.refuse(field, "This field is required.")
		}
	}
}

// refuse sets the error of a field, unless the field has one already or text is
// empty.
func (f form) refuse(field, text string) {
	if f.posted && text != "" && f.Errors[field] == "" {
		f.Errors[field] = text
	}
}

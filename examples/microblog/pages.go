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

// maxBody is the most that a request may send, in bytes.
const maxBody = 64 << 10

// An app is the application, as the handler that serves it.
type app struct {
	http.Handler
	manager *auth.Manager[*User]
	pages   map[string]*template.Template // by file name
}

// newApp makes the application on a database that has been migrated.
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
	outer.HandleFunc("GET /static/microblog.css", stylesheet) // needs no session
	a.Handler = http.MaxBytesHandler(secured(outer), maxBody)
	return a, nil
}

// secured sets the headers that tell browsers what pages must not do.
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

// A page is what templates see as .Data. The user and the messages they ask the
// manager's View for.
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
	_, _ = body.WriteTo(w) // an error means that the client has gone
}

// flash sends the client to another page, which shows the text.
func (a *app) flash(w http.ResponseWriter, r *http.Request, text, target string) {
	if err := a.manager.Flash(r.Context(), "message", text); err != nil {
		a.manager.Error(w, r, err)
		return
	}
	auth.Next{}.Redirect(w, target)
}

// A form is what was typed, and what is wrong with it.
type form struct {
	url.Values
	Errors map[string]string // by field
	posted bool
}

// readForm reads a form from the request's body, never from its query. If it
// returns false, it has answered.
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
	// Anything else would be read as an empty form.
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" && r.ContentLength != 0 {
		http.Error(w, "this is not a form", http.StatusUnsupportedMediaType)
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

// require finds fault with fields that are blank.
func (f form) require(fields ...string) {
	for _, field := range fields {
		if f.Get(field) == "" {
			f.refuse(field, "This field is required.")
		}
	}
}

// refuse notes what is wrong with a field, unless something is already, or
// there is nothing to say.
func (f form) refuse(field, text string) {
	if f.posted && text != "" && f.Errors[field] == "" {
		f.Errors[field] = text
	}
}

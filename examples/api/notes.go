package main

import (
	"embed"
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// This file is what the application is about, and has nothing to do with logins.

//go:embed account.html
var templates embed.FS // the account page, which makes tokens

// notes are kept in memory.
type notes struct {
	mu     sync.Mutex
	byUser map[string][]string
	added  chan struct{} // closed, and replaced, when there is one more
}

func newNotes() *notes {
	return &notes{byUser: map[string][]string{}, added: make(chan struct{})}
}

// add keeps a note.
func (n *notes) add(userID, text string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.byUser[userID] = append(n.byUser[userID], text)
	close(n.added)
	n.added = make(chan struct{})
}

// after returns a user's notes but for the first ones, and a channel that is
// closed when somebody has added another.
func (n *notes) after(userID string, first int) ([]string, <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]string{}, n.byUser[userID][first:]...), n.added
}

func (a *app) list(w http.ResponseWriter, r *http.Request) {
	user, _ := a.manager.CurrentUser(r.Context())
	notes, _ := a.notes.after(user.ID, 0)
	answer(w, http.StatusOK, notes)
}

func (a *app) add(w http.ResponseWriter, r *http.Request) {
	user, _ := a.manager.CurrentUser(r.Context())
	text := r.PostFormValue("text")
	if !isText(text) {
		answer(w, http.StatusUnprocessableEntity, map[string]string{"error": "a note has a text"})
		return
	}
	a.notes.add(user.ID, text)
	answer(w, http.StatusCreated, text)
}

// isText reports whether a form's field is a text, of at most 200 bytes.
func isText(s string) bool {
	return s != "" && len(s) <= 200 && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// known returns those scopes that this application has.
func known(scopes []string) []string {
	return slices.DeleteFunc([]string{"notes:read", "notes:write"}, func(s string) bool { return !slices.Contains(scopes, s) })
}

// forms lets only forms through to next, which would read anything else as an empty
// one.
func forms(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); {
		case kind == "application/x-www-form-urlencoded", kind == "multipart/form-data", r.ContentLength == 0:
			next(w, r)
		default:
			answer(w, http.StatusUnsupportedMediaType, map[string]string{"error": "this takes forms, application/x-www-form-urlencoded"})
		}
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

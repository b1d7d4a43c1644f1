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

// This file is the rest of the application. It has nothing to do with logins.

//go:embed account.html
var templates embed.FS // the account page, which makes tokens

// notes are kept in memory.
type notes struct {
	mu     sync.Mutex
	byUser map[string][]string
	added  chan struct{} // closed and replaced when a note is added
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

// after returns a user's notes without the first ones, and a channel that is
// closed when another note is added.
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
		answer(w, http.StatusUnprocessableEntity, map[string]string{"error": "a note needs a text of 1 to 200 bytes, without control characters"})
		return
	}
	a.notes.add(user.ID, text)
	answer(w, http.StatusCreated, text)
}

// isText reports whether a form's field is a text of 1 to 200 bytes.
func isText(s string) bool {
	return s != "" && len(s) <= 200 && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl)
}

// known returns the given scopes that this application has.
func known(scopes []string) []string {
	return slices.DeleteFunc([]string{"notes:read", "notes:write"}, func(s string) bool { return !slices.Contains(scopes, s) })
}

// forms passes only forms on to next. Any other body would be read as an empty
// form.
func forms(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); {
		case kind == "application/x-www-form-urlencoded", kind == "multipart/form-data", r.ContentLength == 0:
			next(w, r)
		default:
			answer(w, http.StatusUnsupportedMediaType, map[string]string{"error": "send a form as application/x-www-form-urlencoded or multipart/form-data"})
		}
	}
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

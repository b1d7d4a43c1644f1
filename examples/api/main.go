// Api is an application with pages for people and an API for programs, which send
// tokens that users have made. It keeps notes in memory.
package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/examples/internal/server"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
)

// A User is an account. Fields of your application would go beside it.
type User struct{ auth.Account }

type app struct {
	manager *auth.Manager[*User]
	notes   *notes
	ending  <-chan struct{} // closed when the program must end
}

func main() {
	server.Main("api", func(ctx context.Context) error {
		listener, port, err := server.Listen(ctx, "127.0.0.1:8080")
		if err != nil {
			return err
		}
		app, err := newApp("http://localhost:"+port, ctx.Done())
		if err != nil {
			return err
		}
		fmt.Println("Notes are at http://localhost:" + port)
		return server.Serve(ctx, listener, app)
	})
}

// newApp returns the whole application.
func newApp(baseURL string, ending <-chan struct{}) (http.Handler, error) {
	secret := make([]byte, 32) // in production, read it from a file or the environment
	_, _ = rand.Read(secret)
	manager, err := auth.New(memstore.New[User](), auth.Config{
		BaseURL: baseURL, Secrets: [][]byte{secret}, Credentials: []auth.Credential{auth.Bearer()},
	})
	if err != nil {
		return nil, err
	}
	ready, err := pages.New(manager.Core, pages.Config{Site: "Notes", Home: "/account", Templates: templates})
	if err != nil {
		return nil, err
	}
	a := &app{manager, newNotes(), ending}
	mux := http.NewServeMux()
	handle := func(pattern string, guard func(http.Handler) http.Handler, h http.HandlerFunc) {
		mux.Handle(pattern, guard(h))
	}
	mux.Handle("/", ready)
	mux.Handle("GET /{$}", http.RedirectHandler("/account", http.StatusSeeOther))
	handle("POST /api/tokens", manager.RequireFresh(15*time.Minute), forms(a.newToken))
	handle("GET /api/notes", manager.RequireScope("notes:read"), a.list)
	handle("POST /api/notes", manager.RequireScope("notes:write"), forms(a.add))
	handle("GET /events", manager.RequireScope("notes:read"), a.events)
	return http.MaxBytesHandler(manager.LoadAndSave(mux), 64<<10), nil
}

// newToken makes a token, and shows it this once. A program cannot make one: a
// request with a token is never fresh.
func (a *app) newToken(w http.ResponseWriter, r *http.Request) {
	user, _ := a.manager.CurrentUser(r.Context()) // the guards have made sure that there is one
	if err := a.manager.CheckForm(r.Context(), "account", r.PostFormValue("form_user")); err != nil {
		a.manager.Error(w, r, err) // another user opened the form
		return
	}
	name, scopes := r.PostForm.Get("name"), known(r.PostForm["scope"])
	if !isText(name) || len(scopes) == 0 {
		answer(w, http.StatusUnprocessableEntity, map[string]string{"error": "a token needs a name of 1 to 200 bytes and at least one of the scopes notes:read and notes:write"})
		return
	}
	token, made, err := a.manager.NewAPIToken(r.Context(), user, auth.APIToken{Name: name, Scopes: scopes, Expires: time.Now().AddDate(0, 3, 0)})
	if err != nil {
		a.manager.Error(w, r, err)
		return
	}
	answer(w, http.StatusCreated, map[string]any{"token": token.Reveal(), "scopes": made.Scopes, "expires": made.Expires})
}

// events streams the user's notes (server-sent events) as long as the login or
// the token is valid.
func (a *app) events(w http.ResponseWriter, r *http.Request) {
	user, _ := a.manager.CurrentUser(r.Context())
	ctx, stop := a.manager.WhileLoggedIn(r.Context())
	defer stop()
	stream := http.NewResponseController(w)
	_ = errors.Join(stream.SetReadDeadline(time.Time{}), stream.SetWriteDeadline(time.Time{})) // the server's own deadlines are short
	w.Header().Set("Content-Type", "text/event-stream")
	for sent := 0; ctx.Err() == nil; {
		notes, added := a.notes.after(user.ID, sent)
		for _, text := range notes {
			data, _ := json.Marshal(text) // JSON of a text is one line
			fmt.Fprintf(w, "data: %s\n\n", data)
		}
		sent += len(notes)
		_ = stream.Flush()
		select {
		case <-added:
		case <-ctx.Done():
		case <-a.ending:
			return
		}
	}
	if errors.Is(context.Cause(ctx), auth.ErrLoggedOut) {
		fmt.Fprint(w, "event: logout\ndata:\n\n")
	}
}

package auth_test

import (
	"fmt"
	"html/template"
	"net/http"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
)

func exampleManager() *auth.Manager[*Member] {
	manager, err := auth.New(memstore.New[Member](), auth.Config{
		BaseURL: "https://app.example",
		Secrets: [][]byte{[]byte("kD83mfPq0wLx72NvbHsYeTgU5zRc1aJo (from a file)")},
	})
	if err != nil {
		panic(err)
	}
	return manager
}

// The page to which RequireFresh sends the browser: it asks for the password again.
func ExampleManager_ConfirmLogin() {
	manager := exampleManager()
	mux := http.NewServeMux()
	mux.Handle("POST /refresh", manager.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := manager.CurrentUser(r.Context())
		right, err := manager.CheckPassword(r.Context(), user, r.PostFormValue("password"))
		if err == nil && right {
			err = manager.ConfirmLogin(r.Context())
		}
		switch {
		case err != nil:
			manager.Error(w, r, err)
		case right:
			manager.TakeNext(r).Redirect(w, "/")
		default:
			http.Error(w, "This is not your password.", http.StatusUnprocessableEntity)
		}
	})))
	closing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	mux.Handle("POST /close-account", manager.RequireFresh(10*time.Minute)(closing))
}

// A Credential for keys in a header of your own.
func ExampleCredential() {
	keys := map[string]string{} // the IDs of accounts, by their keys
	_ = auth.Config{Credentials: []auth.Credential{auth.Bearer(), {
		Load: func(r *http.Request) (auth.Grant, error) {
			key := r.Header.Get("X-Api-Key")
			if key == "" {
				return auth.Grant{}, nil // the next Credential may know
			}
			id, ok := keys[key]
			if !ok {
				return auth.Grant{}, auth.ErrInvalidCredentials
			}
			return auth.Grant{UserID: id, Method: "key"}, nil
		},
	}}}
}

func ExampleManager_View() {
	manager := exampleManager()
	page := template.Must(template.New("").Parse(`{{range .Flashes}}<p>{{.Text}}</p>{{end}}
{{with .User}}Hi, {{.Username}}!{{else}}Hi, stranger!{{end}} {{.Data}}`))
	_ = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := page.Execute(w, manager.View(r, "It is a nice day.")); err != nil {
			manager.Error(w, r, err)
		}
	})
}

// A stream that ends with the login.
func ExampleManager_WhileLoggedIn() {
	manager := exampleManager()
	news := make(chan string)
	_ = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, stop := manager.WhileLoggedIn(r.Context())
		defer stop()
		w.Header().Set("Content-Type", "text/event-stream")
		for {
			select {
			case <-ctx.Done():
				return // context.Cause(ctx) is auth.ErrLoggedOut, if that was it
			case text := <-news:
				_, _ = fmt.Fprintf(w, "data: %q\n\n", text)
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
}

package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
)

// Member is the application's user type.
type Member struct {
	auth.Account
	Plan string
}

func ExampleNew() {
	store := memstore.New[Member]() // or sqlstore, or a UserStore of your own
	manager, err := auth.New(store, auth.Config{
		BaseURL: "https://app.example",
		Secrets: [][]byte{[]byte("kD83mfPq0wLx72NvbHsYeTgU5zRc1aJo (from a file)")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /plan", manager.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		member, _ := manager.CurrentUser(r.Context()) // *Member, no assertion
		_, _ = fmt.Fprintf(w, "%s is on the %s plan.", member.Username, member.Plan)
	})))
	application := manager.LoadAndSave(mux) // for http.ListenAndServe
	w := httptest.NewRecorder()
	application.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/plan?year=2026", nil))
	fmt.Println(w.Code, w.Header().Get("Location"))
	// Output: 303 /login?next=%2Fplan%3Fyear%3D2026
}

// An application that checks passwords itself needs only to load users.
func ExampleNewWithLoader() {
	members := map[string]*Member{"7": {Account: auth.Account{ID: "7", Username: "susan"}}}
	manager, err := auth.NewWithLoader(auth.LoaderFunc[*Member](func(_ context.Context, id string) (*Member, error) {
		if m, ok := members[id]; ok {
			return m, nil
		}
		return nil, auth.ErrUserNotFound
	}), auth.Config{
		BaseURL: "https://app.example",
		Secrets: [][]byte{[]byte("kD83mfPq0wLx72NvbHsYeTgU5zRc1aJo (from a file)")},
		Records: memstore.NewRecords(),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%T\n", manager)
	// Output: *auth.Manager[*github.com/go-login/auth_test.Member]
}

func ExampleManager_LoginUser() {
	var manager *auth.Manager[*Member]
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		user, err := manager.Authenticate(r.Context(), r.FormValue("username"), r.FormValue("password"))
		if err == nil {
			err = manager.LoginUser(r.Context(), user, auth.Remember(r.FormValue("remember_me") != ""))
		}
		switch {
		case err == nil:
			manager.TakeNext(r).Redirect(w, "/")
		case errors.Is(err, auth.ErrLoginRefused): // the same for all reasons
			_ = manager.Flash(r.Context(), "danger", "Wrong username or password.")
			http.Redirect(w, r, auth.NextFrom(r).AddTo("/login"), http.StatusSeeOther)
		default:
			manager.Error(w, r, err) // asks for the second factor, for example
		}
	})
}

package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
)

// Person is the application's user type.
type Person struct {
	auth.Account
	Motto string
}

// newFlaskApp returns the application, for http.ListenAndServe.
func newFlaskApp(store auth.UserStore[*Person], secret []byte) (http.Handler, error) {
	manager, err := auth.New(store, auth.Config{ // LoginManager, its attributes and user_loader
		BaseURL: "https://app.example",
		Secrets: [][]byte{secret}, // SECRET_KEY
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		person, err := manager.Authenticate(r.Context(), r.PostFormValue("login"), r.PostFormValue("password"))
		if err == nil {
			err = manager.LoginUser(r.Context(), person, auth.Remember(r.PostFormValue("remember") != "")) // login_user
		}
		if errors.Is(err, auth.ErrLoginRefused) {
			_ = manager.Flash(r.Context(), "danger", "Wrong login or password.")
			auth.Next{}.Redirect(w, auth.NextFrom(r).AddTo("/login")) // login_url
			return
		}
		if err != nil {
			manager.Error(w, r, err)
			return
		}
		manager.TakeNext(r).Redirect(w, "/") // no check of next is left to write
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if err := manager.LogoutUser(r.Context()); err != nil { // logout_user
			manager.Error(w, r, err)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.Handle("GET /motto", manager.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { // @login_required
		person, _ := manager.CurrentUser(r.Context()) // current_user
		_, _ = fmt.Fprintf(w, "%s says: %s", person.Username, person.Motto)
	})))
	return manager.LoadAndSave(mux), nil // init_app
}

func Example_flaskLogin() {
	app, err := newFlaskApp(memstore.New[Person](), []byte("kD83mfPq0wLx72NvbHsYeTgU5zRc1aJo (from a file)"))
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	app.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/motto", nil))
	fmt.Println(w.Code, w.Header().Get("Location"))
	// Output: 303 /login?next=%2Fmotto
}

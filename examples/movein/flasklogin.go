package movein

import (
	"errors"
	"net/http"

	"github.com/go-login/auth"
)

// afterFlaskLogin is an application after the move from Flask-Login.
func afterFlaskLogin(manager *auth.Manager[*User]) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		user, err := manager.Authenticate(r.Context(), r.PostFormValue("email"), r.PostFormValue("password")) // check_password_hash
		if err == nil {
			err = manager.LoginUser(r.Context(), user, auth.Remember(r.PostFormValue("remember") != "")) // login_user
		}
		if errors.Is(err, auth.ErrLoginRefused) {
			_ = manager.Flash(r.Context(), "danger", "Wrong address or password.") // flash
			http.Redirect(w, r, "/login", http.StatusSeeOther)
			return
		}
		if err != nil {
			manager.Error(w, r, err)
			return
		}
		manager.TakeNext(r).Redirect(w, "/") // never leads to another site: no check of next is needed
	})
	mux.Handle("GET /{$}", manager.RequireLogin(home(manager))) // login_required, current_user
	return manager.LoadAndSave(mux)
}

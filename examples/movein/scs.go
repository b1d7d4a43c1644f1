package movein

import (
	"net/http"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/go-login/auth"
)

// afterSCS is an application after the move from scs and bcrypt.
func afterSCS(manager *auth.Manager[*User], users Users, old *scs.SessionManager, until time.Time) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		user, err := manager.Authenticate(r.Context(), r.PostFormValue("email"), r.PostFormValue("password")) // was bcrypt.CompareHashAndPassword
		if err == nil {
			err = manager.LoginUser(r.Context(), user) // was RenewToken, and Put with the ID
		}
		if err != nil {
			manager.Error(w, r, err)
			return
		}
		manager.TakeNext(r).Redirect(w, "/")
	})
	session := manager.SessionData() // was scs.New()
	mux.HandleFunc("POST /cart", func(_ http.ResponseWriter, r *http.Request) {
		session.Put(r.Context(), "cart", r.PostFormValue("item")) // stays as it is
	})
	mux.HandleFunc("GET /cart", func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(session.GetString(r.Context(), "cart")))
	})
	mux.Handle("GET /{$}", manager.RequireLogin(home(manager)))

	bridge, err := NewBridge(manager, users, SCS(old, "userID"), until)
	if err != nil {
		return nil, err
	}
	return manager.LoadAndSave(bridge.Wrap(mux)), nil
}

// home greets the user. It is behind RequireLogin.
func home(manager *auth.Manager[*User]) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		user, _ := manager.CurrentUser(r.Context())
		_, _ = w.Write([]byte("Hello, " + user.Name))
	}
}

package movein

import (
	"net/http"
	"time"

	"github.com/go-login/auth"
	"github.com/gorilla/sessions"
)

// afterGorilla is an application after the move from gorilla/sessions.
func afterGorilla(manager *auth.Manager[*User], users Users, old sessions.Store, until time.Time) (http.Handler, error) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /cart", func(w http.ResponseWriter, r *http.Request) {
		// was session, _ := store.Get(r, "session"); session.Values["cart"] = …; session.Save(r, w)
		manager.SessionData().Put(r.Context(), "cart", r.PostFormValue("item"))
		_ = manager.Flash(r.Context(), "success", "It is in your cart.") // was session.AddFlash
		http.Redirect(w, r, "/cart", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /cart", func(w http.ResponseWriter, r *http.Request) {
		for _, message := range manager.Flashes(r.Context()) { // was session.Flashes
			_, _ = w.Write([]byte(message.Text + " "))
		}
		_, _ = w.Write([]byte(manager.SessionData().GetString(r.Context(), "cart")))
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if err := manager.LogoutUser(r.Context()); err != nil { // was MaxAge = -1, and Save
			manager.Error(w, r, err)
			return
		}
		http.Redirect(w, r, "/login", http.StatusSeeOther)
	})
	mux.Handle("GET /{$}", manager.RequireLogin(home(manager)))

	bridge, err := NewBridge(manager, users, Gorilla(old, "session", "userID"), until)
	if err != nil {
		return nil, err
	}
	return manager.LoadAndSave(bridge.Wrap(mux)), nil
}

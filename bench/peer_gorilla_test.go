package bench_test

import (
	"net/http"
	"testing"

	"github.com/gorilla/sessions"
)

// openGorilla uses its cookie store with one key, for authentication. The
// contents of a session are in its cookie.
func openGorilla(_ testing.TB, users *members) *site {
	store := sessions.NewCookieStore([]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq"))
	const name = "session"
	return newSite(parts{
		around: func(next http.Handler) http.Handler { return next },
		who: func(r *http.Request) string {
			session, err := store.Get(r, name)
			if err != nil {
				return ""
			}
			user, _ := session.Values["user"].(string)
			return nameOf(users.load(user))
		},
		count: func(w http.ResponseWriter, r *http.Request) int {
			session, err := store.Get(r, name)
			if err != nil {
				return 0
			}
			visits, _ := session.Values["visits"].(int)
			session.Values["visits"] = visits + 1
			if err := session.Save(r, w); err != nil {
				return 0
			}
			return visits + 1
		},
		enter: func(w http.ResponseWriter, r *http.Request, user *member) error {
			session, err := store.Get(r, name)
			if err != nil {
				return err
			}
			session.Values["user"] = user.name
			return session.Save(r, w)
		},
	}, users)
}

package bench_test

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"net/http"
	"sync"
	"testing"
)

// openFloor is the minimum without a library: a cookie, the SHA-256 of its
// token, a map of sessions, a map of users, and a value in the context. It has
// no expiry, no rotation and no logout.
func openFloor(_ testing.TB, users *members) *site {
	type session struct {
		user   string
		visits int
	}
	var mu sync.RWMutex
	sessions := map[[sha256.Size]byte]session{}
	const name = "session"
	key := func(r *http.Request) (k [sha256.Size]byte, ok bool) {
		c, err := r.Cookie(name)
		if err != nil {
			return k, false
		}
		return sha256.Sum256([]byte(c.Value)), true
	}
	return newSite(parts{
		around: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if k, ok := key(r); ok {
					mu.RLock()
					s := sessions[k]
					mu.RUnlock()
					if user := users.load(s.user); user != nil {
						r = r.WithContext(context.WithValue(r.Context(), memberKey{}, user))
					}
				}
				next.ServeHTTP(w, r)
			})
		},
		who: memberOf,
		count: func(_ http.ResponseWriter, r *http.Request) int {
			k, ok := key(r)
			if !ok {
				return 0
			}
			mu.Lock()
			defer mu.Unlock()
			s := sessions[k]
			s.visits++
			sessions[k] = s
			return s.visits
		},
		enter: func(w http.ResponseWriter, _ *http.Request, user *member) error {
			token := rand.Text()
			mu.Lock()
			sessions[sha256.Sum256([]byte(token))] = session{user: user.name}
			mu.Unlock()
			http.SetCookie(w, &http.Cookie{Name: name, Value: token, Path: "/", HttpOnly: true, Secure: true, SameSite: http.SameSiteLaxMode})
			return nil
		},
	}, users)
}

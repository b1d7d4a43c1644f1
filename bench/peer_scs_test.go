package bench_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
)

// openSCS uses scs as its README does, with its default codec and its store in
// memory. The rest is as applications on scs do it: the session has the user's
// name, and a middleware loads the user.
func openSCS(_ testing.TB, users *members) *site { return withSCS(users, 0) }

// openSCSIdle is openSCS with an idle timeout.
func openSCSIdle(_ testing.TB, users *members) *site { return withSCS(users, time.Hour) }

func withSCS(users *members, idle time.Duration) *site {
	sessions := scs.New() // its store runs a clean-up until the process ends
	sessions.IdleTimeout = idle
	loadUser := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if name := sessions.GetString(r.Context(), "user"); name != "" {
				r = r.WithContext(context.WithValue(r.Context(), memberKey{}, users.load(name)))
			}
			next.ServeHTTP(w, r)
		})
	}
	return newSite(parts{
		around: func(next http.Handler) http.Handler { return sessions.LoadAndSave(loadUser(next)) },
		who:    memberOf,
		count: func(_ http.ResponseWriter, r *http.Request) int {
			visits := sessions.GetInt(r.Context(), "visits") + 1
			sessions.Put(r.Context(), "visits", visits)
			return visits
		},
		enter: func(_ http.ResponseWriter, r *http.Request, user *member) error {
			if err := sessions.RenewToken(r.Context()); err != nil {
				return err
			}
			sessions.Put(r.Context(), "user", user.name)
			return nil
		},
	}, users)
}

// A memberKey is the context key of the current user.
type memberKey struct{}

func memberOf(r *http.Request) string {
	user, _ := r.Context().Value(memberKey{}).(*member)
	return nameOf(user)
}

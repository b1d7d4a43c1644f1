package bench_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/alexedwards/scs/v2/memstore"
)

// openSCS has scs as its README does, with its default codec and its store in
// memory, and the rest as applications on scs have it: the user's name is in the
// session, and a middleware loads the user.
func openSCS(tb testing.TB, users *members) *site { return withSCS(tb, users, 0) }

// openSCSIdle is one whose sessions end if they are idle.
func openSCSIdle(tb testing.TB, users *members) *site { return withSCS(tb, users, time.Hour) }

func withSCS(tb testing.TB, users *members, idle time.Duration) *site {
	tb.Helper()
	store := memstore.New()
	tb.Cleanup(store.StopCleanup)
	sessions := scs.New()
	if byDefault, ok := sessions.Store.(*memstore.MemStore); ok {
		byDefault.StopCleanup()
	}
	sessions.Store, sessions.IdleTimeout = store, idle
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
		count: func(_ http.ResponseWriter, r *http.Request) {
			sessions.Put(r.Context(), "visits", sessions.GetInt(r.Context(), "visits")+1)
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

// A memberKey is where a middleware puts the current user.
type memberKey struct{}

func memberOf(r *http.Request) string {
	user, _ := r.Context().Value(memberKey{}).(*member)
	return nameOf(user)
}

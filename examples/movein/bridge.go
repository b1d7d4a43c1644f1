// Package movein keeps users logged in while an application moves to this library. It reads
// a session of the old library once, and logs its user in. docs/moving-in.md says when to use
// it, and what it cannot do.
package movein

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/go-login/auth"
	"github.com/gorilla/sessions"
)

// An OldSession is what the old library knows about a request.
type OldSession struct {
	UserID string
	Token  string // identifies the session: each is moved once

	// End ends the session in the old library.
	End func() error
}

// A Reader finds the session of a request in the old library. It returns false if there is
// none, or if nobody is logged in.
type Reader func(w http.ResponseWriter, r *http.Request) (OldSession, bool)

// SCS reads sessions of alexedwards/scs. key is where the application has kept the user's ID.
func SCS(old *scs.SessionManager, key string) Reader {
	return func(w http.ResponseWriter, r *http.Request) (OldSession, bool) {
		cookie, err := r.Cookie(old.Cookie.Name)
		if err != nil {
			return OldSession{}, false
		}
		ctx, err := old.Load(r.Context(), cookie.Value)
		if err != nil {
			return OldSession{}, false
		}
		id := idOf(old.Get(ctx, key))
		return OldSession{id, cookie.Value, func() error {
			http.SetCookie(w, &http.Cookie{Name: old.Cookie.Name, Path: old.Cookie.Path, Domain: old.Cookie.Domain, MaxAge: -1})
			return old.Destroy(ctx)
		}}, id != ""
	}
}

// Gorilla reads sessions of gorilla/sessions. name is that of the session, and key is where
// the application has kept the user's ID. If the store is a CookieStore, each user is moved
// once, in one browser: such a session has no ID, and its old cookies cannot be ended.
func Gorilla(old sessions.Store, name, key string) Reader {
	return func(w http.ResponseWriter, r *http.Request) (OldSession, bool) {
		cookie, err := r.Cookie(name)
		if err != nil {
			return OldSession{}, false
		}
		session, err := old.Get(r, name)
		if err != nil || session.IsNew {
			return OldSession{}, false
		}
		id := idOf(session.Values[key])
		token := cookie.Value
		if _, inCookie := old.(*sessions.CookieStore); inCookie {
			token = id
		}
		return OldSession{id, token, func() error {
			session.Options.MaxAge = -1
			return session.Save(r, w)
		}}, id != ""
	}
}

// idOf returns the ID in a session: a text, an integer that is not 0, or a type with a method
// String, such as a UUID. For anything else, it returns "".
func idOf(value any) string {
	v := reflect.ValueOf(value)
	switch stringer, ok := value.(fmt.Stringer); {
	case !v.IsValid() || v.IsZero():
		return ""
	case ok:
		return stringer.String()
	case v.Kind() == reflect.String || v.CanInt() || v.CanUint():
		return fmt.Sprint(value)
	}
	return ""
}

// A Bridge logs users in who have a session of the old library.
type Bridge[U auth.User] struct {
	manager *auth.Manager[U]
	users   auth.UserLoader[U]
	feature *auth.Feature
	read    Reader
	until   time.Time
}

// NewBridge returns a Bridge. until is when the last session of the old library ends; after
// that, remove the bridge.
func NewBridge[U auth.User](manager *auth.Manager[U], users auth.UserLoader[U], read Reader, until time.Time) (*Bridge[U], error) {
	feature, err := manager.Feature("movein")
	return &Bridge[U]{manager, users, feature, read, until}, err
}

// Wrap is a middleware that goes inside LoadAndSave, around the whole router.
func (b *Bridge[U]) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := b.manager.User(r.Context())
		if errors.Is(err, auth.ErrNotLoggedIn) && !errors.Is(err, auth.ErrReplaced) && b.feature.Now().Before(b.until) {
			if old, ok := b.read(w, r); ok {
				b.move(r.Context(), old)
			}
		}
		next.ServeHTTP(w, r)
	})
}

// move logs the user of an old session in, once. If anything is wrong, the request stays
// anonymous, and the user logs in as usual.
func (b *Bridge[U]) move(ctx context.Context, old OldSession) {
	sum := sha256.Sum256([]byte(old.Token))
	err := b.feature.Insert(ctx, auth.Record{Key: hex.EncodeToString(sum[:16]), Expires: b.until})
	if err != nil || old.End() != nil { // the session was moved before, or could not be ended
		return
	}
	user, err := b.users.LoadUser(ctx, old.UserID)
	if err != nil || user.AuthAccount().Version != 1 {
		return // the account has changed since the move: perhaps its password, because the session was stolen
	}
	_ = b.manager.LoginUser(ctx, user, auth.Stale()) // through all gates; Fresh asks for the password
}

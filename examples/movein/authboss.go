package movein

import (
	"context"
	"net/http"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
	"github.com/gorilla/sessions"
)

// afterAuthboss is an application after the move from authboss, whose modules are now the
// ready-made pages.
func afterAuthboss(manager *auth.Manager[*User], users Users, old sessions.Store, until time.Time) (http.Handler, error) {
	ready, err := pages.New(manager.Core, pages.Config{ // was ab.Config.Modules, and ab.Init
		Username: pages.Absent,
		Prefix:   "/auth", // was ab.Config.Paths.Mount
	})
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	ready.Mount(mux)
	mux.Handle("GET /{$}", manager.RequireLogin(home(manager))) // was authboss.Middleware2

	byPID := auth.LoaderFunc[*User](func(ctx context.Context, pid string) (*User, error) {
		key, err := auth.EmailKey(pid) // what GetPID returned: here the address
		if err != nil {
			return nil, auth.ErrUserNotFound
		}
		return users.FindUser(ctx, key)
	})
	bridge, err := NewBridge(manager, byPID, Gorilla(old, "authboss", "uid"), until) // "uid" is authboss.SessionKey
	if err != nil {
		return nil, err
	}
	return manager.LoadAndSave(bridge.Wrap(mux)), nil
}

package auth

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// Routes are routes that are denied by default: a handler that was registered without a
// rule never runs. They are an http.Handler, with an http.ServeMux inside, so you can
// register a group of them in your own mux:
//
//	admin := manager.Routes()
//	admin.HandleFunc("GET /admin/users", listUsers, auth.Can("users.read"))
//	admin.HandleFunc("POST /admin/users", saveUser, auth.Can("users.edit"), auth.Fresh(15*time.Minute))
//	mux.Handle("/admin/", admin)
//
// Routes cannot see what a handler does: one that calls Check itself, or is wrapped by
// Require, still needs a rule here. authtest.CheckRoutes lists routes without a rule in
// your tests. Register all routes before the first request.
type Routes struct {
	core *Core
	mux  *http.ServeMux

	mu        sync.Mutex
	unguarded []string
}

// Routes returns routes that are denied by default. See [Routes].
func (c *Core) Routes() *Routes { return &Routes{core: c, mux: http.NewServeMux()} }

// Handle registers a handler for a pattern of http.ServeMux. The handler runs only if a
// user is logged in and all rules hold: see [Core.Require]. If every user may use it, the
// rule is [LoggedIn].
//
// Without a rule the handler never runs: every request is answered 403, and an error is
// logged now. Like http.ServeMux, Handle panics if the pattern is malformed or conflicts
// with another one.
func (r *Routes) Handle(pattern string, handler http.Handler, rules ...Rule) {
	if len(rules) > 0 {
		r.mux.Handle(pattern, r.core.Require(rules...)(handler))
		return
	}
	err := fmt.Errorf("%w: the route %q has no rule", ErrForbidden, pattern)
	r.mux.HandleFunc(pattern, func(w http.ResponseWriter, q *http.Request) {
		r.core.event(q.Context(), Event{Kind: EventAccessDenied, UserID: r.core.known(q.Context()), Err: err})
		r.core.Error(w, q, err)
	})
	r.mu.Lock()
	r.unguarded = append(r.unguarded, pattern)
	r.mu.Unlock()
	r.core.undeclared.route(pattern)
	r.core.cfg.Logger.LogAttrs(context.Background(), slog.LevelError,
		"auth: a route has no rule, and all its requests are refused; pass Handle a rule, such as auth.LoggedIn(), or use Public",
		slog.String("pattern", strings.ToValidUTF8(cut(pattern, 200), "")))
}

// HandleFunc is Handle with a function.
func (r *Routes) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request), rules ...Rule) {
	r.Handle(pattern, http.HandlerFunc(handler), rules...)
}

// Public registers a handler that everybody may use, without a login.
func (r *Routes) Public(pattern string, handler http.Handler) { r.mux.Handle(pattern, handler) }

// Unguarded returns the patterns of the routes that have no rule, and so are denied.
func (r *Routes) Unguarded() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.unguarded)
}

// ServeHTTP serves the route that fits the request, as http.ServeMux does.
func (r *Routes) ServeHTTP(w http.ResponseWriter, q *http.Request) { r.mux.ServeHTTP(w, q) }

package auth

import "net/http"

// A View gives a template what it often needs, so that a handler need not pass it: the
// user who is logged in, the messages that wait, and the hidden field of a login form.
//
//	{{with .User}}Hi, {{.Name}}!{{else}}<a href="/login">Log in</a>{{end}}
//	{{range .Flashes}}<p class="{{.Category}}">{{.Text}}</p>{{end}}
//	{{with .Next}}<input type="hidden" name="next" value="{{.}}">{{end}}
//	{{if .Can "posts.edit"}}<a href="/posts/new">New post</a>{{end}}
//	{{range .Data.Posts}} … {{end}}
//
// Forms need no hidden token against cross-site request forgery, because LoadAndSave
// refuses the requests that a page of another site makes the browser send.
type View[U User] struct {
	Data any // the handler's own data

	manager *Manager[U]
	request *http.Request
}

// View returns a View of the request with the handler's own data. Nothing is loaded
// until the template asks for it. Execute the template into a buffer before the header
// is written. There are two reasons: if a store fails, Execute returns the error and
// the answer is 503; and messages are removed by a cookie in the header.
func (m *Manager[U]) View(r *http.Request, data any) View[U] { return View[U]{data, m, r} }

// User returns the user who makes the request. If no user is logged in, it returns the
// zero U. The error is a failure of the store.
func (v View[U]) User() (U, error) {
	user, err := v.manager.User(v.request.Context())
	if err != nil && statusOf(err) < http.StatusInternalServerError {
		err = nil
	}
	return user, err
}

// Impersonator returns the administrator who acts as the user, or nil: see
// [Core.Impersonator].
func (v View[U]) Impersonator() User {
	admin, _ := v.manager.Impersonator(v.request.Context())
	return admin
}

// Flashes returns the messages that wait to be shown, and removes them. For HEAD it
// returns none, because the answer is not shown.
func (v View[U]) Flashes() []Flash {
	if v.request.Method == http.MethodHead {
		return nil
	}
	return v.manager.Flashes(v.request.Context())
}

// Next returns the value for the hidden field next of a login form: the page to go to
// after the login, as the request names it (see NextFrom), or "".
func (v View[U]) Next() string { return NextFrom(v.request).String() }

// Can reports whether the user has a permission: what [Core.Can] and the rule [Can] say.
// It is false if no user is logged in. The error is a failure of a store.
func (v View[U]) Can(permission string) (bool, error) {
	return v.manager.allows(v.request.Context(), Can(permission))
}

// HasRole reports whether the user has one of these roles, as [Core.HasRole] does. It is
// false if no user is logged in. The error is a failure of a store.
func (v View[U]) HasRole(roles ...string) (bool, error) {
	return v.manager.allows(v.request.Context(), Role(roles...))
}

package auth

import "net/http"

// A View is what a template shows of the request, without the handler passing
// it on: who is logged in, the messages that wait, and what a login form keeps.
//
//	{{with .User}}Hi, {{.Name}}!{{else}}<a href="/login">Log in</a>{{end}}
//	{{range .Flashes}}<p class="{{.Category}}">{{.Text}}</p>{{end}}
//	{{with .Next}}<input type="hidden" name="next" value="{{.}}">{{end}}
//	{{range .Data.Posts}} … {{end}}
//
// Forms need no hidden token: LoadAndSave refuses what a page of another site
// makes the browser send.
type View[U User] struct {
	Data any // the handler's own

	manager *Manager[U]
	request *http.Request
}

// View returns what a template may show of the request, with the handler's own
// data in it. Nothing is loaded until the template asks for it. Execute the
// template before the header is written, into a buffer: a store that fails is
// an error of Execute and makes the answer 503, and messages are removed by a
// cookie.
func (m *Manager[U]) View(r *http.Request, data any) View[U] { return View[U]{data, m, r} }

// User returns the user who makes the request, or the zero U if nobody is logged
// in. Its error is a store's.
func (v View[U]) User() (U, error) {
	user, err := v.manager.User(v.request.Context())
	if err != nil && statusOf(err) < http.StatusInternalServerError {
		err = nil
	}
	return user, err
}

// Flashes returns the messages that wait to be shown, and removes them; but not
// for HEAD, whose answer nobody sees.
func (v View[U]) Flashes() []Flash {
	if v.request.Method == http.MethodHead {
		return nil
	}
	return v.manager.Flashes(v.request.Context())
}

// Next returns the value of a login form's field next: where the form's request
// says that the user wanted to go, or "".
func (v View[U]) Next() string { return NextFrom(v.request).String() }

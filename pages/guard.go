package pages

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"net/url"
	"path"
	"slices"

	"github.com/go-login/auth"
)

// A request is one to a page, with what was found out about it.
type request struct {
	*http.Request
	page  *page
	typed url.Values // what the page's form is filled in with; nil if it is shown for the first time

	// user is the user who is logged in, or nil. It is set where the page's who needs it.
	user auth.User

	// token is the one in the cookie of the mailed link, or empty. Once the token was
	// checked, subject is whose account it is for, and address the address that is to
	// be verified or used.
	token   string
	subject auth.User
	address string
}

// with returns the request with another context.
func (q *request) with(ctx context.Context) *request {
	other := *q
	other.Request = q.WithContext(ctx)
	return &other
}

// next returns the next of a request whose form has been read.
func (q *request) next() auth.Next {
	if q.PostForm.Has("next") {
		return auth.ParseNext(q.PostForm.Get("next"))
	}
	return auth.ParseNext(q.URL.Query().Get("next"))
}

// admit reports whether the request may see the page, or send its form. If not, the
// answer says so.
func (p *Pages) admit(q *request) (refusal answer, ok bool) {
	who := q.page.who
	if who == users && q.page.freshPost && q.Method == http.MethodPost {
		who = freshUsers
	}
	switch who {
	case anybody:
		return answer{}, true
	case visitorsAndUsers:
		return p.admitBoth(q)
	case visitors:
		return p.admitVisitors(q)
	case freshUsers:
		return p.admitUsers(q, p.core.RequireFresh(p.cfg.FreshFor), p.core.CheckFresh(q.Context(), p.cfg.FreshFor))
	}
	return p.admitUsers(q, p.core.RequireLogin, nil)
}

func (p *Pages) admitBoth(q *request) (refusal answer, ok bool) {
	user, err := p.core.User(q.Context())
	if err != nil && !errors.Is(err, auth.ErrNotLoggedIn) {
		return answer{err: err}, false
	}
	q.user = user
	return answer{}, true
}

// admitVisitors sends users who are logged in to where the login would have led. If
// they have sent the form of another account, it tells them so.
func (p *Pages) admitVisitors(q *request) (refusal answer, ok bool) {
	switch user, err := p.core.User(q.Context()); {
	case errors.Is(err, auth.ErrNotLoggedIn):
		return answer{}, true
	case err != nil:
		return answer{err: err}, false
	case namesAnother(q.PostForm, user):
		return p.showSwitch(q), false
	}
	return answer{to: p.takeNext(q)}, false
}

// admitUsers loads the user. err is what is wrong with the request besides, and
// guard is the guard that would find it.
func (p *Pages) admitUsers(q *request, guard func(http.Handler) http.Handler, err error) (refusal answer, ok bool) {
	if err == nil {
		q.user, err = p.core.User(q.Context())
	}
	switch {
	case err == nil:
		return answer{}, true
	case q.page.refused != nil:
		return q.page.refused(q, err), false
	}
	return p.deny(guard, err), false
}

// deny is the answer of a guard of Core. The guard writes it itself, because it also
// emits the event auth.EventDenied.
func (p *Pages) deny(guard func(http.Handler) http.Handler, err error) answer {
	return answer{by: guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.core.Error(w, r, err) // if the guard has changed its mind
	}))}
}

// ofOther reports whether another user opened the form than the one who is logged in
// now. It ignores other errors, because admit finds them.
func (p *Pages) ofOther(q *request) bool {
	return errors.Is(p.core.CheckForm(q.Context(), q.page.name, q.PostForm.Get("form_user")), auth.ErrOtherUser)
}

// showOther shows the page to the user who is logged in now, and says that nothing
// was changed. A page that a mailed link opens is not shown, because the token belongs
// to the other user; the path's other page is shown instead.
func (p *Pages) showOther(route route, q *request) answer {
	q.page, q.typed = route.page, nil
	var err error
	if q.user, err = p.core.User(q.Context()); err != nil {
		return answer{err: err}
	}
	a := q.page.get(q)
	if a.page != nil {
		a.page.Status = http.StatusConflict
		a.page.Flashes = append(a.page.Flashes, auth.Flash{Category: "warning", Text: named(p.texts.OtherUser, q.user)})
	}
	return a
}

// takeNext returns where a login leads. The pages of visitors are no such place.
func (p *Pages) takeNext(q *request) string {
	next := p.core.TakeNext(q.Request).String()
	target, err := url.Parse(next)
	if err != nil || slices.Contains([]string{p.urls.Login, p.urls.Register, p.urls.Logout}, path.Clean(target.Path)) {
		return p.cfg.Home
	}
	return cmp.Or(next, p.cfg.Home)
}

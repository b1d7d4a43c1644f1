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

// A request is an HTTP request for a page, with everything that the page's handlers need.
type request struct {
	*http.Request
	page  *page
	json  bool       // the answer is JSON
	typed url.Values // what was typed into the page's form; nil if it is shown for the first time

	// user is the user who is logged in, or nil. admit sets it if the page's who is
	// users, enrolling, freshUsers or visitorsAndUsers.
	user auth.User

	// token is the token of the mailed link, from the cookie, or empty. After the token
	// was checked, subject is the user whose account it is for, and address is the address
	// that is to be verified or used.
	token   string
	subject auth.User
	address string

	// On the page for a login that waits for a second factor, subject is its user. factor
	// is the name of the factor that the form asks for, and prompt is what it asks for.
	factor string
	prompt auth.Prompt
}

// with returns the request with another context.
func (q *request) with(ctx context.Context) *request {
	other := *q
	other.Request = q.WithContext(ctx)
	return &other
}

// next returns where the user wants to go: the field next of the form, which has been
// read, or else of the query.
func (q *request) next() auth.Next {
	if q.PostForm.Has("next") {
		return auth.ParseNext(q.PostForm.Get("next"))
	}
	return auth.ParseNext(q.URL.Query().Get("next"))
}

// admit checks who makes the request. If that user or visitor may not see the page, or
// not send its form, it returns the answer and false.
func (p *Pages) admit(q *request) (refusal answer, ok bool) {
	who := q.page.who
	if who == users && q.page.freshPost && q.Method == http.MethodPost {
		who = freshUsers
	}
	return p.admitAs(q, who)
}

// admitAs does what admit does, with another who than the page's.
func (p *Pages) admitAs(q *request, who who) (refusal answer, ok bool) {
	switch who {
	case anybody:
		return answer{}, true
	case visitorsAndUsers:
		return p.admitBoth(q)
	case visitors:
		return p.admitVisitors(q)
	case freshUsers:
		return p.admitUsers(q, p.core.RequireFresh(p.cfg.FreshFor), p.core.Check(q.Context(), auth.Fresh(p.cfg.FreshFor)))
	}
	return p.admitUsers(q, p.core.RequireLogin, nil)
}

func (p *Pages) admitBoth(q *request) (refusal answer, ok bool) {
	user, err := p.core.EnrollingUser(q.Context())
	if err != nil && !errors.Is(err, auth.ErrNotLoggedIn) {
		return answer{err: err}, false
	}
	q.user = user
	return answer{}, true
}

// admitVisitors leads users who are logged in on to where the login would lead. If they
// have sent a form with the name of another account, it shows them the page "switch".
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

// admitUsers loads the user, unless err says already why the request is refused. guard is
// the guard of Core that refuses such a request.
func (p *Pages) admitUsers(q *request, guard func(http.Handler) http.Handler, err error) (refusal answer, ok bool) {
	if err == nil {
		load := p.core.User
		if q.page.who == enrolling {
			load = p.core.EnrollingUser
		}
		q.user, err = load(q.Context())
	}
	switch {
	case err == nil:
		return answer{}, true
	case q.page.refused != nil:
		return q.page.refused(q, err), false
	}
	return p.deny(guard, err), false
}

// deny returns the answer of a guard of Core that refuses the request. The guard writes
// it, because it also emits auth.EventAccessDenied.
func (p *Pages) deny(guard func(http.Handler) http.Handler, err error) answer {
	return answer{by: guard(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.core.Error(w, r, err) // the guard let the request through this time
	}))}
}

// ofOther reports whether the form was opened by another user than the one who is logged
// in now. It ignores other errors, because admit finds them.
func (p *Pages) ofOther(q *request) bool {
	return errors.Is(p.core.CheckForm(q.Context(), q.page.name, q.PostForm.Get("form_user")), auth.ErrOtherUser)
}

// showOther answers a form that another user opened: it shows the page to the user who is
// logged in now, if that user may see it, and says that nothing was changed. If a mailed link
// opens the page, the token is the other user's, so the path's other page is shown.
func (p *Pages) showOther(route route, q *request) answer {
	q.page, q.typed = route.page, nil
	who := q.page.who
	if who == freshUsers {
		who = users // they learn it before they are asked for the password
	}
	if a, ok := p.admitAs(q, who); !ok { // a required second factor comes before the page's data
		return a
	}
	if q.user == nil { // the page is also for visitors
		var err error
		if q.user, err = p.core.EnrollingUser(q.Context()); err != nil {
			return answer{err: err}
		}
	}
	a := q.page.get(q)
	a.code = "other-user"
	if a.page == nil && a.err == nil {
		a.why = auth.ErrOtherUser
	}
	if a.page != nil {
		a.page.Status = http.StatusConflict
		a.page.Flashes = append(a.page.Flashes, auth.Flash{Category: "warning", Text: named(p.texts.OtherUser, q.user)})
	}
	return a
}

// owe leads to the page for a second factor, after the first one was right.
func (p *Pages) owe(q *request) answer {
	return answer{to: q.next().AddTo(p.urls.Factor), why: auth.ErrFactorRequired}
}

// takeNext returns where a login leads: to next or, if that is empty or a page for
// visitors, to Config.Home.
func (p *Pages) takeNext(q *request) string { return p.takeNextOr(q, auth.Next{}) }

// takeNextOr is takeNext with another next that counts if the request has none.
func (p *Pages) takeNextOr(q *request, other auth.Next) string {
	next := cmp.Or(p.core.TakeNext(q.Request), other).String()
	target, err := url.Parse(next)
	if err != nil || slices.Contains([]string{p.urls.Login, p.urls.Register, p.urls.Logout, p.urls.Factor, p.urls.LoginCode, p.urls.PasskeyLogin}, path.Clean(target.Path)) {
		return p.cfg.Home
	}
	return cmp.Or(next, p.cfg.Home)
}

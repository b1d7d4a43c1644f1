package pages_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

const htmlOnly = "text/html,application/xhtml+xml"

// TestErrorPages: Core.Error shows people a page with the layout and a way on, in the
// application's own handlers, too. Programs get a Problem, and other clients plain text.
func TestErrorPages(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.Site = "Gophers" })
	errs := map[string]struct {
		err    error
		status int
		title  string
		says   string
	}{
		"/forbidden": {auth.ErrForbidden, 403, "You cannot do this here", ""},
		"/missing":   {auth.ErrUserNotFound, 404, "Page not found", ""},
		"/conflict":  {auth.ErrConflict, 409, "This has been changed in the meantime", "Nothing was saved."},
		"/large":     {&http.MaxBytesError{Limit: 1}, 413, "The form is too large", "Nothing was saved."},
		"/invalid":   {auth.ErrInvalidEmail, 422, "Your entries were not accepted", "Nothing was saved."},
		"/limited":   {&auth.RateLimitError{RetryAfter: 2 * time.Hour}, 429, "Too many attempts", "Please try again in 2 hours."},
		"/minute":    {&auth.RateLimitError{RetryAfter: time.Minute}, 429, "Too many attempts", "Please try again in one minute."},
		"/hour":      {&auth.RateLimitError{RetryAfter: time.Hour}, 429, "Too many attempts", "Please try again in one hour."},
		"/broken":    {io.ErrUnexpectedEOF, 500, "Something went wrong", "The error is ours"},
		"/busy":      {auth.ErrBusy, 503, "We cannot answer at the moment", "Please try again in a moment."},
		"/mail":      {auth.ErrCheckMail, 202, "Check your inbox", "look in your spam folder"},
	}
	for path, e := range errs {
		s.mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "7")
			s.manager.Error(w, r, e.err)
		})
	}
	visitor, user := s.client(), s.user("susan", good)
	for path, e := range errs {
		for _, c := range []*client{visitor, user} {
			r := c.do("GET", path, "", "Accept", htmlOnly)
			wantStatus(t, r, e.status)
			wantHeaders(t, path, r)
			accessible(t, r)
			main := text(only(t, parse(t, r), tag("main")))
			if heading(t, r) != e.title || !strings.Contains(main, e.says) || !strings.Contains(r.body, "Gophers") {
				t.Errorf("%s: %s", path, main)
			}
			if strings.Contains(r.body, e.err.Error()) {
				t.Errorf("%s: the page has the text of the error", path)
			}
			if again := strings.Contains(r.body, `<a class="button" href="`+path+`">Try again</a>`); again != (e.status > 404) {
				t.Errorf("%s: a link to try again: %v", path, again)
			}
		}
		if knows := strings.Contains(user.do("GET", path, "", "Accept", htmlOnly).body, "Log out"); knows != (e.status < 500) {
			t.Errorf("%s: the page knows the user: %v", path, knows) // after a failure no store is asked
		}
		if kind := user.do("GET", path, "", "Accept", "application/json").header.Get("Content-Type"); e.status >= 400 && kind != "application/problem+json" {
			t.Errorf("%s: a program gets %s", path, kind)
		}
		if kind := user.do("GET", path, "").header.Get("Content-Type"); !strings.HasPrefix(kind, "text/plain") {
			t.Errorf("%s: a client that accepts anything gets %s", path, kind)
		}
	}
	// A form of another site.
	r := user.do("POST", "/account/password", "", "Accept", htmlOnly, "Origin", "https://evil.example")
	wantStatus(t, r, 403)
	if heading(t, r) != "You cannot do this here" || !strings.Contains(r.body, "Nothing was saved.") {
		t.Error(r.body)
	}
}

// TestErrorPageOfApplication: Config.ErrorPage of package auth comes first.
func TestErrorPageOfApplication(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(a *auth.Config, _ *pages.Config) {
		a.ErrorPage = func(w http.ResponseWriter, _ *http.Request, status int, _ error) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "ours")
		}
	})
	s.store.fail(errDisk)
	if r := s.client().do("POST", "/login", "login=susan&password=x", "Accept", htmlOnly); r.status != 503 || r.body != "ours" {
		t.Errorf("%d %s", r.status, r.body)
	}
}

// TestFormsAgain: after 503 and 429, the form is there again with what was typed, except for
// passwords, and it can be sent.
func TestFormsAgain(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.EmailLogin = true })
	typed := map[string][]string{
		"/login":           {"login", "susan", "password", good, "remember_me", "y", "next", "/mine"},
		"/register":        {"username", "anna", "email", "anna@example.com", "password", good, "confirm_password", good, "next", "/mine"},
		"/forgot-password": {"email", "susan@example.com"},
		"/verify-email":    {"email", "susan@example.com", "next", "/mine"},
		"/login/code":      {"email", "susan@example.com", "next", "/mine"},
	}
	user := s.user("susan", good)
	send := func(c *client, path string, form []string) response {
		return c.do("POST", path, urlencoded(form), "Accept", htmlOnly)
	}
	shown := func(what string, r response, form []string, status int, says string) {
		t.Helper()
		wantStatus(t, r, status)
		wantHeaders(t, what, r)
		accessible(t, r)
		if _, message := message(t, r); !strings.Contains(message, says) || r.header.Get("Retry-After") == "" {
			t.Errorf("%s: %q", what, message)
		}
		if title := text(only(t, parse(t, r), tag("title"))); !strings.HasPrefix(title, "Error: ") {
			t.Errorf("%s: the title is %q", what, title)
		}
		if slices.Contains(form, "password") && !has(input(t, r, "password"), "autofocus") {
			t.Errorf("%s: the cursor is not in the password:\n%s", what, r.body)
		}
		for i := 0; i < len(form); i += 2 {
			got := fields(t, r)[form[i]].value
			if strings.Contains(form[i], "password") && got != "" || strings.Contains(r.body, good) {
				t.Errorf("%s shows a password", what)
			}
			if (form[i] == "email" || form[i] == "username" || form[i] == "login") && got != form[i+1] {
				t.Errorf("%s: the field %s has %q", what, form[i], got)
			}
			if form[i] == "next" && !strings.Contains(r.body, `name="next" value="/mine"`) {
				t.Errorf("%s lost next", what)
			}
		}
	}
	for _, err := range []error{errDisk, auth.ErrBusy} {
		for path, form := range typed {
			s.store.fail(err)
			r := send(s.client(), path, form)
			s.store.fail(nil)
			shown(path, r, form, 503, "Please try again in a moment.")
		}
	}
	// Where there are only secrets, the page leads back to the form.
	s.store.fail(errDisk)
	r := user.do("POST", "/refresh", "password="+good+"&next=%2Fmine", "Accept", htmlOnly)
	s.store.fail(nil)
	wantStatus(t, r, 503)
	accessible(t, r)

	s = newSite(t, func(a *auth.Config, _ *pages.Config) { a.EmailLogin, a.Limits.Mails = true, 1 })
	user = s.user("susan", good)
	wantRedirect(t, send(s.client(), "/forgot-password", typed["/forgot-password"]), "/check-inbox")
	for _, path := range []string{"/forgot-password", "/verify-email", "/login/code"} {
		shown(path, send(s.client(), path, typed[path]), typed[path], 429, "Please try again in one hour.")
	}
	form := []string{"email", "new@example.com"}
	r = send(user, "/account/email", form)
	shown("email", r, form, 429, "Please try again in one hour.")
	s.advance(time.Hour)
	wantRedirect(t, s.user("susan", good).send(r, form...), "/check-inbox")
}

// TestErrorPageLanguage: a failure on one of the pages is told in their language, also if
// another Pages was made first.
func TestErrorPageLanguage(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	german, err := pages.New(s.manager.Core, pages.Config{Texts: pages.Texts{Lang: "de", Failed: "Etwas ist schiefgegangen", Busy: "Gerade nicht"}})
	check(t, err)
	s.mux.Handle("POST /login", german)
	s.store.fail(errDisk)
	r := s.client().do("POST", "/login", "login=susan&password=x", "Accept", htmlOnly)
	wantStatus(t, r, 503)
	if !strings.Contains(r.body, `lang="de"`) || !strings.Contains(r.body, "Gerade nicht") {
		t.Error(r.body)
	}
}

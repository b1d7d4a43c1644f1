package pages_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// A submission is a form that is not done twice, as a browser has it open.
type submission struct {
	client *client
	page   response // with the form
	fields []string // what the user types
	leads  string
	says   string
}

func (f submission) send() response { return f.client.send(f.page, f.fields...) }

// in returns the same form in another browser.
func (f submission) in(c *client) submission {
	f.client = c
	return f
}

// submissions returns all such forms. Each function makes a new site.
func submissions(t *testing.T) map[string]func() (*site, submission) {
	open := func(change func(*auth.Config, *pages.Config), of func(s *site) submission) func() (*site, submission) {
		return func() (*site, submission) {
			s := newSite(t, func(a *auth.Config, c *pages.Config) {
				c.Fields = []pages.Field{{Name: "name", Label: "Name", Autocomplete: "name"}}
				if change != nil {
					change(a, c)
				}
			})
			return s, of(s)
		}
	}
	register := func(leads, says string) func(s *site) submission {
		return func(s *site) submission {
			c := s.client()
			return submission{c, c.get("/register?next=%2Fmine"), registration("anna", good), leads, says}
		}
	}
	// follow is the form of the page that a mailed link leads to.
	follow := func(c *client, link, leads, says string, fields ...string) submission {
		page := c.get(link).location
		return submission{c, c.get(page), fields, leads, says}
	}
	verifyIn := func(c *client, s *site, leads string) submission {
		wantRedirect(t, s.client().post("/verify-email", "email", "susan@example.com"), "/check-inbox")
		return follow(c, s.mailed(auth.MailVerify, "susan@example.com"), leads, "success: Your email address has been verified.")
	}
	return map[string]func() (*site, submission){
		"register":                      open(nil, register("/login?next=%2Fmine", "success: Your account has been created. You can now log in.")),
		"register, hiding accounts":     open(hideAccounts, register("/check-inbox", "")),
		"register, verifying addresses": open(requireVerified, register("/check-inbox", "")),
		"reset": open(nil, func(s *site) submission {
			return follow(s.client(), s.link("susan@example.com"), "/login", "success: Your password has been reset.", "password", other, "confirm_password", other)
		}),
		"reset in a known browser": open(nil, func(s *site) submission {
			c := s.user("susan", good)
			wantRedirect(t, c.post("/logout"), "/")
			return follow(c, s.link("susan@example.com"), "/login", "success: Your password has been reset.", "password", other, "confirm_password", other)
		}),
		"reset in a browser known for another account": open(nil, func(s *site) submission {
			s.create("mallory")
			c := s.user("mallory", good)
			wantRedirect(t, c.post("/logout"), "/")
			return follow(c, s.link("susan@example.com"), "/login", "success: Your password has been reset.", "password", other, "confirm_password", other)
		}),
		"verify": open(nil, func(s *site) submission { return verifyIn(s.client(), s, "/login") }),
		"verify while logged in": open(nil, func(s *site) submission {
			return verifyIn(s.user("susan", good), s, "/")
		}),
		"verify on the way": open(func(a *auth.Config, _ *pages.Config) { a.URLs.NextInCookie = true }, func(s *site) submission {
			c := s.user("susan", good)
			wantRedirect(t, c.get("/verified"), "/verify-email")
			return verifyIn(c, s, "/verified")
		}),
		"confirm": open(nil, func(s *site) submission {
			s.update("susan", verified)
			c := s.user("susan", good)
			wantRedirect(t, c.post("/account/email", "email", "new@example.com"), "/check-inbox")
			return follow(c, s.mailed(auth.MailNewAddress, "new@example.com"), "/account", "success: Your email address has been changed.")
		}),
	}
}

// waiting returns the messages that the client has not seen, as the home page shows
// them.
func (c *client) waiting() string {
	c.t.Helper()
	r := c.get("/")
	wantStatus(c.t, r, http.StatusOK)
	return strings.TrimSpace(r.body)
}

// copied returns another browser with the same cookies.
func (c *client) copied(s *site) *client {
	c.t.Helper()
	base, err := url.Parse(c.base)
	check(c.t, err)
	other := s.client()
	for _, cookie := range c.http.Jar.Cookies(base) {
		other.set(cookie.Name, cookie.Value)
	}
	return other
}

// effects are the possible effects of a submission.
type effects struct {
	mails    int
	hashes   uint64
	accounts [3]auth.Account
}

func (s *site) effects() effects {
	s.t.Helper()
	e := effects{hashes: s.manager.PasswordHashes()}
	s.mu.Lock()
	e.mails = len(s.mails)
	s.mu.Unlock()
	for i, login := range []string{"susan", "anna", "new@example.com"} {
		if user, err := s.store.Store.FindUser(s.t.Context(), login); err == nil {
			e.accounts[i] = user.Account
			e.accounts[i].Roles = nil
		}
	}
	return e
}

func (e effects) same(other effects) bool {
	return e.mails == other.mails && e.hashes == other.hashes && slices.EqualFunc(e.accounts[:], other.accounts[:], func(a, b auth.Account) bool {
		return a.ID == b.ID && a.Version == b.Version && a.Email == b.Email && a.Stamp.Equal(b.Stamp) && a.PasswordHash.Equal(b.PasswordHash)
	})
}

// TestSentTwice: a user who sends one of these forms twice sees the same page twice, and
// the second time does nothing.
func TestSentTwice(t *testing.T) {
	t.Parallel()
	for what, open := range submissions(t) {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s, f := open()
			_ = f.client.waiting()
			early := f.client.copied(s) // its cookies are those of before the first answer
			before := s.effects()
			wantRedirect(t, f.send(), f.leads)
			done := s.effects()
			if done.same(before) {
				t.Fatal("nothing was done")
			}
			// Twice before the message is seen: it is there once. Once more after that.
			wantRedirect(t, f.send(), f.leads)
			if says := f.client.waiting(); says != f.says {
				t.Errorf("the message is %q", says)
			}
			wantRedirect(t, f.send(), f.leads)
			if says := f.client.waiting(); says != f.says {
				t.Errorf("the message of the repetition is %q", says)
			}
			if r := f.in(early).send(); r.status != http.StatusSeeOther || r.location != f.leads {
				t.Errorf("with the cookies of the first request it is %d to %s", r.status, r.location)
			}
			if !s.effects().same(done) {
				t.Errorf("the repetition has done something: %+v, and %+v before", s.effects(), done)
			}
			if early.loggedIn() && what != "verify while logged in" {
				t.Error("the repetition logs in")
			}
		})
	}
}

// TestSentTwiceAtOnce: of several requests at the same moment, one does the work. The
// answers are all the same.
func TestSentTwiceAtOnce(t *testing.T) {
	t.Parallel()
	for what, open := range submissions(t) {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s, f := open()
			before := s.effects()
			answers := make([]response, 3)
			var sending sync.WaitGroup
			start := make(chan struct{})
			for i := range answers {
				f := f.in(f.client.copied(s))
				sending.Go(func() {
					<-start
					answers[i] = f.send()
				})
			}
			close(start)
			sending.Wait()
			for _, r := range answers {
				if r.status != http.StatusSeeOther || r.location != f.leads {
					t.Errorf("an answer is %d to %q", r.status, r.location)
				}
			}
			after := s.effects()
			if mails, hashes := after.mails-before.mails, after.hashes-before.hashes; mails > 1 || hashes > 1 {
				t.Errorf("%d mails, %d hashes", mails, hashes)
			}
		})
	}
}

// TestSentAgain: a submission that does not repeat a form that was done is an ordinary
// one.
func TestSentAgain(t *testing.T) {
	t.Parallel()
	for what, send := range map[string]func(s *site, f submission) response{
		"other fields": func(_ *site, f submission) response {
			f.fields = registration("anna", other)
			return f.send()
		},
		"another next": func(_ *site, f submission) response {
			f.fields = append(f.fields, "next", "/other")
			return f.send()
		},
		"after ten minutes": func(s *site, f submission) response {
			s.advance(10 * time.Minute)
			return f.send()
		},
		"no nonce": func(_ *site, f submission) response {
			return f.client.post("/register", append(f.fields, "next", "/mine")...)
		},
		"a damaged nonce": func(_ *site, f submission) response {
			fields := hidden(t, f.page)
			i := slices.Index(fields, "form_once") + 1
			fields[i] = "A" + fields[i][1:]
			return f.client.post("/register", append(f.fields, fields...)...)
		},
		"the nonce of another page": func(_ *site, f submission) response {
			fields := hidden(t, f.page)
			fields[slices.Index(fields, "form_once")+1] = nonceOf(t, f.client.get("/register?next=%2Fmine"))
			return f.client.post("/register", append(f.fields, fields...)...)
		},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s, f := submissions(t)["register"]()
			wantRedirect(t, f.send(), f.leads)
			r := send(s, f)
			wantErrors(t, r, map[string]string{"username": "This username is taken. Choose another one."})
		})
	}
}

// nonceOf returns the nonce of a page's form.
func nonceOf(t *testing.T, page response) string {
	t.Helper()
	nonce := attr(only(t, parse(t, page), with("name", "form_once")), "value")
	if nonce == "" {
		t.Fatal("no nonce")
	}
	return nonce
}

// TestSentInAnotherBrowser: if a form was shown to a browser that has the cookie of a
// login, or of an earlier one, only that browser can repeat it.
func TestSentInAnotherBrowser(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	s.create("mallory")
	known := s.user("susan", good)
	wantRedirect(t, known.post("/logout"), "/")
	f := submission{known, known.get("/register"), registration("anna", good), "/login", ""}
	wantRedirect(t, f.send(), f.leads)
	wantRedirect(t, f.send(), f.leads)
	otherKnown := s.user("mallory", good)
	wantRedirect(t, otherKnown.post("/logout"), "/")
	for _, c := range []*client{s.client(), otherKnown} {
		wantStatus(t, f.in(c).send(), 422)
	}

	// After a reset, too. Nobody is logged in by a repetition.
	wantRedirect(t, known.get(s.link("susan@example.com")), "/reset-password")
	f = submission{known, known.get("/reset-password"), []string{"password", other, "confirm_password", other}, "/login", ""}
	wantRedirect(t, f.send(), f.leads)
	wantRedirect(t, f.send(), f.leads)
	for _, c := range []*client{s.client(), otherKnown} {
		wantRedirect(t, f.in(c).send(), "/forgot-password")
		if c.loggedIn() {
			t.Error("logged in")
		}
	}

	// Another user in the same browser is another login.
	s, f = submissions(t)["confirm"]()
	s.create("mallory")
	wantRedirect(t, f.send(), f.leads)
	wantRedirect(t, f.client.post("/logout"), "/")
	wantRedirect(t, f.client.post("/login", "login", "mallory", "password", good), "/")
	_ = f.client.waiting()
	wantStatus(t, f.send(), http.StatusConflict) // the form is not mallory's
}

// TestSentAgainAfterFailure: a form that was not done can be sent again.
func TestSentAgainAfterFailure(t *testing.T) {
	t.Parallel()
	for what, open := range submissions(t) {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s, f := open()
			before := s.effects()
			broken, want := f, http.StatusServiceUnavailable
			if strings.HasPrefix(what, "register") {
				broken.fields = append(slices.Clone(f.fields), "name", "broken") // which the store refuses
				want = http.StatusInternalServerError
			} else {
				s.store.fail(errDisk)
			}
			if r := broken.send(); r.status != want {
				t.Errorf("a failure is answered %d", r.status)
			}
			s.store.fail(nil)
			if len(f.fields) > 0 {
				wrong := f
				wrong.fields = slices.Clone(f.fields)
				wrong.fields[slices.Index(wrong.fields, "confirm_password")+1] = "x"
				wantStatus(t, wrong.send(), 422)
				wantStatus(t, wrong.send(), 422)
			}
			after := s.effects()
			if after.hashes = before.hashes; !after.same(before) {
				t.Error("something was done")
			}
			for range 2 {
				wantRedirect(t, f.send(), f.leads)
			}
		})
	}
}

// TestFormsWithNonce: the forms that are not done twice have a nonce. The forms that log
// in or confirm a login have none.
func TestFormsWithNonce(t *testing.T) {
	t.Parallel()
	for what, open := range submissions(t) {
		_, f := open()
		if first, second := nonceOf(t, f.page), nonceOf(t, f.client.get(attr(only(t, only(t, parse(t, f.page), tag("main")), tag("form")), "action"))); first == second || len(first) != len(second) {
			t.Errorf("%s: the nonces are %s and %s", what, first, second)
		}
	}
	s := newSite(t, nil)
	c := s.user("susan", good)
	for _, page := range []response{
		s.client().get("/login"), c.get("/refresh"), c.get("/account/password"), c.get("/account/close"), c.get("/account/email"),
		s.client().get("/forgot-password"), s.client().get("/verify-email"),
	} {
		wantStatus(t, page, 200)
		if strings.Contains(page.body, "form_once") {
			t.Errorf("%s has a nonce", heading(t, page))
		}
	}
}

// TestSentToAnotherProcess: if another process is working on the form, the answer is 409
// and says what to do, and the form is done once.
func TestSentToAnotherProcess(t *testing.T) {
	t.Parallel()
	var meanwhile func()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) {
		c.CheckRegistration = func(context.Context, url.Values) pages.FieldErrors {
			meanwhile()
			return nil
		}
	})
	second, err := auth.New(s.store, config(s))
	check(t, err)
	p, err := pages.New(second.Core, pages.Config{})
	check(t, err)
	handler := second.LoadAndSave(p)
	c := s.client()
	page := c.get("/register")
	body := encoded(append(registration("anna", good), hidden(t, page)...))
	send := func() *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/register", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		return w
	}
	meanwhile = func() {
		w := send()
		busy := response{w.Code, w.Header(), "", w.Body.String()}
		wantHeaders(t, "busy", busy)
		accessible(t, busy)
		if w.Code != http.StatusConflict || heading(t, busy) != "This form is being processed. Reload the page in a moment" {
			t.Errorf("the answer is %d: %s", w.Code, w.Body)
		}
	}
	wantRedirect(t, c.do("POST", "/register", body), "/login")
	if w := send(); w.Code != http.StatusSeeOther || w.Header().Get("Location") != "/login" {
		t.Errorf("the answer of the other process is %d to %s", w.Code, w.Header().Get("Location"))
	}
}

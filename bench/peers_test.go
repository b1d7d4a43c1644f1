package bench_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/alexedwards/argon2id"
	"github.com/go-login/auth"
)

// A peer is a library and an application made with it. The applications differ
// in nothing else: the users are in a map and the handlers are the same. Each
// uses its library as the library's documentation does.
type peer struct {
	name string
	open func(tb testing.TB, users *members) *site
}

func peers() []peer {
	return []peer{
		{"go-login", openGoLogin}, {"scs", openSCS}, {"gorilla", openGorilla}, {"authboss", openAuthboss},
		{"go-pkgz", openPkgz}, {"floor", openFloor},
	}
}

// parts are what an application takes from a library.
type parts struct {
	around func(http.Handler) http.Handler                                  // the library's middleware
	who    func(r *http.Request) (name string)                              // the current user's name, or ""
	count  func(w http.ResponseWriter, r *http.Request) (visits int)        // counts a visit in the session; nil if there is no session
	guard  func(http.Handler) http.Handler                                  // if nil, the application has its own
	rule   func(http.Handler) http.Handler                                  // lets only users with the role editor through; nil if not supported
	enter  func(w http.ResponseWriter, r *http.Request, user *member) error // logs a user in; nil if login is set
	login  http.Handler                                                     // handles the login form; if nil, the application has its own
	device func(w http.ResponseWriter, r *http.Request, user *member) error // makes a remembered device, without a password; nil if not supported
	token  func(user *member) (string, error)                               // makes a token to reset the password; nil if not supported
	reset  func(w http.ResponseWriter, r *http.Request) error               // redeems it with a new password; nil if not supported
}

// A site is an application. A handler is nil if the library has no such
// feature.
type site struct {
	page   http.Handler // says who is logged in; open to everybody
	write  http.Handler // like page, and counts the visit in the session
	guard  http.Handler // like page, but refuses users who are not logged in
	rule   http.Handler // like page, but refuses users who do not have the role editor
	login  http.Handler
	device http.Handler // makes the client a remembered device
	reset  http.Handler

	token  func(user *member) (string, error)
	visits int // the last count of visits
}

func newSite(p parts, users *members) *site {
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { greet(w, p.who(r)) })
	if p.guard == nil {
		p.guard = func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if p.who(r) == "" {
					http.Redirect(w, r, "/login?next="+url.QueryEscape(r.URL.RequestURI()), http.StatusSeeOther)
					return
				}
				next.ServeHTTP(w, r)
			})
		}
	}
	if p.login == nil {
		p.login = answer(func(w http.ResponseWriter, r *http.Request) error {
			user := users.load(r.PostFormValue("username"))
			if user == nil {
				return errors.New("no such user")
			}
			ok, err := argon2id.ComparePasswordAndHash(r.PostFormValue("password"), user.hash)
			if err == nil && !ok {
				err = errors.New("wrong password")
			}
			if err == nil {
				err = p.enter(w, r, user)
			}
			if err == nil {
				greet(w, user.name)
			}
			return err
		})
	}
	s := &site{page: p.around(page), guard: p.around(p.guard(page)), login: p.around(p.login), token: p.token}
	if p.count != nil {
		s.write = p.around(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			s.visits = p.count(w, r)
			greet(w, p.who(r))
		}))
	}
	if p.rule != nil {
		s.rule = p.around(p.rule(page))
	}
	if p.device != nil {
		s.device = p.around(answer(func(w http.ResponseWriter, r *http.Request) error {
			user := users.load(r.PostFormValue("username"))
			err := p.device(w, r, user)
			if err == nil {
				greet(w, user.name)
			}
			return err
		}))
	}
	if p.reset != nil {
		s.reset = p.around(answer(p.reset))
	}
	return s
}

// answer makes a handler of a function that may fail.
func answer(do func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := do(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
}

// nobody is the page's text if nobody is logged in.
const nobody = "nobody"

func greet(w http.ResponseWriter, name string) {
	if name == "" {
		name = nobody
	}
	_, _ = w.Write([]byte(name))
}

// A member is a user of an application whose library leaves the user type to
// it, or has a type of its own to fill.
type member struct {
	name, hash string
}

// members are the users of such an application.
type members struct {
	mu    sync.RWMutex
	named map[string]*member
}

// memberCount is the number of users of an application.
const memberCount = 1024

func newMembers(tb testing.TB) *members {
	tb.Helper()
	params := auth.DefaultHashParams()
	hash, err := argon2id.CreateHash(password, &params)
	check(tb, err)
	m := &members{named: map[string]*member{}}
	for i := range memberCount {
		m.named[username(i)] = &member{name: username(i), hash: hash}
	}
	return m
}

// load returns a user, or nil.
func (m *members) load(name string) *member {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.named[name]
}

// nameOf returns a user's name, or "" if there is no user.
func nameOf(user *member) string {
	if user == nil {
		return ""
	}
	return user.name
}

// newRequest returns a request as browsers send it. If it has a form, that is
// its body, and the request can be sent repeatedly.
func newRequest(tb testing.TB, client int, form string, cookies ...*http.Cookie) *http.Request {
	tb.Helper()
	method, target := http.MethodGet, "/profile"
	if form != "" {
		method, target = http.MethodPost, "/login"
	}
	r := httptest.NewRequestWithContext(tb.Context(), method, target, nil)
	r.Host = "localhost:8080"
	r.RemoteAddr = fmt.Sprintf("192.0.%d.%d:12345", client/256, client%256)
	r.Header.Set("User-Agent", userAgent)
	r.Header.Set("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	r.Header.Set("Accept-Language", "en-US,en;q=0.5")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.ContentLength = int64(len(form))
		r.Body = &body{text: form}
	}
	for _, c := range cookies {
		r.AddCookie(c)
		if c.Name == "XSRF-TOKEN" { // as scripts in applications on go-pkgz/auth do
			r.Header.Set("X-XSRF-TOKEN", c.Value)
		}
	}
	return r
}

// loginForm has the field names of all peers.
func loginForm(name string) string {
	return url.Values{
		"username": {name}, "password": {password},
		"user": {name}, "passwd": {password}, "aud": {"bench"},
	}.Encode()
}

// A body is a request's body that starts again after its end.
type body struct {
	text string
	at   int
}

func (b *body) Read(p []byte) (int, error) {
	n := copy(p, b.text[b.at:])
	b.at += n
	if n == 0 {
		b.at = 0
		return 0, io.EOF
	}
	return n, nil
}

func (b *body) Close() error {
	b.at = 0
	return nil
}

// An exchange is a request that is made many times, without overhead.
type exchange struct {
	handler  http.Handler
	template *http.Request
	request  http.Request
	answer   sink

	status, length int // of the first answer; all others must have the same
	body           string
}

// newExchange makes the request once, so that its answer can be checked.
func newExchange(tb testing.TB, handler http.Handler, r *http.Request) *exchange {
	tb.Helper()
	e := &exchange{handler: handler, template: r, answer: sink{header: http.Header{}, keep: true}}
	e.send()
	e.answer.keep = false
	e.status, e.length, e.body = e.answer.status, e.answer.length, e.answer.kept.String()
	return e
}

func (e *exchange) send() {
	clear(e.answer.header)
	e.answer.status, e.answer.length = 0, 0
	e.request = *e.template // a copy, because peers change it
	e.handler.ServeHTTP(&e.answer, &e.request)
}

// again makes the request, and returns an error if the answer differs.
func (e *exchange) again() error {
	e.send()
	if e.answer.status != e.status || e.answer.length != e.length {
		return fmt.Errorf("status %d, %d bytes, and at first %d, %d bytes (%s)", e.answer.status, e.answer.length, e.status, e.length, e.body)
	}
	return nil
}

// A sink is a ResponseWriter that allocates nothing.
type sink struct {
	header         http.Header
	status, length int
	keep           bool
	kept           bytes.Buffer
}

func (s *sink) Header() http.Header { return s.header }

func (s *sink) WriteHeader(status int) {
	if s.status == 0 {
		s.status = status
	}
}

func (s *sink) Write(b []byte) (int, error) {
	s.WriteHeader(http.StatusOK)
	s.length += len(b)
	if s.keep {
		s.kept.Write(b)
	}
	return len(b), nil
}

// cookies returns the cookies that an answer sets.
func (s *sink) cookies() []*http.Cookie { return (&http.Response{Header: s.header}).Cookies() }

// loggedIn returns the request of a user who has logged in.
func (s *site) loggedIn(tb testing.TB) *http.Request {
	tb.Helper()
	e := newExchange(tb, s.login, newRequest(tb, 0, loginForm(username(0))))
	if e.status >= http.StatusBadRequest {
		tb.Fatalf("login: %d %s", e.status, e.body)
	}
	r := newRequest(tb, 0, "", e.answer.cookies()...)
	if page := newExchange(tb, s.page, r); page.body != username(0) {
		tb.Fatalf("after the login, the page says %q", page.body)
	}
	return r
}

// A visit is a case: a request to a page.
type visit struct {
	name     string
	loggedIn bool
	says     string // the text of the page; "" if the page refuses
	page     func(*site) http.Handler
}

func visits() []visit {
	page := func(s *site) http.Handler { return s.page }
	return []visit{
		{"anonymous", false, nobody, page},
		{"logged-in", true, username(0), page},
		{"write", true, username(0), func(s *site) http.Handler { return s.write }},
		{"refusal", false, "", func(s *site) http.Handler { return s.guard }},
		{"role", true, username(0), func(s *site) http.Handler { return s.rule }},
		{"idle", true, username(0), page},
	}
}

// peers returns the peers that support the case. "bare" is the handler without
// a library, whose cost is subtracted from that of the others.
func (v visit) peers() []peer {
	all := peers()
	switch v.name {
	case "role":
		all = []peer{{"go-login", openGoLoginRoles}, {"go-pkgz", openPkgzRoles}}
	case "idle":
		all = []peer{{"go-login", openGoLogin}, {"go-login-off", openGoLoginOff}, {"scs", openSCSIdle}, {"scs-off", openSCS}}
	}
	if v.says == "" {
		return all
	}
	says := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { greet(w, v.says) })
	return append(all, peer{"bare", func(testing.TB, *members) *site { return &site{page: says, write: says, rule: says, login: says} }})
}

// A trial is what is timed. It fails if the answer is wrong.
type trial struct {
	name    string
	prepare func(tb testing.TB) (do func() error)
}

// requestTrials returns the requests in process, by case and peer.
func requestTrials() (all []trial) {
	for _, v := range visits() {
		for _, p := range v.peers() {
			if p.name == "go-pkgz" && v.name == "write" {
				continue // the library stores nothing between requests
			}
			all = append(all, trial{v.name + "/" + p.name, func(tb testing.TB) func() error {
				users := newMembers(tb)
				s := p.open(tb, users)
				r := newRequest(tb, 0, "")
				if v.loggedIn && p.name == "bare" {
					r = openGoLogin(tb, users).loggedIn(tb)
				} else if v.loggedIn {
					r = s.loggedIn(tb)
				}
				e := newExchange(tb, v.page(s), r)
				if v.says != "" && (e.status != http.StatusOK || e.body != v.says) || v.says == "" && e.status/100 != 3 && e.status != http.StatusUnauthorized {
					tb.Fatalf("the page says %d %q", e.status, e.body)
				}
				return e.again
			}})
		}
	}
	return all
}

// loginTrials returns submissions of the login form by one client.
func loginTrials() []trial {
	all := []trial{hashTrial()}
	for _, p := range peers() {
		all = append(all, trial{p.name, func(tb testing.TB) func() error {
			s := p.open(tb, newMembers(tb))
			s.loggedIn(tb)
			return newExchange(tb, s.login, newRequest(tb, 0, loginForm(username(0)))).again
		}})
	}
	return all
}

// hashTrial measures the password hash alone.
func hashTrial() trial {
	return trial{"argon2id", func(tb testing.TB) func() error {
		hash := newMembers(tb).load(username(0)).hash
		return func() error {
			if ok, err := argon2id.ComparePasswordAndHash(password, hash); err != nil || !ok {
				return fmt.Errorf("%v, %w", ok, err)
			}
			return nil
		}
	}}
}

// rememberTrials returns requests with only a remember cookie. The answer has
// the next one. Devices take turns, so that no user has many logins.
func rememberTrials() (all []trial) {
	for _, p := range []peer{{"go-login", openGoLogin}, {"authboss", openAuthboss}} {
		all = append(all, trial{p.name, func(tb testing.TB) func() error {
			s := p.open(tb, newMembers(tb))
			var devices [memberCount]*exchange
			for i := range devices {
				first := newExchange(tb, s.device, newRequest(tb, i, loginForm(username(i))))
				r := newRequest(tb, i, "")
				r.Header.Set("Cookie", first.answer.remember())
				devices[i] = newExchange(tb, s.page, r)
				if devices[i].body != username(i) {
					tb.Fatalf("the page says %d %q", devices[i].status, devices[i].body)
				}
			}
			turn := 0
			return func() error {
				e := devices[turn%memberCount]
				turn++
				e.template.Header["Cookie"][0] = e.answer.remember()
				return e.again()
			}
		}})
	}
	return all
}

// remember returns the last remember cookie that an answer has set, in the form
// of a request's header.
func (s *sink) remember() string {
	var pair string
	for _, line := range s.header["Set-Cookie"] {
		if name, _, _ := strings.Cut(line, "="); name == "rm" || strings.HasSuffix(name, "-remember") {
			pair, _, _ = strings.Cut(line, ";")
		}
	}
	return pair
}

// resetTrials returns submissions of the form for a new password, with the
// mailed token.
func resetTrials() []trial {
	all := []trial{hashTrial()}
	for _, p := range []peer{{"go-login", openGoLogin}, {"authboss", openAuthboss}} {
		all = append(all, trial{p.name, func(tb testing.TB) func() error {
			const another = "Correct-horse-1-battery!"
			users := newMembers(tb)
			s := p.open(tb, users)
			form := &body{}
			r := newRequest(tb, 0, "token=")
			r.Body = form
			prepare := func() error {
				token, err := s.token(users.load(username(0)))
				form.text = url.Values{"token": {token}, "password": {another}, "confirm_password": {another}}.Encode()
				return err
			}
			check(tb, prepare())
			e := newExchange(tb, s.reset, r)
			if e.status >= http.StatusBadRequest || e.status == http.StatusOK && e.body != username(0) {
				tb.Fatalf("reset: %d %s", e.status, e.body)
			}
			if err := e.again(); err == nil {
				tb.Fatal("the token works twice")
			}
			return func() error {
				if err := prepare(); err != nil {
					return err
				}
				return e.again()
			}
		}})
	}
	return all
}

func BenchmarkRequest(b *testing.B)  { measure(b, requestTrials()) }
func BenchmarkLogin(b *testing.B)    { measure(b, loginTrials()) }
func BenchmarkRemember(b *testing.B) { measure(b, rememberTrials()) }
func BenchmarkReset(b *testing.B)    { measure(b, resetTrials()) }

func measure(b *testing.B, trials []trial) {
	for _, t := range trials {
		b.Run(t.name, func(b *testing.B) {
			do := t.prepare(b)
			check(b, do()) // grows the heap to its final size
			b.ReportAllocs()
			for b.Loop() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestWrites checks that a value written to a session is there in the next
// request.
func TestWrites(t *testing.T) {
	for _, p := range peers() {
		s := p.open(t, newMembers(t))
		if s.write == nil {
			continue
		}
		r := s.loggedIn(t)
		for want := 1; want <= 3; want++ {
			e := newExchange(t, s.write, r)
			if s.visits != want {
				t.Errorf("%s: visit %d, want %d", p.name, s.visits, want)
			}
			if cookies := e.answer.cookies(); len(cookies) > 0 {
				r = newRequest(t, 0, "", cookies...)
			}
		}
	}
}

// TestPeers checks that the measured requests work.
func TestPeers(t *testing.T) {
	for name, trials := range map[string][]trial{
		"Request": requestTrials(), "Login": loginTrials(), "Paths": pathTrials(), "Remember": rememberTrials(), "Reset": resetTrials(),
	} {
		for _, trial := range trials {
			t.Run(name+"/"+trial.name, func(t *testing.T) {
				do := trial.prepare(t)
				for range 3 {
					check(t, do())
				}
			})
		}
	}
}

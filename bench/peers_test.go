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

// A peer is a library, and the application that is made with it. Applications
// differ in nothing else: the users are in a map, the handlers are the same, and
// what a library has that they need is used as its documentation does.
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
	around func(http.Handler) http.Handler                                  // the middleware
	who    func(r *http.Request) (name string)                              // the current user's, or none
	count  func(w http.ResponseWriter, r *http.Request) (visits int)        // one more, in the session; nil if there is nowhere to count
	guard  func(http.Handler) http.Handler                                  // nil: the application's own
	enter  func(w http.ResponseWriter, r *http.Request, user *member) error // the login; nil if login is set
	login  http.Handler                                                     // takes the login form; nil: the application's own
	device func(w http.ResponseWriter, r *http.Request, user *member) error // a remembered device, without a password; nil if there are none
	token  func(user *member) (string, error)                               // for another password; nil if there are none
	reset  func(w http.ResponseWriter, r *http.Request) error               // takes it, and the password; nil likewise
}

// A site is an application. A handler is nil where the library has nothing for it.
type site struct {
	page   http.Handler // says who is logged in, to everybody
	write  http.Handler // likewise, and counts the visit in the session
	guard  http.Handler // says it to who is logged in, and refuses others
	login  http.Handler
	device http.Handler // makes whoever asks a remembered device
	reset  http.Handler

	token  func(user *member) (string, error)
	visits int // that were counted last
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

// answer is a handler that may fail.
func answer(do func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := do(w, r); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	})
}

// nobody is what a page says to who is not logged in.
const nobody = "nobody"

func greet(w http.ResponseWriter, name string) {
	if name == "" {
		name = nobody
	}
	_, _ = w.Write([]byte(name))
}

// A member is a user of an application whose library leaves the type to it, or
// has one of its own to fill.
type member struct {
	name, hash string
}

// members are the users of such an application.
type members struct {
	mu    sync.RWMutex
	named map[string]*member
}

// memberCount is how many users an application has.
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

// nameOf returns a user's name, or none if there is no user.
func nameOf(user *member) string {
	if user == nil {
		return ""
	}
	return user.name
}

// newRequest is what browsers send. It has a body if it has a form, and can be
// sent again and again.
func newRequest(tb testing.TB, client int, form string, cookies ...*http.Cookie) *http.Request {
	tb.Helper()
	method := http.MethodGet
	if form != "" {
		method = http.MethodPost
	}
	r := httptest.NewRequestWithContext(tb.Context(), method, "http://localhost:8080/login", nil)
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
		if c.Name == "XSRF-TOKEN" { // as scripts of go-pkgz's users do
			r.Header.Set("X-XSRF-TOKEN", c.Value)
		}
	}
	return r
}

// loginForm has the fields' names of all peers.
func loginForm(name string) string {
	return url.Values{
		"username": {name}, "password": {password},
		"user": {name}, "passwd": {password}, "aud": {"bench"},
	}.Encode()
}

// A body is a request's, and begins anew where it ends.
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

// An exchange is a request that is made many times, at no cost of its own.
type exchange struct {
	handler  http.Handler
	template *http.Request
	request  http.Request
	answer   sink

	status, length int // of the first answer, which all others must have
	body           string
}

// newExchange makes the request once, for others to look at.
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
	e.request = *e.template // peers change it
	e.handler.ServeHTTP(&e.answer, &e.request)
}

// again makes the request, and reports an answer that is another one.
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

// cookies are those that an answer sets.
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
	says     string // the page; "" if it refuses
	page     func(*site) http.Handler
}

func visits() []visit {
	page := func(s *site) http.Handler { return s.page }
	return []visit{
		{"anonymous", false, nobody, page},
		{"logged-in", true, username(0), page},
		{"write", true, username(0), func(s *site) http.Handler { return s.write }},
		{"refusal", false, "", func(s *site) http.Handler { return s.guard }},
		{"idle", true, username(0), page},
	}
}

// peers are those that have what the case is about. "bare" is the handler without
// any library, whose cost is to be taken from that of the others.
func (v visit) peers() []peer {
	all := peers()
	if v.name == "idle" {
		all = []peer{{"go-login", openGoLogin}, {"go-login-off", openGoLoginOff}, {"scs", openSCSIdle}, {"scs-off", openSCS}}
	}
	if v.says == "" {
		return all
	}
	says := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { greet(w, v.says) })
	return append(all, peer{"bare", func(testing.TB, *members) *site { return &site{page: says, write: says, login: says} }})
}

// A trial is what is timed, and fails unless its answer is the right one.
type trial struct {
	name    string
	prepare func(tb testing.TB) (do func() error)
}

// requests in process: the case, and the peer.
func requestTrials() (all []trial) {
	for _, v := range visits() {
		for _, p := range v.peers() {
			if p.name == "go-pkgz" && v.name == "write" {
				continue // nothing is stored between requests
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

// loginTrials are the form of a login page, from one client.
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

// hashTrial is the hash of all others, by itself.
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

// rememberTrials are requests with a remember cookie and no other. The answer
// brings the next one. Devices take turns, so that no user has many logins.
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

// remember is the remember cookie that an answer has set last, as requests have it.
func (s *sink) remember() string {
	var pair string
	for _, line := range s.header["Set-Cookie"] {
		if name, _, _ := strings.Cut(line, "="); name == "rm" || strings.HasSuffix(name, "-remember") {
			pair, _, _ = strings.Cut(line, ";")
		}
	}
	return pair
}

// resetTrials are the form with another password, and the token that was mailed.
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
			check(b, do()) // with a heap that has grown as it will
			b.ReportAllocs()
			for b.Loop() {
				if err := do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestWrites shows that what is written to a session is there in the next request.
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

// TestPeers shows that what is measured works.
func TestPeers(t *testing.T) {
	for name, trials := range map[string][]trial{
		"Request": requestTrials(), "Login": loginTrials(), "Remember": rememberTrials(), "Reset": resetTrials(),
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

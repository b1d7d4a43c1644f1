package pages_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
)

// User is the application's user type.
type User struct {
	auth.Account
	Name string
}

func (u *User) ReadForm(form url.Values) error {
	u.Name = form.Get("name")
	switch u.Name {
	case "taken":
		return pages.FieldErrors{"name": "This name is taken."}
	case "broken":
		return errors.New("the disk is full")
	case "nowhere":
		return pages.FieldErrors{"elsewhere": "Not today."}
	}
	return nil
}

// A store fails when it is told to.
type store struct {
	*memstore.Store[User, *User]
	mu    sync.Mutex
	fails error

	rename func(*auth.Account) // as LoadUser returns it: a table may have names of any kind
}

func (s *store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fails = err
}

var errDisk = errors.New("the disk is on fire")

func (s *store) LoadUser(ctx context.Context, id string) (*User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails != nil {
		return nil, s.fails
	}
	u, err := s.Store.LoadUser(ctx, id)
	if err == nil && s.rename != nil {
		s.rename(&u.Account)
	}
	return u, err
}

func (s *store) FindUser(ctx context.Context, key string) (*User, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fails != nil {
		return nil, s.fails
	}
	return s.Store.FindUser(ctx, key)
}

// A site is an application with the pages, served.
type site struct {
	t       *testing.T
	manager *auth.Manager[*User]
	pages   *pages.Pages
	handler http.Handler // the whole application
	store   *store
	url     string

	mu    sync.Mutex
	now   time.Time
	mails []auth.Mail
	logs  strings.Builder
}

func (s *site) Send(_ context.Context, m auth.Mail) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mails = append(s.mails, m)
	return nil
}

func (s *site) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logs.Write(b)
}

func (s *site) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *site) advance(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = s.now.Add(d)
}

func (s *site) log() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.logs.String()
}

// good is a password that the policy accepts, and susan's.
const good = "staple battery horse"

// newSite serves the pages with the user susan, susan@example.com, and the
// application's own pages /mine, which is guarded, and /verified, which is for those
// whose address is. change, if it is not nil, changes the configurations.
func newSite(t *testing.T, change func(*auth.Config, *pages.Config)) *site {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	s := &site{t: t, url: "http://" + server.Listener.Addr().String(), now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	s.store = &store{Store: memstore.New[User](memstore.WithClock(s.clock))}
	authConfig, config := config(s), pages.Config{SampleUser: &User{}}
	if change != nil {
		change(&authConfig, &config)
	}
	if config.Prefix != "" {
		authConfig.LoginURL = strings.TrimSuffix(config.Prefix, "/") + "/login"
	}
	var err error
	s.manager, err = auth.New(s.store, authConfig)
	check(t, err)
	s.pages, err = pages.New(s.manager.Core, config)
	check(t, err)

	mux := http.NewServeMux()
	if config.Prefix != "" {
		mux.Handle(strings.TrimSuffix(config.Prefix, "/")+"/", s.pages)
	} else {
		mux.Handle("/", s.pages)
	}
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		for _, f := range s.manager.Flashes(r.Context()) {
			_, _ = io.WriteString(w, f.Category+": "+f.Text+"\n")
		}
	})
	mux.Handle("GET /mine", s.manager.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := s.manager.CurrentUser(r.Context())
		_, _ = io.WriteString(w, user.Username)
	})))
	mux.Handle("GET /verified", s.manager.RequireVerified(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "verified")
	})))
	s.handler = s.manager.LoadAndSave(mux)
	server.Config.Handler = s.handler
	server.Start()
	t.Cleanup(server.Close)

	_, err = s.store.CreateUser(t.Context(), auth.Account{
		Username: "susan", Email: "susan@example.com", PasswordHash: hashOfGood(), Stamp: auth.NewSecret("stamp"), Version: 1,
	}, nil)
	check(t, err)
	return s
}

// hashOfGood is made once, since it takes long.
var hashOfGood = sync.OnceValue(func() auth.Secret {
	hash, err := newManager(auth.Config{}).HashPassword(context.Background(), good)
	if err != nil {
		panic(err)
	}
	return hash
})

func config(s *site) auth.Config {
	return auth.Config{
		BaseURL: s.url,
		Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Mailer:  s,
		Now:     s.clock,
		Logger:  slog.New(slog.NewTextHandler(s, nil)),
	}
}

// link asks for a reset and returns the mailed link, as a path.
func (s *site) link(address string) string {
	s.t.Helper()
	wantRedirect(s.t, s.client().post(s.path("/forgot-password"), "email", address), s.path("/login"))
	return s.mailed(auth.MailReset, address)
}

// mailed returns the link of the last mail, which must be of this kind and to this
// address, as a path.
func (s *site) mailed(kind auth.MailKind, to string) string {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mails) == 0 {
		s.t.Fatal("no mail")
	}
	m := s.mails[len(s.mails)-1]
	link, ok := strings.CutPrefix(m.Link.Reveal(), s.url)
	if m.Kind != kind || m.To != to || !ok {
		s.t.Fatalf("the mail is %s to %s, with a link to %s", m.Kind, m.To, m.Link.Reveal())
	}
	return link
}

// kinds returns the kinds of the mails so far and whom they went to, and forgets
// them.
func (s *site) kinds() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var kinds []string
	for _, m := range s.mails {
		kinds = append(kinds, string(m.Kind)+" "+m.To)
	}
	s.mails = nil
	return strings.Join(kinds, ", ")
}

// account returns a user as they are stored.
func (s *site) account(login string) auth.Account {
	s.t.Helper()
	user, err := s.store.Store.FindUser(s.t.Context(), login)
	check(s.t, err)
	return user.Account
}

// update changes a user in the store.
func (s *site) update(login string, change func(*auth.Account)) {
	s.t.Helper()
	a := s.account(login)
	change(&a)
	check(s.t, s.store.UpdateAccount(s.t.Context(), a))
}

func verified(a *auth.Account) { a.EmailVerified = true }
func disabled(a *auth.Account) { a.Disabled = true }

// create makes a user with the password good.
func (s *site) create(name string, changes ...func(*auth.Account)) {
	s.t.Helper()
	a := auth.Account{Username: name, Email: name + "@example.com", PasswordHash: hashOfGood(), Stamp: auth.NewSecret("stamp of " + name), Version: 1}
	for _, change := range changes {
		change(&a)
	}
	_, err := s.store.CreateUser(s.t.Context(), a, nil)
	check(s.t, err)
}

// press opens a page and sends its form, with its hidden fields and these ones.
func (c *client) press(target string, fields ...string) response {
	c.t.Helper()
	page := c.get(target)
	wantStatus(c.t, page, http.StatusOK)
	return c.send(page, fields...)
}

// send sends the form of a page.
func (c *client) send(page response, fields ...string) response {
	c.t.Helper()
	form := only(c.t, only(c.t, parse(c.t, page), tag("main")), tag("form"))
	for _, input := range all(form, with("type", "hidden")) {
		fields = append(fields, attr(input, "name"), attr(input, "value"))
	}
	return c.post(attr(form, "action"), fields...)
}

// path is that of a page.
func (s *site) path(page string) string {
	return strings.TrimSuffix(s.manager.Core.LoginURL(), "/login") + page
}

// A client is a browser that does not follow redirects by itself.
type client struct {
	t    *testing.T
	base string
	http http.Client
	sent []*http.Cookie // all that it was ever given
}

func (s *site) client() *client {
	jar, err := cookiejar.New(nil)
	check(s.t, err)
	return &client{t: s.t, base: s.url, http: http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// user is a client that has logged in.
func (s *site) user(login, password string) *client {
	s.t.Helper()
	c := s.client()
	wantRedirect(s.t, c.post(s.path("/login"), "login", login, "password", password), "/")
	return c
}

// A response is one that has been read.
type response struct {
	status   int
	header   http.Header
	location string
	body     string
}

// do sends a request. Headers are pairs of name and value.
func (c *client) do(method, target, body string, headers ...string) response {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, c.base+target, strings.NewReader(body))
	check(c.t, err)
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer, err := c.http.Do(r)
	if err != nil {
		c.t.Errorf("%s %s: %v", method, target, err) // in a goroutine, perhaps
		return response{header: http.Header{}}
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		c.t.Errorf("%s %s: %v", method, target, err)
	}
	c.sent = append(c.sent, answer.Cookies()...)
	return response{answer.StatusCode, answer.Header, answer.Header.Get("Location"), string(text)}
}

func (c *client) get(target string) response {
	c.t.Helper()
	return c.do(http.MethodGet, target, "")
}

// post sends a form of names and values.
func (c *client) post(target string, fields ...string) response {
	c.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return c.do(http.MethodPost, target, form.Encode())
}

// loggedIn reports whether the client gets a guarded page.
func (c *client) loggedIn() bool {
	c.t.Helper()
	switch r := c.get("/mine"); r.status {
	case http.StatusOK:
		return true
	case http.StatusSeeOther, http.StatusUnauthorized: // the latter if its token was just replaced
		return false
	default:
		c.t.Errorf("/mine: %d", r.status)
		return false
	}
}

// cookie returns the value of a cookie that the client has, by the end of its
// name.
func (c *client) cookie(suffix string) string {
	u, err := url.Parse(c.base)
	check(c.t, err)
	for _, cookie := range c.http.Jar.Cookies(u) {
		if strings.HasSuffix(cookie.Name, suffix) {
			return cookie.Value
		}
	}
	return ""
}

func wantRedirect(t *testing.T, r response, location string) {
	t.Helper()
	if r.status != http.StatusSeeOther || r.location != location {
		t.Fatalf("got %d to %q, want 303 to %q\n%s", r.status, r.location, location, r.body)
	}
}

func wantStatus(t *testing.T, r response, status int) {
	t.Helper()
	if r.status != status {
		t.Fatalf("got %d to %q, want %d\n%s", r.status, r.location, status, r.body)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

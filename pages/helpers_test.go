package pages_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
	"golang.org/x/net/html"
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

// A store fails when the test says so.
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

// A site is an application with the pages, on a server.
type site struct {
	t       *testing.T
	manager *auth.Manager[*User]
	pages   *pages.Pages
	handler http.Handler // the whole application
	mux     *http.ServeMux
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

// good is a password that the policy accepts. It is susan's.
const good = "staple battery horse"

// newSite serves the pages with the user susan, susan@example.com. The application has
// two pages of its own: /mine needs a login, and /verified a verified address. If change
// is not nil, it changes the configurations.
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
		authConfig.URLs.Login = strings.TrimSuffix(config.Prefix, "/") + "/login"
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
	s.mux, s.handler = mux, s.manager.LoadAndSave(mux)
	server.Config.Handler = s.handler
	server.Start()
	t.Cleanup(server.Close)

	_, err = s.store.CreateUser(t.Context(), auth.Account{
		Username: "susan", Email: "susan@example.com", PasswordHash: hashOfGood(), Stamp: auth.NewSecret("stamp"), Version: 1,
	}, nil)
	check(t, err)
	return s
}

// hashOfGood hashes good once, because that takes long.
var hashOfGood = sync.OnceValue(func() auth.Secret {
	hash, err := newManager(auth.Config{Password: auth.PasswordConfig{HashParams: authtest.HashParams()}}).HashPassword(context.Background(), good)
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

		Password: auth.PasswordConfig{HashParams: authtest.HashParams()},
	}
}

// link asks for a reset and returns the mailed link, as a path.
func (s *site) link(address string) string {
	s.t.Helper()
	wantRedirect(s.t, s.client().post(s.path("/forgot-password"), "email", address), s.path("/check-inbox"))
	return s.mailed(auth.MailReset, address)
}

// mailed returns the link of the last mail, as a path. The mail must be of this kind and
// to this address.
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

// kinds returns the kinds and the recipients of all mails since the last call.
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

// account returns the stored account of a user.
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

// create stores a user with the password good.
func (s *site) create(name string, changes ...func(*auth.Account)) {
	s.t.Helper()
	a := auth.Account{Username: name, Email: name + "@example.com", PasswordHash: hashOfGood(), Stamp: auth.NewSecret("stamp of " + name), Version: 1}
	for _, change := range changes {
		change(&a)
	}
	_, err := s.store.CreateUser(s.t.Context(), a, nil)
	check(s.t, err)
}

// press opens a page and sends its form with its hidden fields and these ones.
func (c *client) press(target string, fields ...string) response {
	c.t.Helper()
	page := c.get(target)
	wantStatus(c.t, page, http.StatusOK)
	return c.send(page, fields...)
}

// send sends a page's form with its hidden fields and these ones.
func (c *client) send(page response, fields ...string) response {
	c.t.Helper()
	form := all(only(c.t, parse(c.t, page), tag("main")), tag("form"))[0]
	for _, input := range all(form, with("type", "hidden")) {
		fields = append(fields, attr(input, "name"), attr(input, "value"))
	}
	return c.post(attr(form, "action"), fields...)
}

// path returns the URL of a page.
func (s *site) path(page string) string {
	return strings.TrimSuffix(s.manager.Config().URLs.Login, "/login") + page
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

// user returns a client that has logged in.
func (s *site) user(login, password string) *client {
	s.t.Helper()
	c := s.client()
	wantRedirect(s.t, c.post(s.path("/login"), "login", login, "password", password), "/")
	return c
}

// A response is an HTTP response whose body has been read.
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

// cookie returns the value of the client's cookie whose name ends in suffix.
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

func TestMain(m *testing.M) { testapp.Main(m) }

// wantHeaders checks the headers that every answer has, except the stylesheet and the script.
func wantHeaders(t *testing.T, what string, r response) {
	t.Helper()
	referrer := "same-origin"
	if strings.Contains(what, "token=") {
		referrer = "no-referrer"
	}
	policy := "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	if strings.Contains(r.body, "<script") {
		policy += "; script-src 'self'"
	}
	if strings.Contains(r.body, " data-passkey-url=") {
		policy += "; connect-src 'self'"
	}
	if scripts := all(parse(t, r), tag("script")); len(scripts) > 0 {
		policy += ", script-src"
		for _, script := range scripts { // the path of each, and no other
			path, _, _ := strings.Cut(attr(script, "src"), "?")
			policy += " *:*" + path
		}
	}
	if method, _, _ := strings.Cut(what, " "); method == "HEAD" && strings.Contains(r.header.Get("Content-Security-Policy"), "script-src") {
		policy = r.header.Get("Content-Security-Policy") // as for GET
	}
	for name, want := range map[string]string{
		"Content-Security-Policy":      policy,
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              referrer,
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
		"Cache-Control":                "no-store",
		"Access-Control-Allow-Origin":  "",
	} {
		if got := r.header.Get(name); got != want {
			t.Errorf("%s: %d: %s is %q", what, r.status, name, got)
		}
	}
	if kind := r.header.Get("Content-Type"); kind != "text/html; charset=utf-8" && kind != "text/plain; charset=utf-8" {
		t.Errorf("%s: %d: Content-Type is %q", what, r.status, kind)
	}
}

// emailOnly has users log in with their addresses only. Names such as S71 in the comments
// of the tests are rows of the mission's section 3.2, document B.
func emailOnly(a *auth.Config, _ *pages.Config) { a.Identifiers = auth.EmailOnly }

// documentA configures the pages of the mission's document A.
func documentA(a *auth.Config, c *pages.Config) {
	a.Identifiers, a.Mailer = auth.UsernameOnly, nil
	c.MinUsername, c.MaxUsername = 1, 64
	c.Texts = pages.Texts{
		LoginTitle: "Sign In", LoginButton: "Sign In", LoginLink: "Login", LogoutButton: "Logout",
		ConfirmPassword: "Repeat Password",
		NoAccount:       "New User?", RegisterLink: "Click to Register!", HaveAccount: pages.None,
		Registered:    "Congratulations, you are now a registered user!",
		LoggedOut:     pages.None,
		UsernameTaken: "Please use a different username.",
		EmailTaken:    "Please use a different email address.",
	}
}

const other = "another battery horse"

func parse(t *testing.T, r response) *html.Node {
	t.Helper()
	doc, err := html.Parse(strings.NewReader(r.body))
	check(t, err)
	return doc
}

// all returns the elements that fit.
func all(n *html.Node, fits func(*html.Node) bool) []*html.Node {
	var found []*html.Node
	for d := range n.Descendants() {
		if d.Type == html.ElementNode && fits(d) {
			found = append(found, d)
		}
	}
	return found
}

func tag(names ...string) func(*html.Node) bool {
	return func(n *html.Node) bool { return slices.Contains(names, n.Data) }
}

func with(key, value string) func(*html.Node) bool {
	return func(n *html.Node) bool { return attr(n, key) == value }
}

func attr(n *html.Node, key string) string {
	for _, a := range n.Attr {
		if a.Key == key {
			return a.Val
		}
	}
	return ""
}

func has(n *html.Node, key string) bool {
	return slices.ContainsFunc(n.Attr, func(a html.Attribute) bool { return a.Key == key })
}

func text(n *html.Node) string {
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.Join(strings.Fields(b.String()), " ")
}

// only returns the only element that fits.
func only(t *testing.T, n *html.Node, fits func(*html.Node) bool) *html.Node {
	t.Helper()
	found := all(n, fits)
	if len(found) != 1 {
		t.Fatalf("%d elements and not 1", len(found))
	}
	return found[0]
}

// A field is an input as a user sees it.
type field struct{ label, kind, autocomplete, value, err string }

// fields returns the inputs of a page that have a name, without the hidden ones.
func fields(t *testing.T, r response) map[string]field {
	t.Helper()
	doc, found := parse(t, r), map[string]field{}
	for _, input := range all(doc, tag("input")) {
		name := attr(input, "name")
		if name == "" || attr(input, "type") == "hidden" {
			continue
		}
		f := field{
			label: text(only(t, doc, with("for", attr(input, "id")))),
			kind:  attr(input, "type"), autocomplete: attr(input, "autocomplete"), value: attr(input, "value"),
		}
		if id := errorID(input); id != "" {
			f.err = text(only(t, doc, with("id", id)))
		}
		found[name] = f
	}
	return found
}

// wantErrors fails unless a form is shown again with exactly these errors at its fields.
func wantErrors(t *testing.T, r response, want map[string]string) {
	t.Helper()
	wantStatus(t, r, 422)
	for name, f := range fields(t, r) {
		if f.err != want[name] {
			t.Errorf("the error at %s is %q, want %q", name, f.err, want[name])
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("no field for %v", want)
	}
	accessible(t, r)
}

// message returns the category and text of the only message on a page.
func message(t *testing.T, r response) (category, message string) {
	t.Helper()
	flash := only(t, only(t, parse(t, r), with("role", "status")), tag("p"))
	return strings.TrimPrefix(attr(flash, "class"), "flash "), text(flash)
}

// accessible checks what users need who cannot see the page or have no mouse.
func accessible(t *testing.T, r response) {
	t.Helper()
	doc := parse(t, r)
	if attr(only(t, doc, tag("html")), "lang") == "" {
		t.Error("no lang")
	}
	wrong := all(doc, with("aria-invalid", "true"))
	title := text(only(t, doc, tag("title")))
	h1 := text(only(t, doc, tag("h1")))
	want := h1
	if main := only(t, doc, tag("main")); len(wrong) > 0 || r.status >= 400 && len(all(main, tag("form"))) > 0 && h1 != "You are already logged in" {
		want = "Error: " + h1
	}
	if h1 == "" || !strings.HasPrefix(title, want) && attr(only(t, doc, tag("html")), "lang") == "en" {
		t.Errorf("the heading is %q and the title %q, with %d wrong fields", h1, title, len(wrong))
	}
	only(t, doc, tag("main"))

	ids := map[string]bool{}
	for _, n := range all(doc, func(n *html.Node) bool { return has(n, "id") }) {
		if id := attr(n, "id"); ids[id] || id == "" {
			t.Errorf("the id %q is there twice", id)
		} else {
			ids[id] = true
		}
	}
	for _, n := range all(doc, func(n *html.Node) bool { return true }) {
		for _, id := range strings.Fields(attr(n, "aria-describedby") + " " + attr(n, "aria-labelledby")) {
			if !ids[id] {
				t.Errorf("nothing has the id %q that describes %s", id, attr(n, "name"))
			}
		}
		if (errorID(n) != "") != (attr(n, "aria-invalid") == "true") {
			t.Errorf("%s is invalid without a reason, or not invalid with one", attr(n, "name"))
		}
		if target, ok := strings.CutPrefix(attr(n, "href"), "#"); ok && !ids[target] {
			t.Errorf("a link leads to %q, which nothing is", target)
		}
		if n.Data == "a" && (attr(n, "href") == "" || text(n) == "") {
			t.Error("a link without a text or a target")
		}
		for _, a := range n.Attr {
			if a.Key == "style" || strings.HasPrefix(a.Key, "on") {
				t.Errorf("the attribute %s, which the CSP forbids", a.Key)
			}
		}
	}
	if n := all(doc, tag("style", "iframe", "object", "base")); len(n) > 0 {
		t.Errorf("there is a %s", n[0].Data)
	}
	for _, n := range all(doc, tag("script")) {
		if path, hash, _ := strings.Cut(attr(n, "src"), "?v="); !isAsset(path) || hash == "" || len(n.Attr) != 2 || !has(n, "defer") || text(n) != "" {
			t.Errorf("there is a script %v", n.Attr)
		}
	}

	inputs := all(doc, func(n *html.Node) bool { return n.Data == "input" && attr(n, "type") != "hidden" })
	for _, n := range inputs {
		if label := only(t, doc, with("for", attr(n, "id"))); label.Data != "label" || text(label) == "" {
			t.Errorf("the input %s has no label", attr(n, "name"))
		}
		if attr(n, "type") == "password" && has(n, "value") {
			t.Error("a password is in the page")
		}
		if attr(n, "type") != "checkbox" && attr(n, "autocomplete") == "" {
			t.Errorf("the input %s has no autocomplete", attr(n, "name"))
		}
	}
	focus := all(doc, func(n *html.Node) bool { return has(n, "autofocus") })
	switch {
	case !slices.ContainsFunc(inputs, isSeen):
		if len(focus) > 0 {
			t.Error("the cursor is nowhere")
		}
	case len(focus) != 1:
		t.Errorf("the cursor is in %d places", len(focus))
	case len(wrong) > 0 && errorID(wrong[0]) != "form-errors" && focus[0] != wrong[0]:
		t.Error("the cursor is not in the first field that is wrong")
	case len(wrong) > 0 && attr(focus[0], "aria-invalid") == "":
		t.Error("the cursor is not in a field that is wrong")
	case len(all(doc, with("id", "page-messages"))) > 0 && !strings.Contains(attr(focus[0], "aria-describedby"), "page-messages"):
		t.Error("the messages do not describe the field with the cursor")
	}
	summaries := 0 // one error is beside its field
	if len(wrong) > 1 || len(all(doc, with("id", "form-errors"))) > 0 {
		summaries = 1
	}
	if alerts := all(doc, func(n *html.Node) bool { return attr(n, "role") == "alert" && !has(n, "hidden") }); len(alerts) != summaries {
		t.Errorf("%d summaries of %d errors", len(alerts), len(wrong))
	}
}

// passkeyScript returns where a page loads the script of passkeys from. It loads it once.
func passkeyScript(t *testing.T, r response) string {
	t.Helper()
	return attr(only(t, parse(t, r), func(n *html.Node) bool {
		return n.Data == "script" && !strings.HasPrefix(attr(n, "src"), "/auth.js?")
	}), "src")
}

// errorID returns the id of what says why an input is wrong, or "".
func errorID(n *html.Node) string {
	for _, id := range strings.Fields(attr(n, "aria-describedby")) {
		if strings.HasSuffix(id, "-error") || id == "form-errors" {
			return id
		}
	}
	return ""
}

// isSeen reports whether an element is in no form that only a script shows.
func isSeen(n *html.Node) bool {
	for a := range n.Ancestors() {
		if a.Data == "form" && has(a, "hidden") {
			return false
		}
	}
	return true
}

// link returns where the link with this text leads, in the page's main part.
func link(t *testing.T, r response, label string) string {
	t.Helper()
	doc := parse(t, r)
	return attr(only(t, only(t, doc, tag("main")), func(n *html.Node) bool {
		return n.Data == "a" && (text(n) == label || name(t, doc, n) == label)
	}), "href")
}

func heading(t *testing.T, r response) string {
	t.Helper()
	return text(only(t, parse(t, r), tag("h1")))
}

func button(t *testing.T, r response) string {
	t.Helper()
	main := only(t, parse(t, r), tag("main"))
	return text(only(t, main, func(n *html.Node) bool { return n.Data == "button" && attr(n, "type") == "submit" }))
}

// user2 is user, for a site with another Home.
func (s *site) user2(login, home string) *client {
	s.t.Helper()
	c := s.client()
	wantRedirect(s.t, c.post(s.path("/login"), "login", login, "password", good), home)
	return c
}

// attempts returns how many records of wrong passwords susan has.
func (s *site) attempts() int {
	s.t.Helper()
	records, err := s.store.ListRecords(s.t.Context(), "attempts", s.account("susan").ID)
	check(s.t, err)
	return len(records)
}

// urlencoded encodes a form of names and values.
func urlencoded(fields []string) string {
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return form.Encode()
}

// safari15 sends a page's form as a browser does that does not send Sec-Fetch-Site. The
// Referrer-Policy of the page decides whether its Origin is real.
func (c *client) safari15(page response, fields ...string) response {
	c.t.Helper()
	origin := c.base
	if page.header.Get("Referrer-Policy") == "no-referrer" {
		origin = "null"
	}
	form := only(c.t, only(c.t, parse(c.t, page), tag("main")), tag("form"))
	for _, input := range all(form, with("type", "hidden")) {
		fields = append(fields, attr(input, "name"), attr(input, "value"))
	}
	return c.do(http.MethodPost, attr(form, "action"), urlencoded(fields), "Origin", origin)
}

// from sends a form as a browser does on the page referer.
func (c *client) from(referer, target string, fields ...string) response {
	c.t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return c.do(http.MethodPost, target, form.Encode(), "Referer", c.base+referer, "Origin", c.base)
}

// restart deletes the client's cookies, except those that outlive the browser's session.
func (c *client) restart() {
	c.t.Helper()
	jar, err := cookiejar.New(nil)
	check(c.t, err)
	base, err := url.Parse(c.base)
	check(c.t, err)
	last := map[string]*http.Cookie{}
	for _, cookie := range c.sent {
		last[cookie.Name] = cookie
	}
	for _, cookie := range last {
		if cookie.MaxAge > 0 {
			jar.SetCookies(base, []*http.Cookie{cookie})
		}
	}
	c.http.Jar = jar
}

// remembered returns a client that has logged in with remember_me, and was then
// restarted.
func (s *site) remembered() *client {
	s.t.Helper()
	c := s.client()
	wantRedirect(s.t, c.post(s.path("/login"), "login", "susan", "password", good, "remember_me", "y"), "/")
	s.advance(time.Second)
	c.restart()
	return c
}

// records is a record store that calls hook, if it is set, before it does anything.
type records struct {
	*memstore.Records
	mu   sync.Mutex
	hook func(kind string) error
}

// hooked has the application keep its records in r.
func hooked(r *records) func(*auth.Config, *pages.Config) {
	return func(a *auth.Config, _ *pages.Config) {
		r.Records = memstore.NewRecords(memstore.WithClock(a.Now))
		a.Records = r
	}
}

func (r *records) set(hook func(kind string) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hook = hook
}

func (r *records) ask(kind string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hook == nil {
		return nil
	}
	return r.hook(kind)
}

func (r *records) InsertRecord(ctx context.Context, record auth.Record) error {
	if err := r.ask(record.Kind); err != nil {
		return err
	}
	return r.Records.InsertRecord(ctx, record)
}

func (r *records) GetRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	if err := r.ask(kind); err != nil {
		return auth.Record{}, err
	}
	return r.Records.GetRecord(ctx, kind, key)
}

func (r *records) TakeRecord(ctx context.Context, kind, key string) (auth.Record, error) {
	if err := r.ask(kind); err != nil {
		return auth.Record{}, err
	}
	return r.Records.TakeRecord(ctx, kind, key)
}

func (r *records) ListRecords(ctx context.Context, kind, userID string) ([]auth.Record, error) {
	if err := r.ask(kind); err != nil {
		return nil, err
	}
	return r.Records.ListRecords(ctx, kind, userID)
}

// failing repeats a request while the first call of the store fails, then the second,
// and so on, until the request needs no more calls. That last request must succeed, and
// all others must be answered as failures.
func failing(t *testing.T, store *records, request func() response, location string) {
	t.Helper()
	defer store.set(nil)
	for k := 1; ; k++ {
		n := 0
		store.set(func(string) error {
			if n++; n == k {
				return errDisk
			}
			return nil
		})
		r := request()
		store.set(nil)
		if n < k {
			if k == 1 {
				t.Error("the store was not asked")
			}
			wantRedirect(t, r, location)
			return
		}
		if r.status != 503 || strings.Contains(r.body, errDisk.Error()) {
			t.Errorf("a failure of call %d is %d to %q", k, r.status, r.location)
		}
	}
}

func nextInCookie(a *auth.Config, _ *pages.Config) { a.URLs.NextInCookie = true }

func requireVerified(a *auth.Config, _ *pages.Config) { a.RequireVerified = true }

func hideAccounts(a *auth.Config, _ *pages.Config) { a.RequireVerified, a.HideAccounts = true, true }

const (
	invalidToken = "This link does not work any more. Ask for a new one."
	resetUsed    = "This link has already been used. You can log in with your new password."
	verifyUsed   = "This link has already been used: your email address has been verified. You can log in."
	emailUsed    = "This link has already been used: your email address has been changed."
	undoUsed     = "This link has already been used: your email address has been changed back. Ask for a link that sets a new password."
)

// register posts a registration of name.
func (c *client) register(name string, more ...string) response {
	c.t.Helper()
	return c.post("/register", append([]string{"username", name, "email", name + "@example.com", "password", good, "confirm_password", good}, more...)...)
}

// set gives the client a cookie.
func (c *client) set(name, value string) {
	c.t.Helper()
	base, err := url.Parse(c.base)
	check(c.t, err)
	c.http.Jar.SetCookies(base, []*http.Cookie{{Name: name, Value: value, Path: "/"}})
}

// flashed fails unless the only message that the client sees next, at target, is this
// one.
func (c *client) flashed(target, want string) {
	c.t.Helper()
	if category, text := message(c.t, c.get(target)); category+": "+text != want {
		c.t.Errorf("the message is %s: %s", category, text)
	}
}

// inbox checks that the page after a form says where a mail went.
func (c *client) inbox(want string) {
	c.t.Helper()
	r := c.get("/check-inbox")
	wantStatus(c.t, r, http.StatusOK)
	accessible(c.t, r)
	if main := text(only(c.t, parse(c.t, r), tag("main"))); !strings.Contains(main, want) {
		c.t.Errorf("the inbox page says %q, want %q", main, want)
	}
}

// linkCookie returns the last cookie that the client received whose name ends in suffix.
func (c *client) linkCookie(suffix string) *http.Cookie {
	c.t.Helper()
	for i := len(c.sent) - 1; i >= 0; i-- {
		if strings.HasSuffix(c.sent[i].Name, suffix) {
			return c.sent[i]
		}
	}
	c.t.Fatalf("no cookie %s", suffix)
	return nil
}

// wantMoved fails unless the link's token has moved to this cookie and is nowhere else.
func (c *client) wantMoved(r response, page, suffix, token string) {
	c.t.Helper()
	wantRedirect(c.t, r, page)
	wantHeaders(c.t, "token=", r)
	if r.body != "" {
		c.t.Error("the redirect has a body")
	}
	cookie := c.linkCookie(suffix)
	if cookie.Value != token || cookie.MaxAge != 60*60 || !cookie.HttpOnly || cookie.Path != "/" ||
		cookie.SameSite != http.SameSiteLaxMode || cookie.Domain != "" {
		c.t.Errorf("the cookie is %v", cookie)
	}
	shown := c.get(page)
	wantStatus(c.t, shown, 200)
	if strings.Contains(shown.body, token) {
		c.t.Error("the token is in the page")
	}
}

// registration is the form of name.
func registration(name, password string) []string {
	return []string{"username", name, "email", name + "@example.com", "password", password, "confirm_password", password}
}

// hidden returns the hidden fields of a page's form, and their values.
func hidden(t *testing.T, page response) []string {
	t.Helper()
	wantStatus(t, page, http.StatusOK)
	var fields []string
	for _, input := range all(only(t, parse(t, page), tag("main")), with("type", "hidden")) {
		fields = append(fields, attr(input, "name"), attr(input, "value"))
	}
	return fields
}

const (
	firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0"
	iPhone  = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1"
)

// userWith returns a client with this user agent that has logged in. More fields of the
// form may follow.
func (s *site) userWith(agent, login string, fields ...string) *client {
	s.t.Helper()
	form := url.Values{"login": {login}, "password": {good}}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	c := s.client()
	wantRedirect(s.t, c.do(http.MethodPost, s.path("/login"), form.Encode(), "User-Agent", agent), "/")
	return c
}

// mallory is a second user.
func (s *site) mallory() *User {
	s.t.Helper()
	user, err := s.store.CreateUser(s.t.Context(), auth.Account{
		Username: "mallory", Email: "mallory@example.com", PasswordHash: hashOfGood(), Stamp: auth.NewSecret("stamp 2"), Version: 1,
	}, nil)
	check(s.t, err)
	return user
}

// logins returns susan's logins.
func (s *site) logins() []auth.Login {
	s.t.Helper()
	user, err := s.store.FindUser(s.t.Context(), "susan")
	check(s.t, err)
	logins, err := s.manager.Logins(s.t.Context(), user.ID)
	check(s.t, err)
	return logins
}

// stolen has a thief change the address of susan's account. It returns the thief's
// browser and the link that susan gets.
func (s *site) stolen() (thief *client, undo string) {
	s.t.Helper()
	s.update("susan", verified)
	thief = s.user("susan", good)
	wantRedirect(s.t, thief.post("/account/email", "email", "thief@example.com"), "/check-inbox")
	wantRedirect(s.t, thief.get(s.mailed(auth.MailNewAddress, "thief@example.com")), "/account/email")
	wantRedirect(s.t, thief.press("/account/email"), "/account")
	return thief, s.mailed(auth.MailAddressChanged, "susan@example.com")
}

// factors are the second factors of a site. A user with app shows a code that the test has
// given, once.
type factors struct {
	app      *appFactor
	recovery *recoveryFactor
}

func newFactors() *factors {
	return &factors{&appFactor{name: "totp", enrolled: map[string]bool{}}, &recoveryFactor{codes: map[string][]string{}}}
}

// in has an application use the factors.
func (f *factors) in(a *auth.Config, _ *pages.Config) { a.Factors = []auth.Factor{f.app, f.recovery} }

// withFactors has an application use factors that nobody has, also passkeys.
func withFactors(a *auth.Config, c *pages.Config) {
	newFactors().in(a, c)
	keys := newPasskeys()
	if c != nil {
		keys.path = strings.TrimSuffix(c.Prefix, "/") + keys.path
	}
	a.Factors = append(a.Factors, keys)
}

// isAsset reports whether a path is that of a stylesheet or a script.
func isAsset(path string) bool {
	path = strings.TrimPrefix(path, "/auth/") // a Prefix of some tests
	path = "/" + strings.TrimPrefix(path, "/")
	return path == "/auth.css" || path == "/auth.js" || path == "/passkey.js" || path == "/openapi.json"
}

// withAll has all pages that auth.Config can switch on.
func withAll(a *auth.Config, c *pages.Config) {
	withFactors(a, c)
	a.EmailLogin, c.OpenAPI = true, true
	a.Roles = auth.RoleConfig{Permissions: []string{"support"}, Grants: map[string][]string{"support": {"support"}}}
	a.Impersonation.Permission = "support"
}

// appFactor is an Enroller.
type appFactor struct {
	name    string
	feature *auth.Feature

	mu       sync.Mutex
	enrolled map[string]bool // by user ID
	code     string          // the one that is accepted next; it is used up
	prompts  int
	begun    int
	setup    auth.Setup // replaces the usual one if its Secret is not empty
	prompt   auth.Prompt
	fails    error
}

func (f *appFactor) Name() string { return f.name }

func (f *appFactor) Bind(feature *auth.Feature) error {
	f.feature = feature
	return nil
}

func (f *appFactor) Enrolled(_ context.Context, userID string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.enrolled[userID], f.fails
}

func (f *appFactor) asks() auth.Prompt {
	if f.prompt != (auth.Prompt{}) {
		return f.prompt
	}
	return auth.Prompt{Field: "code", Autocomplete: "one-time-code", Numeric: true}
}

func (f *appFactor) Prompt(context.Context, auth.User) (auth.Prompt, []byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.prompts++
	return f.asks(), []byte("asked"), nil
}

func (f *appFactor) Verify(_ context.Context, _ auth.User, private []byte, answer url.Values) error {
	if string(private) != "asked" {
		return auth.ErrWrongFactor
	}
	return f.use(answer)
}

func (f *appFactor) use(answer url.Values) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.code == "" || answer.Get("code") != f.code {
		return auth.ErrWrongFactor
	}
	f.code = ""
	return nil
}

func (f *appFactor) Begin(context.Context, auth.User) (auth.Setup, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.begun++; !f.setup.Secret.IsZero() {
		return f.setup, nil
	}
	return auth.Setup{
		Secret: auth.NewSecret("JBSWY3DPEHPK3PXPJB"), URL: auth.NewSecret("otpauth://totp/Gophers:susan?secret=JBSWY3DPEHPK3PXPJB&issuer=Gophers"),
		SVG:    auth.NewSecret(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"><path d="M0 0h1v1z"/></svg>`),
		Prompt: f.asks(),
	}, nil
}

func (f *appFactor) Finish(_ context.Context, user auth.User, answer url.Values) (func(context.Context) error, error) {
	id := user.AuthAccount().ID
	return func(context.Context) error {
		f.set(id, true)
		return nil
	}, f.use(answer)
}

func (f *appFactor) Remove(_ context.Context, userID string) error {
	f.set(userID, false)
	return nil
}

func (f *appFactor) set(userID string, enrolled bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.enrolled[userID] = enrolled
}

func (f *appFactor) has(userID string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.enrolled[userID]
}

// give has the factor accept a code, once.
func (f *appFactor) give(code string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.code = code
}

func (f *appFactor) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fails = err
}

// counts returns how often the factor was asked to prompt, and to begin.
func (f *appFactor) counts() (prompts, begun int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.prompts, f.begun
}

// disable has a user give a hundred wrong answers.
func (f *appFactor) disable(s *site, userID string) {
	s.t.Helper()
	for range 100 {
		if _, err := f.feature.Count(s.t.Context(), userID, func() (bool, error) { return false, nil }); err != nil {
			s.t.Fatal(err)
		}
		s.advance(time.Hour)
	}
}

// recoveryFactor is a RecoveryFactor.
type recoveryFactor struct {
	mu    sync.Mutex
	made  int
	codes map[string][]string // by user ID
}

func (*recoveryFactor) Name() string { return "recovery" }

func (f *recoveryFactor) Enrolled(ctx context.Context, userID string) (bool, error) {
	n, err := f.Left(ctx, userID)
	return n > 0, err
}

func (*recoveryFactor) Prompt(context.Context, auth.User) (auth.Prompt, []byte, error) {
	return auth.Prompt{Field: "code"}, nil, nil
}

func (f *recoveryFactor) Verify(_ context.Context, user auth.User, _ []byte, answer url.Values) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := user.AuthAccount().ID
	i := slices.Index(f.codes[id], answer.Get("code"))
	if i < 0 {
		return auth.ErrWrongFactor
	}
	f.codes[id] = slices.Delete(f.codes[id], i, i+1)
	return nil
}

func (f *recoveryFactor) Generate(_ context.Context, user auth.User) ([]string, func(context.Context) error, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made++
	var codes []string
	for i := range 10 {
		codes = append(codes, fmt.Sprintf("set%d-code%d", f.made, i))
	}
	return codes, func(context.Context) error {
		f.set(user.AuthAccount().ID, codes...)
		return nil
	}, nil
}

func (f *recoveryFactor) Left(_ context.Context, userID string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.codes[userID]), nil
}

func (f *recoveryFactor) Remove(_ context.Context, userID string) error {
	f.set(userID)
	return nil
}

func (f *recoveryFactor) set(userID string, codes ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.codes[userID] = slices.Clone(codes)
}

// newFactorSite is newSite with factors. susan's address is verified, and she has the app
// and four recovery codes.
func newFactorSite(t *testing.T, change func(*auth.Config, *pages.Config)) (*site, *factors) {
	t.Helper()
	f := newFactors()
	s := newSite(t, func(a *auth.Config, c *pages.Config) {
		f.in(a, c)
		if change != nil {
			change(a, c)
		}
	})
	s.update("susan", verified)
	f.app.set(s.account("susan").ID, true)
	f.recovery.set(s.account("susan").ID, "spare 1", "spare 2", "spare 3", "spare 4")
	return s, f
}

// begin logs susan in as far as her password goes, and returns the page for the factor.
func (c *client) begin(fields ...string) response {
	c.t.Helper()
	r := c.post("/login", append([]string{"login", "susan", "password", good}, fields...)...)
	wantStatus(c.t, r, http.StatusSeeOther)
	if path, _, _ := strings.Cut(r.location, "?"); path != "/login/verify" {
		c.t.Fatalf("the password leads to %s", r.location)
	}
	page := c.get(r.location)
	wantStatus(c.t, page, http.StatusOK)
	return page
}

// enter returns a client that has logged in as susan with both factors.
func (f *factors) enter(s *site, fields ...string) *client {
	s.t.Helper()
	c := s.client()
	page := c.begin(fields...)
	f.app.give("enter")
	wantRedirect(s.t, c.submit(page, "/login/verify", "code", "enter"), "/")
	return c
}

// formTo returns the form in a page's main part whose action begins like this and that has a
// field with this value, if value is not empty.
func formTo(t *testing.T, page response, action, value string) *html.Node {
	t.Helper()
	forms := all(only(t, parse(t, page), tag("main")), func(n *html.Node) bool {
		return n.Data == "form" && strings.HasPrefix(attr(n, "action"), action) && (value == "" || len(all(n, with("value", value))) > 0)
	})
	if len(forms) == 0 {
		t.Fatalf("no form to %s with %q", action, value)
	}
	return forms[0]
}

// submit sends one of the forms of a page, with its hidden fields and these ones.
func (c *client) submit(page response, action string, fields ...string) response {
	c.t.Helper()
	return c.push(formTo(c.t, page, action, ""), fields...)
}

// push sends a form with its hidden fields and these ones.
func (c *client) push(form *html.Node, fields ...string) response {
	c.t.Helper()
	for _, input := range all(form, with("type", "hidden")) {
		fields = append(fields, attr(input, "name"), attr(input, "value"))
	}
	if attr(form, "method") == "get" {
		return c.get(attr(form, "action") + "?" + urlencoded(fields))
	}
	return c.post(attr(form, "action"), fields...)
}

const (
	factorWrong   = "That code was wrong or has been used. Wait for the next one."
	recoveryWrong = "That recovery code was wrong or has been used. Use another one."
)

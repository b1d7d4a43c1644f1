package pages_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
	"golang.org/x/net/html"
)

// passkeys is a PasskeyFactor. An answer is JSON that names the passkey and the challenge.
type passkeys struct {
	path string

	mu    sync.Mutex
	kept  map[string][]auth.Passkey // by user ID
	asked int
	full  bool // no user can have another one
}

func newPasskeys() *passkeys {
	return &passkeys{path: "/passkey.js", kept: map[string][]auth.Passkey{}}
}

// newPasskeySite is newSite with passkeys and recovery codes. susan's address is verified,
// and she has these passkeys.
func newPasskeySite(t *testing.T, change func(*auth.Config, *pages.Config), ids ...string) (*site, *passkeys) {
	t.Helper()
	keys := newPasskeys()
	s := newSite(t, func(a *auth.Config, c *pages.Config) {
		a.Factors = []auth.Factor{keys, newFactors().recovery}
		if change != nil {
			change(a, c)
		}
	})
	s.update("susan", verified)
	keys.give(s.account("susan").ID, ids...)
	return s, keys
}

func (f *passkeys) give(userID string, ids ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range ids {
		f.kept[userID] = append(f.kept[userID], auth.Passkey{ID: id, Name: "the name of " + id, Created: time.Date(2026, 11, 1, 8, 30, 0, 0, time.UTC)})
	}
}

// change changes susan's first passkey.
func (f *passkeys) change(userID string, change func(*auth.Passkey)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(&f.kept[userID][0])
}

// An asking is the data of a prompt.
type asking struct {
	Kind      string `json:"kind"`
	PublicKey struct {
		Challenge string `json:"challenge"`
	} `json:"publicKey"`
}

// A shown is an answer.
type shown struct {
	ID        string `json:"id"`
	RPID      string `json:"rpId"`
	Challenge string `json:"challenge"`
}

// ask returns a prompt with a new challenge.
func (f *passkeys) ask(kind string) (auth.Prompt, []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked++
	a := asking{Kind: kind}
	a.PublicKey.Challenge = fmt.Sprint("challenge ", f.asked)
	return auth.Prompt{Field: "passkey", Script: f.path, Data: a}, []byte(a.PublicKey.Challenge)
}

func read(answer url.Values) (a shown) {
	_ = json.Unmarshal([]byte(answer.Get("passkey")), &a)
	return a
}

func (*passkeys) Name() string { return "passkey" }

func (f *passkeys) Enrolled(ctx context.Context, userID string) (bool, error) {
	all, err := f.Passkeys(ctx, userID)
	return len(all) > 0, err
}

func (f *passkeys) Prompt(context.Context, auth.User) (auth.Prompt, []byte, error) {
	p, private := f.ask("get")
	return p, private, nil
}

func (f *passkeys) Verify(ctx context.Context, user auth.User, private []byte, answer url.Values) error {
	_, err := f.VerifyOne(ctx, user, private, answer)
	return err
}

func (f *passkeys) VerifyOne(ctx context.Context, user auth.User, private []byte, answer url.Values) (string, error) {
	userID, id, err := f.Identify(ctx, [][]byte{private}, answer)
	if err == nil && userID != user.AuthAccount().ID {
		err = auth.ErrWrongFactor
	}
	return id, err
}

func (f *passkeys) Begin(context.Context, auth.User) (auth.Setup, error) {
	f.mu.Lock()
	full := f.full
	f.mu.Unlock()
	if full {
		return auth.Setup{}, auth.ErrTooManyPasskeys
	}
	p, _ := f.ask("create")
	return auth.Setup{Prompt: p}, nil
}

func (f *passkeys) Finish(ctx context.Context, user auth.User, answer url.Values) (func(context.Context) error, error) {
	_, save, err := f.Add(ctx, user, answer)
	return save, err
}

func (f *passkeys) Add(_ context.Context, user auth.User, answer url.Values) (auth.Passkey, func(context.Context) error, error) {
	id := read(answer).ID
	if id == "" {
		return auth.Passkey{}, nil, auth.ErrWrongFactor
	}
	return auth.Passkey{ID: id}, func(context.Context) error {
		f.give(user.AuthAccount().ID, id)
		return nil
	}, nil
}

func (f *passkeys) Ask(context.Context, auth.User) (auth.Prompt, []byte, error) {
	p, private := f.ask("get")
	return p, private, nil
}

func (f *passkeys) Identify(_ context.Context, asked [][]byte, answer url.Values) (string, string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := read(answer)
	if !slices.ContainsFunc(asked, func(private []byte) bool { return string(private) == a.Challenge }) {
		return "", "", auth.ErrWrongFactor
	}
	for userID, all := range f.kept {
		if slices.ContainsFunc(all, func(p auth.Passkey) bool { return p.ID == a.ID }) {
			return userID, a.ID, nil
		}
	}
	return "", "", auth.ErrUnknownPasskey
}

func (f *passkeys) Passkeys(_ context.Context, userID string) ([]auth.Passkey, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.kept[userID]), nil
}

func (f *passkeys) Rename(_ context.Context, userID, id, name string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, p := range f.kept[userID] {
		if p.ID == id {
			f.kept[userID][i].Name = name
			return nil
		}
	}
	return auth.ErrNoFactor
}

func (f *passkeys) RemoveOne(_ context.Context, userID, id string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.kept[userID] = slices.DeleteFunc(f.kept[userID], func(p auth.Passkey) bool { return p.ID == id })
	return nil
}

func (f *passkeys) Remove(_ context.Context, userID string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.kept, userID)
	return nil
}

// Known is empty for a user who never had a passkey.
func (f *passkeys) Known(_ context.Context, user auth.User) (any, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all, had := f.kept[user.AuthAccount().ID]
	if !had {
		return nil, nil
	}
	ids := []string{}
	for _, p := range all {
		ids = append(ids, p.ID)
	}
	return map[string]any{"rpId": "app.example", "userId": "handle", "credentialIds": ids, "name": user.AuthAccount().Username}, nil
}

func (f *passkeys) Script() (string, []byte) { return f.path, []byte("// the script") }

// prompt asks for what to ask the browser for, as the script does, and returns the answer
// that this passkey gives.
func (c *client) prompt(id string) string {
	c.t.Helper()
	r := c.do("GET", "/login/passkey", "", "Accept", "application/json")
	wantStatus(c.t, r, 200)
	return answerTo(c.t, r.body, id)
}

// answerTo returns the answer of a passkey to the data of a prompt.
func answerTo(t *testing.T, data, id string) string {
	t.Helper()
	var a asking
	check(t, json.Unmarshal([]byte(data), &a))
	b, err := json.Marshal(shown{id, "app.example", a.PublicKey.Challenge})
	check(t, err)
	return string(b)
}

// passkeyForm returns the form for a passkey in a page, which is hidden, and the data for the
// script.
func passkeyForm(t *testing.T, r response) (form *html.Node, data string) {
	t.Helper()
	accessible(t, r)
	wantHeaders(t, "a page with a passkey", r)
	form = only(t, parse(t, r), func(n *html.Node) bool { return has(n, "data-passkey") || has(n, "data-passkey-url") })
	if form.Data != "form" || !has(form, "hidden") || attr(form, "data-passkey-failed") == "" || attr(form, "data-passkey-exists") == "" {
		t.Errorf("the form is %v", form.Attr)
	}
	only(t, form, func(n *html.Node) bool { return n.Data == "input" && attr(n, "name") == "passkey" })
	only(t, form, func(n *html.Node) bool { return has(n, "data-passkey-message") && has(n, "hidden") })
	passkeyScript(t, r)
	return form, attr(form, "data-passkey")
}

// known returns what a page tells the browser about the passkeys, or "".
func known(t *testing.T, r response) string {
	t.Helper()
	for _, n := range all(parse(t, r), func(n *html.Node) bool { return has(n, "data-passkey-known") }) {
		return attr(n, "data-passkey-known")
	}
	return ""
}

func flash(t *testing.T, r response) string {
	t.Helper()
	_, text := message(t, r)
	return text
}

const passkeyWrong = "That passkey could not be used. Try again, or log in another way."

// TestPasskeyLogin (P17, P23, P24): the login page has a form for passkeys, which only the
// script shows, and the field for the name offers them.
func TestPasskeyLogin(t *testing.T) {
	t.Parallel()
	s, _ := newPasskeySite(t, nil, "key")
	c := s.client()
	page := c.get("/login?next=%2Fmine")
	form, _ := passkeyForm(t, page)
	if attr(form, "action") != "/login/passkey" || attr(form, "data-passkey-url") != "/login/passkey" || !has(form, "data-passkey-autofill") {
		t.Errorf("the form is %v", form.Attr)
	}
	box := only(t, form, with("name", "remember_me"))
	if attr(box, "type") != "hidden" || !has(box, "disabled") || attr(box, "data-passkey-if") != "remember_me" {
		t.Errorf("what copies the box is %v", box.Attr)
	}
	if f := fields(t, page)["login"]; f.autocomplete != "username webauthn" {
		t.Errorf("the field for the name is %+v", f)
	}
	if known(t, page) != "" {
		t.Error("a visitor's browser is told of passkeys")
	}

	// The script asks for JSON. A user who opens the URL goes to the login page.
	r := c.do("GET", "/login/passkey", "", "Accept", "application/json")
	if r.status != 200 || r.header.Get("Content-Type") != "application/json" || r.header.Get("Cache-Control") != "no-store" || r.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("the script gets %d, %v", r.status, r.header)
	}
	wantRedirect(t, c.do("GET", "/login/passkey?next=%2Fmine", "", "Accept", "text/html,*/*"), "/login?next=%2Fmine")

	answer := answerTo(t, r.body, "key")
	wantRedirect(t, c.post("/login/passkey", "passkey", answer, "next", "/mine", "remember_me", "y"), "/mine")
	if logins := s.logins(); len(logins) != 1 || !logins[0].Remembered || !slices.Equal(logins[0].Methods, []string{"passkey"}) {
		t.Errorf("the logins are %+v", logins)
	}
	// From here, next cannot lead back.
	wantRedirect(t, s.enterBy("key", "next", "/login/passkey"), "/")
	wantRedirect(t, s.enterBy("key", "next", "//evil.example"), "/")
}

// enterBy logs in by a passkey, in a new browser.
func (s *site) enterBy(id string, fields ...string) response {
	s.t.Helper()
	c := s.client()
	return c.post("/login/passkey", append(fields, "passkey", c.prompt(id))...)
}

// byPasskey returns a client that has logged in by a passkey.
func (s *site) byPasskey(id string) *client {
	s.t.Helper()
	c := s.client()
	wantRedirect(s.t, c.post("/login/passkey", "passkey", c.prompt(id)), "/")
	return c
}

// TestPasskeyLoginRefused (P13, P16): all refusals look the same. Only for a passkey that the
// site does not have, the page has something for the browser, which then forgets it (P22).
func TestPasskeyLoginRefused(t *testing.T) {
	t.Parallel()
	s, keys := newPasskeySite(t, nil, "key")
	s.create("anna", verified, disabled)
	keys.give(s.account("anna").ID, "annas")
	refused := func(id string, answer func(string) string) response {
		t.Helper()
		c := s.client()
		r := c.post("/login/passkey", "passkey", answer(c.prompt(id)), "next", "/mine")
		wantStatus(t, r, 422)
		passkeyForm(t, r)
		if heading(t, r) != "Log in" || flash(t, r) != passkeyWrong || c.loggedIn() {
			t.Errorf("%s: not the login page, or another text: %q", id, flash(t, r))
		}
		return r
	}
	as := func(answer string) func(string) string { return func(string) string { return answer } }
	same := func(answer string) string { return answer }
	first := refused("key", as("x"))
	for what, r := range map[string]response{
		"none":            refused("key", as("")),
		"an old prompt":   refused("key", as(`{"id":"key","rpId":"app.example","challenge":"challenge 0"}`)),
		"a disabled user": refused("annas", same),
		"a long answer":   refused("key", as(strings.Repeat("x", 60000))),
	} {
		if r.body != first.body {
			t.Errorf("%s looks different", what)
		}
	}
	unknown := refused(`"><script>`, same)
	told := only(t, parse(t, unknown), func(n *html.Node) bool { return has(n, "data-passkey-unknown") })
	if got := attr(told, "data-passkey-unknown"); got != `{"credentialId":"\"\u003e\u003cscript\u003e","rpId":"app.example"}` {
		t.Errorf("the browser is told %s", got)
	}
	if rest := regexp.MustCompile(`\s*<div hidden data-passkey-unknown="[^"]*"></div>`).ReplaceAllString(unknown.body, ""); rest != first.body {
		t.Error("an unknown passkey looks different")
	}
	if len(all(parse(t, first), func(n *html.Node) bool { return has(n, "data-passkey-unknown") })) > 0 {
		t.Error("a browser is told to forget a passkey for another reason")
	}
}

// TestPasskeyLoginLimited (P26): wrong passkeys count for the client's address.
func TestPasskeyLoginLimited(t *testing.T) {
	t.Parallel()
	s, _ := newPasskeySite(t, func(a *auth.Config, _ *pages.Config) { a.Limits.Guesses = 3 })
	c := s.client()
	for range 3 {
		wantStatus(t, c.post("/login/passkey", "passkey", "x"), 422)
	}
	r := c.post("/login/passkey", "passkey", "x")
	wantStatus(t, r, 429)
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	for range 10 {
		c.prompt("key")
	}
}

// TestPasskeyLoginTwice (P30): two tabs show the login page. Both work, in either order, and
// one that knows no better than the other leads on.
func TestPasskeyLoginTwice(t *testing.T) {
	t.Parallel()
	s, keys := newPasskeySite(t, nil, "key")
	s.create("anna", verified)
	keys.give(s.account("anna").ID, "annas")
	c := s.client()
	one, two, three := c.prompt("key"), c.prompt("key"), c.prompt("annas")
	wantRedirect(t, c.post("/login/passkey", "passkey", two, "next", "/mine"), "/mine")
	wantRedirect(t, c.post("/login/passkey", "passkey", one, "next", "/mine"), "/mine")
	wantRedirect(t, c.post("/login/passkey", "passkey", three, "next", "/mine"), "/mine")
	if r := c.get("/mine"); r.body != "anna" {
		t.Errorf("the user is %q", r.body)
	}
	// This prompt is for anna alone. She is logged in, so any page for visitors leads on.
	wantRedirect(t, c.post("/login/passkey", "passkey", c.prompt("key"), "next", "/mine"), "/mine")
	if r := c.get("/mine"); r.body != "anna" {
		t.Errorf("the user is %q", r.body)
	}
}

// TestPasskeyScript: the script is there under its exact path, only with passkeys, and only
// pages that need it may run it.
func TestPasskeyScript(t *testing.T) {
	t.Parallel()
	s, _ := newPasskeySite(t, nil, "key")
	c := s.client()
	r := c.get("/passkey.js")
	if r.status != 200 || r.body != "// the script" || r.header.Get("Content-Type") != "text/javascript; charset=utf-8" || r.header.Get("Cache-Control") != "no-cache" || r.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("the script is %d, %v", r.status, r.header)
	}
	wantStatus(t, c.do("GET", "/passkey.js", "", "If-None-Match", r.header.Get("ETag")), 304)
	src := passkeyScript(t, c.get("/login"))
	if r := c.get(src); r.status != 200 || !strings.Contains(r.header.Get("Cache-Control"), "immutable") || !strings.HasPrefix(src, "/passkey.js?v=") {
		t.Errorf("%s: %d, %v", src, r.status, r.header)
	}
	in := s.byPasskey("key")
	for path, scripts := range map[string]bool{
		"/account": true, "/account/passkeys": true, "/account/passkeys?add=1": true, "/refresh": true,
		"/account/password": false, "/account/sessions": false, "/account/close": false, "/account/two-factor": false,
		"/account/recovery-codes": false, "/account/email": false, "/nowhere": false, "/account/passkeys?rename=key": false,
	} {
		r := in.get(path)
		wantHeaders(t, path, r)
		accessible(t, r)
		if got := strings.Contains(r.body, src); got != scripts {
			t.Errorf("%s: %v, want %v", path, got, scripts)
		}
	}
	for path, scripts := range map[string]bool{"/login": true, "/register": false, "/forgot-password": false} {
		if got := strings.Contains(c.get(path).body, src); got != scripts {
			t.Errorf("%s: %v, want %v", path, got, scripts)
		}
	}

	without := newSite(t, nil)
	for _, path := range []string{"/passkey.js", "/login/passkey", "/account/passkeys"} {
		wantStatus(t, without.user("susan", good).get(path), 404)
	}
	if r := without.client().get("/login"); strings.Contains(r.body, "passkey") || strings.Contains(r.body, "webauthn") {
		t.Error("the login page knows of passkeys")
	}
	for _, wrong := range []struct{ path, prefix, want string }{
		{"/passkey.js", "/auth", "set ScriptPath to /auth/passkey.js"},
		{"/authpasskey.js", "/auth", "the pages serve only what is below"},
		{"/login", "", "/login is the path of a page"},
		{"/auth.css", "", "/auth.css is the path of a page"},
	} {
		keys := newPasskeys()
		keys.path = wrong.path
		core := newManager(auth.Config{Factors: []auth.Factor{keys}, URLs: auth.URLs{Login: wrong.prefix + "/login"}}).Core
		if _, err := pages.New(core, pages.Config{Prefix: wrong.prefix}); err == nil || !strings.Contains(err.Error(), wrong.want) {
			t.Errorf("%s below %q: %v", wrong.path, wrong.prefix, err)
		}
	}
}

// TestPasskeyAsSecondFactor (P15): after the password, the page asks for the passkey, by the
// script. The other ways stay.
func TestPasskeyAsSecondFactor(t *testing.T) {
	t.Parallel()
	app := newFactors().app
	s, _ := newPasskeySite(t, func(a *auth.Config, _ *pages.Config) {
		a.Factors, a.TrustFor = append(a.Factors, app), 30*24*time.Hour
	}, "key")
	app.set(s.account("susan").ID, true)
	c := s.client()
	page := c.begin("next", "/mine")
	form, data := passkeyForm(t, page)
	if text(only(t, form, tag("button"))) != "Confirm with a passkey" || attr(only(t, form, with("name", "next")), "value") != "/mine" {
		t.Error("not the form")
	}
	if text(only(t, form, tag("label"))) != "Do not ask in this browser for 30 days" || !strings.Contains(page.body, "data-passkey-without>") {
		t.Error("something is missing")
	}
	if link(t, page, "Authenticator app") != "/login/verify?with=totp&next=%2Fmine" {
		t.Error("the other way is not there")
	}
	r := c.push(form, "passkey", "x")
	wantStatus(t, r, 422)
	if flash(t, r) != passkeyWrong {
		t.Errorf("a wrong passkey: %q", flash(t, r))
	}
	_, again := passkeyForm(t, r)
	wantRedirect(t, c.post("/login/verify?with=passkey", "passkey", answerTo(t, again, "key"), "next", "/mine", "trust_browser", "y"), "/mine")
	wantRedirect(t, c.post("/logout"), "/")
	wantRedirect(t, c.post("/login", "login", "susan", "password", good), "/") // the browser is trusted

	// Only of a passkey that the site does not have, the browser is told to forget it (P22).
	stale := s.client()
	stale.begin()
	for id, want := range map[string]string{"gone": `{"credentialId":"gone","rpId":"app.example"}`, "": ""} {
		_, data := passkeyForm(t, stale.get("/login/verify?with=passkey"))
		answer := "x"
		if id != "" {
			answer = answerTo(t, data, id)
		}
		r := stale.post("/login/verify?with=passkey", "passkey", answer)
		wantStatus(t, r, 422)
		told := ""
		for _, n := range all(parse(t, r), func(n *html.Node) bool { return has(n, "data-passkey-unknown") }) {
			told = attr(n, "data-passkey-unknown")
		}
		if told != want || flash(t, r) != passkeyWrong {
			t.Errorf("after %q, the browser is told %q", id, told)
		}
	}

	// A challenge that a wrong answer has spent is not accepted.
	other := s.client()
	_, old := passkeyForm(t, other.begin())
	if old == data {
		t.Error("two logins have one challenge")
	}
	wantStatus(t, other.post("/login/verify?with=passkey", "passkey", answerTo(t, data, "key")), 422)
	if page := other.get("/login/verify?with=totp"); link(t, page, "Passkey") != "/login/verify?with=passkey" {
		t.Error("the passkey is not there")
	}
}

// TestPasskeyRefresh (P18): a login becomes fresh by a passkey, with and without a password.
func TestPasskeyRefresh(t *testing.T) {
	t.Parallel()
	s, keys := newPasskeySite(t, nil, "key")
	s.create("anna", verified)
	keys.give(s.account("anna").ID, "annas")
	c := s.byPasskey("key")
	s.advance(21 * time.Minute)
	wantRedirect(t, c.get("/account/close"), "/refresh?next=%2Faccount%2Fclose")
	page := c.get("/refresh?next=%2Faccount%2Fclose")
	form, _ := passkeyForm(t, page)
	if heading(t, page) != "Confirm that it is you" || fields(t, page)["password"].label != "Password" || strings.Contains(page.body, "data-passkey-without") || has(form, "data-passkey-autofill") {
		t.Error("not the page of a user with a password")
	}
	for _, wrong := range []string{"", "x", c.prompt("annas")} {
		r := c.push(form, "passkey", wrong)
		wantStatus(t, r, 422)
		if flash(t, r) != passkeyWrong {
			t.Errorf("%q", flash(t, r))
		}
	}
	wantRedirect(t, c.push(form, "passkey", c.prompt("key")), "/account/close")
	wantStatus(t, c.get("/account/close"), 200)

	s.update("susan", func(a *auth.Account) { a.PasswordHash = auth.Secret{} })
	s.advance(21 * time.Minute)
	page = c.get("/refresh?next=%2Faccount%2Fclose")
	form, _ = passkeyForm(t, page)
	if len(fields(t, page)) > 0 || !strings.Contains(page.body, "data-passkey-without>") {
		t.Error("the page asks for a password that the account does not have")
	}
	wantRedirect(t, c.push(form, "passkey", c.prompt("key")), "/account/close")
	wantStatus(t, c.get("/account/close"), 200)

	// A visitor goes to the login, and a user without passkeys sees the form as before.
	wantRedirect(t, s.client().post("/refresh", "passkey", "x", "next", "/mine"), "/login?next=%2Fmine")
	s.create("bert", verified)
	if page := s.user("bert", good).get("/refresh"); strings.Contains(page.body, "data-passkey") || heading(t, page) != "Confirm your password" {
		t.Error("a user without passkeys is asked for one")
	}
}

package pages_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/pages"
)

// An object is a JSON answer of the pages.
type object struct {
	auth.Problem

	Messages []struct{ Category, Text string }
	Page     string
	Acting   bool
	User     *struct{ ID, Username, Email string }
	Account  string
	Form     *struct {
		Action string
		Fields []struct{ Name, Label, Type string }
	}
	Hidden  map[string]string
	Passkey *struct {
		Action, URL string
		Options     json.RawMessage
	}
	TwoFactor bool `json:"two_factor"`
	Factors   []struct {
		Name, URL string
		Enrolled  bool
	}
	Setup    *struct{ Secret, URL string }
	Codes    []string
	Sessions []struct {
		ID      string
		Current bool
	}
	Passkeys   []struct{ ID, Name string }
	Identities []struct{ ID, Provider string }
	Providers  []struct{ Action, Label, Purpose string }
}

// json sends a request as a program does. fields are pairs of name and value, as for post.
func (c *client) json(method, target string, fields ...string) response {
	c.t.Helper()
	body := map[string]any{}
	for i := 0; i < len(fields); i += 2 {
		body[fields[i]] = fields[i+1]
		if slices.Contains([]string{"remember_me", "others", "confirm", "passkey_able", "cancel", "trust_browser", "remove_password"}, fields[i]) {
			body[fields[i]] = fields[i+1] != ""
		}
	}
	text := ""
	if method == http.MethodPost && len(body) > 0 {
		encoded, err := json.Marshal(body)
		check(c.t, err)
		text = string(encoded)
	}
	return c.raw(method, target, text)
}

// raw sends a text as JSON.
func (c *client) raw(method, target, body string, headers ...string) response {
	c.t.Helper()
	return c.do(method, target, body, append([]string{"Accept", "application/json", "Content-Type", "application/json"}, headers...)...)
}

// answerOf reads a JSON answer, and checks what all have.
func answerOf(t *testing.T, r response, status int) (o object) {
	t.Helper()
	wantStatus(t, r, status)
	kind := "application/json"
	if status >= 400 {
		kind = "application/problem+json"
	}
	if err := json.Unmarshal([]byte(r.body), &o); err != nil || r.header.Get("Content-Type") != kind || !slices.Contains(r.header["Vary"], "Accept") ||
		r.header.Get("Cache-Control") != "no-store" || r.header.Get("X-Content-Type-Options") != "nosniff" || r.location != "" {
		t.Errorf("%d %v %s: %v", r.status, r.header, r.body, err)
	}
	if status >= 400 && (o.Status != status || o.Code == "" || o.Title == "") {
		t.Errorf("the problem is %s", r.body)
	}
	return o
}

// TestJSONLogin (J2, J9): a program registers, logs in with a password, is told what is
// pending, shows the factor, and learns who is logged in.
func TestJSONLogin(t *testing.T) {
	t.Parallel()
	s, f := newFactorSite(t, nil)
	c := s.client()
	form := answerOf(t, c.json("GET", "/register"), 200)
	var names []string
	for _, field := range form.Form.Fields {
		names = append(names, field.Name+" "+field.Type)
	}
	if got := strings.Join(names, ", "); form.Page != "register" || form.Form.Action != "/register" || got != "username text, email email, password password, confirm_password password" {
		t.Errorf("the form is %s: %s", form.Form.Action, got)
	}
	registered := answerOf(t, c.json("POST", "/register", registration("anna", good)...), 200)
	if registered.Next != "/login" || len(registered.Messages) != 1 || registered.Messages[0].Category != "success" {
		t.Errorf("%+v", registered)
	}

	if who := answerOf(t, c.json("GET", "/account"), 401); who.Code != "not-logged-in" || who.Pending != nil {
		t.Errorf("%+v", who.Problem)
	}
	owed := answerOf(t, c.json("POST", "/login", "login", "susan", "password", good, "next", "/mine"), 401)
	pending := &auth.ProblemPending{Kind: "second-factor", Methods: []string{"totp", "recovery"}}
	if owed.Code != "factor-required" || !reflect.DeepEqual(owed.Pending, pending) || owed.Next != "/login/verify?next=%2Fmine" || owed.Title != "Confirm that it is you" {
		t.Errorf("%+v", owed.Problem)
	}
	if who := answerOf(t, c.json("GET", "/account"), 401); who.Code != "not-logged-in" || !reflect.DeepEqual(who.Pending, pending) {
		t.Errorf("%+v", who.Problem)
	}
	asked := answerOf(t, c.json("GET", owed.Next), 200)
	if asked.Account != "susan" || asked.Form == nil || asked.Form.Fields[0].Name != "code" || asked.Hidden["next"] != "/mine" || asked.Hidden["form_once"] == "" ||
		len(asked.Factors) != 1 || asked.Factors[0].Name != "recovery" {
		t.Errorf("%+v", asked)
	}
	wrong := answerOf(t, c.json("POST", asked.Form.Action, "code", "wrong"), 422)
	if wrong.Code != "login-refused" || !reflect.DeepEqual(wrong.Fields, map[string]string{"code": factorWrong}) {
		t.Errorf("%+v", wrong.Problem)
	}
	f.app.give("enter")
	if done := answerOf(t, c.json("POST", asked.Form.Action, "code", "enter", "next", "/mine"), 200); done.Next != "/mine" {
		t.Errorf("%+v", done)
	}
	who := answerOf(t, c.json("GET", "/account"), 200)
	if who.User == nil || who.User.Username != "susan" || who.User.Email != "susan@example.com" || who.User.ID != s.account("susan").ID || !who.TwoFactor ||
		strings.Contains(strings.ToLower(c.json("GET", "/account").body), "hash") {
		t.Errorf("%+v", who)
	}

	// The lists.
	if list := answerOf(t, c.json("GET", "/account/sessions"), 200); len(list.Sessions) != 1 || !list.Sessions[0].Current || list.Hidden["form_user"] == "" {
		t.Errorf("%+v", list)
	}
	codes := answerOf(t, c.json("POST", "/account/recovery-codes"), 200)
	if len(codes.Codes) != 10 {
		t.Errorf("%+v", codes)
	}
	if list := answerOf(t, c.json("GET", "/account/two-factor"), 200); len(list.Factors) != 2 || !list.Factors[0].Enrolled {
		t.Errorf("%+v", list)
	}
	out := answerOf(t, c.json("POST", "/logout"), 200)
	if out.Next != "/" || len(out.Messages) != 1 || c.cookie("-flash") != "" || c.loggedIn() {
		t.Errorf("%+v", out)
	}
}

// TestJSONImpersonation (I4, I6): a program is told that an administrator acts as the user,
// and cannot do more than a browser then.
func TestJSONImpersonation(t *testing.T) {
	t.Parallel()
	_, c := newActing(t)
	if who := answerOf(t, c.json("GET", "/account"), 200); !who.Acting || who.User.Username != "susan" {
		t.Errorf("%+v", who)
	}
	for _, path := range []string{"/account/password", "/account/close"} {
		r := c.json("POST", path, "current_password", good, "password", other, "confirm_password", other, "confirm", "y")
		if o := answerOf(t, r, 403); o.Code != "impersonating" {
			t.Errorf("%s: %+v", path, o.Problem)
		}
	}
	if out := answerOf(t, c.json("POST", "/stop-impersonating"), 200); out.Next != "/" {
		t.Errorf("%+v", out)
	}
	if who := answerOf(t, c.json("GET", "/account"), 200); who.Acting {
		t.Errorf("%+v", who)
	}
}

// TestJSONPasskeys: a program adds a passkey and logs in with it, by what it asks the
// browser for.
func TestJSONPasskeys(t *testing.T) {
	t.Parallel()
	s, keys := newPasskeySite(t, nil)
	c := s.user("susan", good)
	add := answerOf(t, c.json("GET", "/account/passkeys?add"), 200)
	var asked asking
	check(t, json.Unmarshal(add.Passkey.Options, &asked))
	if add.Passkey.Action != "/account/passkeys?add=1" || asked.Kind != "create" || asked.PublicKey.Challenge == "" {
		t.Fatalf("%+v", add.Passkey)
	}
	key := func(challenge string) string {
		text, err := json.Marshal(shown{ID: "key", RPID: "127.0.0.1", Challenge: challenge})
		check(t, err)
		return string(text)
	}
	if added := answerOf(t, c.json("POST", add.Passkey.Action, "passkey", key(asked.PublicKey.Challenge)), 200); added.Next != "/account/recovery-codes" {
		t.Errorf("%+v", added)
	}
	if list := answerOf(t, c.json("GET", "/account/passkeys"), 200); len(list.Passkeys) != 1 {
		t.Errorf("%+v", list)
	}
	_ = keys

	fresh := s.client()
	login := answerOf(t, fresh.json("GET", "/login"), 200)
	if login.Passkey == nil || login.Passkey.URL != "/login/passkey" || login.Passkey.Action != "/login/passkey" {
		t.Fatalf("%+v", login.Passkey)
	}
	prompt := fresh.json("GET", login.Passkey.URL)
	wantStatus(t, prompt, 200)
	check(t, json.Unmarshal([]byte(prompt.body), &asked))
	if asked.Kind != "get" {
		t.Errorf("%s", prompt.body)
	}
	if r := answerOf(t, fresh.json("POST", login.Passkey.Action, "passkey", `{"id":"none"}`), 422); r.Code != "passkey-refused" && r.Code != "unknown-passkey" {
		t.Errorf("%+v", r.Problem)
	}
	if in := answerOf(t, fresh.json("POST", login.Passkey.Action, "passkey", key(asked.PublicKey.Challenge), "remember_me", "y"), 200); in.Next != "/" || !fresh.loggedIn() {
		t.Errorf("%+v", in)
	}
}

// TestJSONProblems (J3, J4): what is wrong has a code, a title in the language of the pages
// and, for a form, the fields. No text of a store gets out.
func TestJSONProblems(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(cfg *auth.Config, c *pages.Config) {
		withAll(cfg, c)
		cfg.Limits = auth.Limits{Guesses: 4, Mails: 3}
		c.Texts.NotFound, c.Texts.LoginFailed = "Gibt es nicht", "Das war falsch"
		cfg.ErrorPage = func(w http.ResponseWriter, _ *http.Request, status int, _ error) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte("<p>a page of the application"))
		}
	})
	s.mallory()
	c, stale, mallory := s.user("susan", good), s.user("susan", good), s.user("mallory", good)
	formOf := answerOf(t, mallory.json("GET", "/account/password"), 200).Hidden["form_user"]
	got := map[string]bool{}
	want := func(r response, status int, code string, fields ...string) object {
		t.Helper()
		o := answerOf(t, r, status)
		if o.Code != code || !slices.Equal(slices.Sorted(maps.Keys(o.Fields)), fields) && len(fields)+len(o.Fields) > 0 {
			t.Errorf("%s, want %s with %v", r.body, code, fields)
		}
		got[fmt.Sprint("| `", code, "` | ", status, " |")] = true
		return o
	}
	if o := want(c.json("GET", "/nowhere"), 404, "not-found"); o.Title != "Gibt es nicht" {
		t.Errorf("%+v", o.Problem)
	}
	want(c.json("GET", "/logout"), 405, "method-not-allowed")
	want(c.do("POST", "/logout", "x=y", "Accept", "application/json"), 415, "unsupported-media-type")
	want(c.raw("POST", "/logout", strings.Repeat(" ", 65<<10)), 413, "too-large")
	want(c.raw("POST", "/logout", "{"), 400, "bad-request")
	want(c.json("POST", "/account/sessions"), 400, "bad-request")
	want(c.json("POST", "/account/sessions", "id", "none"), 404, "not-found")
	want(s.client().json("POST", "/register", "username", "x", "email", "x", "password", "x"), 422, "invalid-fields", "confirm_password", "email", "password", "username")
	if o := want(s.client().json("POST", "/login", "login", "susan", "password", "wrong"), 422, "login-refused"); o.Title != "Das war falsch" {
		t.Errorf("%+v", o.Problem)
	}
	want(s.client().json("POST", "/login", "login", "susan"), 422, "invalid-fields", "password")
	want(c.json("POST", "/account/password", "current_password", "wrong", "password", other, "confirm_password", other), 422, "invalid-fields", "current_password")
	want(c.json("POST", "/account/password", "form_user", formOf), 409, "other-user")
	want(c.json("POST", "/login", "login", "mallory", "password", good), 409, "already-logged-in")
	want(s.client().json("POST", "/reset-password", "password", other, "confirm_password", other), 400, "invalid-token")
	want(s.client().json("GET", "/verify-email?token=x"), 400, "invalid-token")
	want(s.client().json("GET", "/login/verify"), 401, "not-logged-in")
	want(s.client().json("GET", "/account"), 401, "not-logged-in")
	want(c.json("GET", "/account/two-factor?set-up=totp"), 403, "unverified")
	s.update("susan", verified)
	want(c.json("POST", "/account/recovery-codes"), 403, "no-factor")
	for range 2 {
		s.client().json("POST", "/login", "login", "nobody", "password", "wrong")
	}
	if r := s.client().json("POST", "/login", "login", "nobody", "password", "wrong"); want(r, 429, "rate-limited").Title == "" || r.header.Get("Retry-After") == "" {
		t.Errorf("%v", r.header)
	}
	s.advance(21 * time.Minute)
	want(stale.json("GET", "/account/email"), 401, "not-fresh")
	want(stale.json("POST", "/account/sessions", "others", "y"), 401, "not-fresh")
	s.store.fail(errDisk)
	if r := c.json("GET", "/account"); want(r, 503, "unavailable").Fields != nil || strings.Contains(r.body, "fire") || r.header.Get("Retry-After") == "" {
		t.Errorf("%v %s", r.header, r.body)
	}
	s.store.fail(nil)

	doc, err := os.ReadFile(filepath.Join("..", "docs", "json.md"))
	check(t, err)
	for row := range got {
		if !strings.Contains(string(doc), row) {
			t.Errorf("docs/json.md has no %s", row)
		}
	}
	for _, code := range []string{"invalid-fields", "passkey-refused", "unknown-passkey", "form-busy", "last-way-in", "reset-required"} {
		if !strings.Contains(string(doc), "| `"+code+"` |") {
			t.Errorf("docs/json.md has no %s", code)
		}
	}
}

// TestJSONNothingDone: where a form changes nothing, and HTML only leads on, a program gets a
// problem.
func TestJSONNothingDone(t *testing.T) {
	t.Parallel()
	s, f := newUnprotected(t, emailLogin)
	s.update("susan", verified)
	c := s.user("susan", good)
	for _, form := range []struct {
		target string
		fields []string
	}{
		{"/account/two-factor", []string{"remove", "nope"}},
		{"/account/two-factor", []string{"unlock", "nope"}},
		{"/account/two-factor?set-up=nope", []string{"code", "x"}},
	} {
		if o := answerOf(t, c.json("POST", form.target, form.fields...), 403); o.Code != "no-factor" || o.Next != "/account/two-factor" {
			t.Errorf("%v: %+v", form, o)
		}
	}
	f.app.give("right")
	wantStatus(t, c.json("POST", "/account/two-factor?set-up=totp", "code", "right"), 200)

	s = newMailSite(t, nil)
	s.update("susan", func(a *auth.Account) { a.PasswordHash = auth.Secret{} })
	c = s.client()
	wantRedirect(t, c.press("/login/code", "email", "susan@example.com"), "/login/code")
	wantRedirect(t, c.submit(c.get("/login/code"), "/login/code", "code", s.code("susan@example.com")), "/")
	s.advance(30 * time.Minute)
	if o := answerOf(t, c.json("POST", "/refresh", "password", "x", "next", "/mine"), 401); o.Code != "not-fresh" || o.Next != "/login/code?next=%2Fmine" {
		t.Errorf("%+v", o)
	}
	if o := answerOf(t, c.json("GET", "/refresh"), 200); o.Next != "/login/code" {
		t.Errorf("%+v", o)
	}
}

// TestJSONLoginRefused: a refused login has one code and one status at all paths, in HTML and
// in JSON, so a program does not take it for the end of the session.
func TestJSONLoginRefused(t *testing.T) {
	t.Parallel()
	s, _ := newPasskeySite(t, nil, "key")
	c := s.byPasskey("key")
	r := c.json("POST", "/login/passkey", "passkey", `{"id":"none"}`)
	if o := answerOf(t, r, 422); o.Code != "login-refused" || o.Next != "/" || r.header.Get("WWW-Authenticate") != "" || !c.loggedIn() {
		t.Errorf("%s", r.body)
	}
	var fails error
	s.mux.HandleFunc("POST /fails", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept")
		s.pages.Fail(w, r, fails, r.Header.Get("Accept") == "application/json")
	})
	for err, status := range map[error]int{auth.ErrDisabled: 422, auth.ErrWrongFactor: 422, auth.ErrUnverified: 403, auth.ErrNotFresh: 401} {
		fails = err
		browser, program := c.post("/fails"), answerOf(t, c.json("POST", "/fails"), status)
		if browser.status != status && browser.status != http.StatusSeeOther {
			t.Errorf("%v: %d", err, browser.status)
		}
		if status != 422 {
			continue
		}
		accessible(t, browser)
		if category, text := message(t, browser); category != "danger" || text != program.Title || program.Code != "login-refused" || heading(t, browser) != "Log in" {
			t.Errorf("%v: %s, and for a program %+v", err, browser.body, program)
		}
	}
}

// TestJSONBodies (J5): only one flat JSON object is a form.
func TestJSONBodies(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	login := func(body string, headers ...string) response {
		return s.client().raw("POST", "/login", body, headers...)
	}
	right := `"login":"susan","password":"` + good + `"`
	for _, body := range []string{
		`{` + right + `}`,
		" \t\n{" + right + "\n}\n ",
		`{"remember_me":true,` + right + `}`,
		`{"remember_me":false,` + right + `}`,
		`{"roles":["admin"],"a":{"b":[1,null]},"is_admin":true,"n":null,` + right + `}`, // unknown: ignored (R13)
		`{"log\u0069n":"susan","password":"` + good + `"}`,
	} {
		if o := answerOf(t, login(body), 200); o.Next != "/" {
			t.Errorf("%s: %+v", body, o)
		}
	}
	if r := login(`{`+right+`}`, "Content-Type", "application/json; charset=UTF-8"); r.status != 200 {
		t.Errorf("with a charset: %d", r.status)
	}
	c := s.client()
	answerOf(t, c.raw("POST", "/login", `{"remember_me":false,`+right+`}`), 200)
	if c.cookie("-remember") != "" {
		t.Error("false is true")
	}
	for field, bodies := range map[string][]string{
		"":            {`[]`, `"x"`, `null`, `{`, `{"a"}`, `{"a":1,}`, `{"a":1}{"b":2}`, `{"a":1} x`, "\xef\xbb\xbf{}", "{\"login\":\"\xff\"}", `{'a':1}`, `{a:1}`, `x`, `{"a":01}`, `{"a":NaN}`, strings.Repeat(`{"a":`, 10000)},
		"login":       {`{"login":["susan"]}`, `{"login":{"a":1}}`, `{"login":null}`, `{"login":true}`, `{"login":"susan","login":"mallory"}`, `{"login":"susan","lo\u0067in":"x"}`, `{"login":"\ud800"}`, `{"login":"\ud800\ud800"}`, `{"login":"\udc00"}`, `{"login":"\ud800x\udc00"}`},
		"remember_me": {`{"remember_me":1}`, `{"remember_me":[]}`, `{"remember_me":null}`},
		"next":        {`{"next":{}}`},
		"unknown":     {`{"unknown":1,"unknown":1}`},
	} {
		for _, body := range bodies {
			o := answerOf(t, login(body), 400)
			if o.Code != "bad-request" || field == "" && o.Fields != nil || field != "" && o.Fields[field] == "" {
				t.Errorf("%.100s: %+v", body, o.Problem)
			}
		}
	}
	// A pair of surrogates is one character.
	if o := answerOf(t, login(`{"login":"\ud83d\ude00","password":"\\ud800"}`), 422); o.Code != "login-refused" {
		t.Errorf("%+v", o.Problem)
	}
	for _, kind := range []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=latin1", "text/json", "application/jsonp", ""} {
		r := login(`{`+right+`}`, "Content-Type", kind)
		if o := answerOf(t, r, 415); o.Code != "unsupported-media-type" || r.header.Get("Accept-Post") != "application/json" {
			t.Errorf("%s: %+v", kind, o.Problem)
		}
	}
	answerOf(t, login(`{`+right+`}`, "Content-Encoding", "gzip"), 415)
	answerOf(t, login(`{"a":"`+strings.Repeat("x", 64<<10)+`",`+right+`}`), 413)
	// A body without Accept is JSON, too, unless the client is a browser.
	if r := s.client().do("POST", "/login", `{`+right+`}`, "Content-Type", "application/json"); r.status != 200 {
		t.Errorf("without Accept: %d", r.status)
	}
	if r := s.client().do("POST", "/login", `{`+right+`}`, "Content-Type", "application/json", "Accept", "text/html"); r.status != 415 {
		t.Errorf("a browser: %d", r.status)
	}
}

// TestJSONCrossOrigin (J7): another site's script can neither use the pages nor read
// cookies, and no answer has a CORS header.
func TestJSONCrossOrigin(t *testing.T) {
	t.Parallel()
	s := newSite(t, withAll)
	c := s.client()
	answers := []response{}
	body := `{"login":"susan","password":"` + good + `","remember_me":true}`
	for _, headers := range [][]string{
		{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"},
		{"Origin", "https://evil.example"},
		{"Origin", "null"},
		{"Sec-Fetch-Site", "same-site", "Origin", "http://other.127.0.0.1"},
	} {
		r := c.raw("POST", "/login", body, headers...)
		if o := answerOf(t, r, 403); o.Code != "cross-origin" || len(c.sent) > 0 {
			t.Errorf("%v: %+v", headers, o.Problem)
		}
		answers = append(answers, r)
	}
	preflight := c.do("OPTIONS", "/login", "", "Origin", "https://evil.example", "Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type")
	in := c.raw("POST", "/login", body, "Origin", c.base, "Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors")
	wantStatus(t, in, 200)
	answers = append(answers, preflight, in)
	for _, path := range s.pages.Paths() {
		answers = append(answers, c.raw("GET", path, "", "Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"))
	}
	for _, r := range answers {
		for name := range r.header {
			if strings.HasPrefix(name, "Access-Control-") {
				t.Errorf("the header %s", name)
			}
		}
	}
	if len(c.sent) == 0 {
		t.Error("no cookie")
	}
	for _, cookie := range c.sent {
		if !cookie.HttpOnly {
			t.Errorf("a script can read %s", cookie)
		}
	}
}

// A facesOf is one site for each face, in the same state.
type facesOf struct {
	html, json *site
	visitors   [2]*client
	factors    [2]*factors
}

// newFaces returns two equal sites, in which this kind of visitor has done the same.
func newFaces(t *testing.T, kind string) facesOf {
	t.Helper()
	var f facesOf
	for i, s := range []**site{&f.html, &f.json} {
		f.factors[i] = newFactors()
		*s = newSite(t, func(a *auth.Config, c *pages.Config) {
			a.Factors, a.EmailLogin, c.OpenAPI = []auth.Factor{f.factors[i].app, f.factors[i].recovery, newPasskeys()}, true, true
			a.Limits = auth.Limits{Guesses: -1, Mails: -1, Registrations: -1}
			a.RequireFactor = func(user auth.User) bool { return kind == "must enroll" && user.AuthAccount().Username == "susan" }
		})
		provide(t, (*s).manager.Core)
		f.visitors[i] = f.visit(*s, kind, f.factors[i])
	}
	return f
}

// visit returns a visitor.
func (f facesOf) visit(s *site, kind string, factors *factors) *client {
	id := s.account("susan").ID
	if kind != "unverified" {
		s.update("susan", verified)
	}
	if kind == "waiting" || kind == "with a factor" {
		factors.app.set(id, true)
		factors.recovery.set(id, "spare")
	}
	switch kind {
	case "nobody":
		return s.client()
	case "waiting":
		c := s.client()
		c.begin()
		return c
	case "with a factor":
		return factors.enter(s)
	case "a link":
		c := s.client()
		wantRedirect(s.t, c.get(s.link("susan@example.com")), "/reset-password")
		return c
	}
	c := s.user("susan", good)
	switch kind {
	case "not fresh":
		s.advance(25 * time.Minute)
	case "disabled":
		s.update("susan", disabled)
	}
	return c
}

// state is what requests can change, as a text.
func (f facesOf) state(s *site, c *client, factors *factors) string {
	a := auth.Account{}
	if user, err := s.store.Store.FindUser(s.t.Context(), "susan"); err == nil {
		a = user.Account
	}
	anna, _ := s.store.Store.FindUser(s.t.Context(), "anna")
	logins := 0
	if a.ID != "" {
		logins = len(s.logins())
	}
	u, err := url.Parse(c.base)
	check(s.t, err)
	var cookies []string
	for _, cookie := range c.http.Jar.Cookies(u) {
		// HTML keeps messages for the next page; JSON has them in the answer. Only the script,
		// which is a program, asks what to ask the browser for.
		if _, name, _ := strings.Cut(cookie.Name, "-"); !strings.HasSuffix(name, "flash") && !strings.HasSuffix(name, "passkey") {
			cookies = append(cookies, strings.TrimLeft(name, "0123456789-"))
		}
	}
	slices.Sort(cookies)
	left, _ := factors.recovery.Left(s.t.Context(), a.ID)
	return fmt.Sprint(a.Email, a.EmailVerified, a.Disabled, a.Version, a.Stamp.Reveal() == "stamp", anna != nil, " logins ", logins, " cookies ", cookies,
		" mails ", s.kinds(), " factor ", factors.app.has(a.ID), left)
}

// TestJSONVerdicts (J1): for every path, method and kind of visitor, a program gets the
// verdict of a browser, and the same changes.
func TestJSONVerdicts(t *testing.T) {
	t.Parallel()
	right := map[string][]string{
		"/register": registration("anna", good), "/login": {"login", "susan", "password", good, "remember_me", "y"},
		"/forgot-password": {"email", "susan@example.com"}, "/reset-password": {"password", other, "confirm_password", other},
		"/verify-email": {"email", "susan@example.com"}, "/account/password": {"current_password", good, "password", other, "confirm_password", other},
		"/account/email": {"email", "new@example.com"}, "/account/sessions": {"others", "y"}, "/account/close": {"current_password", good, "confirm", "y"},
		"/refresh": {"password", good, "next", "/mine"}, "/login/verify": {"code", "enter", "next", "/mine"}, "/login/code": {"email", "susan@example.com"},
		"/account/two-factor": {"unlock", "totp"}, "/account/passkeys": {"remove", "none"}, "/account/identities": {"remove", "none"},
		"/login/passkey": {"passkey", `{"id":"none"}`},
	}
	kinds := []string{"nobody", "a user", "waiting", "not fresh", "with a factor", "must enroll", "a link", "unverified", "disabled"}
	kinds = kinds[:testapp.Rounds(t, 3, len(kinds))]
	for _, path := range newSiteForPaths(t).pages.Paths() {
		if isAsset(path) {
			continue
		}
		for _, kind := range kinds {
			t.Run(strings.TrimPrefix(path, "/")+", "+kind, func(t *testing.T) {
				t.Parallel()
				f := newFaces(t, kind)
				for _, step := range []struct {
					method, target string
					fields         []string
				}{
					{"GET", path, nil}, {"HEAD", path, nil}, {"GET", path + "?next=%2Fmine&set-up=totp&add&with=recovery", nil}, {"GET", path + "?token=none", nil},
					{"DELETE", path, nil},
					{"POST", path, nil},
					{"POST", path, []string{"login", "x", "password", "x", "email", "x", "code", "x", "id", "x", "remove", "x", "username", "x", "passkey", "x"}},
					{"POST", path, append([]string{"form_user", "another"}, right[path]...)},
					{"POST", path, right[path]}, {"POST", path, right[path]},
				} {
					f.compare(t, step.method, step.target, step.fields)
				}
			})
		}
	}
}

func newSiteForPaths(t *testing.T) *site {
	t.Helper()
	s := newSite(t, withAll)
	provide(t, s.manager.Core)
	return s
}

// compare sends the same request to both faces.
func (f facesOf) compare(t *testing.T, method, target string, fields []string) {
	t.Helper()
	for i := range f.factors {
		f.factors[i].app.give("enter")
	}
	var browser response
	if method == http.MethodPost {
		browser = f.visitors[0].do(method, target, urlencoded(fields), "Accept", "text/html")
	} else {
		browser = f.visitors[0].do(method, target, "", "Accept", "text/html")
	}
	program := f.visitors[1].json(method, target, fields...)
	what := fmt.Sprint(method, " ", target, " ", fields)
	if method == http.MethodHead {
		if program.status/100 != browser.status/100 && browser.status != http.StatusSeeOther {
			t.Errorf("%s: a browser gets %d, and a program %d", what, browser.status, program.status)
		}
	} else if !strings.HasPrefix(target, "/login/passkey") || method != http.MethodGet { // which is for the script only
		f.verdict(t, what, browser, program)
	}
	a, b := f.state(f.html, f.visitors[0], f.factors[0]), f.state(f.json, f.visitors[1], f.factors[1])
	if a != b {
		t.Errorf("%s: after a browser's, the state is\n%s, and after a program's\n%s", what, a, b)
	}
	if a, b := f.visitors[0].loggedIn(), f.visitors[1].loggedIn(); a != b {
		t.Errorf("%s: the browser is logged in: %v, and the program: %v", what, a, b)
	}
}

// verdict compares two answers.
func (f facesOf) verdict(t *testing.T, what string, browser, program response) {
	t.Helper()
	o := answerOf(t, program, program.status)
	path, _, _ := strings.Cut(browser.location, "?")
	denies := o.Code == "other-user" || slices.Contains([]string{"not-logged-in", "not-fresh", "no-factor", "unverified", "factor-required", "invalid-token", "login-refused"}, o.Code) &&
		slices.Contains([]string{"/login", "/refresh", "/login/verify", "/account/two-factor", "/verify-email", "/forgot-password", "/login/code", "/account/email", "/"}, path)
	switch {
	case browser.status != http.StatusSeeOther:
		if program.status != browser.status {
			t.Errorf("%s: a browser gets %d, and a program %s", what, browser.status, program.body)
		}
	case program.status == http.StatusOK:
		if o.Next != browser.location || path == "/login/verify" {
			t.Errorf("%s: a browser goes to %s, and a program gets %s", what, browser.location, program.body)
		}
	case !denies:
		t.Errorf("%s: a browser goes to %s, and a program gets %s", what, browser.location, program.body)
	}
}

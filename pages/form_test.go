package pages_test

import (
	"bytes"
	"compress/gzip"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"golang.org/x/net/html"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// A posting is a form that can be sent.
type posting struct {
	client *client
	path   string
	fields []string // names and values
	leads  string   // where it leads if it is read
}

// postings returns all forms of the pages. Each function makes a new site.
func postings(t *testing.T) map[string]func() (*site, posting) {
	open := func(of func(s *site) posting) func() (*site, posting) {
		return func() (*site, posting) {
			s := newSite(t, nil)
			return s, of(s)
		}
	}
	// opened returns the form of the page that a mailed link leads to.
	opened := func(c *client, link, leads string, fields ...string) posting {
		page := c.get(link).location
		return posting{c, page, append(fields, hidden(t, c.get(page))...), leads}
	}
	return map[string]func() (*site, posting){
		"register": open(func(s *site) posting {
			return posting{s.client(), "/register", registration("anna", good), "/login"}
		}),
		"log in": open(func(s *site) posting {
			return posting{s.client(), "/login", []string{"login", "susan", "password", good, "remember_me", "y", "next", "/mine"}, "/mine"}
		}),
		"log out": open(func(s *site) posting {
			return posting{s.user("susan", good), "/logout", []string{"x", "y"}, "/"}
		}),
		"forgot": open(func(s *site) posting {
			return posting{s.client(), "/forgot-password", []string{"email", "susan@example.com"}, "/check-inbox"}
		}),
		"reset": open(func(s *site) posting {
			return opened(s.client(), s.link("susan@example.com"), "/login", "password", other, "confirm_password", other)
		}),
		"send the verification again": open(func(s *site) posting {
			return posting{s.client(), "/verify-email", []string{"email", "susan@example.com"}, "/check-inbox"}
		}),
		"verify": open(func(s *site) posting {
			wantRedirect(t, s.client().post("/verify-email", "email", "susan@example.com"), "/check-inbox")
			return opened(s.client(), s.mailed(auth.MailVerify, "susan@example.com"), "/login")
		}),
		"change the password": open(func(s *site) posting {
			return posting{s.user("susan", good), "/account/password", []string{"current_password", good, "password", other, "confirm_password", other}, "/account"}
		}),
		"change the address": open(func(s *site) posting {
			return posting{s.user("susan", good), "/account/email", []string{"email", "new@example.com"}, "/check-inbox"}
		}),
		"confirm the address": open(func(s *site) posting {
			c := s.user("susan", good)
			wantRedirect(t, c.post("/account/email", "email", "new@example.com"), "/check-inbox")
			return opened(c, s.mailed(auth.MailNewAddress, "new@example.com"), "/account")
		}),
		"change the address back": open(func(s *site) posting {
			s.update("susan", verified)
			c := s.user("susan", good)
			wantRedirect(t, c.post("/account/email", "email", "new@example.com"), "/check-inbox")
			wantRedirect(t, c.get(s.mailed(auth.MailNewAddress, "new@example.com")), "/account/email")
			wantRedirect(t, c.press("/account/email"), "/account")
			return opened(s.client(), s.mailed(auth.MailAddressChanged, "susan@example.com"), "/reset-password")
		}),
		"end other logins": open(func(s *site) posting {
			return posting{s.user("susan", good), "/account/sessions", []string{"others", "1"}, "/account/sessions"}
		}),
		"close the account": open(func(s *site) posting {
			return posting{s.user("susan", good), "/account/close", []string{"current_password", good, "confirm", "y"}, "/"}
		}),
		"confirm the password": open(func(s *site) posting {
			return posting{s.user("susan", good), "/refresh", []string{"password", good, "next", "/mine"}, "/mine"}
		}),
	}
}

// inParts returns a form as multipart/form-data. If file is not empty, the form has a
// file of that name.
func inParts(t *testing.T, fields []string, file string) (kind, body string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for i := 0; i < len(fields); i += 2 {
		check(t, w.WriteField(fields[i], fields[i+1]))
	}
	if file != "" {
		part, err := w.CreateFormFile("photo", file)
		check(t, err)
		_, err = part.Write([]byte("text"))
		check(t, err)
	}
	check(t, w.Close())
	return w.FormDataContentType(), b.String()
}

func encoded(fields []string) string {
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	return form.Encode()
}

// TestContentTypes: every form may be multipart/form-data. Any other body than a form
// gets 415, changes nothing, and is not treated as an empty form.
func TestContentTypes(t *testing.T) {
	t.Parallel()
	for what, open := range postings(t) {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			s, p := open()
			sent := len(s.mails)
			multi, parts := inParts(t, p.fields, "")
			withFile, partsAndFile := inParts(t, p.fields, "me.png")
			var zipped strings.Builder
			zip := gzip.NewWriter(&zipped)
			_, err := zip.Write([]byte(encoded(p.fields)))
			check(t, err)
			check(t, zip.Close())
			for _, bad := range []struct{ kind, encoding, body string }{
				{"application/json", "", `{"login": "susan", "password": "` + good + `"}`},
				{"application/json; charset=utf-8", "", "{}"},
				{"text/plain", "", encoded(p.fields)},
				{"text/plain;charset=UTF-8", "", "login=susan\r\npassword=" + good}, // as enctype="text/plain" sends it
				{"", "", encoded(p.fields)},
				{"x", "", encoded(p.fields)},
				{"application/x-www-form-urlencoded;", "gzip", zipped.String()},
				{"application/x-www-form-urlencoded; charset", "", encoded(p.fields)},
				{"application/x-www-form-urlencoded, text/plain", "", encoded(p.fields)},
				{"multipart/form-data", "", parts},
				{"multipart/mixed" + strings.TrimPrefix(multi, "multipart/form-data"), "", parts},
				{"application/octet-stream", "", parts},
				{withFile, "", partsAndFile},
			} {
				headers := []string{"Content-Type", bad.kind, "Accept", "text/html"} // not a program: see TestJSONBodies
				if bad.encoding != "" {
					headers = append(headers, "Content-Encoding", bad.encoding)
				}
				r := p.client.do("POST", p.path, bad.body, headers...)
				if r.status != http.StatusUnsupportedMediaType || r.header.Get("Accept-Post") != "application/x-www-form-urlencoded, multipart/form-data" {
					t.Errorf("%q is answered %d", bad.kind, r.status)
					continue
				}
				wantHeaders(t, p.path, r)
				accessible(t, r)
				if heading(t, r) != "This page takes HTML forms only, and no files" || strings.Contains(r.body, "battery") {
					t.Errorf("%q: the page says %s", bad.kind, r.body)
				}
			}
			if len(s.mails) != sent {
				t.Error("a mail was sent")
			}
			wantRedirect(t, p.client.do("POST", p.path, parts, "Content-Type", multi), p.leads)
		})
	}
}

// TestMultipartLimits: a multipart form has the same limits as other forms, and is kept
// in memory.
func TestMultipartLimits(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	s := newSite(t, nil)
	post := func(fields []string, file string) response {
		kind, body := inParts(t, fields, file)
		return s.client().do("POST", "/login", body, "Content-Type", kind)
	}
	login := []string{"login", "susan", "password", good}
	wantRedirect(t, post(append(login, "x", strings.Repeat("a", 60<<10)), ""), "/")
	wantStatus(t, post(append(login, "x", strings.Repeat("a", 64<<10)), ""), 413)
	wantStatus(t, post(append(login, "x", strings.Repeat("a", 60<<10)), "me.png"), 415)
	many := login
	for range 1000 {
		many = append(many, "x", "")
	}
	wantStatus(t, post(many, ""), 413)
	kind, body := inParts(t, login, "")
	wantStatus(t, s.client().do("POST", "/login", body[:len(body)/2], "Content-Type", kind), 400)
	wantStatus(t, s.client().do("POST", "/login", "x", "Content-Type", kind), 400)
	// The first of several is the one, and the query is none.
	wantRedirect(t, post(append(login, "login", "other", "password", "wrong"), ""), "/")
	kind, body = inParts(t, []string{"login", "susan"}, "")
	wantStatus(t, s.client().do("POST", "/login?password="+url.QueryEscape(good), body, "Content-Type", kind), 422)
	if files, err := os.ReadDir(dir); err != nil || len(files) > 0 {
		t.Errorf("files were made: %v, %v", files, err)
	}
}

// TestNoBody: a form without fields needs no Content-Type.
func TestNoBody(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for _, kind := range []string{"", "application/json", "x"} {
		wantStatus(t, s.client().do("POST", "/login", "", "Content-Type", kind, "Accept", "text/html"), 422)
		c := s.user("susan", good)
		wantRedirect(t, c.do("POST", "/logout", "", "Content-Type", kind, "Accept", "text/html"), "/")
		if c.loggedIn() {
			t.Error("still logged in")
		}
	}
}

// TestQuery: the pages do not read credentials from the query, and no query breaks them
// (F11).
func TestQuery(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	const required = "This field is required."
	login := "?" + url.Values{"login": {"susan"}, "password": {good}}.Encode()
	wantErrors(t, s.client().post("/login"+login), map[string]string{"login": required, "password": required})
	wantErrors(t, s.client().post("/login"+login, "login", "susan"), map[string]string{"password": required})
	wantErrors(t, s.client().post("/forgot-password?email=susan%40example.com"), map[string]string{"email": required})
	register := "?" + url.Values{"username": {"anna"}, "email": {"a@example.com"}, "password": {good}, "confirm_password": {good}}.Encode()
	wantErrors(t, s.client().post("/register"+register), map[string]string{
		"username": required, "email": required, "password": required, "confirm_password": required,
	})
	c := s.user("susan", good)
	password := "?" + url.Values{"current_password": {good}, "password": {other}, "confirm_password": {other}}.Encode()
	wantErrors(t, c.post("/account/password"+password), map[string]string{
		"current_password": required, "password": required, "confirm_password": required,
	})
	for _, query := range []string{"?a=%zz", "?a;b", "?%", "?next=%zz", "?login=other&password=wrong"} {
		wantRedirect(t, s.client().post("/login"+query, "login", "susan", "password", good), "/")
		wantStatus(t, s.client().get("/login"+query), 200)
	}
	// The first of several is the one.
	wantRedirect(t, s.client().post("/login", "login", "susan", "login", "other", "password", good, "password", "wrong", "next", "/mine", "next", "/"), "/mine")
	wantStatus(t, s.client().post("/login", "login", "other", "login", "susan", "password", good), 422)
}

func TestBody(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.client()
	form := "login=susan&password=" + url.QueryEscape(good) + "&x="
	wantRedirect(t, s.client().do("POST", "/login", form+strings.Repeat("a", 64<<10-len(form))), "/")
	for _, body := range []string{form + strings.Repeat("a", 64<<10-len(form)+1), strings.Repeat("&", 1<<20)} {
		r := c.do("POST", "/login", body)
		wantStatus(t, r, 413)
		accessible(t, r)
	}
	for _, body := range []string{"login=susan&password=%zz", "login=susan;password=x", strings.Repeat("a&", 30_000)} {
		r := c.do("POST", "/login", body)
		wantStatus(t, r, 400)
		accessible(t, r)
	}
	if c.loggedIn() {
		t.Error("logged in")
	}
}

// TestText: bytes that are not text are an error of the field, or a wrong password.
func TestText(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) {
		c.Fields = []pages.Field{{Name: "name", Label: "Name", Autocomplete: "name"}}
	})
	for _, text := range []string{"a\x00b", "a\xffb", "\xed\xa0\x80"} {
		r := s.client().post("/register", "username", "anna", "email", "anna@example.com", "name", text, "password", good, "confirm_password", good)
		wantErrors(t, r, map[string]string{"name": "This has characters that are not text."})
		wantStatus(t, s.client().post("/login", "login", text, "password", text), 422)
	}
	for _, name := range []string{`' OR 1=1 --`, "susan'--", "%", "_____", strings.Repeat("a", 20_000), strings.Repeat("ä", 3_000)} {
		wantStatus(t, s.client().post("/login", "login", name, "password", name), 422)
		wantStatus(t, s.client().post("/register", "username", name, "email", name, "password", good, "confirm_password", good), 422)
	}
}

// input returns the input of this name.
func input(t *testing.T, r response, name string) *html.Node {
	t.Helper()
	return only(t, parse(t, r), func(n *html.Node) bool { return n.Data == "input" && attr(n, "name") == name })
}

// TestHints: a form says what it takes before anything is wrong. Then the error takes the
// hint's place.
func TestHints(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(a *auth.Config, c *pages.Config) {
		a.Password.Min, c.MaxUsername = 15, 30
		c.Fields = []pages.Field{{Name: "name", Label: "Name", Autocomplete: "name", Hint: "As in your passport."}}
	})
	c := s.client()
	hint := func(r response, name string) string {
		t.Helper()
		id := attr(input(t, r, name), "aria-describedby")
		if id == "" || strings.Contains(id, " ") {
			return id
		}
		return text(only(t, parse(t, r), with("id", id)))
	}
	r := c.get("/register")
	accessible(t, r)
	if got := hint(r, "username"); got != "3 to 30 characters, without spaces or @." {
		t.Errorf("the hint at the username is %q", got)
	}
	if got := hint(r, "password"); got != "At least 15 characters. Longer is better." {
		t.Errorf("the hint at the password is %q", got)
	}
	if got := hint(r, "name"); got != "As in your passport." {
		t.Errorf("the hint at the application's field is %q", got)
	}
	for name, want := range map[string]string{"username": "3", "password": "15", "email": "", "confirm_password": ""} {
		if got := attr(input(t, r, name), "minlength"); got != want {
			t.Errorf("minlength of %s is %q", name, got)
		}
	}
	r = c.post("/register", "username", "su", "email", "su@example.com", "password", "short", "confirm_password", "short")
	if got := hint(r, "username"); got != "The username must have 3 to 30 characters." || strings.Contains(r.body, "without spaces") {
		t.Errorf("the error at the username is %q", got)
	}
	susan := s.user("susan", good)
	for _, path := range []string{"/account/password"} {
		if got := hint(susan.get(path), "password"); got != "At least 15 characters. Longer is better." {
			t.Errorf("%s: the hint is %q", path, got)
		}
	}
	// The password manager of a site without usernames saves the address as the login.
	s = newSite(t, emailOnly)
	if got := attr(input(t, s.client().get("/register"), "email"), "autocomplete"); got != "username" {
		t.Errorf("autocomplete of the address is %q", got)
	}
}

// TestEnterKeys: the key Enter of a telephone leads to the next field, and sends the form from
// the last one.
func TestEnterKeys(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	for path, want := range map[string]map[string]string{
		"/login":           {"login": "next", "password": "go", "remember_me": ""},
		"/register":        {"username": "next", "email": "next", "password": "next", "confirm_password": "go"},
		"/forgot-password": {"email": "go"},
	} {
		r := s.client().get(path)
		for name, key := range want {
			if got := attr(input(t, r, name), "enterkeyhint"); got != key {
				t.Errorf("%s: the key of %s is %q, want %q", path, name, got, key)
			}
		}
	}
}

// TestOneMessage: what is wrong is said once, beside the field. From two errors on, a list of
// links leads to the fields.
func TestOneMessage(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.client()
	alerts := func(r response) []*html.Node { return all(parse(t, r), with("role", "alert")) }
	r := c.post("/register", "username", "su", "email", "su@example.com", "password", good, "confirm_password", good)
	accessible(t, r)
	if n := strings.Count(r.body, "The username must have"); n != 1 || len(alerts(r)) != 0 {
		t.Errorf("one error is there %d times, with %d summaries", n, len(alerts(r)))
	}
	r = c.post("/register", "username", "su", "email", "x", "password", good, "confirm_password", good)
	accessible(t, r)
	if n := strings.Count(r.body, "The username must have"); n != 1 {
		t.Errorf("an error of two is there %d times", n)
	}
	if found := alerts(r); len(found) != 1 || text(found[0]) != "Please correct these fields: Username Email" ||
		attr(all(found[0], tag("a"))[1], "href") != "#email" {
		t.Errorf("the summary is\n%s", r.body)
	}
}

// TestErrorTitle: the title says that something is wrong, to users of screen readers first.
func TestErrorTitle(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.Site = "Gophers" })
	title := func(r response) string { return text(only(t, parse(t, r), tag("title"))) }
	if got := title(s.client().get("/login")); got != "Log in – Gophers" {
		t.Errorf("the title is %q", got)
	}
	if got := title(s.client().post("/login", "login", "susan")); got != "Error: Log in – Gophers" {
		t.Errorf("the title of a field's error is %q", got)
	}
	if got := title(s.client().post("/login", "login", "susan", "password", "wrong password")); got != "Error: Log in – Gophers" {
		t.Errorf("the title of a form's error is %q", got)
	}
}

// TestFocusAfterFailedLogin: the cursor is in the password, which must be typed again, and the
// error describes both fields.
func TestFocusAfterFailedLogin(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	r := s.client().post("/login", "login", "susan", "password", "wrong password")
	accessible(t, r)
	if login, password := input(t, r, "login"), input(t, r, "password"); has(login, "autofocus") || !has(password, "autofocus") ||
		attr(login, "aria-describedby") != "form-errors" || attr(password, "aria-describedby") != "form-errors" {
		t.Errorf("%v, %v", login.Attr, password.Attr)
	}
}

// TestMessagesAreRead: a message describes the field with the cursor, because a screen reader
// begins there.
func TestMessagesAreRead(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.client()
	wantRedirect(t, c.get("/mine"), "/login?next=%2Fmine")
	r := c.get("/login?next=%2Fmine")
	accessible(t, r)
	if id := attr(input(t, r, "login"), "aria-describedby"); id == "" || text(only(t, parse(t, r), with("id", id))) != "Please log in to access this page." {
		t.Errorf("the field is described by %q", id)
	}
	if has(input(t, c.get("/login"), "login"), "aria-describedby") {
		t.Error("the message is gone, and describes the field")
	}
}

// TestShowPassword: beside each password is a button that is hidden without the script. The page
// says what it does, in the language of the page, and in which field caps lock is on.
func TestShowPassword(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(a *auth.Config, c *pages.Config) {
		a.Languages = []string{"en", "de", "es"}
		c.Fields = []pages.Field{{Name: "pin", Label: "PIN", Type: "password", Autocomplete: "off"}}
	})
	reset, susan := s.client(), s.user("susan", good)
	wantRedirect(t, reset.get(s.link("susan@example.com")), "/reset-password")
	texts := map[string][3]string{
		"en": {"Show", "Hide", "Caps lock is on."}, "de": {"Anzeigen", "Verbergen", "Die Feststelltaste ist an."},
		"es": {"Mostrar", "Ocultar", "El bloqueo de mayúsculas está activado."},
	}
	for lang, want := range texts {
		n := 0
		for path, c := range map[string]*client{"/login": s.client(), "/register": s.client(), "/reset-password": reset, "/account/password": susan, "/account/close": susan, "/refresh": susan} {
			r := c.do(http.MethodGet, path, "", "Accept-Language", lang)
			accessible(t, r)
			doc := parse(t, r)
			for _, input := range all(doc, with("type", "password")) {
				n++
				id := attr(input, "id")
				label := only(t, doc, with("for", id))
				button := only(t, doc, with("data-show", id))
				if !has(button, "hidden") || attr(button, "type") != "button" || text(button) != want[0] || attr(button, "data-hide") != want[1] || name(t, doc, button) != want[0]+" "+text(label) {
					t.Errorf("%s, %s: the button is %v", lang, path, button.Attr)
				}
				message := only(t, doc, with("data-caps-lock", id))
				if attr(message, "data-text") != want[2] || attr(message, "aria-live") != "polite" || message.FirstChild != nil {
					t.Errorf("%s, %s: the message is %v", lang, path, message.Attr)
				}
				if button.Parent != input.Parent || attr(input, "spellcheck") != "false" || attr(input, "autocapitalize") != "none" {
					t.Errorf("%s, %s: the field is %v", lang, path, input.Attr)
				}
			}
		}
		if n != 11 {
			t.Errorf("%d passwords", n)
		}
	}
	s = newSite(t, func(_ *auth.Config, c *pages.Config) { c.Texts.ShowPassword, c.Texts.CapsLock = pages.None, pages.None })
	r := s.client().get("/login")
	accessible(t, r)
	if strings.Contains(r.body, "data-show") || strings.Contains(r.body, "data-caps-lock") || button(t, r) != "Log in" {
		t.Errorf("there is a button without a text:\n%s", r.body)
	}
}

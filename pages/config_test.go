package pages_test

import (
	"context"
	"io"
	"io/fs"
	"net/url"
	"os"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authmail"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
)

// documentA makes the pages those of the mission's document A.
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

func TestDocumentA(t *testing.T) {
	t.Parallel()
	s := newSite(t, documentA)
	c := s.client()
	r := c.get("/login")
	accessible(t, r)
	if heading(t, r) != "Sign In" || button(t, r) != "Sign In" || link(t, r, "Click to Register!") != "/register" {
		t.Error("not the page")
	}
	if main := text(only(t, parse(t, r), tag("main"))); !strings.HasSuffix(main, "New User? Click to Register!") {
		t.Error(main)
	}
	const failed = "We could not log you in. Check both your username and your password. After several wrong tries, you may have to wait."
	wantErrors(t, c.post("/login", "login", "susan@example.com", "password", good), map[string]string{"login": failed, "password": failed})

	register := func(username, email string) response {
		return c.post("/register", "username", username, "email", email, "password", good, "confirm_password", good)
	}
	wantErrors(t, register("susan", "x@example.com"), map[string]string{"username": "Please use a different username."})
	wantErrors(t, register("anna", "susan@example.com"), map[string]string{"email": "Please use a different email address."})
	wantRedirect(t, register("a", "a@example.com"), "/login")
	if category, text := message(t, c.get("/login")); category != "success" || text != "Congratulations, you are now a registered user!" {
		t.Errorf("%s: %s", category, text)
	}
	wantRedirect(t, register(strings.Repeat("a", 64), "b@example.com"), "/login")
	wantErrors(t, register(strings.Repeat("a", 65), "c@example.com"), map[string]string{"username": "The username must have 1 to 64 characters."})

	c = s.user("susan", good)
	wantRedirect(t, c.post("/logout"), "/")
	if r := c.get("/login"); len(all(parse(t, r), with("role", "status"))) > 0 {
		t.Error("a message that is none")
	}
}

// TestRegisterRace: of many at once, one gets the name, and the others are
// told (S50).
func TestRegisterRace(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.HashMemory = 1 << 30 })
	var posting sync.WaitGroup
	answers := make([]response, 10)
	for i := range answers {
		posting.Go(func() {
			answers[i] = s.client().post("/register", "username", "anna", "email", "anna@example.com", "password", good, "confirm_password", good)
		})
	}
	posting.Wait()
	won := 0
	for _, r := range answers {
		if r.status == 303 {
			won++
			continue
		}
		wantErrors(t, r, map[string]string{"username": "Username already taken. Please choose a different one."})
	}
	if won != 1 {
		t.Errorf("%d won", won)
	}
}

func TestPresence(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.Username = pages.Optional })
	c := s.client()
	r := c.get("/register")
	if f := fields(t, r)["username"]; f.label != "Username (optional)" || has(only(t, parse(t, r), with("name", "username")), "required") {
		t.Errorf("%+v", f)
	}
	wantRedirect(t, c.post("/register", "username", " ", "email", "anna@example.com", "password", good, "confirm_password", good), "/login")
	wantErrors(t, c.post("/register", "username", "x", "email", "bert@example.com", "password", good, "confirm_password", good),
		map[string]string{"username": "The username must have 3 to 20 characters."})
	s.user("anna@example.com", good)

	s = newSite(t, func(a *auth.Config, c *pages.Config) { a.Identifiers, c.Username = auth.EmailOnly, pages.Absent })
	c = s.client()
	if _, ok := fields(t, c.get("/register"))["username"]; ok {
		t.Error("the form asks for a username")
	}
	wantRedirect(t, c.post("/register", "username", "anna", "email", "anna@example.com", "password", good, "confirm_password", good), "/login")
	user, err := s.store.FindUser(t.Context(), "anna@example.com")
	check(t, err)
	if user.Username != "" {
		t.Error("a username that the form does not ask for")
	}

	s = newSite(t, func(a *auth.Config, c *pages.Config) { a.Identifiers, c.Email = auth.UsernameOnly, pages.Absent })
	wantRedirect(t, s.client().post("/register", "username", "anna", "password", good, "confirm_password", good), "/login")
}

// TestFields has fields of the application's own (S52).
func TestFields(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) {
		c.Fields = []pages.Field{
			{Name: "name", Label: "Full name", Autocomplete: "name", Required: true},
			{Name: "terms", Label: "I have read them", Type: "checkbox", Required: true},
		}
		c.CheckRegistration = func(_ context.Context, form url.Values) pages.FieldErrors {
			if form.Get("email") == "eve@example.com" {
				return pages.FieldErrors{"email": "Not you.", "name": ""}
			}
			return nil
		}
	})
	register := func(email, name string) response {
		return s.client().post("/register", "username", "anna", "email", email, "name", name, "terms", "y", "password", good, "confirm_password", good)
	}
	accessible(t, s.client().get("/register"))
	wantErrors(t, s.client().post("/register", "username", "anna", "email", "eve@example.com", "password", good, "confirm_password", "x"), map[string]string{
		"email": "Not you.", "name": "This field is required.", "terms": "This field is required.", "confirm_password": "The passwords do not match.",
	})
	wantErrors(t, register("anna@example.com", "taken"), map[string]string{"name": "This name is taken."})
	wantStatus(t, register("anna@example.com", "broken"), 500)
	r := register("anna@example.com", "nowhere")
	wantStatus(t, r, 422)
	if alert := text(only(t, parse(t, r), with("role", "alert"))); alert != "Not today." {
		t.Error(alert)
	}
	wantRedirect(t, register("anna@example.com", "Anna <b>"), "/login")
	user, err := s.store.FindUser(t.Context(), "anna")
	check(t, err)
	if user.Name != "Anna <b>" {
		t.Errorf("the name is %q", user.Name)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	file := func(name, text string) fs.FS { return fstest.MapFS{name: {Data: []byte(text)}} }
	mailer := authmail.NewPrinter(io.Discard)
	for _, test := range []struct {
		auth   auth.Config
		config pages.Config
		want   string // in the error
	}{
		{auth.Config{}, pages.Config{}, ""},
		{auth.Config{LoginURL: "/auth/login"}, pages.Config{Prefix: "/auth/"}, ""},
		{auth.Config{LoginURL: "https://app.example/auth/login"}, pages.Config{Prefix: "/auth"}, ""},
		{auth.Config{LoginURL: "https://app.example/auth/login", RefreshURL: "https://app.example/auth/refresh"}, pages.Config{Prefix: "/auth"}, ""},
		{auth.Config{RefreshURL: "/refresh?again"}, pages.Config{}, ""},
		{auth.Config{RefreshURL: "/sudo"}, pages.Config{}, "the refresh page is /refresh, but RefreshURL of auth.Config is /sudo"},
		{auth.Config{LoginURL: "/auth/login", RefreshURL: "/refresh"}, pages.Config{Prefix: "/auth"}, "RefreshURL"},
		{auth.Config{VerifyURL: "/confirm"}, pages.Config{}, ""}, // there is no such page without a Mailer
		{auth.Config{Mailer: mailer, VerifyURL: "/confirm"}, pages.Config{}, "the page for verifying is /verify-email, but VerifyURL of auth.Config is /confirm"},
		{auth.Config{Mailer: mailer, LoginURL: "/auth/login", VerifyURL: "/verify-email"}, pages.Config{Prefix: "/auth"}, "VerifyURL"},
		{auth.Config{Mailer: mailer, LoginURL: "/auth/login"}, pages.Config{Prefix: "/auth"}, ""},
		{auth.Config{Mailer: mailer, VerifyURL: "https://app.example/verify-email?a=b"}, pages.Config{}, ""},
		{auth.Config{Mailer: mailer, RequireVerified: true}, pages.Config{}, ""},
		{auth.Config{Mailer: mailer, RequireVerified: true}, pages.Config{TellTaken: true}, ""},
		{auth.Config{Mailer: mailer, RequireVerified: true}, pages.Config{Email: pages.Optional}, "so Email must be Required"},
		{auth.Config{Mailer: mailer, RequireVerified: true, Identifiers: auth.UsernameOnly}, pages.Config{Email: pages.Absent, TellTaken: true}, "so Email must be Required"},
		{auth.Config{}, pages.Config{FreshFor: time.Minute}, ""},
		{auth.Config{}, pages.Config{FreshFor: time.Minute - 1}, "FreshFor"},
		{auth.Config{}, pages.Config{FreshFor: -time.Hour}, "FreshFor"},
		{auth.Config{}, pages.Config{Prefix: "/"}, ""},
		{auth.Config{}, pages.Config{Prefix: "/auth"}, "the login page is /auth/login, but LoginURL of auth.Config is /login"},
		{auth.Config{LoginURL: "/signin"}, pages.Config{}, "LoginURL"},
		{auth.Config{}, pages.Config{Prefix: "auth"}, "Prefix"},
		{auth.Config{}, pages.Config{Prefix: "//evil.example"}, "Prefix"},
		{auth.Config{}, pages.Config{Prefix: "/a/../b"}, "Prefix"},
		{auth.Config{}, pages.Config{Prefix: "/a?b"}, "Prefix"},
		{auth.Config{}, pages.Config{Prefix: "/{x}"}, "Prefix"},
		{auth.Config{}, pages.Config{Home: "https://evil.example/"}, "Home"},
		{auth.Config{}, pages.Config{MinUsername: -1}, "MinUsername"},
		{auth.Config{}, pages.Config{MaxUsername: 65}, "MaxUsername"},
		{auth.Config{}, pages.Config{MinUsername: 21}, "MinUsername"},
		{auth.Config{}, pages.Config{Email: 7}, "Presence"},
		{auth.Config{}, pages.Config{Email: pages.Absent}, ""},
		{auth.Config{}, pages.Config{Email: pages.Optional, Username: pages.Absent}, "Required"},
		{auth.Config{Identifiers: auth.UsernameOnly}, pages.Config{Username: pages.Optional}, "Required"},
		{auth.Config{Identifiers: auth.EmailOnly}, pages.Config{Email: pages.Absent}, "Required"},
		{auth.Config{}, pages.Config{Fields: []pages.Field{{Name: "email", Label: "x"}}}, "email"},
		{auth.Config{}, pages.Config{Fields: []pages.Field{{Name: "a", Label: "x"}, {Name: "a", Label: "x"}}}, "two fields"},
		{auth.Config{}, pages.Config{Fields: []pages.Field{{Name: "a"}}}, "label"},
		{auth.Config{}, pages.Config{Fields: []pages.Field{{Name: "a b", Label: "x"}}}, "letters"},
		{auth.Config{}, pages.Config{Templates: fstest.MapFS{}}, ""},
		{auth.Config{}, pages.Config{Templates: file("login.html", `{{define "content"}}`)}, "login.html"},
		{auth.Config{}, pages.Config{Templates: file("login.html", `{{define "content"}}{{.Nonsense}}{{end}}`)}, "Nonsense"},
		{auth.Config{}, pages.Config{Templates: file("login.html", `{{define "contents"}}{{end}}`)}, "content"},
		{auth.Config{}, pages.Config{Templates: file("login.html", `<p>{{define "content"}}{{end}}`)}, "outside"},
		{auth.Config{}, pages.Config{Templates: file("login.html", `{{define "content"}}{{.Form.Nonsense}}{{end}}`)}, "Nonsense"},
		{auth.Config{}, pages.Config{Templates: file("login.html", `{{define "content"}}<a href="{{.Title}}{{end}}`)}, "login.html"},
		{auth.Config{}, pages.Config{Templates: file("account.html", `{{define "content"}}{{.User.Name}}{{end}}`)}, "SampleUser"},
		{auth.Config{}, pages.Config{Templates: file("account.html", `{{define "content"}}{{.User.Name}}{{end}}`), SampleUser: &User{}}, ""},
		{auth.Config{}, pages.Config{Templates: file("account.html", `{{define "content"}}{{.User.Nane}}{{end}}`), SampleUser: &User{}}, "Nane"},
		{auth.Config{}, pages.Config{Templates: file("sessions.html", `{{define "content"}}{{range .Logins}}{{.Nonsense}}{{end}}{{end}}`)}, "Nonsense"},
		{auth.Config{}, pages.Config{Templates: file("refresh.html", `{{define "content"}}{{.Form.Nonsense}}{{end}}`)}, "Nonsense"},
		{auth.Config{}, pages.Config{Templates: file("refresh.html", `{{define "content"}}{{.User.Username}}{{end}}`)}, ""},
		{auth.Config{}, pages.Config{Templates: file("verify.html", `{{define "content"}}{{.Subject.Username}}{{.Address}}{{.User.Username}}{{end}}`)}, "verify.html"},
		{auth.Config{}, pages.Config{Templates: file("verify.html", `{{define "content"}}{{.Subject.Username}}{{.Form.Proof}}{{end}}`)}, ""},
		{auth.Config{}, pages.Config{Templates: file("undo.html", `{{define "content"}}{{.Subject.Name}}{{end}}`), SampleUser: &User{}}, ""},
		{auth.Config{}, pages.Config{Templates: file("confirm.html", `{{define "content"}}{{.Subject.Nane}}{{end}}`), SampleUser: &User{}}, "Nane"},
		{auth.Config{}, pages.Config{Templates: file("resend.html", `{{define "content"}}{{.Form.Nonsense}}{{end}}`)}, "Nonsense"},
		{auth.Config{}, pages.Config{Templates: file("email.html", `{{define "content"}}{{.User.Username}}{{(.Form.Field "email").Label}}{{end}}`)}, ""},
		{auth.Config{}, pages.Config{Templates: file("close.html", `{{define "content"}}{{(.Form.Field "confirm").Nonsense}}{{end}}`)}, "Nonsense"},
		{auth.Config{}, pages.Config{Templates: file("error.html", `{{define "content"}}{{.User.AuthAccount}}{{end}}`)}, "error.html"},
		{auth.Config{}, pages.Config{Templates: file("form.html", `{{define "form"}}{{template "summary" .}}{{end}}`)}, "summary"},
		{auth.Config{}, pages.Config{Templates: file("layout.html", `{{template "content" .}}`)}, ""},
		{auth.Config{}, pages.Config{Templates: file("layout.html", `{{if}}`)}, "layout.html"},
		{auth.Config{}, pages.Config{Templates: fstest.MapFS{"login.html": {Mode: fs.ModeDir}}}, "login.html"},
	} {
		test.auth.BaseURL = "https://app.example"
		test.auth.Secrets = [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}
		manager, err := auth.New(memstore.New[User](), test.auth)
		check(t, err)
		_, err = pages.New(manager.Core, test.config)
		switch {
		case test.want == "" && err != nil:
			t.Errorf("%+v: %v", test.config, err)
		case test.want != "" && (err == nil || !strings.HasPrefix(err.Error(), "pages: ") || !strings.Contains(err.Error(), test.want)):
			t.Errorf("%+v: the error is %v, want one about %q", test.config, err, test.want)
		}
	}
	store := memstore.New[User]()
	manager, err := auth.NewLoader[*User](store, auth.Config{
		BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
	})
	check(t, err)
	if _, err := pages.New(manager.Core, pages.Config{}); err == nil {
		t.Error("no error for a manager that can only load users")
	}
}

// TestBrokenTemplate: what fails with a user that New did not try is a whole
// error, and not half a page.
func TestBrokenTemplate(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) {
		c.Templates = fstest.MapFS{"account.html": {Data: []byte(`{{define "content"}}{{if .User.Username}}{{index .User.Roles 0}}{{end}}{{end}}`)}}
	})
	r := s.user("susan", good).get("/account")
	wantStatus(t, r, 500)
	wantHeaders(t, "a broken template", r)
	if strings.Contains(r.body, "<") || !strings.Contains(s.log(), "account.html") {
		t.Errorf("the answer is %q", r.body)
	}
}

// TestTexts: the example translates every text, and None leaves out those that
// nothing depends on.
func TestTexts(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("example_test.go")
	check(t, err)
	none := reflect.New(reflect.TypeFor[pages.Texts]()).Elem()
	for i := range none.NumField() {
		if name := none.Type().Field(i).Name; !strings.Contains(string(source), name+":") {
			t.Errorf("the German texts have no %s", name)
		}
		none.Field(i).SetString(pages.None)
		if texts, ok := none.Interface().(pages.Texts); !ok || fails(t, texts) {
			none.Field(i).SetString("")
		}
	}
	if n := none.FieldByName("VerifyExplain").String() + none.FieldByName("PasswordWrong").String() + none.FieldByName("Required").String() + none.FieldByName("LoginTitle").String(); n != "" {
		t.Error("a text that must be can be None")
	}
	s := newSite(t, func(_ *auth.Config, c *pages.Config) {
		texts, ok := none.Interface().(pages.Texts)
		if !ok {
			t.Error("not Texts")
		}
		c.Texts = texts
	})
	for _, c := range []*client{s.client(), s.user("susan", good)} {
		for _, path := range s.pages.Paths() {
			if r := c.get(path); r.status == 200 && path != "/auth.css" {
				accessible(t, r)
			}
		}
	}
	c := s.client()
	wantRedirect(t, c.post("/forgot-password", "email", "susan@example.com"), "/login")
	if len(c.sent) > 0 {
		t.Error("a message that is none")
	}
}

func fails(t *testing.T, texts pages.Texts) bool {
	_, err := pages.New(newManager(auth.Config{}).Core, pages.Config{Texts: texts})
	if err != nil && !strings.HasSuffix(err.Error(), " cannot be None") {
		t.Error(err)
	}
	return err != nil
}

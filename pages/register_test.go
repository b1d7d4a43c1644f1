package pages_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
)

func TestRegisterForm(t *testing.T) { // S71–S75, S85, S90
	t.Parallel()
	s := newSite(t, nil)
	r := s.client().get("/register")
	wantStatus(t, r, 200)
	accessible(t, r)
	want := map[string]field{
		"username":         {"Username", "text", "username", "", ""},
		"email":            {"Email", "email", "email", "", ""},
		"password":         {"Password", "password", "new-password", "", ""},
		"confirm_password": {"Confirm password", "password", "new-password", "", ""},
	}
	got := fields(t, r)
	for name, f := range want {
		if got[name] != f {
			t.Errorf("%s is %+v", name, got[name])
		}
	}
	if len(got) != len(want) || button(t, r) != "Create account" || heading(t, r) != "Create your account" {
		t.Error("not the form")
	}
	if main := text(only(t, parse(t, r), tag("main"))); !strings.HasSuffix(main, "Already have an account? Log in") || link(t, r, "Log in") != "/login" {
		t.Errorf("the footer is missing: %q", main)
	}
}

func TestRegisterErrors(t *testing.T) { // S71–S77
	t.Parallel()
	s := newSite(t, nil)
	const (
		required = "This field is required."
		length   = "The username must have 3 to 20 characters."
		invalid  = "The username must not have spaces, an @ or special characters."
		address  = "This is not an email address, such as name@example.com."
		mismatch = "The passwords do not match."
		taken    = "This username is taken. Choose another one."
		taken2   = "This email address is registered already. Use another one."
		short    = "The password must have at least 8 characters."
	)
	for _, test := range []struct {
		username, email, password, confirm string
		want                               map[string]string
	}{
		{"", "", "", "", map[string]string{"username": required, "email": required, "password": required, "confirm_password": required}},
		{" ", "\t", good, good, map[string]string{"username": required, "email": required}},
		{"ab", "anna@example.com", good, good, map[string]string{"username": length}},
		{strings.Repeat("a", 21), "anna@example.com", good, good, map[string]string{"username": length}},
		{"äö", "anna", good, "other", map[string]string{"username": length, "email": address, "confirm_password": mismatch}},
		{"two words", "anna@localhost", good, good, map[string]string{"username": invalid, "email": address}},
		{"an@na", "anna@example.com", good, good, map[string]string{"username": invalid}},
		{"ann\x00", "anna@example.com\x00", good, good, map[string]string{"username": invalid, "email": address}},
		{"ann\xff", "anna\xff@example.com", good, good, map[string]string{"username": invalid, "email": address}},
		{"anna", "anna@example.com", "1234567", "1234567", map[string]string{"password": short}},
		{"anna", "anna@example.com", good, good + " ", map[string]string{"confirm_password": mismatch}},
		{"anna", "anna@example.com", "password1", "password1", map[string]string{"password": "Many people use this password, so it is easy to guess."}},
		{"annabell", "anna@example.com", "annabell1", "annabell1", map[string]string{"password": "This password is a name that is easy to guess."}},
		{"anna", "anna@example.com", good + "\x00", good + "\x00", map[string]string{"password": "The password has characters that are not text."}},
		{"anna", "anna@example.com", strings.Repeat("ab", 600), strings.Repeat("ab", 600), map[string]string{"password": "The password is too long."}},
		{"Susan", "anna@example.com", good, good, map[string]string{"username": taken}},
		{"anna", "SUSAN@example.com", good, good, map[string]string{"email": taken2}},
	} {
		r := s.client().post("/register", "username", test.username, "email", test.email, "password", test.password, "confirm_password", test.confirm)
		wantErrors(t, r, test.want)
		if strings.Contains(r.body, good) {
			t.Error("a password is shown")
		}
		if got := fields(t, r)["email"].value; test.email == "SUSAN@example.com" && got != test.email {
			t.Errorf("what was typed is lost: %q", got)
		}
	}
	if strings.Contains(s.log(), "event=registered") {
		t.Error("somebody is registered")
	}
}

func TestRegister(t *testing.T) { // S71, S73, S84
	t.Parallel()
	s := newSite(t, nil)
	for _, name := range []string{"ann", strings.Repeat("ä", 20)} {
		c := s.client()
		address := "x" + name[:2] + "@example.com"
		if name != "ann" {
			address = "other@example.com"
		}
		r := c.post("/register", "username", name, "email", " "+address+" ", "password", "wqzpfmtk", "confirm_password", "wqzpfmtk")
		wantRedirect(t, r, "/login")
		page := c.get("/login")
		if category, text := message(t, page); category != "success" || text != "Your account has been created. You can now log in." {
			t.Errorf("%s: %s", category, text)
		}
		if strings.Contains(c.get("/login").body, "created") {
			t.Error("the message is shown again")
		}
		if c.loggedIn() {
			t.Error("registering logs in")
		}
		s.user(address, "wqzpfmtk")
	}
}

func TestNextThroughRegister(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.client()
	target := link(t, c.get("/login?next=%2Fmine"), "Create an account")
	page := c.get(target)
	if got := link(t, page, "Log in"); got != "/login?next=%2Fmine" {
		t.Errorf("the way back is %q", got)
	}
	next := attr(only(t, parse(t, page), with("name", "next")), "value")
	r := c.post("/register", "username", "anna", "email", "anna@example.com", "password", good, "confirm_password", good, "next", next)
	wantRedirect(t, r, "/login?next=%2Fmine")
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

// TestFields: the form has fields of the application's own (S52).
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
		"email": "Not you.", "name": "This field is required.", "terms": "Tick this box to go on.", "confirm_password": "The passwords do not match.",
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

// TestCheckRegistrationFaces: a program cannot get around the application's check by JSON. The
// check gets the same form from both faces, also fields that the pages do not know.
func TestCheckRegistrationFaces(t *testing.T) {
	t.Parallel()
	var got []url.Values
	s := newSite(t, func(_ *auth.Config, c *pages.Config) {
		c.Fields = []pages.Field{{Name: "terms", Label: "I have read them", Type: "checkbox"}}
		c.OpenAPI = true
		c.CheckRegistration = func(_ context.Context, form url.Values) pages.FieldErrors {
			got = append(got, form)
			if form.Get("trap-field") != "" || form.Get("captcha-token") != "passed" {
				return pages.FieldErrors{"email": "Not you."}
			}
			return nil
		}
	})
	form := append(registration("anna", good), "terms", "y", "captcha-token", "passed")
	trapped := append(slices.Clone(form), "trap-field", "http://evil.example")
	inJSON := func(fields []string) response {
		body := map[string]any{}
		for i := 0; i < len(fields); i += 2 {
			body[fields[i]] = fields[i+1]
		}
		body["terms"] = true
		text, err := json.Marshal(body)
		check(t, err)
		return s.client().raw("POST", "/register", string(text))
	}
	wantErrors(t, s.client().post("/register", trapped...), map[string]string{"email": "Not you."})
	if o := answerOf(t, inJSON(trapped), 422); o.Fields["email"] != "Not you." {
		t.Errorf("%+v", o.Problem)
	}
	if len(got) != 2 || !maps.EqualFunc(got[0], got[1], slices.Equal) {
		t.Errorf("the check gets %v", got)
	}
	var d openAPI
	check(t, json.Unmarshal(s.pages.OpenAPI(), &d))
	d.walkFields(t, s, "/register", d.Paths["/register"].Post)
	if d.Paths["/register"].Post.RequestBody.Content["application/json"].Schema.Additional == nil {
		t.Error("the document does not say so")
	}
	answerOf(t, inJSON(form), 200)
}

type massUser struct {
	auth.Account
	City  string
	Admin bool
}

// ReadForm sets every field that was posted, as a form decoder such as gorilla/schema
// does.
func (u *massUser) ReadForm(form url.Values) error {
	u.City, u.Admin = form.Get("city"), form.Get("admin") != ""
	return nil
}

func TestMassAssignment(t *testing.T) {
	store := memstore.New[massUser]()
	m, err := auth.New(store, auth.Config{BaseURL: "http://localhost:8080", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}})
	check(t, err)
	p, err := pages.New(m.Core, pages.Config{Fields: []pages.Field{{Name: "city", Label: "City"}}})
	check(t, err)
	body := url.Values{"username": {"tom"}, "email": {"tom@example.com"}, "password": {good}, "confirm_password": {good}, "city": {"Bern"}, "admin": {"1"}}
	r := httptest.NewRequest(http.MethodPost, "/register", strings.NewReader(body.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	m.LoadAndSave(p).ServeHTTP(w, r)
	u, err := store.FindUser(t.Context(), "tom")
	check(t, err)
	if u.Admin {
		t.Error("a field that the form does not have reached ReadForm")
	}
}

// TestFieldsNobodyReads: New refuses a field whose value would be lost, and only then.
func TestFieldsNobodyReads(t *testing.T) {
	t.Parallel()
	type plain struct{ auth.Account }
	silent := memstore.New[plain]()
	config := pages.Config{Fields: []pages.Field{{Name: "city", Label: "City"}}}
	checks := config
	checks.CheckRegistration = func(context.Context, url.Values) pages.FieldErrors { return nil }
	for name, test := range map[string]struct {
		core    *auth.Core
		config  pages.Config
		refused bool
	}{
		"a user without ReadForm":               {coreOf[*plain](t, silent), config, true},
		"without fields":                        {coreOf[*plain](t, silent), pages.Config{}, false},
		"a check reads it":                      {coreOf[*plain](t, silent), checks, false},
		"a user with ReadForm":                  {coreOf[*massUser](t, memstore.New[massUser]()), config, false},
		"a store that may read the form itself": {coreOf[*plain](t, struct{ auth.UserStore[*plain] }{silent}), config, false},
	} {
		_, err := pages.New(test.core, test.config)
		if refused := err != nil; refused != test.refused {
			t.Errorf("%s: the error is %v", name, err)
		}
		if err != nil && (!strings.Contains(err.Error(), `"city"`) || !strings.Contains(err.Error(), "ReadForm")) {
			t.Errorf("%s: %v does not name the field and what is missing", name, err)
		}
	}
}

func coreOf[U auth.User](t *testing.T, store auth.UserStore[U]) *auth.Core {
	t.Helper()
	m, err := auth.New(store, auth.Config{
		BaseURL: "http://localhost:8080", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}, Records: memstore.NewRecords(),
	})
	check(t, err)
	return m.Core
}

// TestRegisterRace: of many registrations at once, one gets the name, and the others are
// told that it is taken (S50).
func TestRegisterRace(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.Password.HashMemory = 1 << 30 })
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
		wantErrors(t, r, map[string]string{"username": "This username is taken. Choose another one."})
	}
	if won != 1 {
		t.Errorf("%d won", won)
	}
}

// TestRegisterAlike: a registration does not tell who has an account, nor in what state
// the account is.
func TestRegisterAlike(t *testing.T) {
	t.Parallel()
	mailbox := &authtest.Mailbox{}
	s := newSite(t, func(a *auth.Config, c *pages.Config) {
		a.RequireVerified, a.HideAccounts, a.Mailer = true, true, mailbox
		c.Fields = []pages.Field{{Name: "name", Label: "Name", Autocomplete: "name"}}
	})
	s.create("shown", verified)
	s.create("disab", disabled)
	s.create("lockd", verified)
	s.create("noneo", func(a *auth.Account) { a.PasswordHash = auth.Secret{} })
	for range 5 {
		wantStatus(t, s.client().post("/login", "login", "lockd", "password", "wrong"), 422)
	}
	n := 0
	probe := func(name string, mails int) authtest.Probe {
		n++
		username, address := fmt.Sprintf("user%02d", n), name+"@example.com"
		form := url.Values{
			"username": {username}, "email": {address}, "name": {"Anna"}, "password": {good}, "confirm_password": {good}, "next": {"/mine"},
		}
		return authtest.Probe{Hide: []string{username, address}, Mails: mails, Do: func(c *authtest.Client) {
			r := c.Post("/register", form)
			if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/check-inbox" {
				t.Errorf("%s: %s\n%s", name, r.Status, r.Text)
			}
			if r := c.Follow(r); !strings.Contains(r.Text, "Check your inbox") {
				t.Errorf("%s: %s", name, r.Text)
			}
			// Once more it is a name that is taken, whatever became of the first; and nobody gets in.
			if r := c.Post("/register", form); !strings.Contains(r.Text, "This username is taken.") {
				t.Errorf("%s: %s", name, r.Text)
			}
			c.Post("/login", url.Values{"login": {username}, "password": {good}})
			// What is wrong with a form is found out alike.
			c.Post("/register", url.Values{"username": {username + "x"}, "email": {address}, "name": {"taken"}, "password": {good}, "confirm_password": {good}})
			c.Post("/register", url.Values{"username": {username + "y"}, "email": {address}, "password": {"short"}, "confirm_password": {"short"}})
		}}
	}
	app := authtest.App{Core: s.manager.Core, Handler: s.handler, Mailbox: mailbox}
	for _, test := range []struct {
		name  string
		mails int
	}{{"shown", 1}, {"susan", 1}, {"disab", 0}, {"lockd", 1}, {"noneo", 1}} {
		authtest.Indistinguishable(t, app, probe("free"+fmt.Sprint(n%10), 1), probe(test.name, test.mails))
	}
	for _, name := range []string{"shown", "susan", "lockd", "noneo"} {
		m := mailbox.Last(t, name+"@example.com")
		if m.Kind != auth.MailAddressTaken || m.Link.Reveal() != s.url+"/forgot-password" {
			t.Errorf("%s gets %s with %s", name, m.Kind, m.Link.Reveal())
		}
		if a := s.account(name); a.Username != name {
			t.Errorf("%s has become %s", name, a.Username)
		}
	}
	if _, err := s.store.FindUser(t.Context(), "user02"); err == nil {
		t.Error("an account for an address that is taken")
	}
	s.store.fail(errDisk)
	wantStatus(t, s.client().register("bert"), 503)
	wantStatus(t, s.client().register("susan"), 503)
	s.store.fail(nil)
	// The username tells, and it can not be helped.
	wantErrors(t, s.client().register("Susan"), map[string]string{"username": "This username is taken. Choose another one."})
}

// TestRegisterByAddressAlike: the same holds if accounts have no usernames.
func TestRegisterByAddressAlike(t *testing.T) {
	t.Parallel()
	mailbox := &authtest.Mailbox{}
	s := newSite(t, func(a *auth.Config, c *pages.Config) {
		a.RequireVerified, a.HideAccounts, a.Mailer, a.Identifiers, c.Username = true, true, mailbox, auth.EmailOnly, pages.Absent
	})
	probe := func(address string) authtest.Probe {
		return authtest.Probe{Hide: []string{address}, Mails: 2, Do: func(c *authtest.Client) {
			for range 2 {
				r := c.Post("/register", url.Values{"email": {address}, "password": {good}, "confirm_password": {good}})
				if r.Header.Get("Location") != "/check-inbox" {
					t.Errorf("%s: %s", address, r.Status)
				}
			}
		}}
	}
	app := authtest.App{Core: s.manager.Core, Handler: s.handler, Mailbox: mailbox}
	authtest.Indistinguishable(t, app, probe("nobod@example.com"), probe("susan@example.com"))
}

// TestHideAccounts: the form says that an address is taken, unless HideAccounts is set.
func TestHideAccounts(t *testing.T) {
	t.Parallel()
	const taken = "This email address is registered already. Use another one."
	for _, test := range []struct {
		verified     bool
		leads, mails string
	}{
		{false, "/login", ""},
		{true, "/check-inbox", "verify anna@example.com"},
	} {
		s := newSite(t, func(a *auth.Config, _ *pages.Config) { a.RequireVerified = test.verified })
		c := s.client()
		wantErrors(t, c.post("/register", "username", "anna", "email", "SUSAN@example.com", "password", good, "confirm_password", good),
			map[string]string{"email": taken})
		wantRedirect(t, c.register("anna"), test.leads)
		if got := s.kinds(); got != test.mails {
			t.Errorf("the mails are %q", got)
		}
		if got := c.post("/login", "login", "anna", "password", good); got.status == 303 == test.verified {
			t.Errorf("the login is %d", got.status)
		}
		if strings.Contains(s.client().get("/login").body, "Send the verification email again") != test.verified {
			t.Error("the link to another link is where it is not needed, or the other way round")
		}
	}
}

// TestLimitsTellNothing: an attacker who registers with a victim's address cannot tell
// from the attacker's own limits whether that made an account. An attacker who guesses
// the password of a disabled account cannot tell that it is right.
func TestLimitsTellNothing(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(c *auth.Config, _ *pages.Config) {
		c.RequireVerified, c.HideAccounts, c.Limits.Guesses = true, true, 10
	})
	s.create("known", verified)
	s.create("off", disabled, verified)
	try := func(login, password string) (statuses []int) {
		s.advance(2 * time.Hour)
		c := s.client()
		for range 12 {
			statuses = append(statuses, c.post("/login", "login", login, "password", password).status)
		}
		return statuses
	}
	var want []int
	for _, who := range []string{"known", "free"} {
		wantRedirect(t, s.client().post("/register", "username", "x"+who, "email", who+"@example.com", "password", other, "confirm_password", other), "/check-inbox")
		got := try(who+"@example.com", other)
		if want == nil {
			want = got
		}
		if !slices.Equal(got, want) || got[9] != 422 || got[10] != 429 {
			t.Errorf("%s: %v, want %v", who, got, want)
		}
	}
	for _, password := range []string{good, other} {
		if got := try("off", password); !slices.Equal(got, want) {
			t.Errorf("disabled, %s: %v, want %v", password, got, want)
		}
	}
}

// TestStrangersMailbox: an attacker who registers with a victim's address cannot have
// the victim get mails without end.
func TestStrangersMailbox(t *testing.T) {
	t.Parallel()
	s := newSite(t, nil)
	c := s.client()
	login := func(name string) {
		wantRedirect(t, c.post("/register", "username", name, "email", "victim@example.com", "password", good, "confirm_password", good), "/login")
		wantRedirect(t, c.post("/login", "login", name, "password", good), "/")
	}
	login("mallory")
	passwords := [2]string{good, other}
	for i := range 6 {
		now, next := passwords[i%2], passwords[1-i%2]
		wantRedirect(t, c.post("/account/password", "current_password", now, "password", next, "confirm_password", next), "/account")
	}
	for i := range 4 {
		wantRedirect(t, c.post("/account/close", "current_password", good, "confirm", "y"), "/")
		login(fmt.Sprint("mallory", i))
	}
	got := map[auth.MailKind]int{}
	for _, m := range s.mails {
		got[m.Kind]++
	}
	if len(got) != 2 || got[auth.MailPasswordChanged] != 3 || got[auth.MailClosed] != 3 {
		t.Errorf("%v", got)
	}
}

// TestSelect: a further field can be a select. A value that is not among its options is
// refused, and what was chosen stays.
func TestSelect(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) {
		c.Fields = []pages.Field{{Name: "name", Label: "Plan", Type: "select", Required: true, Options: []pages.Option{
			{Value: "", Label: "Choose"}, {Value: "free"}, {Value: "paid", Label: "Paid"},
		}}}
	})
	c := s.client()
	r := c.get("/register")
	accessible(t, r)
	chosen := func(r response) string {
		t.Helper()
		for _, o := range all(only(t, parse(t, r), tag("select")), tag("option")) {
			if has(o, "selected") {
				return attr(o, "value") + " " + text(o)
			}
		}
		return "none"
	}
	if got := len(all(only(t, parse(t, r), tag("select")), tag("option"))); got != 3 {
		t.Errorf("%d options", got)
	}
	for value, want := range map[string]string{"": "This field is required.", "gold": "This field cannot have this value, or is there twice."} {
		r := c.register("anna", "name", value)
		wantStatus(t, r, 422)
		accessible(t, r)
		if !strings.Contains(r.body, want) {
			t.Errorf("%q: %s", value, r.body)
		}
	}
	r = c.post("/register", "username", "anna", "email", "anna@example.com", "password", good, "confirm_password", "x", "name", "paid")
	if got := chosen(r); got != "paid Paid" {
		t.Errorf("chosen is %s", got)
	}
	wantRedirect(t, c.register("anna", "name", "free"), "/login")
	if u, err := s.store.FindUser(t.Context(), "anna"); err != nil || u.Name != "free" {
		t.Errorf("%+v %v", u, err)
	}
	if body := c.json("GET", "/register").body; !strings.Contains(body, `"options":[{"value":"","label":"Choose"},{"value":"free","label":"free"}`) {
		t.Error(body)
	}
}

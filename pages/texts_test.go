package pages_test

import (
	"reflect"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

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

// TestTexts: the pages work without all texts that may be None.
func TestTexts(t *testing.T) {
	t.Parallel()
	none := reflect.New(reflect.TypeFor[pages.Texts]()).Elem()
	for i := range none.NumField() {
		none.Field(i).SetString(pages.None)
		if texts, ok := none.Interface().(pages.Texts); !ok || fails(t, texts) {
			none.Field(i).SetString("")
		}
	}
	if n := none.FieldByName("VerifyExplain").String() + none.FieldByName("PasswordWrong").String() + none.FieldByName("Required").String() + none.FieldByName("LoginTitle").String(); n != "" {
		t.Error("a text that must be can be None")
	}
	s := newSite(t, func(a *auth.Config, c *pages.Config) {
		withAll(a, c)
		texts, ok := none.Interface().(pages.Texts)
		if !ok {
			t.Error("not Texts")
		}
		c.Texts = texts
	})
	for _, c := range []*client{s.client(), s.user("susan", good)} {
		for _, path := range s.pages.Paths() {
			if r := c.get(path); r.status == 200 && !isAsset(path) {
				accessible(t, r)
			}
		}
	}
	c := s.client()
	wantRedirect(t, c.post("/forgot-password", "email", "susan@example.com"), "/check-inbox")
	wantRedirect(t, c.post("/check-inbox"), "/check-inbox")
	if len(c.sent) != 1 || !strings.HasSuffix(c.sent[0].Name, "-inbox") {
		t.Errorf("a message that is none: %v", c.sent)
	}
}

func fails(t *testing.T, texts pages.Texts) bool {
	_, err := pages.New(newManager(auth.Config{}).Core, pages.Config{Texts: texts})
	if err != nil && !strings.HasSuffix(err.Error(), " cannot be None") {
		t.Error(err)
	}
	return err != nil
}

// TestWrongTexts: no user sees a placeholder that stands for nothing, or a time without digits.
func TestWrongTexts(t *testing.T) {
	t.Parallel()
	for want, texts := range map[string]pages.Texts{
		`Texts.HeaderUser has {username}, which stands for nothing there; the default is "Logged in as {user}"`: {HeaderUser: "Hi {username}"},
		"Texts.DaysAgo has {days}":              {DaysAgo: "{days} days ago"},
		"Texts.LoginTitle has {user}":           {LoginTitle: "Hello {user}"},
		"Texts.Time is \"dd.mm.yyyy\"":          {Time: "dd.mm.yyyy"},
		"Texts.Date is \"dd.mm.yyyy\"":          {Date: "dd.mm.yyyy"},
		"Texts.Dir is \"left\"; use ltr or rtl": {Dir: "left"},
		"":                                      {HeaderUser: "Hi", RememberMe: "{days} days", Time: "02.01.2006 15:04", Dir: "rtl", LoginTitle: "{ Log in }"},
	} {
		_, err := pages.New(newManager(auth.Config{}).Core, pages.Config{Texts: texts})
		if (err == nil) != (want == "") || err != nil && !strings.HasPrefix(err.Error(), "pages: "+want) {
			t.Errorf("the error is %v, want %q", err, want)
		}
	}
}

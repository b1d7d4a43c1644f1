package pages_test

import (
	"errors"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// TestXSS: no field that is shown again lets markup through.
func TestXSS(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) {
		c.Fields = []pages.Field{{Name: "name", Label: "Full <name>", Autocomplete: "name"}}
		c.Site = "<b>Site</b>"
		c.Texts.Registered = "<b>Welcome</b>"
		c.MaxUsername = 64
	})
	susan := s.user("susan", good)
	for _, evil := range []string{
		`<script>alert(1)</script>`, `"><script>alert(1)</script>`, `' onfocus='alert(1)`, `" autofocus onfocus="alert(1)`,
		`<svg onload=alert(1)>`, `{{.}}`, "`${alert(1)}`", "\x00<script>", "\xff<script>", "</title><script>",
	} {
		for _, r := range []response{
			s.client().post("/login", "login", evil, "next", "/"+evil, "remember_me", evil),
			s.client().post("/register", "username", evil, "email", evil, "password", evil, "confirm_password", "x"+evil, "name", evil, "next", evil),
			s.client().post("/forgot-password", "email", evil),
			s.client().post("/verify-email", "email", evil, "next", "/"+evil),
			susan.post("/account/email", "email", evil),
			s.client().get("/login?next=" + url.QueryEscape("/"+evil) + "&login=" + url.QueryEscape(evil)),
			s.client().get("/" + url.PathEscape(evil)),
		} {
			accessible(t, r) // has no script, no handler, one autofocus
			if strings.Contains(r.body, "<svg") || strings.Contains(r.body, "<script>") || strings.Contains(r.body, "<b>") {
				t.Errorf("%q is in the page:\n%s", evil, r.body)
			}
		}
		if evil != "\x00<script>" && evil != "\xff<script>" {
			if got := fields(t, s.client().post("/login", "login", evil))["login"].value; got != evil {
				t.Errorf("typed %q and got %q", evil, got)
			}
		}
	}
	// A name that is one: what it shows is what was typed.
	c := s.client()
	wantRedirect(t, c.post("/register", "username", "<b>x</b>", "email", "b@example.com", "password", good, "confirm_password", good), "/login")
	wantRedirect(t, s.client().post("/verify-email", "email", "b@example.com"), "/check-inbox")
	visitor := s.client()
	wantRedirect(t, visitor.get(s.mailed(auth.MailVerify, "b@example.com")), "/verify-email")
	if r := visitor.get("/verify-email"); strings.Contains(r.body, "<b>") || !strings.Contains(text(only(t, parse(t, r), tag("main"))), "<b>x</b>") {
		t.Error(r.body)
	}
	r := c.get("/login")
	if _, text := message(t, r); text != "<b>Welcome</b>" {
		t.Error(text)
	}
	r = s.user("<b>x</b>", good).get("/account")
	if main := text(only(t, parse(t, r), tag("main"))); strings.Contains(r.body, "<b>") || !strings.Contains(main, "<b>x</b>") {
		t.Error(main)
	}
}

// TestBrokenTemplate: if a template fails for a user that New did not try, the answer is
// a whole error page, not half a page.
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

// TestWrongFuncs: New tries the pages' own templates, too, if a function of theirs is another one.
func TestWrongFuncs(t *testing.T) {
	t.Parallel()
	wrong := template.FuncMap{"eq": func(string) bool { return true }} // html/template's takes two
	if _, err := pages.New(newManager(auth.Config{}).Core, pages.Config{Funcs: wrong}); err == nil || !strings.Contains(err.Error(), "wrong number of args for eq") {
		t.Errorf("the error is %v", err)
	}
}

// TestAgo: times are relative for a week. The whole time is in the element.
func TestAgo(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) {
		c.Templates = fstest.MapFS{"account.html": {Data: []byte(`{{define "content"}}{{.Ago .Data}}|{{.On .Data}}|{{.At .Data}}{{end}}`)}}
		c.Data = func(r *http.Request) (any, error) { return time.Parse(time.RFC3339, r.Header.Get("At")) }
		c.SampleData, c.Texts.Time = time.Time{}, "<2006-01-02 15:04>"
	})
	c := s.user("susan", good)
	now := s.clock()
	for ago, want := range map[time.Duration]string{
		-time.Hour: "just now", 0: "just now", 59 * time.Second: "just now", time.Minute: "1 min ago", 59*time.Minute + 59*time.Second: "59 min ago",
		time.Hour: "1 h ago", 23*time.Hour + 59*time.Minute: "23 h ago", 24 * time.Hour: "1 day ago", 47 * time.Hour: "1 day ago", 48 * time.Hour: "2 days ago",
		7*24*time.Hour - time.Second: "6 days ago", 7 * 24 * time.Hour: "14 Nov 2026", 400 * 24 * time.Hour: "17 Oct 2025",
	} {
		at := now.Add(-ago)
		r := c.do("GET", "/account", "", "At", at.Format(time.RFC3339))
		wantStatus(t, r, 200)
		card := text(only(t, parse(t, r), with("class", "card")))
		_, got, _ := strings.Cut(card, "Account ")
		whole := at.Format("<2006-01-02 15:04>")
		if got != want+"|"+at.Format("2 Jan 2006")+"|"+whole {
			t.Errorf("%v ago is %q", ago, got)
		}
		times := all(parse(t, r), tag("time"))
		first, local := times[0], "" // relative times stay as they are
		if ago >= 7*24*time.Hour {
			local = "day"
		}
		if attr(first, "data-time") != local || attr(times[1], "data-time") != "day" || attr(times[2], "data-time") != "time" {
			t.Errorf("%v ago: the script is told %v", ago, times)
		}
		if attr(first, "datetime") != at.Format("2006-01-02T15:04:05Z") || attr(first, "title") != whole || attr(first, "dir") != "auto" {
			t.Errorf("the element is %v", first.Attr)
		}
	}
}

// TestRightToLeft: the page has the direction of its script. Names and addresses are isolated.
func TestRightToLeft(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.Texts.Lang, c.Texts.Dir = "he", "rtl" })
	r := s.client().get("/login")
	if html := only(t, parse(t, r), tag("html")); attr(html, "dir") != "rtl" || attr(html, "lang") != "he" {
		t.Errorf("%v", html.Attr)
	}
	c := s.user("susan", good)
	for path, want := range map[string]string{
		"/account": "<bdi>susan@example.com</bdi>", "/account/sessions": `<bdi dir="ltr" id="address-0">127.0.0.1</bdi>`, "/forgot-password": "logged in as <bdi>susan</bdi>",
	} {
		if r := c.get(path); !strings.Contains(r.body, want) {
			t.Errorf("%s has no %s:\n%s", path, want, r.body)
		}
	}
	css := s.client().get("/auth.css").body
	for _, side := range []string{"left", "right"} {
		if strings.Contains(css, "margin-"+side) || strings.Contains(css, "padding-"+side) || strings.Contains(css, "border-"+side) || strings.Contains(css, "text-align: "+side) {
			t.Errorf("the stylesheet has a %s side", side)
		}
	}
}

// TestLayout: the layout has the application's name, logo and icon. Visitors have no navigation,
// and users see who they are, and can log out.
func TestLayout(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.Site, c.Logo, c.Icon = "Gophers", "/logo.svg", "/icon.png" })
	header := func(r response) string {
		t.Helper()
		accessible(t, r)
		return text(only(t, parse(t, r), tag("header")))
	}
	r := s.client().get("/login")
	if got := header(r); got != "Gophers" {
		t.Errorf("visitors see %q", got)
	}
	if logo := only(t, parse(t, r), tag("img")); attr(logo, "src") != "/logo.svg" || attr(logo, "alt") != "" || !has(logo, "alt") {
		t.Errorf("the logo is %v", logo.Attr)
	}
	if icon := only(t, parse(t, r), with("rel", "icon")); attr(icon, "href") != "/icon.png" {
		t.Errorf("the icon is %v", icon.Attr)
	}
	if r := s.user("susan", good).get("/account"); header(r) != "Gophers Logged in as susan Log out" {
		t.Errorf("users see %q", header(r))
	}
	// Without a name, the logo stands for a link home. Without both, there is the link.
	s = newSite(t, func(_ *auth.Config, c *pages.Config) { c.Logo = "/logo.svg" })
	r = s.client().get("/login")
	if logo := only(t, parse(t, r), tag("img")); attr(logo, "alt") != "Home" {
		t.Errorf("the logo is %v", logo.Attr)
	}
	if icon := only(t, parse(t, r), with("rel", "icon")); attr(icon, "href") != "/logo.svg" {
		t.Errorf("the icon is %v", icon.Attr)
	}
	if r := newSite(t, nil).client().get("/login"); header(r) != "Home" || strings.Contains(r.body, "<img") || strings.Contains(r.body, `rel="icon"`) {
		t.Errorf("without both:\n%s", r.body)
	}
}

// TestBlocks: an application changes parts of the layout, and has functions and data of its own.
func TestBlocks(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	s := newSite(t, func(_ *auth.Config, c *pages.Config) {
		c.Site = "Gophers"
		c.Funcs = template.FuncMap{"shout": strings.ToUpper}
		c.Data = func(r *http.Request) (any, error) {
			if r.Header.Get("Fail") != "" {
				return nil, boom
			}
			return map[string]int{"Unread": 3}, nil
		}
		c.SampleData = map[string]int{}
		c.Templates = fstest.MapFS{"blocks.html": {Data: []byte(`{{define "head"}}<meta name="x" content="y">{{end}}
			{{define "brand"}}<p>{{shout .Site}}</p>{{end}}{{define "footer"}}<footer>{{.Data.Unread}} unread</footer>{{end}}`)}}
	})
	for _, r := range []response{s.client().get("/login"), s.user("susan", good).get("/account"), s.client().get("/nowhere")} {
		doc := parse(t, r)
		if attr(only(t, only(t, doc, tag("head")), with("name", "x")), "content") != "y" || text(only(t, doc, tag("footer"))) != "3 unread" ||
			!strings.HasPrefix(text(only(t, doc, tag("header"))), "GOPHERS") {
			t.Errorf("a block is missing:\n%s", r.body)
		}
	}
	wantStatus(t, s.client().do("GET", "/login", "", "Fail", "y"), 500)
	if !strings.Contains(s.log(), "boom") {
		t.Error("the log does not say why")
	}
}

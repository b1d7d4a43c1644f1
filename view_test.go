package auth_test

import (
	"bytes"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

const viewTemplate = `{{with .User}}Hi, {{.Username}} ({{.Name}})!{{else}}Log in{{end}}
{{- range .Flashes}}<p class="{{.Category}}">{{.Text}}</p>{{end}}
{{- with .Next}}<input name="next" value="{{.}}">{{end}}
{{- with .Data}}<b>{{.Title}}</b>{{end}}`

// viewApp shows a template at /view. failed gets the errors of Execute.
func viewApp(t *testing.T, text string, configure func(*auth.Config)) (app *testapp.App, failed *[]error) {
	t.Helper()
	app, _ = newApp(t, configure)
	failed = new([]error)
	page := template.Must(template.New("").Parse(text))
	app.Mux.HandleFunc("/view", func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		if err := page.Execute(&b, app.View(r, map[string]string{"Title": "<Posts>"})); err != nil {
			*failed = append(*failed, err)
			app.Error(w, r, err)
			return
		}
		_, _ = w.Write(b.Bytes())
	})
	return app, failed
}

func TestView(t *testing.T) {
	t.Parallel()
	app, failed := viewApp(t, viewTemplate, nil)
	u, err := app.Store.CreateUser(t.Context(), auth.Account{Username: "susan", Stamp: auth.NewSecret("s"), Version: 1}, map[string][]string{"name": {"<script>alert(1)</script>"}})
	if err != nil {
		t.Fatal(err)
	}
	c := app.Client(t)
	const title = "<b>&lt;Posts&gt;</b>"
	if r := c.Get("/view"); r.Text != "Log in"+title || len(r.Header["Set-Cookie"]) > 0 {
		t.Errorf("without a login: %q", r.Text)
	}
	app.Enter(t, c, u)
	if r := c.Get("/view"); r.Text != "Hi, susan (&lt;script&gt;alert(1)&lt;/script&gt;)!"+title {
		t.Errorf("susan: %q", r.Text)
	}
	app.Act(c, nil, func(_ http.ResponseWriter, r *http.Request) {
		_ = app.Flash(r.Context(), `"><script>`, "<b>text</b>")
		_ = app.Flash(r.Context(), "info", "second")
	})
	r := c.Get("/view")
	if !strings.Contains(r.Text, `<p class="&#34;&gt;&lt;script&gt;">&lt;b&gt;text&lt;/b&gt;</p><p class="info">second</p>`) {
		t.Errorf("flashes: %q", r.Text)
	}
	if r := c.Get("/view"); strings.Contains(r.Text, "<p") {
		t.Errorf("shown twice: %q", r.Text)
	}
	for next, want := range map[string]string{
		"/page?a=1%26b=2":              `<input name="next" value="/page?a=1&amp;b=2">`,
		"/%22%3E%3Cscript%3E":          `<input name="next" value="/&#34;&gt;&lt;script&gt;">`,
		"https://evil.example":         "",
		"//evil.example":               "",
		"%2F%5Cevil.example":           "",
		"javascript:alert(1)":          "",
		"/" + strings.Repeat("a", 3e3): "",
	} {
		r := c.Get("/view?next=" + next)
		if got := strings.Contains(r.Text, "<input"); got != (want != "") || !strings.Contains(r.Text, want) {
			t.Errorf("next %.40q: %q", next, r.Text)
		}
	}
	if r := c.Post("/view?next=/query", "next", "/form"); !strings.Contains(r.Text, `value="/form"`) {
		t.Errorf("a form that comes back: %q", r.Text)
	}
	if len(*failed) > 0 {
		t.Errorf("%v", *failed)
	}
}

// If the template does not use a value, it is not looked up, and messages are not
// taken.
func TestViewIsLazy(t *testing.T) {
	t.Parallel()
	app, _ := viewApp(t, "{{.Data.Title}}", nil)
	u := member(t, app, "susan", "")
	c := app.Client(t)
	app.Enter(t, c, u)
	app.Act(c, nil, func(_ http.ResponseWriter, r *http.Request) { _ = app.Flash(r.Context(), "info", "hello") })
	app.Spy().Reset()
	r := c.Get("/view")
	if r.Text != "&lt;Posts&gt;" || len(r.Header["Set-Cookie"]) > 0 || slices.Contains(app.Spy().Calls(), "LoadUser") || r.Header.Get("Vary") != "" {
		t.Errorf("%q, calls %v, %v", r.Text, app.Spy().Calls(), r.Header)
	}
	app.Act(c, nil, func(_ http.ResponseWriter, r *http.Request) {
		v := app.View(r, nil)
		if got := v.Flashes(); !slices.Equal(got, []auth.Flash{{Category: "info", Text: "hello"}}) {
			t.Errorf("%v", got)
		}
		if v.Data != nil || v.Next() != "" {
			t.Errorf("%v %q", v.Data, v.Next())
		}
		if got, err := v.User(); err != nil || got.ID != u.ID {
			t.Errorf("%v", err)
		}
	})
}

// If the store fails, Execute returns an error and the answer is 503, not the anonymous
// page.
func TestViewStoreFails(t *testing.T) {
	t.Parallel()
	app, failed := viewApp(t, viewTemplate, nil)
	u := member(t, app, "susan", "")
	c := app.Client(t)
	app.Enter(t, c, u)
	app.Spy().Hook(on("LoadUser", func() error { return errStore }), nil)
	if r := c.Get("/view"); r.StatusCode != http.StatusServiceUnavailable || strings.Contains(r.Text, "Log in") {
		t.Errorf("%s %q", r.Status, r.Text)
	}
	if len(*failed) != 1 || !errors.Is((*failed)[0], errStore) {
		t.Errorf("%v", *failed)
	}
	if r := c.Get("/view"); !strings.HasPrefix(r.Text, "Hi, susan") {
		t.Errorf("then: %q", r.Text)
	}
	// Using a View outside LoadAndSave is a mistake, so User returns an error.
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		v := app.View(r, nil)
		if _, err := v.User(); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("outside: %v", err)
		}
		if len(v.Flashes()) > 0 || v.Next() != "/x" {
			t.Errorf("outside: %v, %q", v.Flashes(), v.Next())
		}
	})
	direct(t, h, "GET", "/?next=/x", nil)
}

// An error of the store is a failure, whatever it wraps.
func TestViewStoreFailsWithAnyError(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{auth.ErrConflict, auth.ErrInvalidEmail, auth.ErrInvalidToken, auth.ErrRecordNotFound} {
		app, _ := viewApp(t, viewTemplate, nil)
		u := member(t, app, "susan", "")
		c := app.Client(t)
		app.Enter(t, c, u)
		app.Spy().Hook(on("LoadUser", func() error { return fmt.Errorf("%w, %w", errStore, failure) }), nil)
		if r := c.Get("/view"); r.StatusCode == http.StatusOK {
			t.Errorf("%v: %s %q", failure, r.Status, r.Text)
		}
	}
}

// Without RequireScope, a request with a limited token is anonymous. Behind it, the
// user is shown.
func TestViewOfTokens(t *testing.T) {
	t.Parallel()
	app, failed := viewApp(t, viewTemplate, withBearer)
	u := member(t, app, "susan", "")
	secret, _, err := app.NewAPIToken(t.Context(), u, auth.APIToken{Scopes: []string{"read"}, Expires: app.Clock.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	header := http.Header{"Authorization": {"Bearer " + secret.Reveal()}}
	if r := app.Client(t).Do("GET", "/view", nil, header); r.StatusCode != http.StatusOK || !strings.HasPrefix(r.Text, "Log in") {
		t.Errorf("%s %q", r.Status, r.Text)
	}
	app.Mux.Handle("/scoped", app.RequireScope("read")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, err := app.View(r, nil).User()
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write([]byte(got.Username))
	})))
	if r := app.Client(t).Do("GET", "/scoped", nil, header); r.Text != "susan" {
		t.Errorf("%s %q", r.Status, r.Text)
	}
	// If Load fails, the page fails.
	down, _ := viewApp(t, viewTemplate, loadedBy(auth.Credential{Load: func(*http.Request) (auth.Grant, error) {
		return auth.Grant{}, errStore
	}}))
	if r := down.Client(t).Get("/view"); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a Credential that fails: %s", r.Status)
	}
	if len(*failed) > 0 {
		t.Errorf("%v", *failed)
	}
}

// The error page of a refused request may use a View. It shows no user.
func TestViewOnErrorPages(t *testing.T) {
	t.Parallel()
	var app *testapp.App
	page := template.Must(template.New("").Parse(viewTemplate))
	app, _ = newApp(t, func(c *auth.Config) {
		c.ErrorPage = func(w http.ResponseWriter, r *http.Request, status int, _ error) {
			w.WriteHeader(status)
			if err := page.Execute(w, app.View(r, nil)); err != nil {
				_, _ = w.Write([]byte("no page"))
			}
		}
	})
	u := member(t, app, "susan", "")
	c := app.Client(t)
	app.Enter(t, c, u)
	finish(t, func() {
		r := c.Do("POST", "/act", nil, http.Header{"Sec-Fetch-Site": {"cross-site"}})
		if r.StatusCode != http.StatusForbidden || r.Text != "Log in" {
			t.Errorf("cross-origin: %s %q", r.Status, r.Text)
		}
		app.Spy().Hook(on("GetRecord", func() error { return errStore }), nil)
		if r := c.Get("/who"); r.StatusCode != http.StatusServiceUnavailable || r.Text != "no page" {
			t.Errorf("the store fails: %s %q", r.Status, r.Text)
		}
	})
}

// The view's user has the application's own type, and is nil for an anonymous visitor.
func TestViewType(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Act(app.Client(t), nil, func(_ http.ResponseWriter, r *http.Request) {
		var u *testapp.User
		u, err := app.View(r, nil).User()
		if u != nil || err != nil {
			t.Errorf("%v, %v", u, err)
		}
	})
}

package pages_test

import (
	"io"
	"io/fs"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authmail"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
)

func TestNew(t *testing.T) {
	t.Parallel()
	file := func(name, text string) fs.FS { return fstest.MapFS{name: {Data: []byte(text)}} }
	mailer := authmail.NewPrinter(io.Discard)
	factors := []auth.Factor{newFactors().app}
	data := func(*http.Request) (any, error) { return nil, nil }
	for _, test := range []struct {
		auth   auth.Config
		config pages.Config
		want   string // in the error
	}{
		{auth.Config{}, pages.Config{}, ""},
		{auth.Config{URLs: auth.URLs{Login: "/auth/login"}}, pages.Config{Prefix: "/auth/"}, ""},
		{auth.Config{URLs: auth.URLs{Login: "https://app.example/auth/login"}}, pages.Config{Prefix: "/auth"}, ""},
		{auth.Config{URLs: auth.URLs{Login: "https://app.example/auth/login", Refresh: "https://app.example/auth/refresh"}}, pages.Config{Prefix: "/auth"}, ""},
		{auth.Config{URLs: auth.URLs{Refresh: "/refresh?again"}}, pages.Config{}, ""},
		{auth.Config{URLs: auth.URLs{Refresh: "/sudo"}}, pages.Config{}, "the refresh page is /refresh, but URLs.Refresh of auth.Config is /sudo"},
		{auth.Config{URLs: auth.URLs{Login: "/auth/login", Refresh: "/refresh"}}, pages.Config{Prefix: "/auth"}, "URLs.Refresh"},
		{auth.Config{URLs: auth.URLs{Verify: "/confirm"}}, pages.Config{}, ""}, // there is no such page without a Mailer
		{auth.Config{Mailer: mailer, URLs: auth.URLs{Verify: "/confirm"}}, pages.Config{}, "the page for verifying is /verify-email, but URLs.Verify of auth.Config is /confirm"},
		{auth.Config{Mailer: mailer, URLs: auth.URLs{Login: "/auth/login", Verify: "/verify-email"}}, pages.Config{Prefix: "/auth"}, "URLs.Verify"},
		{auth.Config{Mailer: mailer, URLs: auth.URLs{Login: "/auth/login"}}, pages.Config{Prefix: "/auth"}, ""},
		{auth.Config{Mailer: mailer, URLs: auth.URLs{Verify: "https://app.example/verify-email?a=b"}}, pages.Config{}, ""},
		{auth.Config{Mailer: mailer, URLs: auth.URLs{Forgot: "/x"}}, pages.Config{}, "URLs.Forgot"},
		{auth.Config{Mailer: mailer, URLs: auth.URLs{Reset: "/x"}}, pages.Config{}, "URLs.Reset"},
		{auth.Config{Mailer: mailer, URLs: auth.URLs{EmailChange: "/x"}}, pages.Config{}, "URLs.EmailChange"},
		{auth.Config{Mailer: mailer, URLs: auth.URLs{EmailUndo: "/x"}}, pages.Config{}, "URLs.EmailUndo"},
		{auth.Config{URLs: auth.URLs{Factor: "/x", TwoFactor: "/y"}}, pages.Config{}, ""}, // there are no such pages without factors
		{auth.Config{Factors: factors}, pages.Config{}, ""},
		{auth.Config{Factors: factors, URLs: auth.URLs{Factor: "/x"}}, pages.Config{}, "the page that asks for a second factor is /login/verify, but URLs.Factor of auth.Config is /x"},
		{auth.Config{Factors: factors, URLs: auth.URLs{TwoFactor: "/y"}}, pages.Config{}, "the page for second factors is /account/two-factor, but URLs.TwoFactor of auth.Config is /y"},
		{auth.Config{Factors: factors, URLs: auth.URLs{Login: "/auth/login"}}, pages.Config{Prefix: "/auth"}, ""},
		{auth.Config{Mailer: mailer, RequireVerified: true}, pages.Config{}, ""},
		{auth.Config{Mailer: mailer, RequireVerified: true, HideAccounts: true}, pages.Config{}, ""},
		{auth.Config{Mailer: mailer, RequireVerified: true}, pages.Config{Email: pages.Optional}, "so Email must be Required"},
		{auth.Config{Mailer: mailer, RequireVerified: true, Identifiers: auth.UsernameOnly}, pages.Config{Email: pages.Absent}, "so Email must be Required"},
		{auth.Config{}, pages.Config{FreshFor: time.Minute}, ""},
		{auth.Config{}, pages.Config{FreshFor: time.Minute - 1}, "FreshFor"},
		{auth.Config{}, pages.Config{FreshFor: -time.Hour}, "FreshFor"},
		{auth.Config{}, pages.Config{Prefix: "/"}, ""},
		{auth.Config{}, pages.Config{Prefix: "/auth"}, "the login page is /auth/login, but URLs.Login of auth.Config is /login"},
		{auth.Config{URLs: auth.URLs{Login: "/signin"}}, pages.Config{}, "URLs.Login"},
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
		{auth.Config{}, pages.Config{Fields: []pages.Field{{Name: "a", Label: "x", Type: "dropdown"}}}, "unknown type"},
		{auth.Config{}, pages.Config{Fields: []pages.Field{{Name: "a", Label: "x", Type: "select"}}}, "Options"},
		{auth.Config{}, pages.Config{Fields: []pages.Field{{Name: "a", Label: "x", Options: []pages.Option{{Value: "1"}}}}}, "Options"},
		{auth.Config{}, pages.Config{Fields: []pages.Field{{Name: "a", Label: "x", Type: "select", Options: []pages.Option{{Value: "1"}, {Value: "1"}}}}}, "two options"},
		{auth.Config{}, pages.Config{Fields: []pages.Field{{Name: "a", Label: "x", Type: "select", Options: []pages.Option{{Value: "1"}, {Value: "2"}}}}}, ""},
		{auth.Config{}, pages.Config{Logo: "https://cdn.example/logo.svg"}, "Logo"},
		{auth.Config{}, pages.Config{Icon: "favicon.ico"}, "Icon"},
		{auth.Config{}, pages.Config{SampleData: 1}, "SampleData has no effect"},
		{auth.Config{}, pages.Config{Data: data, Templates: file("blocks.html", `{{define "footer"}}{{.Data.Unread}}{{end}}`)}, "set Config.SampleData"},
		{auth.Config{}, pages.Config{Data: data, SampleData: map[string]int{}, Templates: file("blocks.html", `{{define "footer"}}{{.Data.Unread}}{{end}}`)}, ""},
		{auth.Config{}, pages.Config{Templates: file("blocks.html", `<footer></footer>`)}, "outside"},
		{auth.Config{}, pages.Config{Templates: file("blocks.html", `{{define "footer"}}{{shout .Site}}{{end}}`)}, "shout"},
		{auth.Config{}, pages.Config{Templates: fstest.MapFS{}}, ""},
		{auth.Config{}, pages.Config{Templates: file("logn.html", `{{define "content"}}{{end}}`)}, "logn.html"},
		{auth.Config{}, pages.Config{Templates: file("style.css", ``)}, "style.css"},
		{auth.Config{}, pages.Config{Templates: file("README.md", ``)}, ""},
		{auth.Config{}, pages.Config{Templates: file("login.tmpl", `{{define "content"}}{{end}}`)}, "login.tmpl"},
		{auth.Config{}, pages.Config{Templates: file("auth.js", ``)}, "auth.js"},
		{auth.Config{}, pages.Config{Templates: file("web/templates/login.html", `{{define "content"}}{{end}}`)}, `fs.Sub(…, "web/templates")`},
		{auth.Config{}, pages.Config{Templates: fstest.MapFS{"auth.css": {}, "mails/login.html": {}}}, ""},
		{auth.Config{}, pages.Config{Templates: os.DirFS("no such folder")}, "Templates"},
		{auth.Config{}, pages.Config{Templates: file("blocks.html", `{{define "foter"}}<footer></footer>{{end}}`)}, `blocks.html defines "foter"`},
		{auth.Config{}, pages.Config{Templates: file("blocks.html", `{{define "footer"}}{{template "links"}}{{end}}{{- define "links"}}{{end}}`)}, ""},
		{auth.Config{}, pages.Config{Templates: file("login.html", ``)}, `login.html does not define "content"`},
		{auth.Config{}, pages.Config{Templates: file("layout.html", `<h1>{{.Title}}</h1>`)}, `it needs {{template "content" .}}`},
		{auth.Config{}, pages.Config{Templates: file("login.html", `{{define "content"}}`)}, "login.html"},
		{auth.Config{}, pages.Config{Templates: file("login.html", `{{define "content"}}{{.Nonsense}}{{end}}`)}, "Nonsense"},
		{auth.Config{}, pages.Config{Templates: file("login.html", `{{define "contents"}}{{end}}`)}, `defines "contents"`},
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
		{auth.Config{}, pages.Config{Templates: file("factor.html", `{{define "content"}}{{.Subject.Username}}{{(.Form.Field "code").Label}}{{range .Factors}}{{.URL}}{{end}}{{end}}`)}, ""},
		{auth.Config{}, pages.Config{Templates: file("factor.html", `{{define "content"}}{{range .Factors}}{{.Nonsense}}{{end}}{{end}}`)}, "Nonsense"},
		{auth.Config{}, pages.Config{Templates: file("factor.html", `{{define "content"}}{{.User.Username}}{{end}}`)}, "factor.html"},
		{auth.Config{}, pages.Config{Templates: file("twofactor.html", `{{define "content"}}{{with .Setup}}{{.Nonsense}}{{end}}{{end}}`)}, "Nonsense"},
		{auth.Config{}, pages.Config{Templates: file("recoverycodes.html", `{{define "content"}}{{range .Codes}}{{.Nonsense}}{{end}}{{end}}`)}, "Nonsense"},
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
	manager, err := auth.NewWithLoader[*User](store, auth.Config{
		BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
	})
	check(t, err)
	if _, err := pages.New(manager.Core, pages.Config{}); err == nil {
		t.Error("no error for a manager that can only load users")
	}
}

package pages_test

import (
	"crypto/rand"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing/fstest"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
)

// The pages are mounted under a prefix, beside the application's own.
func Example() {
	manager := newManager(auth.Config{URLs: auth.URLs{Login: "/auth/login"}})
	p, err := pages.New(manager.Core, pages.Config{Prefix: "/auth", Site: "Gophers"})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("/auth/", p)
	mux.Handle("GET /profile", manager.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := manager.CurrentUser(r.Context())
		fmt.Fprintf(w, "Hi, %s!", user.Name)
	})))
	application := manager.LoadAndSave(mux)

	answer := request(application, "/profile")
	fmt.Println(answer.Code, answer.Header().Get("Location"))
	// Output:
	// 303 /auth/login?next=%2Fprofile
}

// The pages speak English, German and Spanish, as the browser prefers. Two texts are the
// application's own.
func ExampleTexts() {
	manager := newManager(auth.Config{Languages: []string{"en", "de", "es"}})
	p, err := pages.New(manager.Core, pages.Config{
		Texts:        pages.Texts{LoginTitle: "Welcome back"},
		Translations: map[string]pages.Texts{"de": {LoginTitle: "Willkommen zurück"}},
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, language := range []string{"en-US", "de-CH, fr;q=0.5", "es"} {
		r := httptest.NewRequest(http.MethodGet, "/login", nil)
		r.Header.Set("Accept-Language", language)
		w := httptest.NewRecorder()
		manager.LoadAndSave(p).ServeHTTP(w, r)
		_, title, _ := strings.Cut(w.Body.String(), "<h1>")
		title, _, _ = strings.Cut(title, "</h1>")
		fmt.Println(title)
	}
	// Output:
	// Welcome back
	// Willkommen zurück
	// Iniciar sesión
}

// The pages have the application's name, logo and colour, and a footer.
func ExampleConfig() {
	manager := newManager(auth.Config{})
	p, err := pages.New(manager.Core, pages.Config{
		Site:   "Gophers",
		Logo:   "/logo.svg", // the application serves it
		Accent: "#0b6b50",
		Templates: fstest.MapFS{"blocks.html": {Data: []byte( // or os.DirFS, or an embed.FS
			`{{define "footer"}}<footer><a href="/imprint">Imprint</a></footer>{{end}}`)}},
	})
	if err != nil {
		log.Fatal(err)
	}
	page := request(manager.LoadAndSave(p), "/login").Body.String()
	fmt.Println(strings.Contains(page, "<span>Gophers</span>"), strings.Contains(page, `src="/logo.svg"`), strings.Contains(page, "Imprint"))

	// Text of the accent, and white text on it, must be readable.
	_, err = pages.New(manager.Core, pages.Config{Accent: "#00add8"})
	fmt.Println(err)
	// Output:
	// true true true
	// pages: Accent #00add8 has a contrast of 2.43 with the background #f5f6f8, and needs 4.5; use #007a99, or a darker shade
}

// Two pages have templates of the application's own.
func ExampleConfig_templates() {
	templates := fstest.MapFS{ // or os.DirFS, or an embed.FS
		"account.html": {Data: []byte(`
{{define "content"}}
	<p>Hello, {{.User.Name}}! Your address is {{.User.Email}}.</p>
	<p><a href="{{.URLs.Password}}">{{.Texts.PasswordTitle}}</a></p>
{{end}}`)},
		"login.html": {Data: []byte(`
{{define "content"}}
	{{template "summary" .}}
	<form action="{{.Form.Action}}" method="post">
		<input type="hidden" name="next" value="{{.Form.Next}}">
		{{template "field" .Form.Field "login"}}
		{{template "field" .Form.Field "password"}}
		<button>Come in</button>
	</form>
{{end}}`)},
	}
	manager := newManager(auth.Config{})
	p, err := pages.New(manager.Core, pages.Config{Templates: templates, SampleUser: &User{}})
	if err != nil {
		log.Fatal(err)
	}
	page := request(manager.LoadAndSave(p), "/login").Body.String()
	fmt.Println(strings.Contains(page, "Come in"), strings.Contains(page, "Keep me logged in"))
	// Output:
	// true false
}

func newManager(cfg auth.Config) *auth.Manager[*User] {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret)
	cfg.BaseURL, cfg.Secrets = "http://localhost:8080", [][]byte{secret}
	manager, err := auth.New(memstore.New[User](), cfg)
	if err != nil {
		log.Fatal(err)
	}
	return manager
}

func request(h http.Handler, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w
}

package auth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// languageOf returns the language in which an application answers a request.
func languageOf(t *testing.T, configure func(*auth.Config), header http.Header) string {
	t.Helper()
	app, _ := newApp(t, configure)
	got := "not asked"
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = header
	app.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		got = app.Language(r.Context())
	})).ServeHTTP(httptest.NewRecorder(), r)
	return got
}

func offer(tags ...string) func(*auth.Config) {
	return func(c *auth.Config) { c.Languages = tags }
}

// The language is the one of Config.Languages that the client likes best.
func TestLanguage(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		offered []string
		accept  []string
		want    string
	}{
		{nil, []string{"de"}, ""},
		{[]string{"en", "de", "es"}, nil, "en"},
		{[]string{"en", "de", "es"}, []string{"de"}, "de"},
		{[]string{"en", "de", "es"}, []string{"DE-at, en;q=0.5"}, "de"},
		{[]string{"en", "de", "es"}, []string{"fr, es;q=0.3, de;q=0.8"}, "de"},
		{[]string{"en", "de", "es"}, []string{"fr", "es;q=0.3"}, "es"},
		{[]string{"en", "de", "es"}, []string{"es-419,es;q=0.9"}, "es"},
		{[]string{"en", "de", "es"}, []string{"fr-FR,fr;q=0.9"}, "en"},
		{[]string{"de", "es"}, []string{"fr"}, "de"},
		{[]string{"en", "de"}, []string{"de;q=0, en"}, "en"},
		{[]string{"en", "de"}, []string{"*"}, "en"},
		{[]string{"en", "de"}, []string{"de;;q"}, "en"},
		{[]string{"en", "de"}, []string{strings.Repeat("de,", 500)}, "en"},
		{[]string{"en", "pt-br"}, []string{"pt"}, "pt-BR"},
	} {
		if got := languageOf(t, offer(test.offered...), http.Header{"Accept-Language": test.accept}); got != test.want {
			t.Errorf("of %q, %q gets %q, want %q", test.offered, test.accept, got, test.want)
		}
	}
	app, _ := newApp(t, offer("es", "de"))
	if got := app.Language(t.Context()); got != "es" {
		t.Errorf("without a request: %q", got)
	}
}

// Config.Language goes before Accept-Language, if it names a language that is offered.
func TestLanguageHook(t *testing.T) {
	t.Parallel()
	for cookie, want := range map[string]string{"es": "es", "ES": "es", "fr": "de", "": "de"} {
		got := languageOf(t, func(c *auth.Config) {
			c.Languages = []string{"en", "de", "es"}
			c.Language = func(r *http.Request) string {
				chosen, _ := r.Cookie("language")
				return chosen.Value
			}
		}, http.Header{"Accept-Language": {"de"}, "Cookie": {"language=" + cookie}})
		if got != want {
			t.Errorf("%q: %q, want %q", cookie, got, want)
		}
	}
}

func TestLanguageSettings(t *testing.T) {
	t.Parallel()
	for name, configure := range map[string]func(*auth.Config){
		"Config.Languages[0] is":                       offer(""),
		"Config.Languages[1] is":                       offer("en", "no such language"),
		`Config.Languages has "de-AT" twice`:           offer("de-at", "de-AT"),
		"Config.Language and Config.MailLanguage have": func(c *auth.Config) { c.MailLanguage = func(auth.User) string { return "" } },
	} {
		cfg := auth.Config{BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}}
		configure(&cfg)
		_, err := auth.New(memstore.New[testapp.User](), cfg)
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// The messages of guards are in the language of the request. All are translated.
func TestMessagesInLanguages(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, offer("en", "de", "es-MX"))
	message := app.Config().Message
	seen := map[string]bool{}
	for _, accept := range []string{"en", "de", "es"} {
		for _, reason := range []error{auth.ErrNotLoggedIn, auth.ErrNotFresh, auth.ErrUnverified, auth.ErrNoFactor} {
			r := httptest.NewRequest(http.MethodGet, "/", nil)
			r.Header.Set("Accept-Language", accept)
			app.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				text := message(r, reason).Text
				if text == "" || seen[text] || (text == auth.DefaultMessage(r, reason).Text) != (accept == "en") {
					t.Errorf("%s, %v: %q", accept, reason, text)
				}
				seen[text] = true
			})).ServeHTTP(httptest.NewRecorder(), r)
		}
	}
	if m := message(httptest.NewRequest(http.MethodGet, "/", nil), auth.ErrFactorRequired); m.Text != "" {
		t.Errorf("%q", m.Text)
	}
}

// FuzzLanguage: whatever a client sends, it gets one of the languages.
func FuzzLanguage(f *testing.F) {
	for _, line := range []string{"", "de", "de-AT;q=0.8,*", "de;q=NaN", "x-klingon", "zh-Hant-TW, en;q=0.1", ";;,,=", "de;q=1.0000"} {
		f.Add(line)
	}
	offered := []string{"en", "de", "es"}
	f.Fuzz(func(t *testing.T, line string) {
		if got := languageOf(t, offer(offered...), http.Header{"Accept-Language": {line}}); !slices.Contains(offered, got) {
			t.Errorf("%q gets %q", line, got)
		}
	})
}

// A mail says when it was caused and from where, in the language of the request that caused
// it or, with Config.MailLanguage, of its user.
func TestMailSaysWhenAndWhere(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		of   func(auth.User) string
		want string
	}{
		{nil, "de"},
		{func(auth.User) string { return "es" }, "es"},
		{func(auth.User) string { return "fr" }, "de"},
	} {
		app := newMailApp(t, func(c *auth.Config) { c.Languages, c.MailLanguage = []string{"en", "de", "es"}, test.of })
		app.Create(t, "susan", false)
		r := httptest.NewRequest(http.MethodPost, "https://app.example/forgot", nil)
		r.RemoteAddr = "203.0.113.7:1234"
		r.Header = http.Header{"Accept-Language": {"de"}, "User-Agent": {"Chrome\n"}, "Sec-Fetch-Site": {"same-origin"}}
		err := errors.New("not served")
		app.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			err = app.SendReset(r.Context(), "susan@app.example")
		})).ServeHTTP(httptest.NewRecorder(), r)
		mails := app.box.Take()
		if err != nil || len(mails) != 1 {
			t.Fatalf("%v, %d mails", err, len(mails))
		}
		if m := mails[0]; m.Language != test.want || !m.At.Equal(app.Clock.Now()) || m.Address != "203.0.113.7" || m.Agent != "Chrome" {
			t.Errorf("%q at %v from %q by %q", m.Language, m.At, m.Address, m.Agent)
		}
		if err := app.SendReset(t.Context(), "susan@app.example"); err != nil { // without a request
			t.Fatal(err)
		}
		if m := app.box.Take()[0]; m.Address != "" || m.Agent != "" || m.At.IsZero() || test.of == nil && m.Language != "en" {
			t.Errorf("without a request: %q at %v from %q by %q", m.Language, m.At, m.Address, m.Agent)
		}
	}
}

// A mail does not tell from where another user, such as an administrator, has acted.
func TestMailHidesOtherUsersAddress(t *testing.T) {
	t.Parallel()
	app := newMailApp(t, nil)
	admin, susan := app.Create(t, "admin", false), app.Create(t, "susan", false)
	for _, test := range []struct {
		actor auth.User
		want  bool
	}{{admin, false}, {susan, true}} {
		app.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			if err := app.LoginUser(r.Context(), test.actor); err != nil {
				t.Error(err)
			}
			if err := app.SendReset(r.Context(), "susan@app.example"); err != nil {
				t.Error(err)
			}
		})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "https://app.example/", nil))
		if mails := app.box.Take(); len(mails) != 1 || (mails[0].Address != "") != test.want {
			t.Errorf("%s: %v", test.actor.AuthAccount().Username, mails)
		}
	}
}

package pages_test

import (
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authmail"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
)

// inLanguages returns pages with everything that they can have, in these languages.
func inLanguages(t *testing.T, change func(*auth.Config, *pages.Config), languages ...string) (*auth.Manager[*User], *pages.Pages, error) {
	t.Helper()
	a, c := auth.Config{Languages: languages, BaseURL: "http://localhost:8080", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}}, pages.Config{}
	if change != nil {
		change(&a, &c)
	}
	manager, err := auth.New(memstore.New[User](), a)
	check(t, err)
	p, err := pages.New(manager.Core, c)
	return manager, p, err
}

// TestTranslations: German and Spanish have every text, with the placeholders of the English
// one. None is still in English.
func TestTranslations(t *testing.T) {
	t.Parallel()
	same := map[string][]string{ // texts that are the same in English
		"de": {"Dir", "PasskeysTitle", "PasskeyName"},
		"es": {"Dir", "ErrorTitle"},
	}
	words := regexp.MustCompile(`(?i)\b(the|your|you|please|account|password|email|address|login|log|sign|another|again)\b`)
	placeholders := regexp.MustCompile(`\{[a-z]+\}`)
	for name, change := range map[string]func(*auth.Config, *pages.Config){
		"everything": func(a *auth.Config, c *pages.Config) {
			a.Mailer = authmail.NewPrinter(io.Discard)
			withAll(a, c)
		},
		"little":    nil,
		"usernames": func(a *auth.Config, _ *pages.Config) { a.Identifiers = auth.UsernameOnly },
		"addresses": func(a *auth.Config, _ *pages.Config) {
			a.Identifiers, a.RequireVerified, a.Mailer = auth.EmailOnly, true, authmail.NewPrinter(io.Discard)
		},
	} {
		_, p, err := inLanguages(t, change, "en", "de", "es")
		check(t, err)
		english := reflect.ValueOf(pages.TextsOf(p, "en"))
		for lang, same := range same {
			texts := reflect.ValueOf(pages.TextsOf(p, lang))
			for i := range texts.NumField() {
				field, text, original := texts.Type().Field(i).Name, texts.Field(i).String(), english.Field(i).String()
				if text == "" || (text == original) != slices.Contains(same, field) {
					t.Errorf("%s: %s in %s is %q", name, field, lang, text)
				}
				if got, want := placeholders.FindAllString(text, -1), placeholders.FindAllString(original, -1); !slices.Equal(sorted(got), sorted(want)) {
					t.Errorf("%s: %s in %s has the placeholders %q, not %q", name, field, lang, got, want)
				}
				if word := words.FindString(placeholders.ReplaceAllString(text, "")); word != "" {
					t.Errorf("%s: %s in %s has the word %q: %s", name, field, lang, word, text)
				}
			}
		}
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }

// TestTranslationFiles: the files have no text that nothing uses, and both have the same ones.
func TestTranslationFiles(t *testing.T) {
	t.Parallel()
	german, spanish := pages.Shipped("de"), pages.Shipped("es")
	if a, b := slices.Sorted(maps.Keys(german)), slices.Sorted(maps.Keys(spanish)); !slices.Equal(a, b) || len(a) < 200 {
		t.Errorf("German has\n%q\nand Spanish\n%q", a, b)
	}
	for name := range german {
		field, _, _ := strings.Cut(name, "/")
		if _, ok := reflect.TypeFor[pages.Texts]().FieldByName(field); !ok {
			t.Errorf("Texts has no %s", name)
		}
	}
	if pages.Shipped("fr") != nil || pages.Shipped("../languages/de") != nil || pages.Shipped("de-AT") == nil {
		t.Error("the wrong files")
	}
}

// TestPagesInLanguages: each page is in the language of its request, and caches learn that.
func TestPagesInLanguages(t *testing.T) {
	t.Parallel()
	s := newSite(t, func(a *auth.Config, c *pages.Config) {
		withAll(a, c)
		a.Languages = []string{"en", "de", "es"}
		c.Translations = map[string]pages.Texts{"de": {LoginTitle: "Willkommen"}}
	})
	c := s.client()
	for accept, want := range map[string]struct{ lang, title string }{
		"": {"en", pages.TextsOf(s.pages, "en").LoginTitle}, "de-CH": {"de", "Willkommen"}, "es": {"es", "Iniciar sesión"}, "fr": {"en", pages.TextsOf(s.pages, "en").LoginTitle},
	} {
		r := c.do(http.MethodGet, "/login", "", "Accept-Language", accept)
		accessible(t, r)
		if heading(t, r) != want.title || !strings.Contains(r.body, `<html lang="`+want.lang+`"`) || !slices.Contains(r.header.Values("Vary"), "Accept-Language") {
			t.Errorf("%q: %s, Vary %q", accept, heading(t, r), r.header.Values("Vary"))
		}
	}
	for _, c := range []*client{s.client(), s.user("susan", good)} {
		for _, path := range s.pages.Paths() {
			if r := c.do(http.MethodGet, path, "", "Accept-Language", "de"); r.status == http.StatusOK && !isAsset(path) {
				accessible(t, r)
			}
		}
	}
	r := c.do(http.MethodPost, "/login", "login=&password=", "Accept-Language", "de")
	if r.status != http.StatusUnprocessableEntity || !strings.Contains(r.body, "Bitte füllen Sie dieses Feld aus.") {
		t.Errorf("%d: %s", r.status, r.body)
	}
	r = c.do(http.MethodPost, "/login", `{"login":"susan","password":"wrong"}`, "Accept-Language", "es", "Content-Type", "application/json", "Accept", "application/json")
	if !strings.Contains(r.body, "No hemos podido iniciar la sesión.") || !slices.Contains(r.header.Values("Vary"), "Accept-Language") {
		t.Errorf("JSON: %s", r.body)
	}
	if r := c.do(http.MethodGet, "/auth.css", "", "Accept-Language", "es"); len(r.header.Values("Vary")) > 0 {
		t.Errorf("the stylesheet has Vary %q", r.header.Values("Vary"))
	}
	if r := newSite(t, nil).client().do(http.MethodGet, "/login", "", "Accept-Language", "de"); slices.Contains(r.header.Values("Vary"), "Accept-Language") || !strings.Contains(r.body, `<html lang="en"`) {
		t.Error("there are languages without the setting")
	}
}

// TestOtherLanguages: a language that the package does not have needs every text.
func TestOtherLanguages(t *testing.T) {
	t.Parallel()
	var french pages.Texts
	fields := reflect.ValueOf(&french).Elem()
	for i := range fields.NumField() {
		fields.Field(i).SetString("f " + fields.Type().Field(i).Name)
	}
	french.Lang, french.Dir, french.Time, french.Date = "fr", "ltr", "2/1/2006 15:04 UTC", "2/1/2006"
	two := french
	two.LoginTitle, two.HidePassword = "", ""
	for name, test := range map[string]struct {
		languages []string
		config    pages.Config
		want      string
	}{
		"complete":        {[]string{"en", "fr"}, pages.Config{Translations: map[string]pages.Texts{"fr": french}}, ""},
		"the first one":   {[]string{"fr", "de"}, pages.Config{Texts: french}, ""},
		"incomplete":      {[]string{"en", "fr"}, pages.Config{Translations: map[string]pages.Texts{"fr": {LoginTitle: "f"}}}, `more; set these fields in Config.Translations["fr"]`},
		"two are missing": {[]string{"fr", "en"}, pages.Config{Texts: two}, `no text in "fr" for HidePassword, LoginTitle; set these fields in Config.Texts `},
		"none":            {[]string{"en", "fr"}, pages.Config{}, `there is no text in "fr"`},
		"not offered":     {[]string{"en", "de"}, pages.Config{Translations: map[string]pages.Texts{"fr": french}}, "is not among Languages"},
		"no languages":    {nil, pages.Config{Translations: map[string]pages.Texts{"fr": french}}, "is not among Languages"},
		"the first again": {[]string{"en", "de"}, pages.Config{Translations: map[string]pages.Texts{"en": {}}}, "use Config.Texts"},
		"another Lang":    {[]string{"en", "de"}, pages.Config{Translations: map[string]pages.Texts{"de": {Lang: "fr"}}}, `Texts.Lang is "fr"`},
		"a German None":   {[]string{"en", "de"}, pages.Config{Translations: map[string]pages.Texts{"de": {LoginTitle: pages.None}}}, "cannot be None"},
		"an English one":  {[]string{"en-GB"}, pages.Config{}, ""},
		"an Austrian one": {[]string{"de-AT"}, pages.Config{}, ""},
	} {
		manager, p, err := inLanguages(t, func(_ *auth.Config, c *pages.Config) { *c = test.config }, test.languages...)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil {
			continue
		}
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodGet, "/login", nil)
		r.Header.Set("Accept-Language", test.languages[len(test.languages)-1])
		manager.LoadAndSave(p).ServeHTTP(w, r)
		if !strings.Contains(w.Body.String(), `<html lang="`+test.languages[len(test.languages)-1]+`"`) {
			t.Errorf("%s: %s", name, w.Body)
		}
	}
}

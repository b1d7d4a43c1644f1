package pages

import (
	"embed"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
)

// The files in languages have the package's texts in German and Spanish: a line "Name = text"
// for each field of Texts. A name with a slash is one of several texts from which the default
// of a field is made.
//
//go:embed languages
var languages embed.FS

// shipped returns the package's texts in a language, by name, or nil if it has none.
func shipped(lang string) map[string]string {
	base, _, _ := strings.Cut(lang, "-")
	file, err := languages.ReadFile("languages/" + base + ".txt")
	if err != nil {
		return nil
	}
	texts := map[string]string{}
	for line := range strings.Lines(string(file)) {
		if name, text, ok := strings.Cut(strings.TrimSpace(line), " = "); ok {
			texts[name] = text
		}
	}
	return texts
}

// word returns the package's text of this name in the language of the pages. English texts
// are in the table of pages.
func (p *Pages) word(name, english string) string {
	if text, ok := p.words[name]; ok {
		return text
	}
	return english
}

// setLanguage makes the table of pages in one language.
func (p *Pages) setLanguage(lang string, texts Texts) error {
	if lang != "" {
		if texts.Lang != "" && !strings.EqualFold(texts.Lang, lang) {
			return fmt.Errorf("pages: Texts.Lang is %q, but these are the texts for %q of auth.Config.Languages; leave Lang empty", texts.Lang, lang)
		}
		texts.Lang = lang
	}
	p.texts, p.words = texts, shipped(lang)
	p.table = p.allPages()
	if err := p.setTexts(lang); err != nil {
		return err
	}
	return p.setRoutes()
}

// setLanguages makes the same pages in the further languages of auth.Config.
func (p *Pages) setLanguages() error {
	for _, lang := range slices.Sorted(maps.Keys(p.cfg.Translations)) {
		switch i := slices.Index(p.auth.Languages, lang); {
		case i < 0:
			return fmt.Errorf("pages: Config.Translations has %q, which is not among Languages of auth.Config; add it there, in this spelling", lang)
		case i == 0:
			return fmt.Errorf("pages: Config.Translations has %q, which is the first one of Languages of auth.Config; use Config.Texts for it", lang)
		}
	}
	if len(p.auth.Languages) < 2 {
		return nil
	}
	all := map[string]*Pages{}
	for _, lang := range p.auth.Languages[1:] {
		other := *p
		if err := other.setLanguage(lang, p.cfg.Translations[lang]); err != nil {
			return err
		}
		other.urls = p.urls // with the hashes of assets
		all[lang] = &other
	}
	p.languages = all
	return nil
}

// inLanguage returns the pages in the language of the request, and says that the answer
// depends on it.
func (p *Pages) inLanguage(h http.Header, r *http.Request) *Pages {
	if p.languages == nil {
		return p
	}
	if !slices.Contains(h["Vary"], "Accept-Language") {
		h.Add("Vary", "Accept-Language")
	}
	if other := p.languages[p.core.Language(r.Context())]; other != nil {
		return other
	}
	return p
}

func isEnglish(lang string) bool { return lang == "en" || strings.HasPrefix(lang, "en-") }

// names returns the names of the fields.
func (t *Texts) names() map[*string]string {
	names := map[*string]string{}
	fields := reflect.ValueOf(t).Elem()
	for i := range fields.NumField() {
		if field, ok := fields.Field(i).Addr().Interface().(*string); ok {
			names[field] = fields.Type().Field(i).Name
		}
	}
	return names
}

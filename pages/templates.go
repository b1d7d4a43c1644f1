package pages

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"
	"text/template/parse"

	"github.com/go-login/auth"
)

//go:embed templates auth.js
var embedded embed.FS

// loadTemplates reads the stylesheet and the templates. If the application has replaced a
// template, or a function of html/template, it tries all of them: those of the package fit
// together.
func (p *Pages) loadTemplates() error {
	if err := p.knownFiles(); err != nil {
		return err
	}
	if err := p.usedDefines(); err != nil {
		return err
	}
	if err := p.loadAssets(); err != nil {
		return err
	}
	layout := template.New("").Funcs(p.cfg.Funcs)
	for _, name := range []string{"layout.html", "blocks.html", "scripts.html", "form.html", "passkey.html", "providers.html"} {
		text, err := p.file(name)
		if err != nil {
			return err
		}
		t, err := layout.New(name).Parse(text)
		if err != nil {
			return fmt.Errorf("pages: %w", err)
		}
		if err := onlyDefines(t); err != nil && name != "layout.html" {
			return err
		}
	}
	own := p.cfg.Templates != nil || len(p.cfg.Funcs) > 0
	if own {
		if err := p.showsContent(layout); err != nil {
			return err
		}
	}
	p.templates = map[string]*template.Template{}
	for _, page := range p.table {
		if page.name == "" {
			continue
		}
		var err error
		if p.templates[page.name], err = p.loadTemplate(layout, page.name); err != nil {
			return err
		}
		if own {
			if err := p.try(page); err != nil {
				return fmt.Errorf("pages: %s.html: %w", page.name, err)
			}
		}
	}
	return nil
}

// knownFiles returns an error if Templates has a template or a stylesheet that has no effect: its
// name may be misspelled, or it is in a folder.
func (p *Pages) knownFiles() error {
	if p.cfg.Templates == nil {
		return nil
	}
	ours, err := embedded.ReadDir("templates")
	if err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	known, found := map[string]bool{}, false
	for _, file := range ours {
		_, err := fs.Stat(p.cfg.Templates, file.Name())
		known[file.Name()], found = true, found || err == nil
	}
	files, err := fs.ReadDir(p.cfg.Templates, ".")
	switch {
	case err != nil && found:
		return nil // an fs.FS need not list its files
	case err != nil:
		return fmt.Errorf("pages: Templates: %w", err)
	}
	for _, file := range files {
		name, ext := file.Name(), path.Ext(file.Name())
		if !known[name] && (ext == ".html" || ext == ".css" || name == "auth.js" ||
			slices.Contains([]string{".htm", ".gohtml", ".tmpl", ".gotmpl", ".tpl"}, ext) && known[strings.TrimSuffix(name, ext)+".html"]) {
			return fmt.Errorf("pages: Templates has %s, which replaces no file of the pages; correct its name, or leave it out", name)
		}
	}
	if found {
		return nil
	}
	return fs.WalkDir(p.cfg.Templates, ".", func(name string, entry fs.DirEntry, err error) error {
		switch dir := path.Dir(name); {
		case err != nil, entry.IsDir() && strings.Count(name, "/") > 2:
			return fs.SkipDir
		case !entry.IsDir() && dir != "." && known[path.Base(name)]:
			return fmt.Errorf("pages: Templates has %s, but no file of the pages at its root; use fs.Sub(…, %q)", name, dir)
		}
		return nil
	})
}

// usedDefines returns an error if one of the application's files defines a template that no
// file uses: its name may be misspelled.
func (p *Pages) usedDefines() error {
	if p.cfg.Templates == nil {
		return nil
	}
	ours, err := fs.Glob(embedded, "templates/*.html")
	if err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	names := regexp.MustCompile("{{-?\\s*(template|block|define)\\s+[\"`]([^\"`]+)")
	known, defined := map[string]bool{}, map[string]string{} // defined: by the application, and where
	for _, file := range ours {
		text, err := embedded.ReadFile(file)
		if err != nil {
			return fmt.Errorf("pages: %w", err)
		}
		for _, found := range names.FindAllStringSubmatch(string(text), -1) {
			known[found[2]] = true
		}
		if text, err = fs.ReadFile(p.cfg.Templates, path.Base(file)); err != nil {
			continue // not one of the application's files
		}
		for _, found := range names.FindAllStringSubmatch(string(text), -1) {
			if found[1] == "define" {
				defined[found[2]] = path.Base(file)
			} else {
				known[found[2]] = true
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(defined)) {
		if !known[name] {
			return fmt.Errorf("pages: %s defines %q, which no template uses; correct its name, or remove it", defined[name], name)
		}
	}
	return nil
}

// showsContent returns an error if the layout does not show the content of a page.
func (p *Pages) showsContent(layout *template.Template) error {
	const mark = "The content of the page."
	t, err := layout.Clone()
	if err == nil {
		_, err = t.New("mark").Parse(`{{define "content"}}` + mark + `{{end}}`)
	}
	if err != nil {
		return fmt.Errorf("pages: %w", err)
	}
	page, body := *p.fail(http.StatusNotFound).page, strings.Builder{}
	if err := t.ExecuteTemplate(&body, "layout.html", page); err == nil && !strings.Contains(body.String(), mark) { // try finds other errors
		return errors.New(`pages: layout.html does not show the content of the pages; it needs {{template "content" .}}`)
	}
	return nil
}

// loadTemplate returns the layout with the page's template as its content.
func (p *Pages) loadTemplate(layout *template.Template, page string) (*template.Template, error) {
	name := page + ".html"
	text, err := p.file(name)
	if err != nil {
		return nil, err
	}
	t, err := layout.Clone()
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	content, err := t.New(name).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("pages: %w", err)
	}
	if err := onlyDefines(content); err != nil {
		return nil, err
	}
	if t.Lookup("content") == nil {
		return nil, fmt.Errorf("pages: %s does not define \"content\", which the layout shows", name)
	}
	return t.Lookup("layout.html"), nil
}

// onlyDefines returns an error if a template has text outside its definitions. No page
// would show it.
func onlyDefines(t *template.Template) error {
	if t.Tree == nil || parse.IsEmptyTree(t.Tree.Root) {
		return nil
	}
	return fmt.Errorf("pages: %s has text outside {{define}}…{{end}}, which no page shows; move it inside", t.Name())
}

// file returns the text of the application's file of this name or, if it has none, of the
// embedded one.
func (p *Pages) file(name string) (string, error) {
	if p.cfg.Templates != nil {
		text, err := fs.ReadFile(p.cfg.Templates, name)
		if !errors.Is(err, fs.ErrNotExist) {
			if err != nil {
				return "", fmt.Errorf("pages: %w", err)
			}
			return string(text), nil
		}
	}
	text, err := embedded.ReadFile("templates/" + name)
	return string(text), err
}

// try executes a page's template for a user and for a visitor, if they may see the page:
// once with everything that the page can have, and once with nothing but the form.
func (p *Pages) try(entry *page) error {
	var sample auth.User = &auth.Account{ID: "1", Username: "susan", Email: "susan@example.com"}
	if p.cfg.SampleUser != nil {
		sample = p.cfg.SampleUser
	}
	samples := []Page{p.bare(entry, sample), p.full(entry, sample)}
	if p.passkeys != nil {
		samples = append(samples, p.scripted(entry, sample))
	}
	for _, page := range samples {
		for _, page.User = range entry.who.seenBy(sample) {
			var body strings.Builder
			scripts := p.scripts(&page)
			page.scripts = &scripts
			err := p.templates[entry.name].Execute(&body, page)
			switch {
			case err == nil:
			case p.cfg.Data != nil && p.cfg.SampleData == nil:
				return fmt.Errorf("%w (the Data was nil; if the template needs it, set Config.SampleData)", err)
			case p.cfg.SampleUser == nil && page.User != nil:
				return fmt.Errorf("%w (the User was an auth.Account; if the template needs your own type, set Config.SampleUser)", err)
			default:
				return err
			}
		}
	}
	return nil
}

// bare returns a page with nothing but its form.
func (p *Pages) bare(entry *page, sample auth.User) Page {
	q := &request{Request: &http.Request{URL: &url.URL{Path: "/", RawQuery: "next=/"}}, page: entry, user: sample}
	if entry.link != nil || entry.pending {
		q.subject = sample
	}
	if entry.pending {
		q.factor, q.prompt = totp, auth.Prompt{Field: "code"}
	}
	page := *p.show(q).page
	page.Data = p.cfg.SampleData
	return page
}

// full returns a page with everything that it can have.
func (p *Pages) full(entry *page, sample auth.User) Page {
	page := p.bare(entry, sample)
	page.Status, page.Flashes, page.FormUser = http.StatusNotFound, []auth.Flash{{Category: "info", Text: "text"}}, "text"
	if page.Form != nil {
		page.Form.Error, page.Form.Once = "text", "text"
		for _, field := range page.Form.Fields {
			page.Form.refuse(field.Name, "text")
		}
	}
	if entry.link != nil {
		page.Address = "susan@example.org"
	}
	if entry.sample != nil {
		entry.sample(&page)
	}
	return page
}

// scripted returns a page with everything that it has for passkeys.
func (p *Pages) scripted(entry *page, sample auth.User) Page {
	page := p.full(entry, sample)
	page.KnownPasskeys, page.UnknownPasskey = "{}", "{}"
	switch entry.name {
	case "factor", "refresh":
		page.Form = nil
		fallthrough
	case "login", "passkeys":
		page.Passkey = &PasskeyForm{Action: "/", Button: "text", Next: "/", URL: "/", Autofill: true, Remember: true, Alone: true, Trust: "text"}
	}
	return page
}

// seenBy returns the users that New tries a page with; nil stands for a visitor.
func (w who) seenBy(sample auth.User) []auth.User {
	switch w {
	case users, enrolling, freshUsers:
		return []auth.User{sample}
	case visitors:
		return []auth.User{nil}
	}
	return []auth.User{sample, nil}
}

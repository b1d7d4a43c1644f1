package pages

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"text/template/parse"

	"github.com/go-login/auth"
)

//go:embed templates
var embedded embed.FS

// loadTemplates reads the stylesheet and the templates, and tries each template.
func (p *Pages) loadTemplates() error {
	if err := p.loadStyle(); err != nil {
		return err
	}
	layout := template.New("")
	for _, name := range []string{"layout.html", "form.html"} {
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
	p.templates = map[string]*template.Template{}
	for _, page := range p.table {
		if page.name == "" {
			continue
		}
		var err error
		if p.templates[page.name], err = p.loadTemplate(layout, page.name); err != nil {
			return err
		}
		if err := p.try(page); err != nil {
			return fmt.Errorf("pages: %s.html: %w", page.name, err)
		}
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
	return t.Lookup("layout.html"), onlyDefines(content)
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
	for _, page := range []Page{p.bare(entry, sample), p.full(entry, sample)} {
		for _, page.User = range entry.who.seenBy(sample) {
			var body strings.Builder
			err := p.templates[entry.name].Execute(&body, page)
			if err != nil && p.cfg.SampleUser == nil && page.User != nil {
				return fmt.Errorf("%w (the User was an auth.Account; if the template needs your own type, set Config.SampleUser)", err)
			} else if err != nil {
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
	return *p.show(q).page
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

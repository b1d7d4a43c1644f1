package pages_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// TestNotice: a page of another package, such as oauth, is in the layout, for visitors and users
// alike. It has no form and no script, its URL stays out of the Referer, and it leads where it should.
func TestNotice(t *testing.T) {
	t.Parallel()
	notice := auth.Notice{Status: http.StatusForbidden, Lang: "de", Title: "Nicht <verbunden>", Text: "Ein {{Text}}", Link: "https://id.example/a?b=c&d=e;f", LinkText: "Weiter"}
	serve := func(change func(*auth.Config, *pages.Config)) *site {
		s := newSite(t, change)
		feature, err := s.manager.Feature("oauth")
		check(t, err)
		s.mux.HandleFunc("/oauth/callback", func(w http.ResponseWriter, r *http.Request) {
			n := notice
			n.Forward = r.URL.Query().Has("forward")
			if !feature.ShowNotice(w, r, n) {
				t.Error("there is no page")
			}
		})
		return s
	}
	s := serve(func(_ *auth.Config, c *pages.Config) { c.Site = "Gophers" })
	for _, c := range []*client{s.client(), s.user("susan", good)} {
		r := c.get("/oauth/callback?state=s&code=secret")
		wantStatus(t, r, http.StatusForbidden)
		accessible(t, r)
		wantHeaders(t, "a notice, as with token=", r)
		doc := parse(t, r)
		if heading(t, r) != notice.Title || text(only(t, doc, tag("title"))) != notice.Title+" – Gophers" || attr(only(t, doc, tag("html")), "lang") != "de" {
			t.Errorf("the page is %s", r.body)
		}
		if main := text(only(t, doc, tag("main"))); main != notice.Title+" "+notice.Text+" Weiter" || link(t, r, "Weiter") != notice.Link {
			t.Errorf("the page says %q", main)
		}
		if n := len(all(doc, tag("form", "script", "meta"))); n != len(all(doc, tag("meta"))) || r.header.Get("Refresh") != "" {
			t.Errorf("there is a form or a script, or it leads on: %s", r.body)
		}
		if got := c.get("/oauth/callback?forward").header.Get("Refresh"); got != "0; url="+notice.Link {
			t.Errorf("the browser goes to %q", got)
		}
	}
	// An application's own layout shows it, too. The default language is that of the pages.
	notice.Lang = ""
	s = serve(func(_ *auth.Config, c *pages.Config) {
		c.Texts.Lang = "fr"
		c.Templates = fstest.MapFS{"layout.html": {Data: []byte(`<html lang="{{.Texts.Lang}}"><b>Mine</b>{{template "content" .}}`)}}
	})
	if r := s.client().get("/oauth/callback"); !strings.Contains(r.body, `<html lang="fr"><b>Mine</b>`) || link(t, response{body: "<main>" + r.body + "</main>"}, "Weiter") != notice.Link {
		t.Errorf("the page is %s", r.body)
	}
}

// TestNoNotice: without the pages, a package that has a notice shows it by itself.
func TestNoNotice(t *testing.T) {
	t.Parallel()
	feature, err := newManager(auth.Config{}).Feature("oauth")
	check(t, err)
	if feature.ShowNotice(nil, nil, auth.Notice{}) {
		t.Error("there is a page")
	}
}

package pages

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"
)

func (p *Pages) stylesheetPage() *page {
	return &page{
		path: "/auth.css", url: &p.urls.Stylesheet, who: anybody, asset: true,
		stays: "the pages load it",
		get:   func(*request) answer { return answer{by: p.style} },
	}
}

// scriptPage serves the script that all pages may load: see Page.Scripts. It shows buttons that are
// hidden without it.
func (p *Pages) scriptPage() *page {
	return &page{
		path: "/auth.js", url: &p.urls.Script, who: anybody, asset: true,
		stays: "the pages load it",
		get:   func(*request) answer { return answer{by: p.script} },
	}
}

// scripts returns the URLs of the scripts that the templates of a page may load.
func (p *Pages) scripts(page *Page) []string {
	return append([]string{p.urls.Script}, p.passkeyScripts(page)...)
}

// An asset is a file that is served under a URL that contains its hash.
type asset struct{ text, hash, kind string }

// loadAssets reads the stylesheet and the scripts. An application may replace the stylesheet,
// but not the scripts: each belongs to the pages that load it.
func (p *Pages) loadAssets() error {
	text, err := p.file("auth.css")
	if err != nil {
		return err
	}
	if text, err = p.accented(text); err != nil {
		return err
	}
	script, err := embedded.ReadFile("auth.js")
	if err != nil {
		return err
	}
	p.style, p.script = newAsset(text, "text/css"), newAsset(string(script), "text/javascript")
	p.urls.Stylesheet += "?v=" + p.style.hash
	p.urls.Script += "?v=" + p.script.hash
	if p.passkeys != nil {
		_, source := p.passkeys.Script()
		p.passkeyJS = newAsset(string(source), "text/javascript")
		p.urls.PasskeyScript += "?v=" + p.passkeyJS.hash
	}
	return nil
}

func newAsset(text, kind string) asset {
	sum := sha256.Sum256([]byte(text))
	return asset{text, hex.EncodeToString(sum[:8]), kind + "; charset=utf-8"}
}

func (a asset) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	sameForAll(h)
	h.Set("Content-Type", a.kind)
	h.Set("ETag", `"`+a.hash+`"`)
	h.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == a.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(a.text))
}

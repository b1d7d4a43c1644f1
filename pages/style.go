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
		path: "/auth.css", url: &p.urls.Stylesheet, who: anybody,
		get: func(*request) answer { return answer{by: http.HandlerFunc(p.serveStyle)} },
	}
}

// A stylesheet is served under a URL that contains its hash.
type stylesheet struct{ text, hash string }

func (p *Pages) loadStyle() error {
	text, err := p.file("auth.css")
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(text))
	p.style = stylesheet{text, hex.EncodeToString(sum[:8])}
	p.urls.Stylesheet += "?v=" + p.style.hash
	return nil
}

func (p *Pages) serveStyle(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Type", "text/css; charset=utf-8")
	h.Set("ETag", `"`+p.style.hash+`"`)
	h.Set("Cache-Control", "no-cache")
	if r.URL.Query().Get("v") == p.style.hash {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(p.style.text))
}

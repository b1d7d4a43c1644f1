package pages_test

import (
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// TestSources: an application can add sources to the policy. Those of the pages stay.
func TestSources(t *testing.T) {
	t.Parallel()
	sources := pages.Sources{
		Script: []string{"https://captcha.example/api.js"}, Style: []string{"https://fonts.example"}, Img: []string{"data:"},
		Font: []string{"'self'", "https://fonts.example"}, Connect: []string{"https://*.captcha.example"}, Frame: []string{"https://captcha.example"},
		FormAction: []string{"https://pay.example:8443/start"},
	}
	s := newSite(t, func(_ *auth.Config, c *pages.Config) { c.CSP = sources })
	const want = "default-src 'none'; style-src 'self' https://fonts.example; img-src 'self' data:; form-action 'self' https://pay.example:8443/start; " +
		"base-uri 'none'; frame-ancestors 'none'; script-src https://captcha.example/api.js; connect-src https://*.captcha.example; " +
		"font-src 'self' https://fonts.example; frame-src https://captcha.example"
	for _, path := range []string{"/auth.css", "/nowhere"} {
		if got := s.client().get(path).header.Get("Content-Security-Policy"); got != want {
			t.Errorf("%s: %s", path, got)
		}
	}
	// A page with a script of the pages has both.
	s, _ = newPasskeySite(t, func(_ *auth.Config, c *pages.Config) { c.CSP = sources }, "key")
	got := s.client().get("/login").header.Get("Content-Security-Policy")
	if !strings.Contains(got, "; script-src 'self' https://captcha.example/api.js; connect-src 'self' https://*.captcha.example; ") {
		t.Errorf("with passkeys: %s", got)
	}
	if !strings.HasSuffix(got, ", script-src *:*/auth.js *:*/passkey.js https://captcha.example/api.js") {
		t.Errorf("with passkeys, not the exact paths: %s", got)
	}
	// The application may allow all scripts of the site.
	s = newSite(t, func(_ *auth.Config, c *pages.Config) { c.CSP.Script = []string{"'self'"} })
	if got := s.client().get("/login").header.Get("Content-Security-Policy"); !strings.Contains(got, "; script-src 'self'") || strings.Contains(got, ",") {
		t.Errorf("with 'self': %s", got)
	}
	// The path of a script may have what would end a source, a directive or a policy.
	s = newSite(t, func(_ *auth.Config, c *pages.Config) { c.Paths = map[string]string{"/auth.js": "/a;b,c'.js"} })
	if got := s.client().get("/login").header.Get("Content-Security-Policy"); !strings.HasSuffix(got, ", script-src *:*/a%3Bb%2Cc%27.js") {
		t.Errorf("with a script at /a;b,c'.js: %s", got)
	}
	sources.Script[0] = "*" // is the application's own; New has copied it
	if got := s.client().get("/login").header.Get("Content-Security-Policy"); strings.Contains(got, "script-src 'self' *") {
		t.Error("the policy has changed after New")
	}
}

// TestWrongSources: New refuses what would allow more than it says, or break the header.
func TestWrongSources(t *testing.T) {
	t.Parallel()
	try := func(sources pages.Sources) error {
		_, err := pages.New(newManager(auth.Config{}).Core, pages.Config{CSP: sources})
		return err
	}
	for _, source := range []string{
		"*", "https:", "http:", "https://", "https://*", "http://cdn.example", "//cdn.example", "cdn.example", "'unsafe-inline'", "'unsafe-eval'", "'none'", "",
		"https://cdn.example; script-src *", "https://a.example https://b.example", "https://cdn.example\r\nX: y", "https://a.example,b", "https://u:p@cdn.example",
		"https://cdn.example?x", "https://cdn.example#x", "javascript:alert(1)", "https://com", "'sha256-x", "blob:", "'nonce-1'",
	} {
		for name, sources := range map[string]pages.Sources{
			"Script": {Script: []string{"https://ok.example", source}}, "Style": {Style: []string{"https://ok.example", source}}, "Img": {Img: []string{"https://ok.example", source}},
			"Font": {Font: []string{"https://ok.example", source}}, "Connect": {Connect: []string{"https://ok.example", source}},
			"Frame": {Frame: []string{"https://ok.example", source}}, "FormAction": {FormAction: []string{"https://ok.example", source}},
		} {
			if err := try(sources); err == nil || !strings.HasPrefix(err.Error(), "pages: CSP."+name+"[1] is ") {
				t.Errorf("%s %q: %v", name, source, err)
			}
		}
	}
	check(t, try(pages.Sources{Script: []string{"'self'", "'sha256-RFWPLDbv2BY+rCkDzsE+0fr8ylGr2R2faWMhq4lfEQc='", "http://localhost:5173"}}))
	if try(pages.Sources{Script: []string{"data:"}}) == nil || try(pages.Sources{FormAction: []string{"'self'"}}) == nil {
		t.Error("a source that is too wide, or without effect, is accepted")
	}
}

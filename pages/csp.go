package pages

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Sources are what the pages may load besides their own files, and where their forms may
// lead. Each is an origin such as "https://cdn.example", with or without a path. Script and Style
// may also have a hash such as "'sha256-…'"; Script, Font, Connect and Frame may have
// "'self'", which is this site, such as for a script of your layout; Img and Font may have "data:". New refuses
// everything else, because it would allow more than it says: "*", schemes such as "https:",
// "'unsafe-inline'" and "'unsafe-eval'".
type Sources struct {
	Script     []string // script-src
	Style      []string // style-src; this site is always allowed
	Img        []string // img-src; this site is always allowed
	Font       []string // font-src
	Connect    []string // connect-src: what scripts may fetch
	Frame      []string // frame-src, such as for a captcha
	FormAction []string // form-action; this site is always allowed
}

// check returns an error for a source that New does not accept.
func (s *Sources) check() error {
	const self, data = "'self'", "data:"
	hash := regexp.MustCompile(`^'sha(256|384|512)-[A-Za-z0-9+/_-]+=*'$`)
	for _, list := range []struct {
		name    string
		sources *[]string
		besides []string
		hashes  bool
	}{
		{"Script", &s.Script, []string{self}, true},
		{"Style", &s.Style, nil, true},
		{"Img", &s.Img, []string{data}, false},
		{"Font", &s.Font, []string{self, data}, false},
		{"Connect", &s.Connect, []string{self}, false},
		{"Frame", &s.Frame, []string{self}, false},
		{"FormAction", &s.FormAction, nil, false},
	} {
		*list.sources = slices.Clone(*list.sources)
		for i, source := range *list.sources {
			if !slices.Contains(list.besides, source) && !isOrigin(source) && (!list.hashes || !hash.MatchString(source)) {
				return fmt.Errorf("pages: CSP.%s[%d] is %q; use an origin such as \"https://cdn.example\" (see pages.Sources)", list.name, i, source)
			}
		}
	}
	return nil
}

// isOrigin reports whether a source is an https origin, with or without a path. Over plain
// http, it must be on this machine. The first label of the host may be a wildcard.
func isOrigin(source string) bool {
	u, err := url.Parse(strings.Replace(source, "://*.", "://any.", 1))
	if err != nil || u.User != nil || u.Opaque != "" || strings.ContainsAny(source, " ;,'\"?#\\\t\r\n") {
		return false
	}
	host := u.Hostname()
	if host == "" || strings.Trim(strings.ToLower(host), "abcdefghijklmnopqrstuvwxyz0123456789.-:") != "" {
		return false
	}
	switch u.Scheme {
	case "https":
		return strings.Contains(host, ".") || host == "localhost"
	case "http":
		return host == "localhost" || host == "127.0.0.1"
	}
	return false
}

// policy returns the Content-Security-Policy of a page that loads the scripts at these URLs of
// the site, and whose scripts may fetch from the site.
//
// The source 'self' would allow every script of the site, such as a file that somebody has
// uploaded. An exact source needs the host that the browser sees, which the library may not
// know. So there are two policies, separated by a comma, and a script needs both: the first
// allows this site, the second these paths.
func (s *Sources) policy(scripts []string, fetches bool) string {
	text := "default-src 'none'"
	add := func(name string, self bool, sources []string) {
		if self && !slices.Contains(sources, "'self'") {
			sources = append([]string{"'self'"}, sources...)
		}
		if len(sources) > 0 {
			text += "; " + name + " " + strings.Join(sources, " ")
		}
	}
	add("style-src", true, s.Style)
	add("img-src", true, s.Img)
	add("form-action", true, s.FormAction)
	text += "; base-uri 'none'; frame-ancestors 'none'"
	add("script-src", len(scripts) > 0, s.Script)
	add("connect-src", fetches, s.Connect)
	add("font-src", false, s.Font)
	add("frame-src", false, s.Frame)
	if len(scripts) > 0 && !slices.Contains(s.Script, "'self'") {
		text += ", script-src"
		for _, script := range scripts {
			path, _, _ := strings.Cut(script, "?")
			text += " *:*" + strings.ReplaceAll(url.PathEscape(path), "%2F", "/") // a renamed page may have ; or ,
		}
		for _, source := range s.Script {
			text += " " + source
		}
	}
	return text
}

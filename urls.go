package auth

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"strings"
)

// URLs are the pages that the library sends browsers to, or names in mails. Each is a
// path of this site or an absolute URL, without a fragment. The defaults are the pages
// of package pages. They are beside Login: if Login is /auth/login, then Refresh is
// /auth/refresh. If Login is on another site, they are at the root. If BaseURL has a path,
// the defaults are below it.
//
// LoginCode, Verify, Reset, EmailChange and EmailUndo get a token in the query: ?token=….
type URLs struct {
	// Login is where RequireLogin sends browsers. The default is /login, below the path of
	// BaseURL.
	Login string

	// LoginFor has further login pages, by the path that they are for. With
	// {"/admin": "/admin/login"}, a browser that asks for /admin, or anything below
	// it, is sent to /admin/login. The longest path that fits counts. Paths are those
	// that the browser sent, also below http.StripPrefix.
	LoginFor map[string]string

	// Refresh is where RequireFresh sends browsers, so that the user shows the
	// password again. The default is "refresh" beside Login.
	Refresh string

	// Factor is where Core.Error sends a browser whose login owes a second factor
	// (ErrFactorRequired). The default is "login/verify" beside Login.
	Factor string

	// LoginCode is the page that the link of a MailLoginCode opens, and where users type its
	// code (see Config.EmailLogin). The default is "login/code" beside Login.
	LoginCode string

	// Verify is the page that the link of a MailVerify opens, and where
	// RequireVerified sends browsers. The default is "verify-email" beside Login.
	Verify string

	// Forgot is where a user asks for a link that sets a new password. A
	// MailAddressTaken links to it. The default is "forgot-password" beside Login.
	Forgot string

	// Reset is the page that the links of a MailReset and a MailInvitation open. The default is
	// "reset-password" beside Login.
	Reset string

	// EmailChange is the page that the link of a MailNewAddress opens. The default is
	// "account/email" beside Login.
	EmailChange string

	// EmailUndo is the page that the link of a MailAddressChanged opens. The default
	// is "undo-email" beside Login.
	EmailUndo string

	// TwoFactor is where a user sets up a second factor. Error sends a browser there if the
	// rule SecondFactor does not hold because the user has none (ErrNoFactor). The default
	// is "account/two-factor" beside Login.
	TwoFactor string

	// NextInCookie keeps the page that the user asked for out of the URL of the login
	// page. It is then in a sealed cookie that lasts for an hour. TakeNext returns it.
	NextInCookie bool
}

// check sets the defaults and checks the URLs.
func (u *URLs) check(at *site) error {
	u.Login = cmp.Or(u.Login, at.path+"/login")
	u.LoginFor = maps.Clone(u.LoginFor)
	type page struct {
		name      string
		url       *string
		byDefault string
		tokens    bool // mails link to it, with a token
	}
	for _, p := range []page{
		{"Login", &u.Login, "", false},
		{"Refresh", &u.Refresh, "refresh", false},
		{"Factor", &u.Factor, "login/verify", false},
		{"LoginCode", &u.LoginCode, "login/code", true},
		{"Verify", &u.Verify, "verify-email", true},
		{"Forgot", &u.Forgot, "forgot-password", false},
		{"Reset", &u.Reset, "reset-password", true},
		{"EmailChange", &u.EmailChange, "account/email", true},
		{"EmailUndo", &u.EmailUndo, "undo-email", true},
		{"TwoFactor", &u.TwoFactor, "account/two-factor", false},
	} {
		if *p.url == "" {
			*p.url = u.besideLogin(at, p.byDefault)
		}
		if !isPage(*p.url) {
			return fmt.Errorf("auth: Config.URLs.%s is not a page; use a path of this site or an absolute URL, without a user and a fragment", p.name)
		}
		parsed, _ := url.Parse(*p.url)
		switch {
		case p.tokens && parsed.Scheme == "http" && at.origin.Scheme == "https":
			return fmt.Errorf("auth: Config.URLs.%s is %q, which would get tokens over plain http; use https", p.name, *p.url)
		case p.tokens && parsed.Query().Has("token"):
			return fmt.Errorf("auth: Config.URLs.%s is %q; remove the token from the query: the link's token is added there", p.name, *p.url)
		}
	}
	for area, page := range u.LoginFor {
		_, twice := u.LoginFor[area+"/"]
		switch {
		case twice:
			return fmt.Errorf("auth: Config.URLs.LoginFor has %q with and without a slash; remove one", area)
		case ParseNext(area).IsZero() || strings.ContainsAny(area, "?#%"):
			return fmt.Errorf("auth: Config.URLs.LoginFor has %q; use a plain path such as \"/admin\"", area)
		case !isPage(page):
			return fmt.Errorf("auth: Config.URLs.LoginFor[%q] is not a page; use a path of this site or an absolute URL, without a user and a fragment", area)
		}
	}
	return nil
}

// besideLogin returns the path of a page in the directory of Login. It returns a path
// below BaseURL if Login is on another site.
func (u *URLs) besideLogin(at *site, name string) string {
	page := u.Login
	if parsed, err := url.Parse(page); err == nil && sameOrigin(parsed, at.origin.String()) {
		page = parsed.EscapedPath()
	}
	page, _, _ = strings.Cut(page, "?")
	if !strings.HasPrefix(page, "/") {
		return at.path + "/" + name
	}
	return page[:strings.LastIndexByte(page, '/')+1] + name
}

// login returns the login page for a path.
func (u *URLs) login(path string) string {
	page, longest := u.Login, -1
	for area, p := range u.LoginFor {
		area = strings.TrimSuffix(area, "/")
		if rest, ok := strings.CutPrefix(path, area); ok && (rest == "" || rest[0] == '/') && len(area) > longest {
			page, longest = p, len(area)
		}
	}
	return page
}

// isPage reports whether u is a page that a query can be added to, for a redirect or a
// link.
func isPage(u string) bool {
	parsed, err := url.Parse(u)
	if err != nil || strings.Contains(u, "#") || strings.ContainsFunc(u, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"'<>\^`+"`{|}", r) }) {
		return false
	}
	return !ParseNext(u).IsZero() || parsed.Hostname() != "" && parsed.User == nil && (parsed.Scheme == "https" || parsed.Scheme == "http")
}

// sameOrigin reports whether an absolute URL has an origin, which is written as browsers
// write it.
func sameOrigin(u *url.URL, origin string) bool {
	host := strings.TrimSuffix(strings.ToLower(u.Host), map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
	return u.Scheme+"://"+host == origin
}

// Package origin refuses requests that a page of another site has made a browser
// send (cross-site request forgery).
package origin

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// A Check knows from which origins requests may come that change something, and
// which requests it does not look at.
type Check struct {
	base       *url.URL
	hosts      []string        // further hosts of the application
	own        map[string]bool // the application's origins
	trusted    map[string]bool // these and the other origins that are trusted
	protection *http.CrossOriginProtection
	bypass     *http.ServeMux
}

// New returns the Check of an application at base, which has a scheme and a host as
// browsers write them. If base is http on localhost or a loopback address, all names of the
// loopback are the application's own.
//
// hosts are further hosts of the application, with the same scheme. A page of one of them may
// send requests to that host only.
//
// origins are other origins that are trusted, as browsers write them. bypass are
// patterns of http.ServeMux: requests that match one of them are not checked.
func New(base *url.URL, hosts, origins, bypass []string) (Check, error) {
	o := Check{
		base: base, hosts: hosts,
		own: map[string]bool{}, trusted: map[string]bool{},
		protection: http.NewCrossOriginProtection(), bypass: http.NewServeMux(),
	}
	o.own[base.Scheme+"://"+base.Host] = true
	if ip := net.ParseIP(base.Hostname()); base.Scheme == "http" && (base.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) { // the loopback's names are one
		for _, host := range []string{"localhost", "127.0.0.1", "[::1]"} {
			if port := base.Port(); port != "" {
				host += ":" + port
			}
			o.own["http://"+host] = true
		}
	}
	if own := base.Scheme + "://" + base.Host; !isOrigin(own) {
		return o, fmt.Errorf("auth: Config.BaseURL has the host %.100q; use it as browsers send it, such as xn--mnchen-3ya.example for münchen.example", base.Host)
	}
	for i, origin := range origins {
		if !isOrigin(origin) {
			return o, fmt.Errorf("auth: Config.Network.Origins[%d] is %.100q; use an origin as browsers send it, in lower case and without a path, such as https://app.example", i, origin)
		}
	}
	for origin := range o.own {
		origins = append(origins[:len(origins):len(origins)], origin)
	}
	for _, origin := range origins {
		if err := o.protection.AddTrustedOrigin(origin); err != nil {
			return o, fmt.Errorf("auth: Config.Network.Origins: %w", err)
		}
		o.trusted[origin] = true
	}
	for i, host := range hosts {
		if !isOrigin(base.Scheme + "://" + host) {
			return o, fmt.Errorf("auth: Config.Network.Hosts[%d] is %.100q; use a host as browsers send it, such as www.app.example", i, host)
		}
		o.own[base.Scheme+"://"+host] = true
	}
	for _, pattern := range bypass {
		if err := handle(o.bypass, pattern); err != nil {
			return o, err
		}
	}
	return o, nil
}

// isOrigin reports whether text is an origin as browsers write one: lower-case
// ASCII, and no port where it is the scheme's own. An application's own scheme, such as
// capacitor, has no ports.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	if err != nil || text != u.Scheme+"://"+u.Host || u.Hostname() == "" || strings.HasSuffix(u.Host, ":") {
		return false
	}
	if strings.Trim(u.Host, "abcdefghijklmnopqrstuvwxyz0123456789-_.:[]") != "" {
		return false
	}
	switch u.Scheme {
	case "https":
		return u.Port() != "443"
	case "http":
		return u.Port() != "80"
	case "about", "blob", "data", "file", "filesystem", "ftp", "javascript", "ws", "wss": // browsers write null, or never an origin
		return false
	}
	return u.Port() == ""
}

// bypassed is the handler of requests that skip the check.
type bypassed struct{}

func (bypassed) ServeHTTP(http.ResponseWriter, *http.Request) {}

// handle turns the panic of a malformed pattern into an error.
func handle(mux *http.ServeMux, pattern string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("auth: Config.Network.CrossOriginBypass %q: %v", pattern, p)
		}
	}()
	mux.Handle(pattern, bypassed{})
	return nil
}

// Owns reports whether origin is one of the application's own, without those that
// New was given in origins.
func (o Check) Owns(origin string) bool { return o.own[origin] }

// Exempts reports whether a POST to a page of the application is not checked, at any of its
// hosts. The page is a path, or a URL.
func (o Check) Exempts(page string) bool {
	for _, host := range append([]string{o.base.Host}, o.hosts...) {
		at := url.URL{Scheme: o.base.Scheme, Host: host}
		u, err := at.Parse(page)
		if err == nil && u.Host == host && o.bypasses(&http.Request{Method: http.MethodPost, Host: host}, u) {
			return true
		}
	}
	return false
}

// IsUnsafe reports whether a request with this method may change something.
func IsUnsafe(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// Allows reports whether a request for target that may change something passes the
// cross-origin check. target is the URL that the client asked for, whatever a router
// has made of the request's URL since.
func (o Check) Allows(r *http.Request, target *url.URL) bool {
	if o.bypasses(r, target) {
		return true
	}
	if o.protection.Check(r) != nil {
		return false
	}
	// The check above takes any scheme if the browser is too old to say where
	// the request is from; the origin must be one of ours to the letter. A
	// client that sends neither is no browser, and brings its own cookies.
	origin := r.Header.Get("Origin")
	return r.Header.Get("Sec-Fetch-Site") != "" || origin == "" || o.trusted[origin] ||
		o.own[origin] && origin == o.base.Scheme+"://"+r.Host
}

// bypasses reports whether the request matches one of the bypass patterns. A path
// that another router could read in another way (an escaped slash, a dot
// segment) matches none.
func (o Check) bypasses(r *http.Request, target *url.URL) bool {
	if p := target.Path; target.RawPath != "" || strings.TrimSuffix(p, "/") != strings.TrimSuffix(path.Clean(p), "/") {
		return false
	}
	h, _ := o.bypass.Handler(&http.Request{Method: r.Method, URL: target, Host: r.Host})
	return h == bypassed{}
}

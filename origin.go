package auth

import (
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// An originCheck refuses requests that a page of another site has made the
// browser send.
type originCheck struct {
	own        map[string]bool // the application's origins
	trusted    map[string]bool // these and Config.Origins
	protection *http.CrossOriginProtection
	bypass     *http.ServeMux
}

func newOriginCheck(base *url.URL, origins, bypass []string) (originCheck, error) {
	o := originCheck{
		own: map[string]bool{}, trusted: map[string]bool{},
		protection: http.NewCrossOriginProtection(), bypass: http.NewServeMux(),
	}
	o.own[base.Scheme+"://"+base.Host] = true
	if base.Scheme == "http" { // the loopback's names are one
		for _, host := range []string{"localhost", "127.0.0.1", "[::1]"} {
			if port := base.Port(); port != "" {
				host += ":" + port
			}
			o.own["http://"+host] = true
		}
	}
	for origin := range o.own {
		origins = append(origins[:len(origins):len(origins)], origin)
	}
	for _, origin := range origins {
		if !isOrigin(origin) {
			return o, fmt.Errorf("auth: %q is not an origin as browsers write it (https://app.example)", origin)
		}
		if err := o.protection.AddTrustedOrigin(origin); err != nil {
			return o, fmt.Errorf("auth: Origins: %w", err)
		}
		o.trusted[origin] = true
	}
	for _, pattern := range bypass {
		if err := handle(o.bypass, pattern); err != nil {
			return o, err
		}
	}
	return o, nil
}

// isOrigin reports whether text is an origin as browsers write one: lower-case
// ASCII, and no port where it is the scheme's own.
func isOrigin(text string) bool {
	u, err := url.Parse(text)
	if err != nil || text != u.Scheme+"://"+u.Host || u.Hostname() == "" || strings.HasSuffix(u.Host, ":") {
		return false
	}
	if strings.Trim(u.Host, "abcdefghijklmnopqrstuvwxyz0123456789-.:[]") != "" {
		return false
	}
	return u.Scheme == "https" && u.Port() != "443" || u.Scheme == "http" && u.Port() != "80"
}

// bypassed is the handler of requests that skip the check.
type bypassed struct{}

func (bypassed) ServeHTTP(http.ResponseWriter, *http.Request) {}

// handle turns the panic of a malformed pattern into an error.
func handle(mux *http.ServeMux, pattern string) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("auth: CrossOriginBypass %q: %v", pattern, p)
		}
	}()
	mux.Handle(pattern, bypassed{})
	return nil
}

// opens reports whether a form on a page of ours may come from anywhere.
func (o originCheck) opens(base *url.URL, page string) bool {
	u, err := base.Parse(page)
	return err == nil && u.Host == base.Host && o.bypasses(&http.Request{Method: http.MethodPost, Host: u.Host}, u)
}

// isUnsafe reports whether a request with this method may change something.
func isUnsafe(method string) bool {
	return method != http.MethodGet && method != http.MethodHead && method != http.MethodOptions
}

// allows reports whether a request for target that may change something passes
// the cross-origin check.
func (o originCheck) allows(r *http.Request, target *url.URL) bool {
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
	return r.Header.Get("Sec-Fetch-Site") != "" || origin == "" || o.trusted[origin]
}

// bypasses reports whether the request matches one of CrossOriginBypass. A path
// that another router could read in another way (an escaped slash, a dot
// segment) matches none.
func (o originCheck) bypasses(r *http.Request, target *url.URL) bool {
	if p := target.Path; target.RawPath != "" || strings.TrimSuffix(p, "/") != strings.TrimSuffix(path.Clean(p), "/") {
		return false
	}
	h, _ := o.bypass.Handler(&http.Request{Method: r.Method, URL: target, Host: r.Host})
	return h == bypassed{}
}

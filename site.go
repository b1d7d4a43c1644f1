package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// A site is where browsers find the application: Config.BaseURL, and further hosts.
type site struct {
	origin *url.URL          // of BaseURL: a scheme and a host, as browsers write them
	path   string            // of BaseURL: empty, or a path such as /app
	hosts  map[string]string // by Host of a request: the origin; of BaseURL and of NetworkConfig.Hosts
}

// newSite reads the settings that say where the application is.
func newSite(baseURL string, hosts []string, development bool) (site, error) {
	s := site{hosts: map[string]string{}}
	var err error
	if s.origin, s.path, err = parseBaseURL(baseURL); err != nil {
		return s, err
	}
	switch {
	case isSafe(s.origin, development):
	case development:
		return s, fmt.Errorf("auth: Config.BaseURL is %q; Config.Network.DevelopmentHTTP allows http only for private addresses, names without a dot, and names under .local, .lan, .internal, .test and .home.arpa; use https", baseURL)
	default:
		return s, fmt.Errorf("auth: Config.BaseURL is %q; use https, or http on a loopback address (localhost, 127.0.0.1); for development in a local network, see Config.Network.DevelopmentHTTP", baseURL)
	}
	needed := !isSafe(s.origin, false)
	s.hosts[s.origin.Host] = s.origin.String()
	for i, host := range hosts {
		u, path, err := parseBaseURL(s.origin.Scheme + "://" + host)
		switch {
		case err != nil || path != "" || u.Host != host:
			return s, fmt.Errorf("auth: Config.Network.Hosts[%d] is %.100q; use a host as browsers send it, in lower case and without a scheme, such as www.app.example or www.app.example:8443", i, host)
		case !isSafe(u, development):
			return s, fmt.Errorf("auth: Config.Network.Hosts[%d] is %.100q, where http is not safe; use a loopback address, or a BaseURL with https; for development in a local network, see Config.Network.DevelopmentHTTP", i, host)
		case s.hosts[host] != "":
			return s, fmt.Errorf("auth: Config.Network.Hosts[%d] is %q, which BaseURL or Hosts has already; remove it", i, host)
		}
		needed = needed || !isSafe(u, false)
		s.hosts[host] = u.String()
	}
	if development && !needed {
		return s, fmt.Errorf("auth: Config.Network.DevelopmentHTTP has no effect, because BaseURL is %s; remove it", s.origin)
	}
	return s, nil
}

// isSafe reports whether browsers may send passwords and cookies to an origin.
func isSafe(origin *url.URL, development bool) bool {
	host := origin.Hostname()
	return origin.Scheme == "https" || origin.Scheme == "http" && (isLoopback(host) || development && isLocalName(host))
}

// parseBaseURL returns the origin, written as browsers write it, and the path without the final
// slash.
func parseBaseURL(text string) (origin *url.URL, path string, err error) {
	u, err := url.Parse(text)
	switch {
	case text == "":
		return nil, "", errors.New("auth: Config.BaseURL is empty; set it to where browsers find the application, such as https://app.example")
	case err == nil && u.User != nil: // whose password must not be repeated
		return nil, "", errors.New("auth: Config.BaseURL has a user; use a scheme and a host, such as https://app.example")
	case err != nil || u.Hostname() == "" || u.Opaque != "" || strings.ContainsAny(text, "?#"):
		return nil, "", fmt.Errorf("auth: Config.BaseURL is %q; use a scheme and a host, such as https://app.example", text)
	case !isPlainPath(u):
		return nil, "", fmt.Errorf("auth: Config.BaseURL is %q; use a path of letters, digits, -, _ and ~, such as https://host.example/app", text)
	}
	u.Host = strings.ToLower(u.Host)
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, "", fmt.Errorf("auth: Config.BaseURL is %q; use a port of 1 to 65535", text)
		}
	}
	u.Host = strings.TrimSuffix(u.Host, map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
	path = strings.TrimSuffix(u.Path, "/")
	u.Path = ""
	return u, path, nil
}

// isPlainPath reports whether all servers and browsers read the path of u in the same way.
func isPlainPath(u *url.URL) bool {
	if u.Path == "" || u.Path == "/" {
		return true
	}
	if u.RawPath != "" || u.Path != u.EscapedPath() {
		return false
	}
	for segment := range strings.SplitSeq(strings.Trim(u.Path, "/"), "/") {
		if segment == "" || strings.ContainsFunc(segment, func(r rune) bool {
			return r > '~' || !isAlnum(byte(r)) && !strings.ContainsRune("-_~", r)
		}) {
			return false
		}
	}
	return !strings.HasPrefix(u.Path, "//") && !strings.HasSuffix(u.Path, "//")
}

// isLoopback reports whether browsers look for a host on their own machine. They do so for
// names below localhost, too, and take them for secure (RFC 6761, section 6.3).
func isLoopback(host string) bool {
	host = strings.ToLower(host)
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}

// isLocalName reports whether a host can only be in a local network: a name that the public
// domain name system does not have, or a private address.
func isLocalName(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsPrivate() || ip.IsLinkLocalUnicast()
	}
	host = strings.ToLower(host)
	last := host[strings.LastIndexByte(host, '.')+1:]
	if last == host {
		return strings.Trim(host, "0123456789") != "" && !strings.HasPrefix(host, "0x") // else it is a number, and so an address
	}
	switch last {
	case "local", "lan", "internal", "test":
		return true
	}
	return strings.HasSuffix(host, ".home.arpa")
}

// originOf returns the origin at which a request came in: that of its Host, if it is in
// Config.Network.Hosts, and otherwise that of BaseURL.
func (s *site) originOf(r *http.Request) string {
	if r != nil && len(s.hosts) > 1 {
		host := strings.TrimSuffix(strings.ToLower(r.Host), map[string]string{"https": ":443", "http": ":80"}[s.origin.Scheme])
		if origin := s.hosts[host]; origin != "" {
			return origin
		}
	}
	return s.origin.String()
}

// whole returns the path that the browser asked for. target is the URL that reached the
// server. If a proxy has removed the path of BaseURL, whole adds it again.
func (s *site) whole(target *url.URL) *url.URL {
	if s.path == "" || target.Path == s.path || strings.HasPrefix(target.Path, s.path+"/") || !strings.HasPrefix(target.Path, "/") {
		return target
	}
	u := *target
	u.Path = s.path + u.Path
	if u.RawPath != "" {
		u.RawPath = s.path + u.RawPath
	}
	return &u
}

// below returns the path of a page of the application without the path of BaseURL: the one
// that reaches the server if a proxy removes the latter.
func (s *site) below(page string) string {
	if u, err := s.origin.Parse(page); err == nil && u.Host == s.origin.Host && strings.HasPrefix(u.Path, s.path+"/") {
		return u.Path[len(s.path):]
	}
	return page
}

package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// What is read of X-Forwarded-For, from its end: this many hops, of this many
// bytes each with the spaces around them. (An address with a zone and a port
// has some 70.)
const (
	maxHops = 32
	maxHop  = 128
)

// suspiciousLogins is how many logins from one private address make a proxy of
// it.
const suspiciousLogins = 100

// Why a proxy is suspected.
var (
	errForwarded  = errors.New("X-Forwarded-For came from an address that is not in Config.TrustedProxies, and is ignored")
	errOneAddress = errors.New("all logins so far came from one private address, or none: that may be a proxy, which belongs in Config.TrustedProxies, or is there and sends no X-Forwarded-For")
)

// proxyPrefixes returns TrustedProxies as addresses are compared with them:
// IPv4 as IPv4.
func proxyPrefixes(proxies []netip.Prefix) ([]netip.Prefix, error) {
	proxies = slices.Clone(proxies)
	for i, p := range proxies {
		if p.Addr().Is4In6() {
			p = netip.PrefixFrom(p.Addr().Unmap(), max(p.Bits()-96, 0))
		}
		switch {
		case !p.IsValid():
			return nil, fmt.Errorf("auth: TrustedProxies[%d] is not a valid prefix", i)
		case p.Bits() == 0:
			return nil, fmt.Errorf("auth: TrustedProxies has %v, and everybody could choose an address", proxies[i])
		}
		proxies[i] = p.Masked()
	}
	return proxies, nil
}

func (c *Core) trustsProxy(a netip.Addr) bool {
	return slices.ContainsFunc(c.cfg.TrustedProxies, func(p netip.Prefix) bool { return p.Contains(a) })
}

// peer is who has sent us a request, and whether that is a trusted proxy. Who
// comes through a Unix socket is on this machine and has no address.
func (c *Core) peer(from string) (a netip.Addr, trusted bool) {
	if from == "" || from[0] == '@' || from[0] == '/' {
		return netip.Addr{}, len(c.cfg.TrustedProxies) > 0
	}
	ap, err := netip.ParseAddrPort(from)
	a = ap.Addr().Unmap().WithZone("")
	return a, err == nil && c.trustsProxy(a)
}

// clientAddress is where a request comes from that a peer has sent us with these
// lines of X-Forwarded-For, or the zero Addr: see Config.TrustedProxies.
func (c *Core) clientAddress(from string, lines []string) netip.Addr {
	client, trusted := c.peer(from)
	if !trusted {
		return client
	}
	hops := 0
	for i := len(lines) - 1; i >= 0; i-- {
		for rest, more := lines[i], true; more; hops++ {
			var hop string
			rest, hop, more = cutHop(rest)
			a, ok := parseAddress(strings.Trim(hop, " \t"))
			if !ok || hops == maxHops {
				return client
			}
			if client = a; !c.trustsProxy(a) {
				return client
			}
		}
	}
	return client
}

// cutHop cuts the last hop off a line, and reports whether there are more. One
// that is too long is empty: a piece of it might be another address.
func cutHop(line string) (rest, hop string, more bool) {
	from := max(0, len(line)-maxHop)
	comma := strings.LastIndexByte(line[from:], ',')
	switch {
	case comma >= 0:
		return line[:from+comma], line[from+comma+1:], true
	case from > 0:
		return "", "", false
	}
	return "", line, false
}

// parseAddress reads an IP address with or without a port, in canonical form:
// IPv4 as IPv4, and no zone. The zero Addr comes with false.
func parseAddress(s string) (netip.Addr, bool) {
	var a netip.Addr
	var err error
	switch bracket := strings.HasPrefix(s, "["); {
	case bracket && strings.HasSuffix(s, "]"):
		if a, err = netip.ParseAddr(s[1 : len(s)-1]); a.Is4() {
			return netip.Addr{}, false
		}
	case bracket || strings.Count(s, ":") == 1:
		var ap netip.AddrPort
		ap, err = netip.ParseAddrPort(s)
		a = ap.Addr()
	default:
		a, err = netip.ParseAddr(s)
	}
	return a.Unmap().WithZone(""), err == nil
}

// limitPrefix is what the addresses have in common that are limited as one: an
// IPv4 address, or the network of 64 bits that one customer gets of IPv6. All
// that have no address are one, too: "".
func limitPrefix(address string) string {
	a, ok := parseAddress(address)
	if !ok {
		return ""
	}
	bits := 64
	if a.Is4() {
		bits = 32
	}
	p, _ := a.Prefix(bits) // the bits are in range
	return p.String()
}

// A proxyWatch looks for proxies that Config.TrustedProxies does not have.
type proxyWatch struct {
	forwarded atomic.Bool // X-Forwarded-For has been told of

	mu     sync.Mutex
	from   netip.Addr // where all logins came from
	logins int        // how many
	done   bool       // no more is to be found out
}

// suspectForwarded notes, once, that X-Forwarded-For came from somebody who is
// not to be believed.
func (s *state) suspectForwarded() {
	told := &s.core.proxies.forwarded
	if len(s.forwarded) == 0 || told.Load() {
		return
	}
	if _, trusted := s.core.peer(s.request.RemoteAddr); !trusted && told.CompareAndSwap(false, true) {
		s.note(Event{Kind: EventProxySuspected, Err: errForwarded})
	}
}

// sawLogin tells, once, if the first logins all came from one address that is
// nobody's on the internet, where https is for. The caller holds no lock.
func (c *Core) sawLogin(s *state) {
	if s != nil && c.baseURL.Scheme == "https" && c.proxies.suspects(s.client()) {
		c.event(&s.ctx, Event{Kind: EventProxySuspected, Err: errOneAddress})
	}
}

// suspects counts a login, and reports whether it is the one that makes a proxy
// of the address.
func (w *proxyWatch) suspects(a netip.Addr) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return false
	}
	if w.logins == 0 {
		w.from = a
	}
	if public := a.IsValid() && !a.IsPrivate() && !a.IsLoopback() && !a.IsLinkLocalUnicast(); public || a != w.from {
		w.done = true
		return false
	}
	w.logins++
	w.done = w.logins == suspiciousLogins
	return w.done
}

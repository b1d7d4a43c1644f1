// Package clientip finds the address of the client that a request is from, behind
// proxies that the application trusts.
package clientip

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
)

// What is read of X-Forwarded-For, from its end: this many hops, of this many
// bytes each with the spaces around them. (An address with a zone and a port
// has some 70.)
const (
	maxHops = 32
	maxHop  = 128
)

// Proxies are the networks of the proxies that are trusted to say whom a request is
// from. A nil Proxies trusts nobody.
type Proxies []netip.Prefix

// NewProxies returns a copy of proxies in the form that addresses are compared with:
// IPv4 as IPv4. It refuses a prefix that is not valid, and one that is everybody.
func NewProxies(proxies []netip.Prefix) (Proxies, error) {
	proxies = slices.Clone(proxies)
	for i, p := range proxies {
		if p.Addr().Is4In6() {
			p = netip.PrefixFrom(p.Addr().Unmap(), max(p.Bits()-96, 0))
		}
		switch {
		case !p.IsValid():
			return nil, fmt.Errorf("auth: Config.Network.TrustedProxies[%d] is not a valid prefix; use netip.ParsePrefix", i)
		case p.Bits() == 0:
			return nil, fmt.Errorf("auth: Config.Network.TrustedProxies has %v, so every client could choose its address; use the networks of your proxies", proxies[i])
		}
		proxies[i] = p.Masked()
	}
	return proxies, nil
}

func (p Proxies) contain(a netip.Addr) bool {
	return slices.ContainsFunc(p, func(p netip.Prefix) bool { return p.Contains(a) })
}

// Peer returns who has sent us a request with this RemoteAddr, and whether that is a
// trusted proxy. A peer that comes through a Unix socket is on this machine: it has
// the zero Addr, and is trusted if any proxy is.
func (p Proxies) Peer(remoteAddr string) (a netip.Addr, trusted bool) {
	if remoteAddr == "" || remoteAddr[0] == '@' || remoteAddr[0] == '/' {
		return netip.Addr{}, len(p) > 0
	}
	ap, err := netip.ParseAddrPort(remoteAddr)
	a = ap.Addr().Unmap().WithZone("")
	return a, err == nil && p.contain(a)
}

// Client returns the address of the client that a request is from, or the zero Addr
// if it has none. The request was sent to us by remoteAddr, with these lines of
// X-Forwarded-For.
//
// If the peer is a trusted proxy, the lines are read from their end. The client is
// the first address there that is no trusted proxy. Reading stops at the first hop
// that is not an address, and after 32 hops. The client is then the last address that
// was read, or the peer if none was.
func (p Proxies) Client(remoteAddr string, lines []string) netip.Addr {
	client, trusted := p.Peer(remoteAddr)
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
			if client = a; !p.contain(a) {
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

// LimitPrefix returns what the addresses have in common that are limited as one: an
// IPv4 address, or the network of 64 bits that one customer gets of IPv6. It returns
// "" for all that is not an address.
func LimitPrefix(address string) string {
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

// Network returns what the addresses of a client's network have in common: 24 bits of
// IPv4, 64 bits of IPv6. It returns the zero Prefix for what is not an address.
func Network(address string) netip.Prefix {
	a, err := netip.ParseAddr(address)
	if err != nil {
		return netip.Prefix{}
	}
	bits := 64
	if a.Is4() {
		bits = 24
	}
	p, _ := a.Prefix(bits) // the bits are in range
	return p
}

// A Watch looks at where logins come from, for a proxy that nobody has told us of.
// Its zero value is ready for use, by several goroutines at once.
type Watch struct {
	mu     sync.Mutex
	from   netip.Addr // where all logins came from
	logins int        // how many
	done   bool       // no more is to be found out
}

// Suspects counts a login from an address, or from none. It returns true once: for
// login number 100, if all of them came from one address that is not public.
func (w *Watch) Suspects(a netip.Addr) bool {
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

// suspiciousLogins is how many logins from one private address make a proxy of
// it.
const suspiciousLogins = 100

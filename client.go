package auth

import (
	"net/netip"
	"slices"
	"strings"
	"unicode"
)

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

// client is where the request came from, whatever has been done to it since, or
// the zero Addr.
func (s *state) client() netip.Addr {
	return s.core.clientAddress(s.request.RemoteAddr, s.forwarded)
}

// address is the client's IP address in canonical form, or empty.
func (s *state) address() string {
	client := s.client()
	if !client.IsValid() {
		return ""
	}
	return client.String()
}

// agent is what the client says that it is, without what cannot be seen or makes
// a log say something else.
func (s *state) agent() string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, cut(s.request.UserAgent(), 256))
}

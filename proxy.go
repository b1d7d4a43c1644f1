package auth

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// What is read of X-Forwarded-For, from its end: this many hops, of this many
// bytes each with the spaces around them. (An address with a zone and a port
// has some 70.)
const (
	maxHops = 32
	maxHop  = 128
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

// network is what the addresses of a client's network have in common, or the
// zero value.
func network(address string) netip.Prefix {
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

var (
	errOneAddress = errors.New("all logins so far came from one private address, or none: that may be a proxy, which belongs in Config.TrustedProxies, or is there and sends no X-Forwarded-For")
)

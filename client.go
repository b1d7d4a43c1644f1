package auth

import (
	"net/netip"
	"strings"
	"unicode"

	"github.com/go-login/auth/internal/clientip"
)

// client returns the IP address that the request came from, or the zero Addr. A handler
// that changes the request does not change it.
func (s *state) client() netip.Addr {
	return clientip.Proxies(s.core.cfg.Network.TrustedProxies).Client(s.request.RemoteAddr, s.forwarded)
}

// address returns the client's IP address in canonical form, or "".
func (s *state) address() string {
	client := s.client()
	if !client.IsValid() {
		return ""
	}
	return client.String()
}

// agent returns the client's User-Agent without characters that cannot be printed,
// which could forge a line of the log.
func (s *state) agent() string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, cut(s.request.UserAgent(), 256))
}

package auth

import (
	"net/netip"
	"strings"
	"unicode"

	"github.com/go-login/auth/internal/clientip"
)

// client is where the request came from, whatever has been done to it since, or
// the zero Addr.
func (s *state) client() netip.Addr {
	return clientip.Proxies(s.core.cfg.Network.TrustedProxies).Client(s.request.RemoteAddr, s.forwarded)
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

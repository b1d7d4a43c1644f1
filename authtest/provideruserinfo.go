package authtest

import (
	"net/http"
	"slices"
	"strings"
)

// userinfo is the userinfo endpoint (OpenID Connect Core 1.0, section 5.3).
func (p *Provider) userinfo(r *http.Request) (any, error) {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	p.mu.Lock()
	g := p.grants[token]
	p.mu.Unlock()
	if g == nil {
		return nil, &protocolError{http.StatusUnauthorized, "invalid_token", "the access token is unknown or was revoked"}
	}
	claims := g.claims()
	if slices.Contains(g.faults, OtherUserinfo) {
		claims["sub"] = "another-user"
	}
	return claims, nil
}

// claims returns what the ID token and the userinfo say about the user.
func (g *grant) claims() map[string]any {
	u, asked := g.user, scopes(g.asked)
	claims := map[string]any{"sub": u.Subject}
	if asked["email"] && u.Email != "" {
		claims["email"], claims["email_verified"] = u.Email, u.EmailVerified
		switch {
		case slices.Contains(g.faults, UnverifiedEmail):
			claims["email_verified"] = false
		case slices.Contains(g.faults, StringEmailVerified):
			claims["email_verified"] = "true"
		}
	}
	if asked["profile"] && u.Name != "" {
		claims["name"] = u.Name
	}
	override(claims, u.Claims)
	return claims
}

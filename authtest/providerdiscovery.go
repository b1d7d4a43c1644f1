package authtest

import (
	"maps"
	"net/http"
	"slices"
)

// otherIssuer is the issuer of another provider.
const otherIssuer = "https://other.example"

// describe returns the discovery document (OpenID Connect Discovery 1.0,
// section 3).
func (p *Provider) describe() map[string]any {
	d := map[string]any{
		"issuer":                                         p.Issuer,
		"authorization_endpoint":                         p.url(Authorize).String(),
		"token_endpoint":                                 p.url(Token).String(),
		"revocation_endpoint":                            p.url(Revocation).String(),
		"userinfo_endpoint":                              p.url(Userinfo).String(),
		"end_session_endpoint":                           p.url(EndSession).String(),
		"jwks_uri":                                       p.url(Keys).String(),
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query", "form_post"},
		"grant_types_supported":                          []string{"authorization_code", "refresh_token"},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          []string{p.key.algorithm},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic", "client_secret_post"},
		"code_challenge_methods_supported":               []string{"S256"},
		"scopes_supported":                               []string{"openid", "email", "profile", "offline_access"},
		"authorization_response_iss_parameter_supported": true,
		"backchannel_logout_supported":                   true,
		"backchannel_logout_session_supported":           true,
	}
	override(d, p.cfg.Metadata)
	return d
}

// discovery answers with the discovery document.
func (p *Provider) discovery(*http.Request) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	d := maps.Clone(p.metadata)
	if slices.Contains(p.faults, OtherDiscovery) {
		d["issuer"] = otherIssuer
	}
	if slices.Contains(p.faults, IssuerWithSlash) {
		d["issuer"] = switchSlash(p.Issuer)
	}
	return d, nil
}

// keySet answers with the public key.
func (p *Provider) keySet(*http.Request) (any, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	jwk, err := p.key.jwk()
	return map[string]any{"keys": []any{jwk}}, err
}

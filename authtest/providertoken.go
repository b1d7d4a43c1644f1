package authtest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// token is the token endpoint. A request uses up its code or its refresh token,
// whatever else is wrong with the request.
func (p *Provider) token(r *http.Request) (any, error) {
	form := r.PostForm
	refresh := form.Get("grant_type") == "refresh_token"
	var g *grant
	var wrong string
	if refresh {
		g, wrong = p.takeToken(form.Get("refresh_token"))
	} else {
		g, wrong = p.takeCode(form.Get("code"))
	}
	if err := p.checkClient(r); err != nil {
		return nil, err
	}
	challenge := sha256.Sum256([]byte(form.Get("code_verifier")))
	switch {
	case !refresh && form.Get("grant_type") != "authorization_code":
		return nil, &protocolError{http.StatusBadRequest, "unsupported_grant_type", "grant_type is neither authorization_code nor refresh_token"}
	case wrong != "":
	case !refresh && form.Get("redirect_uri") != g.asked.Get("redirect_uri"):
		wrong = "redirect_uri is not that of the authorization request"
	case !refresh && base64.RawURLEncoding.EncodeToString(challenge[:]) != g.asked.Get("code_challenge"):
		wrong = "code_verifier does not fit the code_challenge"
	}
	if wrong != "" {
		return nil, &protocolError{http.StatusBadRequest, "invalid_grant", wrong}
	}
	access := p.newToken(g)
	answer := map[string]any{"access_token": access, "token_type": "Bearer", "expires_in": 3600, "scope": g.asked.Get("scope")}
	if scopes(g.asked)["offline_access"] {
		answer["refresh_token"] = p.newToken(g)
	}
	if !refresh {
		answer["id_token"] = p.idToken(g, access)
	}
	return answer, nil
}

// takeCode returns what a code was given for, and uses it up. If it is of no
// use, it returns why.
func (p *Provider) takeCode(code string) (g *grant, wrong string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	g = p.grants[code]
	switch {
	case g == nil:
		return nil, "the code is unknown"
	case g.spent:
		return nil, "the code was used before"
	}
	g.spent = true
	return g, ""
}

// takeToken is like takeCode, for a refresh token.
func (p *Provider) takeToken(token string) (g *grant, wrong string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if g = p.grants[token]; g == nil {
		return nil, "the refresh token is unknown, revoked, or was used before"
	}
	delete(p.grants, token)
	return g, ""
}

// newToken returns a new access or refresh token.
func (p *Provider) newToken(g *grant) string {
	token := rand.Text()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.grants[token] = g
	return token
}

// checkClient checks the client's secret. It must come in one of the ways that
// the metadata announce.
func (p *Provider) checkClient(r *http.Request) error {
	methods, ok := p.metadata["token_endpoint_auth_methods_supported"].([]string)
	if !ok {
		methods = []string{"client_secret_basic"} // as the standard says
	}
	method, id, secret := "client_secret_post", r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if user, password, ok := r.BasicAuth(); ok {
		method = "client_secret_basic"
		id, _ = url.QueryUnescape(user) // RFC 6749, section 2.3.1
		secret, _ = url.QueryUnescape(password)
	}
	right := secret == p.ClientSecret
	if p.cfg.CheckSecret != nil {
		right = p.cfg.CheckSecret(secret)
	}
	switch {
	case !slices.Contains(methods, method):
		return &protocolError{http.StatusUnauthorized, "invalid_client", method + " is not in token_endpoint_auth_methods_supported"}
	case id != p.ClientID || !right:
		return &protocolError{http.StatusUnauthorized, "invalid_client", "the client's ID or secret is wrong"}
	}
	return nil
}

// revoke is the revocation endpoint (RFC 7009).
func (p *Provider) revoke(r *http.Request) (any, error) {
	if err := p.checkClient(r); err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.grants, r.PostForm.Get("token"))
	return struct{}{}, nil
}

// idToken returns the ID token of a login (OpenID Connect Core 1.0, section 2).
func (p *Provider) idToken(g *grant, access string) string {
	now := p.cfg.Now()
	hash := sha256.Sum256([]byte(access))
	claims := map[string]any{
		"iss":       p.Issuer,
		"aud":       p.ClientID,
		"exp":       now.Add(time.Hour).Unix(),
		"iat":       now.Unix(),
		"auth_time": g.user.AuthTime.Unix(),
		"nonce":     g.asked.Get("nonce"),
		"at_hash":   base64.RawURLEncoding.EncodeToString(hash[:len(hash)/2]),
		"sid":       g.user.SessionID,
	}
	if len(g.user.AMR) > 0 {
		claims["amr"] = g.user.AMR
	}
	if g.user.ACR != "" {
		claims["acr"] = g.user.ACR
	}
	maps.Copy(claims, g.claims())
	override(claims, g.user.Claims)
	if leavesOutEmail(g.faults) {
		delete(claims, "email")
		delete(claims, "email_verified")
	}
	for _, m := range g.faults {
		switch m {
		case WrongIssuer:
			claims["iss"] = otherIssuer
		case IssuerWithSlash:
			claims["iss"] = switchSlash(p.Issuer)
		case IssuerWithoutScheme:
			_, claims["iss"], _ = strings.Cut(p.Issuer, "://")
		case WrongAudience:
			claims["aud"] = "another-client"
		case TwoAudiences:
			claims["aud"] = []string{p.ClientID, "another-client"}
		case ForeignAZP:
			claims["azp"] = "another-client"
		case AudienceArray:
			claims["aud"] = []string{p.ClientID}
		case WrongNonce:
			claims["nonce"] = rand.Text()
		case NoNonce:
			delete(claims, "nonce")
		case Expired:
			claims["exp"], claims["iat"] = now.Add(-61*time.Second).Unix(), now.Add(-2*time.Minute).Unix()
		case IssuedInFuture:
			claims["iat"] = now.Add(10 * time.Minute).Unix()
		case NoIssuedAt:
			delete(claims, "iat")
		case WrongATHash:
			claims["at_hash"] = base64.RawURLEncoding.EncodeToString(hash[len(hash)/2:])
		case NoSubject:
			delete(claims, "sub")
		case EmptySubject:
			claims["sub"] = ""
		case NumericSubject:
			claims["sub"] = 42
		case LongSubject:
			claims["sub"] = strings.Repeat("s", 256)
		}
	}
	return p.sign("JWT", claims, g.faults)
}

package oauth

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

const (
	leeway     = time.Minute // between the clocks here and at the provider
	maxAge     = 10 * time.Minute
	maxSubject = 255 // bytes (OpenID Connect Core 1.0, section 2)
	maxEmail   = 254
	maxName    = 100 // characters
)

// Why an ID token or an answer is refused.
var (
	errIDToken   = errors.New("oauth: the ID token is refused")
	errSubject   = errors.New("oauth: the provider's ID of the user is refused: it must have 1 to 255 bytes")
	errNoIDToken = fmt.Errorf("%w: there is none", errIDToken)
)

// refusedToken says why an ID token is refused, without what is in it.
func refusedToken(why string) error { return fmt.Errorf("%w: %s", errIDToken, why) }

// A visit is what a visit to the provider has brought: what the ID token says, and the tokens.
type visit struct {
	Profile
	sessionID string // at the provider; may be empty
	factors   []string
	tokens    *oauth2.Token
}

// verify checks an ID token (OpenID Connect Core 1.0, section 3.1.3.7), and returns what it
// says. go-oidc checks the signature, the algorithm, the issuer, the audience and the expiry.
func (p *remote) verify(ctx context.Context, f *found, raw, access string, t *transaction) (*visit, error) {
	token, err := checked(ctx, raw, f.verifier.Verify)
	switch {
	case errors.Is(err, errUnavailable), err != nil && ctx.Err() != nil:
		return nil, err
	case err != nil:
		return nil, refusedToken(whyRefused(err))
	}
	claims := map[string]json.RawMessage{}
	if err := token.Claims(&claims); err != nil {
		return nil, refusedToken("it is no JSON object")
	}
	now := p.now()
	azp := textOf(claims["azp"])
	switch {
	case subtle.ConstantTimeCompare([]byte(token.Nonce), []byte(t.Nonce)) != 1:
		return nil, refusedToken("its nonce is not that of this login")
	case claims["azp"] != nil && azp != p.ClientID:
		return nil, refusedToken("azp: it was made for another client")
	case len(token.Audience) != 1 && azp != p.ClientID:
		return nil, refusedToken("it has several audiences, and no azp")
	case token.IssuedAt.After(now.Add(leeway)):
		return nil, refusedToken("its iat is in the future; are both clocks right?")
	case token.IssuedAt.Before(now.Add(-maxAge)):
		return nil, refusedToken("its iat is missing, or more than 10 minutes ago; are both clocks right?")
	case claims["at_hash"] != nil && token.VerifyAccessToken(access) != nil:
		return nil, refusedToken("its at_hash is not that of the access token")
	case textOf(claims["sub"]) != token.Subject || !isSubject(token.Subject):
		return nil, errSubject
	}
	if t.Purpose == toConfirm {
		if err := p.checkAuthTime(claims, t); err != nil {
			return nil, err
		}
	}
	v := &visit{Profile: Profile{Provider: p.Name, Subject: token.Subject, Claims: claims}, sessionID: textOf(claims["sid"])}
	v.take(claims)
	_ = json.Unmarshal(claims["amr"], &v.factors) // of another form: none
	if acr := textOf(claims["acr"]); acr != "" {
		v.factors = append(v.factors, acr)
	}
	return v, nil
}

// whyRefused returns go-oidc's reason without the texts of the token that it may quote.
func whyRefused(err error) string {
	if expired := (*oidc.TokenExpiredError)(nil); errors.As(err, &expired) {
		return "it has expired"
	}
	text, _, _ := strings.Cut(err.Error(), " got ")
	for _, known := range []string{"different provider", "audience", "signature", "malformed jwt", "nbf", "claims"} {
		if strings.Contains(text, known) {
			return map[string]string{
				"different provider": "its issuer is another one", "audience": "its audience is another client",
				"signature": "its signature is wrong, or the key is unknown", "malformed jwt": "it is malformed, or its algorithm is not accepted",
				"nbf": "it is not valid yet", "claims": "a claim has the wrong type",
			}[known]
		}
	}
	return "it is malformed"
}

// checkAuthTime refuses a confirmation, unless the user has shown who they are since it began.
func (p *remote) checkAuthTime(claims map[string]json.RawMessage, t *transaction) error {
	var seconds float64
	if claims["auth_time"] == nil || json.Unmarshal(claims["auth_time"], &seconds) != nil {
		return refusedToken("it has no auth_time")
	}
	at := time.Unix(int64(seconds), 0)
	if at.Before(t.Began.Add(-leeway)) || at.After(p.now().Add(leeway)) {
		return refusedToken("auth_time: the user has not shown who they are since the confirmation began")
	}
	return nil
}

// take takes the user's address and name from claims.
func (p *Profile) take(claims map[string]json.RawMessage) {
	if email := textOf(claims["email"]); email != "" && len(email) <= maxEmail {
		p.Email = email
		p.EmailVerified = string(claims["email_verified"]) == "true" // not the text "true"
	}
	if name := textOf(claims["name"]); name != "" {
		p.Name = shortName(name)
	}
}

// trusts reports whether the user has shown factors at the provider that count here.
func (p *remote) trusts(factors []string) bool {
	return slices.ContainsFunc(factors, func(f string) bool { return slices.Contains(p.TrustFactors, f) })
}

// userinfo asks for the user's address, if the ID token does not have it. Without an answer the
// login goes on without an address.
func (p *remote) userinfo(ctx context.Context, f *found, access string, v *visit) error {
	if v.Email != "" || f.UserinfoURL == "" || !slices.Contains(p.Scopes, "email") {
		return nil
	}
	claims := map[string]json.RawMessage{}
	api := &API{p.client, access}
	if err := api.Get(ctx, f.UserinfoURL, &claims); err != nil {
		return ctx.Err()
	}
	if textOf(claims["sub"]) != v.Subject {
		return errOtherUserinfo
	}
	v.take(claims)
	for name, value := range claims {
		if v.Claims[name] == nil {
			v.Claims[name] = value
		}
	}
	return nil
}

var errOtherUserinfo = errors.New("oauth: the userinfo is about another user than the ID token")

// textOf returns a JSON string, or "" if it is something else.
func textOf(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) != nil {
		return ""
	}
	return text
}

// isSubject reports whether a provider's ID of a user may be one. Some are what is left of an
// ID that a program did not find.
func isSubject(s string) bool {
	return s != "" && len(s) <= maxSubject && utf8.ValidString(s) && !strings.ContainsFunc(s, unicode.IsControl) &&
		!slices.Contains([]string{"0", "null", "undefined"}, s)
}

// shortName returns a name without characters that cannot be seen, cut to maxName.
func shortName(name string) string {
	name = strings.TrimSpace(strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, name))
	if runes := []rune(name); len(runes) > maxName {
		name = strings.TrimSpace(string(runes[:maxName]))
	}
	return name
}

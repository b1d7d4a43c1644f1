package oauth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-login/auth"
)

// A Provider is a site whose accounts users may log in with. Make one by [Google] or a
// function like it, and change its fields, or fill in the fields yourself. For a provider of
// OpenID Connect, these are enough:
//
//	oauth.Provider{Name: "work", Issuer: "https://id.example.com", ClientID: id, ClientSecret: secret}
//
// A provider of plain OAuth 2.0 needs AuthURL, TokenURL and Map in addition.
//
// At the provider, enter BaseURL + "/oauth/" + Name + "/callback" as the redirect URI. If there
// are Network.Hosts in auth.Config, enter one for each of them, too.
type Provider struct {
	// Name is part of URLs, and of the methods that a login has: "oauth:google" for "google".
	// It has 1 to 32 lower-case letters, digits and dashes. Users keep their identities if you
	// change it.
	Name string

	// Label is the name that users see. The default is Name.
	Label string

	// Issuer is the issuer of a provider of OpenID Connect, exactly as the provider writes
	// it. Its endpoints are found by discovery at the first login. Identities are kept by
	// Issuer and subject, so a change of Issuer separates all users from their identities.
	//
	// For plain OAuth 2.0, Issuer is what the parameter iss of an answer must be, if there is
	// one. The default is then AuthURL, and iss is not compared.
	Issuer string

	// AuthURL and TokenURL are the endpoints of a provider of plain OAuth 2.0. They must be
	// empty for OpenID Connect.
	AuthURL  string
	TokenURL string

	// Map asks a provider of plain OAuth 2.0 who the user is. It must set Subject to an ID
	// that the provider never gives to another user: not a name, not an address. It must set
	// EmailVerified only if the provider has checked that the address is the user's.
	Map func(ctx context.Context, api *API) (Profile, error)

	// ClientID and ClientSecret are what the provider has given to your application.
	ClientID     string
	ClientSecret auth.Secret

	// MakeSecret, if set, makes a client secret for each request, in place of ClientSecret.
	// Apple's is a signed token.
	MakeSecret func(now time.Time) (auth.Secret, error)

	// AuthStyle is how the client secret is sent. The default is what the provider announces,
	// with preference for AuthPost. It is never tried out: that would use up the code.
	AuthStyle AuthStyle

	// Scopes are what the user is asked to allow. The default for OpenID Connect is openid,
	// email and profile. openid is added if it is missing.
	Scopes []string

	// Params are further parameters of the authorization request, such as
	// {"access_type": {"offline"}}. They cannot replace the library's own.
	Params url.Values

	// TrustEmail says that the provider checks the addresses that it calls verified. If it is
	// set, and the provider says that the user's address is verified, then the user gets into
	// the account here that has the same address, if that is verified, too. The two are
	// connected then. Without TrustEmail, a user logs in here first, and connects the two.
	//
	// Set it only for a provider that you would let reset the passwords of your users.
	TrustEmail bool

	// SignUp lets users without an account get one by a login at the provider.
	SignUp bool

	// Registration, if set, says what a new account gets. The default is the address, without a
	// password. EmailVerified is set by the library. An error that wraps ErrRefused
	// refuses the user; any other error is a failure.
	Registration func(ctx context.Context, p Profile) (auth.Registration, error)

	// Admit, if set, says who may log in, connect an account or sign up, each time. It may look at
	// the domain of a verified address, or at a claim. An error that wraps ErrRefused refuses
	// the user; any other error is a failure.
	Admit func(ctx context.Context, p Profile) error

	// TrustFactors are values of the claims amr and acr that say that the user has shown two
	// factors at the provider, such as "mfa". A login with one of them owes no second
	// factor here. The default is none. If you take them all away, earlier logins with one of
	// them no longer count as having shown a factor. After any other change, call
	// auth.Core.LogoutEverywhere for the users whose logins shall no longer count. OpenID Connect
	// only.
	TrustFactors []string

	// CannotConfirm says that the provider never reports when the user last logged in there (the
	// claim auth_time), so users cannot confirm a login there. This always holds for plain
	// OAuth 2.0.
	CannotConfirm bool

	// FormPost says that the provider sends its answer as a form (response_mode=form_post), as
	// Apple does. Then add "POST /oauth/NAME/callback" to auth.Config.Network.CrossOriginBypass.
	FormPost bool

	// BackChannelLogout accepts logouts that the provider sends, and ends the logins that came
	// from it. Then add "POST /oauth/NAME/logout" to auth.Config.Network.CrossOriginBypass, and
	// enter BaseURL + "/oauth/NAME/logout" at the provider. OpenID Connect only.
	BackChannelLogout bool

	// KeepTokens keeps the provider's tokens, encrypted, for Handler.Token. Without it they are
	// dropped when the login is done.
	KeepTokens bool

	// Client is used for requests to the provider. Only its Transport counts. The library sets
	// limits: 10 seconds, 1 MiB, no redirect to another host, no plain http except to a
	// loopback address. The default is the transport of http.DefaultClient.
	Client *http.Client
}

// An AuthStyle is how a client secret is sent to the token endpoint.
type AuthStyle string

// The styles, by their names in OpenID Connect.
const (
	AuthPost  AuthStyle = "client_secret_post"  // in the form
	AuthBasic AuthStyle = "client_secret_basic" // in the Authorization header
)

// ErrRefused is what Admit and Registration return for a user who may not log in. The user
// gets a page that says so, and not why. Wrap it for the log.
var ErrRefused = errors.New("oauth: the user is refused")

// A Profile is what a provider says about a user.
type Profile struct {
	Provider      string // its Name
	Subject       string // the user's ID there: 1 to 255 bytes
	Email         string // may be empty
	EmailVerified bool   // the provider says that the address is the user's
	Name          string // what the user is called there; may be empty, or anything that the user likes

	// Claims are those of the ID token, as JSON, and of the userinfo where that was asked. For
	// plain OAuth 2.0, they are what Map sets.
	Claims map[string]json.RawMessage
}

// isPlain reports whether the provider has plain OAuth 2.0, without OpenID Connect.
func (p *Provider) isPlain() bool { return p.AuthURL != "" || p.TokenURL != "" || p.Map != nil }

// confirms reports whether a user can confirm a login at the provider.
func (p *Provider) confirms() bool { return !p.isPlain() && !p.CannotConfirm }

// shown is what others see of the provider, below the path of BaseURL.
func (p *Provider) shown(base string) auth.Provider {
	return auth.Provider{
		Name: p.Name, Label: p.Label, Start: base + p.startPath(), Confirms: p.confirms(), Multifactor: len(p.TrustFactors) > 0,
	}
}

// startPath and the others are the paths of the provider's endpoints here, below that of
// BaseURL.
func (p *Provider) startPath() string    { return pathPrefix + p.Name }
func (p *Provider) callbackPath() string { return pathPrefix + p.Name + "/callback" }
func (p *Provider) logoutPath() string   { return pathPrefix + p.Name + "/logout" }

// method is how a login by the provider is called in Login.Methods.
func (p *Provider) method() string { return "oauth:" + p.Name }

// check fills in the defaults and checks the fields.
func (p *Provider) check() error {
	const allowed = "abcdefghijklmnopqrstuvwxyz0123456789-"
	wrong := func(field, text string) error {
		return fmt.Errorf("oauth: provider %.50q: %s %s", p.Name, field, text)
	}
	if p.Name == "" || len(p.Name) > 32 || strings.Trim(p.Name, allowed) != "" {
		return wrong("Name", "is invalid; use 1 to 32 lower-case letters, digits and dashes")
	}
	if p.Label == "" {
		p.Label = p.Name
	}
	switch {
	case p.ClientID == "":
		return wrong("ClientID", "is missing; the provider gives it to you when you register the application")
	case p.ClientSecret.IsZero() == (p.MakeSecret == nil):
		return wrong("ClientSecret", "or MakeSecret must be set, and not both")
	case p.AuthStyle != "" && p.AuthStyle != AuthPost && p.AuthStyle != AuthBasic:
		return wrong("AuthStyle", "is unknown; use AuthPost or AuthBasic, or leave it empty")
	case p.Registration != nil && !p.SignUp:
		return wrong("Registration", "has no effect without SignUp")
	}
	if err := checkParams(p.Params); err != nil {
		return wrong("Params", err.Error())
	}
	p.Scopes, p.TrustFactors = slices.Clone(p.Scopes), slices.Clone(p.TrustFactors)
	if p.isPlain() {
		return p.checkPlain(wrong)
	}
	if err := checkURL(p.Issuer); err != nil || strings.ContainsAny(p.Issuer, "?") {
		return wrong("Issuer", "must be an https URL without a query, exactly as the provider writes it (http is allowed on a loopback address)")
	}
	if tenant, ok := strings.CutPrefix(p.Issuer, microsoftPrefix); ok && !isGUID(strings.TrimSuffix(tenant, "/v2.0")) {
		return wrong("Issuer", "needs the tenant's ID, which is a GUID: other tenants would be let in by common, organizations and consumers")
	}
	if len(p.Scopes) == 0 {
		p.Scopes = []string{"openid", "email", "profile"}
	}
	if !slices.Contains(p.Scopes, "openid") {
		p.Scopes = append([]string{"openid"}, p.Scopes...)
	}
	return nil
}

// checkPlain is check for the fields of plain OAuth 2.0.
func (p *Provider) checkPlain(wrong func(field, text string) error) error {
	switch {
	case checkURL(p.AuthURL) != nil:
		return wrong("AuthURL", "must be an https URL")
	case checkURL(p.TokenURL) != nil:
		return wrong("TokenURL", "must be an https URL")
	case p.Map == nil:
		return wrong("Map", "is missing; plain OAuth 2.0 needs it. For OpenID Connect leave AuthURL and TokenURL empty, and set Issuer")
	case len(p.TrustFactors) > 0:
		return wrong("TrustFactors", "has no effect without OpenID Connect")
	case p.BackChannelLogout:
		return wrong("BackChannelLogout", "has no effect without OpenID Connect")
	}
	if p.AuthStyle == "" {
		p.AuthStyle = AuthPost
	}
	return nil
}

// issuer is what the provider's identities are kept by, together with the subject.
func (p *Provider) issuer() string {
	if p.Issuer == "" {
		return p.AuthURL
	}
	return p.Issuer
}

// checkURL returns an error unless u is an https URL without a user and a fragment, or one of
// http on a loopback address.
func checkURL(u string) error {
	parsed, err := url.Parse(u)
	switch {
	case err != nil:
		return errNotHTTPS
	case parsed.Host == "" || parsed.User != nil || parsed.Fragment != "" || strings.Contains(u, "#"):
		return errNotHTTPS
	case parsed.Scheme == "https", parsed.Scheme == "http" && isLoopback(parsed.Hostname()):
		return nil
	}
	return errNotHTTPS
}

// checkParams returns an error for parameters that the library sets itself.
func checkParams(params url.Values) error {
	for _, own := range []string{
		"response_type", "client_id", "redirect_uri", "scope", "state", "nonce", "code_challenge", "code_challenge_method",
		"response_mode", "max_age", "request", "request_uri",
	} {
		if params.Has(own) {
			return fmt.Errorf("has %s, which the library sets itself", own)
		}
	}
	return nil
}

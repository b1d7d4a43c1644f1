package main

import (
	"errors"
	"fmt"
	"net/url"

	"github.com/go-login/auth"
	"github.com/go-login/auth/oauth"
)

// A provider is the OpenID Connect provider that the flags name, if they name one.
type provider struct{ issuer, clientID, clientSecret string }

// providers returns what the flags say: one provider, or none.
func (p provider) providers() ([]oauth.Provider, error) {
	switch {
	case p == provider{}:
		return nil, nil
	case p.issuer == "" || p.clientID == "" || p.clientSecret == "":
		return nil, errors.New("a login with a provider needs all of -oidc-issuer, -oidc-client-id and -oidc-client-secret")
	}
	issuer, err := url.Parse(p.issuer)
	if err != nil || issuer.Host == "" {
		return nil, fmt.Errorf("-oidc-issuer %q is not a URL; copy it from the provider, such as https://accounts.google.com", p.issuer)
	}
	return []oauth.Provider{{
		Name: "oidc", Label: issuer.Host,
		Issuer: p.issuer, ClientID: p.clientID, ClientSecret: auth.NewSecret(p.clientSecret),
		SignUp: true,
	}}, nil
}

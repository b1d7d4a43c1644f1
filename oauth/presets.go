package oauth

import (
	"context"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/url"
	"regexp"
	"time"

	"github.com/go-login/auth"
)

// Google returns the provider for accounts of Google. Make a client ID of the type "Web
// application" at https://console.cloud.google.com/apis/credentials.
//
// Google does not report when the user last logged in there, so no login is confirmed
// there.
func Google(clientID string, clientSecret auth.Secret) Provider {
	return Provider{
		Name: "google", Label: "Google", Issuer: "https://accounts.google.com",
		ClientID: clientID, ClientSecret: clientSecret, TrustEmail: true, CannotConfirm: true,
	}
}

const microsoftPrefix = "https://login.microsoftonline.com/"

// Microsoft returns the provider for the accounts of one organisation at Microsoft Entra ID.
// tenantID is its ID, which is a GUID. Register the application at https://entra.microsoft.com.
//
// Entra does not verify addresses, so no account is found by one. To let users confirm logins,
// add the optional claim auth_time to the ID token there, and set CannotConfirm to false.
func Microsoft(tenantID, clientID string, clientSecret auth.Secret) Provider {
	return Provider{
		Name: "microsoft", Label: "Microsoft", Issuer: microsoftPrefix + tenantID + "/v2.0",
		ClientID: clientID, ClientSecret: clientSecret, CannotConfirm: true,
	}
}

func isGUID(s string) bool {
	return regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`).MatchString(s)
}

// GitLab returns the provider for accounts of gitlab.com. For a server of your own, change
// Issuer. Register the application at https://gitlab.com/-/user_settings/applications, with the
// scopes openid, email and profile.
func GitLab(clientID string, clientSecret auth.Secret) Provider {
	return Provider{
		Name: "gitlab", Label: "GitLab", Issuer: "https://gitlab.com",
		ClientID: clientID, ClientSecret: clientSecret, TrustEmail: true,
	}
}

// Apple returns the provider for accounts of Apple. serviceID is the identifier of a Services
// ID, and key is the file with the private key (.p8) that has keyID and belongs to teamID: see
// https://developer.apple.com/account/resources. The client secret is a token that is made anew
// for each login, so it does not expire.
//
// Apple sends the user's name with the first login only, and without a signature. The address
// may be one that forwards mail. FormPost is set, so add "POST /oauth/apple/callback" to
// auth.Config.Network.CrossOriginBypass.
func Apple(serviceID, teamID, keyID string, key auth.Secret) (Provider, error) {
	private, err := parseKey(key)
	if err != nil {
		return Provider{}, err
	}
	return Provider{
		Name: "apple", Label: "Apple", Issuer: appleIssuer, Scopes: []string{"openid", "email", "name"},
		ClientID: serviceID, AuthStyle: AuthPost, FormPost: true, TrustEmail: true, CannotConfirm: true,
		MakeSecret: func(now time.Time) (auth.Secret, error) { return appleSecret(private, serviceID, teamID, keyID, now) },
	}, nil
}

const appleIssuer = "https://appleid.apple.com"

// parseKey reads a private key of the curve P-256 in the form PKCS #8.
func parseKey(key auth.Secret) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(key.Reveal()))
	if block == nil {
		return nil, errKey
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	private, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok || private.Curve.Params().BitSize != 256 {
		return nil, errKey
	}
	return private, nil
}

var errKey = errors.New("oauth: Apple: the key is no private key of Apple's; pass the text of the file AuthKey_….p8")

// appleSecret returns the client secret, a token that Apple accepts for 5 minutes.
func appleSecret(key *ecdsa.PrivateKey, serviceID, teamID, keyID string, now time.Time) (auth.Secret, error) {
	header, err := json.Marshal(map[string]any{"alg": "ES256", "kid": keyID})
	if err != nil {
		return auth.Secret{}, err
	}
	claims, err := json.Marshal(map[string]any{
		"iss": teamID, "sub": serviceID, "aud": appleIssuer, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
	})
	if err != nil {
		return auth.Secret{}, err
	}
	input := base64.RawURLEncoding.EncodeToString(header) + "." + base64.RawURLEncoding.EncodeToString(claims)
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		return auth.Secret{}, err
	}
	signature := make([]byte, 64)
	r.FillBytes(signature[:32])
	s.FillBytes(signature[32:])
	return auth.NewSecret(input + "." + base64.RawURLEncoding.EncodeToString(signature)), nil
}

// GitHub returns the provider for accounts of GitHub. Register an OAuth app at
// https://github.com/settings/developers.
func GitHub(clientID string, clientSecret auth.Secret) Provider {
	return Provider{
		Name: "github", Label: "GitHub", Issuer: "https://github.com/login/oauth",
		AuthURL: "https://github.com/login/oauth/authorize", TokenURL: "https://github.com/login/oauth/access_token",
		ClientID: clientID, ClientSecret: clientSecret, Scopes: []string{"read:user", "user:email"}, TrustEmail: true,
		Map: GitHubMap("https://api.github.com"),
	}
}

// GitHubMap returns the Map of an instance of GitHub whose API is at this URL. The subject is
// the number of the account, because a login name can pass to another user. The address is the
// primary one, if it is verified.
func GitHubMap(apiURL string) func(context.Context, *API) (Profile, error) {
	return func(ctx context.Context, api *API) (Profile, error) {
		var user struct {
			ID          json.Number
			Login, Name string
		}
		if err := api.Get(ctx, apiURL+"/user", &user); err != nil {
			return Profile{}, err
		}
		var emails []struct {
			Email             string
			Primary, Verified bool
		}
		if err := api.Get(ctx, apiURL+"/user/emails", &emails); err != nil {
			return Profile{}, err
		}
		p := Profile{Subject: user.ID.String(), Name: user.Name}
		if p.Name == "" {
			p.Name = user.Login
		}
		for _, e := range emails {
			if e.Primary && e.Verified {
				p.Email, p.EmailVerified = e.Email, true
			}
		}
		return p, nil
	}
}

// Facebook returns the provider for accounts of Facebook. Register the application at
// https://developers.facebook.com/apps. Facebook does not say whether an address is verified, and
// some users have none.
func Facebook(clientID string, clientSecret auth.Secret) Provider {
	return Provider{
		Name: "facebook", Label: "Facebook", Issuer: "https://www.facebook.com",
		AuthURL: "https://www.facebook.com/v24.0/dialog/oauth", TokenURL: "https://graph.facebook.com/v24.0/oauth/access_token",
		ClientID: clientID, ClientSecret: clientSecret, Scopes: []string{"public_profile", "email"},
		Map: FacebookMap("https://graph.facebook.com/v24.0"),
	}
}

// FacebookMap returns the Map for Facebook's API at this URL.
func FacebookMap(apiURL string) func(context.Context, *API) (Profile, error) {
	return func(ctx context.Context, api *API) (Profile, error) {
		var user struct{ ID, Name, Email string }
		query := url.Values{"fields": {"id,name,email"}}
		if err := api.Get(ctx, apiURL+"/me?"+query.Encode(), &user); err != nil {
			return Profile{}, err
		}
		return Profile{Subject: user.ID, Name: user.Name, Email: user.Email}, nil
	}
}

package oauth_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/oauth"
)

type user struct {
	auth.Account
}

// Users log in with Google. A user who is new gets an account.
func ExampleNew() {
	clientID, clientSecret := "client", auth.NewSecret("secret")
	manager, err := auth.New(memstore.New[user](), auth.Config{
		BaseURL: "https://app.example",
		Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
	})
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()

	google := oauth.Google(clientID, clientSecret)
	google.SignUp = true
	providers, err := oauth.New(manager.Core, google)
	if err != nil {
		log.Fatal(err)
	}
	providers.Mount(mux) // inside manager.LoadAndSave

	for _, p := range manager.Providers() {
		fmt.Println("a button", p.Label, "posts to", p.Start)
	}
	// Output: a button Google posts to /oauth/google
}

// Only employees may log in, and each gets a username.
func ExampleProvider_admit() {
	work := oauth.Provider{
		Name: "work", Label: "Example Ltd", Issuer: "https://id.example.com",
		ClientID: "client", ClientSecret: auth.NewSecret("secret"),
		TrustEmail: true, SignUp: true,
		Admit: func(_ context.Context, p oauth.Profile) error {
			if !p.EmailVerified || !strings.HasSuffix(p.Email, "@example.com") {
				return fmt.Errorf("%w: not an address of ours", oauth.ErrRefused)
			}
			return nil
		},
		Registration: func(_ context.Context, p oauth.Profile) (auth.Registration, error) {
			name, _, _ := strings.Cut(p.Email, "@")
			return auth.Registration{Username: name, Email: p.Email}, nil
		},
	}
	fmt.Println(work.Admit(context.Background(), oauth.Profile{Email: "eve@example.com.evil.example", EmailVerified: true}))
	// Output: oauth: the user is refused: not an address of ours
}

// A provider of plain OAuth 2.0: Map asks its API who the user is.
func ExampleProvider_plain() {
	forge := oauth.Provider{
		Name: "forge", Label: "Forge", AuthURL: "https://forge.example/authorize", TokenURL: "https://forge.example/token",
		ClientID: "client", ClientSecret: auth.NewSecret("secret"),
		Map: func(ctx context.Context, api *oauth.API) (oauth.Profile, error) {
			var u struct{ ID, Name string }
			err := api.Get(ctx, "https://forge.example/api/me", &u)
			return oauth.Profile{Subject: u.ID, Name: u.Name}, err
		},
	}
	fmt.Println(forge.Label)
	// Output: Forge
}

// The handler's own pages are in German.
func ExampleTexts() {
	manager, err := auth.New(memstore.New[user](), auth.Config{
		BaseURL: "https://app.example",
		Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
	})
	if err != nil {
		log.Fatal(err)
	}
	providers, err := oauth.New(manager.Core, oauth.GitHub("client", auth.NewSecret("secret")))
	if err != nil {
		log.Fatal(err)
	}
	providers.Texts = oauth.Texts{
		Lang:         "de",
		LeavingTitle: "Weiter zu {host}",
		AgainTitle:   "Bitte fangen Sie noch einmal an",
		Again:        "Diese Anmeldung ist abgelaufen, oder ein anderer Browser hat sie begonnen.",
		BackLink:     "Zurück",
		// and so on
	}
	mux := http.NewServeMux()
	providers.Mount(mux)

	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodGet, "https://app.example/oauth/github/callback?state=old&code=old", nil)
	manager.LoadAndSave(mux).ServeHTTP(w, r)
	for _, element := range []string{"html lang", "h1"} {
		_, text, _ := strings.Cut(w.Body.String(), "<"+element)
		text, _, _ = strings.Cut(text, "\n")
		fmt.Println(text)
	}
	// Output:
	// ="de">
	// >Bitte fangen Sie noch einmal an</h1>
}

package auth_test

import (
	"net/netip"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// A nil option, and a nil user.
func TestNilArguments(t *testing.T) {
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", false)
	try := func(name string, f func()) {
		defer func() {
			if p := recover(); p != nil {
				t.Errorf("%s panics: %v", name, p)
			}
		}()
		f()
	}
	try("LoginUser(nil option)", func() { _ = app.LoginUser(t.Context(), u, nil) })
	try("Core.LoginUser(nil)", func() { _ = app.LoginUser(t.Context(), nil) })
	try("LoginUser(nil)", func() { _ = app.LoginUser(t.Context(), nil) })
	try("Core.SetPassword(nil)", func() { _ = app.SetPassword(t.Context(), nil, "x") })
}

// Core.Config returns the settings in effect. It has no secrets, and changing it changes
// nothing.
func TestCoreConfig(t *testing.T) {
	t.Parallel()
	cfg := goodConfig()
	cfg.BaseURL = "HTTPS://App.Example:443/"
	cfg.URLs.LoginFor = map[string]string{"/admin": "/admin/login"}
	cfg.Password.Peppers = []auth.Pepper{{ID: "a", Key: []byte("kD83mfPq0wLx72NvbHsYeTgU5zRc1aJo")}}
	cfg.Password.Words = []string{"gopher"}
	cfg.Network.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	cfg.Network.Origins = []string{"https://other.example"}
	cfg.Credentials = []auth.Credential{auth.Bearer()}
	store := memstore.New[testapp.User]()
	m, err := auth.New[*testapp.User](store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	got := m.Config()
	if got.Secrets != nil || got.Password.Peppers != nil {
		t.Error("it has secrets")
	}
	if got.BaseURL != "https://app.example" || got.URLs.Reset != "/reset-password" || got.Session.Lifetime != 24*time.Hour ||
		got.Password.HashParams == nil || got.Limits.Guesses != 100 || got.Records != store || got.SessionStore != store {
		t.Errorf("%+v", got)
	}
	got.URLs.LoginFor["/admin"] = "/evil"
	got.Password.HashParams.Memory = 1
	got.Password.Words[0], got.Network.Origins[0] = "x", "https://evil.example"
	got.Network.TrustedProxies[0] = netip.MustParsePrefix("0.0.0.0/0")
	got.Credentials[0] = auth.Basic("x")
	cfg.Password.Words[0], cfg.Network.Origins[0] = "y", "https://evil.example" // nor does it change what the application gave to New
	again := m.Config()
	if again.URLs.LoginFor["/admin"] != "/admin/login" || again.Password.HashParams.Memory == 1 || again.Password.Words[0] != "gopher" ||
		again.Network.Origins[0] != "https://other.example" || again.Network.TrustedProxies[0].Bits() != 8 || again.Credentials[0].Challenge != "Bearer" {
		t.Errorf("the settings have changed: %+v", again)
	}
}

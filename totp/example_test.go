package totp_test

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/totp"
)

// A Member is the application's user.
type Member struct {
	auth.Account
}

// A login of a user who has set up an authenticator app asks for a code, or for a recovery
// code. The page at Config.URLs.TwoFactor sets the app up.
func ExampleNew() {
	recovery := totp.RecoveryCodes()
	manager, err := auth.New(memstore.New[Member](), auth.Config{
		BaseURL: "https://app.example",
		Secrets: [][]byte{[]byte("kD83mfPq0wLx72NvbHsYeTgU5zRc1aJo (from a file)")},
		Factors: []auth.Factor{totp.New(totp.Issuer("Example")), recovery},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.Handle("GET /account/two-factor", manager.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		setup, err := manager.BeginFactor(r.Context(), "totp")
		if err != nil {
			manager.Error(w, r, err)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		_, _ = fmt.Fprintf(w, `%s<p>%s<form method="post"><input name="code" inputmode="numeric"></form>`, setup.SVG.Reveal(), setup.Secret.Reveal())
	})))
	mux.Handle("POST /account/two-factor", manager.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		if err := manager.EnrollFactor(r.Context(), "totp", r.PostForm); err != nil {
			manager.Error(w, r, err)
			return
		}
		codes, err := manager.NewRecoveryCodes(r.Context(), "recovery-code")
		if err != nil {
			manager.Error(w, r, err)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		_, _ = fmt.Fprintln(w, "Keep these on paper:", codes)
	})))
	// For a user who has lost the app and the paper, an administrator makes one code.
	if _, err := recovery.OneTimeCode(context.Background(), "an unknown user"); err != nil {
		fmt.Println(err)
	}
	// Output: auth: no such user
}

// A test of an application computes the code that a user's app would show.
func ExampleCode() {
	setup := auth.Setup{Secret: auth.NewSecret("GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ")} // from BeginFactor
	clock := authtest.NewClock(time.Unix(59, 0))                                           // the test's Config.Now
	code, err := totp.Code(setup.Secret.Reveal(), clock.Now())
	fmt.Println(code, err)
	// Output: 287082 <nil>
}

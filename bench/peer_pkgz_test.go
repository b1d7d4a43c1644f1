package bench_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	pkgz "github.com/go-pkgz/auth/v2"
	"github.com/go-pkgz/auth/v2/avatar"
	"github.com/go-pkgz/auth/v2/provider"
	jwt "github.com/go-pkgz/auth/v2/token"
)

// openPkgz uses go-pkgz/auth as its README does, with the provider that checks
// passwords. The user is what the token says, as this library does it: nothing
// is loaded, and nothing can be stored in a session.
func openPkgz(_ testing.TB, users *members) *site { return withPkgz(users, nil) }

// openPkgzRoles is openPkgz with the role editor in each token.
func openPkgzRoles(_ testing.TB, users *members) *site {
	return withPkgz(users, jwt.ClaimsUpdFunc(func(c jwt.Claims) jwt.Claims {
		if c.User != nil {
			c.User.SetRole("editor")
		}
		return c
	}))
}

func withPkgz(users *members, claims jwt.ClaimsUpdater) *site {
	service := newPkgz(users, claims)

	middleware := service.Middleware()
	login, _ := service.Handlers()
	s := newSite(parts{
		around: middleware.Trace,
		who: func(r *http.Request) string {
			user, err := jwt.GetUserInfo(r)
			if err != nil {
				return ""
			}
			return user.Name
		},
		guard: func(next http.Handler) http.Handler { return next },
		login: http.StripPrefix("/login", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			r.URL.Path = "/auth/local/login"
			login.ServeHTTP(w, r)
		})),
	}, users)
	// Its guard is like Trace, but refuses requests without a user, and
	// replaces Trace.
	greeter := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		greet(w, jwt.MustGetUserInfo(r).Name)
	})
	s.guard, s.rule = middleware.Auth(greeter), middleware.RBAC("editor")(greeter)
	return s
}

func newPkgz(users *members, claims jwt.ClaimsUpdater) *pkgz.Service {
	service := pkgz.NewService(pkgz.Opts{
		ClaimsUpd:      claims,
		SecretReader:   jwt.SecretFunc(func(string) (string, error) { return "Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq", nil }),
		TokenDuration:  5 * time.Minute,
		CookieDuration: 24 * time.Hour,
		Issuer:         "bench",
		URL:            "http://localhost:8080",
		AvatarStore:    avatar.NewNoOp(),
	})
	service.AddDirectProvider("local", provider.CredCheckerFunc(func(name, password string) (bool, error) {
		user := users.load(name)
		if user == nil {
			return false, nil
		}
		return argon2id.ComparePasswordAndHash(password, user.hash)
	}))
	return service
}

package pages_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/pages"
)

// newActing returns a site whose user ada may act as susan, and a browser in which she does.
func newActing(t *testing.T) (*site, *client) {
	t.Helper()
	s := newSite(t, func(a *auth.Config, c *pages.Config) {
		newFactors().in(a, c)
		a.Roles = auth.RoleConfig{Permissions: []string{"support"}, Grants: map[string][]string{"support": {"support"}}}
		a.Impersonation.Permission = "support"
	})
	s.create("ada", verified, func(a *auth.Account) { a.Roles = []string{"support"} })
	s.mux.HandleFunc("POST /act/{name}", func(w http.ResponseWriter, r *http.Request) {
		if err := s.manager.Impersonate(r.Context(), s.account(r.PathValue("name")).ID); err != nil {
			s.manager.Error(w, r, err)
		}
	})
	s.mux.HandleFunc("POST /as/{name}", func(w http.ResponseWriter, r *http.Request) {
		u, err := s.store.FindUser(r.Context(), r.PathValue("name"))
		if err == nil {
			err = s.manager.LoginUser(r.Context(), u, auth.By("totp"))
		}
		if err != nil {
			s.manager.Error(w, r, err)
		}
	})
	c := s.client()
	wantStatus(t, c.post("/as/ada"), http.StatusOK)
	wantStatus(t, c.post("/act/susan"), http.StatusOK)
	return s, c
}

// I6, I10: every page says that an administrator acts as the user, and has a button that ends
// it. The user sees it among the logins.
func TestImpersonationBanner(t *testing.T) {
	t.Parallel()
	s, c := newActing(t)
	for _, page := range []string{"/account", "/account/sessions", "/account/two-factor"} {
		r := c.get(page)
		accessible(t, r)
		if !strings.Contains(r.body, "You are acting as <bdi>susan</bdi>.") || !strings.Contains(r.body, `action="/stop-impersonating"`) {
			t.Errorf("%s does not show the impersonation:\n%s", page, r.body)
		}
	}
	owner := s.user("susan", good)
	if r := owner.get("/account/sessions"); !strings.Contains(r.body, "An administrator, to help you") {
		t.Errorf("the user's list of logins:\n%s", r.body)
	} else if strings.Contains(r.body, "You are acting") {
		t.Error("the user's own pages show a banner")
	}
	wantRedirect(t, c.post("/stop-impersonating"), "/")
	if r := c.get("/mine"); r.body != "ada" {
		t.Errorf("after the end, /mine is %q", r.body)
	}
	if r := c.get("/account"); strings.Contains(r.body, "You are acting") {
		t.Error("the banner is shown after the end")
	}
}

// I4: forms that only the user may send are 403, without a redirect to a step-up.
func TestImpersonationForms(t *testing.T) {
	t.Parallel()
	s, c := newActing(t)
	before := s.account("susan")
	for path, fields := range map[string][]string{
		"/account/password":       {"current_password", good, "password", other, "confirm_password", other},
		"/account/email":          {"email", "new@example.com"},
		"/account/sessions":       {"others", "1"},
		"/account/close":          {"current_password", good, "confirm", "y"},
		"/account/two-factor":     {"remove", "totp"},
		"/account/recovery-codes": {},
		"/refresh":                {"password", good},
	} {
		if r := c.post(path, fields...); r.status != http.StatusForbidden {
			t.Errorf("POST %s: %d to %q", path, r.status, r.header.Get("Location"))
		}
	}
	if after := s.account("susan"); after.Version != before.Version {
		t.Error("the account has changed")
	}
	if r := c.get("/mine"); r.body != "susan" {
		t.Errorf("the impersonation has ended: %q", r.body)
	}
}

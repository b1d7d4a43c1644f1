package authtest

import (
	"testing"

	"github.com/go-login/auth"
)

// CheckRoutes fails the test for each route that was registered without a rule (see
// [auth.Routes]). Every request of such a route is refused.
//
//	func TestRoutes(t *testing.T) {
//		authtest.CheckRoutes(t, newApplication().admin)
//	}
func CheckRoutes(tb testing.TB, groups ...*auth.Routes) {
	tb.Helper()
	for _, routes := range groups {
		if routes == nil {
			tb.Error("authtest: CheckRoutes got nil; pass what manager.Routes returned")
			continue
		}
		for _, pattern := range routes.Unguarded() {
			tb.Errorf("authtest: the route %q has no rule, so it refuses every request; pass Handle a rule, such as auth.LoggedIn(), or use Public", pattern)
		}
	}
}

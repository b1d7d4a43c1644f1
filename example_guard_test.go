package auth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/go-login/auth"
)

// Guards compose, and answer the requests that they refuse.
func ExampleCore_Require() {
	manager := exampleManager()
	billing := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "billing") })
	mux := http.NewServeMux()
	mux.Handle("GET /billing", manager.Require(auth.Verified(), auth.Fresh(15*time.Minute))(billing))
	w := httptest.NewRecorder()
	manager.LoadAndSave(mux).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/billing", nil))
	fmt.Println(w.Code, w.Header().Get("Location"))
	// Output: 303 /login?next=%2Fbilling
}

// A rule of your own sees your own user type.
func ExampleManager_Where() {
	manager := exampleManager()
	page := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "gold") })
	gold := manager.Require(manager.Where(func(m *Member) bool { return m.Plan == "gold" }))(page)

	login := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		member, err := manager.Register(r.Context(), auth.Registration{Username: "susan", NoPassword: true})
		if err == nil {
			err = manager.LoginUser(r.Context(), member)
		}
		if err != nil {
			manager.Error(w, r, err)
			return
		}
		gold.ServeHTTP(w, r)
	})
	w := httptest.NewRecorder()
	manager.LoadAndSave(login).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/gold", nil))
	fmt.Println(w.Code)
	// Output: 403
}

// Routes are denied by default: each handler needs a rule.
func ExampleCore_Routes() {
	manager := exampleManager()
	list := func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "users") }
	admin := manager.Routes()
	admin.HandleFunc("GET /admin/users", list, auth.LoggedIn(), auth.Fresh(15*time.Minute))
	mux := http.NewServeMux()
	mux.Handle("/admin/", admin)
	fmt.Println(len(admin.Unguarded()), "routes without a rule")
	// Output: 0 routes without a rule
}

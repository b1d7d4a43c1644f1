package auth_test

import (
	"fmt"
	"net/http"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/totp"
)

// An administrator with the permission "support" sees what a user sees.
func ExampleCore_Impersonate() {
	manager, err := auth.New(memstore.New[Member](), auth.Config{
		BaseURL: "http://localhost:8080",
		Secrets: [][]byte{[]byte("an example's secret, 32 bytes: x")},
		Factors: []auth.Factor{totp.New()},
		Roles: auth.RoleConfig{
			Permissions: []string{"support"},
			Grants:      map[string][]string{"admin": {"support"}},
		},
		Impersonation: auth.ImpersonationConfig{Permission: "support"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /admin/users/{id}/impersonate", func(w http.ResponseWriter, r *http.Request) {
		if err := manager.Impersonate(r.Context(), r.PathValue("id")); err != nil {
			manager.Error(w, r, err) // to the second factor or the refresh page, or 403
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /stop-impersonating", func(w http.ResponseWriter, r *http.Request) {
		if err := manager.StopImpersonating(r.Context()); err != nil {
			manager.Error(w, r, err)
			return
		}
		http.Redirect(w, r, "/admin/users", http.StatusSeeOther)
	})
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		if _, acting := manager.Impersonator(r.Context()); acting {
			manager.Error(w, r, auth.ErrImpersonating) // only the user may buy
			return
		}
		fmt.Fprintln(w, "ordered")
	})
	_ = manager.LoadAndSave(mux)
}

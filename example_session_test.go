package auth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"github.com/alexedwards/scs/v2"
)

func ExampleCore_SessionData() {
	manager := exampleManager()
	sessions := manager.SessionData()
	count := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		visits := sessions.GetInt(r.Context(), "visits") + 1
		sessions.Put(r.Context(), "visits", visits)
		_, _ = fmt.Fprintf(w, "visit %d", visits)
	})
	application := manager.LoadAndSave(count)
	var cookies []*http.Cookie
	for range 3 {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
		for _, c := range cookies {
			r.AddCookie(c)
		}
		application.ServeHTTP(w, r)
		fmt.Println(w.Body)
		cookies = append(cookies, w.Result().Cookies()...)
	}
	// Output:
	// visit 1
	// visit 2
	// visit 3
}

// Code that takes a *scs.SessionManager needs a context of Load. A middleware inside
// LoadAndSave can call Load for all handlers that use such code.
func ExampleSessionData_Load() {
	manager := exampleManager()
	sessions := manager.SessionData()
	withSCS := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			ctx, err := sessions.Load(r.Context(), "")
			if err != nil {
				manager.Error(w, r, err)
				return
			}
			next.ServeHTTP(w, r.WithContext(ctx))
		})
	}
	// A handler of another package, which knows scs only.
	greet := func(m *scs.SessionManager) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			m.Put(r.Context(), "name", "susan")
			_, _ = fmt.Fprint(w, "hello, ", m.GetString(r.Context(), "name"))
		}
	}
	application := manager.LoadAndSave(withSCS(greet(sessions.SessionManager)))
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	application.ServeHTTP(w, r)
	fmt.Println(w.Body)
	// Output: hello, susan
}

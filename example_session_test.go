package auth_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
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

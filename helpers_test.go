package auth_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
)

// slow reports whether tests that take minutes run, too, as .ci/run has it.
func slow() bool { return os.Getenv("GOLOGIN_SLOW") != "" }

// serve returns a function that sends requests to a handler, as one browser
// over https does.
func serve(t *testing.T, h http.Handler) func(method, target string) (status int, text string) {
	t.Helper()
	cookies := map[string]string{}
	return func(method, target string) (int, string) {
		r := httptest.NewRequestWithContext(t.Context(), method, "https://app.example"+target, nil)
		for name, value := range cookies {
			r.AddCookie(&http.Cookie{Name: name, Value: value})
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		res := w.Result()
		defer func() { _ = res.Body.Close() }()
		for _, c := range res.Cookies() {
			if c.MaxAge < 0 {
				delete(cookies, c.Name)
			} else {
				cookies[c.Name] = c.Value
			}
		}
		return res.StatusCode, w.Body.String()
	}
}

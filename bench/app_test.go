package bench_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
)

// A clock stands still until it is set.
type clock struct {
	mu   sync.Mutex
	time time.Time
}

func newClock() *clock { return &clock{time: time.Now().Truncate(time.Second)} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.time
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.time = c.time.Add(d)
}

// An app is an application in this process: the only network in a measurement
// is that of its store.
type app struct {
	*auth.Manager[*User]
	*store
	clock   *clock
	handler http.Handler
	cookie  string // the name of the session cookie

	sample sample // copied to fill the store
	next   int    // the number of the next user
}

const (
	password  = "correct horse battery"
	userAgent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36"
)

func newApp(tb testing.TB, s *store, c *clock) *app {
	tb.Helper()
	manager, err := auth.New[*User](s, auth.Config{
		BaseURL: "http://localhost:8080",
		Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Records: s.records,
		Logger:  slog.New(slog.DiscardHandler),
		Now:     c.now,
	})
	check(tb, err)
	a := &app{Manager: manager, store: s, clock: c}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		user, err := manager.User(r.Context())
		if err != nil {
			manager.Error(w, r, err)
			return
		}
		_, _ = io.WriteString(w, user.ID)
	})
	mux.HandleFunc("GET /public", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		user, err := s.FindUser(r.Context(), r.FormValue("name"))
		if err == nil {
			err = manager.LoginUser(r.Context(), user, auth.Remember(r.FormValue("remember") != ""))
		}
		if err != nil {
			manager.Error(w, r, err)
		}
	})
	mux.HandleFunc("POST /password", func(w http.ResponseWriter, r *http.Request) {
		user, err := manager.Authenticate(r.Context(), r.FormValue("name"), password)
		if err == nil {
			err = manager.LoginUser(r.Context(), user)
		}
		if err != nil {
			manager.Error(w, r, err)
		}
	})
	mux.HandleFunc("POST /logout", func(w http.ResponseWriter, r *http.Request) {
		if err := manager.LogoutUser(r.Context()); err != nil {
			manager.Error(w, r, err)
		}
	})
	a.handler = manager.LoadAndSave(mux)
	return a
}

// do sends a request.
func (a *app) do(tb testing.TB, method, url string, cookies ...*http.Cookie) *http.Response {
	tb.Helper()
	r := httptest.NewRequestWithContext(tb.Context(), method, "http://localhost:8080"+url, nil)
	r.Header.Set("User-Agent", userAgent)
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, c := range cookies {
		r.AddCookie(c)
	}
	w := httptest.NewRecorder()
	a.handler.ServeHTTP(w, r)
	answer := w.Result()
	if answer.StatusCode != http.StatusOK {
		tb.Fatalf("%s %s: %s %s", method, url, answer.Status, w.Body)
	}
	return answer
}

// session returns the cookie of a user's session.
func (a *app) session(i int) *http.Cookie {
	return &http.Cookie{Name: a.cookie, Value: token(i)}
}

// visit loads a page of a user who is logged in.
func (a *app) visit(tb testing.TB, i int) {
	tb.Helper()
	body, err := io.ReadAll(a.do(tb, http.MethodGet, "/", a.session(i)).Body)
	check(tb, err)
	if string(body) != userID(i) {
		tb.Fatalf("the session is that of %q, want %q", body, userID(i))
	}
}

// login logs a user in.
func (a *app) login(tb testing.TB, name string) {
	tb.Helper()
	cookies := a.do(tb, http.MethodPost, "/login?name="+name).Cookies()
	if len(cookies) != 1 {
		tb.Fatalf("%d cookies", len(cookies))
	}
	a.cookie = cookies[0].Name
}

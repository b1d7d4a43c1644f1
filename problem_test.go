package auth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

var updateCodes = flag.Bool("update-codes", false, "write testdata/problems.txt anew")

// asProgram is what a program sends.
func asProgram() http.Header { return http.Header{"Accept": {"application/json"}} }

// problemOf reads a Problem from an answer, and checks what every Problem has.
func problemOf(t *testing.T, r *testapp.Response) auth.Problem {
	t.Helper()
	var p auth.Problem
	if err := json.Unmarshal([]byte(r.Text), &p); err != nil || p.Status != r.StatusCode || p.Code == "" || p.Title == "" {
		t.Fatalf("%s %q: %v", r.Status, r.Text, err)
	}
	if kind := r.Header.Get("Content-Type"); kind != "application/problem+json" || r.Header.Get("Cache-Control") != "no-store" ||
		!slices.Contains(r.Header["Vary"], "Accept") || r.Header.Get("Location") != "" || r.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%s: %v", r.Status, r.Header)
	}
	return p
}

// TestProblemCodes (J3): each error has a status and a code, which never change. They are in
// testdata/problems.txt and in docs/json.md. No text of a store gets out.
func TestProblemCodes(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	var got bytes.Buffer
	doc, err := os.ReadFile(filepath.Join("docs", "json.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, failing := range []struct {
		name string
		err  error
	}{
		{"ErrNotLoggedIn", auth.ErrNotLoggedIn},
		{"ErrLoggedOut", auth.ErrLoggedOut},
		{"ErrNoPending", auth.ErrNoPending},
		{"ErrReplaced", auth.ErrReplaced},
		{"ErrNotFresh", auth.ErrNotFresh},
		{"ErrFactorRequired", auth.ErrFactorRequired},
		{"ErrLoginRefused", auth.ErrLoginRefused},
		{"ErrInvalidCredentials", auth.ErrInvalidCredentials},
		{"ErrDisabled", auth.ErrDisabled},
		{"ErrLocked", auth.ErrLocked},
		{"ErrResetRequired", auth.ErrResetRequired},
		{"ErrWrongFactor", auth.ErrWrongFactor},
		{"ErrInvalidCode", auth.ErrInvalidCode},
		{"ErrUnverified", auth.ErrUnverified},
		{"ErrCrossOrigin", auth.ErrCrossOrigin},
		{"ErrOutOfScope", auth.ErrOutOfScope},
		{"ErrForbidden", auth.ErrForbidden},
		{"ErrNoFactor", auth.ErrNoFactor},
		{"ErrUserNotFound", auth.ErrUserNotFound},
		{"ErrLoginNotFound", auth.ErrLoginNotFound},
		{"ErrAPITokenNotFound", auth.ErrAPITokenNotFound},
		{"ErrIdentityNotFound", auth.ErrIdentityNotFound},
		{"http.MaxBytesError", &http.MaxBytesError{Limit: 1}},
		{"ErrOtherUser", auth.ErrOtherUser},
		{"ErrInvalidToken", auth.ErrInvalidToken},
		{"ErrConflict", auth.ErrConflict},
		{"ErrFormBusy", auth.ErrFormBusy},
		{"ErrLastWayIn", auth.ErrLastWayIn},
		{"ErrLastAdmin", auth.ErrLastAdmin},
		{"ErrTooManyPasskeys", auth.ErrTooManyPasskeys},
		{"PasswordError", &auth.PasswordError{Reason: auth.PasswordCommon}},
		{"ErrInvalidUsername", auth.ErrInvalidUsername},
		{"ErrInvalidEmail", auth.ErrInvalidEmail},
		{"ErrUsernameTaken", auth.ErrUsernameTaken},
		{"ErrEmailTaken", auth.ErrEmailTaken},
		{"ErrInvalidAPIToken", auth.ErrInvalidAPIToken},
		{"RateLimitError", &auth.RateLimitError{RetryAfter: time.Minute}},
		{"ErrBusy", auth.ErrBusy},
		{"context.DeadlineExceeded", context.DeadlineExceeded},
		{"any other error", errors.New("the table secret_users is broken")},
	} {
		r := app.Act(app.Client(t), asProgram(), func(w http.ResponseWriter, r *http.Request) {
			app.Error(w, r, fmt.Errorf("while the store said secret_users: %w", failing.err))
		})
		p := problemOf(t, r)
		if strings.Contains(r.Text, "secret_users") {
			t.Errorf("%s: %s", failing.name, r.Text)
		}
		if retry := r.Header.Get("Retry-After") != ""; retry != (p.Status == 429 || p.Status == 503) {
			t.Errorf("%s: Retry-After %q", failing.name, r.Header.Get("Retry-After"))
		}
		if challenge := r.Header.Get("WWW-Authenticate") != ""; challenge != (p.Status == 401) {
			t.Errorf("%s: WWW-Authenticate %q", failing.name, r.Header.Get("WWW-Authenticate"))
		}
		if !strings.Contains(string(doc), "| `"+p.Code+"` | "+strconv.Itoa(p.Status)+" |") {
			t.Errorf("docs/json.md does not list %d %s", p.Status, p.Code)
		}
		_, _ = fmt.Fprintln(&got, p.Status, p.Code, failing.name)
	}
	golden := filepath.Join("testdata", "problems.txt")
	if *updateCodes {
		if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the codes are\n%s, but clients know those of %s (%v)", got.Bytes(), golden, err)
	}
}

// TestProblemTitle: the title is the application's, in its language.
func TestProblemTitle(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) {
		c.Message = func(_ *http.Request, reason error) auth.Flash {
			if errors.Is(reason, auth.ErrNotFresh) {
				return auth.Flash{}
			}
			return auth.Flash{Category: "info", Text: "Bitte anmelden."}
		}
	})
	for want, err := range map[string]error{
		"Bitte anmelden.": auth.ErrNotLoggedIn, "Unauthorized": auth.ErrNotFresh, "Conflict": auth.ErrOtherUser,
	} {
		r := app.Act(app.Client(t), asProgram(), func(w http.ResponseWriter, r *http.Request) { app.Error(w, r, err) })
		if p := problemOf(t, r); p.Title != want || len(r.Header["Set-Cookie"]) > 0 {
			t.Errorf("%v: %+v %v", err, p, r.Header)
		}
	}
}

// TestProblemPending (J2): a guard's 401 names what the login of this browser waits for.
// Nobody else learns it.
func TestProblemPending(t *testing.T) {
	t.Parallel()
	a := newEntranceApp(t, isGood)
	waiting := a.waiting(t)
	want := &auth.ProblemPending{Kind: "second-factor", Methods: []string{"code"}}
	for _, c := range []*testapp.Client{waiting, waiting} {
		p := problemOf(t, c.Do(http.MethodGet, "/guarded", nil, asProgram()))
		if p.Code != "not-logged-in" || p.Pending == nil || p.Pending.Kind != want.Kind || !slices.Equal(p.Pending.Methods, want.Methods) {
			t.Errorf("%+v", p)
		}
	}
	if p := problemOf(t, a.Client(t).Do(http.MethodGet, "/guarded", nil, asProgram())); p.Code != "not-logged-in" || p.Pending != nil {
		t.Errorf("another browser: %+v", p)
	}
	header := asProgram()
	header.Set("Authorization", "Bearer none")
	if p := problemOf(t, waiting.Do(http.MethodGet, "/guarded", nil, header)); p.Pending != nil {
		t.Errorf("a request with credentials: %+v", p)
	}
	r := a.Act(waiting, asProgram(), func(w http.ResponseWriter, r *http.Request) { a.Error(w, r, auth.ErrFactorRequired) })
	if p := problemOf(t, r); p.Code != "factor-required" || p.Pending == nil {
		t.Errorf("%+v", p)
	}
	if err := a.answer(waiting); err != nil {
		t.Fatal(err)
	}
	if r := waiting.Do(http.MethodGet, "/guarded", nil, asProgram()); r.StatusCode != http.StatusOK {
		t.Errorf("the login: %s", r.Status)
	}
	// If the store fails, the answer says so.
	waiting = a.waiting(t)
	a.Spy().HookCalls(func(_ context.Context, c testapp.Call) error {
		if c.Method == "GetRecord" && c.Kind == "pending" {
			return testapp.ErrStore
		}
		return nil
	}, nil)
	if p := problemOf(t, waiting.Do(http.MethodGet, "/guarded", nil, asProgram())); p.Status != http.StatusServiceUnavailable || p.Code != "unavailable" {
		t.Errorf("%+v", p)
	}
}

// TestStepUpChallenge (J8): if a rule wants more than a token can show, the answer has the
// challenge of RFC 9470.
func TestStepUpChallenge(t *testing.T) {
	t.Parallel()
	a := newEntranceApp(t, isGood)
	for path, rule := range map[string]auth.Rule{
		"/fresh-900": auth.Fresh(15 * time.Minute), "/fresh-ever": auth.Fresh(0), "/factor": auth.SecondFactor(),
	} {
		a.Mux.Handle("GET "+path, a.Require(rule)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	}
	token := bearerHeader(newToken(t, a.App, a.susan).Reveal())
	const insufficient = `Bearer error="insufficient_user_authentication"`
	for _, test := range []struct {
		path, challenge string
		enrolled        bool
		status          int
	}{
		{"/fresh-900", insufficient + ", max_age=900", false, 401},
		{"/fresh-ever", insufficient, false, 401},
		{"/factor", insufficient + `, acr_values="http://schemas.openid.net/pape/policies/2007/06/multi-factor"`, false, 403},
		{"/factor", insufficient + `, acr_values="http://schemas.openid.net/pape/policies/2007/06/multi-factor"`, true, 401},
	} {
		a.factor.enrolled[a.susan.ID] = test.enrolled
		for _, browser := range []string{"", "cors"} { // a script's request has Sec-Fetch-Mode
			header := token.Clone()
			header.Set("Accept", "application/json")
			if browser != "" {
				header.Set("Sec-Fetch-Mode", browser)
			}
			r := a.Client(t).Do(http.MethodGet, test.path, nil, header)
			var bearer []string
			for _, challenge := range r.Header["Www-Authenticate"] {
				if strings.HasPrefix(challenge, "Bearer") {
					bearer = append(bearer, challenge)
				}
			}
			if r.StatusCode != test.status || !slices.Equal(bearer, []string{test.challenge}) {
				t.Errorf("%s, enrolled %v: %s %q", test.path, test.enrolled, r.Status, r.Header["Www-Authenticate"])
			}
			problemOf(t, r)
		}
	}
	a.factor.enrolled[a.susan.ID] = false
	// No other client gets it: neither one with Basic, nor a browser, nor a wrong token.
	session := a.Client(t)
	a.Enter(t, session, a.susan, auth.Stale())
	for what, r := range map[string]*testapp.Response{
		"Basic":         a.Client(t).Do(http.MethodGet, "/fresh-900", nil, basicHeader("susan", testapp.Password)),
		"a session":     session.Do(http.MethodGet, "/fresh-900", nil, asProgram()),
		"a wrong token": a.Client(t).Do(http.MethodGet, "/fresh-900", nil, bearerHeader("none")),
		"nobody":        a.Client(t).Do(http.MethodGet, "/fresh-900", nil, asProgram()),
	} {
		if text := strings.Join(r.Header["Www-Authenticate"], ""); r.StatusCode != http.StatusUnauthorized || strings.Contains(text, "insufficient") {
			t.Errorf("%s: %s %q", what, r.Status, text)
		}
	}
}

// TestProblemWithoutStatus: a problem that an application made without a status is 500.
func TestProblemWithoutStatus(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	auth.Problem{Code: "x"}.ServeHTTP(w, nil)
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), `"status":500`) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

// TestAnswerJSON: a handler for programs has all its errors answered in JSON, without the
// application's ErrorPage; also an error that the handler does not see.
func TestAnswerJSON(t *testing.T) {
	t.Parallel()
	app, spy := newApp(t, func(c *auth.Config) {
		c.ErrorPage = func(w http.ResponseWriter, _ *http.Request, status int, _ error) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, "page")
		}
	})
	app.Mux.HandleFunc("GET /api", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("json") {
			app.AnswerJSON(r.Context())
		}
		app.RequireLogin(http.NotFoundHandler()).ServeHTTP(w, r)
	})
	app.Mux.HandleFunc("GET /late", func(_ http.ResponseWriter, r *http.Request) {
		app.AnswerJSON(r.Context())
		_, _ = app.EnrollingUser(r.Context())
	})
	browser := http.Header{"Accept": {"text/html"}}
	if r := app.Client(t).Do(http.MethodGet, "/api", nil, browser); r.StatusCode != http.StatusSeeOther {
		t.Errorf("a browser: %s", r.Status)
	}
	if r := app.Client(t).Do(http.MethodGet, "/api", nil, asProgram()); r.StatusCode != http.StatusUnauthorized || r.Text != "page" {
		t.Errorf("a program, without AnswerJSON: %s %s", r.Status, r.Text)
	}
	if p := problemOf(t, app.Client(t).Do(http.MethodGet, "/api?json", nil, browser)); p.Code != "not-logged-in" {
		t.Errorf("%+v", p)
	}
	member(t, app, "susan", testapp.Password)
	c := app.Client(t)
	c.Login("susan")
	spy.Fail("LoadUser")
	if p := problemOf(t, c.Do(http.MethodGet, "/late", nil, browser)); p.Code != "unavailable" {
		t.Errorf("%+v", p)
	}
	app.AnswerJSON(t.Context()) // outside LoadAndSave
}

// TestAPI: behind API, no client is ever redirected, whatever it accepts.
func TestAPI(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Mux.Handle("/api", app.API(app.Require(auth.Fresh(0), auth.Verified())(http.NotFoundHandler())))
	app.Mux.Handle("/page", app.RequireLogin(http.NotFoundHandler()))
	member(t, app, "susan", testapp.Password)
	susan := app.Client(t)
	susan.Login("susan")
	for name, headers := range map[string]http.Header{
		"curl": {"Accept": {"*/*"}}, "nothing": {}, "browser": {"Accept": {"text/html"}}, "json": {"Accept": {"application/json"}},
		"htmx": {"Accept": {"text/html"}, "Hx-Request": {"true"}}, "inertia": {"Accept": {"text/html"}, "X-Inertia": {"true"}},
		"turbo": {"Accept": {"text/html"}, "Turbo-Frame": {"x"}},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			r := app.Client(t).Do(method, "/api", nil, headers)
			if p := problemOf(t, r); r.StatusCode != http.StatusUnauthorized || p.Code != "not-logged-in" || r.Header.Get("Location") != "" || r.Header.Get("Hx-Redirect") != "" {
				t.Errorf("%s %s: %s, %+v", name, method, r.Status, p)
			}
		}
		r := susan.Do(http.MethodGet, "/api", nil, headers)
		if p := problemOf(t, r); r.StatusCode != http.StatusForbidden || p.Code != "unverified" {
			t.Errorf("%s: %s, %+v", name, r.Status, p)
		}
	}
	if r := app.Client(t).Do(http.MethodGet, "/page", nil, http.Header{"Accept": {"*/*"}}); r.StatusCode != http.StatusSeeOther {
		t.Errorf("without API: %s", r.Status)
	}
	w := httptest.NewRecorder()
	app.API(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler ran outside LoadAndSave") })).
		ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api", nil))
	if w.Code != http.StatusInternalServerError || w.Header().Get("Content-Type") != "application/problem+json" {
		t.Errorf("outside LoadAndSave: %d %s", w.Code, w.Body)
	}
}

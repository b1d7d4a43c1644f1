package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// codes is a Factor. A user who is enrolled gets codes, each of which works once. It is an
// auth.Enroller, too, whose setup asks for the code "setup".
type codes struct {
	mu         sync.Mutex
	enrolled   map[string]bool   // by user ID
	good       map[string]string // by user ID
	prompts    int
	checked    int // calls of Verify
	failure    error
	saving     error  // what save and Remove return, instead of doing it
	afterwards error  // what save and Remove return after they have done it
	finishing  func() // runs in Finish
}

func newCodes() *codes { return &codes{enrolled: map[string]bool{}, good: map[string]string{}} }

func (*codes) Name() string { return "code" }

func (f *codes) Enrolled(_ context.Context, userID string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.enrolled[userID], f.failure
}

func (f *codes) Prompt(context.Context, auth.User) (auth.Prompt, []byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.prompts++
	return auth.Prompt{Field: "code", Autocomplete: "one-time-code", Numeric: true}, []byte("asked"), nil
}

func (f *codes) Verify(_ context.Context, user auth.User, private []byte, answer url.Values) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checked++
	id := user.AuthAccount().ID
	if string(private) != "asked" || f.good[id] == "" || answer.Get("code") != f.good[id] {
		return auth.ErrWrongFactor
	}
	delete(f.good, id)
	return nil
}

func (f *codes) Begin(context.Context, auth.User) (auth.Setup, error) {
	return auth.Setup{Secret: auth.NewSecret("the secret"), Prompt: auth.Prompt{Field: "code"}}, nil
}

func (f *codes) Finish(_ context.Context, user auth.User, answer url.Values) (func(context.Context) error, error) {
	if answer.Get("code") != "setup" {
		return nil, auth.ErrWrongFactor
	}
	if f.finishing != nil {
		f.finishing()
	}
	return func(context.Context) error { return f.set(user.AuthAccount().ID, true) }, nil
}

func (f *codes) Remove(_ context.Context, userID string) error { return f.set(userID, false) }

func (f *codes) set(userID string, enrolled bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.saving == nil {
		f.enrolled[userID] = enrolled
	}
	return errors.Join(f.saving, f.afterwards)
}

// spares is a recovery factor: its codes are "spare" and a number.
type spares struct {
	mu   sync.Mutex
	left map[string]int // by user ID

	removing error // what Remove returns, instead of doing it
}

func newSpares() *spares { return &spares{left: map[string]int{}} }

func (*spares) Name() string { return "spare" }

func (f *spares) Left(_ context.Context, userID string) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.left[userID], nil
}

func (f *spares) Enrolled(ctx context.Context, userID string) (bool, error) {
	left, err := f.Left(ctx, userID)
	return left > 0, err
}

func (*spares) Prompt(context.Context, auth.User) (auth.Prompt, []byte, error) {
	return auth.Prompt{Field: "code"}, nil, nil
}

func (f *spares) Verify(_ context.Context, user auth.User, _ []byte, answer url.Values) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	id := user.AuthAccount().ID
	if f.left[id] == 0 || answer.Get("code") != fmt.Sprint("spare", f.left[id]) {
		return auth.ErrWrongFactor
	}
	f.left[id]--
	return nil
}

func (f *spares) Generate(_ context.Context, user auth.User) ([]string, func(context.Context) error, error) {
	return []string{"spare1", "spare2", "spare3"}, func(context.Context) error {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.left[user.AuthAccount().ID] = 3
		return nil
	}, nil
}

func (f *spares) Remove(_ context.Context, userID string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.removing == nil {
		delete(f.left, userID)
	}
	return f.removing
}

func (f *codes) give(userID, code string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.good[userID] = code
}

// factorApp returns an application with a Factor, in which susan is enrolled and david
// is not.
type factorApp struct {
	*testapp.App
	factor *codes
	susan  *testapp.User
}

func newFactorApp(t *testing.T) *factorApp {
	t.Helper()
	f := newCodes()
	app := &factorApp{factor: f}
	app.App, _ = newApp(t, func(cfg *auth.Config) {
		cfg.Factors = []auth.Factor{f}
		cfg.Credentials = []auth.Credential{auth.Bearer()}
	})
	app.susan = app.Create(t, "susan", true)
	app.Create(t, "david", true)
	f.enrolled[app.susan.ID] = true
	app.Mux.HandleFunc("GET /login/verify", func(w http.ResponseWriter, r *http.Request) {
		p, err := app.Pending(r.Context())
		if err == nil {
			_, err = app.PromptFactor(r.Context(), "code")
		}
		if err != nil {
			app.Error(w, r, err)
			return
		}
		_, _ = w.Write([]byte(p.User.AuthAccount().Username + " " + strings.Join(p.Methods, ",") + " " + strings.Join(p.Missing, ",")))
	})
	app.Mux.HandleFunc("POST /login/verify", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		if err := app.ContinueLogin(r.Context(), "code", r.PostForm); err != nil {
			app.Error(w, r, err)
			return
		}
		app.TakeNext(r).Redirect(w, "/")
	})
	app.Mux.HandleFunc("POST /remembered", func(w http.ResponseWriter, r *http.Request) {
		u, err := app.Authenticate(r.Context(), "susan", testapp.Password)
		if err == nil {
			err = app.LoginUser(r.Context(), u, auth.Remember(true))
		}
		if err != nil {
			app.Error(w, r, err)
		}
	})
	app.Mux.HandleFunc("POST /refresh", func(w http.ResponseWriter, r *http.Request) {
		u, err := app.User(r.Context())
		if err == nil {
			_, err = app.CheckPassword(r.Context(), u, testapp.Password)
		}
		if err == nil {
			err = app.ConfirmLogin(r.Context())
		}
		if err != nil {
			app.Error(w, r, err)
		}
	})
	app.Mux.Handle("GET /fresh", app.RequireFresh(time.Minute)(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	app.Mux.HandleFunc("GET /methods", func(w http.ResponseWriter, r *http.Request) {
		l, err := app.CurrentLogin(r.Context())
		if err != nil {
			app.Error(w, r, err)
			return
		}
		_, _ = w.Write([]byte(strings.Join(l.Methods, " ")))
	})
	return app
}

// begin sends susan's password, after which her login waits for the second factor.
func (a *factorApp) begin(t *testing.T) *testapp.Client {
	t.Helper()
	c := a.Client(t)
	r := c.Post("/login", "login", "susan", "password", testapp.Password, "next", "/guarded?x=1")
	if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/login/verify?next=%2Fguarded%3Fx%3D1" {
		t.Fatalf("%s to %q", r.Status, r.Header.Get("Location"))
	}
	return c
}

// prompted calls begin and opens the page that asks for the code.
func (a *factorApp) prompted(t *testing.T) *testapp.Client {
	t.Helper()
	c := a.begin(t)
	if r := c.Get("/login/verify"); r.Text != "susan password code" {
		t.Fatalf("the page: %s %q", r.Status, r.Text)
	}
	return c
}

// enter logs susan in with both factors.
func (a *factorApp) enter(t *testing.T) *testapp.Client {
	t.Helper()
	c := a.prompted(t)
	a.factor.give(a.susan.ID, "1")
	if r := c.Post("/login/verify", "code", "1"); r.StatusCode != http.StatusSeeOther {
		t.Fatalf("continue: %s %s", r.Status, r.Text)
	}
	return c
}

func TestLoginWithAFactor(t *testing.T) {
	app := newFactorApp(t)
	c := app.prompted(t)
	if who := c.Who(); who != "nobody" {
		t.Errorf("before the second factor the request is %s's", who)
	}
	if r := c.Get("/guarded"); r.StatusCode != http.StatusSeeOther {
		t.Errorf("a guard lets a pending login through: %s", r.Status)
	}
	for name := range c.Cookies {
		if !strings.HasSuffix(name, "-pending") && !strings.HasSuffix(name, "-flash") {
			t.Errorf("a pending login has set the cookie %s", name)
		}
	}
	app.factor.give(app.susan.ID, "1234")
	r := c.Post("/login/verify", "code", "1234", "next", "/guarded?x=1")
	if r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/guarded?x=1" {
		t.Fatalf("%s to %q: %s", r.Status, r.Header.Get("Location"), r.Text)
	}
	if who := c.Who(); who != "susan" {
		t.Errorf("after both factors the request is %s's", who)
	}
	if r := c.Get("/methods"); r.Text != "password code" {
		t.Errorf("methods %q", r.Text)
	}
	if r := c.Get("/login/verify"); r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(r.Header.Get("Location"), "/login") {
		t.Errorf("the pending login is still there: %s", r.Status)
	}
	if r := c.Post("/login/verify", "code", "1234"); r.StatusCode == http.StatusOK {
		t.Error("it can be used twice")
	}
	// A user without the factor is logged in at once.
	david := app.Client(t)
	if r := david.Post("/login", "login", "david", "password", testapp.Password); r.StatusCode != http.StatusOK || david.Who() != "david" {
		t.Errorf("david: %s", r.Status)
	}
}

// API tokens and other credentials that make no session need no second factor.
func TestFactorOnlyForLogins(t *testing.T) {
	app := newFactorApp(t)
	token, _, err := app.NewAPIToken(t.Context(), app.susan, auth.APIToken{Name: "ci", Scopes: []string{auth.ScopeAll}, Expires: app.Clock.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	r := app.Client(t).Do(http.MethodGet, "/who", nil, http.Header{"Authorization": {"Bearer " + token.Reveal()}})
	if r.Text != "susan" {
		t.Errorf("a token: %s %s", r.Status, r.Text)
	}
}

func TestOneRightAnswerOneLogin(t *testing.T) {
	app := newFactorApp(t)
	c := app.prompted(t)
	app.factor.give(app.susan.ID, "7")
	var wg sync.WaitGroup
	var mu sync.Mutex
	logins := 0
	for range maxTries {
		wg.Go(func() {
			other := c.Clone()
			other.Post("/login/verify", "code", "7")
			if other.Who() == "susan" {
				mu.Lock()
				logins++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if logins != 1 {
		t.Errorf("%d logins by one code", logins)
	}
}

// maxTries is how many answers a pending login accepts.
const maxTries = 5

func TestWrongAnswersEndThePendingLogin(t *testing.T) {
	app := newFactorApp(t)
	c := app.prompted(t)
	app.factor.give(app.susan.ID, "1")
	for i := range maxTries {
		if r := c.Post("/login/verify", "code", "0"); r.StatusCode != http.StatusUnauthorized {
			t.Fatalf("wrong answer %d: %s", i+1, r.Status)
		}
	}
	if r := c.Post("/login/verify", "code", "1"); r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(r.Header.Get("Location"), "/login") || c.Who() != "nobody" {
		t.Errorf("the right answer after five wrong ones: %s to %s", r.Status, r.Header.Get("Location"))
	}
}

func TestPendingLoginEnds(t *testing.T) {
	for name, end := range map[string]func(*testing.T, *factorApp, *testapp.Client){
		"after five minutes": func(_ *testing.T, app *factorApp, _ *testapp.Client) { app.Clock.Advance(5 * time.Minute) },
		"by a logout":        func(_ *testing.T, _ *factorApp, c *testapp.Client) { c.Post("/logout") },
		"in another browser": func(t *testing.T, app *factorApp, c *testapp.Client) { c.Cookies = app.Client(t).Cookies },
		"with a new password": func(t *testing.T, app *factorApp, _ *testapp.Client) {
			must(t, app.SetPassword(t.Context(), app.susan, "another horse battery"))
		},
		"with the account": func(t *testing.T, app *factorApp, _ *testapp.Client) { must(t, app.Disable(t.Context(), app.susan.ID)) },
		"with another login": func(t *testing.T, app *factorApp, c *testapp.Client) {
			c.Post("/login", "login", "susan", "password", testapp.Password)
			c.Get("/login/verify")
			c.Post("/logout")
		},
		"with the factor": func(_ *testing.T, app *factorApp, _ *testapp.Client) { app.factor.enrolled[app.susan.ID] = false },
		"where it is forgotten": func(t *testing.T, app *factorApp, _ *testapp.Client) {
			must(t, app.Store.DeleteRecords(t.Context(), "pending", app.susan.ID))
		},
	} {
		t.Run(name, func(t *testing.T) {
			app := newFactorApp(t)
			c := app.prompted(t)
			app.factor.give(app.susan.ID, "1")
			end(t, app, c)
			if r := c.Post("/login/verify", "code", "1"); r.StatusCode != http.StatusSeeOther || c.Who() != "nobody" {
				t.Errorf("%s, %s", r.Status, c.Who())
			}
		})
	}
}

// A browser in which another user logs in meanwhile does not go on with the login that waits.
func TestPendingLoginEndsWithALoginOfAnotherUser(t *testing.T) {
	app := newFactorApp(t)
	c := app.prompted(t)
	app.factor.give(app.susan.ID, "1")
	c.Login("david")
	if r := c.Post("/login/verify", "code", "1"); r.StatusCode != http.StatusSeeOther || c.Who() != "david" {
		t.Errorf("%s, and then it is %s's", r.Status, c.Who())
	}
}

func TestConfirmWithAFactor(t *testing.T) {
	app := newFactorApp(t)
	c := app.enter(t)
	app.Clock.Advance(10 * time.Minute)
	if r := c.Post("/refresh"); r.StatusCode != http.StatusSeeOther || !strings.HasPrefix(r.Header.Get("Location"), "/login/verify") {
		t.Fatalf("a password alone refreshes a login: %s to %s", r.Status, r.Header.Get("Location"))
	}
	if r := c.Get("/fresh"); r.StatusCode == http.StatusOK {
		t.Error("the login is fresh before the factor was shown")
	}
	if r := c.Get("/login/verify"); r.Text != "susan password code" {
		t.Errorf("%s %q", r.Status, r.Text)
	}
	// Without its login, the pending confirmation does not log in.
	alone := c.Clone()
	for name := range alone.Cookies {
		if !strings.HasSuffix(name, "-pending") {
			delete(alone.Cookies, name)
		}
	}
	app.factor.give(app.susan.ID, "2")
	if alone.Post("/login/verify", "code", "2"); alone.Who() != "nobody" {
		t.Error("a confirmation that waits logs in")
	}
	before := c.Get("/methods").Text
	if r := c.Post("/login/verify", "code", "2"); r.StatusCode != http.StatusSeeOther || r.Header.Get("Location") != "/" {
		t.Fatalf("%s to %s %s", r.Status, r.Header.Get("Location"), r.Text)
	}
	if r := c.Get("/fresh"); r.StatusCode != http.StatusOK {
		t.Errorf("after both: %s", r.Status)
	}
	if after := c.Get("/methods").Text; after != before {
		t.Errorf("methods %q, before %q", after, before)
	}
}

// If a device was remembered after both factors, it needs no factor again. If it was
// remembered before the user had a factor, it logs nobody in, and makes no pending
// login.
func TestRememberedDeviceAndFactor(t *testing.T) {
	app := newFactorApp(t)
	c := app.Client(t)
	c.Post("/remembered")
	c.Get("/login/verify")
	app.factor.give(app.susan.ID, "1")
	c.Post("/login/verify", "code", "1")
	if c.Restart(); c.Who() != "susan" {
		t.Error("a device that has shown both factors is not remembered")
	}
	app.factor.enrolled[app.susan.ID] = false
	old := app.Client(t)
	old.Post("/remembered")
	app.factor.enrolled[app.susan.ID] = true
	old.Restart()
	if who := old.Who(); who != "nobody" {
		t.Errorf("a device that has shown no factor is %s's", who)
	}
	if records, err := app.Store.ListRecords(t.Context(), "pending", app.susan.ID); err != nil || len(records) != 0 {
		t.Errorf("%d pending logins, %v", len(records), err)
	}
}

func TestFactorFails(t *testing.T) {
	app := newFactorApp(t)
	c := app.prompted(t)
	app.factor.give(app.susan.ID, "1")
	app.factor.mu.Lock()
	app.factor.failure = errors.New("disk on fire")
	app.factor.mu.Unlock()
	if r := c.Post("/login/verify", "code", "1"); r.StatusCode != http.StatusServiceUnavailable || c.Who() != "nobody" {
		t.Errorf("continue: %s", r.Status)
	}
	if r := app.Client(t).Post("/login", "login", "susan", "password", testapp.Password); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("login: %s", r.Status)
	}
	if !strings.Contains(app.Logs(), "disk on fire") {
		t.Error("the failure is not in the log")
	}
}

func TestFactorConfig(t *testing.T) {
	good := func() *codes { return &codes{} }
	for name, factors := range map[string][]auth.Factor{
		"nil":      {nil},
		"pointer":  {(*codes)(nil)},
		"twice":    {good(), good()},
		"reserved": {namedFactor{good(), "password"}},
		"spaces":   {namedFactor{good(), "a code"}},
		"empty":    {namedFactor{good(), ""}},
	} {
		cfg := auth.Config{BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}, Factors: factors}
		if _, err := auth.New(memstore.New[testapp.User](), cfg); err == nil || !strings.Contains(err.Error(), "Factors") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A user who is sent on to the second factor has just logged in: no message asks for a
// login.
func TestMessagesAboutFactors(t *testing.T) {
	for reason, want := range map[error]string{
		auth.ErrFactorRequired: "",
		auth.ErrNoFactor:       "Please set up a second factor to access this page.",
		auth.ErrNoPending:      "Please log in to access this page.",
	} {
		if got := auth.DefaultMessage(nil, reason).Text; got != want {
			t.Errorf("%v: %q, want %q", reason, got, want)
		}
	}
	app := newFactorApp(t)
	for name := range app.begin(t).Cookies {
		if strings.HasSuffix(name, "-flash") {
			t.Error("the page for the second factor has a message")
		}
	}
}

type namedFactor struct {
	auth.Factor
	name string
}

func (f namedFactor) Name() string { return f.name }

func TestByNamesTheMethod(t *testing.T) {
	app := newFactorApp(t)
	var with []auth.LoginOption
	app.Mux.HandleFunc("POST /by", func(w http.ResponseWriter, r *http.Request) {
		david, err := app.Store.FindUser(r.Context(), "david")
		if err == nil {
			err = app.LoginUser(r.Context(), david, with...)
		}
		if err != nil {
			app.Error(w, r, err)
		}
	})
	c := app.Client(t)
	with = []auth.LoginOption{auth.By("oauth:example"), auth.By("passkey")}
	if r := c.Post("/by"); r.StatusCode != http.StatusOK || c.Get("/methods").Text != "oauth:example passkey" {
		t.Errorf("%s, methods %q", r.Status, c.Get("/methods").Text)
	}
	events := app.Events()
	if i := slices.IndexFunc(events, func(e auth.Event) bool { return e.Kind == auth.EventLoginSucceeded }); i < 0 || events[i].Method != "oauth:example passkey" {
		t.Errorf("events %+v", events)
	}
	for _, bad := range []string{"", "remember", "token", "a b", "a@b", strings.Repeat("x", 65)} {
		c := app.Client(t)
		with = []auth.LoginOption{auth.By(bad)}
		if r := c.Post("/by"); r.StatusCode != http.StatusInternalServerError || c.Who() != "nobody" {
			t.Errorf("By(%q): %s", bad, r.Status)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// The page that the user wanted is kept over both steps of a login, also in a cookie, and if
// the login form comes without a Referer.
func TestNextInCookieWithAFactor(t *testing.T) {
	t.Parallel()
	for _, referer := range []string{"", "/login"} {
		f := newCodes()
		app, _ := newApp(t, func(c *auth.Config) { c.Factors, c.URLs.NextInCookie = []auth.Factor{f}, true })
		u := app.Create(t, "susan", true)
		f.enrolled[u.ID] = true
		app.Mux.HandleFunc("POST /login/verify", func(w http.ResponseWriter, r *http.Request) {
			_, err := app.PromptFactor(r.Context(), "code")
			_ = r.ParseForm()
			if err == nil {
				err = app.ContinueLogin(r.Context(), "code", r.PostForm)
			}
			if err != nil {
				app.Error(w, r, err)
				return
			}
			app.TakeNext(r).Redirect(w, "/")
		})
		c := app.Client(t)
		expectSent(t, c.Get("/guarded?x=1"), "/login")
		header := http.Header{}
		if referer != "" {
			header.Set("Referer", app.Server.URL+referer)
		}
		r := c.Do("POST", "/login", url.Values{"login": {"susan"}, "password": {testapp.Password}}, header)
		expectSent(t, r, "/login/verify")
		f.give(u.ID, "123")
		if r := c.Post("/login/verify", "code", "123"); r.Header.Get("Location") != "/guarded?x=1" {
			t.Errorf("with the Referer %q the login leads to %q", referer, r.Header.Get("Location"))
		}
	}
}

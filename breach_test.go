package auth_test

import (
	"context"
	"crypto/sha1" //nolint:gosec // the protocol's
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pwned"
)

// leaked is a password that only the breach check refuses.
const leaked = "tr0ub4dor&3 & horse"

// hashOf returns the two halves of a password's SHA-1, as the protocol splits it.
func hashOf(password string) (prefix, suffix string) {
	sum := fmt.Sprintf("%X", sha1.Sum([]byte(password))) //nolint:gosec // the protocol's
	return sum[:5], sum[5:]
}

// padding returns n lines of other hashes.
func padding(n int) string {
	var b strings.Builder
	for i := range n {
		_, _ = fmt.Fprintf(&b, "%035X:%d\r\n", i, i%3)
	}
	return b.String()
}

// tellsNothing fails the test if a text contains the password or a part of its hash.
func tellsNothing(t *testing.T, what, password, text string) {
	t.Helper()
	prefix, suffix := hashOf(password)
	for _, secret := range []string{password, url.QueryEscape(password), prefix, suffix, suffix[:8]} {
		if strings.Contains(strings.ToUpper(text), strings.ToUpper(secret)) {
			t.Errorf("%s: %q is in %s", what, secret, text)
		}
	}
}

// A checker is a BreachChecker that remembers which passwords it was asked about.
type checker struct {
	mu    sync.Mutex
	asked []string
	check func(ctx context.Context, password string) (bool, error)
}

func (c *checker) Breached(ctx context.Context, password string) (bool, error) {
	c.mu.Lock()
	c.asked = append(c.asked, password)
	c.mu.Unlock()
	return c.check(ctx, password)
}

// times returns how often the checker was asked since the last call.
func (c *checker) times() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.asked)
	c.asked = nil
	return n
}

// saysFree is an error whose PasswordFree says whether its text is free of the
// password.
type saysFree struct {
	text string
	free bool
}

func (e saysFree) Error() string      { return e.text }
func (e saysFree) PasswordFree() bool { return e.free }

func isLeaked(_ context.Context, password string) (bool, error) { return password == leaked, nil }

// entrances are all functions that set a new password.
func entrances(t *testing.T, ctx context.Context, app *testapp.App, user *testapp.User, password string) map[string]func() error {
	t.Helper()
	return map[string]func() error{
		"ValidatePassword": func() error { return app.ValidatePassword(ctx, password, user.Account) },
		"Register": func() error {
			_, err := app.Register(ctx, auth.Registration{Username: "anna", Password: password})
			return err
		},
		"SetPassword": func() error {
			u, err := app.Store.LoadUser(ctx, user.ID)
			if err != nil {
				t.Error(err)
			}
			return app.SetPassword(ctx, u, password)
		},
		"ResetPassword": func() error {
			u, err := app.Store.LoadUser(ctx, user.ID)
			if err != nil {
				t.Error(err)
			}
			token, err := app.ResetToken(ctx, u)
			if err != nil {
				t.Error(err)
			}
			_, err = app.ResetPassword(ctx, token, password)
			return err
		},
	}
}

func TestBreachedPassword(t *testing.T) {
	t.Parallel()
	checks := &checker{check: isLeaked}
	var checked int
	app, _ := newApp(t, func(c *auth.Config) {
		c.Password.Breaches = checks
		c.Password.Check = func(context.Context, string, auth.Account) error { checked++; return nil }
	})
	susan := app.Create(t, "susan", false)
	for name, enter := range entrances(t, t.Context(), app, susan, leaked) {
		before := app.PasswordHashes()
		app.Events()
		var refused *auth.PasswordError
		if err := enter(); !errors.As(err, &refused) || refused.Reason != auth.PasswordBreached || refused.Err != nil {
			t.Errorf("%s: %v", name, err)
		} else if text := refused.Error(); !strings.Contains(text, "breach") || strings.Contains(text, leaked) {
			t.Errorf("%s says %q", name, text)
		}
		if n := checks.times(); n != 1 || checked != 0 || app.PasswordHashes() != before {
			t.Errorf("%s: asked %d times, Password.Check %d times, %d hashes", name, n, checked, app.PasswordHashes()-before)
		}
		for _, e := range app.Events() {
			if e.Kind == auth.EventBreachCheckFailed {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
	// If the rest of the policy refuses a password, the checker is not asked.
	for _, password := range []string{"short", "password1", "susan2026", "\xff\xff\xff\xff\xff\xff\xff\xff", strings.Repeat("x y ", 300)} {
		if err := app.ValidatePassword(t.Context(), password, susan.Account); err == nil || checks.times() != 0 {
			t.Errorf("%.20q: %v, or the checker was asked", password, err)
		}
	}
	for name, enter := range entrances(t, t.Context(), app, susan, "a good long one") {
		if err := enter(); err != nil || checks.times() != 1 {
			t.Errorf("%s of a good one: %v", name, err)
		}
	}
	if checked != 4 {
		t.Errorf("Password.Check was asked %d times", checked)
	}
}

// If the checker fails, the password is accepted, and an event says so without
// containing the password.
func TestBreachCheckFailsOpen(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		check func(ctx context.Context, password string) (bool, error)
		is    error
	}{
		"error":           {func(context.Context, string) (bool, error) { return false, errors.New("down") }, nil},
		"error with true": {func(context.Context, string) (bool, error) { return true, errors.New("down") }, nil},
		"error that tells": {func(_ context.Context, password string) (bool, error) {
			return false, fmt.Errorf("no answer about %q", password)
		}, nil},
		"url.Error": {func(_ context.Context, password string) (bool, error) {
			prefix, suffix := hashOf(password)
			return false, fmt.Errorf("ask: %w", &url.Error{Op: "Get", URL: "https://example.com/" + prefix + suffix, Err: io.EOF})
		}, nil},
		"deadline": {func(context.Context, string) (bool, error) {
			return false, fmt.Errorf("%s: %w", leaked, context.DeadlineExceeded)
		}, context.DeadlineExceeded},
		"cancelled": {func(context.Context, string) (bool, error) {
			return false, fmt.Errorf("%s: %w", leaked, context.Canceled)
		}, context.Canceled},
		"error that says it is free of the password": {func(_ context.Context, password string) (bool, error) {
			return false, fmt.Errorf("no answer about %q: %w", password, saysFree{"status 500", true})
		}, saysFree{"status 500", true}},
		"error that says it is not": {func(_ context.Context, password string) (bool, error) {
			return false, saysFree{password, false}
		}, nil},
		"panic":             {func(_ context.Context, password string) (bool, error) { panic(password) }, nil},
		"panic of an error": {func(_ context.Context, password string) (bool, error) { panic(errors.New(password)) }, nil},
		"panic of the runtime": {func(_ context.Context, password string) (bool, error) {
			return password[len(password):][0] == 'x', nil
		}, nil},
	} {
		app, _ := newApp(t, func(cfg *auth.Config) { cfg.Password.Breaches = &checker{check: c.check} })
		susan := app.Create(t, "susan", false)
		for name, enter := range entrances(t, t.Context(), app, susan, leaked) {
			app.Events()
			if err := enter(); err != nil {
				t.Errorf("%s: %s: %v", what, name, err)
			}
			events := app.Events()
			at := slices.IndexFunc(events, func(e auth.Event) bool { return e.Kind == auth.EventBreachCheckFailed })
			if at < 0 || events[at].Err == nil || c.is != nil && !errors.Is(events[at].Err, c.is) {
				t.Errorf("%s: %s: %+v", what, name, events)
			} else if id := events[at].UserID; (name == "Register") != (id == "") || id != "" && id != susan.ID {
				t.Errorf("%s: %s: about %q", what, name, id)
			}
			for _, e := range events {
				for err := e.Err; err != nil; err = errors.Unwrap(err) {
					tellsNothing(t, what, leaked, fmt.Sprintf("%v %+v %#v", err, err, err))
				}
			}
		}
		if !strings.Contains(app.Logs(), "level=WARN msg=auth event=breach-check.failed") {
			t.Errorf("%s: not in the log", what)
		}
		tellsNothing(t, what, leaked, app.Logs())
	}
}

// The check takes at most two seconds, however much time the request has.
func TestBreachCheckTakesTwoSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := goodConfig()
		var events []auth.Event
		cfg.OnEvent = func(_ context.Context, e auth.Event) { events = append(events, e) }
		cfg.Password.Breaches = &checker{check: func(ctx context.Context, _ string) (bool, error) {
			<-ctx.Done()
			return true, ctx.Err()
		}}
		manager, err := auth.New(memstore.New[testapp.User](), cfg)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := manager.ValidatePassword(t.Context(), leaked, auth.Account{}); err != nil || time.Since(begin) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if len(events) != 1 || events[0].Kind != auth.EventBreachCheckFailed || !errors.Is(events[0].Err, context.DeadlineExceeded) {
			t.Errorf("%+v", events)
		}
		// If the request has less time, the check takes less.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin = time.Now()
		if err := manager.ValidatePassword(ctx, leaked, auth.Account{}); err != nil || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// If the client hangs up during the check, the password is not set.
func TestBreachCheckAfterHangUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	app, _ := newApp(t, func(c *auth.Config) {
		c.Password.Breaches = &checker{check: func(ctx context.Context, _ string) (bool, error) {
			cancel()
			<-ctx.Done()
			return false, ctx.Err()
		}}
	})
	if u, err := app.Register(ctx, auth.Registration{Username: "anna", Password: leaked}); !errors.Is(err, context.Canceled) {
		t.Errorf("registered %v, %v", u, err)
	}
}

// A request asks about a password once, however often it checks it.
func TestBreachCheckOncePerRequest(t *testing.T) {
	t.Parallel()
	checks := &checker{}
	app, _ := newApp(t, func(c *auth.Config) { c.Password.Breaches = checks })
	var do func(ctx context.Context)
	app.Mux.HandleFunc("POST /do", func(_ http.ResponseWriter, r *http.Request) { do(r.Context()) })
	c := app.Client(t)
	const good = "a good long one"
	check := func(ctx context.Context, passwords ...string) (refused []string) {
		for _, password := range passwords {
			if err := app.ValidatePassword(ctx, password, auth.Account{}); err != nil {
				refused = append(refused, password)
			}
		}
		return refused
	}
	checks.check = isLeaked
	for what, p := range map[string]struct {
		passwords []string
		times     int
		refused   int
	}{
		"one":                   {[]string{leaked, leaked, leaked}, 1, 3},
		"a good one":            {[]string{good, good}, 1, 0},
		"good, and then not":    {[]string{good, leaked, leaked}, 2, 2},
		"not, and then good":    {[]string{leaked, good, good}, 2, 1},
		"by turns":              {[]string{leaked, good, leaked}, 3, 2},
		"the beginning of it":   {[]string{leaked, leaked[:10], leaked[:10]}, 2, 1},
		"with what others have": {[]string{leaked, "short", leaked, "password1", leaked}, 1, 5},
	} {
		do = func(ctx context.Context) {
			if refused := check(ctx, p.passwords...); len(refused) != p.refused {
				t.Errorf("%s: refused %q", what, refused)
			}
		}
		c.Post("/do")
		if n := checks.times(); n != p.times {
			t.Errorf("%s: asked %d times", what, n)
		}
	}
	// If the checker fails, it is not asked again in this request.
	checks.check = func(context.Context, string) (bool, error) { return true, errors.New("down") }
	do = func(ctx context.Context) {
		if refused := check(ctx, leaked, leaked, leaked); len(refused) != 0 {
			t.Errorf("refused %q", refused)
		}
	}
	app.Events()
	c.Post("/do")
	if k := kinds(app.Events()); checks.times() != 1 || !slices.Equal(k, []auth.EventKind{auth.EventBreachCheckFailed}) {
		t.Errorf("of a failure: %v", k)
	}
	checks.check = isLeaked
	// A form checks the password first, and calls Register then.
	do = func(ctx context.Context) {
		check(ctx, good)
		if _, err := app.Register(ctx, auth.Registration{Username: "anna", Password: good}); err != nil {
			t.Error(err)
		}
	}
	if c.Post("/do"); checks.times() != 1 {
		t.Error("a registration asks again")
	}
	// Another request asks again. Outside a request every check asks.
	do = func(ctx context.Context) { check(ctx, good) }
	c.Post("/do")
	c.Post("/do")
	check(t.Context(), good, good)
	if n := checks.times(); n != 4 {
		t.Errorf("asked %d times", n)
	}
	// Parallel checks are safe.
	var began atomic.Int32
	all := make(chan struct{})
	checks.check = func(ctx context.Context, password string) (bool, error) {
		if began.Add(1) == 20 {
			close(all)
		}
		<-all
		return isLeaked(ctx, password)
	}
	do = func(ctx context.Context) {
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				password := []string{leaked, good}[i%2]
				if refused := check(ctx, password, password); (len(refused) == 2) != (password == leaked) {
					t.Errorf("%q: refused %q", password, refused)
				}
			})
		}
		wg.Wait()
	}
	c.Post("/do")
}

// The whole path: an application, and a service that answers, fails or lies.
func TestBreachedPasswordOverHTTP(t *testing.T) {
	t.Parallel()
	prefix, suffix := hashOf(leaked)
	var answer atomic.Pointer[http.HandlerFunc]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*answer.Load())(w, r) }))
	t.Cleanup(server.Close)
	client := &pwned.Client{URL: server.URL + "/range", HTTP: server.Client()}
	app, _ := newApp(t, func(c *auth.Config) { c.Password.Breaches = client })
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	for _, s := range []struct {
		what   string
		answer http.HandlerFunc
		want   int
		event  bool
	}{
		{"hit", func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/range/"+prefix {
				t.Errorf("asked for %s", r.URL)
			}
			_, _ = io.WriteString(w, padding(800)+suffix+":42\r\n")
		}, 422, false},
		{"miss", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, padding(800)) }, 200, false},
		{"padding", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, suffix+":0\r\n") }, 200, false},
		{"500", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) }, 200, true},
		{"a page", func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, "<p>"+r.RequestURI) }, 200, true},
		{"closed", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 200, true},
	} {
		answer.Store(&s.answer)
		app.Events()
		if r := c.Post("/password", "password", leaked); r.StatusCode != s.want {
			t.Errorf("%s: %s %s", s.what, r.Status, r.Text)
		}
		events := app.Events()
		if slices.Contains(kinds(events), auth.EventBreachCheckFailed) != s.event {
			t.Errorf("%s: %v", s.what, events)
		}
		tellsNothing(t, s.what, leaked, fmt.Sprintf("%+v", events))
		if s.what == "500" && !strings.Contains(app.Logs(), `"pwned: status 500"`) {
			t.Errorf("the log does not say why: %s", app.Logs())
		}
	}
	tellsNothing(t, "the log", leaked, app.Logs())
}

func TestBreachesConfig(t *testing.T) {
	t.Parallel()
	var client *pwned.Client
	for what, c := range map[string]struct {
		breaches auth.BreachChecker
		ok       bool
	}{
		"none":          {nil, true},
		"a client":      {&pwned.Client{}, true},
		"a nil pointer": {client, false},
		"a nil checker": {(*checker)(nil), false},
	} {
		cfg := goodConfig()
		cfg.Password.Breaches = c.breaches
		if _, err := auth.New(memstore.New[testapp.User](), cfg); (err == nil) != c.ok {
			t.Errorf("%s: %v", what, err)
		}
	}
}

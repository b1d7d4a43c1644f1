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
	"regexp"
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
)

// leaked is a password that the rest of the policy accepts.
const leaked = "tr0ub4dor&3 & horse"

// hashOf is the SHA-1 of a password as the protocol cuts it.
func hashOf(password string) (prefix, suffix string) {
	sum := fmt.Sprintf("%X", sha1.Sum([]byte(password))) //nolint:gosec // the protocol's
	return sum[:5], sum[5:]
}

// rangeServer is a service that answers with h.
func rangeServer(t *testing.T, h http.HandlerFunc) *auth.RangeClient {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return &auth.RangeClient{URL: server.URL + "/range", HTTP: server.Client()}
}

// padding is n lines of other hashes.
func padding(n int) string {
	var b strings.Builder
	for i := range n {
		_, _ = fmt.Fprintf(&b, "%035X:%d\r\n", i, i%3)
	}
	return b.String()
}

func TestRangeClient(t *testing.T) {
	t.Parallel()
	prefix, suffix := hashOf(leaked)
	lower := strings.ToLower(suffix)
	const other = "0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n"
	huge := padding(1<<20/39 + 1)
	for _, c := range []struct {
		what, body string
		want       bool
		fails      bool
	}{
		{"hit", other + suffix + ":3\r\n" + padding(900), true, false},
		{"the first line", suffix + ":1\r\n" + other, true, false},
		{"the last line", padding(900) + suffix + ":10434004", true, false},
		{"the only line", suffix + ":1", true, false},
		{"lines that end as on Unix", "0018A45C4D1DEF81644B54AB7F969B88D65:1\n" + suffix + ":3\n", true, false},
		{"lower case", other + lower + ":3\r\n", true, false},
		{"a count that begins with 0", suffix + ":010", true, false},
		{"a large count", suffix + ":99999999999999999999999999", true, false},
		{"a line as long as may be", suffix + ":" + strings.Repeat("9", 200), true, false},
		{"twice", suffix + ":0\r\n" + suffix + ":2\r\n", true, false},
		{"hit, and then garbage", suffix + ":2\r\n<html>", true, false},
		{"hit, and then too much", suffix + ":2\r\n" + huge, true, false},
		{"hit, and then a long line", suffix + ":2\r\n" + strings.Repeat("A", 1<<20), true, false},

		{"miss", padding(900), false, false},
		{"padding alone", strings.ReplaceAll(padding(90), ":1", ":0"), false, false},
		{"its hash is padding", other + suffix + ":0\r\n", false, false},
		{"its hash is padding, with zeros", suffix + ":000\r\n", false, false},

		{"empty", "", false, true},
		{"a blank line", other + "\r\n" + other, false, true},
		{"a page", "<!DOCTYPE html>\n<title>Please log in to the network</title>\n", false, true},
		{"a page after some", other + "<html>" + suffix + ":3", false, true},
		{"no count", suffix + "\r\n", false, true},
		{"empty count", suffix + ":\r\n", false, true},
		{"negative count", suffix + ":-1\r\n", false, true},
		{"count that is no number", suffix + ":1e3\r\n", false, true},
		{"count and more", suffix + ":1:1\r\n", false, true},
		{"spaces", suffix + ": 3\r\n", false, true},
		{"a space before it", " " + suffix + ":3\r\n", false, true},
		{"two line feeds' worth", suffix + ":3\r\r\n", false, true},
		{"digits of another alphabet", suffix + ":٣\r\n", false, true},
		{"the whole hash", prefix + suffix + ":3\r\n", false, true},
		{"one digit short", suffix[1:] + ":3\r\n", false, true},
		{"no hash", ":3\r\n", false, true},
		{"no hexadecimal", strings.Repeat("G", 35) + ":3\r\n", false, true},
		{"NUL", suffix + ":3\x00\r\n", false, true},
		{"UTF-16", "\xff\xfe" + suffix + ":3\r\n", false, true},
		{"NTLM", "0018A45C4D1DEF81644B54AB7F9:1\r\n", false, true},
		{"a line that is too long", suffix + ":" + strings.Repeat("9", 300) + "\r\n", false, true},
		{"a line without an end", strings.Repeat("A", 5<<20), false, true},
		{"too much", huge + suffix + ":3\r\n", false, true},
	} {
		var asked atomic.Int32
		client := rangeServer(t, func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			_, _ = io.WriteString(w, c.body)
		})
		got, err := client.Breached(t.Context(), leaked)
		if got != c.want || (err != nil) != c.fails || asked.Load() != 1 {
			t.Errorf("%s: %v, %v, asked %d times", c.what, got, err, asked.Load())
		}
		tellsNothing(t, c.what, leaked, fmt.Sprintf("%v %+v %#v", err, err, err))
	}
}

// tellsNothing fails if a text has the password in it, or a part of its hash.
func tellsNothing(t *testing.T, what, password, text string) {
	t.Helper()
	prefix, suffix := hashOf(password)
	for _, secret := range []string{password, url.QueryEscape(password), prefix, suffix, suffix[:8]} {
		if strings.Contains(strings.ToUpper(text), strings.ToUpper(secret)) {
			t.Errorf("%s: %q is in %s", what, secret, text)
		}
	}
}

// The most that there is in a range today, and the most that we take.
func TestRangeClientSize(t *testing.T) {
	t.Parallel()
	_, suffix := hashOf(leaked)
	for size, fails := range map[int]bool{80_000: false, 1 << 20: false, 1<<20 + 1: true} {
		client := rangeServer(t, func(w http.ResponseWriter, _ *http.Request) {
			rest := size - len(suffix) - len(":1")
			body := padding(rest/39) + suffix + ":" + strings.Repeat("0", rest%39) + "1"
			if len(body) != size {
				t.Errorf("%d bytes, not %d", len(body), size)
			}
			_, _ = io.WriteString(w, body)
		})
		if found, err := client.Breached(t.Context(), leaked); found == fails || (err != nil) != fails {
			t.Errorf("%d bytes: %v, %v", size, found, err)
		}
	}
}

func TestRangeClientStatus(t *testing.T) {
	t.Parallel()
	_, suffix := hashOf(leaked)
	for _, status := range []int{201, 204, 206, 304, 400, 401, 403, 404, 429, 500, 503} {
		client := rangeServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, suffix+":3\r\n")
		})
		found, err := client.Breached(t.Context(), leaked)
		if found || err == nil || !strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("%d: %v, %v", status, found, err)
		}
		tellsNothing(t, fmt.Sprint(status), leaked, fmt.Sprintf("%+v", err))
	}
}

// Five digits leave, in a request that is the same for all that have them.
func TestRangeClientSendsOnlyThePrefix(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var requests []*http.Request
	var bodies []string
	client := rangeServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		requests, bodies = append(requests, r), append(bodies, string(body))
		_, _ = io.WriteString(w, padding(10))
	})
	for _, password := range []string{leaked, "password", "пароль со всеми", "\xff\x00 no text", strings.Repeat("long ", 200)} {
		requests, bodies = nil, nil
		if found, err := client.Breached(t.Context(), password); found || err != nil || len(requests) != 1 {
			t.Fatal(found, err, len(requests))
		}
		prefix, suffix := hashOf(password)
		r := requests[0]
		if r.Method != http.MethodGet || r.RequestURI != "/range/"+prefix || bodies[0] != "" || r.ContentLength > 0 {
			t.Errorf("%s %s with %q", r.Method, r.RequestURI, bodies[0])
		}
		want := http.Header{"User-Agent": {"go-login"}, "Add-Padding": {"true"}, "Accept-Encoding": {"gzip"}}
		if fmt.Sprint(r.Header) != fmt.Sprint(want) {
			t.Errorf("header %v", r.Header)
		}
		sent := strings.ToUpper(fmt.Sprint(r.Header, r.RequestURI, r.Host, r.Trailer))
		for i := 0; i+6 <= len(suffix); i++ {
			if strings.Contains(sent, suffix[i:i+6]) {
				t.Errorf("%s has more of the hash: %s", sent, suffix[i:i+6])
			}
		}
	}
	requests = nil
	client.URL, client.UserAgent = client.URL+"/", "our application"
	if _, err := client.Breached(t.Context(), "password"); err != nil || requests[0].RequestURI != "/range/5BAA6" || requests[0].UserAgent() != "our application" {
		t.Errorf("%v, %+v", err, requests)
	}
}

// An answer is read to its end wherever the hash is in it: the service, and who
// sees its packets, is not to learn where that was.
func TestRangeClientReadsOn(t *testing.T) {
	t.Parallel()
	_, suffix := hashOf(leaked)
	for what, body := range map[string]string{"hit": suffix + ":1\r\n" + padding(2000), "miss": padding(2000)} {
		rest := strings.NewReader(body)
		client := &auth.RangeClient{HTTP: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(rest)}, nil
		})}}
		if found, err := client.Breached(t.Context(), leaked); found != (what == "hit") || err != nil || rest.Len() != 0 {
			t.Errorf("%s: %v, %v, %d bytes were not read", what, found, err, rest.Len())
		}
	}
}

// Where it asks by default, without asking.
func TestRangeClientDefaults(t *testing.T) {
	t.Parallel()
	var asked string
	client := &auth.RangeClient{HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		asked = r.URL.String()
		return nil, errors.New("no network")
	})}}
	if _, err := client.Breached(t.Context(), "password"); err == nil || asked != "https://api.pwnedpasswords.com/range/5BAA6" {
		t.Errorf("%v, asked %s", err, asked)
	}
}

// A transport answers requests without a network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// No redirect is followed, to whatever host, also if the client would.
func TestRangeClientRedirect(t *testing.T) {
	t.Parallel()
	_, suffix := hashOf(leaked)
	var followed atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		followed.Add(1)
		_, _ = io.WriteString(w, suffix+":3\r\n")
	}))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{elsewhere.URL + "/range/", "/elsewhere/", "//", "http://[::1/"} {
			client := rangeServer(t, func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasPrefix(r.URL.Path, "/range/") {
					elsewhere.Config.Handler.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Location", to+strings.TrimPrefix(r.URL.Path, "/range/"))
				w.WriteHeader(status)
				_, _ = io.WriteString(w, suffix+":3\r\n")
			})
			client.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return nil }
			found, err := client.Breached(t.Context(), leaked)
			if found || err == nil || followed.Load() != 0 {
				t.Errorf("%d to %s: %v, %v, followed %d", status, to, found, err, followed.Load())
			}
			tellsNothing(t, to, leaked, fmt.Sprintf("%+v", err))
			if client.HTTP.CheckRedirect(nil, nil) != nil {
				t.Error("the application's client was changed")
			}
		}
	}
}

// A connection that fails, at whatever moment, is an error with nothing of the
// password in it.
func TestRangeClientFails(t *testing.T) {
	t.Parallel()
	prefix, suffix := hashOf(leaked)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	broken := func(err func(r *http.Request) error) *http.Client {
		return &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) { return nil, err(r) })}
	}
	breaks := func(body string) *auth.RangeClient {
		return rangeServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10000")
			_, _ = io.WriteString(w, body)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
	}
	for what, client := range map[string]*auth.RangeClient{
		"nobody listens":            {URL: gone.URL},
		"closed at once":            rangeServer(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		"closed after the header":   breaks(""),
		"closed between two lines":  breaks(padding(20)),
		"closed in a line":          breaks(padding(20) + suffix[:20]),
		"closed in the count":       breaks(padding(20) + suffix + ":"),
		"no URL":                    {URL: "://" + prefix},
		"a URL with a password":     {URL: "http://user:sesame@example.com/\x7f"},
		"a URL with a control byte": {URL: "http://example.com/\x7f"},
		"no host":                   {URL: "http:///range"},
		"another protocol":          {URL: "ftp://127.0.0.1/range"},
		"the error has the URL":     {HTTP: broken(func(r *http.Request) error { return fmt.Errorf("cannot get %s", r.URL) })},
		"the error is a url.Error": {HTTP: broken(func(r *http.Request) error {
			return fmt.Errorf("twice: %w", &url.Error{Op: "Get", URL: r.URL.String(), Err: &url.Error{Op: "Get", URL: r.URL.String(), Err: io.EOF}})
		})},
		"the error has it in lower case": {HTTP: broken(func(r *http.Request) error { return errors.New(strings.ToLower(r.URL.String())) })},
		"an empty url.Error":             {HTTP: broken(func(*http.Request) error { return &url.Error{} })},
		"a long error":                   {HTTP: broken(func(*http.Request) error { return errors.New(strings.Repeat("é", 1e6)) })},
	} {
		found, err := client.Breached(t.Context(), leaked)
		if found || err == nil || len(err.Error()) > 300 {
			t.Errorf("%s: %v, %.400v", what, found, err)
		}
		if strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v", what, err)
		}
		for ; err != nil; err = errors.Unwrap(err) {
			tellsNothing(t, what, leaked, fmt.Sprintf("%v %+v %#v", err, err, err))
		}
	}
}

// It waits no longer than its context, whether the header or the body is late.
func TestRangeClientSlow(t *testing.T) {
	t.Parallel()
	for what, begin := range map[string]func(http.ResponseWriter){
		"nothing comes": func(http.ResponseWriter) {},
		"a header comes": func(w http.ResponseWriter) {
			_ = http.NewResponseController(w).Flush()
		},
		"some lines come": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, padding(10))
			_ = http.NewResponseController(w).Flush()
		},
	} {
		client := rangeServer(t, func(w http.ResponseWriter, r *http.Request) {
			begin(w)
			<-r.Context().Done() // the client has gone
		})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		found, err := client.Breached(ctx, leaked)
		cancel()
		if found || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, %v", what, found, err)
		}
		tellsNothing(t, what, leaked, fmt.Sprintf("%+v", err))
	}
}

// What is found is in the answer, and what is not is not.
func FuzzRange(f *testing.F) {
	_, suffix := hashOf(leaked)
	for _, seed := range []string{"", suffix + ":3", suffix + ":0\r\n", padding(3) + strings.ToLower(suffix) + ":12\n", "<html>", strings.Repeat("A", 300)} {
		f.Add(seed)
	}
	hit := regexp.MustCompile(`(?im)^` + suffix + `:0*[1-9][0-9]*\r?$`)
	valid := regexp.MustCompile(`^([0-9A-Fa-f]{35}:[0-9]+\r?\n)*[0-9A-Fa-f]{35}:[0-9]+\r?\n?$`)
	f.Fuzz(func(t *testing.T, body string) {
		client := &auth.RangeClient{HTTP: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body))}, nil
		})}}
		found, err := client.Breached(t.Context(), leaked)
		switch in := hit.MatchString(body); {
		case found && (!in || err != nil):
			t.Errorf("found in %q, %v", body, err)
		case !found && err == nil && (in || !valid.MatchString(body)):
			t.Errorf("not found in %q", body)
		case err != nil && valid.MatchString(body) && len(body) < 200:
			t.Errorf("%q: %v", body, err)
		}
		if err != nil {
			tellsNothing(t, "the error", leaked, err.Error())
		}
	})
}

// A checker is a BreachChecker that counts.
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

// times returns how often it was asked since the last call.
func (c *checker) times() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.asked)
	c.asked = nil
	return n
}

func isLeaked(_ context.Context, password string) (bool, error) { return password == leaked, nil }

// entrances are all ways to a new password.
func entrances(t *testing.T, ctx context.Context, app *testapp.App, user *testapp.User, password string) map[string]func() error {
	t.Helper()
	return map[string]func() error{
		"CheckNewPassword": func() error { return app.CheckNewPassword(ctx, password, user.Account) },
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
		c.Breaches = checks
		c.PasswordCheck = func(context.Context, string, auth.Account) error { checked++; return nil }
	})
	susan := app.Create(t, "susan", false)
	for name, enter := range entrances(t, t.Context(), app, susan, leaked) {
		before := app.Core.PasswordHashes()
		app.Events()
		var refused *auth.PasswordError
		if err := enter(); !errors.As(err, &refused) || refused.Reason != auth.PasswordBreached || refused.Err != nil {
			t.Errorf("%s: %v", name, err)
		} else if text := refused.Error(); !strings.Contains(text, "breach") || strings.Contains(text, leaked) {
			t.Errorf("%s says %q", name, text)
		}
		if n := checks.times(); n != 1 || checked != 0 || app.Core.PasswordHashes() != before {
			t.Errorf("%s: asked %d times, PasswordCheck %d times, %d hashes", name, n, checked, app.Core.PasswordHashes()-before)
		}
		for _, e := range app.Events() {
			if e.Kind == auth.EventBreachCheckFailed {
				t.Errorf("%s: %+v", name, e)
			}
		}
	}
	// What the rest of the policy refuses does not even go as far.
	for _, password := range []string{"short", "password1", "susan2026", "\xff\xff\xff\xff\xff\xff\xff\xff", strings.Repeat("x y ", 300)} {
		if err := app.CheckNewPassword(t.Context(), password, susan.Account); err == nil || checks.times() != 0 {
			t.Errorf("%.20q: %v, or the checker was asked", password, err)
		}
	}
	for name, enter := range entrances(t, t.Context(), app, susan, "a good long one") {
		if err := enter(); err != nil || checks.times() != 1 {
			t.Errorf("%s of a good one: %v", name, err)
		}
	}
	if checked != 4 {
		t.Errorf("PasswordCheck was asked %d times", checked)
	}
}

// What a checker cannot say lets the password pass, with an event that has
// nothing of the password in it.
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
		"panic":             {func(_ context.Context, password string) (bool, error) { panic(password) }, nil},
		"panic of an error": {func(_ context.Context, password string) (bool, error) { panic(errors.New(password)) }, nil},
		"panic of the runtime": {func(_ context.Context, password string) (bool, error) {
			return password[len(password):][0] == 'x', nil
		}, nil},
	} {
		app, _ := newApp(t, func(cfg *auth.Config) { cfg.Breaches = &checker{check: c.check} })
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
		if !strings.Contains(app.Logs(), "level=WARN msg=auth event=breach-check-failed") {
			t.Errorf("%s: not in the log", what)
		}
		tellsNothing(t, what, leaked, app.Logs())
	}
}

// Two seconds, and not a moment more, whatever the request may take.
func TestBreachCheckTakesTwoSeconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		cfg := goodConfig()
		var events []auth.Event
		cfg.OnEvent = func(_ context.Context, e auth.Event) { events = append(events, e) }
		cfg.Breaches = &checker{check: func(ctx context.Context, _ string) (bool, error) {
			<-ctx.Done()
			return true, ctx.Err()
		}}
		manager, err := auth.New(memstore.New[testapp.User](), cfg)
		if err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if err := manager.CheckNewPassword(t.Context(), leaked, auth.Account{}); err != nil || time.Since(begin) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
		if len(events) != 1 || events[0].Kind != auth.EventBreachCheckFailed || !errors.Is(events[0].Err, context.DeadlineExceeded) {
			t.Errorf("%+v", events)
		}
		// A request that has less time takes less.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begin = time.Now()
		if err := manager.CheckNewPassword(ctx, leaked, auth.Account{}); err != nil || time.Since(begin) != time.Second {
			t.Errorf("%v after %v", err, time.Since(begin))
		}
	})
}

// Who goes away while the service is asked does not get a password past it.
func TestBreachCheckOfAClientThatIsGone(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	app, _ := newApp(t, func(c *auth.Config) {
		c.Breaches = &checker{check: func(ctx context.Context, _ string) (bool, error) {
			cancel()
			<-ctx.Done()
			return false, ctx.Err()
		}}
	})
	if u, err := app.Register(ctx, auth.Registration{Username: "anna", Password: leaked}); !errors.Is(err, context.Canceled) {
		t.Errorf("registered %v, %v", u, err)
	}
}

// A request asks once about a password, however often it is checked.
func TestBreachCheckOncePerRequest(t *testing.T) {
	t.Parallel()
	checks := &checker{}
	app, _ := newApp(t, func(c *auth.Config) { c.Breaches = checks })
	var do func(ctx context.Context)
	app.Mux.HandleFunc("POST /do", func(_ http.ResponseWriter, r *http.Request) { do(r.Context()) })
	c := app.Client(t)
	const good = "a good long one"
	check := func(ctx context.Context, passwords ...string) (refused []string) {
		for _, password := range passwords {
			if err := app.CheckNewPassword(ctx, password, auth.Account{}); err != nil {
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
	// One failure is enough to wait for.
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
	// As a form does: it checks, and then Register does.
	do = func(ctx context.Context) {
		check(ctx, good)
		if _, err := app.Register(ctx, auth.Registration{Username: "anna", Password: good}); err != nil {
			t.Error(err)
		}
	}
	if c.Post("/do"); checks.times() != 1 {
		t.Error("a registration asks again")
	}
	// Another request is another matter, and so is what is none.
	do = func(ctx context.Context) { check(ctx, good) }
	c.Post("/do")
	c.Post("/do")
	check(t.Context(), good, good)
	if n := checks.times(); n != 4 {
		t.Errorf("asked %d times", n)
	}
	// Many at once are no race.
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

// The whole way: an application, and a service that answers, fails, and lies.
func TestBreachedPasswordOverHTTP(t *testing.T) {
	t.Parallel()
	prefix, suffix := hashOf(leaked)
	var answer atomic.Pointer[http.HandlerFunc]
	client := rangeServer(t, func(w http.ResponseWriter, r *http.Request) { (*answer.Load())(w, r) })
	app, _ := newApp(t, func(c *auth.Config) { c.Breaches = client })
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
	}
	tellsNothing(t, "the log", leaked, app.Logs())
}

func TestBreachesConfig(t *testing.T) {
	t.Parallel()
	var client *auth.RangeClient
	for what, c := range map[string]struct {
		breaches auth.BreachChecker
		ok       bool
	}{
		"none":          {nil, true},
		"a client":      {&auth.RangeClient{}, true},
		"a nil pointer": {client, false},
		"a nil checker": {(*checker)(nil), false},
	} {
		cfg := goodConfig()
		cfg.Breaches = c.breaches
		if _, err := auth.New(memstore.New[testapp.User](), cfg); (err == nil) != c.ok {
			t.Errorf("%s: %v", what, err)
		}
	}
}

package auth_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// flashApp has POST /flash, which adds a message for each field, and GET /flashes,
// which shows the messages as JSON.
func flashApp(t *testing.T, configure func(*auth.Config)) (*testapp.App, *testapp.Spy) {
	t.Helper()
	app, store := newApp(t, configure)
	app.Mux.HandleFunc("POST /flash", func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		for i, category := range r.PostForm["category"] {
			if err := app.Flash(r.Context(), category, r.PostForm["text"][i]); err != nil {
				t.Error(err)
			}
		}
		_, _ = io.WriteString(w, "ok")
	})
	app.Mux.HandleFunc("GET /flashes", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(app.Flashes(r.Context()))
	})
	return app, store
}

func flash(c *testapp.Client, pairs ...string) *testapp.Response {
	var fields []string
	for i := 0; i < len(pairs); i += 2 {
		fields = append(fields, "category", pairs[i], "text", pairs[i+1])
	}
	return c.Post("/flash", fields...)
}

func TestFlashIsShownOnce(t *testing.T) {
	t.Parallel()
	app, store := flashApp(t, nil)
	app.Create(t, "susan", false)
	for _, who := range []string{"stranger", "user"} {
		c := app.Client(t)
		if who == "user" {
			c.Login("susan")
		}
		store.Reset()
		if r := flash(c, "info", "Hello <b>", "danger", "", "", "No category"); len(r.Cookies()) != 1 || !strings.HasSuffix(r.Cookies()[0].Name, "-flash") {
			t.Errorf("%s: %v", who, r.Cookies())
		} else if v := r.Cookies()[0]; v.MaxAge != 0 || !v.HttpOnly || v.Path != "/" || v.SameSite != http.SameSiteLaxMode || strings.Contains(v.Value, "Hello") {
			t.Errorf("%s: %v", who, v)
		}
		// A page that does not show messages leaves them for the next one.
		if r := c.Get("/"); len(r.Cookies()) != 0 || r.Header.Get("Vary") != "" {
			t.Errorf("%s: another page: %v", who, r.Header)
		}
		flash(c, "info", "More")
		old := c.Clone()
		want := []auth.Flash{{Category: "info", Text: "Hello <b>"}, {Category: "danger"}, {Text: "No category"}, {Category: "info", Text: "More"}}
		if got := shown(t, c); !slices.Equal(got, want) {
			t.Errorf("%s: %q", who, got)
		}
		for range 2 {
			r := c.Get("/flashes")
			if r.Text != "null" || len(r.Cookies()) != 0 {
				t.Errorf("%s: again: %s %v", who, r.Text, r.Cookies())
			}
		}
		if got := shown(t, old); len(got) != 4 { // nothing is stored on the server, so a copied cookie works
			t.Errorf("%s: a copy of the cookie: %q", who, got)
		}
		if slices.ContainsFunc(store.Calls(), func(verb string) bool { return verb != "GetRecord" }) {
			t.Errorf("%s: flashes wrote to the store", who)
		}
	}
}

func TestFlashSurvivesLoginAndLogout(t *testing.T) {
	t.Parallel()
	app, _ := flashApp(t, nil)
	app.Create(t, "susan", false)
	c := app.Client(t)
	flash(c, "info", "one")
	c.Login("susan")
	flash(c, "info", "two")
	c.Post("/logout")
	if got := shown(t, c); len(got) != 2 {
		t.Errorf("%q", got)
	}
	flash(c, "info", "one")
	c.Login("susan")
	c.Post("/destroy")
	c.Post("/renew")
	if got := shown(t, c); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

func TestFlashWithinARequest(t *testing.T) {
	t.Parallel()
	app, _ := flashApp(t, nil)
	var steps func(context.Context)
	app.Mux.HandleFunc("/steps", func(_ http.ResponseWriter, r *http.Request) { steps(r.Context()) })
	c := app.Client(t)

	// A message that is added and shown in one request needs no cookie.
	steps = func(ctx context.Context) {
		_ = app.Flash(ctx, "a", "1")
		if got := app.Flashes(ctx); len(got) != 1 {
			t.Errorf("%v", got)
		}
		if got := app.Flashes(ctx); got != nil {
			t.Errorf("twice: %v", got)
		}
	}
	if r := c.Get("/steps"); len(r.Cookies()) != 0 {
		t.Errorf("%v", r.Cookies())
	}
	// A message that is added after the others were shown waits for the next page.
	flash(c, "a", "old")
	steps = func(ctx context.Context) {
		if got := app.Flashes(ctx); len(got) != 1 || got[0].Text != "old" {
			t.Errorf("%v", got)
		} else {
			got[0].Text = "changed" // the slice belongs to the caller
		}
		_ = app.Flash(ctx, "a", "new")
	}
	c.Get("/steps")
	if got := shown(t, c); len(got) != 1 || got[0].Text != "new" {
		t.Errorf("%v", got)
	}
	// A duplicate of a waiting message changes nothing, so no cookie is set.
	flash(c, "a", "same")
	if r := flash(c, "a", "same", "a", "same"); len(r.Cookies()) != 0 {
		t.Errorf("a duplicate sets %v", r.Cookies())
	}
	flash(c, "b", "same")
	if got := shown(t, c); len(got) != 2 {
		t.Errorf("%v", got)
	}
	// A message that was cut or repaired is recognised as a duplicate, too.
	flash(c, "a", strings.Repeat("x", 600), "a", strings.Repeat("x", 700))
	if got := shown(t, c); len(got) != 1 || len(got[0].Text) != 512 {
		t.Errorf("%d", len(got))
	}
	flash(c, "a", "bad \xff text")
	flash(c, "a", "bad \xff text")
	if got := shown(t, c); len(got) != 1 {
		t.Errorf("the same message twice: %q", got)
	}
	// Messages may be added in several goroutines.
	steps = func(ctx context.Context) {
		done := make(chan struct{})
		for i := range 8 {
			go func() {
				_ = app.Flash(ctx, "a", fmt.Sprint(i))
				done <- struct{}{}
			}()
		}
		for range 8 {
			<-done
		}
	}
	c.Get("/steps")
	if got := shown(t, c); len(got) != 8 {
		t.Errorf("%v", got)
	}
}

func TestFlashCookieIsSealed(t *testing.T) {
	t.Parallel()
	app, _ := flashApp(t, nil)
	c := app.Client(t)
	flash(c, "info", "message")
	var name, value string
	for name, value = range c.Cookies {
		break
	}
	try := func(what, value string) {
		t.Helper()
		other := app.Client(t)
		other.Cookies[name] = value
		if r := other.Get("/flashes"); r.StatusCode != http.StatusOK || r.Text != "null" || len(r.Cookies()) != 0 {
			t.Errorf("%s: %s %s %v", what, r.Status, r.Text, r.Cookies())
		}
		if r := flash(other, "x", "new"); r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", what, r.Status)
		}
		if got := shown(t, other); len(got) != 1 || got[0].Text != "new" {
			t.Errorf("%s: afterwards %q", what, got)
		}
	}
	for i := range value {
		b := []byte(value)
		if b[i]++; b[i] == '{' || b[i] == '[' || b[i] == ':' || b[i] == '.' || b[i] == '`' {
			b[i] = 'a'
		}
		if string(b) != value {
			try(fmt.Sprint("byte ", i, " changed"), string(b))
		}
		try(fmt.Sprint("cut to ", i), value[:i])
	}
	try("padded", value+"=")
	try("twice", value+value)
	try("garbage", strings.Repeat("A", 3000))
	// A reset token is sealed with the same secret, but for another purpose.
	token, err := app.ResetToken(t.Context(), app.Create(t, "susan", false))
	if err != nil {
		t.Fatal(err)
	}
	try("a reset token", token)
	if _, err := app.CheckResetToken(t.Context(), value); err == nil {
		t.Error("a flash cookie is a reset token")
	}
}

func TestFlashExpires(t *testing.T) {
	t.Parallel()
	app, _ := flashApp(t, nil)
	for _, test := range []struct {
		after time.Duration
		n     int
	}{{0, 1}, {5*time.Minute - time.Second, 1}, {5 * time.Minute, 0}, {time.Hour, 0}} {
		c := app.Client(t)
		flash(c, "info", "x")
		app.Clock.Advance(test.after)
		if got := shown(t, c); len(got) != test.n {
			t.Errorf("after %v: %v", test.after, got)
		}
	}
}

// TestMessageCookieAfterAJump: if the clock on the wall jumps ahead, a kept cookie has expired
// and is not given out.
func TestMessageCookieAfterAJump(t *testing.T) {
	t.Parallel()
	started, jump := time.Now(), time.Duration(0) // started has a monotonic reading
	app, _ := flashApp(t, func(c *auth.Config) { c.Now = func() time.Time { return jumped(started, jump) } })
	for _, jump = range []time.Duration{0, time.Minute, 10 * time.Minute, 5 * time.Minute} {
		c := app.Client(t)
		flash(c, "info", "x")
		if got := shown(t, c); len(got) != 1 {
			t.Errorf("after %v: %v", jump, got)
		}
	}
}

// jumped returns a time whose clock on the wall is ahead, while its monotonic reading is not: the
// clock was set, or the machine slept.
func jumped(t time.Time, ahead time.Duration) time.Time {
	seconds := (*uint64)(unsafe.Pointer(&t)) // see package time: 30 bits are nanoseconds
	*seconds += uint64(ahead/time.Second) << 30
	return t
}

func TestFlashSecrets(t *testing.T) {
	t.Parallel()
	one, two := []byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq"), []byte("mW6pLzkYt3xhXbN8qRvCs1dAeGfJuHoi")
	site := func(secrets ...[]byte) *testapp.App {
		app, _ := flashApp(t, func(c *auth.Config) { atAppExample(c); c.Secrets = secrets })
		return app
	}
	before := site(one).Client(t)
	flash(before, "info", "x")
	for _, test := range []struct {
		app  *testapp.App
		want int
	}{{site(one), 1}, {site(two, one), 1}, {site(one, two), 1}, {site(two), 0}} {
		c := test.app.Client(t)
		c.Cookies = before.Clone().Cookies
		if got := shown(t, c); len(got) != test.want {
			t.Errorf("%v", got)
		}
	}
}

func TestFlashLimits(t *testing.T) {
	t.Parallel()
	app, _ := flashApp(t, nil)
	c := app.Client(t)
	// Of too many messages, the newest are kept, in their order.
	var pairs []string
	for i := range 500 {
		pairs = append(pairs, "info", fmt.Sprint("message ", i))
	}
	flash(c, pairs...)
	flash(c, "info", "last")
	got := shown(t, c)
	if len(got) < 50 || len(got) > 400 || got[len(got)-1].Text != "last" {
		t.Errorf("%d are left: %v", len(got), got)
	}
	for i, f := range got[:len(got)-1] {
		if want := fmt.Sprint("message ", 500-len(got)+1+i); f.Text != want {
			t.Fatalf("%d of %d is %q, not %q", i, len(got), f.Text, want)
		}
	}
	// At least four messages are kept, however long they are.
	for range 4 {
		flash(c, strings.Repeat("c", 100), fmt.Sprint(len(pairs))+strings.Repeat("x", 1000))
		pairs = append(pairs, "")
	}
	if got := shown(t, c); len(got) != 4 {
		t.Errorf("of four long ones %d are left", len(got))
	}
	// Texts are cut between code points.
	for _, text := range []string{strings.Repeat("a", 600), strings.Repeat("é", 400), "a" + strings.Repeat("é", 400), strings.Repeat("世", 200), strings.Repeat("😀", 200), "ab" + strings.Repeat("😀", 200)} {
		flash(c, text, text)
		got := shown(t, c)
		if len(got) != 1 || len(got[0].Text) > 512 || len(got[0].Text) < 509 || !strings.HasPrefix(text, got[0].Text) || len(got[0].Category) > 64 || len(got[0].Category) < 61 || !strings.HasPrefix(text, got[0].Category) {
			t.Errorf("%.20s…: %q", text, got)
		}
	}
}

// Browsers drop a cookie whose name and value are longer than 4,096 bytes, and all
// messages with it.
func TestFlashCookieSize(t *testing.T) {
	t.Parallel()
	for name, unit := range map[string]string{
		"ASCII": "a", "four bytes": "😀", "less than": "<", "ampersand": "&", "quote": `"`, "backslash": `\`, "line separator": "\u2028",
		"control": "\x01", "not text": "\xff", "NUL": "\x00",
	} {
		for _, category := range []string{"info", strings.Repeat(unit, 600)} {
			app, _ := flashApp(t, func(c *auth.Config) {
				atAppExample(c)
				c.Session.CookieName = "a-rather-long-name-for-a-session-cookie"
			})
			c := app.Client(t)
			var pairs []string
			for i := range 8 {
				pairs = append(pairs, category, fmt.Sprint(i)+strings.Repeat(unit, 600))
			}
			r := flash(c, pairs...)
			if len(r.Cookies()) != 1 {
				t.Fatalf("%s: %v", name, r.Cookies())
			}
			if size := len(r.Cookies()[0].Name) + len(r.Cookies()[0].Value); size > 4096 {
				t.Errorf("%s, category of %d bytes: the cookie has %d bytes", name, len(category), size)
			}
			if got := shown(t, c); len(got) == 0 || got[len(got)-1].Text[:1] != "7" {
				t.Errorf("%s: shown are %d", name, len(got))
			}
		}
	}
}

// A message in a request with a token sets no cookie, even if the handler does not ask
// for the user.
func TestRequestWithTokenKeepsNoMessage(t *testing.T) {
	t.Parallel()
	app := tokenApp(t, nil)
	u := app.Create(t, "susan", false)
	token, _ := issue(t, app, u, "read")
	app.Mux.HandleFunc("GET /flash", func(_ http.ResponseWriter, r *http.Request) {
		_ = app.Flash(r.Context(), "info", "hello")
	})
	status(t, app, "/flash", token)
}

// Browsers that are sent to the login page within a minute get the same sealed cookie, so
// that a crawler costs little. Each shows its message once, for at least four minutes.
func TestMessageCookieIsReused(t *testing.T) {
	t.Parallel()
	app := messageApp(t, nil)
	refused := func(path string) (*testapp.Client, string) {
		c := app.Client(t)
		c.Get(path)
		_, value := cookieNamed(c, "-flash")
		return c, value
	}
	_, first := refused("/guarded")
	app.Clock.Advance(59 * time.Second)
	c, second := refused("/guarded")
	if first == "" || first != second {
		t.Errorf("after 59 seconds the cookie is %q, and was %q", second, first)
	}
	app.Clock.Advance(4 * time.Minute)
	if got := shown(t, c); !slices.Equal(got, []auth.Flash{loginMessage}) {
		t.Errorf("four minutes later: %v", got)
	}
	if got := shown(t, c); len(got) > 0 {
		t.Errorf("shown twice: %v", got)
	}
	c, third := refused("/guarded")
	if third == second {
		t.Error("the cookie of five minutes ago is given out")
	}
	app.Clock.Advance(-time.Hour) // a clock may be set back
	if _, fourth := refused("/guarded"); fourth == third {
		t.Error("a cookie of the future is given out")
	}
	c.Post("/guarded")
	if got := shown(t, c); !slices.Equal(got, []auth.Flash{loginMessage, notSaved(loginMessage)}) {
		t.Errorf("two messages: %v", got)
	}
}

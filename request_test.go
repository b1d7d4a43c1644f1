package auth_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// If the login ends while a personal page is made, the page must still be no-store.
func TestNoStoreAlsoIfTheLoginEnds(t *testing.T) {
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	arrived, release := make(chan struct{}), make(chan struct{})
	app.Mux.Handle("GET /slow", app.RequireLogin(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u, _ := app.CurrentUser(r.Context())
		app.SessionData().Put(r.Context(), "n", "x")
		close(arrived)
		<-release
		fmt.Fprint(w, "private: ", u.Email)
	})))
	c := app.Client(t)
	c.Login("susan")
	other := c.Clone()
	got := make(chan *testapp.Response)
	go func() { got <- c.Get("/slow") }()
	<-arrived
	other.Post("/logout")
	close(release)
	r := <-got
	if r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: Cache-Control %q, Vary %q", r.Text, r.Header.Get("Cache-Control"), r.Header.Get("Vary"))
	}
}

// All functions at once, in one request, under the race detector. Nothing deadlocks,
// and nothing is left.
func TestEverythingAtOnce(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) {
		c.Credentials = []auth.Credential{auth.Bearer()}
		c.Session.Protection, c.Session.Max, c.URLs.NextInCookie = auth.ProtectBasic, 3, true
	})
	u := app.Create(t, "susan", false)
	sessions := app.SessionData()
	scope := app.RequireScope("read")(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = app.User(r.Context()) }))
	for round := range 15 {
		c := remembered(t, app, "susan")
		app.Clock.Advance(time.Minute)
		if round%3 == 0 {
			c.Restart()
		}
		app.In(c, func(ctx context.Context) {
			request := func() *http.Request { return httptest.NewRequestWithContext(ctx, http.MethodGet, "/", nil) }
			var wg sync.WaitGroup
			for _, f := range []func(){
				func() { _, _ = app.User(ctx) },
				func() { _, _ = app.CurrentLogin(ctx) },
				func() { _ = app.Check(ctx, auth.Fresh(time.Minute)) },
				func() { _ = app.ConfirmLogin(ctx) },
				func() { _ = sessions.RenewToken(ctx) },
				func() { sessions.Put(ctx, "k", "v"); _, _, _ = sessions.Commit(ctx) },
				func() { _, _ = app.Logins(ctx, u.ID) },
				func() { _ = app.EndOtherLogins(ctx) },
				func() { _ = app.LoginUser(ctx, stored(t, app, u.ID), auth.Remember(true)) },
				func() {
					if round%2 == 0 {
						_ = app.LogoutUser(ctx)
					} else {
						_ = sessions.Destroy(ctx)
					}
				},
				func() { _, stop := app.WhileLoggedIn(ctx); defer stop() },
				func() { scope.ServeHTTP(httptest.NewRecorder(), request()) },
				func() { app.Error(httptest.NewRecorder(), request(), auth.ErrNotFresh) },
				func() { _ = app.TakeNext(request()); _ = app.Flash(ctx, "", "x"); _ = app.Flashes(ctx) },
				func() {
					if round%5 == 4 {
						_ = app.LogoutEverywhere(ctx, u)
					}
				},
			} {
				wg.Go(f)
				wg.Go(f)
			}
			wg.Wait()
		})
	}
	if err := app.LogoutEverywhere(t.Context(), u); err != nil {
		t.Error(err)
	}
	if l := logins(t, app, u.ID); len(l) > 0 {
		t.Error(l)
	}
}

// Whatever its query contains, a request with a safe method changes nothing.
func TestSafeMethodsChangeNothing(t *testing.T) {
	t.Parallel()
	app, store, p, box := pagesApp(t, nil)
	u := member(t, app, "susan", testapp.Password)
	h := app.LoadAndSave(p)
	c, other := app.Client(t), app.Client(t)
	c.Login("susan")
	other.Login("susan")
	query := url.Values{
		"login": {"susan"}, "email": {"susan@app.example"}, "username": {"new"}, "id": {logins(t, app, u.ID)[1].ID}, "others": {"1"},
		"current_password": {testapp.Password}, "password": {resetTo}, "confirm_password": {resetTo}, "remember_me": {"y"},
		"token": {resetToken(t, app, u)}, "_method": {"POST"},
	}
	for _, path := range p.Paths() {
		for _, method := range []string{"GET", "HEAD", "OPTIONS"} {
			for who, header := range map[string]http.Header{"a visitor": {}, "susan": cookieHeader(c.Cookies)} {
				store.Reset()
				header.Set("X-HTTP-Method-Override", "POST")
				before := app.PasswordHashes()
				w := direct(t, h, method, path+"?"+query.Encode(), header)
				if store.Writes() > 0 || app.PasswordHashes() != before || len(box.Take()) > 0 || w.Code >= 500 {
					t.Errorf("%s %s by %s: %d, calls %v", method, path, who, w.Code, store.Calls())
				}
			}
		}
	}
	if c.Who() != "susan" || other.Who() != "susan" || !opens(t, app, u.ID, testapp.Password) {
		t.Error("something was changed")
	}
}

func TestInformationalResponses(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", false)
	app.Mux.HandleFunc("GET /early", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusProcessing)
		if err := app.LoginUser(r.Context(), u); err != nil {
			t.Errorf("LoginUser after 103: %v", err)
		}
		_ = app.Flash(r.Context(), "info", "hello")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "done")
	})
	var early []int
	trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
		early = append(early, code)
		if len(h["Set-Cookie"]) > 0 || h.Get("Vary") != "" {
			t.Errorf("%d has %v", code, h)
		}
		return nil
	}}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), http.MethodGet, app.Server.URL+"/early", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := app.Server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if !slices.Equal(early, []int{103, 102}) || res.StatusCode != http.StatusCreated || len(res.Cookies()) != 2 {
		t.Errorf("1xx %v, then %s with cookies %v", early, res.Status, res.Cookies())
	}
}

func TestResponseControllerWorks(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	sessions := app.SessionData()
	app.Mux.HandleFunc("/controller", func(w http.ResponseWriter, r *http.Request) {
		rc := http.NewResponseController(w)
		for name, err := range map[string]error{
			"SetReadDeadline":  rc.SetReadDeadline(time.Now().Add(time.Minute)),
			"SetWriteDeadline": rc.SetWriteDeadline(time.Now().Add(time.Minute)),
			"EnableFullDuplex": rc.EnableFullDuplex(),
		} {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		sessions.Put(r.Context(), "k", "v")
		if err := rc.Flush(); err != nil { // nothing was sent before
			t.Errorf("Flush: %v", err)
		}
		if err := app.Flash(r.Context(), "info", "late"); !errors.Is(err, auth.ErrHeaderWritten) {
			t.Errorf("Flash after Flush: %v", err)
		}
		_, _ = io.WriteString(w, "one")
		f, ok := w.(http.Flusher)
		if !ok {
			t.Error("no Flusher")
		} else {
			f.Flush()
		}
		_, _ = io.WriteString(w, "two")
	})
	c := app.Client(t)
	if r := c.Get("/controller"); r.StatusCode != http.StatusOK || r.Text != "onetwo" || len(r.Cookies()) != 1 {
		t.Errorf("%s %q %v", r.Status, r.Text, r.Cookies())
	}
	if got := c.Get("/get?key=k").Text; got != "v" {
		t.Errorf("the value that was put before Flush is %q", got)
	}
	// If the writer cannot flush, the error says so, and nothing panics.
	h := app.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if err := http.NewResponseController(w).Flush(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Flush of a plain writer: %v", err)
		}
		if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, http.ErrNotSupported) {
			t.Errorf("Hijack of a plain writer: %v", err)
		}
		w.WriteHeader(http.StatusAccepted)
	}))
	rec := httptest.NewRecorder()
	h.ServeHTTP(struct{ http.ResponseWriter }{rec}, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil))
	if rec.Code != http.StatusAccepted {
		t.Errorf("plain writer: %d", rec.Code)
	}
}

func TestHijack(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	app.Create(t, "susan", false)
	sessions := app.SessionData()
	app.Mux.HandleFunc("/hijack", func(w http.ResponseWriter, r *http.Request) {
		sessions.Put(r.Context(), "k", "hijacked")
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			app.Error(w, r, err)
			return
		}
		defer func() { _ = conn.Close() }()
		_, _ = rw.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
		_ = rw.Flush()
		if err := app.Flash(r.Context(), "", "x"); !errors.Is(err, auth.ErrHeaderWritten) {
			t.Errorf("Flash after Hijack: %v", err)
		}
	})
	c := app.Client(t)
	c.Login("susan")
	if r := c.Get("/hijack"); r.Text != "ok" {
		t.Fatalf("%s %q", r.Status, r.Text)
	}
	if got := c.Get("/get?key=k").Text; got != "hijacked" {
		t.Errorf("Hijack committed %q", got)
	}
	// If the commit fails, the connection is not handed over, and an error page is
	// sent.
	store.Fail("UpdateRecord")
	app.Mux.HandleFunc("/hijack2", func(w http.ResponseWriter, r *http.Request) {
		sessions.Put(r.Context(), "k", "again")
		if _, _, err := http.NewResponseController(w).Hijack(); !errors.Is(err, errStore) {
			t.Errorf("Hijack: %v", err)
		}
	})
	if r := c.Get("/hijack2"); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("commit failed at Hijack: %s", r.Status)
	}
}

// readFromWriter counts the calls of ReadFrom.
type readFromWriter struct {
	*httptest.ResponseRecorder
	reads   int
	cookies int
}

func (w *readFromWriter) ReadFrom(src io.Reader) (int64, error) {
	w.reads++
	w.cookies = len(w.Header()["Set-Cookie"])
	return io.Copy(w.ResponseRecorder, src)
}

func TestReadFrom(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	content := bytes.Repeat([]byte("0123456789"), 50_000)
	name := filepath.Join(t.TempDir(), "file.bin")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	sessions := app.SessionData()
	app.Mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) {
		sessions.Put(r.Context(), "k", "v")
		http.ServeFile(w, r, name)
	})
	app.Mux.HandleFunc("/copy", func(w http.ResponseWriter, r *http.Request) {
		sessions.Put(r.Context(), "k", "v")
		_, _ = io.Copy(w, io.LimitReader(bytes.NewReader(content), 1<<30))
	})
	for _, path := range []string{"/file", "/copy"} {
		if r := app.Client(t).Get(path); r.StatusCode != http.StatusOK || r.Text != string(content) || len(r.Cookies()) != 1 {
			t.Errorf("%s: %s, %d bytes, cookies %v", path, r.Status, len(r.Text), r.Cookies())
		}
		// The server's own ReadFrom, which uses sendfile, must be reached.
		w := &readFromWriter{ResponseRecorder: httptest.NewRecorder()}
		app.Server.Config.Handler.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
		if w.reads == 0 || w.cookies != 1 || w.Body.Len() != len(content) {
			t.Errorf("%s: ReadFrom was called %d times, with %d cookies set", path, w.reads, w.cookies)
		}
	}
	store.Fail("InsertRecord")
	for _, path := range []string{"/file", "/copy"} {
		if r := app.Client(t).Get(path); r.StatusCode != http.StatusServiceUnavailable || len(r.Text) > 100 || len(r.Cookies()) > 0 {
			t.Errorf("%s, commit fails: %s, %d bytes, cookies %v", path, r.Status, len(r.Text), r.Cookies())
		}
	}
	// A part of a file.
	store.Reset()
	r := app.Client(t).Do(http.MethodGet, "/file", nil, http.Header{"Range": {"bytes=5-9"}})
	if r.StatusCode != http.StatusPartialContent || r.Text != "56789" {
		t.Errorf("range: %s %q", r.Status, r.Text)
	}
}

// upload returns a request with a form so large that parsing puts it into a file.
func upload(t *testing.T, method, target string) *http.Request {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	file, err := form.CreateFormFile("file", "file")
	if err == nil {
		_, err = file.Write(make([]byte, 64<<10))
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = form.Close()
	r := httptest.NewRequestWithContext(t.Context(), method, target, &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	return r
}

// parse parses an upload, and checks that its file is on disk.
func parse(t *testing.T, dir string, r *http.Request) {
	if err := r.ParseMultipartForm(1); err != nil {
		t.Errorf("ParseMultipartForm: %v", err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) == 0 {
		t.Errorf("the form made %d files, %v", len(files), err)
	}
}

// net/http removes the temporary files of its own request. The requests that
// LoadAndSave, guards and Credentials pass on are copies, whose files must be removed,
// too.
func TestTemporaryFilesAreRemoved(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	loader := auth.Credential{Load: func(r *http.Request) (auth.Grant, error) {
		if r.Header.Get("X-Form") != "" {
			parse(t, dir, r)
		}
		return auth.Grant{UserID: r.Header.Get("X-User")}, nil
	}}
	app, store := newApp(t, func(c *auth.Config) {
		c.Credentials = []auth.Credential{loader}
		c.ErrorPage = func(w http.ResponseWriter, r *http.Request, status int, _ error) {
			parse(t, dir, r)
			w.WriteHeader(status)
		}
	})
	u := app.Create(t, "susan", false)
	parses := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { parse(t, dir, r) })
	asks := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { _, _ = app.User(r.Context()) })
	panics := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		parse(t, dir, r)
		panic(http.ErrAbortHandler)
	})
	mux := http.NewServeMux()
	mux.Handle("/{page}", parses)
	outside := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			parse(t, dir, r)
			next.ServeHTTP(w, r)
			if _, err := r.MultipartForm.File["file"][0].Open(); err != nil {
				t.Errorf("the file of a form parsed outside is gone: %v", err)
			}
			_ = r.MultipartForm.RemoveAll()
		})
	}
	for name, test := range map[string]struct {
		handler http.Handler
		header  http.Header
		breaks  bool
	}{
		"a handler":              {handler: app.LoadAndSave(parses)},
		"a panic":                {handler: app.LoadAndSave(panics)},
		"a mux":                  {handler: app.LoadAndSave(mux)},
		"RequireLogin":           {handler: app.LoadAndSave(app.RequireLogin(parses)), header: http.Header{"X-User": {u.ID}}},
		"RequireScope":           {handler: app.LoadAndSave(app.RequireScope("read")(parses)), header: http.Header{"X-User": {u.ID}}},
		"a panic below a scope":  {handler: app.LoadAndSave(app.RequireScope("read")(panics)), header: http.Header{"X-User": {u.ID}}},
		"a loader":               {handler: app.LoadAndSave(asks), header: http.Header{"X-Form": {"1"}}},
		"an error page":          {handler: app.LoadAndSave(parses), header: http.Header{"Sec-Fetch-Site": {"cross-site"}}},
		"a commit that fails":    {handler: app.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { app.SessionData().Put(r.Context(), "k", "v") })), breaks: true},
		"below StripPrefix":      {handler: http.StripPrefix("/x", app.LoadAndSave(parses))},
		"parsed outside":         {handler: outside(app.LoadAndSave(asks))},
		"parsed outside, panics": {handler: recovering(outside(app.LoadAndSave(parses)))},
	} {
		store.Reset()
		if test.breaks {
			store.Fail("InsertRecord")
		}
		r := upload(t, http.MethodPost, "/x")
		for k, v := range test.header {
			r.Header[k] = v
		}
		func() {
			defer func() { _ = recover() }()
			test.handler.ServeHTTP(httptest.NewRecorder(), r)
		}()
		files, err := os.ReadDir(dir)
		if err != nil || len(files) > 0 {
			t.Errorf("%s: %d files are left, %v", name, len(files), err)
		}
		for _, f := range files {
			_ = os.Remove(filepath.Join(dir, f.Name()))
		}
	}
}

// If a body is too large, http.MaxBytesReader tells net/http's own writer. The server
// then closes the connection instead of reading the rest.
func TestTooLargeClosesTheConnection(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	read := func(w http.ResponseWriter, r *http.Request) error {
		_, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 10))
		return err
	}
	app.Mux.HandleFunc("/error", func(w http.ResponseWriter, r *http.Request) { app.Error(w, r, read(w, r)) })
	app.Mux.HandleFunc("/own", func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		_ = r
	})
	app.Mux.HandleFunc("/small", func(w http.ResponseWriter, r *http.Request) {
		if err := read(w, r); err != nil {
			t.Error(err)
		}
	})
	other, _ := newApp(t, nil)
	nested := httptest.NewServer(other.LoadAndSave(app.LoadAndSave(app.Mux)))
	t.Cleanup(nested.Close)
	for _, base := range []string{app.Server.URL, nested.URL} {
		for path, closes := range map[string]bool{"/error": true, "/own": true, "/small": false} {
			body := strings.Repeat("x", 1000)
			if path == "/small" {
				body = "x"
			}
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, base+path, strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			res, err := http.DefaultTransport.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			_ = res.Body.Close()
			if res.Close != closes || closes != (res.StatusCode == http.StatusRequestEntityTooLarge) {
				t.Errorf("%s: %s, and the connection closes: %v", path, res.Status, res.Close)
			}
		}
	}
}

// The handler's request is a copy. It shows what net/http sets later in the original,
// such as trailers. The original shows the pattern that a mux finds inside.
func TestRequestAndItsCopyAgree(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	trailers, patterns := make(chan http.Header, 1), make(chan string, 1)
	app.Mux.HandleFunc("POST /trailer/{id}", func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		trailers <- r.Trailer
		if r.Context().Value(http.ServerContextKey) == nil || r.Context().Value(http.LocalAddrContextKey) == nil {
			t.Error("the server is not in the context")
		}
	})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { patterns <- r.Pattern }()
		app.LoadAndSave(app.Mux).ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	for _, declared := range []string{"Trailer: X-Sum\r\n", ""} {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = fmt.Fprintf(conn, "POST /trailer/7 HTTP/1.1\r\nHost: app\r\n%sConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 12\r\n\r\n", declared)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		_ = conn.Close()
		if res.StatusCode != http.StatusOK {
			t.Fatal(res.Status)
		}
		if got := <-trailers; got.Get("X-Sum") != "12" {
			t.Errorf("%q: the trailer is %v", declared, got)
		}
		if got := <-patterns; got != "POST /trailer/{id}" {
			t.Errorf("the pattern seen outside is %q", got)
		}
	}
}

func TestEveryKindOfAnswerCommits(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	sessions := app.SessionData()
	for name, test := range map[string]struct {
		answer func(http.ResponseWriter)
		status int
		text   string
	}{
		"nothing":     {func(http.ResponseWriter) {}, 200, ""},
		"empty write": {func(w http.ResponseWriter) { _, _ = w.Write(nil) }, 200, ""},
		"204":         {func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) }, 204, ""},
		"304":         {func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotModified) }, 304, ""},
		"redirect":    {func(w http.ResponseWriter) { w.Header().Set("Location", "/x"); w.WriteHeader(http.StatusSeeOther) }, 303, ""},
		"twice": {func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusCreated)
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, "text")
		}, 201, "text"},
		"500":         {func(w http.ResponseWriter) { http.Error(w, "own error", http.StatusInternalServerError) }, 500, "own error"},
		"WriteString": {func(w http.ResponseWriter) { _, _ = io.WriteString(w, "text") }, 200, "text"},
	} {
		path := "/answer/" + strings.ReplaceAll(name, " ", "-")
		app.Mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			sessions.Put(r.Context(), "k", "v")
			test.answer(w)
		})
		for _, method := range []string{"GET", "HEAD", "POST"} {
			c := app.Client(t)
			r := c.Do(method, path, nil, nil)
			text := test.text
			if method == "HEAD" {
				text = ""
			}
			if r.StatusCode != test.status || r.Text != text || len(r.Cookies()) != 1 {
				t.Errorf("%s %s: %s %q, cookies %v", method, name, r.Status, r.Text, r.Cookies())
			}
			if r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("Vary") != "Cookie" {
				t.Errorf("%s %s sets a cookie with %q, Vary %q", method, name, r.Header.Get("Cache-Control"), r.Header.Get("Vary"))
			}
			if got := c.Get("/get?key=k").Text; got != "v" {
				t.Errorf("%s %s: %q was kept", method, name, got)
			}
		}
	}
}

// recovering is a middleware that answers a panic with 500, as applications have it.
func recovering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				http.Error(w, "recovered", http.StatusInternalServerError)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func TestPanics(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", false)
	sessions := app.SessionData()
	var order []string
	mux := http.NewServeMux()
	for _, name := range []string{"put", "login", "renew", "destroy", "written"} {
		mux.HandleFunc("/"+name, func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			switch name {
			case "put":
				sessions.Put(ctx, "k", "panicked")
			case "login":
				_ = app.LoginUser(ctx, u)
			case "renew":
				_ = sessions.RenewToken(ctx)
			case "destroy":
				_ = sessions.Destroy(ctx)
			case "written":
				_, _ = io.WriteString(w, "half")
			}
			order = append(order, name)
			panic("boom")
		})
	}
	mux.HandleFunc("/who", func(w http.ResponseWriter, r *http.Request) {
		if u, ok := app.CurrentUser(r.Context()); ok {
			_, _ = io.WriteString(w, u.Username)
		}
	})
	for where, h := range map[string]http.Handler{
		"inside":  app.LoadAndSave(recovering(mux)),
		"outside": recovering(app.LoadAndSave(mux)),
	} {
		for _, name := range []string{"put", "login", "renew", "destroy", "written"} {
			w := direct(t, h, "GET", "/"+name, nil)
			want := 500
			if name == "written" {
				want = 200
			}
			if w.Code != want || !strings.Contains(w.Body.String(), "recovered") {
				t.Errorf("%s, %s: %d %q", where, name, w.Code, w.Body)
			}
			if where == "outside" && len(w.Header()["Set-Cookie"]) > 0 {
				t.Errorf("%s, %s: a handler that panicked set %v", where, name, w.Header()["Set-Cookie"])
			}
			// The login's record is stored. If the middleware is inside LoadAndSave,
			// the cookie may go out, and then it works.
			cookies := map[string]string{}
			for _, c := range w.Result().Cookies() {
				cookies[c.Name] = c.Value
			}
			if who := direct(t, h, "GET", "/who", cookieHeader(cookies)); who.Code != 200 || (name != "login" || where == "outside") != (who.Body.String() == "") {
				t.Errorf("%s, %s: afterwards %d %q", where, name, who.Code, who.Body)
			}
		}
	}
	if len(order) != 10 {
		t.Errorf("handlers that ran: %v", order)
	}
}

// If the server itself recovers, the connection is cut, and the next one works.
func TestPanicOverHTTP(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	app.Mux.HandleFunc("/panic", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	c := app.Client(t)
	c.Login("susan")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, app.Server.URL+"/panic", nil)
	if err != nil {
		t.Fatal(err)
	}
	if res, err := app.Server.Client().Do(r); err == nil {
		_ = res.Body.Close()
		t.Errorf("an aborted handler answered %s", res.Status)
	}
	if who := c.Who(); who != "susan" {
		t.Errorf("afterwards: %s", who)
	}
}

func TestWrappedTwice(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	app.Create(t, "susan", false)
	app.Server.Config.Handler = app.LoadAndSave(app.LoadAndSave(app.Mux))
	c := app.Client(t)
	c.Login("susan")
	store.Reset()
	if r := c.Post("/put", "key", "k", "value", "v"); r.StatusCode != http.StatusOK || len(r.Cookies()) != 0 {
		t.Errorf("%s %v", r.Status, r.Cookies())
	}
	if calls := store.Calls(); !slices.Equal(calls, []string{"GetRecord", "UpdateRecord"}) {
		t.Errorf("a write is %v", calls)
	}
	if got := c.Get("/get?key=k").Text; got != "v" {
		t.Errorf("get: %q", got)
	}
	if r := c.Get("/guarded"); r.Text != "susan" || len(r.Header["Vary"]) != 1 {
		t.Errorf("guarded: %s, Vary %q", r.Text, r.Header["Vary"])
	}
}

// Of two nested managers, each has its own logins and its own data.
func TestNestedManagers(t *testing.T) {
	t.Parallel()
	outer, _ := newApp(t, func(c *auth.Config) { c.Session.CookieName = "outer" })
	inner, _ := newApp(t, func(c *auth.Config) { c.BaseURL, c.Session.CookieName = "http://localhost:7777", "inner" })
	susan, john := outer.Create(t, "susan", false), inner.Create(t, "john", false)
	outerData, innerData := outer.SessionData(), inner.SessionData()

	step := func(f func(http.ResponseWriter, *http.Request)) http.Handler {
		return outer.LoadAndSave(inner.LoadAndSave(http.HandlerFunc(f)))
	}
	cookies := map[string]string{}
	run := func(name string, h http.Handler) string {
		t.Helper()
		var w *httptest.ResponseRecorder
		func() {
			defer func() {
				if p := recover(); p != nil {
					t.Errorf("%s: panic: %v", name, p)
				}
			}()
			w = direct(t, h, "GET", "/", cookieHeader(cookies))
		}()
		if w == nil {
			return ""
		}
		for _, c := range w.Result().Cookies() {
			if c.MaxAge < 0 {
				delete(cookies, c.Name)
			} else {
				cookies[c.Name] = c.Value
			}
		}
		if w.Code != 200 {
			t.Errorf("%s: %d %s\n%s%s", name, w.Code, w.Body, outer.Logs(), inner.Logs())
		}
		return w.Body.String()
	}

	run("login to both", step(func(_ http.ResponseWriter, r *http.Request) {
		if err := errors.Join(outer.LoginUser(r.Context(), susan), inner.LoginUser(r.Context(), john)); err != nil {
			t.Error(err)
		}
	}))
	who := step(func(w http.ResponseWriter, r *http.Request) {
		a, _ := outer.CurrentUser(r.Context())
		b, _ := inner.CurrentUser(r.Context())
		if a != nil && b != nil {
			_, _ = fmt.Fprint(w, a.Username, " ", b.Username)
		}
	})
	if got := run("who", who); got != "susan john" {
		t.Errorf("logged in: %q", got)
	}
	run("outer data, outside the inner", outer.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		outerData.Put(r.Context(), "outer", "1")
	})))
	run("inner data, alone", inner.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		innerData.Put(r.Context(), "inner", "1")
	})))
	get := step(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, innerData.Keys(r.Context()))
	})
	if got := run("get", get); got != "[inner]" {
		t.Errorf("the inner manager's data inside both is %s", got)
	}
	run("put", step(func(_ http.ResponseWriter, r *http.Request) { innerData.Put(r.Context(), "more", "2") }))
	if got := run("get", get); got != "[inner more]" {
		t.Errorf("the inner manager's data after a Put is %s", got)
	}
	if got := run("outer", outer.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, outerData.Keys(r.Context()))
	}))); got != "[outer]" {
		t.Errorf("the outer manager's data is %s", got)
	}
	// A middleware between the two has used the outer manager's data before.
	if got := run("both", outer.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, outerData.Keys(r.Context()))
		inner.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = fmt.Fprint(w, innerData.Keys(r.Context()))
		})).ServeHTTP(w, r)
	}))); got != "[outer][inner more]" {
		t.Errorf("both managers' data: %s", got)
	}
	// Inside both, each manager's SessionData reads, writes, renews and destroys its
	// own session only.
	run("outer data, inside the inner", step(func(_ http.ResponseWriter, r *http.Request) { outerData.Put(r.Context(), "late", "3") }))
	keys := step(func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, outerData.Keys(r.Context()), innerData.Keys(r.Context()))
	})
	if got := run("keys", keys); got != "[late outer] [inner more]" {
		t.Errorf("inside both, the keys are %s", got)
	}
	before := maps.Clone(cookies)
	run("outer renew", step(func(_ http.ResponseWriter, r *http.Request) {
		if err := outerData.RenewToken(r.Context()); err != nil {
			t.Error(err)
		}
	}))
	if got := run("who", who); got != "susan john" || maps.Equal(cookies, before) {
		t.Errorf("after the outer manager's RenewToken: %q, the cookies %v", got, cookies)
	}
	run("outer destroy", step(func(_ http.ResponseWriter, r *http.Request) {
		if err := outerData.Destroy(r.Context()); err != nil {
			t.Error(err)
		}
	}))
	if got := run("keys", keys); got != "[] [inner more]" {
		t.Errorf("after the outer manager's Destroy, the keys are %s", got)
	}
	if got := run("inner", inner.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, ok := inner.CurrentUser(r.Context()); ok {
			_, _ = fmt.Fprint(w, u.Username)
		}
	}))); got != "john" {
		t.Errorf("the inner manager's user at the end: %q", got)
	}
}

func TestTooLate(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", false)
	sessions := app.SessionData()
	errs := map[string]error{}
	app.Mux.HandleFunc("/late", func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		_, _ = io.WriteString(w, "text")
		errs["LoginUser"] = app.LoginUser(ctx, u)
		errs["Flash"] = app.Flash(ctx, "info", "late")
		sessions.Put(ctx, "k", "late") // is lost, as with scs
		_, _, errs["Commit"] = sessions.Commit(ctx)
		if f := app.Flashes(ctx); len(f) != 0 {
			t.Errorf("Flashes: %v", f)
		}
	})
	c := app.Client(t)
	if r := c.Get("/late"); r.StatusCode != http.StatusOK || r.Text != "text" || len(r.Cookies()) != 0 {
		t.Errorf("%s %q %v", r.Status, r.Text, r.Cookies())
	}
	for name, err := range errs {
		if !errors.Is(err, auth.ErrHeaderWritten) {
			t.Errorf("%s after the header: %v", name, err)
		}
	}
	if who := c.Who(); who != "nobody" {
		t.Errorf("who: %s", who)
	}
	// A login without a cookie must not stay in the store.
	if left, err := app.Store.ListRecords(t.Context(), "session", u.ID); err != nil || len(left) != 0 {
		t.Errorf("records: %v %v", left, err)
	}
	// A client that has a session can still write to it, because no cookie has to be
	// set.
	c.Login("susan")
	if r := c.Get("/late"); r.StatusCode != http.StatusOK || r.Text != "text" {
		t.Errorf("%s %q", r.Status, r.Text)
	}
	if err := errs["Commit"]; err != nil {
		t.Errorf("Commit with a session: %v", err)
	}
	if got := c.Get("/get?key=k").Text; got != "late" {
		t.Errorf("after Commit: %q", got)
	}
}

// A goroutine that outlives its request does no harm.
func TestAfterTheRequest(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", false)
	sessions := app.SessionData()
	over, done := make(chan struct{}), make(chan struct{})
	app.Mux.HandleFunc("/leave", func(_ http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		sessions.Put(ctx, "k", "v")
		go func() {
			defer close(done)
			<-over
			if err := app.LoginUser(ctx, u); err == nil {
				t.Error("LoginUser after the request succeeded")
			}
			sessions.Put(ctx, "k", "w")
			_ = app.Flash(ctx, "", "x")
			_ = app.Flashes(ctx)
			_, _ = app.CurrentUser(ctx)
			_ = sessions.RenewToken(ctx)
			_ = sessions.Destroy(ctx)
			_ = app.LogoutUser(ctx)
		}()
	})
	c := app.Client(t)
	c.Get("/leave")
	close(over)
	<-done
	if r := c.Get("/get?key=k"); r.StatusCode != http.StatusOK || r.Text == "w" {
		t.Errorf("%s %q", r.Status, r.Text)
	}
}

// http.TimeoutHandler writes the header in one goroutine, while the handler goes on and
// logs in in another.
func TestTimeoutHandler(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", false)
	sessions := app.SessionData()
	finished := make(chan struct{})
	app.Mux.Handle("/slow", http.TimeoutHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		defer close(finished)
		sessions.Put(r.Context(), "k", "v")
		<-r.Context().Done()
		_ = app.LoginUser(r.Context(), u)
		sessions.Put(r.Context(), "k", "w")
		_ = app.Flash(r.Context(), "", "x")
		_ = sessions.RenewToken(r.Context())
	}), time.Millisecond, "timeout"))
	app.Mux.Handle("/fast", http.TimeoutHandler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := app.LoginUser(r.Context(), u); err != nil {
			t.Error(err)
		}
	}), time.Minute, "timeout"))
	c := app.Client(t)
	if r := c.Get("/slow"); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("slow: %s", r.Status)
	}
	<-finished
	if r := c.Get("/fast"); r.StatusCode != http.StatusOK || c.Who() != "susan" {
		t.Errorf("fast: %s, %s", r.Status, c.Who())
	}
}

// A handler may write several headers: http.TimeoutHandler gives it one of its own, and so does
// a handler that answers several requests in one. What goes into one is not in another.
func TestHeadersOfTheirOwn(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Mux.HandleFunc("/several", func(w http.ResponseWriter, r *http.Request) {
		first, second := httptest.NewRecorder(), httptest.NewRecorder()
		for w, name := range map[http.ResponseWriter]string{first: "Origin", second: "X-Second", w: "X-Third"} {
			app.Error(w, r, auth.ErrForbidden)
			w.Header().Add("Vary", name)
		}
		if a, b, c := first.Header()["Vary"], second.Header()["Vary"], w.Header()["Vary"]; !slices.Contains(a, "Origin") || !slices.Contains(b, "X-Second") || !slices.Contains(c, "X-Third") {
			t.Errorf("Vary: %q, %q, %q", a, b, c)
		}
	})
	app.Client(t).Get("/several")

	finished := make(chan struct{})
	app.Mux.Handle("/slow", http.TimeoutHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer close(finished)
		_, _ = app.CurrentUser(r.Context())
		<-r.Context().Done()
		app.Error(w, r, auth.ErrForbidden) // while the answer is written: the race detector sees it
	}), time.Millisecond, "timeout"))
	app.Client(t).Get("/slow")
	<-finished
}

func TestOutsideLoadAndSave(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", true)
	other, _ := newApp(t, nil)
	contexts := map[string]context.Context{"none": t.Context()}
	other.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		contexts["another manager's"] = r.Context()
	})).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))

	for name, ctx := range contexts {
		if err := app.LoginUser(ctx, u); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("%s: LoginUser: %v", name, err)
		}
		if err := app.LogoutUser(ctx); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("%s: LogoutUser: %v", name, err)
		}
		if _, err := app.User(ctx); !errors.Is(err, auth.ErrNoSession) || errors.Is(err, auth.ErrNotLoggedIn) {
			t.Errorf("%s: User: %v", name, err)
		}
		if u, ok := app.CurrentUser(ctx); ok || u != nil {
			t.Errorf("%s: CurrentUser: %v", name, u)
		}
		if err := app.Flash(ctx, "a", "b"); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("%s: Flash: %v", name, err)
		}
		if f := app.Flashes(ctx); f != nil {
			t.Errorf("%s: Flashes: %v", name, f)
		}
		if err := app.LoginUser(ctx, nil); err == nil {
			t.Errorf("%s: LoginUser(nil) succeeded", name)
		}
		if app.SessionData() == nil || app.Core == nil {
			t.Errorf("%s: Sessions, Core", name)
		}
		r := httptest.NewRequestWithContext(ctx, "GET", "/guarded", nil)
		w := httptest.NewRecorder()
		app.RequireLogin(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the guarded handler ran") })).ServeHTTP(w, r)
		if w.Code != 500 || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: RequireLogin: %d", name, w.Code)
		}
		// Functions that need no session work.
		if _, err := app.Authenticate(ctx, "susan", testapp.Password); err != nil {
			t.Errorf("%s: Authenticate: %v", name, err)
		}
		token, err := app.ResetToken(ctx, u)
		if err != nil {
			t.Errorf("%s: ResetToken: %v", name, err)
		}
		if _, err := app.CheckResetToken(ctx, token); err != nil {
			t.Errorf("%s: CheckResetToken: %v", name, err)
		}
		if ok, err := app.CheckPassword(ctx, u, testapp.Password); !ok || err != nil {
			t.Errorf("%s: CheckPassword: %v %v", name, ok, err)
		}
		app.Error(httptest.NewRecorder(), r, auth.ErrNotLoggedIn)
		app.Error(httptest.NewRecorder(), r, errStore)
	}
}

// leak is written by the handler, and must not reach the client if the commit fails.
const leak = "the handler's own words"

func TestCommitFails(t *testing.T) {
	t.Parallel()
	answers := map[string]func(http.ResponseWriter, *http.Request){
		"write": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, leak) },
		"WriteHeader": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusCreated)
			_, _ = io.WriteString(w, leak)
		},
		"nothing": func(http.ResponseWriter, *http.Request) {},
		"redirect": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/in")
			w.WriteHeader(http.StatusSeeOther)
		},
		"flush": func(w http.ResponseWriter, _ *http.Request) {
			if err := http.NewResponseController(w).Flush(); err == nil {
				panic("Flush succeeded")
			}
			_, _ = io.WriteString(w, leak)
		},
		"content": func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "x.html", time.Unix(1e9, 0), strings.NewReader(leak))
		},
		"1xx first": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			_, _ = io.WriteString(w, leak)
		},
	}
	for _, page := range []bool{false, true} {
		for _, who := range []string{"visitor", "user"} {
			app, store := newApp(t, func(c *auth.Config) {
				if page {
					c.ErrorPage = func(w http.ResponseWriter, r *http.Request, status int, err error) {
						if !errors.Is(err, errStore) {
							t.Errorf("ErrorPage got %v", err)
						}
						w.Header().Set("Content-Type", "text/x-page")
						w.WriteHeader(status)
						_, _ = fmt.Fprintf(w, "page %d %s", status, r.URL.Path)
					}
				}
			})
			app.Create(t, "susan", false)
			sessions := app.SessionData()
			for name, answer := range answers {
				app.Mux.HandleFunc("/"+strings.ReplaceAll(name, " ", "-"), func(w http.ResponseWriter, r *http.Request) {
					sessions.Put(r.Context(), "k", "v")
					_ = app.Flash(r.Context(), "info", "flash")
					h := w.Header()
					h.Set("Content-Type", "text/html")
					h.Set("Content-Length", fmt.Sprint(len(leak)))
					h.Set("Etag", `"x"`)
					h.Set("Last-Modified", time.Unix(1e9, 0).UTC().Format(http.TimeFormat))
					h.Set("Content-Disposition", "attachment; filename=x")
					h.Set("Content-Encoding", "identity")
					h.Set("Cache-Control", "public, max-age=3600")
					h.Set("Location", "/in")
					h.Add("Set-Cookie", "own=cookie")
					answer(w, r)
				})
			}
			c := app.Client(t)
			if who == "user" {
				c.Login("susan")
			}
			for name := range answers {
				path := "/" + strings.ReplaceAll(name, " ", "-")
				store.Fail("InsertRecord", "UpdateRecord")
				r := c.Get(path)
				h := r.Header
				text := "Service Unavailable"
				if page {
					text = "page 503 " + path
				}
				if r.StatusCode != http.StatusServiceUnavailable || r.Text != text {
					t.Errorf("%s, %s: %s %q", who, name, r.Status, r.Text)
				}
				if h.Get("Cache-Control") != "no-store" || h.Get("Content-Type") == "text/html" {
					t.Errorf("%s, %s: %v", who, name, h)
				}
				for _, gone := range []string{"Etag", "Last-Modified", "Location", "Set-Cookie", "Content-Disposition", "Content-Encoding"} {
					if len(h[gone]) > 0 {
						t.Errorf("%s, %s: the error page has %s: %s", who, name, gone, h[gone])
					}
				}
				if !strings.Contains(app.Logs(), errStore.Error()) {
					t.Errorf("%s, %s: not logged", who, name)
				}
				// The next request works, and nothing half done is left.
				store.Reset()
				if r := c.Get("/get?key=k"); r.StatusCode != http.StatusOK || r.Text != "" {
					t.Errorf("%s, %s: afterwards %s %q", who, name, r.Status, r.Text)
				}
			}
			if who == "user" && c.Who() != "susan" {
				t.Errorf("afterwards %s", c.Who())
			}
			if r := c.Get("/write"); r.StatusCode != http.StatusOK || r.Text != leak[:len(r.Text)] || len(r.Text) == 0 {
				t.Errorf("whole again: %s %q", r.Status, r.Text)
			}
		}
	}
}

// Other headers that redirect a browser, or describe the page.
func TestCommitFailsDropsHeaders(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	headers := map[string]string{
		"Hx-Redirect": "/in", "Hx-Location": "/in", "Hx-Push-Url": "/in", "Refresh": "0; url=/in",
		"Expires": "Thu, 01 Dec 2094 16:00:00 GMT", "Content-Language": "de", "Content-Location": "/in",
	}
	app.Mux.HandleFunc("/login-page", func(w http.ResponseWriter, r *http.Request) {
		app.SessionData().Put(r.Context(), "k", "v")
		for k, v := range headers {
			w.Header().Set(k, v)
		}
	})
	app.Server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Strict-Transport-Security", "max-age=1") // set by a middleware around LoadAndSave, for every answer
		app.LoadAndSave(app.Mux).ServeHTTP(w, r)
	})
	store.Fail("InsertRecord")
	r := app.Client(t).Get("/login-page")
	for k := range headers {
		if v := r.Header.Get(k); v != "" {
			t.Errorf("the error page has %s: %s", k, v)
		}
	}
	if r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Strict-Transport-Security") == "" {
		t.Errorf("%s %v", r.Status, r.Header)
	}
}

func TestStoreFailsAtTheRead(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, nil)
	app.Create(t, "susan", false)
	user, visitor := app.Client(t), app.Client(t)
	user.Login("susan")
	visitor.Post("/put", "key", "k", "value", "v")
	stale := app.Client(t)
	for name := range user.Cookies {
		stale.Cookies[name] = strings.Repeat("A", 43)
	}
	store.Fail("GetRecord")
	for name, c := range map[string]*testapp.Client{"user": user, "visitor": visitor, "stale": stale} {
		if r := c.Get("/"); r.StatusCode != http.StatusOK || r.Text != "public" || len(r.Cookies()) != 0 {
			t.Errorf("%s, a page that asks for nothing: %s %q %v", name, r.Status, r.Text, r.Header)
		}
		for _, path := range []string{"/who", "/guarded", "/get?key=k"} {
			r := c.Get(path)
			if r.StatusCode != http.StatusServiceUnavailable || r.Text != "Service Unavailable" || r.Header.Get("Retry-After") == "" || len(r.Cookies()) != 0 || r.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s, %s: %s %q %v", name, path, r.Status, r.Text, r.Header)
			}
		}
		if r := c.Post("/put", "key", "k", "value", "w"); r.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s, put: %s", name, r.Status)
		}
	}
	none := app.Client(t)
	if r := none.Get("/"); r.Text != "public" || none.Who() != "nobody" {
		t.Errorf("without a cookie: %s, %s", r.Status, none.Who())
	}
	if r := none.Get("/guarded"); r.StatusCode != http.StatusSeeOther {
		t.Errorf("without a cookie: %s", r.Status)
	}
	store.Reset()
	if user.Who() != "susan" || visitor.Get("/get?key=k").Text != "v" {
		t.Errorf("whole again: %s, %s", user.Who(), visitor.Get("/get?key=k").Text)
	}
	// The user store fails.
	store.Fail("LoadUser")
	if r := user.Get("/guarded"); r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Location") != "" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("guarded without users: %s %v", r.Status, r.Header)
	}
	if r := user.Get("/"); r.Text != "public" {
		t.Errorf("a page that does not ask for the user: %s", r.Status)
	}
	store.Reset()
	if user.Who() != "susan" {
		t.Errorf("whole again: %s", user.Who())
	}
	// "Last seen" cannot be written.
	app.Clock.Advance(5 * time.Minute)
	store.Fail("UpdateRecord")
	if r := user.Get("/guarded"); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("touch fails: %s %s", r.Status, r.Text)
	}
}

func TestCancelledRequests(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	u := app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	cookies := cookieHeader(c.Cookies)
	var cancel context.CancelFunc
	var act func(ctx context.Context) error
	app.Mux.HandleFunc("/act", func(w http.ResponseWriter, r *http.Request) {
		if err := act(r.Context()); err != nil {
			app.Error(w, r, err)
		}
	})
	run := func(header http.Header, f func(context.Context) error) *httptest.ResponseRecorder {
		act = f
		var ctx context.Context
		ctx, cancel = context.WithCancel(t.Context())
		defer cancel()
		r := httptest.NewRequestWithContext(ctx, "GET", "/act", nil)
		for k, v := range header {
			r.Header[k] = v
		}
		w := httptest.NewRecorder()
		app.Server.Config.Handler.ServeHTTP(w, r)
		return w
	}
	app.Events()
	if w := run(nil, func(ctx context.Context) error { cancel(); return app.LoginUser(ctx, u) }); w.Code != 503 || len(w.Header()["Set-Cookie"]) > 0 {
		t.Errorf("login of a client that has gone: %d %v", w.Code, w.Header())
	}
	if records, err := app.Store.ListRecords(t.Context(), "session", u.ID); err != nil || len(records) != 1 {
		t.Errorf("records: %d %v", len(records), err)
	}
	for _, e := range app.Events() {
		if e.Kind == auth.EventLoginSucceeded {
			t.Errorf("event %v", e)
		}
	}
	// Data that was written before is stored.
	w := run(cookies, func(ctx context.Context) error {
		app.SessionData().Put(ctx, "k", "v")
		cancel()
		return nil
	})
	if w.Code != 200 {
		t.Errorf("put: %d %s", w.Code, w.Body)
	}
	if got := c.Get("/get?key=k").Text; got != "v" {
		t.Errorf("put: %q", got)
	}
	w = run(cookies, func(ctx context.Context) error { cancel(); return app.LogoutUser(ctx) })
	if w.Code != 200 || c.Who() != "nobody" {
		t.Errorf("logout: %d, %s", w.Code, c.Who())
	}
	// If the request was cancelled before it began, the answer is never the anonymous
	// page.
	ctx, stop := context.WithCancel(t.Context())
	stop()
	c.Login("susan")
	r := httptest.NewRequestWithContext(ctx, "GET", "/who", nil)
	r.Header = cookieHeader(c.Cookies)
	rec := httptest.NewRecorder()
	app.Server.Config.Handler.ServeHTTP(rec, r)
	if rec.Code != 503 || strings.Contains(rec.Body.String(), "nobody") {
		t.Errorf("cancelled before: %d %s", rec.Code, rec.Body)
	}
}

// Raw request lines that net/http's client cannot send.
func TestHostileRequestLines(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, atAppExample)
	mux := http.NewServeMux()
	mux.Handle("/", app.RequireLogin(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the guarded handler ran") })))
	for name, h := range map[string]http.Handler{
		"bare":     app.LoadAndSave(app.RequireLogin(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the guarded handler ran") }))),
		"ServeMux": app.LoadAndSave(mux),
	} {
		server := httptest.NewServer(h)
		t.Cleanup(server.Close)
		for _, target := range []string{
			"//evil.example/x", "///evil.example/x", "////evil.example", "/\\evil.example", "/\\/evil.example", "\\\\evil.example",
			"/%2f%2fevil.example", "/%2Fevil.example", "/%5cevil.example", "/%5C%5Cevil.example", "/%09/evil.example",
			"/%0d%0aLocation:%20//evil.example", "/%00", "/./\\evil.example", "/x/../\\evil.example", "/x/..//evil.example",
			"/;@evil.example", "/@evil.example", "/x?//evil.example", "/x?next=//evil.example", "/x?\\\\evil.example",
			"/\xe2\x80\xa8//evil.example", "/caf\xe9", "/x?q=caf\xe9\xff", "/x?a=\"<script>", "/x#f", "/.//evil.example", "/x?a\tb",
			"http://evil.example/x", "http://evil.example//evil.example/x", "https://evil.example/x?a=1", "http://evil.example", "http://evil.example?x",
			"http://app.example@evil.example/x", "//app.example@evil.example/", "javascript:alert(1)", "http:evil.example", "http:/evil.example", "http:///evil.example/x", "*", "evil.example",
		} {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: app.example\r\nX-Forwarded-Host: evil.example\r\nConnection: close\r\n\r\n", target)
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Errorf("%s: %q: %v", name, target, err)
				_ = conn.Close()
				continue
			}
			location := res.Header.Get("Location")
			_ = res.Body.Close()
			_ = conn.Close()
			switch {
			case res.StatusCode >= 400 && res.StatusCode < 500:
			case res.StatusCode == http.StatusMovedPermanently || res.StatusCode == http.StatusTemporaryRedirect: // ServeMux cleans the path
				if name == "bare" {
					t.Errorf("%s: %q: %s %s", name, target, res.Status, location)
				}
			case res.StatusCode != http.StatusSeeOther:
				t.Errorf("%s: %q: %s", name, target, res.Status)
			default:
				u, err := url.Parse(location)
				if err != nil || u.Host != "" || u.Path != "/login" {
					t.Errorf("%s: %q: Location %q", name, target, location)
					continue
				}
				if next := u.Query().Get("next"); u.Query().Has("next") {
					if host := browserHost("https://app.example/login", next); host != "app.example" {
						t.Errorf("%s: %q: next %q leads to %q", name, target, next, host)
					}
					if auth.ParseNext(next).String() != next {
						t.Errorf("%s: %q: next %q is not one", name, target, next)
					}
				}
			}
		}
	}
}

func TestCaching(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	app.Mux.HandleFunc("GET /flashes", func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, app.Flashes(r.Context())) })
	app.Mux.HandleFunc("POST /flash", func(_ http.ResponseWriter, r *http.Request) { _ = app.Flash(r.Context(), "info", "hello") })
	app.Mux.HandleFunc("GET /own", func(w http.ResponseWriter, r *http.Request) {
		_, _ = app.CurrentUser(r.Context())
		w.Header().Set("Cache-Control", "private, max-age=5")
	})
	app.Mux.HandleFunc("GET /error", func(w http.ResponseWriter, r *http.Request) { app.Error(w, r, errStore) })
	app.Mux.Handle("GET /guarded-silent", app.RequireLogin(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
	anonymous, user := app.Client(t), app.Client(t)
	user.Login("susan")
	user.Post("/put", "key", "k", "value", "mine")
	for _, test := range []struct {
		who         *testapp.Client
		path        string
		cache, vary string
	}{
		{anonymous, "/", "", ""},
		{user, "/", "", ""},
		{anonymous, "/who", "", "Cookie"},
		{user, "/who", "no-store", "Cookie"},
		{user, "/guarded", "no-store", "Cookie"},
		{user, "/guarded-silent", "no-store", "Cookie"},
		{anonymous, "/guarded", "no-store", "Accept; Cookie"}, // a page to go to, or a Problem
		{anonymous, "/get?key=k", "", "Cookie"},
		{user, "/get?key=k", "no-store", "Cookie"},    // for this user only
		{anonymous, "/flashes", "no-store", "Cookie"}, // the guard's message
		{anonymous, "/flashes", "", "Cookie"},
		{user, "/own", "private, max-age=5", "Cookie"},
		{anonymous, "/error", "no-store", "Accept"},
		{user, "/error", "no-store", "Accept"},
	} {
		who := "anonymous"
		if test.who == user {
			who = "user"
		}
		r := test.who.Get(test.path)
		if r.Header.Get("Cache-Control") != test.cache || strings.Join(r.Header["Vary"], "; ") != test.vary {
			t.Errorf("%s %s: Cache-Control %q, Vary %q", who, test.path, r.Header.Get("Cache-Control"), r.Header["Vary"])
		}
	}
	if r := anonymous.Post("/flash"); r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("flash: %v", r.Header)
	}
	if r := anonymous.Get("/flashes"); r.Header.Get("Cache-Control") != "no-store" || r.Text != "[{info hello}]" {
		t.Errorf("flashes: %s %v", r.Text, r.Header)
	}
}

// Requests of anonymous visitors, refusals, failures, and requests that change nothing
// leave no record and set no cookie.
func TestUnchangedRequestsStoreNothing(t *testing.T) {
	app, spy := newApp(t, nil)
	app.Create(t, "susan", true)
	app.Mux.HandleFunc("GET /idle", func(_ http.ResponseWriter, r *http.Request) {
		s := app.SessionData()
		s.Put(r.Context(), "a", "1")
		s.Remove(r.Context(), "a") // changed, and changed back
	})
	spy.Reset()
	c := app.Client(t)
	for _, path := range []string{"/", "/who", "/guarded", "/get?key=x", "/idle"} {
		r := c.Get(path)
		for _, cookie := range r.Cookies() { // a guard's message needs no record
			if path != "/guarded" || !strings.HasSuffix(cookie.Name, "-flash") {
				t.Errorf("%s set the cookie %s", path, cookie.Name)
			}
		}
	}
	if r := c.Post("/logout"); len(r.Header["Set-Cookie"]) > 0 {
		t.Error("the logout of an anonymous visitor set a cookie")
	}
	if n := spy.Writes(); n > 0 {
		t.Errorf("%d writes for an anonymous visitor: %v", n, spy.Calls())
	}
	for _, login := range []string{"susan", "nobody", "a b", "susan@app.example"} { // failed logins are counted, but not in a cookie
		if r := c.Post("/login", "login", login, "password", "a wrong password"); len(r.Header["Set-Cookie"]) > 0 {
			t.Errorf("a failed login as %s set a cookie", login)
		}
	}

	c.Login("susan")
	spy.Reset()
	for _, path := range []string{"/", "/who", "/guarded", "/get?key=x", "/idle"} {
		spy.Reset()
		if r := c.Get(path); len(r.Header["Set-Cookie"]) > 0 {
			t.Errorf("%s set a cookie for a user", path)
		}
		gets, loads := 0, 0
		for _, call := range spy.Calls() {
			switch call {
			case "GetRecord":
				gets++
			case "LoadUser":
				loads++
			}
		}
		if gets != 1 || loads > 1 || spy.Writes() != 0 {
			t.Errorf("%s cost %v, want one get and at most one load", path, spy.Calls())
		}
	}
}

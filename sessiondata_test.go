package auth_test

import (
	"context"
	"encoding/gob"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// Data that is written after the first byte of the body is stored if there is a session
// already. If there is none, the log says that it is lost.
func TestDataWrittenLate(t *testing.T) {
	t.Parallel()
	late := map[string]func(w http.ResponseWriter, r *http.Request, write func()){
		"after a body": func(w http.ResponseWriter, _ *http.Request, write func()) {
			_, _ = w.Write([]byte("page"))
			write()
		},
		"after a flush": func(w http.ResponseWriter, _ *http.Request, write func()) {
			_ = http.NewResponseController(w).Flush()
			write()
		},
		"before a panic": func(w http.ResponseWriter, _ *http.Request, write func()) {
			_, _ = w.Write([]byte("page"))
			_ = http.NewResponseController(w).Flush()
			write()
			panic(http.ErrAbortHandler)
		},
		"after a hijack": func(w http.ResponseWriter, _ *http.Request, write func()) {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			write()
			_, _ = rw.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
			_ = rw.Flush()
			_ = conn.Close()
		},
	}
	writes := map[string]func(s *auth.SessionData, ctx context.Context){
		"Put":    func(s *auth.SessionData, ctx context.Context) { s.Put(ctx, "k", "new") },
		"Remove": func(s *auth.SessionData, ctx context.Context) { s.Remove(ctx, "k") },
		"Pop":    func(s *auth.SessionData, ctx context.Context) { _ = s.PopString(ctx, "k") },
		"Clear":  func(s *auth.SessionData, ctx context.Context) { _ = s.Clear(ctx) },
		"twice":  func(s *auth.SessionData, ctx context.Context) { s.Put(ctx, "k", "x"); s.Put(ctx, "k", "new") },
	}
	for when, handle := range late {
		for what, write := range writes {
			for _, who := range []string{"susan", "a visitor", "nobody"} {
				app, _ := newApp(t, nil)
				app.Create(t, "susan", false)
				sessions := app.Sessions()
				done := make(chan struct{})
				inner := app.Server.Config.Handler
				app.Server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path == "/late" {
						defer close(done)
					}
					inner.ServeHTTP(w, r)
				})
				app.Mux.HandleFunc("POST /late", func(w http.ResponseWriter, r *http.Request) {
					sessions.Put(r.Context(), "early", "1")
					handle(w, r, func() { write(sessions, r.Context()) })
				})
				if who == "nobody" {
					app.Mux.HandleFunc("POST /latest", func(w http.ResponseWriter, r *http.Request) {
						handle(w, r, func() { sessions.Put(r.Context(), "k", "new") })
					})
				}
				c := app.Client(t)
				if who == "susan" {
					c.Login("susan")
				}
				if who != "nobody" {
					c.Post("/put", "key", "k", "value", "old")
				}
				path := "/late"
				if who == "nobody" {
					path = "/latest"
				}
				r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, app.Server.URL+path, nil)
				if err != nil {
					t.Fatal(err)
				}
				for name, value := range c.Cookies {
					r.AddCookie(&http.Cookie{Name: name, Value: value})
				}
				if res, err := c.HTTP.Do(r); err == nil {
					_ = res.Body.Close()
				}
				if who == "nobody" {
					app.Server.Close() // when the handler has returned
					if !strings.Contains(app.Logs(), "is lost") || !strings.Contains(app.Logs(), "level=ERROR") {
						t.Errorf("%s, %s, %s: the log does not say that it is lost: %s", when, what, who, app.Logs())
					}
					continue
				}
				<-done
				want := ""
				if what == "Put" || what == "twice" {
					want = "new"
				}
				if got := c.Get("/get?key=k").Text; got != want || strings.Contains(app.Logs(), "is lost") {
					t.Errorf("%s, %s, %s: the data is %q, want %q\n%s", when, what, who, got, want, app.Logs())
				}
			}
		}
	}
}

// Nor is it lost without a word if the session was ended meanwhile, by this request or
// another, or could not be read.
func TestDataWrittenTooLate(t *testing.T) {
	t.Parallel()
	for _, why := range []string{"ended here", "ended elsewhere", "ended elsewhere, and known", "outage"} {
		app, store := hookedApp(t, nil)
		u := app.Create(t, "susan", false)
		sessions := app.Sessions()
		done := make(chan error, 1)
		app.Mux.HandleFunc("POST /late", func(w http.ResponseWriter, r *http.Request) {
			ctx := r.Context()
			_, _ = w.Write([]byte("page"))
			switch why {
			case "ended here":
				_ = app.LogoutUser(ctx)
			case "ended elsewhere":
				_ = app.LogoutEverywhere(context.WithoutCancel(t.Context()), u)
			case "ended elsewhere, and known":
				_ = app.LogoutEverywhere(context.WithoutCancel(t.Context()), u)
				sessions.Put(ctx, "other", "v")
				_, _, _ = sessions.Commit(ctx)
			}
			sessions.Put(ctx, "k", "v")
			_, _, err := sessions.Commit(ctx)
			done <- err
		})
		c := app.Client(t)
		c.Login("susan")
		if why == "outage" {
			store.hook(func(string) error { return errStore }, nil)
		}
		if r := c.Post("/late"); r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", why, r.Status)
		}
		if err := <-done; err == nil {
			t.Errorf("%s: Commit returns no error", why)
		}
		app.Server.Close() // when the handler has returned
		if !strings.Contains(app.Logs(), "is lost") {
			t.Errorf("%s: the log does not say that it is lost: %s", why, app.Logs())
		}
	}
}

// Each session has a name of its own, which is no key to anything.
func TestSessionDataToken(t *testing.T) {
	t.Parallel()
	app := newDataApp(t, nil)
	app.Create(t, "susan", false)
	seen := map[string]bool{}
	names := func(c *testapp.Client) (name string) {
		app.do(t, c, func(ctx context.Context) {
			name = app.sessions.Token(ctx)
			committed, expires, err := app.sessions.Commit(ctx)
			if err != nil || committed != name || expires.Before(app.Clock.Now()) {
				t.Errorf("Commit: %q %v %v, Token: %q", committed, expires, err, name)
			}
		})
		for _, value := range c.Cookies {
			if name != "" && strings.Contains(value, name) {
				t.Error("the name is the cookie's value")
			}
		}
		return name
	}
	for range 3 {
		for _, who := range []string{"susan", "nobody"} {
			c := app.Client(t)
			if name := names(c); name != "" {
				t.Errorf("without a session the name is %q", name)
			}
			if who != "nobody" {
				c.Login(who)
			}
			c.Post("/put", "key", "k", "value", "v")
			first := names(c)
			if first == "" || seen[first] || names(c) != first {
				t.Errorf("the name %q is not the session's own", first)
			}
			seen[first] = true
			c.Post("/renew")
			if second := names(c); second == first || second == "" {
				t.Errorf("after RenewToken the name is %q", second)
			}
		}
	}
}

// A moody value cannot be read or written in some moods.
type moody struct{ Mood string }

func (m moody) GobEncode() ([]byte, error) {
	switch m.Mood {
	case "panics when written":
		panic("the secret of " + m.Mood)
	case "fails when written":
		return nil, errors.New("in a bad mood")
	}
	return []byte(m.Mood), nil
}

func (m *moody) GobDecode(b []byte) error {
	switch m.Mood = string(b); m.Mood {
	case "panics when read":
		panic("the secret of " + m.Mood)
	case "panics at run time when read":
		n := len(b)
		m.Mood = string(b[n : n+1 : n])
	case "fails when read":
		return errors.New("in a bad mood")
	}
	return nil
}

var registerMoody = sync.OnceFunc(func() { gob.Register(moody{}) })

// A value that fails or panics when it is read breaks only itself, and stays in the
// record.
func TestValuesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	registerMoody()
	for _, mood := range []string{"fails when read", "panics when read", "panics at run time when read"} {
		for _, key := range []string{"a first", "m in the middle", "z last"} {
			app := newDataApp(t, nil)
			u := app.Create(t, "susan", false)
			c := app.Client(t)
			c.Login("susan")
			app.do(t, c, func(ctx context.Context) {
				app.sessions.Put(ctx, "b", "1")
				app.sessions.Put(ctx, "n", moody{"fine"})
				app.sessions.Put(ctx, key, moody{mood})
			})
			stored := func() bool {
				records, err := app.Store.ListRecords(t.Context(), "session", u.ID)
				if err != nil || len(records) != 1 {
					t.Fatal(records, err)
				}
				return strings.Contains(string(records[0].Data), mood)
			}
			app.Events()
			if keys := app.keys(t, c); !slices.Equal(keys, []string{"b", "n"}) || c.Who() != "susan" {
				t.Errorf("%s, %s: the keys are %q", mood, key, keys)
			}
			events := app.Events()
			if !slices.Contains(kinds(events), auth.EventSessionDamaged) {
				t.Errorf("%s: events %v", mood, events)
			}
			for _, e := range events {
				if e.Err != nil && (strings.Contains(e.Err.Error(), "secret") || !strings.Contains(e.Err.Error(), key)) {
					t.Errorf("%s: %v", mood, e.Err)
				}
			}
			app.do(t, c, func(ctx context.Context) { app.sessions.Put(ctx, "b", "2"); app.sessions.Remove(ctx, "n") })
			app.do(t, c, func(ctx context.Context) { _ = app.sessions.RenewToken(ctx) })
			if keys := app.keys(t, c); !slices.Equal(keys, []string{"b"}) || !stored() || c.Get("/get?key=b").Text != "2" {
				t.Errorf("%s, %s: afterwards the keys are %q, and it is in the record: %v", mood, key, keys, stored())
			}
			app.do(t, c, func(ctx context.Context) { app.sessions.Put(ctx, key, "mine now") })
			if stored() || !slices.Contains(app.keys(t, c), key) {
				t.Errorf("%s, %s: the key cannot be written", mood, key)
			}
		}
	}
}

// A value that cannot be written is an error that names it, and no panic.
func TestValuesThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	registerMoody()
	for _, mood := range []string{"fails when written", "panics when written"} {
		app := newDataApp(t, nil)
		app.Create(t, "susan", false)
		c := app.Client(t)
		c.Login("susan")
		c.Post("/put", "key", "k", "value", "v")
		app.f = func(ctx context.Context) {
			app.sessions.Put(ctx, "k", "w")
			app.sessions.Put(ctx, "the odd key", moody{mood})
			if _, _, err := app.sessions.Commit(ctx); err == nil || !strings.Contains(err.Error(), "the odd key") {
				t.Errorf("%s: Commit: %v", mood, err)
			}
		}
		if r := c.Post("/do"); r.StatusCode != http.StatusInternalServerError {
			t.Errorf("%s: %s", mood, r.Status)
		}
		if logs := app.Logs(); !strings.Contains(logs, "the odd key") || strings.Contains(logs, "the secret") {
			t.Errorf("%s: the log: %s", mood, logs)
		}
		if c.Get("/get?key=k").Text != "v" || c.Who() != "susan" {
			t.Errorf("%s: afterwards %q", mood, c.Get("/get?key=k").Text)
		}
	}
}

// What works does so whatever functions are called in the binary: nothing reads the call
// stack, where a build without names says something else.
func TestNothingReadsTheCallStack(t *testing.T) {
	t.Parallel()
	files := 0
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files++
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			pkg, ok := call.X.(*ast.Ident)
			if name := call.Sel.Name; ok && (pkg.Name == "runtime" && (strings.HasPrefix(name, "Caller") || name == "FuncForPC" || name == "Stack") || pkg.Name == "debug" && name == "Stack") {
				t.Errorf("%s calls %s.%s", path, pkg.Name, name)
			}
			return true
		})
		return nil
	})
	if err != nil || files < 30 {
		t.Fatal(files, err)
	}
}

// Deadline is when the session ends, and not what scs thinks.
func TestSessionDataDeadline(t *testing.T) {
	t.Parallel()
	app := newDataApp(t, func(c *auth.Config) { c.IdleTimeout = 10 * time.Minute })
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	began := app.Clock.Now()
	app.Clock.Advance(5 * time.Minute)
	app.do(t, c, func(ctx context.Context) {
		app.sessions.SetDeadline(ctx, began.Add(1000*time.Hour))
		if got := app.sessions.Deadline(ctx); !got.Equal(began.Add(15 * time.Minute)) {
			t.Errorf("the deadline is %v", got)
		}
	})
}

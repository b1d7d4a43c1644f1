package auth_test

import (
	"bytes"
	"context"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alexedwards/scs/v2"
	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
)

// Data written after the first byte of the body is stored if a session exists already.
// If none exists, the log says that the data is lost.
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
				sessions := app.SessionData()
				done := make(chan struct{})
				inner := app.Server.Config.Handler
				app.Server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if strings.HasPrefix(r.URL.Path, "/late") { // /late or /latest
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
					<-done // a server that closes does not wait for a hijacked request
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

// The log also says so if the session was ended meanwhile, by this request or another,
// or could not be read.
func TestLostDataIsLogged(t *testing.T) {
	t.Parallel()
	for _, why := range []string{"ended here", "ended elsewhere", "ended elsewhere, and known", "outage"} {
		app, store := newApp(t, nil)
		u := app.Create(t, "susan", false)
		sessions := app.SessionData()
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
			store.Hook(func(string) error { return errStore }, nil)
		}
		if r := c.Post("/late"); r.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", why, r.Status)
		}
		if err := <-done; err == nil {
			t.Errorf("%s: Commit returns no error", why)
		}
		app.Server.Close() // after the handler has returned
		if !strings.Contains(app.Logs(), "is lost") {
			t.Errorf("%s: the log does not say that it is lost: %s", why, app.Logs())
		}
	}
}

// SessionData.Token returns a text of its own for each session. It is no token and
// opens nothing.
func TestSessionDataToken(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	seen := map[string]bool{}
	names := func(c *testapp.Client) (name string) {
		do(t, app, c, func(ctx context.Context) {
			name = app.SessionData().Token(ctx)
			committed, expires, err := app.SessionData().Commit(ctx)
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

// A moody value fails or panics when it is read or written, depending on its Mood.
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

// If a value fails or panics when it is read, only that value is affected. It stays in
// the record.
func TestValuesThatCannotBeRead(t *testing.T) {
	t.Parallel()
	registerMoody()
	for _, mood := range []string{"fails when read", "panics when read", "panics at run time when read"} {
		for _, key := range []string{"a first", "m in the middle", "z last"} {
			app, _ := newApp(t, nil)
			u := app.Create(t, "susan", false)
			c := app.Client(t)
			c.Login("susan")
			do(t, app, c, func(ctx context.Context) {
				app.SessionData().Put(ctx, "b", "1")
				app.SessionData().Put(ctx, "n", moody{"fine"})
				app.SessionData().Put(ctx, key, moody{mood})
			})
			stored := func() bool {
				records, err := app.Store.ListRecords(t.Context(), "session", u.ID)
				if err != nil || len(records) != 1 {
					t.Fatal(records, err)
				}
				return strings.Contains(string(records[0].Data), mood)
			}
			app.Events()
			if keys := keys(t, app, c); !slices.Equal(keys, []string{"b", "n"}) || c.Who() != "susan" {
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
			do(t, app, c, func(ctx context.Context) { app.SessionData().Put(ctx, "b", "2"); app.SessionData().Remove(ctx, "n") })
			do(t, app, c, func(ctx context.Context) { _ = app.SessionData().RenewToken(ctx) })
			if keys := keys(t, app, c); !slices.Equal(keys, []string{"b"}) || !stored() || c.Get("/get?key=b").Text != "2" {
				t.Errorf("%s, %s: afterwards the keys are %q, and it is in the record: %v", mood, key, keys, stored())
			}
			do(t, app, c, func(ctx context.Context) { app.SessionData().Put(ctx, key, "mine now") })
			if stored() || !slices.Contains(keys(t, app, c), key) {
				t.Errorf("%s, %s: the key cannot be written", mood, key)
			}
		}
	}
}

// A value that cannot be written causes an error that names it, and no panic.
func TestValuesThatCannotBeWritten(t *testing.T) {
	t.Parallel()
	registerMoody()
	for _, mood := range []string{"fails when written", "panics when written"} {
		app, _ := newApp(t, nil)
		app.Create(t, "susan", false)
		c := app.Client(t)
		c.Login("susan")
		c.Post("/put", "key", "k", "value", "v")
		act := app.Page(func(_ http.ResponseWriter, r *http.Request) {
			ctx := r.Context()

			app.SessionData().Put(ctx, "k", "w")
			app.SessionData().Put(ctx, "the odd key", moody{mood})
			if _, _, err := app.SessionData().Commit(ctx); err == nil || !strings.Contains(err.Error(), "the odd key") {
				t.Errorf("%s: Commit: %v", mood, err)
			}
		})
		if r := c.Post(act); r.StatusCode != http.StatusInternalServerError {
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

// No function reads the call stack: in a build without function names the answer would
// differ.
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

// Deadline returns when the session ends, whatever scs has stored.
func TestSessionDataDeadline(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) { c.Session.IdleTimeout = 10 * time.Minute })
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	began := app.Clock.Now()
	app.Clock.Advance(5 * time.Minute)
	do(t, app, c, func(ctx context.Context) {
		app.SessionData().SetDeadline(ctx, began.Add(1000*time.Hour))
		if got := app.SessionData().Deadline(ctx); !got.Equal(began.Add(15 * time.Minute)) {
			t.Errorf("the deadline is %v", got)
		}
	})
}

func TestSessionValues(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	s := app.SessionData()
	when := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	for _, who := range []string{"nobody", "susan"} {
		c, other := app.Client(t), app.Client(t)
		if who != "nobody" {
			c.Login(who)
		}
		put := func(ctx context.Context) {
			s.Put(ctx, "string", "text\x00\xff")
			s.Put(ctx, "bool", true)
			s.Put(ctx, "int", -7)
			s.Put(ctx, "int64", int64(1)<<60)
			s.Put(ctx, "int32", int32(-1))
			s.Put(ctx, "float", 1.5)
			s.Put(ctx, "bytes", []byte{0, 255})
			s.Put(ctx, "time", when)
			s.Put(ctx, "nil", nil)
			s.Put(ctx, "", "empty key")
			s.Put(ctx, "strings", []string{"a"})
			s.Put(ctx, "twice", 1)
			s.Put(ctx, "twice", 2)
		}
		check := func(ctx context.Context) {
			if s.GetString(ctx, "string") != "text\x00\xff" || !s.GetBool(ctx, "bool") || s.GetInt(ctx, "int") != -7 || s.GetInt64(ctx, "int64") != 1<<60 ||
				s.GetInt32(ctx, "int32") != -1 || s.GetFloat(ctx, "float") != 1.5 || !bytes.Equal(s.GetBytes(ctx, "bytes"), []byte{0, 255}) ||
				!s.GetTime(ctx, "time").Equal(when) || s.Get(ctx, "nil") != nil || !s.Exists(ctx, "nil") || s.GetString(ctx, "") != "empty key" || s.GetInt(ctx, "twice") != 2 {
				t.Errorf("%s: values differ", who)
			}
			if v, ok := s.Get(ctx, "strings").([]string); !ok || !slices.Equal(v, []string{"a"}) {
				t.Errorf("%s: %v", who, s.Get(ctx, "strings"))
			}
			if got := fmt.Sprintf("%q", s.Keys(ctx)); got != `["" "bool" "bytes" "float" "int" "int32" "int64" "nil" "string" "strings" "time" "twice"]` {
				t.Errorf("%s: keys %s", who, got)
			}
			if s.Exists(ctx, "none") || s.Get(ctx, "none") != nil || s.GetString(ctx, "int") != "" {
				t.Errorf("%s: a missing key exists", who)
			}
		}
		r := do(t, app, c, func(ctx context.Context) { put(ctx); check(ctx) })
		if n := len(r.Cookies()); (n == 1) != (who == "nobody") {
			t.Errorf("%s: cookies %v", who, r.Cookies())
		}
		app.Spy().Reset()
		if r := do(t, app, c, check); len(r.Cookies()) != 0 {
			t.Errorf("%s: reading sets %v", who, r.Cookies())
		}
		if calls := app.Spy().Calls(); !slices.Equal(calls, []string{"GetRecord"}) {
			t.Errorf("%s: reading calls %v", who, calls)
		}
		app.Spy().Reset()
		if r := do(t, app, c, put); len(r.Cookies()) != 0 {
			t.Errorf("%s: the same again sets %v", who, r.Cookies())
		}
		if calls := app.Spy().Calls(); !slices.Equal(calls, []string{"GetRecord"}) {
			t.Errorf("%s: putting the same values again calls %v", who, calls)
		}
		if keys := keys(t, app, other); len(keys) > 0 {
			t.Errorf("%s: another browser has %v", who, keys)
		}
		do(t, app, c, func(ctx context.Context) {
			if s.PopString(ctx, "string") == "" || s.PopInt(ctx, "int") != -7 || !s.PopBool(ctx, "bool") || s.PopFloat(ctx, "float") != 1.5 ||
				s.PopBytes(ctx, "bytes") == nil || !s.PopTime(ctx, "time").Equal(when) || s.Pop(ctx, "strings") == nil || s.Pop(ctx, "none") != nil {
				t.Errorf("%s: Pop", who)
			}
			s.Remove(ctx, "twice")
			s.Remove(ctx, "none")
			s.Remove(ctx, "")
		})
		if got := keys(t, app, c); !slices.Equal(got, []string{"int32", "int64", "nil"}) {
			t.Errorf("%s: after Pop and Remove %q", who, got)
		}
		do(t, app, c, func(ctx context.Context) { _ = s.Clear(ctx) })
		if got := keys(t, app, c); len(got) != 0 || c.Who() != who {
			t.Errorf("%s: after Clear %q, %s", who, got, c.Who())
		}
	}
}

// All sequences of three session operations in a request end like a simple model of
// them, for a visitor and for a logged-in user.
func TestSessionModel(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	s := app.SessionData()
	users := map[string]*testapp.User{"susan": app.Create(t, "susan", false), "john": app.Create(t, "john", false)}
	type model struct {
		user string
		data map[string]bool
	}
	operations := map[string]struct {
		do    func(ctx context.Context) error
		model func(m *model)
	}{
		"renew":   {func(ctx context.Context) error { return s.RenewToken(ctx) }, func(*model) {}},
		"destroy": {func(ctx context.Context) error { return s.Destroy(ctx) }, func(m *model) { m.user = "nobody"; clear(m.data) }},
		"clear":   {func(ctx context.Context) error { return s.Clear(ctx) }, func(m *model) { clear(m.data) }},
		"put":     {func(ctx context.Context) error { s.Put(ctx, "new", "1"); return nil }, func(m *model) { m.data["new"] = true }},
		"commit":  {func(ctx context.Context) error { _, _, err := s.Commit(ctx); return err }, func(*model) {}},
		"user":    {func(ctx context.Context) error { _, _ = app.CurrentUser(ctx); return nil }, func(*model) {}},
		"logout": {app.LogoutUser, func(m *model) {
			if m.user != "nobody" {
				m.user = "nobody"
				clear(m.data)
			}
		}},
	}
	for name, u := range users {
		operations["login "+name] = struct {
			do    func(ctx context.Context) error
			model func(m *model)
		}{func(ctx context.Context) error { return app.LoginUser(ctx, u) }, func(m *model) {
			if m.user != "nobody" && m.user != name {
				clear(m.data)
			}
			m.user = name
		}}
	}
	var names []string
	for name := range operations {
		names = append(names, name)
	}
	slices.Sort(names)
	var sequences [][]string
	for _, a := range names {
		sequences = append(sequences, []string{a})
		for _, b := range names {
			sequences = append(sequences, []string{a, b})
			for _, c := range names {
				sequences = append(sequences, []string{a, b, c})
			}
		}
	}
	var within func(ctx context.Context) error
	h := app.LoadAndSave(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := within(r.Context()); err != nil {
			app.Error(w, r, err)
		}
	}))
	// run sends a request. It updates the cookies and returns what they were before.
	run := func(cookies map[string]string, f func(ctx context.Context) error) (old map[string]string, code int) {
		old = map[string]string{}
		for k, v := range cookies {
			old[k] = v
		}
		within = f
		w := direct(t, h, "POST", "/", cookieHeader(cookies))
		for _, c := range w.Result().Cookies() {
			if c.MaxAge < 0 {
				delete(cookies, c.Name)
			} else {
				cookies[c.Name] = c.Value
			}
		}
		return old, w.Code
	}
	look := func(cookies map[string]string) string {
		var seen string
		if _, code := run(cookies, func(ctx context.Context) error {
			who := "nobody"
			if u, ok := app.CurrentUser(ctx); ok {
				who = u.Username
			}
			seen = fmt.Sprint(who, " ", s.Keys(ctx))
			return nil
		}); code != 200 {
			return fmt.Sprint("status ", code)
		}
		return seen
	}
	failures := 0
	for _, start := range []string{"nobody", "susan"} {
		for _, sequence := range sequences {
			if failures > 30 {
				t.Fatal("and more")
			}
			cookies := map[string]string{}
			run(cookies, func(ctx context.Context) error {
				s.Put(ctx, "old", "1")
				if start != "nobody" {
					return app.LoginUser(ctx, users[start])
				}
				return nil
			})
			want := model{start, map[string]bool{"old": true}}
			within := ""
			old, code := run(cookies, func(ctx context.Context) error {
				for _, name := range sequence {
					if err := operations[name].do(ctx); err != nil {
						return fmt.Errorf("%s: %w", name, err)
					}
					operations[name].model(&want)
				}
				// The request itself sees what the next one will see.
				who := "nobody"
				if u, ok := app.CurrentUser(ctx); ok {
					who = u.Username
				}
				within = fmt.Sprint(who, " ", s.Keys(ctx))
				return nil
			})
			expected := []string{}
			for k := range want.data {
				expected = append(expected, k)
			}
			slices.Sort(expected)
			model := fmt.Sprint(want.user, " ", expected)
			if got := look(cookies); got != model || code != 200 || within != model {
				failures++
				t.Errorf("%s: %v: %d, within the request %s, afterwards %s, want %s", start, sequence, code, within, got, model)
			}
			// After a rotation and its grace period the old cookie is dead.
			rotates := slices.ContainsFunc(sequence, func(n string) bool {
				return n == "renew" || n == "destroy" || strings.HasPrefix(n, "login") || n == "logout" && start != "nobody"
			})
			if slices.Contains(sequence, "renew") {
				app.Clock.Advance(time.Minute)
			}
			if got := look(old); rotates && got != "nobody []" {
				failures++
				t.Errorf("%s: %v: the old cookie is %s", start, sequence, got)
			}
			for name, u := range users {
				records, err := app.Store.ListRecords(t.Context(), "session", u.ID)
				n := 0
				if want.user == name {
					n = 1
				}
				if err != nil || len(records) != n {
					failures++
					t.Errorf("%s: %v: %d records of %s, want %d", start, sequence, len(records), name, n)
				}
				if err := app.Store.DeleteRecords(t.Context(), "session", u.ID); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// In the request that renews the token, the keys are the application's own.
func TestKeysAfterRenewToken(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	do(t, app, c, func(ctx context.Context) {
		app.SessionData().Put(ctx, "k", "v")
		if err := app.SessionData().RenewToken(ctx); err != nil {
			t.Error(err)
		}
		if keys := app.SessionData().Keys(ctx); !slices.Equal(keys, []string{"k"}) {
			t.Errorf("keys after RenewToken: %q", keys)
		}
	})
	if keys := keys(t, app, c); !slices.Equal(keys, []string{"k"}) {
		t.Errorf("keys in the next request: %q", keys)
	}
}

func TestRenewTokenDoesNotExtend(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"nobody", "susan"} {
		app, _ := newApp(t, func(c *auth.Config) { c.Session.IdleTimeout = -1; c.Session.Lifetime = 24 * time.Hour })
		app.Create(t, "susan", false)
		c := app.Client(t)
		if who != "nobody" {
			c.Login(who)
		}
		do(t, app, c, func(ctx context.Context) { app.SessionData().Put(ctx, "k", "v") })
		for range 47 {
			app.Clock.Advance(29 * time.Minute)
			old := c.Clone()
			r := do(t, app, c, func(ctx context.Context) {
				app.SessionData().Lifetime = 1000 * time.Hour
				app.SessionData().SetDeadline(ctx, app.Clock.Now().Add(1000*time.Hour))
				if err := app.SessionData().RenewToken(ctx); err != nil {
					t.Error(err)
				}
				app.SessionData().SetDeadline(ctx, app.Clock.Now().Add(1000*time.Hour))
			})
			if len(r.Cookies()) != 1 || c.Who() != who || c.Get("/get?key=k").Text != "v" {
				t.Fatalf("%s: %v %s %s", who, r.Cookies(), c.Who(), c.Get("/get?key=k").Text)
			}
			app.Clock.Advance(time.Minute)
			if old.Get("/get?key=k").Text == "v" || old.Who() != "nobody" {
				t.Fatalf("%s: the old cookie lives", who)
			}
		}
		app.Clock.Advance(30*time.Minute - time.Second)
		if c.Get("/get?key=k").Text != "v" {
			t.Errorf("%s: ended early", who)
		}
		app.Clock.Advance(time.Second)
		if c.Get("/get?key=k").Text != "" || c.Who() != "nobody" {
			t.Errorf("%s: lives on after its lifetime", who)
		}
	}
}

func TestSessionsIsACopy(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	if a, b := app.SessionData(), app.SessionData(); a == b {
		t.Error("Sessions returns the same manager twice")
	}
	mine := app.SessionData()
	mine.Lifetime, mine.IdleTimeout = time.Nanosecond, time.Nanosecond
	mine.HashTokenInStore = true
	mine.Cookie.Name, mine.Cookie.Persist = "mine", true
	mine.ErrorFunc = func(http.ResponseWriter, *http.Request, error) { t.Error("ErrorFunc") }
	c := app.Client(t)
	c.Login("susan")
	do(t, app, c, func(ctx context.Context) {
		mine.Put(ctx, "k", "v")
		mine.RememberMe(ctx, true)
		mine.SetDeadline(ctx, time.Unix(0, 0))
		_ = mine.Deadline(ctx)
		_ = mine.Token(ctx)
		_ = mine.Status(ctx)
		if _, _, err := mine.Commit(ctx); err != nil {
			t.Error(err)
		}
	})
	if c.Who() != "susan" || c.Get("/get?key=k").Text != "v" {
		t.Errorf("%s %q", c.Who(), c.Get("/get?key=k").Text)
	}
	if r := do(t, app, c, func(ctx context.Context) { _ = mine.RenewToken(ctx) }); len(r.Cookies()) != 1 || r.Cookies()[0].MaxAge != 0 || !strings.HasPrefix(r.Cookies()[0].Name, "session") {
		t.Errorf("%v", r.Cookies())
	}
	if c.Who() != "susan" {
		t.Errorf("who: %s", c.Who())
	}
	// The application sees nothing of the library's in the session.
	do(t, app, c, func(ctx context.Context) {
		if keys := mine.Keys(ctx); !slices.Equal(keys, []string{"__rememberMe", "k"}) {
			t.Errorf("keys %q", keys)
		}
	})
}

func TestMergeSession(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	app.Create(t, "john", false)
	susan, john, visitor := app.Client(t), app.Client(t), app.Client(t)
	susan.Login("susan")
	john.Login("john")
	for _, c := range []*testapp.Client{susan, john, visitor} {
		do(t, app, c, func(ctx context.Context) { app.SessionData().Put(ctx, "k", "mine") })
	}
	do(t, app, susan, func(ctx context.Context) { app.SessionData().Put(ctx, "secret", "susan's") })
	for _, c := range []*testapp.Client{john, visitor} {
		for _, cookie := range append(susan.Issued, visitor.Issued...) {
			for _, hash := range []bool{false, true} {
				do(t, app, c, func(ctx context.Context) {
					m := app.SessionData()
					m.HashTokenInStore = hash
					if err := m.MergeSession(ctx, cookie.Value); !errors.Is(err, errors.ErrUnsupported) {
						t.Error(err)
					}
					if m.Exists(ctx, "secret") {
						t.Error("the data of another user's session was merged in")
					}
				})
			}
		}
	}
	if susan.Who() != "susan" || susan.Get("/get?key=secret").Text != "susan's" || john.Who() != "john" || john.Get("/get?key=k").Text != "mine" || visitor.Get("/get?key=k").Text != "mine" {
		t.Error("a merge has changed a session")
	}
}

func TestIterate(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	see := func(ctx context.Context) {
		if err := app.SessionData().Iterate(ctx, func(context.Context) error { t.Error("Iterate sees a session"); return nil }); !errors.Is(err, errors.ErrUnsupported) {
			t.Error(err)
		}
	}
	do(t, app, c, see)
	see(t.Context())
}

func TestSCSMiddleware(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	susan := app.Create(t, "susan", false)
	s := app.SessionData()
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/login":
			if err := app.LoginUser(r.Context(), susan); err != nil {
				app.Error(w, r, err)
				return
			}
		case "/put":
			s.Put(r.Context(), "k", "v")
		case "/renew":
			_ = s.RenewToken(r.Context())
		case "/destroy":
			_ = s.Destroy(r.Context())
		case "/get":
			u, _ := app.CurrentUser(r.Context())
			_, _ = fmt.Fprint(w, s.GetString(r.Context(), "k"), u != nil)
		}
	})
	// Inside the LoadAndSave of the Manager, that of scs is superfluous and does no
	// harm.
	both := app.LoadAndSave(s.LoadAndSave(inner))
	cookies := map[string]string{}
	send := func(h http.Handler, path string) *httptest.ResponseRecorder {
		w := direct(t, h, "POST", path, cookieHeader(cookies))
		for _, c := range w.Result().Cookies() {
			if c.MaxAge < 0 {
				delete(cookies, c.Name)
			} else {
				cookies[c.Name] = c.Value
			}
		}
		return w
	}
	for _, step := range []struct{ path, want string }{
		{"/put", ""}, {"/get", "vfalse"}, {"/login", ""}, {"/get", "vtrue"}, {"/renew", ""}, {"/get", "vtrue"}, {"/put", ""}, {"/destroy", ""}, {"/get", "false"},
	} {
		if w := send(both, step.path); w.Code != 200 || w.Body.String() != step.want {
			t.Errorf("inside: %s: %d %q, want %q", step.path, w.Code, w.Body, step.want)
		}
	}
	// SessionData has a LoadAndSave of its own, which also works alone.
	cookies = map[string]string{}
	alone := s.LoadAndSave(inner)
	for _, step := range []struct{ path, want string }{{"/put", ""}, {"/login", ""}, {"/get", "vtrue"}, {"/destroy", ""}, {"/get", "false"}} {
		if w := send(alone, step.path); w.Code != 200 || w.Body.String() != step.want {
			t.Errorf("alone: %s: %d %q, want %q", step.path, w.Code, w.Body, step.want)
		}
	}
	// Outside the LoadAndSave of the Manager.
	cookies = map[string]string{}
	outside := s.LoadAndSave(app.LoadAndSave(inner))
	for _, step := range []struct{ path, want string }{{"/put", ""}, {"/get", "vfalse"}, {"/login", ""}, {"/get", "vtrue"}, {"/destroy", ""}, {"/get", "false"}} {
		if w := send(outside, step.path); w.Code >= 500 {
			t.Logf("outside: %s: %d (an error is fine)", step.path, w.Code)
			break
		} else if w.Body.String() != step.want {
			t.Errorf("outside: %s: %d %q, want %q", step.path, w.Code, w.Body, step.want)
		}
	}
}

// All operations at once, in the goroutines of one request.
func TestManyGoroutinesOfOneRequest(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	users := []*testapp.User{app.Create(t, "susan", false), app.Create(t, "john", false)}
	s := app.SessionData()
	finish(t, func() {
		c := app.Client(t)
		for round := range 30 {
			if round%3 > 0 {
				c.Login("susan")
			}
			do(t, app, c, func(ctx context.Context) {
				var wg sync.WaitGroup
				for i, f := range []func(i int){
					func(int) { _ = s.RenewToken(ctx) },
					func(int) { _ = s.Destroy(ctx) },
					func(i int) { s.Put(ctx, fmt.Sprint(i), i) },
					func(int) { _ = s.Get(ctx, "x") },
					func(int) { _ = s.Keys(ctx) },
					func(int) { _, _ = app.CurrentUser(ctx) },
					func(i int) { _ = app.LoginUser(ctx, users[i%2]) },
					func(int) { _ = app.LogoutUser(ctx) },
					func(int) { _, _, _ = s.Commit(ctx) },
					func(int) { _ = s.Clear(ctx) },
					func(i int) { _ = app.Flash(ctx, "a", fmt.Sprint(i)) },
					func(int) { _ = app.Flashes(ctx) },
				} {
					if round%3 == 2 && i < 2 {
						continue
					}
					for j := range 2 {
						wg.Go(func() { f(j) })
					}
				}
				wg.Wait()
			})
			if who := c.Who(); who != "nobody" && who != "susan" && who != "john" {
				t.Errorf("afterwards: %s", who)
			}
		}
		// A logout ends the session in every case.
		c.Post("/logout")
		if who := c.Who(); who != "nobody" {
			t.Errorf("after the logout: %s", who)
		}
	})
}

// Parallel requests that write different keys of one session all succeed, and no value
// is lost.
func TestParallelWriters(t *testing.T) {
	t.Parallel()
	for _, who := range []string{"nobody", "susan"} {
		for _, n := range []int{2, 50} {
			app, _ := newApp(t, nil)
			app.Create(t, "susan", false)
			c := app.Client(t)
			if who != "nobody" {
				c.Login(who)
			}
			c.Post("/put", "key", "first", "value", "1")
			var arrived sync.WaitGroup
			arrived.Add(n)
			app.Mux.HandleFunc("POST /meet", func(_ http.ResponseWriter, r *http.Request) {
				app.SessionData().Put(r.Context(), r.PostFormValue("key"), r.PostFormValue("key"))
				if r.PostFormValue("key") == "key0" {
					app.SessionData().Remove(r.Context(), "first")
				}
				arrived.Done()
				arrived.Wait() // all requests have loaded the same session
			})
			var wg sync.WaitGroup
			for i := range n {
				other := c.Clone()
				wg.Go(func() {
					if r := other.Post("/meet", "key", fmt.Sprint("key", i)); r.StatusCode != http.StatusOK || len(r.Cookies()) != 0 {
						t.Errorf("%s: writer %d of %d: %s %v", who, i, n, r.Status, r.Cookies())
					}
				})
			}
			wg.Wait()
			keys := keys(t, app, c)
			if len(keys) != n || slices.Contains(keys, "first") {
				t.Errorf("%s: of %d writers' keys there are %d", who, n, len(keys))
			}
			if c.Who() != who {
				t.Errorf("who: %s", c.Who())
			}
		}
	}
}

// The same with a map in the session, whose encoding differs each time. A request that
// does not change the map must not undo the change of another request.
func TestParallelWritersAndAMap(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	cart := func(n int) map[string]string {
		m := map[string]string{}
		for i := range n {
			m[fmt.Sprint("item", i)] = "1"
		}
		return m
	}
	registerOnce()
	do(t, app, c, func(ctx context.Context) { app.SessionData().Put(ctx, "cart", cart(20)) })
	other := c.Clone()
	app.Mux.HandleFunc("POST /slow", func(_ http.ResponseWriter, r *http.Request) {
		app.SessionData().Put(r.Context(), "x", "1")
		do(t, app, other, func(ctx context.Context) { app.SessionData().Put(ctx, "cart", cart(30)) })
	})
	if r := c.Post("/slow"); r.StatusCode != http.StatusOK {
		t.Errorf("%s", r.Status)
	}
	do(t, app, c, func(ctx context.Context) {
		if m, ok := app.SessionData().Get(ctx, "cart").(map[string]string); !ok || len(m) != 30 || app.SessionData().GetString(ctx, "x") != "1" {
			t.Errorf("the cart has %d items, x is %q", len(m), app.SessionData().GetString(ctx, "x"))
		}
	})
}

func TestUnregisteredType(t *testing.T) {
	t.Parallel()
	type unregistered struct{ Secret string }
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	for _, who := range []string{"nobody", "susan"} {
		c := app.Client(t)
		if who != "nobody" {
			c.Login(who)
		}
		do(t, app, c, func(ctx context.Context) { app.SessionData().Put(ctx, "k", "v") })
		act := app.Page(func(_ http.ResponseWriter, r *http.Request) {
			ctx := r.Context()

			app.SessionData().Put(ctx, "k", "w")
			app.SessionData().Put(ctx, "the odd key", unregistered{"not for the log"})
		})
		if r := c.Post(act); r.StatusCode != http.StatusInternalServerError || len(r.Cookies()) > 0 {
			t.Errorf("%s: %s", who, r.Status)
		}
		if !strings.Contains(app.Logs(), "the odd key") || strings.Contains(app.Logs(), "not for the log") {
			t.Errorf("%s: the log: %s", who, app.Logs())
		}
		if c.Get("/get?key=k").Text != "v" || c.Who() != who {
			t.Errorf("%s: afterwards %q", who, c.Get("/get?key=k").Text)
		}
	}
}

// A value of a later version's type is kept in the record, and the other values work.
func TestValuesOfALaterVersion(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	susan := app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	do(t, app, c, func(ctx context.Context) { app.SessionData().Put(ctx, "k", "v") })
	record := func() auth.Record {
		records, err := app.Store.ListRecords(t.Context(), "session", susan.ID)
		if err != nil || len(records) != 1 {
			t.Fatal(records, err)
		}
		return records[0]
	}
	r := record()
	const future = "\x02zz\x07\x50future"
	r.Data = append(bytes.Clone(r.Data), future...)
	if err := app.Store.UpdateRecord(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	app.Events()
	if got := keys(t, app, c); !slices.Equal(got, []string{"k"}) || c.Who() != "susan" {
		t.Errorf("%q %s", got, c.Who())
	}
	if k := kinds(app.Events()); !slices.Contains(k, auth.EventSessionDamaged) || slices.Contains(k, auth.EventLoginRevoked) {
		t.Errorf("events %v", k)
	}
	do(t, app, c, func(ctx context.Context) { app.SessionData().Put(ctx, "k", "w"); app.SessionData().Put(ctx, "more", 1) })
	do(t, app, c, func(ctx context.Context) { _ = app.SessionData().RenewToken(ctx) })
	do(t, app, c, func(ctx context.Context) { app.SessionData().Remove(ctx, "more") })
	if !bytes.HasSuffix(record().Data, []byte(future)) {
		t.Errorf("the record is now %q", record().Data)
	}
	if got := keys(t, app, c); !slices.Equal(got, []string{"k"}) {
		t.Errorf("%q", got)
	}
	do(t, app, c, func(ctx context.Context) { app.SessionData().Put(ctx, "zz", "mine now") })
	if c.Get("/get?key=zz").Text != "mine now" {
		t.Error("the key cannot be written")
	}
}

// JSON handlers marshal users and sessions. The output contains nothing of the session.
func TestSessionsCannotBePrinted(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Create(t, "susan", true)
	c := app.Client(t)
	c.Login("susan")
	do(t, app, c, func(ctx context.Context) {
		u, _ := app.CurrentUser(ctx)
		b, err := json.Marshal(u)
		text := fmt.Sprintf("%s %+v %#v %v", b, u, u, *u)
		if err != nil || strings.Contains(text, "$argon2id") || strings.Contains(text, "stamp of") {
			t.Errorf("%s %v", text, err)
		}
	})
}

// SessionManager is a wrapper around SessionData, as an application may write one.
type SessionManager struct{ *auth.SessionData }

// RenewToken replaces the session by an empty anonymous one.
func (m *SessionManager) RenewToken(ctx context.Context) error { return m.Destroy(ctx) }

// Destroy logs the user out, also if a wrapper calls it.
func TestDestroyByAWrapper(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	old := c.Clone()
	do(t, app, c, func(ctx context.Context) {
		if err := (&SessionManager{app.SessionData()}).RenewToken(ctx); err != nil {
			t.Error(err)
		}
	})
	if c.Who() != "nobody" || old.Who() != "nobody" {
		t.Errorf("after Destroy: %s, with the old cookie %s", c.Who(), old.Who())
	}
}

// SessionData declares a method for each method of scs.SessionManager, with the same
// signature. If a new version of scs adds a method, it would be promoted, and would
// panic.
func TestSessionDataCoversSCS(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]bool{}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || strings.HasSuffix(path, "_test.go") {
				continue
			}
			if star, ok := f.Recv.List[0].Type.(*ast.StarExpr); ok {
				if name, ok := star.X.(*ast.Ident); ok && name.Name == "SessionData" {
					own[f.Name.Name] = true
				}
			}
		}
	}
	signature := func(m reflect.Method) string {
		_, text, _ := strings.Cut(m.Type.String(), "SessionManager")
		if text == "" {
			_, text, _ = strings.Cut(m.Type.String(), "SessionData")
		}
		return strings.TrimPrefix(text, ", ")
	}
	theirs, ours := reflect.TypeFor[*scs.SessionManager](), reflect.TypeFor[*auth.SessionData]()
	for want := range theirs.Methods() {
		got, ok := ours.MethodByName(want.Name)
		if !ok || !own[want.Name] {
			t.Errorf("SessionData has no %s of its own", want.Name)
		}
		if signature(got) != signature(want) {
			t.Errorf("%s: func(%s, scs has func(%s", want.Name, signature(got), signature(want))
		}
	}
	if theirs.NumMethod() < 30 {
		t.Errorf("scs has %d methods", theirs.NumMethod())
	}
}

// Every method works with the context of a request. Methods of the embedded manager
// would not find the data there.
func TestSessionDataFindsTheData(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	sessions := app.SessionData()
	app.Create(t, "susan", false)
	called := 0
	call := func(ctx context.Context, receiver any, name string) (panics any) {
		defer func() { panics = recover() }()
		f := reflect.ValueOf(receiver).MethodByName(name)
		var args []reflect.Value
		for in := range f.Type().Ins() {
			switch in {
			case reflect.TypeFor[context.Context]():
				args = append(args, reflect.ValueOf(ctx))
			case reflect.TypeFor[http.ResponseWriter]():
				args = append(args, reflect.ValueOf(httptest.NewRecorder()))
			case reflect.TypeFor[any]():
				args = append(args, reflect.ValueOf("value"))
			default:
				args = append(args, reflect.Zero(in))
			}
		}
		f.Call(args)
		called++
		return nil
	}
	for _, who := range []string{"susan", "nobody"} {
		c := app.Client(t)
		if who != "nobody" {
			c.Login(who)
		}
		do(t, app, c, func(ctx context.Context) { sessions.Put(ctx, "k", "v") })
		for m := range reflect.TypeFor[*scs.SessionManager]().Methods() {
			do(t, app, c.Clone(), func(ctx context.Context) {
				if p := call(ctx, sessions, m.Name); p != nil {
					t.Errorf("%s: %s: %v", who, m.Name, p)
				}
			})
		}
		if do(t, app, c, func(ctx context.Context) {
			if p := call(ctx, sessions.SessionManager, "Keys"); p != "scs: no session data in context" {
				t.Errorf("%s: the embedded Keys: %v", who, p)
			}
		}); who == "nobody" && c.Who() != who {
			t.Errorf("who: %s", c.Who())
		}
	}
	if called < 2*30 {
		t.Errorf("%d calls", called)
	}
}

// Status is Modified only if something may have to be stored. So a page that looks for
// a missing value costs no encoding.
func TestSessionDataStatus(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, nil)
	s := app.SessionData()
	app.Create(t, "susan", false)
	c := app.Client(t)
	c.Login("susan")
	do(t, app, c, func(ctx context.Context) { s.Put(ctx, "k", "v") })
	do(t, app, c, func(ctx context.Context) {
		check := func(after string, want scs.Status) {
			t.Helper()
			if got := s.Status(ctx); got != want {
				t.Errorf("after %s the status is %v, want %v", after, got, want)
			}
		}
		_ = s.Keys(ctx)
		check("Keys", scs.Unmodified)
		_ = s.PopString(ctx, "none")
		check("Pop of nothing", scs.Unmodified)
		s.Remove(ctx, "none")
		check("Remove of nothing", scs.Unmodified)
		_ = s.PopString(ctx, "k")
		check("Pop", scs.Modified)
		if err := s.Destroy(ctx); err != nil {
			t.Error(err)
		}
		check("Destroy", scs.Destroyed)
		s.Put(ctx, "k", "w")
		check("Destroy and Put", scs.Modified)
	})
}

// Code that takes a *scs.SessionManager works with a context of Load.
func TestSessionDataForCodeOfSCS(t *testing.T) {
	t.Parallel()
	registerOnce()
	for _, who := range []string{"susan", "nobody"} {
		app, _ := newApp(t, nil)
		sessions := app.SessionData()
		app.Create(t, "susan", false)
		theirs := sessions.SessionManager
		in := func(ctx context.Context) context.Context {
			t.Helper()
			ctx, err := sessions.Load(ctx, "")
			if err != nil {
				t.Fatal(err)
			}
			return ctx
		}
		c := app.Client(t)
		if who != "nobody" {
			c.Login(who)
		}
		get := func(key string) (value string) {
			do(t, app, c, func(ctx context.Context) { value = sessions.GetString(ctx, key) })
			return value
		}
		do(t, app, c, func(ctx context.Context) {
			sessions.Put(ctx, "ours", "1")
			lent := in(ctx)
			theirs.Put(lent, "theirs", "2")
			if theirs.GetString(lent, "ours") != "1" || sessions.GetString(ctx, "theirs") != "2" || sessions.GetString(lent, "theirs") != "2" {
				t.Errorf("%s: one manager does not see the other's values", who)
			}
			if u, ok := app.CurrentUser(lent); ok != (who == "susan") {
				t.Errorf("%s: the user is %v", who, u)
			}
		})
		if get("ours") != "1" || get("theirs") != "2" {
			t.Errorf("%s: afterwards %q and %q", who, get("ours"), get("theirs"))
		}
		app.Spy().Reset()
		do(t, app, c, func(ctx context.Context) { _ = theirs.GetString(in(ctx), "theirs") })
		if calls := app.Spy().Calls(); !slices.Equal(calls, []string{"GetRecord"}) {
			t.Errorf("%s: reading calls %v", who, calls)
		}
		do(t, app, c, func(ctx context.Context) {
			lent := in(ctx)
			theirs.Put(lent, "theirs", "3")
			if _, _, err := theirs.Commit(lent); err != nil {
				t.Error(err)
			}
			other := ""
			do(t, app, c.Clone(), func(ctx context.Context) { other = sessions.GetString(ctx, "theirs") })
			if other != "3" {
				t.Errorf("%s: after Commit another request reads %q", who, other)
			}
		})
		app.Mux.HandleFunc("POST /late", func(w http.ResponseWriter, r *http.Request) {
			lent := in(r.Context())
			_, _ = w.Write([]byte("page"))
			_ = http.NewResponseController(w).Flush()
			theirs.Put(lent, "late", "4")
		})
		if r := c.Post("/late"); r.Text != "page" || get("late") != "4" {
			t.Errorf("%s: the value that was put late is %q", who, get("late"))
		}
		for name, end := range map[string]func(context.Context) error{"Destroy": theirs.Destroy, "RenewToken": theirs.RenewToken} {
			c := app.Client(t)
			if who != "nobody" {
				c.Login(who)
			}
			do(t, app, c, func(ctx context.Context) { sessions.Put(ctx, "k", "v") })
			old := c.Clone()
			do(t, app, c, func(ctx context.Context) {
				if err := end(in(ctx)); err != nil {
					t.Error(err)
				}
			})
			if c.Who() != "nobody" || old.Who() != "nobody" || old.Get("/get?key=k").Text != "" {
				t.Errorf("%s: after %s: %s, %s, %q", who, name, c.Who(), old.Who(), old.Get("/get?key=k").Text)
			}
		}
	}
	// Outside a request, Load returns empty data.
	app, _ := newApp(t, nil)
	sessions := app.SessionData()
	for _, token := range []string{"", "x", "the session of the request"} {
		ctx, err := sessions.Load(t.Context(), token)
		if err != nil {
			t.Fatal(err)
		}
		if keys := sessions.Keys(ctx); len(keys) > 0 {
			t.Errorf("outside LoadAndSave: %q", keys)
		}
		if _, _, err := sessions.Commit(ctx); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("Commit outside LoadAndSave: %v", err)
		}
		if err := sessions.Destroy(ctx); !errors.Is(err, auth.ErrNoSession) {
			t.Errorf("Destroy outside LoadAndSave: %v", err)
		}
	}
}

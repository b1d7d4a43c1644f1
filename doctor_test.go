package auth_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/internal/cgroup"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/totp"
)

// A plainStore is a store that is no Diagnoser.
type plainStore struct {
	auth.UserStore[*testapp.User]
	auth.RecordStore
}

func newPlainStore() plainStore {
	m := memstore.New[testapp.User]()
	return plainStore{m, m}
}

// wellSetUp is a configuration that Doctor finds nothing wrong with, if the store is a
// plainStore.
func wellSetUp() auth.Config {
	cfg := goodConfig()
	cfg.Mailer, cfg.Factors = &testapp.Outbox{}, []auth.Factor{totp.New(), totp.RecoveryCodes()}
	cfg.Password.HashParams = authtest.HashParams()
	return cfg
}

// codesOf returns the codes of findings, with their severities. It also checks their texts.
func codesOf(t *testing.T, found []auth.Finding) (codes []string) {
	t.Helper()
	for _, f := range found {
		codes = append(codes, f.Severity.String()+" "+string(f.Code))
		for _, text := range []string{f.Text, f.Fix} {
			if !strings.HasSuffix(text, ".") || text[:1] != strings.ToUpper(text[:1]) {
				t.Errorf("%s: %q is not a sentence", f.Code, text)
			}
			for _, secret := range wellSetUp().Secrets {
				if strings.Contains(text, string(secret)) {
					t.Errorf("%s: %q has a secret", f.Code, text)
				}
			}
		}
		if line := f.String(); !strings.Contains(line, f.Text) || !strings.Contains(line, f.Fix) || strings.Contains(line, "\n") {
			t.Errorf("String: %q", line)
		}
	}
	return codes
}

// wantFindings compares what Doctor finds, in this order. Findings about the machine that
// the test runs on are left out.
func wantFindings(t *testing.T, core *auth.Core, want ...string) []auth.Finding {
	t.Helper()
	found := slices.DeleteFunc(core.Doctor(t.Context()), func(f auth.Finding) bool {
		return f.Code == auth.FindingProcessorsFewer || f.Code == auth.FindingMemoryTooLittle
	})
	if got := codesOf(t, found); !slices.Equal(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
	return found
}

func TestDoctorFindsNothing(t *testing.T) {
	t.Parallel()
	m, err := auth.New[*testapp.User](newPlainStore(), wellSetUp())
	if err != nil {
		t.Fatal(err)
	}
	wantFindings(t, m.Core)
	// Nor after a request as it should be.
	r := httptest.NewRequestWithContext(t.Context(), "GET", "https://app.example/", nil)
	r.Header.Set("X-Forwarded-Proto", "https")
	m.LoadAndSave(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
	wantFindings(t, m.Core)
	// Nor if a router with a writer of its own is outside, or writes nothing.
	for _, h := range []http.Handler{http.NotFoundHandler(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})} {
		m.LoadAndSave(h).ServeHTTP(&keptWriter{ResponseWriter: httptest.NewRecorder()}, r)
	}
	wantFindings(t, m.Core)
	// Development on the loopback, in memory.
	cfg := wellSetUp()
	cfg.BaseURL = "http://localhost:8080"
	m, err = auth.New(memstore.New[testapp.User](), cfg)
	if err != nil {
		t.Fatal(err)
	}
	m.LoadAndSave(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	wantFindings(t, m.Core)
	// An application that has no addresses needs no Mailer.
	cfg = wellSetUp()
	cfg.Mailer = nil
	named, err := auth.New[*testapp.User](struct {
		plainStore
		omitter
	}{newPlainStore(), omitter{auth.FieldEmail}}, cfg)
	if err != nil {
		t.Fatal(err)
	}
	wantFindings(t, named.Core)
	// Nor does one that checks passwords itself.
	cfg.Records, cfg.Factors = memstoreWithoutDoctor(), nil
	loads, err := auth.NewWithLoader(auth.LoaderFunc[*testapp.User](func(context.Context, string) (*testapp.User, error) {
		return nil, auth.ErrUserNotFound
	}), cfg)
	if err != nil {
		t.Fatal(err)
	}
	wantFindings(t, loads.Core)
}

func memstoreWithoutDoctor() auth.RecordStore {
	return struct{ auth.RecordStore }{memstore.NewRecords()}
}

// An omitter is a part of a store that leaves fields out.
type omitter []auth.AccountField

func (o omitter) OmittedFields() []auth.AccountField { return o }

func TestDoctorFinds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		store auth.UserStore[*testapp.User] // default: a plainStore
		set   func(*auth.Config)
		act   func(*auth.Manager[*testapp.User])
		want  []string
	}{
		"everything in memory": {store: memstore.New[testapp.User](), want: []string{"severe store.in-memory"}},
		"records in memory":    {set: func(cfg *auth.Config) { cfg.Records = memstore.NewRecords() }, want: []string{"severe store.in-memory"}},
		"sessions in memory":   {set: func(cfg *auth.Config) { cfg.SessionStore = memstore.NewRecords() }, want: []string{"warning store.in-memory"}},
		"no Mailer":            {set: func(cfg *auth.Config) { cfg.Mailer = nil }, want: []string{"warning mailer.missing"}},
		"settings without a Mailer": {
			set: func(cfg *auth.Config) {
				cfg.Mailer, cfg.URLs.Reset, cfg.URLs.EmailChange, cfg.URLs.EmailUndo = nil, "/a", "/b", "/c"
				cfg.Password.ResetLifetime, cfg.Limits.Mails = time.Hour, 1
			},
			want: []string{"warning mailer.missing", "warning setting.unused", "warning setting.unused", "warning setting.unused", "warning setting.unused", "warning setting.unused"},
		},
		"settings without Factors": {
			set:  func(cfg *auth.Config) { cfg.Factors, cfg.URLs.Factor, cfg.URLs.TwoFactor = nil, "/a", "/b" },
			want: []string{"warning setting.unused", "warning setting.unused"},
		},
		"a page for codes that nobody gets": {set: func(cfg *auth.Config) { cfg.URLs.LoginCode = "/code" }, want: []string{"warning setting.unused"}},
		"recovery codes and no factor":      {set: func(cfg *auth.Config) { cfg.Factors = []auth.Factor{totp.RecoveryCodes()} }, want: []string{"warning setting.unused"}},
		"a proxy": {
			act: func(m *auth.Manager[*testapp.User]) {
				get(m, func(r *http.Request) { r.Header.Set("X-Forwarded-For", "192.0.2.7") })
			},
			want: []string{"warning proxy.untrusted"},
		},
		"a hundred logins from one private address": {
			act: func(m *auth.Manager[*testapp.User]) {
				for range 100 {
					get(m, func(r *http.Request) { r.RemoteAddr, r.URL.Path = "10.0.0.7:1", "/login" })
				}
			},
			want: []string{"warning proxy.untrusted"},
		},
		"https before plain http": {
			set: func(cfg *auth.Config) { cfg.BaseURL = "http://localhost:8080" },
			act: func(m *auth.Manager[*testapp.User]) {
				get(m, func(r *http.Request) { r.Header.Set("X-Forwarded-Proto", "HTTPS , http") })
			},
			want: []string{"severe cookies.insecure"},
		},
		"https": {
			set: func(cfg *auth.Config) { cfg.BaseURL = "http://localhost:8080" },
			act: func(m *auth.Manager[*testapp.User]) {
				get(m, func(r *http.Request) { r.TLS = &tls.ConnectionState{} })
			},
			want: []string{"severe cookies.insecure"},
		},
		"a router that writes around LoadAndSave": {
			act: func(m *auth.Manager[*testapp.User]) {
				w := &keptWriter{ResponseWriter: httptest.NewRecorder()}
				m.LoadAndSave(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
					_, _ = w.Write([]byte("hello"))
				})).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
			},
			want: []string{"severe writer.bypassed"},
		},
		"a guard with a name that is not declared": {
			set: withRoles,
			act: func(m *auth.Manager[*testapp.User]) {
				m.Require(auth.Can("posts.edit"), auth.Can("posts.edti"))(http.NotFoundHandler())
			},
			want: []string{"severe role.undeclared"},
		},
		"a route without a rule": {
			act: func(m *auth.Manager[*testapp.User]) {
				m.Routes().Handle("GET /forgotten", http.NotFoundHandler())
			},
			want: []string{"warning route.unguarded"},
		},
		"a user store that fails": {
			store: struct {
				auth.UserStore[*testapp.User]
				auth.RecordStore
			}{failingUsers{}, memstoreWithoutDoctor()},
			want: []string{"severe store.failed"},
		},
		"a user store that finds everybody": {
			store: struct {
				auth.UserStore[*testapp.User]
				auth.RecordStore
			}{everybody{}, memstoreWithoutDoctor()},
			want: []string{"severe store.failed"},
		},
		"records that fail":  {set: func(cfg *auth.Config) { cfg.Records, cfg.SessionStore = failingRecords{}, memstoreWithoutDoctor() }, want: []string{"severe store.failed"}},
		"sessions that fail": {set: func(cfg *auth.Config) { cfg.SessionStore = failingRecords{} }, want: []string{"severe store.failed"}},
		"a part that cannot be examined": {
			set:  func(cfg *auth.Config) { cfg.Mailer = &examined{err: errStore} },
			want: []string{"warning diagnosis.failed"},
		},
		"the most severe first": {
			set: func(cfg *auth.Config) {
				cfg.Mailer = &examined{found: []auth.Finding{
					{"a", auth.SeverityNote, "A.", "B.", nil}, {"b", auth.SeveritySevere, "A.", "B.", nil}, {"c", auth.SeverityWarning, "A.", "B.", nil}, {"d", auth.SeveritySevere, "A.", "B.", nil},
				}}
			},
			want: []string{"severe b", "severe d", "warning c", "note a"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := wellSetUp()
			if c.set != nil {
				c.set(&cfg)
			}
			if c.store == nil {
				c.store = newPlainStore()
			}
			m, err := auth.New(c.store, cfg)
			if err != nil {
				t.Fatal(err)
			}
			m.OwnHashing()
			if c.act != nil {
				wantFindings(t, m.Core)
				c.act(m)
			}
			for _, f := range wantFindings(t, m.Core, c.want...) {
				if failed := f.Code == auth.FindingStoreFailed || f.Code == auth.FindingDiagnosisFailed; failed && f.Err == nil && name != "a user store that finds everybody" {
					t.Errorf("%s has no Err", f.Code)
				}
			}
		})
	}
}

// A user's role that is not declared shows once the user has come.
func TestDoctorFindsRoles(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(cfg *auth.Config) {
		withRoles(cfg)
		cfg.Mailer = &testapp.Outbox{}
	})
	withRole(t, app, "susan", "edtior")
	wantFindings(t, app.Core)
	c := app.Client(t)
	c.Login("susan")
	app.In(c, func(ctx context.Context) { app.Can(ctx, "posts.edit") })
	if found := wantFindings(t, app.Core, "warning role.undeclared"); len(found) == 1 && !strings.Contains(found[0].Text, `"edtior"`) {
		t.Error(found[0])
	}
}

// A keptWriter is the writer of a router that uses its own, whatever a middleware gives it.
type keptWriter struct {
	http.ResponseWriter
	written bool
}

func (w *keptWriter) Write(b []byte) (int, error) {
	w.written = true
	return w.ResponseWriter.Write(b)
}

func (w *keptWriter) Written() bool { return w.written }

// get sends a request. /login logs in.
func get(m *auth.Manager[*testapp.User], change func(*http.Request)) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	change(r)
	m.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login" {
			_, _ = m.Authenticate(r.Context(), "nobody", "a password")
		}
	})).ServeHTTP(httptest.NewRecorder(), r)
}

type failingUsers struct{ auth.UserStore[*testapp.User] }

func (failingUsers) LoadUser(context.Context, string) (*testapp.User, error) { return nil, errStore }

type everybody struct{ auth.UserStore[*testapp.User] }

func (everybody) LoadUser(_ context.Context, id string) (*testapp.User, error) {
	return &testapp.User{Account: auth.Account{ID: id}}, nil
}

type failingRecords struct{ auth.RecordStore }

func (failingRecords) GetRecord(context.Context, string, string) (auth.Record, error) {
	return auth.Record{}, errStore
}

// An examined is a Mailer that says what is wrong with it.
type examined struct {
	testapp.Outbox
	found []auth.Finding
	err   error
	asked int
}

func (e *examined) Diagnose(ctx context.Context, _ bool) ([]auth.Finding, error) {
	e.asked++
	return e.found, errors.Join(e.err, ctx.Err())
}

// A store that serves two purposes is asked once.
func TestDoctorAsksOnce(t *testing.T) {
	t.Parallel()
	part := &examined{}
	store := struct {
		plainStore
		auth.Diagnoser
	}{newPlainStore(), part}
	cfg := wellSetUp()
	cfg.Records, cfg.SessionStore = &store, &store
	m, err := auth.New[*testapp.User](&store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if m.Doctor(t.Context()); part.asked != 1 {
		t.Errorf("asked %d times", part.asked)
	}
	// Stores that cannot be compared are no reason to panic.
	uncomparable := struct {
		plainStore
		omitter
	}{newPlainStore(), omitter{}}
	cfg = wellSetUp()
	cfg.Records, cfg.SessionStore = uncomparable, uncomparable
	m, err = auth.New[*testapp.User](uncomparable, cfg)
	if err != nil {
		t.Fatal(err)
	}
	wantFindings(t, m.Core)
}

// A secret in the error of a driver is not in the texts.
func TestDoctorKeepsErrorsApart(t *testing.T) {
	t.Parallel()
	cfg := wellSetUp()
	cfg.Mailer = &examined{err: fmt.Errorf("dial: password %s", "hunter2")}
	m, err := auth.New[*testapp.User](newPlainStore(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range m.Doctor(t.Context()) {
		if strings.Contains(f.String()+f.Text+f.Fix, "hunter2") {
			t.Error(f)
		}
	}
}

// A done context shows as findings, and Doctor returns.
func TestDoctorWithoutTime(t *testing.T) {
	t.Parallel()
	m, err := auth.New(memstore.New[testapp.User](), wellSetUp())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	found := m.Doctor(ctx)
	if len(found) == 0 || found[0].Code != auth.FindingStoreFailed || !errors.Is(found[0].Err, context.Canceled) {
		t.Errorf("%v", found)
	}
}

// Within a request, a part that is asked cannot reach the session: a lock may be held.
func TestDoctorInARequest(t *testing.T) {
	t.Parallel()
	part := &askingMailer{}
	app, _ := newApp(t, func(cfg *auth.Config) { cfg.Mailer = part })
	part.ask = func(ctx context.Context) error {
		_, err := app.User(ctx)
		return err
	}
	app.Create(t, "susan", true)
	c := app.Client(t)
	c.Login("susan")
	var own error
	app.Mux.HandleFunc("GET /doctor", func(_ http.ResponseWriter, r *http.Request) {
		_, own = app.User(r.Context())
		app.Doctor(r.Context())
	})
	if r := c.Get("/doctor"); r.StatusCode != http.StatusOK || own != nil || part.got == nil || errors.Is(part.got, auth.ErrNotLoggedIn) {
		t.Errorf("%d, the handler got %v, the part %v", r.StatusCode, own, part.got)
	}
	if who := c.Get("/who").Text; who != "susan" {
		t.Errorf("then %s is logged in", who)
	}
}

// An askingMailer calls ask in Diagnose.
type askingMailer struct {
	testapp.Outbox
	ask func(context.Context) error
	got error
}

func (m *askingMailer) Diagnose(ctx context.Context, _ bool) ([]auth.Finding, error) {
	m.got = m.ask(ctx)
	return nil, nil
}

func TestProcessFindings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		procs   int
		hashing int64
		has     cgroup.Limits
		want    string
	}{
		{2, 64 << 20, cgroup.Limits{}, ""},
		{64, 64 << 20, cgroup.Limits{}, ""},
		{2, 64 << 20, cgroup.Limits{CPUs: 0.5, Memory: 512 << 20}, ""},
		{4, 64 << 20, cgroup.Limits{CPUs: 0.5}, ""}, // 2, as Go sets it, and 2 more for passwords
		{5, 64 << 20, cgroup.Limits{CPUs: 0.5}, "warning processors.fewer"},
		{7, 64 << 20, cgroup.Limits{CPUs: 4}, "warning processors.fewer"},
		{6, 64 << 20, cgroup.Limits{CPUs: 4}, ""},
		{2, 64 << 20, cgroup.Limits{Memory: 128 << 20}, ""},
		{2, 64 << 20, cgroup.Limits{Memory: 128<<20 - 1}, "warning memory.too-little"},
		{16, 64 << 20, cgroup.Limits{CPUs: 1, Memory: 64 << 20}, "warning processors.fewer warning memory.too-little"},
	} {
		if got := strings.Join(codesOf(t, auth.ProcessFindings(c.procs, c.hashing, c.has)), " "); got != c.want {
			t.Errorf("GOMAXPROCS=%d, hashing %d, %+v: %q, want %q", c.procs, c.hashing, c.has, got, c.want)
		}
	}
}

// Doctor says how to hash on all processors once a login was refused, and not before.
func TestIdleFindings(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		refused uint64
		advice  string
		want    string
	}{
		{0, "GOMAXPROCS=3", ""},
		{7, "", ""},
		{7, "GOMAXPROCS=3", "warning processors.idle"},
	} {
		found := auth.IdleFindings(c.refused, c.advice)
		if got := strings.Join(codesOf(t, found), " "); got != c.want {
			t.Errorf("%d refused, %q: %q, want %q", c.refused, c.advice, got, c.want)
		}
		for _, f := range found {
			if !strings.Contains(f.Text, "refused 7 logins") || !strings.Contains(f.Fix, "Set GOMAXPROCS=3.") {
				t.Error(f)
			}
		}
	}
	app, _ := newApp(t, nil)
	want := 0
	if app.HashAdvice() != "" { // it depends on the machine
		want = 1
	}
	empty := fillQueue(t, app)
	_, _ = app.Authenticate(t.Context(), "ghost", testapp.Password)
	empty()
	n := 0
	for _, f := range app.Doctor(t.Context()) {
		if f.Code == auth.FindingProcessorsIdle {
			n++
		}
	}
	if n != want {
		t.Errorf("%d findings after a refused login, want %d", n, want)
	}
}

// Every code of a finding, in all packages, is provoked by a test there.
func TestFindingsAreProvoked(t *testing.T) {
	t.Parallel()
	declared := regexp.MustCompile(`(?m)^\s*(?:const )?(Finding\w+)\s+(?:auth\.)?FindingCode += "([^"]+)"`)
	named := map[string]string{} // by code: the constant and its package
	tests := ""
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		text, err := os.ReadFile(path)
		if strings.HasSuffix(path, "_test.go") {
			tests += string(text)
		}
		for _, m := range declared.FindAllStringSubmatch(string(text), -1) {
			if named[m[2]] != "" {
				t.Errorf("%s and %s are both %q", named[m[2]], m[1], m[2])
			}
			named[m[2]] = m[1]
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(named) < 12 {
		t.Fatalf("found %d codes", len(named))
	}
	for code, constant := range named {
		if !strings.Contains(tests, " "+code+`"`) && !strings.Contains(tests, "."+constant) {
			t.Errorf("no test provokes %s (%s)", constant, code)
		}
	}
}

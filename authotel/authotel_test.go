package authotel_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authotel"
	"github.com/go-login/auth/internal/passhash"
	"github.com/go-login/auth/internal/testapp"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

func TestMain(m *testing.M) { testapp.Main(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A site is an application whose telemetry goes to memory. Each of its requests has a span
// of its own, "request".
type site struct {
	*testapp.App
	t       *testing.T
	spans   *tracetest.SpanRecorder
	metrics *metric.ManualReader
	store   *testapp.Spy
	susan   *testapp.User
}

func newSite(t *testing.T, config authotel.Config, configure func(*auth.Config)) *site {
	t.Helper()
	s := &site{t: t, spans: tracetest.NewSpanRecorder(), metrics: metric.NewManualReader()}
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(s.spans))
	config.TracerProvider, config.MeterProvider = provider, metric.NewMeterProvider(metric.WithReader(s.metrics))
	telemetry, err := authotel.New(config)
	must(t, err)
	clock := testapp.NewClock()
	s.store = testapp.NewSpy(clock)
	s.App = testapp.New(t, s.store, clock, func(cfg *auth.Config) {
		params := auth.DefaultHashParams()
		params.Memory, params.Iterations = 7168, 5 // as cheap as New allows
		cfg.Password.HashParams = &params
		if configure != nil {
			configure(cfg)
		}
		telemetry.Instrument(cfg)
	})
	stop, err := telemetry.Observe(s.Core)
	must(t, err)
	t.Cleanup(func() { must(t, stop()) })
	handler := s.Server.Config.Handler
	s.Server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, span := provider.Tracer("test").Start(r.Context(), "request")
		defer span.End()
		handler.ServeHTTP(w, r.WithContext(ctx))
	})
	s.susan = s.Create(t, "susan", true)
	s.spans.Reset()
	return s
}

// metric returns the values of a metric, each with its attributes, as "name{a=b,c=d} 1". Of a
// histogram it is the count.
func (s *site) metric(name string) (values []string) {
	s.t.Helper()
	for _, m := range s.collect() {
		if m.Name != name {
			continue
		}
		add := func(set attribute.Set, value any) {
			values = append(values, fmt.Sprintf("%s %v", set.Encoded(attribute.DefaultEncoder()), value))
		}
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				add(p.Attributes, p.Value)
			}
		case metricdata.Gauge[int64]:
			for _, p := range data.DataPoints {
				add(p.Attributes, p.Value)
			}
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				add(p.Attributes, p.Count)
			}
		}
	}
	slices.Sort(values)
	return values
}

func (s *site) collect() (all []metricdata.Metrics) {
	s.t.Helper()
	var data metricdata.ResourceMetrics
	must(s.t, s.metrics.Collect(context.WithoutCancel(s.t.Context()), &data))
	for _, scope := range data.ScopeMetrics {
		all = append(all, scope.Metrics...)
	}
	return all
}

func (s *site) wantMetric(name string, want ...string) {
	s.t.Helper()
	if got := s.metric(name); !slices.Equal(got, want) {
		s.t.Errorf("%s: %q, want %q", name, got, want)
	}
}

// named returns the spans with a name.
func (s *site) named(name string) (found []trace.ReadOnlySpan) {
	for _, span := range s.spans.Ended() {
		if span.Name() == name {
			found = append(found, span)
		}
	}
	return found
}

func attributes(span trace.ReadOnlySpan) string {
	set := attribute.NewSet(span.Attributes()...)
	return set.Encoded(attribute.DefaultEncoder())
}

func TestSpans(t *testing.T) {
	t.Parallel()
	s := newSite(t, authotel.Config{}, nil)
	c := s.Client(t)
	c.Post("/login", "login", "susan", "password", testapp.Password)
	authenticate := s.named("auth.authenticate")
	login := s.named("auth.login")
	hash := s.named("auth.hash")
	request := s.named("request")
	if len(authenticate) != 1 || len(login) != 1 || len(hash) != 1 || len(request) != 1 {
		t.Fatalf("%d, %d, %d and %d spans", len(authenticate), len(login), len(hash), len(request))
	}
	for _, c := range []struct {
		span, parent trace.ReadOnlySpan
		attributes   string
	}{
		{authenticate[0], request[0], "auth.kind=password,auth.result=succeeded"},
		{login[0], request[0], "auth.result=succeeded"},
		{hash[0], authenticate[0], "auth.kind=verify,auth.result=succeeded"},
		{s.named("auth.store.FindUser")[0], authenticate[0], "auth.result=succeeded"},
		{s.named("auth.store.InsertRecord")[0], authenticate[0], "auth.kind=rate,auth.result=succeeded"},
	} {
		if c.span.Parent().SpanID() != c.parent.SpanContext().SpanID() || attributes(c.span) != c.attributes || c.span.Status().Code != codes.Unset {
			t.Errorf("%s: %s, %v", c.span.Name(), attributes(c.span), c.span.Status())
		}
	}
	// Somebody who guesses is refused, which is no error of the application.
	s.spans.Reset()
	c.Post("/login", "login", "susan", "password", "a wrong one")
	if span := s.named("auth.authenticate")[0]; attributes(span) != "auth.kind=password,auth.result=refused" || span.Status().Code != codes.Unset {
		t.Errorf("%s, %v", attributes(span), span.Status())
	}
}

// A store that fails is an error, and its text stays out.
func TestFailures(t *testing.T) {
	t.Parallel()
	s := newSite(t, authotel.Config{}, nil)
	c := s.Client(t)
	s.store.Hook(func(method string) error {
		if method == "FindUser" {
			return fmt.Errorf("query for susan: %w", errors.New("duplicate key susan"))
		}
		return nil
	}, nil)
	c.Post("/login", "login", "susan", "password", testapp.Password)
	for _, name := range []string{"auth.store.FindUser", "auth.authenticate"} {
		span := s.named(name)[0]
		if span.Status().Code != codes.Error || span.Status().Description != "" || !strings.Contains(attributes(span), "auth.result=failed") || !strings.Contains(attributes(span), "error.type=application") {
			t.Errorf("%s: %s, %v", name, attributes(span), span.Status())
		}
		if len(span.Events()) > 0 {
			t.Errorf("%s: %v", name, span.Events())
		}
	}
	s.wantMetric("auth.sign_in.attempts", "method=password,result=failed 1")
	s.store.Reset()
}

// Nothing about a user or a client is in a span or a metric.
func TestNothingPersonal(t *testing.T) {
	t.Parallel()
	s := newSite(t, authotel.Config{}, func(cfg *auth.Config) {
		cfg.Credentials = []auth.Credential{{Load: func(r *http.Request) (auth.Grant, error) {
			if name := r.Header.Get("X-User"); name != "" { // as no application should
				return auth.Grant{Method: "key of <" + name + ">"}, auth.ErrInvalidCredentials
			}
			return auth.Grant{}, nil
		}}}
	})
	c := s.Client(t)
	c.Post("/login", "login", "susan", "password", testapp.Password)
	c.Post("/login", "login", "susan@app.example", "password", "a secret guess")
	c.Do("GET", "/who", nil, http.Header{"X-User": {"susan"}, "User-Agent": {"an agent"}})
	c.Post("/logout")
	if len(s.spans.Ended()) < 10 {
		t.Fatalf("%d spans", len(s.spans.Ended()))
	}
	allowed := []string{"auth.kind", "auth.result", "error.type", "method", "result", "operation", "kind", "reason"}
	see := func(where string, list []attribute.KeyValue) {
		for _, a := range list {
			value := a.Value.String()
			for _, personal := range []string{"susan", s.susan.ID, "app.example", "guess", "127.0.0.1", "agent", s.susan.Stamp.Reveal()} {
				if personal != "" && strings.Contains(value, personal) {
					t.Errorf("%s: %s=%s", where, a.Key, value)
				}
			}
			if !slices.Contains(allowed, string(a.Key)) {
				t.Errorf("%s has the attribute %s", where, a.Key)
			}
		}
	}
	for _, span := range s.spans.Ended() {
		see(span.Name(), span.Attributes())
	}
	for _, m := range s.collect() {
		switch data := m.Data.(type) {
		case metricdata.Sum[int64]:
			for _, p := range data.DataPoints {
				see(m.Name, p.Attributes.ToSlice())
			}
		case metricdata.Histogram[float64]:
			for _, p := range data.DataPoints {
				see(m.Name, p.Attributes.ToSlice())
			}
		}
	}
	if got := s.metric("auth.sign_in.attempts"); !slices.ContainsFunc(got, func(v string) bool { return strings.HasPrefix(v, "method=other,") }) {
		t.Errorf("%q", got)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := newSite(t, authotel.Config{}, nil)
	c := s.Client(t)
	c.Post("/login", "login", "susan", "password", testapp.Password)
	for range 6 { // the sixth is not looked at
		c.Post("/login", "login", "susan", "password", "a wrong one")
	}
	s.wantMetric("auth.sign_in.attempts", "method=password,result=limited 1", "method=password,result=refused 5", "method=password,result=succeeded 1")
	s.wantMetric("auth.sign_in.duration",
		"operation=authenticate,result=limited 1", "operation=authenticate,result=refused 5", "operation=authenticate,result=succeeded 1", "operation=login,result=succeeded 1")
	s.wantMetric("auth.limits", "kind=password.locked 1")
	c.Post("/logout")
	s.wantMetric("auth.sessions.ended", "reason=logout 1")
	s.wantMetric("auth.hash.shed", " 0")
	s.wantMetric("auth.hash.queue", " 0")
}

// The ends of logins, other than a logout.
func TestSessionsEnded(t *testing.T) {
	t.Parallel()
	s := newSite(t, authotel.Config{}, func(cfg *auth.Config) { cfg.Session.Max = 1 })
	first, second := s.Client(t), s.Client(t)
	first.Login("susan")
	second.Login("susan") // one more than Max
	s.wantMetric("auth.sessions.ended", "reason=revoked 1")
	must(t, s.LogoutEverywhere(t.Context(), s.susan))
	s.wantMetric("auth.sessions.ended", "reason=everywhere 1", "reason=revoked 1")
}

// An answer to a second factor counts under the factor's name.
func TestFactors(t *testing.T) {
	t.Parallel()
	s := newSite(t, authotel.Config{}, func(cfg *auth.Config) { cfg.Factors = []auth.Factor{word{}} })
	c := s.Client(t)
	c.Post("/login", "login", "susan", "password", testapp.Password)
	s.wantMetric("auth.sign_in.attempts", "method=password,result=pending 1")
	for _, answer := range []string{"wrong", "right"} {
		s.In(c, func(ctx context.Context) { _ = s.ContinueLogin(ctx, "word", url.Values{"word": {answer}}) })
	}
	s.wantMetric("auth.factor.attempts", "kind=word,result=refused 1", "kind=word,result=succeeded 1")
	s.wantMetric("auth.sign_in.attempts", "method=password word,result=succeeded 1", "method=password,result=pending 1", "method=word,result=refused 1")
	if spans := s.named("auth.factor"); len(spans) != 2 || attributes(spans[0]) != "auth.kind=word,auth.result=refused" {
		t.Errorf("%d spans", len(spans))
	}
}

// A word is a factor that everybody has.
type word struct{}

func (word) Name() string                                   { return "word" }
func (word) Enrolled(context.Context, string) (bool, error) { return true, nil }
func (word) Prompt(context.Context, auth.User) (auth.Prompt, []byte, error) {
	return auth.Prompt{Field: "word"}, nil, nil
}

func (word) Verify(_ context.Context, _ auth.User, _ []byte, answer url.Values) error {
	if answer.Get("word") != "right" {
		return auth.ErrWrongFactor
	}
	return nil
}

// A hash that waits, and one that is refused.
func TestHashing(t *testing.T) {
	s := newSite(t, authotel.Config{}, nil) // not parallel: it takes the budget of the process
	budget := passhash.Process()
	size := budget.State().Free
	must(t, budget.Acquire(t.Context(), size))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, budget.MaxQueue)
	for range budget.MaxQueue {
		go func() {
			_, err := s.HashPassword(ctx, "a password that waits")
			done <- err
		}()
	}
	for budget.State().Waiting < budget.MaxQueue {
		runtime.Gosched()
	}
	s.wantMetric("auth.hash.queue", fmt.Sprintf(" %d", budget.MaxQueue))
	c := s.Client(t)
	c.Post("/login", "login", "susan", "password", testapp.Password)
	s.wantMetric("auth.hash.shed", " 1")
	s.wantMetric("auth.sign_in.attempts", "method=password,result=busy 1")
	cancel()
	for range budget.MaxQueue {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
	budget.Release(size)
	s.wantMetric("auth.hash.queue", " 0")
}

func TestNoStoreSpans(t *testing.T) {
	t.Parallel()
	s := newSite(t, authotel.Config{NoStoreSpans: true}, nil)
	c := s.Client(t)
	c.Post("/login", "login", "susan", "password", testapp.Password)
	for _, span := range s.spans.Ended() {
		if strings.HasPrefix(span.Name(), "auth.store.") {
			t.Errorf("there is %s", span.Name())
		}
	}
	if len(s.named("auth.hash")) != 1 {
		t.Error("no span of the hash")
	}
}

// Functions that the application has set go on being called.
func TestInstrumentKeepsFunctions(t *testing.T) {
	t.Parallel()
	type key struct{}
	events, begun, ended, seen := 0, 0, 0, 0
	s := newSite(t, authotel.Config{}, func(cfg *auth.Config) {
		told := cfg.OnEvent
		cfg.OnEvent = func(ctx context.Context, e auth.Event) { events++; told(ctx, e) }
		cfg.Trace = func(ctx context.Context, _, _ string) (context.Context, func(error)) {
			begun++
			if ctx.Value(key{}) != nil {
				seen++
			}
			return context.WithValue(ctx, key{}, 1), func(error) { ended++ }
		}
	})
	s.Client(t).Post("/login", "login", "susan", "password", testapp.Password)
	if events == 0 || begun == 0 || ended != begun || seen == 0 {
		t.Errorf("%d events, %d begun, %d ended, %d within others", events, begun, ended, seen)
	}
}

// A function that was set may return no context. The operation is then still ended.
func TestInstrumentEndsWithoutContext(t *testing.T) {
	t.Parallel()
	telemetry, err := authotel.New(authotel.Config{})
	must(t, err)
	var got error
	cfg := auth.Config{Trace: func(context.Context, string, string) (context.Context, func(error)) {
		return nil, func(err error) { got = err }
	}}
	telemetry.Instrument(&cfg)
	ctx, end := cfg.Trace(t.Context(), "login", "")
	end(auth.ErrBusy)
	if ctx == nil || !errors.Is(got, auth.ErrBusy) {
		t.Errorf("the context is %v, and the operation ended with %v", ctx, got)
	}
}

// Without providers the global ones are used, and nothing is reported.
func TestDefaults(t *testing.T) {
	t.Parallel()
	telemetry, err := authotel.New(authotel.Config{})
	must(t, err)
	if _, err := telemetry.Observe(nil); err == nil {
		t.Error("Observe takes a nil Core")
	}
	var cfg auth.Config
	telemetry.Instrument(&cfg)
	cfg.OnEvent(t.Context(), auth.Event{Kind: auth.EventLoginSucceeded})
	_, end := cfg.Trace(t.Context(), "login", "")
	end(nil)
}

// The package's documentation lists the metrics that there are.
func TestDocumentation(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("authotel.go")
	must(t, err)
	listed := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^//\t(auth\.[a-z_.]+)`).FindAllStringSubmatch(string(source), -1) {
		listed[m[1]] = true
	}
	made := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)[{(]"(auth\.(?:sign_in|factor|hash|limits|sessions)[a-z_.]*)"|, "(auth\.[a-z_.]+)", "`).FindAllStringSubmatch(string(source), -1) {
		made[m[1]+m[2]] = true
	}
	for name := range listed {
		if !made[name] {
			t.Errorf("%s is listed, and not made", name)
		}
	}
	for name := range made {
		if !listed[name] {
			t.Errorf("%s is made, and not listed", name)
		}
	}
	if len(listed) != 7 {
		t.Errorf("%d metrics are listed", len(listed))
	}
}

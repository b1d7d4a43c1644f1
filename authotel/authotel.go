// Package authotel reports logins to OpenTelemetry: spans for logins, password hashes and
// calls of the stores, and metrics.
//
//	telemetry, err := authotel.New(authotel.Config{})
//	…
//	cfg := auth.Config{…}
//	telemetry.Instrument(&cfg)
//	manager, err := auth.New(store, cfg)
//	…
//	stop, err := telemetry.Observe(manager.Core)
//
// It imports the API of OpenTelemetry only. The application sets up the SDK, and where the
// data goes. No attribute has a user, an address or anything else that a client sent.
//
// # Spans
//
// A span is named "auth." and an operation of auth.TraceFunc, such as "auth.authenticate" or
// "auth.store.GetRecord". Its attribute auth.kind is the operation's kind. auth.result is as
// below. If the operation failed, the status is Error, and error.type is the Go type of the
// error, or "application" for an error of a store. The text of the error is not reported: a
// database may have put a name into it.
//
// Spans belong to the span in the request's context, such as that of otelhttp outside
// LoadAndSave. Calls of the stores and hashes within Authenticate belong to its span. Those
// of a login belong to the request's span, beside "auth.login".
//
// # Metrics
//
//	auth.sign_in.attempts   counter                  method, result
//	auth.sign_in.duration   histogram in seconds     operation, result
//	auth.factor.attempts    counter                  kind (the factor), result
//	auth.hash.queue         gauge: hashes that wait
//	auth.hash.shed          counter: hashes refused because too many waited
//	auth.limits             counter                  kind: the limit, such as password.locked
//	auth.sessions.ended     counter                  reason
//
// A result is one of: succeeded; pending (a second factor is owed); refused (wrong
// credentials, or an account that may not log in); limited (too many attempts); busy (too
// many hashes); canceled (the client has gone); failed (anything else, such as a store).
//
// A reason is one of: logout; everywhere (all logins of a user were ended: counted once);
// revoked (ended from elsewhere, by a newer login, or no longer valid); stolen (a remember
// cookie was used twice).
//
// The method is that of auth.Event, such as "password" or "password totp". One that a
// Grant of your own has set to a text with other characters than names have is "other".
//
// auth.sign_in.duration has the operations authenticate (a password is checked) and login
// (the login passes the gates and is stored). auth.hash.queue counts the whole process; all
// other metrics count one Manager.
package authotel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-login/auth"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"
)

const scope = "github.com/go-login/auth/authotel"

// A Config says where the data goes. The zero value uses the global providers.
type Config struct {
	TracerProvider trace.TracerProvider // default: otel.GetTracerProvider()
	MeterProvider  metric.MeterProvider // default: otel.GetMeterProvider()

	// NoStoreSpans leaves out the spans of stores: there are one to five in each request.
	NoStoreSpans bool
}

// A Telemetry makes spans and counts for one Manager, or for several.
type Telemetry struct {
	noStores bool
	meter    metric.Meter
	tracer   trace.Tracer

	attempts, factors, limits, ended metric.Int64Counter
	duration                         metric.Float64Histogram
}

// New makes the instruments. The errors are those of the MeterProvider.
func New(cfg Config) (*Telemetry, error) {
	if cfg.TracerProvider == nil {
		cfg.TracerProvider = otel.GetTracerProvider()
	}
	if cfg.MeterProvider == nil {
		cfg.MeterProvider = otel.GetMeterProvider()
	}
	t := &Telemetry{noStores: cfg.NoStoreSpans, meter: cfg.MeterProvider.Meter(scope), tracer: cfg.TracerProvider.Tracer(scope)}
	var err error
	for _, c := range []struct {
		counter           *metric.Int64Counter
		name, unit, about string
	}{
		{&t.attempts, "auth.sign_in.attempts", "{attempt}", "Attempts to log in."},
		{&t.factors, "auth.factor.attempts", "{attempt}", "Answers to second factors, and logins by passkey."},
		{&t.limits, "auth.limits", "{event}", "Limits that were reached."},
		{&t.ended, "auth.sessions.ended", "{login}", "Logins that ended before their time."},
	} {
		var failed error
		*c.counter, failed = t.meter.Int64Counter(c.name, metric.WithUnit(c.unit), metric.WithDescription(c.about))
		err = errors.Join(err, failed)
	}
	var failed error
	t.duration, failed = t.meter.Float64Histogram("auth.sign_in.duration", metric.WithUnit("s"),
		metric.WithDescription("How long it takes to check a password, and to store a login."),
		metric.WithExplicitBucketBoundaries(0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10))
	if err = errors.Join(err, failed); err != nil {
		return nil, fmt.Errorf("authotel: %w", err)
	}
	return t, nil
}

// Instrument sets cfg.Trace and cfg.OnEvent. Functions that are set already are called, too.
// Call it before auth.New.
func (t *Telemetry) Instrument(cfg *auth.Config) {
	before, told := cfg.Trace, cfg.OnEvent
	cfg.Trace = func(ctx context.Context, operation, kind string) (context.Context, func(error)) {
		var first func(error)
		if before != nil {
			var inner context.Context
			if inner, first = before(ctx, operation, kind); inner != nil {
				ctx = inner
			}
		}
		ctx, end := t.begin(ctx, operation, kind)
		return ctx, func(err error) {
			end(err)
			if first != nil {
				first(err)
			}
		}
	}
	cfg.OnEvent = func(ctx context.Context, e auth.Event) {
		t.count(ctx, e)
		if told != nil {
			told(ctx, e)
		}
	}
}

// Observe reports the state of password hashing. stop ends that.
func (t *Telemetry) Observe(core *auth.Core) (stop func() error, err error) {
	if core == nil {
		return nil, errors.New("authotel: Observe got a nil Core; pass manager.Core")
	}
	queue, err := t.meter.Int64ObservableGauge("auth.hash.queue", metric.WithUnit("{hash}"), metric.WithDescription("Password hashes that wait."))
	if err != nil {
		return nil, fmt.Errorf("authotel: %w", err)
	}
	shed, err := t.meter.Int64ObservableCounter("auth.hash.shed", metric.WithUnit("{hash}"), metric.WithDescription("Password hashes that were refused because too many waited."))
	if err != nil {
		return nil, fmt.Errorf("authotel: %w", err)
	}
	registered, err := t.meter.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		stats := core.HashStats()
		o.ObserveInt64(queue, int64(stats.Waiting))
		o.ObserveInt64(shed, int64(min(stats.Refused, 1<<62)))
		return nil
	}, queue, shed)
	if err != nil {
		return nil, fmt.Errorf("authotel: %w", err)
	}
	return registered.Unregister, nil
}

// begin begins the span of an operation.
func (t *Telemetry) begin(ctx context.Context, operation, kind string) (context.Context, func(error)) {
	if t.noStores && strings.HasPrefix(operation, "store.") {
		return ctx, func(error) {}
	}
	began := time.Now() // the clock of the spans, and not Config.Now
	ctx, span := t.tracer.Start(ctx, "auth."+operation)
	return ctx, func(err error) {
		result := resultOf(err)
		if span.IsRecording() {
			if kind != "" {
				span.SetAttributes(attribute.String("auth.kind", kind))
			}
			span.SetAttributes(attribute.String("auth.result", result))
			if result == "failed" || result == "busy" {
				span.SetStatus(codes.Error, "")
				span.SetAttributes(attribute.String("error.type", typeOf(err)))
			}
		}
		span.End()
		switch operation {
		case "authenticate", "login":
			t.duration.Record(ctx, time.Since(began).Seconds(),
				metric.WithAttributes(attribute.String("operation", operation), attribute.String("result", result)))
		case "factor":
			t.factors.Add(ctx, 1, metric.WithAttributes(attribute.String("kind", kind), attribute.String("result", result)))
		}
	}
}

// count counts an event.
func (t *Telemetry) count(ctx context.Context, e auth.Event) {
	switch e.Kind {
	case auth.EventLoginSucceeded, auth.EventLoginPending, auth.EventLoginFailed, auth.EventLoginRefused:
		t.attempts.Add(ctx, 1, metric.WithAttributes(attribute.String("method", methodOf(e.Method)), attribute.String("result", resultOf(e.Err))))
	case auth.EventAddressLimited, auth.EventPasswordLocked, auth.EventPasswordDisabled, auth.EventSecretLocked, auth.EventSecretDisabled:
		t.limits.Add(ctx, 1, metric.WithAttributes(attribute.String("kind", string(e.Kind))))
	case auth.EventLoginEnded, auth.EventLoginsEnded, auth.EventLoginRevoked, auth.EventRememberStolen:
		t.ended.Add(ctx, 1, metric.WithAttributes(attribute.String("reason", reasonOf(e))))
	}
}

// methodOf returns the method, if it is made of names. An application's own Credential could
// put anything into it, and each value is a series of its own.
func methodOf(method string) string {
	const allowed = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.: "
	if len(method) > 100 || strings.Trim(method, allowed) != "" {
		return "other"
	}
	return method
}

func reasonOf(e auth.Event) string {
	switch e.Kind {
	case auth.EventLoginEnded:
		return "logout"
	case auth.EventLoginsEnded:
		return "everywhere"
	case auth.EventRememberStolen:
		return "stolen"
	}
	return "revoked"
}

// resultOf says in one word how an attempt went.
func resultOf(err error) string {
	switch {
	case err == nil:
		return "succeeded"
	case errors.Is(err, auth.ErrFactorRequired):
		return "pending"
	case errors.Is(err, auth.ErrRateLimited), errors.Is(err, auth.ErrLocked), errors.Is(err, auth.ErrResetRequired):
		return "limited"
	case errors.Is(err, auth.ErrBusy):
		return "busy"
	case errors.Is(err, auth.ErrLoginRefused):
		return "refused"
	case errors.Is(err, context.Canceled):
		return "canceled"
	}
	return "failed"
}

// typeOf returns the Go type of the innermost error, because the others wrap it. Package auth
// hides the error of a store, or of another part of the application.
func typeOf(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			break
		}
		err = inner
	}
	if name := fmt.Sprintf("%T", err); name != "auth.failure" {
		return name
	}
	return "application"
}

package totp_test

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/totp"
)

const (
	app, recovery = "totp", "recovery-code"
	secretOfOld   = "Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq"
	secretOfNew   = "x0PmvQ7rE2oYt9Jd4sKhUc6bGzL1wNfA"
	secretOfNone  = "Zk4Wq8Xn1RfT6yHj3VbL9cMp0sDg5uEa"
	step          = 30 * time.Second
)

// A site is an application with both factors, on a store that may be another's too. Users
// enter it without a password.
type site struct {
	*testapp.App
	totp     *totp.Factor
	recovery *totp.Recovery
	mails    *testapp.Outbox
}

func newSite(t testing.TB) *site {
	t.Helper()
	clock := testapp.NewClock()
	return siteOn(t, testapp.NewSpy(clock), clock, nil)
}

func siteOn(t testing.TB, store testapp.Store, clock *testapp.Clock, configure func(*auth.Config), options ...totp.Option) *site {
	t.Helper()
	s := &site{totp: totp.New(options...), recovery: totp.RecoveryCodes(), mails: &testapp.Outbox{}}
	s.App = testapp.New(t, store, clock, func(cfg *auth.Config) {
		cfg.Factors = []auth.Factor{s.totp, s.recovery}
		cfg.Mailer, cfg.LocalDomains = s.mails, true
		cfg.Limits.Guesses = -1
		if configure != nil {
			configure(cfg)
		}
	})
	return s
}

func (s *site) begin(t testing.TB, c *testapp.Client) (setup auth.Setup) {
	t.Helper()
	must(t, s.Do(c, func(ctx context.Context) (err error) {
		setup, err = s.BeginFactor(ctx, app)
		return err
	}))
	return setup
}

func (s *site) finish(c *testapp.Client, code string) error {
	return s.Do(c, func(ctx context.Context) error { return s.EnrollFactor(ctx, app, answer(code)) })
}

// enroll sets the app up for a user who has none, in a new browser, and returns the secret.
// The code of this step is used up.
func (s *site) enroll(t testing.TB, name string) (secret string, c *testapp.Client) {
	t.Helper()
	c = s.Client(t)
	c.Login(name)
	secret = s.begin(t, c).Secret.Reveal()
	must(t, s.finish(c, s.code(t, secret)))
	return secret, c
}

// code returns what the app shows now.
func (s *site) code(t testing.TB, secret string) string {
	t.Helper()
	code, err := totp.Code(secret, s.Clock.Now())
	must(t, err)
	return code
}

// next returns what the app shows when it shows the next one.
func (s *site) next(t testing.TB, secret string) string {
	t.Helper()
	s.Clock.Advance(step)
	return s.code(t, secret)
}

// apart moves the clock until two apps have no code in common in the next minutes. One code in
// a million is also that of another app, and would be accepted.
func (s *site) apart(t testing.TB, one, other string) {
	t.Helper()
	codes := func(secret string) (all []string) {
		for i := range 6 {
			code, err := totp.Code(secret, s.Clock.Now().Add(time.Duration(i)*step))
			must(t, err)
			all = append(all, code)
		}
		return all
	}
	for {
		first, second := codes(one), codes(other)
		if !slices.ContainsFunc(first, func(code string) bool { return slices.Contains(second, code) }) {
			return
		}
		s.Clock.Advance(step)
	}
}

// show shows a factor for the login that waits.
func (s *site) show(c *testapp.Client, factor, code string) error {
	return s.Do(c, func(ctx context.Context) error { return s.ContinueLogin(ctx, factor, answer(code)) })
}

// try makes a new login and shows a factor.
func (s *site) try(t testing.TB, name, factor, code string) error {
	t.Helper()
	c := s.Waiting(t, name)
	err := s.show(c, factor, code)
	if who := c.Who(); (who == name) != (err == nil) {
		t.Errorf("after %v the request is %s's", err, who)
	}
	return err
}

// newCodes makes recovery codes in a browser.
func (s *site) newCodes(t testing.TB, c *testapp.Client) (codes []string) {
	t.Helper()
	must(t, s.Do(c, func(ctx context.Context) (err error) {
		codes, err = s.NewRecoveryCodes(ctx, recovery)
		return err
	}))
	return codes
}

// overwrite puts data into a record of a user's, as somebody may who can write to the
// database.
func (s *site) overwrite(t testing.TB, userID, prefix string, data []byte) {
	t.Helper()
	r := s.FeatureRecord(t, userID, prefix)
	r.Data = data
	must(t, s.Store.UpdateRecord(t.Context(), r))
}

func answer(code string) url.Values { return url.Values{"code": {code}} }

// wantOne fails the test unless one of the errors is nil and the others are among these.
func wantOne(t testing.TB, errs []error, others ...error) {
	t.Helper()
	right := 0
	for _, err := range errs {
		if err == nil {
			right++
			continue
		}
		known := false
		for _, other := range others {
			known = known || errors.Is(err, other)
		}
		if !known {
			t.Errorf("%v", err)
		}
	}
	if right != 1 {
		t.Errorf("%d of %d are right, want 1", right, len(errs))
	}
}

func want(t testing.TB, what string, err, target error) {
	t.Helper()
	if !errors.Is(err, target) {
		t.Errorf("%s: %v, want %v", what, err, target)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

package passkey_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"testing"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/passkey"
	"github.com/go-login/auth/passkey/passkeytest"
	"github.com/go-login/auth/totp"
)

const (
	name        = "passkey"
	secretOfOld = "Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq"
	secretOfNew = "x0PmvQ7rE2oYt9Jd4sKhUc6bGzL1wNfA"
)

// A site is an application with passkeys and codes from an app. Users enter it without a
// password.
type site struct {
	*testapp.App
	passkeys *passkey.Factor
	mails    *testapp.Outbox
}

func newSite(t testing.TB) *site {
	t.Helper()
	clock := testapp.NewClock()
	return siteOn(t, testapp.NewSpy(clock), clock, passkey.Config{}, nil)
}

func siteOn(t testing.TB, store testapp.Store, clock *testapp.Clock, config passkey.Config, configure func(*auth.Config)) *site {
	t.Helper()
	s := &site{passkeys: passkey.New(config), mails: &testapp.Outbox{}}
	s.App = testapp.New(t, store, clock, func(cfg *auth.Config) {
		cfg.BaseURL = "https://app.example"
		cfg.Factors = []auth.Factor{s.passkeys, totp.New(), totp.RecoveryCodes()}
		cfg.Mailer = s.mails
		cfg.Limits.Guesses = -1
		if configure != nil {
			configure(cfg)
		}
	})
	s.Mux.HandleFunc("POST /passkey", func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.LoginByPasskey(r.Context(), form(r)); err != nil {
			s.Error(w, r, err)
		}
	})
	return s
}

func form(r *http.Request) url.Values {
	_ = r.ParseForm()
	return r.PostForm
}

// phone returns an authenticator for the pages of the site.
func (s *site) phone() *passkeytest.Authenticator { return passkeytest.New(s.Config().BaseURL) }

// find returns the user with this name as they are now.
func (s *site) find(t testing.TB, name string) *testapp.User {
	t.Helper()
	u, err := s.Store.FindUser(t.Context(), name)
	must(t, err)
	return u
}

func (s *site) begin(t testing.TB, c *testapp.Client) (p auth.Prompt) {
	t.Helper()
	must(t, s.Do(c, func(ctx context.Context) error {
		setup, err := s.BeginFactor(ctx, name)
		p = setup.Prompt
		return err
	}))
	return p
}

func (s *site) finish(c *testapp.Client, answer url.Values) error {
	return s.Do(c, func(ctx context.Context) error { return s.EnrollFactor(ctx, name, answer) })
}

// add adds a passkey in a browser that is logged in.
func (s *site) add(t testing.TB, c *testapp.Client, phone *passkeytest.Authenticator) {
	t.Helper()
	must(t, s.finish(c, answer(t, phone, s.begin(t, c))))
}

// enroll makes an account with a passkey, and returns the browser and the authenticator.
func (s *site) enroll(t testing.TB, name string) (*testapp.Client, *passkeytest.Authenticator) {
	t.Helper()
	s.Verified(t, name)
	c, phone := s.Client(t), s.phone()
	c.Login(name)
	s.add(t, c, phone)
	return c, phone
}

// ask asks for a passkey in a browser.
func (s *site) ask(t testing.TB, c *testapp.Client) (p auth.Prompt) {
	t.Helper()
	must(t, s.Do(c, func(ctx context.Context) (err error) {
		p, err = s.PromptPasskey(ctx)
		return err
	}))
	return p
}

func (s *site) login(c *testapp.Client, answer url.Values) error {
	return s.Do(c, func(ctx context.Context) error {
		_, err := s.LoginByPasskey(ctx, answer)
		return err
	})
}

// try logs in with a passkey in a new browser.
func (s *site) try(t testing.TB, phone *passkeytest.Authenticator) error {
	t.Helper()
	c := s.Client(t)
	return s.login(c, answer(t, phone, s.ask(t, c)))
}

func (s *site) second(t testing.TB, c *testapp.Client) (p auth.Prompt) {
	t.Helper()
	must(t, s.Do(c, func(ctx context.Context) (err error) {
		p, err = s.PromptFactor(ctx, name)
		return err
	}))
	return p
}

func (s *site) show(c *testapp.Client, answer url.Values) error {
	return s.Do(c, func(ctx context.Context) error { return s.ContinueLogin(ctx, name, answer) })
}

// list returns the passkeys of the user with this name.
func (s *site) list(t testing.TB, name string) []auth.Passkey {
	t.Helper()
	list, err := s.passkeys.Passkeys(t.Context(), s.find(t, name).ID)
	must(t, err)
	return list
}

// known returns what the browser is told, or nil.
func (s *site) known(t testing.TB, u auth.User) *known {
	t.Helper()
	said, err := s.passkeys.Known(t.Context(), u)
	must(t, err)
	var k *known
	read(t, said, &k)
	return k
}

// known and options are what the script gets.
type known struct {
	RPID, UserID, Name, DisplayName string
	CredentialIDs                   []string
}

type options struct {
	Kind      string
	PublicKey struct {
		Challenge              string
		Timeout                int
		RPID                   string
		RP                     struct{ ID, Name string }
		User                   struct{ ID, Name, DisplayName string }
		PubKeyCredParams       []struct{ Alg int }
		ExcludeCredentials     []struct{ ID string }
		AllowCredentials       []struct{ ID string }
		UserVerification       string
		Attestation            string
		AuthenticatorSelection struct{ ResidentKey, UserVerification string }
		Extensions             map[string]any
	}
}

func optionsOf(t testing.TB, p auth.Prompt) (o options) {
	t.Helper()
	read(t, p.Data, &o)
	return o
}

func read(t testing.TB, data, into any) {
	t.Helper()
	b, err := json.Marshal(data)
	must(t, err)
	must(t, json.Unmarshal(b, into))
}

// why returns why the factor has refused an answer since the last time.
func (s *site) why() string {
	why := ""
	for _, e := range s.Events() {
		if e.Kind == passkey.EventRefused {
			why = e.Err.Error()
		}
	}
	return why
}

func answer(t testing.TB, phone *passkeytest.Authenticator, p auth.Prompt) url.Values {
	t.Helper()
	a, err := phone.Answer(p)
	must(t, err)
	return a
}

// lying returns a copy of an authenticator that lies.
func lying(phone *passkeytest.Authenticator, lie func(*passkeytest.Ceremony)) *passkeytest.Authenticator {
	other := phone.Clone()
	other.Lie = lie
	return other
}

// right returns how many errors are nil, and fails the test if another is not the target.
func right(t testing.TB, errs []error, target error) (n int) {
	t.Helper()
	for _, err := range errs {
		if err == nil {
			n++
		} else if !errors.Is(err, target) {
			t.Errorf("%v, want %v", err, target)
		}
	}
	return n
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

// staysAt makes an authenticator whose counter stays as it is.
func staysAt(n uint32) func(*passkeytest.Ceremony) {
	return func(c *passkeytest.Ceremony) { c.Count = n }
}

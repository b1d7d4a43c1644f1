package auth_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pages"
	"github.com/go-login/auth/totp"
)

// A Customer is the user type of docs/answers.md.
type Customer struct {
	auth.Account
	Company string
}

// ReadForm takes the customer's own fields from the registration form.
func (c *Customer) ReadForm(form url.Values) error {
	c.Company = strings.TrimSpace(form.Get("company"))
	if c.Company == "" {
		return pages.FieldErrors{"company": "Please enter your company."}
	}
	return nil
}

// answers is the application of docs/answers.md, with one customer: susan.
type answers struct {
	store   *memstore.Store[Customer, *Customer]
	clock   *authtest.Clock
	mailbox *authtest.Mailbox
	events  []auth.Event
	mux     *http.ServeMux
	manager *auth.Manager[*Customer]
	susan   *Customer
}

// newAnswers returns the application before it is started, and its configuration.
func newAnswers(t *testing.T) (*answers, auth.Config) {
	t.Helper()
	clock := authtest.NewClock(time.Time{})
	a := &answers{
		store: memstore.New[Customer](memstore.WithClock(clock.Now)), clock: clock,
		mailbox: &authtest.Mailbox{}, mux: http.NewServeMux(),
	}
	return a, auth.Config{
		BaseURL: "https://app.example",
		Secrets: [][]byte{[]byte(rand.Text() + rand.Text())},
		Mailer:  a.mailbox,
		Now:     clock.Now,
		Logger:  slog.New(slog.DiscardHandler),
		OnEvent: func(_ context.Context, e auth.Event) { a.events = append(a.events, e) },

		Password: auth.PasswordConfig{HashParams: authtest.HashParams()},
	}
}

// start makes the Manager and registers susan.
func (a *answers) start(t *testing.T, cfg auth.Config) *auth.Manager[*Customer] {
	t.Helper()
	manager, err := auth.New(a.store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	a.manager = manager
	a.susan = a.register(t, "susan")
	return manager
}

func (a *answers) register(t *testing.T, name string) *Customer {
	t.Helper()
	customer, err := a.manager.Register(t.Context(), auth.Registration{
		Username: name, Email: name + "@example.com", Password: "correct horse battery", Form: url.Values{"company": {"Acme"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return customer
}

// browser returns a browser, in which susan is logged in if in is true.
func (a *answers) browser(t *testing.T, in bool) *authtest.Client {
	t.Helper()
	client := authtest.NewClient(t, a.manager.Core, a.manager.LoadAndSave(a.mux))
	if in {
		client.Login(a.susan)
	}
	return client
}

// page returns a handler that shows a text.
func page(text string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, text) })
}

// gets compares an answer with a status and, for a redirect, where it leads, or a part of
// the text.
func gets(t *testing.T, r *authtest.Response, status int, want string) {
	t.Helper()
	if got := r.Header.Get("Location") + r.Text; r.StatusCode != status || !strings.Contains(got, want) {
		t.Errorf("%s %s: %s: %s, want %d, %s", r.Request.Method, r.Request.URL, r.Status, got, status, want)
	}
}

func TestAnswerGuard(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	manager, mux := a.start(t, cfg), a.mux
	reports, billing := page("reports"), page("billing")

	mux.Handle("GET /reports", manager.RequireLogin(reports))
	mux.Handle("POST /billing", manager.Require(auth.Verified(), auth.Fresh(15*time.Minute))(billing))

	gets(t, a.browser(t, false).Get("/reports"), http.StatusSeeOther, "/login?next=%2Freports")
	gets(t, a.browser(t, true).Get("/reports"), http.StatusOK, "reports")
	gets(t, a.browser(t, true).Post("/billing", nil), http.StatusSeeOther, "/verify-email")
}

func TestAnswerCurrentUser(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	manager, mux := a.start(t, cfg), a.mux

	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) {
		customer, ok := manager.CurrentUser(r.Context()) // *Customer, your own type
		if !ok {
			_, _ = fmt.Fprint(w, "Hello, visitor!")
			return
		}
		_, _ = fmt.Fprintf(w, "Hello, %s of %s!", customer.Username, customer.Company)
	})

	gets(t, a.browser(t, false).Get("/hello"), http.StatusOK, "Hello, visitor!")
	gets(t, a.browser(t, true).Get("/hello"), http.StatusOK, "Hello, susan of Acme!")
}

func TestAnswerRedirect(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	manager, mux := a.start(t, cfg), a.mux
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		customer, err := manager.Authenticate(r.Context(), r.PostFormValue("login"), r.PostFormValue("password"))
		if err != nil {
			manager.Error(w, r, err)
			return
		}

		if err := manager.LoginUser(r.Context(), customer); err != nil {
			manager.Error(w, r, err)
			return
		}
		manager.TakeNext(r).Redirect(w, "/dashboard") // the page that the user wanted, or else this one
	})

	for next, want := range map[string]string{"": "/dashboard", "/reports?year=2026": "/reports?year=2026", "//evil.example": "/dashboard"} {
		gets(t, a.browser(t, false).Post("/login", url.Values{"login": {"susan"}, "password": {"correct horse battery"}, "next": {next}}), http.StatusSeeOther, want)
	}
}

func TestAnswerField(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	manager, mux := a.start(t, cfg), a.mux

	ready, err := pages.New(manager.Core, pages.Config{
		Fields: []pages.Field{{Name: "company", Label: "Company", Required: true}},
	})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/", ready)

	form := url.Values{"username": {"jacob"}, "email": {"jacob@example.com"}, "password": {"correct horse battery"}, "confirm_password": {"correct horse battery"}, "company": {" "}}
	gets(t, a.browser(t, false).Post("/register", form), http.StatusUnprocessableEntity, "company")
	form.Set("company", "Bolts Ltd")
	gets(t, a.browser(t, false).Post("/register", form), http.StatusSeeOther, "/")
	if jacob, err := manager.FindUser(t.Context(), "jacob"); err != nil || jacob.Company != "Bolts Ltd" {
		t.Errorf("%+v, %v", jacob, err)
	}
}

func TestAnswerWithout(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)

	cfg.URLs.Login = "/sign-in"

	manager, mux := a.start(t, cfg), a.mux

	ready, err := pages.New(manager.Core, pages.Config{
		Without: []string{"/register", "/account/close"},
		Paths:   map[string]string{"/login": "/sign-in"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ready.Mount(mux)

	browser := a.browser(t, false)
	gets(t, browser.Get("/register"), http.StatusNotFound, "")
	gets(t, browser.Get("/login"), http.StatusNotFound, "")
	gets(t, browser.Get("/account"), http.StatusSeeOther, "/sign-in?next=%2Faccount")
	gets(t, browser.Get("/sign-in"), http.StatusOK, "")
}

func TestAnswerLoginUser(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	manager, mux := a.start(t, cfg), a.mux
	verifiedByPartner := func(*http.Request) string { return "susan" }

	mux.HandleFunc("POST /partner", func(w http.ResponseWriter, r *http.Request) {
		customer, err := manager.FindUser(r.Context(), verifiedByPartner(r))
		if err == nil {
			err = manager.LoginUser(r.Context(), customer, auth.By("partner"))
		}
		if err != nil {
			manager.Error(w, r, err)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})

	mux.HandleFunc("GET /who", func(w http.ResponseWriter, r *http.Request) {
		login, err := manager.CurrentLogin(r.Context())
		_, _ = fmt.Fprint(w, login.Methods, err)
	})
	browser := a.browser(t, false)
	gets(t, browser.Post("/partner", nil), http.StatusSeeOther, "/")
	gets(t, browser.Get("/who"), http.StatusOK, "[partner] <nil>")
}

func TestAnswerLogoutEverywhere(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	manager, mux := a.start(t, cfg), a.mux

	mux.HandleFunc("POST /logout-everywhere", func(w http.ResponseWriter, r *http.Request) {
		customer, err := manager.User(r.Context())
		if err == nil {
			err = manager.LogoutEverywhere(r.Context(), customer)
		}
		if err != nil {
			manager.Error(w, r, err)
			return
		}
		http.Redirect(w, r, "/", http.StatusSeeOther)
	})

	mux.Handle("GET /reports", manager.RequireLogin(page("reports")))
	one, other := a.browser(t, true), a.browser(t, true)
	gets(t, other.Get("/reports"), http.StatusOK, "reports")
	gets(t, one.Post("/logout-everywhere", nil), http.StatusSeeOther, "/")
	gets(t, one.Get("/reports"), http.StatusSeeOther, "/login")
	gets(t, other.Get("/reports"), http.StatusSeeOther, "/login")
}

func TestAnswerSession(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	manager, mux := a.start(t, cfg), a.mux

	mux.HandleFunc("POST /language", func(w http.ResponseWriter, r *http.Request) {
		manager.SessionData().Put(r.Context(), "language", r.PostFormValue("language"))
		http.Redirect(w, r, "/language", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /language", func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprint(w, manager.SessionData().GetString(r.Context(), "language"))
	})

	visitor := a.browser(t, false)
	gets(t, visitor.Post("/language", url.Values{"language": {"de"}}), http.StatusSeeOther, "/language")
	gets(t, visitor.Get("/language"), http.StatusOK, "de")
	visitor.Login(a.susan) // keeps the visitor's data
	gets(t, visitor.Get("/language"), http.StatusOK, "de")
}

func TestAnswerFlash(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	manager, mux := a.start(t, cfg), a.mux

	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		_ = manager.Flash(r.Context(), "success", "Your order is on its way.")
		http.Redirect(w, r, "/orders", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /orders", func(w http.ResponseWriter, r *http.Request) {
		for _, f := range manager.Flashes(r.Context()) {
			_, _ = fmt.Fprintf(w, "<p class=%q>%s</p>", f.Category, html.EscapeString(f.Text))
		}
	})

	browser := a.browser(t, true)
	gets(t, browser.Follow(browser.Post("/orders", nil)), http.StatusOK, `<p class="success">Your order is on its way.</p>`)
	if r := browser.Get("/orders"); r.Text != "" {
		t.Errorf("the message is shown twice: %s", r.Text)
	}
}

func TestAnswerFresh(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	manager, mux := a.start(t, cfg), a.mux
	payout := page("paid")

	mux.Handle("POST /payout", manager.RequireFresh(15*time.Minute)(payout))

	browser := a.browser(t, true)
	gets(t, browser.Post("/payout", nil), http.StatusOK, "paid")
	a.clock.Advance(16 * time.Minute)
	gets(t, browser.Post("/payout", nil), http.StatusSeeOther, "/refresh")
}

func TestAnswerMax(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)

	cfg.Session.Max = 2 // logins of one user at the same time; one more ends the oldest

	manager, mux := a.start(t, cfg), a.mux
	mux.Handle("GET /reports", manager.RequireLogin(page("reports")))
	first := a.browser(t, true)
	a.clock.Advance(time.Minute)
	second := a.browser(t, true)
	a.clock.Advance(time.Minute)
	third := a.browser(t, true)
	gets(t, first.Get("/reports"), http.StatusSeeOther, "/login")
	gets(t, second.Get("/reports"), http.StatusOK, "reports")
	gets(t, third.Get("/reports"), http.StatusOK, "reports")
}

func TestAnswerAPIToken(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	ctx := t.Context()

	cfg.Credentials = []auth.Credential{auth.Bearer()}

	manager, mux := a.start(t, cfg), a.mux
	customer, now, reports := a.susan, a.clock.Now(), page("reports")

	mux.Handle("GET /api/reports", manager.RequireScope("reports")(reports))
	token, _, err := manager.NewAPIToken(ctx, customer, auth.APIToken{
		Name: "backup", Scopes: []string{"reports"}, Expires: now.AddDate(0, 3, 0),
	})

	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]int{token.Reveal(): http.StatusOK, "another": http.StatusUnauthorized} {
		r := httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/reports", nil)
		r.Header.Set("Authorization", "Bearer "+text)
		gets(t, a.browser(t, false).Do(r), want, "")
	}
}

// An apiMailer is a Mailer. A goroutine of yours takes the mails from the channel, and
// sends them through the API of your provider.
type apiMailer chan auth.Mail

func (queue apiMailer) Send(_ context.Context, m auth.Mail) error {
	select {
	case queue <- m: // m.Kind says what the mail is about; m.To and m.Link have the rest
		return nil
	default:
		return errors.New("the queue of mails is full")
	}
}

func TestAnswerMailAPI(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	queue := make(apiMailer, 1)
	cfg.Mailer = queue
	manager := a.start(t, cfg)
	if err := manager.SendReset(t.Context(), "susan@example.com"); err != nil {
		t.Fatal(err)
	}
	if m := <-queue; m.Kind != auth.MailReset || m.To != "susan@example.com" || m.Link.IsZero() {
		t.Errorf("%+v", m)
	}
}

func TestAnswerPolicy(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)

	cfg.Password.Min = 12
	cfg.Password.Words = []string{"acme", "rocketskates"}
	cfg.Password.Check = func(_ context.Context, password string, a auth.Account) error {
		if a.Email != "" && strings.Contains(password, a.Email) {
			return errors.New("a password must not contain your address")
		}
		return nil
	}

	manager := a.start(t, cfg)
	for password, want := range map[string]auth.PasswordReason{
		"a short one": auth.PasswordTooShort, "rocketskates2026": auth.PasswordPersonal, "I am susan@example.com": auth.PasswordRejected, "correct horse battery": "",
	} {
		var refused *auth.PasswordError
		err := manager.ValidatePassword(t.Context(), password, a.susan.Account)
		if errors.As(err, &refused) != (want != "") || want != "" && refused.Reason != want {
			t.Errorf("%s: %v, want %s", password, err, want)
		}
	}
}

func TestAnswerImport(t *testing.T) { // not parallel: a hash is replaced only if hashing is idle
	a, cfg := newAnswers(t)
	manager, store, ctx := a.start(t, cfg), a.store, t.Context()
	hash, err := bcrypt.GenerateFromPassword([]byte("a password of before"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	row := struct{ name, email, hash, company string }{"jacob", "jacob@example.com", string(hash), "Bolts Ltd"}

	_, err = store.CreateUser(ctx, auth.Account{
		Username:     row.name,
		Email:        row.email,
		PasswordHash: auth.NewSecret(row.hash), // bcrypt's, as it is: $2b$12$…
		Stamp:        auth.NewSecret(rand.Text()),
	}, url.Values{"company": {row.company}})

	if err != nil {
		t.Fatal(err)
	}
	if _, err := manager.Authenticate(ctx, "jacob", "a password of before"); err != nil {
		t.Error(err)
	}
	jacob, err := manager.FindUser(ctx, "jacob")
	if err != nil || !strings.HasPrefix(jacob.PasswordHash.Reveal(), "$argon2id$") {
		t.Errorf("after the login the hash is %.12s, %v", jacob.PasswordHash.Reveal(), err)
	}
}

func TestAnswerDisable(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	manager, mux, ctx := a.start(t, cfg), a.mux, t.Context()
	mux.Handle("GET /reports", manager.RequireLogin(page("reports")))
	browser := a.browser(t, true)

	customer, err := manager.FindUser(ctx, "susan")
	if err == nil {
		err = manager.Disable(auth.WithReason(ctx, "ticket 4711"), customer.ID)
	}

	if err != nil {
		t.Fatal(err)
	}
	gets(t, browser.Get("/reports"), http.StatusSeeOther, "/login")
	found := false
	for _, e := range a.events {
		found = found || e.Kind == auth.EventAccountDisabled && e.UserID == customer.ID && e.Reason == "ticket 4711"
	}
	if !found {
		t.Errorf("%+v", a.events)
	}
}

func TestAnswerEvents(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	var written bytes.Buffer
	audit := slog.New(slog.NewTextHandler(&written, nil))

	cfg.OnEvent = func(ctx context.Context, e auth.Event) {
		if e.ActorID == "" {
			return // the user's own act; the Logger has it
		}
		audit.InfoContext(ctx, "act", "event", e.Kind, "user", e.UserID, "by", e.ActorID, "reason", e.Reason, "from", e.Address)
	}

	manager, mux := a.start(t, cfg), a.mux
	jacob := a.register(t, "jacob")
	mux.Handle("POST /disable", manager.RequireLogin(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if err := manager.Disable(auth.WithReason(r.Context(), "spam"), jacob.ID); err != nil {
			t.Error(err)
		}
	})))
	a.browser(t, true).Post("/disable", nil)
	if want := fmt.Sprintf("msg=act event=account.disabled user=%s by=%s reason=spam from=192.0.2.1\n", jacob.ID, a.susan.ID); !strings.HasSuffix(written.String(), want) || strings.Count(written.String(), "\n") != 1 {
		t.Errorf("%s, want %s", &written, want)
	}
}

func TestAnswerProxy(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)

	cfg.Network.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")}

	manager, mux := a.start(t, cfg), a.mux
	mux.Handle("GET /reports", manager.RequireLogin(page("reports")))
	browser := a.browser(t, false)
	for from, want := range map[string]string{"127.0.0.1:5000": "198.51.100.7", "203.0.113.9:5000": "203.0.113.9"} {
		a.events, browser.RemoteAddr = nil, from
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/reports", nil)
		r.Header.Set("X-Forwarded-For", "198.51.100.7")
		browser.Do(r)
		for _, e := range a.events {
			if e.Kind == auth.EventAccessDenied && e.Address != want {
				t.Errorf("a request from %s has the address %s, want %s", from, e.Address, want)
			}
		}
		if len(a.events) == 0 {
			t.Error("no events")
		}
	}
}

func TestAnswerRotate(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	manager, ctx := a.start(t, cfg), t.Context()
	token, err := manager.ResetToken(ctx, a.susan)
	if err != nil {
		t.Fatal(err)
	}
	newSecret, oldSecret := []byte(rand.Text()+rand.Text()), cfg.Secrets[0]

	cfg.Secrets = [][]byte{newSecret, oldSecret} // the first one signs and seals; both are accepted

	for secret, want := range map[string]error{"both": nil, "new": auth.ErrInvalidToken} {
		if secret == "new" {
			cfg.Secrets = cfg.Secrets[:1]
		}
		manager, err := auth.New(a.store, cfg)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := manager.CheckResetToken(ctx, token); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", secret, err, want)
		}
		cfg.Secrets = [][]byte{newSecret, oldSecret}
	}
}

func TestAnswerSPA(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	manager, mux := a.start(t, cfg), a.mux
	ordersOf := func(*Customer) []string { return []string{"4711"} }

	mux.HandleFunc("GET /api/orders", func(w http.ResponseWriter, r *http.Request) {
		manager.AnswerJSON(r.Context()) // errors are JSON, whatever the client accepts
		customer, err := manager.User(r.Context())
		if err != nil {
			manager.Error(w, r, err) // 401 {"status": 401, "code": "not-logged-in", …}
			return
		}
		_ = json.NewEncoder(w).Encode(ordersOf(customer))
	})

	gets(t, a.browser(t, false).Get("/api/orders"), http.StatusUnauthorized, `"code":"not-logged-in"`)
	gets(t, a.browser(t, true).Get("/api/orders"), http.StatusOK, `["4711"]`)
}

func TestAnswerStream(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	manager, mux := a.start(t, cfg), a.mux
	news := make(chan string)

	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
		ctx, stop := manager.WhileLoggedIn(r.Context())
		defer stop()
		for {
			select {
			case <-ctx.Done(): // the login has ended; context.Cause(ctx) says why
				return
			case text := <-news:
				_, _ = fmt.Fprintf(w, "data: %s\n\n", text)
			}
		}
	})

	browser, got := a.browser(t, true), make(chan *authtest.Response)
	go func() { got <- browser.Get("/stream") }()
	news <- "hello"
	if err := manager.LogoutEverywhere(t.Context(), a.susan); err != nil {
		t.Fatal(err)
	}
	gets(t, <-got, http.StatusOK, "data: hello")
}

func TestAnswerTest(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	manager, mux := a.start(t, cfg), a.mux
	mux.Handle("GET /reports", manager.RequireLogin(page("reports")))
	susan, handler := a.susan, manager.LoadAndSave(mux)

	client := authtest.NewClient(t, manager.Core, handler)
	client.Login(susan) // a login without a password
	if r := client.Get("/reports"); r.StatusCode != http.StatusOK {
		t.Errorf("susan gets %s: %s", r.Status, r.Text)
	}
}

func TestAnswerRole(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)
	ctx, savePost := t.Context(), page("saved")

	cfg.Roles = auth.RoleConfig{
		Permissions: []string{"posts.edit"},
		Grants:      map[string][]string{"editor": {"posts.edit"}},
	}

	manager, mux := a.start(t, cfg), a.mux
	customer, browser := a.susan, a.browser(t, true)

	mux.Handle("POST /posts", manager.Require(auth.Can("posts.edit"))(savePost))

	gets(t, browser.Post("/posts", nil), http.StatusForbidden, "")

	err := manager.SetRoles(ctx, customer.ID, "editor") // from the user's next request on

	if err != nil {
		t.Fatal(err)
	}
	gets(t, browser.Post("/posts", nil), http.StatusOK, "saved")
}

func TestAnswerSecondFactor(t *testing.T) {
	t.Parallel()
	a, cfg := newAnswers(t)

	cfg.Factors = []auth.Factor{totp.New(totp.Issuer("App")), totp.RecoveryCodes()}

	manager, mux := a.start(t, cfg), a.mux
	ready, err := pages.New(manager.Core, pages.Config{})
	if err != nil {
		t.Fatal(err)
	}
	mux.Handle("/", ready)
	gets(t, a.browser(t, true).Get("/account"), http.StatusOK, "/account/two-factor")
}

// docs/answers.md has short answers, each with a sample. That the samples are compiled
// letter by letter is checked in examples/hello, and the tests above run them.
func TestAnswersDocument(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("docs", "answers.md"))
	if err != nil {
		t.Fatal(err)
	}
	answers := regexp.MustCompile(`(?m)^### (.+)$`).FindAllStringSubmatchIndex(string(text), -1)
	if len(answers) < 25 {
		t.Errorf("%d answers", len(answers))
	}
	for i, at := range answers {
		end := len(text)
		if i+1 < len(answers) {
			end = answers[i+1][0]
		}
		question, answer := string(text[at[2]:at[3]]), string(text[at[1]:end])
		lines := 0
		for _, sample := range regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(answer, -1) {
			lines += strings.Count(sample[1], "\n")
		}
		if lines == 0 || lines > 12 {
			t.Errorf("%s: the samples have %d lines", question, lines)
		}
		if !strings.HasPrefix(question, "How do I ") || !strings.HasSuffix(question, "?") {
			t.Errorf("%s is no question", question)
		}
	}
}

package auth_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

func TestRegisterByMail(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, requireVerified)
	m.Events()
	browser := m.Client(t)
	var err error
	r := m.in(browser, func(ctx context.Context) {
		err = m.RegisterByMail(ctx, auth.Registration{
			Username: " ann ", Email: " Ann@app.example ", Password: resetTo, Form: map[string][]string{"name": {"Ann"}},
		}, "/forgot")
	})
	if err != nil || len(r.Cookies()) != 0 || browser.Who() != "nobody" {
		t.Fatalf("%v, %v", err, r.Cookies())
	}
	u := find(t, m.App, "ann@app.example")
	if u.Username != "ann" || u.Email != "Ann@app.example" || u.Name != "Ann" || u.EmailVerified || !opens(t, m.App, u.ID, resetTo) {
		t.Errorf("%+v", u)
	}
	if e := m.Events(); !slices.Equal(kinds(e), []auth.EventKind{auth.EventRegistered, auth.EventVerifyIssued}) || e[0].UserID != u.ID {
		t.Errorf("%v", e)
	}
	if _, err := m.Authenticate(t.Context(), "ann", resetTo); !errors.Is(err, auth.ErrUnverified) {
		t.Errorf("before it is verified: %v", err)
	}
	if _, err := m.VerifyEmail(t.Context(), m.token(t, auth.MailVerify, "Ann@app.example")); err != nil {
		t.Fatal(err)
	}
	if got, err := m.Authenticate(t.Context(), "ann", resetTo); err != nil || got.ID != u.ID {
		t.Errorf("%v, %v", got, err)
	}
	// Once more: nothing is created, and the owner is told.
	m.Events()
	if err := m.RegisterByMail(t.Context(), auth.Registration{Username: "ann2", Email: "ANN@app.example", Password: resetTo}, "/forgot"); err != nil {
		t.Error(err)
	}
	mails := m.box.take()
	if len(mails) != 1 || mails[0].Kind != auth.MailAddressTaken || mails[0].To != "Ann@app.example" || mails[0].Lifetime != 0 ||
		mails[0].Link.Reveal() != m.Core.BaseURL()+"/forgot" || mails[0].User.AuthAccount().ID != u.ID {
		t.Errorf("%+v", mails)
	}
	if e := m.Events(); len(e) != 1 || e[0].Kind != auth.EventRegisterFailed || e[0].UserID != u.ID || !errors.Is(e[0].Err, auth.ErrEmailTaken) {
		t.Errorf("%v", e)
	}
	if now := stored(t, m.App, u.ID); now.Version != 2 || !opens(t, m.App, u.ID, resetTo) {
		t.Errorf("%+v", now)
	}
	if _, err := m.Store.FindUser(t.Context(), "ann2"); !errors.Is(err, auth.ErrUserNotFound) {
		t.Errorf("there is an account: %v", err)
	}
	if err := m.RegisterByMail(t.Context(), auth.Registration{Username: "ann3", Email: "ann@app.example", Password: resetTo}, ""); err != nil {
		t.Error(err)
	}
	if mails := m.box.take(); len(mails) != 1 || !mails[0].Link.IsZero() {
		t.Errorf("without a page: %+v", mails)
	}
}

// Whether an address has an account, and in which state, shows neither in the
// answer nor in the work.
func TestRegisterByMailTellsNothing(t *testing.T) {
	t.Parallel()
	for _, with := range []string{"a username", "no username", "no password", "a short password", "a form that is refused", "a name that is taken", "no text"} {
		m := newMailApp(t, requireVerified)
		for name, do := range accountStates() {
			member(t, m.App, name, testapp.Password, do)
		}
		member(t, m.App, "taken", "")
		n := 0
		ask := func(address string) (answer string, calls int) {
			n++
			r := auth.Registration{Username: fmt.Sprintf("new%d", n), Email: address, Password: resetTo, Form: map[string][]string{"name": {"x"}}}
			switch with {
			case "no username":
				r.Username = ""
			case "no password":
				r.Password = ""
			case "a short password":
				r.Password = "short"
			case "a form that is refused":
				r.Form["name"] = []string{"refuse"}
			case "a name that is taken":
				r.Username = "TAKEN"
			case "no text":
				r.Username = "\xff"
			}
			before := m.Core.PasswordHashes()
			m.hooked.hook(func(call string) error {
				// A store may as well look for the address first.
				if call == "CreateUser" && with == "a name that is taken" && !strings.HasPrefix(address, "free") {
					return auth.ErrEmailTaken
				}
				return nil
			}, nil)
			var err error
			res := m.in(m.Client(t), func(ctx context.Context) { err = m.RegisterByMail(ctx, r, "/forgot") })
			res.Header.Del("Date")
			return fmt.Sprint(err, res.Status, res.Header, res.Text, m.Core.PasswordHashes()-before), len(m.hooked.made())
		}
		want, wantCalls := ask("free@app.example")
		m.box.take()
		for name, do := range accountStates() {
			var a auth.Account
			do(&a)
			got, calls := ask(name + "@app.example")
			// The form is refused by the store's CreateUser; after it, the two differ in
			// what they store, and not in how often they ask.
			if got != want || calls != wantCalls {
				t.Errorf("%s, %s: %s after %d calls, want %s after %d", with, name, got, calls, want, wantCalls)
			}
			if mailed := len(m.box.take()) == 1; mailed != (!a.Disabled && strings.HasPrefix(want, "<nil>")) {
				t.Errorf("%s, %s: mailed %v", with, name, mailed)
			}
		}
		m.box.err = errDown
		for _, address := range []string{"free2@app.example", "verified@app.example"} {
			if got, _ := ask(address); got != want {
				t.Errorf("%s, %s, the mailer is down: %s, want %s", with, address, got, want)
			}
		}
	}
}

// It refuses what Register refuses, with the same error.
func TestRegisterByMailRefuses(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, requireVerified)
	member(t, m.App, "taken", "")
	for _, r := range []auth.Registration{
		{Email: "a@app.example", Username: "x y", Password: resetTo},
		{Email: "a@app.example", Username: "a@b.example", Password: resetTo},
		{Email: "", Username: "ann", Password: resetTo},
		{Email: "no address", Username: "ann", Password: resetTo},
		{Email: "no address", Username: "x y", Password: resetTo},
		{Email: "a@app.example", Username: "ann", Password: "short"},
		{Email: "a@app.example", Username: "ann", Password: "a@app.example"},
		{Email: "a@app.example", Username: "ann", Password: "\xff\xfe\xff\xfe\xff\xfe\xff\xfe"},
		{Email: "a@app.example", Username: "Taken", Password: resetTo},
		{Email: "a@app.example", Username: "ann", Password: resetTo, Form: map[string][]string{"name": {"refuse"}}},
	} {
		_, want := m.Register(t.Context(), r)
		before := m.Core.PasswordHashes()
		_, again := m.Register(t.Context(), r)
		hashes := m.Core.PasswordHashes() - before
		got := m.RegisterByMail(t.Context(), r, "/forgot")
		if want == nil || got == nil || again.Error() != want.Error() || got.Error() != want.Error() || m.Core.PasswordHashes() != before+2*hashes {
			t.Errorf("%+v: %v, and Register says %v", r, got, want)
		}
	}
	m.wantMails(t, "nothing")
	good := auth.Registration{Email: "a@app.example", Password: resetTo}
	for _, page := range []string{"forgot", "//evil.example", "https://evil.example/", "/forgot?x=y"} {
		if err := m.RegisterByMail(t.Context(), good, page); err == nil {
			t.Errorf("the page %q is taken", page)
		}
	}
	without := newMailApp(t, nil)
	if err := without.RegisterByMail(t.Context(), good, ""); err == nil || !strings.Contains(err.Error(), "RequireVerified") {
		t.Errorf("without RequireVerified: %v", err)
	}
	loader, err := auth.NewLoader[*testapp.User](memstore.New[testapp.User](), goodConfig())
	if err != nil {
		t.Fatal(err)
	}
	if err := loader.RegisterByMail(t.Context(), good, ""); !errors.Is(err, auth.ErrNoUserStore) {
		t.Errorf("NewLoader: %v", err)
	}
}

// A username that was asked for with an address that is taken is as gone as if the
// address had been free.
func TestRegisterByMailKeepsUsernames(t *testing.T) {
	t.Parallel()
	ask := func(m *mailApp, name, address string) error {
		return m.RegisterByMail(t.Context(), auth.Registration{Username: name, Email: address, NoPassword: true}, "")
	}
	for _, first := range []string{"free@app.example", "susan@app.example", "disabled@app.example", "moved@app.example"} {
		m := newMailApp(t, requireVerified)
		_, browser := m.susan(t)
		member(t, m.App, "disabled", "", func(a *auth.Account) { a.Disabled = true })
		member(t, m.App, "mover", "", func(a *auth.Account) { verified(a); a.Email = "moved@app.example" })
		browser.Login("mover")
		m.changeEmail(t, browser, "elsewhere@app.example")
		if err := ask(m, "Probe", first); err != nil {
			t.Errorf("%s: %v", first, err)
		}
		for _, second := range []string{"another@app.example", "susan@app.example", first} {
			if err := ask(m, "pROBE", second); !errors.Is(err, auth.ErrUsernameTaken) {
				t.Errorf("%s, then %s: %v", first, second, err)
			}
		}
		if _, err := m.Register(t.Context(), auth.Registration{Username: "ｐrobe", Email: "x@app.example", Password: resetTo}); !errors.Is(err, auth.ErrUsernameTaken) {
			t.Errorf("%s, then Register: %v", first, err)
		}
		m.Clock.Advance(30*24*time.Hour - time.Millisecond)
		if err := ask(m, "probe", "another@app.example"); !errors.Is(err, auth.ErrUsernameTaken) {
			t.Errorf("%s, after 30 days but a moment: %v", first, err)
		}
		m.Clock.Advance(time.Millisecond)
		if err := ask(m, "probe", "another@app.example"); first != "free@app.example" && err != nil {
			t.Errorf("%s, after 30 days: %v", first, err)
		}
		// Without a username it can be asked as often as one likes.
		for range 3 {
			if err := ask(m, "", "susan@app.example"); err != nil {
				t.Error(err)
			}
		}
	}
}

// Of many registrations of one address at the same moment one is made, and all get
// the same answer.
func TestRegisterByMailRace(t *testing.T) {
	t.Parallel()
	for _, same := range []bool{false, true} {
		m := newMailApp(t, requireVerified)
		var wg sync.WaitGroup
		var mu sync.Mutex
		answers := map[string]int{}
		for i := range 30 {
			wg.Go(func() {
				name := "probe"
				if !same {
					name = fmt.Sprintf("probe%d", i)
				}
				err := m.RegisterByMail(t.Context(), auth.Registration{Username: name, Email: "free@app.example", NoPassword: true}, "")
				mu.Lock()
				defer mu.Unlock()
				answers[fmt.Sprint(err)]++
			})
		}
		wg.Wait()
		u := find(t, m.App, "free@app.example")
		if want := map[string]int{"<nil>": 30}; !same && fmt.Sprint(answers) != fmt.Sprint(want) {
			t.Errorf("%v", answers)
		}
		if same && answers["<nil>"]+answers[auth.ErrUsernameTaken.Error()] != 30 || answers["<nil>"] == 0 {
			t.Errorf("%v", answers)
		}
		verify := 0
		for _, mail := range m.box.take() {
			if mail.Kind == auth.MailVerify {
				verify++
			}
			if mail.User.AuthAccount().ID != u.ID {
				t.Errorf("%+v", mail)
			}
		}
		if verify != 1 {
			t.Errorf("%d mails that verify", verify)
		}
	}
}

// A failure at any call leaves an account that can be verified, or none that is in
// anybody's way.
func TestRegisterByMailIsAllOrNothing(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"free@app.example", "susan@app.example"} {
		for _, mode := range failures() {
			for k := 1; ; k++ {
				m := newMailApp(t, requireVerified)
				m.susan(t)
				r := auth.Registration{Username: "ann", Email: address, NoPassword: true} // without a hash it is faster
				ctx, end := m.failing(t.Context(), mode, k)
				err := m.RegisterByMail(ctx, r, "")
				failed := end()
				what := fmt.Sprintf("%s: %s, call %d (%s): %v", address, mode, k, failed, err)
				_, found := m.Store.FindUser(t.Context(), "ann")
				mails := labels(m.box.take())
				sent := 1
				if slices.Contains(kinds(m.Events()), auth.EventMailFailed) { // its count failed; it can be asked for again
					sent = 0
				}
				switch {
				case errors.Is(err, auth.ErrEmailTaken), errors.Is(err, auth.ErrUsernameTaken),
					err == nil && (found == nil) != (address == "free@app.example"), err == nil && len(mails) != sent, err != nil && len(mails) != 0:
					t.Errorf("%s, found %v, mails %v", what, found, mails)
				case err != nil && found == nil && mode != "call fails after it was made" && mode != "store is gone from then on":
					t.Errorf("%s, and there is an account", what)
				}
				if failed == "" {
					if err != nil || k < 2 { // what a store does not find it cannot fail after
						t.Error(what)
					}
					break
				}
				// It can be had all the same: by asking again, or by the link.
				if found == nil && address == "free@app.example" {
					if err := m.SendVerification(t.Context(), address); err != nil {
						t.Error(err)
					}
					if _, err := m.VerifyEmail(t.Context(), m.token(t, auth.MailVerify, address)); err != nil {
						t.Errorf("%s, and then %v", what, err)
					}
				} else if r.Username = "ann2"; m.RegisterByMail(t.Context(), r, "") != nil {
					t.Errorf("%s, and once more it fails", what)
				}
			}
		}
	}
}

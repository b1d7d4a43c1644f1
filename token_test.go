package auth_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

func used(t *testing.T, app *testapp.App, token string) bool {
	t.Helper()
	was, err := app.TokenUsed(t.Context(), token)
	if err != nil {
		t.Error(err)
	}
	return was
}

// TestTokenUsed: TokenUsed returns true for a token that was used, until it would have
// expired. For a token that is void for another reason it returns false.
func TestTokenUsed(t *testing.T) {
	t.Parallel()
	m := newMailApp(t, nil)
	u := member(t, m.App, "susan", testapp.Password)
	token := func() string {
		token, err := m.ResetToken(t.Context(), stored(t, m.App, u.ID))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	first, second := token(), token()
	if _, err := m.ResetPassword(t.Context(), first, "short"); err == nil || used(t, m.App, first) {
		t.Errorf("%v, or it is used already", err)
	}
	m.Clock.Advance(10 * time.Minute)
	if _, err := m.ResetPassword(t.Context(), first, resetTo); err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]bool{first: true, second: false, first + "A": false, first[1:]: false, "": false, "x": false} {
		if used(t, m.App, text) != want {
			t.Errorf("%q is used: %t", text, !want)
		}
	}
	// The other functions still say no more than ErrInvalidToken.
	if _, err := m.CheckResetToken(t.Context(), first); !errors.Is(err, auth.ErrInvalidToken) {
		t.Error(err)
	}
	m.Clock.Advance(20*time.Minute - time.Second)
	if !used(t, m.App, first) {
		t.Error("forgotten too early")
	}
	m.Clock.Advance(time.Second)
	if used(t, m.App, first) {
		t.Error("kept for longer than the token")
	}

	verify := m.verifyToken(t, member(t, m.App, "anna", testapp.Password))
	anna, err := m.VerifyEmail(t.Context(), verify)
	if err != nil || !used(t, m.App, verify) {
		t.Errorf("%v, or it is not used", err)
	}
	m.Spy().Hook(on("GetRecord", func() error { return errors.New("the disk is full") }), nil)
	if was, err := m.TokenUsed(t.Context(), verify); was || err == nil {
		t.Errorf("%t, %v", was, err)
	}
	m.Spy().Reset()
	if err := m.CloseAccount(t.Context(), anna); err != nil || used(t, m.App, verify) {
		t.Errorf("%v, or it is kept after the account", err)
	}
}

// A token works for one purpose and for one account.
func TestMailedTokensPurpose(t *testing.T) {
	t.Parallel()
	for _, made := range []string{"verify", "reset", "email", "undo"} {
		for _, used := range []string{"verify", "reset", "email", "undo"} {
			m := newMailApp(t, nil)
			u := member(t, m.App, "susan", testapp.Password, func(a *auth.Account) { a.EmailVerified = made != "verify" })
			browser := m.Client(t)
			browser.Login("susan")
			token := ""
			switch made {
			case "verify":
				token = m.verifyToken(t, u)
			case "reset":
				token = resetToken(t, m.App, u)
			case "email":
				token = m.askEmail(t, browser, "new@app.example")
			case "undo":
				token = m.changeEmail(t, browser, "new@app.example")
			}
			before := stored(t, m.App, u.ID)
			var err error
			m.In(browser, func(ctx context.Context) {
				switch used {
				case "verify":
					_, err = m.VerifyEmail(ctx, token)
				case "reset":
					_, err = m.ResetPassword(ctx, token, resetTo)
				case "email":
					_, err = m.ConfirmEmailChange(ctx, token)
				case "undo":
					_, err = m.UndoEmailChange(ctx, token)
				}
			})
			switch after := stored(t, m.App, u.ID); {
			case made == used && err != nil:
				t.Errorf("%s: %v", made, err)
			case made != used && (!errors.Is(err, auth.ErrInvalidToken) || after.Version != before.Version):
				t.Errorf("%s used to %s: %v", made, used, err)
			}
		}
	}
}

// The functions notice changes of the account between checking the token and using it.
func TestMailedTokensNoticeChanges(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"verify", "email"} {
		for what, c := range map[string]struct {
			do   func(t *testing.T, m *mailApp, u *testapp.User)
			want error
		}{
			"nothing": {func(*testing.T, *mailApp, *testapp.User) {}, nil},
			"roles": {func(t *testing.T, m *mailApp, u *testapp.User) {
				change(t, m.App, u.ID, func(a *auth.Account) { a.Roles = []string{"x"} })
			}, nil},
			"another token": {func(t *testing.T, m *mailApp, u *testapp.User) {
				change(t, m.App, u.ID, func(a *auth.Account) {
					if a.EmailVerified, a.Stamp = true, auth.NewSecret("new"); by == "email" {
						a.Email = "another@app.example"
					}
				})
			}, auth.ErrInvalidToken},
			"password": {func(t *testing.T, m *mailApp, u *testapp.User) {
				change(t, m.App, u.ID, func(a *auth.Account) { a.Stamp = auth.NewSecret("new") })
			}, auth.ErrInvalidToken},
			"disabled": {func(t *testing.T, m *mailApp, u *testapp.User) {
				change(t, m.App, u.ID, func(a *auth.Account) { a.Disabled = true })
			}, auth.ErrInvalidToken},
			"deleted": {func(t *testing.T, m *mailApp, u *testapp.User) { deleteUser(t, m.App, u.ID) }, auth.ErrInvalidToken},
		} {
			m := newMailApp(t, nil)
			u := member(t, m.App, "susan", "", func(a *auth.Account) { a.EmailVerified = by == "email" })
			browser := m.Client(t)
			browser.Login("susan")
			token := ""
			if by == "verify" {
				token = m.verifyToken(t, u)
			} else {
				token = m.askEmail(t, browser, "new@app.example")
			}
			m.Spy().Hook(on("UpdateAccount", func() error {
				m.Spy().Reset()
				c.do(t, m, u)
				return nil
			}), nil)
			var err error
			if by == "verify" {
				_, err = m.VerifyEmail(t.Context(), token)
			} else {
				_, err = m.confirm(browser, token)
			}
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("%s crosses %s: %v", by, what, err)
			}
			if err == nil {
				continue
			}
			m.wantMails(t, what)
			if list, err := m.Store.ListRecords(t.Context(), "email-undo", u.ID); err != nil || len(list) != 0 {
				t.Errorf("%s crosses %s: %d undo links, %v", by, what, len(list), err)
			}
		}
	}
}

// FuzzMailedTokens: no other text is accepted as a token.
func FuzzMailedTokens(f *testing.F) {
	clock := testapp.NewClock()
	store := memstore.New[testapp.User](memstore.WithClock(clock.Now))
	box := &testapp.Outbox{}
	cfg := goodConfig()
	cfg.Now, cfg.Mailer = clock.Now, box
	m, err := auth.New[*testapp.User](store, cfg)
	if err != nil {
		f.Fatal(err)
	}
	alice, err := store.CreateUser(f.Context(), auth.Account{Username: "alice", Email: "alice@app.example", Stamp: auth.NewSecret("s"), Version: 1}, nil)
	if err != nil {
		f.Fatal(err)
	}
	reset, err := m.ResetToken(f.Context(), alice)
	if err != nil {
		f.Fatal(err)
	}
	if err := errors.Join(m.SendVerification(f.Context(), alice.Email), m.SendEmailChange(f.Context(), alice, "new@app.example")); err != nil {
		f.Fatal(err)
	}
	good := map[string]string{"reset": reset}
	for _, mail := range box.Take() {
		_, good[string(mail.Kind)], _ = strings.Cut(mail.Link.Reveal(), "?token=")
	}
	for _, seed := range []string{"", "A", strings.Repeat("A", 43), strings.Repeat("A", 2048), strings.Repeat("A", 2049), "null", "0", "undefined", "\n", "\x00", "\xff", "%41", "?token=", "../"} {
		f.Add(seed)
	}
	for _, token := range good {
		for _, seed := range []string{token, token + "=", token + "A", token[1:], token[:len(token)-1], strings.ToUpper(token), " " + token, token + ";", token + "%00"} {
			f.Add(seed)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		plain := strings.NewReplacer("\r", "", "\n", "").Replace(text) // base64 ignores line ends
		want := func(what string, user *testapp.User, err error) {
			if plain == good[what] {
				if err != nil || user.ID != alice.ID {
					t.Errorf("%s, %q: %v", what, text, err)
				}
			} else if user != nil || !errors.Is(err, auth.ErrInvalidToken) {
				t.Errorf("%s, %q: %v, %v", what, text, user, err)
			}
		}
		u, err := m.CheckResetToken(t.Context(), text)
		want("reset", u, err)
		u, err = m.CheckVerifyToken(t.Context(), text)
		want("verify", u, err)
		u, address, err := m.CheckEmailChange(t.Context(), text)
		want("new-address", u, err)
		if (address == "new@app.example") != (err == nil) {
			t.Errorf("%q: the address %q", text, address)
		}
		u, address, err = m.CheckEmailUndo(t.Context(), text)
		if u != nil || address != "" || !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("undo, %q: %v, %q, %v", text, u, address, err)
		}
		if u, err := m.UndoEmailChange(t.Context(), text); u != nil || !errors.Is(err, auth.ErrInvalidToken) {
			t.Errorf("undo, %q: %v, %v", text, u, err)
		}
	})
}

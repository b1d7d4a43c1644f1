package bench_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/passkey"
	"github.com/go-login/auth/passkey/passkeytest"
)

// TestPasskeyRaces lets requests with passkeys cross on every store, in two processes that
// share it. It is here because this module has all stores.
func TestPasskeyRaces(t *testing.T) {
	for _, e := range engines() {
		t.Run(e.name, func(t *testing.T) {
			r := newPasskeyRace(t, e)
			for i := range testapp.Rounds(t, 2, 10) {
				t.Run(fmt.Sprint("one answer ", i), r.oneAnswer)
				t.Run(fmt.Sprint("counters ", i), r.counters)
				t.Run(fmt.Sprint("one passkey for many accounts ", i), r.oneID)
				t.Run(fmt.Sprint("too many ", i), r.tooMany)
				t.Run(fmt.Sprint("two removals ", i), r.removals)
			}
		})
	}
}

type passkeyRace struct {
	store    *store
	managers [2]*auth.Manager[*User]
	factors  [2]*passkey.Factor
	handlers [2]http.Handler
	names    int
}

func newPasskeyRace(t *testing.T, e engine) *passkeyRace {
	c := newClock()
	r := &passkeyRace{store: e.open(t, c, nil)}
	for i := range r.managers {
		r.factors[i] = passkey.New(passkey.Config{})
		manager, err := auth.New[*User](r.store, auth.Config{
			BaseURL: "https://app.example", Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}, Records: r.store.records,
			Factors: []auth.Factor{r.factors[i]}, Logger: slog.New(slog.DiscardHandler), Now: time.Now, Limits: auth.Limits{Guesses: -1},
			Password: auth.PasswordConfig{HashParams: authtest.HashParams()},
		})
		check(t, err)
		mux := http.NewServeMux()
		mux.HandleFunc("POST /ask", func(w http.ResponseWriter, r *http.Request) {
			prompt, err := manager.PromptPasskey(r.Context())
			if err != nil {
				manager.Error(w, r, err)
				return
			}
			_ = json.NewEncoder(w).Encode(prompt.Data)
		})
		mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			if _, err := manager.LoginByPasskey(r.Context(), r.PostForm); err != nil {
				manager.Error(w, r, err)
			}
		})
		mux.HandleFunc("POST /remove", func(w http.ResponseWriter, r *http.Request) {
			if err := manager.RemovePasskey(r.Context(), r.FormValue("id")); err != nil {
				manager.Error(w, r, err)
			}
		})
		r.managers[i], r.handlers[i] = manager, manager.LoadAndSave(mux)
	}
	return r
}

// account makes a user without a password.
func (r *passkeyRace) account(t *testing.T) *User {
	t.Helper()
	r.names++
	name := fmt.Sprint("susan", r.names)
	u, err := r.store.CreateUser(t.Context(), auth.Account{Username: name, Stamp: auth.NewSecret("the stamp of " + name), Version: 1}, nil)
	check(t, err)
	return u
}

// made is a new passkey that is not stored yet.
func (r *passkeyRace) made(t *testing.T, u *User, phone *passkeytest.Authenticator) (save func(context.Context) error) {
	t.Helper()
	setup, err := r.factors[0].Begin(t.Context(), u)
	check(t, err)
	answer, err := phone.Answer(setup.Prompt)
	check(t, err)
	_, save, err = r.factors[1].Add(t.Context(), u, answer)
	check(t, err)
	return save
}

func (r *passkeyRace) enroll(t *testing.T, u *User) *passkeytest.Authenticator {
	t.Helper()
	phone := passkeytest.New("https://app.example")
	check(t, r.made(t, u, phone)(t.Context()))
	return phone
}

// question is an answer to a new challenge, in one of the processes.
func (r *passkeyRace) question(t *testing.T, i int, phone *passkeytest.Authenticator) func() error {
	t.Helper()
	prompt, private, err := r.factors[i%2].Ask(t.Context(), nil)
	check(t, err)
	answer, err := phone.Answer(prompt)
	check(t, err)
	return func() error {
		_, _, err := r.factors[(i/2)%2].Identify(t.Context(), [][]byte{private}, answer)
		return err
	}
}

// race runs requests at the same moment. Those that fail must fail with refused.
func (r *passkeyRace) race(t *testing.T, n int, refused error, request func(i int) error) (errs []error, won int) {
	t.Helper()
	errs = make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = request(i) })
	}
	wg.Wait()
	for _, err := range errs {
		if err == nil {
			won++
		} else if !errors.Is(err, refused) {
			t.Errorf("%v, want %v", err, refused)
		}
	}
	return errs, won
}

func (r *passkeyRace) oneAnswer(t *testing.T) {
	phone := r.enroll(t, r.account(t))
	question := r.question(t, 0, phone)
	if _, won := r.race(t, 20, auth.ErrWrongFactor, func(int) error { return question() }); won != 1 {
		t.Errorf("%d of 20 requests with one answer succeeded", won)
	}
}

func (r *passkeyRace) counters(t *testing.T) {
	u := r.account(t)
	phone := r.enroll(t, u)
	const n = 8
	var questions []func() error
	for i := range n {
		questions = append(questions, r.question(t, i, phone))
	}
	errs, _ := r.race(t, n, auth.ErrWrongFactor, func(i int) error { return questions[i]() })
	list, err := r.factors[0].Passkeys(t.Context(), u.ID)
	check(t, err)
	if errs[n-1] != nil || list[0].Suspended {
		t.Errorf("the highest counter: %v; suspended: %v", errs[n-1], list[0].Suspended)
	}
}

func (r *passkeyRace) oneID(t *testing.T) {
	const n = 8
	var saves []func(context.Context) error
	for range n {
		phone := passkeytest.New("https://app.example")
		phone.Lie = func(c *passkeytest.Ceremony) { c.CredentialID = []byte(t.Name()) }
		saves = append(saves, r.made(t, r.account(t), phone))
	}
	if _, won := r.race(t, n, auth.ErrWrongFactor, func(i int) error { return saves[i](t.Context()) }); won != 1 {
		t.Errorf("%d accounts have one passkey", won)
	}
}

func (r *passkeyRace) tooMany(t *testing.T) {
	u := r.account(t)
	for range 18 {
		r.enroll(t, u)
	}
	var saves []func(context.Context) error
	for range 6 {
		saves = append(saves, r.made(t, u, passkeytest.New("https://app.example")))
	}
	_, won := r.race(t, len(saves), auth.ErrTooManyPasskeys, func(i int) error { return saves[i](t.Context()) })
	list, err := r.factors[0].Passkeys(t.Context(), u.ID)
	check(t, err)
	if len(list) > 20 || len(list) != 18+won {
		t.Errorf("%d passkeys, and %d were added", len(list), won)
	}
}

// removals removes the last two passkeys of an account without a password.
func (r *passkeyRace) removals(t *testing.T) {
	u := r.account(t)
	phones := [2]*passkeytest.Authenticator{r.enroll(t, u), r.enroll(t, u)}
	list, err := r.factors[0].Passkeys(t.Context(), u.ID)
	check(t, err)
	var clients [2]*authtest.Client
	for i := range clients {
		clients[i] = authtest.NewClient(t, r.managers[i].Core, r.handlers[i])
		answer, err := phones[i].AnswerJSON([]byte(clients[i].Post("/ask", nil).Text))
		check(t, err)
		if got := clients[i].Post("/login", url.Values{"passkey": {answer}}); got.StatusCode != http.StatusOK {
			t.Fatalf("login: %s", got.Status)
		}
	}
	r.race(t, 2, nil, func(i int) error {
		clients[i].Post("/remove", url.Values{"id": {list[i].ID}})
		return nil
	})
	if list, err = r.factors[0].Passkeys(t.Context(), u.ID); len(list) != 1 || err != nil {
		t.Errorf("%d passkeys are left, %v", len(list), err)
	}
}

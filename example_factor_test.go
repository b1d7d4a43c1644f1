package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"sync"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
)

// A Keypad at the office door shows a code to an employee who has put a badge on it.
type Keypad struct {
	mu    sync.Mutex
	codes map[string]string // by user ID: users with a badge, and the code shown last
}

// Name is what Login.Methods and events call the factor.
func (*Keypad) Name() string { return "keypad" }

// Enrolled reports whether the user has a badge.
func (k *Keypad) Enrolled(_ context.Context, userID string) (bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, ok := k.codes[userID]
	return ok, nil
}

// Prompt asks for the code.
func (*Keypad) Prompt(context.Context, auth.User) (auth.Prompt, []byte, error) {
	return auth.Prompt{Field: "code", Autocomplete: "one-time-code", Numeric: true}, nil, nil
}

// Verify accepts a code once. The library has counted the attempt already.
func (k *Keypad) Verify(_ context.Context, user auth.User, _ []byte, answer url.Values) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	id := user.AuthAccount().ID
	if k.codes[id] == "" || answer.Get("code") != k.codes[id] {
		return auth.ErrWrongFactor
	}
	k.codes[id] = ""
	return nil
}

// A factor of your own has four methods. Each login of a user who is enrolled asks for it.
func ExampleFactor() {
	keypad := &Keypad{codes: map[string]string{}}
	manager, err := auth.New(memstore.New[Member](), auth.Config{
		BaseURL: "https://app.example",
		Secrets: [][]byte{[]byte("kD83mfPq0wLx72NvbHsYeTgU5zRc1aJo (from a file)")},
		Factors: []auth.Factor{keypad},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	login := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := r.Context()
		member, err := manager.Register(ctx, auth.Registration{Username: "susan", Password: "correct horse battery"})
		if err != nil {
			manager.Error(w, r, err)
			return
		}
		keypad.codes[member.ID] = "271828"
		err = manager.LoginUser(ctx, member)
		fmt.Println("a second factor is owed:", errors.Is(err, auth.ErrFactorRequired))
		err = manager.ContinueLogin(ctx, "keypad", url.Values{"code": {"271828"}})
		current, _ := manager.CurrentUser(ctx)
		fmt.Println(current.Username, err)
	})
	manager.LoadAndSave(login).ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
	// Output:
	// a second factor is owed: true
	// susan <nil>
}

// The page at Config.URLs.Factor asks for the second factor. Core.Error has sent the browser
// there, with the page that the user wanted as next.
func ExampleCore_ContinueLogin() {
	manager, err := auth.New(memstore.New[Member](), auth.Config{
		BaseURL:       "https://app.example",
		Secrets:       [][]byte{[]byte("kD83mfPq0wLx72NvbHsYeTgU5zRc1aJo (from a file)")},
		Factors:       []auth.Factor{&Keypad{codes: map[string]string{}}},
		RequireFactor: func(user auth.User) bool { return slices.Contains(user.AuthAccount().Roles, "admin") },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /login/verify", func(w http.ResponseWriter, r *http.Request) {
		pending, err := manager.Pending(r.Context())
		if err != nil { // nobody waits: Error sends the browser to the login page
			manager.Error(w, r, err)
			return
		}
		prompt, err := manager.PromptFactor(r.Context(), pending.Missing[0])
		if err != nil {
			manager.Error(w, r, err)
			return
		}
		_, _ = fmt.Fprintf(w, `<form method="post"><input name="%s" autocomplete="%s"></form>`, prompt.Field, prompt.Autocomplete)
	})
	mux.HandleFunc("POST /login/verify", func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		switch err := manager.ContinueLogin(r.Context(), "keypad", r.PostForm); {
		case err == nil:
			manager.TakeNext(r).Redirect(w, "/")
		case errors.Is(err, auth.ErrLoginRefused): // wrong, used or locked: ask again
			http.Redirect(w, r, auth.NextFrom(r).AddTo("/login/verify"), http.StatusSeeOther)
		default:
			manager.Error(w, r, err)
		}
	})
	w := httptest.NewRecorder()
	manager.LoadAndSave(mux).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/login/verify", nil))
	fmt.Println(w.Code, w.Header().Get("Location"))
	// Output: 303 /login
}

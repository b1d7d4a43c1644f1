package auth_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
)

// The errors of a registration say what the user has to change.
func ExampleManager_Register() {
	manager, ctx := exampleManager(), context.Background()
	for _, r := range []auth.Registration{
		{Username: "susan", Password: "short"},
		{Username: "susan", Password: "correct horse battery"},
		{Username: "Susan", Password: "correct horse battery"},
	} {
		member, err := manager.Register(ctx, r)
		var refused *auth.PasswordError
		switch {
		case errors.As(err, &refused):
			fmt.Println("the password is refused:", refused.Reason)
		case errors.Is(err, auth.ErrUsernameTaken):
			fmt.Println("the username is taken")
		case err != nil:
			fmt.Println(err)
		default:
			fmt.Println("welcome,", member.Username)
		}
	}
	// Output:
	// the password is refused: too-short
	// welcome, susan
	// the username is taken
}

// A program makes requests with an API token of a user.
func ExampleCore_NewAPIToken() {
	ctx := context.Background()
	manager, err := auth.New(memstore.New[Member](), auth.Config{
		BaseURL:     "https://app.example",
		Secrets:     [][]byte{[]byte("kD83mfPq0wLx72NvbHsYeTgU5zRc1aJo (from a file)")},
		Credentials: []auth.Credential{auth.Bearer()},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	member, err := manager.Register(ctx, auth.Registration{Username: "susan", NoPassword: true})
	if err != nil {
		fmt.Println(err)
		return
	}
	token, _, err := manager.NewAPIToken(ctx, member, auth.APIToken{
		Name: "backup", Scopes: []string{"reports"}, Expires: time.Now().AddDate(0, 3, 0),
	})
	if err != nil {
		fmt.Println(err)
		return
	}

	reports := manager.RequireScope("reports")(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		member, _ := manager.CurrentUser(r.Context())
		_, _ = fmt.Fprint(w, "reports of ", member.Username)
	}))
	r := httptest.NewRequest(http.MethodGet, "/reports", nil)
	r.Header.Set("Authorization", "Bearer "+token.Reveal())
	w := httptest.NewRecorder()
	manager.LoadAndSave(reports).ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	// Output: 200 reports of susan
}

// A link by mail sets a new password.
func ExampleManager_ResetPassword() {
	manager, ctx := exampleManager(), context.Background()
	member, err := manager.Register(ctx, auth.Registration{Username: "susan", Email: "susan@example.com", Password: "a forgotten one"})
	if err != nil {
		fmt.Println(err)
		return
	}
	token, err := manager.ResetToken(ctx, member) // SendReset mails it
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = manager.ResetPassword(ctx, token, "correct horse battery")
	fmt.Println(err)
	_, err = manager.ResetPassword(ctx, token, "another battery") // a token works once
	fmt.Println(errors.Is(err, auth.ErrInvalidToken))
	// Output:
	// <nil>
	// true
}

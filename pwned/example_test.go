package pwned_test

import (
	"fmt"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
	"github.com/go-login/auth/pwned"
)

// A Member is the application's user.
type Member struct {
	auth.Account
}

// New passwords that were in a data breach are refused with a PasswordError whose Reason
// is PasswordBreached.
func ExampleClient() {
	manager, err := auth.New(memstore.New[Member](), auth.Config{
		BaseURL:  "https://app.example",
		Secrets:  [][]byte{[]byte("kD83mfPq0wLx72NvbHsYeTgU5zRc1aJo (from a file)")},
		Password: auth.PasswordConfig{Breaches: &pwned.Client{UserAgent: "app.example"}},
	})
	fmt.Println(manager != nil, err)
	// Output: true <nil>
}

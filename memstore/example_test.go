package memstore_test

import (
	"context"
	"fmt"
	"net/url"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
)

// User is an application's own type.
type User struct {
	auth.Account
	Name string
}

// ReadForm makes it an [auth.FormReader].
func (u *User) ReadForm(form url.Values) error {
	u.Name = form.Get("name")
	return nil
}

func Example() {
	ctx := context.Background()
	store := memstore.New[User]() // the compiler infers *User

	_, err := store.CreateUser(ctx,
		auth.Account{Username: "Gopher", Email: "gopher@go.example"},
		url.Values{"name": {"Renée"}})
	if err != nil {
		fmt.Println(err)
		return
	}

	user, err := store.FindUser(ctx, "gopher") // a *User, found by its canonical name
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(user.Username, user.Name)

	_, err = store.CreateUser(ctx, auth.Account{Username: "GOPHER"}, nil)
	fmt.Println(err)
	// Output:
	// Gopher Renée
	// auth: the username is taken
}

// Changes of fields outside the Account are guarded by the account's Version.
func ExampleStore_UpdateProfile() {
	ctx := context.Background()
	store := memstore.New[User]()
	user, err := store.CreateUser(ctx, auth.Account{Username: "gopher"}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}

	user.Name = "Renée"
	fmt.Println(store.UpdateProfile(ctx, user))
	fmt.Println(store.UpdateProfile(ctx, user)) // user still has the Version from before the first change
	// Output:
	// <nil>
	// auth: changed by another request meanwhile
}

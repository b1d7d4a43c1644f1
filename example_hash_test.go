package auth_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
)

// The table of users comes from a Flask application. Its hashes are wrapped one by one,
// and both applications may be running meanwhile.
func ExampleManager_WrapHash() {
	ctx := context.Background()
	store := memstore.New[Member]()
	manager, err := auth.New(store, auth.Config{
		BaseURL: "https://app.example",
		Secrets: [][]byte{[]byte("kD83mfPq0wLx72NvbHsYeTgU5zRc1aJo (from a file)")},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	susan, err := store.CreateUser(ctx, auth.Account{Username: "susan", Stamp: auth.NewSecret("random"), PasswordHash: auth.NewSecret(
		"pbkdf2:sha256:1000$PEtTkSAfx4GqG2iz$dc70cc9d0b04331493698800f9a3f2b4d5db1a1a3ae83a33a12614c313ea699f")}, nil)
	if err != nil {
		fmt.Println(err)
		return
	}

	wrap := func(id string) error {
		member, err := store.LoadUser(ctx, id)
		if err != nil {
			return err
		}
		account := member.Clone()
		account.PasswordHash, err = manager.WrapHash(ctx, account.PasswordHash)
		if err != nil || account.PasswordHash.Equal(member.PasswordHash) {
			return err // auth.ErrHashUnusable: this user has to reset the password
		}
		// In SQL: UPDATE users SET password_hash = ?, version = version + 1
		// WHERE id = ? AND version = ?
		err = store.UpdateAccount(ctx, account)
		if errors.Is(err, auth.ErrConflict) {
			return nil // the user has just logged in, or the next run finds it
		}
		return err
	}
	if err := wrap(susan.ID); err != nil {
		fmt.Println(err)
		return
	}

	susan, err = store.LoadUser(ctx, susan.ID)
	if err != nil {
		fmt.Println(err)
		return
	}
	_, old, _ := strings.Cut(susan.PasswordHash.Reveal(), "$wrapped=")
	fmt.Println(old)
	_, err = manager.Authenticate(ctx, "susan", "correct horse battery")
	fmt.Println(err)
	// Output:
	// 32:pbkdf2:sha256:1000$PEtTkSAfx4GqG2iz$
	// <nil>
}

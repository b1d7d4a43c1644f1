// Command program uses the cheap hashes of package authtest, which New must refuse here.
package main

import (
	"fmt"
	"os"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authtest"
	"github.com/go-login/auth/memstore"
)

type user struct{ auth.Account }

func main() {
	_, err := auth.New(memstore.New[user](), auth.Config{
		BaseURL:  "https://app.example",
		Secrets:  [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Password: auth.PasswordConfig{HashParams: authtest.HashParams()},
	})
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

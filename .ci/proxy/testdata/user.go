// A program that needs every published module. It logs a user in with a password, on a
// SQLite database, so it also shows that the modules fit together.
package main

import (
	"context"
	"database/sql"
	"fmt"
	"log"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authotel"
	"github.com/go-login/auth/oauth"
	"github.com/go-login/auth/pages"
	"github.com/go-login/auth/passkey"
	"github.com/go-login/auth/redisstore"
	"github.com/go-login/auth/sqlstore"
	"github.com/go-login/auth/totp"
	_ "modernc.org/sqlite"
)

type user struct{ auth.Account }

func main() {
	ctx := context.Background()
	db, err := sql.Open("sqlite", "file:user.db?_pragma=journal_mode(WAL)&_pragma=busy_timeout(5000)&_txlock=immediate")
	check(err)
	check(sqlstore.Migrate(ctx, db, sqlstore.SQLite))
	cfg := auth.Config{
		BaseURL: "https://app.example",
		Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Factors: []auth.Factor{totp.New(), totp.RecoveryCodes(), passkey.New(passkey.Config{})},
	}
	manager, err := auth.New(sqlstore.New[user](db, sqlstore.SQLite), cfg)
	check(err)
	_, err = pages.New(manager.Core, pages.Config{})
	check(err)
	_, err = oauth.New(manager.Core, oauth.Provider{
		Name: "work", Issuer: "https://accounts.example", ClientID: "id", ClientSecret: auth.NewSecret("secret"),
	})
	check(err)
	_ = redisstore.NewRecords
	_ = authotel.New
	_, err = manager.Register(ctx, auth.Registration{Username: "susan", Email: "susan@app.example", Password: "correct horse battery"})
	check(err)
	u, err := manager.Authenticate(ctx, "susan", "correct horse battery")
	check(err)
	fmt.Println("logged in:", u.Username)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

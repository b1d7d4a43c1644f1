package main

import (
	"context"
	"io"
	"net/http"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/authmail"
	"github.com/go-login/auth/examples/internal/server"
	"github.com/go-login/auth/pages"
	"github.com/go-login/auth/sqlstore"
)

// addAuth sets a.manager, and returns the pages for logins: /login, /account and so
// on.
func (a *app) addAuth(ctx context.Context, baseURL, secretFile string, mails io.Writer) (http.Handler, error) {
	secret, err := server.Secret(secretFile)
	if err != nil {
		return nil, err
	}
	records := sqlstore.NewRecords(a.db, sqlstore.SQLite)
	go records.CleanupEvery(ctx, time.Hour)
	a.manager, err = auth.New(userStore{a.db}, auth.Config{
		BaseURL: baseURL, Secrets: [][]byte{secret}, Records: records, Mailer: authmail.NewPrinter(mails),
		Roles: auth.RoleConfig{
			Permissions: []string{"items.read", "items.edit", "items.delete", "users.edit"},
			Grants: map[string][]string{ // by the values of the column role
				"viewer": {"items.read"},
				"editor": {"items.read", "items.edit"},
				"admin":  {"items.read", "items.edit", "items.delete", "users.edit"},
			},
			Admin: "admin", // the last one stays
		},
	})
	if err != nil {
		return nil, err
	}
	return pages.New(a.manager.Core, pages.Config{Site: "Stockroom"})
}

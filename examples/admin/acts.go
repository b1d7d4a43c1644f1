package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/go-login/auth"
)

// An act is something that an administrator does to an account. The pages and the
// commands have the same ones.
type act struct {
	Name  string // in URLs, and of the command
	Label string // of the button
	Arg   string // what it needs besides a reason, or empty
	Needs string // the permission
	do    func(ctx context.Context, user *User, arg string) (result string, err error)
}

// acts returns all acts. In a request, each also checks that the administrator has
// every permission that the user has.
func (a *app) acts() []act {
	m := a.manager
	plain := func(f func(ctx context.Context, userID string) error) func(context.Context, *User, string) (string, error) {
		return func(ctx context.Context, user *User, _ string) (string, error) { return "Done.", f(ctx, user.ID) }
	}
	return []act{
		{"set-roles", "Set roles", "roles", "users.edit", func(ctx context.Context, user *User, arg string) (string, error) {
			return "Done.", m.SetRoles(ctx, user.ID, strings.Fields(arg)...)
		}},
		{"set-username", "Set username", "username", "users.edit", func(ctx context.Context, user *User, arg string) (string, error) {
			return "Done.", m.SetUsername(ctx, user.ID, arg)
		}},
		{"set-email", "Set address", "address", "users.edit", func(ctx context.Context, user *User, arg string) (string, error) {
			return "Done.", m.SetEmail(ctx, user.ID, arg)
		}},
		{"unlock", "Unlock", "", "users.help", plain(m.Unlock)},
		{"force-reset", "Force a new password", "", "users.help", plain(m.ForceReset)},
		{"one-time-code", "Make a one-time code", "", "users.help", func(ctx context.Context, user *User, _ string) (string, error) {
			code, err := a.codes.OneTimeCode(ctx, user.ID)
			return fmt.Sprintf("The code %s works once, within 10 minutes, in place of the second factor.", code.Reveal()), err
		}},
		{"reset-factors", "Remove all second factors", "", "users.edit", plain(m.ResetFactors)},
		{"end-login", "End login", "login", "users.help", func(ctx context.Context, user *User, arg string) (string, error) {
			return "Done.", m.EndLogin(ctx, user.ID, arg)
		}},
		{"end-logins", "End all logins", "", "users.help", func(ctx context.Context, user *User, _ string) (string, error) {
			return "Done.", m.LogoutEverywhere(ctx, user)
		}},
		{"disable", "Disable", "", "users.edit", plain(m.Disable)},
		{"enable", "Enable", "", "users.edit", plain(m.Enable)},
		{"close", "Close", "", "users.edit", func(ctx context.Context, user *User, _ string) (string, error) {
			return "Done.", m.CloseAccount(ctx, user)
		}},
	}
}

// errNoReason says that an administrator has not said why.
var errNoReason = errors.New("give a reason; it goes into the log")

// because returns a context with the reason, for the events.
func because(ctx context.Context, reason string) (context.Context, error) {
	if strings.TrimSpace(reason) == "" {
		return ctx, errNoReason
	}
	return auth.WithReason(ctx, reason), nil
}

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/go-login/auth"
)

const usage = `  users                    lists the users
  user USER                shows a user
  create-admin ADDRESS     makes an administrator, or an existing user one
  create ADDRESS [ROLE…]   makes a user, and mails a link to set the password
  set-roles USER [ROLE…]   gives these roles in place of the old ones
  set-username USER NAME
  set-email USER ADDRESS
  unlock USER              forgets wrong passwords and codes
  force-reset USER         makes the password void, and mails a link
  one-time-code USER       prints a code in place of the second factor
  reset-factors USER       removes all second factors
  end-login USER ID        ends one login
  end-logins USER          ends all logins
  disable USER
  enable USER
  close USER               closes the account

USER is an ID, a username or an address. Commands that change something need -reason,
except for create-admin.
`

// command runs a command. The operating system has decided who may run it, so nothing
// is checked, except that the last administrator stays.
func (a *app) command(ctx context.Context, stdout io.Writer, reason string, args []string) error {
	command, args := args[0], args[1:]
	switch command {
	case "users":
		return a.printUsers(ctx, stdout)
	case "create-admin", "create":
		if len(args) == 0 {
			return fmt.Errorf("%s needs an address; run with -h for the commands", command)
		}
		roles := args[1:]
		if command == "create-admin" {
			if roles, reason = []string{"admin"}, reason+" create-admin"; len(args) > 1 {
				return errors.New("create-admin takes one address; run with -h for the commands")
			}
		}
		ctx, err := because(ctx, reason)
		if err != nil {
			return err
		}
		user, err := a.manager.CreateUser(ctx, auth.Registration{Email: args[0]}, roles...)
		if errors.Is(err, auth.ErrEmailTaken) && command == "create-admin" {
			if user, err = a.find(ctx, args[0]); err == nil {
				err = a.manager.SetRoles(ctx, user.ID, append(slices.Clone(user.Roles), roles...)...)
			}
		}
		if err != nil {
			return err
		}
		fmt.Fprintf(stdout, "User %s is %s.\n", user.ID, args[0])
		return nil
	}
	if len(args) == 0 {
		return fmt.Errorf("there is no command %q without a user; run with -h for the commands", command)
	}
	user, err := a.find(ctx, args[0])
	if err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	if command == "user" {
		return a.printUser(ctx, stdout, user.ID)
	}
	acts := a.acts()
	i := slices.IndexFunc(acts, func(act act) bool { return act.Name == command })
	if i < 0 {
		return fmt.Errorf("there is no command %q; run with -h for the commands", command)
	}
	if ctx, err = because(ctx, reason); err != nil {
		return fmt.Errorf("-reason: %w", err)
	}
	result, err := acts[i].do(ctx, user, strings.Join(args[1:], " "))
	if err == nil {
		fmt.Fprintln(stdout, result)
	}
	return err
}

// find returns a user by ID, username or address.
func (a *app) find(ctx context.Context, login string) (*User, error) {
	user, err := a.store.LoadUser(ctx, login)
	if errors.Is(err, auth.ErrUserNotFound) {
		return a.manager.FindUser(ctx, login)
	}
	return user, err
}

func (a *app) printUsers(ctx context.Context, stdout io.Writer) error {
	w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "ID\tUSERNAME\tADDRESS\tROLES\t")
	for after := ""; ; {
		users, next, err := a.manager.ListUsers(ctx, after, pageSize)
		if err != nil {
			return err
		}
		for _, user := range users {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", user.ID, user.Username, user.Email, strings.Join(user.Roles, " "), state(user))
		}
		if after = next; next == "" {
			return w.Flush()
		}
	}
}

func state(user *User) string {
	if user.Disabled {
		return "disabled"
	}
	return ""
}

func (a *app) printUser(ctx context.Context, stdout io.Writer, id string) error {
	d, err := a.details(ctx, id)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "ID: %s\nUsername: %s\nAddress: %s (verified: %t)\nRoles: %s\nDisabled: %t\n",
		d.User.ID, d.User.Username, d.User.Email, d.User.EmailVerified, strings.Join(d.User.Roles, " "), d.User.Disabled)
	for _, f := range d.Factors {
		if f.Enrolled {
			fmt.Fprintf(stdout, "Factor: %s\n", f.Name)
		}
	}
	for _, l := range d.Logins {
		fmt.Fprintf(stdout, "Login: %s, %s, seen %s\n", l.ID, l.Address, l.Seen.Format(time.RFC3339))
	}
	return nil
}

package testapp

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
)

// AdminRaces lets processes remove the last administrators at the same moment, in each pair
// of ways, this many rounds. One administrator must stay, and no change may fail in another
// way than with ErrLastAdmin or ErrConflict.
func AdminRaces(t *testing.T, rounds int, open func(t *testing.T, clock func() time.Time) Store) {
	ways := map[string]func(ctx context.Context, app *App, u *User) error{
		"demotion": func(ctx context.Context, app *App, u *User) error { return app.SetRoles(ctx, u.ID, "editor") },
		"disable":  func(ctx context.Context, app *App, u *User) error { return app.Disable(ctx, u.ID) },
		"closing": func(ctx context.Context, app *App, u *User) error {
			now, err := app.Store.LoadUser(ctx, u.ID)
			if err != nil {
				return err
			}
			return app.CloseAccount(ctx, now)
		},
	}
	for first, one := range ways {
		for second, other := range ways {
			t.Run(first+" crosses "+second, func(t *testing.T) {
				t.Parallel()
				clock := NewClock()
				store := open(t, clock.Now)
				var apps []*App
				for range 2 {
					apps = append(apps, New(t, store, clock, func(c *auth.Config) {
						c.Roles = auth.RoleConfig{Grants: map[string][]string{"admin": nil, "editor": nil}, Admin: "admin"}
					}))
				}
				var old *User
				for i := range rounds {
					var admins []*User
					for j := range 2 {
						u := apps[0].Create(t, fmt.Sprintf("admin-%d-%d", i, j), false)
						if err := apps[0].SetRoles(t.Context(), u.ID, "admin"); err != nil {
							t.Fatal(err)
						}
						admins = append(admins, u)
					}
					if old != nil { // the one who stayed in the last round
						if err := apps[0].SetRoles(t.Context(), old.ID, "editor"); err != nil {
							t.Fatal(err)
						}
					}
					errs := make([]error, 2)
					var wg sync.WaitGroup
					wg.Go(func() { errs[0] = one(t.Context(), apps[0], admins[0]) })
					wg.Go(func() { errs[1] = other(t.Context(), apps[1], admins[1]) })
					wg.Wait()
					old = nil
					for _, u := range admins {
						now, err := store.LoadUser(t.Context(), u.ID)
						switch {
						case errors.Is(err, auth.ErrUserNotFound):
						case err != nil:
							t.Fatal(err)
						case !now.Disabled && slices.Contains(now.Roles, "admin"):
							old = now
						}
					}
					if old == nil {
						t.Fatalf("round %d: no administrator is left: %v", i, errs)
					}
					for _, err := range errs {
						if err != nil && !errors.Is(err, auth.ErrLastAdmin) && !errors.Is(err, auth.ErrConflict) {
							t.Errorf("round %d: %v", i, err)
						}
					}
				}
			})
		}
	}
}

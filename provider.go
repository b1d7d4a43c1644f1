package auth

import (
	"context"
	"time"
)

// A Provider is a site whose accounts users may log in with, such as Google.
type Provider struct {
	Name  string // as Login.Methods has it after "oauth:", such as "google"
	Label string // what a button says: "Google"
	Start string // where the button's form is sent to by POST: a URL of this site

	// Confirms says that a logged-in user can show there who they are: the refresh page may
	// have a button for it. Its form has the field purpose with the value "confirm".
	Confirms bool

	// Multifactor says that logins by MultifactorAt count as logins with a second factor. If you
	// no longer trust the factors of the provider, such logins, and browsers that were remembered
	// by them, owe a factor again where one is asked for.
	Multifactor bool
}

// An Identity is a user's account at a provider, with which the user logs in here.
type Identity struct {
	ID       string // for RemoveIdentity
	Provider string // the Name of its Provider
	Email    string // the address there, when it was last used; it may be empty, and proves nothing
	Created  time.Time
	LastUsed time.Time // zero: not yet
	Unusable bool      // the provider is not configured any more

	// Unproved says that the identity came with the registration, and that nobody had proved
	// the account's address by then. ResetPassword deletes it: an attacker may have
	// registered with the address of the user who resets now.
	Unproved bool
}

// Identities keeps the identities of users. Package oauth has one, and gives it to
// [Feature.ProvideIdentities].
type Identities interface {
	// Providers returns the providers that users can log in with, in the order in which
	// pages show them.
	Providers() []Provider

	// Identities returns the identities of a user, the oldest first.
	Identities(ctx context.Context, userID string) ([]Identity, error)

	// Forget deletes an identity of the user, with what is stored about it. It is no error
	// if there is no such identity.
	Forget(ctx context.Context, userID, id string) error
}

package auth

import (
	"fmt"
	"time"
)

// A LoginOption changes what LoginUser does.
type LoginOption func(*loginOptions)

type loginOptions struct {
	by       []string // methods that the application names
	remember time.Duration
	stale    bool
	identity string
	err      error // an option was invalid
}

// By says how the user was authenticated, if not by Authenticate or CheckPassword: for
// example "oauth:google". The method and the time are added to [Login].Methods, and the
// events have it as Method. A method has 1 to 64 letters, digits, colons, dots, hyphens
// and underscores. "remember", "token", "trusted", "mail", "mfa" and what begins with "mfa:"
// are the library's own. For an invalid method LoginUser returns an error. For several methods,
// pass several options. If a method is the name of one of Config.Factors, the login counts as
// having shown that factor.
func By(method string) LoginOption {
	return func(o *loginOptions) {
		if !isMethod(method) || method != methodPassword && isOwnMethod(method) {
			o.err = fmt.Errorf("auth: By(%.100q): use 1 to %d letters, digits, colons, dots, hyphens and underscores, and none of the library's own: %q",
				method, maxMethod, ownMethods()[1:])
			return
		}
		o.by = append(o.by, method)
	}
}

// ByIdentity says that the user was authenticated by this identity, an [Identity].ID. It goes
// with By. If the identity is removed before the login is made, also while the login waits for
// a second factor, the login ends. LoginUser and ConfirmLogin then return ErrIdentityNotFound,
// and ContinueLogin returns ErrNoPending. It needs [Feature.ProvideIdentities].
func ByIdentity(id string) LoginOption {
	return func(o *loginOptions) { o.identity = id }
}

// Multifactor says that the user has shown several factors where they were authenticated,
// for example at a provider that reports it (amr or acr in OpenID Connect), and that you
// trust it. The login then owes no second factor. Login.Methods has it as "mfa". It counts as
// long as the login and its remembered device last.
func Multifactor() LoginOption {
	return func(o *loginOptions) { o.by = append(o.by, methodMulti) }
}

// MultifactorAt is Multifactor for one of Core.Providers, by its Name. It counts only while
// Multifactor of this Provider is true. Login.Methods has it as "mfa:" and the Name.
func MultifactorAt(provider string) LoginOption {
	return func(o *loginOptions) {
		method := methodMultiAt(provider)
		if provider == "" || !isMethod(method) {
			o.err = fmt.Errorf("auth: MultifactorAt(%.100q): use the Name of a Provider", provider)
			return
		}
		o.by = append(o.by, method)
	}
}

// Remember keeps the user logged in on this device after the browser closes, if on is
// true, for Config.Session.RememberFor.
//
// Each use of the remember cookie replaces it by a new one. The old one stays valid,
// for at most 30 uses, until the browser shows that it has the new one. If the old one
// is used after that, it was stolen, and the device's logins end (EventRememberStolen).
func Remember(on bool) LoginOption {
	return func(o *loginOptions) {
		if on {
			o.remember = -1 // Config.Session.RememberFor
		}
	}
}

// RememberFor is Remember with a time of your choice, at most 400 days. If d is not
// positive, the user is not remembered.
func RememberFor(d time.Duration) LoginOption {
	return func(o *loginOptions) { o.remember = min(max(d, 0), maxRemember) }
}

// Stale makes a login that is not fresh: RequireFresh then asks the user to show who
// they are. Use it if the user has not just shown that, for example because they came
// by a link or from another site.
func Stale() LoginOption {
	return func(o *loginOptions) { o.stale = true }
}

func readOptions(options []LoginOption) (o loginOptions, err error) {
	for _, option := range options {
		if option != nil {
			option(&o)
		}
	}
	return o, o.err
}

// attempt returns the attempt of a user who has shown these methods, and those of By.
func (o *loginOptions) attempt(user User, shown methods, now time.Time) attempt {
	for _, method := range o.by {
		shown = shown.add(method, now)
	}
	return attempt{user: user, methods: shown, remember: o.remember, stale: o.stale, identity: o.identity}
}

package pages

import (
	"cmp"
	"net/url"
	"strings"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/invisible"
)

// namesAnother reports whether the form of a login or a registration is for another
// account than the user's. It compares what was typed only with the user's own names,
// so the answer does not tell who has an account. A form without a name is for no
// account.
func namesAnother(form url.Values, user auth.User) bool {
	for _, field := range []string{"login", "username", "email"} {
		if name := strings.TrimSpace(form.Get(field)); name != "" && !isNameOf(user, name) {
			return true
		}
	}
	return false
}

// isNameOf reports whether a name is the user's username or address. It does not matter
// which of the two users log in with: no other account can have either.
func isNameOf(user auth.User, name string) bool {
	a, own := user.AuthAccount(), ""
	if own = a.Username; strings.Contains(name, "@") {
		own = a.Email
	}
	key := nameKey(strings.TrimSpace(name))
	return own != "" && (key == nameKey(own) || key == nameKey(invisible.Strip(own)))
}

// nameKey returns a key that is the same for two spellings of one name. Names in the
// store may be older than the rules of auth.UsernameKey and auth.EmailKey; they have a
// key, too.
func nameKey(name string) string {
	a := auth.Account{Username: name}
	if strings.Contains(name, "@") {
		a = auth.Account{Email: name}
	}
	username, email, err := auth.AccountKeys(a)
	if key := cmp.Or(username, email); err == nil && key != nil {
		return *key
	}
	return strings.ToLower(name)
}

// loginOf returns the name that a password manager saves for the user: the username or,
// if there is none, the address.
func loginOf(user auth.User) string {
	a := user.AuthAccount()
	return cmp.Or(a.Username, a.Email)
}

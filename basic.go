package auth

import (
	"fmt"
	"net/http"
	"strings"
)

// Basic finds the user by HTTP Basic authentication (RFC 7617), with login and
// password. Each request computes a password hash, which takes some 20 milliseconds and
// counts like any login. realm is a name for the application; quotes, backslashes and
// line breaks in it are removed.
//
// A user who has or must have a second factor is refused, because the password alone would
// get in. Such a user needs an API token.
func Basic(realm string) Credential {
	realm = strings.NewReplacer(`"`, "", `\`, "", "\r", "", "\n", "").Replace(realm)
	return Credential{Challenge: `Basic realm="` + realm + `", charset="UTF-8"`, scheme: schemeBasic}
}

// errBasicFactor refuses a right password: with Basic there is nothing to show a second
// factor with.
var errBasicFactor = fmt.Errorf("%w: the account has or must have a second factor, which HTTP Basic cannot show; use an API token", ErrLoginRefused)

// loadBasic is the Load of Basic.
func (c *Core) loadBasic(r *http.Request) (Grant, error) {
	text, found := credentials(r, schemeBasic)
	if !found {
		return Grant{}, nil
	}
	login, password, ok := r.BasicAuth()
	if text == "" || !ok {
		return Grant{Method: methodPassword}, ErrInvalidCredentials
	}
	user, err := c.Authenticate(r.Context(), login, password)
	if err != nil {
		return Grant{}, err
	}
	a := user.AuthAccount()
	owns, err := c.ownsFactor(r.Context(), a.ID)
	if err != nil {
		return Grant{}, err
	}
	if owns || c.cfg.RequireFactor != nil && c.cfg.RequireFactor(user) {
		c.event(r.Context(), Event{Kind: EventLoginRefused, UserID: a.ID, Method: methodPassword, Err: errBasicFactor})
		return Grant{}, errBasicFactor
	}
	return Grant{UserID: a.ID, Method: methodPassword, Stamp: a.Stamp, bound: true}, nil
}

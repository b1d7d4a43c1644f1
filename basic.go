package auth

import (
	"net/http"
	"strings"
)

// Basic finds the user by HTTP Basic authentication (RFC 7617), with login and
// password. Each request computes a password hash, which takes some 20 milliseconds and
// counts like any login. realm is a name for the application; quotes, backslashes and
// line breaks in it are removed.
func Basic(realm string) Credential {
	realm = strings.NewReplacer(`"`, "", `\`, "", "\r", "", "\n", "").Replace(realm)
	return Credential{Challenge: `Basic realm="` + realm + `", charset="UTF-8"`, scheme: schemeBasic}
}

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
	return Grant{UserID: a.ID, Method: methodPassword, Stamp: a.Stamp, bound: true}, nil
}

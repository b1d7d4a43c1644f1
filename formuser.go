package auth

import (
	"context"
	"encoding/base64"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/wire"
)

// SealForm returns the value of a hidden field that ties a form to the user who is
// logged in. The field protects against this order of events: a user opens a form,
// another user logs in in another tab of the same browser, and the form is submitted.
// Without the field, it would change the second user's account. CheckForm detects this.
//
// form is your name for the form; the value is valid only for that form. The value is a
// keyed hash: it does not show who the user is, and it is the same each time. If no user
// is logged in, or the user cannot be loaded, SealForm returns "".
func (c *Core) SealForm(ctx context.Context, form string) string {
	user, err := c.EnrollingUser(ctx)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(c.secrets.Sign(purposeForm, formOf(form, user)))
}

// CheckForm compares seal, the value that was sent with the form, with the value that
// SealForm makes for the user who is logged in now. If they differ, it returns
// ErrOtherUser. An empty seal passes, because programs send the fields of a form
// without opening it. The other errors are those of User.
func (c *Core) CheckForm(ctx context.Context, form, seal string) error {
	if seal == "" {
		return nil
	}
	user, err := c.EnrollingUser(ctx)
	if err != nil {
		return err
	}
	mac, ok := keyring.Decode(seal)
	if !ok || !c.secrets.Verify(purposeForm, formOf(form, user), mac) {
		return ErrOtherUser
	}
	return nil
}

// formOf returns what the seal of a form is a hash of.
func formOf(form string, user User) []byte {
	return wire.AppendText(wire.AppendText(nil, form), user.AuthAccount().ID)
}

package storetest

import (
	"errors"
	"net/url"

	"github.com/go-login/auth"
)

// User is a user type for stores that can keep users of any type. If the type
// parameter is *User, [TestUserStore] also checks what the store does with an
// [auth.FormReader], and that UpdateAccount leaves Name alone. For any other
// type it skips these subtests.
type User struct {
	auth.Account
	Name string
}

// errRefused is the error of ReadForm for refusedName.
var errRefused = errors.New("storetest: ReadForm refused the form, as the test asked it to")

const refusedName = "refused by ReadForm"

// ReadForm implements [auth.FormReader].
func (u *User) ReadForm(form url.Values) error {
	switch {
	case form == nil:
		return errors.New("storetest: ReadForm was called with a nil form; pass url.Values{} instead")
	case form.Get("name") == refusedName:
		return errRefused
	}
	u.Name = form.Get("name")
	return nil
}

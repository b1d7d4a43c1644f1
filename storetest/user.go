package storetest

import (
	"errors"
	"net/url"

	"github.com/go-login/auth"
)

// User is a user for stores that can keep users of any type. With *User as its
// type parameter, [TestUserStore] also checks what such a store does with an
// [auth.FormReader], and that UpdateAccount leaves Name alone. With any other
// type it skips these subtests.
type User struct {
	auth.Account
	Name string
}

// errRefused is what ReadForm says of the name that it does not like.
var errRefused = errors.New("storetest: the form is refused, as the test wants it")

const refusedName = "refused by ReadForm"

// ReadForm implements [auth.FormReader].
func (u *User) ReadForm(form url.Values) error {
	switch {
	case form == nil:
		return errors.New("storetest: ReadForm was called with a nil form; make it an empty one")
	case form.Get("name") == refusedName:
		return errRefused
	}
	u.Name = form.Get("name")
	return nil
}

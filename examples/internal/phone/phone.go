// Package phone is an authenticator app, for the tests of the examples. Their servers use
// the clock of the machine, and so does the app.
package phone

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/go-login/auth/totp"
)

const step = 30 * time.Second // how long an app shows a code

// A Phone is an app with one account.
type Phone struct {
	Secret string // base32
	last   time.Time
}

// New adds an account by its link, which begins with otpauth://totp/.
func New(link string) (*Phone, error) {
	u, err := url.Parse(link)
	if err != nil {
		return nil, err
	}
	secret := u.Query().Get("secret")
	if !strings.HasPrefix(link, "otpauth://totp/") || secret == "" {
		return nil, fmt.Errorf("phone: %q is not the link of an authenticator app", link)
	}
	return &Phone{Secret: secret}, nil
}

// Code returns a code that the server accepts now. A code works once, so each one is of a
// later step than the one before. A server accepts the present step and the next one. A test
// that wants two codes need not wait for the clock. For a third one, it would have to: then
// Code returns an error.
func (p *Phone) Code() (string, error) {
	now := time.Now()
	at := now.Truncate(step)
	if !at.After(p.last) {
		at = p.last.Add(step)
	}
	if at.After(now.Add(step)) {
		return "", errors.New("phone: the server does not accept the code of the step after the next one")
	}
	p.last = at
	return totp.Code(p.Secret, at)
}

// Wrong returns six digits that are not the code of any step that is near.
func (p *Phone) Wrong() (string, error) {
	near := map[string]bool{}
	for n := time.Duration(-3); n <= 10; n++ {
		code, err := totp.Code(p.Secret, time.Now().Add(n*step))
		if err != nil {
			return "", err
		}
		near[code] = true
	}
	wrong := 123456
	for near[fmt.Sprint(wrong)] {
		wrong++
	}
	return fmt.Sprint(wrong), nil
}

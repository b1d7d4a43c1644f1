package auth

import "errors"

// pass is the list of gates. They are asked about the account that was
// authenticated: the session gets its Stamp, and is void if that is no longer
// the stored one.
func (c *Core) pass(a *Account) error {
	if a.ID == "" {
		return errors.New("auth: a user without an ID cannot log in")
	}
	for _, gate := range [...]func(*Account) error{
		gateDisabled, c.gateUnverified,
	} {
		if err := gate(a); err != nil {
			return err
		}
	}
	return nil
}

func gateDisabled(a *Account) error {
	if a.Disabled {
		return ErrDisabled
	}
	return nil
}

func (c *Core) gateUnverified(a *Account) error {
	if c.cfg.RequireVerified && !a.EmailVerified {
		return ErrUnverified
	}
	return nil
}

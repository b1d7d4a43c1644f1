package auth

import (
	"bytes"
	"errors"
	"fmt"
	"slices"

	"github.com/go-login/auth/internal/passhash"
)

// A Pepper is a key of HMAC-SHA-256 that passwords go through before they are
// hashed. Who has a copy of the users, and not the key, can try no password on
// it; so the key belongs in another place than the database and its backups (NIST
// SP 800-63B-4, section 3.1.1.2). If it is lost, so are all passwords that were
// hashed with it.
type Pepper struct {
	// ID is stored with each hash: 1 to 16 letters, digits, '-', '_' and '.'.
	// It never names another key.
	ID string

	// Key is at least 32 random bytes, and none of Config.Secrets.
	Key []byte
}

func checkPeppers(peppers []Pepper, secrets [][]byte) error {
	for i, p := range peppers {
		if !passhash.IsPepperID(p.ID) {
			return fmt.Errorf("auth: Peppers[%d] has the ID %q, and needs 1 to 16 letters, digits, '-', '_' and '.'", i, p.ID)
		}
		if err := checkSecret(p.Key); err != nil {
			return fmt.Errorf("auth: Peppers[%d] %w", i, err)
		}
		for j, other := range peppers[:i] {
			if p.ID == other.ID || bytes.Equal(p.Key, other.Key) {
				return fmt.Errorf("auth: Peppers[%d] has the ID or the key of Peppers[%d]", i, j)
			}
		}
		if slices.ContainsFunc(secrets, func(s []byte) bool { return bytes.Equal(s, p.Key) }) {
			return errors.New("auth: a key in Peppers is one of Secrets, too")
		}
	}
	return nil
}

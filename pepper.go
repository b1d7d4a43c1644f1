package auth

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/go-login/auth/internal/keyring"
	"github.com/go-login/auth/internal/passhash"
)

// A Pepper is a key of HMAC-SHA-256 that passwords go through before they are hashed. An
// attacker who steals the users table without the key cannot test a single password
// against it. So keep the key in another place than the database and its backups (NIST
// SP 800-63B-4, section 3.1.1.2). If you lose the key, every user whose password was
// hashed with it has to reset the password.
type Pepper struct {
	// ID is stored with each hash: 1 to 16 letters, digits, '-', '_' and '.'. Never use
	// an ID again for another key.
	ID string

	// Key is at least 32 random bytes, and differs from each of Config.Secrets.
	Key []byte
}

func checkPeppers(peppers []Pepper, secrets [][]byte) error {
	for i, p := range peppers {
		if !passhash.IsPepperID(p.ID) {
			return fmt.Errorf("auth: Config.Password.Peppers[%d] has the ID %q; use 1 to 16 letters, digits, '-', '_' and '.'", i, p.ID)
		}
		if err := keyring.CheckSecret(p.Key); err != nil {
			return fmt.Errorf("auth: Config.Password.Peppers[%d] %w", i, err)
		}
		for j, other := range peppers[:i] {
			if p.ID == other.ID || bytes.Equal(p.Key, other.Key) {
				return fmt.Errorf("auth: Config.Password.Peppers[%d] has the ID or the key of Peppers[%d]; each needs its own", i, j)
			}
		}
		if slices.ContainsFunc(secrets, func(s []byte) bool { return bytes.Equal(s, p.Key) }) {
			return fmt.Errorf("auth: Config.Password.Peppers[%d] has the key of one of Config.Secrets; use another 32 random bytes (crypto/rand)", i)
		}
	}
	return nil
}

package auth

import (
	"crypto/subtle"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"log/slog"
)

// redacted is what a Secret prints in place of its text.
const redacted = "[redacted]"

// A Secret is a text that cannot be printed by accident. fmt, log/slog and
// encoding/json show a placeholder for it, even if it is a field, exported or not, of
// another value. The zero value is the empty secret.
//
// database/sql reads and writes the text itself. A store that encodes accounts in
// another way must use Reveal and NewSecret; for JSON there is [StoredAccount].
type Secret struct{ text *string } // a pointer, so that reflection prints a memory address, not the text

// NewSecret makes a Secret of text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal returns the text.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsZero reports whether the secret is empty.
func (s Secret) IsZero() bool { return s.text == nil }

// Equal compares two secrets in constant time. Do not use ==, which does not compare
// the texts.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// Format implements fmt.Formatter, for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue implements slog.LogValuer.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler, and with it JSON and XML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// MarshalJSON implements json.Marshaler.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(redacted) }

// Value implements driver.Valuer: the text itself.
func (s Secret) Value() (driver.Value, error) { return s.Reveal(), nil }

// Scan implements sql.Scanner. NULL is the empty secret.
func (s *Secret) Scan(src any) error {
	switch v := src.(type) {
	case nil:
		*s = Secret{}
	case string:
		*s = NewSecret(v)
	case []byte:
		*s = NewSecret(string(v))
	default:
		return fmt.Errorf("auth: a Secret cannot be read from a %T; use a text column", src)
	}
	return nil
}

package auth

import (
	"encoding/json"
	"slices"
)

// A StoredAccount is an [Account] for stores that keep users as JSON, in a file or in a
// document database. It has all fields of the account, with secrets as plain text. An
// Account itself has no JSON, so that a client cannot set its fields by JSON.
//
//	type row struct {
//		auth.StoredAccount
//		Name string
//	}
//
//	text, err := json.Marshal(row{auth.StoredAccountOf(user.Account), user.Name})
//	…
//	err = json.Unmarshal(text, &row)
//	user := &User{Account: row.StoredAccount.Account(), Name: row.Name}
//
// Never send a StoredAccount to a client, and never decode one from a client's request.
type StoredAccount struct {
	ID            string       `json:"id,omitzero"`
	Username      string       `json:"username,omitzero"`
	Email         string       `json:"email,omitzero"`
	EmailVerified bool         `json:"email_verified,omitzero"`
	PasswordHash  StoredSecret `json:"password_hash,omitzero"`
	Stamp         StoredSecret `json:"stamp,omitzero"`
	Disabled      bool         `json:"disabled,omitzero"`
	Roles         []string     `json:"roles,omitzero"`
	Version       int64        `json:"version,omitzero"`
}

// StoredAccountOf returns the account for a store. It shares no memory with a.
func StoredAccountOf(a Account) StoredAccount {
	return StoredAccount{
		ID: a.ID, Username: a.Username, Email: a.Email, EmailVerified: a.EmailVerified,
		PasswordHash: StoredSecret{a.PasswordHash}, Stamp: StoredSecret{a.Stamp},
		Disabled: a.Disabled, Roles: slices.Clone(a.Roles), Version: a.Version,
	}
}

// Account returns the account that was stored. It shares no memory with s.
func (s StoredAccount) Account() Account {
	return Account{
		ID: s.ID, Username: s.Username, Email: s.Email, EmailVerified: s.EmailVerified,
		PasswordHash: s.PasswordHash.Secret, Stamp: s.Stamp.Secret,
		Disabled: s.Disabled, Roles: slices.Clone(s.Roles), Version: s.Version,
	}
}

// A StoredSecret is a [Secret] that encoding/json writes as its text. fmt and
// log/slog show a placeholder for it, as for every Secret.
type StoredSecret struct{ Secret }

// MarshalJSON implements json.Marshaler: the text itself.
func (s StoredSecret) MarshalJSON() ([]byte, error) { return json.Marshal(s.Reveal()) }

// UnmarshalJSON implements json.Unmarshaler. null is the empty secret.
func (s *StoredSecret) UnmarshalJSON(data []byte) error {
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	s.Secret = NewSecret(text)
	return nil
}

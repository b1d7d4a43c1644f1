package auth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Keeps reports whether the user store keeps this field of Account: see
// FieldOmitter.
func (c *Core) Keeps(field AccountField) bool { return !slices.Contains(c.omitted, field) }

// IgnoresForm reports whether the user store ignores the fields of a registration: see
// [FormIgnorer]. It returns false for a store that does not say so.
func (c *Core) IgnoresForm() bool {
	store, ok := c.given.(FormIgnorer)
	return ok && store.IgnoresForm()
}

// needs returns an error if the user store leaves out a field that a function needs. what
// is the name of the function.
func (c *Core) needs(what string, field AccountField) error {
	if c.Keeps(field) {
		return nil
	}
	return errOmitted(what, field)
}

func errOmitted(what string, field AccountField) error {
	return fmt.Errorf("auth: %s needs Account.%s, which the user store leaves out (OmittedFields)", what, field)
}

// omitFields returns the fields that a store leaves out. It returns an error if a store
// must keep one of them, or if a setting needs one of them. If usernames are left out,
// users log in with addresses, and vice versa.
func omitFields(store any, cfg *Config) ([]AccountField, error) {
	o, ok := store.(FieldOmitter)
	if !ok {
		return nil, nil
	}
	omitted := slices.Clone(o.OmittedFields())
	for _, field := range omitted {
		switch field {
		case FieldUsername, FieldEmail, FieldEmailVerified, FieldPasswordHash, FieldDisabled, FieldRoles:
		case "ID", "Stamp", "Version":
			return nil, fmt.Errorf("auth: OmittedFields has %s, which no user store can leave out: add a column for it", field)
		default:
			return nil, fmt.Errorf("auth: OmittedFields has %q, which is not a field of Account; use constants such as auth.FieldRoles", field)
		}
	}
	omits := func(field AccountField) bool { return slices.Contains(omitted, field) }
	switch {
	case omits(FieldUsername) && omits(FieldEmail):
		return nil, errors.New("auth: OmittedFields has Username and Email, so no user could log in: keep one of them")
	case omits(FieldEmail) && !omits(FieldEmailVerified):
		omitted = append(omitted, FieldEmailVerified)
	}
	for _, setting := range fieldSettings(cfg) {
		if setting.set && omits(setting.field) {
			return nil, errOmitted("Config."+setting.name, setting.field)
		}
	}
	switch {
	case omits(FieldUsername):
		cfg.Identifiers = EmailOnly
	case omits(FieldEmail):
		cfg.Identifiers = UsernameOnly
	}
	return omitted, nil
}

// A fieldSetting is a setting that needs a field of Account.
type fieldSetting struct {
	name  string
	set   bool
	field AccountField
}

// fieldSettings returns all settings that need a field of Account.
func fieldSettings(cfg *Config) []fieldSetting {
	return []fieldSetting{
		{"Roles", cfg.Roles.isSet(), FieldRoles},
		{"Identifiers: UsernameOnly", cfg.Identifiers == UsernameOnly, FieldUsername},
		{"Identifiers: EmailOnly", cfg.Identifiers == EmailOnly, FieldEmail},
		{"Mailer", cfg.Mailer != nil, FieldEmail},
		{"RequireVerified", cfg.RequireVerified, FieldEmailVerified},
		{"EmailLogin", cfg.EmailLogin, FieldEmailVerified},
		{"URLs.LoginCode", cfg.URLs.LoginCode != "", FieldEmailVerified},
		{"URLs.Verify", cfg.URLs.Verify != "", FieldEmailVerified},
		{"URLs.EmailChange", cfg.URLs.EmailChange != "", FieldEmail},
		{"URLs.EmailUndo", cfg.URLs.EmailUndo != "", FieldEmail},
		{"LocalDomains", cfg.LocalDomains, FieldEmail},
		{"URLs.Reset", cfg.URLs.Reset != "", FieldPasswordHash},
		{"URLs.Forgot", cfg.URLs.Forgot != "", FieldPasswordHash},
		{"Password.Min", cfg.Password.Min != 0, FieldPasswordHash},
		{"Password.Words", cfg.Password.Words != nil, FieldPasswordHash},
		{"Password.Breaches", cfg.Password.Breaches != nil, FieldPasswordHash},
		{"Password.Check", cfg.Password.Check != nil, FieldPasswordHash},
		{"Password.HashParams", cfg.Password.HashParams != nil, FieldPasswordHash},
		{"Password.Peppers", cfg.Password.Peppers != nil, FieldPasswordHash},
		{"Password.HashMemory", cfg.Password.HashMemory != 0, FieldPasswordHash},
		{"Password.ResetLifetime", cfg.Password.ResetLifetime != 0, FieldPasswordHash},
		{"Credentials with Basic", slices.ContainsFunc(cfg.Credentials, func(l Credential) bool { return l.scheme == schemeBasic }), FieldPasswordHash},
	}
}

// A lostError says which fields of an account a user store has lost.
type lostError struct {
	did    string   // "CreateUser returned a user"
	fields []string // at least one
	hint   string   // may be empty
}

func (e *lostError) Error() string {
	text := fmt.Sprintf("auth: %s whose %s differs from the Account it was given", e.did, strings.Join(e.fields, ", "))
	if e.hint != "" {
		text += " (" + e.hint + ")"
	}
	return text + ": the store must save and return every field of Account (storetest.TestUserStore shows which one is missing)"
}

// lost compares an account with the one that a store was given, and returns nil if
// every field is kept. Names are compared in their canonical forms. If set is true, it
// compares only fields that were given a value, because an application's CreateUser may
// add others to a new account.
func (c *Core) lost(did string, given, stored Account, set bool) *lostError {
	e := &lostError{did: did}
	for _, f := range []struct {
		field AccountField
		given bool // it was given a value
		same  bool
	}{
		{"ID", given.ID != "", given.ID == stored.ID},
		{FieldUsername, given.Username != "", sameName(given.Username, stored.Username)},
		{FieldEmail, given.Email != "", sameName(given.Email, stored.Email)},
		{FieldEmailVerified, given.EmailVerified, given.EmailVerified == stored.EmailVerified},
		{FieldPasswordHash, !given.PasswordHash.IsZero(), given.PasswordHash.Equal(stored.PasswordHash)},
		{"Stamp", !given.Stamp.IsZero(), given.Stamp.Equal(stored.Stamp)},
		{FieldDisabled, given.Disabled, given.Disabled == stored.Disabled},
		{FieldRoles, given.Roles != nil, slices.Equal(given.Roles, stored.Roles)},
		{"Version", given.Version != 0, given.Version == stored.Version},
	} {
		if !f.same && (f.given || !set) && c.Keeps(f.field) {
			e.fields = append(e.fields, string(f.field))
		}
	}
	if len(e.fields) == 0 {
		return nil
	}
	e.hint = cutHint(given, stored)
	return e
}

// sameName reports whether two names are equal or have the same canonical form (see
// loginKeys for names of older tables).
func sameName(a, b string) bool {
	key := firstKey(a)
	return a == b || key != "" && key == firstKey(b)
}

// cutHint says which column cut a text, and how wide it must be. If no text was cut, it
// returns "".
func cutHint(given, stored Account) string {
	for _, f := range []struct {
		name          string
		given, stored string
		width         int
	}{
		{"PasswordHash", given.PasswordHash.Reveal(), stored.PasswordHash.Reveal(), 400},
		{"Stamp", given.Stamp.Reveal(), stored.Stamp.Reveal(), 255},
		{"Username", given.Username, stored.Username, 256},
		{"Email", given.Email, stored.Email, 254},
	} {
		if f.stored != "" && len(f.stored) < len(f.given) && strings.HasPrefix(f.given, f.stored) {
			return fmt.Sprintf("%s was cut from %d to %d bytes; its column needs room for %d", f.name, len(f.given), len(f.stored), f.width)
		}
	}
	return ""
}

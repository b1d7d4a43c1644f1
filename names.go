package auth

import (
	"fmt"
	"net/mail"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/secure/precis"
)

// Limits of names. Those of addresses are RFC 5321's (section 4.5.3.1).
const (
	maxUsername = 64 // code points
	maxLocal    = 64 // octets before the @
	maxEmail    = 254
)

// AccountKeys returns the canonical forms of the account's names, as a store's
// columns with a unique index should have them: nil, which database/sql takes
// for NULL and which collides with nothing, for one that is empty. The errors
// are those of UsernameKey and EmailKey.
func AccountKeys(a Account) (username, email *string, err error) {
	if a.Username != "" {
		key, err := UsernameKey(a.Username)
		if err != nil {
			return nil, nil, err
		}
		username = &key
	}
	if a.Email != "" {
		key, err := EmailKey(a.Email)
		if err != nil {
			return nil, nil, err
		}
		email = &key
	}
	return username, email, nil
}

// UsernameKey returns the canonical form of a username: two usernames are the
// same if their keys are. It is PRECIS UsernameCaseMapped (RFC 8265), which
// folds case and width and refuses spaces, control characters and what cannot
// be seen. A username has at most 64 code points and no @, so that it is never
// somebody's address. The error wraps ErrInvalidUsername.
func UsernameKey(username string) (string, error) {
	if len(username) > 4*maxUsername || utf8.RuneCountInString(username) > maxUsername {
		return "", fmt.Errorf("%w: longer than %d characters", ErrInvalidUsername, maxUsername)
	}
	if !utf8.ValidString(username) || strings.ContainsRune(username, '@') {
		return "", ErrInvalidUsername
	}
	key, err := precis.UsernameCaseMapped.String(username)
	if err != nil {
		return "", ErrInvalidUsername
	}
	// The profile is not idempotent for every input (RFC 8265, section 3.1);
	// a name that does not settle at once would have two keys.
	again, err := precis.UsernameCaseMapped.String(key)
	if err != nil || again != key || key == "" || strings.ContainsRune(key, '@') || utf8.RuneCountInString(key) > maxUsername {
		return "", ErrInvalidUsername
	}
	return key, nil
}

// EmailKey returns the canonical form of an e-mail address: two addresses are
// the same if their keys are. The part before the @ is lower-cased ASCII
// (RFC 5322's dot-atom without the quoting and routing characters % and !), the
// domain is lower-cased and in its ASCII form (IDNA 2008), has at least two
// labels and is no address literal. Tags and dots are kept: a+1@x.example is
// not a@x.example. The error wraps ErrInvalidEmail.
func EmailKey(address string) (string, error) {
	local, domain, ok := strings.Cut(address, "@")
	if !ok || len(address) > maxEmail || !utf8.ValidString(address) || !isDotAtom(local) {
		return "", ErrInvalidEmail
	}
	ascii, err := idna.Lookup.ToASCII(domain)
	if err != nil || !isDomain(ascii) {
		return "", ErrInvalidEmail
	}
	if again, err := idna.Lookup.ToASCII(ascii); err != nil || again != ascii {
		return "", ErrInvalidEmail // it would have two keys
	}
	key := strings.ToLower(local) + "@" + strings.ToLower(ascii)
	// Every parser must read it as we do.
	if parsed, err := mail.ParseAddress(key); err != nil || parsed.Address != key || len(key) > maxEmail {
		return "", ErrInvalidEmail
	}
	return key, nil
}

// isDotAtom reports whether s is a mailbox name that needs no quoting.
func isDotAtom(s string) bool {
	if s == "" || len(s) > maxLocal || s[0] == '-' || s[0] == '.' || s[len(s)-1] == '.' ||
		strings.Contains(s, "..") || strings.Contains(s, "=?") { // which begins an encoded word
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && !strings.ContainsRune(".#$&'*+-/=?^_`{|}~", rune(c)) {
			return false
		}
	}
	return true
}

// isDomain reports whether s, in ASCII, is a host name with a dot in it whose
// last label begins with a letter, which tells it from an IP address in any of
// its spellings.
func isDomain(s string) bool {
	labels := strings.Split(s, ".")
	if len(labels) < 2 {
		return false
	}
	for _, label := range labels {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for i := range len(label) {
			if !isAlnum(label[i]) && label[i] != '-' {
				return false
			}
		}
	}
	last := labels[len(labels)-1][0]
	return last < '0' || last > '9'
}

func isAlnum(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

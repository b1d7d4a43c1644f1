package auth

import (
	"fmt"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-login/auth/internal/invisible"
	"golang.org/x/net/idna"
	"golang.org/x/text/secure/precis"
	"golang.org/x/text/unicode/norm"
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
// are those of UsernameKey and EmailKey, except that a domain without a dot, as in
// admin@localhost, has a key: Config.LocalDomains decides about it, not a store.
func AccountKeys(a Account) (username, email *string, err error) {
	if a.Username != "" {
		key, err := UsernameKey(a.Username)
		if err != nil {
			return nil, nil, err
		}
		username = &key
	}
	if a.Email != "" {
		key, err := addressKey(a.Email, true)
		if err != nil {
			return nil, nil, err
		}
		email = &key
	}
	return username, email, nil
}

// UsernameKey returns the canonical form of a username: two usernames are the
// same if their keys are. It is PRECIS UsernameCaseMapped (RFC 8265), which
// folds case and width and refuses spaces and control characters. Invisible
// characters are refused, joiners too, which the RFC allows in some scripts. A username has at most 64 code points and no @, so that it is never
// somebody's address. The error wraps ErrInvalidUsername.
func UsernameKey(username string) (string, error) {
	if len(username) > 4*maxUsername || utf8.RuneCountInString(username) > maxUsername {
		return "", fmt.Errorf("%w: longer than %d characters", ErrInvalidUsername, maxUsername)
	}
	if !utf8.ValidString(username) || strings.ContainsRune(username, '@') || invisible.In(username) {
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
// the same if their keys are. The part before the @ is RFC 5322's dot-atom, without
// the quoting and routing characters % and !, in lower case. Letters and digits
// outside ASCII (RFC 6531, SMTPUTF8) are those of UsernameKey, but not ones that
// common software folds into ASCII: full width, dotless i, long s, the Kelvin sign.
// The domain is in lower case and in its ASCII form (IDNA 2008), has at least two
// labels and is no address literal. Invisible characters are refused everywhere.
// Tags and dots are kept: a+1@x.example is not a@x.example. The error wraps
// ErrInvalidEmail.
func EmailKey(address string) (string, error) { return addressKey(address, false) }

// addressKey is EmailKey, also for a domain without a dot if local is true.
func addressKey(address string, local bool) (string, error) {
	mailbox, domain, ok := strings.Cut(address, "@")
	if !ok || len(address) > maxEmail || !utf8.ValidString(address) || invisible.In(address) {
		return "", ErrInvalidEmail
	}
	mailbox, ok = mailboxKey(mailbox)
	if !ok {
		return "", ErrInvalidEmail
	}
	ascii, err := domainKey(domain)
	if err != nil || !isDomain(ascii, local) {
		return "", ErrInvalidEmail
	}
	if again, err := domainKey(ascii); err != nil || again != ascii {
		return "", ErrInvalidEmail // it would have two keys
	}
	key := mailbox + "@" + strings.ToLower(ascii)
	// Every parser must read it as we do.
	if parsed, err := mail.ParseAddress(key); err != nil || parsed.Address != key || len(key) > maxEmail {
		return "", ErrInvalidEmail
	}
	return key, nil
}

// domainKey is idna.Lookup.ToASCII, but lets a label have hyphens in the third and
// fourth place. isDomain looks at those at its ends.
func domainKey(domain string) (string, error) {
	return idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckJoiners(true), idna.CheckHyphens(false)).ToASCII(domain)
}

// mailboxKey returns the canonical form of what is before the @.
func mailboxKey(mailbox string) (key string, ok bool) {
	if !isDotAtom(mailbox) {
		return "", false
	}
	if isASCII(mailbox) {
		return strings.ToLower(mailbox), true
	}
	if strings.ContainsFunc(mailbox, foldsIntoASCII) {
		return "", false
	}
	key, err := precis.UsernameCaseMapped.String(mailbox)
	if err != nil || !isDotAtom(key) {
		return "", false
	}
	again, err := precis.UsernameCaseMapped.String(key)
	return key, err == nil && again == key
}

// foldsIntoASCII reports whether software that compares addresses more loosely may
// take a character outside ASCII for one of ASCII.
func foldsIntoASCII(r rune) bool {
	if r < utf8.RuneSelf {
		return false
	}
	return unicode.ToLower(r) < utf8.RuneSelf || unicode.ToUpper(r) < utf8.RuneSelf || isASCII(norm.NFKC.String(string(r)))
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

// maxLogin is how many bytes of a login are looked at.
const maxLogin = 1024

// loginKeys returns the keys under which a user with this username or address may
// be stored. Usually that is its canonical form. A name that UsernameKey or EmailKey
// refuses today may be in a table that is older than this rule: it is looked up
// without its invisible characters, and as it is, in lower case. There are none for
// what nobody's name can be. How many there are depends on the name alone, so that
// the work tells nothing.
func loginKeys(login string) []string {
	canonical := UsernameKey
	if strings.Contains(login, "@") {
		canonical = func(address string) (string, error) { return addressKey(address, true) }
	}
	if key, err := canonical(login); err == nil {
		return []string{key}
	}
	if login == "" || len(login) > maxLogin || !utf8.ValidString(login) || strings.ContainsFunc(login, unicode.IsControl) {
		return nil
	}
	if strings.Contains(login, "@") && !looksLikeAddress(login) {
		return nil
	}
	var keys []string
	if bare := invisible.Strip(login); bare != login {
		if key, err := canonical(bare); err == nil {
			keys = append(keys, key)
		}
	}
	return append(keys, strings.ToLower(login))
}

// looksLikeAddress reports whether s may be one address of an older table, and
// neither several nor one with a name.
func looksLikeAddress(s string) bool {
	const others = " ,;:<>()[]\"\\"
	at := strings.LastIndexByte(s, '@')
	mailbox, domain := s[:at], s[at+1:]
	if quoted := len(mailbox) > 2 && mailbox[0] == '"' && mailbox[len(mailbox)-1] == '"'; quoted {
		mailbox = "quoted"
	}
	return mailbox != "" && domain != "" && !strings.ContainsAny(mailbox+domain, others+"@")
}

// usernameKey and emailKey are UsernameKey and EmailKey for names that are stored
// already: see loginKeys. They are empty for what has none.
func usernameKey(username string) string { return firstKey(username) }

func emailKey(address string) string {
	if !strings.Contains(address, "@") {
		return ""
	}
	return firstKey(address)
}

func firstKey(name string) string {
	if keys := loginKeys(name); len(keys) > 0 {
		return keys[0]
	}
	return ""
}

// isDotAtom reports whether s is a mailbox name that needs no quoting. Outside
// ASCII it takes everything.
func isDotAtom(s string) bool {
	if s == "" || len(s) > maxLocal || s[0] == '-' || s[0] == '.' || s[len(s)-1] == '.' ||
		strings.Contains(s, "..") || strings.Contains(s, "=?") { // which begins an encoded word
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < utf8.RuneSelf && !isAlnum(c) && !strings.ContainsRune(".#$&'*+-/=?^_`{|}~", rune(c)) {
			return false
		}
	}
	return true
}

// isDomain reports whether s, in ASCII, is a host name whose last label begins with
// a letter, which tells it from an IP address in any of its spellings. It has a dot
// in it, unless local is true.
func isDomain(s string, local bool) bool {
	labels := strings.Split(s, ".")
	if len(labels) < 2 && !local {
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

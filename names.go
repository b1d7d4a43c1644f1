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

// Limits of names. The limits of addresses are from RFC 5321, section 4.5.3.1.
const (
	maxUsername = 64 // code points
	maxLocal    = 64 // octets before the @
	maxEmail    = 254
)

// AccountKeys returns the canonical forms of the account's names, for a store's columns
// with a unique index. If a name is empty, its key is nil: database/sql stores that as
// NULL, which collides with nothing. The errors are those of UsernameKey and EmailKey,
// except that a domain without a dot, as in admin@localhost, has a key.
// Config.LocalDomains decides whether such an address is accepted, not the store.
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

// UsernameKey returns the canonical form of a username. Two usernames are the same if
// their keys are equal. The key is PRECIS UsernameCaseMapped (RFC 8265), which folds
// case and width and refuses spaces and control characters. Invisible characters are
// refused, even the joiners that the RFC allows in some scripts. A username has at most
// 64 code points. It contains no @, so it never equals an e-mail address. The error
// wraps ErrInvalidUsername.
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
	// The profile is not idempotent for every input (RFC 8265, section 3.1). If a second
	// pass changes the key, the name would have two keys, so it is refused.
	again, err := precis.UsernameCaseMapped.String(key)
	if err != nil || again != key || key == "" || strings.ContainsRune(key, '@') || utf8.RuneCountInString(key) > maxUsername {
		return "", ErrInvalidUsername
	}
	return key, nil
}

// EmailKey returns the canonical form of an e-mail address. Two addresses are the same
// if their keys are equal. The error wraps ErrInvalidEmail.
//
//   - The part before the @ is a dot-atom (RFC 5322), in lower case. The quoting and
//     routing characters % and ! are refused.
//   - Letters and digits outside ASCII (RFC 6531, SMTPUTF8) are those that UsernameKey
//     accepts. Characters that common software folds into ASCII are refused: full
//     width, dotless i, long s, the Kelvin sign.
//   - The domain is in lower case and in its ASCII form (IDNA 2008). It has at least
//     two labels. An IP address in brackets is refused.
//   - Invisible characters are refused everywhere.
//   - Tags and dots are kept: a+1@x.example and a@x.example are two addresses.
func EmailKey(address string) (string, error) { return addressKey(address, false) }

// addressKey is EmailKey. If local is true, it accepts a domain without a dot, too.
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
	// net/mail must parse the key as the same address. Otherwise mail software might
	// read another one.
	if parsed, err := mail.ParseAddress(key); err != nil || parsed.Address != key || len(key) > maxEmail {
		return "", ErrInvalidEmail
	}
	return key, nil
}

// domainKey is idna.Lookup.ToASCII, but accepts hyphens in the third and fourth place
// of a label. isDomain checks for hyphens at the ends of a label.
func domainKey(domain string) (string, error) {
	return idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckJoiners(true), idna.CheckHyphens(false)).ToASCII(domain)
}

// mailboxKey returns the canonical form of the part before the @.
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

// foldsIntoASCII reports whether a character outside ASCII may equal an ASCII character
// in software that compares addresses more loosely.
func foldsIntoASCII(r rune) bool {
	if r < utf8.RuneSelf {
		return false
	}
	return unicode.ToLower(r) < utf8.RuneSelf || unicode.ToUpper(r) < utf8.RuneSelf || isASCII(norm.NFKC.String(string(r)))
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}

// maxLogin is the most bytes that a login may have.
const maxLogin = 1024

// loginKeys returns the keys under which a user with this username or address may be
// stored. Usually that is only its canonical form. A name in an older table may break
// the rules of UsernameKey or EmailKey. It is looked up without its invisible
// characters, and then unchanged but in lower case. If the text cannot be a name, there
// are no keys. The number of keys depends only on the name, so the work for a login
// does not reveal whether there is an account.
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

// looksLikeAddress reports whether s may be a single address of an older table: not a
// list, and not an address with a display name.
func looksLikeAddress(s string) bool {
	const others = " ,;:<>()[]\"\\"
	at := strings.LastIndexByte(s, '@')
	mailbox, domain := s[:at], s[at+1:]
	if quoted := len(mailbox) > 2 && mailbox[0] == '"' && mailbox[len(mailbox)-1] == '"'; quoted {
		mailbox = "quoted"
	}
	return mailbox != "" && domain != "" && !strings.ContainsAny(mailbox+domain, others+"@")
}

// usernameKey and emailKey are UsernameKey and EmailKey for names that are already
// stored: see loginKeys. If a name has no key, they return "".
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

// isDotAtom reports whether s can stand before the @ without quotes. It accepts every
// character outside ASCII.
func isDotAtom(s string) bool {
	if s == "" || len(s) > maxLocal || s[0] == '-' || s[0] == '.' || s[len(s)-1] == '.' ||
		strings.Contains(s, "..") || strings.Contains(s, "=?") { // =? begins an encoded word
		return false
	}
	for i := range len(s) {
		if c := s[i]; c < utf8.RuneSelf && !isAlnum(c) && !strings.ContainsRune(".#$&'*+-/=?^_`{|}~", rune(c)) {
			return false
		}
	}
	return true
}

// isDomain reports whether s, in ASCII, is a host name. Its last label must begin with
// a letter, because an IP address, however it is written, does not. It must contain a
// dot, unless local is true.
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

package auth

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// The library's own methods.
const (
	methodPassword = "password"
	methodRemember = "remember"
	methodTrusted  = "trusted" // the browser is trusted: see TrustBrowser
	methodAPIToken = "token"
	methodMail     = "mail" // a mailed code or link: see LoginByCode
	methodMulti    = "mfa"  // several factors were shown elsewhere: see Multifactor (RFC 8176)
)

// methodMultiAt returns the method of MultifactorAt.
func methodMultiAt(provider string) string { return methodMulti + ":" + provider }

// isOwnMethod reports whether neither By nor a Factor may have this name.
func isOwnMethod(name string) bool {
	return slices.Contains(ownMethods(), name) || strings.HasPrefix(name, methodMultiAt(""))
}

// ownMethods are names that neither By nor a Factor may have. "mfa" may not begin one, either.
func ownMethods() []string {
	return []string{methodPassword, methodRemember, methodAPIToken, methodTrusted, methodMail, methodMulti}
}

// methods are the ways in which a user has authenticated in a login, in order, each
// with the time: "password@t7h2k0 oauth:google@t7h2k3". This is also how a header
// stores them. The time is in seconds since 1970, in base 36. Older records have no
// times.
//
// They stay a text until they are needed, so that reading a session does not have to
// parse them.
type methods string

const maxMethod = 64

// isMethod reports whether a text may be a method's name.
func isMethod(name string) bool {
	for i := range len(name) {
		if !isAlnum(name[i]) && !strings.ContainsRune(":.-_", rune(name[i])) {
			return false
		}
	}
	return name != "" && len(name) <= maxMethod
}

// add returns the methods with name added at the end. If name is among them already, it
// moves there and gets the new time.
func (m methods) add(name string, at time.Time) methods {
	entry := name + "@" + strconv.FormatInt(at.Unix(), 36)
	var kept []string
	for _, e := range strings.Fields(string(m)) {
		if n, _, _ := strings.Cut(e, "@"); n != name {
			kept = append(kept, e)
		}
	}
	return methods(strings.Join(append(kept, entry), " "))
}

// at returns when a method was shown. The time is zero if the record is older than the times.
func (m methods) at(name string) (time.Time, bool) {
	for _, e := range strings.Fields(string(m)) {
		n, text, _ := strings.Cut(e, "@")
		if n == name {
			seconds, err := strconv.ParseInt(text, 36, 64)
			if err != nil {
				return time.Time{}, true
			}
			return time.Unix(seconds, 0), true
		}
	}
	return time.Time{}, false
}

// names returns the names alone.
func (m methods) names() []string {
	names := strings.Fields(string(m))
	for i, e := range names {
		names[i], _, _ = strings.Cut(e, "@")
	}
	return names
}

// String returns the names, separated by spaces, for an event.
func (m methods) String() string { return strings.Join(m.names(), " ") }

func (m methods) has(name string) bool { return slices.Contains(m.names(), name) }

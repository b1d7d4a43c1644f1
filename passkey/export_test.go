package passkey

import (
	"net/url"

	"github.com/go-login/auth"
)

// FixedChallenge is the challenge that CheckAnswer expects.
func FixedChallenge() []byte { return []byte("the challenge of the fuzz target") }

// CheckAnswer checks an answer as Add, and as Identify for a passkey with this key. It
// returns whether it is right, and whose key a new passkey has.
func CheckAnswer(text string, key []byte) (created, asserted bool, newKey []byte) {
	a, ok := readAnswer(url.Values{field: {text}})
	if !ok {
		return false, false, nil
	}
	challengeOf(a)
	want := expectation{challenge: FixedChallenge(), rpID: "app.example", origins: []string{"https://app.example"}, verified: true}
	c, err := checkCreation(a, want)
	_, failed := checkAssertion(a, key, want)
	return err == nil, failed == nil, c.key
}

// RecordAgain reports whether data is the record of a passkey, and whether it is the same
// after it was read and written again.
func RecordAgain(data []byte) (ok, same bool) {
	c, ok := decodeCredential(auth.Record{Data: data})
	again, readable := decodeCredential(auth.Record{Data: c.encode()})
	return ok, readable && string(again.encode()) == string(c.encode()) && again.count == c.count && again.name == c.name
}

// SitesAgain is RecordAgain for the record of Check.
func SitesAgain(data []byte) (ok, same bool) {
	sites := decodeSites(data)
	return len(sites) > 0, len(sites) == len(decodeSites(encodeSites(sites)))
}

// AskedAgain is RecordAgain for what Ask returns.
func AskedAgain(data []byte) (ok, same bool) {
	a, ok := decodeAsked(data)
	return ok, string(a.encode()) == string(data)
}

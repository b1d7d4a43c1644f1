package authtest

import "slices"

// A Misbehaviour is one thing that a Provider does wrong, or in an unusual way.
// Its text is a name for subtests. See Provider.Misbehave.
type Misbehaviour string

// What may be wrong with the answer that the browser brings back to the
// application.
const (
	NoIssParameter    Misbehaviour = "no iss parameter"    // although the metadata announce it (RFC 9207)
	WrongIssParameter Misbehaviour = "wrong iss parameter" // the issuer with a slash more or less at its end
	MixUp             Misbehaviour = "mix-up"              // iss and code are those of another provider
	SpentCode         Misbehaviour = "code used twice"     // the code has been exchanged before
)

// What may be wrong with the ID token. AlgorithmNone, HS256, WrongKey and
// WrongKid apply to Provider.LogoutToken and Provider.Sign, too.
const (
	AlgorithmNone Misbehaviour = "algorithm none"            // without a signature
	HS256         Misbehaviour = "HS256 with the public key" // the HMAC's key is the public key as PEM
	WrongKey      Misbehaviour = "wrong key"                 // signed with another key under the kid of the right one
	WrongKid      Misbehaviour = "wrong kid"                 // a kid that is in no key set, and another one each time
	RotatedKeys   Misbehaviour = "keys rotated"              // tolerable: another key signs, and only it is in the key set

	WrongIssuer         Misbehaviour = "wrong issuer"          // iss is https://other.example
	IssuerWithoutScheme Misbehaviour = "issuer without scheme" // as Google's may be; a client may tolerate it for Google only

	WrongAudience Misbehaviour = "wrong audience"            // aud is another client
	TwoAudiences  Misbehaviour = "two audiences without azp" // aud is the client and another one
	ForeignAZP    Misbehaviour = "foreign azp"               // aud is the client, and azp another one
	AudienceArray Misbehaviour = "audience as an array"      // tolerable: an array that has only the client

	WrongNonce Misbehaviour = "wrong nonce"
	NoNonce    Misbehaviour = "no nonce"

	Expired         Misbehaviour = "expired 61 seconds ago"
	IssuedInFuture  Misbehaviour = "issued in 10 minutes"
	NoIssuedAt      Misbehaviour = "no iat"
	WrongATHash     Misbehaviour = "wrong at_hash"
	NoSubject       Misbehaviour = "no subject"
	EmptySubject    Misbehaviour = "empty subject"
	NumericSubject  Misbehaviour = "numeric subject" // a number, not a string
	LongSubject     Misbehaviour = "subject of 256 bytes"
	UnverifiedEmail Misbehaviour = "unverified e-mail" // tolerable: email_verified is false, also in the userinfo

	// StringEmailVerified is tolerable: email_verified is the string "true", also
	// in the userinfo. The address then counts as unverified.
	StringEmailVerified Misbehaviour = "string-typed email_verified"
)

// What may be wrong with the other answers.
const (
	OtherDiscovery  Misbehaviour = "discovery of another issuer" // issuer is https://other.example
	IssuerWithSlash Misbehaviour = "issuer with a slash"         // the issuer in discovery and ID token has a slash more or less at its end
	TokenFailsOnce  Misbehaviour = "token endpoint fails once"   // one 500, which leaves the code as it was

	// EmailInUserinfo is tolerable: only the userinfo has the e-mail address, so
	// a client that needs it must ask there.
	EmailInUserinfo Misbehaviour = "e-mail in userinfo only"

	// OtherUserinfo is userinfo about another subject. Only the userinfo has the
	// e-mail address.
	OtherUserinfo Misbehaviour = "userinfo of another subject"
)

// Slow returns the misbehaviour of an endpoint that never answers. A request
// ends when the client or the test ends.
//
// Slow, Huge, Down and Redirected are for the endpoints Discovery, Keys, Token
// and Userinfo. At Userinfo they are tolerable, because a client can go on
// without the e-mail address; only the userinfo has it then.
func Slow(e Endpoint) Misbehaviour { return Misbehaviour("slow " + e) }

// Huge returns the misbehaviour of an endpoint whose answers begin with 10 MB
// of white space.
func Huge(e Endpoint) Misbehaviour { return Misbehaviour("huge " + e) }

// Down returns the misbehaviour of an endpoint that answers 503.
func Down(e Endpoint) Misbehaviour { return Misbehaviour(e + " down") }

// Redirected returns the misbehaviour of an endpoint that redirects to another
// host, which answers well. If a client follows, Provider.Requests(Elsewhere)
// has its request.
func Redirected(e Endpoint) Misbehaviour { return Misbehaviour(e + " on another host") }

// Misbehaviours returns all misbehaviours, for a test that tries each.
func Misbehaviours() []Misbehaviour {
	all := []Misbehaviour{
		NoIssParameter, WrongIssParameter, MixUp, SpentCode,
		AlgorithmNone, HS256, WrongKey, WrongKid, RotatedKeys,
		WrongIssuer, IssuerWithoutScheme,
		WrongAudience, TwoAudiences, ForeignAZP, AudienceArray,
		WrongNonce, NoNonce,
		Expired, IssuedInFuture, NoIssuedAt, WrongATHash,
		NoSubject, EmptySubject, NumericSubject, LongSubject,
		UnverifiedEmail, StringEmailVerified,
		OtherDiscovery, IssuerWithSlash, TokenFailsOnce, EmailInUserinfo, OtherUserinfo,
	}
	for _, e := range []Endpoint{Discovery, Keys, Token, Userinfo} {
		all = append(all, Slow(e), Huge(e), Down(e), Redirected(e))
	}
	return all
}

// Tolerable reports whether a client that is correct and careful lets the user
// log in all the same. If it is false, the client must refuse the login.
func (m Misbehaviour) Tolerable() bool {
	return slices.Contains([]Misbehaviour{
		RotatedKeys, AudienceArray, UnverifiedEmail, StringEmailVerified, EmailInUserinfo,
		Slow(Userinfo), Huge(Userinfo), Down(Userinfo), Redirected(Userinfo),
	}, m)
}

// leavesOutEmail reports whether one of these leaves the e-mail address out of
// the ID token.
func leavesOutEmail(faults []Misbehaviour) bool {
	return slices.ContainsFunc(faults, func(m Misbehaviour) bool {
		return slices.Contains([]Misbehaviour{
			EmailInUserinfo, OtherUserinfo, Slow(Userinfo), Huge(Userinfo), Down(Userinfo), Redirected(Userinfo),
		}, m)
	})
}

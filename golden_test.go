package auth

import (
	"net/http"
	"testing"
	"time"

	"github.com/go-login/auth/internal/keyring"
)

// Tokens that earlier versions have mailed, and cookies by which they knew a browser,
// still say the same. All are of the account 7 with the Stamp "stamp".
func TestSealedByEarlierVersions(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	secrets, err := keyring.New([][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")}, "")
	if err != nil {
		t.Fatal(err)
	}
	c := &Core{
		secrets: secrets, cfg: Config{Now: func() time.Time { return now }}, cookies: cookies{browser: "browser"},
		store: struct{ storer }{}, // there is one
	}
	a := &Account{ID: "7", Email: "susan@app.example", Stamp: NewSecret("stamp")}
	for purpose, text := range map[string]string{
		purposeReset:  "EJkG-IqgC2MBfOepTmID1f_8w3_Qf6CI3yztDtgDCFPkyoyVpLw7PkKcsgX1WtK6ZwDhFO0E-OaAlu49g5432G7bi3cKZ6zJtQlUWK63kBkeyJYEvs0",
		purposeVerify: "THggnOsqq2OW9rRW2axLb6uyt-itJ7iVK7smvEMqm_jZXxWiEZBXAJm7QJQAVRL3QHbBn31DqdEHOhEMu2iMyCyVORag4TS-rQUnlbxcXC5p4KS30Kk",
		purposeEmail:  "ACwdMOpHM5OQjGnH-HMZk96uxaOIyBANEhBuHno05UlwtBAp8zGuypmfUOUhIuaOFDyY8lUnSqUUB5PLW5f-snF2WtUmMbxdh3FqQ2uk7Q8epNOgVbI",
	} {
		token, err := c.openToken(purpose, text)
		if err != nil || token.userID != "7" || token.address != "new@app.example" || !token.expires.Equal(now.Add(30*time.Minute)) || !token.fits(a) {
			t.Errorf("%s: %+v, %v", purpose, token, err)
		}
	}
	r := &http.Request{Header: http.Header{"Cookie": {"browser=cCMIKdKYUzSlnsGUf7Hj-6qJQTuQrUHqnVmTJeYuVCYxKCZRVjhC-0vsDpUsIP3Gi2Wv0lqGFNg_7opAXsgTAsHUiXsNQgIXWwQ2t0DREvNg4YVjE2c"}}}
	s := &state{core: c, arrival: arrival{request: r}}
	browser, userID, binding := s.browser()
	if string(browser) != "0123456789abcdef" || userID != "7" || string(binding) != string(stampBinding(a.Stamp)) {
		t.Errorf("the browser %q of %q", browser, userID)
	}
}

// Package pwned asks Have I Been Pwned's Pwned Passwords whether a password was in a data
// breach. Package auth refuses such passwords at registration and when a password is
// changed or reset, if Config.Password.Breaches is set:
//
//	manager, err := auth.New(store, auth.Config{
//		BaseURL:  "https://app.example",
//		Secrets:  secrets,
//		Password: auth.PasswordConfig{Breaches: &pwned.Client{UserAgent: "app.example"}},
//	})
//
// The password stays in the process: see [Client] for what is sent.
package pwned

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // the protocol's: no secret depends on it, five digits of it are sent
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"unicode/utf8"
)

// Bounds of an answer, in bytes.
const (
	maxRange     = 1 << 20 // in all; Pwned Passwords sends some 80,000
	maxRangeLine = 256     // in a line
)

// A Client asks Pwned Passwords, or another service with the same range protocol. It sends
// the first five hexadecimal digits of the password's SHA-1. The service answers with all
// hashes that begin with these digits, and with padding, which hides the number of hashes
// from anyone who sees the size of the answer. The Client compares the hashes itself. So
// the service learns which of a million groups the password belongs to, and nothing else.
//
// The zero value is ready to use.
type Client struct {
	// URL is the address of the service, without the slash and the five digits:
	// https://api.pwnedpasswords.com/range by default.
	URL string

	// UserAgent tells the service who asks: "go-login" by default. Pwned Passwords
	// asks for one that names the application.
	UserAgent string

	// HTTP sends the requests. The default is a client with http.DefaultTransport, which
	// uses the proxy of the environment. Redirects are not followed, whatever
	// HTTP.CheckRedirect says.
	HTTP *http.Client
}

// Breached reports whether the password was in a data breach. It implements
// auth.BreachChecker. The text of an error contains neither the password nor the five
// digits, and the error has a method PasswordFree that says so. If ctx is done, Breached
// returns the error of ctx.
func (c *Client) Breached(ctx context.Context, password string) (bool, error) {
	sum := sha1.Sum([]byte(password)) //nolint:gosec // see the import
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	prefix, suffix := digits[:5], digits[5:]
	breached, err := c.ask(ctx, prefix, suffix)
	switch {
	case breached: // also if the rest of the answer was bad
		return true, nil
	case err == nil:
		return false, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	}
	for cause := (*url.Error)(nil); errors.As(err, &cause); { // its text contains the whole URL
		err = cause.Err
	}
	text := strings.NewReplacer(prefix, "…", strings.ToLower(prefix), "…").Replace(fmt.Sprint(err))
	return false, failure("pwned: " + cut(text, 200))
}

// A failure is an error whose text contains no part of a password.
type failure string

func (f failure) Error() string { return string(f) }

// PasswordFree lets package auth log the text; see auth.BreachChecker.
func (f failure) PasswordFree() bool { return true }

// cut returns at most the first n bytes of s, and only whole code points.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func (c *Client) ask(ctx context.Context, prefix, suffix string) (bool, error) {
	base := cmp.Or(c.URL, "https://api.pwnedpasswords.com/range")
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(base, "/")+"/"+prefix, nil)
	if err != nil {
		return false, err
	}
	r.Header.Set("User-Agent", cmp.Or(c.UserAgent, "go-login"))
	r.Header.Set("Add-Padding", "true")
	var client http.Client
	if c.HTTP != nil {
		client = *c.HTTP
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	res, err := client.Do(r)
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return false, fmt.Errorf("status %d", res.StatusCode)
	}
	return inRange(http.MaxBytesReader(nil, res.Body, maxRange), suffix)
}

var errRange = errors.New("the answer is not a range of hashes")

// inRange looks for the suffix of a hash in an answer. A line of the answer is the other 35
// hexadecimal digits of a hash, a colon, and how often the password was seen: 0 times if
// the line is padding. inRange reads the answer to its end even if it has found the
// suffix: the service would learn from a closed connection where the suffix was.
func inRange(r io.Reader, suffix string) (found bool, err error) {
	lines, empty := bufio.NewScanner(r), true
	lines.Buffer(make([]byte, 0, maxRangeLine), maxRangeLine)
	for lines.Scan() {
		hash, count, _ := bytes.Cut(lines.Bytes(), []byte(":"))
		if len(hash) != len(suffix) || len(bytes.Trim(hash, "0123456789ABCDEFabcdef")) > 0 ||
			len(count) == 0 || len(bytes.Trim(count, "0123456789")) > 0 {
			return found, errRange
		}
		empty = false
		found = found || bytes.EqualFold(hash, []byte(suffix)) && len(bytes.Trim(count, "0")) > 0
	}
	if err := lines.Err(); err != nil {
		return found, err
	}
	if empty { // a range never is
		return false, errRange
	}
	return found, nil
}

package auth

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // the protocol's: it keeps no secret here, five digits of it are sent
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// Bounds of what a range is: bytes in all (Pwned Passwords sends some 80,000)
// and in a line.
const (
	maxRange     = 1 << 20
	maxRangeLine = 256
)

// A RangeClient asks a service that speaks the range protocol of Have I Been
// Pwned's Pwned Passwords: the first five hexadecimal digits of the password's
// SHA-1 go out, all that begins with them comes back, padded to hide how much
// that is, and is compared here. The service learns that somebody has one of a
// million groups of passwords, and nothing else. The zero value is ready to use.
type RangeClient struct {
	// URL is what the five digits come after, with a slash in between:
	// https://api.pwnedpasswords.com/range by default.
	URL string

	// UserAgent says to the service who asks: "go-login" by default. Pwned
	// Passwords asks for one that names the application.
	UserAgent string

	// HTTP sends the requests: by default a client with http.DefaultTransport,
	// which uses the environment's proxy. It follows no redirect, whatever its
	// CheckRedirect says.
	HTTP *http.Client
}

// Breached implements BreachChecker. Its errors have neither the password nor
// the five digits in them.
func (c *RangeClient) Breached(ctx context.Context, password string) (bool, error) {
	sum := sha1.Sum([]byte(password)) //nolint:gosec // see the import
	digits := strings.ToUpper(hex.EncodeToString(sum[:]))
	prefix, suffix := digits[:5], digits[5:]
	breached, err := c.ask(ctx, prefix, suffix)
	switch {
	case breached: // whatever came after it
		return true, nil
	case err == nil:
		return false, nil
	case ctx.Err() != nil:
		return false, ctx.Err()
	}
	for cause := (*url.Error)(nil); errors.As(err, &cause); { // which has the whole URL
		err = cause.Err
	}
	text := strings.NewReplacer(prefix, "…", strings.ToLower(prefix), "…").Replace(fmt.Sprint(err))
	return false, breachError("auth: breached passwords: " + cut(text, 200))
}

func (c *RangeClient) ask(ctx context.Context, prefix, suffix string) (bool, error) {
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

// inRange looks for a suffix in a range: lines of 35 hexadecimal digits, a colon
// and how often the password was seen, which is 0 for padding. It reads on when
// it has found it: that the connection ends early, and where, would tell the
// service.
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
	if empty { // no range is
		return false, errRange
	}
	return found, nil
}

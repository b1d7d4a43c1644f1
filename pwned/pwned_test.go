package pwned_test

import (
	"context"
	"crypto/sha1" //nolint:gosec // the protocol's
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth/pwned"
)

// leaked is a password that is in the answers of the tests' services.
const leaked = "tr0ub4dor&3 & horse"

// hashOf returns the SHA-1 of a password in the two parts of the protocol.
func hashOf(password string) (prefix, suffix string) {
	sum := fmt.Sprintf("%X", sha1.Sum([]byte(password))) //nolint:gosec // the protocol's
	return sum[:5], sum[5:]
}

// rangeServer starts a service that answers with h, and returns a client of it.
func rangeServer(t *testing.T, h http.HandlerFunc) *pwned.Client {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return &pwned.Client{URL: server.URL + "/range", HTTP: server.Client()}
}

// padding returns n lines of other hashes.
func padding(n int) string {
	var b strings.Builder
	for i := range n {
		_, _ = fmt.Fprintf(&b, "%035X:%d\r\n", i, i%3)
	}
	return b.String()
}

func TestClient(t *testing.T) {
	t.Parallel()
	prefix, suffix := hashOf(leaked)
	lower := strings.ToLower(suffix)
	const other = "0018A45C4D1DEF81644B54AB7F969B88D65:1\r\n"
	huge := padding(1<<20/39 + 1)
	for _, c := range []struct {
		what, body string
		want       bool
		fails      bool
	}{
		{"hit", other + suffix + ":3\r\n" + padding(900), true, false},
		{"the first line", suffix + ":1\r\n" + other, true, false},
		{"the last line", padding(900) + suffix + ":10434004", true, false},
		{"the only line", suffix + ":1", true, false},
		{"lines that end as on Unix", "0018A45C4D1DEF81644B54AB7F969B88D65:1\n" + suffix + ":3\n", true, false},
		{"lower case", other + lower + ":3\r\n", true, false},
		{"a count that begins with 0", suffix + ":010", true, false},
		{"a large count", suffix + ":99999999999999999999999999", true, false},
		{"a line as long as may be", suffix + ":" + strings.Repeat("9", 200), true, false},
		{"twice", suffix + ":0\r\n" + suffix + ":2\r\n", true, false},
		{"hit, and then garbage", suffix + ":2\r\n<html>", true, false},
		{"hit, and then too much", suffix + ":2\r\n" + huge, true, false},
		{"hit, and then a long line", suffix + ":2\r\n" + strings.Repeat("A", 1<<20), true, false},

		{"miss", padding(900), false, false},
		{"padding alone", strings.ReplaceAll(padding(90), ":1", ":0"), false, false},
		{"its hash is padding", other + suffix + ":0\r\n", false, false},
		{"its hash is padding, with zeros", suffix + ":000\r\n", false, false},

		{"empty", "", false, true},
		{"a blank line", other + "\r\n" + other, false, true},
		{"a page", "<!DOCTYPE html>\n<title>Please log in to the network</title>\n", false, true},
		{"a page after some", other + "<html>" + suffix + ":3", false, true},
		{"no count", suffix + "\r\n", false, true},
		{"empty count", suffix + ":\r\n", false, true},
		{"negative count", suffix + ":-1\r\n", false, true},
		{"count that is no number", suffix + ":1e3\r\n", false, true},
		{"count and more", suffix + ":1:1\r\n", false, true},
		{"spaces", suffix + ": 3\r\n", false, true},
		{"a space before it", " " + suffix + ":3\r\n", false, true},
		{"two line feeds' worth", suffix + ":3\r\r\n", false, true},
		{"digits of another alphabet", suffix + ":٣\r\n", false, true},
		{"the whole hash", prefix + suffix + ":3\r\n", false, true},
		{"one digit short", suffix[1:] + ":3\r\n", false, true},
		{"no hash", ":3\r\n", false, true},
		{"no hexadecimal", strings.Repeat("G", 35) + ":3\r\n", false, true},
		{"NUL", suffix + ":3\x00\r\n", false, true},
		{"UTF-16", "\xff\xfe" + suffix + ":3\r\n", false, true},
		{"NTLM", "0018A45C4D1DEF81644B54AB7F9:1\r\n", false, true},
		{"a line that is too long", suffix + ":" + strings.Repeat("9", 300) + "\r\n", false, true},
		{"a line without an end", strings.Repeat("A", 5<<20), false, true},
		{"too much", huge + suffix + ":3\r\n", false, true},
	} {
		var asked atomic.Int32
		client := rangeServer(t, func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			_, _ = io.WriteString(w, c.body)
		})
		got, err := client.Breached(t.Context(), leaked)
		if got != c.want || (err != nil) != c.fails || asked.Load() != 1 {
			t.Errorf("%s: %v, %v, asked %d times", c.what, got, err, asked.Load())
		}
		tellsNothing(t, c.what, leaked, fmt.Sprintf("%v %+v %#v", err, err, err))
	}
}

// tellsNothing fails if a text contains the password or a part of its hash.
func tellsNothing(t *testing.T, what, password, text string) {
	t.Helper()
	prefix, suffix := hashOf(password)
	for _, secret := range []string{password, url.QueryEscape(password), prefix, suffix, suffix[:8]} {
		if strings.Contains(strings.ToUpper(text), strings.ToUpper(secret)) {
			t.Errorf("%s: %q is in %s", what, secret, text)
		}
	}
}

// An answer as large as the largest today is read. More than 1 MiB is refused.
func TestClientSize(t *testing.T) {
	t.Parallel()
	_, suffix := hashOf(leaked)
	for size, fails := range map[int]bool{80_000: false, 1 << 20: false, 1<<20 + 1: true} {
		client := rangeServer(t, func(w http.ResponseWriter, _ *http.Request) {
			rest := size - len(suffix) - len(":1")
			body := padding(rest/39) + suffix + ":" + strings.Repeat("0", rest%39) + "1"
			if len(body) != size {
				t.Errorf("%d bytes, not %d", len(body), size)
			}
			_, _ = io.WriteString(w, body)
		})
		if found, err := client.Breached(t.Context(), leaked); found == fails || (err != nil) != fails {
			t.Errorf("%d bytes: %v, %v", size, found, err)
		}
	}
}

func TestClientStatus(t *testing.T) {
	t.Parallel()
	_, suffix := hashOf(leaked)
	for _, status := range []int{201, 204, 206, 304, 400, 401, 403, 404, 429, 500, 503} {
		client := rangeServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, suffix+":3\r\n")
		})
		found, err := client.Breached(t.Context(), leaked)
		if found || err == nil || !strings.Contains(err.Error(), fmt.Sprint(status)) {
			t.Errorf("%d: %v, %v", status, found, err)
		}
		tellsNothing(t, fmt.Sprint(status), leaked, fmt.Sprintf("%+v", err))
	}
}

// A request contains five digits of the hash. It is the same for all passwords whose hash
// begins with them.
func TestClientSendsOnlyThePrefix(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var requests []*http.Request
	var bodies []string
	client := rangeServer(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		defer mu.Unlock()
		requests, bodies = append(requests, r), append(bodies, string(body))
		_, _ = io.WriteString(w, padding(10))
	})
	for _, password := range []string{leaked, "password", "пароль со всеми", "\xff\x00 no text", strings.Repeat("long ", 200)} {
		requests, bodies = nil, nil
		if found, err := client.Breached(t.Context(), password); found || err != nil || len(requests) != 1 {
			t.Fatal(found, err, len(requests))
		}
		prefix, suffix := hashOf(password)
		r := requests[0]
		if r.Method != http.MethodGet || r.RequestURI != "/range/"+prefix || bodies[0] != "" || r.ContentLength > 0 {
			t.Errorf("%s %s with %q", r.Method, r.RequestURI, bodies[0])
		}
		want := http.Header{"User-Agent": {"go-login"}, "Add-Padding": {"true"}, "Accept-Encoding": {"gzip"}}
		if fmt.Sprint(r.Header) != fmt.Sprint(want) {
			t.Errorf("header %v", r.Header)
		}
		sent := strings.ToUpper(fmt.Sprint(r.Header, r.RequestURI, r.Host, r.Trailer))
		for i := 0; i+6 <= len(suffix); i++ {
			if strings.Contains(sent, suffix[i:i+6]) {
				t.Errorf("%s has more of the hash: %s", sent, suffix[i:i+6])
			}
		}
	}
	requests = nil
	client.URL, client.UserAgent = client.URL+"/", "our application"
	if _, err := client.Breached(t.Context(), "password"); err != nil || requests[0].RequestURI != "/range/5BAA6" || requests[0].UserAgent() != "our application" {
		t.Errorf("%v, %+v", err, requests)
	}
}

// An answer is read to its end wherever the hash is in it. Otherwise the service, and
// anyone who sees its packets, would learn where the hash was.
func TestClientReadsOn(t *testing.T) {
	t.Parallel()
	_, suffix := hashOf(leaked)
	for what, body := range map[string]string{"hit": suffix + ":1\r\n" + padding(2000), "miss": padding(2000)} {
		rest := strings.NewReader(body)
		client := &pwned.Client{HTTP: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(rest)}, nil
		})}}
		if found, err := client.Breached(t.Context(), leaked); found != (what == "hit") || err != nil || rest.Len() != 0 {
			t.Errorf("%s: %v, %v, %d bytes were not read", what, found, err, rest.Len())
		}
	}
}

// The default address is that of Pwned Passwords. The test sends nothing to it.
func TestClientDefaults(t *testing.T) {
	t.Parallel()
	var asked string
	client := &pwned.Client{HTTP: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
		asked = r.URL.String()
		return nil, errors.New("no network")
	})}}
	if _, err := client.Breached(t.Context(), "password"); err == nil || asked != "https://api.pwnedpasswords.com/range/5BAA6" {
		t.Errorf("%v, asked %s", err, asked)
	}
}

// A transport answers requests without a network.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// No redirect is followed, even if the CheckRedirect of HTTP allows it.
func TestClientRedirect(t *testing.T) {
	t.Parallel()
	_, suffix := hashOf(leaked)
	var followed atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		followed.Add(1)
		_, _ = io.WriteString(w, suffix+":3\r\n")
	}))
	t.Cleanup(elsewhere.Close)
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, to := range []string{elsewhere.URL + "/range/", "/elsewhere/", "//", "http://[::1/"} {
			client := rangeServer(t, func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasPrefix(r.URL.Path, "/range/") {
					elsewhere.Config.Handler.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Location", to+strings.TrimPrefix(r.URL.Path, "/range/"))
				w.WriteHeader(status)
				_, _ = io.WriteString(w, suffix+":3\r\n")
			})
			client.HTTP.CheckRedirect = func(*http.Request, []*http.Request) error { return nil }
			found, err := client.Breached(t.Context(), leaked)
			if found || err == nil || followed.Load() != 0 {
				t.Errorf("%d to %s: %v, %v, followed %d", status, to, found, err, followed.Load())
			}
			tellsNothing(t, to, leaked, fmt.Sprintf("%+v", err))
			if client.HTTP.CheckRedirect(nil, nil) != nil {
				t.Error("the application's client was changed")
			}
		}
	}
}

// If the connection fails, at whatever moment, there is an error that contains no part of
// the password, and says so.
func TestClientFails(t *testing.T) {
	t.Parallel()
	prefix, suffix := hashOf(leaked)
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	broken := func(err func(r *http.Request) error) *http.Client {
		return &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) { return nil, err(r) })}
	}
	breaks := func(body string) *pwned.Client {
		return rangeServer(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "10000")
			_, _ = io.WriteString(w, body)
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		})
	}
	for what, client := range map[string]*pwned.Client{
		"nobody listens":            {URL: gone.URL},
		"closed at once":            rangeServer(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }),
		"closed after the header":   breaks(""),
		"closed between two lines":  breaks(padding(20)),
		"closed in a line":          breaks(padding(20) + suffix[:20]),
		"closed in the count":       breaks(padding(20) + suffix + ":"),
		"no URL":                    {URL: "://" + prefix},
		"a URL with a password":     {URL: "http://user:sesame@example.com/\x7f"},
		"a URL with a control byte": {URL: "http://example.com/\x7f"},
		"no host":                   {URL: "http:///range"},
		"another protocol":          {URL: "ftp://127.0.0.1/range"},
		"the error has the URL":     {HTTP: broken(func(r *http.Request) error { return fmt.Errorf("cannot get %s", r.URL) })},
		"the error is a url.Error": {HTTP: broken(func(r *http.Request) error {
			return fmt.Errorf("twice: %w", &url.Error{Op: "Get", URL: r.URL.String(), Err: &url.Error{Op: "Get", URL: r.URL.String(), Err: io.EOF}})
		})},
		"the error has it in lower case": {HTTP: broken(func(r *http.Request) error { return errors.New(strings.ToLower(r.URL.String())) })},
		"an empty url.Error":             {HTTP: broken(func(*http.Request) error { return &url.Error{} })},
		"a long error":                   {HTTP: broken(func(*http.Request) error { return errors.New(strings.Repeat("é", 1e6)) })},
	} {
		found, err := client.Breached(t.Context(), leaked)
		if found || err == nil || len(err.Error()) > 300 {
			t.Errorf("%s: %v, %.400v", what, found, err)
		}
		var free interface{ PasswordFree() bool }
		if !errors.As(err, &free) || !free.PasswordFree() {
			t.Errorf("%s: %T does not say that it is free of the password", what, err)
		}
		if strings.Contains(err.Error(), "sesame") {
			t.Errorf("%s: %v", what, err)
		}
		for ; err != nil; err = errors.Unwrap(err) {
			tellsNothing(t, what, leaked, fmt.Sprintf("%v %+v %#v", err, err, err))
		}
	}
}

// Breached waits no longer than its context, whether the header or the body is late.
func TestClientSlow(t *testing.T) {
	t.Parallel()
	for what, begin := range map[string]func(http.ResponseWriter){
		"nothing comes": func(http.ResponseWriter) {},
		"a header comes": func(w http.ResponseWriter) {
			_ = http.NewResponseController(w).Flush()
		},
		"some lines come": func(w http.ResponseWriter) {
			_, _ = io.WriteString(w, padding(10))
			_ = http.NewResponseController(w).Flush()
		},
	} {
		client := rangeServer(t, func(w http.ResponseWriter, r *http.Request) {
			begin(w)
			<-r.Context().Done() // the client has gone
		})
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		found, err := client.Breached(ctx, leaked)
		cancel()
		if found || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v, %v", what, found, err)
		}
		tellsNothing(t, what, leaked, fmt.Sprintf("%+v", err))
	}
}

// Breached returns true only for an answer with the hash, and false without an error only
// for a valid answer without it.
func FuzzRange(f *testing.F) {
	_, suffix := hashOf(leaked)
	for _, seed := range []string{"", suffix + ":3", suffix + ":0\r\n", padding(3) + strings.ToLower(suffix) + ":12\n", "<html>", strings.Repeat("A", 300)} {
		f.Add(seed)
	}
	hit := regexp.MustCompile(`(?im)^` + suffix + `:0*[1-9][0-9]*\r?$`)
	valid := regexp.MustCompile(`^([0-9A-Fa-f]{35}:[0-9]+\r?\n)*[0-9A-Fa-f]{35}:[0-9]+\r?\n?$`)
	f.Fuzz(func(t *testing.T, body string) {
		client := &pwned.Client{HTTP: &http.Client{Transport: transport(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(body))}, nil
		})}}
		found, err := client.Breached(t.Context(), leaked)
		switch in := hit.MatchString(body); {
		case found && (!in || err != nil):
			t.Errorf("found in %q, %v", body, err)
		case !found && err == nil && (in || !valid.MatchString(body)):
			t.Errorf("not found in %q", body)
		case err != nil && valid.MatchString(body) && len(body) < 200:
			t.Errorf("%q: %v", body, err)
		}
		if err != nil {
			tellsNothing(t, "the error", leaked, err.Error())
		}
	})
}

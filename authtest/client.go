package authtest

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
)

// A Client is a browser that visits the application. It keeps cookies, says the
// same User-Agent with each request and comes from the same address, so that it
// works under every auth.Config.Protection. What it cannot do, such as a call
// for a page of another site, ends the test.
//
// It does not follow redirects by itself: see Follow. A cookie that outlives the
// browser's session is kept until it is deleted, whatever its age, for the
// browser would go by another clock than the application: it is the application
// that is to refuse an old one. A handler that hijacks the connection cannot be
// visited. A panic of a handler is a panic of the test.
//
// It is safe for use by many goroutines, but for its fields.
type Client struct {
	// UserAgent is the header of that name, and RemoteAddr is the client's
	// address and port, as in http.Request. To make requests from elsewhere,
	// change them between requests.
	UserAgent  string
	RemoteAddr string

	t       testing.TB
	core    *auth.Core
	handler http.Handler
	base    *url.URL

	mu      sync.Mutex
	jar     *cookiejar.Jar
	history []received
	log     func(*Response) // if it is set, gets every answer of the application
}

// received are the cookies of one answer.
type received struct {
	from    *url.URL
	cookies []*http.Cookie
}

// A Response is an answer of the application, read.
type Response struct {
	*http.Response        // its Request is what was asked for, as an absolute URL; its Body can be read once more
	Text           string // the body

	early   []earlyHeader
	flushed bool // before the handler was done
}

// NewClient returns a browser that has never been here. core is the manager's
// Core, and handler the whole application, which is inside the manager's
// LoadAndSave.
func NewClient(t testing.TB, core *auth.Core, handler http.Handler) *Client {
	t.Helper()
	if core == nil {
		t.Fatal("authtest: no manager: pass manager.Core")
	}
	base, err := url.Parse(core.BaseURL())
	if err != nil {
		t.Fatalf("authtest: %v", err)
	}
	return &Client{
		UserAgent: "Mozilla/5.0 (authtest)", RemoteAddr: "192.0.2.1:1234", // a network for examples: RFC 5737
		t: t, core: core, handler: handler, base: base, jar: newJar(),
	}
}

// Get opens a page: a path of the application with its query.
func (c *Client) Get(path string) *Response {
	c.t.Helper()
	return c.Do(c.navigate(http.MethodGet, path, nil))
}

// Post sends a form from a page of the application.
func (c *Client) Post(path string, form url.Values) *Response {
	c.t.Helper()
	r := c.navigate(http.MethodPost, path, strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return c.Do(r)
}

// navigate makes the request of somebody who clicks.
func (c *Client) navigate(method, path string, body io.Reader) *http.Request {
	c.t.Helper()
	r, err := http.NewRequestWithContext(c.t.Context(), method, path, body)
	if err != nil {
		c.t.Fatalf("authtest: %v", err)
	}
	r.Header.Set("Sec-Fetch-Mode", "navigate")
	r.Header.Set("Sec-Fetch-Dest", "document")
	return r
}

// Do sends a request of any kind, made by http.NewRequest or httptest.NewRequest
// for a path of the application: with the client's cookies, User-Agent and
// address, as one that accepts HTML (if r has no header Accept), and as one from a
// page of the application (if r has neither Origin nor Sec-Fetch-Site). It goes
// to auth.Config.BaseURL, whatever the Host of r is. r itself is not changed.
func (c *Client) Do(r *http.Request) *Response {
	c.t.Helper()
	res := c.send(c.handler, r)
	if c.log != nil {
		c.log(res)
	}
	return res
}

// Follow follows redirects from r, as a browser does, and returns the first
// answer that is not one: r itself, perhaps. A redirect to another site is
// returned as it is. More than ten in a row end the test.
func (c *Client) Follow(r *Response) *Response {
	c.t.Helper()
	for n := 0; ; n++ {
		next := c.redirected(r)
		if next == nil {
			return r
		}
		if n == 10 {
			c.t.Fatalf("authtest: redirects without end, the last to %s", r.Header.Get("Location"))
		}
		r = c.Do(next)
	}
}

// redirected is the request that a browser makes after an answer, or nil.
func (c *Client) redirected(r *Response) *http.Request {
	method := r.Request.Method
	switch r.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound:
		if method == http.MethodPost {
			method = http.MethodGet
		}
	case http.StatusSeeOther:
		if method != http.MethodHead {
			method = http.MethodGet
		}
	case http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
	default:
		return nil
	}
	target, err := r.Location()
	if err != nil || !c.isOurs(target) {
		return nil
	}
	next := r.Request.Clone(r.Request.Context())
	next.URL, next.Body = target, http.NoBody
	if next.Method = method; method != r.Request.Method {
		next.Header.Del("Content-Type")
	} else {
		next.Body, _ = r.Request.GetBody() // send's returns no error
	}
	return next
}

// isOurs reports whether a URL, with a host or without, is of the application.
func (c *Client) isOurs(u *url.URL) bool {
	return strings.HasPrefix(cmp.Or(u.Path, "/"), "/") && u.Opaque == "" &&
		(u.Host == "" && u.Scheme == "" || strings.EqualFold(u.Host, c.base.Host) && u.Scheme == c.base.Scheme)
}

// send lets a handler answer a request, and takes the cookies.
func (c *Client) send(handler http.Handler, r *http.Request) *Response {
	c.t.Helper()
	if !c.isOurs(r.URL) {
		c.t.Fatalf("authtest: %s is not a page of %s", r.URL, c.base)
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			c.t.Fatalf("authtest: the body for %s: %v", r.URL, err)
		}
	}
	asked := r.Clone(r.Context())
	asked.URL.Scheme, asked.URL.Host, asked.URL.Path = c.base.Scheme, c.base.Host, cmp.Or(r.URL.Path, "/")
	asked.URL.Fragment, asked.URL.RawFragment = "", ""
	asked.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }

	c.mu.Lock()
	jar := c.jar
	c.mu.Unlock()
	w := &recorder{ResponseRecorder: httptest.NewRecorder()}
	handler.ServeHTTP(w, c.received(asked, body, jar.Cookies(asked.URL)))

	res := &Response{Response: w.Result(), Text: w.Body.String(), early: w.early, flushed: w.Flushed}
	if r.Method == http.MethodHead || res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified {
		res.Text = ""
	}
	res.Body, res.Request = io.NopCloser(strings.NewReader(res.Text)), asked
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keep(received{asked.URL, res.Cookies()})
	return res
}

// received makes of a request what a server makes of it.
func (c *Client) received(asked *http.Request, body []byte, cookies []*http.Cookie) *http.Request {
	in := asked.Clone(asked.Context())
	in.URL.Scheme, in.URL.Host = "", ""
	in.RequestURI, in.Host, in.RemoteAddr = in.URL.RequestURI(), c.base.Host, c.RemoteAddr
	in.Proto, in.ProtoMajor, in.ProtoMinor = "HTTP/1.1", 1, 1
	in.Form, in.PostForm, in.MultipartForm, in.GetBody = nil, nil, nil, nil
	in.Body, in.ContentLength = http.NoBody, int64(len(body))
	if len(body) > 0 {
		in.Body = io.NopCloser(bytes.NewReader(body))
	}
	if c.base.Scheme == "https" {
		in.TLS = &tls.ConnectionState{Version: tls.VersionTLS13, HandshakeComplete: true, ServerName: c.base.Hostname()}
	}
	if in.Header == nil {
		in.Header = http.Header{}
	}
	h := in.Header
	byDefault := func(name, value string) {
		if _, ok := h[name]; !ok {
			h.Set(name, value)
		}
	}
	byDefault("User-Agent", c.UserAgent)
	byDefault("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
	if _, ok := h["Origin"]; !ok {
		if _, ok := h["Sec-Fetch-Site"]; !ok {
			h.Set("Sec-Fetch-Site", "same-origin")
			if in.Method != http.MethodGet && in.Method != http.MethodHead {
				h.Set("Origin", c.base.String())
			}
		}
	}
	for _, cookie := range cookies {
		in.AddCookie(cookie)
	}
	return in
}

// Login logs the client in as the user, through all gates but without a
// password. With auth.Fresh(false) the user has not just shown who they are, and
// with auth.Remember(true) the login outlives Restart. It ends the test if a gate
// refuses, or if the account has changed since the user was loaded, which makes
// the login void.
func (c *Client) Login(user auth.User, options ...auth.LoginOption) {
	c.t.Helper()
	if v := reflect.ValueOf(user); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		c.t.Fatal("authtest: Login of nobody: the user is nil")
		return
	}
	a := user.AuthAccount()
	name := cmp.Or(a.Username, a.Email, a.ID)
	err := c.inside(func(ctx context.Context) error { return c.core.LoginUser(ctx, user, options...) })
	if err != nil {
		c.t.Fatalf("authtest: Login of %s: %v", name, err)
		return
	}
	err = c.inside(func(ctx context.Context) error {
		_, err := c.core.User(ctx)
		return err
	})
	switch {
	case errors.Is(err, auth.ErrNotLoggedIn):
		c.t.Fatalf("authtest: Login of %s: the login is void, for the account has changed since this user was loaded, or is not stored; load it again", name)
	case err != nil:
		c.t.Fatalf("authtest: Login of %s: %v", name, err)
	}
}

// inside calls f in a request of the client's own, inside LoadAndSave.
func (c *Client) inside(f func(context.Context) error) error {
	c.t.Helper()
	var err error
	res := c.send(c.core.LoadAndSave(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		err = f(r.Context())
	})), c.navigate(http.MethodPost, "/", nil))
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("the request failed: %s", res.Status)
	}
	return err
}

// Restart closes the browser and opens it again: only cookies that outlive the
// browser's session are left.
func (c *Client) Restart() {
	c.mu.Lock()
	defer c.mu.Unlock()
	history := c.history
	c.jar, c.history = newJar(), nil
	for _, got := range history {
		for i, cookie := range got.cookies {
			if cookie.MaxAge == 0 && !lasts(cookie) {
				gone := *cookie
				gone.MaxAge = -1 // and what had its place before
				got.cookies[i] = &gone
			}
		}
		c.keep(got)
	}
}

// Cookies returns the cookies that the client has for the application's root, by
// name and value.
func (c *Client) Cookies() []*http.Cookie {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.jar.Cookies(c.base.JoinPath("/"))
}

// keep takes cookies. The caller holds mu.
func (c *Client) keep(got received) {
	const forLong = 400 * 24 * 60 * 60 // as long as browsers keep one, in seconds
	var good []*http.Cookie
	for _, cookie := range got.cookies {
		if !allowed(cookie) {
			continue
		}
		if lasts(cookie) {
			cookie.MaxAge = forLong // the jar goes by the wall clock, which an Expires need not
		}
		good = append(good, cookie)
	}
	if len(good) > 0 {
		c.history = append(c.history, received{got.from, good})
		c.jar.SetCookies(got.from, good)
	}
}

// lasts reports whether a cookie outlives the browser's session. One that only
// deletes has a Max-Age of zero, or an Expires that is long ago, or that is past
// and comes with no value.
func lasts(c *http.Cookie) bool {
	if c.MaxAge != 0 {
		return c.MaxAge > 0
	}
	return c.Expires.Year() > 1970 && (c.Value != "" || c.Expires.After(time.Now()))
}

// allowed says whether a browser would take a cookie of this name, by what its
// prefix promises.
func allowed(c *http.Cookie) bool {
	switch name := strings.ToLower(c.Name); {
	case strings.HasPrefix(name, "__host-"):
		return c.Secure && c.Path == "/" && c.Domain == ""
	case strings.HasPrefix(name, "__secure-"):
		return c.Secure
	}
	return true
}

func newJar() *cookiejar.Jar {
	jar, _ := cookiejar.New(nil) // returns no error
	return jar
}

// A recorder takes an answer.
type recorder struct {
	*httptest.ResponseRecorder
	early []earlyHeader
}

// An earlyHeader is one of the 1xx that may come before the answer.
type earlyHeader struct {
	status int
	header http.Header
}

func (w *recorder) WriteHeader(status int) {
	if status >= 100 && status < 200 && status != http.StatusSwitchingProtocols {
		w.early = append(w.early, earlyHeader{status, w.Header().Clone()})
		return
	}
	w.ResponseRecorder.WriteHeader(status)
}

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

// A Client is a browser that visits the application. It keeps cookies. Every
// request has the same User-Agent and the same address, so that it works with
// every auth.Config.Session.Protection. If the client is asked for something it cannot
// do, such as a page of another site, it ends the test.
//
// The client does not follow redirects by itself: see Follow. A cookie that
// outlives the browser's session is kept until it is deleted, whatever its age.
// A browser would go by another clock than the application, so the test shows
// whether the application refuses an old cookie. A handler that hijacks the
// connection is not supported. If a handler panics, the test panics.
//
// A Client is safe for use by many goroutines, except for its fields.
type Client struct {
	// UserAgent is the User-Agent header. RemoteAddr is the client's address
	// and port, as in http.Request. To act as another client, change them
	// between two requests.
	UserAgent  string
	RemoteAddr string

	t       testing.TB
	core    *auth.Core
	handler http.Handler
	base    *url.URL

	mu      sync.Mutex
	jar     *cookiejar.Jar
	history []received
	log     func(*Response) // if not nil, is called with every answer of the application
}

// received has the cookies of one answer.
type received struct {
	from    *url.URL
	cookies []*http.Cookie
}

// A Response is an answer of the application that has been read.
type Response struct {
	*http.Response        // its Request has the absolute URL; its Body can be read again
	Text           string // the body

	early   []earlyHeader
	flushed bool // whether the handler flushed it before it returned
}

// NewClient returns a browser without cookies. core is the manager's Core, and
// handler is the whole application, inside the manager's LoadAndSave.
func NewClient(t testing.TB, core *auth.Core, handler http.Handler) *Client {
	t.Helper()
	if core == nil {
		t.Fatal("authtest: NewClient: core is nil; pass manager.Core")
	}
	base, err := url.Parse(core.Config().BaseURL)
	if err != nil {
		t.Fatalf("authtest: %v", err)
	}
	base.Path = "" // paths are those of the site, as a browser sees them
	return &Client{
		UserAgent: "Mozilla/5.0 (authtest)", RemoteAddr: "192.0.2.1:1234", // an address for examples: RFC 5737
		t: t, core: core, handler: handler, base: base, jar: newJar(),
	}
}

// Get opens a page. path is a path of the application with its query, as a browser sees it:
// with the path of auth.Config.BaseURL, if that has one.
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

// navigate makes a request as a browser does for a click.
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

// Do sends any request that http.NewRequest or httptest.NewRequest made for a
// path of the application. It adds the client's cookies, User-Agent and
// address. If r has no Accept header, the request accepts HTML. If r has
// neither Origin nor Sec-Fetch-Site, the request comes from a page of the
// application. It goes to auth.Config.BaseURL, whatever the Host of r is. Do
// does not change r.
func (c *Client) Do(r *http.Request) *Response {
	c.t.Helper()
	res := c.send(c.handler, r)
	if c.log != nil {
		c.log(res)
	}
	return res
}

// Follow follows redirects from r, as a browser does, and returns the first
// answer that is not a redirect, which may be r itself. A redirect to another
// site is returned unchanged. More than ten redirects in a row end the test.
func (c *Client) Follow(r *Response) *Response {
	c.t.Helper()
	for n := 0; ; n++ {
		next := c.redirected(r)
		if next == nil {
			return r
		}
		if n == 10 {
			c.t.Fatalf("authtest: more than ten redirects in a row, the last one to %s", r.Header.Get("Location"))
		}
		r = c.Do(next)
	}
}

// redirected returns the request that a browser makes after an answer, or nil.
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
		next.Body, _ = r.Request.GetBody() // the GetBody that send sets returns no error
	}
	return next
}

// isOurs reports whether a URL, with or without a host, belongs to the
// application.
func (c *Client) isOurs(u *url.URL) bool {
	return strings.HasPrefix(cmp.Or(u.Path, "/"), "/") && u.Opaque == "" &&
		(u.Host == "" && u.Scheme == "" || strings.EqualFold(u.Host, c.base.Host) && u.Scheme == c.base.Scheme)
}

// send lets a handler answer a request, and keeps the cookies.
func (c *Client) send(handler http.Handler, r *http.Request) *Response {
	c.t.Helper()
	if !c.isOurs(r.URL) {
		c.t.Fatalf("authtest: %s is not a page of %s (Config.BaseURL); pass a path that begins with a slash", r.URL, c.base)
	}
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			c.t.Fatalf("authtest: reading the request's body for %s: %v", r.URL, err)
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

// received returns a request as a server would receive it.
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
// password. With auth.Stale() the login is not fresh: the user has not
// just shown who they are. With auth.Remember(true) the login outlives Restart.
// For a user who has a second factor, pass auth.By with its name, such as
// auth.By("totp"): the login then counts as one that has shown it.
// If a gate refuses the user, Login ends the test. It also does so if the
// account has changed since the user was loaded, because the login is then
// void.
func (c *Client) Login(user auth.User, options ...auth.LoginOption) {
	c.t.Helper()
	if v := reflect.ValueOf(user); !v.IsValid() || v.Kind() == reflect.Pointer && v.IsNil() {
		c.t.Fatal("authtest: Login: the user is nil; pass one from Register or the store")
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
		_, err := c.core.EnrollingUser(ctx)
		return err
	})
	switch {
	case errors.Is(err, auth.ErrNotLoggedIn):
		c.t.Fatalf("authtest: Login of %s: the login is void, because the account was changed after this user was loaded, or is not stored; load the user again", name)
	case err != nil:
		c.t.Fatalf("authtest: Login of %s: %v", name, err)
	}
}

// inside calls f in a request of the client, inside LoadAndSave.
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

// Restart closes the browser and opens it again. Only cookies that outlive the
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
				gone.MaxAge = -1 // also deletes an older cookie of this name
				got.cookies[i] = &gone
			}
		}
		c.keep(got)
	}
}

// Cookies returns the names and values of the client's cookies for the
// application's root.
func (c *Client) Cookies() []*http.Cookie {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.jar.Cookies(c.base.JoinPath("/"))
}

// keep stores cookies. The caller holds mu.
func (c *Client) keep(got received) {
	const forLong = 400 * 24 * 60 * 60 // the longest that browsers keep a cookie, in seconds
	var good []*http.Cookie
	for _, cookie := range got.cookies {
		if !allowed(cookie) {
			continue
		}
		if lasts(cookie) {
			cookie.MaxAge = forLong // the jar uses the wall clock, but Expires may come from the test's clock
		}
		good = append(good, cookie)
	}
	if len(good) > 0 {
		c.history = append(c.history, received{got.from, good})
		c.jar.SetCookies(got.from, good)
	}
}

// lasts reports whether a cookie outlives the browser's session. A cookie that
// only deletes has a negative Max-Age, or an Expires long ago, or an Expires in
// the past and no value.
func lasts(c *http.Cookie) bool {
	if c.MaxAge != 0 {
		return c.MaxAge > 0
	}
	return c.Expires.Year() > 1970 && (c.Value != "" || c.Expires.After(time.Now()))
}

// allowed reports whether a browser accepts a cookie of this name, by the rules
// for its prefix.
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

// A recorder records an answer.
type recorder struct {
	*httptest.ResponseRecorder
	early []earlyHeader
}

// An earlyHeader is one of the 1xx responses that may come before the answer.
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

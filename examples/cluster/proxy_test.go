package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A backend is a process as the proxy sees it.
type backend struct {
	*httptest.Server
	got chan *http.Request
}

func newBackend(t *testing.T, name string, serve http.HandlerFunc) *backend {
	t.Helper()
	b := &backend{got: make(chan *http.Request, 100)}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		b.got <- r
		if serve != nil {
			serve(w, r)
			return
		}
		fmt.Fprintf(w, "%s got %q", name, body)
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *backend) address() string { return b.Listener.Addr().String() }

// newSite returns the URL of a proxy in front of these addresses.
func newSite(t *testing.T, list ...string) string {
	t.Helper()
	a := newAddresses(len(list))
	for i, address := range list {
		a.set(i, address)
	}
	proxy := httptest.NewServer(newProxy(a, time.Minute))
	t.Cleanup(proxy.Close)
	return proxy.URL
}

// refusing returns an address that refuses connections.
func refusing(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	check(t, listener.Close())
	return listener.Addr().String()
}

func read(t *testing.T, answer *http.Response, err error) (status int, body string) {
	t.Helper()
	check(t, err)
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	check(t, err)
	return answer.StatusCode, string(text)
}

func post(t *testing.T, url string) (status int, body string) {
	t.Helper()
	answer, err := http.PostForm(url, map[string][]string{"a": {"b"}})
	return read(t, answer, err)
}

func TestProxyTurns(t *testing.T) {
	t.Parallel()
	var list []string
	for i := range 3 {
		list = append(list, newBackend(t, fmt.Sprint(i), nil).address())
	}
	site := newSite(t, list...)
	for i := 1; i <= 7; i++ {
		if status, body := post(t, site); status != http.StatusOK || body != fmt.Sprintf("%d got %q", i%3, "a=b") {
			t.Errorf("request %d: %d %s", i, status, body)
		}
	}
}

// TestProxyRefused: if a process refuses the connection, the request and its
// body go to the next one.
func TestProxyRefused(t *testing.T) {
	t.Parallel()
	site := newSite(t, refusing(t), "", refusing(t), newBackend(t, "the last", nil).address())
	for range 5 {
		if status, body := post(t, site); status != http.StatusOK || body != `the last got "a=b"` {
			t.Errorf("%d %s", status, body)
		}
	}
	if status, _ := post(t, newSite(t, refusing(t), refusing(t), "")); status != http.StatusServiceUnavailable {
		t.Errorf("status %d if all refuse", status)
	}
}

// TestProxyOnce: a request that has been sent and may change something is not
// sent again.
func TestProxyOnce(t *testing.T) {
	t.Parallel()
	hangUp := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	one, other := newBackend(t, "one", hangUp), newBackend(t, "other", hangUp)
	site := newSite(t, one.address(), other.address())
	if status, _ := post(t, site); status != http.StatusBadGateway {
		t.Errorf("status %d", status)
	}
	if n := len(one.got) + len(other.got); n != 1 {
		t.Errorf("it was sent %d times", n)
	}
}

// TestProxyHangs: a stopped process still accepts connections. Its clients do
// not wait for ever.
func TestProxyHangs(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { _ = listener.Close() })
	a := newAddresses(1)
	a.set(0, listener.Addr().String())
	proxy := httptest.NewServer(newProxy(a, 50*time.Millisecond))
	t.Cleanup(proxy.Close)
	if status, _ := post(t, proxy.URL); status != http.StatusGatewayTimeout {
		t.Errorf("status %d", status)
	}
}

// TestProxyHeaders: the proxy does not pass on what a client says about its
// address.
func TestProxyHeaders(t *testing.T) {
	t.Parallel()
	b := newBackend(t, "it", nil)
	site := newSite(t, b.address())
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, site+"/path?a=b;c", nil)
	check(t, err)
	r.Host = "app.example"
	for name, value := range map[string]string{
		"X-Forwarded-For": "192.0.2.1", "Forwarded": "for=192.0.2.1", "X-Forwarded-Host": "evil.example", "Cookie": "a=b",
		"Origin": "http://app.example",
	} {
		r.Header.Set(name, value)
	}
	answer, err := http.DefaultClient.Do(r)
	if status, body := read(t, answer, err); status != http.StatusOK {
		t.Fatalf("%d %s", status, body)
	}
	got := <-b.got
	for name, want := range map[string]string{
		"X-Forwarded-For": "127.0.0.1", "Forwarded": "", "X-Forwarded-Host": "app.example", "Cookie": "a=b",
		"Origin": "http://app.example",
	} {
		if value := strings.Join(got.Header[http.CanonicalHeaderKey(name)], ", "); value != want {
			t.Errorf("%s: %q, want %q", name, value, want)
		}
	}
	if got.Host != "app.example" || got.URL.Path != "/path" {
		t.Errorf("it got %s %s", got.Host, got.URL)
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

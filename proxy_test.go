package auth_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

func prefixes(list ...string) []netip.Prefix {
	var p []netip.Prefix
	for _, text := range list {
		p = append(p, netip.MustParsePrefix(text))
	}
	return p
}

// behind returns an application behind proxies, with the user susan.
func behind(t *testing.T, proxies []netip.Prefix, change ...func(*auth.Config)) *testapp.App {
	t.Helper()
	app, _ := newApp(t, func(c *auth.Config) {
		atAppExample(c)
		c.Network.TrustedProxies = proxies
		for _, f := range change {
			f(c)
		}
	})
	app.Create(t, "susan", false)
	return app
}

// from sends a request from an address. header may be nil.
func from(ctx context.Context, app *testapp.App, peer, method, target string, form url.Values, header http.Header) *httptest.ResponseRecorder {
	r := httptest.NewRequestWithContext(ctx, method, target, strings.NewReader(form.Encode()))
	r.Header = header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.RemoteAddr = peer
	w := httptest.NewRecorder()
	app.Server.Config.Handler.ServeHTTP(w, r)
	return w
}

// seenAs logs susan in and returns the address in the event and in her list of logins.
func seenAs(t *testing.T, app *testapp.App, peer string, header http.Header) string {
	t.Helper()
	app.Events()
	if w := from(t.Context(), app, peer, "POST", "/enter", url.Values{"login": {"susan"}}, header); w.Code != http.StatusOK {
		t.Fatal(w.Code, w.Body)
	}
	events := app.Events()
	at := slices.IndexFunc(events, func(e auth.Event) bool { return e.Kind == auth.EventLoginSucceeded })
	if at < 0 {
		t.Fatalf("events %v", kinds(events))
	}
	u, err := app.Store.FindUser(t.Context(), "susan")
	if err != nil {
		t.Fatal(err)
	}
	logins, err := app.Logins(t.Context(), u.ID)
	if err != nil || !slices.ContainsFunc(logins, func(l auth.Login) bool { return l.Address == events[at].Address }) {
		t.Errorf("the event has %q, the logins are %+v, %v", events[at].Address, logins, err)
	}
	if err := app.Store.DeleteRecords(t.Context(), "session", u.ID); err != nil {
		t.Fatal(err)
	}
	return events[at].Address
}

func TestClientAddress(t *testing.T) {
	t.Parallel()
	const proxy = "10.0.0.1:4711"
	apps := map[string]*testapp.App{
		"none":   behind(t, nil),
		"ten":    behind(t, prefixes("10.0.0.0/8", "2001:db8:a::/48")),
		"one":    behind(t, prefixes("10.0.0.1/32")),
		"mapped": behind(t, []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr("::ffff:10.0.0.0"), 104)}),
	}
	for _, c := range []struct {
		what, proxies, peer string
		forwarded           []string
		want                string
	}{
		{"no proxy", "none", "192.0.2.7:1", nil, "192.0.2.7"},
		{"no proxy, a lie", "none", "192.0.2.7:1", []string{"203.0.113.9"}, "192.0.2.7"},
		{"no proxy, IPv6", "none", "[2001:DB8::0:7]:1", nil, "2001:db8::7"},
		{"no proxy, Unix socket", "none", "@", []string{"203.0.113.9"}, ""},
		{"one hop", "ten", proxy, []string{"203.0.113.9"}, "203.0.113.9"},
		{"not by a proxy", "ten", "192.0.2.7:1", []string{"203.0.113.9"}, "192.0.2.7"},
		{"the client lies", "ten", proxy, []string{"198.51.100.1, 203.0.113.9"}, "203.0.113.9"},
		{"two lines, the last by a proxy", "ten", proxy, []string{"198.51.100.1, 203.0.113.9", "10.0.0.2"}, "203.0.113.9"},
		{"mapped prefix", "mapped", proxy, []string{"203.0.113.9, 10.0.0.2"}, "203.0.113.9"},
		{"IPv6 and port", "ten", proxy, []string{"[2001:db8::1]:80"}, "2001:db8::1"},
		{"unknown", "ten", proxy, []string{"unknown"}, "10.0.0.1"},
		{"10 kB before the client", "ten", proxy, []string{strings.Repeat("x", 10000) + ", 203.0.113.9"}, "203.0.113.9"},
		{"Unix socket", "ten", "@", []string{"203.0.113.9"}, "203.0.113.9"},
	} {
		var header http.Header
		if c.forwarded != nil {
			header = http.Header{"X-Forwarded-For": c.forwarded}
		}
		if got := seenAs(t, apps[c.proxies], c.peer, header); got != c.want {
			t.Errorf("%s: %q, want %q", c.what, got, c.want)
		}
	}
}

// Only X-Forwarded-For is read, and no other header.
func TestClientAddressOtherHeaders(t *testing.T) {
	t.Parallel()
	app := behind(t, prefixes("10.0.0.0/8"))
	for _, name := range []string{
		"Forwarded", "X-Real-Ip", "Cf-Connecting-Ip", "True-Client-Ip", "X-Client-Ip", "X-Forwarded", "X-Cluster-Client-Ip",
		"Forwarded-For", "Fastly-Client-Ip", "X-Original-Forwarded-For", "X-Appengine-User-Ip", "Via", "Client-Ip",
	} {
		for _, value := range []string{"203.0.113.9", `for="203.0.113.9"`} {
			if got := seenAs(t, app, "10.0.0.1:1", http.Header{name: {value}}); got != "10.0.0.1" {
				t.Errorf("%s: %s is %q", name, value, got)
			}
			h := http.Header{name: {value}, "X-Forwarded-For": {"192.0.2.7"}}
			if got := seenAs(t, app, "10.0.0.1:1", h); got != "192.0.2.7" {
				t.Errorf("%s: %s beside X-Forwarded-For is %q", name, value, got)
			}
		}
	}
}

// Over connections, as a real proxy makes them.
func TestClientAddressOverHTTP(t *testing.T) {
	t.Parallel()
	app, _ := newApp(t, func(c *auth.Config) { c.Network.TrustedProxies = prefixes("127.0.0.0/8", "::1/128") })
	app.Create(t, "susan", false)
	socket, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	local := &http.Server{Handler: app.Server.Config.Handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = local.Serve(socket) }()
	t.Cleanup(func() { _ = local.Close() })
	tcp, unix := app.Client(t), app.Client(t)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", socket.Addr().String())
	}}
	t.Cleanup(transport.CloseIdleConnections)
	unix.HTTP = &http.Client{Transport: transport}
	for what, c := range map[string]*testapp.Client{"TCP": tcp, "Unix socket": unix} {
		app.Events()
		c.Do("POST", "/enter", url.Values{"login": {"susan"}}, http.Header{"X-Forwarded-For": {"198.51.100.1, 203.0.113.9", "127.0.0.2"}})
		if e := app.Events(); len(e) != 1 || e[0].Address != "203.0.113.9" {
			t.Errorf("%s: %+v", what, e)
		}
	}
}

// A login that is bound to a network is bound to the client's network, not the proxy's.
func TestClientAddressProtects(t *testing.T) {
	t.Parallel()
	app := behind(t, prefixes("10.0.0.0/8"), func(c *auth.Config) {
		c.Session.Protection, c.Session.ProtectAddress = auth.ProtectStrong, true
	})
	w := from(t.Context(), app, "10.0.0.1:1", "POST", "/enter", url.Values{"login": {"susan"}}, http.Header{"X-Forwarded-For": {"203.0.113.9"}})
	cookies := w.Result().Cookies()
	if len(cookies) != 1 {
		t.Fatal(w.Code, cookies)
	}
	who := func(peer, client string) string {
		h := http.Header{"X-Forwarded-For": {client}, "Cookie": {cookies[0].Name + "=" + cookies[0].Value}}
		return from(t.Context(), app, peer, "GET", "/who", nil, h).Body.String()
	}
	if got := who("10.9.9.9:1", "203.0.113.77"); got != "susan" {
		t.Errorf("by another proxy, from the same network: %s", got)
	}
	if got := who("10.0.0.1:1", "198.51.100.1"); got != "nobody" {
		t.Errorf("by the same proxy, from another network: %s", got)
	}
}

// The address is found when the request arrives, and later changes of the request have
// no effect.
func TestClientAddressStays(t *testing.T) {
	t.Parallel()
	app := behind(t, prefixes("10.0.0.0/8"))
	u, err := app.Store.FindUser(t.Context(), "susan")
	if err != nil {
		t.Fatal(err)
	}
	app.Mux.HandleFunc("POST /change", func(_ http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Forwarded-For", "198.51.100.1")
		r.RemoteAddr = "198.51.100.2:1"
		if err := app.LoginUser(r.Context(), u); err != nil {
			t.Error(err)
		}
	})
	app.Events()
	from(t.Context(), app, "10.0.0.1:1", "POST", "/change", nil, http.Header{"X-Forwarded-For": {"203.0.113.9"}})
	if e := app.Events(); len(e) != 1 || e[0].Address != "203.0.113.9" {
		t.Errorf("%+v", e)
	}
}

func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		what    string
		proxies []netip.Prefix
		ok      bool
	}{
		{"some", prefixes("10.0.0.0/8", "127.0.0.1/32", "::1/128", "fd00::/8"), true},
		{"the zero value", make([]netip.Prefix, 1), false},
		{"everybody", prefixes("0.0.0.0/0"), false},
	} {
		cfg := goodConfig()
		cfg.Network.TrustedProxies = c.proxies
		_, err := auth.New(memstore.New[testapp.User](), cfg)
		if (err == nil) != c.ok || err != nil && !strings.HasPrefix(err.Error(), "auth: Config.Network.TrustedProxies") {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	// If the application changes its slice later, it has no effect.
	list := prefixes("10.0.0.0/8")
	app := behind(t, list)
	list[0] = netip.MustParsePrefix("192.0.2.0/24")
	if got := seenAs(t, app, "192.0.2.1:1", http.Header{"X-Forwarded-For": {"203.0.113.9"}}); got != "192.0.2.1" {
		t.Errorf("seen as %s", got)
	}
}

// suspicions returns the EventProxySuspected since the last call.
func suspicions(app *testapp.App) []auth.Event {
	return slices.DeleteFunc(app.Events(), func(e auth.Event) bool { return e.Kind != auth.EventProxySuspected })
}

func TestProxySuspectedByHeader(t *testing.T) {
	t.Parallel()
	forwarded := http.Header{"X-Forwarded-For": {"203.0.113.9"}}
	get := func(app *testapp.App, peer string, header http.Header) []auth.Event {
		from(t.Context(), app, peer, "GET", "/", nil, header)
		return suspicions(app)
	}
	for what, c := range map[string]struct {
		proxies []netip.Prefix
		peer    string
	}{
		"no proxies":              {nil, "192.0.2.7:1"},
		"no proxies, private":     {nil, "10.0.0.1:1"},
		"no proxies, Unix socket": {nil, "@"},
		"another":                 {prefixes("10.0.0.0/8"), "192.0.2.7:1"},
		"garbage":                 {prefixes("10.0.0.0/8"), "unknown"},
	} {
		app := behind(t, c.proxies)
		if e := get(app, c.peer, nil); len(e) != 0 {
			t.Errorf("%s: without the header: %v", what, e)
		}
		if e := get(app, c.peer, http.Header{"Forwarded": {"for=203.0.113.9"}, "X-Real-Ip": {"203.0.113.9"}}); len(e) != 0 {
			t.Errorf("%s: with other headers: %v", what, e)
		}
		e := get(app, c.peer, forwarded)
		if len(e) != 1 || e[0].Err == nil || !strings.Contains(e[0].Err.Error(), "X-Forwarded-For") || e[0].Address == "203.0.113.9" {
			t.Errorf("%s: %+v", what, e)
		}
		if e := get(app, c.peer, forwarded); len(e) != 0 {
			t.Errorf("%s: again: %v", what, e)
		}
		if !strings.Contains(app.Logs(), "level=WARN msg=auth event=proxy.suspected") {
			t.Errorf("%s: not in the log", what)
		}
	}
	app := behind(t, prefixes("10.0.0.0/8"))
	for _, peer := range []string{"10.0.0.1:1", "@"} {
		if e := get(app, peer, forwarded); len(e) != 0 {
			t.Errorf("by the proxy %s: %v", peer, e)
		}
	}
	if e := get(app, "192.0.2.7:1", forwarded); len(e) != 1 {
		t.Errorf("after requests through a proxy: %v", e)
	}
}

// The event is sent once, even if many requests cause it at the same moment. Its
// listener may ask for the user.
func TestProxySuspectedOnce(t *testing.T) {
	t.Parallel()
	var app *testapp.App
	var mu sync.Mutex
	heard := map[string]int{}
	app = behind(t, nil, func(c *auth.Config) {
		c.OnEvent = func(ctx context.Context, e auth.Event) {
			if e.Kind != auth.EventProxySuspected {
				return
			}
			u, ok := app.CurrentUser(ctx)
			mu.Lock()
			defer mu.Unlock()
			if heard[e.Err.Error()]++; ok {
				heard[u.Username]++
			}
		}
	})
	c := app.Visitor(t.Context(), "10.0.0.1:1")
	c.Agent = "agent"
	enter(t, c, false)
	cookie := cookieHeader(c.Cookies)
	const many = 200
	finish(t, func() {
		var wg sync.WaitGroup
		for range many {
			wg.Go(func() {
				h := http.Header{"X-Forwarded-For": {"203.0.113.9"}, "Cookie": cookie["Cookie"]}
				// a login without a password costs no hash
				from(context.Background(), app, "10.0.0.1:1", "POST", "/login", url.Values{"login": {"susan"}}, h)
			})
		}
		wg.Wait()
	})
	if heard["susan"] != 2 || len(heard) != 3 {
		t.Errorf("heard %v", heard)
	}
	for reason, n := range heard {
		if reason != "susan" && n != 1 {
			t.Errorf("%d times: %s", n, reason)
		}
	}
}

func TestProxySuspectedByLogins(t *testing.T) {
	t.Parallel()
	same := func(peer string) func(int) string { return func(int) string { return peer } }
	forwarded := func(client string) http.Header { return http.Header{"X-Forwarded-For": {client}} }
	for _, c := range []struct {
		what    string
		base    string
		proxies []netip.Prefix
		peer    func(int) string
		header  http.Header
		want    int
	}{
		{"private", "", nil, same("10.0.0.1:1"), nil, 1},
		{"private, other ports", "", nil, func(i int) string { return fmt.Sprintf("10.0.0.1:%d", i+1) }, nil, 1},
		{"loopback", "", nil, same("127.0.0.1:1"), nil, 1},
		{"mapped", "", nil, same("[::ffff:192.168.0.1]:1"), nil, 1},
		{"Unix socket", "", nil, same("@"), nil, 1},
		{"public", "", nil, same("192.0.2.7:1"), nil, 0},
		{"development", "http://localhost:8080", nil, same("127.0.0.1:1"), nil, 0},
		{"a trusted proxy", "", prefixes("10.0.0.0/8"), same("10.0.0.1:1"), forwarded("203.0.113.9"), 0},
		{"a trusted proxy that adds nothing", "", prefixes("10.0.0.0/8"), same("10.0.0.1:1"), nil, 1},
		{"another proxy before the trusted one", "", prefixes("10.0.0.1/32"), same("10.0.0.1:1"), forwarded("203.0.113.9, 10.0.0.2"), 1},
	} {
		app := behind(t, c.proxies, func(cfg *auth.Config) {
			if c.base != "" {
				cfg.BaseURL = c.base
			}
		})
		for i := range 250 {
			from(t.Context(), app, c.peer(i), "POST", "/login", url.Values{"login": {"susan"}}, c.header)
			if events := suspicions(app); i < 99 && len(events) > 0 || i == 99 && len(events) != c.want || i > 99 && len(events) > 0 {
				t.Errorf("%s: after %d logins %+v", c.what, i+1, events)
			}
		}
	}
	// Only logins count, and only in requests.
	app := behind(t, nil)
	for range 250 {
		from(t.Context(), app, "10.0.0.1:1", "GET", "/who", nil, nil)
		_, _ = app.Authenticate(t.Context(), "susan", "")
	}
	if e := suspicions(app); len(e) > 0 {
		t.Errorf("without logins: %v", e)
	}
}

// discard is a ResponseWriter that drops everything.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// Finding the client's address allocates nothing.
func TestClientAddressAllocatesNothing(t *testing.T) { // not parallel, because it counts allocations
	var least float64
	for i, c := range []struct {
		proxies []netip.Prefix
		peer    string
		header  http.Header
	}{
		{nil, "", http.Header{}}, // no address to find
		{nil, "192.0.2.7:4711", http.Header{}},
		{nil, "[2001:db8::1]:4711", http.Header{}},
		{nil, "@", http.Header{}},
		{prefixes("10.0.0.0/8"), "192.0.2.7:4711", http.Header{}},
		{prefixes("10.0.0.0/8"), "10.0.0.1:4711", http.Header{"X-Forwarded-For": {"198.51.100.1, 203.0.113.9", "10.0.0.2, 10.0.0.3"}}},
		{prefixes("10.0.0.0/8", "fd00::/8"), "@", http.Header{"X-Forwarded-For": {"[2001:db8::1]:80, fd00::1"}}},
	} {
		cfg := goodConfig()
		cfg.Network.TrustedProxies = c.proxies
		manager, err := auth.New(memstore.New[testapp.User](), cfg)
		if err != nil {
			t.Fatal(err)
		}
		h := manager.LoadAndSave(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.RemoteAddr, r.Header = c.peer, c.header
		w := discard{http.Header{}}
		n := testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) })
		if i == 0 {
			least = n
		} else if n != least {
			t.Errorf("%q %v: %v allocations, not %v", c.peer, c.header, n, least)
		}
	}
}

//go:build !race

// The race detector takes several times the memory.

package auth_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/memstore"
)

// floodServer is set for the process that is flooded: this test binary again.
const floodServer = "FLOOD_SERVER"

// floodUsers is how many accounts it has, user0 and so on.
const floodUsers = 64

// TestFloodServer is that process.
func TestFloodServer(t *testing.T) {
	if os.Getenv(floodServer) == "" {
		t.Skip("this is a part of TestFlood and TestFloodMemory")
	}
	clock := testapp.NewClock()
	app := testapp.New(t, memstore.New[testapp.User](memstore.WithClock(clock.Now)), clock, defaultHashes)
	hash, err := app.HashPassword(t.Context(), testapp.Password)
	if err != nil {
		t.Fatal(err)
	}
	for i := range floodUsers {
		account := auth.Account{Username: fmt.Sprint("user", i), PasswordHash: hash, Stamp: auth.NewSecret(fmt.Sprint("stamp", i)), Version: 1}
		if _, err := app.Store.CreateUser(t.Context(), account, nil); err != nil {
			t.Fatal(err)
		}
	}
	debug.FreeOSMemory() // of the hash
	fmt.Println("serving", app.Server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test is over
}

// startFloodServer starts that process with more processors for Go than it may hash
// on, so that several hashes are computed at a time wherever there are several.
func startFloodServer(t *testing.T) (base string, pid int) {
	t.Helper()
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("there is no /proc to read the memory from")
	}
	server := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFloodServer$", "-test.timeout=5m")
	server.Env = append(os.Environ(), floodServer+"=1", fmt.Sprint("GOMAXPROCS=", runtime.NumCPU()+2))
	stdin, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = stdin.Close(); _ = server.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	base, ok := strings.CutPrefix(strings.TrimSpace(line), "serving ")
	if err != nil || !ok {
		t.Fatalf("%q, %v", line, err)
	}
	return base, server.Process.Pid
}

// floodMemory is how much more than an idle server a flooded one may have
// resident, in KiB: four times what the hashes take that it computes at a time, of
// which the collector leaves most lying, and 32 MiB for all else.
func floodMemory() int {
	m := int(auth.DefaultHashParams().Memory)
	return min(runtime.NumCPU(), 64<<10/m)*m*4 + 32<<10
}

// TestFloodMemory has 64 clients log in again and again, and holds the server's
// memory to its bound: for accounts that exist, and for those that do not.
func TestFloodMemory(t *testing.T) {
	testapp.NeedsSlow(t)
	for name, login := range map[string]string{"somebody": "user", "nobody": "ghost"} {
		t.Run(name, func(t *testing.T) {
			base, pid := startFloodServer(t)
			idle := memory(t, pid, "VmRSS")
			var clients sync.WaitGroup
			for i := range floodUsers {
				c := client(t, fmt.Sprintf("127.9.%d.1", i))
				clients.Go(func() {
					for range 3 {
						status, _ := post(t, c, base, fmt.Sprint(login, i), testapp.Password)
						if status != http.StatusOK && status != http.StatusUnauthorized && status != http.StatusServiceUnavailable {
							t.Errorf("%d", status)
						}
					}
				})
			}
			clients.Wait()
			peak := memory(t, pid, "VmHWM") - idle
			t.Logf("%d KiB of %d", peak, floodMemory())
			if peak > floodMemory() {
				t.Errorf("%d KiB more than idle, and %d are allowed", peak, floodMemory())
			}
		})
	}
}

// Who hears in the log that the queue is full may ask who the user is, also of a
// request that brings a password: the queue may be full still, or the login may
// have found that out while it had its turn.
func TestFullQueueIsLogged(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		var app *testapp.App
		var store *testapp.Spy
		empty := func() {}
		app, store = newApp(t, func(c *auth.Config) {
			oneHashAtATime(c) // it is worth a line wherever there are two processors
			c.Credentials = []auth.Credential{auth.Basic("test")}
			c.Logger = slog.New(askingHandler{c.Logger.Handler(), func(ctx context.Context) {
				if late {
					empty()
					empty = func() {}
				}
				_, _ = app.User(ctx)
			}})
		})
		fill := func() error { empty = fillQueue(t, app); return nil }
		if late {
			store.Hook(on("FindUser", fill), nil)
		} else {
			_ = fill()
		}
		v := app.Visitor(t.Context(), "192.0.2.1")
		v.Header = basicHeader("susan", testapp.Password)
		finish(t, func() {
			if status := v.Login("susan", testapp.Password); status != http.StatusServiceUnavailable {
				t.Errorf("late is %v: %d", late, status)
			}
		})
		empty()
	}
}

// A login that finds the queue full is refused at once: no hash is computed for
// it, no store is asked, and it does not wait, for somebody as for nobody.
func TestFullQueue(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, noLimits)
	app.Create(t, "susan", true)
	empty := fillQueue(t, app)
	hashes := app.PasswordHashes()
	calls := len(store.Calls())
	for _, login := range []string{"susan", "ghost"} {
		for range 10 {
			// Nothing that hashes could go on with is given back before this returns.
			w := app.Visitor(t.Context(), "192.0.2.1").Post("/login", "login", login, "password", testapp.Password)
			if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != "1" {
				t.Errorf("%s: %d %v", login, w.Code, w.Header())
			}
		}
	}
	if made := store.Calls()[calls:]; len(made) > 0 {
		t.Errorf("calls of the store: %v", made)
	}
	if n := app.PasswordHashes() - hashes; n != 0 || app.HashesWaiting() != fullQueue {
		t.Errorf("%d hashes, %d wait", n, app.HashesWaiting())
	}
	empty()
	if status := app.Visitor(t.Context(), "192.0.2.1").Login("susan", testapp.Password); status != http.StatusOK {
		t.Errorf("afterwards: %d", status)
	}
}

// TestFlood has a thousand wrong logins at once, from a thousand addresses, for
// accounts that exist and that do not, while somebody who is logged in reads.
func TestFlood(t *testing.T) {
	const (
		addresses     = 1000
		perConnection = 64 // KiB
	)
	base, pid := startFloodServer(t)
	before := memory(t, pid, "VmRSS")
	reader := client(t, "127.0.0.1")
	read := func(page string) time.Duration {
		begun := time.Now()
		r, err := reader.Get(base + page)
		if err != nil {
			t.Error(err)
			return 0
		}
		text, err := io.ReadAll(r.Body)
		_ = r.Body.Close()
		if err != nil || string(text) != "user0" {
			t.Errorf("%s: %s %q, %v", page, r.Status, text, err)
		}
		return time.Since(begun)
	}
	if status, _ := post(t, reader, base, "user0", testapp.Password); status != http.StatusOK {
		t.Fatalf("the login: %d", status)
	}
	var idle, flooded []time.Duration
	for range 500 {
		idle = append(idle, read("/guarded"))
	}

	var over atomic.Bool
	var flood, reading sync.WaitGroup
	reading.Go(func() {
		for !over.Load() {
			flooded = append(flooded, read("/guarded"))
		}
	})
	var mu sync.Mutex
	answers := map[int]int{}
	begin := make(chan struct{})
	for i := range addresses {
		c := client(t, fmt.Sprintf("127.%d.%d.1", 1+i/250, 1+i%250))
		flood.Go(func() {
			<-begin
			status, header := post(t, c, base, fmt.Sprint("user", i%(2*floodUsers)), "a wrong password")
			if (status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests) && header.Get("Retry-After") == "" {
				t.Errorf("%d without Retry-After", status)
			}
			mu.Lock()
			defer mu.Unlock()
			answers[status]++
		})
	}
	close(begin)
	flood.Wait()
	over.Store(true)
	reading.Wait()

	for status, n := range answers {
		if status != http.StatusUnauthorized && status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
			t.Errorf("%d answers were %d", n, status)
		}
	}
	if answers[http.StatusUnauthorized] == 0 || len(flooded) == 0 {
		t.Errorf("answers %v, %d pages read", answers, len(flooded))
	}
	peak, allowed := memory(t, pid, "VmHWM")-before, floodMemory()+addresses*perConnection
	if peak > allowed {
		t.Errorf("%d KiB more than idle, and %d are allowed", peak, allowed)
	}
	t.Logf("answers %v; %d MiB more than idle; a page took at most %v in 99 of 100 cases, %v before", answers, peak>>10, p99(flooded), p99(idle))
	if status, _ := post(t, reader, base, "user0", testapp.Password); status != http.StatusOK {
		t.Errorf("the owner's login afterwards: %d", status)
	}
}

// client sends from an address of the loopback network.
func client(t *testing.T, address string) *http.Client {
	t.Helper()
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	transport := &http.Transport{DialContext: func(ctx context.Context, network, target string) (net.Conn, error) {
		return dialer.DialContext(ctx, network, target)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	jar := &jar{}
	return &http.Client{Transport: transport, Jar: jar}
}

// A jar has all cookies that it was ever given.
type jar struct {
	mu      sync.Mutex
	cookies map[string]*http.Cookie
}

func (j *jar) SetCookies(_ *url.URL, cookies []*http.Cookie) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.cookies == nil {
		j.cookies = map[string]*http.Cookie{}
	}
	for _, c := range cookies {
		j.cookies[c.Name] = c
	}
}

func (j *jar) Cookies(*url.URL) (cookies []*http.Cookie) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range j.cookies {
		cookies = append(cookies, c)
	}
	return cookies
}

func p99(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)*99/100]
}

func post(t *testing.T, c *http.Client, base, login, password string) (int, http.Header) {
	t.Helper()
	r, err := c.PostForm(base+"/login", url.Values{"login": {login}, "password": {password}})
	if err != nil {
		t.Error(err)
		return 0, nil
	}
	_, _ = io.Copy(io.Discard, r.Body)
	_ = r.Body.Close()
	return r.StatusCode, r.Header
}

// memory is a line of a process's status: VmRSS is what is resident, VmHWM the
// most that has ever been, in KiB.
func memory(t *testing.T, pid int, name string) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), name+":")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

//go:build !race

// Under the race detector the process takes several times the memory.

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

// floodServer is the environment variable that makes this test binary the server that
// is flooded.
const floodServer = "FLOOD_SERVER"

// floodUsers is the number of accounts, named user0 and so on.
const floodUsers = 64

// TestFloodServer is the server, if floodServer is set.
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
	debug.FreeOSMemory() // that the first hash took
	fmt.Println("serving", app.Server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test is over
}

// startFloodServer starts the server. GOMAXPROCS is larger than the number of hashes at
// a time, so that several hashes run at once if the machine has several processors.
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

// floodMemory is how much more memory than an idle server a flooded one may use, in KiB
// of resident memory. It is four times the memory of the hashes that run at once,
// because the collector frees it late, and 32 MiB for everything else.
func floodMemory() int {
	m := int(auth.DefaultHashParams().Memory)
	return min(runtime.NumCPU(), 64<<10/m)*m*4 + 32<<10
}

// In TestFloodMemory, 64 clients log in again and again, as users that exist and users
// that do not. The server's memory must stay below its limit.
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

// A log handler that gets the line about the full queue may ask for the user, even if
// the request brings a password: the queue may still be full, or the login may hold the
// turn of its account.
func TestFullQueueIsLogged(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		var app *testapp.App
		var store *testapp.Spy
		empty := func() {}
		app, store = newApp(t, func(c *auth.Config) {
			oneHashAtATime(c) // the line is written only if two processors exist
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

// If the queue is full, a login is refused at once: without a hash, a call of the
// store, or a wait. Existing and missing accounts answer alike.
func TestFullQueue(t *testing.T) {
	t.Parallel()
	app, store := newApp(t, noLimits)
	app.Create(t, "susan", true)
	empty := fillQueue(t, app)
	hashes := app.PasswordHashes()
	calls := len(store.Calls())
	for _, login := range []string{"susan", "ghost"} {
		for range 10 {
			// The queue stays full until this call has returned.
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

// TestFlood sends a thousand wrong logins at once, from a thousand addresses, for
// accounts that exist and that do not. A logged-in user reads pages meanwhile.
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

// A jar keeps all cookies that it was ever given.
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

// memory returns a line of a process's status, in KiB: VmRSS is the resident memory,
// and VmHWM the most that was ever resident.
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

//go:build !race

// The race detector takes several times the memory.

package auth_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
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

// floodServer is set for the process that TestFlood floods: this test binary
// again.
const floodServer = "GOLOGIN_FLOOD_SERVER"

// TestFloodServer is that process.
func TestFloodServer(t *testing.T) {
	if os.Getenv(floodServer) == "" {
		t.Skip("this is a part of TestFlood")
	}
	clock := testapp.NewClock()
	app := testapp.New(t, memstore.New[testapp.User](memstore.WithClock(clock.Now)), clock, func(cfg *auth.Config) {
		cfg.HashMemory = 512 << 20
	})
	for i := range 20 {
		app.Create(t, fmt.Sprint("user", i), i == 0)
	}
	fmt.Println("serving", app.Server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test is over
}

// TestFlood has a thousand wrong logins at once, from a thousand addresses, for
// accounts that exist and that do not, while somebody who is logged in reads.
func TestFlood(t *testing.T) {
	const (
		addresses = 1000
		maxMemory = 600 << 10 // KiB
	)
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("there is no /proc to read the memory from")
	}
	server := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFloodServer$", "-test.timeout=5m")
	server.Env = append(os.Environ(), floodServer+"=1")
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
	defer func() { _ = stdin.Close(); _ = server.Wait() }()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	base, ok := strings.CutPrefix(strings.TrimSpace(line), "serving ")
	if err != nil || !ok {
		t.Fatalf("%q, %v", line, err)
	}

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
	post := func(c *http.Client, login, password string) (int, http.Header) {
		r, err := c.PostForm(base+"/login", url.Values{"login": {login}, "password": {password}})
		if err != nil {
			t.Error(err)
			return 0, nil
		}
		_, _ = io.Copy(io.Discard, r.Body)
		_ = r.Body.Close()
		return r.StatusCode, r.Header
	}
	if status, _ := post(reader, "user0", testapp.Password); status != http.StatusOK {
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
			status, header := post(c, fmt.Sprint("user", i%40), "a wrong password")
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
	peak := peakMemory(t, server.Process.Pid)
	if peak > maxMemory {
		t.Errorf("at most %d KiB were resident, and %d are allowed", peak, maxMemory)
	}
	t.Logf("answers %v; at most %d MiB resident; a page took at most %v in 99 of 100 cases, %v before", answers, peak>>10, p99(flooded), p99(idle))
	if status, _ := post(reader, "user0", testapp.Password); status != http.StatusOK {
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

// peakMemory is the most that a process has ever had resident, in KiB.
func peakMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

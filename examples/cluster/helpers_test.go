//go:build linux

// On Linux every address that begins with 127 belongs to this machine, and each
// client has one of its own.

package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// limit is how long the tests wait for anything.
const limit = 2 * time.Minute

// until waits until something holds, and checks again every few milliseconds.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	for !holds() {
		if pause(ctx); ctx.Err() != nil {
			t.Fatalf("in %v it is not so that %s", limit, what)
		}
		if t.Failed() {
			t.Fatalf("before %s", what)
		}
	}
}

// pause lets other goroutines run.
func pause(ctx context.Context) {
	timer := time.NewTimer(5 * time.Millisecond)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// build builds the program from the repository's root.
func build(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "cluster")
	args := []string{"build", "-o", binary}
	if underRace {
		args = append(args, "-race")
	}
	cmd := exec.CommandContext(t.Context(), "go", append(args, "./examples/cluster")...)
	cmd.Dir, cmd.Env = filepath.Join("..", ".."), append(os.Environ(), "GOWORK=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// newSchema makes a schema, which serves as a database.
func newSchema(t *testing.T, server string) string {
	t.Helper()
	dsn, err := url.Parse(server)
	check(t, err)
	name := "cluster_" + strings.ToLower(rand.Text())
	once := func(statement string) {
		db, err := sql.Open("pgx", server)
		check(t, err)
		defer func() { _ = db.Close() }()
		_, err = db.ExecContext(context.WithoutCancel(t.Context()), statement)
		check(t, err)
	}
	once("CREATE SCHEMA " + name)
	t.Cleanup(func() { once("DROP SCHEMA " + name + " CASCADE") })
	query := dsn.Query()
	query.Set("search_path", name)
	dsn.RawQuery = query.Encode()
	return dsn.String()
}

// newPrefix returns a prefix for keys in Redis, which are deleted when the test
// ends.
func newPrefix(t *testing.T, server string) string {
	t.Helper()
	options, err := redis.ParseURL(server)
	check(t, err)
	prefix := "cluster-" + strings.ToLower(rand.Text()) + ":"
	t.Cleanup(func() {
		client := redis.NewClient(options)
		defer func() { _ = client.Close() }()
		ctx := context.WithoutCancel(t.Context())
		keys := client.Scan(ctx, 0, prefix+"*", 1000).Iterator()
		for keys.Next(ctx) {
			check(t, client.Del(ctx, keys.Val()).Err())
		}
		check(t, keys.Err())
	})
	return prefix
}

// A site is the running program.
type site struct {
	t     *testing.T
	url   string // the base URL for users
	proxy string // the URL of the proxy
	cmd   *exec.Cmd
	log   string // the file with the output of the program and its processes
	*counts
}

// Counts are the values that change while the program runs.
type counts struct {
	clients   atomic.Int32 // number of clients so far
	mu        sync.Mutex
	processes map[int]running
}

type running struct {
	pid int
	url string
}

var (
	listens   = regexp.MustCompile(`^Process (\d) \(pid (\d+)\) listens on (\S+)$`)
	clusterAt = regexp.MustCompile(`^Cluster is at (http://localhost:\d+) \(listening on (\S+)\)$`)
)

// start starts the program with four processes, and stops it when the test ends.
func start(t *testing.T, binary string, args ...string) *site {
	t.Helper()
	s := &site{t: t, log: filepath.Join(t.TempDir(), "log"), counts: &counts{processes: map[int]running{}}}
	log, err := os.OpenFile(s.log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	check(t, err)
	cmd := exec.CommandContext(context.Background(), binary, append([]string{"-addr", "127.0.0.1:0"}, args...)...)
	cmd.Stderr, s.cmd = log, cmd
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	check(t, log.Close())
	ready, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		s.read(stdout, ready)
	}()
	t.Cleanup(func() {
		interrupted := cmd.Process.Signal(os.Interrupt) // fails if the test has killed it
		<-ended
		if err := cmd.Wait(); err != nil && interrupted == nil {
			t.Errorf("the program ended with %v", err)
		}
		for number, p := range s.running() {
			if err := syscall.Kill(p.pid, 0); !errors.Is(err, syscall.ESRCH) && interrupted == nil {
				t.Errorf("process %d goes on (%v)", number, err)
			}
		}
		said := s.said()
		for _, bad := range []string{"panic", "DATA RACE", "fatal error"} {
			if _, after, found := strings.Cut(said, bad); found {
				t.Errorf("it says: %s%.5000s", bad, after)
			}
		}
		if t.Failed() {
			t.Logf("the last that it says:\n%s", said[max(0, len(said)-5000):])
		}
	})
	select {
	case <-ready:
	case <-ended:
		t.Fatalf("the program ended:\n%s", s.said())
	}
	if n := len(s.running()); n != 4 {
		t.Fatalf("%d processes", n)
	}
	return s
}

// read reads what the program prints.
func (s *site) read(stdout io.Reader, ready chan<- struct{}) {
	for scanner := bufio.NewScanner(stdout); scanner.Scan(); {
		if m := listens.FindStringSubmatch(scanner.Text()); m != nil {
			var number, pid int
			_, _ = fmt.Sscan(m[1]+" "+m[2], &number, &pid)
			s.mu.Lock()
			s.processes[number] = running{pid, "http://" + m[3]}
			s.mu.Unlock()
		} else if m := clusterAt.FindStringSubmatch(scanner.Text()); m != nil {
			s.url, s.proxy = m[1], "http://"+m[2]
			close(ready)
		}
	}
}

// in returns the site for a subtest.
func (s *site) in(t *testing.T) *site {
	return &site{t: t, url: s.url, proxy: s.proxy, log: s.log, counts: s.counts}
}

// running returns the processes by number, from 1.
func (s *site) running() map[int]running {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[int]running{}
	for number, p := range s.processes {
		found[number] = p
	}
	return found
}

// process returns the URL of a process, for any number.
func (s *site) process(i int) string { return s.running()[i%4+1].url }

// said returns the output of the program and its processes.
func (s *site) said() string {
	text, err := os.ReadFile(s.log)
	if err != nil {
		s.t.Error(err)
	}
	return string(text)
}

// events returns the lines of the log about an event of a client that contain
// this text.
func (s *site) events(c *client, event, text string) (lines []string) {
	for line := range strings.Lines(s.said()) {
		if strings.Contains(line, " event="+event+" ") && strings.Contains(line, " address="+c.address+" ") && strings.Contains(line, text) {
			lines = append(lines, line)
		}
	}
	return lines
}

// A client is a browser with an address and an account of its own. No page may
// show another client's data. A client is for one goroutine at a time.
type client struct {
	t         *testing.T
	site      *site
	name      string // of the client's account
	password  string
	address   string
	cookies   map[string]*http.Cookie
	transport *http.Transport
}

func (s *site) client(name string) *client {
	n := s.clients.Add(1)
	c := &client{t: s.t, site: s, name: name, password: "it is " + name + " who asks", cookies: map[string]*http.Cookie{}}
	c.address = fmt.Sprintf("127.9.%d.%d", n/250, n%250+1)
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(c.address)}}
	c.transport = &http.Transport{DialContext: dialer.DialContext, ResponseHeaderTimeout: limit}
	s.t.Cleanup(c.transport.CloseIdleConnections)
	return c
}

// copy returns another browser with the same cookies.
func (c *client) copy() *client {
	other := c.site.client(c.name)
	for name, cookie := range c.cookies {
		other.cookies[name] = cookie
	}
	return other
}

// An answer has been read. If there was none, its status is 0, and body has the
// reason.
type answer struct {
	status   int
	location string
	body     string
}

// failed reports whether the answer leaves open what the server has done.
func (a answer) failed() bool { return a.status == 0 || a.status >= 500 }

// String returns the visible parts of the answer.
func (a answer) String() string {
	_, main, page := strings.Cut(a.body, "<main>")
	if !page {
		main = a.body
	}
	return fmt.Sprintf("%d to %q: %s", a.status, a.location, strings.Join(strings.Fields(tag.ReplaceAllString(main, " ")), " "))
}

var tag = regexp.MustCompile(`<[^>]*>`)

// send sends a request to the proxy or a process: a POST if there are fields.
func (c *client) send(to, path string, fields ...string) answer {
	method, form := http.MethodGet, url.Values{}
	for i := 0; i+1 < len(fields); i += 2 {
		form.Set(fields[i], fields[i+1])
	}
	if fields != nil {
		method = http.MethodPost
	}
	// If the test ends during the request, the request continues.
	r, err := http.NewRequestWithContext(context.Background(), method, to+path, strings.NewReader(form.Encode()))
	if err != nil {
		c.t.Error(err)
		return answer{body: err.Error()}
	}
	r.Host = strings.TrimPrefix(c.site.url, "http://")
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Origin", c.site.url)
	}
	for _, cookie := range c.cookies {
		r.AddCookie(cookie)
	}
	got, err := c.transport.RoundTrip(r)
	if err != nil {
		if to == c.site.proxy {
			c.t.Errorf("%s: the proxy gives no answer: %v", c.name, err)
		}
		return answer{body: err.Error()}
	}
	defer func() { _ = got.Body.Close() }()
	for _, cookie := range got.Cookies() {
		if c.cookies[cookie.Name] = cookie; cookie.MaxAge < 0 {
			delete(c.cookies, cookie.Name)
		}
	}
	body, err := io.ReadAll(got.Body)
	if err != nil {
		return answer{body: err.Error()}
	}
	return answer{got.StatusCode, got.Header.Get("Location"), string(body)}
}

var (
	greeting = regexp.MustCompile(`Hi, ([^!]+)!`)
	username = regexp.MustCompile(`<dt>Username</dt>\s*<dd>(?:<bdi>)?([^<]+)<`)
)

// nobody is the name if nobody is logged in.
const nobody = ""

// who asks the home page who is logged in. If the page does not say, ok is
// false, and the answer must be a failure. No other user than the client's own
// may be logged in.
func (c *client) who(to string) (name string, ok bool) {
	c.t.Helper()
	a := c.send(to, "/")
	m := greeting.FindStringSubmatch(a.body)
	switch {
	case a.failed():
		return "", false
	case a.status != http.StatusOK || m == nil && !strings.Contains(a.body, "Nobody is logged in."):
		c.t.Errorf("%s is shown: %v", c.name, a)
		return "", false
	case m == nil:
		return nobody, true
	case m[1] != c.name:
		c.t.Errorf("%s is served as %s", c.name, m[1])
	}
	return m[1], true
}

// account asks a guarded page the same.
func (c *client) account(to string) (name string, ok bool) {
	c.t.Helper()
	a := c.send(to, "/account")
	m := username.FindStringSubmatch(a.body)
	switch {
	case a.failed():
		return "", false
	case a.status == http.StatusSeeOther && a.location == "/login?next=%2Faccount":
		return nobody, true
	case a.status != http.StatusOK || m == nil:
		c.t.Errorf("%s is shown: %v", c.name, a)
		return "", false
	case m[1] != c.name:
		c.t.Errorf("%s is served as %s", c.name, m[1])
	}
	return m[1], true
}

// want fails unless this user is logged in.
func (c *client) want(to, name string) {
	c.t.Helper()
	if got, ok := c.who(to); got != name || !ok {
		c.t.Errorf("%s: the home page is %q's (%v), want %q", c.name, got, ok, name)
	}
	if got, ok := c.account(to); got != name || !ok {
		c.t.Errorf("%s: the account is %q's (%v), want %q", c.name, got, ok, name)
	}
}

func (c *client) wantEverywhere(name string) {
	c.t.Helper()
	for _, p := range c.site.running() {
		c.want(p.url, name)
	}
}

// patient sends a form again if the answer is 503: so many clients hash
// passwords at once that on a slow machine some wait too long.
func patient(send func() answer) answer {
	for range 30 {
		if a := send(); a.status != http.StatusServiceUnavailable {
			return a
		}
	}
	return send()
}

func (c *client) register(to string) answer {
	return c.send(to, "/register", "username", c.name, "email", c.name+"@example.com", "password", c.password, "confirm_password", c.password)
}

func (c *client) login(to string, more ...string) answer {
	return c.send(to, "/login", append([]string{"login", c.name, "password", c.password}, more...)...)
}

// guess logs in with a wrong password.
func (c *client) guess(to string) answer {
	return c.send(to, "/login", "login", c.name, "password", "it is not "+c.name)
}

func (c *client) logout(to string) answer { return c.send(to, "/logout", []string{}...) }

// logins returns the number of logins on the page that lists them.
func (c *client) logins(to string) int {
	a := c.send(to, "/account/sessions")
	if a.status != http.StatusOK || strings.Count(a.body, "This browser") != 1 {
		c.t.Errorf("%s's logins: %v", c.name, a)
	}
	return strings.Count(a.body, "<li class=\"row\">")
}

// wantDone fails unless the answer redirects to location, which means success.
func (c *client) wantDone(a answer, location string) {
	c.t.Helper()
	if a.status != http.StatusSeeOther || a.location != location {
		c.t.Errorf("%s: %v", c.name, a)
	}
}

// wantRefused fails unless the answer is the login form with its error.
func (c *client) wantRefused(a answer) {
	c.t.Helper()
	if a.status != http.StatusUnprocessableEntity || !strings.Contains(a.body, "We could not log you in.") {
		c.t.Errorf("%s: %v", c.name, a)
	}
}

// newcomers returns clients that have registered.
func (s *site) newcomers(prefix string, count int) []*client {
	s.t.Helper()
	clients := make([]*client, count)
	for i := range clients {
		clients[i] = s.client(fmt.Sprint(prefix, s.clients.Load()))
	}
	each(clients, func(i int, c *client) {
		c.wantDone(patient(func() answer { return c.register(s.process(i)) }), "/login")
	})
	if s.t.Failed() {
		s.t.FailNow()
	}
	return clients
}

// each calls f for all clients, several at a time.
func each(clients []*client, f func(i int, c *client)) {
	var busy sync.WaitGroup
	places := make(chan struct{}, 16)
	for i, c := range clients {
		busy.Go(func() {
			places <- struct{}{}
			defer func() { <-places }()
			f(i, c)
		})
	}
	busy.Wait()
}

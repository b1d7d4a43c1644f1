// Package flood_test measures how a flood of logins affects other requests.
package flood_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
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

	"github.com/alexedwards/argon2id"
	"github.com/go-login/auth"
	"github.com/go-login/auth/memstore"
)

// floodServer holds the configuration of the flood for the server process. That
// process runs this test binary again, so that the server is measured alone.
const floodServer = "FLOOD_SERVER"

const floodPassword = "correct horse battery staple"

// A flood is the clients that log in to a server, and the server's
// configuration.
type flood struct {
	Name       string
	Procs      int   // GOMAXPROCS
	HashMemory int64 // Config.Password.HashMemory
	Bare       int   // if not 0, hash without the library, this many at a time; -1 means no limit
	Clients    int   // number of clients that log in without a pause
	Unknown    bool  // log in as users who do not exist
}

// slots returns how many hashes a server may have in memory at a time.
func (f flood) slots() int {
	if f.Bare != 0 {
		return f.Bare
	}
	lanes := min(f.Procs-1, runtime.NumCPU())
	return max(1, min(lanes, int(f.HashMemory>>10)/int(auth.DefaultHashParams().Memory)))
}

// BenchmarkFlood has 64 clients log in without a pause, while a logged-in
// reader gets a page every 5 ms. Each iteration hashes on all processors with
// nothing else running, then reads from an idle server, and then from a flooded
// one:
//
//	go test -run '^$' -bench Flood -benchtime 5x ./bench/flood
//
// It reports medians of the iterations: the 99th percentiles of the page and
// their ratio, the logins as a share of the hashes that all processors can make
// (full), and the 99th percentile of answers with 503 (busy). MiB is the peak
// of the server's memory minus its memory before any login, and the limit for
// it.
func BenchmarkFlood(b *testing.B) {
	if _, err := os.Stat("/proc/self/status"); err != nil {
		b.Skip("there is no /proc to read the memory from")
	}
	n := runtime.NumCPU()
	const memory = 64 << 20
	for _, f := range []flood{
		{Name: "bare-unbounded", Procs: n, Bare: -1, Clients: 64},
		{Name: "bare-all-cores", Procs: n, Bare: n, Clients: 64},
		{Name: "bare-procs+1", Procs: n + 1, Bare: n, Clients: 64},
		{Name: "default", Procs: n, HashMemory: memory, Clients: 64},
		{Name: "procs+1", Procs: n + 1, HashMemory: memory, Clients: 64},
		{Name: "procs+2", Procs: n + 2, HashMemory: memory, Clients: 64},
		{Name: "procs+2-one-hash", Procs: n + 2, HashMemory: 20 << 20, Clients: 64},
		{Name: "procs+1-unknown", Procs: n + 1, HashMemory: memory, Clients: 64, Unknown: true},
		{Name: "procs+1-full-queue", Procs: n + 1, HashMemory: memory, Clients: 128},
	} {
		b.Run(f.Name, func(b *testing.B) { f.run(b) })
	}
}

func (f flood) run(b *testing.B) {
	s := f.start(b)
	before := s.memory(b, "VmRSS")
	reader := s.login(b)
	var idle, slow, ratio, full, busy []float64
	for b.Loop() {
		rate := hashRate(b)
		calm := p99(s.read(b, reader))
		stop := s.begin(b)
		begun, done := time.Now(), s.logins.Load()
		stormy := p99(s.read(b, reader))
		logins := float64(s.logins.Load()-done) / time.Since(begun).Seconds()
		refused := stop()
		idle, slow, ratio, full = append(idle, calm), append(slow, stormy), append(ratio, stormy/calm), append(full, logins/rate)
		if len(refused) > 0 {
			busy = append(busy, p99(refused))
		}
	}
	peak := s.memory(b, "VmHWM") - before
	b.ReportMetric(0, "ns/op") // meaningless here
	b.ReportMetric(median(idle), "idle-ms")
	b.ReportMetric(median(slow), "flood-ms")
	b.ReportMetric(median(ratio), "p99/idle")
	b.ReportMetric(median(full), "logins/full")
	b.ReportMetric(float64(peak)/1024, "MiB")
	if slots := f.slots(); slots > 0 {
		b.ReportMetric(float64(slots)*float64(auth.DefaultHashParams().Memory)*1.25/1024+32, "MiB-allowed")
	}
	if len(busy) > 0 {
		b.ReportMetric(median(busy), "busy-ms")
	}
}

func median(x []float64) float64 {
	slices.Sort(x)
	return (x[len(x)/2] + x[(len(x)-1)/2]) / 2
}

// p99 returns the 99th percentile in milliseconds.
func p99(d []time.Duration) float64 {
	slices.Sort(d)
	return d[len(d)*99/100].Seconds() * 1000
}

// hashRate returns how many hashes per second all processors can make.
func hashRate(b *testing.B) float64 {
	b.Helper()
	hash := hashPassword(b)
	rates := make([]float64, runtime.NumCPU())
	var wg sync.WaitGroup
	for i := range rates {
		wg.Go(func() {
			begun, n := time.Now(), 0
			for ; time.Since(begun) < time.Second; n++ {
				_, _ = argon2id.ComparePasswordAndHash(floodPassword, hash)
			}
			rates[i] = float64(n) / time.Since(begun).Seconds()
		})
	}
	wg.Wait()
	sum := 0.0
	for _, r := range rates {
		sum += r
	}
	return sum
}

func hashPassword(tb testing.TB) string {
	tb.Helper()
	p := auth.DefaultHashParams()
	hash, err := argon2id.CreateHash(floodPassword, &p)
	check(tb, err)
	return hash
}

// A flooded is a server in another process.
type flooded struct {
	flood
	base   string
	pid    int
	client *http.Client
	logins atomic.Int64
}

func (f flood) start(b *testing.B) *flooded {
	b.Helper()
	config, err := json.Marshal(f)
	check(b, err)
	server := exec.CommandContext(b.Context(), os.Args[0], "-test.run=^TestFloodServer$", "-test.timeout=10m")
	server.Env = append(os.Environ(), floodServer+"="+string(config), "GOMAXPROCS="+strconv.Itoa(f.Procs))
	stdin, err := server.StdinPipe()
	check(b, err)
	stdout, err := server.StdoutPipe()
	check(b, err)
	check(b, server.Start())
	b.Cleanup(func() { _ = stdin.Close(); _ = server.Wait() })
	line, err := bufio.NewReader(stdout).ReadString('\n')
	base, ok := strings.CutPrefix(strings.TrimSpace(line), "serving ")
	if err != nil || !ok {
		b.Fatalf("%q, %v", line, err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: f.Clients + 1}
	b.Cleanup(transport.CloseIdleConnections)
	return &flooded{flood: f, base: base, pid: server.Process.Pid, client: &http.Client{Transport: transport}}
}

// memory returns a line of the server's /proc/PID/status, in KiB.
func (s *flooded) memory(b *testing.B, name string) int {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.pid))
	check(b, err)
	_, rest, _ := strings.Cut(string(status), name+":")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	check(b, err)
	return n
}

func (s *flooded) post(ctx context.Context, name string) (*http.Response, error) {
	form := url.Values{"name": {name}, "password": {floodPassword}}.Encode()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, s.base+"/login", strings.NewReader(form))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer, err := s.client.Do(r)
	if err != nil {
		return nil, err
	}
	_, _ = io.Copy(io.Discard, answer.Body)
	return answer, answer.Body.Close()
}

// login returns the cookie of a login.
func (s *flooded) login(b *testing.B) *http.Cookie {
	b.Helper()
	answer, err := s.post(b.Context(), "reader")
	check(b, err)
	if answer.StatusCode != http.StatusOK || len(answer.Cookies()) == 0 {
		b.Fatalf("the login: %s", answer.Status)
	}
	return answer.Cookies()[0]
}

// read gets a page again and again for some seconds.
func (s *flooded) read(b *testing.B, cookie *http.Cookie) []time.Duration {
	b.Helper()
	var took []time.Duration
	every := time.NewTicker(5 * time.Millisecond)
	defer every.Stop()
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); <-every.C {
		r, err := http.NewRequestWithContext(b.Context(), http.MethodGet, s.base, nil)
		check(b, err)
		r.AddCookie(cookie)
		begun := time.Now()
		answer, err := s.client.Do(r)
		check(b, err)
		text, err := io.ReadAll(answer.Body)
		check(b, err)
		took = append(took, time.Since(begun))
		check(b, answer.Body.Close())
		if string(text) != "reader" {
			b.Fatalf("the page: %s %q", answer.Status, text)
		}
	}
	return took
}

// begin starts the flood and returns when the first login is done. stop lets
// the other clients finish, and returns how long answers with 503 took.
func (s *flooded) begin(b *testing.B) (stop func() []time.Duration) {
	b.Helper()
	want := http.StatusOK
	if s.Unknown {
		want = http.StatusUnauthorized
	}
	begun, over := make(chan struct{}), make(chan struct{})
	first := sync.OnceFunc(func() { close(begun) })
	var mu sync.Mutex
	var busy []time.Duration
	var clients sync.WaitGroup
	for i := range s.Clients {
		name := fmt.Sprint("user", i)
		clients.Go(func() {
			defer first() // also if the login fails
			var pause <-chan time.Time
			for {
				sent := time.Now()
				answer, err := s.post(b.Context(), name)
				switch {
				case err != nil:
					b.Error(err)
					return
				case answer.StatusCode == want:
					s.logins.Add(1)
					first()
					pause = time.After(0)
				case answer.StatusCode == http.StatusServiceUnavailable && answer.Header.Get("Retry-After") != "":
					mu.Lock()
					busy = append(busy, time.Since(sent))
					mu.Unlock()
					pause = time.After(50 * time.Millisecond) // otherwise only refused logins would be measured
				default:
					b.Error(answer.Status)
					return
				}
				select {
				case <-over:
					return
				case <-pause:
				}
			}
		})
	}
	<-begun
	return func() []time.Duration {
		close(over)
		clients.Wait()
		return busy
	}
}

// A floodUser has only an account.
type floodUser struct{ auth.Account }

// TestFloodServer is the server of BenchmarkFlood.
func TestFloodServer(t *testing.T) {
	config := os.Getenv(floodServer)
	if config == "" {
		t.Skip("this is a part of BenchmarkFlood")
	}
	var f flood
	check(t, json.Unmarshal([]byte(config), &f))
	store := memstore.New[floodUser]()
	handler := f.handler(t, store)
	server := httptest.NewServer(handler)
	defer server.Close()
	hash := auth.NewSecret(hashPassword(t))
	names := []string{"reader"}
	for i := range f.Clients {
		if !f.Unknown {
			names = append(names, fmt.Sprint("user", i))
		}
	}
	for _, name := range names {
		_, err := store.CreateUser(t.Context(), auth.Account{Username: name, PasswordHash: hash, Stamp: auth.NewSecret("stamp of " + name), Version: 1}, nil)
		check(t, err)
	}
	debug.FreeOSMemory() // frees the memory of the first hash
	fmt.Println("serving", server.URL)
	_, _ = io.Copy(io.Discard, os.Stdin) // until the benchmark ends
}

func (f flood) handler(t *testing.T, store *memstore.Store[floodUser, *floodUser]) http.Handler {
	t.Helper()
	manager, err := auth.New(store, auth.Config{
		BaseURL: "http://localhost:8080",
		Secrets: [][]byte{[]byte("Bb2hTnDsEYYXfgoyKCcmQyVRBJFOp5Vq")},
		Logger:  slog.New(slog.DiscardHandler),

		Password: auth.PasswordConfig{HashMemory: f.HashMemory},
		Limits:   auth.Limits{Guesses: -1},
	})
	check(t, err)
	authenticate := manager.Authenticate
	if f.Bare != 0 {
		limit := f.Bare
		if limit < 0 {
			limit = f.Clients + 1
		}
		slots := make(chan struct{}, limit)
		authenticate = func(ctx context.Context, login, password string) (*floodUser, error) {
			user, err := store.FindUser(ctx, login)
			if err != nil {
				return nil, err
			}
			slots <- struct{}{}
			defer func() { <-slots }()
			ok, err := argon2id.ComparePasswordAndHash(password, user.PasswordHash.Reveal())
			if err != nil || !ok {
				return nil, auth.ErrInvalidCredentials
			}
			return user, nil
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		user, err := manager.User(r.Context())
		if err != nil {
			manager.Error(w, r, err)
			return
		}
		_, _ = io.WriteString(w, user.Username)
	})
	mux.HandleFunc("POST /login", func(w http.ResponseWriter, r *http.Request) {
		user, err := authenticate(r.Context(), r.PostFormValue("name"), r.PostFormValue("password"))
		if err == nil {
			err = manager.LoginUser(r.Context(), user)
		}
		if err != nil {
			manager.Error(w, r, err)
		}
	})
	return manager.LoadAndSave(mux)
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

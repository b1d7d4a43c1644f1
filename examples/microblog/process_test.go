package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A process is the program, built and running.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stdout io.ReadCloser
	url    string
}

func build(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("it is ended by a signal")
	}
	binary := filepath.Join(t.TempDir(), "microblog")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, ".").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

func start(t *testing.T, binary, dir string) *process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, "-addr", "127.0.0.1:0")
	cmd.Dir = dir
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	line, err := bufio.NewReader(stdout).ReadString('\n')
	check(t, err)
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "Microblog is at ")
	if !ok || !strings.HasPrefix(url, "http://localhost:") {
		t.Fatalf("it says %q", line)
	}
	return &process{t, cmd, stdout, url}
}

// stop ends the process as a service manager does.
func (p *process) stop() {
	p.t.Helper()
	check(p.t, p.cmd.Process.Signal(syscall.SIGTERM))
	_, err := io.Copy(io.Discard, p.stdout)
	check(p.t, err)
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("after SIGTERM: %v", err)
	}
}

// peakMemory returns the largest resident set so far in KiB, or 0 if the system
// does not tell it.
func (p *process) peakMemory() (peak int) {
	p.t.Helper()
	if runtime.GOOS != "linux" {
		return 0
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	check(p.t, err)
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	_, err = fmt.Sscan(rest, &peak)
	check(p.t, err)
	return peak
}

// TestProgram runs the program itself. It is built without the race detector,
// which would make hashing many times slower.
func TestProgram(t *testing.T) {
	t.Parallel()
	binary := build(t)
	for name, test := range map[string]func(*testing.T, string){
		"restart":          testRestart,
		"parallel guesses": testParallelGuesses,
		"hostile next":     testHostileNextLogin,
		"command line":     testCommandLine,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, binary)
		})
	}
}

// testRestart: logins survive a restart of the process.
func testRestart(t *testing.T, binary string) {
	dir := t.TempDir()
	first := start(t, binary, dir)
	c := newClient(t, first.url)
	wantRedirect(t, c.post("/register", registration("susan", "susan@example.com", good, good)), "/login")
	wantRedirect(t, c.login("susan", good), "/")
	wantText(t, c.get("/"), "Congratulations", "Hi, susan!")
	wantStatus(t, c.post("/logout", nil, "Sec-Fetch-Site", "cross-site"), http.StatusForbidden)
	session := c.sent[slices.IndexFunc(c.sent, func(cookie string) bool {
		return !strings.Contains(cookie, "-browser=") && !strings.Contains(cookie, "-flash=")
	})]
	first.stop()

	for _, file := range []string{"microblog.db", "microblog.secret"} {
		info, err := os.Stat(filepath.Join(dir, file))
		check(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v", file, info.Mode())
		}
	}

	second := start(t, binary, dir)
	c = newClient(t, second.url)
	// The cookies' names contain the port, which has changed.
	_, value, _ := strings.Cut(session, "=")
	port := second.url[strings.LastIndex(second.url, ":")+1:]
	wantText(t, c.do(c.request(http.MethodGet, "/", nil, "Cookie", "session-"+port+"="+value)), "Hi, susan!")
	wantRedirect(t, c.login("susan", good), "/")
	second.stop()
}

// testParallelGuesses makes a hundred wrong logins at once, while a user reads
// pages.
func testParallelGuesses(t *testing.T, binary string) {
	const (
		guesses   = 90
		maxMemory = 300 << 10 // KiB
	)
	p := start(t, binary, t.TempDir())
	reader := newClient(t, p.url)
	for i := range 10 {
		name := fmt.Sprint("susan", i)
		wantRedirect(t, reader.post("/register", registration(name, name+"@example.com", good, good)), "/login")
	}
	wantRedirect(t, reader.login("susan0", good), "/")

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var reading sync.WaitGroup
	pages := 0
	reading.Go(func() {
		for ctx.Err() == nil {
			r, err := reader.try(reader.request(http.MethodGet, "/index", nil))
			if err != nil || r.status != http.StatusOK || !strings.Contains(r.body, "Hi, susan0!") {
				t.Errorf("a page during the attack: %d, %v", r.status, err)
				return
			}
			pages++
		}
	})

	attacker := newClient(t, p.url)
	answers := make([]response, guesses)
	var guessing sync.WaitGroup
	for i := range answers {
		r := attacker.request(http.MethodPost, "/login", credentials(fmt.Sprint("susan", i%10), fmt.Sprint("guess ", i)))
		guessing.Go(func() {
			answer, err := attacker.transport.RoundTrip(r)
			if err != nil {
				t.Error(err)
				return
			}
			answers[i] = response{status: answer.StatusCode, header: answer.Header, location: answer.Header.Get("Location")}
			_ = answer.Body.Close()
		})
	}
	guessing.Wait()
	cancel()
	reading.Wait()

	busy := 0
	for _, r := range answers {
		switch {
		case r.status == http.StatusServiceUnavailable && r.header.Get("Retry-After") != "":
			busy++
		case r.status == http.StatusSeeOther && r.location == "/login", r.status >= 400 && r.status < 500:
		default:
			t.Errorf("%d to %q", r.status, r.location)
		}
	}
	peak := p.peakMemory()
	t.Logf("%d of %d guesses were too many at once; %d pages read; at most %d MiB resident", busy, guesses, pages, peak>>10)
	if peak > maxMemory {
		t.Errorf("at most %d KiB were resident, and %d are allowed", peak, maxMemory)
	}
	if pages == 0 {
		t.Error("no page was read meanwhile")
	}
	// The owner's known browser is not locked out.
	wantRedirect(t, reader.post("/logout", nil), "/")
	wantRedirect(t, reader.login("susan0", good), "/")
	p.stop()
}

// testCommandLine: with wrong arguments the program says what is wrong, and
// does not serve.
func testCommandLine(t *testing.T, binary string) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "short"), []byte("secret"), 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "text"), []byte(strings.Repeat("this is no database ", 100)), 0o600))
	for _, args := range [][]string{
		{"-no-such-flag"},
		{"-addr", "nonsense"},
		{"-secret-file", "short"},
		{"-secret-file", filepath.Join("missing", "secret")},
		{"-db", "text"},
		{"-db", filepath.Join("missing", "db")},
	} {
		cmd := exec.CommandContext(t.Context(), binary, append([]string{"-addr", "127.0.0.1:0"}, args...)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err == nil || cmd.ProcessState.ExitCode() < 1 || strings.Contains(string(out), "http://") || len(out) == 0 {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
}

package main

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A process is the program, built from the repository's root and running.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	lines chan string
	url   string
}

func build(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("it is ended by a signal")
	}
	binary := filepath.Join(t.TempDir(), "quickstart")
	cmd := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "./examples/quickstart")
	cmd.Dir, cmd.Env = filepath.Join("..", ".."), append(os.Environ(), "GOWORK=")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

func startProcess(t *testing.T, binary, dir string, args ...string) *process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), binary, append([]string{"-addr", "127.0.0.1:0"}, args...)...)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	check(t, cmd.Start())
	p := &process{t: t, cmd: cmd, lines: make(chan string, 1000)}
	go readLines(stdout, p.lines)
	p.url, _ = announced(t, p.lines)
	if !strings.HasPrefix(p.url, "http://localhost:") {
		t.Errorf("it is at %s", p.url)
	}
	return p
}

// wait waits until the process has ended successfully.
func (p *process) wait() {
	p.t.Helper()
	for line := range p.lines {
		p.t.Errorf("at the end it says %q", line)
	}
	check(p.t, p.cmd.Wait())
}

func (p *process) signal(signal os.Signal) {
	p.t.Helper()
	check(p.t, p.cmd.Process.Signal(signal))
}

func TestProcess(t *testing.T) {
	t.Parallel()
	binary := build(t)
	for name, test := range map[string]func(*testing.T, string){
		"restart":      testRestart,
		"mails":        testMailsAtEnd,
		"command line": testCommandLine,
		"doctor":       testDoctorStatus,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, binary)
		})
	}
}

// testRestart: the program creates its files, and logins survive a restart.
func testRestart(t *testing.T, binary string) {
	dir := t.TempDir()
	first := startProcess(t, binary, dir)
	c := newClient(t, first.url, false)
	c.register("susan")
	wantRedirect(t, c.login("susan", good), "/")
	c.wantUser("susan")
	wantRedirect(t, newClient(t, first.url, false).post("/forgot-password", "email", "susan@example.com"), "/check-inbox")
	link := printedLink(t, first.lines)
	first.signal(os.Interrupt)
	first.wait()
	for _, file := range []string{"quickstart.db", "quickstart.secret"} {
		info, err := os.Stat(filepath.Join(dir, file))
		check(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v", file, info.Mode())
		}
	}

	second := startProcess(t, binary, dir)
	again := newClient(t, second.url, false)
	port := func(url string) string { return url[strings.LastIndex(url, ":")+1:] }
	for _, cookie := range c.cookies { // their names contain the port, which has changed
		cookie.Name = strings.Replace(cookie.Name, port(first.url), port(second.url), 1)
		again.cookies[cookie.Name] = cookie
	}
	again.wantUser("susan")
	other := newClient(t, second.url, false)
	other.openForm(link)
	wantRedirect(t, other.reset(fresh), "/login")
	wantPrinted(t, second.lines, "susan", "Your password was changed")
	again.wantUser("")
	second.signal(syscall.SIGTERM)
	second.wait()
}

// testMailsAtEnd: SIGTERM loses no mail.
func testMailsAtEnd(t *testing.T, binary string) {
	var hanging *gate
	mails := newMailServer(t, func(l net.Listener) net.Listener { hanging = newGate(l); return hanging })
	p := startProcess(t, binary, t.TempDir(), "-smtp", mails.addr)
	c := newClient(t, p.url, false)
	c.askMany()
	wait(t, hanging.knocked)
	stopping := idle(t, p.url)
	p.signal(syscall.SIGTERM)
	stopping()
	hanging.open()
	p.wait()
	if n := len(mails.got); n != manyMails {
		t.Errorf("%d of %d mails were sent", n, manyMails)
	}
}

// testCommandLine: with wrong arguments the program says what is wrong, and
// does not serve.
// The exit status of -doctor is for scripts.
func testDoctorStatus(t *testing.T, binary string) {
	dir := t.TempDir()
	for _, c := range []struct {
		args []string
		want int
	}{
		{nil, 0},
		{[]string{"-base-url", "https://app.example"}, 1},
	} {
		cmd := exec.CommandContext(t.Context(), binary, append([]string{"-doctor"}, c.args...)...)
		cmd.Dir = dir
		out, _ := cmd.CombinedOutput() // the status is below
		if got := cmd.ProcessState.ExitCode(); got != c.want {
			t.Errorf("%v: status %d\n%s", c.args, got, out)
		}
	}
}

func testCommandLine(t *testing.T, binary string) {
	dir := t.TempDir()
	check(t, os.WriteFile(filepath.Join(dir, "short"), []byte("secret"), 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "text"), []byte(strings.Repeat("this is no database ", 100)), 0o600))
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { _ = busy.Close() })
	for _, args := range [][]string{
		{"-no-such-flag"},
		{"-help"},
		{"stray"},
		{"-addr", "nonsense"},
		{"-addr", busy.Addr().String()},
		{"-secret-file", "short"},
		{"-secret-file", filepath.Join("missing", "secret")},
		{"-db", "text"},
		{"-db", "."},
		{"-db", filepath.Join("missing", "db")},
		{"-base-url", "http://app.example"},
		{"-base-url", "app.example"},
		{"-smtp", "nonsense"},
		{"-smtp", "mail.example:25"}, // the mails would be sent without encryption
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
		cmd := exec.CommandContext(ctx, binary, append([]string{"-addr", "127.0.0.1:0"}, args...)...)
		cmd.Dir = dir
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		cancel()
		if err == nil || cmd.ProcessState.ExitCode() < 1 || len(out) > 0 || stderr.Len() == 0 ||
			strings.Contains(stderr.String(), "panic") {
			t.Errorf("%v: %v\n%s\n%s", args, err, out, &stderr)
		}
	}
}

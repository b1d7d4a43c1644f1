package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A shell runs commands on a database of its own.
type shell struct {
	t   *testing.T
	dir string
}

// try runs a command, and returns what it prints.
func (s *shell) try(args ...string) (string, error) {
	var out bytes.Buffer
	err := run(s.t.Context(), append([]string{
		"-db", filepath.Join(s.dir, "db"), "-secret-file", filepath.Join(s.dir, "secret"),
	}, args...), &out)
	return out.String(), err
}

// run is try for a command that works. It must print these texts.
func (s *shell) run(texts []string, args ...string) string {
	s.t.Helper()
	out, err := s.try(args...)
	if err != nil {
		s.t.Fatalf("%q: %v", args, err)
	}
	for _, text := range texts {
		if !strings.Contains(out, text) {
			s.t.Errorf("%q printed no %q:\n%s", args, text, out)
		}
	}
	return out
}

// TestCommands does with commands what an administrator does first.
func TestCommands(t *testing.T) {
	t.Parallel()
	s := &shell{t, t.TempDir()}
	s.run([]string{"To: susan@app.example", "http://localhost:8080/reset-password?token=", "is susan@app.example"}, "create-admin", "susan@app.example")
	s.run([]string{"To: mabel@app.example"}, "-reason", "a new colleague", "create", "mabel@app.example", "support")
	list := s.run([]string{"susan@app.example", "admin", "mabel@app.example", "support"}, "users")
	if n := strings.Count(list, "\n"); n != 3 {
		t.Errorf("%d lines:\n%s", n, list)
	}
	const mabel = "mabel@app.example"
	because := func(args ...string) []string { return append([]string{"-reason", "ticket 4711"}, args...) }
	s.run([]string{"Done."}, because("set-username", mabel, "mabel")...)
	s.run([]string{"Done."}, because("disable", "mabel")...)
	s.run([]string{"Username: mabel\n", "Roles: support\n", "Disabled: true\n"}, "user", mabel)
	s.run([]string{"Done."}, because("enable", "mabel")...)
	s.run([]string{"Done."}, because("set-roles", "mabel", "support", "admin")...)
	s.run([]string{"Roles: support admin\n", "Disabled: false\n"}, "user", mabel)
	s.run([]string{"Done."}, because("unlock", "mabel")...)
	s.run([]string{"To: " + mabel, "/reset-password?token="}, because("force-reset", "mabel")...)
	s.run([]string{" works once"}, because("one-time-code", "mabel")...)
	s.run([]string{"Done."}, because("end-logins", "mabel")...)
	s.run([]string{"Done."}, because("set-roles", "susan@app.example")...)
	for _, act := range [][]string{{"set-roles", "mabel"}, {"disable", "mabel"}, {"close", "mabel"}} {
		if _, err := s.try(because(act...)...); err == nil || !strings.Contains(err.Error(), "last administrator") {
			t.Errorf("%q: %v", act, err)
		}
	}
	s.run([]string{"is susan@app.example"}, "create-admin", "susan@app.example") // who is a user already
	s.run([]string{"Done."}, because("close", "mabel")...)
	if list := s.run([]string{"susan@app.example"}, "users"); strings.Contains(list, "mabel") {
		t.Errorf("after close: %s", list)
	}
}

// TestCommandBesideServer: a command takes effect with the next request of a server
// that runs already.
func TestCommandBesideServer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	command := func(args ...string) {
		t.Helper()
		args = append([]string{"-db", s.file, "-secret-file", filepath.Join(t.TempDir(), "secret"), "-reason", "ticket 4711"}, args...)
		check(t, run(t.Context(), args, io.Discard))
	}
	support, jacob := s.staff("jacob", "support")
	mabel := s.client(s.add("mabel"))
	want(t, support.Get("/admin/users"), http.StatusOK, "jacob")
	command("set-roles", "jacob")
	want(t, support.Get("/admin/users"), http.StatusForbidden, "")
	command("set-roles", jacob.ID, "support")
	want(t, support.Get("/admin/users"), http.StatusOK, "jacob") // without a new login
	if !loggedIn(mabel) {
		t.Fatal("mabel is not logged in")
	}
	command("disable", "mabel@app.example")
	if loggedIn(mabel) {
		t.Error("mabel is still logged in")
	}
}

// TestWrongCommands: the error says what is wrong.
func TestWrongCommands(t *testing.T) {
	t.Parallel()
	s := &shell{t, t.TempDir()}
	s.run(nil, "create-admin", "susan@app.example")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"disable", "susan@app.example"}, "-reason: give a reason"},
		{[]string{"create", "mabel@app.example"}, "give a reason"},
		{[]string{"create-admin"}, "needs an address"},
		{[]string{"create-admin", "one@app.example", "two@app.example"}, "one address"},
		{[]string{"create-admin", "susan"}, "address"},
		{[]string{"disable"}, "without a user"},
		{[]string{"explode", "susan@app.example"}, `there is no command "explode"`},
		{[]string{"user", "nobody@app.example"}, "nobody@app.example: auth: no such user"},
		{[]string{"-reason", "x", "set-roles", "susan@app.example", "owner"}, "owner"},
	} {
		if _, err := s.try(c.args...); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %q", c.args, err, c.want)
		}
	}
	s.run([]string{"Roles: admin\nDisabled: false"}, "user", "susan@app.example")
}

// TestServe starts the program and opens a page.
func TestServe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, []string{"-addr", "127.0.0.1:0", "-db", filepath.Join(dir, "db"), "-secret-file", filepath.Join(dir, "secret")}, w)
		_ = w.CloseWithError(err)
		ended <- err
	}()
	line, err := bufio.NewReader(r).ReadString('\n')
	check(t, err)
	m := regexp.MustCompile(`^Admin is at http://localhost:\d+ \(listening on (\S+)\)\n$`).FindStringSubmatch(line)
	if m == nil {
		t.Fatalf("it says %q", line)
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m[1]+"/", nil)
	check(t, err)
	res, err := http.DefaultClient.Do(q)
	check(t, err)
	body, err := io.ReadAll(res.Body)
	check(t, err)
	check(t, res.Body.Close())
	if !strings.Contains(string(body), "create-admin") {
		t.Errorf("the home page is %s", body)
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	check(t, <-ended)
}

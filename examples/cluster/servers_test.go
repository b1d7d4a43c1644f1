//go:build linux

package main

import (
	"context"
	"database/sql"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
)

// A daemon is a server that a test starts and stops.
type daemon struct {
	t       *testing.T
	command []string
	as      *syscall.Credential
	dir     string // its data
	url     string
	answers func(ctx context.Context) error
	cmd     *exec.Cmd
}

// start starts the server, and waits until it answers.
func (s *daemon) start() {
	s.t.Helper()
	s.cmd = exec.CommandContext(context.Background(), s.command[0], s.command[1:]...)
	s.cmd.Dir = s.dir
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.as, Setpgid: true}
	check(s.t, s.cmd.Start())
	until(s.t, s.command[0]+" answers", func() bool { return s.answers(s.t.Context()) == nil })
}

// stop sends the server a signal, and waits for its end.
func (s *daemon) stop(signal os.Signal) {
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Signal(signal); err != nil {
		s.t.Error(err)
	}
	_ = s.cmd.Wait() // it may fail
	s.cmd = nil
}

// freePort returns an unused port.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	check(t, listener.Close())
	_, port, err := net.SplitHostPort(listener.Addr().String())
	check(t, err)
	return port
}

// newRedis starts a Redis that writes every change to disk before it answers.
func newRedis(t *testing.T) *daemon {
	t.Helper()
	program, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("there is no redis-server to be restarted")
	}
	port := freePort(t)
	client := redis.NewClient(&redis.Options{Addr: "127.0.0.1:" + port})
	t.Cleanup(func() { _ = client.Close() })
	s := &daemon{
		t: t, dir: t.TempDir(), url: "redis://127.0.0.1:" + port,
		command: []string{program, "--bind", "127.0.0.1", "--port", port, "--appendonly", "yes", "--appendfsync", "always", "--save", ""},
		answers: func(ctx context.Context) error { return client.Ping(ctx).Err() },
	}
	s.start()
	t.Cleanup(func() { s.stop(syscall.SIGKILL) })
	return s
}

// forget deletes the server's data, as if it kept nothing on disk. The server
// must not be running.
func (s *daemon) forget() {
	s.t.Helper()
	entries, err := os.ReadDir(s.dir)
	check(s.t, err)
	if len(entries) == 0 {
		s.t.Error("there is nothing to forget")
	}
	for _, entry := range entries {
		check(s.t, os.RemoveAll(filepath.Join(s.dir, entry.Name())))
	}
}

// newPostgres starts a PostgreSQL.
func newPostgres(t *testing.T) *daemon {
	t.Helper()
	port := freePort(t)
	url := fmt.Sprintf("postgres://postgres@127.0.0.1:%s/postgres?sslmode=disable", port)
	db, err := sql.Open("pgx", url)
	check(t, err)
	t.Cleanup(func() { _ = db.Close() })
	s := &daemon{
		t: t, dir: t.TempDir(), url: url, as: postgresUser(t),
		command: []string{
			postgresProgram(t, "postgres"), "-D", "data", "-p", port,
			"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off", // the machine itself does not crash
		},
		answers: db.PingContext,
	}
	if s.as != nil { // that user needs access
		check(t, os.Chmod(filepath.Dir(s.dir), 0o711))
		check(t, os.Chown(s.dir, int(s.as.Uid), int(s.as.Gid)))
	}
	initdb := exec.CommandContext(t.Context(), postgresProgram(t, "initdb"), "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	initdb.Dir = s.dir
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: s.as}
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	s.start()
	t.Cleanup(func() { s.stop(syscall.SIGQUIT) })
	return s
}

// postgresProgram finds a program of PostgreSQL: in the newest version, or in
// PATH.
func postgresProgram(t *testing.T, name string) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/" + name)
	check(t, err)
	if len(found) > 0 {
		return slices.Max(found)
	}
	program, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("there is no %s for a PostgreSQL to be restarted", name)
	}
	return program
}

// postgresUser returns the user to run PostgreSQL, because root may not run it.
// It returns nil for the current user.
func postgresUser(t *testing.T) *syscall.Credential {
	t.Helper()
	if os.Getuid() != 0 {
		return nil
	}
	found, err := user.Lookup("postgres")
	if err != nil {
		t.Skip("there is no user postgres to run PostgreSQL, and we are root")
	}
	uid, err := strconv.ParseUint(found.Uid, 10, 32)
	check(t, err)
	gid, err := strconv.ParseUint(found.Gid, 10, 32)
	check(t, err)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
}

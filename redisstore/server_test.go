package redisstore_test

import (
	"bufio"
	"crypto/rand"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/go-login/auth"
	"github.com/go-login/auth/internal/testapp"
	"github.com/go-login/auth/redisstore"
	"github.com/go-login/auth/storetest"
)

// A server is a Redis started by the test.
type server struct {
	cmd   *exec.Cmd
	lines chan string // its log
}

// serve starts a server that keeps its files in dir.
func serve(t *testing.T, dir string, args ...string) *server {
	t.Helper()
	binary, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("there is no redis-server in PATH")
	}
	s := &server{cmd: exec.CommandContext(t.Context(), binary, args...), lines: make(chan string, 1000)}
	s.cmd.Dir = dir
	out, err := s.cmd.StdoutPipe()
	check(t, err)
	check(t, s.cmd.Start())
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			s.lines <- lines.Text()
		}
		_, _ = io.Copy(io.Discard, out)
		close(s.lines)
	}()
	t.Cleanup(func() { s.stop() })          // t.Context has ended by then
	s.logs(t, "eady to accept connections") // Ready or ready
	return s
}

// logs waits until the server has logged a line that contains want.
func (s *server) logs(t *testing.T, want string) {
	t.Helper()
	timeout := time.After(2 * time.Minute)
	for {
		select {
		case line, open := <-s.lines:
			if strings.Contains(line, want) {
				return
			}
			if !open {
				t.Fatalf("redis-server has ended before it logged %q", want)
			}
		case <-timeout:
			t.Fatalf("redis-server does not log %q", want)
		}
	}
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// A Redis that is new, was restarted or lost its scripts needs no preparation.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "redis.sock")
	args := []string{"--port", "0", "--unixsocket", socket, "--appendonly", "yes", "--appendfsync", "always"}
	first := serve(t, dir, args...)
	client := connect(t, &redis.Options{Network: "unix", Addr: socket, DialerRetries: 1, MaxRetries: 1})
	f := &fixture{clock: testapp.NewClock(), client: client, prefix: "test:"}
	f.Records = f.store(client)
	f.insert(t, "a", "b")

	check(t, client.ScriptFlush(t.Context()).Err())
	for _, c := range f.calls(f.Records) {
		check(t, client.ScriptFlush(t.Context()).Err())
		if err := c.do(t.Context()); err != nil {
			t.Errorf("after SCRIPT FLUSH: %s: %v", c.name, err)
		}
	}

	f.insert(t, "a", "b", "taken")
	_, err := f.TakeRecord(t.Context(), "session", "taken")
	check(t, err)
	first.stop()
	for _, c := range f.calls(f.Records) {
		wantFailure(t, c.name+" while Redis is away", c.do(t.Context()))
	}
	serve(t, dir, args...)
	if listed := f.listed(t); len(listed) != 2 || !listed["a"] || !listed["b"] {
		t.Errorf("after a restart there are %v", listed)
	}
	for _, c := range f.calls(f.Records) {
		if err := c.do(t.Context()); err != nil {
			t.Errorf("after a restart: %s: %v", c.name, err)
		}
	}
}

// A full Redis that may not evict refuses new records. Existing records can
// still be read and ended.
func TestFull(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "redis.sock")
	serve(t, dir, "--port", "0", "--unixsocket", socket, "--save", "", "--maxmemory-policy", "noeviction")
	client := connect(t, &redis.Options{Network: "unix", Addr: socket})
	f := &fixture{clock: testapp.NewClock(), client: client, prefix: "test:"}
	f.Records = f.store(client)
	f.insert(t, "a", "b", "c")
	check(t, client.ConfigSet(t.Context(), "maxmemory", "1").Err())
	wantFailure(t, "InsertRecord", f.InsertRecord(t.Context(), f.record("d")))
	wantFailure(t, "UpdateRecord", f.UpdateRecord(t.Context(), f.record("a")))
	if listed := f.listed(t); len(listed) != 3 {
		t.Errorf("there are %v", listed)
	}
	_, err := f.TakeRecord(t.Context(), "session", "a")
	check(t, err)
	check(t, f.DeleteRecords(t.Context(), "session", "user", "b"))
	if listed := f.listed(t); len(listed) != 1 || !listed["b"] || f.entries(t) != 1 {
		t.Errorf("there are %v and %d entries", listed, f.entries(t))
	}
}

// freePort returns an unused port.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	check(t, err)
	defer func() { _ = l.Close() }()
	_, port, err := net.SplitHostPort(l.Addr().String())
	check(t, err)
	return port
}

// cluster starts three masters and returns their addresses.
func cluster(t *testing.T) (addresses []string) {
	t.Helper()
	var servers []*server
	var nodes []*redis.Client
	var ports, buses []string
	for i := range 3 {
		port, bus := freePort(t), freePort(t)
		servers = append(servers, serve(t, t.TempDir(), "--port", port, "--bind", "127.0.0.1", "--save", "",
			"--cluster-enabled", "yes", "--cluster-port", bus))
		node := connect(t, &redis.Options{Addr: "127.0.0.1:" + port})
		check(t, node.Do(t.Context(), "cluster", "set-config-epoch", i+1).Err())
		check(t, node.ClusterAddSlotsRange(t.Context(), i*16384/3, (i+1)*16384/3-1).Err())
		nodes, ports, buses = append(nodes, node), append(ports, port), append(buses, bus)
		addresses = append(addresses, "127.0.0.1:"+port)
	}
	for i := range ports[1:] {
		check(t, nodes[0].Do(t.Context(), "cluster", "meet", "127.0.0.1", ports[i+1], buses[i+1]).Err())
	}
	for _, s := range servers {
		s.logs(t, "Cluster state changed: ok")
	}
	return addresses
}

func TestCluster(t *testing.T) {
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: cluster(t)})
	t.Cleanup(func() { _ = client.Close() })
	storetest.TestRecordStore(t, func(t *testing.T, clock func() time.Time) auth.RecordStore {
		return redisstore.NewRecords(client, redisstore.WithClock(clock), redisstore.Prefix(rand.Text()), redisstore.Durable())
	})
}

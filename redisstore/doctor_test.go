package redisstore_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/go-login/auth"
	"github.com/go-login/auth/redisstore"
)

var _ auth.Diagnoser = (*redisstore.Records)(nil)

// wantFound compares what a store finds.
func wantFound(t *testing.T, what string, s *redisstore.Records, want string) {
	t.Helper()
	all, err := s.Diagnose(t.Context(), true)
	check(t, err)
	var codes []string
	for _, f := range all {
		if f.Text == "" || f.Fix == "" {
			t.Errorf("%+v says nothing", f)
		}
		codes = append(codes, fmt.Sprintf("%s %s", f.Severity, f.Code))
	}
	if got := strings.Join(codes, ", "); got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestDiagnose(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "redis.sock")
	server := serve(t, dir, "--port", "0", "--unixsocket", socket, "--save", "")
	client := connect(t, &redis.Options{Network: "unix", Addr: socket, DialerRetries: 1, MaxRetries: 1})
	sessions, records := redisstore.NewRecords(client), redisstore.NewRecords(client, redisstore.Durable())
	set := func(name, value string) { check(t, client.ConfigSet(t.Context(), name, value).Err()) }

	wantFound(t, "the defaults", sessions, "")
	wantFound(t, "no file", records, "severe store.not-durable")
	set("appendonly", "yes")
	wantFound(t, "a file, of which the last second is missing", records, "warning store.not-durable")
	set("appendfsync", "no")
	wantFound(t, "a file that the system writes when it likes", records, "severe store.not-durable")
	wantFound(t, "the same, without Durable", sessions, "")
	set("appendfsync", "always")
	wantFound(t, "a file that is written with each change", records, "")
	set("maxmemory-policy", "allkeys-lru")
	wantFound(t, "a policy without a limit", sessions, "")
	set("maxmemory", "100mb")
	wantFound(t, "sessions may be evicted", sessions, "warning store.evicts")
	wantFound(t, "records may be evicted", records, "severe store.evicts")
	set("maxmemory-policy", "noeviction")
	wantFound(t, "a limit without eviction", records, "")

	// A user who must not use INFO, and one who must not even use PING.
	check(t, client.ACLSetUser(t.Context(), "app", "on", "nopass", "~*", "+@all", "-info").Err())
	check(t, client.ACLSetUser(t.Context(), "less", "on", "nopass", "~*", "+eval").Err())
	check(t, client.ACLSetUser(t.Context(), "blind", "on", "nopass", "~*", "+@all", "-config").Err())
	for user, options := range map[string][]redisstore.Option{"app": nil, "less": nil, "blind": {redisstore.Durable()}} {
		other := connect(t, &redis.Options{Network: "unix", Addr: socket, Username: user, Password: "any"})
		wantFound(t, user, redisstore.NewRecords(other, options...), "note redis.info-refused")
	}

	server.stop()
	if _, err := sessions.Diagnose(t.Context(), true); err == nil {
		t.Error("a Redis that is down has no error")
	}
	if _, err := redisstore.NewRecords(nil).Diagnose(t.Context(), true); err == nil {
		t.Error("wrong options have no error")
	}
}

// In a Cluster each master is asked, and one that evicts is enough.
func TestDiagnoseCluster(t *testing.T) {
	addresses := cluster(t)
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addresses})
	t.Cleanup(func() { _ = client.Close() })
	s := redisstore.NewRecords(client)
	wantFound(t, "the defaults", s, "")
	for _, address := range addresses[1:] {
		node := connect(t, &redis.Options{Addr: address})
		check(t, node.ConfigSet(t.Context(), "maxmemory", "100mb").Err())
		check(t, node.ConfigSet(t.Context(), "maxmemory-policy", "volatile-lru").Err())
	}
	wantFound(t, "two of three evict", s, "warning store.evicts")
}

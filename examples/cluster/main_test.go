package main

import (
	"errors"
	"flag"
	"io"
	"strings"
	"testing"
)

// TestMissingServers: if PostgreSQL and Redis are missing, the error says how
// to start them.
func TestMissingServers(t *testing.T) {
	t.Parallel()
	args := []string{"-postgres", "postgres://cluster:our-password@" + refusing(t) + "/cluster", "-redis", "redis://" + refusing(t)}
	err := run(t.Context(), args, strings.NewReader(""), io.Discard)
	if err == nil {
		t.Fatal("it runs")
	}
	for _, want := range []string{
		"PostgreSQL", "docker run -d -p 127.0.0.1:5432:5432", "apt install postgresql", "CREATE ROLE cluster", "-postgres",
		"Redis", "docker run -d -p 127.0.0.1:6379:6379", "apt install redis-server", "-redis",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("it says nothing of %q:\n%v", want, err)
		}
	}
	if strings.Contains(err.Error(), "our-password") {
		t.Errorf("it has the password:\n%v", err)
	}
}

func TestCommandLine(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{
		{"-no-such-flag"},
		{"-help"},
		{"stray"},
		{"-processes", "0"},
		{"-postgres", "postgres://a:b@c:no-port/d"},
		{"-redis", "nonsense"},
	} {
		err := run(t.Context(), args, strings.NewReader(""), io.Discard)
		if err == nil || errors.Is(err, flag.ErrHelp) != (args[0] == "-help") || strings.Contains(err.Error(), "docker") {
			t.Errorf("%q: %v", args, err)
		}
	}
}

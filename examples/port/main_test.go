package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"testing"
)

// TestRun starts the program twice: with a new database, and with what the first one
// left.
func TestRun(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
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
		m := regexp.MustCompile(`^Stockroom is at http://localhost:\d+ \(listening on (\S+)\)\n$`).FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("it says %q", line)
		}
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m[1]+"/login", nil)
		check(t, err)
		res, err := http.DefaultClient.Do(q)
		check(t, err)
		check(t, res.Body.Close())
		if res.StatusCode != http.StatusOK {
			t.Errorf("the login page is %s", res.Status)
		}
		http.DefaultClient.CloseIdleConnections()
		cancel()
		check(t, <-ended)
	}
}

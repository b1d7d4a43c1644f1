package bench_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alexedwards/argon2id"
	"github.com/go-login/auth/internal/testapp"
)

// BenchmarkHTTP measures a page for logged-in users over loopback: the server
// of net/http with sixteen connections that stay open. "bare" is the page
// without a library. It gets the same bytes as go-login.
func BenchmarkHTTP(b *testing.B) {
	for _, p := range append([]peer{{name: "bare"}}, peers()...) {
		b.Run(p.name, func(b *testing.B) {
			connect := serve(b, p)
			var clients [16]*rawClient
			for i := range clients {
				c, err := connect()
				check(b, err)
				b.Cleanup(c.close)
				clients[i] = c
			}
			var asked atomic.Int64
			var wg sync.WaitGroup
			b.ReportAllocs()
			b.ResetTimer()
			for _, c := range clients {
				wg.Go(func() {
					for asked.Add(1) <= int64(b.N) {
						if err := c.ask(); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
		})
	}
}

// TestHTTP checks that the measured requests work.
func TestHTTP(t *testing.T) {
	for _, p := range append([]peer{{name: "bare"}}, peers()...) {
		t.Run(p.name, func(t *testing.T) {
			c, err := serve(t, p)()
			check(t, err)
			defer c.close()
			for range 3 {
				check(t, c.ask())
			}
		})
	}
}

// serve serves a peer's application until the test ends, and returns a function
// that connects to it.
func serve(tb testing.TB, p peer) (connect func() (*rawClient, error)) {
	tb.Helper()
	users := newMembers(tb)
	var handler http.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { greet(w, username(0)) })
	var request *http.Request
	if p.open == nil {
		request = openGoLogin(tb, users).loggedIn(tb)
	} else {
		s := p.open(tb, users)
		handler, request = s.guard, s.loggedIn(tb)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(tb, err)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	tb.Cleanup(func() {
		check(tb, server.Close())
		if err := <-done; !errors.Is(err, http.ErrServerClosed) {
			tb.Error(err)
		}
	})
	var written bytes.Buffer
	check(tb, request.Write(&written))
	return func() (*rawClient, error) { return dial(tb.Context(), listener.Addr().String(), written.Bytes()) }
}

// A rawClient is a client with little overhead. It sends prepared bytes, and
// reads as many bytes as the first answer had. Only the first answer is parsed.
type rawClient struct {
	conn            net.Conn
	request, answer []byte
}

func dial(ctx context.Context, address string, request []byte) (*rawClient, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &rawClient{conn: conn, request: request}
	if err := conn.SetDeadline(time.Now().Add(10 * time.Minute)); err != nil { // ends a wait for an answer that is shorter than the first
		return nil, err
	}
	if _, err := conn.Write(request); err != nil {
		return nil, err
	}
	var seen bytes.Buffer
	first, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &seen)), nil)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(first.Body)
	if err == nil && (first.StatusCode != http.StatusOK || string(body) != username(0)) {
		err = fmt.Errorf("%s %s", first.Status, body)
	}
	c.answer = make([]byte, seen.Len())
	return c, err
}

func (c *rawClient) close() { _ = c.conn.Close() }

// ask makes the request, and returns an error if the answer differs.
func (c *rawClient) ask() error {
	if _, err := c.conn.Write(c.request); err != nil {
		return err
	}
	n, err := io.ReadAtLeast(c.conn, c.answer, 1)
	if err == nil && n < len(c.answer) {
		_, err = io.ReadFull(c.conn, c.answer[n:])
	}
	if err == nil && (!bytes.HasPrefix(c.answer, []byte("HTTP/1.1 200 OK\r\n")) || !bytes.HasSuffix(c.answer, []byte("\r\n\r\n"+username(0)))) {
		err = fmt.Errorf("answered %q", c.answer)
	}
	return err
}

// BenchmarkLogins has 128 clients log in at the same time and without a pause,
// each to an account of its own. For comparison it also measures the hash
// alone, on all processors. A client whose login is refused with 503 waits
// until another client is logged in, and tries again.
func BenchmarkLogins(b *testing.B) {
	b.Run("argon2id", func(b *testing.B) {
		hash := newMembers(b).load(username(0)).hash
		b.ReportAllocs()
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if ok, err := argon2id.ComparePasswordAndHash(password, hash); err != nil || !ok {
					b.Error(ok, err)
				}
			}
		})
	})
	b.Run("go-login", func(b *testing.B) {
		clients := newClients(b)
		b.ReportAllocs()
		b.ResetTimer()
		b.ReportMetric(float64(clients.run(b.N, b.Error))/float64(b.N), "refused/op")
	})
}

// TestLogins checks that the measured logins work.
func TestLogins(t *testing.T) {
	clients := newClients(t)
	clients.run(testapp.Rounds(t, 20, 150), t.Error)
	if t.Failed() {
		return
	}
	for i, c := range clients.all {
		if c.answer.status == http.StatusOK && c.answer.length != len(username(i)) {
			t.Errorf("client %d was greeted with %d bytes", i, c.answer.length)
		}
	}
}

// clients are clients that log in at the same time.
type clients struct {
	all []*exchange
}

func newClients(tb testing.TB) clients {
	tb.Helper()
	s := openGoLogin(tb, newMembers(tb))
	s.loggedIn(tb)
	var c clients
	for i := range 128 {
		c.all = append(c.all, &exchange{handler: s.login, template: newRequest(tb, i, loginForm(username(i))), answer: sink{header: http.Header{}}})
	}
	return c
}

// run makes n logins, and returns how often one was refused.
func (c clients) run(n int, fail func(...any)) (refused int) {
	var wg sync.WaitGroup
	turns := make(chan struct{}, n)
	for range n {
		turns <- struct{}{}
	}
	close(turns)
	in := make(chan struct{}, len(c.all)) // has room for one signal per waiting client
	counts := make(chan int, len(c.all))
	for _, client := range c.all {
		wg.Go(func() {
			count := 0
			for range turns {
				for client.send(); client.answer.status == http.StatusServiceUnavailable; client.send() {
					count++
					<-in
				}
				if client.answer.status != http.StatusOK || len(client.answer.header["Set-Cookie"]) == 0 {
					fail("login: status", client.answer.status)
				}
				select {
				case in <- struct{}{}:
				default:
				}
			}
			counts <- count
		})
	}
	wg.Wait()
	close(counts)
	for count := range counts {
		refused += count
	}
	return refused
}

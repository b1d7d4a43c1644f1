package storetest

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"
)

// A proxy stands in front of a server and cuts a connection where it is told
// to.
type proxy struct {
	address  string
	server   string
	listener net.Listener

	mu    sync.Mutex
	armed *cut
	links []*link
}

// most is how many bytes pass at once, so that long answers come in several
// parts.
const most = 4 << 10

// A place is where in a request or an answer a connection is cut.
type place int

const (
	beforeRequest place = iota // the server gets none of the request
	withinRequest              // the server gets half of it
	beforeAnswer               // the server has answered, and the client gets nothing
	withinAnswer               // the client gets half of the answer
	afterAnswer                // the client gets all of the answer, and a dead connection
	places
)

// A cut is made once.
type cut struct {
	place  place
	number int // of the request or answer; bytes that pass at once count as one
	passed int
	made   *link // where it was made
}

func (c *cut) String() string {
	text := map[place]string{
		beforeRequest: "before request %d reached the server", withinRequest: "in the middle of request %d",
		beforeAnswer: "before answer %d came", withinAnswer: "in the middle of answer %d", afterAnswer: "after answer %d had come",
	}[c.place]
	return fmt.Sprintf("whose connection was cut "+text, c.number)
}

// newProxy starts a proxy that ends with the test.
func newProxy(t *testing.T, server string) *proxy {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	works(t, "listening on 127.0.0.1", err)
	t.Cleanup(func() { _ = listener.Close() })
	p := &proxy{address: listener.Addr().String(), server: server, listener: listener}
	go p.accept()
	return p
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			_ = client.Close()
			continue
		}
		l := &link{client: client, server: server, done: make(chan struct{})}
		p.mu.Lock()
		p.links = append(p.links, l)
		p.mu.Unlock()
		go p.requests(l)
		go p.answers(l)
	}
}

// sever cuts every connection.
func (p *proxy) sever() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.links {
		l.sever()
	}
	p.links = nil
}

// arm makes the proxy count requests and answers from now on.
func (p *proxy) arm(c *cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.armed = c
}

// disarm reports whether the cut has been made. If so, it first waits until the
// server has closed the connection, so that the effects can be seen.
func (p *proxy) disarm() bool {
	p.mu.Lock()
	c := p.armed
	p.armed = nil
	p.mu.Unlock()
	if c.made == nil {
		return false
	}
	select {
	case <-c.made.done:
	case <-time.After(10 * time.Second): // a server that does not notice a lost connection; deed.settles waits, too
	}
	return true
}

// passes returns how many of n bytes may pass, and whether the connection is
// then cut.
func (p *proxy) passes(l *link, n int, before, within, after place) (pass int, last bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.armed
	if c == nil || c.made != nil || c.place != before && c.place != within && c.place != after {
		return n, false
	}
	if c.passed++; c.passed < c.number {
		return n, false
	}
	c.made = l
	switch c.place {
	case before:
		return 0, true
	case within:
		return n / 2, true
	default:
		return n, true
	}
}

// A link is a connection through the proxy.
type link struct {
	client, server net.Conn
	done           chan struct{} // closed when the server has closed it

	mu  sync.Mutex
	cut bool
}

func (p *proxy) requests(l *link) {
	buffer := make([]byte, most)
	for {
		n, err := l.client.Read(buffer)
		if n > 0 {
			pass, last := p.passes(l, n, beforeRequest, withinRequest, places)
			_, _ = l.server.Write(buffer[:pass])
			if last {
				l.sever()
				return
			}
		}
		if err != nil {
			l.sever()
			return
		}
	}
}

func (p *proxy) answers(l *link) {
	defer close(l.done)
	defer func() { _ = l.server.Close() }()
	buffer := make([]byte, most)
	for {
		n, err := l.server.Read(buffer)
		if n > 0 && !l.severed() {
			pass, last := p.passes(l, n, beforeAnswer, withinAnswer, afterAnswer)
			_, _ = l.client.Write(buffer[:pass])
			if last {
				l.sever()
			}
		}
		if err != nil {
			l.sever()
			return
		}
	}
}

// sever closes the connection to the client. The server sees that nothing more
// will come; whatever it still sends is dropped.
func (l *link) sever() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return
	}
	l.cut = true
	_ = l.client.Close()
	if tcp, ok := l.server.(*net.TCPConn); ok {
		_ = tcp.CloseWrite()
	}
}

func (l *link) severed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cut
}
